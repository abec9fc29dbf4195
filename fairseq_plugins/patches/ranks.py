"""Lets several processes translate with one sharded memory, and train on machines without a GPU.

fairseq-generate and fairseq-interactive know nothing of other processes: each would translate
everything. Trainings that torchrun starts divide by the number of GPUs.
"""

import argparse
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.distributed import utils as distributed_utils
from fairseq.models import BaseFairseqModel
from omegaconf import DictConfig

from fairseq_plugins.host import FAIRSEQ_FOLDER
from fairseq_plugins.ranks import launched, lead, team

PROGRAMS = ("fairseq_cli.generate", "fairseq_cli.interactive")
_infer_init_method = distributed_utils.infer_init_method
_prepare_for_inference = BaseFairseqModel.prepare_for_inference_


def _infer_init_method_on_cpus(cfg: DictConfig, force_distributed: bool = False) -> None:
    """Configure a training that torchrun has started, also where no GPU is."""
    found = launched()
    if found is None or cfg.distributed_init_method is not None or torch.cuda.is_available():
        _infer_init_method(cfg, force_distributed)
        return
    cfg.distributed_rank, cfg.distributed_world_size = found.rank, found.ranks
    cfg.distributed_init_method, cfg.distributed_no_spawn, cfg.device_id = found.method, True, 0
    cfg.distributed_backend, cfg.ddp_backend = "gloo", "legacy_ddp"


def _prepare_and_lead(self: BaseFairseqModel, cfg: DictConfig) -> None:
    _prepare_for_inference(self, cfg)
    lead(self)


def _as_a_team(main: Callable[..., Any]) -> Callable[..., Any]:
    """Let rank 0 alone translate, and write to a file."""

    @functools.wraps(main)
    def main_of_rank(cfg: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(cfg, argparse.Namespace):
            cfg = convert_namespace_to_omegaconf(cfg)
        gpu = torch.cuda.is_available() and not cfg.common.cpu
        with team("cuda" if gpu else "cpu"):
            if dist.is_initialized() and dist.get_rank() > 0:
                cfg.common_eval.results_path = None
            return main(cfg, *args, **kwargs)

    return main_of_rank


distributed_utils.infer_init_method = _infer_init_method_on_cpus
BaseFairseqModel.prepare_for_inference_ = _prepare_and_lead
for _module in [*map(sys.modules.get, PROGRAMS), sys.modules["__main__"]]:
    _file = Path(getattr(_module, "__file__", None) or "")
    if _file.parent.name == FAIRSEQ_FOLDER and f"{FAIRSEQ_FOLDER}.{_file.stem}" in PROGRAMS:
        _module.main = _as_a_team(_module.main)  # type: ignore[union-attr]
