"""Log-probabilities of target tokens, computed directly from logits."""

import math
from typing import Any

import torch
from torch import Tensor

NATS_PER_BIT = math.log(2)  # fairseq logs losses in base 2
ROWS = 256  # rows processed at once: their float32 copy stays in the processor's cache


class _TokenLogProbs(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        size = logits.new_empty(len(logits), dtype=torch.float32)
        mean = torch.empty_like(size)
        for rows in range(0, len(logits), ROWS):
            block = logits[rows : rows + ROWS].float()  # [rows, vocabulary]
            size[rows : rows + ROWS] = torch.logsumexp(block, dim=1)
            mean[rows : rows + ROWS] = block.mean(dim=1)
        of_target = logits.gather(1, target.unsqueeze(1)).squeeze(1).float()
        ctx.save_for_backward(logits, target, size)
        return of_target - size, mean - size

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        logits, target, size = ctx.saved_tensors
        of_target, of_mean = gradients
        gradient = torch.empty_like(logits)
        for rows in range(0, len(logits), ROWS):
            part = slice(rows, rows + ROWS)
            block = (logits[part] - size[part].unsqueeze(1)).exp_()  # probabilities, float32
            block.mul_(-(of_target[part] + of_mean[part]).unsqueeze(1))
            block.add_((of_mean[part] / logits.shape[1]).unsqueeze(1))
            block.scatter_add_(1, target[part].unsqueeze(1), of_target[part].unsqueeze(1))
            gradient[part] = block
        return gradient, None


def token_log_probs(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the log-probability of the target, and the mean log-probability of all tokens.

    The result is the same as gathering from ``log_softmax`` and averaging it, but no second matrix
    of the size of the logits is ever held. It is computed in float32 for every type.

    Args:
        logits: [N, vocabulary].
        target: [N] int64.

    Returns:
        log p(target) [N] and the mean over the vocabulary of log p [N], float32.
    """
    return _TokenLogProbs.apply(logits, target)
