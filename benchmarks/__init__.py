"""Benchmarks: each prints our figure beside the floor or the peer's from the same run. `python -m benchmarks` runs all."""
