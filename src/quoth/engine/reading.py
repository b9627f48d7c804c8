"""Readers: what of an answer's bytes settles it. A body is settled at its end, a stream at its first good chunk."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from quoth.types import Chunk, Completion, Warning
from quoth.wire import openai_chat
from quoth.wire.assemble import Assembler
from quoth.wire.mould import Mould, mould_of
from quoth.wire.sse import Event, EventTooLarge, SSEDecoder
from quoth.wire.wires import Encoder, Wire, wire_named

__all__ = ["BodyReader", "StreamReader"]

HELD = 64 * 1024
ERROR_BODY = 1024 * 1024
# After so many moulds in vain the events of a stream are not alike.
IN_VAIN = 3
_NOT_STREAMED = Warning("not_streamed", "stream", "the provider did not stream; its whole answer is one chunk")


class BodyReader:
    """Keeps the whole answer. An answer longer than `limit` bytes stops it with `too_large`."""

    settled = complete = too_large = False
    status = 0
    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, limit: int):
        self.limit = limit
        self._pieces: list[bytes] = []
        self._size = 0

    @property
    def body(self) -> bytes:
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        self.status, self.headers = status, headers

    def feed(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > (self.limit if self.status < 300 else ERROR_BODY):
            self.too_large = self.settled = True
            return
        self._pieces.append(piece)

    def eof(self) -> None:
        self.settled = self.complete = True


class StreamReader:
    """Turns a streamed answer into chunks, queued in `chunks`.

    Settled by the first good chunk (one with content, reasoning, a tool call, a finish reason or usage), by an end or
    by an error. An error status, and an answer that turns out to be one JSON document, is kept as `document` instead.
    `failure` is what went wrong inside the stream. `ended` is true once nothing more will come; `complete` tells
    whether that was a proper end. `expects_document`: a whole answer was asked for, so it is no surprise.

    `wire` is what the provider speaks. For a caller who speaks another than chat, the queue holds the events of the
    `surface`: as they came where that is the wire, else as the surface's `Encoder` makes them of the chunks. `created`,
    Unix seconds, stands in for a creation time that the provider does not give.
    """

    def __init__(
        self,
        *,
        event_limit: int,
        body_limit: int,
        keep_usage_chunk: bool,
        expects_document: bool = False,
        wire: Wire | None = None,
        surface: Encoder | None = None,
        native: bool = False,
        created: int | None = None,
    ):
        self.settled = False
        self.ended = False
        self.complete = False
        self.good = False
        self.failure: Exception | None = None
        self.chunks: deque[Any] = deque()
        self.warnings: list[Warning] = []
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.document: BodyReader | None = None
        self._wire = wire or wire_named("openai_chat")
        self._read = self._wire.reader(self.warnings, created)
        self._created = created
        self._native = native
        self._told = None if surface is None else _Told(surface)
        # Chunks may skip their reader where they are all that is wanted, and their reader keeps nothing of them.
        self._moulds = surface is None and not native and self._wire.name == "openai_chat"
        self._assembler = Assembler()
        self._decoder = SSEDecoder(event_limit)
        self._limit = event_limit
        self._body_limit = body_limit
        self._keep_usage_chunk = keep_usage_chunk
        self._expects_document = expects_document
        self._start: bytes | None = b""
        self._held = 0
        self._mould: Mould | None = None
        self._in_vain = 0
        self._framed: Mould | None = None

    def partial(self) -> Completion:
        """The answer as far as it has arrived."""
        return self._assembler.completion()

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        self.status, self.headers = status, headers
        if not 200 <= status < 300:
            self._become_document(b"")

    def feed(self, piece: bytes) -> None:
        # A piece that is one whole event like the last: paced streams consist of these.
        framed = self._framed
        if framed is not None and len(piece) <= self._limit and (chunk := framed.cast(piece)) is not None:
            self._in_vain = 0
            self.chunks.append(chunk)
            return
        if self._start is not None:
            # The content type is not trusted: servers label streams as text/plain and documents as event streams.
            start = (self._start + piece).lstrip(b"\xef\xbb\xbf \t\r\n")
            if not start:
                self._start += piece
                return
            piece, self._start = self._start + piece, None
            if start[:1] in b"{[<":
                self._become_document(piece)
                return
        if self.document is not None:
            self.document.feed(piece)
            self.settled = self.ended = self.document.settled
            return
        if not self.ended:
            self._events(piece)

    def eof(self) -> None:
        if self.ended:
            return
        if self.document is not None:
            self.document.eof()
            if 200 <= self.status < 300:
                self._open_document(self.document.body)
        else:
            self.complete = self._assembler.finished
        self._finish()

    def _finish(self) -> None:
        if self.complete and self._told is not None:
            self.chunks.extend(self._told.end())
            self.warnings += [warning for warning in self._told.warnings if warning not in self.warnings]
        self.settled = self.ended = True

    def _become_document(self, start: bytes) -> None:
        self._start = None
        self.document = BodyReader(self._body_limit)
        self.document.head(self.status, self.headers)
        if start:
            self.document.feed(start)

    def _open_document(self, body: bytes) -> None:
        """A provider that answers a streaming call with a whole completion is served as a stream of one chunk."""
        try:
            completion, warnings = self._wire.parse(body, self._created)
        except (openai_chat.Unreadable, openai_chat.UpstreamError) as error:
            self.failure = error
            return
        self.warnings += warnings
        if not self._expects_document:
            self.warnings.append(_NOT_STREAMED)
        if self._native:  # there were no events, so they are made
            self._native, self._told = False, _Told(self._wire.encoder(None))
        self._take(openai_chat.as_chunk(completion), 0)
        self.complete = True

    def _events(self, piece: bytes) -> None:
        read = self._read
        try:
            for event in self._decoder.feed(piece):
                mould = self._mould if event.name is None else None
                if mould is not None and (chunk := mould.cast(event.data)) is not None:
                    self._in_vain = 0
                    self.chunks.append(chunk)
                    continue
                item = read(event)
                if self._native and not event.data.startswith(b"[DONE]"):
                    self.chunks.append(event)
                if item is None:
                    continue
                if isinstance(item, openai_chat.Done):
                    if not self._assembler.finished:
                        message = "the stream was announced to be at its end, without a finish reason"
                        self.warnings.append(Warning("no_finish_reason", None, message))
                    self.complete = True
                    self._finish()
                    self._mould = self._framed = None
                    return
                self._take(item, len(event.data))
                if self.good and self._moulds:
                    self._make_mould(event.data, item)
        except (openai_chat.Unreadable, openai_chat.UpstreamError, EventTooLarge) as error:
            self.failure = error
            self.settled = self.ended = True
            self._mould = None
        self._framed = None
        if self._mould is not None and self._decoder.at_rest:
            self._framed = self._mould.within(b"data: ", b"\n\n")

    def _make_mould(self, data: bytes, chunk: Chunk) -> None:
        self._mould = mould_of(data, chunk) if self._in_vain < IN_VAIN else None
        if self._mould is not None:
            self._in_vain += 1
            self._mould.texts = self._assembler.texts(chunk, self._mould.names)

    def _take(self, chunk: Chunk, size: int) -> None:
        self._assembler.add(chunk)
        if self._told is not None:
            self.chunks.extend(self._told.feed(chunk))
        elif not self._native and (self._keep_usage_chunk or chunk.choices or chunk.usage is None):
            self.chunks.append(chunk)
        if not self.good:
            self._held += size
            self.good = openai_chat.is_good(chunk)
            if self.good or self._held > HELD:
                self.settled = True


class _Told:
    """Chunks as the events of another surface."""

    def __init__(self, encoder: Encoder):
        self._encoder = encoder
        self._decoder = SSEDecoder()
        self.warnings = encoder.warnings

    def feed(self, chunk: Chunk) -> list[Event]:
        return self._decoder.feed(self._encoder.feed(chunk))

    def end(self) -> list[Event]:
        return self._decoder.feed(self._encoder.finish())
