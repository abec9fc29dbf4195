"""Several servers on one journal: nothing is lost, and each knows what the others taught.

The same at full length: `scripts/benchmark.py serving`.
"""

from pathlib import Path

import pytest

from fairseq_plugins.benchmarks import crowd
from fairseq_plugins.benchmarks.crowd import Load, Report, share
from fairseq_plugins.teaching.about import LESSONS, open_journal
from fairseq_plugins.teaching.lessons import Pair

pytestmark = pytest.mark.integration
LOAD = Load(servers=2, clients=6, seconds=0.0, kills=2)


@pytest.fixture(params=[LESSONS, "postgresql"])
def shared(request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a translator folder whose lessons are in either kind of database."""
    monkeypatch.setattr(crowd, "START", "fork")  # everything is imported here already
    if request.param == "postgresql":
        share(folder, request.getfixturevalue("empty_postgresql"))
    return folder


def test_two_servers_share_what_many_clients_teach(shared: Path) -> None:
    """Every client asks the server that it did not teach."""
    found = crowd.crowd(shared, LOAD)
    assert found.faults == []
    assert len(found.seconds["teach"]) == len(found.seconds["translate"]) == LOAD.clients
    with open_journal(shared) as journal:
        assert {lesson.source for lesson in journal.lessons()} == set(found.acknowledged)


def test_a_killed_server_leaves_the_other_one_and_all_lessons_whole(shared: Path) -> None:
    """It is killed while it is taught. What was taught before does not count."""
    with open_journal(shared) as journal:
        journal.teach([Pair(source="the cat", target="die Katze")])
    found = crowd.killed(shared, LOAD)
    assert found.faults == [] and found.kills == LOAD.kills
    assert len(found.acknowledged) >= 2 * LOAD.kills, "both servers were taught each time"


def test_what_is_lost_or_wrong_is_told(folder: Path) -> None:
    """The measurement sees lessons that are missing, or different, or that should not be there."""
    with open_journal(folder) as journal:
        journal.teach([Pair(source="the cat", target="die Katze")])
    found = Report(acknowledged={"the dog": "der Hund"})
    crowd.compare(folder, found)
    assert found.faults == [
        "'the dog' was acknowledged and is lost",
        "1 lessons are taught that nobody was told of: 'the cat'",
        "'the cat' is not taught as it was sent",
    ]
    found = Report(sent={"the cat": "die Katze"})
    crowd.compare(folder, found, unanswered=1)
    assert found.faults == []
