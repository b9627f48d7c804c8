"""The logger "quoth" of the standard library: silent by default; QUOTH_LOG=debug writes a line per attempt to stderr.

A line says who was called, how it ended and how long it took. It never holds a prompt, an answer or a key.
"""

from __future__ import annotations

import logging
from typing import Protocol, TypeVar

from quoth.engine.effects import Flow
from quoth.errors import QuothError
from quoth.transport.environment import environment
from quoth.types import Attempt, Trace

__all__ = ["noted"]

logger = logging.getLogger("quoth")
logger.addHandler(logging.NullHandler())


class _Answered(Protocol):
    trace: Trace


A = TypeVar("A", bound=_Answered)


def noted(flow: Flow[A]) -> Flow[A]:
    """The same flow, its end noted in the log."""
    try:
        answer = yield from flow
    except QuothError as error:
        _note(error.attempts, error.request_id, error)
        raise
    _note(answer.trace.attempts, answer.trace.request_id)
    return answer


def _note(attempts: list[Attempt], request_id: str | None, error: QuothError | None = None) -> None:
    _obey_environment()
    if not logger.isEnabledFor(logging.DEBUG):
        return
    for attempt in attempts:
        logger.debug(
            "%s/%s %s in %.3f s%s",
            attempt.provider,
            attempt.model,
            attempt.status_code or "no answer"
            if attempt.error is None
            else f"{attempt.status_code or ''} {attempt.error}",
            attempt.seconds,
            f" (request {request_id})" if request_id else "",
        )
    if error is not None:
        logger.debug("gave up with %s; attempts: %d", type(error).__name__, len(attempts))


def _obey_environment() -> None:
    wanted = environment().get("QUOTH_LOG", "").strip().upper()
    if not wanted or any(getattr(handler, "quoth", False) for handler in logger.handlers):
        return
    level = logging.getLevelName(wanted)
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    handler.quoth = True  # type: ignore[attr-defined]
    logger.addHandler(handler)
    logger.setLevel(level if isinstance(level, int) else logging.DEBUG)
