"""One call on its way through a group: which candidate, when, how often, and then which fallback.

Everything here happens before the first good chunk; after it an answer belongs to whoever reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from math import ceil, inf
from typing import Any, Generic, TypeVar

from msgspec import Struct, field

from quoth import errors
from quoth.call import Timeouts, WireRequest
from quoth.engine.backoff import RetryBudget, delay
from quoth.engine.effects import Effect, Failed, Flow, Open, Opened, Sleep, World
from quoth.engine.retrying import attempted, stale
from quoth.engine.routing.candidates import COOLING, READY, UNUSABLE, Candidate
from quoth.engine.routing.choosing import choose, eligible
from quoth.engine.routing.gates import Gate
from quoth.engine.routing.options import Fallback
from quoth.engine.routing.routes import Group, Routes
from quoth.types import Attempt

__all__ = ["Controls", "Journey", "Try", "routed"]

R = TypeVar("R")
T = TypeVar("T")

# With somebody else to call, nobody waits longer than this for the same one.
_PATIENCE = 1.0
_SHORT = 0.001
# Between two calls that waited for the same Retry-After.
_APART = 0.05


class Controls(Struct, frozen=True):
    """What a caller says of its own call. None: as the deployment or the router has it.

    `timeouts.total` is for the whole call, fallbacks and waits included. `fallbacks` stand in for those of the
    settings. `streams`: which of their speeds deployments are compared by.
    """

    num_retries: int | None = None
    timeouts: Timeouts | None = None
    fallbacks: Sequence[Fallback] | None = None
    disable_fallbacks: bool = False
    tags: tuple[str, ...] = ()
    streams: bool = False


class Journey(Struct):
    """What became of one call; the caller makes it, and reads it whether the call ends well or not.

    `candidate`: the last one that was called. `waited`: seconds in lines and for a Retry-After; `paused`: seconds
    between tries. `place`: the place in line, counted from 1, where the call had to wait; 0 where it had not.
    `fallbacks`: how many were turned to. `model_group`: the group that was asked last. `overrides`: what a fallback
    changes in the call, `model` apart. `estimated`: the tokens of the last `Try`, for `Candidate.succeeded`.
    """

    attempts: list[Attempt] = field(default_factory=list)
    candidate: Candidate | None = None
    waited: float = 0.0
    paused: float = 0.0
    place: int = 0
    fallbacks: int = 0
    model_group: str = ""
    overrides: Mapping[str, Any] | None = None
    estimated: int = 0


class Try(Struct, Generic[R, T]):
    """A request as it goes to one candidate. `interpret` makes the result of what came, or raises the QuothError that
    it is; what it returns has a `reply` where a stream goes on. `tokens`: an estimate of all that will be used."""

    request: WireRequest
    new_reader: Callable[[], R]
    interpret: Callable[[Opened | Failed, R], T]
    streams: bool = False
    makes_media: bool = False
    tokens: int = 0


def routed(
    routes: Routes,
    group: Group,
    attempt: Callable[[Candidate], Try[Any, T]],
    *,
    caller: str,
    controls: Controls,
    journey: Journey,
    world: World,
    budget: RetryBudget,
) -> Flow[T]:
    """What `interpret` makes of the first answer that is no error. Raises the last error, with all attempts.

    `attempt(candidate)` makes the request for one candidate; a QuothError that it raises is like an attempt that used
    no network. `caller` is who shares a line fairly. After an answer, streamed or not, `journey.candidate` is told how
    it ended: `succeeded`, `failed` or `released`; after an error it has been told.
    """
    budget.call()
    journey.model_group = group.name
    given = controls.timeouts
    end = None if given is None or given.total is None else world.now() + given.total
    way = _Way(routes, attempt, caller, controls, journey, world, budget, end)
    try:
        return (yield from _through(way, group))
    except errors.QuothError as error:
        last = error
    try:
        return (yield from _fallen_back(way, group.name, last))
    except errors.QuothError as error:
        error.attempts = journey.attempts
        raise
    finally:
        del last  # an error that a frame of its own traceback holds is freed late, and the prompt with it


class _Way(Struct, Generic[T]):
    """What stays the same for one call."""

    routes: Routes
    attempt: Callable[[Candidate], Try[Any, T]]
    caller: str
    controls: Controls
    journey: Journey
    world: World
    budget: RetryBudget
    end: float | None


def _through(way: _Way[T], group: Group) -> Flow[T]:
    """One group: its candidates, and their retries. Raises the last error."""
    now_is, journey = way.world.now, way.journey
    candidate = group.only
    pool = (
        group.candidates if candidate is not None else eligible(group.candidates, way.controls.tags, way.routes.options)
    )
    turn = _Turn(way, group, pool)
    while True:
        now = now_is()
        if candidate is None:
            candidate = turn.choose(now)
        if candidate.lane.hinted > now and (pause := turn.hold(candidate, now)) > 0.0:
            try:
                yield Sleep(pause)
            finally:
                journey.waited += now_is() - now
            candidate = group.only
            continue
        journey.candidate = candidate
        turn.outcome = None
        try:
            made = turn.made_for(candidate)
            other = None
            if gates := candidate.gates:
                turn.passed = now_is()
                if len(gates) > 1 or not gates[0].take(turn.passed, made.tokens):
                    other = yield from _let_through(turn, candidate, made)
            if other is None:
                return (yield from _sent(turn, candidate, made))
            candidate = other
            continue
        except errors.QuothError as error:
            verdict = turn.after(candidate, error)
            if verdict is None:
                raise
        candidate, pause = verdict
        if pause > 0.0:
            now = now_is()
            try:
                yield Sleep(pause)
            finally:
                passed = now_is() - now
                if turn.hinted:
                    journey.waited += passed
                else:
                    journey.paused += passed


def _sent(turn: _Turn[T], candidate: Candidate, made: Try[Any, T]) -> Flow[T]:
    """One attempt, and what it tells of the candidate."""
    way = turn.way
    now = way.world.now
    try:
        reader = made.new_reader()
    except BaseException:
        for gate in candidate.gates:
            gate.unused(turn.passed, made.tokens)
        raise
    limits = candidate.limits(made.streams, made.makes_media, way.controls.timeouts)
    begun = now()
    candidate.begun(begun)
    end = turn.end_of(candidate, begun + limits.total)
    try:
        outcome = yield Open(
            made.request, reader, connect=limits.connect, first=limits.first, idle=limits.idle, end=end
        )
        result = made.interpret(outcome, reader)
    except errors.QuothError as error:
        ended = now()
        turn.outcome = outcome
        way.journey.attempts.append(attempted(candidate.target, reader.status, ended - begun, error))
        turn.stale = (
            not turn.stale_once and isinstance(outcome, Failed) and error.retryable and stale(outcome, reader.status)
        )
        if turn.stale:
            candidate.released()  # the connection was old, which says nothing of who is at its other end
        else:
            candidate.failed(ended, error)
        raise
    except BaseException:
        # Nobody waits for it any more. It was asked for all the same, and may have to be paid.
        way.journey.attempts.append(attempted(candidate.target, reader.status, now() - begun, None))
        candidate.released()
        raise
    ended = now()
    candidate.answered(ended)
    way.journey.estimated = made.tokens
    way.journey.attempts.append(attempted(candidate.target, reader.status, ended - begun, None))
    return result


def _let_through(
    turn: _Turn[Any], candidate: Candidate, made: Try[Any, Any]
) -> Generator[Effect, Any, Candidate | None]:
    """Past the candidate's gates. Answered by another candidate where that has room first."""
    now = turn.passed
    for number, gate in enumerate(candidate.gates):
        if not gate.take(now, made.tokens):
            before = candidate.gates[:number]
            turn.passed = now
            other = yield from _in_line(turn, candidate, gate, before, made.tokens)
            if other is not None:
                return other
            # What the gates before let through some time ago goes out only now.
            for one in before:
                one.moved(now, turn.passed)
            now = turn.passed
    turn.passed = now
    return None


class _Turn(Struct, Generic[T]):
    """One call at one group: who has been tried, and who is next.

    `outcome` is that of the last attempt, None when nothing was sent; `stale`: it met a connection that had been
    closed. `hinted`: the provider said how long to wait. `passed`: when the last one got past its gates.
    """

    way: _Way[T]
    group: Group
    pool: Sequence[Candidate]
    tries: dict[Candidate, int] = field(default_factory=dict)
    ends: dict[Candidate, float] = field(default_factory=dict)
    made: Try[Any, T] | None = None
    whose: Candidate | None = None
    outcome: Opened | Failed | None = None
    hinted: bool = False
    passed: float = 0.0
    retries: int = 0
    stale: bool = False
    stale_once: bool = False

    def made_for(self, candidate: Candidate) -> Try[Any, T]:
        """The request for a candidate; made once for as long as it goes on being the one that is tried."""
        made = self.made
        if made is None or self.whose is not candidate:
            made = self.made = self.way.attempt(candidate)
            self.whose = candidate
        return made

    def end_of(self, candidate: Candidate, end: float) -> float:
        """When all attempts at a candidate end, if its first one began now; never later than the whole call."""
        whole = self.way.end
        if whole is not None and whole < end:
            end = whole
        return self.ends.setdefault(candidate, end)

    def choose(self, now: float) -> Candidate:
        way = self.way
        return choose(self.pool, self.tries, way.routes.options, now, way.world.random, streams=way.controls.streams)

    def elsewhere(self, now: float) -> Candidate | None:
        """A candidate that was not tried yet and is well; None when there is none."""
        if len(self.pool) == 1:
            return None
        other = self.choose(now)
        return other if other not in self.tries and other.standing(now) < COOLING else None

    def hold(self, candidate: Candidate, now: float) -> float:
        """Seconds to wait for what the provider asked for; 0 where that is too long, so that it is asked all the same:
        its own answer says more than a refusal here would. Those who wait for the same go on one after the other, so
        that the first finds out for the rest; where they are too many for that, at any moment of the time there is."""
        lane = candidate.lane
        wait = lane.hinted - now
        way = self.way
        longest = way.routes.options.max_wait - way.journey.waited
        if self.turns_away():
            longest = min(longest, _PATIENCE)
        if way.end is not None:
            longest = min(longest, way.end - now)
        if not _SHORT < wait <= longest:
            return 0.0
        behind = max(0.0, lane.held + _APART - lane.hinted)
        room = (longest - wait) / 2  # they may be told to wait once more
        if behind > room:
            return wait + room * way.world.random()
        lane.held = lane.hinted + behind
        return wait + behind

    def turns_away(self) -> bool:
        """True when a rate limit here leads to a fallback."""
        way = self.way
        if way.journey.fallbacks >= way.routes.options.max_fallbacks:
            return False
        return bool(_fallbacks(way, self.group.name, _LIMITED))

    def after(self, candidate: Candidate, error: errors.QuothError) -> tuple[Candidate | None, float] | None:
        """Whom to try after this error (None: whoever is best by then), and after how many seconds. None when nobody
        is worth a try."""
        way, outcome = self.way, self.outcome
        now = way.world.now()
        if outcome is None:
            self._note(candidate, error)
        if way.end is not None and now >= way.end:
            return None
        if self.stale:
            self.stale, self.stale_once = False, True
            return candidate, 0.0
        self.tries[candidate] = self.tries.get(candidate, 0) + 1
        if len(self.pool) > 1 and (another := self._another(candidate, error, now)) is not None:
            return another, 0.0
        other = self.elsewhere(now)
        allowed, retryable = self._allowed(candidate, error)
        media = self.made is not None and self.made.makes_media
        if not retryable and other is not None and not media:
            retryable = _may_differ(error, outcome)
        pause = 0.0 if other is not None else self._pause(candidate, error, now)
        if not retryable or outcome is None or pause is None or self.retries >= allowed or not way.budget.allow():
            return None
        self.retries += 1
        return (candidate if len(self.pool) == 1 else other), pause

    def _another(self, candidate: Candidate, error: errors.QuothError, now: float) -> Candidate | None:
        """One that need not share what is wrong with this candidate: a key that is refused or has no points, a model
        that is not there, a request that cannot be sent to it. To find out costs nothing, so it is no retry."""
        if not _of_the_candidate(error, self.outcome):
            return None
        others = [one for one in self.pool if one not in self.tries and one.standing(now) < UNUSABLE]
        if isinstance(error, errors.NotFoundError):
            target = candidate.target
            others = [
                one
                for one in others
                if one.target.base_url != target.base_url or one.target.model.lower() != target.model.lower()
            ]
        if not others:
            return None
        way = self.way
        return choose(others, self.tries, way.routes.options, now, way.world.random, streams=way.controls.streams)

    def _pause(self, candidate: Candidate, error: errors.QuothError, now: float) -> float | None:
        """Seconds before a candidate is tried again; None when that is longer than anybody waits."""
        way = self.way
        self.hinted = error.retry_after is not None
        wait = delay(self.retries, error.retry_after, way.world.random)
        if wait is None:
            return None
        wait = max(wait, way.routes.options.retry_after)
        if self.hinted:
            longest = way.routes.options.max_wait - way.journey.waited
            if wait > (min(longest, _PATIENCE) if self.turns_away() else longest):
                return None
        return None if now + wait >= self.ends.get(candidate, inf) else wait

    def _note(self, candidate: Candidate, error: errors.QuothError) -> None:
        """Nothing was sent; still, whoever reads the attempts wants to know why."""
        target = candidate.target
        self.way.journey.attempts.append(
            Attempt(target.provider, target.model, target.wire, 0.0, None, type(error).__name__, error.message)
        )

    def _allowed(self, candidate: Candidate, error: errors.QuothError) -> tuple[int, bool]:
        """How many retries there are for this error, and whether it is one to retry."""
        way = self.way
        options = way.routes.options
        if way.controls.num_retries is not None:
            return way.controls.num_retries, error.retryable
        policy = options.retries(self.group.name, error)
        if policy is not None:
            return policy
        own = candidate.deployment.num_retries
        return (options.num_retries if own is None else own), error.retryable


_LIMITED = errors.RateLimitError("")
_NOT_SENT_TWICE = (errors.BadRequestError, errors.UnprocessableEntityError)


_OF_THE_CANDIDATE = (
    errors.AuthenticationError,
    errors.NotFoundError,
    errors.PaymentRequiredError,
    errors.PermissionDeniedError,
)


def _of_the_candidate(error: errors.QuothError, outcome: Opened | Failed | None) -> bool:
    if outcome is None:
        return not isinstance(error, errors.RateLimitError | errors.BudgetExceededError)
    if isinstance(error, errors.BadRequestError):
        return False
    if isinstance(error, errors.RateLimitError):
        return not error.retryable  # a quota that is used up
    return isinstance(error, _OF_THE_CANDIDATE)


def _may_differ(error: errors.QuothError, outcome: Opened | Failed | None) -> bool:
    """True for what is not worth another try at the same candidate, but may be at another: a deadline, an answer that
    cannot be read."""
    if isinstance(outcome, Failed):
        return outcome.kind in ("timeout", "tls", "proxy")
    return isinstance(error, errors.BadGatewayError)


def _in_line(
    turn: _Turn[Any], candidate: Candidate, gate: Gate, before: Sequence[Gate], size: int
) -> Generator[Effect, Any, Candidate | None]:
    """Wait for a gate, having passed those before at the moment `turn.passed`; afterwards it is the moment of this one.
    Answered by another candidate where one has room first; what the gates before let through is given back then. Raises
    RateLimitError when it would take, or takes, too long."""
    way = turn.way
    world, journey = way.world, way.journey
    start = turn.passed
    end = start + way.routes.options.max_wait - journey.waited
    if way.end is not None and way.end < end:
        end = way.end
    ahead, seconds = gate.expected(way.caller, start, size)
    passed = slept = False
    ticket = gate.join(way.caller)
    try:
        other = _with_room(turn, candidate, start, size)
        if other is not None:
            return other
        if start + seconds > end:
            raise _too_long(candidate, gate, seconds, 0.0)
        journey.place = ahead + 1
        while True:
            now = world.now()
            pause = gate.ask(ticket, now, size)
            if pause <= 0.0:
                passed = True
                turn.passed = now
                return None
            other = _with_room(turn, candidate, now, size)
            if other is not None:
                return other
            if now >= end:
                raise _too_long(candidate, gate, gate.expected(way.caller, now, size)[1], now - start)
            slept = True
            yield Sleep(max(_SHORT, min(pause, end - now)))
    finally:
        if not passed:
            gate.leave(ticket)
            for one in before:
                one.unused(start, size)
        if slept:
            journey.waited += world.now() - start


def _with_room(turn: _Turn[Any], candidate: Candidate, now: float, size: int) -> Candidate | None:
    """Another that could be called at once."""
    way = turn.way
    others = [
        other
        for other in turn.pool
        if other is not candidate and other not in turn.tries and other.standing(now, size) == READY
    ]
    if not others:
        return None
    return choose(others, turn.tries, way.routes.options, now, way.world.random, streams=way.controls.streams)


def _too_long(candidate: Candidate, gate: Gate, seconds: float, waited: float) -> errors.RateLimitError:
    so_far = f", after {waited:.1f} s in line" if waited else ""
    error = errors.RateLimitError(
        f"{candidate.model} is called as often as it may be ({gate}){so_far}; there is room again in about "
        f"{max(1, ceil(seconds))} s",
        llm_provider=candidate.target.provider,
        model=candidate.target.model,
        retry_after=float(max(1, ceil(seconds))),
        code="queue_timeout",
    )
    error.retryable = False  # it has waited for as long as it may
    return error


def _fallen_back(way: _Way[T], group: str, error: errors.QuothError) -> Flow[T]:
    """The groups to call when one has failed, in order, each with fallbacks of its own. Raises the last error."""
    journey, routes = way.journey, way.routes
    asked = {group}
    to_ask = _fallbacks(way, group, error)
    while to_ask and journey.fallbacks < routes.options.max_fallbacks:
        if way.end is not None and way.world.now() >= way.end:
            break
        entry = to_ask.pop(0)
        name = entry if isinstance(entry, str) else str(entry["model"])
        if name in asked:
            continue
        asked.add(name)
        journey.fallbacks += 1
        journey.model_group = name
        journey.overrides = None if isinstance(entry, str) else {k: v for k, v in entry.items() if k != "model"}
        try:
            return (yield from _through(way, _found(way, name)))
        except errors.QuothError as failed:
            error = failed
        if way.controls.fallbacks is None:
            to_ask = [*_fallbacks(way, name, error), *to_ask]
    try:
        raise error
    finally:
        del error


def _fallbacks(way: _Way[Any], group: str, error: errors.QuothError) -> list[Fallback]:
    if way.controls.disable_fallbacks or not _worth_a_fallback(error):
        return []
    given = way.controls.fallbacks
    return list(way.routes.fallbacks(group, error) if given is None else given)


def _found(way: _Way[Any], name: str) -> Group:
    try:
        group = way.routes.find(name)
        if group is None:
            raise errors.NotFoundError(f"the fallback {name!r} is not a model here", model=name)
    except errors.QuothError as error:
        provider = error.llm_provider or ""
        way.journey.attempts.append(Attempt(provider, name, "", 0.0, None, type(error).__name__, error.message))
        raise
    return group


def _worth_a_fallback(error: errors.QuothError) -> bool:
    """A request that is itself wrong is so everywhere; one that is too long for a model, or not to its taste, or has a
    parameter that it does not know, is not."""
    if isinstance(error, errors.BudgetExceededError):
        return False
    if isinstance(error, errors.ContextWindowExceededError | errors.ContentPolicyViolationError):
        return True
    return isinstance(error, errors.UnsupportedParamsError) or not isinstance(error, _NOT_SENT_TWICE)
