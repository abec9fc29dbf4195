"""Print the fairseq-train command that is equivalent to a hydra configuration.

    python scripts/show_command.py multi30k_en_de task.data=prepared/data-bin common.seed=2

Overrides are in the syntax of fairseq-hydra-train. Missing values are printed in capitals.
"""

import argparse
from pathlib import Path

from fairseq_plugins.experiments.options import CONFIGS


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("config", help="name of a YAML file, without its suffix")
    add("overrides", nargs="*", help="changes to the configuration, in hydra's syntax")
    add("--config-dir", type=Path, default=CONFIGS, help="folder of the YAML file")
    return parser.parse_args()


def main() -> None:
    """Compose the configuration and print the command."""
    args = parse()
    from fairseq_plugins.experiments.show_command import command, composed, shown
    from fairseq_plugins.program import start, tell

    start()
    cfg = composed(args.config, args.overrides, args.config_dir.resolve())
    tell(shown(command(cfg)))


if __name__ == "__main__":
    main()
