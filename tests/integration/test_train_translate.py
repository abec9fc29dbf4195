"""Training and translating with fairseq's programs, as a user does."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from fairseq import checkpoint_utils

import fairseq_plugins  # noqa: F401  (registers the task and the models)
from tests.integration.learned import UPDATES, checkpoint, languages, logged, memory
from tests.programs import fairseq, succeeded
from tests.tiny_training import LINES, PLUGINS, Training

pytestmark = pytest.mark.integration


def generate(learned: Training, *more: object, task: str = "translation_memory") -> str:
    arguments = [learned.data, *languages(task), "--path", learned.last, "--beam", 5, *more]
    done = fairseq("generate", *arguments)
    succeeded(done)
    return done.stdout


def by_sentence(output: str, kind: str) -> dict[int, list[str]]:
    """Return lines such as ``H-3 <tab> -0.1 <tab> A B`` by the number of the sentence."""
    found = re.findall(rf"^{kind}-(\d+)\t(.*)$", output, flags=re.MULTILINE)
    return {int(number): line.split("\t") for number, line in found}


def hypotheses(output: str) -> dict[int, str]:
    return {number: line[1] for number, line in by_sentence(output, "H").items()}


def bleu(output: str) -> float:
    match = re.search(r"BLEU4 = ([\d.]+)", output)
    assert match, output
    return float(match[1])


@pytest.fixture(scope="module")
def generated(learned: Training) -> str:
    """Return what fairseq-generate says about the test set."""
    return generate(learned)


@pytest.fixture(scope="module")
def translations(generated: str) -> dict[int, str]:
    """Of the test set."""
    return hypotheses(generated)


# --- Training -------------------------------------------------------------------------------------


def test_training_lowers_the_loss_and_teaches_the_memory(learned: Training) -> None:
    losses, valid = (logged(learned.log, split, "nll_loss") for split in ("train", "valid"))
    assert losses[-1] < losses[0] / 4
    assert valid[-1] < losses[0] - 2
    hit_rate = logged(learned.log, "train", "memory_hit_rate")
    assert hit_rate[0] < 0.2 and hit_rate[-1] > 0.8


def test_training_logs_the_health_of_the_memory(learned: Training) -> None:
    epochs = len(logged(learned.log, "train", "nll_loss"))
    for name in ("loss", "hit_rate", "confidence", "gate", "fill", "age", "evicted"):
        values = logged(learned.log, "train", f"memory_{name}")
        assert len(values) == epochs, name
        assert len(set(values)) > 1, name
    assert logged(learned.log, "train", "memory_fill")[-1] == 1.0


def test_all_sentences_are_trained_on(learned: Training) -> None:
    epochs = logged(learned.log, "train", "bsz")
    batches = -(-LINES["train"] // 16)
    assert epochs[0] == LINES["train"] / batches


def test_memory_is_in_the_checkpoint(learned: Training) -> None:
    state = memory(checkpoint(learned.folder))
    assert int(state["commits"]) == UPDATES
    assert bool((state["values"] >= 0).all())
    norms = state["keys"].norm(dim=1)
    torch.testing.assert_close(norms, torch.ones_like(norms))


def test_loaded_model_has_its_memory(learned: Training) -> None:
    models, cfg, task = checkpoint_utils.load_model_ensemble_and_task(
        [str(learned.last)], arg_overrides={"data": str(learned.data)}
    )
    restored: Any = models[0].decoder.reader.memory
    for name, tensor in memory(checkpoint(learned.folder)).items():
        assert torch.equal(getattr(restored, name), tensor), name
    assert len(restored) == cfg.model.memory_size == 512
    words = {task.target_dictionary[value] for value in restored.values.tolist()}
    assert {"W0", "W39", "</s>"} <= words


def test_training_runs_under_hydra(learned: Training, tmp_path: Path) -> None:
    config = {
        "common": {"user_dir": str(PLUGINS), "cpu": True, "log_format": "simple"},
        "task": {"_name": "translation_memory", "data": str(learned.data),
                 "source_lang": "xx", "target_lang": "yy", "autocast": "auto"},
        "model": {"_name": "gnmt_memory_tiny", "share_all_embeddings": True, "units": 16,
                  "memory_size": 100, "memory_key_dim": 8, "memory_query": "attention",
                  "memory_read": "both"},
        "criterion": {"_name": "memory_cross_entropy", "memory_write": "surprise"},
        "optimizer": {"_name": "adam", "adam_betas": "(0.9, 0.98)"},
        "lr_scheduler": {"_name": "fixed"},
        "optimization": {"lr": [0.01], "max_epoch": 3},
        "dataset": {"batch_size": 8, "num_workers": 0},
        "checkpoint": {"save_dir": str(tmp_path / "checkpoints"), "no_epoch_checkpoints": True},
    }  # fmt: skip
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "tiny.yaml").write_text(yaml.safe_dump(config))
    succeeded(fairseq(
        "hydra-train", "--config-dir", tmp_path / "config", "--config-name", "tiny",
        f"hydra.run.dir={tmp_path}/run",
    ))  # fmt: skip
    (log,) = (tmp_path / "run").glob("*.log")
    losses = logged(log.read_text(), "train", "nll_loss")
    state = checkpoint(tmp_path / "checkpoints")
    assert state["cfg"]["model"]["memory_read"] == "both"
    assert int(memory(state)["commits"]) == 3 * LINES["train"] // 8
    assert losses == sorted(losses, reverse=True) and len(losses) == 3


# --- Translating ----------------------------------------------------------------------------------


def test_translations_are_good_and_none_is_missing(generated: str) -> None:
    assert set(hypotheses(generated)) == set(range(LINES["test"]))
    assert bleu(generated) > 25


def test_plain_translation_task_translates_the_same(
    learned: Training, translations: dict[int, str]
) -> None:
    output = generate(learned, "--required-batch-size-multiple", 1, task="translation")
    assert hypotheses(output) == translations


def test_sentences_one_by_one_are_translated_the_same(
    learned: Training, translations: dict[int, str]
) -> None:
    assert hypotheses(generate(learned, "--batch-size", 1)) == translations


def test_ensemble_translates(learned: Training) -> None:
    other = learned.folder / "checkpoint_best.pt"
    output = generate(learned, "--path", f"{learned.last}:{other}")
    assert bleu(output) > 25


def test_interactive_translation_equals_that_of_the_test_set(
    learned: Training, translations: dict[int, str]
) -> None:
    source = (learned.text / "test.xx").read_text()
    done = fairseq(
        "interactive", learned.data, *languages(), "--path", learned.last, "--beam", 5,
        "--buffer-size", 7, stdin=source,
    )  # fmt: skip
    succeeded(done)
    assert hypotheses(done.stdout) == translations


def test_names_that_the_vocabulary_lacks_survive(learned: Training, tmp_path: Path) -> None:
    lines = ["w1 Zaphod w3", "w1 Trillian w3", "w2 w3"]
    # A penalty below zero is a reward: there is an unknown word at every place.
    options = (*languages(), "--path", learned.last, "--replace-unk", "--unkpen", -100)
    output = fairseq(
        "interactive", learned.data, *options, "--buffer-size", 3, "--max-len-b", 3,
        stdin="\n".join(lines) + "\n",
    ).stdout  # fmt: skip
    found = hypotheses(output)
    assert "<unk>" not in "".join(found.values())
    assert [sentence for sentence in found if "Zaphod" in found[sentence].split()] == [0]
    assert [sentence for sentence in found if "Trillian" in found[sentence].split()] == [1]

    for path in learned.data.glob("dict.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    for language in ("xx", "yy"):
        (tmp_path / f"test.xx-yy.{language}").write_text("\n".join(lines) + "\n")
    raw = ("--dataset-impl", "raw", "--gen-subset", "test", "--max-len-b", 3)
    assert hypotheses(fairseq("generate", tmp_path, *options, *raw).stdout) == found


# --- Scoring --------------------------------------------------------------------------------------


def test_validation_and_scoring_of_references_agree_with_training(learned: Training) -> None:
    in_training = logged(learned.log, "valid", "nll_loss")[-1]

    done = fairseq(
        "validate", learned.data, *languages(), "--path", learned.last, "--batch-size", 16,
        "--valid-subset", "valid", "--log-format", "simple",
    )  # fmt: skip
    found = re.findall(r"nll_loss (\S+)", succeeded(done))
    assert float(found[-1]) == in_training

    output = generate(learned, "--score-reference", "--gen-subset", "valid")
    references = (learned.text / "valid.yy").read_text().splitlines()
    assert hypotheses(output) == dict(enumerate(references))
    scores = [float(s) for line in by_sentence(output, "P").values() for s in line[0].split()]
    assert -sum(scores) / len(scores) == pytest.approx(in_training, abs=2e-3)
