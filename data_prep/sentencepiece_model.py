"""Trains a joint sentencepiece model and encodes text with it, the same for the same text."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import sentencepiece
from tqdm import tqdm

from data_prep.files import count_lines, read_lines
from data_prep.program import DataError

logger = logging.getLogger(__name__)

ERRORS_ONLY = 2  # sentencepiece's log level
THREADS = 4  # for training: constant, because it may change how sums are rounded
ENCODED_AT_ONCE = 10_000  # lines
MAX_LINE_BYTES = 1 << 20  # sentencepiece skips longer lines; ours are cleaned already


@dataclass(frozen=True)
class SentencePieceOptions:
    """How the vocabulary is learned."""

    vocab_size: int = 8000
    """Pieces of both languages together; small enough to see each often, in 100k pairs."""
    model_type: str = "bpe"
    """`bpe`, as in most published work, or `unigram`."""
    normalization: str = "identity"
    """`identity`: text is NFC already and otherwise as it was. `nmt_nfkc` folds full-width forms,
    ligatures and the like, which no detokeniser brings back."""
    character_coverage: float = 1.0
    """Every character is a piece; 0.9995 for Chinese or Japanese."""
    max_training_lines: int = 5_000_000
    """A larger corpus is sampled: the pieces hardly change beyond."""
    seed: int = 1
    """Of that sample."""


def train_model(texts: Sequence[Path], prefix: Path, options: SentencePieceOptions) -> None:
    """Learn a sentencepiece model from text files and write `PREFIX.model` and `PREFIX.vocab`.

    A corpus too small for the wanted vocabulary gets a smaller one, and a warning says so.

    Raises:
        DataError: If the vocabulary is smaller than the set of characters.
    """
    sentencepiece.set_random_generator_seed(options.seed)
    try:
        sentencepiece.SentencePieceTrainer.train(
            input=[str(text) for text in texts],
            model_prefix=str(prefix),
            vocab_size=options.vocab_size,
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
        reason = " ".join(str(error).split())
        raise DataError(
            f"sentencepiece cannot learn {options.vocab_size} pieces from {texts[0].name} and "
            f"{texts[-1].name} ({reason}); try another --vocab-size"
        ) from error
    pieces = load_model(prefix.with_suffix(".model")).get_piece_size()
    if pieces < options.vocab_size:
        logger.warning(
            "The training text yields no more than %d pieces; --vocab-size %d was asked for.",
            pieces,
            options.vocab_size,
        )


def load_model(path: Path) -> sentencepiece.SentencePieceProcessor:
    """Load a sentencepiece model.

    Raises:
        DataError: If the file is none.
    """
    try:
        return sentencepiece.SentencePieceProcessor(model_file=str(path))
    except (RuntimeError, OSError) as error:
        raise DataError(f"{path}: not a sentencepiece model; make it anew") from error


def piece_names(model: sentencepiece.SentencePieceProcessor) -> list[str]:
    """Return all pieces that text can be encoded into, in the order of their ids."""
    ids = range(model.get_piece_size())
    return [model.id_to_piece(i) for i in ids if not (model.is_control(i) or model.is_unknown(i))]


def encode_file(
    model: sentencepiece.SentencePieceProcessor, text: Path, encoded: Path, workers: int = 1
) -> None:
    """Write a text file as pieces with spaces between them, line by line, with a progress bar."""
    lines = read_lines(text)
    with (
        encoded.open("w", encoding="utf-8") as output,
        tqdm(
            total=count_lines(text), desc=f"encoding {text.name}", unit=" lines", disable=None
        ) as bar,
    ):
        while batch := list(islice(lines, ENCODED_AT_ONCE)):
            for pieces in model.encode(batch, out_type=str, num_threads=workers):
                output.write(" ".join(pieces) + "\n")
            bar.update(len(batch))
