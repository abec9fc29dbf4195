"""Memory that the allocator keeps and returns."""

import ctypes
import mmap
import sys
from pathlib import Path

import pytest

from fairseq_plugins import allocator


def test_memory_is_given_back_once_it_has_doubled(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = iter([100, 150, 200, 201, 90, 180, 181, 50])
    given_back = []
    monkeypatch.setattr(allocator, "resident_bytes", lambda: next(sizes))
    monkeypatch.setattr(allocator, "_glibc", lambda *call: given_back.append(call))
    freed, after = allocator.FreedMemory(), []
    for _ in range(8):
        freed()
        after.append(len(given_back))
    assert after == [0, 0, 0, 1, 1, 1, 2, 2]
    assert set(given_back) == {("malloc_trim", 0)}


@pytest.mark.parametrize("system", ["darwin", "linux"])
def test_nothing_is_done_without_glibc(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class OtherLibrary:
        """musl, for instance, which has none of these functions."""

        def __init__(self, name: str | None) -> None:
            assert system == "linux", "no library is looked for elsewhere"

    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(ctypes, "CDLL", OtherLibrary)
    allocator.keep_freed_memory()


def test_freed_memory_is_left_alone_where_the_size_of_the_process_is_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given_back = []
    monkeypatch.setattr(allocator, "STATM", Path("/nosuch"))
    monkeypatch.setattr(allocator, "_glibc", lambda *call: given_back.append(call))
    freed = allocator.FreedMemory()
    freed()
    freed()
    assert allocator.resident_bytes() == 0 and not given_back


def test_the_size_of_the_process_is_known_on_linux() -> None:
    size = 80 << 20
    with mmap.mmap(-1, size) as block:  # of the kernel: the allocator might have kept that much
        before = allocator.resident_bytes()
        for page in range(0, size, mmap.PAGESIZE):
            block[page] = 1
        assert allocator.resident_bytes() - before > 0.9 * size or not Path("/proc").exists()
