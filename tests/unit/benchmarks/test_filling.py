"""The rate of filling is told for each tenth of the corpus."""

from pathlib import Path
from typing import Any

from fairseq_plugins.benchmarks.filling import Mark, Work, measure, parts, table


def test_all_tokens_are_written_to_an_emptied_memory(trained: Any) -> None:
    work = Work(trained.last, Path(trained.data), "test", slots=2000, search="exact", max_tokens=60)
    marks = measure(work)
    sentences = (trained.text / "test.yy").read_text().splitlines()
    assert marks[0] == Mark(0, 0.0, 0)
    assert marks[-1].tokens == sum(len(sentence.split()) + 1 for sentence in sentences)
    assert 0 < marks[1].filled <= marks[1].tokens
    assert marks == sorted(marks, key=lambda mark: (mark.tokens, mark.seconds, mark.filled))


def test_each_tenth_has_its_own_rate() -> None:
    marks = [Mark(10 * n, n + (n > 50), 7 * n) for n in range(101)]
    assert [mark.tokens for mark in parts(marks)] == list(range(0, 1001, 100))
    rows = list(table(marks))[2:]
    assert rows[0] == "| 100 | 10 | 70 |"
    assert rows[5] == "| 600 | 9 | 420 |"  # 100 tokens in 11 seconds
    assert len(rows) == 10


def test_batches_that_are_longer_than_a_tenth_have_no_rate_of_their_own() -> None:
    rows = list(table([Mark(0, 0.0, 0), Mark(500, 5.0, 400), Mark(1000, 10.0, 800)]))[2:]
    assert [row.split("|")[2].strip() for row in rows] == ["100", *[""] * 4, "100", *[""] * 4]
