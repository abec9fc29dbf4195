"""Reports of the benchmark programs."""

import pytest

from fairseq_plugins.benchmarks import report


def test_what_is_not_native_is_left_out_and_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(report, "native_bfloat16", lambda device: False)
    assert report.measurable("float32", "cpu", "training in float32")
    assert not report.measurable("bfloat16", "cpu", "training in bfloat16")
    assert len(caplog.messages) == 1
    assert caplog.messages[0].endswith("not native to this machine: training in bfloat16")


def test_nothing_is_left_out_where_all_is_native(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(report, "native_bfloat16", lambda device: True)
    assert report.measurable("bfloat16", "cpu", "training in bfloat16")
    assert not caplog.messages
