"""Detects whether this machine multiplies bfloat16 natively.

A processor without bfloat16 instructions still computes with bfloat16, but several times slower
than with float32, and oneDNN's LSTM rejects it. So code that chooses a format asks here first.

On a CPU, torch multiplies bfloat16 through oneDNN. A build without oneDNN, as for macOS, has no
fast product on any processor. Environment variables that restrict oneDNN or torch are respected, so
a better machine can emulate one that only has AVX2.
"""

import os
import platform

import torch

# Values of ONEDNN_MAX_CPU_ISA that exclude bfloat16. torch does not report the last two.
_CAPS = {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI"}


def native_bfloat16(device: torch.device | str = "cpu") -> bool:
    """Return whether a device multiplies bfloat16 matrices natively, so that bfloat16 is faster.

    Args:
        device: a CPU, or a CUDA device that is present; the answer for others is False.

    Returns:
        True on x86-64 with AVX512_BF16 or AMX, on ARM64 with the bfloat16 extension, and on CUDA
        from compute capability 8.0.
    """
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and _onednn_multiplies() and not _capped() and _instructions()


def _onednn_multiplies() -> bool:
    """Return whether oneDNN accepts bfloat16. On x86-64 it also does so where it emulates it."""
    if not torch.backends.mkldnn.is_available():
        return False
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _capped() -> bool:
    """Return whether the environment keeps oneDNN or torch below the bfloat16 instructions."""
    names = (os.environ.get(f"{prefix}_MAX_CPU_ISA", "") for prefix in ("ONEDNN", "DNNL"))
    if any(name.upper() in _CAPS for name in names):
        return True
    return _is_x86() and torch.backends.cpu.get_cpu_capability() in {"DEFAULT", "AVX2"}


def _instructions() -> bool:
    """Return whether the processor has bfloat16 instructions; on ARM64 oneDNN has checked this."""
    if not _is_x86():
        return True
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _is_x86() -> bool:
    return platform.machine().lower() in {"x86_64", "amd64"}
