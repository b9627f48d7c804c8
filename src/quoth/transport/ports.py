"""What a transport is: two methods, and a reply with two more. A transport of the user's own can be given to a
Client."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from quoth.call import WireRequest

__all__ = ["AsyncReply", "AsyncTransport", "Deadline", "Reply", "Transport", "TransportFailure"]


class TransportFailure(Exception):
    """No answer, or half of one. `kind`: connect, dns, tls, proxy, timeout, read, write, protocol.

    `reused`: the connection had served an earlier request. `deadline`: the limit that a timeout hit (connect, first,
    idle, total).
    """

    def __init__(self, kind: str, message: str, *, reused: bool = False, deadline: str | None = None):
        super().__init__(message)
        self.kind = kind
        self.reused = reused
        self.deadline = deadline

    def again(self) -> TransportFailure:
        """The same, not raised yet."""
        return TransportFailure(self.kind, str(self), reused=self.reused, deadline=self.deadline)


class Deadline:
    """The limits of one exchange on our own clock. A transport tells it what is under way and asks how long that may
    take.

    It begins with connecting; `connected()` once the connection stands, then `reading()` before each further piece of a
    stream. A transport that blocks says by `interrupts` how another thread can end its wait.
    """

    __slots__ = ("_end", "_first", "_idle", "_interrupt", "_limit", "_now", "abandoned", "name", "until")

    def __init__(
        self,
        *,
        connect: float,
        first: float,
        idle: float,
        end: float,
        now: Callable[[], float] = time.monotonic,
    ):
        self._first, self._idle, self._end, self._now = first, idle, end, now
        self._interrupt: Callable[[], None] | None = None
        self.abandoned = False
        self._limit = connect
        until = now() + connect
        if until < end:
            self.name, self.until = "connect", until
        else:
            self.name, self.until = "total", end

    def connected(self) -> None:
        # What `_enter` does, without its call, as in `reading`: these come once for each call and each piece.
        until = self._now() + self._first
        if until < self._end:
            self.name, self.until = "first", until
        else:
            self.name, self.until = "total", self._end
        self._limit = self._first

    def reading(self) -> None:
        until = self._now() + self._idle
        if until < self._end:
            self.name, self.until = "idle", until
        else:
            self.name, self.until = "total", self._end
        self._limit = self._idle

    def lingering(self, seconds: float) -> None:
        """What is left to read is not worth waiting for longer than this."""
        self._enter("idle", seconds)

    def remaining(self) -> float:
        """Seconds left of what is under way; 0 or less when it is over."""
        return self.until - self._now()

    def interrupts(self, interrupt: Callable[[], None]) -> None:
        """Call this, from any thread, when nobody waits for the answer any more."""
        self._interrupt = interrupt
        if self.abandoned:
            interrupt()

    def abandon(self) -> None:
        """Nobody waits for the answer any more; from any thread."""
        self.abandoned = True
        if self._interrupt is not None:
            self._interrupt()

    def failure(self, reused: bool = False) -> TransportFailure:
        """The timeout to raise when nothing remains."""
        texts = {
            "connect": "gave no connection within {:g} s",
            "first": "gave no answer within {:g} s",
            "idle": "sent nothing for {:g} s",
            "total": "was not done when the total time was up",
        }
        return TransportFailure("timeout", texts[self.name].format(self._limit), reused=reused, deadline=self.name)

    def _enter(self, name: str, seconds: float) -> None:
        until = self._now() + seconds
        if until < self._end:
            self.name, self.until = name, until
        else:
            self.name, self.until = "total", self._end
        self._limit = seconds


class Reply(Protocol):
    """An answer as it arrives. `headers` has lower-case names."""

    status: int
    headers: Mapping[str, str]

    def read(self) -> bytes:
        """The next piece, b"" at the end. Raises TransportFailure."""

    def close(self) -> None:
        """Let go of the connection; from any thread, any number of times. One that is not read to its end is not used
        again."""


class Transport(Protocol):
    """Blocking HTTP."""

    def open(self, request: WireRequest, deadline: Deadline) -> Reply:
        """Send a request and wait for the head of its answer. Raises TransportFailure."""

    def close(self) -> None: ...


class AsyncReply(Protocol):
    status: int
    headers: Mapping[str, str]

    def read(self) -> Awaitable[bytes]:
        """The next piece, b"" at the end. Raises TransportFailure. An `async def` is one way to write it."""

    def close(self) -> None: ...


class AsyncTransport(Protocol):
    """HTTP for asyncio."""

    async def open(self, request: WireRequest, deadline: Deadline) -> AsyncReply:
        """Send a request and wait for the head of its answer; cancelled, it closes the connection. Raises
        TransportFailure."""

    async def aclose(self) -> None: ...
