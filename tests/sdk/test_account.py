"""The account: balance, history, and the true cost of past answers."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import quoth
from quoth.emulator import Emulator
from quoth.sdk.account import _Free
from quoth.sdk.account import _row as _read_row
from tests.faultserver import FaultServer
from tests.faultserver.answers import answer as says
from tests.sdk.conftest import Complete

HELLO = [{"role": "user", "content": "hello"}]
HAIKU = "poe/Claude-Haiku-4.5"


_numbers = itertools.count()


@pytest.fixture(autouse=True)
def _poe(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call goes to the emulator, with a key of its own: answers of other tests may still be held."""
    monkeypatch.setenv("POE_API_KEY", f"key-{next(_numbers)}")


class TestBalance:
    def test_all_of_it(self, emulator: Emulator):
        found = quoth.balance()
        assert found.points == emulator.balance == 10_000_000
        assert (found.usd, found.addon_points) == (Decimal("303.03"), 0)
        assert found.next_monthly_grant is not None
        assert found.next_monthly_grant.tzinfo is UTC
        assert found.auto_recharge is not None
        assert emulator.requests[-1].path.endswith("/usage/current_balance")
        assert "/v1" not in emulator.requests[-1].path

    def test_by_every_way(self):
        async def ask() -> set[int]:
            async with quoth.AsyncClient(provider="poe") as client:
                return {(await quoth.abalance()).points, (await client.balance()).points}

        with quoth.Client(provider="poe") as client:
            assert {quoth.balance().points, client.balance().points} == asyncio.run(ask())

    def test_the_documented_minimum(self):
        with Emulator(profile="documented") as documented, _client(documented.base_url) as client:
            found = client.balance()
        assert found.points > 0
        assert (found.usd, found.plan_points, found.auto_recharge) == (None, None, None)

    @pytest.mark.parametrize("body", [b"[]", b"{}", b'{"current_point_balance": "many"}', b"<html>"])
    def test_what_is_no_balance(self, body: bytes, server: FaultServer):
        server.play_once(says(body))
        with _client(server.url) as client, pytest.raises(quoth.BadGatewayError):
            client.balance()


def _client(url: str) -> quoth.Client:
    return quoth.Client(provider="poe", api_base=url, api_key="k", num_retries=0)


class TestHistory:
    def test_pages_to_the_end_newest_first(self, emulator: Emulator):
        quoth.batch_completion("poe/gpt-5-nano", [HELLO] * 230, max_tokens=5)
        rows = list(quoth.usage_history())
        assert len({row.id for row in rows}) == len(rows) == 230
        assert rows == sorted(rows, key=lambda row: row.time, reverse=True)
        assert sum(row.points for row in rows) == 10_000_000 - emulator.balance
        assert len(list(quoth.usage_history(limit=150))) == 150

        async def read() -> list[quoth.UsageRow]:
            return [row async for row in quoth.ausage_history()]

        assert asyncio.run(read()) == rows

    def test_a_row(self):
        quoth.completion(HAIKU, HELLO)
        (row,) = quoth.usage_history()
        assert (row.model, row.kind) == ("Claude-Haiku-4.5", "API")
        assert row.key
        assert sum(row.items.values()) == row.points > 0
        assert set(row.tokens) == {"Input", "Output"}
        assert abs(datetime.now(UTC) - row.time) < timedelta(minutes=1)

    def test_since(self):
        quoth.completion(HAIKU, HELLO)
        assert len(list(quoth.usage_history(timedelta(minutes=5)))) == 1
        assert list(quoth.usage_history(datetime(2999, 1, 1, tzinfo=UTC))) == []

    def test_an_endless_history_ends(self, server: FaultServer):
        """A server that says `has_more` and always gives the same page."""
        for _ in range(2):
            server.play_once(says(_page([_row("a", 5)], more=True)))
        with _client(server.url) as client:
            assert len(list(client.usage_history())) == 1


def _row(row_id: str, points: int, **more: Any) -> dict[str, Any]:
    now = int(datetime.now(UTC).timestamp() * 1_000_000)
    return {"bot_name": "Claude-Haiku-4.5", "creation_time": now, "query_id": row_id, "cost_points": points, **more}


def _page(rows: list[dict[str, Any]], more: bool = False) -> bytes:
    return msgspec.json.encode({"has_more": more, "length": len(rows), "data": rows})


@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 30)), max_size=8),
    st.lists(st.integers(0, 300), max_size=10),
)
def test_rows_go_to_the_nearest_answers_first(calls: list[tuple[int, int]], rows: list[int]) -> None:
    """As if all pairs of an answer and a row were looked at, the nearest first."""
    zero = datetime(2026, 4, 1, tzinfo=UTC)
    free = _Free([_read_row(_row(str(time), 1) | {"creation_time": _micros(zero) + time * 10**6}) for time in rows])
    taken: list[tuple[int, int]] = []
    waiting = set(range(len(calls)))
    while waiting:
        near = {
            number: found
            for number in waiting
            if (found := free.nearest(*(zero + timedelta(seconds=at) for at in (calls[number][0], sum(calls[number])))))
        }
        if not near:
            break
        number = min(near, key=lambda one: (near[one][0], one))
        free.take(near[number][1])
        waiting.remove(number)
        taken.append((number, round(near[number][0].total_seconds())))

    left, expected, still = sorted(rows), [], set(range(len(calls)))
    while pairs := [
        (abs(time - calls[number][0]), number, time)
        for number in still
        for time in left
        if calls[number][0] - 60 <= time <= sum(calls[number]) + 60
    ]:
        distance, number, time = min(pairs)
        left.remove(time)
        still.remove(number)
        expected.append((number, distance))
    assert taken == expected


def _micros(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)


class TestReconcile:
    @pytest.fixture
    def late(self) -> Iterator[quoth.Client]:
        with (
            Emulator(token_delay=0, late_costs=1.0) as emulator,
            quoth.Client(provider="poe", api_base=emulator.base_url, api_key="late-key") as client,
        ):
            yield client

    def test_costs_that_come_late(self, late: quoth.Client):
        answers: list[Any] = [late.completion("Claude-Haiku-4.5", HELLO), late.completion("nano-banana", HELLO)]
        stream: Any = late.completion("Claude-Haiku-4.5", HELLO, stream=True)
        list(stream)
        answers.append(stream)
        answers.append(late.completion("gpt-5-mini", HELLO, n=3))
        assert late.reconcile(wait=0) == quoth.Reconciled(0, 4), "there, but not priced yet"
        assert late.reconcile() == quoth.Reconciled(4, 0)
        assert {answer.cost.source for answer in answers} == {"provider"}
        assert sum(answer.cost.points for answer in answers) == sum(row.points for row in late.usage_history())
        assert late.reconcile() == quoth.Reconciled(0, 0), "a row is used once"

    @pytest.mark.parametrize(
        ("model", "prompt"),
        [("grok-4", "hello"), ("imagen-4", "a fox"), ("nano-banana", "What is 17 * 19?"), ("minimax-speech-2.8", "hi")],
    )
    def test_an_estimate_is_what_the_history_says(self, model: str, prompt: str, complete: Complete):
        answer: Any = complete(f"poe/{model}", [{"role": "user", "content": prompt}])
        assert answer.cost.points == next(quoth.usage_history()).points

    @pytest.mark.parametrize("model", ["nano-banana", "gpt-image-2", "veo-3.1-lite"])
    def test_what_cannot_be_estimated_is_unknown_until_the_history_says_it(self, model: str, complete: Complete):
        answer: Any = complete(f"poe/{model}", [{"role": "user", "content": "Draw a fox"}])
        assert answer.cost == quoth.Cost()
        assert quoth.reconcile() == quoth.Reconciled(1, 0)
        assert answer.cost.points == next(quoth.usage_history()).points > 0

    def test_thousands_of_answers(self, emulator: Emulator):
        answers = quoth.batch_completion("poe/gpt-5-nano", [HELLO] * 300, max_tokens=5)
        assert quoth.reconcile() == quoth.Reconciled(300, 0)
        points = [one.cost.points for one in answers if isinstance(one, quoth.Completion)]
        assert sum(points) == 10_000_000 - emulator.balance  # type: ignore[arg-type]

    def test_in_asyncio(self):
        answer = quoth.completion(HAIKU, HELLO)
        assert asyncio.run(quoth.areconcile()).missing == 0
        assert answer.cost.source == "provider"

    def test_only_what_is_still_held_and_was_really_asked(self, complete: Complete):
        complete(HAIKU, HELLO)
        complete(HAIKU, HELLO, mock_response="hi")
        mocked = complete(HAIKU, HELLO, mock_response="hi")
        assert quoth.reconcile(wait=0) == quoth.Reconciled(0, 0)
        assert mocked.cost.source == "estimated"

    def test_rows_of_another_key_are_not_taken(self):
        answer = quoth.completion(HAIKU, HELLO)
        assert quoth.reconcile(wait=0, key_name="somebody else's") == quoth.Reconciled(0, 1)
        assert answer.cost.source == "estimated"
        own = next(quoth.usage_history()).key
        assert quoth.reconcile(wait=0, key_name=own) == quoth.Reconciled(1, 0)
