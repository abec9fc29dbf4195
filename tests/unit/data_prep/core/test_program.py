"""Errors that a user can correct are one line and an exit status, never a traceback."""

import argparse
import errno
import logging

import pytest

from data_prep.core.program import DataError, comma_separated, given_path, run_program


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (DataError("a.en, line 3: not UTF-8"), 1, "a.en, line 3: not UTF-8"),
        (OSError(errno.EACCES, "Permission denied", "out"), 1, "out: Permission denied"),
        (KeyboardInterrupt(), 130, "Interrupted. Run the same command again to continue."),
    ],
)
def test_error_becomes_one_line_and_a_status(
    caplog: pytest.LogCaptureFixture, error: BaseException, status: int, message: str
) -> None:
    def main(_: argparse.Namespace) -> None:
        raise error

    with caplog.at_level(logging.ERROR):
        assert run_program(main, argparse.Namespace()) == status
    assert [record.getMessage() for record in caplog.records] == [message]
    assert caplog.records[0].exc_info is None


def test_success_is_status_0() -> None:
    assert run_program(lambda _: None, argparse.Namespace()) == 0


def test_programming_errors_are_not_hidden() -> None:
    def main(_: argparse.Namespace) -> None:
        raise KeyError("a mistake of ours")

    with pytest.raises(KeyError):
        run_program(main, argparse.Namespace())


def test_comma_separated() -> None:
    assert comma_separated("a,b,") == ["a", "b"]


def test_an_empty_name_is_not_the_current_folder() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="an empty name"):
        given_path("")
