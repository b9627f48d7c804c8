"""What a flow asks of its driver, and what it is told in return.

A flow is a generator: it yields effects, is sent their outcomes, and returns its result. The driver performs an Open by
handing the answer's bytes to the `reader` until that is settled; which bytes settle it is the reader's decision, not
the driver's.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from datetime import datetime
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

from msgspec import Struct

from quoth.call import WireRequest

__all__ = ["Effect", "Failed", "Flow", "Open", "Opened", "Reader", "Sleep", "Together", "World"]

T = TypeVar("T")

Phase = Literal["connect", "send", "first", "idle"]


class Reader(Protocol):
    """Takes an answer as it arrives. `settled` turns true when the driver should stop reading and report."""

    settled: bool

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """The status and the headers, names in lower case."""

    def feed(self, piece: bytes) -> None: ...

    def eof(self) -> None: ...


class Open(Struct, frozen=True):
    """Send a request and read until the reader is settled.

    `connect`, `first` and `idle` are seconds for their phase; `end` is a moment on the driver's clock after which
    nothing goes on.
    """

    request: WireRequest
    reader: Reader
    connect: float
    first: float
    idle: float
    end: float


class Sleep(Struct, frozen=True):
    seconds: float


class Together(Struct, frozen=True):
    """Run several flows, at most `at_once` at a time; answered by their results, in order. The first to fail ends them
    all."""

    flows: list[Flow[Any]]
    at_once: int = 16


class Opened(Struct, frozen=True):
    """The reader is settled. `reply` is the driver's handle on the connection, closed by then unless the stream goes
    on."""

    reply: Any


class Failed(Struct, frozen=True):
    """No answer, or half of one.

    `kind`: connect, dns, tls, proxy, timeout, read, write, protocol, fork. `phase`: what was under way. `reused`: the
    connection had served an earlier request, so that its end may be no more than a stale keep-alive. `deadline`: which
    limit a timeout hit.
    """

    kind: str
    message: str
    phase: Phase = "connect"
    reused: bool = False
    deadline: str | None = None


Effect: TypeAlias = Open | Sleep | Together
Flow: TypeAlias = Generator[Effect, Any, T]


class World(Struct, frozen=True):
    """What the engine would otherwise have to reach out for: a monotonic clock in seconds, the date, a random number in
    [0, 1)."""

    now: Callable[[], float]
    today: Callable[[], datetime]
    random: Callable[[], float]
