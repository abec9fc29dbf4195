"""Lets fairseq sum gradients over processes with any memory layout."""

from fairseq.distributed import LegacyDistributedDataParallel

_all_reduce_grads = LegacyDistributedDataParallel.all_reduce_grads


def _all_reduce_grads_of_any_layout(self: LegacyDistributedDataParallel) -> None:
    """Sum gradients that ``view`` cannot flatten, such as those of channels_last weights."""
    for parameter in self.module.parameters():
        if parameter.grad is not None:
            parameter.grad = parameter.grad.contiguous()
    _all_reduce_grads(self)


LegacyDistributedDataParallel.all_reduce_grads = _all_reduce_grads_of_any_layout
