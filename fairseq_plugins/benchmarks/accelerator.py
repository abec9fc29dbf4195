"""Speed of the memory and its models on an accelerator, in minutes: ``make gpu``.

Each part runs in a separate process with a time limit, so that one that hangs or runs out of memory
does not affect the others. Results are written as JSON as they arrive, and shown as a table. With
``--quick`` everything is tiny and also runs on a CPU, which is how the parts are tested.
"""

import multiprocessing
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from fairseq_plugins.atomic import write_json
from fairseq_plugins.benchmarks.duel import Stopwatch
from fairseq_plugins.benchmarks.memory import MemorySizes, Step
from fairseq_plugins.benchmarks.omniglot import OneShotTraining, PlainTraining, make_drawings
from fairseq_plugins.benchmarks.translation import Decoding, Training, arguments, make_corpus

A100_TOKENS_PER_SECOND = 140_909
"""GNMT v2 in PyTorch, mixed precision, one A100 (NVIDIA Deep Learning Examples, GNMTv2)."""

Results = dict[str, Any]


@dataclass(frozen=True)
class Scale:
    """Sizes of all parts."""

    device: str
    quick: bool

    def pick(self, full: Any, quick: Any) -> Any:
        """Return the size for an accelerator or that for a test."""
        return quick if self.quick else full


# --- The parts ------------------------------------------------------------------------------------


def search(scale: Scale, slots: int, dim: int) -> Results:
    """Time exact search, and a whole step of the memory, and compare with the matrix product."""
    slots, queries = scale.pick(slots, 500), scale.pick(4096, 32)
    sizes = MemorySizes(slots, dim, queries, neighbors=32, device=scale.device, budget_mb=2048)
    step = Step(sizes)
    product = step.rival(0)
    product_short = step.rival(0, torch.bfloat16)
    topk = step.rival(32)
    contenders = {
        "product_float32": product,
        "product_bfloat16": product_short,
        "product_and_topk": topk,
        "search": step.search,
        "step": step.run,
    }
    found = {f"{name}_ms": 1000 * _median(contender) for name, contender in contenders.items()}
    found["search_to_product"] = found["search_ms"] / found["product_float32_ms"]
    found["search_to_product_bfloat16"] = found["search_ms"] / found["product_bfloat16_ms"]
    return {"slots": slots, "dim": dim, "queries": queries} | found


def training(scale: Scale, memory: bool) -> Results:
    """Time the training of the published GNMT on random text with the shape of WMT's.

    Batches grow until the card is full or the speed no longer increases.
    """
    name = "gnmt_memory_wmt" if memory else "gnmt_wmt"
    units, layers, vocabulary = scale.pick(1024, 16), scale.pick(4, 2), scale.pick(32_000, 200)
    more: list[object] = ["--clip-norm", "5.0"]
    if memory:
        slots, width = scale.pick(1 << 20, 256), scale.pick(512, 8)
        more += ["--memory-size", slots, "--memory-key-dim", width]
    given = arguments(name, units, layers, scale.pick("bfloat16", "none"), "ours", *more)
    results: Results = {"tokens_per_second": 0.0, "by_batch": {}}
    with TemporaryDirectory() as folder:
        make_corpus(Path(folder), scale.pick(40_000, 100), vocabulary)
        for tokens in scale.pick((8_000, 16_000, 32_000), (200,)):
            try:
                contender = Training(
                    Path(folder), given, scale.device, tokens,
                    updates=scale.pick(8, 1), warm_up=scale.pick(6, 1),
                )  # fmt: skip
            except torch.OutOfMemoryError:
                break
            speed = max(contender(number).speed for number in range(scale.pick(3, 1)))
            results["by_batch"][tokens] = speed
            results["tokens_per_second"] = max(results["tokens_per_second"], speed)
            results["profile"] = _profile(contender, scale)
    results["to_a100"] = results["tokens_per_second"] / A100_TOKENS_PER_SECOND
    return results


def decoding(scale: Scale) -> Results:
    """Time beam search with a memory of a million slots, and with the same memory emptied."""
    sentences, length = scale.pick(64, 8), scale.pick(20, 4)
    slots, width = scale.pick(1 << 20, 64), scale.pick(128, 8)
    units, layers, vocabulary = scale.pick(512, 16), 2, scale.pick(10_000, 200)
    given = arguments(
        "gnmt_memory_base", units, layers, "none", "ours",
        "--memory-size", slots, "--memory-key-dim", width,
    )  # fmt: skip
    speeds = {}
    with TemporaryDirectory() as folder:
        make_corpus(Path(folder), scale.pick(20_000, 100), vocabulary)
        for name, empty in (("full", False), ("empty", True)):
            contender = Decoding(Path(folder), given, scale.device, sentences, 5, length, empty)
            contender(0)  # warm-up
            speeds[name] = max(contender(number).speed for number in range(1, scale.pick(4, 2)))
    return {
        "slots": slots,
        "sentences_per_second": speeds["full"],
        "empty": speeds["empty"],
        "to_empty": speeds["full"] / speeds["empty"],
    }


def drawings(scale: Scale) -> Results:
    """Time the training of the classifier of drawings, and of the same network in plain PyTorch."""
    classes, slots, updates = scale.pick(256, 4), scale.pick(4096, 16), scale.pick(20, 1)
    autocast = scale.pick("bfloat16", "none")
    with TemporaryDirectory() as folder:
        make_drawings(Path(folder), scale.pick(1200, 8))
        ours = OneShotTraining(Path(folder), classes, slots, autocast, updates, True, scale.device)
        plain = PlainTraining(ours.dataset, autocast, updates, scale.device)
        speeds = [max(one(number).speed for number in range(3)) for one in (ours, plain)]
    return {"drawings_per_second": speeds[0], "plain": speeds[1], "to_plain": speeds[0] / speeds[1]}


def _median(contender: Callable[[int], Any], turns: int = 7) -> float:
    """Return the median seconds of a turn, after two turns of warm-up."""
    seconds = [contender(number).seconds for number in range(turns + 2)][2:]
    return sorted(seconds)[turns // 2]


def _profile(contender: Training, scale: Scale) -> Results:
    """Return shares of the time of an update: kernels by type, relative to the wall clock."""
    if not scale.device.startswith("cuda"):
        return {}
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile, Stopwatch(scale.device) as watch:
        contender(0)
    kinds = {"lstm": ("rnn", "lstm"), "products": ("gemm", "cutlass", "sm90", "sm80", "nvjet")}
    seconds = dict.fromkeys([*kinds, "other"], 0.0)
    for event in profile.key_averages():
        name = event.key.lower()
        kind = next((k for k, words in kinds.items() if any(w in name for w in words)), "other")
        seconds[kind] += event.self_device_time_total / 1e6
    shares = {kind: spent / watch.seconds for kind, spent in seconds.items()}
    return shares | {"card_idle": 1 - sum(shares.values())}


# --- How they are run -----------------------------------------------------------------------------

PARTS: dict[str, tuple[Callable[..., Results], tuple, float]] = {
    "search_1m_512": (search, (1 << 20, 512), 90),
    "search_8m_128": (search, (1 << 23, 128), 90),
    "training_gnmt": (training, (False,), 120),
    "training_gnmt_memory": (training, (True,), 150),
    "decoding": (decoding, (), 90),
    "drawings": (drawings, (), 60),
}
"""Function, arguments, and time limit in seconds of each part."""


def run_parts(names: Sequence[str], scale: Scale, output: Path | None) -> dict[str, Results]:
    """Run parts one after another; write and return the result of each, or its error.

    Args:
        names: in ``PARTS``.
        scale: of all parts.
        output: JSON file to write after each part; None for none.
    """
    results: dict[str, Results] = {"machine": describe(scale.device)}
    for name in names:
        function, given, limit = PARTS[name]
        begin = time.perf_counter()
        results[name] = _apart(function, (scale, *given), limit)
        results[name]["seconds"] = time.perf_counter() - begin
        if output is not None:
            write_json(output, results)
    return results


def describe(device: str) -> Results:
    """Describe the machine: card, its capability, torch."""
    if not device.startswith("cuda"):
        return {"device": "CPU", "torch": torch.__version__}
    major, minor = torch.cuda.get_device_capability()
    return {
        "device": torch.cuda.get_device_name(),
        "capability": f"{major}.{minor}",
        "torch": torch.__version__,
    }


def results_table(results: dict[str, Results]) -> str:
    """Return the results as lines of text, one number each."""
    lines = []
    for part, found in results.items():
        lines.append(part)
        for name, value in found.items():
            shown = f"{value:,.3f}" if isinstance(value, float) else str(value)
            lines.append(f"  {name:<28} {shown}")
    return "\n".join(lines)


def _apart(function: Callable[..., Results], given: tuple, limit: float) -> Results:
    """Call a function in a new process, which is ended at its time limit."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_answer, args=(theirs, function, given))
    process.start()
    theirs.close()
    try:
        if ours.poll(limit):
            return ours.recv()
        return {"error": f"not finished after {limit:.0f} s"}
    except EOFError:
        return {"error": "the process died"}
    finally:
        process.kill()
        process.join()


def _answer(pipe: Connection, function: Callable[..., Results], given: tuple) -> None:
    import fairseq_plugins  # noqa: F401, registers the models in this process

    try:
        pipe.send(function(*given))
    except Exception as error:
        traceback.print_exc()
        pipe.send({"error": f"{type(error).__name__}: {error}"})
