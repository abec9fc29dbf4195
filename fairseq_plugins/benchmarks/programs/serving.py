"""Measure several servers on one journal, with many clients and with kills.

    python scripts/benchmark.py serving --translator my-translator --seconds 120 --kills 100
    python scripts/benchmark.py serving --journal postgresql://USER@HOST/DATABASE

Clients teach at one server, translate at the next, which must know the lesson already, and forget.
Then servers are killed while clients teach, beside one that goes on. Prints how long requests take,
and everything that was lost or wrong. Works on a copy of a translator folder; without --translator,
on an untrained network. A PostgreSQL database must be empty.
"""

import argparse
from pathlib import Path

from fairseq_plugins.arguments import not_negative, positive, seed
from fairseq_plugins.benchmarks.options import add_json, add_translator

QUICK = {"slots": 2000, "clients": 4, "seconds": 0.0, "kills": 2, "units": 16, "vocabulary": 200}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add_translator(parser, slots=100_000)
    add("--journal", metavar="URL", help="PostgreSQL database for the lessons (an SQLite file)")
    add("--servers", type=positive, default=2, help="number of servers on the journal")
    add("--clients", type=positive, default=20, help="number of clients at once")
    add("--seconds", type=float, default=120.0, help="seconds that the clients go on for")
    add("--kills", type=not_negative, default=100, help="number of servers to kill")
    add("--seed", type=seed, default=1, help="seed of texts and of the moments of the kills")
    add_json(parser)


def run(args: argparse.Namespace) -> str:
    """Measure, and return the tables."""
    import tempfile

    from fairseq_plugins.benchmarks.crowd import Load, as_data, crowd, killed, share, table
    from fairseq_plugins.benchmarks.pupils import make_folder
    from fairseq_plugins.benchmarks.report import begin, finish

    about = begin(args, QUICK)
    load = Load(args.servers, args.clients, args.seconds, args.kills, args.seed)
    with tempfile.TemporaryDirectory() as place:
        sizes = args.slots, args.units, args.vocabulary
        folder = make_folder(Path(place), args.translator, *sizes)
        if args.journal:
            share(folder, args.journal)
        clients = crowd(folder, load)
        kills = killed(folder, load)
    numbers = {"machine": about} | as_data(clients, kills, load)
    where = f"{about['processor']}, {about['cores']} cores, load {about['load_before']}"
    return finish(args, numbers, where, "", *table(clients, kills, load))
