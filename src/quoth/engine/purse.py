"""What the engine asks before it spends: a purse that reserves the most a request can cost, and takes the rest back.

Every attempt is reserved on its own, since each may be charged, and settled exactly once whatever becomes of it. An
attempt that is known to cost nothing gives everything back; one that may have been charged without saying what keeps
all that was reserved, so that a cap holds also for answers that nobody waited for.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Protocol, TypeVar

from quoth import errors
from quoth.call import Target
from quoth.engine.effects import Failed, Opened
from quoth.engine.reading import BodyReader, StreamReader
from quoth.providers.costs import Most, most_of

__all__ = ["Purse", "Reservation", "Tab"]

R = TypeVar("R", bound=BodyReader | StreamReader)
T = TypeVar("T")

_NEVER_SENT = ("connect", "dns", "tls", "proxy", "fork", "write")


class Reservation(Protocol):
    def settle(self, usd: Decimal | None) -> None:
        """What it cost in the end; None: not known, so all that was reserved. Only the first time counts."""


class Purse(Protocol):
    def reserve(self, target: Target, most: Most) -> Reservation:
        """Raises BudgetExceededError when there is no room, or when nobody knows how much room it takes."""


class Tab:
    """The reservations of one call at one target, attempt after attempt. Without a purse it does nothing."""

    def __init__(self, purse: Purse | None, target: Target, body: dict[str, Any]):
        self._purse, self._target = purse, target
        self._most = most_of(target, body) if purse is not None else None
        self.reservation: Reservation | None = None

    def before(self, new_reader: Callable[[], R]) -> Callable[[], R]:
        """The same function; called before each attempt, it reserves first."""
        purse, most = self._purse, self._most
        if purse is None or most is None:
            return new_reader

        def reserving() -> R:
            self.reservation = purse.reserve(self._target, most)
            return new_reader()

        return reserving

    def after(self, interpret: Callable[[Opened | Failed, R], T]) -> Callable[[Opened | Failed, R], T]:
        """The same function; when it finds an error, the attempt is settled."""
        if self._purse is None:
            return interpret

        def settling(outcome: Opened | Failed, reader: R) -> T:
            try:
                return interpret(outcome, reader)
            except errors.QuothError as error:
                self.settle(None if _may_be_charged(outcome, reader.status, error) else Decimal(0))
                raise

        return settling

    def settle(self, usd: Decimal | None) -> None:
        if self.reservation is not None:
            self.reservation.settle(usd)
            self.reservation = None


def _may_be_charged(outcome: Opened | Failed, status: int, error: errors.QuothError) -> bool:
    """False when nothing was sent whole, when a closed connection was used again, and when the provider said no."""
    if status >= 300:
        return False
    if isinstance(outcome, Failed):
        stale = outcome.reused and outcome.kind == "read" and not status
        return not (stale or outcome.kind in _NEVER_SENT or outcome.deadline == "connect")
    return isinstance(error, errors.APIConnectionError) or error.code == "bad_upstream_response"
