"""The console script ``fairseq-memory``: parse the arguments, run the verb, print its result."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence

from fairseq_plugins import cli, verbs


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program.

    Args:
        arguments: of the command line; None for those of this process.

    Returns:
        The exit code 0. Usage errors exit with 2; other errors of the user exit with 1, after one
        line on stderr.
    """
    args = verbs.parser(cli, "fairseq-memory", _shared).parse_args(arguments)
    from fairseq_plugins.program import start, tell

    start()
    text, data = args.run(args)
    for line in _json(data) if args.json else _text(text):
        tell(line)
    return 0


def _text(text: str | Iterator[str]) -> Iterator[str]:
    """Yield the result for people, whole or piece by piece."""
    yield from [text] if isinstance(text, str) else text


def _json(data: object) -> Iterator[str]:
    """Yield the result for programs: one JSON value, or one per line for results in pieces."""
    if isinstance(data, Iterator):
        yield from (json.dumps(one, ensure_ascii=False) for one in data)
    else:
        yield json.dumps(data, indent=2)


def _shared(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


if __name__ == "__main__":
    sys.exit(main())
