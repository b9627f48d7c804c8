"""When to try again, and when to stop trying: waits, and a budget that keeps retries from making an outage worse."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

__all__ = ["LONGEST_RETRY_AFTER", "RetryBudget", "delay"]

LONGEST_RETRY_AFTER = 60.0
_BASE, _LONGEST = 0.25, 8.0
_WINDOW = 10.0
_STEPS = 10  # a second


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
        self._calls = _Lately()
        self._retries = _Lately()

    def call(self) -> None:
        """A call begins."""
        self._calls.add(self._now())

    def allow(self) -> bool:
        """True, and one retry less to spend; False when the budget is used up."""
        now = self._now()
        if self._retries.count(now) >= self._share * self._calls.count(now) + self._per_second * _WINDOW:
            return False
        self._retries.add(now)
        return True


class _Lately:
    """How often something happened in the last ten seconds, to a tenth of a second: as much memory for a million times
    as for one."""

    __slots__ = ("_count", "_step", "_steps")

    def __init__(self) -> None:
        self._step = self._count = 0
        self._steps: deque[tuple[int, int]] = deque(maxlen=int(_WINDOW * _STEPS))

    def add(self, now: float) -> None:
        step = int(now * _STEPS)
        if step == self._step:
            self._count += 1
        else:
            self._steps.append((self._step, self._count))
            self._step, self._count = step, 1

    def count(self, now: float) -> int:
        start = (now - _WINDOW) * _STEPS
        return sum(count for step, count in (*self._steps, (self._step, self._count)) if step >= start)
