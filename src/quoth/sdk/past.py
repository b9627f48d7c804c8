"""What this process was answered, as long as somebody still holds the answer: so that its true cost can be added
later."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from quoth.call import Target
from quoth.engine.effects import World
from quoth.types import Trace

__all__ = ["past", "remember", "remember_trace"]

_KEPT = 10_000
_past: deque[tuple[weakref.ref[Trace], Target]] = deque(maxlen=_KEPT)


class _Answered(Protocol):
    target: Target
    trace: Trace


A = TypeVar("A", bound=_Answered)


def remember(answer: A, world: World) -> A:
    """The same answer. Only Poe has a history to look it up in, so the others are not kept."""
    if answer.target.provider == "poe":
        remember_trace(answer.trace, answer.target, world.today())
    return answer


def remember_trace(trace: Trace, target: Target, ended: datetime) -> None:
    """The same for an answer of Poe that came another way."""
    trace.started = ended - timedelta(seconds=trace.seconds or 0.0)
    _past.append((weakref.ref(trace), target))


def past() -> Iterator[tuple[Trace, Target]]:
    """The answers that somebody still holds, oldest first."""
    for reference, target in list(_past):
        trace = reference()
        if trace is not None:
            yield trace, target
