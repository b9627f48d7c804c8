"""Counting one request: a look-up by a tuple, and additions."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping

import msgspec

from quoth.engine.routing.candidates import Candidate
from quoth.engine.routing.gates import Gate
from quoth.engine.routing.routes import Routes
from quoth.gateway.exchange import Exchange
from quoth.gateway.metrics.families import page
from quoth.gateway.metrics.numbers import LATENCY, OVERHEAD, Line, Numbers, State, counts_of, merged
from quoth.providers.costs import facts_of

__all__ = ["Metrics"]

# However many models there are, and whoever makes up names for them.
_MOST_LINES, _MOST_FAILURES, _MOST_OUTCOMES = 2_000, 1_000, 200
_OTHER = "other"
# From so many lines on the page takes longer to write than other requests should wait.
_MANY_LINES = 40


class Metrics:
    """`in_flight`: requests under way; the application counts it up and down. `routes`: those in force, whose health
    is shown; None for none. `workers`: processes that serve together."""

    def __init__(self, workers: int = 1):
        self.workers = workers
        self.in_flight = 0
        self.routes: Routes | None = None
        self._lines: dict[tuple[str, str, str, str], Line] = {}
        self._failures: dict[tuple[str, str, int, str], int] = {}
        self._watched: dict[str, Callable[[], float]] = {}
        self._hook_failures: Callable[[], Mapping[str, int]] = dict

    def watch(self, name: str, number: Callable[[], float]) -> None:
        """Ask for a number that somebody else counts when the page is made. Names: those of `families.WATCHED`."""
        self._watched[name] = number

    def watch_hooks(self, failures: Callable[[], Mapping[str, int]]) -> None:
        """Failures of hooks, by the name that the settings give each."""
        self._hook_failures = failures

    def over(self, *exchanges: Exchange) -> None:
        """These requests are over."""
        for exchange in exchanges:
            self._count(exchange)

    def _count(self, exchange: Exchange) -> None:
        candidate = exchange.candidate
        if candidate is None:
            key = (exchange.route, exchange.known_model, "", "")
        else:
            key = (exchange.route, exchange.known_model, candidate.deployment.id, candidate.target.model)
        line = self._lines.get(key)
        if line is None:
            line = self._line(exchange, candidate)
        outcomes = line.outcomes
        outcome = (exchange.status, exchange.stream, exchange.error)
        count = outcomes.get(outcome)
        if count is not None:
            outcomes[outcome] = count + 1
        else:
            _first_of(outcomes, outcome)
        seconds = exchange.ended - exchange.started
        histogram = line.total
        histogram.counts[bisect_left(LATENCY, seconds)] += 1
        histogram.sum += seconds
        overhead = exchange.overhead
        histogram = line.overhead
        histogram.counts[bisect_left(OVERHEAD, overhead)] += 1
        histogram.sum += overhead
        line.bytes_in += exchange.bytes_in
        line.bytes_out += exchange.bytes_out
        if exchange.left:
            line.left += 1
        if exchange.cache_hit:
            line.cache_hits += 1
        if candidate is not None:
            self._called(exchange, line, seconds - overhead)
        attempts = exchange.attempts
        if attempts and (exchange.error or len(attempts) > 1):
            self._failed(exchange, line)

    def _called(self, exchange: Exchange, line: Line, upstream: float) -> None:
        """A provider was asked."""
        waited = exchange.waited
        if waited:
            upstream -= waited
            histogram = line.waits
            histogram.counts[bisect_left(LATENCY, waited)] += 1
            histogram.sum += waited
        histogram = line.upstream
        histogram.counts[bisect_left(LATENCY, upstream)] += 1
        histogram.sum += upstream
        if exchange.stream and exchange.first_at:
            first = exchange.first_at - exchange.started
            histogram = line.first
            histogram.counts[bisect_left(LATENCY, first)] += 1
            histogram.sum += first
        tokens = exchange.tokens
        if tokens is not None:
            line.prompt += tokens.prompt or 0
            line.completion += tokens.completion or 0
            line.cached += tokens.cached
            line.written += tokens.written
            line.reasoning += tokens.reasoning
        cost = exchange.cost
        if cost is not None and cost.usd is not None:
            line.usd += float(cost.usd)
            line.points += cost.points or 0
        elif exchange.status < 400:
            line.unpriced += 1

    def _failed(self, exchange: Exchange, line: Line) -> None:
        """Something went wrong on the way, if not in the end."""
        line.retries += max(0, len(exchange.attempts) - 1 - exchange.fallbacks)
        line.fallbacks += exchange.fallbacks
        if exchange.fallbacks and exchange.error:
            line.fallbacks_failed += exchange.fallbacks
        for attempt in exchange.attempts:
            if attempt.error is not None:
                key = (attempt.provider, exchange.known_model, attempt.status_code or 0, attempt.error)
                if key not in self._failures and len(self._failures) >= _MOST_FAILURES:
                    key = (_OTHER, "", 0, _OTHER)
                self._failures[key] = self._failures.get(key, 0) + 1

    def _line(self, exchange: Exchange, candidate: Candidate | None) -> Line:
        """The line for what has no line under its own key: a new one, or one that it shares."""
        key = (exchange.route, exchange.known_model, "", "")
        labels = (exchange.route, exchange.known_model, "", "", "")
        if candidate is not None:
            deployment, target = candidate.deployment, candidate.target
            # What a wildcard makes of a name is a label only if it is a model; a caller may write it in many ways.
            facts = facts_of(target) if "*" in deployment.model else None
            served = target.model if "*" not in deployment.model else None if facts is None else facts.id
            key = (exchange.route, exchange.known_model, deployment.id, served or "")
            shown = f"{target.provider}/{served}" if served else deployment.model
            labels = (exchange.route, exchange.known_model, shown, target.provider, deployment.id)
        line = self._lines.get(key)
        if line is None and len(self._lines) >= _MOST_LINES:
            key, labels = (exchange.route, _OTHER, "", ""), (exchange.route, _OTHER, "", "", "")
            line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = Line(*labels)
        return line

    def numbers(self) -> Numbers:
        """Everything as it is now; the lines themselves, not copies."""
        states, waiting = ([], {}) if self.routes is None else _standing(self.routes)
        return Numbers(
            lines=list(self._lines.values()),
            failures=self._failures,
            states=states,
            waiting=waiting,
            in_flight=self.in_flight,
            watched={name: number() for name, number in self._watched.items()},
            hook_failures=dict(self._hook_failures()),
            process=_process(),
        )

    def snapshot(self) -> bytes:
        """The numbers of this worker, for `render` in another."""
        return msgspec.msgpack.encode(self.numbers())

    def render(self, others: Iterable[bytes] = (), departed: Iterable[bytes] = ()) -> bytes:
        """The page in Prometheus's text format. `others`: the snapshots of the other workers; `departed`: the last ones
        of workers that are no more, whose counts stay and whose state does not."""
        return _page([self.snapshot(), *others], list(departed))

    async def page(self, others: Iterable[bytes] = (), departed: Iterable[bytes] = ()) -> bytes:
        """The same; a long page is written beside what the event loop has to do."""
        arguments = [self.snapshot(), *others], list(departed)
        if len(self._lines) < _MANY_LINES:
            return _page(*arguments)
        return await asyncio.to_thread(_page, *arguments)


def _page(snapshots: Iterable[bytes], departed: Iterable[bytes]) -> bytes:
    numbers = [msgspec.msgpack.decode(one, type=Numbers) for one in snapshots]
    gone = [counts_of(msgspec.msgpack.decode(one, type=Numbers)) for one in departed]
    return page(merged([*numbers, *gone]))


def _first_of(outcomes: dict[tuple[int, bool, str], int], outcome: tuple[int, bool, str]) -> None:
    if len(outcomes) >= _MOST_OUTCOMES:
        outcome = (outcome[0] // 100 * 100, outcome[1], _OTHER)
    outcomes[outcome] = outcomes.get(outcome, 0) + 1


def _standing(routes: Routes) -> tuple[list[State], dict[str, int]]:
    """How each deployment fares, and how many wait in line at each provider."""
    now = routes.world.now()
    states = {one.id: State(one.id, one.model, one.row.name, rpm=one.rpm, tpm=one.tpm) for one in routes.deployments}
    models: dict[str, int] = {}
    gates: dict[Gate, str] = {}
    for candidate in routes.candidates():
        id = candidate.deployment.id
        if id not in states:
            continue
        state = states[id]
        models[id] = models.get(id, 0) + 1
        state.in_flight += candidate.health.in_flight
        refused = candidate.key.bad(now)
        state.key_refused |= refused
        if refused or candidate.lane.until > now or candidate.health.ill(now):
            state.cooling += 1
        state.points = candidate.key.points
        gates.update(dict.fromkeys(candidate.gates, candidate.target.provider))
    for id, count in models.items():
        states[id].level = 0 if not states[id].cooling else 2 if states[id].cooling == count else 1
    waiting: dict[str, int] = {}
    for gate, provider in gates.items():
        waiting[provider] = waiting.get(provider, 0) + gate.waiting
    return list(states.values()), waiting


def _process() -> dict[str, float]:
    """CPU, memory and open files of this process; empty where the system does not tell."""
    from prometheus_client import CollectorRegistry, ProcessCollector

    found = ProcessCollector(registry=CollectorRegistry()).collect()
    return {sample.name: sample.value for metric in found for sample in metric.samples}
