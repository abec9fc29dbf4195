"""Make a translator folder of a checkpoint, its dictionaries and its sentencepiece model.

    fairseq-memory pack --path checkpoint_best.pt --data DATA-BIN --spm spm.model my-translator

The folder holds all that is needed to translate and to teach. It can be copied and moved.
"""

import argparse
from dataclasses import asdict
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say of what."""
    add = parser.add_argument
    add("folder", type=Path, help="translator folder to make")
    add("--path", type=Path, required=True, help="checkpoint of a translator with a memory")
    add("--data", type=Path, required=True,
        help="folder that fairseq-preprocess wrote, with the dictionaries")  # fmt: skip
    add("--spm", type=Path, required=True,
        help="sentencepiece model that the training text was encoded with")  # fmt: skip


def run(args: argparse.Namespace) -> tuple[str, object]:
    """Pack."""
    from fairseq_plugins.teaching.folder import pack

    about = pack(args.path, args.data, args.spm, args.folder)
    return f"Wrote {args.folder}: translates {about.source} to {about.target}", asdict(about)
