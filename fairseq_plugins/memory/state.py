"""The layout of a memory's buffers, known here and nowhere else.

A memory of S slots with keys of D numbers, for V values, is these buffers. In a model's state
dict each name follows the memory's prefix (``decoder.reader.memory.keys``).

=========  ============  ==========================================================
keys       [S, D] float  unit vectors
values     [S] int64     -1 where the slot is empty
touched    [S] int64     commit that last wrote the slot: its age is commits - touched
origins    [S] int64     who wrote the slot last; -1 is unknown
pinned     [S] bool      taught: never merged into, never evicted
recent     [V] int64     slot that a commit last wrote each value to; -1 is none
commits    [] int64      how many there have been
layout     [] int64      version of this table
=========  ============  ==========================================================

Empty slots are all alike (``EMPTY``), so a slot that is filled and emptied again is as it was.
"""

from collections.abc import Mapping, MutableMapping
from typing import Any

import torch
from torch import Tensor

from fairseq_plugins.memory.hits import NOTHING

LAYOUT = 2
"""The newest version of the table."""

EMPTY: dict[str, float | int | bool] = {
    "keys": 0.0,
    "values": NOTHING,
    "touched": 0,
    "origins": NOTHING,
    "pinned": False,
}
"""What an empty slot holds in each of the buffers that have a row a slot."""


def empty_slots(size: int, key_dim: int, device: torch.device | None = None) -> dict[str, Tensor]:
    """Make the buffers that have a row a slot, for ``size`` empty slots."""
    types = {float: torch.float32, int: torch.int64, bool: torch.bool}
    shapes = {"keys": (size, key_dim)}
    return {
        name: torch.full(shapes.get(name, (size,)), empty, dtype=types[type(empty)], device=device)
        for name, empty in EMPTY.items()
    }


def empty_memory(size: int, key_dim: int, num_values: int) -> dict[str, Tensor]:
    """Make all buffers of a memory that never held anything."""
    return empty_slots(size, key_dim) | {
        "recent": torch.full((num_values,), NOTHING),
        "commits": torch.zeros((), dtype=torch.int64),
        "layout": torch.tensor(LAYOUT),
    }


PER_SLOT = (*EMPTY, "ages")
"""Buffers with a row a slot, of any version."""

BUFFERS: dict[int, tuple[str, ...]] = {
    1: ("keys", "values", "ages", "recent", "commits"),
    2: tuple(empty_memory(0, 0, 0)),
}
"""Names of the buffers, by version of the layout."""


def memory_buffers(state: Mapping[str, Any]) -> list[dict[str, str]]:
    """Find the memories in a model's state dict.

    Args:
        state: of a model, or what a checkpoint holds of it; of any version of the layout.

    Returns:
        For each memory its buffers' names (``keys``, ``values``, ...) -> their names in ``state``.
    """
    prefixes = [name.removesuffix("keys") for name in state if name.rpartition(".")[2] == "keys"]
    return [
        {name: prefix + name for name in (*BUFFERS[LAYOUT], *BUFFERS[1]) if prefix + name in state}
        for prefix in prefixes
        if prefix + "values" in state and prefix + "recent" in state
    ]


def upgrade(state: MutableMapping[str, Any], prefix: str = "") -> None:
    """Bring the buffers of one memory to the newest layout, in place.

    Args:
        state: that holds the buffers, among others.
        prefix: before the buffers' names.
    """
    if prefix + "layout" in state or any(prefix + name not in state for name in BUFFERS[1]):
        return
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
    state[prefix + "layout"] = torch.tensor(LAYOUT, device=values.device)


def upgrade_memories(state: MutableMapping[str, Any]) -> None:
    """Bring all memories in a model's state dict to the newest layout, in place."""
    for names in memory_buffers(state):
        upgrade(state, names["keys"].removesuffix("keys"))


def resized(buffers: Mapping[str, Tensor], size: int) -> dict[str, Tensor]:
    """Change the number of slots of a memory.

    Args:
        buffers: of a memory, by their short names, in the newest layout.
        size: the new number of slots.

    Returns:
        The new buffers. With more slots, what is held stays where it is. With fewer, the first
        slots hold, in order, what is pinned and the youngest of the rest.

    Raises:
        ValueError: if more slots are pinned than there are to be.
    """
    old_size, key_dim = buffers["keys"].shape
    device = buffers["keys"].device
    kept = torch.arange(old_size, device=device)
    if size < old_size:
        kept = _most_worth_keeping(buffers, size)
    moved_to = torch.full((old_size + 1,), NOTHING, device=device)  # the last one is for -1
    moved_to[kept] = torch.arange(len(kept), device=device)
    result = empty_slots(size, key_dim, device)
    for name, rows in result.items():
        rows[: len(kept)] = buffers[name][kept]
    return {**buffers, **result, "recent": moved_to[buffers["recent"]]}


def _most_worth_keeping(buffers: Mapping[str, Tensor], size: int) -> Tensor:
    """Slots of what is pinned and of the youngest of the rest, at most ``size``, in order."""
    pinned = int(buffers["pinned"].sum())
    if pinned > size:
        raise ValueError(f"{size:,} slots are too few for the {pinned:,} that are pinned")
    filled = torch.nonzero(buffers["values"] != NOTHING).squeeze(1)
    latest = torch.iinfo(torch.int64).max
    worth = buffers["touched"].masked_fill(buffers["pinned"], latest)[filled]
    order = torch.sort(worth, descending=True, stable=True).indices
    return filled[order[:size]].sort().values
