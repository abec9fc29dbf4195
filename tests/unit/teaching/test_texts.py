"""The texts of corpora that filled a memory."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from fairseq_plugins.checkpoints.corpora import LINES, corpora_of
from fairseq_plugins.checkpoints.files import read_checkpoint
from fairseq_plugins.errors import InputError
from fairseq_plugins.memory.state import memory_buffers
from fairseq_plugins.teaching.filled import Filling, fill_checkpoint
from fairseq_plugins.teaching.texts import Texts, texts_beside, write_texts

SLOTS = 150  # hold the second corpus and a part of the first


@pytest.mark.parametrize(
    ("filling", "name"),
    [
        (Filling(Path("/a/medical/data-bin")), "medical/data-bin"),
        (Filling(Path("/a/b/c:/a/b/d"), split="valid"), "b/c (valid)"),
        (Filling(), "generated"),
        (Filling(Path("x"), origin="EMEA"), "EMEA"),
    ],
)
def test_a_corpus_is_named_by_its_path_unless_it_gets_a_name(filling: Filling, name: str) -> None:
    assert filling.corpus == name


def origins_of(path: Path) -> torch.Tensor:
    """Return the distinct origins in the memory of a checkpoint."""
    weights = read_checkpoint(path)["model"]
    (names,) = memory_buffers(weights)
    return weights[names["origins"]][weights[names["values"]] >= 0].unique()


def lines_of(trained: Any, split: str) -> list[tuple[str, str]]:
    sides = [(trained.text / f"{split}.{side}").read_text().splitlines() for side in ("xx", "yy")]
    return list(zip(*sides, strict=True))


def kept(path: Path) -> dict[int, tuple[str, str]]:
    """Return the texts that belong to a checkpoint."""
    texts = Texts(path, corpora_of(read_checkpoint(path)).texts)
    rows = {origin: (source, target) for origin, source, target in texts.rows()}
    texts.close()
    return rows


@pytest.fixture(scope="module")
def first(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkpoint filled with the test text, which it has kept."""
    path = tmp_path_factory.mktemp("filled") / "first.pt"
    filling = Filling(trained.data, "test", memory_size=2000, origin="A", keep_text=True)
    fill_checkpoint(trained.last, path, replace(filling, clear=True))
    return path


def test_every_slot_knows_its_line_and_the_text_of_it(first: Path, trained: Any) -> None:
    lines, rows = lines_of(trained, "test"), kept(first)
    assert set(origins_of(first).tolist()) == set(rows)
    for origin, pair in rows.items():
        assert pair == lines[origin - LINES]
    weights = read_checkpoint(first)["model"]
    (names,) = memory_buffers(weights)
    values, origins = weights[names["values"]], weights[names["origins"]]
    words = (trained.data / "dict.yy.txt").read_text().splitlines()
    for value, origin in zip(values.tolist(), origins.tolist(), strict=True):
        if value > 3:  # not the end
            assert words[value - 4].split()[0] in rows[origin][1].split()


def test_another_corpus_is_added_and_only_what_is_remembered_is_kept(
    first: Path, trained: Any, tmp_path: Path
) -> None:
    second = tmp_path / "second.pt"
    filling = Filling(trained.data, "valid", memory_size=SLOTS, origin="B", keep_text=True)
    fill_checkpoint(first, second, filling)
    assert corpora_of(read_checkpoint(second)).names == ["A", "B"]
    rows, both = kept(second), (lines_of(trained, "test"), lines_of(trained, "valid"))
    assert set(origins_of(second).tolist()) == set(rows) and len(rows) < len(both[0] + both[1])
    assert {origin // LINES for origin in rows} == {1, 2}, "this test needs both"
    for origin, pair in rows.items():
        corpus, line = divmod(origin, LINES)
        assert pair == both[corpus - 1][line]


def test_texts_stay_with_what_was_not_asked_to_keep_more(
    first: Path, trained: Any, tmp_path: Path
) -> None:
    """Calibrating in place loses nothing; another corpus is remembered without its text."""
    path = Path(shutil.copy(first, tmp_path / "x.pt"))
    shutil.copy(texts_beside(first), texts_beside(path))
    fill_checkpoint(path, path, Filling(trained.data, epochs=0, calibrate="valid"))
    assert kept(path) == kept(first)
    fill_checkpoint(path, path, Filling(trained.data, "valid"))
    assert set(kept(path)) == {one for one in origins_of(path).tolist() if one < 2 * LINES}
    fill_checkpoint(path, path, Filling(trained.data, "valid", clear=True))
    assert corpora_of(read_checkpoint(path)).names == [Filling(trained.data, "valid").corpus]
    assert not texts_beside(path).exists()


def test_shards_are_counted_together(trained: Any, tmp_path: Path) -> None:
    shard = tmp_path / "shard"
    shard.mkdir()
    for file in trained.data.iterdir():
        name = file.name.replace("valid.", "train.")
        if not file.name.startswith(("train.", "test.")):
            shutil.copy(file, shard / name)
    output = tmp_path / "filled.pt"
    data = Path(f"{trained.data}:{shard}")
    filling = Filling(data, memory_size=50_000, clear=True, keep_text=True)
    fill_checkpoint(trained.last, output, filling)
    lines = lines_of(trained, "train") + lines_of(trained, "valid")
    rows = kept(output)
    assert max(rows) - LINES > len(lines_of(trained, "train"))
    assert all(pair == lines[origin - LINES] for origin, pair in rows.items())


def test_texts_of_another_checkpoint_are_ignored(first: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    digest = write_texts(path, [(LINES, "a b", "c d")])
    right, wrong = Texts(path, digest), Texts(path, corpora_of(read_checkpoint(first)).texts)
    assert right and right.pieces(LINES) == ("a b", "c d") and right.pieces(5) is None
    assert not wrong and wrong.pieces(LINES) is None and not Texts(path, "")
    right.close()


def test_damaged_texts_are_told_in_one_line(tmp_path: Path) -> None:
    texts_beside(tmp_path / "x.pt").write_bytes(b"nothing" * 1000)
    with pytest.raises(InputError, match=r"x\.texts\.db: is damaged.*remove it"):
        Texts(tmp_path / "x.pt", "some digest")
