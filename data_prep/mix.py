"""Prepares a mix of corpora for fairseq, as a YAML file describes it.

    python -m data_prep.mix configs/data/wmt14_en_de.yaml --out wmt14

Sources are fetched or read from disk, and may be archives, pairs of text files, tab-separated
values, translation memories (TMX) or SGML. docs/data.md explains the file. Makes

    wmt14/downloads/         what was fetched; checksums.json holds it to what came first
    wmt14/sources/NAME/      each source as two plain text files
    wmt14/text/, raw/, ...   as `data_prep.parallel` does, which does the rest

The work may be killed at any time: the same command goes on with the first stage that is not
finished, and does again what depends on changed input or options. `--dry-run` shows the plan.
"""

import argparse
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from data_prep.archives import is_archive, read_sgm, read_tmx, read_tsv, unpack
from data_prep.cleaning import Corpus
from data_prep.download import Downloads
from data_prep.files import find_text, read_byte_lines
from data_prep.program import DataError, HelpFormatter, positive, run_program
from data_prep.quality import CleaningOptions
from data_prep.recipe import Recipe, stages
from data_prep.sentencepiece_model import SentencePieceOptions
from data_prep.stages import Stage, Workspace

logger = logging.getLogger(__name__)

FORMATS = ("lines", "sgm", "tsv", "tmx")
ROLES = ("src", "ref")  # what WMT calls the two sides of a test set in its file names


@dataclass
class Source:
    """One corpus. In `url`, `path` and `member`, `{language}` stands for each language in turn."""

    url: str | None = None
    """Where it is on the web."""
    path: str | None = None
    """Where it is on disk, relative to the YAML file or `--source`; `.gz` may be left out."""
    member: str | None = None
    """Its file within an archive; `{role}` stands for `src` and `ref`."""
    format: str | None = None
    """`lines`, `sgm`, `tsv` or `tmx`; by the end of the file's name, if not given."""
    columns: tuple[int, int] = (1, 2)
    """Of source and target in a file of tab-separated values."""
    weight: float = 1.0
    """How often its lines come in the training text; 0.5 for every other one."""


@dataclass
class Mix:
    """A whole YAML file."""

    languages: tuple[str, str]
    sources: dict[str, Source]
    train: list[str]
    """Names of sources."""
    valid: list[str]
    test: list[str]
    cleaning: CleaningOptions = field(default_factory=CleaningOptions)
    vocabulary: SentencePieceOptions = field(default_factory=SentencePieceOptions)
    shards: int = 1


def read_mix(path: Path) -> Mix:
    """Read a YAML file.

    Raises:
        DataError: If it is not as `Mix` says; the message names what is wrong.
    """
    try:
        schema = OmegaConf.structured(Mix)
        for frozen in (schema.cleaning, schema.vocabulary):
            OmegaConf.set_readonly(frozen, False)
        given = OmegaConf.merge(schema, OmegaConf.load(path))
        mix: Any = OmegaConf.to_object(given)
    except (OmegaConfBaseException, YAMLError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: {reason}") from error
    check(mix, path)
    return mix


def check(mix: Mix, path: Path) -> None:
    """Check what types do not say.

    Raises:
        DataError: If something is wrong.
    """
    used = [*mix.train, *mix.valid, *mix.test]
    for part in ("train", "valid", "test"):
        if not getattr(mix, part):
            raise DataError(f"{path}: {part} names no source")
    for name in used:
        if name not in mix.sources:
            known = ", ".join(mix.sources)
            raise DataError(f"{path}: no source is called {name!r}; there are {known}")
    for name, source in mix.sources.items():
        if (source.url is None) == (source.path is None):
            raise DataError(f"{path}: source {name!r} needs a url or a path, and not both")
        if source.format not in (None, *FORMATS):
            raise DataError(f"{path}: source {name!r}: format is one of {', '.join(FORMATS)}")
        if source.weight <= 0 or min(source.columns) < 1:
            raise DataError(f"{path}: source {name!r}: weight and columns are above 0")
    if mix.languages[0] == mix.languages[1]:
        raise DataError(f"{path}: both languages are {mix.languages[0]!r}")


@dataclass(frozen=True)
class Place:
    """Where the sources of a mix are.

    Attributes:
        folder: That paths are relative to.
        out: Of all that is made.
        downloads: What is fetched.
    """

    folder: Path
    out: Path
    downloads: Downloads

    def original(self, template: str, source: Source) -> Path:
        """The file on disk, fetched if it has to be."""
        if source.url is not None:
            return self.downloads.get(template)
        path = self.folder / template
        prefix, _, ending = str(path).rpartition(".")
        return path if path.is_file() else find_text(prefix, ending)


def originals(source: Source, languages: Sequence[str], place: Place) -> list[Path]:
    """One file for both languages, or one for each.

    Raises:
        DataError: If one is not there, or cannot be fetched.
    """
    template = source.url or source.path or ""
    templates = dict.fromkeys(template.replace("{language}", lang) for lang in languages)
    return [place.original(one, source) for one in templates]


def extraction(
    name: str, source: Source, files: Sequence[Path], languages: tuple[str, str]
) -> Stage:
    """The stage that makes two plain text files of a source.

    Raises:
        DataError: If they are of no known kind.
    """
    output = f"sources/{name}"
    kind = _format(name, source, files)

    def make(folder: Path) -> None:
        inside = folder / output
        inside.mkdir(parents=True)
        parts = list(files)
        if is_archive(files[0]):
            parts = _members(source, files, languages, folder)
        texts = [inside / f"text.{language}" for language in languages]
        write_texts(kind, source, parts, texts, languages)

    options = {key: value for key, value in asdict(source).items() if key in _DECIDING}
    return Stage(f"source {name}", options | {"languages": languages}, files, [output], make)


# What decides which text a source has; its weight does not.
_DECIDING = ("member", "format", "columns")


def _format(name: str, source: Source, files: Sequence[Path]) -> str:
    if source.format:
        return source.format
    if is_archive(files[0]):
        if source.member is None:
            raise DataError(f"source {name!r}: {files[0].name} is an archive; name its member")
        ending = Path(source.member).suffix
    else:
        ending = Path(files[0].name.removesuffix(".gz")).suffix
    return ending[1:] if ending[1:] in FORMATS else "lines"


def _members(
    source: Source, files: Sequence[Path], languages: Sequence[str], folder: Path
) -> list[Path]:
    """Unpack what is needed into a folder: one file for both languages or one for each."""
    template = source.member or ""
    names = [
        template.replace("{language}", language).replace("{role}", role)
        for language, role in zip(languages, ROLES, strict=True)
    ]
    members = {name: folder / f"{n}{Path(name).suffix}" for n, name in enumerate(names)}
    if len(files) == 1:
        unpack(files[0], members)
    else:
        for file, (name, target) in zip(files, members.items(), strict=True):
            unpack(file, {name: target})
    return list(members.values())


def write_texts(
    kind: str,
    source: Source,
    parts: Sequence[Path],
    texts: Sequence[Path],
    languages: Sequence[str],
) -> None:
    """Write what a source says in each language, line by line.

    Raises:
        DataError: If it is damaged, or one file is needed for each language.
    """
    if kind in ("tsv", "tmx"):
        both = (
            read_tsv(parts[0], source.columns) if kind == "tsv" else read_tmx(parts[0], languages)
        )
        with ExitStack() as stack:
            files = [stack.enter_context(text.open("w", encoding="utf-8")) for text in texts]
            for lines in both:
                for file, line in zip(files, lines, strict=True):
                    file.write(line + "\n")
        return
    if len(parts) != len(texts):
        raise DataError(f"{parts[0]}: one file for two languages; write {{language}} in its name")
    for part, text in zip(parts, texts, strict=True):
        if kind == "sgm":
            text.write_text("".join(line + "\n" for line in read_sgm(part)), "utf-8")
            continue
        with text.open("wb") as copy:  # bytes: cleaning judges them
            copy.writelines(line + b"\n" for line in read_byte_lines(part))


def recipe(mix: Mix, out: Path) -> Recipe:
    """What is made of the extracted sources."""

    def corpus(name: str, sources: Sequence[str], weighted: bool = False) -> Corpus:
        pairs = [
            tuple(out / "sources" / source / f"text.{language}" for language in mix.languages)
            for source in sources
        ]
        weights = [mix.sources[source].weight for source in sources] if weighted else []
        return Corpus(name, pairs, weights, forgiving=weighted)  # type: ignore[arg-type]

    tests = [corpus(f"test{n or ''}", [name]) for n, name in enumerate(mix.test)]
    corpora = [corpus("train", mix.train, weighted=True), corpus("valid", mix.valid), *tests]
    return Recipe(corpora, mix.languages, mix.cleaning, mix.vocabulary, mix.shards)


def used(mix: Mix) -> Mapping[str, Source]:
    """The sources that a part names, each once."""
    return {name: mix.sources[name] for name in dict.fromkeys(mix.train + mix.valid + mix.test)}


def prepare(mix: Mix, place: Place, workers: int) -> None:
    """Fetch, extract, and do what a recipe says, skipping what is done already.

    Raises:
        DataError: If the input is missing, misaligned, damaged, or cannot be fetched.
    """
    with Workspace(place.out) as workspace:
        for name, source in used(mix).items():
            files = originals(source, mix.languages, place)
            workspace.run(extraction(name, source, files, mix.languages))
        made = recipe(mix, place.out)
        for stage in stages(made, place.out, workers):
            workspace.run(stage)
    logger.info("ready: %s", made.data(place.out))


def plan(mix: Mix, place: Place) -> Iterator[str]:
    """Yield the plan as lines to be read."""
    parts = {"train": mix.train, "valid": mix.valid, "test": mix.test}
    for name, source in used(mix).items():
        where = source.url or str(place.folder / (source.path or ""))
        uses = ", ".join(part for part, names in parts.items() if name in names)
        state = ""
        if source.url:
            there = place.downloads.path(source.url).exists()
            state = " (there)" if there else " (to be fetched)"
        times = f", {source.weight:g} times" if source.weight != 1 else ""
        yield f"{uses:<6} {name}{times}: {where}{state}"
        if source.member:
            yield f"         member {source.member}"
    yield f"clean    {_shown(mix.cleaning)}"
    yield f"pieces   {_shown(mix.vocabulary)}"
    yield f"makes    {recipe(mix, place.out).data(place.out)}"


def _shown(options: Any) -> str:
    return ", ".join(f"{name} {value}" for name, value in asdict(options).items())


def parse_arguments(
    arguments: Sequence[str] | None = None, doc: str | None = __doc__, config: Path | None = None
) -> argparse.Namespace:
    """Parse the command line; with the YAML file first, unless it is given."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=HelpFormatter)
    add = parser.add_argument
    if config is None:
        add("config", type=Path, help="the YAML file")
    else:
        parser.set_defaults(config=config)
    add("--out", type=Path, required=True, help="folder for all that is made")
    add(
        "--source",
        type=Path,
        help="folder that paths are relative to; the YAML file's if not given",
    )
    add("--mirror", help="folder or address with files of the same names, instead of the originals")
    add("--shards", type=positive, help="instead of what the file says")
    add("--workers", type=positive, default=1, help="processes; changes no result")
    add("--dry-run", action="store_true", help="show what would be done")
    return parser.parse_args(arguments)


def main(arguments: argparse.Namespace) -> None:
    """Prepare what the YAML file describes."""
    mix = read_mix(arguments.config)
    mix.shards = arguments.shards or mix.shards
    downloads = Downloads(arguments.out / "downloads", arguments.mirror)
    place = Place(arguments.source or arguments.config.parent, arguments.out, downloads)
    if arguments.dry_run:
        sys.stdout.write("\n".join(plan(mix, place)) + "\n")
        return
    prepare(mix, place, arguments.workers)


if __name__ == "__main__":
    sys.exit(run_program(main, parse_arguments()))
