"""Renders in the style of pictures: asked for, found, cancelled, gone on with, made, and let go."""
