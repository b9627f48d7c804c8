"""The small steps of a script; whole answers are in `answers.py`. A step is any `async def step(connection)`.

A step with `reads = True` begins by reading a request. A script that starts with such a step is taken when a client
starts to send; any other script that starts a connection is taken at once, when the client connects.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from tests.faultserver.connection import Connection

__all__ = ["Close", "KeepAlive", "Pieces", "Read", "Reset", "Script", "Send", "SendSlowly", "Stall", "Step"]

Step = Callable[[Connection], Awaitable[object]]
Script = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Read:
    """Read the next request; only its head with `body=False`."""

    body: bool = True
    reads: ClassVar[bool] = True

    async def __call__(self, connection: Connection) -> None:
        await connection.read(body=self.body)


@dataclass(frozen=True, slots=True)
class Send:
    """Send these bytes, whether a request has come or not."""

    data: bytes

    async def __call__(self, connection: Connection) -> None:
        await connection.send(self.data)


@dataclass(frozen=True, slots=True)
class SendSlowly:
    """Send `size` bytes every `every` seconds, whether a request has come or not."""

    data: bytes
    every: float = 0.01
    size: int = 1

    async def __call__(self, connection: Connection) -> None:
        await send_apart(connection, in_pieces(self.data, self.size), self.every)


@dataclass(frozen=True, slots=True)
class Pieces:
    """An answer, or part of one, as bytes on the wire. Reads the request first.

    The pieces are writes `every` seconds apart, or one write together if that is zero.
    `then` says what comes after the last one: more of this answer, the next request, or the end of the connection. An
    answer left unfinished by the last step keeps its client waiting; put `Stall()` there to see the client leave.
    """

    pieces: tuple[bytes, ...]
    every: float = 0.0
    then: Literal["more", "next", "close"] = "more"
    reads: ClassVar[bool] = True

    async def __call__(self, connection: Connection) -> None:
        if connection.request is None:
            await connection.read()
        await send_apart(connection, self.pieces, self.every)
        if self.then == "next":
            connection.request = None
        if self.then == "close":
            await connection.close()


@dataclass(frozen=True, slots=True)
class Stall:
    """Say nothing for `seconds`, or until the client leaves."""

    seconds: float | None = None

    async def __call__(self, connection: Connection) -> None:
        await (asyncio.Event().wait() if self.seconds is None else asyncio.sleep(self.seconds))


@dataclass(frozen=True, slots=True)
class Close:
    """Send a FIN. Under TLS with `close_notify=False`, without the alert that tells an end from a cut.

    The socket closes when the script ends: `Close(), Stall(1)` goes on taking what the client still sends.
    """

    close_notify: bool = True

    async def __call__(self, connection: Connection) -> None:
        await connection.close(close_notify=self.close_notify)


@dataclass(frozen=True, slots=True)
class Reset:
    """End the connection with an RST; what the kernel has not yet sent is lost. The last step of a script."""

    async def __call__(self, connection: Connection) -> None:
        connection.reset()


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """Wait until the next request begins on this connection; the steps after it are for that request."""

    async def __call__(self, connection: Connection) -> None:
        await connection.keep_alive()


def in_pieces(data: bytes, size: int) -> tuple[bytes, ...]:
    return tuple(data[start : start + size] for start in range(0, len(data), size))


async def send_apart(connection: Connection, pieces: tuple[bytes, ...], every: float) -> None:
    for index, piece in enumerate(pieces if every else (b"".join(pieces),)):
        if index:
            await asyncio.sleep(every)
        await connection.send(piece)
