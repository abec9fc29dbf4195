"""Encoder and decoder layers: padding, causality, stepwise decoding, initialisation."""

import math

import pytest
import torch
from torch import Tensor, nn

from fairseq_plugins.modules.attention import ATTENTIONS, Attention
from fairseq_plugins.modules.gnmt import (
    GNMTDecoderLayers,
    GNMTEncoderLayers,
    embed,
    initialize,
    pad_on_the_right,
)
from fairseq_plugins.modules.lstm import Dropout

WORDS, UNITS, PAD = 13, 6, 1
SENTENCES = [[4, 5, 6, 7, 2], [8, 2], [9, 10, 4, 2]]
DROPOUT = Dropout(0.0)


def batch(sentences: list[list[int]], longest: int = 0, left: bool = False) -> Tensor:
    """Return token ids [batch, time], padded on one side."""
    longest = max(longest, *map(len, sentences))
    padding = [[PAD] * (longest - len(sentence)) for sentence in sentences]
    pairs = zip(padding, sentences, strict=True)
    return torch.tensor([pad + text if left else text + pad for pad, text in pairs])


def encoder(layers: int, forwards: bool = False) -> GNMTEncoderLayers:
    return GNMTEncoderLayers(nn.Embedding(WORDS, UNITS, PAD), UNITS, layers, DROPOUT, forwards)


def decoder(layers: int, kind: str, source_dim: int = UNITS) -> GNMTDecoderLayers:
    embedding = nn.Embedding(WORDS, UNITS, PAD)
    return GNMTDecoderLayers(embedding, source_dim, UNITS, layers, kind, DROPOUT, output_dim=5)


# --- Padding --------------------------------------------------------------------------------------


def test_left_padding_moves_to_the_right() -> None:
    assert torch.equal(pad_on_the_right(batch(SENTENCES, 7, left=True), PAD), batch(SENTENCES, 7))


def test_right_padding_stays() -> None:
    tokens = batch(SENTENCES, 7)
    assert torch.equal(pad_on_the_right(tokens, PAD), tokens)


@pytest.mark.parametrize("forwards", [False, True])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("longest", [0, 9])
def test_sentence_in_a_batch_is_encoded_as_if_alone(
    layers: int, longest: int, forwards: bool
) -> None:
    module = encoder(layers, forwards)
    tokens = batch(SENTENCES, longest)
    states = module(tokens, tokens == PAD)
    for row, sentence in enumerate(SENTENCES):
        alone = torch.tensor([sentence])
        expected = module(alone, alone == PAD)[:, 0]
        torch.testing.assert_close(states[: len(sentence), row], expected)


# --- What flows where -----------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [1, 3])
def test_states_know_of_later_words_unless_all_layers_read_forwards(layers: int) -> None:
    one, other = torch.tensor([[4, 5, 6, 2]]), torch.tensor([[4, 5, 9, 2]])
    for forwards in (False, True):
        module = encoder(layers, forwards)
        states = [module(tokens, tokens == PAD) for tokens in (one, other)]
        same = [torch.equal(*pair) for pair in zip(*states, strict=True)]
        assert same == [forwards, forwards, False, False]


@pytest.mark.parametrize(
    ("layers", "forwards", "width"),
    [(1, False, 2 * UNITS), (1, True, UNITS), (3, False, UNITS), (3, True, UNITS)],
)
def test_encoder_state_carries_the_embedding_of_its_word(
    layers: int, forwards: bool, width: int
) -> None:
    module = encoder(layers, forwards)
    for name, parameter in module.named_parameters():
        if not name.startswith("embedding"):
            nn.init.zeros_(parameter)  # now every LSTM says zero
    tokens = batch(SENTENCES[:1])
    words = math.sqrt(UNITS) * module.embedding.weight[tokens[0]]
    assert module.output_dim == width
    states = module(tokens, tokens == PAD)[:, 0]
    torch.testing.assert_close(states, words.repeat(1, width // UNITS))


def decode(
    module: GNMTDecoderLayers, tokens: Tensor, source: Tensor, state: tuple | None = None
) -> tuple:
    padding = torch.zeros(source.shape[1], source.shape[0], dtype=torch.bool)
    return module(tokens, source, module.attention.score.keys(source), padding, state)


@pytest.mark.parametrize("kind", list(ATTENTIONS))
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_decoding_step_by_step_equals_the_whole_sequence(layers: int, kind: str) -> None:
    module, source = decoder(layers, kind), torch.randn(5, 2, UNITS)
    tokens = torch.randint(2, WORDS, (2, 6))
    *whole, _ = decode(module, tokens, source)
    state, steps = None, []
    for step in range(6):
        *parts, state = decode(module, tokens[:, step : step + 1], source, state)
        steps.append(parts)
    for number, expected in enumerate(whole):  # outputs, contexts, attention weights
        joined = torch.cat([parts[number] for parts in steps], dim=1)
        torch.testing.assert_close(joined, expected)


def test_later_tokens_change_nothing_before_them() -> None:
    module, source = decoder(3, "scaled-dot"), torch.randn(5, 1, UNITS)
    before, after = torch.tensor([[2, 4, 5, 6]]), torch.tensor([[2, 4, 9, 6]])
    (one, *_), (other, *_) = decode(module, before, source), decode(module, after, source)
    assert torch.equal(one[:, :2], other[:, :2])
    assert not torch.equal(one[:, 2], other[:, 2])


def test_attention_is_asked_by_the_first_layer_in_the_same_step() -> None:
    module, source = decoder(2, "scaled-dot"), torch.randn(5, 1, UNITS)
    tokens = torch.tensor([[2, 4]])
    first, _ = module.first(embed(module.embedding, tokens))
    scores = module.attention.score.scores(first, module.attention.score.keys(source))
    weights = decode(module, tokens, source)[2]
    torch.testing.assert_close(weights, torch.softmax(scores, dim=-1))


# --- Initialisation -------------------------------------------------------------------------------


def test_initialised_embeddings_enter_the_layers_with_variance_one() -> None:
    embedding = nn.Embedding(1000, 64, PAD)
    initialize(embedding, [embedding], 0.0)
    vectors = embed(embedding, torch.arange(2, 1000).unsqueeze(0))
    assert float(vectors.detach().std()) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("scale", [0.0, 0.1])
def test_padding_is_embedded_as_zero(scale: float) -> None:
    embedding = nn.Embedding(10, 4, PAD)
    initialize(embedding, [embedding], scale)
    assert not bool(embedding.weight[PAD].any())
    assert bool(embedding.weight[PAD + 1].any())


@pytest.mark.parametrize("kind", ["scaled-dot", "normalized"])
def test_given_scale_spares_what_normalises(kind: str) -> None:
    attention = Attention(kind, 8, 8, 64)
    before = {name: parameter.clone() for name, parameter in attention.named_parameters()}
    initialize(attention, [], 0.01)
    changed = {
        name for name, parameter in attention.named_parameters()
        if not torch.equal(parameter, before[name])
    }  # fmt: skip
    assert changed == {"score.query.weight", "score.key.weight"}


def test_given_scale_bounds_every_parameter_and_is_used_up() -> None:
    module = encoder(2)
    initialize(module, [module.embedding], 0.1)
    for name, parameter in module.named_parameters():
        assert 0.05 < float(parameter.detach().abs().max()) <= 0.1, name
