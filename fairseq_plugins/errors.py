"""Errors that are the user's to mend, and the one line in which programs show them."""

import os
import sys
from types import TracebackType

from fairseq_plugins.memory.snapshot import SnapshotError


class InputError(ValueError):
    """Bad input. The message is one line: which file, what is wrong, and what to do about it."""


USER_ERRORS = (InputError, SnapshotError)  # memory/ knows nobody, and so has an error of its own


def one_line_errors() -> None:
    """Show the user's mistakes as one line on stderr instead of a traceback; the exit code is 1.

    These are ``USER_ERRORS``, also where fairseq wraps it in an exception of its own, and
    files that cannot be opened. Everything else keeps its traceback.
    """
    sys.excepthook = _report
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # else hydra prints errors in its own way


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, OSError) and (error.filename or not error.errno):
        where = f"{error.filename}: {error.strerror}" if error.filename else error
        sys.stderr.write(f"error: {where}\n")
        return
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, USER_ERRORS):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        sys.__excepthook__(kind, error, trace)
    else:
        sys.stderr.write(f"error: {cause}\n")
