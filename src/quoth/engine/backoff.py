"""When to try again, and when to stop trying: waits, and a budget that keeps retries from making an outage worse."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

__all__ = ["LONGEST_RETRY_AFTER", "RetryBudget", "delay"]

LONGEST_RETRY_AFTER = 60.0
_BASE, _LONGEST = 0.25, 8.0
_WINDOW = 10.0


def delay(retry: int, retry_after: float | None, random: Callable[[], float]) -> float | None:
    """Seconds to wait before retry number `retry` (from 0): 0.25 x 2^n up to 8, half of it jitter; a Retry-After up to
    60 s is obeyed instead, None means that it asks for longer."""
    if retry_after is not None:
        return retry_after if retry_after <= LONGEST_RETRY_AFTER else None
    longest: float = min(_LONGEST, _BASE * 2 ** min(retry, 9))
    return longest * (0.5 + 0.5 * random())


class RetryBudget:
    """Retries may add 20 % to the calls of the last ten seconds, plus ten a second: in an outage they stay a fraction.

    Under threads the counts may be off by a few, which does not matter. Source: Finagle's retry budgets.
    """

    def __init__(self, now: Callable[[], float], share: float = 0.2, per_second: float = 10.0):
        self._now = now
        self._share = share
        self._per_second = per_second
        self._calls: deque[float] = deque(maxlen=100_000)
        self._retries: deque[float] = deque(maxlen=100_000)

    def call(self) -> None:
        """A call begins."""
        self._calls.append(self._now())

    def allow(self) -> bool:
        """True, and one retry less to spend; False when the budget is used up."""
        start = self._now() - _WINDOW
        for times in (self._calls, self._retries):
            while times and times[0] < start:
                times.popleft()
        if len(self._retries) >= self._share * len(self._calls) + self._per_second * _WINDOW:
            return False
        self._retries.append(self._now())
        return True
