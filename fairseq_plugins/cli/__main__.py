"""The console script ``fairseq-memory``: parse, run the verb, show what it returns."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence

from fairseq_plugins import cli, verbs


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program.

    Args:
        arguments: of the command line; None for those that the program was started with.

    Returns:
        The exit code 0. Usage errors end the program with 2; the user's other mistakes with 1,
        after one line on stderr.
    """
    args = verbs.parser(cli, "fairseq-memory", _shared).parse_args(arguments)
    from fairseq_plugins.program import start

    start()
    text, data = args.run(args)
    for line in _json(data) if args.json else _text(text):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    return 0


def _text(text: str | Iterator[str]) -> Iterator[str]:
    """What a verb tells people, all at once or piece by piece."""
    yield from [text] if isinstance(text, str) else text


def _json(data: object) -> Iterator[str]:
    """The same for programs: one JSON value, or one a line of what comes piece by piece."""
    if isinstance(data, Iterator):
        yield from (json.dumps(one, ensure_ascii=False) for one in data)
    else:
        yield json.dumps(data, indent=2)


def _shared(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


if __name__ == "__main__":
    sys.exit(main())
