"""A plug-in of our plug-in for tests: it records every update, and can kill a training."""

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tests.programs import fairseq, succeeded
from tests.tiny_training import PLUGINS

SOURCE = """
import hashlib, json, os, signal, sys
sys.path.insert(0, {root!r})
import torch.distributed as dist
from fairseq.trainer import Trainer
import fairseq_plugins

train_step = Trainer.train_step


def digest(tensors):
    digests = hashlib.sha256()
    for name, tensor in sorted(tensors):
        digests.update(name.encode() + tensor.detach().numpy().tobytes())
    return digests.hexdigest()


def watched_train_step(self, samples, *args, **kwargs):
    if self.get_num_updates() == {kill_after!r}:
        os.kill(os.getpid(), signal.SIGKILL)
    result = train_step(self, samples, *args, **kwargs)
    buffers = {{n: b for n, b in self.get_model().named_buffers() if "memory." in n}}
    values = [b for n, b in buffers.items() if n.endswith(".values")]
    seen = [sample for sample in samples if sample]
    line = {{
        "update": self.get_num_updates(),
        "weights": digest(self.get_model().named_parameters()),
        "memory": digest(buffers.items()),
        "filled": sum(int((b >= 0).sum()) for b in values),
        "tokens": sum(sample["ntokens"] for sample in seen),
        "sentences": [number for sample in seen for number in sample.get("id", ())],
    }}
    rank = dist.get_rank() if dist.is_initialized() else 0
    with open({folder!r} + f"/{{rank}}.jsonl", "a") as file:
        file.write(json.dumps(line, default=int) + "\\n")
    return result


Trainer.train_step = watched_train_step
"""


def watching(folder: Path, kill_after: int | None = None) -> Path:
    """Make a --user-dir that writes what each rank has after every update to RANK.jsonl.

    Args:
        folder: for the plug-in and its files.
        kill_after: updates after which a training kills itself, without any warning.
    """
    plugin = folder / f"watching_{folder.name.replace('-', '_')}"
    plugin.mkdir(parents=True)
    source = SOURCE.format(root=str(PLUGINS.parent), folder=str(folder), kill_after=kill_after)
    (plugin / "__init__.py").write_text(source)
    return plugin


def seen(folder: Path, workers: int) -> list[list[dict[str, Any]]]:
    """For each rank, its updates."""
    files = [folder / f"{rank}.jsonl" for rank in range(workers)]
    return [[json.loads(line) for line in file.read_text().splitlines()] for file in files]


def assert_one_model_and_memory(folder: Path, workers: int, updates: int) -> None:
    """Check that all ranks had the same weights and the same memory after each of the updates."""
    one, *others = seen(folder, workers)
    assert len(one) == updates and others
    assert len({line["memory"] for line in one}) == updates  # it changes
    for other in others:
        for what in ("update", "weights", "memory"):
            assert [line[what] for line in other] == [line[what] for line in one], what


def assert_resumes(
    options: Callable[[Path, Path], list[object]], folder: Path, whole: Path, reached: int
) -> None:
    """Kill a training between two checkpoints, go on, and compare with one that was left alone.

    Args:
        options: of fairseq-train, for a --user-dir and a --save-dir.
        folder: an empty one.
        whole: where the undisturbed training of the same options has its checkpoints.
        reached: the last update with a checkpoint, before the kill.
    """
    save = folder / "checkpoints"
    killed = fairseq("train", *options(watching(folder, kill_after=reached + 3), save))
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    log = succeeded(fairseq("train", *options(PLUGINS, save)))
    assert re.search(rf"Loaded checkpoint .*checkpoint_last\.pt .*@ {reached} updates", log)
    ours, theirs = (
        torch.load(at / "checkpoint_last.pt", weights_only=False) for at in (save, whole)
    )
    for part in ("model", "last_optimizer_state"):
        assert_equal(ours[part], theirs[part], part)
    for part in ("ema", "train_iterator"):
        assert_equal(ours["extra_state"].get(part), theirs["extra_state"].get(part), part)


def assert_equal(one: Any, other: Any, where: str) -> None:
    """Compare two parts of checkpoints bit by bit."""
    assert type(one) is type(other), where
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for name in one:
            assert_equal(one[name], other[name], f"{where}.{name}")
    else:
        assert one == other, where
