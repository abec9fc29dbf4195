"""Progress on a terminal and in a log."""

import io
import logging
import re
import sys
from collections.abc import Iterable

import pytest

from fairseq_plugins import progress
from fairseq_plugins.progress import Progress
from tests.programs import LONGEST


class Terminal(io.StringIO):
    """What is written to a terminal."""

    def isatty(self) -> bool:
        """Yes."""
        return True


def work(monkeypatch: pytest.MonkeyPatch, stderr: io.StringIO, lines: Iterable = range(5)) -> str:
    monkeypatch.setattr(sys, "stderr", stderr)
    for _ in Progress(lines, desc="reading", unit=" lines"):
        pass
    return stderr.getvalue()


def test_terminal_shows_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = work(monkeypatch, Terminal())
    assert "reading: 100%" in shown and "5/5" in shown


def test_log_has_lines(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(progress, "LOG_INTERVAL", 0)
    with caplog.at_level(logging.INFO):
        assert work(monkeypatch, io.StringIO()) == ""
    assert any("reading:  60%| 3/5" in message for message in caplog.messages), caplog.messages


def test_lines_tell_no_end_that_nobody_knows(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(progress, "LOG_INTERVAL", 0)
    with caplog.at_level(logging.INFO):
        work(monkeypatch, io.StringIO(), iter(range(5)))
    assert any(re.match(r"reading: 3 \[\d+:\d+, ", message) for message in caplog.messages)


def test_short_work_says_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(progress, "LOG_INTERVAL", LONGEST)  # than which no machine is slower
    with caplog.at_level(logging.INFO):
        assert work(monkeypatch, io.StringIO()) == ""
    assert not caplog.messages
