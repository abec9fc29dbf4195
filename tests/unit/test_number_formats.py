"""Whether bfloat16 is native, on machines of every kind."""

import os
import platform
import subprocess
import sys

import pytest
import torch

from fairseq_plugins import number_formats
from fairseq_plugins.number_formats import native_bfloat16

FILE = number_formats.__file__


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> "Machine":
    return Machine(monkeypatch)


class Machine:
    """Pretends to be another machine: one with AVX512_BF16 until told otherwise."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch
        for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
            monkeypatch.delenv(name, raising=False)
        self.set(onednn=True, accepts=True, torch_uses="AVX512", avx512_bf16=True, amx=False)
        self.set(processor="x86_64")

    def set(self, **answers: object) -> None:
        """Change what a source of information answers."""
        sources = {
            "onednn": (torch.backends.mkldnn, "is_available"),
            "accepts": (torch.ops.mkldnn, "_is_mkldnn_bf16_supported"),
            "torch_uses": (torch.backends.cpu, "get_cpu_capability"),
            "avx512_bf16": (torch.cpu, "_is_avx512_bf16_supported"),
            "amx": (torch.cpu, "_is_amx_tile_supported"),
            "processor": (platform, "machine"),
        }
        for name, answer in answers.items():
            self._patch.setattr(*sources[name], lambda answer=answer: answer)


def test_avx512_bf16_is_native(machine: Machine) -> None:
    assert native_bfloat16()
    assert native_bfloat16(torch.device("cpu"))


def test_amx_is_native(machine: Machine) -> None:
    machine.set(avx512_bf16=False, amx=True)
    assert native_bfloat16()


def test_avx512_alone_is_not_though_onednn_accepts_bfloat16(machine: Machine) -> None:
    machine.set(avx512_bf16=False)
    assert not native_bfloat16()


@pytest.mark.parametrize("capability", ["DEFAULT", "AVX2"])
def test_torch_capped_to_less_than_avx512_is_not(machine: Machine, capability: str) -> None:
    machine.set(torch_uses=capability)
    assert not native_bfloat16()


@pytest.mark.parametrize("variable", ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"])
@pytest.mark.parametrize("cap", ["AVX2", "avx2", "AVX512_CORE", "AVX512_CORE_VNNI"])
def test_onednn_capped_by_the_environment_is_not(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, variable: str, cap: str
) -> None:
    monkeypatch.setenv(variable, cap)
    assert not native_bfloat16()


@pytest.mark.parametrize("cap", ["", "DEFAULT", "AVX512_CORE_BF16", "AVX512_CORE_AMX"])
def test_caps_above_bfloat16_change_nothing(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, cap: str
) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", cap)
    assert native_bfloat16()


@pytest.mark.parametrize("accepts", [True, False])
def test_arm64_is_as_onednn_says(machine: Machine, accepts: bool) -> None:
    machine.set(processor="aarch64", torch_uses="DEFAULT", avx512_bf16=False, accepts=accepts)
    assert native_bfloat16() == accepts


def test_a_build_without_onednn_is_not_and_has_no_operator_to_ask(machine: Machine) -> None:
    """On macOS, for instance, torch.ops.mkldnn is empty."""

    def missing() -> bool:
        raise AttributeError("_is_mkldnn_bf16_supported")

    machine.set(processor="arm64", torch_uses="DEFAULT", onednn=False)
    machine._patch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", missing)
    assert not native_bfloat16()


@pytest.mark.parametrize(
    ("capability", "native"), [((7, 0), False), ((7, 5), False), ((8, 0), True), ((9, 0), True)]
)
def test_cuda_is_from_compute_capability_8(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], native: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert native_bfloat16(torch.device("cuda")) == native
    assert native_bfloat16("cuda:1") == native


def test_other_devices_are_not() -> None:
    assert not native_bfloat16("meta")


def test_a_process_whose_torch_is_capped_says_no() -> None:
    """Torch reads the variable while it is imported."""
    program = f"import runpy; print(runpy.run_path({FILE!r})['native_bfloat16']())"
    environment = os.environ | {"ATEN_CPU_CAPABILITY": "avx2"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n" or platform.machine() not in {"x86_64", "AMD64"}
