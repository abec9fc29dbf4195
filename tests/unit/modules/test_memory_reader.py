"""How a memory's answers reach the output, compared with sums written out one by one."""

import pytest
import torch
from torch import Tensor, nn

from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.modules.memory_reader import MODES, MemoryReader
from fairseq_plugins.modules.memory_reading import MemoryReading, mix_memory

KEY_DIM, QUERY_DIM, STATE_DIM, WORDS, SLOTS, NEIGHBORS = 4, 5, 6, 11, 8, 5
POSITIONS = torch.tensor([[True, True, True], [True, False, False]])
N = int(POSITIONS.sum())

# What the memory holds: as many slots as neighbours, fewer, one, none; values more than once.
MEMORIES = {
    "filled": [3, 3, 7, 3, 1, 7, 0, 10],
    "partly": [3, 7, 3],
    "single": [4],
    "empty": [],
}
memories = pytest.mark.parametrize("held", list(MEMORIES.values()), ids=list(MEMORIES))
modes = pytest.mark.parametrize("mode", MODES)
mixing = pytest.mark.parametrize("mode", ["interpolate", "both"])


def reader(mode: str, held: list[int]) -> MemoryReader:
    """Return a reader in which every weight matters; neighbours' weights are not equal."""
    memory = KeyValueMemory(SLOTS, KEY_DIM, WORDS, neighbors=NEIGHBORS)
    if held:
        memory.write(torch.randn(len(held), KEY_DIM), torch.tensor(held))
    result = MemoryReader(memory, QUERY_DIM, STATE_DIM, mode, nn.Embedding(WORDS, STATE_DIM))
    for parameter in result.parameters():
        nn.init.normal_(parameter)
    return result


def inputs() -> tuple[Tensor, Tensor]:
    """Return what is projected to queries, and the states before the logits."""
    source = torch.randn(*POSITIONS.shape, QUERY_DIM, requires_grad=True)
    return source, torch.randn(*POSITIONS.shape, STATE_DIM, requires_grad=True)


def read(module: MemoryReader) -> MemoryReading:
    return module(*inputs(), POSITIONS)[1]


def softmax_outputs() -> Tensor:
    return torch.log_softmax(torch.randn(N, WORDS), dim=1)


def mixture_by_hand(module: MemoryReader, reading: MemoryReading, log_probs: Tensor) -> Tensor:
    """(1 - g) p + g sum of the weights of the slots that hold each word: [N, WORDS]."""
    assert reading.gate is not None
    mixed = torch.zeros(N, WORDS)
    for row in range(N):
        hits = [
            (int(value), float(similarity))
            for value, similarity, slot in zip(
                reading.hits.values[row],
                reading.hits.similarities[row],
                reading.hits.slots[row],
                strict=True,
            )
            if slot >= 0
        ]
        scores = torch.tensor([similarity for _, similarity in hits])
        weights = torch.softmax(module.log_temperature.detach().exp() * scores, dim=0)
        gate = float(reading.gate[row].sigmoid()) if hits else 0.0
        mixed[row] = (1 - gate) * log_probs[row].exp()
        for (value, _), weight in zip(hits, weights, strict=True):
            mixed[row, value] += gate * weight
    return mixed


# --- Asking ---------------------------------------------------------------------------------------


@modes
def test_memory_is_asked_once_and_only_where_there_is_a_token(mode: str) -> None:
    module = reader(mode, MEMORIES["filled"])
    source, state = inputs()
    asked: list[Tensor] = []
    answer = module.memory.query_apart
    module.memory.query_apart = lambda query: asked.append(query) or answer(query)  # type: ignore
    _, reading = module(source, state, POSITIONS)
    assert len(asked) == 1
    torch.testing.assert_close(asked[0], module.project(source)[POSITIONS])
    assert torch.equal(reading.query, asked[0])


# --- Embedding the best value ---------------------------------------------------------------------


@memories
def test_embedded_value_is_weighed_with_its_confidence_and_added(held: list[int]) -> None:
    module = reader("embed", held)
    source, state = inputs()
    output, reading = module(source, state, POSITIONS)
    expected = state.detach().clone()
    for row, place in enumerate(POSITIONS.nonzero().tolist()):
        if held:
            value = module.embedding[0].weight[reading.hits.values[row, 0]]
            weighed = reading.hits.confidence[row] * value
            expected[tuple(place)] += (module.combine.weight @ weighed).detach()
    torch.testing.assert_close(output, expected)


def test_new_reader_adds_nothing_yet() -> None:
    memory = KeyValueMemory(SLOTS, KEY_DIM, WORDS)
    memory.write(torch.randn(3, KEY_DIM), torch.tensor([1, 2, 3]))
    module = MemoryReader(memory, QUERY_DIM, STATE_DIM, "embed", nn.Embedding(WORDS, STATE_DIM))
    source, state = inputs()
    assert torch.equal(module(source, state, POSITIONS)[0], state)


def test_interpolation_leaves_the_state_alone() -> None:
    source, state = inputs()
    output, _ = reader("interpolate", MEMORIES["filled"])(source, state, POSITIONS)
    assert output is state


def test_embedding_alone_leaves_probabilities_alone() -> None:
    reading = read(reader("embed", MEMORIES["filled"]))
    log_probs = softmax_outputs()
    assert reading.mix(log_probs) is log_probs
    assert torch.equal(reading.mix_target(log_probs[:, 3], torch.full((N,), 3)), log_probs[:, 3])


# --- Mixing distributions -------------------------------------------------------------------------


@mixing
@memories
def test_mixture_equals_sums_written_out(mode: str, held: list[int]) -> None:
    module = reader(mode, held)
    reading, log_probs = read(module), softmax_outputs()
    expected = mixture_by_hand(module, reading, log_probs)
    torch.testing.assert_close(reading.mix(log_probs).exp(), expected)


@memories
def test_mixed_probabilities_sum_to_one(held: list[int]) -> None:
    mixed = read(reader("interpolate", held)).mix(softmax_outputs())
    torch.testing.assert_close(mixed.exp().sum(dim=1), torch.ones(N))


@memories
def test_probability_of_a_target_agrees_with_the_whole_mixture(held: list[int]) -> None:
    reading, log_probs = read(reader("interpolate", held)), softmax_outputs()
    mixed = reading.mix(log_probs)
    for word in range(WORDS):
        target = torch.full((N,), word)
        torch.testing.assert_close(reading.mix_target(log_probs[:, word], target), mixed[:, word])


def test_word_that_the_softmax_excludes_can_come_from_the_memory() -> None:
    reading = read(reader("interpolate", MEMORIES["filled"]))
    log_probs = softmax_outputs().index_fill(1, torch.tensor([3, 5]), -torch.inf)
    mixed = reading.mix(log_probs)
    assert reading.gate is not None and reading.log_weights is not None
    share = (reading.log_weights.exp() * (reading.hits.values == 3)).sum(dim=1)
    torch.testing.assert_close(mixed[:, 3].exp(), reading.gate.sigmoid() * share)
    assert not bool(torch.isnan(mixed).any())
    assert bool((mixed[:, 5].exp() < 1e-30).all())


def test_gate_sees_the_state_and_how_near_and_unanimous_the_answer_is() -> None:
    module = reader("interpolate", MEMORIES["filled"])
    source, state = inputs()
    _, reading = module(source, state, POSITIONS)
    assert reading.gate is not None and reading.log_weights is not None
    for row, vector in enumerate(state[POSITIONS]):
        values, weights = reading.hits.values[row], reading.log_weights[row].exp()
        agreement = sum(weights[i] for i in range(NEIGHBORS) if values[i] == values[0])
        nearest, kth = reading.hits.similarities[row, [0, -1]]
        features = torch.cat([vector, torch.stack([agreement, nearest, kth])])  # type: ignore
        expected = (module.gate.weight @ features + module.gate.bias).squeeze(0)
        torch.testing.assert_close(reading.gate[row], expected)


# --- Learning -------------------------------------------------------------------------------------


def learn(module: MemoryReader) -> list[Tensor]:
    """Run a backward pass through everything that a model uses; return the gradients."""
    source, state = inputs()
    output, reading = module(source, state, POSITIONS)
    log_probs = torch.log_softmax(output[POSITIONS] @ torch.randn(STATE_DIM, WORDS), dim=1)
    target = torch.arange(N) + 1
    of_target = log_probs.gather(1, target.unsqueeze(1)).squeeze(1)
    loss = reading.mix(log_probs).exp().pow(2).sum() - reading.mix_target(of_target, target).sum()
    loss.backward()
    learned = [source, state, *module.parameters()]
    return [loss, *(tensor.grad for tensor in learned if tensor.grad is not None)]


@memories
def test_gradient_of_a_target_agrees_with_that_of_the_whole_mixture(held: list[int]) -> None:
    module = reader("interpolate", held)
    source, state = inputs()
    _, reading = module(source, state, POSITIONS)
    log_probs = softmax_outputs().requires_grad_()
    learned = [source, state, log_probs, *module.parameters()]

    def gradients(of_target: Tensor) -> list[Tensor]:
        given = {"retain_graph": True, "materialize_grads": True, "allow_unused": True}
        return list(torch.autograd.grad(of_target.sum(), learned, **given))

    mixed = reading.mix(log_probs)
    for word in range(WORDS):
        target = torch.full((N,), word)
        alone = reading.mix_target(log_probs[:, word], target)
        torch.testing.assert_close(gradients(mixed[:, word]), gradients(alone))


@modes
@memories
def test_no_gradient_is_ever_nan(mode: str, held: list[int]) -> None:
    results = learn(reader(mode, held))
    assert len(results) > 1
    assert all(bool(torch.isfinite(result).all()) for result in results)


@modes
@pytest.mark.parametrize("held", [MEMORIES["filled"], MEMORIES["partly"]], ids=["filled", "partly"])
def test_every_parameter_learns_from_a_memory_that_answers(mode: str, held: list[int]) -> None:
    module = reader(mode, held)
    learn(module)
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None and bool(parameter.grad.any()), name


def test_gradient_of_the_temperature_is_the_slope_of_the_loss() -> None:
    module = reader("interpolate", MEMORIES["filled"])
    nn.init.zeros_(module.gate.weight)  # it would pass on no gradient of what it sees
    source, state = inputs()

    def loss() -> Tensor:
        reading = module(source, state, POSITIONS)[1]
        return reading.mix_target(torch.full((N,), -2.0), torch.full((N,), 3)).sum()

    (slope,) = torch.autograd.grad(loss(), module.log_temperature)
    step = 1e-2
    with torch.no_grad():
        module.log_temperature += step
        above = loss()
        module.log_temperature -= 2 * step
        below = loss()
    torch.testing.assert_close((above - below) / (2 * step), slope, rtol=1e-2, atol=1e-3)


@modes
def test_reading_works_in_bfloat16(mode: str) -> None:
    module = reader(mode, MEMORIES["filled"])
    source, state = inputs()
    with torch.autocast("cpu", torch.bfloat16):
        output, reading = module(source, state.bfloat16(), POSITIONS)
    assert output.dtype == torch.bfloat16 and reading.query.dtype == torch.float32
    mixed = reading.mix(softmax_outputs())
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed.exp().sum(dim=1), torch.ones(N))


def test_unknown_mode_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'add' is not one of embed, interpolate, both"):
        MemoryReader(KeyValueMemory(1, 1, 1), 1, 1, "add", nn.Embedding(1, 1))


# --- What the gate depends on ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "gate, on_state, on_neighbours",
    [("state", True, True), ("neighbours", False, True), ("constant", False, False)],
)
def test_gate_depends_on_what_it_is_told(gate: str, on_state: bool, on_neighbours: bool) -> None:
    memory = KeyValueMemory(SLOTS, KEY_DIM, WORDS, neighbors=NEIGHBORS)
    memory.write(torch.randn(4, KEY_DIM), torch.tensor([3, 7, 3, 1]))
    module = MemoryReader(memory, QUERY_DIM, STATE_DIM, "interpolate", gate=gate)
    nn.init.normal_(module.gate.weight)
    hits = memory.query(torch.randn(N, KEY_DIM))
    state = torch.randn(N, STATE_DIM)
    before = module.gate_logit(state, hits, module.log_weights(hits))
    other_state = module.gate_logit(torch.randn(N, STATE_DIM), hits, module.log_weights(hits))
    others = memory.query(torch.randn(N, KEY_DIM))
    other_hits = module.gate_logit(state, others, module.log_weights(others))
    assert bool((before != other_state).all()) == on_state
    assert bool((before != other_hits).all()) == on_neighbours
    if not (on_state or on_neighbours):
        torch.testing.assert_close(before, module.gate.bias.detach().expand(N))


def test_embedding_answers_needs_an_embedding() -> None:
    with pytest.raises(ValueError, match="embedding"):
        MemoryReader(KeyValueMemory(1, 1, 1), 1, 1, "both")


def test_constant_share_and_temperature_are_those_given_and_end_with_the_context() -> None:
    module = reader("interpolate", [3, 7])
    hits, state = module.memory.query(torch.randn(N, KEY_DIM)), torch.randn(N, STATE_DIM)
    learned = module.weigh(hits, state)
    with module.constant(0.3, 10.0):
        log_weights, gate, _ = module.weigh(hits, state)
    torch.testing.assert_close(gate.sigmoid(), torch.full((N,), 0.3))
    expected = torch.softmax(10 * hits.similarities[:, :2], dim=1)
    torch.testing.assert_close(log_weights.exp()[:, :2], expected)
    assert not log_weights.exp()[:, 2:].any()
    for one, other in zip(learned[:2], module.weigh(hits, state)[:2], strict=True):
        assert torch.equal(one, other)


# --- Asking only where the softmax is unsure ------------------------------------------------------


def later(module: MemoryReader, sure: float) -> tuple[MemoryReading, MemoryReading]:
    """Return a complete reading, and one of the same that waits for the softmax."""
    source, state = (part.detach() for part in inputs())
    with torch.no_grad():
        return module(source, state, POSITIONS)[1], module(source, state, POSITIONS, True, sure)[1]


def half_sure() -> tuple[Tensor, Tensor]:
    """Return log-probabilities [2, 3, WORDS], and where the best word has more than 0.9."""
    log_probs = torch.log_softmax(torch.randn(*POSITIONS.shape, WORDS), dim=2)
    log_probs[0, 0] = log_probs[1, 0] = torch.log_softmax(10.0 * torch.eye(WORDS)[4], dim=0)
    return log_probs, torch.tensor([True, False, False, True])


@memories
def test_where_the_softmax_is_sure_the_memory_is_not_asked(
    held: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = reader("interpolate", held)
    complete, waiting = later(module, 0.9)
    log_probs, sure = half_sure()
    asked, plain = [], module.memory.query_apart
    monkeypatch.setattr(
        module.memory, "query_apart", lambda query: asked.append(len(query)) or plain(query)
    )
    with torch.no_grad():
        expected = mix_memory(log_probs.clone(), {"memory": complete})[POSITIONS]
        found = mix_memory(log_probs.clone(), {"memory": waiting})[POSITIONS]
    assert asked == [2]
    torch.testing.assert_close(found[~sure], expected[~sure])
    assert torch.equal(found[sure], log_probs[POSITIONS][sure])


def test_what_was_not_asked_has_no_neighbours() -> None:
    memory = reader("interpolate", MEMORIES["filled"]).memory
    asked = torch.tensor([False, True, True, False])
    hits = memory.query(torch.randn(2, KEY_DIM))
    missing = KeyValueMemory(1, KEY_DIM, 1, memory.neighbors).query(torch.randn(2, KEY_DIM))
    spread = hits.spread(asked)
    for name in ("values", "similarities", "slots", "weights"):
        assert torch.equal(getattr(spread, name)[asked], getattr(hits, name))
        assert torch.equal(getattr(spread, name)[~asked], getattr(missing, name))


def test_nobody_is_asked_where_all_are_sure() -> None:
    module = reader("interpolate", MEMORIES["filled"])
    log_probs = torch.log_softmax(
        10.0 * torch.eye(WORDS)[torch.tensor([[4, 2, 1], [3, 3, 3]])], dim=2
    )
    found = mix_memory(log_probs.clone(), {"memory": later(module, 0.9)[1]})
    assert torch.equal(found, log_probs)


def test_an_answer_that_is_embedded_cannot_wait() -> None:
    assert later(reader("both", MEMORIES["filled"]), 0.9)[1].complete is None
