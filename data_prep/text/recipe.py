"""The stages from parallel text to fairseq's data: clean, learn a vocabulary, encode, binarise."""

import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from data_prep.core.files import count_lines, read_lines
from data_prep.core.program import DataError
from data_prep.core.stages import Stage, Workspace
from data_prep.text.binarize import count_tokens, run_fairseq_preprocess, write_dictionary
from data_prep.text.cleaning import Cleaner, Corpus
from data_prep.text.quality import CleaningOptions
from data_prep.text.sentencepiece_model import (
    SentencePieceOptions,
    encode_file,
    load_model,
    piece_names,
    train_model,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recipe:
    """What to prepare from which text.

    Attributes:
        corpora: Training, development and test text, more test texts.
        languages: Of source and target.
        cleaning: Which training text to keep.
        vocabulary: How to learn the sentencepiece model.
        shards: Number of folders for the training text, of which fairseq reads one at a time.
    """

    corpora: Sequence[Corpus]
    languages: tuple[str, str]
    cleaning: CleaningOptions
    vocabulary: SentencePieceOptions
    shards: int = 1

    @property
    def names(self) -> list[str]:
        """Names of the corpora."""
        return [corpus.name for corpus in self.corpora]

    def files(self, folder: Path) -> list[Path]:
        """Return the files of all corpora, those for training first, as the stages name them."""
        return [folder / f"{name}.{suffix}" for name in self.names for suffix in self.languages]

    def data(self, out: Path) -> str:
        """Return fairseq's name for the data: a folder, or several separated by colons."""
        if self.shards == 1:
            return str(out / "data-bin")
        return ":".join(str(out / "data-bin" / f"shard{n}") for n in range(self.shards))


SEPARATORS = ",:"  # of paths, for fairseq-preprocess and fairseq-train


def prepare(recipe: Recipe, out: Path, workers: int = 1) -> None:
    """Prepare parallel text for fairseq, skipping finished stages.

    Args:
        recipe: What to prepare.
        out: Folder for all output; see the docstring of `parallel.py`.
        workers: Number of processes, which does not affect the result.

    Raises:
        DataError: If the input is missing, misaligned, damaged, empty or not UTF-8.
    """
    with Workspace(readable_by_fairseq(out)) as workspace:
        run(recipe, workspace, workers)


def readable_by_fairseq(out: Path) -> Path:
    """Return the folder, if fairseq's programs do not split its name.

    Raises:
        DataError: If they do.
    """
    if set(str(out)) & set(SEPARATORS):
        raise DataError(
            f"{out}: fairseq would split this name at its comma or colon; choose another --out"
        )
    return out


def run(recipe: Recipe, workspace: Workspace, workers: int) -> None:
    """Prepare in a workspace that is already open."""
    for stage in stages(recipe, workspace.folder, workers):
        workspace.run(stage)
    logger.info("ready: %s", recipe.data(workspace.folder))


def stages(recipe: Recipe, out: Path, workers: int) -> Iterator[Stage]:
    """Yield the stages of the preparation, each after the ones before it were run."""
    text, pieces, model_path = out / "text", out / "pieces", out / "spm.model"
    training, *evaluation = recipe.corpora
    train_files = recipe.files(text)[:2]

    def clean(folder: Path) -> None:
        for name in ("text", "raw"):
            (folder / name).mkdir()
        cleaner = Cleaner(recipe.cleaning, recipe.languages, workers)
        for corpus in evaluation:
            cleaner.write_evaluation(corpus, folder / "text")
            for side, language in enumerate(recipe.languages):
                files = [pair[side] for pair in corpus.pairs]
                copy_lines(files, folder / "raw" / f"{corpus.name}.{language}")
        cleaner.write_training(training, folder / "text")
        write_report(cleaner, folder, recipe.names)

    def learn(folder: Path) -> None:
        train_model(train_files, folder / "spm.model", recipe.vocabulary)

    def encode(folder: Path) -> None:
        (folder / "pieces").mkdir()
        model = load_model(model_path)
        for file in recipe.files(text):
            encode_file(model, file, folder / "pieces" / file.name, workers)

    def binarise(folder: Path) -> None:
        dictionary = folder / "dict.txt"
        counts = count_tokens(recipe.files(pieces)[:2])
        write_dictionary(dictionary, counts, piece_names(load_model(model_path)))
        both = dictionary, dictionary
        train, valid, *tests = (pieces / name for name in recipe.names)
        if recipe.shards == 1:
            run_fairseq_preprocess(
                folder / "data-bin", recipe.languages, both, train, valid, tests, workers
            )
            return
        for number, shard in enumerate(share_out(recipe, train, folder / "shares")):
            run_fairseq_preprocess(
                folder / "data-bin" / f"shard{number}", recipe.languages, both, shard,
                None if number else valid, [] if number else tests, workers,
            )  # fmt: skip
        shutil.rmtree(folder / "shares")

    layout = [
        [corpus.name, len(corpus.pairs), *corpus.weights, *recipe.languages]
        for corpus in recipe.corpora
    ]
    yield Stage(
        "clean",
        {"layout": layout, "forgiving": training.forgiving, **asdict(recipe.cleaning)},
        [path for corpus in recipe.corpora for path in corpus.files],
        ["text", "raw", "report.json", "report.txt"],
        clean,
    )
    vocabulary = {"sentencepiece": version("sentencepiece"), **asdict(recipe.vocabulary)}
    # Vocabularies from before byte fallback are kept, because checkpoints depend on them.
    before_bytes = {key: vocabulary[key] for key in vocabulary if key != "byte_fallback"}
    yield Stage(
        "sentencepiece", vocabulary, train_files, ["spm.model"], learn, still_valid=[before_bytes]
    )
    names = [file.name for file in recipe.files(text)]
    yield Stage("encode", {"files": names}, [model_path, *recipe.files(text)], ["pieces"], encode)
    options = {"files": names, "shards": recipe.shards}
    yield Stage("binarise", options, [model_path, *recipe.files(pieces)], ["data-bin"], binarise)


def copy_lines(files: Sequence[Path], copy: Path) -> None:
    """Copy the lines of files, plain or gzip, unchanged."""
    with copy.open("w", encoding="utf-8") as output:
        for file in files:
            output.writelines(line + "\n" for line in read_lines(file))


def share_out(recipe: Recipe, train: Path, folder: Path) -> list[Path]:
    """Give each shard every n-th line of the training text, and so a part of each source.

    Returns:
        Prefixes of the shards' files.

    Raises:
        DataError: If there are more shards than lines.
    """
    lines = count_lines(Path(f"{train}.{recipe.languages[0]}"))
    if lines < recipe.shards:
        raise DataError(f"--shards {recipe.shards}: the training text has only {lines} pairs left")
    folder.mkdir()
    prefixes = [folder / str(number) for number in range(recipe.shards)]
    for language in recipe.languages:
        with ExitStack() as stack:
            shards = [
                stack.enter_context(Path(f"{prefix}.{language}").open("w", encoding="utf-8"))
                for prefix in prefixes
            ]
            for number, line in enumerate(read_lines(Path(f"{train}.{language}"))):
                shards[number % recipe.shards].write(line + "\n")
    return prefixes


def write_report(cleaner: Cleaner, folder: Path, names: Sequence[str]) -> None:
    """Write the findings of the cleaning as report.json and report.txt, and log the latter."""
    reports = {name: cleaner.reports[name] for name in names}
    as_data = {name: report.as_dict() for name, report in reports.items()}
    as_json = json.dumps(as_data, indent=1, ensure_ascii=False)
    (folder / "report.json").write_text(as_json + "\n", "utf-8")
    lines = [line for name, report in reports.items() for line in report.summary(name)]
    (folder / "report.txt").write_text("\n".join(lines) + "\n", "utf-8")
    for line in lines:
        logger.info("%s", line)
