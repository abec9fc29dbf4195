"""Creates translator folders, and checks that their parts belong together."""

import hashlib
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import sentencepiece
from fairseq import checkpoint_utils
from fairseq.data import Dictionary, data_utils
from omegaconf import open_dict

from fairseq_plugins.atomic import making_folder, write_json
from fairseq_plugins.checkpoints.corpora import corpora_of
from fairseq_plugins.checkpoints.files import for_use, write_checkpoint
from fairseq_plugins.errors import InputError
from fairseq_plugins.memory.fingerprint import weights_fingerprint
from fairseq_plugins.memory.state import memory_buffers
from fairseq_plugins.patches.memory_files import index_beside, memory_of
from fairseq_plugins.teaching.about import ABOUT, VERSION, About
from fairseq_plugins.teaching.loaded_checkpoint import Corpus, LoadedCheckpoint
from fairseq_plugins.teaching.pieces import SPACE, SpacedWords, Vocabulary
from fairseq_plugins.teaching.teach import count_words
from fairseq_plugins.teaching.texts import Texts, texts_beside

CHECKPOINT, PIECES = "checkpoint.pt", "spm.model"
KNOWN_PIECES = 0.5  # least share of a sentencepiece model's pieces that its dictionaries must have


def pack(checkpoint: Path, data: Path, pieces: Path | None, folder: Path) -> About:
    """Create a translator folder, completely or not at all.

    Args:
        checkpoint: of a translator with a memory.
        data: folder with the dictionaries of its training, written by fairseq-preprocess.
        pieces: the sentencepiece model that encoded its training text; None if its words are
            separated by spaces.
        folder: to create; it must not exist, or be empty.

    Returns:
        The description of the folder.

    Raises:
        InputError: if the parts do not belong together, or the folder already exists.
        OSError: if something cannot be read or written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: already exists; remove it, or name another folder")
    state = checkpoint_utils.load_checkpoint_to_cpu(str(checkpoint))
    if len(memory_buffers(state["model"])) != 1:
        raise InputError(
            f"{checkpoint}: has no memory to teach; train with an --arch that has one, for "
            "instance gnmt_memory"
        )
    source, target = _languages(state["cfg"].task, data)
    with making_folder(folder) as temporary:
        for language in (source, target):
            shutil.copyfile(data / f"dict.{language}.txt", temporary / f"dict.{language}.txt")
        if pieces is not None:
            shutil.copyfile(pieces, temporary / PIECES)
        _check_pieces(temporary, (source, target), pieces, data)
        _count_words(state["model"], checkpoint, data)
        with open_dict(state["cfg"]):
            state["cfg"].task.source_lang, state["cfg"].task.target_lang = source, target
        write_checkpoint(for_use(state), temporary / CHECKPOINT)
        memory = memory_of(state)
        memory.read_index(index_beside(checkpoint))
        memory.write_index(index_beside(temporary / CHECKPOINT))
        if Texts(checkpoint, corpora_of(state).texts):
            shutil.copyfile(texts_beside(checkpoint), texts_beside(temporary / CHECKPOINT))
        fingerprint = fingerprint_of(temporary, (source, target), state["model"])
        about = About(VERSION, source, target, fingerprint)
        write_json(temporary / ABOUT, asdict(about))
    return about


def _count_words(weights: dict[str, Any], checkpoint: Path, data: Path) -> None:
    """Count the words of training for a model that can use the counts and has none."""
    counts = [name for name in weights if name.endswith("_counts.table")]
    if counts and all(bool(weights[name].any()) for name in counts):
        return
    loaded = LoadedCheckpoint(checkpoint, Corpus(data))
    reader = getattr(loaded.model.decoder, "terms", None)
    if reader is not None:
        count_words(loaded, reader)
        weights |= {
            f"decoder.terms.{name}": buffer
            for name, buffer in reader.state_dict().items()
            if name.endswith("_counts.table")
        }


def load_pieces(path: Path) -> sentencepiece.SentencePieceProcessor:
    """Load a sentencepiece model.

    Raises:
        InputError: if the file is not a sentencepiece model.
    """
    try:
        return sentencepiece.SentencePieceProcessor(model_proto=path.read_bytes())
    except RuntimeError as error:
        raise InputError(f"{path}: is not a sentencepiece model; give the spm.model written by the "
                         "preparation of the data") from error  # fmt: skip


def load_vocabularies(folder: Path, task: Any) -> tuple[Vocabulary, Vocabulary]:
    """Load the source and target vocabularies of a translator folder.

    Args:
        folder: of the translator.
        task: with its dictionaries.
    """
    has_pieces = (folder / PIECES).exists()
    model = load_pieces(folder / PIECES) if has_pieces else SpacedWords()
    return Vocabulary(model, task.source_dictionary), Vocabulary(model, task.target_dictionary)


def fingerprint_of(folder: Path, languages: tuple[str, str], weights: dict[str, Any]) -> str:
    """Return a digest of what determines the entries of a lesson: weights, dictionaries, pieces.

    Args:
        folder: of the translator.
        languages: of source and target.
        weights: the model's state dict.
    """
    held = [name for names in memory_buffers(weights) for name in names.values()]
    held += [name for name in weights if ".terms.memory." in name]
    digest = hashlib.sha256(weights_fingerprint(weights, held).encode())
    for name in (*(f"dict.{language}.txt" for language in languages), PIECES):
        if (folder / name).exists():  # a folder may have no sentencepiece model
            digest.update((folder / name).read_bytes())
    return digest.hexdigest()


def _languages(task: Any, data: Path) -> tuple[str, str]:
    """Return the languages of the checkpoint, or of the data."""
    if task.source_lang and task.target_lang:
        source, target = task.source_lang, task.target_lang
    else:
        source, target = data_utils.infer_language_pair(str(data))
    for language in (source, target):
        if not language or not (data / f"dict.{language}.txt").is_file():
            raise InputError(
                f"{data}: has no dictionary dict.{language or 'LANGUAGE'}.txt; give the folder "
                "that fairseq-preprocess wrote for this translator"
            )
    return source, target


def _check_pieces(
    folder: Path, languages: tuple[str, str], pieces: Path | None, data: Path
) -> None:
    """Check that the pieces are those of the data; otherwise every word would be unknown."""
    if pieces is None:
        for language in languages:
            symbols = Dictionary.load(str(folder / f"dict.{language}.txt")).symbols
            if any(symbol.startswith(SPACE) for symbol in symbols):
                raise InputError(
                    f"{data}: was encoded with a sentencepiece model; give this model with --spm"
                )
        return
    model = load_pieces(pieces)
    names = [
        model.id_to_piece(number)
        for number in range(model.get_piece_size())
        if not (model.is_control(number) or model.is_byte(number))  # bytes are rare in a text
    ]
    for language in languages:
        words = Dictionary.load(str(folder / f"dict.{language}.txt"))
        known = sum(name in words for name in names)
        if known < KNOWN_PIECES * len(names):
            raise InputError(
                f"{pieces}: {data} knows only {known} of its {len(names)} pieces; give the "
                "sentencepiece model that this data was encoded with"
            )
