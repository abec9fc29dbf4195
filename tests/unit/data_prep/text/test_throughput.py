"""The text that the benchmark of data preparation generates, and its measurements."""

from pathlib import Path

from data_prep.text import throughput


def test_text_is_of_as_many_lines_in_both_languages(tmp_path: Path) -> None:
    throughput.make_text(tmp_path, 50)
    both = [(tmp_path / f"text.{lang}").read_text().splitlines() for lang in ("en", "de")]
    assert [len(lines) for lines in both] == [50, 50]
    assert all(len(line.split()) >= 1 for lines in both for line in lines)


def test_a_step_is_measured_in_a_process_of_its_own(tmp_path: Path) -> None:
    throughput.make_text(tmp_path, 50)
    ours = b"1" * (1 << 29)  # must not be counted
    found = throughput.measured(throughput.clean, tmp_path, 2)
    assert found.seconds > 0 and 10 < found.peak_mib < len(ours) >> 20
    assert (tmp_path / "out" / "train.en").exists()
