"""What is searched: the keys, their mirror, and the slots without a key."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from fairseq_plugins.memory.search.mirror import Mirror


@dataclass(frozen=True)
class Contents:
    """The filled slots of a memory."""

    keys: Tensor
    """Unit keys [S, D] in float32."""
    mirror: Mirror
    extent: int
    """The highest filled slot plus one."""
    holes: Tensor
    """Empty slots below ``extent``, in ascending order."""

    def holes_between(self, begin: int, end: int) -> Tensor:
        """Return the empty slots in [begin, end)."""
        edges = torch.tensor([begin, end], device=self.holes.device)
        first, last = torch.searchsorted(self.holes, edges).tolist() if len(self.holes) else (0, 0)
        return self.holes[first:last]


@dataclass
class Workspace:
    """Scratch space that is reused, because allocating it costs more than using it."""

    space: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.uint8))

    def take(self, size: int, device: torch.device) -> Tensor:
        """Return ``size`` bytes on a device, not cleared; earlier ones become invalid."""
        if len(self.space) < size or self.space.device != device:
            self.space = torch.empty(size, dtype=torch.uint8, device=device)
        return self.space[:size]

    def __getstate__(self) -> dict:
        """Leave the space out of copies and pickles."""
        return {"space": torch.empty(0, dtype=torch.uint8)}


def find_holes(values: Tensor) -> tuple[int, Tensor]:
    """Return the highest filled slot plus one, and the empty slots below it, ascending.

    A slot is filled if its value in ``values`` [S] is not negative.
    """
    filled = values >= 0
    extent = len(filled) - int(filled.flip(0).int().argmax()) if bool(filled.any()) else 0
    return extent, torch.nonzero(~filled[:extent]).squeeze(1)


def follow_holes(values: Tensor, changed: Tensor, extent: int, holes: Tensor) -> tuple[int, Tensor]:
    """Return the result of :func:`find_holes` after a change, looking at few other slots.

    Args:
        values: [S], after the change.
        changed: the only slots that may have been filled or emptied, each once or more often.
        extent: before the change.
        holes: before the change.
    """
    filled = changed[values[changed] >= 0]
    before, extent = extent, max(extent, int(filled.max()) + 1 if len(filled) else 0)
    if extent and values[extent - 1] < 0:  # the highest slot was emptied
        return find_holes(values)
    between = torch.arange(before, extent, device=values.device)
    suspects = torch.cat([holes, changed[changed < extent], between]).unique()
    return extent, suspects[values[suspects] < 0]
