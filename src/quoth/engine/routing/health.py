"""What is known of the well-being of keys and deployments. It only ever chooses between alternatives: what is ill is
called last, never not at all."""

from __future__ import annotations

from collections import deque
from math import inf

from quoth import errors
from quoth.engine.routing.options import Options, counted

__all__ = ["Health", "Key", "Lane", "counts"]

MINUTE = 60.0
# A rate of failures says nothing before so many calls.
_LEAST_CALLS = 5
_COOLDOWN, _LONGEST = 5.0, 60.0
# A provider that asks for more is asked again after an hour all the same.
_LONGEST_HINT = 3600.0
# A key that was refused, or that has no points left, is tried again after so long: first, and at most.
_PROBE, _LONGEST_PROBE = 60.0, 900.0
_KEPT = 10


def counts(error: errors.QuothError) -> bool:
    """True for what says that a deployment is not well: no connection, no answer in time, a 5xx."""
    if isinstance(error, errors.APIConnectionError):
        return True
    return error.retryable and (error.status_code or 0) >= 500


class Key:
    """One key at one provider."""

    __slots__ = ("points", "refusals", "until")

    def __init__(self) -> None:
        self.until = 0.0
        self.refusals = 0
        self.points: float | None = None

    def bad(self, now: float) -> bool:
        """True while other keys come first: it was refused a while ago, or has nothing left."""
        return self.until > now or (self.points is not None and self.points <= 0)

    def refused(self, now: float) -> None:
        """It was not let in, or has no points: for a minute, then longer each time."""
        if self.until <= now:
            self.until = now + min(_LONGEST_PROBE, _PROBE * 2.0 ** min(self.refusals, 8))
            self.refusals += 1

    def good(self) -> None:
        self.until, self.refusals = 0.0, 0

    def balance(self, points: float | None) -> None:
        """What is left on it; None is not known, and says nothing against it."""
        if points is not None and points > 0 and (self.points is None or self.points <= 0):
            self.good()
        self.points = points


class Lane:
    """One model by one key: what a 429 is about, or a 5xx with a Retry-After. Times are moments; 0: none.

    `until`: others come first until then. `hinted`: the provider asked to wait until then. `held`: when the last of
    those goes on who wait for that.
    """

    __slots__ = ("held", "hinted", "streak", "until")

    def __init__(self) -> None:
        self.until = 0.0
        self.hinted = 0.0
        self.held = 0.0
        self.streak = 0

    def limited(self, now: float, retry_after: float | None, cooldown: float | None) -> None:
        """It asked for patience. Without a hint its time is `cooldown`, or if that is None, one that grows."""
        if retry_after is not None:
            self.hinted = now + min(max(0.0, retry_after), _LONGEST_HINT)
            self.until = max(self.until, self.hinted)
        else:
            seconds = min(_LONGEST, _COOLDOWN * 2.0 ** min(self.streak, 8)) if cooldown is None else cooldown
            self.until = max(self.until, now + seconds)
        self.streak += 1

    def good(self) -> None:
        if self.streak:
            self.until = self.hinted = self.held = 0.0
            self.streak = 0


class Health:
    """One model of one deployment: its calls under way, its failures, how fast it is.

    Closed, it is called like any other. When too many calls fail it opens for a while, and others come first; then one
    call at a time finds out whether it is well again (half-open). `cooldowns` counts how often others were put before
    it, for whatever reason.
    """

    __slots__ = (
        "_opened",
        "_start",
        "calls",
        "cooldowns",
        "failures",
        "firsts",
        "in_flight",
        "probing",
        "totals",
        "until",
    )

    def __init__(self) -> None:
        self.in_flight = 0
        self.until = 0.0
        self.probing = False
        self.cooldowns = 0
        self.calls = self.failures = 0
        self.firsts: deque[tuple[float, float]] = deque(maxlen=_KEPT)
        self.totals: deque[tuple[float, float]] = deque(maxlen=_KEPT)
        self._start = -inf
        self._opened = 0

    def ill(self, now: float) -> bool:
        """True while others come first."""
        return self.until > 0.0 and (self.until > now or self.probing)

    def begun(self, now: float) -> None:
        self.in_flight += 1
        if self.until > 0.0:
            self.probing = True

    def succeeded(self, now: float, first: float | None, total: float | None, tokens: int) -> None:
        """A whole answer, after which one call less is under way. How fast it was: seconds to the first token, and in
        all, for so many tokens."""
        if self.in_flight > 0:
            self.in_flight -= 1
        if now - self._start >= MINUTE:
            self._start, self.calls, self.failures = now, 0, 0
        self.calls += 1
        if self.until > 0.0 and (self.probing or now >= self.until):
            self.until, self.probing = 0.0, False
            self._opened = self.calls = self.failures = 0
        if first is not None:
            self.firsts.append((now, first))
        if total is not None:
            self.totals.append((now, total / tokens if tokens > 1 else total))

    def failed(self, now: float, error: errors.QuothError, options: Options, cooldown: float | None) -> bool:
        """True when it opened with this failure. `cooldown`: the deployment's own time, None for the options'."""
        if now - self._start >= MINUTE:
            self._start, self.calls, self.failures = now, 0, 0
        self.calls += 1
        probe, self.probing = self.probing, False
        allowed = counted(options.allowed_fails_policy, error)
        if allowed is None:
            if not counts(error):
                if probe:
                    self.until = 0.0  # it answers, if only that it does not like the question
                return False
            allowed = options.allowed_fails
        self.failures += 1
        too_many = (
            self.failures > allowed
            if allowed is not None
            else self.calls >= _LEAST_CALLS and self.failures * 2 >= self.calls
        )
        if options.disable_cooldowns or not (probe or too_many):
            return False
        seconds = options.cooldown_time if cooldown is None else cooldown
        if seconds is None:
            seconds = min(_LONGEST, _COOLDOWN * 2.0 ** min(self._opened, 8))
        if seconds <= 0.0:
            return False
        self._opened += 1
        self.until = now + seconds
        return True

    def released(self) -> None:
        """One call under way less."""
        if self.in_flight > 0:
            self.in_flight -= 1

    def unprobed(self) -> None:
        """A call was given up before it told anything."""
        self.probing = False

    def timed_out(self, now: float, seconds: float) -> None:
        """It was as slow as that, as far as anybody knows."""
        self.firsts.append((now, seconds))
        self.totals.append((now, seconds))

    def latency(self, now: float, ttl: float, *, streams: bool) -> float:
        """The mean of the last measurements; 0.0 without any, so that each deployment is tried."""
        found = [seconds for when, seconds in list(self.firsts if streams else self.totals) if now - when <= ttl]
        return sum(found) / len(found) if found else 0.0
