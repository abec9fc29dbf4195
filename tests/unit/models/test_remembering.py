"""A memory attached to models of fairseq: what an empty one changes, and what a filled one does."""

import copy
from typing import Any

import pytest
import torch
from fairseq import options
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.models import build_model
from fairseq.sequence_generator import SequenceGenerator
from omegaconf import OmegaConf
from torch import Tensor

from fairseq_plugins.commands import PLUGINS
from fairseq_plugins.errors import InputError
from fairseq_plugins.models.remembering import build_base
from tests.tiny_models import (
    BASES,
    PAIRS,
    attached,
    base_configuration,
    batch,
    criterion,
    dictionary,
    translation_task,
)

archs = pytest.mark.parametrize("arch", list(BASES))
padding = pytest.mark.parametrize("left", [False, True], ids=["right", "left"])
PAD = dictionary().pad()
ADAPTIVE = base_configuration("lstm", adaptive_softmax_cutoff="5,10", criterion="adaptive_loss")


def log_probs(model: Any, output: Any) -> Tensor:
    return model.get_normalized_probs(output, log_probs=True)


def translate(model: Any, sample: dict, beam: int) -> list[tuple[list[int], list[float]]]:
    search = SequenceGenerator([model], dictionary(), beam_size=beam, max_len_b=9)
    hypotheses = [one for found in search.generate([model], sample) for one in found]
    return [(one["tokens"].tolist(), one["positional_scores"].tolist()) for one in hypotheses]


def fill(model: Any) -> None:
    """Write PAIRS to the memory, and trust it."""
    sample = batch()
    with torch.no_grad():
        query = model(**sample["net_input"])[1]["memory"].query
        model.decoder.reader.gate.bias.fill_(2.0)
    model.decoder.reader.memory.write(query, sample["target"][sample["target"] != PAD])


# --- An empty memory ------------------------------------------------------------------------------


@archs
@padding
def test_empty_memory_changes_no_probability(arch: str, left: bool) -> None:
    model, base = attached(arch)
    sample = batch(left_pad_source=left)["net_input"]
    with torch.no_grad():
        assert torch.equal(log_probs(model, model(**sample)), log_probs(base, base(**sample)))


@archs
@padding
@pytest.mark.parametrize("beam", [1, 3])
def test_empty_memory_changes_no_hypothesis_and_no_score(arch: str, left: bool, beam: int) -> None:
    model, base = attached(arch)
    sample = batch(left_pad_source=left)
    assert translate(model, sample, beam) == translate(base, sample, beam)


# --- A filled memory ------------------------------------------------------------------------------


@archs
def test_decoding_step_by_step_equals_decoding_at_once(arch: str) -> None:
    model, _ = attached(arch)
    fill(model)
    rows = 2 * len(PAIRS)  # a beam of two for each sentence, in which hypotheses die and multiply
    sample = batch([pair for pair in PAIRS for _ in range(2)])["net_input"]
    encoded = model.encoder(sample["src_tokens"], sample["src_lengths"])
    words = torch.randint(4, len(dictionary()), (rows, 6))
    prefix = torch.cat([torch.full((rows, 1), dictionary().eos()), words], dim=1)
    order, state = torch.tensor([1, 1, 3, 2, 4, 5, 6, 6, 9, 8]), {}
    for length in range(1, 7):
        some = prefix[:, :length]
        with torch.no_grad():
            step = log_probs(model, model.decoder(some, encoded, incremental_state=state))[:, -1]
            full = log_probs(model, model.decoder(some, encoded))[:, -1]
        torch.testing.assert_close(step, full, rtol=0, atol=1e-5)
        prefix = prefix[order]
        encoded = model.encoder.reorder_encoder_out(encoded, order)
        model.decoder.reorder_incremental_state_scripting(state, order)


@archs
def test_filled_memory_makes_its_sentences_likely(arch: str) -> None:
    model, base = attached(arch)
    fill(model)
    sample = batch()
    target = sample["target"].unsqueeze(2)
    with torch.no_grad():
        with_memory, without = (
            log_probs(one, one(**sample["net_input"])).gather(2, target)[target != PAD].mean()
            for one in (model, base)
        )
    assert with_memory > without + 1


@archs
@padding
def test_attention_is_in_the_order_of_sources_padded_on_the_right(arch: str, left: bool) -> None:
    model, _ = attached(arch)
    sample = batch(left_pad_source=left)["net_input"]
    with torch.no_grad():
        attention = model(**sample)[1]["attn"]
    torch.testing.assert_close(attention.sum(2), torch.ones(attention.shape[:2]))
    for row, length in zip(attention, sample["src_lengths"].tolist(), strict=True):
        assert not row[:, length:].any()


# --- Training -------------------------------------------------------------------------------------


@archs
def test_base_is_not_trained_unless_wanted(arch: str) -> None:
    frozen, _ = attached(arch)
    learning, _ = attached(arch, train_base=True)
    for model in (frozen, learning):
        model.train()
    assert _trained(frozen) == {"reader"}
    assert _trained(learning) == {"reader", "base"}
    assert not any(module.training for module in frozen.decoder.base.modules())
    assert learning.decoder.base.training


def _trained(model: Any) -> set[str]:
    return {name.split(".")[1] for name, one in model.named_parameters() if one.requires_grad}


@archs
def test_copies_read_their_own_features(arch: str) -> None:
    model, _ = attached(arch)
    twin = copy.deepcopy(model)
    sample = batch()["net_input"]
    with torch.no_grad():
        assert torch.equal(twin(**sample)[0], model(**sample)[0])


# --- What cannot remember -------------------------------------------------------------------------


def test_model_without_base_says_what_to_do() -> None:
    with pytest.raises(InputError, match="fairseq-memory attach"):
        build_base(None, translation_task())


def test_language_models_are_refused() -> None:
    cfg = {"_name": "transformer_lm", "decoder_embed_dim": 8, "decoder_layers": 1,
           "decoder_attention_heads": 2, "decoder_ffn_embed_dim": 8,
           "tokens_per_sample": 10, "max_target_positions": 10}  # fmt: skip
    with pytest.raises(InputError, match="give a translator"):
        build_base(OmegaConf.create(cfg), translation_task())


def test_adaptive_softmax_is_refused() -> None:
    with pytest.raises(InputError, match="adaptive softmax"):
        attached("lstm", base=ADAPTIVE)


# --- Trained from the start -----------------------------------------------------------------------


def test_transformer_with_memory_is_configured_on_the_command_line() -> None:
    words = ["data", "--user-dir", PLUGINS, "--task", "translation_memory", "--batch-size", "5",
             "--arch", "transformer_memory_tiny", "--base",
             '{"_name": "transformer_tiny", "share_all_embeddings": true}']  # fmt: skip
    parsed = options.parse_args_and_arch(options.get_training_parser(), [*map(str, words)])
    cfg = convert_namespace_to_omegaconf(parsed).model
    model = build_model(cfg, translation_task())
    assert model.encoder.base.embed_tokens is model.decoder.base.embed_tokens
    assert _trained(model) == {"reader", "base"}


def test_transformer_with_memory_learns_and_remembers() -> None:
    model = build_model(OmegaConf.create({"_name": "transformer_memory_tiny"}), translation_task())
    sample, learn = batch(), criterion()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    losses = []
    for _ in range(8):
        loss, size, _ = learn(model.train(), sample)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        model.decoder.reader.memory.commit()
        losses.append(float(loss.detach()) / size)
    assert losses[-1] < losses[0]
    assert len(model.decoder.reader.memory) > 0


@pytest.mark.parametrize("text", ["", "transformer", "[]", "{}", '{"_name": "nosuch"}'])
def test_base_that_is_no_configuration_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"--base .*must be an object of JSON"):
        build_base(text, translation_task())


def test_padding_is_counted_on_the_left_alone() -> None:
    model, _ = attached("transformer")
    first, rest = [7, 8, 2], [PAD, PAD]
    encoded = model.encoder(torch.tensor([first + rest, rest + first]), torch.tensor([3, 3]))
    assert encoded["before"].tolist() == [0, 2]


def test_attention_is_there_though_generation_turns_it_off() -> None:
    model, _ = attached("fconv")
    model.decoder.base.need_attn = False  # what fairseq-generate does
    assert model(**batch()["net_input"])[1]["attn"] is not None
