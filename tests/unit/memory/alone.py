"""Programs that use the memory without fairseq, which would take seconds to import."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

PREAMBLE = """
import itertools, os, sys, time, types

package = types.ModuleType("fairseq_plugins")  # without running its __init__
package.__path__ = ["fairseq_plugins"]
sys.modules["fairseq_plugins"] = package

import torch
from fairseq_plugins import atomic
from fairseq_plugins.memory import KeyValueMemory, snapshot

assert "fairseq" not in sys.modules
torch.set_num_threads(1)
"""


def start_alone(program: str, *arguments: object) -> subprocess.Popen[str]:
    """Run a program in a Python of its own, and read what it prints."""
    return subprocess.Popen(
        [sys.executable, "-c", PREAMBLE + program, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
