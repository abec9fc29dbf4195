"""All architectures, built from their dataclasses and from the command line."""

import copy
from typing import Any

import pytest
import torch
from fairseq import options
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.models import ARCH_MODEL_REGISTRY, MODEL_DATACLASS_REGISTRY
from torch import Tensor

from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.memory.terms import Term
from tests.tiny_models import (
    SIZES,
    attached,
    batch,
    dictionary,
    remembering,
    tiny_model,
    translation_task,
)

# What fairseq does when it parses a command line is deprecated in hydra.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

WIDTHS = {"": 256, "_tiny": 128, "_base": 512, "_wmt": 1024}
LAYERS = {"": 2, "_tiny": 1, "_base": 2, "_wmt": 4}
SLOTS = {"": 8192, "_tiny": 8192, "_base": 8192, "_wmt": 1 << 20}
sizes = pytest.mark.parametrize("size", list(WIDTHS))
stems = pytest.mark.parametrize("stem", ["gnmt", "gnmt_memory"])


def from_command_line(arch: str, *more: str) -> Any:
    """Return the configuration of a model that a user asks for."""
    parser = options.get_training_parser()
    words = ["data", "--task", "translation_memory", "--arch", arch, *more]
    args = options.parse_args_and_arch(parser, words)
    return convert_namespace_to_omegaconf(args).model


def assert_size(model: Any, stem: str, size: str) -> None:
    decoder = model.decoder
    assert decoder.output.weight.shape == (len(dictionary()), WIDTHS[size])
    for layers in (model.encoder.layers, decoder.layers):
        upper = len(layers.upper.layers) if layers.upper else 0
        assert 1 + upper == LAYERS[size]
    memories = [module for module in model.modules() if isinstance(module, KeyValueMemory)]
    assert [memory.size for memory in memories] == [SLOTS[size]] * (stem == "gnmt_memory")


@stems
@sizes
def test_architecture_is_built_from_its_dataclass(stem: str, size: str) -> None:
    positions = {name: value for name, value in SIZES.items() if name.startswith("max_")}
    cfg = MODEL_DATACLASS_REGISTRY[stem + size](**positions)
    with torch.device("meta"):  # shapes only: the largest has a memory of 2 GiB
        model = ARCH_MODEL_REGISTRY[stem + size].build_model(cfg, translation_task())
    assert_size(model, stem, size)


@stems
@sizes
def test_architecture_is_built_from_the_command_line(stem: str, size: str) -> None:
    cfg = from_command_line(stem + size)
    with torch.device("meta"):
        model = translation_task().build_model(cfg)
    assert_size(model, stem, size)


def test_options_of_the_command_line_reach_the_model() -> None:
    cfg = from_command_line(
        "gnmt_memory_tiny", "--units", "6", "--decoder-layers", "3", "--attention", "normalized",
        "--dropout", "0.7", "--variational-dropout", "--share-decoder-input-output-embed",
        "--memory-size", "9", "--memory-key-dim", "5", "--memory-neighbors", "3",
        "--memory-margin", "0.3", "--memory-age-noise", "2", "--memory-search-dtype", "float32",
        "--memory-query", "both", "--memory-read", "embed",
    )  # fmt: skip
    decoder = translation_task().build_model(cfg).decoder
    memory = decoder.reader.memory
    assert (decoder.layers.dropout.p, decoder.layers.dropout.variational) == (0.7, True)
    assert type(decoder.layers.attention.score).__name__ == "NormalizedAttention"
    assert len(decoder.layers.upper.layers) == 2
    assert decoder.output.weight is decoder.layers.embedding.weight
    assert (memory.size, memory.key_dim, memory.neighbors) == (9, 5, 3)
    assert (memory.margin, memory.age_noise) == (0.3, 2.0)
    assert (decoder.memory_query, decoder.reader.mode) == ("both", "embed")


# --- Shared embeddings ----------------------------------------------------------------------------


def embedding_weights(**sharing: bool) -> tuple[Any, Any, Any]:
    model = tiny_model("gnmt", **sharing)
    decoder = model.decoder
    return (
        model.encoder.layers.embedding.weight,
        decoder.layers.embedding.weight,
        decoder.output.weight,
    )


def test_nothing_is_shared_by_default() -> None:
    assert len({id(weight) for weight in embedding_weights()}) == 3


def test_decoder_input_and_output_can_be_shared() -> None:
    source, target, output = embedding_weights(share_decoder_input_output_embed=True)
    assert output is target and source is not target


def test_all_embeddings_can_be_shared() -> None:
    assert len({id(weight) for weight in embedding_weights(share_all_embeddings=True)}) == 1


def test_shared_embeddings_are_initialised_as_embeddings() -> None:
    task = translation_task(4000, 4000)
    model = tiny_model("gnmt", task, share_all_embeddings=True, units=64)
    assert float(model.decoder.output.weight.detach().std()) == pytest.approx(64**-0.5, rel=0.02)


def test_sharing_all_needs_one_dictionary() -> None:
    task = translation_task(source=20, target=21)
    with pytest.raises(ValueError, match=r"--share-all-embeddings needs one dictionary.*joined"):
        tiny_model("gnmt", task, share_all_embeddings=True)


def test_dictionaries_may_differ_if_not_all_is_shared() -> None:
    task = translation_task(source=20, target=31)
    model = tiny_model("gnmt_memory", task, share_decoder_input_output_embed=True)
    assert model.decoder.reader.memory.num_values == len(task.target_dictionary)
    assert model(**batch()["net_input"])[0].shape[2] == len(task.target_dictionary)


# --- Copies ---------------------------------------------------------------------------------------


def test_copy_shares_nothing_with_its_original() -> None:
    """A moving average of weights starts as a copy."""
    model = remembering(memory_read="both")
    other, sample = copy.deepcopy(model), batch()
    expected = model(**sample["net_input"])[0]
    for tensor in model.state_dict().values():
        tensor.zero_()
    torch.testing.assert_close(other(**sample["net_input"])[0], expected)


def test_weights_and_memory_come_back_from_a_state_dict() -> None:
    model, sample = remembering(memory_read="both"), batch()
    other = tiny_model("gnmt_memory", memory_read="both").eval()
    other.load_state_dict(model.state_dict())
    one, two = (
        m.get_normalized_probs(m(**sample["net_input"]), log_probs=True) for m in (model, other)
    )
    torch.testing.assert_close(one, two)
    assert len(other.decoder.reader.memory) == len(model.decoder.reader.memory) > 0


@pytest.mark.parametrize("read", ["embed", "interpolate", "both"])
def test_model_in_half_precision_translates_and_keeps_exact_keys(read: str) -> None:
    model, sample = remembering(memory_read=read), batch()
    keys = model.decoder.reader.memory.keys.clone()
    exact = model.get_normalized_probs(model(**sample["net_input"]), log_probs=False)
    model.bfloat16()
    rounded = model.get_normalized_probs(model(**sample["net_input"]), log_probs=False)
    assert torch.equal(model.decoder.reader.memory.keys, keys)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, exact, rtol=0, atol=0.1)


def test_the_memory_joins_in_when_it_is_time() -> None:
    model, sample = tiny_model("gnmt_memory", memory_from_update=5), batch()
    assert "memory" in model(**sample["net_input"])[1]  # who only translates, has it at once
    model.set_num_updates(4)
    output = model(**sample["net_input"])
    assert "memory" not in output[1]
    assert model.get_normalized_probs(output, log_probs=False).sum(-1).allclose(torch.ones(()))
    output[0].sum().backward()
    assert all(parameter.grad is not None for parameter in model.decoder.reader.parameters())
    model.set_num_updates(5)
    assert "memory" in model(**sample["net_input"])[1]


def test_questions_can_be_noted_without_searching_for_answers() -> None:
    model, sample = remembering(), batch()
    _, asked = model(**sample["net_input"])
    alone, _ = without_memory(model, sample)
    with model.decoder.questions_only():
        logits, extra = model(**sample["net_input"])
    assert torch.equal(extra["memory"].query, asked["memory"].query)
    assert asked["memory"].hits is not None and extra["memory"].hits is None
    assert torch.equal(logits, alone)
    own = model.get_normalized_probs((logits, extra), log_probs=True)
    assert torch.equal(own, model.get_normalized_probs((logits, {}), log_probs=True))
    assert model(**sample["net_input"])[1]["memory"].hits is not None


def without_memory(model: Any, sample: dict) -> tuple[Tensor, dict]:
    with model.decoder.without_memory():
        return model(**sample["net_input"])


def test_a_memory_has_no_say_where_there_is_to_be_none() -> None:
    model, sample = remembering(), batch()
    assert "memory" not in without_memory(model, sample)[1]
    with pytest.raises(KeyError), model.decoder.without_memory():
        raise KeyError
    assert "memory" in model(**sample["net_input"])[1]


@pytest.mark.parametrize("arch", ["gnmt_memory", "remembering"])
def test_terms_follow_their_sentences_and_have_no_say_where_there_is_to_be_no_memory(
    arch: str,
) -> None:
    model = remembering() if arch == "gnmt_memory" else attached("transformer")[0]
    sample, terms = batch(), model.decoder.terms
    tokens = sample["net_input"]["src_tokens"]
    terms.memory.teach([Term(int(terms.source.numbers(tokens)[0][3, 0]), (5,), 0)], origin=1)
    assert "terms" in model(**sample["net_input"])[1]
    assert "terms" not in without_memory(model, sample)[1]
    encoded = model.encoder(tokens, src_lengths=sample["net_input"]["src_lengths"])
    order = torch.tensor([3, 3, 1])
    selected = model.encoder.reorder_encoder_out(encoded, order)
    assert torch.equal(selected["terms"].cue, encoded["terms"].cue[order])
    assert len(encoded["terms"].cue[:, 0].any(dim=1).unique()) == 2  # not all sources have it
