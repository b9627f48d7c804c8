"""Requests per minute and key, over a sliding window. Time is an argument."""

from __future__ import annotations

import math
from collections import defaultdict, deque

__all__ = ["RateLimit"]

_WINDOW = 60.0


class RateLimit:
    """`limit` requests in any 60 seconds for one key. A refused request is not counted."""

    def __init__(self, limit: int):
        self.limit = limit
        self._hits: defaultdict[str, deque[float]] = defaultdict(deque)

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

    def clear(self) -> None:
        self._hits.clear()
