"""A translator in use: it is taught, corrected, asked, and told to forget."""

import itertools
import json
import math
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
import sentencepiece
import torch
from hypothesis import given, settings

from fairseq_plugins.checkpoints.corpora import LINES, Corpora
from fairseq_plugins.checkpoints.files import read_checkpoint, write_checkpoint
from fairseq_plugins.errors import InputError
from fairseq_plugins.memory import state
from fairseq_plugins.memory.search.apart import SearchApart
from fairseq_plugins.memory.terms import TermMemory
from fairseq_plugins.modules import lesson_shares, term_reader
from fairseq_plugins.teaching import Translator
from fairseq_plugins.teaching.about import About
from fairseq_plugins.teaching.check import holds
from fairseq_plugins.teaching.folder import pack
from fairseq_plugins.teaching.lessons import Pair, Selection
from fairseq_plugins.teaching.network import Network
from fairseq_plugins.teaching.shown import explained_text
from fairseq_plugins.teaching.text import without_marks
from fairseq_plugins.teaching.texts import write_texts
from tests.tiny_translator import make_parts, make_translator

CAT = ("The cat sleeps.", "Die Katze schläft.")
DOG = ("the dog runs", "der Hund läuft")
ABOUT = json.dumps(asdict(About(1, "en", "de", "0", "lessons.db")))


@pytest.fixture
def translator(folder: Path) -> Iterator[Translator]:
    """Yield a translator that was taught nothing."""
    with Translator.open(folder) as translator:
        yield translator


def buffers(translator: Translator) -> dict[str, torch.Tensor]:
    """Return copies of the memory's buffers."""
    memory = translator._network.memory
    return {name: buffer.clone() for name, buffer in memory.named_buffers()}


def remembered(translator: Translator) -> list[tuple[int, list[float]]]:
    """Return values and keys that were taught, in an order that does not depend on slots."""
    held = buffers(translator)
    taught = held["pinned"]
    rows = zip(held["values"][taught].tolist(), held["keys"][taught].tolist(), strict=True)
    return sorted(rows)


# --- Teaching -------------------------------------------------------------------------------------


def test_one_sentence_is_enough(translator: Translator) -> None:
    """The next translation uses it, by an exact match and by the memory alone."""
    before = translator.translate(CAT[0])
    assert before.text != CAT[1] and before.match is None
    lesson = translator.teach(*CAT, origin="me", note="n", author="Ada")
    assert (lesson.source, lesson.target, lesson.origin, lesson.author) == (*CAT, "me", "Ada")
    assert lesson.now == CAT[1] and lesson.came_through
    exact = translator.translate(CAT[0])
    assert (exact.text, exact.match, exact.lessons[0].id) == (CAT[1], "exact", lesson.id)
    assert [word.text for word in exact.words] == CAT[1].split()
    alone = translator.translate(CAT[0], exact=False)
    assert (alone.text, alone.match) == (CAT[1], None)


def test_a_lesson_of_several_sentences_is_used_as_a_whole(translator: Translator) -> None:
    """Also where each of its sentences was taught by itself."""
    translator.teach(*CAT)
    both = f"{CAT[0]} The dog runs."
    translator.teach(both, "der Hund läuft")
    found = translator.translate(f" {both}\n")
    assert (found.text, found.match) == (" der Hund läuft\n", "exact")
    assert translator.translate(f"{CAT[0]} {CAT[0]}").text == f"{CAT[1]} {CAT[1]}"


def test_lessons_come_through_where_the_memory_is_asked_only_in_doubt(
    translator: Translator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a network that is always sure, only what is near a lesson is asked, and that is enough."""
    decoder, memory = translator._network.model.decoder, translator._network.memory
    texts = [CAT[0], DOG[0], "the cat runs", "the dog sleeps"]
    asked, plain = list[int](), memory.query_apart
    monkeypatch.setattr(
        memory, "query_apart", lambda query: asked.append(len(query)) or plain(query)
    )
    monkeypatch.setattr(decoder, "sure", 1e-9)
    translator.translate(texts)
    assert not asked
    lesson = translator.teach(*CAT)
    assert lesson.now == CAT[1] and lesson.came_through
    found = [one.text for one in translator.translate(texts, exact=False)]
    of_few = sum(asked)
    monkeypatch.setattr(decoder, "sure", 1.0)
    asked.clear()
    assert [one.text for one in translator.translate(texts, exact=False)] == found
    assert found[0] == CAT[1] and of_few > 0


def test_what_is_taught_twice_is_one_lesson(translator: Translator) -> None:
    """White space does not make it another lesson."""
    first = translator.teach(*CAT)
    assert translator.teach(f"  {CAT[0]} ", CAT[1]).id == first.id
    assert translator.count() == 1 and len(translator.history()) == 1


def test_what_did_not_come_through_is_said(translator: Translator, monkeypatch: Any) -> None:
    """The lesson itself and the check of all lessons report it."""
    monkeypatch.setattr(lesson_shares, "LESSON", 0.0)  # it does not listen any more
    monkeypatch.setattr(term_reader, "BEGIN", 0.0)
    lesson = translator.teach(*CAT)
    assert not lesson.came_through and lesson.now != CAT[1]
    assert translator.translate(CAT[0]).text == CAT[1], "always, however weak the translator"
    check = translator.check()
    assert (check.lessons, [lost.id for lost in check.lost]) == (1, [lesson.id])


@pytest.mark.parametrize(
    ("text", "target", "held"),
    [("die Katze.", "Katze", True), ("die Katzen", "Katze", False), ("Hauskatze", "katze", False),
     ("(C++) ist", "C++", True), ("<b>die</b> Katze", "die Katze", True)],
)  # fmt: skip
def test_a_lesson_comes_through_in_whole_words(text: str, target: str, held: bool) -> None:
    """A longer word that contains it is another word."""
    assert holds(text, target) is held


def test_a_lesson_comes_through_wherever_its_tags_are(translator: Translator) -> None:
    """Its words count; where tags stand is decided by attention."""
    source, target = "the <b>cat</b> {0}", "die <b>Katze</b> {0}"
    lesson = translator.teach(source, target)
    assert lesson.now is not None and without_marks(lesson.now)[0] == "die Katze"
    assert lesson.came_through and translator.check().lost == []


def test_forgetting_leaves_the_memory_bit_for_bit(translator: Translator) -> None:
    """Undoing does so as well."""
    translator.teach(*DOG)
    before = buffers(translator)
    lesson = translator.teach(*CAT)
    assert not torch.equal(buffers(translator)["values"], before["values"])
    translator.forget(lesson.id)
    after = buffers(translator)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert translator.check().lessons == 1
    translator.teach(*CAT)
    translator.undo()
    after = buffers(translator)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_memory_that_grew_is_otherwise_as_it_was(translator: Translator) -> None:
    """Only new empty slots remain."""
    before = buffers(translator)
    ids = [translator.teach(f"{CAT[0]} {n}", 4 * f"{CAT[1]} {n} ").id for n in range(4)]
    assert translator._network.memory.size > 64
    translator.forget(*ids)
    after = buffers(translator)
    for name in before:
        if name in state.EMPTY:
            assert torch.equal(after[name][:64], before[name])
            assert bool((after[name][64:] == state.EMPTY[name]).all())
        else:
            assert torch.equal(after[name], before[name])


def test_edit_keeps_the_id_and_counts_at_once(translator: Translator) -> None:
    """An edit can be undone."""
    lesson = translator.teach(*CAT)
    edited = translator.edit(lesson.id, target=DOG[1], note="better")
    assert (edited.id, edited.now, edited.note) == (lesson.id, DOG[1], "better")
    assert translator.translate(CAT[0]).text == DOG[1]
    translator.undo()
    assert translator.translate(CAT[0], exact=False).text == CAT[1]
    with pytest.raises(InputError, match="there is no lesson 99"):
        translator.edit(99, target="x")
    with pytest.raises(TypeError):
        translator.edit(lesson.id, id=5)  # type: ignore[call-arg]


def test_the_newest_of_contradicting_lessons_wins(translator: Translator) -> None:
    """This holds in the memory too; if it is forgotten, the older lesson applies again."""
    old = translator.teach(*CAT)
    new = translator.teach(CAT[0], DOG[1])
    assert [lesson.id for lesson in new.contradicts] == [old.id]
    assert translator._tested(old).contradicts == (), "if another process taught a newer one"
    assert new.came_through and translator.translate(CAT[0], exact=False).text == DOG[1]
    assert [(a.id, b.id) for a, b in translator.contradictions()] == [(new.id, old.id)]
    translator.forget(new.id)
    assert translator.translate(CAT[0], exact=False).text == CAT[1]
    assert translator.contradictions() == []


def test_forgetting_in_bulk_says_first_how_many(translator: Translator) -> None:
    """Lessons are selected by origin, and forgotten as one change."""
    for number, origin in enumerate(["a", "b", "a"]):
        translator.teach(f"the cat {number}", f"die Katze {number}", origin=origin)
    selection = Selection(origin="a")
    assert translator.forget_all(selection, dry_run=True) == 2 and translator.count() == 3
    assert [lesson.source for lesson in translator.lessons(search="0")] == ["the cat 0"]
    assert translator.count(selection, search="0") == 1
    assert translator.forget_all(selection) == 2
    assert [lesson.origin for lesson in translator.lessons()] == ["b"]
    assert translator.undo().lessons == 2 and translator.count() == 3


def test_decoding_a_lesson_looks_nothing_up(
    translator: Translator, monkeypatch: pytest.MonkeyPatch
) -> None:
    translator.teach(*CAT)
    monkeypatch.delattr(TermMemory, "related_to")
    monkeypatch.delattr(SearchApart, "search")
    (data,) = translator._taught.decodings([Pair(source=CAT[0], target=DOG[1])]).data
    assert len(data) > 0


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        ("", "x", "a source and a target"),
        ("x", " \n", "a source and a target"),
        ("<b></b>", "x", "a source and a target"),
        ("cat " * 100, "x", "pieces, but a sentence may have"),
        ("x", os.fsdecode(b"sch\xf6n"), r"'sch\\udcf6n': contains bytes that are not UTF-8"),
    ],
)
def test_what_cannot_be_taught(
    translator: Translator, source: str, target: str, reason: str
) -> None:
    """Nothing changes after an error."""
    with pytest.raises(InputError, match=reason):
        translator.teach(source, target)
    assert translator.history() == []


@settings(max_examples=4)
@given(steps=st.lists(st.tuples(st.sampled_from(["teach", "teach", "edit", "forget", "undo"]),
                                st.integers(0, 3), st.integers(0, 3)), max_size=8))  # fmt: skip
def test_memory_and_journal_agree(original: Path, steps: list[tuple[str, int, int]]) -> None:
    """A translator opened afterwards remembers and answers the same."""
    texts = ["cat", "dog", "the cat", "the dog"]
    (original / "lessons.db").unlink(missing_ok=True)
    with Translator.open(original) as translator, Translator.open(original) as follower:
        for kind, first, second in steps:
            lessons = translator.lessons()
            if kind == "teach":
                translator.teach(texts[first], f"die {texts[second]}")
            elif kind == "edit" and lessons:
                translator.edit(lessons[first % len(lessons)].id, source=texts[second])
            elif kind == "forget" and lessons:
                translator.forget(lessons[first % len(lessons)].id)
            elif kind == "undo" and any(
                change.kind != "undo" and not change.undone for change in translator.history()
            ):
                translator.undo()
        answers = [one.text for one in translator.translate(texts, exact=False)]
        with Translator.open(original) as fresh:
            assert remembered(fresh) == remembered(translator)
            assert [one.text for one in fresh.translate(texts, exact=False)] == answers
        assert [one.text for one in follower.translate(texts, exact=False)] == answers
        assert remembered(follower) == remembered(translator)
    for path in original.glob("lessons.db*"):
        path.unlink()


# --- Opening --------------------------------------------------------------------------------------


def test_opening_decodes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening replays what was stored, also from another folder."""
    with Translator.open(folder) as translator:
        translator.teach(*CAT), translator.teach(*DOG)
        answer = translator.translate("the cat", exact=False).text
    moved = folder.rename(folder.with_name("moved"))
    monkeypatch.setattr(Network, "decode", None)
    with Translator.open(moved) as translator:
        assert translator.translate([CAT[0], "the cat"], exact=False)[1].text == answer
        assert translator.translate(CAT[0], exact=False).text == CAT[1]


def test_lessons_for_another_model_are_decoded_once(folder: Path, tmp_path: Path) -> None:
    """A retrained translator takes over the lessons of the old one."""
    with Translator.open(folder) as translator:
        translator.teach(*CAT)
    newer = make_translator(tmp_path / "newer", units=20)
    shutil.copy(folder / "lessons.db", newer)
    for _ in "ab":
        with Translator.open(newer) as translator:
            assert translator.translate(CAT[0], exact=False).text == CAT[1]
    with Translator.open(newer) as translator:
        version = translator.lessons()[0].version
        fingerprint = translator.about.fingerprint
        assert len(list(translator._journal.decodings([version], fingerprint))) == 1


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("translator.json", None, "is not a translator folder"),
        ("translator.json", "{", "is damaged"),
        ("translator.json", '{"version": 1}', "is damaged"),
        ("translator.json", "[]", "is damaged"),
        ("translator.json", "[" * 100_000, "is damaged"),
        ("translator.json", ABOUT.replace('"lessons.db"', "5"), "is damaged .lessons is 5"),
        ("translator.json", ABOUT.replace("en", "../en"), "'../en' is not a language"),
        ("spm.model", "nonsense", "not those that it was packed with"),
        ("lessons.db", "nonsense" * 1000, "cannot be opened as a journal"),
    ],
)
def test_folders_that_are_not_whole(folder: Path, name: str, content: str, reason: str) -> None:
    """One line says what is wrong."""
    (folder / name).unlink(missing_ok=True)
    if content is not None:
        (folder / name).write_text(content)
    with pytest.raises(InputError, match=reason):
        Translator.open(folder)


def test_a_newer_version_is_refused(folder: Path) -> None:
    """A newer version is rejected rather than misread."""
    about = json.loads((folder / "translator.json").read_text())
    (folder / "translator.json").write_text(json.dumps(about | {"version": 9}))
    with pytest.raises(InputError, match="has version 9"):
        Translator.open(folder)


def test_packing_checks_that_the_parts_belong_together(tmp_path: Path) -> None:
    """Nothing is left behind after an error."""
    make_parts(tmp_path / "one")
    one, folder = tmp_path / "one", tmp_path / "translator"
    parts = [one / "checkpoint.pt", one / "data", one / "spm.model"]
    before = sorted(tmp_path.iterdir())
    other = tmp_path / "one" / "other.model"
    other.write_bytes(b"nonsense")
    with pytest.raises(InputError, match=f"^{re.escape(str(other))}: is not a sentencepiece model"):
        pack(*parts[:2], other, folder)
    with pytest.raises(InputError, match=r"has no dictionary dict.en.txt"):
        pack(parts[0], tmp_path, parts[2], folder)
    few = tmp_path / "one" / "few"
    few.mkdir()
    for language in ("en", "de"):
        (few / f"dict.{language}.txt").write_text("cat 1\n")
    with pytest.raises(InputError, match="knows only"):
        pack(parts[0], few, parts[2], folder)
    assert sorted(tmp_path.iterdir()) == before
    pack(*parts, folder)
    assert (folder / "checkpoint.pt").stat().st_size < parts[0].stat().st_size
    with pytest.raises(InputError, match="already exists"):
        pack(*parts, folder)


# --- Texts ----------------------------------------------------------------------------------------


def test_what_is_around_sentences_stays(translator: Translator) -> None:
    """Blanks, line ends, empty lines, numbers, tags and placeholders are preserved."""
    translator.teach(*CAT)
    text = f"\n  {CAT[0]} {CAT[0]}\t\n\n 42 %\n<p>{CAT[0]}</p> {{0}}\n"
    expected = f"\n  {CAT[1]} {CAT[1]}\t\n\n 42 %\n<p>{CAT[1]}</p> {{0}}\n"
    found = translator.translate(text)
    assert found.text == expected
    assert all(found.text[word.start : word.end] == word.text for word in found.words)
    assert translator.translate(["", " ", "\n"]) == [
        translator.translate(x) for x in ("", " ", "\n")
    ]
    assert [one.text for one in translator.translate(["", " \n"])] == ["", " \n"]


def test_marks_in_lessons(translator: Translator) -> None:
    """Marks are taught as they are, and put back where the memory translates."""
    lesson = translator.teach("The <b>cat</b> sleeps.", "Die <b>Katze</b> schläft.")
    assert translator.translate("The <b>cat</b> sleeps.").text == "Die <b>Katze</b> schläft."
    assert lesson.now is not None and lesson.now.count("<b>") == 1
    words = translator.explain("The <b>cat</b> sleeps.").words
    assert [word.text for word in words] == ["Die", "<b>Katze</b>", "schläft."]
    assert all(word.evidence[0].lesson == lesson.id for word in words)


@settings(max_examples=15)
@given(text=st.text(max_size=30) | st.text(st.sampled_from(list("cat. \n<b>{0}%s!")), max_size=40))
def test_any_text_is_translated(translator: Translator, text: str) -> None:
    """The white space around a text is preserved."""
    found = translator.translate(text, beam=1)
    assert found.text.split() or not text.split()
    assert (
        found.text[: len(found.text) - len(found.text.lstrip())]
        == (text[: len(text) - len(text.lstrip())])
    )
    assert all(found.text[word.start : word.end] == word.text for word in found.words)


def test_names_that_the_vocabulary_cannot_spell_survive(tmp_path: Path) -> None:
    """They are all alike to a network without pieces for bytes, and are copied from the source."""
    with Translator.open(make_translator(tmp_path, byte_fallback=False)) as translator:
        translator.teach("the cat Żółw sleeps", "die Katze Żółw schläft")
        translator.teach("the dog-Ж runs", "der Hund-Ж läuft")
        for name in ("Żółw", "Łę", "Ψυχή"):
            found = translator.translate(f"the cat {name} sleeps", exact=False)
            assert found.text == f"die Katze {name} schläft"
        assert translator.translate("the dog-Щю runs").text == "der Hund-Щю läuft"


def test_sentences_that_are_too_long_are_cut(translator: Translator) -> None:
    """Long sentences are split instead of being rejected."""
    assert len(translator.translate("cat " * 60, beam=1).text.split()) > 1
    assert translator.translate("c" * 300, beam=1).text


def test_near_lessons_are_offered(translator: Translator) -> None:
    """Differences are marked, best first; an exact match has no similar lessons."""
    lesson = translator.teach(*CAT)
    translator.teach("the old dog", "der alte Hund")
    found = translator.translate("The dog sleeps.", fuzzy=0.6)
    assert (found.match, [near.lesson.id for near in found.near]) == ("fuzzy", [lesson.id])
    assert found.near[0].similarity == 0.75
    assert found.near[0].difference == [
        ("=", "The"), ("+", "dog"), ("-", "cat"), ("=", "sleeps.")
    ]  # fmt: skip
    assert translator.translate("The dog sleeps.", fuzzy=0.8).match is None
    assert translator.translate("THE DOG SLEEPS.", fuzzy=0.6).near[0].similarity == 0.75
    assert translator.translate("sleeps cat the.", fuzzy=0.6).near == [], "the order counts"
    exact = translator.translate(CAT[0], fuzzy=0.5)
    assert (exact.match, exact.near) == ("exact", [])
    translator.forget(lesson.id)
    assert translator.translate("The dog sleeps.", fuzzy=0.6).near == []
    with pytest.raises(InputError, match="fuzzy 2"):
        translator.translate("x", fuzzy=2.0)
    with pytest.raises(InputError, match="beam 0"):
        translator.translate("x", beam=0)


def test_a_translator_without_sentencepiece_splits_at_spaces(tmp_path: Path) -> None:
    folder = make_translator(tmp_path, spaced=True)
    assert not (folder / "spm.model").exists()
    with Translator.open(folder) as translator:
        translator.teach(*CAT)
        found = translator.explain(CAT[0], exact=False)
        assert [word.text for word in found.words] == CAT[1].split()
    with Translator.open(folder) as again:
        assert again.translate(CAT[0], exact=False).text == CAT[1]
    shutil.copy(Path(make_translator(tmp_path / "two")) / "spm.model", folder)
    with pytest.raises(InputError, match="not those that it was packed with"):
        Translator.open(folder)


def test_a_sentencepiece_model_must_not_be_left_out(tmp_path: Path) -> None:
    make_parts(tmp_path)
    with pytest.raises(InputError, match="give this model with --spm"):
        pack(tmp_path / "checkpoint.pt", tmp_path / "data", None, tmp_path / "translator")


# --- Why ------------------------------------------------------------------------------------------


def test_parts_add_up_to_what_the_model_said(translator: Translator) -> None:
    """This holds token by token; the words' probabilities are those of the search."""
    translator.teach(*CAT), translator.teach(*DOG)
    network, vocabulary = translator._network, translator._sentences
    for text in (CAT[0], "the cat runs", "sleeps the dog"):
        source = vocabulary._source.encode(text).ids
        found = network.translate([source], beam=2)[0]
        eos = torch.tensor([network.task.target_dictionary.eos()])
        reading = network.read(source, torch.cat([found.tokens, eos]))
        total = reading.network + reading.term + reading.parts.sum(1)
        torch.testing.assert_close(total, reading.probability)
        torch.testing.assert_close(reading.probability.log(), found.log_probs, rtol=1e-3, atol=1e-3)


def test_every_word_says_where_it_comes_from(translator: Translator) -> None:
    """Shares are the sum of the evidence, and the lesson is named."""
    lesson = translator.teach(*CAT, origin="termbase")
    found = translator.explain(CAT[0], exact=False)
    assert found.text == CAT[1]
    for word, expected in zip(found.words, CAT[1].split(), strict=True):
        assert word.memory_share is not None and word.memory_share > 0.9
        assert math.isclose(sum(e.weight for e in word.evidence), word.memory_share, rel_tol=1e-4)
        best = word.evidence[0]
        assert (best.word, best.lesson, best.origin) == (expected, lesson.id, "termbase")
        assert best.similarity > 0.99 and (best.source, best.target) == CAT
    translated = translator.translate(CAT[0], exact=False)
    for one, other in zip(found.words, translated.words, strict=True):
        assert math.isclose(one.probability, other.probability, rel_tol=1e-3)
    assert [word.text for word in translator.explain(CAT[0]).words] == CAT[1].split()


def test_what_a_corpus_taught_is_named_as_such(translator: Translator) -> None:
    """The slots of a corpus have no lesson."""
    lesson = translator.teach(*CAT)
    held = translator._taught._held[CAT[0]]
    memory = translator._network.memory
    rows = memory.keys[held.slots].clone(), memory.values[held.slots].clone()
    translator.forget(lesson.id)
    memory.write(*rows, origin=4)
    found = translator.explain(CAT[0])
    best = found.words[0].evidence[0]
    assert (found.text, best.lesson, best.origin) == (CAT[1], None, "corpus, line 5")


def test_the_text_of_a_corpus_is_shown_with_the_word(tmp_path: Path) -> None:
    """Sub-words are joined, and what was merged is counted."""
    make_parts(tmp_path / "parts")
    checkpoint = tmp_path / "parts" / "checkpoint.pt"
    pieces = sentencepiece.SentencePieceProcessor(str(tmp_path / "parts" / "spm.model"))
    corpora, state = Corpora(["news"]), read_checkpoint(checkpoint)
    line = [" ".join(pieces.encode(text, out_type=str)) for text in CAT]
    corpora.texts = write_texts(checkpoint, [(LINES + 6, line[0], line[1])])
    corpora.save(state)
    write_checkpoint(state, checkpoint)
    pack(checkpoint, tmp_path / "parts" / "data", tmp_path / "parts" / "spm.model", tmp_path / "t")
    with Translator.open(tmp_path / "t") as translator:
        lesson = translator.teach(*CAT)
        held, memory = translator._taught._held[CAT[0]], translator._network.memory
        rows = memory.keys[held.slots].clone(), memory.values[held.slots].clone()
        translator.forget(lesson.id)
        for origin in (LINES, LINES + 6):
            memory.write(*rows, origin=origin)
        found = translator.explain(CAT[0])
    assert [word.evidence[0].word for word in found.words] == CAT[1].split()
    for best in (word.evidence[0] for word in found.words):
        assert (best.source, best.target, best.lesson) == (*CAT, None)
        assert (best.origin, best.others) == ("news, line 7", 1)
    shown = explained_text(found, colour=False)
    assert f"in news, line 7 and 1 earlier place: {CAT[0]}  ->  {CAT[1]}" in shown


def test_terms_of_a_corpus_that_was_taught_are_explained(translator: Translator) -> None:
    """Their origin is a line, not a lesson."""
    taught = translator._taught
    assert taught.describe_term(4, "Katze").origin == "corpus, line 5"
    lesson = translator.teach(*CAT)
    assert taught.describe_term(lesson.id, "Katze").lesson == lesson.id


def test_answers_that_are_embedded_have_no_share(tmp_path: Path) -> None:
    """The translation without the memory is shown instead."""
    with Translator.open(make_translator(tmp_path, memory_read="embed")) as translator:
        translator.teach(*CAT)
        found = translator.explain(CAT[0])
        assert found.alone is not None and found.text == CAT[1]
        assert all(word.memory_share is None for word in found.words)
        assert {evidence.target for word in found.words for evidence in word.evidence} == {CAT[1]}


# --- Files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".tmx", ".tsv", ".csv", ".jsonl"])
def test_export_then_import_gives_the_same_lessons(
    translator: Translator, tmp_path: Path, original: Path, suffix: str
) -> None:
    """Imported into another folder, lessons are exported as the same file."""
    for number, pair in enumerate((CAT, DOG)):
        translator.teach(*pair, origin="termbase", note=f"note {number}", author="Ada")
    files = [tmp_path / f"{name}{suffix}" for name in "ab"]
    assert translator.export_file(files[0]) == 2
    with Translator.open(shutil.copytree(original, tmp_path / "other")) as other:
        report = other.import_file(files[0])
        assert (report.read, report.taught, report.known, report.skipped) == (2, 2, 0, 0)
        for one, two in zip(translator.lessons(), other.lessons(), strict=True):
            for name in ("source", "target", "origin", "note", "author", "created"):
                assert getattr(one, name) == getattr(two, name)
        assert other.translate(CAT[0], exact=False).text == CAT[1]
        other.export_file(files[1])
        assert files[0].read_bytes() == files[1].read_bytes()
        assert other.import_file(files[0]).known == 2
        assert other.undo().lessons == 2 and other.count() == 0, "an import is one change"


def test_import_says_what_it_skips(translator: Translator, tmp_path: Path) -> None:
    """The report gives reasons; the origin is the file by default."""
    path = tmp_path / "terms.tsv"
    path.write_text(f"cat\tKatze\ncat\tKatze\ncat\tKater\nx\t\n{'cat ' * 100}\ty\n<b>\tz\n")
    report = translator.import_file(path)
    assert (report.read, report.taught, report.known, report.skipped) == (6, 2, 1, 3)
    assert [line for line, _ in report.reasons] == [4, 5, 6]
    assert {(one.target, one.origin) for one in translator.lessons()} == {
        ("Kater", "terms.tsv"), ("Katze", "terms.tsv"),
    }  # fmt: skip
    assert translator.translate("cat").text == "Kater", "the last one applies"
    report = translator.import_file(path, origin="other")
    assert (report.taught, report.known) == (0, 3), "also what does not apply is known"


def test_a_bad_file_changes_nothing_unless_one_goes_on(
    translator: Translator, tmp_path: Path
) -> None:
    """The error is at the end of the file."""
    path = tmp_path / "terms.tsv"
    path.write_text("cat\tKatze\ndog\n")
    with pytest.raises(InputError, match=r"terms\.tsv, line 2"):
        translator.import_file(path)
    assert translator.history() == []
    report = translator.import_file(path, keep_going=True)
    assert (report.taught, report.reasons[0][0]) == (1, 2)


def test_an_import_in_parts_is_one_change(
    translator: Translator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This holds for any number of lessons."""
    path = tmp_path / "many.tsv"
    pairs = itertools.product(["the", "cat", "dog"], repeat=5)
    path.write_text("".join(f"{' '.join(words)}\tdie Katze\n" for words in pairs))
    report = translator.import_file(path)
    assert report.taught == 243 and [change.lessons for change in translator.history()] == [243]
    translator.undo()
    assert translator.count() == 0 and not remembered(translator)
