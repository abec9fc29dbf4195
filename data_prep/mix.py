"""Prepare a mix of corpora for fairseq, described by a YAML file.

    python -m data_prep.mix configs/data/wmt14_en_de.yaml --out wmt14

Sources are downloaded or read from the disk. They can be archives, pairs of text files,
tab-separated values, translation memories (TMX) or SGML. docs/data.md describes the file. Output:

    wmt14/downloads/         downloaded files, verified by checksums.json
    wmt14/sources/NAME/      each source as two plain text files
    wmt14/text/, raw/, ...   as from `data_prep.parallel`, which does the rest

You can stop the program at any time: the same command continues with the first unfinished stage,
and repeats what depends on changed input or options. `--dry-run` shows the plan.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from data_prep.core.download import Downloads
from data_prep.core.program import (
    HelpFormatter,
    add_out,
    given_path,
    run_program,
)
from data_prep.core.ranges import SHARDS, WORKERS
from data_prep.core.stages import Workspace
from data_prep.text.cleaning import Corpus
from data_prep.text.mix_config import Mix, read_mix
from data_prep.text.recipe import Recipe, readable_by_fairseq, run
from data_prep.text.sources import Place, extraction, originals


def recipe(mix: Mix, out: Path) -> Recipe:
    """Return the recipe for the extracted sources."""

    def corpus(name: str, sources: Sequence[str], weighted: bool = False) -> Corpus:
        pairs = [
            tuple(out / "sources" / source / f"text.{language}" for language in mix.languages)
            for source in sources
        ]
        weights = [mix.sources[source].weight for source in sources] if weighted else []
        return Corpus(name, pairs, weights, forgiving=weighted, home=out)  # type: ignore[arg-type]

    tests = [corpus(f"test{n or ''}", [name]) for n, name in enumerate(mix.test)]
    corpora = [corpus("train", mix.train, weighted=True), corpus("valid", mix.valid), *tests]
    return Recipe(corpora, mix.languages, mix.cleaning, mix.vocabulary, mix.shards)


def prepare(mix: Mix, place: Place, workers: int) -> None:
    """Download, extract and prepare, skipping finished stages.

    Raises:
        DataError: If the input is missing, misaligned, damaged, or cannot be downloaded.
    """
    with Workspace(readable_by_fairseq(place.out)) as workspace:
        for name, source in mix.used.items():
            files = originals(source, mix.languages, place)
            workspace.run(extraction(name, source, files, mix.languages))
        run(recipe(mix, place.out), workspace, workers)


def plan(mix: Mix, place: Place) -> Iterator[str]:
    """Yield the plan as lines to be read."""
    parts = {"train": mix.train, "valid": mix.valid, "test": mix.test}
    for name, source in mix.used.items():
        where = source.url or str(place.folder / (source.path or ""))
        uses = ", ".join(part for part, names in parts.items() if name in names)
        state = ""
        if source.url:
            there = place.downloads.path(source.url).exists()
            state = " (exists)" if there else " (to be downloaded)"
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
        add("config", type=given_path, help="YAML file that describes the mix")
    else:
        parser.set_defaults(config=config)
    add_out(parser)
    add(
        "--source",
        type=given_path,
        help="folder to which paths in the YAML file are relative; by default its own folder",
    )
    add("--mirror", help="folder or address with files of the same names, instead of the originals")
    add(
        "--shards",
        type=SHARDS,
        help="number of folders for the training text; by default that in the file",
    )
    add("--workers", type=WORKERS, default=1, help="number of processes; the result is the same")
    add("--dry-run", action="store_true", help="show the plan and do nothing")
    return parser.parse_args(arguments)


def main(arguments: argparse.Namespace) -> None:
    """Prepare the mix that the YAML file describes."""
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
