"""Adapts a translator to domains without training: base, kNN-MT, adaptive kNN-MT, and ours.

All of them share one memory, filled with the text of the domain. They differ in the number of
neighbours and in what the memory's share depends on, which is calibrated for each.
"""

import gzip
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import sentencepiece
from fairseq import checkpoint_utils
from omegaconf import open_dict

from fairseq_plugins.atomic import write_text
from fairseq_plugins.checkpoints.files import write_checkpoint
from fairseq_plugins.commands import program, read_hypotheses, run
from fairseq_plugins.errors import InputError
from fairseq_plugins.evaluation.hypotheses import Generation, read_lines, translate
from fairseq_plugins.evaluation.scoring import Scorer
from fairseq_plugins.teaching.attach import Attaching, attach
from fairseq_plugins.teaching.filled import Filling, fill_checkpoint

logger = logging.getLogger(__name__)

SYSTEMS: Mapping[str, Mapping[str, object]] = {
    "kNN-MT": {"memory_neighbors": 8, "memory_gate": "constant"},
    "adaptive kNN-MT": {"memory_neighbors": 8, "memory_gate": "neighbours"},
    "ours": {"memory_neighbors": 32, "memory_gate": "state"},
}
BASE = "base"
FOR_MEAN = 20_000  # tokens from which the mean of the features is computed
DOMAIN, CONTROL = "test", "test1"  # fairseq's subsets
SPEED = re.compile(r"\(([\d.]+) sentences/s")


@dataclass(frozen=True)
class Translator:
    """The base, and what encodes its text.

    Attributes:
        checkpoint: of the base.
        data: folder with its dictionaries.
        spm: its sentencepiece model.
        languages: of source and target.
    """

    checkpoint: Path
    data: Path
    spm: Path
    languages: tuple[str, str]


@dataclass(frozen=True)
class Amounts:
    """How much text is used.

    Attributes:
        train: pairs of the domain to remember; None for all.
        test: sentences to translate; None for all.
        slots: of the memory.
        threads: number of processor cores.
    """

    train: int | None
    test: int | None
    slots: int
    threads: int


def adapt(translator: Translator, domain: Path, control: Path, out: Path, how: Amounts) -> dict:
    """Measure all systems on one domain; finished steps are skipped.

    Args:
        translator: the base.
        domain: folder with ``train`` and ``dev``, and ``test`` if there is one, as
            ``NAME.LANGUAGE`` or ``NAME.LANGUAGE.gz``. Without a test text, the second half of
            ``dev`` is the test text, and the memory is calibrated on the first half.
        control: prefix of a text of another domain, which should not suffer.
        out: folder for all output.
        how: amounts of text.

    Returns:
        Scores and speed of each system on both texts.
    """
    _prepare(translator, domain, control, out, how)
    data, models = out / "data-bin", {BASE: translator.checkpoint}
    filled = out / "filled.pt"
    if not filled.exists():
        empty = out / "empty.pt"
        attaching = Attaching(data, query="features", query_tokens=FOR_MEAN)
        logger.info("%s", attach(translator.checkpoint, empty, attaching))
        filling = Filling(data, memory_size=how.slots)
        logger.info("%s", fill_checkpoint(empty, filled, filling))
    for name, settings in SYSTEMS.items():
        models[name] = out / f"{name.replace(' ', '_')}.pt"
        if not models[name].exists():
            _calibrated(filled, models[name], data, settings)
    return {
        name: {text: _score(model, name, text, out, translator, how)
               for text in (DOMAIN, CONTROL)}
        for name, model in models.items()
    }  # fmt: skip


def check_inputs(translator: Translator, domains: Sequence[Path], control: Path) -> None:
    """Check that all texts and models exist, before any work.

    Raises:
        InputError: names the first one that is missing.
    """
    source, target = translator.languages
    dictionaries = (translator.data / f"dict.{one}.txt" for one in (source, target))
    for path in (translator.checkpoint, translator.spm, *dictionaries):
        if not path.is_file():
            raise InputError(f"{path}: no such file")
    for prefix in (control, *(domain / part for domain in domains for part in ("train", "dev"))):
        for language in (source, target):
            if _file(prefix, language) is None:
                raise InputError(f"{prefix}.{language}: no such text, compressed or not")


def _prepare(translator: Translator, domain: Path, control: Path, out: Path, how: Amounts) -> None:
    """Encode and binarise the texts of a domain with the vocabulary of the base."""
    if (out / "data-bin" / "preprocess.log").exists():
        return
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(translator.spm))
    for language in translator.languages:
        texts = dict(_texts(domain, control, language, how))
        for name, lines in texts.items():
            write_text(out / "text" / f"{name}.{language}", "".join(f"{one}\n" for one in lines))
            encoded = (" ".join(pieces.encode(line, out_type=str)) for line in lines)
            write_text(out / "pieces" / f"{name}.{language}",
                       "".join(f"{one}\n" for one in encoded))  # fmt: skip
    source, target = translator.languages
    tests = f"{out / 'pieces' / DOMAIN},{out / 'pieces' / CONTROL}"
    run(
        [
            program("fairseq-preprocess"), "-s", source, "-t", target,
            "--srcdict", translator.data / f"dict.{source}.txt",
            "--tgtdict", translator.data / f"dict.{target}.txt",
            "--trainpref", out / "pieces" / "train", "--validpref", out / "pieces" / "valid",
            "--testpref", tests, "--destdir", out / "data-bin",
        ],
        out / "preprocess.log",
        how.threads,
    )  # fmt: skip


def _texts(
    domain: Path, control: Path, language: str, how: Amounts
) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield the lines of one language of each part."""
    yield "train", _lines(domain / "train", language)[: how.train]
    dev = _lines(domain / "dev", language)
    if _file(domain / "test", language) is None:
        yield "valid", dev[: len(dev) // 2]
        yield DOMAIN, dev[len(dev) // 2 :][: how.test]
    else:
        yield "valid", dev
        yield DOMAIN, _lines(domain / "test", language)[: how.test]
    yield CONTROL, _lines(control, language)[: how.test]


def _file(prefix: Path, language: str) -> Path | None:
    names = (prefix.with_name(f"{prefix.name}.{language}{end}") for end in ("", ".gz"))
    return next((name for name in names if name.exists()), None)


def _lines(prefix: Path, language: str) -> list[str]:
    """Read a text, compressed or not."""
    path = _file(prefix, language)
    assert path is not None  # checked before any work
    if path.suffix != ".gz":
        return read_lines(path)
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
        return file.read().removesuffix("\n").split("\n")


def _calibrated(filled: Path, output: Path, data: Path, settings: Mapping[str, object]) -> None:
    """Write a checkpoint with the same memory, other settings of its reader, calibrated."""
    state = checkpoint_utils.load_checkpoint_to_cpu(str(filled))
    with open_dict(state["cfg"]):
        state["cfg"].model.update(settings)
    write_checkpoint(state, output)
    report = fill_checkpoint(output, output, Filling(data, epochs=0, calibrate="valid"))
    logger.info("%s: %s", output.stem, report)


def _score(
    model: Path, name: str, text: str, out: Path, translator: Translator, how: Amounts
) -> dict:
    """Translate a text with a system and score it."""
    log = out / "logs" / f"{name.replace(' ', '_')}.{text}.log"
    if not (log.exists() and SPEED.search(log.read_text(errors="replace"))):
        log.parent.mkdir(parents=True, exist_ok=True)
        generation = Generation(
            out / "data-bin", text, threads=how.threads, cpu=True, remove_bpe="sentencepiece"
        )
        translate(model, generation, log)
    lines = read_lines(log)
    language = translator.languages[1]
    scorer = Scorer(
        read_lines(out / "text" / f"{text}.{language}"),
        read_lines(out / "text" / f"train.{language}"),
        "13a",
    )
    scores = scorer.score(name, read_hypotheses(lines))
    speeds = (SPEED.search(line) for line in reversed(lines))
    speed = next(found for found in speeds if found)
    return {
        "bleu": round(scores.bleu, 2),
        "chrf": round(scores.chrf, 2),
        "sentences_per_second": float(speed[1]),
        "signatures": scorer.signatures,
    }


def domains_table(results: Mapping[str, dict]) -> str:
    """Return a row per system for each domain."""
    lines = []
    for domain, systems in results.items():
        lines.append(f"{domain:<24}{'BLEU':>8}{'chrF':>8}{'sent/s':>8}{'control BLEU':>14}")
        for name, texts in systems.items():
            own, control = texts[DOMAIN], texts[CONTROL]
            lines.append(
                f"{name:<24}{own['bleu']:>8.2f}{own['chrf']:>8.2f}"
                f"{own['sentences_per_second']:>8.2f}{control['bleu']:>14.2f}"
            )
        lines.append("")
    signatures = next(iter(results.values()))[BASE][DOMAIN]["signatures"]
    return "\n".join([*lines, *(f"sacrebleu {one}" for one in signatures.values())])
