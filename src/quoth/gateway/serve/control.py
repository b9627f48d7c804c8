"""A worker's end of the channel: what the application may ask its siblings, and what the parent says."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from typing import Protocol

import msgspec

from quoth.gateway.serve.messages import Collected, Frames, FromParent, FromWorker, Gather, frame

__all__ = ["Alone", "Control", "Siblings", "Snapshots"]

# Seconds. A sibling that is too busy to answer is missing from one scrape; nobody waits longer for it.
_PATIENCE = 2.0


class Snapshots(msgspec.Struct, frozen=True):
    """Metrics of other workers, each as its application's `snapshot()` gave it; `departed` are last ones.

    Counters of workers that are gone still count, or a sum over workers would fall, which Prometheus takes for a new
    start from zero; their gauges do not.
    """

    living: list[bytes] = []
    departed: list[bytes] = []


class Control(Protocol):
    """What an application gets to reach its siblings."""

    async def gather(self) -> Snapshots:
        """The metrics of all other workers."""
        ...


class Alone:
    """The control of an application that has no siblings and no parent."""

    async def gather(self) -> Snapshots:
        return Snapshots()


class Siblings:
    """The control of a worker under a parent, and its ear for what the parent wants."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self._reader = reader
        self._writer = writer
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Snapshots]] = {}
        # The worker's own metrics, once it has an application.
        self.snapshot: Callable[[], bytes] = bytes

    def tell(self, message: FromWorker) -> None:
        self._writer.write(frame(message))

    async def told(self) -> None:
        """Return when all that was told has left this process."""
        self._writer.transport.set_write_buffer_limits(0)
        await self._writer.drain()

    async def gather(self) -> Snapshots:
        number = next(self._numbers)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            self.tell(Gather(number, self.snapshot()))
            return await asyncio.wait_for(answer, _PATIENCE)
        except TimeoutError:
            return Snapshots()
        finally:
            del self._asked[number]

    async def orders(self) -> AsyncIterator[FromParent]:
        """What the parent says, until it is gone. Answers to `gather` reach their asker."""
        frames = Frames()
        while data := await self._reader.read(1 << 16):
            for encoded in frames.feed(data):
                message = msgspec.msgpack.decode(encoded, type=FromParent)
                if not isinstance(message, Collected):
                    yield message
                elif (answer := self._asked.get(message.asked)) is not None and not answer.done():
                    answer.set_result(Snapshots(message.living, message.departed))
