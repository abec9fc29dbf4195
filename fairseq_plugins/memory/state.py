"""The layout of a memory's buffers, which only this module knows.

A memory of S slots with keys of width D, for V values, has these buffers. In a model's state dict,
their names follow the memory's prefix (``decoder.reader.memory.keys``).

=========  ============  ==========================================================
keys       [S, D] float  unit vectors
values     [S] int64     -1 if the slot is empty
touched    [S] int64     commit that last wrote the slot; its age is commits - touched
origins    [S] int64     who last wrote the slot; -1 if unknown
merges     [S] int64     pairs merged into the slot since it was filled, as far as known
pinned     [S] bool      taught: never merged into, never evicted
recent     [V] int64     slot to which a commit last wrote each value; -1 if none
commits    [] int64      number of commits
layout     [] int64      version of this table
=========  ============  ==========================================================

All empty slots are alike (``EMPTY``), so filling and emptying a slot restores it.
"""

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import torch
from torch import Tensor

from fairseq_plugins.memory.hits import NOTHING

LAYOUT = 3
"""The newest version of the table."""

BUFFERS: dict[int, tuple[str, ...]] = {
    1: ("keys", "values", "ages", "recent", "commits"),
    2: ("keys", "values", "touched", "origins", "pinned", "recent", "commits", "layout"),
    3: ("keys", "values", "touched", "origins", "merges", "pinned", "recent", "commits", "layout"),
}
"""Names of the buffers, by version of the layout."""

EMPTY: dict[str, float | int | bool] = {
    "keys": 0.0,
    "values": NOTHING,
    "touched": 0,
    "origins": NOTHING,
    "merges": 0,
    "pinned": False,
}
"""Contents of an empty slot in each buffer that has a row per slot."""

LENGTH_ERROR = 1e-3  # largest error of a key's length; that of float32 is far smaller
_TYPES = {"keys": torch.float32, "pinned": torch.bool}  # the others are int64


def shapes(
    size: int, key_dim: int, num_values: int, layout: int = LAYOUT
) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """Return the shape and type of each buffer of a memory, for a version of the layout."""
    special = {"keys": (size, key_dim), "recent": (num_values,), "commits": (), "layout": ()}
    return {
        name: (special.get(name, (size,)), _TYPES.get(name, torch.int64))
        for name in BUFFERS[layout]
    }


def empty_slots(size: int, key_dim: int, device: torch.device | None = None) -> dict[str, Tensor]:
    """Create the buffers that have a row per slot, for ``size`` empty slots."""
    expected = shapes(size, key_dim, 0)
    return {
        name: torch.full(expected[name][0], empty, dtype=expected[name][1], device=device)
        for name, empty in EMPTY.items()
    }


def empty_memory(size: int, key_dim: int, num_values: int) -> dict[str, Tensor]:
    """Create all buffers of an empty memory."""
    return empty_slots(size, key_dim) | {
        "recent": torch.full((num_values,), NOTHING),
        "commits": torch.zeros((), dtype=torch.int64),
        "layout": torch.tensor(LAYOUT),
    }


def memory_buffers(state: Mapping[str, Any]) -> list[dict[str, str]]:
    """Find the memories in a model's state dict.

    Args:
        state: of a model, or its part in a checkpoint, in any version of the layout.

    Returns:
        For each memory, the names of its buffers (``keys``, ``values``, ...) -> names in ``state``.
    """
    prefixes = [name.removesuffix("keys") for name in state if name.rpartition(".")[2] == "keys"]
    return [
        {name: prefix + name for name in (*BUFFERS[LAYOUT], *BUFFERS[1]) if prefix + name in state}
        for prefix in prefixes
        if prefix + "values" in state and prefix + "recent" in state
    ]


def upgrade(state: MutableMapping[str, Any], prefix: str = "") -> None:
    """Upgrade the buffers of one memory to the newest layout, in place.

    Args:
        state: that contains the buffers, among others.
        prefix: of the buffers' names.
    """
    if prefix + "layout" not in state and all(prefix + name in state for name in BUFFERS[1]):
        _upgrade_ages(state, prefix)
    if prefix + "layout" in state and prefix + "merges" not in state:
        state[prefix + "merges"] = torch.zeros_like(state[prefix + "touched"])
        state[prefix + "layout"] = torch.full_like(state[prefix + "layout"], LAYOUT)


def _upgrade_ages(state: MutableMapping[str, Any], prefix: str) -> None:
    """Upgrade the buffers of a memory from layout 1 to layout 2."""
    values = state[prefix + "values"]
    empty = values == NOTHING
    newer = empty_slots(len(values), 0, values.device)
    newer["touched"] = state[prefix + "commits"] - state.pop(prefix + "ages")
    for name in ("touched", "origins", "pinned"):
        state[prefix + name] = newer[name].masked_fill(empty, EMPTY[name])
    keys = state[prefix + "keys"]
    if bool(keys[empty].any()):
        state[prefix + "keys"] = keys.masked_fill(empty.unsqueeze(1), EMPTY["keys"])
    recent = state[prefix + "recent"]
    gone = (recent != NOTHING) & empty[recent.clamp(min=0)]
    state[prefix + "recent"] = recent.masked_fill(gone, NOTHING)
    state[prefix + "layout"] = torch.tensor(2, device=values.device)


def upgrade_memories(state: MutableMapping[str, Any]) -> None:
    """Check all memories in a model's state dict and upgrade them to the newest layout, in place.

    Raises:
        ValueError: if one of them is damaged, see :func:`fault`.
    """
    for names in memory_buffers(state):
        if reason := fault({name: state[full] for name, full in names.items()}):
            raise ValueError(reason)
        upgrade(state, names["keys"].removesuffix("keys"))


def fault(buffers: Mapping[str, Any]) -> str | None:
    """Return a short reason why buffers are not those of a memory; None if they are.

    Args:
        buffers: by their short names, in any version of the layout; they may contain anything.
    """
    return next(_faults_of_form(buffers), None) or next(_faults_of_numbers(buffers), None)


def _faults_of_form(buffers: Mapping[str, Any]) -> Iterator[str]:
    layout = _layout_of(buffers)
    if layout not in BUFFERS:
        yield f"its layout has version {layout}, but this program knows {LAYOUT}"
    for name in BUFFERS[layout]:
        if not isinstance(buffers.get(name), Tensor):
            yield f"{name} is missing" if name not in buffers else f"{name} is not a tensor"
    keys, recent = buffers["keys"], buffers["recent"]
    if keys.dim() != 2 or recent.dim() != 1:
        yield f"keys are {list(keys.shape)} and recent is {list(recent.shape)}"
    size, key_dim = keys.shape
    for name, (shape, dtype) in shapes(size, key_dim, len(recent), layout).items():
        tensor = buffers[name]
        if tensor.shape != shape or tensor.dtype != dtype:
            yield f"{name} is {list(tensor.shape)} {tensor.dtype}, not {list(shape)} {dtype}"


def _layout_of(buffers: Mapping[str, Any]) -> int:
    """Return the version of the layout that buffers say they have; the newest if it is damaged."""
    if "touched" not in buffers and "layout" not in buffers:
        return 1
    version = buffers.get("layout")
    if not isinstance(version, Tensor) or version.numel() != 1 or version.is_floating_point():
        return LAYOUT
    return int(version)


def _faults_of_numbers(buffers: Mapping[str, Tensor]) -> Iterator[str]:
    values, commits = buffers["values"], buffers["commits"]
    lengths = torch.linalg.vector_norm(buffers["keys"], dim=1)  # [S]
    if not bool(torch.isfinite(lengths).all()):
        yield "a key is not finite"
    # The key of a query of zeros is 0.
    odd = ((lengths - 1).abs() > LENGTH_ERROR) & (lengths != 0) & (values != NOTHING)
    if bool(odd.any()):
        yield f"a key has length {lengths[odd][0]:.3g}, not 1"
    limits = {
        "values": (NOTHING, len(buffers["recent"]) - 1),
        "recent": (NOTHING, len(values) - 1),
        "touched": (0, int(commits)),
        "merges": (0, torch.iinfo(torch.int64).max),
        "ages": (0, int(commits)),
    }
    for name, (least, greatest) in limits.items():
        numbers = buffers.get(name, commits.new_empty(0))
        wrong = numbers[(numbers < least) | (numbers > greatest)]
        if len(wrong):
            yield f"{name} holds {int(wrong[0])}, which is outside [{least}, {greatest}]"
    if "pinned" in buffers and bool((buffers["pinned"] & (values == NOTHING)).any()):
        yield "an empty slot is pinned"


def resized(buffers: Mapping[str, Tensor], size: int) -> dict[str, Tensor]:
    """Change the number of slots of a memory.

    Args:
        buffers: of a memory, by their short names, in the newest layout.
        size: new number of slots.

    Returns:
        The new buffers. With more slots, the contents keep their slots. With fewer, the first slots
            contain, in order, what is pinned and the youngest of the rest.

    Raises:
        ValueError: if more slots are pinned than the new size.
    """
    old_size, key_dim = buffers["keys"].shape
    device = buffers["keys"].device
    kept = torch.arange(old_size, device=device)
    if size < old_size:
        kept = _most_worth_keeping(buffers, size)
    moved_to = torch.full((old_size + 1,), NOTHING, device=device)  # the last entry is for -1
    moved_to[kept] = torch.arange(len(kept), device=device)
    result = empty_slots(size, key_dim, device)
    for name, rows in result.items():
        rows[: len(kept)] = buffers[name][kept]
    return {**buffers, **result, "recent": moved_to[buffers["recent"]]}


def _most_worth_keeping(buffers: Mapping[str, Tensor], size: int) -> Tensor:
    """Return the slots that are pinned and the youngest of the rest, at most ``size``, in order."""
    pinned = int(buffers["pinned"].sum())
    if pinned > size:
        raise ValueError(f"{size:,} slots are too few for {pinned:,} pinned ones")
    filled = torch.nonzero(buffers["values"] != NOTHING).squeeze(1)
    latest = torch.iinfo(torch.int64).max
    worth = buffers["touched"].masked_fill(buffers["pinned"], latest)[filled]
    order = torch.sort(worth, descending=True, stable=True).indices
    return filled[order[:size]].sort().values
