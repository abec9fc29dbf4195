"""Reproduce a published result from start to end; docs/results.md has them all.

    python scripts/reproduce.py RESULT --help

describes a result. Finished steps are skipped, and an interrupted training resumes where it
stopped.
"""
