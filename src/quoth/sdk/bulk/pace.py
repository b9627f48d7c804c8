"""Calls spread over the minute, so that a provider's limit is never met."""

from __future__ import annotations

__all__ = ["Pace"]

_MINUTE = 60.0


class Pace:
    """At most `per_minute` calls in any minute: a tenth of them may go at once, the rest are evenly spaced.

    The clock is the caller's; moments are its seconds.
    """

    def __init__(self, per_minute: float):
        if per_minute <= 0:
            raise ValueError(f"{per_minute} calls a minute are none")
        at_once = max(1.0, per_minute // 10)
        self._between = _MINUTE / max(per_minute - at_once, per_minute / 2)
        self._ahead = (at_once - 1) * self._between
        self._due = float("-inf")

    def wait(self, now: float) -> float:
        """Take the next place; the seconds from `now` until it comes."""
        self._due = max(self._due + self._between, now)
        return max(0.0, self._due - self._ahead - now)
