"""Trains a joint sentencepiece model and encodes text with it, deterministically."""

import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import sentencepiece

from data_prep.core.files import read_lines, read_with_progress
from data_prep.core.program import DataError
from data_prep.core.ranges import ranged

logger = logging.getLogger(__name__)

ERRORS_ONLY = 2  # sentencepiece's log level
THREADS = 4  # for training: constant, because it may affect how sums are rounded
ENCODED_AT_ONCE = 10_000  # lines
MAX_LINE_BYTES = 1 << 20  # sentencepiece skips longer lines; ours are already cleaned
BYTES = 256  # values of a byte, each a piece of a vocabulary with byte fallback


@dataclass(frozen=True)
class SentencePieceOptions:
    """Options of learning the vocabulary."""

    vocab_size: int = ranged(8000, 1, 1_000_000)
    """Pieces of both languages together; few enough to occur often in 100,000 pairs."""
    model_type: str = "bpe"
    """`bpe`, as in most published work, or `unigram`."""
    normalization: str = "identity"
    """`identity`: text is already NFC and otherwise unchanged. `nmt_nfkc` also converts full-width
    forms, ligatures and so on, which no detokeniser restores."""
    character_coverage: float = ranged(1.0, 0.98, 1.0)
    """Every character is a piece; 0.9995 for Chinese or Japanese."""
    max_training_lines: int = ranged(5_000_000, 101)
    """A larger corpus is sampled, because more text hardly changes the pieces."""
    seed: int = ranged(1, 0, 2**32 - 1)
    """Seed of that sample."""
    byte_fallback: bool = True
    """256 additional pieces, one per byte, spell characters that do not occur in training."""

    @property
    def pieces_for_bytes(self) -> int:
        """Number of pieces of the vocabulary in addition to the `vocab_size` learned ones."""
        return BYTES if self.byte_fallback else 0


def train_model(texts: Sequence[Path], model: Path, options: SentencePieceOptions) -> None:
    """Learn a sentencepiece model from text files and write it to a file.

    If a corpus is too small for the vocabulary, it gets a smaller one, and a warning says so.

    Raises:
        DataError: If the vocabulary is smaller than the set of characters.
    """
    sentencepiece.set_random_generator_seed(options.seed)
    # sentencepiece does not notice a full disk, so it writes to memory, and Python to the disk.
    serialised = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            # Lines, not files: otherwise the model would contain their paths, and differ between
            # folders.
            sentence_iterator=(line for text in texts for line in read_lines(text)),
            model_writer=serialised,
            vocab_size=options.vocab_size + options.pieces_for_bytes,
            byte_fallback=options.byte_fallback,
            model_type=options.model_type,
            normalization_rule_name=options.normalization,
            character_coverage=options.character_coverage,
            input_sentence_size=options.max_training_lines,
            max_sentence_length=MAX_LINE_BYTES,
            hard_vocab_limit=False,
            num_threads=THREADS,
            minloglevel=ERRORS_ONLY,
        )
    except RuntimeError as error:
        names = " and ".join(text.name for text in texts)
        reason = " ".join(str(error).split())
        raise DataError(
            f"{names}: sentencepiece cannot learn {options.vocab_size} pieces; "
            f"try another --vocab-size ({reason})"
        ) from error
    model.write_bytes(serialised.getvalue())
    pieces = load_model(model).get_piece_size() - options.pieces_for_bytes
    if pieces < options.vocab_size:
        logger.warning(
            "the training text yields only %d of the %d pieces asked for with --vocab-size",
            pieces,
            options.vocab_size,
        )


def load_model(path: Path) -> sentencepiece.SentencePieceProcessor:
    """Load a sentencepiece model.

    Raises:
        DataError: If the file is not one.
    """
    try:
        return sentencepiece.SentencePieceProcessor(model_file=str(path))
    except (RuntimeError, OSError) as error:
        raise DataError(f"{path}: not a sentencepiece model; create it again") from error


def piece_names(model: sentencepiece.SentencePieceProcessor) -> list[str]:
    """Return all pieces that text can be encoded into, in the order of their ids."""
    ids = range(model.get_piece_size())
    return [model.id_to_piece(i) for i in ids if not (model.is_control(i) or model.is_unknown(i))]


def encode_file(
    model: sentencepiece.SentencePieceProcessor, text: Path, encoded: Path, workers: int = 1
) -> None:
    """Write a text file as pieces with spaces between them, line by line, with a progress bar."""
    lines = read_with_progress(text, "encoding")
    with encoded.open("w", encoding="utf-8") as output:
        while batch := list(islice(lines, ENCODED_AT_ONCE)):
            for pieces in model.encode(batch, out_type=str, num_threads=workers):
                output.write(" ".join(pieces) + "\n")
