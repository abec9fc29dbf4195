"""Text on command lines: by the prefix of two files' names, or as one document."""

from collections.abc import Iterable
from itertools import combinations
from pathlib import Path

from data_prep.core.files import find_text, plain_name
from data_prep.core.program import DataError
from data_prep.core.stages import Stage
from data_prep.text.mix_config import Source
from data_prep.text.sources import BILINGUAL, extraction


def is_document(prefix: str) -> bool:
    """Return whether this is a file with both languages, and not the prefix of two names."""
    kinds = tuple(f".{kind}" for kind in BILINGUAL)
    return prefix.removesuffix(".gz").endswith(kinds) and Path(prefix).is_file()


def pair_of(prefix: str, languages: tuple[str, str], out: Path) -> tuple[Path, Path]:
    """Return the two files of a prefix, or those that `extractions` creates from a document.

    Args:
        prefix: `corpus/train` for `corpus/train.en` and `corpus/train.de`, or `terms.tmx`.
        languages: Of source and target.
        out: Folder for all output.

    Raises:
        DataError: If a file is missing.
    """
    source, target = languages
    if is_document(prefix):
        folder = out / "sources" / Path(prefix).name
        return folder / f"text.{source}", folder / f"text.{target}"
    return find_text(prefix, source), find_text(prefix, target)


def extractions(prefixes: Iterable[str], languages: tuple[str, str]) -> list[Stage]:
    """Return the stages that extract plain text from documents.

    Raises:
        DataError: If two documents have the same name.
    """
    paths = dict.fromkeys(Path(prefix) for prefix in prefixes if is_document(prefix))
    for path, other in combinations(paths, 2):
        if path.name == other.name:
            raise DataError(f"{path}: {other} has the same name; rename one of them")
    return [
        extraction(plain_name(path.name, str(path)), Source(path=str(path)), [path], languages)
        for path in paths
    ]
