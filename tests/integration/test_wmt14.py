"""WMT14 from a server with small archives of the official layout, to a training over shards."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.programs import fairseq, kill_module, module, module_on_full_disk, succeeded
from tests.tiny_training import PLUGINS
from tests.web_server import serve
from tests.wmt14_archives import sentence, write_archives

pytestmark = pytest.mark.integration
PAIRS = 200
SHARDS = 2
ALL_STAGES = 10


def arguments(out: Path, *extra: object) -> list[object]:
    return ["--out", out, "--shards", SHARDS, *extra]


def run(out: Path, *extra: object) -> subprocess.CompletedProcess[str]:
    return module("data_prep.wmt14_en_de", *arguments(out, *extra))


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_archives(tmp_path_factory.mktemp("server"), PAIRS)


@pytest.fixture(scope="module")
def prepared(archives: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return WMT14 prepared from a server whose connections break now and then."""
    out = tmp_path_factory.mktemp("wmt14") / "out"
    with serve(archives) as server:
        server.break_after = [700, 300]
        done = run(out, "--mirror", server.address)
    assert done.returncode == 0, done.stderr
    assert "trying again" in done.stderr
    return out


def lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines()


def test_all_corpora_are_there_in_their_order(prepared: Path) -> None:
    for language in ("en", "de"):
        expected = [sentence(n, language) for n in range(3 * PAIRS)]
        assert lines(prepared / "text" / f"train.{language}") == expected
        expected = [sentence(3 * PAIRS + n, language) for n in range(20)]
        assert lines(prepared / "text" / f"valid.{language}") == expected
        expected = [sentence(3 * PAIRS + 20 + n, language) for n in range(10)]
        assert lines(prepared / "raw" / f"test.{language}") == expected
    assert len(list((prepared / "data-bin").glob("shard*/train.en-de.en.bin"))) == SHARDS


def test_a_second_run_needs_no_server(prepared: Path) -> None:
    done = run(prepared, "--mirror", "http://127.0.0.1:9/")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("up to date") == ALL_STAGES


def test_shards_are_trained_on_in_turn(prepared: Path, tmp_path: Path) -> None:
    shards = ":".join(str(prepared / "data-bin" / f"shard{n}") for n in range(SHARDS))
    log = succeeded(fairseq(
        "train", shards, "--user-dir", PLUGINS, "--task", "translation_memory",
        "--arch", "gnmt_memory_tiny", "--criterion", "memory_cross_entropy", "--optimizer", "adam",
        "--max-tokens", 400, "--max-epoch", 3, "--cpu", "--save-dir", tmp_path,
        "--no-epoch-checkpoints", "--log-format", "simple",
    ))  # fmt: skip
    loaded = re.findall(r"shard(\d)/train\.en-de\.en", log)
    assert loaded[:3] == ["0", "1", "0"]


def test_a_killed_run_goes_on(archives: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    given = arguments(out, "--mirror", archives)
    kill_module("fairseq_cli.preprocess", "data_prep.wmt14_en_de", *given)
    done = run(out, "--mirror", str(archives))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("up to date") == ALL_STAGES - 1
    assert len(lines(out / "text" / "train.en")) == 3 * PAIRS


def test_a_truncated_archive_is_named_and_nothing_is_left(archives: Path, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    for path in archives.iterdir():
        content = path.read_bytes()
        (mirror / path.name).write_bytes(content[:-50] if "commoncrawl" in path.name else content)
    done = run(tmp_path / "out", "--mirror", str(mirror))
    assert done.returncode == 1
    (error,) = [line for line in done.stderr.splitlines() if "ERROR" in line]
    assert "commoncrawl.tgz: damaged or cut short" in error
    assert sorted(path.name for path in (tmp_path / "out" / "sources").iterdir()) == ["europarl"]


def test_a_changed_archive_is_refused(archives: Path, prepared: Path, tmp_path: Path) -> None:
    path = prepared / "downloads" / "dev.tgz"
    kept = path.read_bytes()
    (tmp_path / "dev.tgz").write_bytes(kept + b"x")
    path.unlink()
    try:
        done = run(prepared, "--mirror", str(tmp_path))
        assert done.returncode == 1
        assert "dev.tgz: not the file that was first fetched" in done.stderr
    finally:
        path.write_bytes(kept)


def test_a_full_disk_is_reported_in_one_line(archives: Path, tmp_path: Path) -> None:
    big = write_archives(tmp_path / "big", 6000)
    small = 200 * 1024
    given = arguments(tmp_path / "out", "--mirror", big)
    done = module_on_full_disk(small, "data_prep.wmt14_en_de", *given)
    assert done.returncode == 1, done.stderr
    (error,) = [line for line in done.stderr.splitlines() if "ERROR" in line]
    assert "File too large" in error
