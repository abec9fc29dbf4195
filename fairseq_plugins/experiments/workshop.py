"""Trainings by shipped configurations, as the scripts that reproduce our results run them.

Each writes to a folder of its own, goes on from its last checkpoint, and is skipped once done.
"""

import argparse
import hashlib
import json
import logging
import os
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from fairseq_plugins.checkpoints.files import num_updates, read_checkpoint
from fairseq_plugins.commands import PLUGINS, end_all, override, program, run
from fairseq_plugins.errors import InputError
from fairseq_plugins.program import positive, write_json, write_text

logger = logging.getLogger(__name__)

ROOT = PLUGINS.parent
LOOK_EVERY = 0.1  # seconds


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

    def prepare(self, module: str, source: Path | None, *arguments: object) -> Path:
        """Run a program of ``data_prep/``.

        Args:
            module: its name.
            source: folder with what it would download otherwise.
            arguments: further ones.

        Returns:
            The folder that it filled.
        """
        data = self.out / "data"
        logger.info("Preparing %s in %s", module, data)
        chosen = ["--source", source.resolve()] if source else []
        command = [sys.executable, "-m", f"data_prep.{module}", "--out", data, *chosen, *arguments]
        run(command, self.log("data"), self.threads)
        return data

    def script(self, name: str, *arguments: object, log: str) -> None:
        """Run a program of ``scripts/`` to its end."""
        command = [sys.executable, ROOT / "scripts" / f"{name}.py", *arguments]
        run(command, self.log(log), self.threads)

    def fill(self, model: Path, slots: int, *arguments: object) -> Path:
        """The whole training text in the memory, and a gate that knows how far to trust it.

        Args:
            model: a checkpoint in the folder of its training.
            slots: enough for the whole text.
            arguments: further ones for ``fill_memory.py``.

        Returns:
            The filled one, beside it.
        """
        filled = model.with_name("filled.pt")
        if not filled.exists():
            self.script(
                "fill_memory", "--path", model, "--clear", "--memory-size", slots,
                "--calibrate", "valid", "--output", filled, "--cpu", *arguments,
                log=f"fill_{model.parent.name}",
            )  # fmt: skip
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
        with ThreadPoolExecutor(self.parallel) as pool:
            futures = [pool.submit(self._train, training) for training in trainings]
            try:
                for future in as_completed(futures):
                    future.result()
            except BaseException:
                for future in futures:
                    future.cancel()
                while not all(future.done() for future in futures):  # one may just have begun
                    end_all()
                    time.sleep(LOOK_EVERY)
                raise

    def seconds(self, name: str) -> float:
        """How long a training took, all pieces of an interrupted one together."""
        return float(self._done(name).read_text())

    def _done(self, name: str) -> Path:
        return self.folder(name) / "training_seconds.txt"

    def _settings(self, training: Training) -> dict:
        """What a training depends on; not where its files lie."""
        manifest = self.out / "data" / "manifest.json"
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
                program("fairseq-hydra-train"), "--config-dir", ROOT / "configs",
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


def add_options(parser: argparse.ArgumentParser, out: str) -> None:
    """What every script that reproduces results can be told.

    Args:
        parser: of the script.
        out: folder for all that is made, unless told otherwise.
    """
    add = parser.add_argument
    add("--out", type=Path, default=Path(out), help=f"folder for all that is made ({out})")
    add("--seeds", type=int, nargs="+", default=[1, 2, 3], help="one training each (1 2 3)")
    add("--threads", type=positive, default=os.cpu_count() or 1, help="processor cores to use")
    add("--parallel", type=positive, default=1, help="trainings at a time, which share the cores")
    add("overrides", nargs="*", help="changes to the configuration, as hydra writes them")


def workshop(args: argparse.Namespace) -> Workshop:
    """Where to train, from :func:`add_options`."""
    return Workshop(args.out.resolve(), args.threads, args.parallel)
