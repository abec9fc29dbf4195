"""Trainings by shipped configurations, as the scripts that reproduce our results run them.

Each writes to a folder of its own, goes on from its last checkpoint, and is skipped once done.
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

    @property
    def data(self) -> Path:
        """The folder of the corpus."""
        return self.out / "data"

    def folder(self, name: str) -> Path:
        """Of a training."""
        return self.out / name

    def fill(self, model: Path, filling: Filling) -> Path:
        """Fill a model's memory with its training text, and fit how far it is trusted.

        Args:
            model: a checkpoint in the folder of its training.
            filling: what is filled in; its data, slots and number formats.

        Returns:
            The filled one, beside it.
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
        """Bring all of them to their end.

        Raises:
            InputError: if one fails, or was begun with other settings.
        """
        together([partial(self._train, training) for training in trainings], self.parallel)

    def seconds(self, name: str) -> float:
        """How long a training took, all pieces of an interrupted one together."""
        return float(self._done(name).read_text())

    def _done(self, name: str) -> Path:
        return self.folder(name) / "training_seconds.txt"

    def _settings(self, training: Training) -> dict:
        """What a training depends on; not where its files lie."""
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
                f"{folder}: was trained with other settings or data; remove it to train it anew, "
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
            append=True,  # so that the log of an interrupted training tells its whole course
        )  # fmt: skip
        last = read_checkpoint(folder / "checkpoint_last.pt")
        seconds = last["extra_state"]["previous_training_time"]
        write_text(self._done(name), f"{seconds:.0f}\n")
        logger.info(
            "Trained %s: %d updates in %.1f minutes, %.1f of them since now",
            name, num_updates(last), seconds / 60, (time.perf_counter() - begin) / 60,
        )  # fmt: skip


def mean_minutes(results: Sequence[dict]) -> float:
    """How long trainings took, of results that tell their ``training_seconds``."""
    return statistics.fmean(result["training_seconds"] for result in results) / 60


def workshop(args: argparse.Namespace, *configs: str) -> Workshop:
    """Make the place to train, as :func:`experiments.options.add_options` was told.

    Args:
        args: of the program.
        configs: names of the configurations that it trains by.

    Raises:
        InputError: if the changes to a configuration do not fit it: before there is work to lose.
    """
    for config in configs:
        check_arguments(composed(config, args.overrides, CONFIGS))
    torch.set_num_threads(args.threads)  # of what is measured in this process
    return Workshop(args.out.resolve(), args.threads, args.parallel)
