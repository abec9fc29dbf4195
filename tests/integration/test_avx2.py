"""Selected tests run again as on an x86-64 processor with AVX2 only, as in most laptops.

A better processor stands in for one: environment variables keep torch, oneDNN, faiss and numpy from
the instructions that came after AVX2, bfloat16 among them.
"""

import os
import subprocess
import sys

import pytest
import torch

from fairseq_plugins import number_formats
from tests.conftest import ROOT
from tests.programs import ADDRESS

AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "FAISS_SIMD_LEVEL": "AVX2",  # from faiss 1.15 on
    "FAISS_OPT_LEVEL": "AVX2",  # before
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
}
TESTS = (
    "tests/unit/modules/test_lstm.py",
    "tests/unit/memory/search/test_exact.py",
    "tests/unit/memory/search/test_approximate.py",
    "tests/unit/teaching/test_calibrate.py",
    "tests/unit/teaching/test_fill.py",
    "tests/integration/test_benchmarks.py",
    "tests/integration/test_train_translate.py",
)
# What does not depend on the processor, or is slow and covered by the others.
LEFT_OUT = (
    "all_that_was_asked_for", "people_wait_for", "clients_saw", "compares_all_ways",
    "hydra", "ensemble", "interactive", "survive", "plain_trans",
)  # fmt: skip
OF_THIS_SESSION = ("PYTEST", ADDRESS)  # variables that tell its parts of each other

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        torch.backends.cpu.get_cpu_capability() != "AVX512",
        reason="all tests run without AVX-512 here already",
    ),
]


def emulated(*command: str) -> subprocess.CompletedProcess[str]:
    """Run Python as if the processor had nothing beyond AVX2."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(OF_THIS_SESSION)}
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, cwd=ROOT, env=own | AVX2
    )


def test_the_processor_is_taken_for_one_without_bfloat16() -> None:
    code = f"import runpy; print(runpy.run_path({number_formats.__file__!r})['native_bfloat16']())"
    assert emulated("-c", code).stdout == "False\n"


def test_search_training_filling_generation_and_benchmarks_need_no_more_than_avx2() -> None:
    done = emulated(
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-k",
        f"not ({' or '.join(LEFT_OUT)})",
        *TESTS,
    )
    assert done.returncode == 0, done.stdout[-5000:]
