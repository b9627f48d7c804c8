"""The prompt cache: which prefix of a request was seen before, and for how long it is remembered. Time is an argument.

A request is a row of blocks. Each prefix of it has a fingerprint; marked prefixes are written, and the longest one that
is known is read, which also renews it.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["HOUR", "Block", "PromptCache", "Used"]

HOUR = "1h"
_LOOKS_BACK = 20  # so many blocks before a mark are compared with what is known
_KEPT = 20_000


class Block(NamedTuple):
    """One block of a prompt: what it is, how many tokens, and whether a mark follows it ("5m" or "1h")."""

    content: bytes
    tokens: int
    mark: str | None = None


class Used(NamedTuple):
    """Tokens that were read from the cache, written to it for five minutes, and written for an hour."""

    read: int = 0
    written: int = 0
    written_hour: int = 0


class PromptCache:
    """Prefixes by fingerprint, each with the time when it is forgotten. `lifetime` is that of "5m", in seconds."""

    def __init__(self, lifetime: float):
        self._lifetimes = {"5m": lifetime, HOUR: 12 * lifetime}
        self._known: OrderedDict[bytes, float] = OrderedDict()

    def clear(self) -> None:
        self._known.clear()

    def use(self, model: str, blocks: Sequence[Block], minimum: int, now: float) -> Used:
        """Read and write the marked prefixes of a request; a prefix of less than `minimum` tokens is left alone."""
        marks = [place for place, block in enumerate(blocks) if block.mark]
        if not marks:
            return Used()
        prints, totals = self._prefixes(model, blocks[: marks[-1] + 1])
        hit = self._longest(marks, prints, now)
        read = totals[hit] if hit >= 0 else 0
        if hit >= 0:
            mark = next((blocks[place].mark for place in marks if place >= hit), None)
            self._keep(prints[hit], now + self._lifetimes[mark or "5m"])
        written = {"5m": 0, HOUR: 0}
        done = read
        for place in marks:
            if place > hit and totals[place] >= minimum:
                mark = blocks[place].mark or "5m"
                written[mark] += totals[place] - done
                done = totals[place]
                self._keep(prints[place], now + self._lifetimes[mark])
        return Used(read, written["5m"], written[HOUR])

    def automatic(self, model: str, blocks: Sequence[Block], minimum: int, step: int, now: float) -> int:
        """Tokens that a provider which marks nothing reads by itself: a known prefix, in whole steps."""
        prints, totals = self._prefixes(model, blocks)
        hit = max((place for place, print_ in enumerate(prints) if self._knows(print_, now)), default=-1)
        for print_, total in zip(prints, totals, strict=True):
            if total >= minimum:
                self._keep(print_, now + self._lifetimes["5m"])
        read = totals[hit] if hit >= 0 else 0
        return read - read % step

    @staticmethod
    def _prefixes(model: str, blocks: Sequence[Block]) -> tuple[list[bytes], list[int]]:
        chain = hashlib.sha256(model.encode())
        prints, totals, total = [], [], 0
        for block in blocks:
            chain.update(b"%d:" % len(block.content) + block.content)
            total += block.tokens
            prints.append(chain.copy().digest())
            totals.append(total)
        return prints, totals

    def _longest(self, marks: list[int], prints: list[bytes], now: float) -> int:
        """The last place, at a mark or at most twenty blocks before one, whose prefix is known; -1 when none is."""
        for mark in reversed(marks):
            for place in range(mark, max(-1, mark - _LOOKS_BACK), -1):
                if self._knows(prints[place], now):
                    return place
        return -1

    def _knows(self, print_: bytes, now: float) -> bool:
        return self._known.get(print_, now) > now

    def _keep(self, print_: bytes, until: float) -> None:
        self._known[print_] = max(until, self._known.pop(print_, until))
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
