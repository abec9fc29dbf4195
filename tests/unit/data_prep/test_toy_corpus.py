"""The toy corpus: reproducible, without leaks, and with names of every frequency in its test."""

from collections import Counter
from pathlib import Path

import pytest

from data_prep.core.program import DataError
from data_prep.toy.corpus import BUCKETS, Sizes, Writer, make_corpus
from data_prep.toy.language import names_in
from data_prep.toy.lexicon import Lexicon
from data_prep.toy_corpus import PARTS, write_corpus

SIZES = Sizes(train=3000, valid=50, test=120, held_out=20)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("toy")
    write_corpus(path, seed=1, sizes=SIZES)
    return path


def lines(folder: Path, name: str) -> list[str]:
    return (folder / "raw" / name).read_text("utf-8").splitlines()


def table(path: Path) -> list[dict[str, str]]:
    header, *rows = (line.split("\t") for line in path.read_text("utf-8").splitlines())
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_sizes_are_as_asked(folder: Path) -> None:
    expected = [SIZES.train, SIZES.valid, SIZES.test, SIZES.held_out, SIZES.held_out]
    for language in ("xx", "yy"):
        assert [len(lines(folder, f"{part}.{language}")) for part in PARTS] == expected


def test_same_seed_gives_the_same_files(folder: Path, tmp_path: Path) -> None:
    write_corpus(tmp_path, seed=1, sizes=SIZES)
    for path in folder.rglob("*.*"):
        assert path.read_bytes() == (tmp_path / path.relative_to(folder)).read_bytes()


def test_another_seed_gives_another_language(folder: Path, tmp_path: Path) -> None:
    write_corpus(tmp_path, seed=2, sizes=SIZES)
    words = [set(" ".join(lines(path, "train.yy")).split()) for path in (folder, tmp_path)]
    assert len(words[0] & words[1]) < 0.1 * len(words[0])


def test_no_sentence_occurs_twice(folder: Path) -> None:
    sentences = [line for part in PARTS for line in lines(folder, f"{part}.xx")]
    assert len(set(sentences)) == len(sentences)


def test_held_out_names_occur_nowhere_but_in_their_two_sentences(folder: Path) -> None:
    pairs = table(folder / "held_out_pairs.tsv")
    assert len(pairs) == SIZES.held_out
    seen = Counter(
        w for part in PARTS for line in lines(folder, f"{part}.yy") for w in line.split()
    )
    for pair in pairs:
        assert seen[pair["name_yy"]] == 2
        for part in ("teach", "recall"):
            assert pair["name_xx"] in pair[f"{part}_xx"].split()
            assert pair["name_yy"] in pair[f"{part}_yy"].split()


def test_held_out_pairs_are_the_lines_of_teach_and_recall(folder: Path) -> None:
    pairs = table(folder / "held_out_pairs.tsv")
    for column in ("teach_xx", "teach_yy", "recall_xx", "recall_yy"):
        assert [pair[column] for pair in pairs] == lines(folder, column.replace("_", "."))


def test_lexicon_counts_are_those_of_the_training_text(folder: Path) -> None:
    counts = Counter(word for line in lines(folder, "train.yy") for word in line.split())
    for entry in table(folder / "lexicon.tsv"):
        assert int(entry["train_count"]) == counts[entry["yy"]]


def test_names_have_a_long_tail(folder: Path) -> None:
    kinds = ("person", "place", "product")
    counts = [int(e["train_count"]) for e in table(folder / "lexicon.tsv") if e["kind"] in kinds]
    assert max(counts) > 100
    assert counts.count(1) > 200


def test_test_text_has_names_of_every_frequency(folder: Path) -> None:
    entries = {entry["yy"]: entry for entry in table(folder / "lexicon.tsv")}
    tested = [
        int(entries[word]["train_count"])
        for line in lines(folder, "test.yy")[SIZES.test // 2 :]
        for word in line.split()
        if word[0].isupper()
    ]
    for low, high in BUCKETS:
        assert sum(low <= count <= high for count in tested) >= SIZES.test // 2 // len(BUCKETS)


def writer() -> Writer:
    return Writer(3, Lexicon(3))


def test_tiny_corpus_is_possible() -> None:
    corpus, held_out = make_corpus(writer(), Sizes(train=5, valid=1, test=4, held_out=2))
    assert [len(corpus[part]) for part in PARTS] == [5, 1, 4, 2, 2]
    assert len(held_out) == 2


def test_no_held_out_name_is_drawn_elsewhere_even_if_there_are_many() -> None:
    corpus, held_out = make_corpus(writer(), Sizes(train=500, valid=200, held_out=2500))
    for part in ("train", "valid", "test"):
        assert not set(held_out) & {name for clause in corpus[part] for name in names_in(clause)}


def test_more_names_to_teach_than_there_are_is_an_error() -> None:
    with pytest.raises(DataError, match=r"--held-out 5000: only \d+ names never occur"):
        make_corpus(writer(), Sizes(train=5, valid=1, test=4, held_out=5000))


def test_a_language_without_further_sentences_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mute = writer()
    only = mute.sentence(mute.zipf())
    monkeypatch.setattr(mute.speaker, "sentence", lambda draw_name: only)
    with pytest.raises(DataError, match=r"after 1 sentences, .* give no new one"):
        mute.sentence(mute.zipf())
