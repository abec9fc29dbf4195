"""A copy of the memory's keys in a short number format, with error bounds.

Products of bfloat16 numbers are several times faster than those of float32, on processors with
native instructions. The bounds on their error tell :mod:`fairseq_plugins.memory.search.exact` where
it matters.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor

from fairseq_plugins.number_formats import native_bfloat16

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Mirror:
    """Keys for the coarse product: relative to their mean c, in a short type.

    With x = q - c, a similarity is q . K = q . c + c . (K - c) + x . (K - c). The first term is the
    same for all slots and cannot change their order, so it is left out. The second is one number
    per slot, stored as a sum of two rounded numbers in two more columns. The third is rounded. So
    the rounding error is proportional to the distances between keys, not to their length.

    Attributes:
        keys: [S, D + 2]: K - c rounded, then c . (K - c) as a sum of two numbers. Without a
            center, [S, D], the keys themselves.
        center: [D], c; None if nothing is rounded.
        error: largest distance of a K - c from its rounded value.
        radius: largest norm of a K - c.
        offset_error: largest error of the sum of two numbers.
    """

    def __init__(self, keys: Tensor, extent: int, dtype: torch.dtype) -> None:
        self.center: Tensor | None = None
        self.error, self.radius, self.offset_error, self.stale = 0.0, 1.0, 0.0, 0
        self.keys = keys
        if dtype != torch.float32:
            self.center = keys[:extent].mean(dim=0)
            self.keys = keys.new_zeros((len(keys), keys.shape[1] + 2), dtype=dtype)
            self.radius = 0.0
            self._copy(keys, slice(extent))

    def update(self, keys: Tensor, changed: Tensor) -> None:
        """Update the copy of the keys [S, D] at the slots ``changed`` [C]; S may have grown."""
        if self.center is None:
            self.keys = keys
        else:
            if len(keys) > len(self.keys):
                self.keys = F.pad(self.keys, (0, 0, 0, len(keys) - len(self.keys)))
            self._copy(keys, changed)
            self.stale += len(changed)

    def _copy(self, keys: Tensor, slots: Tensor | slice) -> None:
        assert self.center is not None
        dtype = self.keys.dtype
        difference = keys[slots] - self.center  # [C, D]
        rounded = difference.to(dtype)
        offset = difference @ self.center  # [C]
        high = offset.to(dtype)
        low = (offset - high.float()).to(dtype)
        self.keys[slots] = torch.cat([rounded, high[:, None], low[:, None]], dim=1)
        if len(offset):
            lost = (offset - high.float() - low.float()).abs().max()
            self.error = max(self.error, float((difference - rounded).norm(dim=1).max()))
            self.radius = max(self.radius, float(difference.norm(dim=1).max()))
            self.offset_error = max(self.offset_error, float(lost))

    def queries(self, query: Tensor) -> Tensor:
        """Return queries for the coarse product: [n, D] -> [n, D + 2], or unchanged."""
        if self.center is None:
            return query
        rounded = (query - self.center).to(self.keys.dtype)
        return torch.cat([rounded, rounded.new_ones(len(query), 2)], dim=1)

    def errors(self, query: Tensor) -> Tensor:
        """Return bounds [n] on the error of coarse similarities of queries [n, D].

        The error is relative to the float32 similarity minus q . c, before the coarse similarity is
        rounded to its type.
        """
        accumulated = (query.shape[1] + 2) * torch.finfo(torch.float32).eps / 2  # of a sum
        if self.center is None:
            return query.new_full((len(query),), 2 * accumulated)
        x = query - self.center
        # x . (K - c) = x' . K' + (x - x') . (K - c) + x' . (K - c - K'), where ' means rounded.
        length = x.norm(dim=1) * (1 + self._unit)
        lost = (x - x.to(self.keys.dtype)).norm(dim=1) * self.radius + length * self.error
        # Float32 sums: of the similarity itself, of c . (K - c), of the coarse product.
        return lost + self.offset_error + accumulated * (1 + self.radius * (1 + length))

    def floor(self, kth: Tensor, errors: Tensor) -> Tensor:
        """Return the lowest coarse similarity [n] of a slot that may be nearer than ``kth`` [n].

        Both similarities and the result are rounded to the coarse type; the result is float64.
        """
        kth, errors = kth.double(), errors.double()
        rounding = (
            3 * self._unit * (1 + 4 * self._unit)
        )  # of all three, each below |kth| + 2 errors
        tiny = 4 * torch.finfo(self.keys.dtype).smallest_normal  # rounding is absolute below
        return kth - 2 * errors - rounding * (kth.abs() + 2 * errors) - tiny * self._unit

    def bound(self, query: Tensor, coarse: Tensor) -> Tensor:
        """Return the greatest float32 similarity [n] that a coarse one [n] allows, for [n, D]."""
        bound = (coarse + self._unit * coarse.abs()).double() + self.errors(query)
        return bound if self.center is None else bound + query.double() @ self.center.double()

    @property
    def _unit(self) -> float:
        """Return the greatest relative error of rounding a number to the coarse type."""
        return torch.finfo(self.keys.dtype).eps / 2


@contextmanager
def float32_sums() -> Iterator[None]:
    """Compute products with full float32 sums, as the bound assumes; cuBLAS may round parts."""
    settings = torch.backends.cuda.matmul
    names = [f"allow_{short}_reduced_precision_reduction" for short in ("bf16", "fp16")]
    allowed = [name for name in names if getattr(settings, name)]
    try:
        for name in allowed:
            setattr(settings, name, False)
        yield
    finally:
        for name in allowed:
            setattr(settings, name, True)


def coarse_dtype(name: str, device: torch.device) -> torch.dtype:
    """Return the type of the coarse product: ``auto`` is bfloat16 where it is native."""
    if name != "auto":
        return DTYPES[name]
    return torch.bfloat16 if native_bfloat16(device) else torch.float32
