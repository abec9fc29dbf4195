"""Every approximate search, thorough enough to find everything, is exact search to the last bit."""

import copy
import logging
import pickle
from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.memory.search import ApproximateSearch
from fairseq_plugins.memory.search.recall import Recall, Tuning
from tests.unit.memory.oracle import Oracle
from tests.unit.memory.states import DIM, VALUES, Batch, assert_same, batches

BACKENDS = ["ivf", "lsh", "faiss:IVF3,SQ8", "faiss:PCA4,IVF2,Flat"]
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a CUDA device"))]  # fmt: skip


@pytest.fixture
def thorough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every search use its greatest effort."""

    def most(self: Tuning, efforts: list[int], measure: Callable, n: int) -> Recall:
        self.effort = efforts[-1]
        return Recall(1.0, 1.0, 1.0)

    monkeypatch.setattr(Tuning, "choose", most)


def search_of(memory: KeyValueMemory) -> ApproximateSearch:
    search = memory._search.others
    assert isinstance(search, ApproximateSearch)
    return search


def memory_with(search: str, least: int = 4, size: int = 12, **more: float) -> KeyValueMemory:
    """Return an empty memory whose index is used from a few keys on."""
    settings = {"neighbors": 3, "age_noise": 2.0} | more
    memory = KeyValueMemory(size, DIM, VALUES, search=search, **settings)
    if search != "exact":
        search_of(memory).least = least
    return memory


def write(batch: Batch) -> Callable:
    return lambda memory: memory.write(batch.query, batch.target)


def teach(batch: Batch) -> Callable:
    return lambda memory: memory.teach(batch.query, batch.target, origin=1)


def forget(slots: list[int]) -> Callable:
    return lambda memory: memory.forget(torch.tensor(slots) % memory.size)


def change(operation: str) -> Callable:
    changes = {
        "clear": lambda memory: memory.clear(),
        "grow": lambda memory: memory.grow(memory.size + 3),
        "load": lambda memory: memory.load_state_dict(copy.deepcopy(memory.state_dict())),
        "change outside": lambda memory: memory.keys.copy_(memory.keys.flip(1)),
    }
    return changes[operation]


LIVES = st.lists(
    st.one_of(
        batches(8).map(write),
        batches(8).map(write),
        batches(3).map(teach),
        st.lists(st.integers(0, 40), min_size=1, max_size=6).map(forget),
        st.sampled_from(["clear", "grow", "load", "change outside"]).map(change),
    ),
    max_size=10,
)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.usefixtures("thorough")
@given(life=LIVES, asked=batches(6))
@settings(max_examples=15)
def test_whatever_happens_answers_are_exact(backend: str, life: list, asked: Batch) -> None:
    exact, memory = memory_with("exact"), memory_with(backend)
    for happen in life:
        happen(exact)
        happen(memory)
        for ask in ("query", "query_apart"):
            expected, found = getattr(exact, ask)(asked.query), getattr(memory, ask)(asked.query)
            assert torch.equal(expected.slots, found.slots)
            assert torch.equal(expected.similarities, found.similarities)
        Oracle.of(memory).assert_answers(asked.query.double().numpy(), memory.query(asked.query))
    assert_same(exact, memory)


def unit(*shape: int) -> Tensor:
    return F.normalize(torch.randn(*shape), dim=1)


@pytest.fixture(params=BACKENDS)
def grown(request: pytest.FixtureRequest, thorough: None) -> Iterator[KeyValueMemory]:
    """Yield a memory of 2,000 slots that uses an index, and check in the end that it still does."""
    memory = memory_with(request.param, least=100, size=2000, neighbors=8)
    memory.write(unit(1500, DIM), torch.arange(1500) % VALUES)
    yield memory
    assert_finds_everything(memory, unit(40, DIM))


def assert_finds_everything(memory: KeyValueMemory, query: Tensor) -> None:
    found = memory.query(query)
    exact = copy.deepcopy(memory)
    search_of(exact).least = 1 << 40
    expected = exact.query(query)
    assert torch.equal(expected.slots, found.slots)
    assert torch.equal(expected.similarities, found.similarities)


def test_the_index_is_used(grown: KeyValueMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    search, asked = search_of(grown), []
    plain = search.index.propose
    monkeypatch.setattr(search.index, "propose", lambda *a: asked.append(len(a[0])) or plain(*a))
    grown.query(unit(7, DIM))
    assert asked == [7]


def test_no_copies_of_the_keys_are_beside_the_index(grown: KeyValueMemory) -> None:
    grown.query(unit(2, DIM))
    exact = search_of(grown).exact
    exact.of_few.least = 1
    exact.search(unit(2, DIM), 3)
    assert exact.of_few._sketches is None and exact._mirror is not None
    assert exact._mirror.keys is grown.keys


def test_all_keys_equal(grown: KeyValueMemory) -> None:
    grown.forget(torch.arange(2000))
    key = unit(1, DIM).expand(500, DIM)
    grown.teach(key[:5], torch.arange(5), origin=1)
    grown.write(key, torch.arange(500) % VALUES)
    assert grown.query(key[:2]).slots.tolist() == [list(range(8))] * 2
    fits = counted_fits(grown)
    for _ in range(2):
        grown.write(key, torch.arange(500) % VALUES)
        grown.query(key[:2])
    assert fits == []  # lists that cannot be balanced are not made again and again


def counted_fits(memory: KeyValueMemory) -> list[int]:
    search, fits = search_of(memory), []
    plain = search.index.fit
    search.index.fit = lambda keys, slots: fits.append(len(slots)) or plain(keys, slots)  # type: ignore[method-assign]
    return fits


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.usefixtures("thorough")
def test_one_by_one_from_empty_to_full_it_is_seldom_fitted(backend: str) -> None:
    memory = memory_with(backend, least=10, size=300, neighbors=4)
    fits = counted_fits(memory)
    for number in range(350):
        memory.write(unit(1, DIM), torch.tensor([number % VALUES]))
        if number % 25 == 0:
            assert_finds_everything(memory, unit(3, DIM))
    assert len(fits) <= 4 and fits == sorted(fits)


def test_commits_lessons_and_growth_do_not_make_it_again(grown: KeyValueMemory) -> None:
    grown.query(unit(1, DIM))
    fits = counted_fits(grown)
    for _ in range(5):
        grown.write(unit(30, DIM), torch.arange(30) % VALUES)
        slots = grown.teach(unit(400, DIM), torch.arange(400) % VALUES, origin=1)
        grown.query_apart(unit(2, DIM))
        grown.forget(slots)
        grown.query(unit(2, DIM))
    assert fits == [] and grown.size > 2000


@pytest.mark.parametrize("backend", BACKENDS)
def test_lessons_are_found_however_little_is_searched(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def least(self: Tuning, efforts: list[int], measure: Callable, n: int) -> Recall:
        self.effort = efforts[0]
        return Recall(0.0, 0.0, 0.0)

    monkeypatch.setattr(Tuning, "choose", least)
    memory = memory_with(backend, least=100, size=2000, neighbors=8)
    memory.write(unit(1500, DIM), torch.arange(1500) % VALUES)
    lessons = unit(50, DIM)
    slots = memory.teach(lessons, torch.arange(50) % VALUES, origin=1)
    hits = memory.query_apart(lessons)
    assert torch.equal(hits.slots[:, 0], slots)
    assert memory.likeness_taught(lessons).min() > 1 - 1e-6
    exact = memory_with("exact", size=memory.size, neighbors=8)
    exact.load_state_dict(memory.state_dict())
    query = unit(30, DIM)
    taught = [one.query_apart(query) for one in (memory, exact)]
    found, expected = (
        hits.slots[one.taught(hits.slots)]
        for one, hits in zip((memory, exact), taught, strict=True)
    )
    assert torch.equal(found, expected) and len(found) == 30 * 8


@pytest.mark.parametrize("count", [1, 50, 300])
def test_with_fewer_keys_than_lists_search_is_exact(count: int) -> None:
    memory = KeyValueMemory(500, DIM, VALUES, neighbors=8, search="faiss:IVF256,Flat")
    memory.write(unit(count, DIM), torch.arange(count) % VALUES)
    assert_finds_everything(memory, unit(20, DIM))


def test_clear_and_live_on(grown: KeyValueMemory) -> None:
    grown.clear()
    assert (grown.query(unit(2, DIM)).slots == -1).all()
    grown.write(unit(50, DIM), torch.arange(50) % VALUES)
    assert_finds_everything(grown, unit(3, DIM))
    grown.write(unit(900, DIM), torch.arange(900) % VALUES)


def test_more_neighbours_than_keys(grown: KeyValueMemory) -> None:
    grown.forget(torch.arange(500, 1500))
    hits = grown.query(unit(3, DIM), neighbors=700)
    assert (hits.slots >= 0).sum(1).tolist() == [len(grown)] * 3


def test_not_a_number_is_refused_and_changes_nothing(grown: KeyValueMemory) -> None:
    before = copy.deepcopy(grown)
    for number in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="not finite"):
            grown.write(torch.full((1, DIM), number), torch.tensor([0]))
    assert_same(before, grown)


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_independent(grown: KeyValueMemory, clone: Callable) -> None:
    query = unit(5, DIM)
    before = grown.query(query)
    other = clone(grown)
    other.write(unit(100, DIM), torch.arange(100) % VALUES)
    assert torch.equal(grown.query(query).slots, before.slots)
    assert_finds_everything(other, query)


def test_lists_that_lost_their_balance_are_made_again(
    thorough: None, caplog: pytest.LogCaptureFixture
) -> None:
    memory = memory_with("ivf", least=100, size=1500, age_noise=0.0)
    memory.write(unit(1500, DIM), torch.arange(1500) % VALUES)
    memory.query(unit(1, DIM))
    fits = counted_fits(memory)
    narrow = F.normalize(unit(1, DIM) + 0.01 * unit(1500, DIM), dim=1)
    with caplog.at_level(logging.INFO):
        for rows in torch.arange(1500).split(150):
            memory.write(narrow[rows], rows % VALUES)
            memory.query(narrow[:1])
    assert 1 <= len(fits) <= 3
    assert "lists for 1,500 keys" in caplog.text
    assert_finds_everything(memory, narrow[:20])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("backend", ["ivf", "lsh"])
@pytest.mark.usefixtures("thorough")
def test_every_device_finds_the_nearest(backend: str, device: str) -> None:
    memory = memory_with(backend, least=100, size=1000).to(device)
    memory.write(unit(1000, DIM).to(device), torch.arange(1000, device=device) % VALUES)
    assert_finds_everything(memory, unit(20, DIM).to(device))


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ("nosuch", "memory search 'nosuch' is not one of auto, exact, ivf, lsh, faiss:FACTORY"),
        ("faiss:", "faiss:: faiss cannot build this for keys of width 4"),
        ("faiss:nonsense", "faiss cannot build this for keys of width 4"),
        ("faiss:HNSW16", "faiss cannot remove single keys from this"),
        ("faiss:Flat", "faiss cannot remove single keys from this"),
        ("faiss:IVF4,PQ2x4fs", "faiss cannot remove single keys from this"),
        ("faiss:IVF4,Flat,RFlat", "faiss cannot remove single keys from this"),
    ],
)
def test_what_cannot_be_made_is_refused_in_one_line(search: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refusal:
        KeyValueMemory(10, DIM, VALUES, search=search)
    assert "\n" not in str(refusal.value)


def test_without_faiss_auto_is_exact_and_ivf_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fairseq_plugins.memory.search.installed", lambda: False)
    monkeypatch.setattr("fairseq_plugins.memory.search.inverted_lists.installed", lambda: False)
    KeyValueMemory(10, DIM, VALUES, search="auto").query(unit(1, DIM))
    with pytest.raises(ValueError, match="pip install 'fairseq-memory\\[faiss\\]'"):
        KeyValueMemory(10, DIM, VALUES, search="ivf")
