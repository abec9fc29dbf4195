"""Texts that wait are translated together, in order, and each request gets its own answer."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from fairseq_plugins.teaching.server.batches import Batches
from fairseq_plugins.teaching.server.limits import LONGEST_TEXT
from fairseq_plugins.teaching.server.worker import BusyError, Worker
from fairseq_plugins.teaching.translation import Translation


class Translator:
    """Notes what it is asked at once; fails where a text says so."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def translate(self, texts: Sequence[str]) -> list[Translation]:
        self.asked.append(list(texts))
        if "fail" in texts:
            raise RuntimeError("it fails")
        return [Translation(text, text.upper(), 0.0, []) for text in texts]


def ask(translator: Translator, *requests: list[str], most: int = 100) -> list[object]:
    """The texts, or the error, that each of several requests gets that wait at the same time."""

    async def run() -> list[object]:
        work, free = Worker(most), threading.Event()
        batches = Batches(work, translator.translate)
        before = work.submit(free.wait)  # somebody whose turn it is
        waiting = [asyncio.create_task(batches(one)) for one in requests]
        await asyncio.sleep(0)  # each of them has asked
        free.set()
        found = await asyncio.gather(*waiting, return_exceptions=True)
        assert before.result()
        work.close()
        assert work.waiting == 0
        return [
            one if isinstance(one, BaseException) else [single.text for single in one]
            for one in found
        ]

    return asyncio.run(run())


def test_what_waits_is_translated_together() -> None:
    translator = Translator()
    assert ask(translator, ["a"], ["b", "c"], [], ["d"]) == [["A"], ["B", "C"], [], ["D"]]
    assert translator.asked == [["a", "b", "c", "d"]]


def test_a_batch_is_not_too_long() -> None:
    translator = Translator()
    long = "x" * (LONGEST_TEXT - 1)
    ask(translator, [long], ["a"], ["b"], ["c"])
    assert translator.asked == [[long, "a"], ["b", "c"]]


def test_only_who_asks_for_what_fails_is_told() -> None:
    first, second, third = ask(Translator(), ["a"], ["fail"], ["c"])
    assert (first, third) == (["A"], ["C"])
    assert isinstance(second, RuntimeError)


def test_who_comes_when_too_many_wait_is_told_so() -> None:
    translator = Translator()
    first, second = ask(translator, ["a"], ["b"], most=2)
    assert first == ["A"] and isinstance(second, BusyError)
    assert translator.asked == [["a"]]


def test_who_goes_away_is_not_waited_for() -> None:
    translator = Translator()

    async def run() -> list[Translation]:
        work, free = Worker(100), threading.Event()
        batches = Batches(work, translator.translate)
        work.submit(free.wait)
        gone, stays = (asyncio.create_task(batches([text])) for text in ("gone", "stays"))
        await asyncio.sleep(0)  # both have asked
        gone.cancel()
        await asyncio.sleep(0)
        free.set()
        with pytest.raises(asyncio.CancelledError):
            await gone
        return await stays

    assert [one.text for one in asyncio.run(run())] == ["STAYS"]
    assert translator.asked == [["stays"]]
