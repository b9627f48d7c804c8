"""How an answer goes out: heads, chunks and pace, and every fault that concerns bytes rather than content."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Literal

from quoth.emulator.faults import NONE, Fault
from quoth.emulator.http1 import Connection, Request

__all__ = ["Answer", "Event", "deliver"]

Event = bytes | tuple[bytes, bytes]

_HTML = (
    b"<!DOCTYPE html>\n<html><head><title>Error</title></head>\n"
    b"<body><center><h1>Something went wrong</h1></center><hr><center>cloudflare (emulated)</center></body></html>\n"
)
_GARBAGE = b'\x00\xff\xfe{"choices": [{"mess'
_YIELD_EVERY = 64
_WITHOUT_BODY = (204, 304)
_REASONS = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer before it is sent: a `body`, or `events`, which are server-sent events: their data, or name and data.

    A number among the events is a pause in seconds. `pace` is seconds between events, `delay` seconds before the head,
    `error_event` what the fault `error` sends. `later` makes the rest of the answer, where that takes a while.
    """

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str | None = "application/json"
    events: Iterable[Event | float] | None = None
    pace: float = 0.0
    delay: float = 0.0
    error_event: Event = b""
    later: Callable[[], Answer] | None = None

    def made(self) -> Answer:
        """The whole answer."""
        if self.later is None:
            return self
        rest = self.later()
        return replace(rest, headers=(*self.headers, *rest.headers), delay=self.delay)


async def deliver(connection: Connection, request: Request, answer: Answer, fault: Fault = NONE) -> bool:
    """Send an answer, with what the fault does to it. True when the connection can serve another request.

    Raises Ended when the fault ended the connection.
    """
    answer = _distorted(answer, fault)
    if fault.latency or answer.delay:
        await asyncio.sleep(fault.latency + answer.delay)
    framing = _framing(request, answer, fault)
    sender = _Sender(connection, fault, chunked=framing == "chunks")
    await sender.reach(-1)
    stays = request.keep_alive and framing != "close" and not (fault.close or fault.short)
    head = _head(answer, fault, framing, stays)
    if fault is NONE and answer.events is None and request.method != "HEAD" and answer.status not in _WITHOUT_BODY:
        await connection.send(head + answer.body)  # the usual case, in one write
        return stays
    await connection.send(head)
    await sender.reach(0)
    if request.method == "HEAD" or answer.status in _WITHOUT_BODY:
        return stays
    if answer.events is None:
        await sender.body(answer.body)
    else:
        await sender.events(answer)
    if sender.chunked and not fault.short:
        await connection.send(b"0\r\n\r\n")
    return stays


def _framing(request: Request, answer: Answer, fault: Fault) -> Literal["length", "chunks", "close"]:
    """How the client learns where the body ends."""
    in_pieces = answer.events is not None or fault.chunk is not None or fault.split_utf8
    if fault.no_length:
        return "close"
    if not in_pieces:
        return "length"
    return "chunks" if request.chunked_answers else "close"


def _head(answer: Answer, fault: Fault, framing: str, stays: bool) -> bytes:
    headers = [("Content-Type", answer.content_type)] if answer.content_type else []
    headers += [*answer.headers, *fault.headers]
    if fault.retry_after is not None:
        headers.append(("Retry-After", fault.retry_after))
    if fault.gzip:
        headers.append(("Content-Encoding", "gzip"))
    if framing == "chunks":
        headers.append(("Transfer-Encoding", "chunked"))
    elif framing == "length" and answer.status not in _WITHOUT_BODY:
        headers.append(("Content-Length", str(len(answer.body) + (10 if fault.short else 0))))
    headers.append(("Connection", "keep-alive" if stays else "close"))
    first = f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Emulated')}"
    return ("\r\n".join([first, *(f"{name}: {value}" for name, value in headers)]) + "\r\n\r\n").encode(
        "latin-1", "replace"
    )


def _distorted(answer: Answer, fault: Fault) -> Answer:
    """The answer with another body or content type, compressed if it is to be."""
    if fault.body == "html":
        answer = replace(answer, body=_HTML, events=None, content_type="text/html; charset=UTF-8")
    elif fault.body == "empty":
        answer = replace(answer, body=b"", events=None)
    elif fault.body == "garbage":
        answer = replace(answer, body=_GARBAGE, events=None)
    elif fault.body == "truncated" and answer.events is None:
        answer = replace(answer, body=answer.body[: len(answer.body) // 2])
    elif fault.body is not None and fault.body.startswith("json:"):
        answer = replace(
            answer, body=fault.body.removeprefix("json:").encode(), events=None, content_type="application/json"
        )
    if fault.content_type is not None:
        answer = replace(answer, content_type=fault.content_type)
    if fault.gzip and answer.events is None:
        packed = gzip.compress(answer.body, mtime=0)
        answer = replace(answer, body=packed[: len(packed) // 2] if fault.gzip == "truncated" else packed)
    return answer


class _Sender:
    """Sends the units of one body and does at each point what the fault says."""

    def __init__(self, connection: Connection, fault: Fault, *, chunked: bool):
        self._connection = connection
        self._fault = fault
        self._deflate = zlib.compressobj(wbits=31) if fault.gzip else None
        self.chunked = chunked

    async def reach(self, units: int) -> None:
        """Called when so many units have been sent: -1 is before the head, 0 after it."""
        fault = self._fault
        if fault.stall is not None and fault.stall.after == units:
            await (asyncio.sleep(fault.stall_for) if fault.stall_for is not None else asyncio.Event().wait())
        if fault.reset is not None and fault.reset.after == units:
            await self._connection.reset()
        if fault.fin is not None and fault.fin.after == units:
            self._connection.finish()

    async def body(self, body: bytes) -> None:
        """A plain body; its units are bytes."""
        points = sorted(
            {
                point.after
                for point in (self._fault.stall, self._fault.reset, self._fault.fin)
                if point and point.after > 0
            }
        )
        sent = 0
        for place in (*points, len(body)):
            place = min(place, len(body))
            await self._write(body[sent:place])
            sent = place
            if place in points:
                await self.reach(place)

    async def events(self, answer: Answer) -> None:
        """Server-sent events; each is a unit."""
        pace = answer.pace if self._fault.pace is None else self._fault.pace
        number = 0
        for event in self._framed(answer):
            if not isinstance(event, bytes):
                await asyncio.sleep(event)
                continue
            if number and pace:
                await asyncio.sleep(pace)
            elif number % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
            await self._write(self._packed(event))
            number += 1
            await self.reach(number)
        if self._deflate is not None and self._fault.gzip != "truncated":
            await self._write(self._deflate.flush())

    def _framed(self, answer: Answer) -> Iterator[bytes | float]:
        fault, newline = self._fault, self._fault.newline.encode()
        number = 0
        for event in answer.events or ():
            if isinstance(event, (float, int)):
                yield event
                continue
            if fault.error is not None and fault.error.after == number:
                yield _lines(answer.error_event, newline)
                return
            prefix = b"\xef\xbb\xbf" if fault.bom and number == 0 else b""
            if fault.comments:
                prefix += b": keep-alive" + newline * 2
            yield prefix + _lines(event, newline)
            number += 1

    def _packed(self, event: bytes) -> bytes:
        if self._deflate is None:
            return event
        return self._deflate.compress(event) + self._deflate.flush(zlib.Z_SYNC_FLUSH)

    async def _write(self, data: bytes) -> None:
        cuts = _cut_characters(data) if self._fault.split_utf8 else [data]
        if self._fault.chunk is not None:
            size = self._fault.chunk
            cuts = [cut[start : start + size] for cut in cuts for start in range(0, len(cut), size)]
        for cut in cuts:
            if cut:
                await self._connection.send(b"%x\r\n%b\r\n" % (len(cut), cut) if self.chunked else cut)
            if len(cuts) > 1:
                await asyncio.sleep(0)


def _lines(event: Event, newline: bytes) -> bytes:
    if isinstance(event, bytes):
        return b"data: " + event + newline * 2
    name, data = event
    return b"event: " + name + newline + b"data: " + data + newline * 2


def _cut_characters(data: bytes) -> list[bytes]:
    """The data in pieces, cut after the first byte of each character that has several."""
    cuts, start = [], 0
    for place, byte in enumerate(data):
        if byte >= 0xC0:
            cuts.append(data[start : place + 1])
            start = place + 1
    return [*cuts, data[start:]]
