"""What goes out: one answer for one request, whole or streamed, with the headers that every answer has."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import lru_cache
from math import ceil
from typing import Any

from quoth.gateway.exchange import Exchange
from quoth.gateway.idempotency import LARGEST, Claim, keeps
from quoth.gateway.problems import Problem, as_event, envelope
from quoth.wire.wires import Encoder

__all__ = ["Dialect", "Header", "Outgoing", "fitting", "measured"]

Header = tuple[bytes, bytes]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_JSON = (b"content-type", b"application/json")
_EVENTS: list[Header] = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]
# What is no better when it is tried again: the official clients ask this header.
_NO_RETRY = frozenset(
    {"upstream_auth", "upstream_tls", "bad_upstream_response", "upstream_insufficient_funds", "queue_timeout"}
)


# Seconds; a provider that asks for more patience is asked again after an hour all the same.
_LONGEST_HINT = 3600


class Dialect:
    """How one API says that something went wrong: as a body, and as the last event of a stream. `named`: the headers
    in which its clients look for the request's id."""

    __slots__ = ("as_event", "envelope", "named")

    def __init__(
        self,
        envelope: Callable[[Problem, str], bytes],
        as_event: Callable[[Problem, str, Encoder | None], bytes],
        named: tuple[bytes, ...] = (),
    ):
        self.envelope, self.as_event = envelope, as_event
        self.named = (b"x-request-id", b"x-litellm-call-id", *named)


OPENAI = Dialect(lambda problem, id: envelope(problem), lambda problem, id, speaker: as_event(problem))


class Outgoing:
    """`started`: the head is sent, so that nothing but events can follow. `sent_at`: when anything was last sent, on a
    monotonic clock; `busy`: something is being sent. `claim`: the right to execute this request, whose result is then
    recorded for those who ask for the same. `speaker` knows what the stream has said so far."""

    __slots__ = (
        "_tape",
        "_tape_headers",
        "_taped",
        "busy",
        "claim",
        "dialect",
        "ended",
        "send",
        "sent_at",
        "speaker",
        "started",
        "x",
    )

    def __init__(self, send: Send, x: Exchange, dialect: Dialect):
        self.send, self.x, self.dialect = send, x, dialect
        self.started = self.ended = self.busy = False
        self.sent_at = 0.0
        self.speaker: Encoder | None = None
        self.claim: Claim | None = None
        self._tape: list[bytes] = []
        self._taped = 0
        self._tape_headers: list[Header] = []

    def settle(self) -> None:
        """Everything is over: what was recorded is the result, if it is whole and one that is kept."""
        claim, self.claim = self.claim, None
        if claim is None:
            return
        x = self.x
        with claim:
            # A failure is a result only if somebody was asked: before that nothing was executed.
            good = not x.error if x.status < 300 else x.candidate is not None
            if self.ended and good and keeps(x.status):
                claim.settle(self.x.status, self._tape_headers, b"".join(self._tape))

    async def whole(self, status: int, headers: list[Header], body: bytes) -> None:
        """An answer that is not streamed. `headers` are taken over, and added to."""
        x, size = self.x, len(body)
        self.started = self.ended = True
        x.status, x.bytes_out, x.first_at = status, size, time.monotonic()
        if status != 204:
            headers.append((b"content-length", b"%d" % size))
        self._name(headers)
        if self.claim is not None:
            self._tape_headers, self._tape = headers, [body]
        send = self.send
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if x.method == "HEAD" else body})

    def json(self, body: bytes, headers: list[Header] | None = None, status: int = 200) -> Coroutine[Any, Any, None]:
        if headers is None:
            headers = []
        headers.append(_JSON)
        return self.whole(status, headers, body)

    async def begin(self, headers: list[Header]) -> None:
        """The head of a stream of events."""
        x = self.x
        self.started = True
        x.status = 200
        headers += _EVENTS
        self._name(headers)
        x.first_at = time.monotonic()
        if self.claim is not None:
            self._tape_headers = headers
        await self.send({"type": "http.response.start", "status": 200, "headers": headers})

    async def file(self, status: int, headers: list[Header]) -> None:
        """The head of a file whose pieces follow. It is not recorded; one that breaks off breaks the connection."""
        x = self.x
        self.started = True
        x.status = status
        headers.append((b"x-request-id", x.id.encode()))
        x.first_at = time.monotonic()
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    async def piece(self, data: bytes, more: bool = True) -> None:
        """Some whole events; nothing after one that is not `more`."""
        self.busy = True
        self.sent_at = time.monotonic()
        if self.claim is not None:
            self._record(data)
        await self.send({"type": "http.response.body", "body": data, "more_body": more})
        self.busy = False
        if not more:
            self.ended = True

    def _record(self, data: bytes) -> None:
        """Up to one piece more than is kept, so that the result is known to be too large."""
        if self._taped <= LARGEST:
            self._taped += len(data)
            self._tape.append(data)

    def _name(self, headers: list[Header]) -> None:
        id = self.x.id.encode()
        for name in self.dialect.named:
            headers.append((name, id))

    async def problem(self, problem: Problem, more: list[Header] | None = None) -> None:
        """The answer, or the last event of a stream that has begun."""
        if self.ended:
            return
        if self.started:
            await self.piece(self.dialect.as_event(problem, self.x.id, self.speaker), more=False)
            return
        headers = [*fitting(self.x), *(more or ())]
        if problem.retry_after is not None:
            headers.append((b"retry-after", str(min(_LONGEST_HINT, ceil(max(0.0, problem.retry_after)))).encode()))
        if problem.slug in _NO_RETRY:
            headers.append((b"x-should-retry", b"false"))
        if problem.hint:
            headers.append((b"x-quoth-hint", _header_text(problem.hint)))
        if problem.status in (408, 413, 431):
            headers.append((b"connection", b"close"))
        await self.json(self.dialect.envelope(problem, self.x.id), headers, problem.status)


def fitting(x: Exchange) -> list[Header]:
    """The headers that say what became of a call. What is not known is absent."""
    candidate = x.candidate
    if candidate is not None:
        target, wire = candidate.target, x.wire or candidate.target.wire
        headers = [*_served(target.row.name, target.model, wire, candidate.deployment.id, len(x.attempts), x.fallbacks)]
    else:
        headers = _counted(len(x.attempts), x.fallbacks)
    if x.warnings:
        codes = dict.fromkeys(warning.code for warning in x.warnings)
        headers.append((b"x-quoth-warnings", ",".join(codes).encode()))
    if x.place:
        headers.append((b"x-quoth-queue-place", str(x.place).encode()))
    if x.waited:
        headers.append((b"x-quoth-queue-wait-ms", f"{x.waited * 1e3:.0f}".encode()))
    return headers


# Beside ours go the headers of LiteLLM's proxy that programs read: the same facts under its names.


def _counted(attempts: int, fallbacks: int) -> list[Header]:
    if not attempts:
        return []
    return [
        (b"x-quoth-attempts", b"%d" % attempts),
        (b"x-litellm-attempted-retries", b"%d" % max(0, attempts - 1 - fallbacks)),
        (b"x-litellm-attempted-fallbacks", b"%d" % fallbacks),
    ]


@lru_cache(maxsize=4096)
def _served(provider: str, model: str, wire: str, deployment: str, attempts: int, fallbacks: int) -> tuple[Header, ...]:
    return (
        *_counted(attempts, fallbacks),
        (b"x-quoth-model", _header_text(f"{provider}/{model}")),
        (b"x-quoth-wire", _header_text(wire)),
        (b"x-litellm-model-id", _header_text(deployment)),
    )


def measured(x: Exchange, now: float) -> list[Header]:
    """What only an answer as a whole can say of itself: its cost, and the milliseconds that were the gateway's own."""
    overhead = b"%.3f" % ((now - x.started - x.upstream_seconds) * 1e3)
    headers = [(b"x-quoth-overhead-ms", overhead), (b"x-litellm-overhead-duration-ms", overhead)]
    if x.cost is not None and x.cost.usd is not None:
        cost = f"{x.cost.usd:f}".encode()
        headers += [(b"x-quoth-cost-usd", cost), (b"x-litellm-response-cost", cost)]
    return headers


def _header_text(text: str) -> bytes:
    return "".join(char if " " <= char <= "~" else "?" for char in text)[:1000].encode("ascii")
