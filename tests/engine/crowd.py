"""Routed calls on a simulated clock: any number at once, towards upstreams that are functions.

crowd = Crowd([entry("poe/a", key="one"), entry("poe/a", key="two")], {"num_retries": 1})
crowd.answers["one"] = lambda at: says(500)
call = crowd.call("m")
assert call.keys == ["one", "two"]
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from quoth import errors
from quoth.call import WireRequest
from quoth.engine import failures
from quoth.engine.backoff import RetryBudget
from quoth.engine.effects import Failed, Flow, Open, Opened, Sleep, World
from quoth.engine.reading import BodyReader
from quoth.engine.routing import Candidate, Controls, Journey, Routes, Try, deployment_from, options_from, routed
from quoth.providers.rows import Registry

__all__ = ["ELSEWHERE", "Call", "Crowd", "Says", "entry", "fails", "says"]

TODAY = datetime(2026, 4, 1, 12, 0, 0, tzinfo=UTC)
# A base URL that is nobody's own, so that only an `rpm` paces.
ELSEWHERE = "http://127.0.0.1:9/v1"


@dataclass(frozen=True)
class Says:
    """An upstream's answer, after so many seconds."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    takes: float = 0.0
    failed: Failed | None = None


def says(status: int = 200, *, takes: float = 0.0, code: str | None = None, **headers: str) -> Says:
    body = {"error": {"message": "no", "type": None, "code": code}} if status >= 300 else {}
    return Says(status, body, {name.replace("_", "-"): value for name, value in headers.items()}, takes)


def fails(kind: str, *, takes: float = 0.0, deadline: str | None = None, reused: bool = False) -> Says:
    return Says(takes=takes, failed=Failed(kind, f"{kind} went wrong", deadline=deadline, reused=reused))


def entry(model: str = "poe/a", name: str = "m", *, key: str = "one", **params: Any) -> dict[str, Any]:
    info = params.pop("info", {})
    given = {"model": model, "api_key": key, "api_base": ELSEWHERE, **params}
    return {"model_name": name, "litellm_params": given, "model_info": info}


@dataclass(eq=False)
class Result:
    candidate: Candidate
    reply: Any = None


@dataclass(eq=False)
class Call:
    """One call: what it did, and how it ended. `opened` has the moment, the key and the model of each request."""

    caller: str
    started: float
    journey: Journey = field(default_factory=Journey)
    flow: Flow[Result] | None = None
    opened: list[tuple[float, str, str]] = field(default_factory=list)
    effects: list[Open] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    result: Result | None = None
    error: errors.QuothError | None = None
    ended: float | None = None

    @property
    def keys(self) -> list[str]:
        return [key for _, key, _ in self.opened]

    @property
    def models(self) -> list[str]:
        return [model for _, _, model in self.opened]

    @property
    def status(self) -> int | None:
        return 200 if self.error is None else self.error.status_code


class Crowd:
    """Routes, a clock, and upstreams by key (or "*"): functions from the moment to what they say then."""

    def __init__(
        self,
        entries: Sequence[Mapping[str, Any]],
        options: Mapping[str, Any] | None = None,
        *,
        chance: float | Callable[[], float] = 0.0,
        aliases: Mapping[str, Any] | None = None,
        start: float = 1000.0,
    ):
        self.seconds = start
        random = chance if callable(chance) else lambda: chance
        self.world = World(now=lambda: self.seconds, today=lambda: TODAY, random=random)
        self.budget = RetryBudget(self.world.now)
        self.aliases = aliases
        self.routes = self.made(entries, options)
        self.answers: dict[str, Callable[[float], Says]] = {"*": lambda at: says()}
        self.sent: list[tuple[float, str, str]] = []
        self.calls: list[Call] = []
        self._events: list[tuple[float, int, Call, Any]] = []
        self._number = itertools.count()
        self.refuses: Callable[[Candidate], None] = lambda candidate: None

    def made(
        self, entries: Sequence[Mapping[str, Any]], options: Mapping[str, Any] | None = None, previous: Any = None
    ) -> Routes:
        registry = Registry()
        deployments = [
            deployment_from(one, registry, {}, where=f"model_list[{number}]") for number, one in enumerate(entries)
        ]
        return Routes(
            deployments, options_from(options or {}), aliases=self.aliases, world=self.world, previous=previous
        )

    def reload(self, entries: Sequence[Mapping[str, Any]], options: Mapping[str, Any] | None = None) -> None:
        self.routes = self.made(entries, options, self.routes)

    def start(
        self, name: str = "m", *, at: float = 0.0, caller: str = "someone", controls: Controls | None = None
    ) -> Call:
        """Have a call begin in so many seconds."""
        call = Call(caller, self.seconds + at)
        self.calls.append(call)
        group = self.routes.find(name)
        assert group is not None, name

        def attempt(candidate: Candidate) -> Try[BodyReader, Result]:
            self.refuses(candidate)
            target = candidate.target

            def interpret(outcome: Opened | Failed, reader: BodyReader) -> Result:
                if isinstance(outcome, Failed):
                    raise failures.from_failure(target, outcome, streaming=False, makes_media=False)
                failures.check_document(target, {}, reader, reader.status, reader.headers, self.world.today)
                return Result(candidate)

            request = WireRequest("POST", target.base_url, {"key": target.key or "", "model": target.model})
            return Try(request, lambda: BodyReader(1000), interpret, tokens=10)

        call.flow = routed(
            self.routes,
            group,
            attempt,
            caller=caller,
            controls=controls or Controls(),
            journey=call.journey,
            world=self.world,
            budget=self.budget,
        )
        self._later(at, call, None)
        return call

    def call(self, name: str = "m", *, takes: float = 0.0, **how: Any) -> Call:
        """One call from beginning to end, nothing else going on; the answer is over `takes` seconds after it came."""
        call = self.start(name, **how)
        self.run()
        if call.result is not None:
            self.seconds += takes
            self.finish(call)
        return call

    def finish(self, call: Call) -> None:
        """The answer of a call has been read to its end."""
        assert call.result is not None
        call.result.candidate.succeeded(self.seconds, None, self.seconds - call.started, 10, estimated=10)

    def cancel(self, call: Call) -> None:
        assert call.flow is not None
        call.flow.close()
        call.ended = self.seconds

    def run(self, until: float = float("inf")) -> None:
        """Until nothing is left to happen, or the clock has come so far."""
        while self._events and self._events[0][0] <= until:
            self.seconds, _, call, outcome = heapq.heappop(self._events)
            if call.ended is None:
                self._step(call, outcome)
        if until < float("inf"):
            self.seconds = max(self.seconds, until)

    def _later(self, seconds: float, call: Call, outcome: Any) -> None:
        heapq.heappush(self._events, (self.seconds + seconds, next(self._number), call, outcome))

    def _step(self, call: Call, outcome: Any) -> None:
        assert call.flow is not None
        if isinstance(outcome, tuple):
            outcome = outcome[0]()
        try:
            effect = call.flow.send(outcome)
        except StopIteration as stop:
            call.result, call.ended = stop.value, self.seconds
            return
        except errors.QuothError as error:
            call.error, call.ended = error, self.seconds
            return
        if isinstance(effect, Sleep):
            call.slept.append(round(effect.seconds, 6))
            self._later(effect.seconds, call, None)
            return
        assert isinstance(effect, Open)
        key, model = effect.request.headers["key"], effect.request.headers["model"]
        call.opened.append((self.seconds, key, model))
        call.effects.append(effect)
        self.sent.append((self.seconds, key, model))
        said = self.answers.get(key, self.answers["*"])(self.seconds)

        def answered() -> Opened | Failed:
            if said.failed is not None:
                return said.failed
            effect.reader.head(said.status, said.headers)
            effect.reader.feed(msgspec.json.encode(said.body))
            effect.reader.eof()
            return Opened("the connection")

        self._later(said.takes, call, (answered,))
