"""Trainings by shipped configurations, as the scripts that reproduce our results run them.

Each writes to a folder of its own, goes on from its last checkpoint, and is skipped once done.
"""

import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fairseq_plugins.tools.checkpoints import num_updates, read_checkpoint
from fairseq_plugins.tools.commands import PLUGINS, program, run

logger = logging.getLogger(__name__)

ROOT = PLUGINS.parent


@dataclass(frozen=True)
class Training:
    """One training.

    Attributes:
        name: of its folder.
        config: of a file in ``configs/``, without ``.yaml``.
        overrides: of the configuration, as hydra writes them.
    """

    name: str
    config: str
    overrides: Sequence[str]


@dataclass(frozen=True)
class Workshop:
    """Where trainings run.

    Attributes:
        out: folder for all of them.
        threads: processor cores to use.
        parallel: trainings at a time, which share the cores.
    """

    out: Path
    threads: int
    parallel: int

    def log(self, name: str) -> Path:
        """For the output of a program."""
        return self.out / "logs" / f"{name}.log"

    def folder(self, name: str) -> Path:
        """Of a training."""
        return self.out / name

    def train(self, trainings: Sequence[Training]) -> None:
        """Bring all of them to their end."""
        with ThreadPoolExecutor(self.parallel) as pool:
            list(pool.map(self._train, trainings))

    def seconds(self, name: str) -> float:
        """How long a training took, all pieces of an interrupted one together."""
        return float(self._done(name).read_text())

    def _done(self, name: str) -> Path:
        return self.folder(name) / "training_seconds.txt"

    def _train(self, training: Training) -> None:
        folder, name = self.folder(training.name), training.name
        if self._done(name).exists():
            return
        logger.info("Training %s", name)
        begin = time.perf_counter()
        run(
            [
                program("fairseq-hydra-train"), "--config-dir", ROOT / "configs",
                "--config-name", training.config, f"common.user_dir={PLUGINS}",
                f"checkpoint.save_dir={folder}", f"hydra.run.dir={folder}/hydra",
                *training.overrides,
            ],
            self.log(f"train_{name}"),
            max(1, self.threads // self.parallel),
        )  # fmt: skip
        last = read_checkpoint(folder / "checkpoint_last.pt")
        seconds = last["extra_state"]["previous_training_time"]
        self._done(name).write_text(f"{seconds:.0f}\n")
        logger.info(
            "Trained %s: %d updates in %.1f minutes, %.1f of them since now",
            name, num_updates(last), seconds / 60, (time.perf_counter() - begin) / 60,
        )  # fmt: skip
