"""Prints the fairseq-train command that does the same as a configuration for hydra.

    python scripts/show_command.py multi30k_en_de task.data=prepared/data-bin common.seed=2

Overrides are written as for fairseq-hydra-train. What is still to be given stands in capitals.
"""

import argparse
from pathlib import Path

from fairseq_plugins.experiments.options import CONFIGS


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("config", help="name of a YAML file, without its ending")
    add("overrides", nargs="*", help="changes, as hydra writes them")
    add("--config-dir", type=Path, default=CONFIGS, help="where it is")
    return parser.parse_args()


def main() -> None:
    """Read, print."""
    args = parse()
    from fairseq_plugins.experiments.show_command import command, composed, shown
    from fairseq_plugins.program import start, tell

    start()
    cfg = composed(args.config, args.overrides, args.config_dir.resolve())
    tell(shown(command(cfg)))


if __name__ == "__main__":
    main()
