"""Which short number formats this machine multiplies natively: the one place that asks.

A processor without instructions for bfloat16 still computes with it, but several times slower than
with float32; and oneDNN's LSTM refuses it there. So whoever chooses a format asks here first.

On a CPU, torch multiplies bfloat16 through oneDNN. A build without oneDNN, as for macOS, has no
fast product, whatever the processor can do. Environment variables that cap oneDNN or torch below
what the processor can do are believed; so a better machine can stand in for one with AVX2 only.
"""

import os
import platform

import torch

# What ONEDNN_MAX_CPU_ISA can allow without allowing bfloat16. torch does not tell the last two.
_CAPS = {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI"}


def native_bfloat16(device: torch.device | str = "cpu") -> bool:
    """Tell whether products of bfloat16 matrices are native on a device, and so pay.

    Args:
        device: a CPU, or a CUDA device that is present; anything else never multiplies natively.

    Returns:
        True on x86-64 with AVX512_BF16 or AMX, on ARM64 with the bfloat16 extension, and on CUDA
        from compute capability 8.0.
    """
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and _onednn_multiplies() and not _capped() and _instructions()


def _onednn_multiplies() -> bool:
    """oneDNN is there and accepts bfloat16. On x86-64 it also does so where it emulates it."""
    if not torch.backends.mkldnn.is_available():
        return False
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _capped() -> bool:
    """The environment keeps oneDNN, or torch itself, below the instructions for bfloat16."""
    names = (os.environ.get(f"{prefix}_MAX_CPU_ISA", "") for prefix in ("ONEDNN", "DNNL"))
    if any(name.upper() in _CAPS for name in names):
        return True
    return _is_x86() and torch.backends.cpu.get_cpu_capability() in {"DEFAULT", "AVX2"}


def _instructions() -> bool:
    """The processor has instructions for bfloat16; on ARM64 oneDNN has looked already."""
    if not _is_x86():
        return True
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _is_x86() -> bool:
    return platform.machine().lower() in {"x86_64", "amd64"}
