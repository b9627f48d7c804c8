"""Waits, and the budget that keeps retries from making an outage worse."""

from __future__ import annotations

import tracemalloc
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from quoth.engine.backoff import RetryBudget, delay
from quoth.engine.failures import retry_after
from tests.engine.scripted import TODAY, Clock


@pytest.mark.parametrize(
    ("retry", "seconds"), [(0, 0.25), (1, 0.5), (2, 1), (3, 2), (4, 4), (5, 8), (6, 8), (40, 8), (2000, 8)]
)
def test_waits_double_up_to_eight_seconds(retry: int, seconds: float):
    assert delay(retry, None, lambda: 1.0) == seconds
    assert delay(retry, None, lambda: 0.0) == seconds / 2


@pytest.mark.parametrize(("asked", "waited"), [(0.0, 0.0), (0.001, 0.001), (7.0, 7.0), (60.0, 60.0), (60.001, None)])
def test_what_a_server_asks_for_is_waited_up_to_a_minute(asked: float, waited: float | None):
    assert delay(5, asked, lambda: 0.5) == waited


def _date(**ahead: float) -> str:
    return format_datetime(TODAY + timedelta(**ahead), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 7 "}, 7.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "1e9"}, 1e9),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7.0),
        ({"retry-after": _date(seconds=30)}, 30.0),
        ({"retry-after": _date(hours=-1)}, 0.0),
        ({"retry-after": "Wed, 01 Apr 2026 12:00:30 +0000"}, 30.0),
        ({"retry-after": "Wed, 01 Apr 2026 14:00:30 +0200"}, 30.0),
        ({"retry-after": "Wed, 01 Apr 2026 12:00:30"}, None),
        ({"retry-after": "Wed, 99 Apr 2026 12:00:30 GMT"}, None),
        ({"retry-after": "tomorrow"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "7, 8"}, None),
    ],
    ids=str,
)
def test_what_a_server_asks_for(headers: dict[str, str], seconds: float | None):
    assert retry_after(headers, TODAY) == seconds


def test_the_date_is_read_in_any_zone():
    headers = {"retry-after": format_datetime(TODAY + timedelta(seconds=9))}
    assert retry_after(headers, datetime(2026, 4, 1, 12, tzinfo=UTC)) == 9.0


def test_few_calls_may_always_be_tried_again():
    clock = Clock()
    budget = RetryBudget(clock.world.now)
    # Ten a second, over the ten seconds that count.
    assert [budget.allow() for _ in range(101)] == [True] * 100 + [False]


def test_retries_add_a_fifth_to_many_calls():
    clock = Clock()
    budget = RetryBudget(clock.world.now)
    for _ in range(10_000):
        budget.call()
    allowed = sum(budget.allow() for _ in range(10_000))
    assert allowed == 2_000 + 100


def test_the_budget_forgets_after_ten_seconds():
    clock = Clock()
    budget = RetryBudget(clock.world.now)
    for _ in range(1_000):
        budget.call()
    assert sum(budget.allow() for _ in range(1_000)) == 300
    clock.seconds += 9.9
    assert not budget.allow()
    clock.seconds += 0.2
    assert sum(budget.allow() for _ in range(1_000)) == 100


def test_in_an_outage_retries_stay_a_fraction():
    """100 calls a second for a minute, each of which would like two retries."""
    clock = Clock()
    budget = RetryBudget(clock.world.now)
    calls = retries = 0
    for _ in range(6_000):
        clock.seconds += 0.01
        budget.call()
        calls += 1
        retries += sum(budget.allow() for _ in range(2))
    assert retries <= 0.2 * calls + 10 * 60 + 100
    assert retries >= 0.2 * calls


def test_the_budget_takes_no_more_memory_for_more_calls():
    clock = Clock()
    budget = RetryBudget(clock.world.now)
    for _ in range(2_000):
        clock.seconds += 0.05
        budget.call()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(20_000):
            clock.seconds += 0.001
            budget.call()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 20_000
