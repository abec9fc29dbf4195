"""Lets several processes translate with one sharded memory, and train on machines without a GPU.

fairseq-generate and fairseq-interactive know nothing of other processes: each would translate
everything. Trainings that torchrun starts divide by the number of GPUs.
"""

import argparse
import functools
import sys
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.distributed import utils as distributed_utils
from fairseq.models import BaseFairseqModel
from omegaconf import DictConfig

from fairseq_plugins.ranks import launched, lead, team

_infer_init_method = distributed_utils.infer_init_method
_prepare_for_inference = BaseFairseqModel.prepare_for_inference_


def _infer_init_method_on_cpus(cfg: DictConfig, force_distributed: bool = False) -> None:
    """Configure a training that torchrun has started, also where no GPU is."""
    found = launched()
    if found is None or cfg.distributed_init_method is not None or torch.cuda.is_available():
        _infer_init_method(cfg, force_distributed)
        return
    cfg.distributed_rank, cfg.distributed_world_size = found
    cfg.distributed_init_method, cfg.device_id, cfg.distributed_no_spawn = "env://", 0, True
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
for _name in ("fairseq_cli.generate", "fairseq_cli.interactive"):
    # Run as a file or with -m, it is __main__.
    for _module in (sys.modules.get(_name), sys.modules["__main__"]):
        _spec = getattr(_module, "__spec__", None)
        if _module is not None and hasattr(_module, "main") and _spec is not None and _spec.name == _name:
            _module.main = _as_a_team(_module.main)
