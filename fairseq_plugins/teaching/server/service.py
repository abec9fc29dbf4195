"""What all routes share: the translator, the thread that works with it, and who may use it."""

import asyncio
from typing import Annotated

from fastapi import Depends, Request

from fairseq_plugins.errors import InputError
from fairseq_plugins.teaching.server.guard import Token
from fairseq_plugins.teaching.server.limits import MOST_WAITING
from fairseq_plugins.teaching.server.worker import Worker
from fairseq_plugins.teaching.translator import Translator


class Service:
    """A translator that is served.

    Args:
        translator: that nobody else in this process uses.
        token: that clients have to know.
    """

    def __init__(self, translator: Translator, token: Token) -> None:
        self.translator, self.token = translator, token
        self.work = Worker(MOST_WAITING)
        """Calls what needs the network, once all that came before is done."""
        self.importing: asyncio.Task[None] | None = None
        """The last import; there is one at a time."""
        self.ending = False
        """The server was told to end: what is begun is finished, and nothing long goes on."""

    async def close(self) -> None:
        """Finish what is begun, and close the translator."""
        self.ending = True
        if self.importing is not None:
            await self.importing
        self.work.close()
        self.translator.close()

    def told(self, error: InputError) -> str:
        """Return what a client is told of a mistake: not where things are on this machine."""
        place = self.translator.about.place_of_lessons(self.translator.folder)
        return str(error).removeprefix(f"{place}: ")


def _service(request: Request) -> Service:
    return request.app.state.service


Served = Annotated[Service, Depends(_service)]
