"""A picture -> faces: detect, align, judge, encode; `reading` is the whole chain."""
