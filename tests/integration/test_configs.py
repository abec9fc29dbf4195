"""Every shipped configuration trains, made small; the scripts that reproduce results use them."""

from pathlib import Path
from typing import Any

import pytest

from fairseq_plugins.tools.checkpoints import num_updates, read_checkpoint
from fairseq_plugins.tools.reproduce_rare_symbols import WITHOUT_MEMORY
from fairseq_plugins.tools.trainings import ROOT, Training, Workshop
from tests import omniglot_archives as archives

pytestmark = pytest.mark.integration
SHORT = ["optimization.max_update=4", "++dataset.batch_size=6", "common.log_interval=1"]
RARE = ["+task.symbols=50", "+task.examples=40", "task.batches=2", "task.valid_batches=1",
        "task.max_length=3", "task.curriculum_batches=2", "model.units=16"]  # fmt: skip
SMALL: dict[str, tuple[str, list[str]]] = {
    "translator": ("multi30k_en_de", ["task.source_lang=xx", "task.target_lang=yy",
                                      "+model.units=16", "+model.memory_size=64"]),
    "general translator": ("general_en_de", ["task.source_lang=xx", "task.target_lang=yy",
                                             "+model.units=16", "+model.memory_size=64"]),
    "published recipe": ("wmt14_en_de_gnmt", ["task.source_lang=xx", "task.target_lang=yy",
                                              "+model.units=16", "model.memory_size=64",
                                              "+model.memory_key_dim=16", "common.cpu=true"]),
    "drawings": ("omniglot_vinyals", ["task.batches=2", "+model.memory_size=64"]),
    "mann": ("omniglot_mann", ["task.batches=2", "+task.valid_batches=1", "+model.units=16",
                               "task.length=12", "task.ways=3"]),
    "algorithms": ("algorithms", ["task.batches=2", "task.valid_batches=1", "model.maps=8",
                                  "task.max_length=3", "task.curriculum_batches=2"]),
    "rare symbols": ("rare_symbols", [*RARE, "model.memory_from_update=2"]),
    "rare symbols without memory": ("rare_symbols", [*RARE, *WITHOUT_MEMORY]),
}  # fmt: skip


@pytest.fixture(scope="module")
def omniglot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("omniglot")
    with pytest.MonkeyPatch.context() as patch:
        archives.small(patch)
        official = archives.write_archives(folder / "official")
        archives.prepare(official, folder / "data", 20, 28)
    return folder / "data"


def test_all_configurations_are_tried_here() -> None:
    assert {path.stem for path in (ROOT / "configs").glob("*.yaml")} == {
        config for config, _ in SMALL.values()
    }


@pytest.mark.parametrize("name", SMALL)
def test_it_trains_under_hydra(name: str, omniglot: Path, tiny_data: Path, tmp_path: Path) -> None:
    config, small = SMALL[name]
    data = omniglot if "omniglot" in config else tiny_data if "en_de" in config else None
    own = [f"task.data={data}"] if data else []
    training = Training("small", config, [*own, *SHORT, *small])
    workshop = Workshop(tmp_path, threads=1, parallel=1)
    workshop.train([training])
    last = read_checkpoint(tmp_path / "small" / "checkpoint_last.pt")
    assert num_updates(last) == 4
    assert 0 <= workshop.seconds("small") < 100


def test_what_is_done_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "training_seconds.txt").write_text("12\n")

    def run(*arguments: Any) -> None:
        raise AssertionError("nothing was to be run")

    monkeypatch.setattr("fairseq_plugins.tools.trainings.run", run)
    workshop = Workshop(tmp_path, threads=1, parallel=2)
    workshop.train([Training("one", "omniglot_vinyals", [])])
    assert workshop.seconds("one") == 12
