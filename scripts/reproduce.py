"""Reproduce published results: `python scripts/reproduce.py RESULT`, or `make RESULT`."""

import argparse
import importlib
import sys

from data_prep.core.program import run_program
from fairseq_plugins import verbs
from fairseq_plugins.experiments import programs


def prepare(name: str, *arguments: object) -> None:
    """Run a program of data_prep, on which the experiments do not depend; exit if it fails."""
    program = importlib.import_module(f"data_prep.{name}")
    status = run_program(program.main, program.parse_arguments([*map(str, arguments)]))
    if status:
        sys.exit(status)


def shared(parser: argparse.ArgumentParser) -> None:
    """Give every result a function that prepares its data."""
    parser.set_defaults(prepare=prepare)


def main() -> None:
    """Prepare, train and evaluate, and print the results."""
    args = verbs.parser(programs, "reproduce.py", shared).parse_args()
    from fairseq_plugins.program import start, tell

    start()
    tell(args.run(args))


if __name__ == "__main__":
    main()
