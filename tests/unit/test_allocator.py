"""Memory that the allocator keeps, and gives back."""

import mmap
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


def test_the_size_of_the_process_is_known_on_linux() -> None:
    size = 80 << 20
    with mmap.mmap(-1, size) as block:  # of the kernel: the allocator might have kept that much
        before = allocator.resident_bytes()
        for page in range(0, size, mmap.PAGESIZE):
            block[page] = 1
        assert allocator.resident_bytes() - before > 0.9 * size or not Path("/proc").exists()
