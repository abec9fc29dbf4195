"""The benchmark programs run, and report what was measured. Nothing here depends on speed."""

import json
from pathlib import Path
from typing import Any

import pytest

from fairseq_plugins.number_formats import native_bfloat16
from tests.programs import script, succeeded

NATIVE = int(native_bfloat16())  # how many of the number formats beside float32 are measured

pytestmark = pytest.mark.integration


def benchmark(folder: Path, name: str, *arguments: str) -> tuple[str, dict[str, Any]]:
    """Run a benchmark at its smallest: its table, and its report."""
    path = folder / "report.json"
    done = script("benchmark", name, "--quick", "--json", path, *arguments)
    succeeded(done)
    return done.stdout, json.loads(path.read_text())


def check(report: dict[str, Any], table: str) -> None:
    assert {"processor", "cores", "threads", "torch", "load_before"} <= set(report["machine"])
    assert report["settings"]["quick"] is True
    for result in report["results"]:
        assert result["title"] in table
        assert result["ours"]["name"] in table
        assert len(result["ours"]["seconds"]) == len(result["rival"]["seconds"]) >= 5
        low, high = result["time_ratio_range"]
        assert 0 < low <= result["time_ratio"] <= high


def test_the_benchmark_of_the_memory_checks_and_reports(tmp_path: Path) -> None:
    table, report = benchmark(tmp_path, "memory", "--check")
    check(report, table)
    assert [result["slots"] for result in report["results"]] == [1024]


def test_the_benchmark_of_search_alone_reports_the_whole_and_both_products(tmp_path: Path) -> None:
    table, report = benchmark(tmp_path, "memory", "--search")
    check(report, table)
    rivals = [result["rival"]["name"] for result in report["results"]]
    assert rivals == ["mm + topk(16)", "mm in float32", *["mm in bfloat16"] * NATIVE]


def test_the_benchmark_of_training_reports_all_that_was_asked_for(tmp_path: Path) -> None:
    table, report = benchmark(
        tmp_path, "train", "--only", "bfloat16", "float32-apart", "memory-float32"
    )
    check(report, table)
    allocators = [result["rival_allocator"] for result in report["results"]]
    assert allocators == [*["kept"] * NATIVE, "default", "kept"]
    assert all(result["unit"] == "words" for result in report["results"])


def test_the_benchmark_of_training_measures_the_rival_only_where_wanted(tmp_path: Path) -> None:
    _, report = benchmark(
        tmp_path, "train", "--rival-allocator", "kept", "--only", "float32", "float32-apart"
    )
    assert [result["title"] for result in report["results"]] == ["float32"]


def test_the_benchmark_of_decoding_reports_both_ways_without_memory(tmp_path: Path) -> None:
    table, report = benchmark(tmp_path, "decode")
    check(report, table)
    assert [result["rival"]["name"] for result in report["results"]] == ["gnmt", "an empty memory"]


def test_the_benchmark_of_drawings_reports_all_rivals(tmp_path: Path) -> None:
    table, report = benchmark(tmp_path, "omniglot")
    check(report, table)
    assert len(report["results"]) == 3 + NATIVE
    assert all(result["unit"] == "drawings" for result in report["results"])


def test_the_benchmark_of_neural_gpus_reports_all_rivals(tmp_path: Path) -> None:
    table, report = benchmark(tmp_path, "neural-gpu")
    check(report, table)
    units = [result["unit"] for result in report["results"]]
    assert units == [*["steps"] * (1 + NATIVE), "sequences"]


def test_the_benchmark_of_teaching_reports_all_that_people_wait_for(tmp_path: Path) -> None:
    table, report = benchmark(tmp_path, "teaching")
    titles = [result["title"] for result in report["results"]]
    assert all(title in table for title in titles)
    for told in ("teach a pair", "read a TMX file", "import it", "open the folder, 20 lessons",
                 "GET / (the page)", "POST /explain", "undo the import"):  # fmt: skip
        assert any(title.startswith(told) for title in titles), told
    assert report["load"]["lessons"] == 20


def test_the_benchmark_of_serving_reports_what_clients_saw(tmp_path: Path) -> None:
    """Several servers, and kills, are tested in test_crowd.py."""
    table, report = benchmark(tmp_path, "serving", "--servers", "1", "--kills", "0")
    assert report["clients"]["faults"] == [] and table.count("faults: 0") == 2
    assert len(report["clients"]["seconds"]["teach"]) == 4
    assert report["clients"]["p95"]["teach"] == max(report["clients"]["seconds"]["teach"])


def test_the_benchmark_of_a_large_memory_compares_all_ways(trained: Any, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    done = script(
        "benchmark", "generate", "--path", trained.last, "--data", trained.data, "--sentences", 4,
        "--turn", 2, "--beam", 1, "--json", path,
    )  # fmt: skip
    succeeded(done)
    names = [result["name"] for result in json.loads(path.read_text())["results"]]
    assert len(names) == 5 and all(name in done.stdout for name in names)
