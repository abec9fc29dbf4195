"""Errors that are the user's to mend, and the one line in which programs show them."""

import os
import sys
from pathlib import Path
from types import TracebackType

from fairseq_plugins.host import is_fairseqs


class InputError(ValueError):
    """Bad input. The message is one line: which file, what is wrong, and what to do about it."""


def user_errors() -> tuple[type[Exception], ...]:
    """Return the kinds of errors that are the user's to mend.

    The memory knows nobody, and so has an error of its own. It is imported late: a program that
    only shows its help needs no torch.
    """
    from fairseq_plugins.memory.snapshot import SnapshotError

    return InputError, SnapshotError


def one_line_errors() -> None:
    """Show the user's mistakes as one line on stderr instead of a traceback; the exit code is 1.

    These are :func:`user_errors`, also as the declared cause of another exception, files that
    cannot be opened, too little memory, and arguments that a program of fairseq's itself refuses.
    Everything else keeps its traceback.
    """
    sys.excepthook = _report
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # else hydra prints errors in its own way


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    message = _message(error, trace)
    if message is None:
        sys.__excepthook__(kind, error, trace)
    else:
        sys.stderr.write(f"error: {message}\n")


def _message(error: BaseException, trace: TracebackType | None) -> str | None:
    """The line to show; None for a mistake of ours."""
    if isinstance(error, OSError) and (error.filename or not error.errno):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    # What happened while another error was handled (__context__) is an error of its own.
    cause: BaseException | None = error
    kinds = user_errors()
    while cause is not None and not isinstance(cause, kinds):
        cause = cause.__cause__
    if cause is not None:
        return str(cause)
    if _is_lack_of_memory(error):
        reason = str(error).rpartition("DefaultCPUAllocator: ")[2].splitlines() or ["all is in use"]
        return f"not enough memory ({reason[0]}); ask for smaller batches, sizes or memories"
    return str(error).splitlines()[0] if _is_refusal_of_fairseq(error, trace) else None


def _is_lack_of_memory(error: BaseException) -> bool:
    told = any(words in str(error) for words in ("DefaultCPUAllocator", "out of memory"))
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and told)


def _is_refusal_of_fairseq(error: BaseException, trace: TracebackType | None) -> bool:
    """Whether fairseq has refused its arguments or data itself, with a sentence that says why.

    Its programs do so with ``assert`` in their main functions, and the library by raising
    ``Exception`` as such, where it is not another error that it wraps.
    """
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or not str(error):
        return False
    place, function = Path(trace.tb_frame.f_code.co_filename), trace.tb_frame.f_code.co_name
    if type(error) is Exception:
        return "fairseq" in place.parts and error.__context__ is None
    asserted = isinstance(error, AssertionError | ValueError) and function in ("main", "_main")
    return asserted and is_fairseqs(str(place))
