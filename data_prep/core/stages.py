"""Work that survives being killed: stages with a manifest, each done completely or not at all.

A stage writes to a folder `OUT/.unfinished-*`. Once it is complete, its outputs are renamed into
`OUT`, and `OUT/manifest.json` records a fingerprint of its options and inputs and the hashes of its
outputs. A later run skips every stage whose fingerprint and outputs match the record, and repeats
the others. A folder that a stage creates belongs to it: when the stage is repeated, the whole
folder is replaced.
"""

import fcntl
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from data_prep.core.atomic import write_json
from data_prep.core.files import digest, inside
from data_prep.core.program import DataError

logger = logging.getLogger(__name__)

RECIPE_VERSION = 1  # increase it when a stage gives another output for the same input
UNFINISHED = ".unfinished-"


@dataclass(frozen=True)
class Stage:
    """One step of the work.

    Attributes:
        name: In the manifest and the log.
        options: Everything that the outputs depend on except the inputs; JSON-serialisable.
        inputs: Files that it reads.
        outputs: Names of the files and folders that it creates, relative to the workspace.
        make: Writes all outputs into a given folder.
        still_valid: Options of earlier versions of the program whose outputs are kept.
    """

    name: str
    options: Mapping[str, Any]
    inputs: Sequence[Path]
    outputs: Sequence[str]
    make: Callable[[Path], None]
    still_valid: Sequence[Mapping[str, Any]] = ()

    def fingerprints(self) -> list[str]:
        """Return hashes of everything that the outputs depend on, except the location of files.

        Returns:
            One for the options, and one for each of `still_valid`.
        """
        inputs = [digest(path) for path in self.inputs]
        parts = ([RECIPE_VERSION, self.name, o, inputs] for o in (self.options, *self.still_valid))
        return [hashlib.sha256(json.dumps(p, sort_keys=True).encode()).hexdigest() for p in parts]


class Workspace:
    """An output folder in which stages are run, by one process at a time.

    Example:
        with Workspace(Path("out")) as workspace:
            workspace.run(Stage("copy", {}, [source], ["copy.txt"], make_copy))

    Raises:
        DataError: On entering, if another process is working here, or the manifest is invalid.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest_path = folder / "manifest.json"

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = (self.folder / ".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise DataError(f"{self.folder}: another process is preparing data here") from error
        self._remove_unfinished()
        try:
            self.stages, self.made = self._load()
        except DataError:
            self._lock.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._remove_unfinished()
        self._lock.close()  # releases the lock

    def run(self, stage: Stage) -> bool:
        """Create a stage's outputs, unless they exist.

        Args:
            stage: What to do. Stages of a workspace must run in the order of their dependencies.

        Returns:
            Whether the stage was run (False: it was up to date).

        Raises:
            DataError: If the input is invalid, or reading or writing fails (for instance on a full
                disk).
        """
        try:
            return self._run(stage)
        except OSError as error:
            where = error.filename or self.folder
            raise DataError(
                f"{where}: {error.strerror or error}, in stage {stage.name!r}; "
                "correct this and run the same command again; finished stages are kept"
            ) from error

    def _run(self, stage: Stage) -> bool:
        fingerprints = stage.fingerprints()
        recorded = self.stages.get(stage.name, {})
        if recorded.get("fingerprint") in fingerprints and self._intact(recorded["outputs"]):
            ours = recorded["fingerprint"] == fingerprints[0]
            by_whom = "" if ours else ", as an earlier version of this program made it"
            logger.info("%s: up to date%s", stage.name, by_whom)
            return False
        self._spare_what_is_not_ours(stage)
        logger.info("%s: started", stage.name)
        # A new name each time: a child of a killed run may still write under the old one.
        scratch = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=self.folder))
        stage.make(scratch)
        # Recorded before the outputs are in place: if the run is killed in between, they differ
        # from their recorded hashes, and the stage is repeated.
        self.stages[stage.name] = {
            "fingerprint": fingerprints[0],
            "inputs": self._from_earlier_stages(stage.inputs),
            "made": list(stage.outputs),
            "outputs": _digests(scratch, stage.outputs),
        }
        self._drop_outdated()
        self.made |= set(stage.outputs)
        self._save()
        for name in stage.outputs:
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            _replace(scratch / name, self.folder / name)
        return True

    def _spare_what_is_not_ours(self, stage: Stage) -> None:
        """Raise an error instead of replacing the user's files, which may be in the same folder."""
        for name in stage.outputs:
            output = self.folder / name
            foreign = output.exists() and name not in self.made
            if foreign or any(_lies_in(path, output) for path in stage.inputs):
                raise DataError(
                    f"{output}: this program did not make it and does not replace it; move it, or "
                    "choose another --out"
                )

    def _from_earlier_stages(self, paths: Sequence[Path]) -> dict[str, str]:
        """Return the files that were created here: {path in the workspace: SHA-256}."""
        made = {output for record in self.stages.values() for output in record["outputs"]}
        inside = [path for path in paths if path.is_relative_to(self.folder)]
        return {_name(p, self.folder): digest(p) for p in inside if _name(p, self.folder) in made}

    def _drop_outdated(self) -> None:
        """Remove the outputs of stages that read what is now replaced."""
        while outdated := self._first_outdated():
            record = self.stages.pop(outdated)
            for output in record["made"]:
                _remove(self.folder / output)
            self.made -= set(record["made"])

    def _first_outdated(self) -> str | None:
        current: dict[str, str] = {}
        for record in self.stages.values():
            current |= record["outputs"]
        for name, record in self.stages.items():
            if any(current.get(path) != hash_ for path, hash_ in record["inputs"].items()):
                return name
        return None

    def _remove_unfinished(self) -> None:
        for leftover in self.folder.glob(f"{UNFINISHED}*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def _intact(self, outputs: Mapping[str, str]) -> bool:
        paths = {self.folder / name: recorded for name, recorded in outputs.items()}
        return all(path.is_file() and digest(path) == hash_ for path, hash_ in paths.items())

    def _load(self) -> tuple[dict[str, Any], set[str]]:
        """Return the finished stages, and the names of all files and folders ever created here."""
        try:
            manifest = json.loads(self.manifest_path.read_text("utf-8"))
            stages = manifest["stages"]
            made = {output for record in stages.values() for output in record["made"]}
            made |= set(manifest.get("made", []))
            for name in made.union(*(record["outputs"] for record in stages.values())):
                inside(self.folder, name, str(self.manifest_path))
            return stages if manifest["version"] == RECIPE_VERSION else {}, made
        except FileNotFoundError:
            return {}, set()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{self.manifest_path}: is not a record of finished stages; remove it and all "
                "output, or choose another --out"
            ) from error

    def _save(self) -> None:
        manifest = {
            "version": RECIPE_VERSION, "stages": self.stages, "made": sorted(self.made),
        }  # fmt: skip
        write_json(self.manifest_path, manifest)


def _digests(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """Hash the named files, and all files in the named folders: {relative path: SHA-256}."""
    paths: list[Path] = []
    for name in names:
        path = folder / name
        paths += sorted(path.rglob("*")) if path.is_dir() else [path]
    return {_name(path, folder): digest(path) for path in paths if path.is_file()}


def _lies_in(path: Path, folder: Path) -> bool:
    """Return whether a file is, or is inside, a named file or folder, following links."""
    return path.resolve().is_relative_to(folder.resolve())


def _name(path: Path, folder: Path) -> str:
    """Return the name of a file in the manifest: its path in the workspace."""
    return path.relative_to(folder).as_posix()


def _remove(path: Path) -> None:
    """Remove a file or a folder, if it exists."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _replace(new: Path, old: Path) -> None:
    """Replace a file or folder with another."""
    if old.is_dir():
        _remove(old)
    os.replace(new, old)
