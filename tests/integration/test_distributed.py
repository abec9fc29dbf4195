"""Two workers on one machine train one model with one memory."""

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import torch

from tests.integration.learned import Learned, checkpoint, fairseq, languages, memory, sizes
from tests.tiny_training import LINES, PLUGINS, WORKERS, launch

pytestmark = pytest.mark.integration

BATCH, EPOCHS = 8, 2
BATCHES = LINES["train"] // BATCH
assert BATCHES % WORKERS == 1  # so that an epoch ends with a dummy batch for the last worker

# A plug-in of a plug-in: the task, writing down what every worker has after every update.
WATCHING = """
import hashlib, json, sys
sys.path.insert(0, {root!r})
import torch.distributed as dist
from fairseq.tasks import register_task
import fairseq_plugins
from fairseq_plugins.tasks.translation_memory import TranslationMemoryConfig, TranslationMemoryTask


def digest(tensors):
    digests = hashlib.sha256()
    for name, tensor in sorted(tensors):
        digests.update(name.encode() + tensor.detach().numpy().tobytes())
    return digests.hexdigest()


@register_task("watched_translation", dataclass=TranslationMemoryConfig)
class Watched(TranslationMemoryTask):
    def train_step(self, sample, model, *args, ignore_grad=False, **kwargs):
        weights = digest(model.named_parameters())
        result = super().train_step(sample, model, *args, ignore_grad=ignore_grad, **kwargs)
        line = {{
            "weights": weights,
            "memory": digest(model.named_buffers()),
            "tokens": 0 if ignore_grad else sample["ntokens"],
            "sentences": [] if ignore_grad else sample["id"].tolist(),
            "filled": len(model.decoder.reader.memory),
        }}
        with open({folder!r} + f"/{{dist.get_rank()}}.jsonl", "a") as file:
            file.write(json.dumps(line) + "\\n")
        return result
"""


def arguments(data: Path, folder: Path, plugin: Path, epochs: int) -> list[object]:
    return [
        data, *languages("watched_translation", plugin), *sizes(), "--batch-size", BATCH,
        "--max-epoch", epochs, "--no-epoch-checkpoints", "--save-dir", folder,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two workers have trained, with what each of them saw in RANK.jsonl."""
    folder = tmp_path_factory.mktemp("workers")
    plugin = folder / "watching"
    plugin.mkdir()
    source = WATCHING.format(root=str(PLUGINS.parent), folder=str(folder))
    (plugin / "__init__.py").write_text(source)
    command = launch("fairseq-train", *arguments(tiny_data, folder, plugin, EPOCHS))
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def seen(folder: Path) -> list[list[dict]]:
    """For each worker, its updates."""
    files = [folder / f"{rank}.jsonl" for rank in range(WORKERS)]
    return [[json.loads(line) for line in file.read_text().splitlines()] for file in files]


def test_training_runs_to_its_end(folder: Path) -> None:
    updates = EPOCHS * -(-BATCHES // WORKERS)
    assert [len(worker) for worker in seen(folder)] == [updates] * WORKERS
    state = checkpoint(folder)
    assert state["optimizer_history"][-1]["num_updates"] == updates
    assert int(memory(state)["commits"]) == updates


def test_workers_share_the_data_and_one_goes_empty_at_the_end_of_an_epoch(folder: Path) -> None:
    one, other = seen(folder)
    half = len(one) // EPOCHS
    epoch = [number for update in one[:half] + other[:half] for number in update["sentences"]]
    assert sorted(epoch) == list(range(LINES["train"]))
    assert [len(update["sentences"]) for update in other[:half]] == [BATCH] * (half - 1) + [0]


@pytest.mark.parametrize("what", ["memory", "weights"])
def test_workers_agree_after_every_update(folder: Path, what: str) -> None:
    one, other = ([update[what] for update in worker] for worker in seen(folder))
    assert one == other
    assert len(set(one[1:])) == len(one) - 1  # and it changes; the first learning rate is 0


def test_memory_holds_what_both_workers_saw(folder: Path) -> None:
    one, other = seen(folder)
    assert one[0]["filled"] == one[0]["tokens"] + other[0]["tokens"]
    assert one[0]["tokens"] > 0 and other[0]["tokens"] > 0


def test_checkpoint_of_two_workers_translates(folder: Path, learned: Learned) -> None:
    output = fairseq("generate", learned.data, *languages(), "--path",
                     folder / "checkpoint_last.pt").stdout  # fmt: skip
    assert output.count("\nH-") + output.startswith("H-") == LINES["test"]
    assert bool(torch.isfinite(memory(checkpoint(folder))["keys"]).all())


def test_more_workers_go_on_from_the_checkpoint(
    folder: Path, tiny_data: Path, tmp_path: Path
) -> None:
    shutil.copy(folder / "checkpoint_last.pt", tmp_path)
    plugin = folder / "watching"
    command = launch("fairseq-train", *arguments(tiny_data, tmp_path, plugin, EPOCHS + 1))
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    per_epoch = -(-BATCHES // WORKERS)
    updates = checkpoint(tmp_path)["optimizer_history"][-1]["num_updates"]
    assert updates == per_epoch * (EPOCHS + 1)
    assert int(memory(checkpoint(tmp_path))["commits"]) == updates
    one, other = ([update["memory"] for update in worker] for worker in seen(folder))
    assert one[-per_epoch:] == other[-per_epoch:]


def test_a_killed_worker_ends_the_training(folder: Path, tiny_data: Path, tmp_path: Path) -> None:
    command = launch("fairseq-train", *arguments(tiny_data, tmp_path, folder / "watching", 500))
    with subprocess.Popen(command, stderr=subprocess.STDOUT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        workers: list[int] = []
        for line in process.stdout:
            if found := re.search(rb"2 processes of 1 threads: \[(\d+), (\d+)\]", line):
                workers = [int(number) for number in found.groups()]
            if b"begin training epoch 2" in line:
                os.kill(workers[1], signal.SIGKILL)
                break
        rest = process.stdout.read().decode()
        assert process.wait(60) != 0
    assert "ended with status" in rest
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


def test_only_trainings_are_launched() -> None:
    done = subprocess.run(
        launch("fairseq-generate", "data"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "error: fairseq-generate: only fairseq-train and fairseq-hydra-train" in done.stderr


def test_hydra_is_launched_too(tiny_data: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        launch(
            "fairseq-hydra-train", "--config-dir", PLUGINS.parent / "configs", "--config-name",
            "multi30k_en_de", f"common.user_dir={PLUGINS}", f"task.data={tiny_data}",
            "task.source_lang=xx", "task.target_lang=yy", f"checkpoint.save_dir={tmp_path}",
            f"hydra.run.dir={tmp_path}", "+model.units=16", "+model.memory_size=64",
            "optimization.max_update=4",
        ),
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert checkpoint(tmp_path)["optimizer_history"][-1]["num_updates"] == 4
