"""Tells whose program imports the package.

In fairseq's programs and in ours, invalid input is shown as one line, and warnings that nobody can
act on are silenced. In other programs, importing the package registers everything with fairseq and
installs nothing.
"""

import sys
from pathlib import Path

FAIRSEQ_PROGRAMS = frozenset(
    f"fairseq-{name}"
    for name in ("eval-lm", "generate", "hydra-train", "interactive", "preprocess", "score",
                 "train", "validate")
)  # fmt: skip
FAIRSEQ_FOLDER = "fairseq_cli"  # of the same programs, run as files or modules
OUR_PROGRAM, OUR_MODULE = "fairseq-memory", "fairseq_plugins.cli"
PACKAGE = Path(__file__).resolve().parent


def is_fairseqs(program: str) -> bool:
    """Return whether a program is one of fairseq's.

    Args:
        program: its path, as in ``sys.argv[0]``.
    """
    path = Path(program)
    return path.stem in FAIRSEQ_PROGRAMS or path.parent.name == FAIRSEQ_FOLDER


def is_ours(program: str) -> bool:
    """Return whether a program is one of this project's.

    Args:
        program: its path, as in ``sys.argv[0]``.
    """
    path = Path(program)
    if program == "-m":  # a module that Python has not found yet
        return OUR_MODULE in sys.orig_argv
    if path.stem == OUR_PROGRAM:
        return True
    return path.is_file() and path.resolve().parent in (PACKAGE / "cli", PACKAGE.parent / "scripts")


def running() -> str:
    """Return the path of this program; empty where Python is embedded in another one."""
    return sys.argv[0] if getattr(sys, "argv", None) else ""
