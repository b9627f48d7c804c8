"""What is counted, as plain numbers that workers can send each other and add up."""

from __future__ import annotations

from collections.abc import Iterable
from operator import add

from msgspec import Struct, field

__all__ = ["LATENCY", "OVERHEAD", "Histogram", "Line", "Numbers", "State", "counts_of", "merged"]

# Upper bounds in seconds. LATENCY are LiteLLM's, so that its dashboards keep their quantiles.
LATENCY = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 420.0, 600.0)
OVERHEAD = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


class Histogram(Struct):
    """How many fell below each bound and above the one before it, the last above them all; and the sum of all."""

    counts: list[int]
    sum: float = 0.0

    def add(self, other: Histogram) -> None:
        self.counts = list(map(add, self.counts, other.counts))
        self.sum += other.sum


def latency() -> Histogram:
    return Histogram([0] * (len(LATENCY) + 1))


def overhead() -> Histogram:
    return Histogram([0] * (len(OVERHEAD) + 1))


class Line(Struct):
    """The counts of one route, model and deployment; seconds in the histograms.

    `model`: what callers say; `served`: what the provider calls it. `outcomes`: requests by HTTP status, whether they
    were streamed, and the slug of the error. `usd` is a float: money that has to be exact is in the log.
    """

    route: str
    model: str
    served: str
    provider: str
    deployment: str
    outcomes: dict[tuple[int, bool, str], int] = {}
    prompt: int = 0
    completion: int = 0
    cached: int = 0
    written: int = 0
    reasoning: int = 0
    usd: float = 0.0
    points: int = 0
    unpriced: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    cache_hits: int = 0
    left: int = 0
    retries: int = 0
    fallbacks: int = 0
    fallbacks_failed: int = 0
    total: Histogram = field(default_factory=latency)
    overhead: Histogram = field(default_factory=overhead)
    upstream: Histogram = field(default_factory=latency)
    first: Histogram = field(default_factory=latency)
    waits: Histogram = field(default_factory=latency)

    def add(self, other: Line) -> None:
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in _HISTOGRAMS:
            getattr(self, name).add(getattr(other, name))
        _add(self.outcomes, other.outcomes)


_HISTOGRAMS = ("total", "overhead", "upstream", "first", "waits")
_LABELS = ("route", "model", "served", "provider", "deployment")
_SUMS = tuple(name for name in Line.__struct_fields__ if name not in (*_LABELS, *_HISTOGRAMS, "outcomes"))


class State(Struct):
    """How one deployment fares now: calls under way, models of it that others come before, whether its key was refused,
    points that are left on it (None: not known). `level`: 0 well, 1 in part, 2 not at all, as LiteLLM has it."""

    deployment: str
    model: str
    provider: str
    level: int = 0
    in_flight: int = 0
    cooling: int = 0
    key_refused: bool = False
    points: float | None = None
    rpm: float | None = None
    tpm: float | None = None

    def add(self, other: State) -> None:
        self.level = max(self.level, other.level)
        self.in_flight += other.in_flight
        self.cooling = max(self.cooling, other.cooling)
        self.key_refused |= other.key_refused
        if self.points is None or (other.points is not None and other.points < self.points):
            self.points = other.points


class Numbers(Struct):
    """All of one worker. `failures`: attempts at a provider that failed, by provider, model, status (0: none) and class
    of error. `waiting`: calls in line, by provider. `watched`: what others count; `process`: as Prometheus names it."""

    lines: list[Line] = []
    failures: dict[tuple[str, str, int, str], int] = {}
    states: list[State] = []
    waiting: dict[str, int] = {}
    in_flight: int = 0
    workers: int = 1
    watched: dict[str, float] = {}
    hook_failures: dict[str, int] = {}
    process: dict[str, float] = {}


def counts_of(numbers: Numbers) -> Numbers:
    """Of a worker that is no more: what it has counted."""
    counted = {name: number for name, number in numbers.watched.items() if name not in _LEVELS}
    process = {name: number for name, number in numbers.process.items() if name.endswith("_total")}
    return Numbers(
        lines=numbers.lines,
        failures=numbers.failures,
        workers=0,
        watched=counted,
        hook_failures=numbers.hook_failures,
        process=process,
    )


def merged(all_of_them: Iterable[Numbers]) -> Numbers:
    """The numbers of all workers, as if they were one. The first is added to."""
    first, *others = all_of_them
    lines = {tuple(getattr(line, name) for name in _LABELS): line for line in first.lines}
    states = {state.deployment: state for state in first.states}
    for numbers in others:
        for line in numbers.lines:
            known = lines.setdefault(tuple(getattr(line, name) for name in _LABELS), line)
            if known is not line:
                known.add(line)
        for state in numbers.states:
            found = states.setdefault(state.deployment, state)
            if found is not state:
                found.add(state)
        _add(first.failures, numbers.failures)
        _add(first.waiting, numbers.waiting)
        _add(first.watched, numbers.watched)
        _add(first.hook_failures, numbers.hook_failures)
        start = [one for one in (_start(first), _start(numbers)) if one is not None]
        _add(first.process, numbers.process)
        if start:
            first.process[_START] = min(start)
        first.in_flight += numbers.in_flight
        first.workers += numbers.workers
    first.lines, first.states = list(lines.values()), list(states.values())
    return first


_START = "process_start_time_seconds"
# Of what others watch, what goes up and down.
_LEVELS = ("cache_entries", "cache_bytes")


def _start(numbers: Numbers) -> float | None:
    return numbers.process.get(_START)


def _add(ours: dict, theirs: dict) -> None:  # type: ignore[type-arg]
    for key, number in theirs.items():
        ours[key] = ours.get(key, 0) + number
