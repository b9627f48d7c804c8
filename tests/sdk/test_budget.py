"""Budgets: the most is reserved before sending, and settled exactly once, whatever becomes of a call."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

import quoth
from quoth.call import Row, Target
from quoth.emulator import Emulator
from quoth.providers.costs import Most
from quoth.sdk.budget import current
from tests.faultserver import FaultServer
from tests.faultserver.answers import chat
from tests.faultserver.steps import Read, Stall
from tests.sdk.conftest import Complete

HELLO = [{"role": "user", "content": "hello"}]
HAIKU = "poe/Claude-Haiku-4.5"
NIL = Decimal(0)
TARGET = Target(Row("poe", "https://poe.test/v1"), "m", "https://poe.test/v1")


@pytest.fixture(autouse=True)
def _poe(emulator: Emulator) -> Iterator[None]:
    yield
    gc.collect()


class TestSettling:
    def test_spent_is_what_the_answers_cost(self, complete: Complete):
        with quoth.budget(usd="0.50") as b:
            one = complete(HAIKU, HELLO, max_tokens=100)
            _, stream = complete.stream(HAIKU, HELLO, max_tokens=100)
        assert one.cost.usd is not None
        assert b.spent == one.cost.usd + stream.cost.usd
        assert (b.calls, b.reserved, b.usd) == (2, NIL, Decimal("0.50"))
        assert b.remaining == b.usd - b.spent

    def test_a_stream_holds_its_reservation_until_its_end(self):
        with quoth.budget(usd=1) as b:
            stream = quoth.completion(HAIKU, HELLO, max_tokens=100, stream=True)
            assert b.reserved > 0 == b.spent
            list(stream)
            assert (b.reserved, b.spent) == (NIL, stream.cost.usd)
            stream.close()
            del stream
            assert b.spent < Decimal("0.001")

    @pytest.mark.parametrize("leave", ["close", "break", "drop", "never read"])
    def test_a_stream_left_early_counts_whole_once(self, leave: str):
        with quoth.budget(usd=1) as b:
            stream = quoth.completion(HAIKU, HELLO, max_tokens=100, stream=True)
            most = b.reserved
            if leave in ("break", "drop"):
                next(iter(stream))
            if leave in ("close", "break"):
                stream.close()
                stream.close()
            del stream
            gc.collect()
        assert (b.spent, b.reserved) == (most, NIL)

    def test_a_stream_left_early_in_asyncio(self):
        async def leave() -> quoth.Budget:
            async with quoth.budget(usd=1) as b:
                async with await quoth.acompletion(HAIKU, HELLO, max_tokens=100, stream=True) as stream:
                    most = b.reserved
                    await anext(stream)
                assert (b.spent, b.reserved) == (most, NIL)
            return b

        assert asyncio.run(leave()).calls == 1

    def test_what_the_provider_refuses_costs_nothing(self, emulator: Emulator, complete: Complete):
        emulator.faults("status=400")
        with quoth.budget(usd=1) as b, pytest.raises(quoth.BadRequestError):
            complete(HAIKU, HELLO, max_tokens=100)
        assert (b.spent, b.reserved, b.calls) == (NIL, NIL, 1)

    def test_retries_are_reserved_one_by_one(self, emulator: Emulator, complete: Complete):
        emulator.faults("status=503; times=2")
        with quoth.budget(usd=1) as b:
            answer = complete(HAIKU, HELLO, max_tokens=100)
        assert (b.spent, b.reserved, b.calls) == (answer.cost.usd, NIL, 3)

    def test_what_may_have_been_charged_counts_whole(self, server: FaultServer, complete: Complete):
        with quoth.budget(usd=1) as b, pytest.raises(quoth.Timeout):
            complete(HAIKU, HELLO, max_tokens=100, timeout=0.3, num_retries=0, api_base=_silent(server), api_key="k")
        assert b.spent > 0 == b.reserved

    def test_what_was_never_sent_costs_nothing(self, complete: Complete):
        with quoth.budget(usd=1) as b, pytest.raises(quoth.APIConnectionError):
            complete(HAIKU, HELLO, max_tokens=100, num_retries=0, api_base="http://127.0.0.1:1/v1", api_key="k")
        assert (b.spent, b.reserved) == (NIL, NIL)

    def test_an_answer_that_does_not_count_its_tokens_counts_whole(self, server: FaultServer, complete: Complete):
        server.play_once(chat("ok", usage=None))
        with quoth.budget(usd=1) as b:
            answer = complete(HAIKU, HELLO, max_tokens=100, api_base=server.url, api_key="k", wire="openai_chat")
        assert answer.cost.usd is None
        assert b.spent > 0 == b.reserved

    def test_a_cancelled_call_is_settled(self, server: FaultServer):
        async def cancel() -> quoth.Budget:
            with quoth.budget(usd=1) as b:
                call = quoth.acompletion(HAIKU, HELLO, max_tokens=100, api_base=_silent(server), api_key="k")
                task = asyncio.ensure_future(call)
                while not b.calls:
                    await asyncio.sleep(0.01)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            return b

        b = asyncio.run(cancel())
        assert b.reserved == 0 < b.spent

    def test_a_mock_costs_nothing(self, complete: Complete):
        with quoth.budget(usd=0) as b:
            complete(HAIKU, HELLO, mock_response="hi")
        assert (b.calls, b.spent) == (0, NIL)


def _silent(server: FaultServer) -> str:
    """An address that takes a request and never answers."""
    server.play_once(Read(), Stall())
    return server.url


class TestRefusing:
    def test_nothing_is_sent_that_could_cost_more_than_is_left(self, emulator: Emulator, complete: Complete):
        with quoth.budget(usd="0.0001") as b, pytest.raises(quoth.BudgetExceededError) as caught:
            complete(HAIKU, HELLO, max_tokens=1000)
        assert emulator.requests == []
        assert (b.calls, b.spent, b.reserved) == (0, NIL, NIL)
        assert (caught.value.llm_provider, caught.value.model) == ("poe", "Claude-Haiku-4.5")
        assert "nothing was sent" in str(caught.value)

    @pytest.mark.parametrize("model", ["poe/my-own-bot", "poe/nano-banana", "openai/gpt-5"])
    def test_an_unknown_price_is_refused_and_the_error_says_how_to_allow_it(self, model: str, emulator: Emulator):
        with quoth.budget(usd=100), pytest.raises(quoth.BudgetExceededError, match='unknown="allow"'):
            quoth.completion(model, HELLO, max_tokens=10, api_key="k")
        assert emulator.requests == []

    def test_an_unknown_price_can_be_allowed(self):
        with quoth.budget(usd=1, unknown="allow") as b:
            quoth.completion("poe/GPT-4o", HELLO)
        assert (b.calls, b.spent) == (1, NIL)
        with quoth.budget(usd=0, unknown="allow"), pytest.raises(quoth.BudgetExceededError, match="nothing left"):
            quoth.completion("poe/nano-banana", HELLO)

    def test_a_smaller_fallback_may_fit(self):
        with quoth.budget(usd="0.01") as b:
            answer = quoth.completion("poe/Claude-Opus-4.5", HELLO, max_tokens=4000, fallbacks=["poe/gpt-5-nano"])
        assert answer.attempts[0].error == "BudgetExceededError"
        assert b.calls == 1

    @pytest.mark.parametrize("usd", [-1, "a dollar", float("nan"), float("inf"), True, None])
    def test_an_amount_that_is_none(self, usd: Any):
        with pytest.raises(quoth.BadRequestError, match="usd"):
            quoth.budget(usd=usd)

    def test_what_an_earlier_run_spent_counts(self, emulator: Emulator):
        with quoth.budget(usd="0.01", spent="0.0099") as b:
            assert (b.spent, b.remaining) == (Decimal("0.0099"), Decimal("0.0001"))
            with pytest.raises(quoth.BudgetExceededError, match=r"\$0.0099 spent"):
                quoth.completion(HAIKU, HELLO, max_tokens=1000)
        assert not emulator.requests
        with quoth.budget(usd="0.01", spent="0.02") as b:
            assert b.remaining == 0

    def test_nested_budgets_both_apply(self):
        refused = pytest.raises(quoth.BudgetExceededError, match=r"\$0.00001")
        with quoth.budget(usd=1) as outer, quoth.budget(usd="0.00001") as inner, refused:
            quoth.completion(HAIKU, HELLO, max_tokens=100)
        assert (outer.reserved, outer.calls, inner.calls) == (NIL, 0, 0)
        with quoth.budget(usd=1) as outer, quoth.budget(usd=1) as inner:
            quoth.completion(HAIKU, HELLO, max_tokens=100)
        assert outer.spent == inner.spent > 0
        assert current() is None, "and none does outside"

    def test_the_whole_process(self, monkeypatch: pytest.MonkeyPatch, complete: Complete):
        monkeypatch.setenv("QUOTH_MAX_USD", "0")
        with pytest.raises(quoth.BudgetExceededError, match="QUOTH_MAX_USD"):
            complete(HAIKU, HELLO, max_tokens=100)
        monkeypatch.setenv("QUOTH_MAX_USD", "1.5")
        complete(HAIKU, HELLO, max_tokens=100)
        monkeypatch.setenv("QUOTH_MAX_USD", "much")
        with pytest.raises(quoth.BadRequestError, match="QUOTH_MAX_USD"):
            complete(HAIKU, HELLO, max_tokens=100)


class Sum(BaseModel):
    total: int


class TestSeveralAtOnce:
    def test_several_choices_and_batches_are_covered(self, complete: Complete):
        with quoth.budget(usd=1) as b:
            answer = complete(HAIKU, HELLO, max_tokens=100, n=3)
            assert b.spent == answer.cost.usd
            batch = quoth.batch_completion(HAIKU, [HELLO] * 5, max_tokens=100)
        assert b.calls == 8
        costs = [one.cost.usd for one in (answer, *batch) if isinstance(one, quoth.Completion)]
        assert b.spent == sum(usd for usd in costs if usd is not None)

    def test_a_batch_stops_where_the_budget_does(self, emulator: Emulator):
        with quoth.budget(usd="0.002") as b:
            found = quoth.batch_completion(HAIKU, [HELLO] * 40, max_tokens=100, max_workers=8)
        refused = [one for one in found if isinstance(one, quoth.BudgetExceededError)]
        assert refused
        assert b.spent <= b.usd
        assert len(emulator.requests) == b.calls == 40 - len(refused)

    @pytest.mark.parametrize("how", ["blocking", "asyncio"])
    def test_a_batch_waits_for_what_its_calls_give_back(self, how: str, emulator: Emulator):
        """Each of 40 could cost a fifth of the budget, and costs a thousandth of it."""
        with quoth.budget(usd="0.03") as b:
            if how == "blocking":
                answers = quoth.batch_completion(HAIKU, [HELLO] * 40, max_tokens=1000)
            else:
                answers = asyncio.run(quoth.abatch_completion(HAIKU, [HELLO] * 40, max_tokens=1000))
        assert all(isinstance(answer, quoth.Completion) for answer in answers)
        assert (b.calls, b.reserved, len(emulator.requests)) == (40, NIL, 40)
        assert NIL < b.spent < Decimal("0.03")

    def test_a_repair_is_covered(self, server: FaultServer):
        usage = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}
        server.play_once(chat("no JSON", usage=usage))
        server.play_once(chat('{"total": 1}', usage=usage))
        with quoth.budget(usd=1) as b:
            answer = quoth.completion(
                HAIKU,
                HELLO,
                max_tokens=50,
                response_format=Sum,
                api_base=server.url,
                api_key="k",
                wire="openai_chat",
            )
        assert (b.calls, b.spent) == (2, answer.cost.usd)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 300), min_size=50, max_size=50), st.integers(0, 4000), st.data())
def test_fifty_threads_never_go_over(wants: list[int], cap: int, data: st.DataObject):
    """Each thread reserves again and again, and settles for less or for all."""
    shares = data.draw(st.lists(st.sampled_from([None, 0, 1]), min_size=50, max_size=50))
    b = quoth.budget(usd=Decimal(cap) / 1000)
    with b:
        purse = current()
    assert purse is not None
    start, over = threading.Barrier(50), []

    def spend(number: int) -> Decimal:
        start.wait()
        spent = Decimal(0)
        for _ in range(3):
            most = Decimal(wants[number]) / 1000
            try:
                reservation = purse.reserve(TARGET, Most(most))
            except quoth.BudgetExceededError:
                continue
            if b.spent + b.reserved > b.usd:
                over.append(number)
            share = shares[number]
            cost = None if share is None else most * share
            reservation.settle(cost)
            reservation.settle(most * 5)  # only the first time counts
            spent += most if cost is None else cost
        return spent

    with ThreadPoolExecutor(50) as pool:
        total = sum(pool.map(spend, range(50)), Decimal(0))
    assert not over
    assert (b.spent, b.reserved) == (total, NIL)
    assert b.spent <= b.usd
