"""A memory as part of a model: saved, copied, moved, changed from outside."""

import copy
import io
import pickle

import pytest
import torch

from fairseq_plugins.memory import KeyValueMemory, MemoryConfig
from tests.unit.memory import states

SHAPE = {"size": 300, "key_dim": 8, "num_values": 20, "neighbors": 4}


def lived(rounds: int = 6, search_dtype: str = "bfloat16") -> KeyValueMemory:
    """Return a full memory that has also evicted pairs."""
    memory = KeyValueMemory(**SHAPE, search_dtype=search_dtype)  # type: ignore[arg-type]
    live_on(memory, rounds)
    return memory


def live_on(memory: KeyValueMemory, rounds: int, seed: int = 1) -> None:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(rounds):
        query = torch.randn(100, 8, generator=generator)
        memory.write(query, torch.randint(20, (100,), generator=generator))
        again = query[:30] + 0.05 * torch.randn(30, 8, generator=generator)
        memory.write(again, memory.query(again).values[:, 0])


def assert_same(first: KeyValueMemory, second: KeyValueMemory) -> None:
    """They hold the same and answer the same."""
    states.assert_same(first, second)
    query = torch.randn(50, 8)
    expected, found = first.query(query), second.query(query)
    assert torch.equal(expected.slots, found.slots)
    assert torch.equal(expected.similarities, found.similarities)


def test_two_lives_are_the_same_to_the_last_bit() -> None:
    assert_same(lived(), lived())


def test_type_of_the_coarse_product_changes_nothing() -> None:
    memory = lived()
    assert_same(memory, lived(search_dtype="float32"))
    assert_same(memory, lived(search_dtype="float16"))


def test_state_dict_goes_on_where_it_stopped() -> None:
    memory = lived(3)
    buffer = io.BytesIO()
    torch.save(memory.state_dict(), buffer)
    buffer.seek(0)
    other = KeyValueMemory(**SHAPE)  # type: ignore[arg-type]
    other.query(torch.randn(2, 8))  # knows of an empty memory, and has to learn anew
    other.load_state_dict(torch.load(buffer))
    assert_same(memory, other)
    live_on(memory, 3, seed=2)
    live_on(other, 3, seed=2)
    assert_same(memory, other)


def test_loading_then_committing_nothing_leaves_no_old_keys_behind() -> None:
    memory, other = lived(), lived(2)
    other.query(torch.randn(2, 8))
    other.load_state_dict(memory.state_dict())
    other.commit()
    memory.commit()
    assert_same(memory, other)


def test_first_commit_into_a_memory_that_was_asked_while_empty() -> None:
    memory, query = KeyValueMemory(**SHAPE, search_dtype="bfloat16"), torch.randn(200, 8)  # type: ignore[arg-type]
    memory.query(query)
    memory.write(query, torch.arange(200) % 20)
    assert memory.query(query).slots[:, 0].tolist() == list(range(200))


def through_pickle(memory: KeyValueMemory) -> KeyValueMemory:
    return pickle.loads(pickle.dumps(memory))


@pytest.mark.parametrize("clone", [copy.deepcopy, through_pickle])
def test_copies_are_equal_and_independent(clone) -> None:  # type: ignore[no-untyped-def]
    memory = lived(2)
    query = torch.randn(3, 8)
    memory.stage(query, torch.tensor([1, 2, 3]))
    other, before = clone(memory), memory.keys.clone()
    assert_same(memory, other)
    assert other.commit().pairs == 3  # what waits is copied too
    live_on(other, 1)
    assert torch.equal(memory.keys, before)
    assert memory.commit().pairs == 3


def test_half_precision_models_keep_the_keys() -> None:
    model = torch.nn.ModuleDict({"memory": lived(), "layer": torch.nn.Linear(2, 2)})
    memory = model["memory"]
    assert isinstance(memory, KeyValueMemory)
    keys, query = memory.keys.clone(), torch.randn(5, 8)
    before = memory.query(query).similarities
    for change in (model.half, model.bfloat16, model.double):
        change()
        assert memory.keys.dtype == torch.float32 and torch.equal(memory.keys, keys)
        assert torch.equal(memory.query(query).similarities, before)
    assert model["layer"].weight.dtype == torch.float64


def test_buffers_changed_from_outside_are_noticed() -> None:
    memory, query = lived(), torch.randn(1, 8)
    first = int(memory.query(query).slots[0, 0])
    memory.values[first] = -1
    assert len(memory) == SHAPE["size"] - 1
    assert first not in memory.query(query).slots[0]
    memory.keys[(first + 1) % 300] = query[0] / query.norm()
    assert memory.query(query).slots[0, 0] == (first + 1) % 300
    memory.values = torch.full_like(memory.values, -1)  # another tensor
    assert len(memory) == 0 and (memory.query(query).slots == -1).all()


def test_mean_age_is_that_of_the_filled_slots() -> None:
    memory = KeyValueMemory(300, 8, 20)
    assert memory.mean_age == 0.0
    for rounds in (1, 1, 3):
        live_on(memory, rounds, seed=rounds)
        taught = memory.teach(torch.randn(3, 8), torch.arange(3), origin=1)
        memory.commit()
        memory.forget(taught[:2])
        expected = memory.ages[memory.values >= 0].double().mean()
        assert memory.mean_age == pytest.approx(float(expected))
    memory.ages = memory.ages + 5
    assert memory.mean_age == pytest.approx(float(expected) + 5)


def counted(memory: KeyValueMemory) -> list[int]:
    """Record the number of neighbours of each search from now on."""
    counts: list[int] = []
    search = memory._search.search
    memory._search.search = lambda query, k: counts.append(k) or search(query, k)  # type: ignore[method-assign, func-returns-value]
    return counts


def test_a_step_that_passes_its_answers_on_searches_once() -> None:
    memory, query, target = lived(), torch.randn(4, 8), torch.arange(4)
    searched, counts = copy.deepcopy(memory), counted(memory)
    hits = memory.query(query.requires_grad_())
    loss = memory.loss(query, target, hits)
    loss.mean().backward()
    report = memory.write(query.detach(), target, hits=hits)
    assert counts == [4]
    assert torch.equal(loss, searched.loss(query, target))
    assert report == searched.write(query, target)
    states.assert_same(memory, searched)


def test_loss_and_write_search_for_themselves() -> None:
    memory, query, target = lived(), torch.randn(4, 8), torch.arange(4)
    counts = counted(memory)
    memory.loss(query, target)
    memory.write(query, target)
    assert counts == [4, 1]  # to write, only the best slot matters


def test_hits_of_other_queries_are_refused() -> None:
    memory, query, target = lived(), torch.randn(4, 8), torch.arange(4)
    hits = memory.query(query[:3])
    for use in (memory.loss, memory.stage):
        with pytest.raises(ValueError, match="hits for 3 queries were passed for 4"):
            use(query, target, hits)


def test_fewer_neighbors_can_be_asked_for() -> None:
    memory, query = lived(), torch.randn(4, 8)
    few, all_of_them = memory.query(query, neighbors=2), memory.query(query)
    assert few.slots.shape == (4, 2)
    assert torch.equal(few.slots, all_of_them.slots[:, :2])
    torch.testing.assert_close(few.weights.sum(1), torch.ones(4))


def test_more_neighbors_than_its_own_change_no_loss() -> None:
    memory, query, target = lived(), torch.randn(40, 8), torch.arange(40) % SHAPE["num_values"]
    memory.neighbors = 1
    expected = memory.loss(query, target)
    assert torch.equal(memory.loss(query, target, memory.query(query, neighbors=9)), expected)


def test_strides_of_a_query_do_not_matter() -> None:
    memory, query = KeyValueMemory(50, 100, 20), torch.randn(64, 100)
    memory.write(torch.randn(50, 100), torch.arange(50) % 20)
    strided = query.t().contiguous().t()
    assert not strided.is_contiguous()
    expected, found = memory.query(query), memory.query(strided)
    assert torch.equal(expected.similarities, found.similarities)


def test_inference_mode_reads_and_teaches() -> None:
    memory, other, query = lived(), lived(), torch.randn(40, 8)
    with torch.inference_mode():
        made_there = query.clone()
        memory.write(made_there, torch.arange(40) % 20)
        memory.query(made_there)
    other.write(query, torch.arange(40) % 20)
    assert_same(memory, other)
    query.requires_grad_()
    memory.query(query).weights.sum().backward()
    live_on(memory, 1)
    live_on(other, 1)
    assert_same(memory, other)


def test_what_was_asked_in_inference_mode_is_learned_from_outside_it() -> None:
    memory = KeyValueMemory(**SHAPE, search_dtype="bfloat16")  # type: ignore[arg-type]
    memory.load_state_dict(lived().state_dict())
    query = torch.randn(40, 8, requires_grad=True)
    with torch.inference_mode():
        memory.query(query)
    memory.query(query).weights[:, 0].sum().backward()
    assert query.grad is not None and query.grad.any()
    memory.query(torch.randn(40, 8))  # in the same scratch space


def test_settings_make_a_memory() -> None:
    memory = KeyValueMemory.from_config(MemoryConfig(size=10, key_dim=3, num_values=4))
    assert (memory.size, memory.key_dim, memory.num_values, memory.neighbors) == (10, 3, 4, 256)
    assert "size=10" in repr(memory) and "filled=0" in repr(memory)


def test_an_empty_memory_is_true() -> None:
    assert KeyValueMemory(1, 1, 1)
