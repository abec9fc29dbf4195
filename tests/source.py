"""Runs source code like ``python -c``, as a program that the server of programs can start.

python tests/source.py SOURCE [ARGUMENTS ...]
"""

import sys

source = sys.argv.pop(1)
sys.path[0] = ""  # as for `python -c`
exec(compile(source, "<source>", "exec"), {"__name__": "__main__"})
