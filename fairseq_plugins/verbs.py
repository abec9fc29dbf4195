"""Command lines built from a package: a file is a verb, a folder is a verb with its own verbs.

The docstring of a verb's file begins with one line on what it does, and gives an example. Its
``arguments(parser)`` declares the arguments, and its ``run(args)`` makes one call. Only ``run``
imports torch and fairseq, so that ``--help`` answers at once. To add a verb, add a file.
"""

import argparse
import importlib
import pkgutil
from collections.abc import Callable
from types import ModuleType

from fairseq_plugins.arguments import HelpFormatter

# Adds arguments that all verbs of a program share.
Shared = Callable[[argparse.ArgumentParser], object]


def parser(
    package: ModuleType, program: str, shared: Shared = lambda _: None
) -> argparse.ArgumentParser:
    """Build the parser of a program from a package of verbs.

    Args:
        package: that contains the verbs; its docstring describes the program.
        program: its name in the usage message.
        shared: adds the arguments that all verbs share.

    Returns:
        A parser. In addition to the verb's arguments, its result has ``run``, the verb's function,
        and ``error``, which exits with a usage message and code 2.
    """
    whole = argparse.ArgumentParser(
        prog=program, description=package.__doc__, formatter_class=HelpFormatter
    )
    _add_verbs(whole, package, shared)
    return whole


def _add_verbs(parser: argparse.ArgumentParser, package: ModuleType, shared: Shared) -> None:
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for found in pkgutil.iter_modules(package.__path__):
        if found.name.startswith("_"):
            continue
        verb = importlib.import_module(f"{package.__name__}.{found.name}")
        description = verb.__doc__ or ""
        own = verbs.add_parser(
            found.name.replace("_", "-"),
            help=description.partition("\n")[0],
            description=description,
            formatter_class=HelpFormatter,
        )
        if found.ispkg:
            _add_verbs(own, verb, shared)
        else:
            verb.arguments(own)
            shared(own)
            own.set_defaults(run=verb.run, error=own.error)
