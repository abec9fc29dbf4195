"""The verbs on translator folders, as people and programs use them."""

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from fairseq_plugins.cli.__main__ import main
from fairseq_plugins.errors import InputError
from tests.tiny_translator import make_parts

CAT = ("The cat sleeps.", "Die Katze schläft.")


@pytest.fixture(autouse=True)
def tests_log_as_they_like(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave logging and signals of this process as they are."""
    monkeypatch.setattr("fairseq_plugins.program.start", lambda: None)


class Program:
    """Runs verbs on a folder."""

    def __init__(self, folder: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.capsys, self.monkeypatch = folder, capsys, monkeypatch

    def __call__(self, verb: str, *arguments: object, stdin: str = "") -> str:
        """Return its output for people."""
        self.capsys.readouterr()  # what others told
        typed = io.TextIOWrapper(io.BytesIO(stdin.encode()))
        self.monkeypatch.setattr("sys.stdin", typed)
        assert main([verb, str(self.folder), *map(str, arguments)]) == 0
        return self.capsys.readouterr().out

    def json(self, verb: str, *arguments: object, stdin: str = "") -> Any:
        """Return its output for programs."""
        return json.loads(self(verb, *arguments, "--json", stdin=stdin))


@pytest.fixture
def program(folder: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> Program:
    """On a translator that was taught nothing."""
    return Program(folder, capsys, monkeypatch)


def test_pack(tmp_path: Path, capsys: Any) -> None:
    """Pack reports what it created."""
    make_parts(tmp_path / "parts")
    parts = [tmp_path / "parts" / name for name in ("checkpoint.pt", "data", "spm.model")]
    options = [
        f"--{name}={part}" for name, part in zip(("path", "data", "spm"), parts, strict=True)
    ]
    assert main(["pack", str(tmp_path / "new"), *options]) == 0
    assert "translates en to de" in capsys.readouterr().out
    assert main(["lessons", str(tmp_path / "new")]) == 0


def test_a_life_of_lessons(program: Program) -> None:
    """Teach, use, show, edit and forget lessons, and undo all of it."""
    assert "now produce it by themselves" in program("teach", *CAT, "--origin", "me", "--note", "n")
    assert program("translate", stdin=f"{CAT[0]}\n\n {CAT[0]}") == f"{CAT[1]}\n\n {CAT[1]}\n"
    told = program("lessons", "--search", "CAT")
    assert "The cat sleeps.  ->  Die Katze schläft.  [me]\n1 of 1 lesson\n" in told
    assert "note      n" in program("show", 1)
    assert program.json("edit", 1, "--target", "Der Hund")["now"] == "Der Hund"
    told = program("forget", "--origin", "me")
    assert "1 lesson would be forgotten; add --yes" in told and "Der Hund  [me]" in told
    assert program.json("lessons")["total"] == 1
    assert program.json("forget", "--origin", "me", "--yes") == {"lessons": 1, "forgotten": True}
    assert program.json("lessons")["total"] == 0
    assert "forget: The cat sleeps." in program("undo")
    assert program.json("undo")["kind"] == "edit"
    assert program("translate", stdin=CAT[0]) == f"{CAT[1]}\n"
    assert [change["kind"] for change in program.json("history")] == [
        "undo", "undo", "forget", "edit", "teach",
    ]  # fmt: skip
    assert "(undone)" in program("history")
    assert "1 of 1 lesson takes effect; no older one is contradicted" in program("check")


def test_nothing_is_left_open(program: Program) -> None:
    """SQLite's files beside the journal are gone, so the folder can be copied."""
    program("teach", *CAT)
    for verb in (["lessons"], ["show", 1], ["history"], ["forget", 1], ["undo"]):
        program(*verb)
        assert [path.name for path in program.folder.glob("lessons.db*")] == ["lessons.db"], verb


def test_terms_and_pairs_of_standard_input(program: Program) -> None:
    """Lessons are reported one by one, with contradictions."""
    told = program("teach", "--term", "cat=Katze", "--term", "dog = Hund", "--origin", "animals")
    assert "lesson 1: cat  ->  Katze" in told and "lesson 2: dog  ->  Hund" in told
    told = program("teach", stdin="cat\tKater\n")
    assert "contradicts the older lesson 1, 'Katze'; this one applies" in told
    assert "lesson 1 (older): Katze" in program("show", 3)
    assert [one["id"] for one in program.json("show", 1)["beside"]] == [3]
    for line in ("nothing", "dog\tHund\tsure"):
        with pytest.raises(InputError, match="standard input, line 2: needs one tab"):
            program("teach", stdin=f"the\tdie\n{line}\n")
    assert program.json("lessons")["total"] == 4, "what precedes the fault is taught"


def test_files_there_and_back(program: Program, tmp_path: Path) -> None:
    """Export and import agree, and report what they did."""
    path = tmp_path / "terms.csv"
    path.write_text("en,de,note\ncat,Katze,x\ncat,Katze,x\ndog,,\n")
    told = program("import", path)
    assert "3 read, 1 taught, 1 already known, 1 skipped" in told
    assert "line 4: lacks a source or a target" in told
    assert "1 lesson\n" in program("export", tmp_path / "out.tmx")
    assert program.json("import", tmp_path / "out.tmx")["known"] == 1
    with pytest.raises(InputError, match="its format is not known"):
        program("export", tmp_path / "out.docx")


def test_why(program: Program) -> None:
    """Evidence is shown below the translation, and for programs."""
    program("teach", *CAT)
    told = program("explain", CAT[0])
    assert told.startswith(f"{CAT[1]}\n") and "\x1b" not in told
    assert "'Katze' in lesson 1: The cat sleeps.  ->  Die Katze schläft." in told
    words = program.json("explain", CAT[0], "--no-exact")["words"]
    assert words[1]["evidence"][0]["lesson"] == 1
    lines = program("translate", "--explain", stdin=f"{CAT[0]}\n").splitlines()
    assert lines[0] == CAT[1] and lines[1].startswith("  Die: 100% probable")


def test_why_as_a_page(program: Program, tmp_path: Path) -> None:
    """The page is written, and its place told."""
    program("teach", *CAT)
    path = tmp_path / "why.html"
    assert program("explain", CAT[0], "--html", path) == f"{CAT[1]}\nWrote {path}\n"
    assert "<mark>Katze</mark>" in path.read_text()


def test_near_lessons(program: Program) -> None:
    """Similar lessons are shown with the differences marked."""
    program("teach", *CAT)
    told = program("translate", "--fuzzy", 0.6, stdin="The dog sleeps.")
    assert "75% similar to lesson 1: The [+dog] [-cat] sleeps." in told
    found = program.json("translate", "--fuzzy", 0.6, stdin="The dog sleeps.")
    assert found["match"] == "fuzzy" and found["near"][0]["lesson"]["id"] == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["teach", "only a source"],
        ["teach", "--term", "no equals sign"],
        ["edit", "1"],
        ["forget"],
        ["forget", "1", "--origin", "x"],
        ["forget", "--search", "", "--yes"],
        ["show", "0"],
    ],
    ids=" ".join,
)
def test_usage_errors(folder: Path, arguments: list[str]) -> None:
    """The exit code is 2, before anything is opened."""
    with pytest.raises(SystemExit) as ended:
        main([arguments[0], str(folder), *arguments[1:]])
    assert ended.value.code == 2


@pytest.mark.parametrize("verb", [["lessons"], ["translate"], ["undo"], ["check"]], ids=str)
def test_what_is_no_translator_folder(tmp_path: Path, verb: list[str]) -> None:
    """One line names the folder and the remedy."""
    with pytest.raises(InputError, match=r"is not a translator folder.*fairseq-memory pack"):
        main([verb[0], str(tmp_path), *verb[1:]])


@pytest.mark.parametrize(
    "arguments", [["explain"], ["teach", "x"], ["lessons", "--search"]], ids=" ".join
)
def test_arguments_that_are_not_utf8(program: Program, arguments: list[str]) -> None:
    """They come to Python with surrogates."""
    argument = os.fsdecode("schläft".encode("latin-1"))
    if arguments[0] == "lessons":
        assert program(*arguments, argument) == "0 of 0 lessons\n"
        return
    with pytest.raises(InputError, match="contains bytes that are not UTF-8"):
        program(*arguments, argument)


def test_an_id_that_is_given_twice_is_one_lesson(program: Program) -> None:
    program("teach", *CAT)
    assert program("forget", 1, 1) == "1 lesson forgotten\n"


def test_text_that_is_not_utf8(folder: Path, tmp_path: Path) -> None:
    """The message names the line."""
    path = tmp_path / "latin.txt"
    path.write_bytes("gut\nschläft\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"latin\.txt, line 2: not UTF-8"):
        main(["translate", str(folder), str(path)])
