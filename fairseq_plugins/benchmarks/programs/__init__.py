"""Measure the speed of the memory, training and translation against rivals in the same run.

    python scripts/benchmark.py WHAT --help

describes a benchmark. Results go to stdout; --json FILE stores all numbers.
"""
