"""The YAML file of a mix of corpora, and the errors in it."""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from data_prep.core.files import name_fault
from data_prep.core.program import DataError
from data_prep.core.ranges import SHARDS, Range, outside, ranged
from data_prep.text.quality import CleaningOptions
from data_prep.text.sentencepiece_model import SentencePieceOptions

FORMATS = ("lines", "sgm", "tsv", "csv", "tmx")
COLUMNS = Range(1, 10_000)
MOST_BYTES = 1 << 20  # of a YAML file
MOST_SHOWN = 500  # characters of what other libraries say of one
MOST_NODES = 100_000  # of one, with every alias written out


@dataclass
class Source:
    """One corpus. In `url`, `path` and `member`, `{language}` stands for each language in turn."""

    url: str | None = None
    """Address on the web."""
    path: str | None = None
    """Path on the disk, relative to the YAML file or `--source`; `.gz` can be omitted."""
    member: str | None = None
    """File within an archive; `{role}` stands for `src` and `ref`."""
    format: str | None = None
    """`lines`, `sgm`, `tsv`, `csv` or `tmx`; by default determined by the file's suffix."""
    columns: tuple[int, int] | None = None
    """Columns of source and target in a table; by default those in its header, or 1 and 2."""
    weight: float = ranged(1.0, 1e-6, 1000)
    """How often to repeat its lines in the training text; 0.5 for every second one."""


@dataclass
class Mix:
    """A complete YAML file."""

    languages: tuple[str, str]
    sources: dict[str, Source]
    train: list[str]
    """Names of sources."""
    valid: list[str]
    test: list[str]
    cleaning: CleaningOptions = field(default_factory=CleaningOptions)
    vocabulary: SentencePieceOptions = field(default_factory=SentencePieceOptions)
    shards: int = ranged(1, SHARDS.low, SHARDS.high)

    @property
    def used(self) -> dict[str, Source]:
        """The sources used by any part, each once."""
        names = dict.fromkeys(self.train + self.valid + self.test)
        return {name: self.sources[name] for name in names}


def read_mix(path: Path) -> Mix:
    """Read a YAML file.

    Raises:
        DataError: If it is not a valid `Mix`; the message names the error.
    """
    try:
        schema = OmegaConf.structured(Mix)
        for frozen in (schema.cleaning, schema.vocabulary):
            OmegaConf.set_readonly(frozen, False)
        loaded = OmegaConf.load(StringIO(_read_yaml(path)))
        given = OmegaConf.merge(schema, loaded)
        mix: Any = OmegaConf.to_object(given)
    except RecursionError as error:
        raise DataError(f"{path}: nested too deeply; see configs/data for examples") from error
    except (OmegaConfBaseException, yaml.YAMLError, ValueError, OverflowError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: {textwrap.shorten(reason, MOST_SHOWN)}") from error
    for fault in faults(mix):
        raise DataError(f"{path}: {fault}")
    return mix


def _read_yaml(path: Path) -> str:
    """Return the text of a YAML file that does not grow excessively when it is parsed."""
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise DataError(
            f"{path}: larger than {MOST_BYTES:,} bytes; this is not a description of a mix"
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        at = error.start + 1
        raise DataError(f"{path}: not UTF-8 at byte {at}; is it a YAML file?") from error
    node = yaml.compose(text, yaml.SafeLoader)
    if node is not None and not isinstance(node, yaml.MappingNode):
        raise DataError(f"{path}: does not begin with `name: value`; see configs/data for examples")
    if _nodes(node, {}) > MOST_NODES:
        raise DataError(
            f"{path}: has more than {MOST_NODES:,} entries with its aliases (`*name`) written out, "
            "or an alias that contains itself; write the entries themselves"
        )
    return text


def _nodes(node: yaml.Node | None, known: dict[int, float]) -> float:
    """Count the nodes below a node, with aliases written out; infinite if one contains itself."""
    if id(node) not in known:
        known[id(node)] = float("inf")  # until it is known
        parts: list[Any] = []
        if isinstance(node, yaml.SequenceNode):
            parts = node.value
        elif isinstance(node, yaml.MappingNode):
            parts = [part for pair in node.value for part in pair]
        known[id(node)] = 1 + sum(_nodes(part, known) for part in parts)
    return known[id(node)]


def faults(mix: Mix) -> Iterator[str]:
    """Yield errors in a mix that types do not detect."""
    yield from outside(mix)
    for part, options in (("cleaning", mix.cleaning), ("vocabulary", mix.vocabulary)):
        yield from (f"{part}: {fault}" for fault in outside(options))
    for part in ("train", "valid", "test"):
        if not getattr(mix, part):
            yield f"{part} names no source"
    for name in [*mix.train, *mix.valid, *mix.test]:
        if name not in mix.sources:
            yield f"there is no source {name!r}; there are {', '.join(mix.sources)}"
    for name, source in mix.sources.items():
        if fault := name_fault(name):  # it becomes the name of a folder
            yield f"source {name!r} {fault}"
        yield from (f"source {name!r}: {fault}" for fault in _source_faults(source))
    if len(set(mix.languages)) != 2 or len(mix.languages) != 2:
        yield f"there must be two languages, not {', '.join(mix.languages)}"
    for language in mix.languages:
        if fault := name_fault(language):  # it becomes a suffix of file names
            yield f"language {language!r} {fault}"


def _source_faults(source: Source) -> Iterator[str]:
    yield from outside(source)
    if (source.url is None) == (source.path is None):
        yield "needs a url or a path, and not both"
    for key in ("url", "path", "member"):
        if not (getattr(source, key) or "").isprintable():
            yield f"{key} has a control character: {getattr(source, key)!r}"
    if source.format not in (None, *FORMATS):
        yield f"format must be one of {', '.join(FORMATS)}"
    columns = source.columns
    if columns is not None and (len(columns) != 2 or not all(one in COLUMNS for one in columns)):
        yield f"columns must be two numbers {COLUMNS}, not {columns}"
