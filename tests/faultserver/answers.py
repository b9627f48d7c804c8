"""Ready-made answers, and the ways in which an answer can be wrong.

An `Answer` is a step: it reads the request (unless the script has), sends itself, and leaves the connection as its
framing says. Its methods return a changed answer, or `Pieces` where the change is one of bytes on the wire.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from itertools import pairwise
from typing import Any, ClassVar, Literal

from tests.faultserver.connection import Connection
from tests.faultserver.steps import Pieces, in_pieces

__all__ = [
    "USAGE",
    "Answer",
    "answer",
    "chat",
    "delta",
    "error",
    "event",
    "giant_line",
    "gzip_bomb",
    "head_only",
    "html",
    "sse",
]

Framing = Literal["length", "chunked", "close"]

USAGE: Mapping[str, int] = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers and body, and how they are framed. Each part of `body` is a chunk if chunked.

    `length` is the Content-Length that is claimed: by default the true one where `framing` is "length". `bad_chunk` is
    the index of the chunk whose size is no number. `interim` are the 1xx statuses sent before. With `every`, the head
    and each part are writes of their own, so many seconds apart; otherwise all is one write.
    """

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: tuple[bytes, ...] = ()
    framing: Framing = "length"
    length: int | None = None
    bad_chunk: int | None = None
    interim: tuple[int, ...] = ()
    every: float = 0.0
    reads: ClassVar[bool] = True

    async def __call__(self, connection: Connection) -> None:
        await self._from(0)(connection)

    # What it is on the wire.

    @property
    def writes(self) -> tuple[bytes, ...]:
        """The head, each part of the body, and the last chunk if there is one."""
        if self.framing != "chunked":
            return (self._head, *self.body)
        sizes = [b"zz" if index == self.bad_chunk else b"%x" % len(part) for index, part in enumerate(self.body)]
        chunks = [b"%b\r\n%b\r\n" % (size, part) for size, part in zip(sizes, self.body, strict=True)]
        return (self._head, *chunks, b"0\r\n\r\n")

    @property
    def raw(self) -> bytes:
        return b"".join(self.writes)

    @property
    def _head(self) -> bytes:
        headers = list(self.headers)
        length = sum(map(len, self.body)) if self.length is None and self.framing == "length" else self.length
        if length is not None:
            headers.append(("content-length", str(length)))
        if self.framing == "chunked":
            headers.append(("transfer-encoding", "chunked"))
        if self.framing == "close":
            headers.append(("connection", "close"))
        lines = [_status_line(self.status), *(f"{name}: {value}" for name, value in headers)]
        heads = [*([_status_line(status)] for status in self.interim), lines]
        return "".join("\r\n".join(head) + "\r\n\r\n" for head in heads).encode("latin-1")

    def _pieces(self, *pieces: bytes) -> Pieces:
        return Pieces(pieces, self.every, "close" if self.framing == "close" else "next")

    # The same answer, otherwise.

    def headed(self, **headers: str) -> Answer:
        """With these headers, underscores standing for hyphens, in place of those of the same name."""
        new = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers=(*(header for header in self.headers if header[0] not in new), *new.items()))

    def typed(self, content_type: str) -> Answer:
        return self.headed(content_type=content_type)

    def framed(self, framing: Framing) -> Answer:
        return replace(self, framing=framing)

    def paced(self, every: float) -> Answer:
        """With a pause of `every` seconds between the head and each part of the body."""
        return replace(self, every=every)

    def gzipped(self, keep: int | None = None) -> Answer:
        """Compressed, each part flushed as a stream needs it; with `keep`, cut after so many compressed bytes."""
        packer = zlib.compressobj(wbits=31)
        parts = [packer.compress(part) + packer.flush(zlib.Z_SYNC_FLUSH) for part in self.body] + [packer.flush()]
        body = tuple(parts) if keep is None else (b"".join(parts)[:keep],)
        return replace(self.headed(content_encoding="gzip"), body=body)

    # The same answer, wrong.

    def claiming(self, length: int) -> Answer:
        """With this Content-Length, true or not, beside the framing that it has."""
        return replace(self, length=length)

    def with_bad_chunk(self, index: int = 0) -> Answer:
        """Chunked, with a chunk whose size is not a number."""
        return replace(self, framing="chunked", bad_chunk=index)

    def after(self, *interim: int) -> Answer:
        """After these 1xx heads."""
        return replace(self, interim=interim)

    # The same bytes, cut up.

    def cut(self, at: int) -> Pieces:
        """The first `at` bytes on the wire, or all but the last `-at`; say what comes then: Stall, Close, Reset."""
        return Pieces((self.raw[:at],))

    def split(self, *at: int, every: float = 0.002) -> Pieces:
        """All of it, split at these offsets, in writes `every` seconds apart."""
        raw = self.raw
        pieces = (raw[start:end] for start, end in pairwise((0, *at, None)))
        return replace(self._pieces(*pieces), every=every)

    def dripped(self, every: float = 0.0005, size: int = 1) -> Pieces:
        """All of it, `size` bytes every `every` seconds."""
        return replace(self._pieces(*in_pieces(self.raw, size)), every=every)

    def first(self, parts: int) -> Pieces:
        """The head and the first parts of the body; more steps follow."""
        return Pieces(self.writes[: 1 + parts], self.every)

    def rest(self, parts: int) -> Pieces:
        """What `first(parts)` left out."""
        return self._from(1 + parts)

    def _from(self, write: int) -> Pieces:
        pieces = list(self.writes[write:])
        # The last chunk travels with the last part: many a client leaves at `[DONE]`, and that is not a disconnect.
        if self.framing == "chunked" and len(pieces) > 1:
            pieces[-2:] = [pieces[-2] + pieces[-1]]
        return self._pieces(*pieces)


def answer(body: bytes | str | Mapping[str, Any], status: int = 200, content_type: str = "application/json") -> Answer:
    """Any body: bytes or text as they are, a mapping as JSON."""
    return Answer(status, (("content-type", content_type),), (_encoded(body),))


def chat(
    content: str | None = "ok",
    *,
    usage: Mapping[str, Any] | None = USAGE,
    finish_reason: str | None = "stop",
    **message: Any,
) -> Answer:
    """A whole chat completion. Further keywords go into the message: `tool_calls=[...]`, `reasoning_content="..."`."""
    said = {"role": "assistant", "content": content, **message}
    choice = {"index": 0, "message": said, "finish_reason": finish_reason}
    return answer(_completion("chat.completion", [choice], usage))


def sse(
    *chunks: str | bytes | Mapping[str, Any],
    finish_reason: str | None = "stop",
    usage: Mapping[str, Any] | None = USAGE,
    done: bool = True,
    newline: bytes = b"\n",
) -> Answer:
    """A streamed chat completion, chunked, one event a chunk.

    A text is a delta of content, a mapping is an event's JSON as it is (see `delta`), bytes are the stream's bytes as
    they are. A chunk with the finish reason, one with the usage and `[DONE]` follow unless they are None, None, False.
    """
    parts: list[str | bytes | Mapping[str, Any]] = [*chunks]
    if finish_reason is not None:
        parts.append(delta(finish_reason=finish_reason))
    if usage is not None:
        parts.append(_completion("chat.completion.chunk", [], usage))
    if done:
        parts.append(event(b"[DONE]", newline=newline))
    body = tuple(_streamed(part, newline) for part in parts)
    return Answer(headers=(("content-type", "text/event-stream"),), body=body, framing="chunked")


def delta(content: str | None = None, *, finish_reason: str | None = None, **fields: Any) -> dict[str, Any]:
    """One chunk's JSON. Further keywords go into the delta: `tool_calls=[...]`, `role="assistant"`."""
    given = fields if content is None else {"content": content, **fields}
    return _completion("chat.completion.chunk", [{"index": 0, "delta": given, "finish_reason": finish_reason}], None)


def event(data: bytes | str | Mapping[str, Any], name: str | None = None, newline: bytes = b"\n") -> bytes:
    """One server-sent event of one line of data, with its `event:` field if it has a name."""
    field = b"" if name is None else b"event: " + name.encode() + newline
    return field + b"data: " + _encoded(data) + newline + newline


def error(status: int, message: str = "a fault", *, headers: Mapping[str, str] | None = None, **fields: Any) -> Answer:
    """An error in OpenAI's shape. Further keywords go into the error: `type="rate_limit_error"`, `code="..."`."""
    given = answer({"error": {"message": message, "type": "fault", **fields}}, status)
    return replace(given, headers=(*given.headers, *(headers or {}).items()))


def html(status: int = 502) -> Answer:
    """The page that a proxy in between shows when it has no answer."""
    title = HTTPStatus(status).phrase
    page = f"<html><head><title>{status} {title}</title></head><body><h1>{status} {title}</h1></body></html>\r\n"
    return answer(page, status, "text/html; charset=utf-8")


def head_only(status: int = 200, content_type: str = "text/event-stream") -> Pieces:
    """A head that promises a chunked body, and nothing more."""
    return Answer(status, (("content-type", content_type),), framing="chunked").first(0)


def giant_line(megabytes: int) -> Answer:
    """A stream whose one delta is a line of so many MiB."""
    return sse("x" * (megabytes << 20))


def gzip_bomb(megabytes: int) -> Answer:
    """JSON that is about a thousandth of its true size on the wire."""
    packed = gzip.compress(b'{"x": "%b"}' % (b"0" * (megabytes << 20)), compresslevel=9)
    return answer(packed).headed(content_encoding="gzip")


def _completion(kind: str, choices: list[dict[str, Any]], usage: Mapping[str, Any] | None) -> dict[str, Any]:
    body = {
        "id": "chatcmpl-fault",
        "object": kind,
        "created": 1_700_000_000,
        "model": "fault-model",
        "choices": choices,
    }
    return body if usage is None else {**body, "usage": dict(usage)}


def _encoded(body: bytes | str | Mapping[str, Any]) -> bytes:
    if isinstance(body, bytes):
        return body
    # Not ASCII only: code points of several bytes are what a split can break.
    return (body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)).encode()


def _streamed(part: str | bytes | Mapping[str, Any], newline: bytes) -> bytes:
    return part if isinstance(part, bytes) else event(delta(part) if isinstance(part, str) else part, newline=newline)


def _status_line(status: int) -> str:
    reason = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Unassigned"
    return f"HTTP/1.1 {status} {reason}"
