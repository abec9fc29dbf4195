"""Integers that order (similarity, slot) pairs: by similarity, with ties to the lower slot."""

import torch
from torch import Tensor

LOW_WORD = 0xFFFFFFFF  # the lower half of a packed (similarity, slot) pair
NO_PAIR = 0x7F800000 << 32  # (-inf, 0), packed: after every pair with a finite similarity


def pack(similarity: Tensor, slot: Tensor) -> Tensor:
    """Pack each pair into an int64; smaller is better: by similarity, then by lower slot."""
    bits = (similarity + 0.0).view(torch.int32)  # + 0.0 makes -0.0 and 0.0 equal
    descending = (bits ^ sign_mask(bits)).bitwise_not_()
    return (descending.long() << 32) | slot


def unpack(packed: Tensor) -> tuple[Tensor, Tensor]:
    """Return the similarities (float32) and slots (int64) of pairs; -1 where the first is -inf."""
    ordered = (packed >> 32).int().bitwise_not_()
    similarity = (ordered ^ sign_mask(ordered)).view(torch.float32)
    return similarity, (packed & LOW_WORD).masked_fill_(similarity == -torch.inf, -1)


def sign_mask(bits: Tensor, out: Tensor | None = None) -> Tensor:
    """Return the bits to flip in floats to get integers of the same order.

    The order of negative floats is reversed, so all their bits except the sign are flipped.
    Flipping the result again restores the floats.
    """
    sign = torch.bitwise_right_shift(bits, 8 * bits.element_size() - 1, out=out)  # 0 or -1
    return sign.bitwise_and_(torch.iinfo(bits.dtype).max)


def in_order(values: Tensor, scratch: Tensor | None = None) -> Tensor:
    """Turn floats into integers of the same order, in place; int16 for 16 bits."""
    integer = {2: torch.int16, 4: torch.int32}[values.element_size()]
    bits = values.view(integer)
    return bits.bitwise_xor_(sign_mask(bits, None if scratch is None else scratch.view(integer)))


def from_order(ordered: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the floats from which :func:`in_order` made integers."""
    return (ordered ^ sign_mask(ordered)).view(dtype)
