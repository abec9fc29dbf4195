"""Print the folder that fairseq's programs want as --user-dir.

    fairseq-train DATA-BIN --user-dir "$(fairseq-memory user-dir)" --task translation_memory ...

It is an absolute path, so it is right wherever the command is run.
"""

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """Take none."""


def run(args: argparse.Namespace) -> tuple[str, object]:
    """Find it."""
    from fairseq_plugins.commands import PLUGINS

    return str(PLUGINS), {"user_dir": str(PLUGINS)}
