"""Gates: what they let through in a minute, and who goes first."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quoth.engine.routing.gates import Gate, Pace, Places, Ticket, Tokens
from tests.engine.crowd import Crowd, entry, says

Arrivals = list[tuple[float, str]]


def through(gate: Gate, arrivals: Arrivals) -> list[tuple[float, float, str]]:
    """(arrived, went through, caller) of everybody who got through, each asking when it was told to."""
    done: list[tuple[float, float, str]] = []
    events: list[tuple[float, int, float, str, Ticket | None]] = []
    for number, (at, caller) in enumerate(arrivals):
        heapq.heappush(events, (at, number, at, caller, None))
    count = len(arrivals)
    while events:
        now, _, arrived, caller, ticket = heapq.heappop(events)
        if ticket is None:
            if gate.take(now):
                done.append((arrived, now, caller))
                continue
            ticket = gate.join(caller)
        seconds = gate.ask(ticket, now)
        if seconds == 0.0:
            done.append((arrived, now, caller))
        else:
            count += 1
            heapq.heappush(events, (now + seconds, count, arrived, caller, ticket))
    return done


def most_in_a_minute(moments: list[float], window: float = 60.0) -> int:
    moments = sorted(moments)
    return max((sum(start <= one < start + window for one in moments) for start in moments), default=0)


ARRIVALS = st.lists(st.tuples(st.floats(0, 150), st.sampled_from("abc")), max_size=60)


@settings(deadline=None)
@given(st.integers(1, 20), ARRIVALS)
def test_never_more_than_the_limit_in_any_minute_and_nobody_starves(
    limit: int, arrivals: list[tuple[float, str]]
) -> None:
    done = through(Pace(limit), sorted(arrivals))
    assert most_in_a_minute([when for _, when, _ in done]) <= limit
    assert len(done) == len(arrivals), "everybody gets through in the end"


@settings(deadline=None, max_examples=10)
@given(st.lists(st.floats(0, 60), min_size=200, max_size=350), st.integers(120, 160))
def test_a_large_limit_holds_too_though_it_is_spread(arrivals: list[float], limit: int) -> None:
    done = through(Pace(limit), sorted((at, "a") for at in arrivals))
    assert most_in_a_minute([when for _, when, _ in done]) <= limit
    assert len(done) == len(arrivals)


@settings(deadline=None)
@given(ARRIVALS, st.lists(st.floats(0, 200), max_size=5))
def test_the_limit_holds_when_the_provider_slows_it_down(
    arrivals: list[tuple[float, str]], slowed: list[float]
) -> None:
    pace = Pace(10)
    for moment in sorted(slowed):
        pace.slow(moment)
    done = through(pace, sorted(arrivals))
    assert most_in_a_minute([when for _, when, _ in done]) <= 10
    assert len(done) == len(arrivals)


def test_four_fifths_of_a_large_limit_go_at_once_and_the_rest_is_spread_over_the_minute() -> None:
    pace = Pace(480)
    waits = [when for _, when, _ in through(pace, [(0.0, "a")] * 480)]
    assert waits[:384] == [0.0] * 384
    gaps = [after - before for before, after in pairwise(waits[384:])]
    assert all(0.5 < gap < 0.7 for gap in gaps), "96 in a minute"
    assert waits[-1] < 60


def test_a_small_limit_may_go_at_once() -> None:
    assert [when for _, when, _ in through(Pace(10), [(0.0, "a")] * 11)] == [0.0] * 10 + [60.0]


def test_less_than_one_a_minute() -> None:
    assert [when for _, when, _ in through(Pace(0.5), [(0.0, "a")] * 3)] == [0.0, 120.0, 240.0]


def test_a_pace_is_used_to_the_full() -> None:
    """A line that never empties gets the whole limit, minute after minute."""
    done = through(Pace(120), [(0.0, "a")] * 600)
    assert max(when for _, when, _ in done) <= 5 * 60


def test_callers_take_turns_however_many_calls_each_has() -> None:
    arrivals = [(0.0, "flood")] * 50 + [(0.001, "quiet")] * 2
    done = through(Pace(1), arrivals)
    order = [caller for _, _, caller in sorted(done, key=lambda one: one[1])]
    assert order[:5] == ["flood", "flood", "quiet", "flood", "quiet"]


def test_a_callers_own_calls_keep_their_order() -> None:
    done = through(Pace(2), [(float(number) / 100, "a") for number in range(9)])
    assert [arrived for arrived, _, _ in sorted(done, key=lambda one: one[1])] == sorted(
        arrived for arrived, _, _ in done
    )


@settings(deadline=None)
@given(st.lists(st.sampled_from("abcd"), min_size=8, max_size=60))
def test_no_caller_is_more_than_one_ahead_of_another_that_waits(callers: list[str]) -> None:
    gate = Pace(1)
    assert gate.take(0.0)
    tickets = [gate.join(caller) for caller in callers]
    left, served, now = Counter(callers), Counter[str](), 0.0
    while tickets:
        now += 60.0
        ready = [ticket for ticket in tickets if gate.ask(ticket, now) == 0.0]
        assert len(ready) == 1
        tickets.remove(ready[0])
        served[ready[0].caller] += 1
        waiting = [caller for caller in left if served[caller] < left[caller]]
        assert all(served[ready[0].caller] - served[caller] <= 1 for caller in waiting)


def test_place_and_expected_wait() -> None:
    gate = Pace(1)
    assert gate.expected("a", 0.0) == (0, 0.0)
    assert gate.take(0.0)
    assert gate.expected("a", 0.0) == (0, 60.0)
    gate.join("a")
    gate.join("a")
    assert gate.expected("a", 0.0) == (2, 180.0)
    assert gate.expected("b", 0.0) == (1, 120.0), "between the two of the other"


def test_whoever_gives_up_leaves_the_line() -> None:
    gate = Pace(1)
    assert gate.take(0.0)
    first, second = gate.join("a"), gate.join("b")
    assert gate.waiting == 2
    gate.leave(first)
    gate.leave(first)
    assert gate.waiting == 1
    assert gate.ask(second, 60.0) == 0.0
    gate.leave(second)
    assert gate.waiting == 0
    assert not gate.take(60.0)


def test_a_429_halves_the_pace_and_it_recovers_within_a_minute() -> None:
    pace = Pace(60)
    assert pace.take(0.0)
    pace.slow(0.0)
    pace.slow(0.5)  # one of the same volley
    assert pace.share(0.0) == 0.5
    assert not pace.take(1.0), "one a second is the limit; at half of it one in two"
    assert pace.take(2.0)
    assert pace.share(30.0) == 1.0
    pace.slow(100.0)
    pace.slow(102.0)
    assert 0.2 < pace.share(102.0) < 0.3
    for moment in range(103, 200):
        pace.slow(float(moment))
    assert pace.share(200.0) >= 0.05, "never shut"


def test_a_slowed_pace_never_waits_longer_than_five_seconds_between_calls() -> None:
    pace = Pace(3)
    assert pace.take(0.0)
    pace.slow(0.0)
    assert pace.wait(0.0, 0, 0) == 5.0


def test_places_are_taken_and_left() -> None:
    gate = Places(2)
    assert gate.take(0.0)
    assert gate.take(0.0)
    assert not gate.take(0.0)
    ticket = gate.join("a")
    assert gate.ask(ticket, 0.0) == 0.05
    gate.unused(0.0)
    assert gate.ask(ticket, 0.1) == 0.0
    assert gate.taken == 2


def test_tokens_of_the_last_minute() -> None:
    gate = Tokens(100)
    assert gate.take(0.0, 60)
    assert not gate.take(1.0, 60)
    assert gate.wait(1.0, 0, 60) == 59.0
    gate.add(2.0, -30)  # there were fewer
    assert gate.take(3.0, 60)
    assert gate.at(3.0) == 90
    assert gate.at(60.0) == 30
    assert Tokens(10).take(0.0, 1000), "a call larger than the limit goes when nothing else did"


@pytest.mark.parametrize("callers", [1, 50])
def test_fifty_people_share_a_key_of_poe(callers: int) -> None:
    """Towards Poe itself the pace is on by default, and below the 500 that it allows."""
    crowd = Crowd([entry("poe/a", api_base=None)])
    calls = [crowd.start(caller=f"c{number % callers}", at=number * 0.05) for number in range(900)]
    crowd.run()
    moments = [when for when, _, _ in crowd.sent]
    assert 400 < most_in_a_minute(moments) <= 480
    refused = [call for call in calls if call.error is not None]
    assert refused, "20 a second are too many"
    for call in refused:
        assert call.status == 429
        assert call.error is not None
        assert call.error.retry_after is not None
        assert call.ended is not None
        assert call.ended - call.started <= 10.5
    waited = [call for call in calls if call.error is None and call.journey.waited]
    assert waited
    assert all(call.journey.place >= 1 and call.journey.waited <= 10.5 for call in waited)


def test_one_who_floods_does_not_keep_the_others_waiting() -> None:
    crowd = Crowd([entry(rpm=480)])
    flood = [crowd.start(caller="flood", at=0.0) for _ in range(600)]
    quiet = [crowd.start(caller=f"quiet{number}", at=1.0 + number) for number in range(5)]
    crowd.run()
    assert any(call.error for call in flood)
    assert all(call.error is None and call.journey.waited < 5 for call in quiet)


def test_no_pace_towards_somewhere_else_without_an_rpm() -> None:
    crowd = Crowd([entry()])
    calls = [crowd.start() for _ in range(2000)]
    crowd.run()
    assert all(call.error is None and not call.journey.waited for call in calls)


def test_deployments_of_one_key_share_its_pace() -> None:
    crowd = Crowd([entry("poe/a", rpm=10), entry("poe/b", "n", rpm=10)])
    calls = [crowd.start(name) for name in "mn" * 10]
    crowd.run()
    assert sum(call.error is None for call in calls) == 10


@pytest.mark.parametrize("model", ["poe", "openai"])
def test_a_pace_for_every_key(model: str) -> None:
    entries = [entry(f"{model}/a"), entry(f"{model}/b", "n", rpm=600), entry(f"{model}/a", "o", key="two")]
    crowd = Crowd(entries, {"key_rpm": 5})
    calls = [crowd.start(name) for name in "mno" * 10]
    crowd.run()
    assert all(call.error is None or call.status == 429 for call in calls)
    assert Counter(key for _, key, _ in crowd.sent) == {"one": 5, "two": 5}


def test_a_provider_without_a_limit_for_keys_is_paced_by_deployment() -> None:
    crowd = Crowd([entry("openai/gpt-4o", rpm=10), entry("openai/gpt-5", "n", rpm=10)])
    calls = [crowd.start(name) for name in "mn" * 10]
    crowd.run()
    assert all(call.error is None for call in calls)


def test_a_pool_of_keys_is_used_before_anybody_waits() -> None:
    crowd = Crowd([entry(key="one", rpm=5), entry(key="two", rpm=5)])
    calls = [crowd.start() for _ in range(10)]
    crowd.run()
    assert all(call.error is None and not call.journey.waited for call in calls)
    assert Counter(key for _, key, _ in crowd.sent) == {"one": 5, "two": 5}


def test_who_waits_for_one_key_goes_with_another_that_has_room_first() -> None:
    crowd = Crowd([entry(key="one", rpm=1), entry(key="two", rpm=1)], {"max_wait": 100})
    first, second = crowd.start(), crowd.start()
    crowd.run(1000.0 + 30)
    late = crowd.start()
    crowd.run(1000.0 + 59)
    assert first.ended
    assert second.ended
    assert not late.ended
    crowd.run()
    assert late.error is None
    assert late.journey.waited == pytest.approx(30, abs=0.3)


def test_a_cancelled_call_leaves_the_line_and_its_turn_is_the_next_ones() -> None:
    crowd = Crowd([entry(rpm=1)], {"max_wait": 130})
    crowd.call()
    gone, stays = crowd.start(), crowd.start(at=0.001)
    crowd.run(1010.0)
    crowd.cancel(gone)
    crowd.run()
    assert stays.error is None
    assert stays.journey.waited == pytest.approx(60, abs=0.3)
    assert not gone.opened


def test_a_key_and_a_deployment_each_keep_their_pace() -> None:
    """What one gate let through goes out only when the other does, and counts from then."""
    crowd = Crowd(
        [entry("poe/a", "m", rpm=6), entry("poe/b", "n", rpm=10)], {"max_wait": 500}, chance=random.Random(1).random
    )
    for number in range(60):
        crowd.start("mn"[number % 2], at=number * 0.7, caller="xyz"[number % 3])
    crowd.run()
    assert len(crowd.sent) == 60
    assert most_in_a_minute([when for when, _, model in crowd.sent if model == "a"]) <= 6
    assert most_in_a_minute([when for when, _, _ in crowd.sent]) <= 10


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.floats(0, 100), st.sampled_from("mn"), st.sampled_from("xyz")), max_size=40))
def test_both_paces_hold_whenever_calls_come(arrivals: list[tuple[float, str, str]]) -> None:
    entries = [entry("poe/a", "m", rpm=3, max_parallel_requests=2), entry("poe/b", "n", rpm=5)]
    crowd = Crowd(entries, {"max_wait": 30, "num_retries": 1})
    crowd.answers["*"] = lambda at: says(429 if int(at) % 7 == 0 else 200, takes=0.5)
    for at, name, caller in arrivals:
        crowd.start(name, at=at, caller=caller)
    crowd.run(1200.0)
    for call in crowd.calls:
        if call.result is not None:
            crowd.finish(call)
    crowd.run()
    assert most_in_a_minute([when for when, _, model in crowd.sent if model == "a"]) <= 3
    assert most_in_a_minute([when for when, _, _ in crowd.sent]) <= 5
    assert all(call.ended is not None for call in crowd.calls)


def test_max_parallel_requests() -> None:
    crowd = Crowd([entry(max_parallel_requests=2)])
    crowd.answers["*"] = lambda at: says(takes=1.0)
    calls = [crowd.start() for _ in range(6)]
    for _ in range(200):
        crowd.run(crowd.seconds + 0.05)
        for call in calls:
            if call.result is not None and call.started >= 0:
                call.result.candidate.succeeded(crowd.seconds, None, 1.0, 1)
                call.started = -1.0
        running = sum(bool(call.opened) and call.started >= 0 for call in calls)
        assert running <= 2
    assert all(call.error is None and call.ended for call in calls)


def test_a_call_too_many_is_told_when_to_come_again_and_may_fall_back() -> None:
    crowd = Crowd([entry(rpm=1), entry("poe/b", "big")], {"num_retries": 5})
    crowd.call()
    refused = crowd.call()
    assert (refused.status, refused.opened) == (429, [])
    assert refused.error is not None
    assert refused.error.retry_after == 60
    assert "(1 call in 60 s)" in refused.error.message
    assert [attempt.error for attempt in refused.error.attempts] == ["RateLimitError"]
    crowd = Crowd([entry(rpm=1), entry("poe/b", "big", key="two")], {"fallbacks": [{"m": ["big"]}]})
    crowd.call()
    assert crowd.call().models == ["b"]


def test_a_reload_does_not_give_a_key_its_minute_anew() -> None:
    crowd = Crowd([entry(rpm=2)])
    crowd.call()
    crowd.call()
    crowd.reload([entry(rpm=3)])
    assert crowd.call().error is None
    assert crowd.call().status == 429
