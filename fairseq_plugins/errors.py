"""Errors that the user can correct, and the one line in which programs show them."""

import os
import signal
import sys
from pathlib import Path
from types import TracebackType

from fairseq_plugins.host import is_fairseqs


class InputError(ValueError):
    """Invalid input. The message is one line: the file, what is wrong, and what to do about it."""


def user_errors() -> tuple[type[Exception], ...]:
    """Return the types of errors that the user can correct.

    The memory does not depend on other packages, so it has its own errors. They are imported here
    because a program that only shows its help needs no torch.
    """
    from fairseq_plugins.memory.collective import RankLost
    from fairseq_plugins.memory.snapshot import SnapshotError

    return InputError, SnapshotError, RankLost


def one_line_errors() -> None:
    """Show errors of the user as one line on stderr instead of a traceback, with exit code 1.

    These are :func:`user_errors`, including those declared as the cause of another exception; files
    that cannot be opened; lack of memory; and arguments that fairseq's programs reject. Everything
    else keeps its traceback.
    """
    sys.excepthook = _report
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # otherwise hydra prints errors in its own way


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    message = _message(error, trace)
    if message is None:
        sys.__excepthook__(kind, error, trace)
    else:
        sys.stderr.write(f"error: {message}\n")
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # it is ending already


def _message(error: BaseException, trace: TracebackType | None) -> str | None:
    """Return the line to show; None for an error that is not the user's."""
    if isinstance(error, OSError) and (error.filename or not error.errno):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    # An error that was raised while another one was handled (__context__) is a separate error.
    cause: BaseException | None = error
    kinds = user_errors()
    while cause is not None and not isinstance(cause, kinds):
        cause = cause.__cause__
    if cause is not None:
        return str(cause)
    if _is_lack_of_memory(error):
        reason = str(error).rpartition("DefaultCPUAllocator: ")[2].splitlines() or ["none is left"]
        return f"not enough memory ({reason[0]}); use smaller batches, sizes or memories"
    return str(error).splitlines()[0] if _is_refusal_of_fairseq(error, trace) else None


def _is_lack_of_memory(error: BaseException) -> bool:
    told = any(words in str(error) for words in ("DefaultCPUAllocator", "out of memory"))
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and told)


def _is_refusal_of_fairseq(error: BaseException, trace: TracebackType | None) -> bool:
    """Return whether fairseq itself rejected its arguments or data, with a message.

    Its programs do this with ``assert`` in their main functions, and its library by raising a plain
    ``Exception`` that does not wrap another error.
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
