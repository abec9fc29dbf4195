"""fairseq's sum of gradients over processes, for gradients of any layout in memory."""

from fairseq.distributed import LegacyDistributedDataParallel

_all_reduce_grads = LegacyDistributedDataParallel.all_reduce_grads


def _all_reduce_grads_of_any_layout(self: LegacyDistributedDataParallel) -> None:
    """fairseq flattens gradients with ``view``, which those of channels_last weights have not."""
    for parameter in self.module.parameters():
        if parameter.grad is not None:
            parameter.grad = parameter.grad.contiguous()
    _all_reduce_grads(self)


LegacyDistributedDataParallel.all_reduce_grads = _all_reduce_grads_of_any_layout
