"""Exact search for few queries: sketches bound similarities, and nothing is missed."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fairseq_plugins.memory.search import sketches
from fairseq_plugins.memory.search.exact import ExactSearch
from fairseq_plugins.memory.search.sketches import Sketches

DIM, K = 64, 8
DTYPES = [torch.float32, torch.bfloat16, torch.float16]


def similar(size: int, seed: int = 1) -> Tensor:
    """Return unit keys that differ mostly in few directions, as those of sentences do."""
    numbers = torch.Generator().manual_seed(seed)
    scale = torch.linspace(0, -3, DIM).exp() ** 2
    return F.normalize(torch.randn(size, DIM, generator=numbers) * scale + 0.1, dim=1)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let few slots have sketches, in small blocks."""
    for name, value in {"LEAST": 200, "BLOCK": 8, "LANES": 4}.items():
        monkeypatch.setattr(sketches, name, value)


def assert_found_as_without_sketches(search: ExactSearch, keys: Tensor, values: Tensor) -> None:
    plain, query = ExactSearch("float32"), torch.cat([similar(3, seed=2), keys[:2]])
    plain.of_few.most = 0
    plain.update(keys, values)
    for found, expected in zip(search.search(query, K), plain.search(query, K), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@given(st.integers(1, 1000))
@settings(max_examples=20)
def test_a_bound_is_never_below_the_similarity(dtype: torch.dtype, seed: int) -> None:
    keys = similar(100, seed)
    query = torch.cat([keys[:5], -keys[:2], F.normalize(torch.randn(5, DIM), dim=1)])
    made = Sketches(keys, len(keys), dtype)
    bounds = made.bounds(query)[:, : len(keys)].double()
    assert (bounds + made.error() >= query.double() @ keys.double().t()).all()


@pytest.mark.usefixtures("few")
@given(st.lists(st.tuples(st.sampled_from(["fill", "empty", "grow"]), st.integers(0, 400))))
@settings(max_examples=20)
def test_after_any_changes_nothing_is_missed(changes: list[tuple[str, int]]) -> None:
    keys, values = similar(500), torch.zeros(500, dtype=torch.int64)
    search = ExactSearch("bfloat16")
    search.update(keys, values)
    assert search.of_few.search(keys[:5], K) is not None
    assert_found_as_without_sketches(search, keys, values)
    for number, (change, slot) in enumerate(changes):
        changed = torch.arange(slot, slot + 50)
        if change == "fill":
            keys[changed], values[changed] = similar(50, number), 0
        elif change == "empty":
            keys[changed], values[changed] = 0.0, -1
        else:
            keys, values = F.pad(keys, (0, 0, 0, 9)), F.pad(values, (0, 9), value=-1)
        search.update(keys, values, changed)
        if slot % 3 == 0:
            assert_found_as_without_sketches(search, keys, values)


@pytest.mark.usefixtures("few")
def test_a_new_key_changes_its_own_sketch_only(monkeypatch: pytest.MonkeyPatch) -> None:
    keys, values = similar(500), torch.zeros(500, dtype=torch.int64)
    search = ExactSearch("bfloat16")
    search.update(keys, values)
    search.search(keys[:1], K)
    monkeypatch.setattr(Sketches, "__init__", None)
    keys[7] = similar(1, seed=5)
    search.update(keys, values, torch.tensor([7]))
    assert search.search(keys[7:8], 1)[1].tolist() == [[7]]


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("keys", [
    F.normalize(torch.randn(500, DIM, generator=torch.Generator().manual_seed(1)), dim=1),
    similar(1).expand(500, DIM).contiguous(),
], ids=["in all directions", "identical"])  # fmt: skip
def test_keys_that_sketches_do_not_tell_apart_are_compared_in_full(keys: Tensor) -> None:
    search, values = ExactSearch("bfloat16"), torch.zeros(500, dtype=torch.int64)
    search.update(keys, values)
    assert search.of_few.search(keys[:2], K) is None
    assert_found_as_without_sketches(search, keys, values)
