"""Reproduce a published result from start to end; docs/results.md has them all.

    python scripts/reproduce.py RESULT --help

explains a result. What is done already is skipped, and a training that was stopped goes on where it
was.
"""
