"""Several trainings in one process, one after another."""

import sys

from fairseq import checkpoint_utils

from fairseq_plugins import allocator


def begin_task() -> None:
    """Do what every task does first, in all of fairseq's programs."""
    allocator.keep_freed_memory()
    forget_earlier_trainings()


def forget_earlier_trainings() -> None:
    """Forget the best checkpoint of earlier trainings in this process.

    A sweep (``fairseq-hydra-train --multirun``) trains one model after another. fairseq keeps the
    best validation loss in attributes of functions, so the second model would get no
    ``checkpoint_best.pt`` until it was better than the first, and would lose patience early.
    """
    program = sys.modules.get("fairseq_cli.train")
    keepers = checkpoint_utils.save_checkpoint, getattr(program, "should_stop_early", None)
    for function in filter(None, keepers):
        vars(function).pop("best", None)
        vars(function).pop("num_runs", None)
