"""Errors of a single pair."""

from types import SimpleNamespace

import pytest

from data_prep.text import quality
from data_prep.text.quality import CleaningOptions, Judge, is_other_language, pair_hash

ENGLISH = "The committee will meet again in the second week of November."
GERMAN = "Der Ausschuss wird sich in der zweiten Novemberwoche erneut treffen."


def reason(pair: tuple[str, str], **options: bool) -> str | None:
    (verdict,) = Judge(CleaningOptions(**options), ("en", "de"))([pair])  # type: ignore[arg-type]
    return verdict.reason


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        ((ENGLISH, GERMAN), None),
        (("for you", "f\ufffdr dich"), "broken encoding"),
        (("for you, dear", "fÃ¼r dich"), "mojibake"),
        (("naïve café", "naïves Café: „ja“"), None),
    ],
)
def test_encoding(pair: tuple[str, str], expected: str | None) -> None:
    assert reason(pair) == expected
    assert reason(pair, check_encoding=False) is None


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        ((ENGLISH, GERMAN), None),
        ((ENGLISH, ENGLISH), "not de"),
        ((GERMAN, GERMAN), "not en"),
        (("Oui, merci.", "Ja, danke."), None),  # too short to be sure
    ],
)
def test_language(pair: tuple[str, str], expected: str | None) -> None:
    assert reason(pair, check_language=True) == expected
    assert reason(pair) is None


@pytest.mark.parametrize(("probability", "other"), [(0.9, False), (0.91, True)])
def test_only_a_language_that_is_certain_counts(
    monkeypatch: pytest.MonkeyPatch, probability: float, other: bool
) -> None:
    identifier = SimpleNamespace(labels=["de", "en"], classify=lambda _: ("en", probability))
    monkeypatch.setattr(quality, "_identifier", lambda: identifier)
    assert is_other_language(GERMAN, "de") is other and not is_other_language(GERMAN, "en")


def test_a_pair_is_more_than_its_letters() -> None:
    assert pair_hash("ab", "c") != pair_hash("a", "bc")


def test_a_language_that_nobody_can_identify_is_let_pass() -> None:
    assert not is_other_language(ENGLISH, "tlh")


def test_punctuation_and_tokens_as_moses_makes_them() -> None:
    pair = ("«Hi», he said.", "„Hallo“, sagte er.")
    judge = Judge(CleaningOptions(normalise_punctuation=True, tokenise=True), ("en", "de"))
    (verdict,) = judge([pair])
    assert verdict.source == '" Hi , " he said .'  # as Americans do
    assert verdict.target == '" Hallo " , sagte er .'
