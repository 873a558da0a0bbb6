"""Measurements against floors and peers, one file for each target (docs/reference/benchmarks.md)."""
