"""Serve a translator to other programs, and to people on a page.

    fairseq-memory serve my-translator
    FAIRSEQ_MEMORY_TOKEN=... fairseq-memory serve my-translator --host 0.0.0.0

Open the address that it prints. Clients of LibreTranslate work with it unchanged; /docs lists
everything else that it offers. Without --host, only this machine can reach it.
"""

import argparse
import os
from collections.abc import Iterator

from fairseq_plugins.arguments import port
from fairseq_plugins.cli._translator import add_device, add_folder

TOKEN = "FAIRSEQ_MEMORY_TOKEN"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_folder(parser)
    parser.add_argument("--host", default="127.0.0.1", help="name or address to listen at")
    parser.add_argument("--port", type=port, default=5000,
                        help="port to listen at; 0 for any free port")  # fmt: skip
    parser.add_argument("--token",
                        help="secret that clients must know; needed for every --host that other "
                        f"machines can reach; the environment variable {TOKEN} keeps it out of the "
                        "list of processes")  # fmt: skip
    add_device(parser)


def run(args: argparse.Namespace) -> tuple[Iterator[str], Iterator[object]]:
    """Serve the translator, and yield its address."""
    return (f"Serving {args.folder} at {one}" for one in _addresses(args)), (
        {"address": one} for one in _addresses(args)
    )


def _addresses(args: argparse.Namespace) -> Iterator[str]:
    from fairseq_plugins.errors import InputError
    from fairseq_plugins.program import device

    try:
        from fairseq_plugins.teaching.server.serving import serve
    except ModuleNotFoundError as error:
        raise InputError(
            f"{error.name} is not installed; pip install 'fairseq-memory[server]'"
        ) from error
    token = args.token if args.token is not None else os.environ.get(TOKEN) or None
    yield from serve(args.folder, args.host, args.port, token, device(args.cpu))
