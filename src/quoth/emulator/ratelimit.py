"""Requests per minute and key, over a sliding window. Time is an argument."""

from __future__ import annotations

import math
from collections import defaultdict, deque

__all__ = ["RateLimit"]

_WINDOW = 60.0


class RateLimit:
    """`limit` requests in any 60 seconds for one key. A refused request is not counted.

    What the Messages route tells of it is another reckoning: a bucket that fills up again all the time, so that a
    request every few seconds always finds it full but for itself.
    """

    def __init__(self, limit: int):
        self.limit = limit
        self._hits: defaultdict[str, deque[float]] = defaultdict(deque)
        self._missing: dict[str, tuple[float, float]] = {}  # requests that the bucket lacked, and when

    def admit(self, key: str, now: float) -> tuple[bool, dict[str, str]]:
        """Whether a request may go on, and the headers that tell where the key stands. Reset is in seconds."""
        hits = self._hits[key]
        while hits and hits[0] <= now - _WINDOW:
            hits.popleft()
        admitted = len(hits) < self.limit
        if admitted:
            hits.append(now)
        reset = max(1, math.ceil(hits[0] + _WINDOW - now)) if hits else int(_WINDOW)
        headers = {
            "x-ratelimit-limit-requests": str(self.limit),
            "x-ratelimit-remaining-requests": str(max(0, self.limit - len(hits))),
            "x-ratelimit-reset-requests": str(reset),
        }
        if not admitted:
            headers["retry-after"] = str(reset)
        return admitted, headers

    def bucket(self, key: str, now: float) -> tuple[int, float]:
        """Take one request out of the bucket of a key: how many remain in it, and in how many seconds it is full."""
        missing, then = self._missing.get(key, (0.0, now))
        missing = min(self.limit, max(0.0, missing - (now - then) * self.limit / _WINDOW) + 1)
        self._missing[key] = (missing, now)
        return math.floor(self.limit - missing), missing * _WINDOW / max(1, self.limit)

    def clear(self) -> None:
        self._hits.clear()
        self._missing.clear()
