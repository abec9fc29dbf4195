"""Two processes that commit together have one memory."""

import pytest
import torch

from fairseq_plugins.memory import CommitReport, KeyValueMemory
from fairseq_plugins.memory.collective import gather_rows
from fairseq_plugins.memory.state import BUFFERS, LAYOUT
from tests.programs import LONGEST
from tests.unit.memory.alone import start_alone

# Rows that each rank stages: unequal, none on one of them, none at all, more than there are slots.
STEPS = [(7, 3), (0, 5), (4, 0), (0, 0), (2, 90), (60, 1), (9, 9)]

# Run by the workers and by the test, so that all see the same data.
LIFE = f"""
STEPS = {STEPS}


def new_memory():
    return KeyValueMemory(50, 8, 6, neighbors=4, age_noise=8.0, search_dtype="bfloat16")


def rows(memory, step, rank):
    "What a rank sees in a step: half of it like what is remembered, half of it new."
    count = STEPS[step][rank]
    generator = torch.Generator().manual_seed(1000 * step + rank)
    query = torch.randn(count, 8, generator=generator)
    target = torch.randint(6, (count,), generator=generator)
    if len(memory):
        known = memory.values[: count // 2].clamp(min=0)
        query[: count // 2] = memory.keys[: count // 2] + 0.05 * query[: count // 2]
        target[: len(known)] = known
    return query, target


def record(memory, report):
    slots = report.pop("slots")
    return [report, slots] + [buffer.clone() for buffer in memory.buffers()]


def teach(memory, step):
    "A lesson before every other step, the same on all ranks."
    if step % 2:
        generator = torch.Generator().manual_seed(step)
        query = torch.randn(3, 8, generator=generator)
        slots = memory.teach(query, torch.arange(3), origin=step)
        memory.forget(slots[:1])
"""

WORKER = (
    LIFE
    + """
import torch.distributed as dist

folder, rank = sys.argv[1], int(sys.argv[2])
dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
memory, history = new_memory(), []
for step in range(len(STEPS)):
    teach(memory, step)
    query, target = rows(memory, step, rank)
    if len(query):  # in two micro-batches
        memory.stage(query[:2], target[:2], origin=target[:2] + 10)
        memory.stage(query[2:], target[2:], origin=target[2:] + 10)
    history.append(record(memory, dict(vars(memory.commit()))))
torch.save(history, f"{folder}/rank{rank}")
dist.destroy_process_group()
"""
)

History = list[list]


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[History]:
    """Return the memory of each of two ranks after each step."""
    folder = tmp_path_factory.mktemp("ranks")
    workers = [start_alone(WORKER, folder, rank) for rank in (0, 1)]
    try:
        codes = [worker.wait(LONGEST) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    assert codes == [0, 0]
    return [torch.load(folder / f"rank{rank}") for rank in (0, 1)]


def alone() -> History:
    """Return the same history in one process, which stages the rows of rank 0, then rank 1."""
    space: dict = {"torch": torch, "KeyValueMemory": KeyValueMemory}
    exec(LIFE, space)
    memory, history = space["new_memory"](), []
    for step in range(len(STEPS)):
        space["teach"](memory, step)
        parts = [space["rows"](memory, step, rank) for rank in (0, 1)]
        query, target = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        report = memory.write(query, target, origin=target + 10)
        history.append(space["record"](memory, dict(vars(report))))
    return history


def assert_same(first: History, second: History) -> None:
    assert len(first) == len(second) == len(STEPS)
    for (report, *buffers), (other_report, *other_buffers) in zip(first, second, strict=True):
        assert report == other_report
        assert len(buffers) == len(other_buffers) == 1 + len(BUFFERS[LAYOUT])
        assert all(torch.equal(a, b) for a, b in zip(buffers, other_buffers, strict=True))


def test_ranks_remember_the_same_to_the_last_bit(ranks: list[History]) -> None:
    assert_same(*ranks)


def test_ranks_together_remember_what_one_process_would(ranks: list[History]) -> None:
    assert_same(ranks[0], alone())


def test_steps_merge_write_and_forget(ranks: list[History]) -> None:
    reports = [CommitReport(**step[0]) for step in ranks[0]]
    assert [report.pairs for report in reports] == [sum(step) for step in STEPS]
    assert sum(report.merged for report in reports) > 20
    assert sum(report.evicted for report in reports) > 40


def test_without_a_group_rows_stay_as_they_are() -> None:
    query, target = torch.randn(3, 2), torch.arange(3)
    gathered = gather_rows(query, target)
    assert gathered[0] is query and gathered[1] is target
