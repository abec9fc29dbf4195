"""Reproduces published results: `python scripts/reproduce.py RESULT`, or `make RESULT`."""

import argparse
import importlib
import sys

from data_prep.core.program import run_program
from fairseq_plugins import verbs
from fairseq_plugins.experiments import programs


def prepare(name: str, *arguments: object) -> None:
    """Run a program of data_prep, which the experiments do not know; end with it if it fails."""
    program = importlib.import_module(f"data_prep.{name}")
    status = run_program(program.main, program.parse_arguments([*map(str, arguments)]))
    if status:
        sys.exit(status)


def shared(parser: argparse.ArgumentParser) -> None:
    """Let every result prepare its data."""
    parser.set_defaults(prepare=prepare)


def main() -> None:
    """Prepare, train, measure, tell."""
    args = verbs.parser(programs, "reproduce.py", shared).parse_args()
    from fairseq_plugins.program import start, tell

    start()
    tell(args.run(args))


if __name__ == "__main__":
    main()
