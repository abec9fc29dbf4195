"""fairseq plug-in: ``fairseq-train --user-dir fairseq_plugins``.

Importing it registers all tasks, models and criterions, and does nothing else. Only in our own
programs this waits until it is needed: they parse their arguments first, and ``--help`` would
otherwise import torch and fairseq for seconds.
"""

import sys
from pathlib import Path


def _in_our_program() -> bool:
    program = Path(sys.argv[0])
    scripts = Path(__file__).resolve().parents[1] / "scripts"
    return program.stem == "fairseq-memory" or program.resolve().parent == scripts


if not _in_our_program():
    from fairseq_plugins import registered  # noqa: F401
