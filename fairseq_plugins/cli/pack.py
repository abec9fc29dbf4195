"""Create a translator folder from a checkpoint, its dictionaries and its sentencepiece model.

    fairseq-memory pack --path checkpoint_best.pt --data DATA-BIN --spm spm.model my-translator

The folder contains everything needed to translate and to teach. It can be copied and moved.
"""

import argparse
from dataclasses import asdict
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("folder", type=Path, help="translator folder to create")
    add("--path", type=Path, required=True, help="checkpoint of a translator with a memory")
    add("--data", type=Path, required=True,
        help="folder written by fairseq-preprocess, with the dictionaries")  # fmt: skip
    add("--spm", type=Path,
        help="sentencepiece model that encoded the training text; leave it out if the words of "
             "this text are separated by spaces")  # fmt: skip


def run(args: argparse.Namespace) -> tuple[str, object]:
    """Create the folder."""
    from fairseq_plugins.teaching.folder import pack

    about = pack(args.path, args.data, args.spm, args.folder)
    return f"Wrote {args.folder}: translates {about.source} to {about.target}", asdict(about)
