"""One client's connection: what has arrived, and the script that is being played on it."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.faultserver.channel import Channel

if TYPE_CHECKING:
    from tests.faultserver.server import FaultServer

__all__ = ["Connection", "Request"]

SLICE = 64 * 1024
GONE = (ConnectionError, ssl.SSLError)  # what reading and writing raise once a client has left


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived. Header names are lower case, repeated ones joined by ", ".

    `time` is monotonic seconds at its last byte, `connection` counts from 1, `head` is every byte before the body.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    time: float
    connection: int
    head: bytes = field(repr=False)

    def json(self) -> Any:
        return json.loads(self.body)


class Connection:
    """What a step works on. `request` is the one being answered, None before it has been read."""

    def __init__(self, server: FaultServer, channel: Channel, number: int) -> None:
        self.number = number
        self.request: Request | None = None
        self.over = False
        self._server = server
        self._channel = channel
        self._arrived = asyncio.Event()
        self._buffer = bytearray()
        self._playing = False
        self._idle = False
        self._unread = True

    async def read(self, *, body: bool = True) -> Request:
        """The next request: all of it, or only its head."""
        await self._begun()
        head = await self._take_until(b"\r\n\r\n")
        line, *lines = head.decode("latin-1").split("\r\n")[:-2]
        method, path, version = [*line.split(" "), "", ""][:3]
        if not version.startswith("HTTP/1."):
            raise ValueError(f"not an HTTP/1 request: {line!r}")
        headers: dict[str, str] = {}
        for name, value in (header.split(":", 1) for header in lines):
            key = name.lower()
            headers[key] = f"{headers[key]}, {value.strip()}" if key in headers else value.strip()
        content = await self._take_body(headers) if body else b""
        self._unread = not body
        self.request = Request(method, path, headers, content, time.monotonic(), self.number, head)
        self._server._note_request(self.request)
        return self.request

    async def keep_alive(self) -> None:
        """Until the next request begins. A client that leaves meanwhile interrupts nothing: it is no disconnect."""
        self.request, self._unread = None, True
        await self._begun()

    async def send(self, data: bytes) -> None:
        """Hand all of `data` to the kernel, waiting while the client does not read."""
        for start in range(0, len(data), SLICE):
            piece = memoryview(data)[start : start + SLICE]
            await self._channel.send(piece)
            self._server._note_sent(len(piece))

    async def close(self, *, close_notify: bool = True) -> None:
        if self.over:
            return
        self.over = True
        if close_notify:
            await self._channel.say_goodbye()
        self._channel.finish()

    def reset(self) -> None:
        self._channel.reset_on_close()
        self.over = True

    async def receive(self) -> None:
        """Gather what the client sends, until it leaves; one that shuts down only its sending side has left too."""
        try:
            while data := await self._channel.receive():
                self._buffer += data
                self._arrived.set()
        except GONE:
            pass  # a reset is a way of leaving
        self._client_left()

    async def converse(self) -> None:
        """Play scripts, one after the other, until one of them ends the connection."""
        try:
            if self._server._next_script_reads():
                await self.keep_alive()
            while not self.over:
                self._playing = True
                for step in self._server._take_script():
                    await step(self)
                self._playing = False
                if self._unread:
                    await self.close()  # what follows would be the rest of this request and not the next one
                if not self.over:
                    await self.keep_alive()
        except GONE:
            self._client_left()  # a failed write may tell it sooner than a read does

    def _client_left(self) -> None:
        if self._playing and not self._idle and not self.over:
            self._server._note_disconnect(time.monotonic())
        self.over = True

    async def _begun(self) -> None:
        self._idle = True
        while not self._buffer:
            await self._more()
        self._idle = False

    async def _more(self) -> None:
        self._arrived.clear()
        await self._arrived.wait()

    async def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            await self._more()
        taken = bytes(memoryview(self._buffer)[:count])
        del self._buffer[:count]
        return taken

    async def _take_until(self, mark: bytes) -> bytes:
        while (found := self._buffer.find(mark)) < 0:
            await self._more()
        return await self._take(found + len(mark))

    async def _take_body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return await self._take(int(headers.get("content-length", "0")))
        body = bytearray()
        while size := int((await self._take_until(b"\r\n")).split(b";")[0], 16):
            body += await self._take(size)
            await self._take(2)
        while await self._take_until(b"\r\n") != b"\r\n":
            pass  # trailers
        return bytes(body)
