"""Candidates: a deployment as one model group has it, ready to be called, with all that is known of how it fares."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from math import inf
from typing import Any

from quoth import errors
from quoth.call import Target, Timeouts
from quoth.engine.retrying import limits_of
from quoth.engine.routing.deployments import Deployment
from quoth.engine.routing.gates import Gate, Pace, Places, Tokens
from quoth.engine.routing.health import Health, Key, Lane, counts
from quoth.engine.routing.options import Options, counted
from quoth.providers.costs import facts_of

__all__ = ["COOLING", "CROWDED", "READY", "UNUSABLE", "Candidate"]

# In which order candidates are called: those that are well, those that have no room just now, those that others come
# before, those whose key was refused or is out of points.
READY, CROWDED, COOLING, UNUSABLE = range(4)
# What a call that timed out counts as in the mean of latency-based routing, in seconds; LiteLLM's number.
_TIMED_OUT = 1000.0


class Candidate:
    """One deployment for one model.

    `routed` begins each attempt and ends those that fail. Whoever is handed the answer says how it ended, exactly once:
    `succeeded`, `failed` or `released`; streamed or not.
    """

    __slots__ = (
        "_limits",
        "deployment",
        "gates",
        "health",
        "key",
        "lane",
        "model",
        "options",
        "order",
        "pace",
        "places",
        "price",
        "target",
        "tokens",
    )

    def __init__(
        self,
        deployment: Deployment,
        target: Target,
        options: Options,
        *,
        health: Health,
        lane: Lane,
        key: Key,
        places: Places | None = None,
        tokens: Tokens | None = None,
        paces: tuple[Pace, ...] = (),
    ):
        self.deployment, self.target, self.options = deployment, target, options
        # Who is called, as `x-quoth-model` has it.
        self.model = f"{target.provider}/{target.model}"
        self.health, self.lane, self.key = health, lane, key
        self.places, self.tokens = places, tokens
        self.pace = paces[0] if paces else None
        # The pace comes last: what it lets through is sent at once.
        self.gates: tuple[Gate, ...] = tuple(gate for gate in (places, tokens, *paces) if gate is not None)
        self.order = inf if deployment.order is None else float(deployment.order)
        self.price = _price(deployment, target)
        self._limits: dict[tuple[bool, bool], Any] = {}

    def __repr__(self) -> str:
        return f"<Candidate {self.deployment.id}: {self.target.provider}/{self.target.model}>"

    def standing(self, now: float, size: int = 0) -> int:
        """READY, CROWDED, COOLING or UNUSABLE, for a call of so many tokens."""
        key = self.key
        if (key.until or key.points is not None) and key.bad(now):
            return UNUSABLE
        if self.lane.until > now or (self.health.until and self.health.ill(now)):
            return COOLING
        for gate in self.gates:
            if not gate.open(now, size):
                return CROWDED
        return READY

    def well_at(self, now: float) -> float:
        """The moment from which it is called like the others; for comparing those that are not well."""
        return max(self.key.until, self.lane.until, self.health.until, now)

    def soonest(self, now: float) -> float:
        """Seconds until it has room for one who comes last in line."""
        return max(gate.soonest(now) for gate in self.gates)

    def limits(self, streams: bool, makes_media: bool, given: Timeouts | None) -> Any:
        """The limits of an attempt: `given` with the call, the deployment's, the router's, the defaults, each field by
        itself."""
        if given is None:
            found = self._limits.get((streams, makes_media))
            if found is None:
                found = limits_of(self._timeouts(streams), streaming=streams, makes_media=makes_media)
                self._limits[streams, makes_media] = found
            return found
        return limits_of(_over(given, self._timeouts(streams)), streaming=streams, makes_media=makes_media)

    def _timeouts(self, streams: bool) -> Timeouts:
        deployment, options = self.deployment, self.options
        given = (deployment.timeouts, options.timeouts)
        if streams:
            given = (
                deployment.stream_timeouts or deployment.timeouts,
                options.stream_timeouts or options.timeouts,
            )
        return _over(given[0] or Timeouts(), given[1] or Timeouts())

    def begun(self, now: float) -> None:
        """A request goes out."""
        self.health.begun(now)

    def answered(self, now: float) -> None:
        """Its answer is good so far: the first good chunk, or the whole."""
        if self.lane.streak:
            self.lane.good()
        if self.key.until:
            self.key.good()

    def succeeded(
        self,
        now: float,
        first_token_seconds: float | None = None,
        total_seconds: float | None = None,
        tokens: int = 0,
        *,
        answer_tokens: int | None = None,
        estimated: int = 0,
    ) -> None:
        """The answer is whole. `tokens` are all that were used, those of the answer alone are `answer_tokens`;
        `estimated` is what `Journey.estimated` says."""
        said = tokens if answer_tokens is None else answer_tokens
        self.health.succeeded(now, first_token_seconds, total_seconds, said)
        if self.tokens is not None and tokens != estimated:
            self.tokens.add(now, tokens - estimated)
        if self.places is not None:
            self.places.unused(0.0)

    def failed(self, now: float, error: errors.QuothError) -> bool:
        """An attempt that failed, or a stream that broke. True when others come first from now on."""
        self.ended()
        if self._judged(now, error):
            self.health.cooldowns += 1
            return True
        return False

    def _judged(self, now: float, error: errors.QuothError) -> bool:
        health, options = self.health, self.options
        own = self.deployment.cooldown_time
        opened = health.failed(now, error, options, own)
        if isinstance(error, errors.RateLimitError):
            if not error.retryable:
                self.key.refused(now)  # a quota that is used up
                return True
            if self.pace is not None:
                self.pace.slow(now)
            if error.retry_after is None and counted(options.allowed_fails_policy, error) is not None:
                return opened
            return self._cools(now, error, options.cooldown_time if own is None else own)
        elif _is_the_keys(error):
            self.key.refused(now)
            return True
        elif isinstance(error, errors.Timeout):
            health.timed_out(now, _TIMED_OUT)
        elif error.retry_after is not None and counts(error):
            return self._cools(now, error, None) or opened
        return opened

    def _cools(self, now: float, error: errors.QuothError, cooldown: float | None) -> bool:
        if self.options.disable_cooldowns or cooldown == 0.0:
            return False
        self.lane.limited(now, error.retry_after, cooldown)
        return True

    def released(self) -> None:
        """Nobody waits for the answer any more, and nothing was learnt."""
        self.health.unprobed()
        self.ended()

    def ended(self) -> None:
        self.health.released()
        if self.places is not None:
            self.places.unused(0.0)


def _is_the_keys(error: errors.QuothError) -> bool:
    """True for a key that was not let in, or that has nothing left. Moderation is a 403 too, and not its fault."""
    if isinstance(error, errors.PermissionDeniedError):
        return not isinstance(error, errors.ContentPolicyViolationError)
    return isinstance(error, errors.AuthenticationError | errors.PaymentRequiredError)


def _over(first: Timeouts, second: Timeouts) -> Timeouts:
    """Each field of the first, where it says nothing the second's."""
    return Timeouts(
        connect=second.connect if first.connect is None else first.connect,
        first=second.first if first.first is None else first.first,
        idle=second.idle if first.idle is None else first.idle,
        total=second.total if first.total is None else first.total,
    )


def _price(deployment: Deployment, target: Target) -> float:
    """USD for a token read and a token written, to compare by; what nobody knows is dearest."""
    facts = facts_of(target)
    known: Mapping[str, str | None] = {**((facts.price if facts else None) or {}), **(deployment.price or {})}
    if known.get("prompt") is None and known.get("completion") is None:
        per_call = known.get("request")
        # A call is taken to be about a thousand tokens.
        return inf if per_call is None else float(Decimal(per_call)) / 1000
    return sum(float(known.get(name) or 0) for name in ("prompt", "completion"))
