"""The texts of the lines that filled a memory, for explanations.

They may be long and confidential, so they are kept only if the user asks for them: in an SQLite
file beside the checkpoint, with a row for each line that the memory still remembers. The checkpoint
has a digest of them, so that the texts of another one are not mistaken for its own.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from fairseq_plugins.atomic import replacing
from fairseq_plugins.errors import InputError

SUFFIX = ".texts.db"

Row = tuple[int, str, str]
"""The number of a line, and its pieces in source and target, separated by spaces."""


class Texts:
    """The texts of the lines that a memory remembers.

    Args:
        checkpoint: that they belong to.
        digest: of the texts, as the checkpoint says; other texts are ignored.

    Raises:
        InputError: if the file is damaged.
    """

    def __init__(self, checkpoint: Path, digest: str) -> None:
        path = texts_beside(checkpoint)
        self._database: sqlite3.Connection | None = None
        if not digest or not path.is_file():
            return
        name = f"{path.resolve().as_uri()}?mode=ro"
        database = sqlite3.connect(name, uri=True, check_same_thread=False)
        try:
            found = database.execute("SELECT digest FROM about").fetchone()
        except sqlite3.Error as error:
            database.close()
            raise InputError(
                f"{path}: is damaged ({error}); remove it, and explanations name corpora and "
                "lines without their texts"
            ) from error
        if found == (digest,):
            self._database = database
        else:
            database.close()

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return self._database is not None

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            self._database.close()

    def pieces(self, origin: int) -> tuple[str, str] | None:
        """Return the pieces of source and target of a line, separated by spaces, if known."""
        if self._database is None:
            return None
        query = "SELECT source, target FROM texts WHERE origin = ?"
        return self._database.execute(query, (origin,)).fetchone()

    def rows(self) -> Iterator[Row]:
        """Yield all lines in the order of their numbers."""
        if self._database is not None:
            yield from self._database.execute("SELECT * FROM texts ORDER BY origin")


def texts_beside(checkpoint: Path) -> Path:
    """Return the file for the texts of a checkpoint."""
    return checkpoint.with_suffix(SUFFIX)


def write_texts(checkpoint: Path, rows: Iterable[Row]) -> str:
    """Write the texts of a checkpoint beside it, completely or not at all.

    Args:
        checkpoint: that will be written after them.
        rows: no line twice.

    Returns:
        Their digest, for the checkpoint.

    Raises:
        InputError: if the database cannot be written, for instance on a full disk.
        OSError: if the file cannot be created.
    """
    digest = hashlib.sha256()

    def noted() -> Iterator[Row]:
        for row in rows:
            digest.update(repr(row).encode())
            yield row

    path = texts_beside(checkpoint)
    try:
        with replacing(path) as new, closing(sqlite3.connect(new)) as database, database:
            database.execute("PRAGMA journal_mode = OFF")
            database.execute("CREATE TABLE about (digest TEXT)")
            database.execute("CREATE TABLE texts (origin INTEGER PRIMARY KEY, source, target)")
            database.executemany("INSERT INTO texts VALUES (?, ?, ?)", noted())
            database.execute("INSERT INTO about VALUES (?)", (digest.hexdigest(),))
    except sqlite3.Error as error:
        raise InputError(f"{path}: cannot be written ({error}); nothing was changed") from error
    return digest.hexdigest()
