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
from typing import Any

from fairseq_plugins.arguments import HelpFormatter

# Adds arguments that all verbs of a program share.
Shared = Callable[[argparse.ArgumentParser], object]


class VerbParser(argparse.ArgumentParser):
    """A parser that accepts options anywhere, also between positional arguments.

    argparse decides that an optional positional argument is missing as soon as it reads an option.
    """

    _intermixed = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse options first and positional arguments afterwards, unless there are more verbs.

        This would lose ``--``; with it, options must come before the positional arguments.
        """
        if self._subparsers is not None or self._intermixed or "--" in (args or ()):
            return super().parse_known_args(args, namespace)
        self._intermixed = True  # it calls this method, for either kind
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._intermixed = False


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
    verbs = parser.add_subparsers(metavar="VERB", required=True, parser_class=VerbParser)
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
