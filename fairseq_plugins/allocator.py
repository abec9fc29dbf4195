"""Settings of glibc's memory allocator: keep freed memory, up to a limit."""

import contextlib
import ctypes
import os
import sys
from pathlib import Path

GROWTH = 2  # growth of the process at which it returns freed memory
STATM = Path("/proc/self/statm")  # memory use of this process in pages, on Linux


def keep_freed_memory() -> None:
    """Make glibc's allocator keep freed memory for the next step.

    A training step frees the same few hundred MiB that the next one allocates. By default, large
    blocks are returned to the kernel, which must then clear every page again. This takes a fifth
    of the time on a CPU. The effect is the same as that of MALLOC_MMAP_MAX_=0
    MALLOC_TRIM_THRESHOLD_=2147483647 MALLOC_TOP_PAD_=67108864.
    """
    trim_threshold, top_pad, mmap_max = -1, -2, -4  # names in glibc's malloc.h
    _glibc("mallopt", mmap_max, 0)
    _glibc("mallopt", trim_threshold, 2**31 - 1)
    _glibc("mallopt", top_pad, 64 << 20)


class FreedMemory:
    """Returns memory that glibc's allocator has kept to the kernel, once it is too much.

    Batches with ever different shapes leave gaps that nothing fits into. In an hour of training
    they would grow to several GiB. Call this after every update.
    """

    def __init__(self) -> None:
        self.limit = 0  # in bytes; 0 if unknown

    def __call__(self) -> None:
        """Return memory if the process has grown by a factor of ``GROWTH`` since the last time."""
        resident = resident_bytes()
        if not self.limit:
            self.limit = GROWTH * resident
        elif resident > self.limit:
            _glibc("malloc_trim", 0)
            self.limit = 0  # unknown until after the next update, which needs some of it again


return_freed_memory = FreedMemory()


def resident_bytes() -> int:
    """Return the resident size of this process in bytes; 0 if the system does not report it."""
    try:
        pages = int(STATM.read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _glibc(function: str, *arguments: int) -> None:
    """Call a function of glibc; do nothing if another C library is in use."""
    if sys.platform != "linux":
        return
    with contextlib.suppress(AttributeError, OSError):
        getattr(ctypes.CDLL(None), function)(*arguments)
