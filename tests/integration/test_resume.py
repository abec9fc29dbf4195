"""A training that is killed and started again ends like one that was left alone."""

from pathlib import Path

import pytest
from fairseq.file_io import PathManager

import fairseq_plugins  # noqa: F401  (makes fairseq's copies of checkpoints atomic)
from tests.integration.watching import assert_resumes
from tests.tiny_training import Training, training_options

pytestmark = pytest.mark.integration


def test_killed_training_ends_with_the_same_weights_averages_and_memory(
    trained: Training, tmp_path: Path
) -> None:
    assert_resumes(
        lambda plugins, save: [trained.data, *training_options(save, 20, plugins)],
        tmp_path, trained.folder, reached=10,
    )  # fmt: skip


def test_copy_of_a_checkpoint_that_is_cut_short_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """checkpoint_last.pt is a copy; a kill while it is written must not lose both."""

    class Killed(BaseException):
        """What comes, comes at once."""

    def half_copy(source: str, destination: str) -> None:
        Path(destination).write_bytes(Path(source).read_bytes()[:3])
        raise Killed

    new, last = tmp_path / "checkpoint_1_10.pt", tmp_path / "checkpoint_last.pt"
    new.write_bytes(b"ten updates")
    last.write_bytes(b"five updates")
    with monkeypatch.context() as patch:
        patch.setattr("shutil.copyfile", half_copy)
        with pytest.raises(Killed):
            PathManager.copy(str(new), str(last), overwrite=True)
    assert last.read_bytes() == b"five updates"
    assert PathManager.copy(str(new), str(last), overwrite=True)
    assert last.read_bytes() == b"ten updates"
    assert sorted(tmp_path.iterdir()) == [new, last]
