"""The one place that knows the quirks of fairseq, hydra, numpy and torch versions."""

import argparse
import collections
import ctypes
import sys
from typing import Any

import torch
from omegaconf import AnyNode, DictConfig, ListConfig
from omegaconf.base import ContainerMetadata, Metadata

# torch.load unpickles only what is listed (its guard against malicious checkpoints stays on).
# These are the classes in which fairseq keeps its configuration: data, no code.
HARMLESS = [
    argparse.Namespace,
    DictConfig,
    ListConfig,
    AnyNode,
    Metadata,
    ContainerMetadata,
    Any,
    collections.defaultdict,
    collections.OrderedDict,
    dict,
    list,
    int,
    float,
    str,
    bool,
]
torch.serialization.add_safe_globals(HARMLESS)


def keep_freed_memory() -> None:
    """Make glibc's allocator keep what it frees, for the next step.

    A training step frees and wants again the same few hundred MiB. By default large blocks go
    back to the kernel, which then has to clear every page anew: a fifth of the time on a CPU.
    The same as MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=2147483647 MALLOC_TOP_PAD_=67108864.
    """
    if sys.platform != "linux":
        return
    trim_threshold, top_pad, mmap_max = -1, -2, -4  # names of glibc's malloc.h
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return
    mallopt(mmap_max, 0)
    mallopt(trim_threshold, 2**31 - 1)
    mallopt(top_pad, 64 << 20)
