"""Finds slots that a memory can spare, because others near them give the same answer.

A frequent word fills thousands of slots. Where everything near one of them holds its value, it
seldom matters which of them answers (Zhu et al. 2023 prune memories by such local correctness).
"""

import torch
from torch import Tensor

from fairseq_plugins.memory.hits import NOTHING
from fairseq_plugins.memory.key_value_memory import KeyValueMemory

_AT_ONCE = 1 << 12  # slots whose neighbours are found at once


def spare_slots(memory: KeyValueMemory, alike: int) -> Tensor:
    """Return slots [n] that can be forgotten, ascending; all others are said to *stay*.

    A slot stays unless the ``alike`` slots nearest to it, without itself, all hold its value and
    none of them was taught. The remaining slots are visited one by one, those with most merges
    first, then the lower ones. A visited slot stays if none of its neighbours does until then. So
    each slot that is returned has one of the same value among its neighbours that stays.

    Args:
        memory: to be searched; it does not change.
        alike: number of neighbours to look at, at least 1.
    """
    filled = torch.nonzero((memory.values != NOTHING) & ~memory.pinned).squeeze(1)
    near = torch.cat([_neighbours(memory, some, alike) for some in filled.split(_AT_ONCE)])
    found = near.clamp(min=0)
    same = (near != NOTHING) & (memory.values[found] == memory.values[filled].unsqueeze(1))
    inside = (same & ~memory.pinned[found]).all(dim=1)
    filled, near = filled[inside], near[inside]
    order = memory.merges[filled].sort(descending=True, stable=True).indices
    stays = torch.ones(memory.size, dtype=torch.bool).index_fill_(0, filled.cpu(), False).tolist()
    for slot, others in zip(filled[order].tolist(), near[order].tolist(), strict=True):
        stays[slot] = not any(stays[other] for other in others)
    return filled[~torch.tensor(stays, device=filled.device)[filled]]


def _neighbours(memory: KeyValueMemory, slots: Tensor, count: int) -> Tensor:
    """Return the slots [n, count] that are nearest to slots [n], without these themselves."""
    near = memory.query(memory.keys[slots], count + 1).slots
    own = (near == slots.unsqueeze(1)).long()
    return near.gather(1, own.argsort(dim=1, stable=True)[:, :count])
