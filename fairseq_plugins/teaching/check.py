"""Whether lessons take effect: network and memory say by themselves what was taught."""

import re
from dataclasses import dataclass

from fairseq_plugins.teaching.lessons import Lesson
from fairseq_plugins.teaching.text import counted, without_marks


@dataclass(frozen=True)
class Check:
    """Result of checking all lessons."""

    lessons: int
    lost: list[Lesson]
    """Lessons that do not take effect."""
    contradictions: list[tuple[Lesson, Lesson]]
    """The newer lesson, which applies, and the older one."""

    def __str__(self) -> str:
        """Return one line for people."""
        lessons, older = self.lessons, len(self.contradictions)
        return (
            f"{lessons - len(self.lost):,} of {counted(lessons, 'lesson')} "
            f"{'takes' if lessons == 1 else 'take'} effect; {older or 'no'} older "
            f"{'ones are' if older > 1 else 'one is'} contradicted"
        )


def holds(text: str, target: str) -> bool:
    """Return whether a text contains the words of a lesson's target, wherever their marks are."""
    words, wanted = without_marks(text)[0], without_marks(target)[0]
    return re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", words) is not None
