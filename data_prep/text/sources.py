"""Sources of a mix: downloads or finds them, and converts each to two plain text files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.core.archives import is_archive, unpack
from data_prep.core.download import Downloads
from data_prep.core.files import aligned_writer, read_byte_lines
from data_prep.core.program import DataError
from data_prep.core.stages import Stage
from data_prep.text.documents import FIRST_TWO, read_sgm, read_table, read_tmx
from data_prep.text.mix_config import FORMATS, Source

BILINGUAL = ("tsv", "csv", "tmx")  # documents with both languages
ROLES = ("src", "ref")  # WMT's names for the two sides of a test set


@dataclass(frozen=True)
class Place:
    """The location of the sources of a mix.

    Attributes:
        folder: To which paths are relative.
        out: For all output.
        downloads: Downloaded files.
    """

    folder: Path
    out: Path
    downloads: Downloads

    def original(self, template: str, source: Source) -> Path:
        """Return the file on the disk, after downloading it if necessary."""
        if source.url is not None:
            return self.downloads.get(template)
        path = self.folder / template
        for file in (path, path.with_name(f"{path.name}.gz")):
            if file.is_file():
                return file
        raise DataError(f"{path}: no such file, nor {path.name}.gz; check the path and --source")


def originals(source: Source, languages: Sequence[str], place: Place) -> list[Path]:
    """Return one file for both languages, or one for each.

    Raises:
        DataError: If one is missing, or cannot be downloaded.
    """
    template = source.url or source.path or ""
    templates = dict.fromkeys(template.replace("{language}", lang) for lang in languages)
    return [place.original(one, source) for one in templates]


def extraction(
    name: str, source: Source, files: Sequence[Path], languages: tuple[str, str]
) -> Stage:
    """Return the stage that converts a source to two plain text files.

    Raises:
        DataError: If their format is unknown.
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

    # What determines the text of a source; its weight does not.
    options: dict[str, Any] = {"member": source.member, "format": source.format}
    options |= {"columns": source.columns or FIRST_TWO, "kind": kind, "languages": languages}
    return Stage(f"source {name}", options, files, [output], make)


def _format(name: str, source: Source, files: Sequence[Path]) -> str:
    if is_archive(files[0]) and source.member is None:
        raise DataError(f"source {name!r}: {files[0].name} is an archive; give its member")
    if source.format:
        return source.format
    ending = Path((source.member or files[0].name).removesuffix(".gz")).suffix[1:]
    one_each = "{language}" in f"{source.url}{source.path}{source.member}"
    return "lines" if ending not in FORMATS or (one_each and ending in BILINGUAL) else ending


def _members(
    source: Source, files: Sequence[Path], languages: Sequence[str], folder: Path
) -> list[Path]:
    """Unpack the necessary files to a folder: one for both languages or one for each."""
    template = source.member or ""
    names = [
        template.replace("{language}", language).replace("{role}", role)
        for language, role in zip(languages, ROLES, strict=True)
    ]
    members = {name: folder / f"{n}{Path(name).suffix}" for n, name in enumerate(names)}
    if len(files) == 1:
        unpack(files[0], members)
        return list(members.values())
    targets = [folder / f"{n}{Path(name).suffix}" for n, name in enumerate(names)]
    for file, name, target in zip(files, names, targets, strict=True):
        unpack(file, {name: target})
    return targets


def write_texts(
    kind: str,
    source: Source,
    parts: Sequence[Path],
    texts: Sequence[Path],
    languages: Sequence[str],
) -> None:
    """Write the text of a source in each language, line by line.

    Raises:
        DataError: If it is damaged, or one file is needed for each language.
    """
    if kind in BILINGUAL:
        if len(parts) != 1:
            raise DataError(
                f"{parts[0]}: one {kind} file contains both languages; remove {{language}} and "
                f"{{role}} from its name"
            )
        [part] = parts
        both = (
            read_tmx(part, languages)
            if kind == "tmx"
            else read_table(part, kind, languages, source.columns)
        )
        with aligned_writer(texts) as write:
            for lines in both:
                write(*lines)
        return
    if len(parts) != len(texts):
        raise DataError(f"{parts[0]}: one file for two languages; write {{language}} in its name")
    for part, text in zip(parts, texts, strict=True):
        if kind == "sgm":
            text.write_text("".join(line + "\n" for line in read_sgm(part)), "utf-8")
            continue
        with text.open("wb") as copy:  # bytes: the cleaning judges them
            copy.writelines(line + b"\n" for line in read_byte_lines(part))
