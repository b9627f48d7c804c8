"""One request to one target, until it is answered or not worth another try."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct, field

from quoth import errors
from quoth.call import Target, Timeouts, WireRequest
from quoth.engine.backoff import RetryBudget, delay
from quoth.engine.effects import Failed, Flow, Open, Opened, Sleep, World
from quoth.engine.reading import BodyReader, StreamReader
from quoth.types import Attempt

__all__ = ["Policy", "attempted", "limits_of", "retrying", "stale"]

R = TypeVar("R", bound=BodyReader | StreamReader)
T = TypeVar("T")

MIB = 1024 * 1024
_TEXT = Timeouts(connect=5.0, first=120.0, idle=60.0, total=600.0)
_MEDIA = Timeouts(connect=5.0, first=900.0, idle=900.0, total=1800.0)
# With another target at hand nobody waits longer than this for the same one.
_PATIENCE = 1.0


class Policy(Struct, frozen=True):
    """How much is tried. Sizes are bytes."""

    num_retries: int = 2
    timeouts: Timeouts = field(default_factory=Timeouts)
    request_limit: int = 64 * MIB
    answer_limit: int = 512 * MIB
    event_limit: int = 16 * MIB


class _Limits(Struct, frozen=True):
    connect: float
    first: float
    idle: float
    total: float


def limits_of(given: Timeouts, *, streaming: bool, makes_media: bool = False) -> _Limits:
    """All four limits as numbers; none is longer than the total."""
    default = _MEDIA if makes_media else _TEXT
    total = given.total if given.total is not None else default.total
    assert total is not None

    def limit(own: float | None, other: float | None) -> float:
        value = other if own is None else own
        return total if value is None else min(total, value)

    # An answer that is not streamed comes when it is done: unless told otherwise, only the total bounds the wait.
    first = limit(given.first, default.first if streaming else None)
    idle = limit(given.idle, default.idle if streaming else None)
    return _Limits(limit(given.connect, default.connect), first, idle, total)


def retrying(
    target: Target,
    request: WireRequest,
    new_reader: Callable[[], R],
    interpret: Callable[[Opened | Failed, R], T],
    *,
    limits: _Limits,
    num_retries: int,
    world: World,
    budget: RetryBudget,
    attempts: list[Attempt],
    last_target: bool = True,
) -> Flow[T]:
    """What `interpret` makes of the first answer that is none of its errors. Raises its last error."""
    end = world.now() + limits.total
    retry = 0
    stale_once = False
    while True:
        reader = new_reader()
        begun = world.now()
        outcome = yield Open(request, reader, connect=limits.connect, first=limits.first, idle=limits.idle, end=end)
        try:
            result = interpret(outcome, reader)
        except errors.QuothError as failed:
            error = failed
        else:
            attempts.append(attempted(target, reader.status, world.now() - begun, None))
            return result
        attempts.append(attempted(target, reader.status, world.now() - begun, error))
        if isinstance(outcome, Failed) and stale(outcome, reader.status) and error.retryable and not stale_once:
            stale_once = True
            continue
        wait = delay(retry, error.retry_after, world.random)
        if (
            not error.retryable
            or retry >= num_retries
            or wait is None
            or world.now() + wait >= end
            or (error.retry_after is not None and wait > _PATIENCE and not last_target)
            or not budget.allow()
        ):
            try:
                raise error
            finally:
                del error  # see `answer`: a traceback must not hold itself
        yield Sleep(wait)
        retry += 1


def stale(outcome: Failed, status: int) -> bool:
    """The server had closed an idle connection just as it was used again: no failed attempt, and the next one is
    free."""
    return outcome.reused and outcome.kind == "read" and not status


def attempted(target: Target, status: int, seconds: float, error: errors.QuothError | None) -> Attempt:
    """The record of one try."""
    if error is None:
        return Attempt(target.row.name, target.model, target.wire, seconds, status or None)
    name = type(error).__name__
    return Attempt(target.row.name, target.model, target.wire, seconds, status or None, name, error.message)
