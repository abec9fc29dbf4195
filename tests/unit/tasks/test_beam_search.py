"""A hypothesis with nearly all of the probability is found, whatever else is in the beam."""

from typing import Any

import pytest
import torch
from fairseq.data import Dictionary
from fairseq.models import FairseqDecoder, FairseqEncoder, FairseqEncoderDecoderModel
from fairseq.search import BeamSearch
from fairseq.sequence_generator import SequenceGenerator
from omegaconf import OmegaConf
from torch import Tensor

from fairseq_plugins.tasks.beam_search import BEHIND, LikelyEndsBeamSearch
from tests.tiny_models import tiny_model, translation_task

WORDS = [f"w{number}" for number in range(20)]


class NoEncoder(FairseqEncoder):
    def forward(self, src_tokens: Tensor, src_lengths: Tensor) -> dict:
        return {"rows": src_tokens}

    def reorder_encoder_out(self, encoder_out: dict, new_order: Tensor) -> dict:
        return {"rows": encoder_out["rows"][new_order]}


class Scripted(FairseqDecoder):
    """Continues a known sentence with certainty; after a deviation, it may end at any time."""

    def __init__(self, dictionary: Dictionary, sentence: list[int], sure: float) -> None:
        super().__init__(dictionary)
        self.sentence, self.sure = sentence, sure

    def forward(self, prev_output_tokens: Tensor, encoder_out: Any = None, **_: Any) -> Any:
        size, eos = len(self.dictionary), self.dictionary.eos()
        probs = torch.full((*prev_output_tokens.shape, size), 0.4 / size)
        probs[..., eos] += 0.6
        for row, tokens in enumerate(prev_output_tokens.tolist()):
            for place in range(len(tokens)):
                if tokens[1 : place + 1] == self.sentence[:place] and place <= len(self.sentence):
                    following = [*self.sentence, eos][place]
                    probs[row, place] *= 1 - self.sure
                    probs[row, place, following] += self.sure
        return probs.log(), None

    def get_normalized_probs(self, net_output: Any, log_probs: bool, sample: Any = None) -> Tensor:
        return net_output[0] if log_probs else net_output[0].exp()

    def max_positions(self) -> int:
        return 100


def search(strategy: type[BeamSearch], sure: float = 0.9999, beam: int = 5) -> list[int]:
    dictionary = Dictionary()
    for word in WORDS:
        dictionary.add_symbol(word)
    sentence = list(range(4, 16))
    model = FairseqEncoderDecoderModel(NoEncoder(dictionary), Scripted(dictionary, sentence, sure))
    generator = SequenceGenerator(
        [model], dictionary, beam_size=beam, max_len_b=30, search_strategy=strategy(dictionary)
    )
    tokens = torch.tensor([[4, 5, 2], [6, 7, 2]])
    inputs = {"src_tokens": tokens, "src_lengths": torch.tensor([3, 3])}
    found = generator.generate([model], {"net_input": inputs, "target": None})
    assert [len(hypotheses) for hypotheses in found] == [beam, beam]
    first, second = (hypotheses[0]["tokens"].tolist() for hypotheses in found)
    assert first == second
    return first


@pytest.mark.parametrize("beam", [1, 2, 5, 8])
def test_the_likely_sentence_is_found(beam: int) -> None:
    assert search(LikelyEndsBeamSearch, beam=beam) == [*range(4, 16), 2]


def test_a_plain_search_stops_without_it() -> None:
    """If this fails, fairseq no longer needs our search."""
    assert search(BeamSearch) != [*range(4, 16), 2]


def test_ends_near_the_best_candidate_count() -> None:
    """[batch 1, beam 2, vocabulary 6]; the end is token 2."""
    dictionary = Dictionary()
    for word in WORDS[:2]:
        dictionary.add_symbol(word)
    before = torch.tensor([[[-0.9, -1.0], [0.0, -4.0]]])
    lprobs = torch.full((1, 2, 6), -20.0)
    lprobs[0, 0, 4] = -0.5  # the best candidate: -1.5
    lprobs[0, 0, 2] = -BEHIND  # -1 - BEHIND
    lprobs[0, 1, 2] = -BEHIND  # -4 - BEHIND, too far
    scores, tokens, beams = LikelyEndsBeamSearch(dictionary).step(2, lprobs, before)
    assert (tokens[0, 0], tokens[0, 1], beams[0, 1]) == (4, 2, 0)
    ends = scores[tokens == 2]
    assert ends.max() == -1 - BEHIND and not bool((ends == -4 - BEHIND).any())


def test_the_first_step_has_no_scores() -> None:
    dictionary = Dictionary()
    lprobs = torch.tensor([[[-9.0, -9.0, -0.1, -9.0]] * 2])
    _, tokens, _ = LikelyEndsBeamSearch(dictionary).step(0, lprobs, None)
    assert tokens[0, 0] == 2


def test_it_replaces_the_plain_beam_search_alone() -> None:
    task, model = translation_task(), tiny_model("gnmt_memory")
    plain = task.build_generator([model], OmegaConf.create({"beam": 2}))
    assert type(plain.search) is LikelyEndsBeamSearch
    sampling = task.build_generator([model], OmegaConf.create({"beam": 2, "sampling": True}))
    assert not isinstance(sampling.search, BeamSearch)
