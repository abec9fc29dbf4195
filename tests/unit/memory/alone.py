"""Programs that use the memory, in separate processes."""

import subprocess
import sys

from tests.conftest import ROOT
from tests.programs import SOURCE

PREAMBLE = """
import itertools, os, sys, time

import torch
from fairseq_plugins import atomic
from fairseq_plugins.memory import KeyValueMemory, snapshot

torch.set_num_threads(1)
"""


def start_alone(program: str, *arguments: object) -> subprocess.Popen[str]:
    """Run a program, and read what it prints."""
    return subprocess.Popen(
        [sys.executable, SOURCE, PREAMBLE + program, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
