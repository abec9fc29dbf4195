"""From a checkpoint of fairseq's own to a translator that is taught, with the real programs.

The Transformer is trained by fairseq without this project, on an invented language in which every
word translates to itself spelled backwards.
"""

import functools
import gzip
import io
import json
import random
from dataclasses import dataclass
from pathlib import Path

import pytest
import sentencepiece
import torch

from tests.programs import assert_one_line, fairseq, script, succeeded, verb
from tests.tiny_training import PLUGINS, made_once

pytestmark = pytest.mark.integration

SYLLABLES = ["ba", "ce", "di", "fo", "gu", "ha", "ki", "lo"]
WORDS = [one + other for one in SYLLABLES for other in SYLLABLES[:3]]
LINES = {"train": 200, "valid": 16, "test": 8}
UPDATES = 30
PLAIN = ["-s", "xx", "-t", "yy"]
SIZES = [
    f"--{part}-{size}"
    for part in ("encoder", "decoder")
    for size in ("embed-dim=16", "ffn-embed-dim=32", "layers=1", "attention-heads=2")
]


@dataclass(frozen=True)
class Parts:
    """What somebody who trains with fairseq has."""

    checkpoint: Path
    data: Path
    spm: Path


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    def make(folder: Path) -> None:
        draw = random.Random(1)
        lines = {
            split: [draw.choices(WORDS, k=draw.randint(3, 5)) for _ in range(count)]
            for split, count in LINES.items()
        }
        texts = {
            (split, language): [" ".join(word[::step] for word in line) for line in some]
            for split, some in lines.items()
            for language, step in (("xx", 1), ("yy", -1))
        }
        pieces = _pieces(folder / "spm.model", texts["train", "xx"] + texts["train", "yy"])
        for (split, language), some in texts.items():
            spelled = (" ".join(pieces.encode(line, out_type=str)) for line in some)
            (folder / f"{split}.{language}").write_text("".join(f"{line}\n" for line in spelled))
        given = [item for split in LINES for item in (f"--{split}pref", folder / split)]
        succeeded(fairseq("preprocess", *PLAIN, "--joined-dictionary", "--destdir",
                          folder / "data", *given))  # fmt: skip
        succeeded(fairseq(
            "train", folder / "data", *PLAIN, "--arch", "transformer", *SIZES,
            "--share-all-embeddings", "--criterion", "label_smoothed_cross_entropy",
            "--optimizer", "adam", "--lr", 0.01, "--batch-size", 20, "--max-update", UPDATES,
            "--save-dir", folder / "base", "--no-epoch-checkpoints", "--disable-validation",
            "--cpu", "--num-workers", 0, "--log-format", "simple",
        ))  # fmt: skip

    folder = made_once(tmp_path_factory, "base", make)
    return Parts(folder / "base" / "checkpoint_last.pt", folder / "data", folder / "spm.model")


def _pieces(path: Path, text: list[str]) -> sentencepiece.SentencePieceProcessor:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text), model_writer=model, vocab_size=320, model_type="bpe",
        byte_fallback=True, hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    path.write_bytes(model.getvalue())
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


@pytest.fixture(scope="module")
def attached(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("attached") / "with_memory.pt"
    done = verb("attach", "--path", parts.checkpoint, "--data", parts.data, "--output", output,
                "--train-updates", 10, "--memory-size", 4000, "--cpu")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "transformer with 16 features" in done.stdout
    return output


@pytest.fixture(scope="module")
def filled(parts: Parts, attached: Path) -> Path:
    output = attached.with_name("filled.pt")
    done = verb("fill", "--path", attached, "--data", parts.data, "--calibrate", "valid",
                "--output", output, "--cpu")  # fmt: skip
    assert done.returncode == 0, done.stderr
    return output


@functools.cache
def hypotheses(parts: Parts, *checkpoints: Path, beam: int = 3) -> list[str]:
    """Translate the test text; return all hypotheses with their scores."""
    told = succeeded(fairseq(
        "generate", parts.data, *PLAIN, "--user-dir", PLUGINS, "--beam", beam, "--nbest", beam,
        "--path", ":".join(map(str, checkpoints)), "--batch-size", 4, "--max-len-b", 20, "--cpu",
        "--required-batch-size-multiple", 1,
    ))  # fmt: skip
    found = [line for line in told.splitlines() if line.startswith(("H-", "P-"))]
    assert len(found) == 2 * beam * LINES["test"]
    return found


def test_empty_memory_changes_no_hypothesis_and_no_score(parts: Parts, attached: Path) -> None:
    for beam in (1, 3):
        alone = hypotheses(parts, parts.checkpoint, beam=beam)
        assert hypotheses(parts, attached, beam=beam) == alone


def test_attached_memory_keeps_the_weights_of_the_base(parts: Parts, attached: Path) -> None:
    base, ours = (torch.load(path)["model"] for path in (parts.checkpoint, attached))
    for name, weight in base.items():
        part, _, rest = name.partition(".")
        assert torch.equal(ours[f"{part}.base.{rest}"], weight)


def test_filled_memory_changes_translations_alone_and_in_ensembles(
    parts: Parts, attached: Path, filled: Path
) -> None:
    alone = hypotheses(parts, filled)
    assert alone != hypotheses(parts, attached)
    assert hypotheses(parts, filled, filled) != hypotheses(parts, filled, attached)


def test_programs_of_fairseq_and_ours_read_it(parts: Parts, filled: Path, tmp_path: Path) -> None:
    succeeded(fairseq("validate", parts.data, "--user-dir", PLUGINS, "--task", "translation",
                      "--path", filled, "--batch-size", 4, "--cpu"))  # fmt: skip
    sentence = fairseq("interactive", parts.data, *PLAIN, "--user-dir", PLUGINS, "--path", filled,
                       "--cpu", stdin="▁bace ▁dice\n")  # fmt: skip
    assert "H-0" in succeeded(sentence)
    average, snapshot = tmp_path / "average.pt", tmp_path / "memory.safetensors"
    assert verb("average", "--inputs", filled, filled, "--output", average).returncode == 0
    assert hypotheses(parts, average) == hypotheses(parts, filled)
    assert verb("snapshot", "save", "--path", filled, "--snapshot", snapshot).returncode == 0
    told = verb("inspect", filled, "--json")
    assert json.loads(told.stdout)["architecture"] == "remembering"


def test_translator_folder_is_taught_and_explains(
    parts: Parts, filled: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "translator"
    done = verb("pack", "--path", filled, "--data", parts.data, "--spm", parts.spm, folder)
    assert done.returncode == 0, done.stderr
    source, target = "bace dice", "ecid ecab"  # in another order than training has shown
    done = verb("teach", folder, source, target, "--cpu", "--json")
    assert done.returncode == 0, done.stderr
    done = verb("translate", folder, "--cpu", stdin=f"{source}\nbace\n")
    assert done.stdout.splitlines()[0] == target
    done = verb("explain", folder, source, "--no-exact", "--cpu", "--json")
    assert done.returncode == 0, done.stderr
    words = json.loads(done.stdout)["words"]
    assert any(one["memory_share"] > 0.5 for one in words)


def test_domains_are_adapted_beside_knn_mt(parts: Parts, tmp_path: Path) -> None:
    draw = random.Random(2)
    for name, count in (("train", 60), ("dev", 12), ("control", 4)):
        lines = [draw.choices(WORDS[:6], k=3) for _ in range(count)]
        for language, step in (("xx", 1), ("yy", -1)):
            text = "".join(" ".join(word[::step] for word in line) + "\n" for line in lines)
            (tmp_path / f"{name}.{language}.gz").write_bytes(gzip.compress(text.encode()))
    done = script(
        "reproduce", "domains", "--base", parts.checkpoint, "--data", parts.data,
        "--spm", parts.spm, "--source", tmp_path.parent, "--domains", tmp_path.name,
        "--control", tmp_path / "control", "--languages", "xx", "yy", "--memory-size", 2000,
        "--out", tmp_path / "out", "--test-lines", 4, "--threads", 1,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "out" / "results.json").read_text())[tmp_path.name]
    assert list(results) == ["base", "kNN-MT", "adaptive kNN-MT", "ours"]
    assert all(
        text["sentences_per_second"] > 0 for one in results.values() for text in one.values()
    )
    held = [
        torch.load(tmp_path / "out" / tmp_path.name / f"{name}.pt")["cfg"]["model"]
        for name in ("kNN-MT", "ours")
    ]
    assert [(one["memory_neighbors"], one["memory_gate"]) for one in held] == [
        (8, "constant"), (32, "state")
    ]  # fmt: skip


def test_model_with_a_memory_is_refused(parts: Parts, attached: Path, tmp_path: Path) -> None:
    done = verb("attach", "--path", attached, "--data", parts.data, "--output", tmp_path / "x.pt")
    assert_one_line(done, "already has a memory")
    assert not list(tmp_path.iterdir())
