"""A translator folder: everything needed to translate and to be taught, in one place.

===================  =========================================================================
translator.json      version of this table, languages, place of the lessons, a fingerprint
checkpoint.pt        weights and memory, without what only training needs
*.index.safetensors  the index of a large memory; without it, each opening makes it again
*.texts.db           texts that filled the memory, if they were kept
dict.LANGUAGE.txt    the two dictionaries
spm.model            the sentencepiece model; not there if words are separated by spaces
lessons.db           the journal of lessons, once something was taught
===================  =========================================================================

The fingerprint covers everything that determines a memory's queries. Nothing in the folder refers
to another place, so it can be copied and moved. This module reads what is known without the
network.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import get_type_hints

from fairseq_plugins.errors import InputError
from fairseq_plugins.teaching.journal import Journal

VERSION = 1
ABOUT, LESSONS = "translator.json", "lessons.db"
LANGUAGE = re.compile(r"\w[\w.@+-]*")


@dataclass(frozen=True)
class About:
    """The contents of ``translator.json``."""

    version: int
    source: str
    """Language."""
    target: str
    fingerprint: str
    lessons: str = LESSONS
    """A file in the folder, or a URL such as ``postgresql://...``."""

    def check(self) -> None:
        """Check what a file says.

        Raises:
            ValueError: if it has another type, or a language is not a part of a file's name.
        """
        for name, kind in get_type_hints(type(self)).items():
            if not isinstance(getattr(self, name), kind):
                raise ValueError(f"{name} is {getattr(self, name)!r}")
        for language in (self.source, self.target):
            if not LANGUAGE.fullmatch(language):
                raise ValueError(f"{language!r} is not a language")

    def place_of_lessons(self, folder: Path) -> Path | str:
        """Return the place of the journal of a translator in this folder."""
        return self.lessons if "://" in self.lessons else folder / self.lessons


def read_about(folder: Path) -> About:
    """Read the description of a translator folder.

    Raises:
        InputError: if it is not a translator folder, or one of a newer version.
    """
    path = folder / ABOUT
    if not path.is_file():
        raise InputError(
            f"{folder}: is not a translator folder, because it has no {ABOUT}; create one from a "
            "checkpoint with `fairseq-memory pack`"
        )
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        about = About(**{name: found[name] for name in About.__dataclass_fields__})
        about.check()
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: is damaged ({error}); pack the translator again") from error
    if about.version != VERSION:
        raise InputError(
            f"{path}: has version {about.version}, but this program knows {VERSION}; use a newer "
            "one"
        )
    return about


def open_journal(folder: Path) -> Journal:
    """Open the lessons of a translator, without its network.

    Raises:
        InputError: if it is not a translator folder, or the lessons cannot be opened.
    """
    return Journal(read_about(folder).place_of_lessons(folder))
