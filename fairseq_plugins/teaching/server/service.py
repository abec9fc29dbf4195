"""Shared by all routes: the translator, the thread that works with it, and the token."""

import asyncio
from typing import Annotated

from fastapi import Depends, Request

from fairseq_plugins.errors import InputError
from fairseq_plugins.teaching.server.batches import Batches
from fairseq_plugins.teaching.server.guard import Token
from fairseq_plugins.teaching.server.limits import MOST_WAITING
from fairseq_plugins.teaching.server.worker import Worker
from fairseq_plugins.teaching.translator import Translator


class Service:
    """A translator that is being served.

    Args:
        translator: which nothing else in this process uses.
        token: that clients must know.
    """

    def __init__(self, translator: Translator, token: Token) -> None:
        self.translator, self.token = translator, token
        self.work = Worker(MOST_WAITING)
        """Runs calls that need the network, once all earlier ones are done."""
        self.translate = Batches(self.work, lambda texts: translator.translate(texts))
        """Translates texts, together with others that are waiting."""
        self.importing: asyncio.Task[None] | None = None
        """The last import; there is one at a time."""
        self.ending = False
        """Whether the server is stopping: it finishes what has begun, and starts nothing long."""

    async def close(self) -> None:
        """Finish what has begun, and close the translator."""
        self.ending = True
        if self.importing is not None:
            await self.importing
        self.work.close()
        self.translator.close()

    def told(self, error: InputError) -> str:
        """Return the message of an error for a client, without paths on this machine."""
        place = self.translator.about.place_of_lessons(self.translator.folder)
        return str(error).removeprefix(f"{place}: ")


def _service(request: Request) -> Service:
    return request.app.state.service


Served = Annotated[Service, Depends(_service)]
