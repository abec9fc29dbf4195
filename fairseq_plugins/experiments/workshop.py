"""Runs trainings from the published configurations, for the scripts that reproduce our results.

Each training has its own folder, resumes from its last checkpoint, and is skipped once finished.
"""

import argparse
import hashlib
import json
import logging
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from fairseq_plugins.atomic import write_json, write_text
from fairseq_plugins.checkpoints.files import num_updates, read_checkpoint
from fairseq_plugins.commands import PLUGINS, override, program, run, together
from fairseq_plugins.errors import InputError
from fairseq_plugins.experiments.options import CONFIGS
from fairseq_plugins.experiments.show_command import composed
from fairseq_plugins.patches.arguments import check_arguments
from fairseq_plugins.teaching.filled import Filling, fill_checkpoint

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Training:
    """One training.

    Attributes:
        name: of its folder.
        config: of a file in ``configs/``, without ``.yaml``.
        overrides: of the configuration, in hydra's syntax.
    """

    name: str
    config: str
    overrides: Sequence[str]


@dataclass(frozen=True)
class Workshop:
    """The place where trainings run.

    Attributes:
        out: folder for all of them.
        threads: number of processor cores.
        parallel: number of trainings in parallel, which share the cores.
    """

    out: Path
    threads: int
    parallel: int

    def log(self, name: str) -> Path:
        """Return the log of a program."""
        return self.out / "logs" / f"{name}.log"

    @property
    def data(self) -> Path:
        """Folder of the corpus."""
        return self.out / "data"

    def folder(self, name: str) -> Path:
        """Return the folder of a training."""
        return self.out / name

    def fill(self, model: Path, filling: Filling) -> Path:
        """Fill a model's memory with its training text, and fit how far it is trusted.

        Args:
            model: a checkpoint in the folder of its training.
            filling: how to fill; data, slots and number formats are set here.

        Returns:
            The filled checkpoint, beside the model.
        """
        filled = model.with_name("filled.pt")
        if not filled.exists():
            logger.info("Filling %s", filled)
            how = replace(filling, clear=True, calibrate="valid")
            logger.info("%s", fill_checkpoint(model, filled, how))
        return filled

    def save(self, results: object) -> None:
        """Write the results of all trainings."""
        path = self.out / "results.json"
        write_json(path, results)
        logger.info("Details are in %s", path)

    def train(self, trainings: Sequence[Training]) -> None:
        """Bring all trainings to their end.

        Raises:
            InputError: if one fails, or was begun with other settings.
        """
        together([partial(self._train, training) for training in trainings], self.parallel)

    def seconds(self, name: str) -> float:
        """Return the time that a training took, over all its parts."""
        return float(self._done(name).read_text())

    def _done(self, name: str) -> Path:
        return self.folder(name) / "training_seconds.txt"

    def _settings(self, training: Training) -> dict:
        """Return what a training depends on, except the location of its files."""
        manifest = self.data / "manifest.json"
        data = None
        if manifest.exists():
            stages = json.loads(manifest.read_text())["stages"].values()
            files = sorted(file for stage in stages for file in stage["outputs"].items())
            data = hashlib.sha256(json.dumps(files).encode()).hexdigest()
        overrides = [one for one in training.overrides if not one.startswith("task.data=")]
        return {"config": training.config, "overrides": overrides, "data": data}

    def _train(self, training: Training) -> None:
        folder, name = self.folder(training.name), training.name
        settings, wanted = folder / "settings.json", self._settings(training)
        begun = self._done(name).exists() or (folder / "checkpoint_last.pt").exists()
        known = json.loads(settings.read_text()) if begun and settings.exists() else None
        if known not in (None, wanted):
            raise InputError(
                f"{folder}: was trained with other settings or data; remove it to train again, "
                "or choose another --out"
            )
        if self._done(name).exists():
            return
        write_json(settings, wanted)
        logger.info("Training %s", name)
        begin = time.perf_counter()
        run(
            [
                program("fairseq-hydra-train"), "--config-dir", CONFIGS,
                "--config-name", training.config, override("common.user_dir", PLUGINS),
                override("checkpoint.save_dir", folder),
                override("hydra.run.dir", folder / "hydra"), *training.overrides,
            ],
            self.log(f"train_{name}"),
            max(1, self.threads // self.parallel),
            append=True,  # so that the log of an interrupted training is complete
        )  # fmt: skip
        last = read_checkpoint(folder / "checkpoint_last.pt")
        seconds = last["extra_state"]["previous_training_time"]
        write_text(self._done(name), f"{seconds:.0f}\n")
        logger.info(
            "Trained %s: %d updates in %.1f minutes, %.1f of them since now",
            name, num_updates(last), seconds / 60, (time.perf_counter() - begin) / 60,
        )  # fmt: skip


def mean_minutes(results: Sequence[dict]) -> float:
    """Return the mean time of trainings, from their ``training_seconds``."""
    return statistics.fmean(result["training_seconds"] for result in results) / 60


def workshop(args: argparse.Namespace, *configs: str) -> Workshop:
    """Create the place to train from the options of :func:`experiments.options.add_options`.

    Args:
        args: parsed arguments of the program.
        configs: names of the configurations to train.

    Raises:
        InputError: if changes to a configuration are invalid; raised before any work is done.
    """
    for config in configs:
        check_arguments(composed(config, args.overrides, CONFIGS))
    torch.set_num_threads(args.threads)  # for measurements in this process
    return Workshop(args.out.resolve(), args.threads, args.parallel)
