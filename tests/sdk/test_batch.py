"""Many conversations: order, errors in their place, and no more at a time than was said."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

import quoth
from quoth.emulator import Emulator
from quoth.transport.canned import Canned, CannedAsync


def batch(way: str, **keywords: Any) -> list[Any]:
    if way == "blocking":
        return list(quoth.batch_completion(**keywords))
    return list(asyncio.run(quoth.abatch_completion(**keywords)))


def sums(count: int) -> list[list[dict[str, str]]]:
    return [[{"role": "user", "content": f"What is {number} + {number}?"}] for number in range(count)]


pytestmark = pytest.mark.parametrize("way", ["blocking", "asyncio"])


def test_results_keep_their_order(way: str, emulator: Emulator) -> None:
    results = batch(way, model="poe/Grok-4", messages=sums(40))
    assert [result.choices[0].message.content for result in results] == [
        f"[emulated Grok-4] {number} + {number} = {2 * number}" for number in range(40)
    ]
    assert all(result.cost.points for result in results)


def test_errors_stand_in_their_place(way: str, emulator: Emulator) -> None:
    conversations: list[Any] = sums(3)
    conversations[1] = []
    conversations.append("Hello")
    results = batch(way, model="poe/Grok-4", messages=conversations)
    assert [type(result) for result in results] == [
        quoth.Completion,
        quoth.BadRequestError,
        quoth.Completion,
        quoth.BadRequestError,
    ]
    gone = batch(way, model="poe/no-such-bot", messages=sums(2))
    assert [type(result) for result in gone] == [quoth.NotFoundError] * 2
    assert len(gone[0].attempts) == 1


def test_keywords_are_those_of_a_call(way: str, emulator: Emulator) -> None:
    emulator.faults("status=503; times=1", "ok")
    (result,) = batch(way, model="poe/Grok-4", messages=sums(1), user="me", num_retries=1)
    assert [attempt.status_code for attempt in result.attempts] == [503, 200]
    assert [warning.param for warning in result.warnings] == ["user"]


def test_no_more_at_a_time_than_was_said(way: str, emulator: Emulator) -> None:
    results = batch(way, model="poe/Grok-4", messages=sums(6), max_workers=1)
    assert len(results) == 6
    bodies = [request.body["messages"][0]["content"] for request in emulator.requests]
    assert bodies == [conversation[0]["content"] for conversation in sums(6)], "one at a time keeps the order"


def test_of_nothing_comes_nothing(way: str, emulator: Emulator) -> None:
    assert batch(way, model="poe/Grok-4", messages=[]) == []


def test_what_cannot_be_is_said(way: str, emulator: Emulator) -> None:
    with pytest.raises(quoth.BadRequestError, match="not streamed"):
        batch(way, model="poe/Grok-4", messages=sums(1), stream=True)
    for wrong in (0, -1, True, "2"):
        with pytest.raises(quoth.BadRequestError, match="max_workers"):
            batch(way, model="poe/Grok-4", messages=sums(1), max_workers=wrong)


def test_calls_to_poe_itself_keep_a_pace(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """48 at once, then one every 0.14 s; whatever else POE_API_BASE names, or a mock, is not held back."""
    monkeypatch.delenv("POE_API_BASE", raising=False)
    body = b'{"choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]}'
    answers = [(200, {"content-type": "application/json"}, [body])]
    client = (
        quoth.Client(transport=Canned(answers), api_key="k")
        if way == "blocking"
        else quoth.AsyncClient(transport=CannedAsync(answers), api_key="k")
    )
    started = time.monotonic()
    results = batch(way, model="poe/Grok-4", messages=sums(55), client=client)
    assert all(isinstance(result, quoth.Completion) for result in results), results[0]
    assert time.monotonic() - started >= 0.9


def test_an_error_of_every_call_stands_in_every_place(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POE_API_KEY", raising=False)
    results = batch(way, model="poe/Grok-4", messages=sums(3))
    assert [type(result) for result in results] == [quoth.AuthenticationError] * 3
