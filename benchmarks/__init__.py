"""Measurements of the running service, one question a file; `python -m benchmarks` runs those of `make bench`.

Each prints its table, writes `benchmarks/results/<name>.json`, and puts the table into docs/benchmarks.md.
"""
