"""Measure the speed of training, memory and translation against rivals in the same run.

    python scripts/benchmark.py WHAT --help

explains a benchmark. Results go to stdout, --json FILE keeps all numbers.
"""
