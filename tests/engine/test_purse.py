"""The purse in the engine's hand: every attempt is reserved, and settled once, on every path out."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from quoth.call import Target
from quoth.engine.attempts import Plan, Policy, answer
from quoth.engine.backoff import RetryBudget
from quoth.engine.effects import Open
from quoth.errors import BudgetExceededError
from quoth.providers.costs import Most
from tests.engine.scripted import COMPLETION, Clock, Say, call, event, fails, play, says, streams, target


@dataclass
class Written:
    """A purse that writes down what it is asked; with `room` for so many reservations."""

    room: int = 100
    notes: list[str] = field(default_factory=list)

    def reserve(self, to: Target, most: Most) -> Written:
        assert most.usd is None, "nobody knows acme's prices"
        if not self.room:
            raise BudgetExceededError("no room", llm_provider=to.provider, model=to.model)
        self.room -= 1
        self.notes.append("reserve")
        return self

    def settle(self, usd: Decimal | None) -> None:
        self.notes.append("whole" if usd is None else f"settle {usd}")


USAGE = {"usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2, "cost": 0.25}}
GOOD = says(200, {**COMPLETION, **USAGE})
DENIED = says(400, {"error": {"message": "no"}})
BUSY = says(503, {"error": {"message": "busy"}})


@pytest.mark.parametrize(
    ("script", "notes"),
    [
        ([GOOD], ["reserve", "settle 0.25"]),
        ([says(200, COMPLETION)], ["reserve", "whole"]),
        ([DENIED], ["reserve", "settle 0"]),
        ([BUSY, GOOD], ["reserve", "settle 0", "reserve", "settle 0.25"]),
        ([fails("connect"), GOOD], ["reserve", "settle 0", "reserve", "settle 0.25"]),
        ([fails("read"), GOOD], ["reserve", "whole", "reserve", "settle 0.25"]),
        ([fails("read", reused=True), GOOD], ["reserve", "settle 0", "reserve", "settle 0.25"]),
        ([fails("timeout", deadline="connect"), GOOD], ["reserve", "settle 0", "reserve", "settle 0.25"]),
        ([says(200, b"<html>")], ["reserve", "whole"]),
    ],
    ids=["good", "no usage", "denied", "busy", "connect", "read", "stale", "connect timeout", "unreadable"],
)
def test_each_attempt_is_settled_once(script: list[Say], notes: list[str]):
    clock, purse = Clock(), Written()
    play(answer([Plan(call(), target)], clock.world, RetryBudget(clock.world.now), purse), script, clock)
    assert purse.notes == notes


def test_no_room_sends_nothing():
    clock, purse = Clock(), Written(room=0)
    run = play(answer([Plan(call(), target)], clock.world, RetryBudget(clock.world.now), purse), [], clock)
    assert isinstance(run.error, BudgetExceededError)
    assert (run.steps, purse.notes) == ([], [])
    assert [attempt.error for attempt in run.error.attempts] == ["BudgetExceededError"]


def test_no_room_for_a_retry():
    clock, purse = Clock(), Written(room=1)
    run = play(answer([Plan(call(), target)], clock.world, RetryBudget(clock.world.now), purse), [BUSY], clock)
    assert isinstance(run.error, BudgetExceededError)
    assert [attempt.error for attempt in run.error.attempts] == ["ServiceUnavailableError", "BudgetExceededError"]
    assert purse.notes == ["reserve", "settle 0"]


def test_a_stream_takes_its_reservation_along():
    clock, purse = Clock(), Written()
    first = {"id": "x", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "a"}}]}
    flow = answer([Plan(call(stream=True), target)], clock.world, RetryBudget(clock.world.now), purse)
    run = play(flow, [streams(event(first))], clock)
    assert run.result.reservation is purse
    assert purse.notes == ["reserve"]


def test_a_flow_that_is_closed_in_flight():
    clock, purse = Clock(), Written()
    flow = answer([Plan(call(), target, Policy())], clock.world, RetryBudget(clock.world.now), purse)
    assert isinstance(next(flow), Open)
    flow.close()
    assert purse.notes == ["reserve", "whole"]
