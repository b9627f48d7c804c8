"""Waiting for one's turn: a line that is fair between callers, before a gate that lets through so many.

A gate never waits by itself. Who finds it shut takes a ticket, asks it now and then, and is told how long to sleep
until the next question; who gives up hands it back. So a flow that is cancelled leaves the line like any other.
"""

from __future__ import annotations

from collections import deque
from contextlib import AbstractContextManager, nullcontext
from math import inf

__all__ = ["Gate", "Pace", "Places", "Ticket", "Tokens"]

MINUTE = 60.0
# Somebody further ahead may have given up: nobody sleeps longer without looking, who is near less long than who is far.
_LOOK, _LONGEST_LOOK = 0.25, 1.0
_SHORTEST = 0.001
_SHARED: AbstractContextManager[object] = nullcontext()


class Ticket:
    """A place in a gate's line."""

    __slots__ = ("caller",)

    def __init__(self, caller: str):
        self.caller = caller


class Gate:
    """The line: callers in turn, and each caller's own calls in the order in which they came.

    `lock` keeps threads apart; without one, a gate belongs to one thread.
    """

    def __init__(self, lock: AbstractContextManager[object] | None = None):
        self._lock = _SHARED if lock is None else lock
        self._line: dict[str, deque[Ticket]] = {}  # the caller whose turn it is comes first

    def wait(self, now: float, ahead: int, size: int) -> float:
        """Seconds until one more may go through after `ahead` others have; 0 for now. `size` is what it will use."""
        raise NotImplementedError

    def used(self, now: float, size: int) -> None:
        """One went through."""
        raise NotImplementedError

    def unused(self, then: float, size: int = 0) -> None:
        """What went through at that moment did not go further."""

    def moved(self, then: float, now: float) -> None:
        """What went through at that moment goes further only now."""

    def idle(self, now: float) -> bool:
        """True when it knows nothing that a new one would not."""
        return not self._line

    def take(self, now: float, size: int = 0) -> bool:
        """Go through at once, if there is room and nobody waits."""
        with self._lock:
            if self._line or self.wait(now, 0, size) > 0.0:
                return False
            self.used(now, size)
            return True

    def open(self, now: float, size: int = 0) -> bool:
        """True when `take` would go through."""
        with self._lock:
            return not self._line and self.wait(now, 0, size) <= 0.0

    def expected(self, caller: str, now: float, size: int = 0) -> tuple[int, float]:
        """How many would go before a new ticket of this caller, and in how many seconds its turn would come."""
        with self._lock:
            own = self._line.get(caller)
            place = self._ahead(caller, len(own) if own else 0)
            return place, self.wait(now, place, size)

    def join(self, caller: str) -> Ticket:
        with self._lock:
            ticket = Ticket(caller)
            self._line.setdefault(caller, deque()).append(ticket)
            return ticket

    def ask(self, ticket: Ticket, now: float, size: int = 0) -> float:
        """0: the ticket went through, and is no longer in the line. Else seconds until it should ask again."""
        with self._lock:
            own = self._line[ticket.caller]
            ahead = self._ahead(ticket.caller, own.index(ticket))
            seconds = self.wait(now, ahead, size)
            if ahead == 0 and seconds <= 0.0:
                own.popleft()
                del self._line[ticket.caller]
                if own:
                    self._line[ticket.caller] = own  # to the end: the others come first
                self.used(now, size)
                return 0.0
            return min(max(seconds, _SHORTEST), max(_LOOK, min(seconds / 4, _LONGEST_LOOK)))

    def leave(self, ticket: Ticket) -> None:
        """Give up; without effect for a ticket that went through."""
        with self._lock:
            own = self._line.get(ticket.caller)
            if own is not None and ticket in own:
                own.remove(ticket)
                if not own:
                    del self._line[ticket.caller]

    def soonest(self, now: float) -> float:
        """Seconds until the turn of one who comes last."""
        with self._lock:
            return self.wait(now, sum(map(len, self._line.values())), 0)

    @property
    def waiting(self) -> int:
        """How many are in line."""
        with self._lock:
            return sum(map(len, self._line.values()))

    def _ahead(self, caller: str, place: int) -> int:
        """How many go before the one at `place` among its caller's own."""
        ahead, passed = place, False
        for other, tickets in self._line.items():
            if other == caller:
                passed = True
            else:
                ahead += min(len(tickets), place if passed else place + 1)
        return ahead


class Pace(Gate):
    """At most `limit` in any 60 seconds, whenever the minute is taken to begin.

    Four fifths of a large limit may go at once, the rest is spread over what is left of the minute, so that a burst of
    one caller does not shut out all others for so long. A provider's 429 halves the pace, which then recovers within a
    minute: additive increase, multiplicative decrease.
    """

    def __init__(self, limit: float, lock: AbstractContextManager[object] | None = None):
        super().__init__(lock)
        self._times: deque[float] = deque()
        self._share, self._since = 1.0, -inf
        self.resize(limit)

    def __str__(self) -> str:
        return f"{_calls(self.limit)} in {self._window:g} s"

    def resize(self, limit: float) -> None:
        """Another limit, for what went through already too."""
        self.limit = max(1, int(limit))
        # Less than one a minute is one in so many minutes.
        self._window = MINUTE if limit >= 1 else MINUTE / limit
        self._free = self.limit if self.limit < 120 else self.limit * 4 // 5

    def share(self, now: float) -> float:
        """The part of the limit that is used for now, from 0 to 1."""
        return min(1.0, self._share + max(0.0, now - self._since) / MINUTE)

    def slow(self, now: float) -> None:
        """The provider says that it is too fast. Those that were under way together count once."""
        if now - self._since >= 1.0:
            self._share, self._since = max(0.05, self.share(now) / 2), now

    def wait(self, now: float, ahead: int, size: int) -> float:
        times = self._times
        start = now - self._window
        while times and times[0] <= start:
            times.popleft()
        count = len(times) + ahead
        share = self._share
        if share < 1.0:
            share = self.share(now)
            if share >= 1.0:
                self._share = 1.0
        if count < self._free and share >= 1.0:
            return 0.0
        due = now
        if share < 1.0:
            gap = min(self._window / (self.limit * share), 5.0)
            due = max(due, (times[-1] if times else -inf) + gap) + gap * ahead
        elif count < self.limit and times:
            # Where the line meets an even spreading of what is left over the rest of the minute.
            left = self.limit - len(times)
            last, end = times[-1], times[0] + self._window
            due = max(due, (last * left + end) / (left + 1)) + ahead * max(0.0, end - now) / left
        if count >= self.limit:
            over = count - self.limit
            frees = times[over] + self._window if over < len(times) else now + self._window * (1 + over // self.limit)
            due = max(due, frees)
        return due - now

    def used(self, now: float, size: int) -> None:
        self._times.append(now)

    def unused(self, then: float, size: int = 0) -> None:
        with self._lock:
            if then in self._times:
                self._times.remove(then)

    def moved(self, then: float, now: float) -> None:
        with self._lock:
            if then in self._times:
                self._times.remove(then)
            # Whoever came in between counted it already, so that there is room for it.
            self._times.append(now)

    def idle(self, now: float) -> bool:
        return super().idle(now) and self._share >= 1.0 and (not self._times or self._times[-1] <= now - self._window)


class Places(Gate):
    """At most `limit` at a time."""

    def __init__(self, limit: int, lock: AbstractContextManager[object] | None = None):
        super().__init__(lock)
        self.limit = limit
        self.taken = 0

    def __str__(self) -> str:
        return f"{_calls(self.limit)} at once"

    def resize(self, limit: int) -> None:
        self.limit = limit

    def wait(self, now: float, ahead: int, size: int) -> float:
        # When a place is left, nobody knows.
        return 0.0 if self.taken + ahead < self.limit else 0.05

    def used(self, now: float, size: int) -> None:
        self.taken += 1

    def unused(self, then: float, size: int = 0) -> None:
        self.taken -= 1

    def idle(self, now: float) -> bool:
        return super().idle(now) and self.taken == 0


class Tokens(Gate):
    """At most `limit` tokens in any 60 seconds, as far as they are known: an estimate when a call begins, the truth
    when it has ended. A call larger than the whole limit goes through when nothing else did."""

    def __init__(self, limit: float, lock: AbstractContextManager[object] | None = None):
        super().__init__(lock)
        self.limit = limit
        self._log: deque[tuple[float, int]] = deque()
        self.sum = 0

    def __str__(self) -> str:
        return f"{self.limit:g} tokens in {MINUTE:g} s"

    def resize(self, limit: float) -> None:
        self.limit = limit

    def at(self, now: float) -> int:
        """Tokens of the last 60 seconds."""
        log = self._log
        while log and log[0][0] <= now - MINUTE:
            self.sum -= log.popleft()[1]
        return self.sum

    def add(self, now: float, tokens: int) -> None:
        """More (or fewer) than were estimated."""
        self._log.append((now, tokens))
        self.sum += tokens

    def wait(self, now: float, ahead: int, size: int) -> float:
        over = self.at(now) + size * (ahead + 1) - self.limit
        if over <= 0 or not self._log:
            return 0.0
        for when, tokens in self._log:
            over -= tokens
            if over <= 0:
                return when + MINUTE - now
        return self._log[-1][0] + MINUTE - now

    def used(self, now: float, size: int) -> None:
        self.add(now, size)

    def unused(self, then: float, size: int = 0) -> None:
        self.add(then, -size)

    def idle(self, now: float) -> bool:
        return super().idle(now) and (not self._log or self._log[-1][0] <= now - MINUTE)


def _calls(count: int) -> str:
    return "1 call" if count == 1 else f"{count} calls"
