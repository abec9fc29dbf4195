"""A translator folder created in a second, whose network is untrained and trusts its memory.

So whatever it says correctly it was taught.
"""

import io
import shutil
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch
from fairseq.data import Dictionary
from fairseq.dataclass.configs import FairseqConfig
from fairseq.models import ARCH_MODEL_REGISTRY, MODEL_DATACLASS_REGISTRY
from omegaconf import OmegaConf

from fairseq_plugins.checkpoints.files import write_checkpoint
from fairseq_plugins.tasks.translation_memory import TranslationMemoryConfig, TranslationMemoryTask
from fairseq_plugins.teaching.folder import pack

ARCH = "gnmt_memory_tiny"
TRUST = 3.0  # logit of the gate: the memory has 95 % of the say
SHARPNESS = 7.0  # log of the temperature: only what was asked just so counts
WORDS = ["the", "cat", "sleeps", "dog", "runs", "die", "Katze", "schläft", "der", "Hund", "läuft"]
TEXT = [f"{one} {other}." for one in WORDS for other in reversed(WORDS)]


def make_pieces(path: Path, byte_fallback: bool = True) -> sentencepiece.SentencePieceProcessor:
    """Learn a sentencepiece model, which can spell everything if it falls back on bytes."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT), model_writer=model, vocab_size=330, model_type="bpe",
        normalization_rule_name="identity", byte_fallback=byte_fallback, hard_vocab_limit=False,
        minloglevel=2,
    )  # fmt: skip
    path.write_bytes(model.getvalue())
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def make_parts(
    folder: Path,
    languages: tuple[str, str] = ("en", "de"),
    byte_fallback: bool = True,
    spaced: bool = False,
    **options: Any,
) -> None:
    """Write ``checkpoint.pt``, ``spm.model`` and ``data/`` with two dictionaries.

    Args:
        folder: where to.
        languages: of source and target.
        byte_fallback: whether every character is a piece, or some bytes.
        spaced: whether the dictionaries are of whole words; then there is no ``spm.model``.
        options: of the model.
    """
    (folder / "data").mkdir(parents=True)
    words = Dictionary()
    for symbol in _spaced_words() if spaced else _pieces(folder / "spm.model", byte_fallback):
        words.add_symbol(symbol, n=1)
    for language in languages:
        words.save(str(folder / "data" / f"dict.{language}.txt"))
    source, target = languages
    task_cfg = TranslationMemoryConfig(
        data=str(folder / "data"), source_lang=source, target_lang=target
    )
    small = {"units": 16, "memory_size": 64, "memory_key_dim": 12, "memory_neighbors": 8,
             "max_source_positions": 60, "max_target_positions": 60}  # fmt: skip
    model_cfg = MODEL_DATACLASS_REGISTRY[ARCH](**(small | options))
    task = TranslationMemoryTask(task_cfg, words, words)
    torch.manual_seed(1)
    model = ARCH_MODEL_REGISTRY[ARCH].build_model(model_cfg, task)
    reader = model.decoder.reader
    if reader.mode != "embed":
        torch.nn.init.constant_(reader.gate.bias, TRUST)
        torch.nn.init.constant_(reader.log_temperature, SHARPNESS)
    cfg = OmegaConf.structured(FairseqConfig)
    OmegaConf.set_struct(cfg, False)
    cfg.task = _named(task_cfg, "translation_memory")
    cfg.model = _named(model_cfg, ARCH)
    state = {
        "args": None,
        "cfg": cfg,
        "model": model.state_dict(),
        "criterion": None,
        "optimizer_history": [{"num_updates": 1, "lr_scheduler_state": {},
                               "optimizer_name": "FairseqAdam"}],
        "task_state": task.state_dict(),
        "extra_state": {"train_iterator": {"epoch": 1}},
        "last_optimizer_state": {"state": {0: torch.zeros(1000)}},
    }  # fmt: skip
    write_checkpoint(state, folder / "checkpoint.pt")


def _spaced_words() -> list[str]:
    words = {word for line in TEXT for word in line.split()}
    return sorted(words | {word.capitalize() for word in words})


def _pieces(path: Path, byte_fallback: bool) -> list[str]:
    model = make_pieces(path, byte_fallback)
    numbers = range(model.get_piece_size())
    return [model.id_to_piece(n) for n in numbers if not model.is_control(n) | model.is_unknown(n)]


def _named(cfg: Any, name: str) -> Any:
    section = OmegaConf.structured(cfg)
    OmegaConf.set_struct(section, False)
    section._name = name
    return section


def make_translator(folder: Path, **options: Any) -> Path:
    """Make a translator folder within a folder, and return it."""
    parts = folder / "parts"
    make_parts(parts, **options)
    pieces = parts / "spm.model"
    pack(
        parts / "checkpoint.pt", parts / "data", pieces if pieces.exists() else None,
        folder / "translator",
    )  # fmt: skip
    return folder / "translator"


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a translator folder that tests must not change."""
    return make_translator(tmp_path_factory.mktemp("original"))


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """Return a copy of the translator folder."""
    return shutil.copytree(original, tmp_path / "translator")
