"""The data preparation programs as users run them: results, restarts, and errors."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fairseq.data import Dictionary, indexed_dataset

from data_prep.core.program import DataError
from data_prep.text.binarize import run_fairseq_preprocess
from tests.programs import kill_module, module, module_on_full_disk

pytestmark = pytest.mark.integration

PARTS = {"train": 400, "valid": 20, "test": 20}


def run(name: str, *arguments: object) -> tuple[int, str]:
    """Run a program; return its exit status and what it wrote to stderr."""
    done = module(f"data_prep.{name}", *arguments)
    return done.returncode, done.stderr


def parallel_arguments(corpus: Path, out: Path) -> list[object]:
    parts = [item for part in PARTS for item in (f"--{part}", corpus / part)]
    return [*parts, "--source-lang=en", "--target-lang=de", "--out", out, "--vocab-size=120"]


def write_corpus(folder: Path) -> Path:
    """Write a small corpus in which every line is another one."""
    folder.mkdir()
    things = [("dog", "Hund"), ("tree", "Baum"), ("ship", "Schiff"), ("town", "Ort")]
    for start_number, (part, lines) in enumerate(PARTS.items()):
        numbers = [1000 * start_number + n for n in range(lines)]
        pairs = [(f"{things[n % 4][0]} {n} .", f"{things[n % 4][1]} {n} .") for n in numbers]
        for language, side in zip(("en", "de"), zip(*pairs, strict=True), strict=True):
            (folder / f"{part}.{language}").write_text("\n".join(side) + "\n", "utf-8")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def load(data_bin: Path, part: str, pair: str, language: str) -> list[list[int]]:
    dataset = indexed_dataset.make_dataset(str(data_bin / f"{part}.{pair}.{language}"), "mmap")
    return [dataset[i].tolist() for i in range(len(dataset))]


def tokens(dictionary: Dictionary, row: list[int]) -> list[str]:
    """Return a line's tokens, without the end-of-sentence mark."""
    return [dictionary[i] for i in row if i != dictionary.eos()]


def assert_one_line_error(status: int, errors: str, *fragments: str) -> None:
    assert status == 1
    assert "Traceback" not in errors
    lines = [line for line in errors.splitlines() if "| ERROR |" in line]
    assert len(lines) == 1
    for fragment in fragments:
        assert fragment in lines[0]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a corpus and what an undisturbed run makes of it."""
    folder = tmp_path_factory.mktemp("parallel")
    corpus, out = write_corpus(folder / "corpus"), folder / "out"
    status, errors = run("parallel", *parallel_arguments(corpus, out))
    assert status == 0, errors
    return corpus, out


def test_binary_data_decode_to_the_text(prepared: tuple[Path, Path]) -> None:
    out = prepared[1]
    for language in ("en", "de"):
        dictionary = Dictionary.load(str(out / "data-bin" / f"dict.{language}.txt"))
        for part in PARTS:
            rows = load(out / "data-bin", part, "en-de", language)
            text = (out / "text" / f"{part}.{language}").read_text("utf-8").splitlines()
            joined = ["".join(tokens(dictionary, row)) for row in rows]
            assert [line.replace("\u2581", " ").strip() for line in joined] == text


def test_multi30k_is_prepared_whole(rare_data: Path, tmp_path: Path) -> None:
    source = rare_data / "multi30k_en_de"
    status, errors = run("multi30k", "--source", source, "--out", tmp_path, "--variant=raw")
    assert status == 0, errors
    assert "train: 29,000 of 29,000 pairs kept" in errors
    assert "29000 sents" in errors


def test_both_dictionaries_are_the_same(prepared: tuple[Path, Path]) -> None:
    data_bin = prepared[1] / "data-bin"
    assert (data_bin / "dict.en.txt").read_bytes() == (data_bin / "dict.de.txt").read_bytes()


def test_second_run_does_nothing(prepared: tuple[Path, Path]) -> None:
    corpus, out = prepared
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.*") if path.name != ".lock"}
    status, errors = run("parallel", *parallel_arguments(corpus, out))
    assert status == 0
    assert errors.count("up to date") == 4
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_killed_run_goes_on_to_the_same_result(prepared: tuple[Path, Path], tmp_path: Path) -> None:
    corpus, undisturbed = prepared
    out = tmp_path / "out"
    arguments = parallel_arguments(corpus, out)
    kill_module("fairseq_cli.preprocess", "data_prep.parallel", *arguments)  # in the last stage
    assert list(out.glob(".unfinished-*/dict.txt")) and not (out / "data-bin").exists()

    status, errors = run("parallel", *arguments)
    assert status == 0
    assert errors.count("up to date") == 3
    assert contents(out / "data-bin") == contents(undisturbed / "data-bin")
    assert not list(out.glob(".unfinished-*"))


def break_alignment(corpus: Path) -> list[str]:
    with (corpus / "train.de").open("a") as file:
        file.write("noch eine\n")
    return ["train.en has 400 lines", "train.de has 401"]


def break_encoding(corpus: Path) -> list[str]:
    lines = (corpus / "train.de").read_bytes().split(b"\n")
    lines[6] = b"sch\xf6n"
    (corpus / "train.de").write_bytes(b"\n".join(lines))
    return ["train.de, line 7: not UTF-8"]


def empty_a_file(corpus: Path) -> list[str]:
    (corpus / "valid.en").write_text("")
    return ["valid.en: empty file"]


def remove_a_file(corpus: Path) -> list[str]:
    (corpus / "test.de").unlink()
    return ["test.de: no such file"]


def pack_half(corpus: Path) -> list[str]:
    (corpus / "test.de").unlink()
    (corpus / "test.de.gz").write_bytes(b"\x1f\x8b\x08\x00")
    return ["test.de.gz: damaged gzip file"]


@pytest.mark.parametrize(
    "damage", [break_alignment, break_encoding, empty_a_file, remove_a_file, pack_half]
)
def test_bad_input_is_one_line_and_leaves_nothing(
    tmp_path: Path, damage: Callable[[Path], list[str]]
) -> None:
    corpus, out = write_corpus(tmp_path / "corpus"), tmp_path / "out"
    fragments = damage(corpus)
    status, errors = run("parallel", *parallel_arguments(corpus, out))
    assert_one_line_error(status, errors, *fragments)
    assert [name for name in contents(tmp_path) if name.startswith("out/")] in ([], ["out/.lock"])


def test_refused_write_is_one_line_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    corpus, out = write_corpus(tmp_path / "corpus"), tmp_path / "out"
    done = module_on_full_disk(4096, "data_prep.parallel", *parallel_arguments(corpus, out))
    assert_one_line_error(done.returncode, done.stderr, "File too large, in stage 'clean'")
    assert list(contents(out)) == [".lock"]


def test_failure_of_fairseq_preprocess_is_reported(
    prepared: tuple[Path, Path], tmp_path: Path
) -> None:
    dictionary = prepared[1] / "data-bin" / "dict.en.txt"
    missing = tmp_path / "missing"
    with pytest.raises(DataError, match=r"fairseq-preprocess failed with status 1: .*missing\.en"):
        run_fairseq_preprocess(
            tmp_path / "out", ("en", "de"), (dictionary, dictionary), missing, missing, [missing]
        )


def test_long_line_is_dropped_from_training_and_kept_in_test(tmp_path: Path) -> None:
    corpus, out = write_corpus(tmp_path / "corpus"), tmp_path / "out"
    for part in ("train", "test"):
        for language in ("en", "de"):
            with (corpus / f"{part}.{language}").open("a") as file:
                file.write("x" * 100_000 + "\n")
    status, errors = run("parallel", *parallel_arguments(corpus, out))
    assert status == 0, errors
    assert "train: 400 of 401 pairs kept" in errors
    assert "kept, but suspicious: 1 too long" in errors
    assert "test.de: 21 sents" in errors
    assert len(load(out / "data-bin", "test", "en-de", "de")) == PARTS["test"] + 1


def test_toy_corpus_has_no_unknown_words(tmp_path: Path) -> None:
    sizes = ["--train=300", "--valid=20", "--test=30", "--held-out=10"]
    status, errors = run("toy_corpus", "--out", tmp_path, *sizes)
    assert status == 0, errors
    data_bin = tmp_path / "data-bin"
    for language in ("xx", "yy"):
        dictionary = Dictionary.load(str(data_bin / f"dict.{language}.txt"))
        for part, name in {"train": "train", "test1": "teach", "test2": "recall"}.items():
            rows = load(data_bin, part, "xx-yy", language)
            assert not any(dictionary.unk() in row for row in rows)
            text = (tmp_path / "raw" / f"{name}.{language}").read_text("utf-8").splitlines()
            assert [" ".join(tokens(dictionary, row)) for row in rows] == text


def test_multi30k_without_its_files_is_one_line(tmp_path: Path) -> None:
    status, errors = run("multi30k", "--source", tmp_path, "--out", tmp_path / "out")
    assert_one_line_error(status, errors, "train.lc.norm.tok.en: no such file")
    assert not (tmp_path / "out").exists()
