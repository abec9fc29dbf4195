"""The YAML file of a mix of corpora: what it may say, and what is wrong with it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from data_prep.core.program import DataError
from data_prep.text.quality import CleaningOptions
from data_prep.text.sentencepiece_model import SentencePieceOptions

FORMATS = ("lines", "sgm", "tsv", "tmx")


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

    @property
    def used(self) -> dict[str, Source]:
        """The sources that a part names, each once."""
        names = dict.fromkeys(self.train + self.valid + self.test)
        return {name: self.sources[name] for name in names}


def read_mix(path: Path) -> Mix:
    """Read a YAML file.

    Raises:
        DataError: If it is not as `Mix` says; the message names what is wrong.
    """
    try:
        schema = OmegaConf.structured(Mix)
        for frozen in (schema.cleaning, schema.vocabulary):
            OmegaConf.set_readonly(frozen, False)
        loaded = OmegaConf.load(path)
        if not OmegaConf.is_dict(loaded):
            raise DataError(f"{path}: begins with a list; see configs/data for what is expected")
        given = OmegaConf.merge(schema, loaded)
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
        if source.weight <= 0 or len(source.columns) != 2 or min(source.columns) < 1:
            raise DataError(f"{path}: source {name!r}: weight and two columns are above 0")
        if not name or "/" in name or name.startswith("."):  # it becomes the name of a folder
            raise DataError(f"{path}: source {name!r} cannot be a folder; give it a plain name")
    if mix.shards < 1:
        raise DataError(f"{path}: shards: {mix.shards}; give at least 1")
    if len(set(mix.languages)) != 2 or len(mix.languages) != 2:
        raise DataError(f"{path}: languages are two, not {', '.join(mix.languages)}")
