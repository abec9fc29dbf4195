"""Two workers on one machine train one model with one memory."""

import json
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from tests.integration.learned import Learned, checkpoint, fairseq, languages, memory, sizes
from tests.tiny_training import LINES, PLUGINS

pytestmark = pytest.mark.integration

WORKERS, BATCH, EPOCHS = 2, 8, 2
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


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def folder(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two workers have trained, with what each of them saw in RANK.jsonl."""
    folder = tmp_path_factory.mktemp("workers")
    plugin = folder / "watching"
    plugin.mkdir()
    source = WATCHING.format(root=str(PLUGINS.parent), folder=str(folder))
    (plugin / "__init__.py").write_text(source)
    port = free_port()

    def worker(rank: int) -> subprocess.CompletedProcess:
        return fairseq(
            "train", tiny_data, *languages("watched_translation", plugin), *sizes(),
            "--batch-size", BATCH, "--max-epoch", EPOCHS, "--no-epoch-checkpoints",
            "--save-dir", folder, "--distributed-world-size", WORKERS,
            "--distributed-rank", rank, "--device-id", 0, "--distributed-no-spawn",
            "--distributed-backend", "gloo", "--ddp-backend", "legacy_ddp",
            "--distributed-init-method", f"tcp://127.0.0.1:{port}",
        )  # fmt: skip

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(worker, range(WORKERS)))
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
