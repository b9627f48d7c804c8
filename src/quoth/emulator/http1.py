"""One HTTP/1.1 connection over a socket: requests read, bytes written, the client's leaving noticed at once.

Written for faults: what is written goes out as it is, and a connection can be reset or closed at any byte.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

__all__ = ["Connection", "Ended", "Refused", "Request"]

_LONGEST_HEAD = 64 * 1024
_LONGEST_CHUNK_LINE = 4 * 1024
_READ_AHEAD = 1024 * 1024
_METHODS = frozenset("GET HEAD POST PUT PATCH DELETE OPTIONS TRACE CONNECT".split())


class Refused(Exception):
    """A request that is not HTTP as it should be; the connection is closed after the answer."""

    def __init__(self, status: int, message: str):
        self.status = status
        self.message = message
        super().__init__(message)


class Ended(Exception):
    """The connection was ended by a fault: nothing more is sent."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it arrived. Header names are lower case, the last of a repeated one counts.

    `arrived` is seconds of the monotonic clock.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    raw: bytes
    arrived: float
    keep_alive: bool = True
    chunked_answers: bool = True

    @property
    def body(self) -> Any:
        """The body decoded from JSON; as bytes when it is not JSON."""
        try:
            return msgspec.json.decode(self.raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self.raw


class Connection(asyncio.Protocol):
    """Reads requests one after the other and hands each to `answer`, which says whether the connection stays open."""

    def __init__(
        self,
        answer: Callable[[Connection, Request], Awaitable[bool]],
        refuse: Callable[[Connection, Refused], Awaitable[None]],
        lost: Callable[[Connection, bool], None],
        max_body: int,
    ):
        self._answer = answer
        self._refuse = refuse
        self._lost = lost
        self._max_body = max_body
        self._buffer = bytearray()
        self._news = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._closing = False
        self._answering = False
        self._left = False
        self._transport: asyncio.Transport
        self.task: asyncio.Task[None]

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        # Every write counts as full, so that `send` waits until the kernel has the bytes: a reset may follow at once.
        self._transport.set_write_buffer_limits(high=0)
        self.task = asyncio.get_running_loop().create_task(self._run())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._news.set()
        if self._answering and len(self._buffer) > _READ_AHEAD:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """A client that closes its side has left: half-open clients are not served."""
        self._leave()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        self._lost(self, False)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _leave(self) -> None:
        if self._left:
            return
        self._left = True
        self._news.set()
        self._writable.set()
        if self._answering and not self._closing:
            self._lost(self, True)
            self.task.cancel()

    # Reading

    async def _run(self) -> None:
        try:
            while not self._left:
                try:
                    request = await self._request()
                except Refused as refused:
                    await self._refuse(self, refused)
                    await self._linger()
                    break
                if request is None:
                    break
                self._answering = True
                keep = await self._answer(self, request)
                self._answering = False
                self._transport.resume_reading()
                if not (keep and request.keep_alive):
                    break
        except (asyncio.CancelledError, Ended):
            pass  # the client left, the server stops, or a fault ended it: in each case only closing remains
        finally:
            self.close()

    async def _linger(self) -> None:
        """Say that this was all, then read on for a moment: closing at once would destroy the answer on its way."""
        if not self._left:
            self._transport.write_eof()
        deadline = time.monotonic() + 1.0
        while not self._left and (left := deadline - time.monotonic()) > 0:
            self._buffer.clear()
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), left)
            except TimeoutError:
                return

    async def _more(self) -> bool:
        """Wait for more bytes; False when none will come."""
        if self._left:
            return False
        self._news.clear()
        await self._news.wait()
        return not self._left

    async def _until(self, end: bytes, longest: int, status: int) -> bytes | None:
        """The bytes before `end`, which is taken away too; None when the client left before."""
        searched = 0
        while (place := self._buffer.find(end, searched)) < 0:
            if len(self._buffer) > longest:
                raise Refused(status, "The head of the request is too long.")
            searched = max(0, len(self._buffer) - len(end) + 1)
            if not await self._more():
                return None
        taken = bytes(self._buffer[:place])
        del self._buffer[: place + len(end)]
        return taken

    async def _exactly(self, size: int) -> bytes | None:
        while len(self._buffer) < size:
            if not await self._more():
                return None
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    async def _request(self) -> Request | None:
        while self._buffer[:2] == b"\r\n":  # an empty line before a request is allowed
            del self._buffer[:2]
        head = await self._until(b"\r\n\r\n", _LONGEST_HEAD, 431)
        if head is None:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        words = first.split(" ")
        if (
            len(words) != 3
            or words[2] not in ("HTTP/1.1", "HTTP/1.0")
            or "\n" in head.decode("latin-1").replace("\r\n", "")
        ):
            raise Refused(400, "Invalid HTTP request.")
        method, target, version = words
        if method not in _METHODS:
            raise Refused(501, f"Unknown method {method!r}.")
        headers = _headers(lines)
        body = await self._body(headers)
        if body is None:
            return None
        try:
            url = urlsplit(target)
        except ValueError:
            raise Refused(400, "Invalid request target.") from None
        connection = headers.get("connection", "").lower()
        return Request(
            method=method,
            path=unquote(url.path) or "/",
            query=dict(parse_qsl(url.query, keep_blank_values=True)),
            headers=headers,
            raw=body,
            arrived=time.monotonic(),
            keep_alive="close" not in connection if version == "HTTP/1.1" else "keep-alive" in connection,
            chunked_answers=version == "HTTP/1.1",
        )

    async def _body(self, headers: dict[str, str]) -> bytes | None:
        length, coding = headers.get("content-length"), headers.get("transfer-encoding", "").lower()
        if length is not None and coding:
            raise Refused(400, "Content-Length and Transfer-Encoding exclude each other.")
        if coding and coding != "chunked":
            raise Refused(501, f"Unknown transfer encoding {coding!r}.")
        if length is not None and not (length.isascii() and length.isdigit() and len(length) < 19):
            raise Refused(400, "Invalid Content-Length.")
        if int(length or 0) > self._max_body:
            raise Refused(413, f"The request body is larger than {self._max_body} bytes.")
        if headers.get("expect", "").lower() == "100-continue" and not self._buffer:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return await self._chunks() if coding else await self._exactly(int(length or 0))

    async def _chunks(self) -> bytes | None:
        body = bytearray()
        while True:
            line = await self._until(b"\r\n", _LONGEST_CHUNK_LINE, 400)
            if line is None:
                return None
            digits = line.split(b";")[0].strip()
            try:
                size = int(digits, 16) if digits.isalnum() else -1
            except ValueError:
                size = -1
            if size < 0:
                raise Refused(400, "Invalid chunk size.")
            if len(body) + size > self._max_body:
                raise Refused(413, f"The request body is larger than {self._max_body} bytes.")
            if size == 0:
                break
            data = await self._exactly(size + 2)
            if data is None:
                return None
            if data[-2:] != b"\r\n":
                raise Refused(400, "Invalid chunk.")
            body += data[:-2]
        while (trailer := await self._until(b"\r\n", _LONGEST_HEAD, 431)) != b"":
            if trailer is None:
                return None
        return bytes(body)

    # Writing

    async def send(self, data: bytes) -> None:
        """Write, and wait while the client does not read. Raises Ended when it has left."""
        if self._transport.is_closing():  # the last write failed, though the loop has not said so yet
            self._leave()
        if self._left:
            raise Ended
        self._transport.write(data)
        if not self._writable.is_set():
            await self._writable.wait()

    async def reset(self) -> None:
        """End the connection with RST, after everything written so far."""
        await asyncio.sleep(0.01)  # lets the client read what came before: a reset may destroy what it has not read
        self._closing = True
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()
        raise Ended

    def finish(self) -> None:
        """End the connection with FIN, whatever the answer still owed."""
        self.close()
        raise Ended

    def close(self) -> None:
        self._closing = True
        self._transport.close()

    def abort(self) -> None:
        """Drop the connection at once; for stopping the server."""
        self._closing = True
        self.task.cancel()
        self._transport.abort()


def _headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise Refused(400, "Invalid header line.")
        headers[name.lower()] = value.strip()
    return headers
