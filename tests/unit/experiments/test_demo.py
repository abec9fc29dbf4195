"""The output of the demo."""

from dataclasses import replace

from fairseq_plugins.evaluation.rare_words import Bucket
from fairseq_plugins.evaluation.scoring import Scores
from fairseq_plugins.experiments.demo import Recall, example, table

FORGOTTEN = Recall("Al", "Mo", "taught", "gelehrt", "asked", "si Mo ran", "si Ko ran", "si Ko ran")
NAMED = replace(FORGOTTEN, after="si Mo sat")
RIGHT = replace(FORGOTTEN, after="si Mo ran")


def test_a_name_is_remembered_if_it_is_in_the_later_translation() -> None:
    assert [one.remembered for one in (FORGOTTEN, NAMED, RIGHT)] == [False, True, True]
    assert not replace(FORGOTTEN, after="si Momo ran").remembered


def test_the_example_is_the_first_that_equals_its_reference() -> None:
    assert example([FORGOTTEN, NAMED, RIGHT, replace(RIGHT, name="later")]) is RIGHT


def test_there_is_an_example_even_if_nothing_was_learned() -> None:
    assert example([FORGOTTEN, NAMED]) is FORGOTTEN


def test_the_table_has_a_line_for_each_translator() -> None:
    words = [Bucket(1, 1, total=8, right=1), Bucket(101, None, total=4, right=4)]
    lines = table([Scores("one", 21.66, 0.0, words), Scores("two", 100.0, 0.0, words)]).split("\n")
    assert [line.split() for line in lines[1:]] == [
        ["1", ">100"], ["one", "21.7", "12.5", "100.0"], ["two", "100.0", "12.5", "100.0"],
    ]  # fmt: skip
    assert len({len(line) for line in lines[1:]}) == 1
