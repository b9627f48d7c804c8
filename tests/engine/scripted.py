"""Flows driven by hand: each Open is answered by the next line of a script, Sleep moves a clock, nothing else happens.

run = play(flow, [fails("connect"), says(200, COMPLETION)], world)
assert run.steps == ["open", "sleep 0.25", "open"]
assert run.result.completion is not None
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from quoth.call import Call, Row, Target
from quoth.engine.effects import Failed, Flow, Open, Opened, Sleep, Together, World
from quoth.errors import QuothError

__all__ = ["COMPLETION", "Clock", "Run", "Say", "completion", "event", "fails", "play", "says", "streams", "target"]

TODAY = datetime(2026, 4, 1, 12, 0, 0, tzinfo=UTC)


class Clock:
    """Seconds that pass only when told to. `chance` is every random number."""

    def __init__(self, chance: float = 1.0):
        self.seconds = 1000.0
        self.world = World(now=lambda: self.seconds, today=lambda: TODAY, random=lambda: chance)


# An answer to an Open: it may feed the reader, takes so many seconds, and tells the flow what became of it.
Say = Callable[[Open, Clock], Opened | Failed]


def says(status: int, body: object = b"", *, takes: float = 0.0, headers: dict[str, str] | None = None) -> Say:
    """A whole answer."""
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return streams(raw, status=status, takes=takes, headers=headers)


def streams(*pieces: bytes, status: int = 200, takes: float = 0.0, headers: dict[str, str] | None = None) -> Say:
    """Pieces, as far as the reader wants them, then the end."""

    def answer(effect: Open, clock: Clock) -> Opened:
        clock.seconds += takes
        reader = effect.reader
        reader.head(status, headers or {})
        for piece in pieces:
            if not reader.settled:
                reader.feed(piece)
        if not reader.settled:
            reader.eof()
        return Opened("the connection")

    return answer


def fails(kind: str, *, reused: bool = False, deadline: str | None = None, takes: float = 0.0) -> Say:
    def answer(effect: Open, clock: Clock) -> Failed:
        clock.seconds += takes
        return Failed(kind, f"{kind} went wrong", reused=reused, deadline=deadline)

    return answer


@dataclass(slots=True)
class Run:
    """What a flow did. `steps` in words, `opened` the effects themselves; `result`, or `error` if it raised one."""

    steps: list[str] = field(default_factory=list)
    opened: list[Open] = field(default_factory=list)
    result: Any = None
    error: QuothError | None = None


def play(flow: Flow[Any], script: Iterable[Say], clock: Clock) -> Run:
    """Run to the end. An Open beyond the script is an AssertionError. The flows of a Together run one after the other,
    and the first to fail ends them all."""
    run = Run()
    _play(flow, iter(script), clock, run)
    return run


def _play(flow: Flow[Any], script: Iterator[Say], clock: Clock, run: Run) -> None:
    outcome: Any = None
    while True:
        try:
            effect = flow.send(outcome)
        except StopIteration as stop:
            run.result = stop.value
            return
        except QuothError as error:
            run.error = error
            return
        if isinstance(effect, Sleep):
            run.steps.append(f"sleep {effect.seconds:g}")
            clock.seconds += effect.seconds
            outcome = None
        elif isinstance(effect, Together):
            run.steps.append(f"together {len(effect.flows)}")
            outcome = []
            for one in effect.flows:
                _play(one, script, clock, run)
                if run.error is not None:
                    failed, run.error = run.error, None
                    _throw(flow, failed, run)
                    return
                outcome.append(run.result)
        else:
            run.steps.append("open")
            run.opened.append(effect)
            say = next(script, None)
            assert say is not None, f"an Open beyond the script, after {run.steps}"
            outcome = say(effect, clock)


def _throw(flow: Flow[Any], error: QuothError, run: Run) -> None:
    try:
        flow.throw(error)
    except QuothError as raised:
        run.error = raised


def completion(text: str = "hi", **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], **more}


COMPLETION = completion()


def event(data: object) -> bytes:
    return b"data: " + (data if isinstance(data, bytes) else msgspec.json.encode(data)) + b"\n\n"


def target(model: str = "m", *, row: Row | None = None, key: str = "sk-0123456789") -> Target:
    row = row or Row(name="acme", base_url="https://acme.test/v1")
    return Target(row=row, model=model, base_url=row.base_url, key=key, quirks=frozenset(row.quirks))


def call(messages: Sequence[Any] = ({"role": "user", "content": "hello"},), **facts: Any) -> Call:
    return Call(model="acme/m", messages=list(messages), **facts)
