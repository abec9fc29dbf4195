"""Translating: step by step, in beams, in any order, with any padding, by several models."""

from typing import Any

import pytest
import torch
from fairseq.sequence_generator import SequenceGenerator
from fairseq.sequence_scorer import SequenceScorer
from torch import Tensor

from tests.tiny_models import (
    PAIRS,
    QUERIES,
    READS,
    batch,
    dictionary,
    remembering,
    tiny_model,
)

BEAM = 3
PAD = dictionary().pad()


def forgetful(**options: Any) -> Any:
    """Without memory, and in evaluation mode."""
    return tiny_model("gnmt", **options).eval()


MODELS: dict[str, Any] = {
    "gnmt": forgetful,
    "normalized": lambda: forgetful(attention="normalized"),
}
for _read in READS:
    for _query in QUERIES:
        MODELS[f"{_read}-{_query}"] = lambda read=_read, query=_query: remembering(
            memory_read=read, memory_query=query
        )
kinds = pytest.mark.parametrize("kind", list(MODELS))
some_kinds = pytest.mark.parametrize("kind", ["gnmt", "embed-attention", "both-both"])


def log_probs(model: Any, output: Any) -> Tensor:
    return model.get_normalized_probs(output, log_probs=True)


# --- Step by step ---------------------------------------------------------------------------------


@kinds
def test_incremental_decoding_with_changing_beams_equals_full_decoding(kind: str) -> None:
    model, sample = MODELS[kind](), batch()
    encoded = model.encoder(sample["net_input"]["src_tokens"])
    state: dict = {}
    draw = torch.Generator().manual_seed(3)
    rows = len(PAIRS)
    prefix = torch.full((rows, 1), dictionary().eos())
    for _ in range(7):
        step = log_probs(model, model.decoder(prefix, encoded, state))[:, -1]
        full = log_probs(model, model.decoder(prefix, encoded))[:, -1]
        torch.testing.assert_close(step, full, rtol=0, atol=1e-5)
        # Hypotheses die, multiply and move to other rows, as in beam search.
        order = torch.randint(rows, (rows,), generator=draw)
        words = torch.randint(4, len(dictionary()), (rows, 1), generator=draw)
        prefix = torch.cat([prefix[order], words], dim=1)
        encoded = model.encoder.reorder_encoder_out(encoded, order)
        model.decoder.reorder_incremental_state(state, order)


@kinds
def test_a_sentence_in_a_batch_is_decoded_as_if_alone(kind: str) -> None:
    model, sample = MODELS[kind](), batch()
    together = log_probs(model, model(**sample["net_input"]))
    for row, index in enumerate(sample["id"].tolist()):
        alone = log_probs(model, model(**batch([PAIRS[index]])["net_input"]))[0]
        torch.testing.assert_close(together[row, : len(alone)], alone, rtol=0, atol=1e-5)


@kinds
def test_source_may_be_padded_on_either_side(kind: str) -> None:
    model = MODELS[kind]()
    left, right = batch(left_pad_source=True)["net_input"], batch()["net_input"]
    assert not torch.equal(left["src_tokens"], right["src_tokens"])
    one, other = log_probs(model, model(**left)), log_probs(model, model(**right))
    torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


def test_attention_of_a_step_is_where_fairseq_looks_for_it() -> None:
    _, extra = MODELS["gnmt"]()(**batch()["net_input"])
    sums = extra["attn"].sum(dim=2)
    torch.testing.assert_close(sums, torch.ones_like(sums))


# --- Beam search ----------------------------------------------------------------------------------


def translate(models: list[Any], sample: dict, beam: int = BEAM) -> dict[int, list[dict]]:
    """Return all hypotheses of every sentence, by its number in ``PAIRS``."""
    generator = SequenceGenerator(models, dictionary(), beam_size=beam, max_len_b=9)
    hypotheses = generator.generate(models, sample)
    return dict(zip(sample["id"].tolist(), hypotheses, strict=True))


def assert_same(one: list[dict], other: list[dict]) -> None:
    assert [h["tokens"].tolist() for h in one] == [h["tokens"].tolist() for h in other]
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a["positional_scores"], b["positional_scores"])


@some_kinds
def test_hypotheses_do_not_depend_on_batch_order_or_padding(kind: str) -> None:
    models = [MODELS[kind]()]
    translations = translate(models, batch())
    assert len({tuple(h[0]["tokens"].tolist()) for h in translations.values()}) > 1
    for left in (False, True):
        turned = translate(models, batch(PAIRS[::-1], left_pad_source=left))
        for index, hypotheses in translations.items():
            alone = translate(models, batch([PAIRS[index]], left_pad_source=left))[0]
            assert_same(alone, hypotheses)
            assert_same(turned[len(PAIRS) - 1 - index], hypotheses)


@some_kinds
def test_score_of_a_hypothesis_is_what_forced_decoding_gives(kind: str) -> None:
    models = [MODELS[kind]()]
    special = dictionary().nspecial
    for index, hypotheses in translate(models, batch()).items():
        for hypothesis in hypotheses:
            words = [token - special for token in hypothesis["tokens"].tolist()[:-1]]
            forced = score(models, batch([(PAIRS[index][0], words)]))[0]
            torch.testing.assert_close(forced, hypothesis["positional_scores"])


def test_memory_changes_translations() -> None:
    model = remembering(memory_read="both")
    with_memory = translate([model], batch())
    model.decoder.reader.memory.clear()
    without = translate([model], batch())
    assert any(
        not torch.equal(with_memory[i][0]["tokens"], without[i][0]["tokens"]) for i in with_memory
    )


@pytest.mark.parametrize("read", READS)
def test_empty_memory_translates_without_nan(read: str) -> None:
    model = remembering(memory_read=read)
    model.decoder.reader.memory.clear()
    for hypotheses in translate([model], batch()).values():
        assert all(bool(torch.isfinite(h["positional_scores"]).all()) for h in hypotheses)


def test_beam_search_asks_for_all_hypotheses_of_a_step_at_once() -> None:
    model = remembering()
    asked = count_queries(model)
    translate([model], batch())
    assert len(asked) <= 10  # steps, not hypotheses
    assert max(asked) == BEAM * len(PAIRS)


# --- Scoring of references ------------------------------------------------------------------------


def score(models: list[Any], sample: dict) -> dict[int, Tensor]:
    """Log-probabilities of the words of every reference, by its number in ``PAIRS``."""
    results = SequenceScorer(dictionary()).generate(models, sample)
    scores = [hypotheses[0]["positional_scores"] for hypotheses in results]
    return dict(zip(sample["id"].tolist(), scores, strict=True))


def count_queries(model: Any) -> list[int]:
    """Return a list that grows with every call of the memory, by the number of queries in it."""
    asked: list[int] = []
    memory = model.decoder.reader.memory
    answer = memory.query_apart
    memory.query_apart = lambda query: asked.append(len(query)) or answer(query)
    return asked


@kinds
def test_reference_scores_are_the_probabilities_of_its_words(kind: str) -> None:
    model, sample = MODELS[kind](), batch()
    expected = log_probs(model, model(**sample["net_input"]))
    scores = score([model], sample)
    for row, index in enumerate(sample["id"].tolist()):
        reference = sample["target"][row][sample["target"][row] != PAD]
        by_hand = torch.stack([expected[row, step, word] for step, word in enumerate(reference)])
        torch.testing.assert_close(scores[index], by_hand)


def test_forced_decoding_asks_the_memory_once_a_batch() -> None:
    model = remembering()
    asked = count_queries(model)
    score([model], batch())
    assert asked == [sum(len(target) + 1 for _, target in PAIRS)]  # with the end of sentence


def test_softmax_in_pieces_is_refused_where_the_memory_is_mixed_in() -> None:
    scorer = SequenceScorer(dictionary(), softmax_batch=3)
    with pytest.raises(ValueError, match="leave out --softmax-batch"):
        scorer.generate([remembering()], batch())


# --- Several models -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reads", [("gnmt", "both-both"), ("interpolate-output", "embed-attention")]
)
def test_ensemble_translates_with_the_mean_of_its_models(reads: tuple[str, str]) -> None:
    models = [MODELS[kind]() for kind in reads]
    sample = batch()
    mean = sum(model.get_normalized_probs(model(**sample["net_input"]), False) for model in models)
    scores = score(models, sample)
    for row, index in enumerate(sample["id"].tolist()):
        reference = sample["target"][row][sample["target"][row] != PAD]
        by_hand = torch.stack([mean[row, step, word] / 2 for step, word in enumerate(reference)])
        torch.testing.assert_close(scores[index], by_hand.log())
    assert all(len(hypotheses) == BEAM for hypotheses in translate(models, sample).values())


def test_ensemble_of_twins_translates_like_one_of_them() -> None:
    model, twin = remembering(), tiny_model("gnmt_memory").eval()
    twin.load_state_dict(model.state_dict())
    alone = translate([model], batch())
    for index, hypotheses in translate([model, twin], batch()).items():
        assert_same(hypotheses, alone[index])
