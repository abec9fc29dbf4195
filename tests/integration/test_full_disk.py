"""A training that cannot write its checkpoints ends with one line, and leaves none incomplete."""

from pathlib import Path

from tests.programs import module_on_full_disk
from tests.tiny_training import training_options

ROOM = 40 << 10  # bytes: a file may be this large, which no checkpoint is


def test_training_on_a_full_disk(tiny_data: Path, tmp_path: Path) -> None:
    options = training_options(tmp_path, 10)
    done = module_on_full_disk(ROOM, "fairseq_cli.train", tiny_data, *options)
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 1 and "Traceback" not in done.stdout + done.stderr
    assert "checkpoint_1_10.pt: cannot be written (File too large)" in lines[-1]
    assert lines[-1].startswith("error: ") and not list(tmp_path.glob("*.pt*"))
