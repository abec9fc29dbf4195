"""Corpora of a memory are numbered and named, and found again in checkpoints and snapshots."""

from pathlib import Path
from typing import Any

import pytest

from fairseq_plugins.checkpoints.corpora import LINES, Corpora, corpora_of
from fairseq_plugins.checkpoints.files import read_checkpoint, write_checkpoint
from fairseq_plugins.checkpoints.memories import MemoryOfCheckpoint


def test_corpora_are_numbered_and_named() -> None:
    corpora = Corpora()
    assert [corpora.origin(name) for name in ("news", "law", "news")] == [
        LINES, 2 * LINES, LINES,
    ]  # fmt: skip
    assert corpora.describe(2 * LINES + 41) == "law, line 42"
    assert corpora.describe(7 * LINES) == "corpus, line 1", "its name was lost in training"
    assert corpora.describe(4) == "corpus, line 5", "as older versions numbered them"
    assert corpora.describe(-1) == "corpus"


@pytest.mark.parametrize(
    "damaged", [None, [], {}, {"names": "news"}, {"names": [1], "texts": ""}, {"names": ["news"]}]
)
def test_what_does_not_name_corpora_names_none(damaged: object) -> None:
    assert Corpora.of({"corpora": damaged}) == Corpora() == corpora_of({})


def test_a_snapshot_takes_the_names_along(trained: Any, tmp_path: Path) -> None:
    """In another checkpoint, its slots must not be named after the corpora that were there."""
    paths = [tmp_path / f"{name}.pt" for name in ("news", "law")]
    for path in paths:
        state = read_checkpoint(trained.last)
        Corpora([path.stem], "digest").save(state)
        write_checkpoint(state, path)
    MemoryOfCheckpoint(paths[0]).save(tmp_path / "memory.safetensors")
    output = tmp_path / "output.pt"
    MemoryOfCheckpoint(paths[1]).restore(tmp_path / "memory.safetensors", output)
    assert corpora_of(read_checkpoint(output)) == Corpora(["news"], "digest")
