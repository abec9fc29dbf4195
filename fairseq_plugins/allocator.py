"""What glibc's memory allocator is told: to keep what is freed, but not without end."""

import contextlib
import ctypes
import os
import sys
from pathlib import Path

GROWTH = 2  # of a process, until it gives memory back
STATM = Path("/proc/self/statm")  # sizes of this process in pages, on Linux


def keep_freed_memory() -> None:
    """Make glibc's allocator keep what it frees, for the next step.

    A training step frees and wants again the same few hundred MiB. By default large blocks go
    back to the kernel, which then has to clear every page anew: a fifth of the time on a CPU.
    The same as MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=2147483647 MALLOC_TOP_PAD_=67108864.
    """
    trim_threshold, top_pad, mmap_max = -1, -2, -4  # names of glibc's malloc.h
    _glibc("mallopt", mmap_max, 0)
    _glibc("mallopt", trim_threshold, 2**31 - 1)
    _glibc("mallopt", top_pad, 64 << 20)


class FreedMemory:
    """Gives back to the kernel what glibc's allocator has kept, once it is too much.

    Batches of ever other shapes leave gaps that nothing fits into: in an hour of training they
    would grow to several GiB. To be called after every update.
    """

    def __init__(self) -> None:
        self.limit = 0  # bytes; 0 if it has yet to be found

    def __call__(self) -> None:
        """Return it if the process has become ``GROWTH`` times as large as after the last time."""
        resident = resident_bytes()
        if not self.limit:
            self.limit = GROWTH * resident
        elif resident > self.limit:
            _glibc("malloc_trim", 0)
            self.limit = 0  # found after one update more, which needs some of it again


return_freed_memory = FreedMemory()


def resident_bytes() -> int:
    """Return how much of this process is in memory; 0 if the system does not tell."""
    try:
        pages = int(STATM.read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _glibc(function: str, *arguments: int) -> None:
    """Call one of glibc's own functions; do nothing where another C library is in use."""
    if sys.platform != "linux":
        return
    with contextlib.suppress(AttributeError, OSError):
        getattr(ctypes.CDLL(None), function)(*arguments)
