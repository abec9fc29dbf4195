"""Reads translations from files or fairseq-generate's output, or makes them with a checkpoint."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fairseq.data.data_utils import post_process

from fairseq_plugins.checkpoints.files import read_checkpoint
from fairseq_plugins.commands import PLUGINS, program, read_hypotheses, run
from fairseq_plugins.errors import InputError

logger = logging.getLogger(__name__)

GENERATED = re.compile(r"H-\d+\t-?[\d.]+(e-?\d+)?\t")  # number, score
SUBWORD_MARKS = {"sentencepiece": "\u2581", "subword_nmt": "@@ "}


@dataclass(frozen=True)
class Generation:
    """How checkpoints translate."""

    data: Path | None = None
    """Folder written by fairseq-preprocess."""
    subset: str = "test"
    beam: int = 5
    threads: int = 1
    cpu: bool = False
    remove_bpe: str | None = None
    """The segmentation that fairseq-generate should undo; None to keep subwords."""
    options: Sequence[object] = ()
    """More options of fairseq-generate."""


def read_lines(path: Path) -> list[str]:
    """Read a UTF-8 file; lines end with ``\\n`` and nothing else.

    Raises:
        InputError: if it is not UTF-8; names the line.
        OSError: if it cannot be opened.
    """
    lines = path.read_bytes().removesuffix(b"\n").split(b"\n")
    texts = []
    for number, line in enumerate(lines, start=1):
        try:
            texts.append(line.decode())
        except UnicodeDecodeError as error:
            raise InputError(f"{path}, line {number}: not UTF-8; convert the file") from error
    return texts


def hypotheses(path: Path, count: int, remove_bpe: str | None, generation: Generation) -> list[str]:
    """Return translations as words, in the order of the corpus.

    Args:
        path: a text file with one translation per line; output of fairseq-generate, of which the
            best for each sentence is used; or a checkpoint, ``*.pt``, which translates first.
        count: required number of sentences.
        remove_bpe: name of the subword segmentation to undo, as for fairseq-generate.
        generation: how a checkpoint translates.

    Raises:
        InputError: if the number of sentences differs, or they are in subwords.
    """
    lines = read_lines(translate(path, generation) if path.suffix == ".pt" else path)
    if any(GENERATED.match(line) for line in lines):
        lines = read_hypotheses(lines)
    if len(lines) != count:
        raise InputError(
            f"{path}: contains {len(lines)} translations for {count} references; give the "
            "references of the same corpus, or check whether the translation was completed"
        )
    lines = [post_process(line, remove_bpe) for line in lines]
    for name, mark in SUBWORD_MARKS.items():
        if any(mark in line for line in lines):
            raise InputError(f"{path}: is in subwords, not words; add --remove-bpe {name}")
    return lines


def translate(checkpoint: Path, generation: Generation, output: Path | None = None) -> Path:
    """Translate with fairseq-generate.

    Returns:
        Its output, beside the checkpoint by default.

    Raises:
        InputError: if it fails, or there is nothing to translate.
    """
    if generation.data is None:
        raise InputError(f"{checkpoint}: to translate with a checkpoint, add --data DATA-BIN")
    task = read_checkpoint(checkpoint)["cfg"]["task"]
    # Languages that training detected in its data are not stored; translating detects them again.
    languages = [
        word
        for option, name in (("--source-lang", "source_lang"), ("--target-lang", "target_lang"))
        if task[name]
        for word in (option, task[name])
    ]
    output = output or checkpoint.with_suffix(f".{generation.subset}.txt")
    logger.info("Translating with %s; see %s", checkpoint, output)
    command = [
        program("fairseq-generate"), generation.data, "--user-dir", PLUGINS,
        "--task", task["_name"], *languages, "--path", checkpoint,
        "--gen-subset", generation.subset, "--beam", str(generation.beam),
        "--batch-size", "100", "--required-batch-size-multiple", "1",
    ]  # fmt: skip
    if generation.remove_bpe:
        command += ["--remove-bpe", generation.remove_bpe]
    if generation.cpu:
        command += ["--cpu"]
    command += generation.options
    run(command, output, generation.threads)
    return output
