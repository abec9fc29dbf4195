"""Print the folder to pass to fairseq's programs as --user-dir.

    fairseq-train DATA-BIN --user-dir "$(fairseq-memory user-dir)" --task translation_memory ...

The path is absolute, so it works in every current directory.
"""

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare no arguments."""


def run(args: argparse.Namespace) -> tuple[str, object]:
    """Return the folder of the plug-in."""
    from fairseq_plugins.commands import PLUGINS

    return str(PLUGINS), {"user_dir": str(PLUGINS)}
