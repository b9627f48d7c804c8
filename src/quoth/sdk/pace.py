"""Calls spread over the minute, so that a provider's limit is never met."""

from __future__ import annotations

import threading

from quoth.call import Target

__all__ = ["POE_PER_MINUTE", "Pace", "pace_towards"]

# Poe allows 500 calls a minute and key; the rest is for whatever else uses the key.
POE_PER_MINUTE = 480
_MINUTE = 60.0


class Pace:
    """At most `per_minute` calls in any minute: a tenth of them may go at once, the rest are evenly spaced.

    The clock is the caller's; moments are its seconds. For any number of threads.
    """

    def __init__(self, per_minute: float):
        if per_minute <= 0:
            raise ValueError(f"{per_minute} calls a minute are none")
        at_once = max(1.0, per_minute // 10)
        self._between = _MINUTE / max(per_minute - at_once, per_minute / 2)
        self._ahead = (at_once - 1) * self._between
        self._due = float("-inf")
        self._lock = threading.Lock()

    def wait(self, now: float) -> float:
        """Take the next place; the seconds from `now` until it comes."""
        with self._lock:
            self._due = max(self._due + self._between, now)
            return max(0.0, self._due - self._ahead - now)


def pace_towards(target: Target) -> Pace | None:
    """The pace of many calls to a target: Poe's own limit for what goes to Poe itself, else none."""
    return Pace(POE_PER_MINUTE) if target.provider == "poe" and target.base_url == target.row.base_url else None
