"""Stages are run completely or not at all, once, and again when their inputs change."""

import errno
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from data_prep.core.program import DataError
from data_prep.core.stages import Stage, Workspace


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.txt"
    path.write_text("first")
    return path


@pytest.fixture
def made() -> list[str]:
    """Return names of the stages that were made, in order."""
    return []


def copy_stage(made: list[str], name: str, source: Path, output: str, **options: int) -> Stage:
    """Return a stage that copies a file into a folder."""

    def make(folder: Path) -> None:
        made.append(name)
        (folder / output).mkdir()
        (folder / output / "copy").write_text(source.read_text())

    return Stage(name, options, [source], [output], make)


def run(out: Path, *stages: Callable[[], Stage]) -> None:
    with Workspace(out) as workspace:
        for stage in stages:
            workspace.run(stage())


def chain(out: Path, source: Path, made: list[str], **options: int) -> None:
    """Run two stages of which the second reads what the first makes."""
    run(
        out,
        lambda: copy_stage(made, "one", source, "a", **options),
        lambda: copy_stage(made, "two", out / "a" / "copy", "b"),
    )


def test_finished_stages_are_skipped(tmp_path: Path, source: Path, made: list[str]) -> None:
    chain(tmp_path / "out", source, made)
    chain(tmp_path / "out", source, made)
    assert made == ["one", "two"]


def test_changed_input_remakes_what_depends_on_it(
    tmp_path: Path, source: Path, made: list[str]
) -> None:
    chain(tmp_path / "out", source, made)
    source.write_text("second")
    chain(tmp_path / "out", source, made)
    assert made == ["one", "two"] * 2
    assert (tmp_path / "out" / "b" / "copy").read_text() == "second"


def test_changed_option_with_the_same_result_stops_there(
    tmp_path: Path, source: Path, made: list[str]
) -> None:
    chain(tmp_path / "out", source, made)
    chain(tmp_path / "out", source, made, option=1)
    assert made == ["one", "two", "one"]


def test_input_may_lie_in_the_workspace(tmp_path: Path, source: Path, made: list[str]) -> None:
    chain(tmp_path, source, made)
    chain(tmp_path, source, made)
    assert made == ["one", "two"]


@pytest.mark.parametrize("inside", [False, True])
def test_folders_of_the_users_are_never_replaced(
    tmp_path: Path, source: Path, made: list[str], inside: bool
) -> None:
    own = tmp_path / "a" / "corpus.txt"
    own.parent.mkdir()
    own.write_text("all my work")
    with pytest.raises(DataError, match=r"a: this program did not make it and does not replace it"):
        chain(tmp_path, own if inside else source, made)
    assert not made and own.read_text() == "all my work"


def test_not_even_in_a_folder_that_was_made_here(
    tmp_path: Path, source: Path, made: list[str]
) -> None:
    chain(tmp_path, source, made)
    own = tmp_path / "a" / "corpus.txt"
    own.write_text("all my work")
    with pytest.raises(DataError, match="does not replace it"):
        chain(tmp_path, own, made)
    assert own.read_text() == "all my work"


def test_nor_where_something_outdated_was_removed(
    tmp_path: Path, source: Path, made: list[str]
) -> None:
    chain(tmp_path, source, made)
    source.write_text("second")
    run(tmp_path, lambda: copy_stage(made, "one", source, "a"))  # "b" was made of the first
    (tmp_path / "b").write_text("all my work")
    with pytest.raises(DataError, match="b: this program did not make it"):
        chain(tmp_path, source, made)
    assert (tmp_path / "b").read_text() == "all my work"


def test_a_stage_may_read_what_was_added_after_it(
    tmp_path: Path, source: Path, made: list[str]
) -> None:
    def joined(*names: str) -> Callable[[], Stage]:
        inputs = [tmp_path / name / "copy" for name in names]

        def make(folder: Path) -> None:
            made.append("joined")
            (folder / "joined").write_text("".join(path.read_text() for path in inputs))

        return lambda: Stage("joined", {}, inputs, ["joined"], make)

    def last() -> Stage:
        return copy_stage(made, "last", tmp_path / "joined", "c")

    def extract(name: str) -> Callable[[], Stage]:
        return lambda: copy_stage(made, name, source, name)

    run(tmp_path, extract("a"), joined("a"), last)
    made.clear()
    run(tmp_path, extract("a"), extract("b"), joined("a", "b"), last)
    assert made == ["b", "joined", "last"]
    made.clear()
    run(tmp_path, extract("a"), extract("b"), joined("a", "b"), last)
    assert not made
    source.write_text("second")
    run(tmp_path, extract("a"))
    assert not (tmp_path / "joined").exists() and not (tmp_path / "c").exists()


def test_damaged_output_is_remade(tmp_path: Path, source: Path, made: list[str]) -> None:
    chain(tmp_path / "out", source, made)
    (tmp_path / "out" / "a" / "copy").write_text("meddled with")
    chain(tmp_path / "out", source, made)
    assert made == ["one", "two", "one"]
    assert (tmp_path / "out" / "a" / "copy").read_text() == "first"


def test_moved_workspace_is_still_up_to_date(tmp_path: Path, source: Path, made: list[str]) -> None:
    chain(tmp_path / "out", source, made)
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    chain(tmp_path / "elsewhere", source, made)
    assert made == ["one", "two"]


def test_failed_stage_leaves_the_old_outputs_and_no_parts(
    tmp_path: Path, source: Path, made: list[str]
) -> None:
    out = tmp_path / "out"
    chain(out, source, made)
    source.write_text("second")

    def fail(folder: Path) -> None:
        (folder / "a").mkdir()
        (folder / "a" / "copy").write_text("half")
        raise DataError("bad input")

    with pytest.raises(DataError, match="bad input"):
        run(out, lambda: Stage("one", {}, [source], ["a"], fail))
    assert sorted(path.name for path in out.iterdir()) == [".lock", "a", "b", "manifest.json"]
    assert (out / "a" / "copy").read_text() == "first"


def test_outdated_later_outputs_are_gone_when_the_run_ends_early(
    tmp_path: Path, source: Path, made: list[str]
) -> None:
    out = tmp_path / "out"
    chain(out, source, made)
    source.write_text("second")
    run(out, lambda: copy_stage(made, "one", source, "a"))
    assert not (out / "b").exists()


def test_run_killed_while_outputs_are_put_in_place_is_repeated(
    tmp_path: Path, source: Path, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    chain(out, source, made)
    source.write_text("second")

    def die(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr("data_prep.core.stages._replace", die)
        with pytest.raises(SystemExit):
            chain(out, source, made)
    made.clear()
    chain(out, source, made)
    assert made == ["one", "two"]


def test_leftovers_of_a_killed_run_are_removed_first(tmp_path: Path) -> None:
    leftover = tmp_path / ".unfinished-x1" / "a"
    leftover.mkdir(parents=True)
    with Workspace(tmp_path):
        assert not leftover.exists()


def test_full_disk_is_one_line_that_names_the_stage(tmp_path: Path, source: Path) -> None:
    def fill_up(folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DataError) as caught:
        run(tmp_path / "out", lambda: Stage("encode", {}, [source], ["a"], fill_up))
    message = str(caught.value)
    assert "No space left on device, in stage 'encode'" in message
    assert "\n" not in message
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".lock"]


def test_second_process_is_refused(tmp_path: Path) -> None:
    with (
        Workspace(tmp_path),
        pytest.raises(DataError, match="another process"),
        Workspace(tmp_path),
    ):
        pass


@pytest.mark.parametrize("content", ["", "[]", "{", '{"name": "my web app"}', '{"stages": 1}'])
def test_a_manifest_that_is_none_is_refused(
    tmp_path: Path, source: Path, made: list[str], content: str
) -> None:
    chain(tmp_path / "out", source, made)
    (tmp_path / "out" / "manifest.json").write_text(content)
    with pytest.raises(DataError, match=r"manifest\.json: is not a record of finished stages"):
        chain(tmp_path / "out", source, made)
    assert (tmp_path / "out" / "a" / "copy").exists()


def test_what_an_earlier_version_made_is_made_anew_even_in_several_runs(
    tmp_path: Path, source: Path, made: list[str]
) -> None:
    chain(tmp_path, source, made)
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 0}))
    run(tmp_path, lambda: copy_stage(made, "one", source, "a"))  # and then it was killed
    chain(tmp_path, source, made)
    assert made == ["one", "two", "one", "two"]


def test_a_manifest_that_cannot_be_written_stays_as_it_was(
    tmp_path: Path, source: Path, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, lambda: copy_stage(made, "one", source, "a"))
    before = (tmp_path / "manifest.json").read_text()

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("data_prep.core.atomic.os.replace", fail)
    with pytest.raises(DataError, match=r"manifest\.json: No space left on device, in stage 'two'"):
        run(tmp_path, lambda: copy_stage(made, "two", source, "b"))
    assert (tmp_path / "manifest.json").read_text() == before
    assert not [entry for entry in tmp_path.iterdir() if "unfinished" in entry.name]


def test_what_an_earlier_version_made_stays(tmp_path: Path, source: Path, made: list[str]) -> None:
    run(tmp_path / "out", lambda: copy_stage(made, "one", source, "a", old=1))
    newer = copy_stage(made, "one", source, "a", old=1, new=2)
    run(tmp_path / "out", lambda: replace(newer, still_valid=[{"old": 1}]))
    assert made == ["one"]
    run(tmp_path / "out", lambda: replace(newer, still_valid=[{"old": 2}]))
    assert made == ["one", "one"]


@pytest.mark.parametrize("key", ["made", "outputs"])
def test_a_manifest_cannot_have_files_removed_elsewhere(
    tmp_path: Path, source: Path, made: list[str], key: str
) -> None:
    chain(tmp_path / "out", source, made)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    record = manifest["stages"]["two"]
    record[key] = ["../source.txt"] if key == "made" else {"../source.txt": "0"}
    (tmp_path / "out" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match=r"manifest\.json: '\.\./source\.txt' does not lie in"):
        chain(tmp_path / "out", source, made, changed=1)
    assert source.exists()
