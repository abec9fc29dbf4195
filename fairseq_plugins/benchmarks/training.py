"""Models and trainers as ``fairseq-train`` creates them, as contenders for benchmarks."""

from collections.abc import Sequence
from pathlib import Path

from fairseq import options, tasks, utils
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.trainer import Trainer

from fairseq_plugins import registered  # noqa: F401, so that fairseq builds our models
from fairseq_plugins.benchmarks.duel import Stopwatch, Turn
from fairseq_plugins.memory import KeyValueMemory, memories_in

SEED = 1


class Built:
    """A model, its task, and the task's training data.

    Args:
        folder: for output of fairseq, which saves a checkpoint when it crashes.
        arguments: for fairseq-train.
        device: ``cpu`` or ``cuda``.
    """

    def __init__(self, folder: Path, arguments: Sequence[object], device: str) -> None:
        command = [*arguments, "--seed", SEED, "--save-dir", folder / "checkpoints"]
        if device == "cpu":
            command.append("--cpu")
        parsed = options.parse_args_and_arch(options.get_training_parser(), [*map(str, command)])
        self.cfg, self.device = convert_namespace_to_omegaconf(parsed), device
        utils.set_torch_seed(SEED)
        self.task = tasks.setup_task(self.cfg.task)
        self.model = self.task.build_model(self.cfg.model)
        self.task.load_dataset("train")
        self.dataset = self.task.dataset("train")

    @property
    def memory(self) -> KeyValueMemory | None:
        """The model's memory, if it has one."""
        return next(iter(memories_in(self.model)), None)


class Trained(Built):
    """A contender that trains: forward, backward, clipping, the optimizer's step, the commit.

    Args:
        folder: for output of fairseq.
        arguments: for fairseq-train.
        device: ``cpu`` or ``cuda``.
        updates: per turn.
    """

    def __init__(
        self, folder: Path, arguments: Sequence[object], device: str, updates: int
    ) -> None:
        super().__init__(folder, arguments, device)
        criterion = self.task.build_criterion(self.cfg.criterion)
        self.trainer = Trainer(self.cfg, self.task, self.model, criterion)
        self.trainer.begin_epoch(1)
        self.updates = updates

    def sample(self, number: int) -> dict:
        """Return the batch of an update."""
        return self.dataset[number]

    def work(self, sample: dict) -> int:
        """Return the amount of work in a batch."""
        return len(sample["target"])

    def __call__(self, number: int) -> Turn:
        """Train on the batches of this turn."""
        first = number * self.updates
        samples = [self.sample(index) for index in range(first, first + self.updates)]
        with Stopwatch(self.device) as watch:
            for sample in samples:
                self.trainer.train_step([sample])
        return Turn(watch.seconds, sum(map(self.work, samples)))
