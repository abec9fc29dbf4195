"""A training that cannot write its checkpoints ends in one line, and leaves no half of one."""

import subprocess
import sys
from pathlib import Path

from tests.tiny_training import training_options

BLOCKS = 40  # of 1,024 bytes: a file may be this large, which no checkpoint is


def test_training_on_a_full_disk(tiny_data: Path, tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("fairseq-train")
    command = [program, tiny_data, *training_options(tmp_path, 10)]
    done = subprocess.run(
        ["bash", "-c", f'ulimit -f {BLOCKS}; exec "$@"', "bash", *map(str, command)],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 1 and "Traceback" not in done.stdout + done.stderr
    assert "checkpoint_1_10.pt: cannot be written (File too large)" in lines[-1]
    assert lines[-1].startswith("error: ") and not list(tmp_path.glob("*.pt*"))
