"""Measure speed: `python scripts/benchmark.py WHAT`; `make bench` runs the main benchmarks."""

from fairseq_plugins import verbs
from fairseq_plugins.benchmarks import programs


def main() -> None:
    """Run a benchmark and print its results."""
    args = verbs.parser(programs, "benchmark.py").parse_args()
    from fairseq_plugins.program import start, tell

    start()
    tell(args.run(args))


if __name__ == "__main__":
    main()
