"""Repositories: what a unit of work reads and writes, a port a file."""
