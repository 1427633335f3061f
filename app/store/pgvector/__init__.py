"""Searching in the database, which keeps vectors in clear."""
