"""Nothing assumes Linux on x86-64: everything is imported and works as on an ARM64 Mac."""

import subprocess
import sys

from tests.conftest import ROOT
from tests.programs import SOURCE

AS_ON_A_MAC = """
import builtins, ctypes, importlib, io, pkgutil, platform, sys
import torch, fairseq.tasks, fairseq.models, fairseq.criterions, fairseq.trainer  # of others

def open_elsewhere(path, *more, open=io.open, **options):
    if str(path).startswith("/proc"):
        raise FileNotFoundError(2, "No such file or directory", str(path))
    return open(path, *more, **options)

builtins.open = io.open = open_elsewhere
sys.platform, platform.machine, platform.processor = "darwin", lambda: "arm64", lambda: "arm"
ctypes.CDLL = None  # no library is looked for
import data_prep, fairseq_plugins

for package in (data_prep, fairseq_plugins):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)

from fairseq_plugins import allocator
from fairseq_plugins.benchmarks.report import machine
from fairseq_plugins.number_formats import native_bfloat16

allocator.keep_freed_memory()
allocator.return_freed_memory()
native_bfloat16()
print(machine("cpu")["processor"])
"""


def test_everything_is_imported_on_a_mac() -> None:
    done = subprocess.run(
        [sys.executable, SOURCE, AS_ON_A_MAC], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "arm\n"
