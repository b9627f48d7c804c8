"""What a soak is made of: an upstream that is fast and fails as each request asks, and clients that come in their
thousands, some of whom leave.

`python -m tests.gateway.soaking` is the upstream: it prints its port, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import socket
import struct
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["KINDS", "Crowd", "Kind"]

LONG = 60.0


def _http(status: int, body: bytes, content_type: str = "application/json", more: str = "") -> bytes:
    head = f"HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


def _event(delta: dict[str, Any], reason: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": [choice], **more}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _chunks(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


_USAGE = {"prompt_tokens": 7, "completion_tokens": 8, "total_tokens": 15}
_WHOLE = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "up",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "12345678"}, "finish_reason": "stop"}],
    "usage": _USAGE,
}
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_EVENTS = [_event({"content": digit}) for digit in "12345678"]
_LAST = [_event({}, "stop"), b'data: {"choices":[],"usage":%b}\n\n' % json.dumps(_USAGE).encode(), b"data: [DONE]\n\n"]
_ERROR = json.dumps({"error": {"message": "a fault", "type": "fault", "code": None}}).encode()

# What the upstream sends, and what it does with the connection then: go on, close, reset, or wait for the client.
_DOES: dict[str, tuple[bytes, bytes, str]] = {
    "ok": (_http(200, json.dumps(_WHOLE).encode()), _HEAD + _chunks(*_EVENTS, *_LAST) + b"0\r\n\r\n", "next"),
    "500": (_http(500, _ERROR), _http(500, _ERROR), "next"),
    "429": (_http(429, _ERROR), _http(429, _ERROR), "next"),
    "garbage": (_http(200, b"<html>", "text/html"), _http(200, b"<html>", "text/html"), "next"),
    "closed": (b"", b"", "close"),
    "reset": (b"", b"", "reset"),
    "cut": (_http(200, json.dumps(_WHOLE).encode())[:-5], _HEAD + _chunks(*_EVENTS[:3]), "close"),
    "late": (b"", _HEAD + _chunks(*_EVENTS[:3]), "wait"),
}


class _Upstream(asyncio.Protocol):
    def __init__(self) -> None:
        self.buffer = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while True:
            head, found, rest = self.buffer.partition(b"\r\n\r\n")
            if not found:
                return
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            if len(rest) < length:
                return
            self.buffer = rest[length:]
            self.answer(rest[:length])

    def answer(self, body: bytes) -> None:
        asked = body.partition(b'"x_do":')[2].partition(b'"')[2].partition(b'"')[0].decode()
        whole, streamed, then = _DOES[asked]
        answer = streamed if b'"stream":true' in body.replace(b" ", b"") else whole
        if answer:
            self.transport.write(answer)
        if then == "close":
            self.transport.close()
        elif then == "reset":
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()


async def _upstream() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Upstream, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


@dataclass(frozen=True)
class Kind:
    """One kind of request. `share`: of 1000. `status`: what its answer has; `done`: whether its stream ends well.
    `leaves`: the client goes away instead of reading on."""

    does: str
    stream: bool
    share: int
    status: int = 200
    done: bool = True
    leaves: bool = False


KINDS = (
    Kind("ok", False, 460),
    Kind("ok", True, 440),
    # Faults: 5 %.
    *(Kind("500", stream, 5, 500) for stream in (False, True)),
    *(Kind("429", stream, 5, 429) for stream in (False, True)),
    *(Kind(does, stream, 4, 502) for does in ("garbage", "closed", "reset") for stream in (False, True)),
    Kind("cut", False, 3, 502),
    Kind("cut", True, 3, done=False),
    # Clients that leave: before the answer, in the midst of a stream.
    Kind("late", False, 25, leaves=True),
    Kind("late", True, 15, leaves=True),
    Kind("ok", True, 10, leaves=True),
)


@dataclass
class Crowd:
    """So many clients at once, each with a connection of its own, that make requests until `count` have been made."""

    host: str
    port: int
    key: str
    at_once: int = 32
    seed: int = 1
    made: Counter[Kind] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)

    async def come(self, count: int, told: Callable[[int], None] = lambda number: None) -> None:
        """Make so many requests more. `told` hears of every one that is over."""
        random_ = random.Random(self.seed)
        kinds = random_.choices(KINDS, [kind.share for kind in KINDS], k=count)
        self.seed += 1
        rest = iter(kinds)
        over = itertools.count(1)
        async with asyncio.TaskGroup() as group:
            for _ in range(self.at_once):
                group.create_task(self._client(rest, lambda: told(next(over))))

    async def _client(self, rest: Any, told: Callable[[], None]) -> None:
        pair: Any = None
        for kind in rest:
            if pair is None:
                pair = await asyncio.open_connection(self.host, self.port)
            try:
                async with asyncio.timeout(LONG):
                    stays = await self._ask(kind, *pair)
            except (OSError, EOFError, TimeoutError) as error:
                self.wrong[f"{kind}: {type(error).__name__}"] += 1
                stays = False
            self.made[kind] += 1
            if not stays:
                pair[1].close()
                pair = None
            told()
        if pair is not None:
            pair[1].close()

    async def _ask(self, kind: Kind, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection serves again."""
        body = b'{"model":"m","x_do":"%b","stream":%b,"messages":[{"role":"user","content":"hello"}]}' % (
            kind.does.encode(),
            b"true" if kind.stream else b"false",
        )
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\n"
            b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (self.key.encode(), len(body), body)
        )
        if kind.leaves and not kind.stream:
            await asyncio.sleep(0.005)
            return False
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        if kind.leaves:
            await reader.read(100)
            return False
        head = head.lower()
        if b"transfer-encoding: chunked" in head:
            answer = await reader.readuntil(b"0\r\n\r\n")
        else:
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
            answer = await reader.readexactly(length)
        self._judge(kind, status, answer)
        return b"connection: close" not in head

    def _judge(self, kind: Kind, status: int, answer: bytes) -> None:
        if status != kind.status:
            self.wrong[f"{kind}: {status} {answer[:200]!r}"] += 1
        elif status == 200:
            if kind.stream:
                good = [answer.find(b'"content": "%d"' % n) for n in range(1, 9 if kind.done else 4)]
                ordered = good == sorted(good) and good[0] > 0
                ends = answer.count(b"data: [DONE]") == kind.done and (b"stream_interrupted" in answer) != kind.done
            else:
                ordered, ends = b'"12345678"' in answer, True
            if not (ordered and ends):
                self.wrong[f"{kind}: {answer[-200:]!r}"] += 1


if __name__ == "__main__":
    asyncio.run(_upstream())
