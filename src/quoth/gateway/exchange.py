"""One request on its way through the gateway: what is known of it so far, for whoever watches.

The application makes an Exchange when a request has come, fills it on the way, and shows it to the observers (metrics,
log, traces, hooks) exactly once, when everything is over: `observer.over(exchange)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from quoth.engine.routing.candidates import Candidate
from quoth.types import Attempt, Cost, Warning
from quoth.wire.observe import Tokens

__all__ = ["ANYBODY", "Caller", "Exchange", "Tokens"]


class Caller:
    """Who calls, once authenticated. `id` is a stable name of the key that is safe to show ("master"), never the key;
    answers are cached and lines are fair per `id`."""

    __slots__ = ("id", "is_master")

    def __init__(self, id: str, *, is_master: bool = False):
        self.id = id
        self.is_master = is_master


ANYBODY = Caller("anybody", is_master=True)


class Exchange(Struct, eq=False):
    """`surface`: which API was called ("chat", "completions", "embeddings", "models", "health", ...). `route`: the
    route as its template, never a path that a caller made up. `model`: the name that the caller sent; `known_model`
    the same if it is a model here, else "". `started`, `first_at`, `ended` are seconds on a monotonic clock, `first_at`
    when the first byte of the answer left; `upstream_seconds` the time that was spent waiting for providers, lines
    included. `status` is the HTTP status that the client got, `error` the slug of what went wrong, "" for nothing;
    `left`: the client went away. `headers` are the request's, names in lower case, `query` is its query string.
    `request` and `answer` hold texts only where a hook asked for them. `trace`: headers by which a provider's trace
    goes on from here.
    """

    id: str
    method: str
    route: str
    surface: str
    headers: Mapping[bytes, bytes]
    started: float
    client: str | None = None
    query: bytes = b""
    caller: Caller | None = None
    model: str = ""
    known_model: str = ""
    stream: bool = False
    wire: str = ""
    tags: tuple[str, ...] = ()
    candidate: Candidate | None = None
    attempts: list[Attempt] = []
    fallbacks: int = 0
    place: int = 0
    waited: float = 0.0
    estimated: int = 0  # tokens that were counted in advance
    warnings: list[Warning] = []
    status: int = 0
    error: str = ""
    message: str = ""
    left: bool = False
    cache_hit: bool = False
    finish_reason: str | None = None
    tokens: Tokens | None = None
    cost: Cost | None = None
    first_at: float = 0.0
    ended: float = 0.0
    upstream_seconds: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0
    request: dict[str, Any] | None = None
    answer: Any = None
    notes: dict[str, Any] | None = None
    trace: Mapping[str, str] | None = None

    @property
    def overhead(self) -> float:
        """Seconds that were the gateway's own: of a whole answer all but the waiting for providers, of a stream what
        of that was before its first byte; how fast the rest goes is up to the provider and the caller's reading."""
        until = self.first_at if self.stream and self.first_at else self.ended
        seconds = until - self.started - self.upstream_seconds
        return seconds if seconds > 0.0 else 0.0
