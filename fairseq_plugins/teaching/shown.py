"""Lessons, translations and their evidence as text for a terminal."""

from collections.abc import Iterator, Sequence

from fairseq_plugins.teaching.lessons import Change, Lesson
from fairseq_plugins.teaching.translation import Evidence, Near, Translation, Word

PIECES_OF_EVIDENCE = 3  # shown for each word
# From grey through yellow to green: the memory's share of a word.
SHADES = ((0.25, "\x1b[2m"), (0.75, "\x1b[33m"), (2.0, "\x1b[32m"))
BOLD, PLAIN = "\x1b[1m", "\x1b[0m"


def lesson_line(lesson: Lesson) -> str:
    """Return a lesson as one line."""
    origin = f"  [{lesson.origin}]" if lesson.origin else ""
    return f"{lesson.id:>6}  {lesson.source}  ->  {lesson.target}{origin}"


def lesson_page(lesson: Lesson, others: Sequence[Lesson] = ()) -> str:
    """Return everything that is known about a lesson.

    Args:
        lesson: to show.
        others: that have the same source.
    """
    names = ("id", "source", "target", "origin", "note", "author", "unit", "created", "changed")
    lines = [f"{name:<10}{getattr(lesson, name)}" for name in names if getattr(lesson, name)]
    for other in others:
        relation = "older" if other.version < lesson.version else "newer, which applies"
        if other.target != lesson.target:
            lines.append(f"{'beside':<10}lesson {other.id} ({relation}): {other.target}")
    return "\n".join(lines)


def taught_text(lesson: Lesson) -> str:
    """Return the effect of teaching, with warnings."""
    lines = [f"lesson {lesson.id}: {lesson.source}  ->  {lesson.target}"]
    if lesson.came_through:
        lines.append("  network and memory now produce it by themselves")
    else:
        lines.append(
            f"  warning: by themselves, network and memory still produce: {lesson.now}\n"
            "  (the sentence itself is translated as it was taught; others may not profit)"
        )
    lines += [
        f"  warning: contradicts the older lesson {other.id}, {other.target!r}; this one applies"
        for other in lesson.contradicts
    ]
    return "\n".join(lines)


def change_line(change: Change) -> str:
    """Return a change as one line."""
    count = f" {change.lessons:,} lessons, the first" if change.lessons > 1 else ""
    what = f"{change.kind}{f' of change {change.undid}' if change.undid else count}"
    mark = "  (undone)" if change.undone else ""
    return f"{change.number:>6}  {change.time}  {what}: {change.source}  ->  {change.target}{mark}"


def near_text(near: Near) -> str:
    """Return a lesson with a similar source, with the differences in brackets."""
    signs = {"=": "{}", "+": "[+{}]", "-": "[-{}]"}
    difference = " ".join(signs[kind].format(text) for kind, text in near.difference)
    lesson = near.lesson
    return (
        f"  {near.similarity:.0%} similar to lesson {lesson.id}: {difference}\n"
        f"      with the translation: {lesson.target}"
    )


def explained_text(found: Translation, colour: bool) -> str:
    """Return a translation and, below it, what supports each word.

    Args:
        found: with evidence.
        colour: whether to colour words by the memory's share.
    """
    lines = [_tinted(found) if colour else found.text]
    if found.alone is not None:
        lines.append(f"  without the memory: {found.alone}")
    for word in found.words:
        lines += _word(word, colour)
    return "\n".join(lines)


def _tinted(found: Translation) -> str:
    text, place = "", 0
    for word in found.words:
        text += found.text[place : word.start] + _shade(word) + word.text + PLAIN
        place = word.end
    return text + found.text[place:]


def _shade(word: Word) -> str:
    share = word.memory_share or 0.0
    return next(shade for most, shade in SHADES if share < most)


def _word(word: Word, colour: bool) -> Iterator[str]:
    name = f"{BOLD}{word.text}{PLAIN}" if colour else word.text
    yield f"  {name}: {word.summary}"
    for one in word.best(PIECES_OF_EVIDENCE):
        yield f"      {_evidence(one)}"


def _evidence(one: Evidence) -> str:
    weight = f"{one.weight:4.0%}" if one.weight else "    "
    pair = f": {one.source}  ->  {one.target}" if one.source else ""
    return f"{weight}  {one.word!r} in {one.place}{pair} (similarity {one.similarity:.2f})"
