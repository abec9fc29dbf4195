"""Translator folders and lessons for benchmarks of teaching.

A folder is a copy of a given one, or of an untrained network that trusts its memory, so it says
what it was taught. Its memory is filled up to a number of slots. Lessons are those of a file, or
sentences of random words of its dictionaries.
"""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from fairseq import checkpoint_utils
from fairseq.data import Dictionary

from fairseq_plugins.benchmarks.training import SEED, Built
from fairseq_plugins.benchmarks.translation import SPECIALS, arguments, make_corpus, of_corpus
from fairseq_plugins.checkpoints.files import fit_to_memory, write_checkpoint
from fairseq_plugins.errors import InputError
from fairseq_plugins.memory.hits import NOTHING
from fairseq_plugins.memory.state import memory_buffers, resized
from fairseq_plugins.patches.memory_files import index_beside, memory_of
from fairseq_plugins.teaching.about import LESSONS, read_about
from fairseq_plugins.teaching.exchange import read_entries
from fairseq_plugins.teaching.folder import CHECKPOINT, pack
from fairseq_plugins.teaching.lessons import Pair
from fairseq_plugins.teaching.pieces import SPACE

TRUST = 3.0  # logit of the gate: the memory has 95 % of the say
SHARPNESS = 7.0  # log of the temperature
CONTEXT = 0.5  # length of the noise that is added to a key
WORDS = 12  # of a lesson's source and target
LONGEST = 32  # words that an untrained network, which knows no end, goes on for
SENTENCES = 200  # of the corpus that an untrained network is built for


def make_folder(folder: Path, given: Path | None, slots: int, units: int, vocabulary: int) -> Path:
    """Make a translator folder without lessons.

    Args:
        folder: in which it is made.
        given: a translator folder to copy; None for an untrained network.
        slots: that are filled in its memory, at least.
        units: width of the untrained network.
        vocabulary: words of the untrained network.
    """
    made = folder / "translator"
    if given is not None:
        shutil.copytree(given, made, ignore=shutil.ignore_patterns(f"{LESSONS}*"))
    else:
        data = folder / "data"
        data.mkdir()
        make_corpus(data, SENTENCES, vocabulary)
        _write_untrained(folder / CHECKPOINT, data, units)
        pack(folder / CHECKPOINT, data, None, made)
    state = checkpoint_utils.load_checkpoint_to_cpu(str(made / CHECKPOINT))
    _fill(state, slots)
    write_checkpoint(state, made / CHECKPOINT)
    memory_of(state).write_index(index_beside(made / CHECKPOINT))
    return made


def _write_untrained(path: Path, data: Path, units: int) -> None:
    command = arguments(
        "gnmt_memory", units, 1, "none", "ours",
        "--max-source-positions", LONGEST, "--max-target-positions", LONGEST,
    )  # fmt: skip
    built = Built(data, [*of_corpus(data), *command], "cpu")
    reader: Any = built.model.decoder.reader
    torch.nn.init.constant_(reader.gate.bias, TRUST)
    torch.nn.init.constant_(reader.log_temperature, SHARPNESS)
    history = {"num_updates": 1, "lr_scheduler_state": {}, "optimizer_name": "FairseqAdam"}
    state = {
        "args": None, "cfg": built.cfg, "model": built.model.state_dict(), "criterion": None,
        "optimizer_history": [history], "extra_state": {"train_iterator": {"epoch": 1}},
        "task_state": {}, "last_optimizer_state": None,
    }  # fmt: skip
    write_checkpoint(state, path)


def _fill(state: dict[str, Any], slots: int) -> None:
    """Fill empty slots of a checkpoint's memory, which grows if it has too few, up to a number.

    They are similar to the filled ones, and to one for each word if there are none, as in a text.
    """
    (names,) = memory_buffers(state["model"])
    held = {name: state["model"][full] for name, full in names.items()}
    held = resized(held, max(slots, len(held["values"])))
    filled = torch.nonzero(held["values"] != NOTHING).squeeze(1)
    empty = torch.nonzero(held["values"] == NOTHING).squeeze(1)[: max(0, slots - len(filled))]
    numbers, width = torch.Generator().manual_seed(SEED), held["keys"].shape[1]
    keys, values = held["keys"][filled], held["values"][filled]
    if not len(filled):
        values = torch.arange(SPECIALS, len(held["recent"]))
        keys = F.normalize(torch.randn(len(values), width, generator=numbers), dim=1)
    like = torch.randint(len(values), (len(empty),), generator=numbers)
    noise = CONTEXT / width**0.5 * torch.randn(len(empty), width, generator=numbers)
    held["keys"][empty] = F.normalize(keys[like] + noise, dim=1)
    held["values"][empty] = values[like]
    held["touched"][empty] = held["commits"]
    state["model"].update({full: held[name] for name, full in names.items()})
    fit_to_memory(state["cfg"], len(held["values"]))


def pairs_of_file(folder: Path, path: Path, count: int) -> Iterator[Pair]:
    """Yield the first lessons of a file, each with another source.

    Raises:
        InputError: if there are fewer than ``count``.
    """
    about, known = read_about(folder), set[str]()
    for entry in read_entries(path, (about.source, about.target)):
        if entry.pair is not None and entry.pair.source not in known and len(known) < count:
            known.add(entry.pair.source)
            yield entry.pair
    if len(known) < count:
        raise InputError(f"{path}: has {len(known):,} pairs with different sources, not {count:,}")


def pairs(folder: Path, count: int, seed: int = SEED) -> Iterator[Pair]:
    """Yield lessons of random words, each with another source."""
    about, numbers = read_about(folder), random.Random(seed)
    source, target = (_words(folder, language) for language in (about.source, about.target))
    for number in range(count):
        sides = (" ".join(numbers.choices(words, k=WORDS)) for words in (source, target))
        yield Pair(source=f"{next(sides)} {source[number % len(source)]}", target=next(sides))


def _words(folder: Path, language: str) -> list[str]:
    """Return the whole words of a dictionary."""
    symbols = Dictionary.load(str(folder / f"dict.{language}.txt")).symbols
    has_pieces = any(symbol.startswith(SPACE) for symbol in symbols)
    found = [one.removeprefix(SPACE) for one in symbols if one.startswith(SPACE) or not has_pieces]
    return [word for word in found if word.isalnum()]
