"""Accuracy on words by their frequency in training."""

import math

import pytest

from fairseq_plugins.evaluation.rare_words import Bucket, accuracy_by_frequency

TRAINING = ["a " * 101, "b " * 100, "c " * 21, "d " * 20, "e " * 6, "f " * 5, "g g", "h"]


def by_label(buckets: list[Bucket]) -> dict[str, tuple[int, int]]:
    return {bucket.label: (bucket.right, bucket.total) for bucket in buckets}


def test_words_fall_into_the_range_of_their_frequency() -> None:
    found = by_label(accuracy_by_frequency([""], ["a b c d e f g h i"], TRAINING))
    assert found == {
        "0": (0, 1), "1": (0, 1), "2-5": (0, 2), "6-20": (0, 2), "21-100": (0, 2), ">100": (0, 1),
    }  # fmt: skip


def test_a_repeated_word_counts_at_most_as_often_as_the_hypothesis_has_it() -> None:
    assert by_label(accuracy_by_frequency(["h x"], ["h h h"], TRAINING))["1"] == (1, 3)


def test_a_word_repeated_in_the_hypothesis_counts_at_most_as_often_as_in_the_reference() -> None:
    assert by_label(accuracy_by_frequency(["h h h"], ["h x"], TRAINING))["1"] == (1, 1)


def test_words_of_other_sentences_do_not_count() -> None:
    assert by_label(accuracy_by_frequency(["h", "x"], ["x", "h"], TRAINING))["1"] == (0, 1)


def test_accuracy_is_the_share_of_right_words_and_unknown_without_words() -> None:
    buckets = accuracy_by_frequency(["h", "x"], ["h", "h"], TRAINING)
    assert buckets[1].accuracy == 0.5
    assert math.isnan(buckets[-1].accuracy)


def test_unequal_numbers_of_sentences_are_refused() -> None:
    with pytest.raises(ValueError):
        accuracy_by_frequency(["a"], ["a", "b"], TRAINING)
