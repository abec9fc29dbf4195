"""Measures speed: `python scripts/benchmark.py WHAT`; `make bench` runs what matters most."""

from fairseq_plugins import verbs
from fairseq_plugins.benchmarks import programs


def main() -> None:
    """Measure, tell."""
    args = verbs.parser(programs, "benchmark.py").parse_args()
    from fairseq_plugins.program import start, tell

    start()
    tell(args.run(args))


if __name__ == "__main__":
    main()
