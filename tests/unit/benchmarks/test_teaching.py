"""Tables of what people wait for, with targets; and of what many clients saw."""

from pathlib import Path

import pytest

from fairseq_plugins.benchmarks import crowd, teaching
from fairseq_plugins.benchmarks.crowd import Load, Report
from fairseq_plugins.benchmarks.pupils import WORDS, pairs, pairs_of_file
from fairseq_plugins.benchmarks.teaching import Timed
from fairseq_plugins.errors import InputError


def test_the_table_shows_medians_speeds_and_missed_targets() -> None:
    found = [
        Timed("teach a pair", [0.5, 0.1, 0.2], 0.3),
        Timed("open", [6.0], 5.0),
        Timed("import it", [8.0], 10.0, 1000, "pairs/s", 3 << 20),
    ]
    assert list(teaching.table(found)) == [
        "                      median         slowest      memory  target",
        "teach a pair        200.0 ms        500.0 ms              300.0 ms",
        "open                  6.00 s          6.00 s              5.00 s  MISSED",
        "import it        125 pairs/s     125 pairs/s      +3 MiB  100 pairs/s",
    ]


def test_lessons_are_of_whole_words_and_no_source_is_repeated(folder: Path) -> None:
    some = list(pairs(folder, 50))
    assert len({pair.source for pair in some}) == 50
    assert {len(pair.target.split()) for pair in some} == {WORDS}
    file = folder.parent / "lessons.tsv"
    file.write_text("".join(f"{one.source}\t{one.target}\n" for one in [some[0], *some]))
    assert [one.source for one in pairs_of_file(folder, file, 9)] == [p.source for p in some[:9]]
    with pytest.raises(
        InputError, match=r"lessons\.tsv: has 50 pairs with different sources, not 51"
    ):
        list(pairs_of_file(folder, file, 51))
    known = (folder / "dict.de.txt").read_text()
    assert all(f"\u2581{word} " in known for pair in some for word in pair.target.split())
    assert some == list(pairs(folder, 50)) != list(pairs(folder, 50, seed=2))


def test_the_95th_percentile_is_not_exceeded_by_95_of_100() -> None:
    numbers = [float(number) for number in range(100, 0, -1)]
    assert crowd._percentile(numbers, 95) == 95.0
    assert crowd._percentile([3.0], 95) == 3.0


def test_faults_are_listed() -> None:
    clients = Report({"teach": [0.1, 0.3]}, ["client 1: refused"])
    kills = Report(kills=2, acknowledged={"a": "b"})
    told = "\n".join(crowd.table(clients, kills, Load(2, 20, 120.0, 3)))
    assert "20 clients at 2 servers for 120 s" in told and "client 1: refused" in told
    assert "teach                2      200 ms      300 ms      300 ms" in told
    assert "2 of 3 servers killed while clients taught; 1 lessons acknowledged" in told
    assert told.count("faults: 1") == told.count("faults: 0") == 1
