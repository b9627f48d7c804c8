"""Metrics of all workers for one that was asked for them."""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import dataclass, field

from quoth.gateway.serve.child import Child
from quoth.gateway.serve.messages import Collect, Collected

__all__ = ["Scrapes"]

# Seconds until a scrape is answered with what there is; a busy worker is represented by its last snapshot.
_PATIENCE = 1.0

# Last snapshots of workers that are gone. A gateway that lost more has other worries than its counters.
_DEPARTED = 256


@dataclass(eq=False)
class _Scrape:
    asker: Child
    asked: int
    deadline: float
    waiting: set[Child]
    others: list[Child] = field(default_factory=list)


class Scrapes:
    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._open: dict[int, _Scrape] = {}
        self._departed: deque[bytes] = deque(maxlen=_DEPARTED)

    def begin(self, asker: Child, asked: int, others: list[Child], now: float) -> None:
        number = next(self._numbers)
        scrape = self._open[number] = _Scrape(asker, asked, now + _PATIENCE, set(others), others)
        for other in others:
            other.tell(Collect(number))
        self._finish(number, scrape)

    def answered(self, child: Child, number: int | None, data: bytes) -> None:
        child.metrics = data
        if number is not None and (scrape := self._open.get(number)) is not None:
            scrape.waiting.discard(child)
            self._finish(number, scrape)

    def departed(self, child: Child) -> None:
        if child.metrics is not None:
            self._departed.append(child.metrics)
        for number, scrape in list(self._open.items()):
            if scrape.asker is child:
                del self._open[number]
                continue
            scrape.waiting.discard(child)
            if child in scrape.others:
                scrape.others.remove(child)
            self._finish(number, scrape)

    def overdue(self, now: float) -> None:
        for number, scrape in list(self._open.items()):
            if scrape.deadline <= now:
                scrape.waiting.clear()
                self._finish(number, scrape)

    def next_deadline(self) -> float | None:
        return min((scrape.deadline for scrape in self._open.values()), default=None)

    def _finish(self, number: int, scrape: _Scrape) -> None:
        if not scrape.waiting:
            del self._open[number]
            living = [other.metrics for other in scrape.others if other.metrics is not None]
            scrape.asker.tell(Collected(scrape.asked, living, list(self._departed)))
