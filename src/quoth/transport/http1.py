"""One HTTP/1.1 connection for asyncio. httptools (llhttp, in C) parses; this decides nothing about requests or retries.

Why not a client library: see docs/decisions/0004. The short of it: cancelled before the answer's head, the connection
has to close at once, and a burst of stream events must not cost a trip through a thread each.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from functools import lru_cache
from typing import cast

import httptools

from quoth.transport.inflate import Inflater, inflater_for
from quoth.transport.ports import Deadline, TransportFailure

__all__ = ["Connection"]

HIGH_WATER = 256 * 1024
HEAD_LIMIT = 128 * 1024
TOO_LARGE = f"a head of more than {HEAD_LIMIT // 1024} KiB"


class Connection(asyncio.Protocol):
    """Serves one exchange at a time: `send`, `wait_head`, `read` until b"", then `reusable` tells whether it can serve
    another. `on_end` is called before that b"" is returned, `on_lost` when the connection has ended."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.served = 0
        self.idle_since = 0.0
        self.on_end: Callable[[], None] | None = None
        self.on_lost: Callable[[Connection], None] | None = None
        self.transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._parser: httptools.HttpResponseParser | None = None
        self._pieces: list[bytes] = []
        self._size = 0
        self._head_size = self._trailer_size = 0
        self._fields: list[tuple[bytes, bytes]] = []
        self._head = False
        self._done = False
        self._bodyless = False
        self._keep = False
        self._paused = False
        # Never raised itself: with its traceback it would hold this connection, and the other way round.
        self._failure: TransportFailure | None = None
        self._lost = False
        self._waiter: asyncio.Future[None] | None = None
        self._deadline: Deadline | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = 0.0
        self._inflater: Inflater | None = None
        self._readable: Callable[[int], object] | None = None

    # What the caller does

    def send(self, head: bytes, body: bytes, *, bodyless: bool = False) -> None:
        """Begin an exchange. `bodyless`: the answer has a head only, whatever that says (HEAD, CONNECT)."""
        assert self.transport is not None
        if self._parser is None or self._bodyless:  # after an answer without its body it would wait for that
            self._parser = httptools.HttpResponseParser(self)
        self.status = 0
        self.headers = {}
        self._pieces = []
        self._fields = []
        self._size = self._head_size = self._trailer_size = 0
        self._head = self._done = self._keep = False
        self._bodyless = bodyless
        self._inflater = None
        self.served += 1
        if len(body) < HIGH_WATER:
            self.transport.write(head + body)
        else:
            self.transport.write(head)
            self.transport.write(body)

    async def wait_head(self, deadline: Deadline) -> None:
        """Raises TransportFailure."""
        while not self._head:
            if self._failure is not None:
                raise self._failure.again()
            await self._news(deadline)

    async def read(self, deadline: Deadline) -> bytes:
        """All that has arrived, at least one byte; b"" at the end. Raises TransportFailure."""
        inflater = self._inflater
        while True:
            if inflater is not None and (piece := inflater.take()):
                return piece
            if pieces := self._pieces:
                piece = pieces[0] if len(pieces) == 1 else b"".join(pieces)
                self._pieces = []
                self._size = 0
                if self._paused and self.transport is not None and not self._lost:
                    self._paused = False
                    self.transport.resume_reading()
                if inflater is None:
                    return piece
                inflater.feed(piece)
                continue
            if self._failure is not None:
                raise self._failure.again()
            if self._done:
                if inflater is not None:
                    inflater.end()
                if self.on_end is not None:
                    self.on_end()
                return b""
            await self._news(deadline)

    @property
    def reusable(self) -> bool:
        """The answer is whole, the request was wholly written, and the server keeps the connection."""
        return (
            self._done
            and self._keep
            and not self._lost
            and self._failure is None
            and self.transport is not None
            and not self.transport.is_closing()
            and self.transport.get_write_buffer_size() == 0
        )

    @property
    def silent(self) -> bool:
        """Still open, and nothing has come that the event loop has not seen: neither an end nor an answer that nobody
        asked for."""
        if self.transport is None or self.transport.is_closing():
            return False
        if self._readable is None:
            sock = self.transport.get_extra_info("socket")
            if sock is None:
                return True
            self._readable = _readable(sock.fileno())
        return not self._readable(0)

    def abort(self) -> None:
        """Close at once, whatever is unsent or unread."""
        self._silence_alarm()
        if self.transport is not None:
            self.transport.abort()

    def _news(self, deadline: Deadline) -> asyncio.Future[None]:
        """What to await for more to come, or for the deadline. Raises TransportFailure when that has passed."""
        self._deadline = deadline
        if self._alarm is None or deadline.until < self._alarm_at:
            remaining = deadline.remaining()
            if remaining <= 0:
                raise deadline.failure(self.served > 1)
            self._set_alarm(remaining, deadline.until)
        waiter = self._waiter = self._loop.create_future()
        return waiter

    def _set_alarm(self, remaining: float, until: float) -> None:
        """One timer serves many waits. Each piece of a stream puts its deadline off, and costs no timer: one that goes
        off early is set anew."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm, self._alarm_at = self._loop.call_later(remaining, self._ring), until

    def _ring(self) -> None:
        self._alarm = None
        if self._waiter is None or self._waiter.done() or self._deadline is None:
            return
        remaining = self._deadline.remaining()
        if remaining > 0:
            self._set_alarm(remaining, self._deadline.until)
        else:
            _wake(self._waiter)

    def _silence_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are none by class

    def data_received(self, data: bytes) -> None:
        parser = self._parser
        if parser is None or self._done:
            # Nobody asked: such a connection is not to be trusted with a request.
            self.abort()
            return
        if not self._head:
            self._head_size += len(data)
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._keep = False
        except httptools.HttpParserCallbackError as error:
            self._fail("protocol", str(error.__context__ or error))
        except httptools.HttpParserError as error:
            self._fail("protocol", str(error) or "not HTTP")
        if not self._head and self._head_size > HEAD_LIMIT:
            self._fail("protocol", TOO_LARGE)
        if self._size > HIGH_WATER and not self._paused and self.transport is not None:
            self._paused = True
            self.transport.pause_reading()
        # What `_wake` does, without its call: this comes once for each piece of a stream.
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = True
        self._silence_alarm()
        if not self._done and self._failure is None:
            framed = "content-length" in self.headers or "chunked" in self.headers.get("transfer-encoding", "").lower()
            if self._head and not framed and error is None:
                self._done = True
            else:
                if error is not None:
                    reason = str(error) or type(error).__name__
                else:
                    reason = "the connection was closed in mid-answer" if self._head else "the connection was closed"
                self._failure = TransportFailure("read", reason, reused=self.served > 1)
        _wake(self._waiter)
        if self.on_lost is not None:
            self.on_lost(self)
        # Both refer to this: a connection that has ended is freed at once, and not when the collector looks.
        self._parser = self.transport = None

    # What the parser calls

    def on_message_begin(self) -> None:
        if self._done:
            # A second answer to one request: the first stands, the connection is not to be trusted with another.
            self._keep = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._head:
            self._fields.append((name, value))
            return
        # A trailer, which nobody asks for.
        self._trailer_size += len(name) + len(value)
        if self._trailer_size > HEAD_LIMIT:
            raise ValueError(TOO_LARGE)

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        if self._done:
            return
        status = self._parser.get_status_code()
        fields, self._fields = self._fields, []
        if 100 <= status < 200 and status != 101:
            return
        if self._head_size > HEAD_LIMIT and sum(len(name) + len(value) for name, value in fields) > HEAD_LIMIT:
            raise ValueError(TOO_LARGE)
        headers = {_lower(name): value.decode("latin-1") for name, value in fields}
        if len(headers) != len(fields):
            headers = _joined(fields)
        self.headers = headers
        self.status = status
        if "content-encoding" in headers:
            self._inflater = inflater_for(headers)
        self._head = True
        if self._bodyless:
            self._keep = True
            self._done = True

    def on_body(self, piece: bytes) -> None:
        if not self._done:
            self._pieces.append(piece)
            self._size += len(piece)

    def on_message_complete(self) -> None:
        if self._head and not self._done:
            assert self._parser is not None
            self._keep = self._parser.should_keep_alive()
            self._done = True

    def _fail(self, kind: str, reason: str) -> None:
        # What follows a whole answer spoils the connection, not the answer.
        if self._failure is None and not self._done:
            self._failure = TransportFailure(kind, reason, reused=self.served > 1)
        self.abort()


def _readable(descriptor: int) -> Callable[[int], object]:
    """What tells, within so many milliseconds, whether there is something to be read."""
    if not hasattr(select, "poll"):
        return lambda milliseconds: select.select([descriptor], (), (), milliseconds / 1e3)[0]
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return poll.poll


@lru_cache(maxsize=512)
def _lower(name: bytes) -> str:
    return name.decode("latin-1").lower()


def _joined(fields: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """The headers where some have several lines."""
    lines: dict[str, list[str]] = {}
    for name, value in fields:
        lines.setdefault(_lower(name), []).append(value.decode("latin-1"))
    return {name: ", ".join(values) for name, values in lines.items()}


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
