"""Exact search, for all kinds of keys, types of the coarse product, and block sizes."""

import copy
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fairseq_plugins.memory.search import selection, sketches, threshold
from fairseq_plugins.memory.search.exact import ExactSearch
from fairseq_plugins.memory.search.mirror import Mirror
from fairseq_plugins.memory.search.selection import Selection, dot_products
from fairseq_plugins.memory.search.threshold import NOTED

DTYPES = ["float32", "bfloat16", "float16"]
ROUNDING = 2e-6
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a CUDA device"))]  # fmt: skip


WAYS = ["threshold", "small tiles", "selection", "sketches"]


@pytest.fixture(autouse=True)
def short_sketches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let keys of any length, which differ in any way, have sketches in small blocks."""
    for name, value in {"ENERGY": 0.5, "LANES": 1, "SHORTER": 1, "BLOCK": 4, "MANY": 1}.items():
        monkeypatch.setattr(sketches, name, value)


def searcher(
    keys: Tensor,
    dtype: str,
    values: Tensor | None = None,
    budget: int = 64,
    way: str = "threshold",
) -> ExactSearch:
    """Search as a CPU does, in large or small tiles or by sketches, or as accelerators do."""
    found = ExactSearch(dtype, budget)
    found.of_few.least, found.of_few.most = 1, len(keys) if way == "sketches" else 0
    if way == "selection":
        found.on_cpu = found.elsewhere  # type: ignore[assignment]
    if way == "small tiles":
        found.on_cpu.first, found.on_cpu.cache = 128, 1
    found.update(keys, torch.zeros(len(keys), dtype=torch.int64) if values is None else values)
    return found


def full_search(keys: Tensor, query: Tensor, k: int, values: Tensor | None = None) -> Tensor:
    """Return slots [N, k]: all float32 similarities, sorted; ties to the lower slot."""
    slots = torch.arange(len(keys)).expand(len(query), -1)
    similarity = dot_products(query, keys, slots)  # [N, S]
    if values is not None:
        similarity = similarity.masked_fill(values < 0, -torch.inf)
    order = similarity.sort(dim=1, descending=True, stable=True)
    best = order.indices[:, :k].masked_fill(order.values[:, :k] == -torch.inf, -1)
    return F.pad(best, (0, k - best.shape[1]), value=-1)


def assert_brute_force(query: Tensor, keys: Tensor, similarity: Tensor, slots: Tensor) -> None:
    """Check against float64, where float32 can tell the similarities apart."""
    exact = query.double() @ keys.double().t()  # [N, S]
    k = min(slots.shape[1], len(keys))
    ideal = exact.sort(dim=1, descending=True).values[:, :k]
    torch.testing.assert_close(exact.gather(1, slots[:, :k]), ideal, atol=ROUNDING, rtol=0)
    torch.testing.assert_close(similarity[:, :k].double(), ideal, atol=ROUNDING, rtol=0)


def unit(*shape: int) -> Tensor:
    return F.normalize(torch.randn(*shape), dim=1)


# --- Adversarial keys -------------------------------------------------------------------------


def spread(size: int, dim: int) -> Tensor:
    return unit(size, dim)


def identical(size: int, dim: int) -> Tensor:
    """Return three different keys, each in a third of the slots."""
    return unit(3, dim)[torch.arange(size) % 3].clone()


def crowded(size: int, dim: int) -> Tensor:
    """Return all keys within about 1e-6 of each other."""
    return F.normalize(unit(1, dim) + 1e-6 * unit(size, dim), dim=1)


def clustered(size: int, dim: int) -> Tensor:
    """Near ties by the hundred, as a memory has that hears the same words again and again."""
    centers = unit(max(1, size // 500), dim)
    chosen = centers[torch.arange(size) % len(centers)]
    return F.normalize(chosen + 1e-4 * torch.randn(size, dim), dim=1)


def opposite(size: int, dim: int) -> Tensor:
    """Return keys and their negatives: the mean is 0, half of the similarities are negative."""
    half = unit((size + 1) // 2, dim)
    return torch.cat([half, -half])[:size]


KEYS = [spread, identical, crowded, clustered, opposite]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("make", KEYS)
@pytest.mark.parametrize(("size", "dim", "k"), [(3001, 16, 5), (1777, 33, 40), (4096, 8, 256)])
def test_result_is_that_of_a_full_search(  # type: ignore[no-untyped-def]
    make, size: int, dim: int, k: int, dtype: str, way: str
) -> None:
    keys = make(size, dim)
    query = torch.cat([keys[:10], unit(10, dim), -keys[:3], F.normalize(keys[:5] + unit(5, dim))])
    similarity, slots = searcher(keys, dtype, way=way).search(query, k)
    assert torch.equal(slots, full_search(keys, query, k))
    assert_brute_force(query, keys, similarity, slots)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_exact_ties_of_numbers_without_rounding(dtype: str, way: str) -> None:
    """Small multiples of 1/16: float32 is exact, so float64 must agree in every bit."""
    keys = torch.randint(-3, 4, (2500, 6)) / 16.0
    query = torch.randint(-3, 4, (40, 6)) / 16.0
    similarity, slots = searcher(keys, dtype, way=way).search(query, 30)
    exact = (query.double() @ keys.double().t()).numpy()
    order = np.lexsort((np.broadcast_to(np.arange(2500), exact.shape), -exact), axis=1)[:, :30]
    assert slots.tolist() == order.tolist()
    assert similarity.tolist() == np.take_along_axis(exact, order, 1).tolist()


@settings(max_examples=100)
@given(
    st.integers(1, 2500), st.integers(1, 300), st.sampled_from(DTYPES), st.integers(1, 40),
    st.integers(0, 99), st.sampled_from([0.0, 0.02, 0.6, 0.99]), st.sampled_from(KEYS),
    st.sampled_from(WAYS),
)  # fmt: skip
def test_any_extent_any_k_any_holes(  # type: ignore[no-untyped-def]
    size: int, k: int, dtype: str, dim: int, seed: int, holes: float, make, way: str
) -> None:
    torch.manual_seed(seed)
    keys, query = make(size, dim), unit(7, dim)
    values = torch.zeros(size, dtype=torch.int64).masked_fill(torch.rand(size) < holes, -1)
    similarity, slots = searcher(keys, dtype, values, way=way).search(query, k)
    assert torch.equal(slots, full_search(keys, query, k, values))
    assert torch.equal(slots == -1, similarity == -torch.inf)


def test_products_are_summed_in_float32_and_settings_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings, seen, plain = torch.backends.cuda.matmul, [], torch.mm
    before = settings.allow_bf16_reduced_precision_reduction

    def product(*given: Any, **named: Any) -> Any:
        seen.append(settings.allow_bf16_reduced_precision_reduction)
        return plain(*given, **named)

    monkeypatch.setattr(torch, "mm", product)
    searcher(spread(500, 8), "bfloat16", way="selection").search(unit(5, 8), 3)
    assert seen and not any(seen)
    assert settings.allow_bf16_reduced_precision_reduction == before


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_memory_of_which_hardly_anything_is_left(dtype: str, way: str) -> None:
    keys, values = spread(1001, 8), torch.full((1001,), -1)
    values[:10] = values[-10:] = 1
    query = unit(5, 8)
    similarity, slots = searcher(keys, dtype, values, way=way).search(query, 30)
    assert torch.equal(slots, full_search(keys, query, 30, values))
    assert (slots >= 0).sum(1).tolist() == [20] * 5
    assert torch.equal(slots == -1, similarity == -torch.inf)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("extent", [1, 2, 63, 64, 65, 127, 129, 257, 1023, 1025, 5003])
def test_memory_that_grows(extent: int, dtype: str, way: str) -> None:
    keys, values = spread(5003, 12), torch.full((5003,), -1)
    values[:extent] = 1
    query = unit(9, 12)
    _, slots = searcher(keys, dtype, values, way=way).search(query, 10)
    assert torch.equal(slots, full_search(keys, query, 10, values))


# --- Doubt of accelerators --------------------------------------------------------------------


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, int]]]:
    """Yield rows and candidates of every pass over the keys."""
    passes: list[tuple[int, int]] = []
    plain = Selection._search_rows

    def counting(self, query, k, candidates, contents):  # type: ignore[no-untyped-def]
        passes.append((len(query), min(candidates, contents.extent)))
        return plain(self, query, k, candidates, contents)

    monkeypatch.setattr(Selection, "_search_rows", counting)
    yield passes


@pytest.mark.parametrize("dtype", DTYPES)
def test_only_rows_in_doubt_are_searched_again(dtype: str, searches: list) -> None:
    keys = spread(6000, 16)
    keys[3000:] = F.normalize(keys[3000] + 1e-7 * torch.randn(3000, 16), dim=1)  # thousands of ties
    query = torch.cat([unit(30, 16), keys[3000:3004]])
    _, slots = searcher(keys, dtype, way="selection").search(query, 20)
    assert searches[0][0] == 34
    assert 4 <= searches[-1][0] < 34 and searches[-1][1] > 3000  # until no tie is left out
    assert torch.equal(slots, full_search(keys, query, 20))


def test_without_near_ties_nothing_is_searched_twice(searches: list) -> None:
    keys = spread(6000, 64)
    searcher(keys, "bfloat16", way="selection").search(unit(50, 64), 20)
    assert len(searches) == 1


@pytest.mark.parametrize("radius", [0.3, 0.1, 0.05])
def test_a_narrow_cone_of_keys_is_told_apart(radius: float, searches: list) -> None:
    """A young network's queries and keys all point in one direction, which must not cost time."""
    axis = unit(1, 64)
    keys, query = F.normalize(axis + radius * unit(6050, 64), dim=1).split([6000, 50])
    _, slots = searcher(keys, "bfloat16", way="selection").search(query, 20)
    assert len(searches) == 1
    assert torch.equal(slots, full_search(keys, query, 20))


def coarse_grained(size: int, dim: int) -> Tensor:
    """Return small multiples of 1/16 and their negatives, exact in any type, with mean 0."""
    half = torch.randint(-3, 4, (size // 2, dim)) / 16.0
    return torch.cat([half, -half])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("make_query", [unit, coarse_grained])
@pytest.mark.parametrize("make_keys", [*KEYS, coarse_grained])
def test_bound_holds_for_every_key(make_keys, make_query, dtype: str) -> None:  # type: ignore[no-untyped-def]
    """No exact similarity exceeds the bound for its coarse one.

    Where keys, queries or both are coarse-grained, only the other one's rounding, or only that
    of the product, is left to be bounded.
    """
    keys, query = make_keys(500, 24), make_query(60, 24)
    mirror = Mirror(keys, len(keys), getattr(torch, dtype))
    coarse = (mirror.queries(query) @ mirror.keys.t()).float()  # [60, 500]
    bound = torch.stack([mirror.bound(query, column) for column in coarse.t()], dim=1)
    assert (query.double() @ keys.double().t() <= bound).all()
    every_slot = torch.arange(500).expand(60, -1)
    assert (dot_products(query, keys, every_slot) <= bound).all()  # what ranks the candidates


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_errors_are_bounded_where_queries_lose_nothing(dtype: str) -> None:
    """At the center the offsets are left to be bounded, and elsewhere the keys, also old ones."""
    short = getattr(torch, dtype)
    arc = torch.arange(64) / 20
    keys = torch.stack([arc.cos(), arc.sin()], dim=1)
    beside = unit(32, 2)
    pairs = torch.cat([beside, -beside])  # around 0
    at_center, around = Mirror(keys, 64, short), Mirror(pairs, 64, short)
    assert at_center.center is not None and around.center is not None
    pairs[0] = around.center  # is stored without an error
    around.update(pairs, torch.tensor([0]))
    queries = at_center.center[None], coarse_grained(60, 2)
    for mirror, own, query in zip((at_center, around), (keys, pairs), queries, strict=True):
        center = mirror.center.double()
        exact = query.double() @ (own.double() - center).t()
        coarse = mirror.queries(query).double() @ mirror.keys.double().t()
        assert ((coarse - exact).abs() <= mirror.errors(query)[:, None]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("make_query", [unit, coarse_grained])
@pytest.mark.parametrize("make_keys", [*KEYS, coarse_grained])
def test_what_is_below_a_floor_is_farther(make_keys, make_query, dtype: str) -> None:  # type: ignore[no-untyped-def]
    keys, query = make_keys(300, 24), make_query(40, 24)
    mirror = Mirror(keys, len(keys), getattr(torch, dtype))
    coarse = (mirror.queries(query) @ mirror.keys.t()).float()  # [40, 300]
    exact = dot_products(query, keys, torch.arange(300).expand(40, -1))
    order = coarse.sort(dim=1, descending=True)
    nearer = exact.gather(1, order.indices).cummin(dim=1).values  # of the k greatest, the farthest
    errors = mirror.errors(query)
    for k in range(1, 301, 13):
        floor = mirror.floor(order.values[:, k - 1], errors).to(mirror.keys.dtype).float()
        below = exact.masked_fill(coarse >= floor[:, None], -torch.inf).amax(dim=1)
        assert (below < nearer[:, k - 1]).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_floor_allows_for_all_rounding(dtype: str) -> None:
    """Two slots are off by the greatest error in opposite directions, and then rounded."""
    short = getattr(torch, dtype)
    mirror = Mirror(unit(9, 4), 9, short)
    errors = 10 ** (-3 - 3 * torch.rand(20_000, dtype=torch.float64))
    exact = 2 * torch.rand(20_000, dtype=torch.float64) - 1
    kth, nearer = (exact + errors).to(short), (exact - errors).to(short)
    assert (nearer >= mirror.floor(kth.float(), errors).to(short)).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_little_more_than_the_neighbours_is_scored_again(
    dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored, plain = [], threshold.pair_products

    def counting(query, keys, queries, slots):  # type: ignore[no-untyped-def]
        scored.append(len(slots))
        return plain(query, keys, queries, slots)

    monkeypatch.setattr(threshold, "pair_products", counting)
    keys, query = spread(40_000, 64), unit(50, 64)
    _, slots = searcher(keys, dtype).search(query, 20)
    assert torch.equal(slots, full_search(keys, query, 20))
    assert 20 * 50 <= sum(scored) < 2 * 20 * 50


# --- Changes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_slots_named_as_changed_are_searched_anew(dtype: str) -> None:
    keys, values = spread(2000, 16), torch.full((2000,), -1)
    found = searcher(keys, dtype, values)
    found.search(unit(1, 16), 4)  # while empty
    start = 0
    for count in [300, 1, 40, 700, 5, 900]:
        changed = torch.arange(start, start + count) % 2000
        keys[changed], values[changed] = spread(count, 16), 1
        start += count
        found.update(keys, values, changed)
        query = torch.cat([keys[changed[:3]], unit(5, 16)])
        assert torch.equal(found.search(query, 4)[1], full_search(keys, query, 4, values))


@pytest.mark.parametrize("dtype", DTYPES)
def test_other_contents_are_searched_from_then_on(dtype: str) -> None:
    query, keys = unit(4, 8), unit(300, 8)
    search = searcher(unit(200, 8), dtype)
    search.search(query, 3)
    search.update(keys, torch.zeros(300, dtype=torch.int64))
    assert torch.equal(search.search(query, 3)[1], full_search(keys, query, 3))


def test_keys_that_drift_from_their_mean_are_still_found() -> None:
    keys = crowded(1000, 16)
    values = torch.ones(1000, dtype=torch.int64)
    found = searcher(keys, "bfloat16")
    for slots in torch.randperm(1000).split(37):
        keys[slots] = spread(len(slots), 16)
        found.update(keys, values, slots)
        query = unit(3, 16)
        assert torch.equal(found.search(query, 9)[1], full_search(keys, query, 9))


# --- Memory in use ----------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["threshold", "selection"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_scratch_space_stays_within_its_budget_and_is_used_again(dtype: str, way: str) -> None:
    keys, query = spread(20_000, 8), unit(300, 8)  # 12 MB of bfloat16 similarities, 24 of float32
    found = searcher(keys, dtype, budget=1, way=way)
    expected = searcher(keys, dtype, budget=64, way=way).search(query, 10)
    first = found.search(query, 10)
    space = found.on_cpu.workspace.space
    assert (1 << 20) / 4 < len(space) <= 1 << 20
    again = found.search(query, 10)
    assert found.on_cpu.workspace.space is space
    for a, b, c in zip(expected, first, again, strict=True):
        assert torch.equal(a, b) and torch.equal(b, c)


def test_ties_stay_within_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """All slots are ties, so queries are searched in ever smaller blocks, of at least one query."""
    held, plain = [], threshold.pair_products

    def counting(query, keys, queries, slots):  # type: ignore[no-untyped-def]
        held.append((len(query), len(slots)))
        return plain(query, keys, queries, slots)

    monkeypatch.setattr(threshold, "pair_products", counting)
    keys = unit(1, 8).expand(5000, 8).contiguous()
    _, slots = searcher(keys, "float32", budget=1).search(unit(11, 8), 3)
    assert slots.tolist() == [[0, 1, 2]] * 11
    assert sum(rows for rows, _ in held) == 11
    assert all(rows == 1 or pairs * NOTED <= 1 << 20 for rows, pairs in held)


@pytest.mark.parametrize(("way", "size"), [("threshold", 8192 * 5), ("selection", 27_500 * 4)])
def test_one_row_is_held_even_beyond_the_budget(way: str, size: int) -> None:
    found = searcher(spread(20_000, 2), "float32", budget=1, way=way)
    found.on_cpu.budget = 1
    found.search(unit(3, 2), 1)
    assert len(found.on_cpu.workspace.space) == pytest.approx(size, rel=0.01)


def test_copies_leave_the_scratch_space_behind() -> None:
    keys, query = spread(2000, 8), unit(3, 8)
    found = searcher(keys, "bfloat16")
    found.search(query, 4)
    other = copy.deepcopy(found)
    assert len(other.on_cpu.workspace.space) == 0
    assert torch.equal(other.search(query, 4)[1], found.search(query, 4)[1])


def test_budget_must_be_positive() -> None:
    with pytest.raises(ValueError, match="budget must be at least 1 MiB"):
        ExactSearch(budget_mb=0)


def test_unknown_type_is_refused() -> None:
    with pytest.raises(ValueError, match="'int8' is not one of auto, float32, bfloat16, float16"):
        ExactSearch("int8")


# --- Batches and threads ----------------------------------------------------------------------


@pytest.mark.parametrize("device", DEVICES)
def test_similarity_does_not_depend_on_the_batch(device: str) -> None:
    values = torch.zeros(1500, dtype=torch.int64, device=device)
    for dim in (1, 7, 64, 129):
        keys, query = spread(1500, dim).to(device), unit(33, dim).to(device)
        found = searcher(keys, "bfloat16", values)
        similarity, slots = found.search(query, 12)
        for rows in [slice(0, 1), slice(5, 8), slice(30, 33)]:
            alone, alone_slots = found.search(query[rows], 12)
            assert torch.equal(alone, similarity[rows]) and torch.equal(alone_slots, slots[rows])


def test_threads_change_nothing() -> None:
    keys, query = clustered(4000, 16), unit(200, 16)
    threads, found = torch.get_num_threads(), []
    try:
        for number in (1, 3):
            torch.set_num_threads(number)
            found.append(searcher(keys, "bfloat16").search(query, 50))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(found[0][0], found[1][0]) and torch.equal(found[0][1], found[1][1])


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=2, max_size=20), st.data())
def test_the_best_are_ordered_by_similarity_then_by_lower_slot(
    numbers: list[float], data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, len(numbers)))
    order = data.draw(st.permutations(range(len(numbers))))
    similarity = torch.tensor([[numbers[slot] for slot in order]])
    for similarities, slots in (
        selection.best(similarity, torch.tensor([order]), k),
        threshold.best(similarity[0], np.zeros(len(order), dtype=int), np.array(order), 1, k),
    ):
        expected = sorted(order, key=lambda slot: (-numbers[slot], slot))[:k]
        assert similarities[0].tolist() == [numbers[slot] for slot in expected]
        found = [slot if numbers[slot] != -np.inf else -1 for slot in expected]
        assert slots[0].tolist() == found


@pytest.mark.parametrize("device", DEVICES)
def test_every_device_finds_the_nearest(device: str) -> None:
    for dtype, make in product(DTYPES, KEYS):
        keys = make(3000, 16)
        query = torch.cat([keys[:5], unit(5, 16)])
        values = torch.zeros(len(keys), dtype=torch.int64, device=device)
        similarity, slots = searcher(keys.to(device), dtype, values).search(query.to(device), 30)
        assert_brute_force(query, keys, similarity.cpu(), slots.cpu())
