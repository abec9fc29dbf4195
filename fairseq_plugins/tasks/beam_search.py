"""Beam search in which only likely hypotheses may end.

fairseq ends the search for a sentence as soon as as many hypotheses have ended as the beam is wide,
however unlikely they are. If one hypothesis has nearly all of the probability, as where a lesson is
followed, the rest of the beam is filled with hypotheses that deviated from it early. Five of these
may end before the good one does, and the search stops without it.
"""

import math

from fairseq.search import BeamSearch
from torch import Tensor

BEHIND = 6.0
"""Greatest distance in nats from the best candidate of the beam at which a hypothesis may end."""


class LikelyEndsBeamSearch(BeamSearch):
    """Beam search that ignores an end if it is more than :data:`BEHIND` nats behind.

    The best candidate may always end, so the search ends as well.
    """

    def step(
        self, step: int, lprobs: Tensor, scores: Tensor | None, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the scores, tokens and beams of the best candidates, each [batch, 2 beam].

        Args:
            step: number of tokens so far.
            lprobs: [batch, beam, vocabulary], of the next token; changed in place.
            scores: [batch, beam, step], sums of log-probabilities up to each token.
            *args: passed on to fairseq's search.
            **kwargs: passed on to fairseq's search.
        """
        total = lprobs
        if step and scores is not None:
            total = lprobs + scores[:, :, step - 1 : step]
        best = total.flatten(1).amax(dim=1, keepdim=True)  # [batch, 1]
        lprobs[..., self.eos].masked_fill_(total[..., self.eos] < best - BEHIND, -math.inf)
        return super().step(step, lprobs, scores, *args, **kwargs)
