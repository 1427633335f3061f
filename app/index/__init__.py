"""Vectors by template: derived from rows, may be dropped at any time. The only place that knows faiss."""
