"""Routed calls: which candidate, how often, when, and which fallback, on a simulated clock."""

from __future__ import annotations

import gc
import itertools
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quoth import errors
from quoth.call import Timeouts
from quoth.engine.routing import Candidate, Controls, Journey, routed
from tests.engine.crowd import Crowd, Says, entry, fails, says

TWO = [entry(key="one"), entry(key="two")]
HERE_AND_THERE = [entry(key="one"), entry("poe/b", "there", key="two")]


def always(what: Says) -> Any:
    return lambda at: what


def first(*these: Says) -> Any:
    """These in turn, then 200."""
    left = list(these)
    return lambda at: left.pop(0) if left else says()


# --- One candidate -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "opened"),
    [
        (fails("connect"), 3),
        (fails("dns"), 3),
        (fails("read"), 3),
        (fails("tls"), 1),
        (fails("timeout", deadline="total"), 1),
        (fails("timeout", deadline="connect"), 3),
        (says(400), 1),
        (says(401), 1),
        (says(402), 1),
        (says(403), 1),
        (says(404), 1),
        (says(408), 3),
        (says(409), 3),
        (says(413), 1),
        (says(422), 1),
        (says(429), 3),
        (says(429, code="insufficient_quota"), 1),
        (says(500), 3),
        (says(502), 3),
        (says(503), 3),
        (says(529), 3),
    ],
)
def test_what_is_tried_again_at_the_same_candidate(what: Says, opened: int) -> None:
    crowd = Crowd([entry()])
    crowd.answers["*"] = always(what)
    call = crowd.call()
    assert len(call.opened) == opened
    assert call.error is not None
    assert len(call.error.attempts) == len(call.journey.attempts) == opened


def test_waits_between_tries_grow_and_a_retry_after_is_obeyed() -> None:
    crowd = Crowd([entry()], chance=1.0)
    crowd.answers["*"] = first(says(500), says(503))
    call = crowd.call()
    assert call.slept == [0.25, 0.5]
    assert (call.journey.paused, call.journey.waited) == (0.75, 0.0)
    crowd.answers["*"] = first(says(429, retry_after="7"))
    call = crowd.call()
    assert (call.slept, call.error) == ([7.0], None)
    assert call.journey.waited == 7.0


def test_a_retry_after_that_is_too_long_is_passed_on_with_its_hint() -> None:
    crowd = Crowd([entry()])
    crowd.answers["*"] = always(says(429, retry_after="30"))
    call = crowd.call()
    assert (call.slept, len(call.opened)) == ([], 1)
    assert isinstance(call.error, errors.RateLimitError)
    assert call.error.retry_after == 30
    again = crowd.call()
    assert (again.slept, len(again.opened)) == ([], 1), "the last target is always called, never refused here"


def test_the_next_call_waits_for_what_the_last_was_asked_to() -> None:
    crowd = Crowd([entry()], {"num_retries": 0})
    crowd.answers["*"] = first(says(429, retry_after="8"))
    crowd.call()
    crowd.run(crowd.seconds + 3)
    call = crowd.call()
    assert call.error is None
    assert call.slept == [5.0]
    assert call.journey.waited == 5.0
    assert not crowd.call().slept


def held(crowd: Crowd, count: int) -> list[float]:
    """Seconds after its hint at which each of so many calls is sent that one 429 holds for a second."""
    crowd.answers["*"] = first(says(429, retry_after="1"))
    crowd.call()
    hint = crowd.seconds + 1
    calls = [crowd.start(at=number / 1000) for number in range(count)]
    crowd.run()
    assert all(call.error is None and len(call.slept) == 1 for call in calls)
    return [call.opened[0][0] - hint for call in calls]


def test_those_whom_one_hint_holds_go_on_one_after_the_other() -> None:
    crowd = Crowd([entry()], {"num_retries": 0})
    assert held(crowd, 5) == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])
    assert held(crowd, 1) == pytest.approx([0]), "who is alone waits for the hint, and no longer"
    crowd.run(crowd.seconds + 60)
    assert held(crowd, 2) == pytest.approx([0, 0.05])


def test_an_answer_in_between_ends_the_line() -> None:
    crowd = Crowd([entry()], {"num_retries": 0})
    crowd.answers["*"] = first(says(takes=2.0), says(429, retry_after="8"))
    other = crowd.start()
    crowd.run(crowd.seconds + 1)
    crowd.call()
    held = [crowd.start() for _ in range(20)]
    crowd.run(other.started + 3)
    crowd.finish(other)
    for call in held:
        crowd.cancel(call)
    crowd.answers["*"] = first(says(429, retry_after="1"))
    crowd.call()
    assert crowd.call().slept == [1.0]


def test_where_they_are_many_they_share_what_is_left_of_the_longest_wait() -> None:
    crowd = Crowd([entry()], {"num_retries": 0, "max_wait": 3}, chance=random.Random(7).random)
    found = held(crowd, 500)
    assert all(0 <= after <= 1.25 for after in found), "half of it: the other half is for the next hint"
    assert max(Counter(int(after * 10) for after in found).values()) < 100


def test_who_has_a_deadline_is_not_held_beyond_it() -> None:
    crowd = Crowd([entry()], {"num_retries": 0})
    crowd.answers["*"] = first(says(429, retry_after="1"))
    crowd.call()
    crowd.run(crowd.seconds + 0.5)
    calls = [crowd.start(controls=Controls(timeouts=Timeouts(total=0.6))) for _ in range(100)]
    crowd.run()
    assert all(call.error is None and 0.5 <= call.slept[0] <= 0.55 for call in calls)


def test_a_stale_connection_is_tried_again_once_for_nothing() -> None:
    crowd = Crowd([entry()], {"num_retries": 0})
    crowd.answers["*"] = first(fails("read", reused=True))
    call = crowd.call()
    assert call.error is None
    assert call.slept == []
    crowd.answers["*"] = always(fails("read", reused=True))
    assert len(crowd.call().opened) == 2
    assert crowd.routes.find("m").candidates[0].health.failures == 1  # type: ignore[union-attr]


def test_all_tries_of_a_candidate_share_its_total() -> None:
    crowd = Crowd([entry(timeout=10)], chance=1.0)
    crowd.answers["*"] = always(says(500, takes=6.0))
    call = crowd.call()
    assert [effect.end for effect in call.effects] == [1010.0, 1010.0]


def test_the_retry_budget_is_a_bound_for_all_calls_together() -> None:
    crowd = Crowd([entry()], {"num_retries": 1, "disable_cooldowns": True})
    crowd.answers["*"] = always(says(500))
    for _ in range(500):
        crowd.start()
    crowd.run(crowd.seconds)
    crowd.run(crowd.seconds + 1)
    assert 700 - 10 <= len(crowd.sent) <= 700 + 10, "500 calls, 20 % of them, and 10 a second for ten seconds"


# --- Several candidates --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "keys"),
    [
        (fails("connect"), ["one", "two"]),
        (fails("timeout", deadline="first"), ["one", "two"]),
        (fails("timeout", deadline="total"), ["one", "two"]),
        (says(429), ["one", "two"]),
        (says(500), ["one", "two"]),
        (says(401), ["one", "two"]),
        (says(402), ["one", "two"]),
        (says(403), ["one", "two"]),
        (says(429, code="insufficient_quota"), ["one", "two"]),
        (says(400), ["one"]),
        (says(404), ["one"]),
        (says(413), ["one"]),
        (says(422), ["one"]),
        (says(403, code="moderation_error"), ["one"]),
    ],
)
def test_another_deployment_is_tried_at_once(what: Says, keys: list[str]) -> None:
    crowd = Crowd(TWO)
    crowd.answers["one"] = always(what)
    call = crowd.call()
    assert (call.keys, call.slept) == (keys, [])


def test_another_key_is_tried_though_there_are_no_retries() -> None:
    """A refused key is no overload: to try the next makes nothing worse."""
    crowd = Crowd([entry(key=str(number), order=number) for number in range(5)], {"num_retries": 0})
    for number in range(4):
        crowd.answers[str(number)] = always(says(402))
    assert crowd.call().keys == ["0", "1", "2", "3", "4"]


def test_a_model_that_is_not_there_may_be_elsewhere() -> None:
    crowd = Crowd([entry("poe/a", key="one", order=1), entry("poe/A", key="two"), entry("poe/b", key="three")])
    crowd.answers["one"] = always(says(404))
    assert crowd.call().models == ["a", "b"]


def test_a_key_that_others_come_before_is_better_than_none() -> None:
    crowd = Crowd([entry(key="one", order=1), entry(key="two", order=2)], {"num_retries": 0})
    candidate = crowd.routes.find("m").candidates[1]  # type: ignore[union-attr]
    candidate.lane.limited(crowd.seconds, 100.0, None)
    crowd.answers["one"] = first(says(402))
    crowd.answers["two"] = always(says())
    assert crowd.call().keys == ["one", "two"]


def test_retries_are_counted_over_all_deployments() -> None:
    crowd = Crowd([entry(key=str(number), order=number) for number in range(5)], {"num_retries": 2})
    crowd.answers["*"] = always(says(500))
    assert crowd.call().keys == ["0", "1", "2"]


def test_when_every_deployment_was_tried_the_best_is_tried_again_after_a_wait() -> None:
    crowd = Crowd([entry(key="one", order=1), entry(key="two", order=2)], {"num_retries": 3}, chance=1.0)
    crowd.answers["*"] = always(says(500))
    call = crowd.call()
    assert (call.keys, call.slept) == (["one", "two", "one", "two"], [0.5, 1.0])


def test_an_answer_that_cannot_be_had_in_time_is_not_paid_for_twice_where_it_is_media() -> None:
    crowd = Crowd(TWO)
    crowd.answers["one"] = always(fails("timeout", deadline="total"))
    group = crowd.routes.find("m")
    assert group is not None
    call = crowd.start()
    assert call.flow is not None
    made = call.flow.gi_frame.f_locals["attempt"]  # type: ignore[attr-defined]
    call.flow.close()

    def media(candidate: Candidate) -> Any:
        found = made(candidate)
        found.makes_media = True
        return found

    journey = Journey()
    call.ended = None
    call.journey = journey
    call.flow = routed(
        crowd.routes,
        group,
        media,
        caller="a",
        controls=Controls(),
        journey=journey,
        world=crowd.world,
        budget=crowd.budget,
    )
    crowd.run()
    assert call.keys == ["one"]


def test_a_request_that_cannot_be_sent_to_one_may_be_to_another() -> None:
    crowd = Crowd(TWO)

    def refuses(candidate: Candidate) -> None:
        if candidate.target.key == "one":
            raise errors.UnsupportedParamsError("not here", param="seed")

    crowd.refuses = refuses
    call = crowd.call()
    assert call.keys == ["two"]
    assert [attempt.error for attempt in call.journey.attempts] == ["UnsupportedParamsError", None]
    assert crowd.routes.find("m").candidates[0].health.in_flight == 0  # type: ignore[union-attr]


def test_what_is_wrong_for_all_is_said_and_nothing_is_sent() -> None:
    crowd = Crowd(TWO)

    def refuses(candidate: Candidate) -> None:
        raise errors.BadRequestError("messages has to be a list", param="messages")

    crowd.refuses = refuses
    call = crowd.call()
    assert (call.opened, call.status) == ([], 400)


# --- Choosing ------------------------------------------------------------------------------------------------------


def keys_of(crowd: Crowd, calls: int) -> Counter[str]:
    for _ in range(calls):
        crowd.call()
    return Counter(key for _, key, _ in crowd.sent)


@pytest.mark.parametrize("word", ["weight", "rpm", "tpm"])
def test_simple_shuffle_by_weight(word: str) -> None:
    sizes: tuple[tuple[str, dict[str, Any]], ...] = (("one", {word: 3000}), ("two", {word: 9000}))
    entries = [entry("openai/a", key=key, **size) for key, size in sizes]
    found = keys_of(Crowd(entries, chance=random.Random(1).random), 1000)
    assert 200 < found["one"] < 300


def test_weight_comes_before_rpm_and_a_weight_of_nothing_is_never_chosen() -> None:
    entries = [entry(key="one", weight=0, rpm=100), entry(key="two", weight=1, rpm=1e6)]
    assert keys_of(Crowd(entries, chance=random.Random(1).random), 50) == {"two": 50}


def test_without_weights_all_are_alike() -> None:
    found = keys_of(Crowd(TWO, chance=random.Random(1).random), 1000)
    assert 450 < found["one"] < 550


def test_order_is_a_priority() -> None:
    entries = [entry(key="spare"), entry(key="last", order=2), entry(key="first", order=1)]
    crowd = Crowd(entries, {"num_retries": 0}, chance=random.Random(1).random)
    assert keys_of(crowd, 20) == {"first": 20}
    crowd.answers["first"] = always(says(401))
    assert crowd.call().keys == ["first", "last"]
    assert crowd.call().keys == ["last"]
    crowd.answers["last"] = always(says(401))
    assert crowd.call().keys == ["last", "spare"]


def test_least_busy() -> None:
    crowd = Crowd(TWO, {"routing_strategy": "least-busy"}, chance=random.Random(1).random)
    crowd.answers["*"] = always(says(takes=10.0))
    for _ in range(10):
        crowd.start()
    crowd.run(crowd.seconds)
    assert Counter(key for _, key, _ in crowd.sent) == {"one": 5, "two": 5}
    group = crowd.routes.find("m")
    assert group is not None
    assert [one.health.in_flight for one in group.candidates] == [5, 5]
    crowd.run()
    for _ in range(4):
        group.candidates[0].succeeded(crowd.seconds)
    call = crowd.start()
    crowd.run(crowd.seconds)
    assert call.keys == ["one"], "a stream counts until it has ended"


def test_latency_based() -> None:
    options = {"routing_strategy": "latency-based-routing", "routing_strategy_args": {"ttl": 100}}
    crowd = Crowd(TWO, options, chance=random.Random(1).random)
    crowd.answers["one"] = always(says(takes=3.0))
    crowd.answers["two"] = always(says(takes=1.0))
    assert keys_of(crowd, 20) == {"one": 1, "two": 19}, "each is tried, then the faster is used"
    crowd.run(crowd.seconds + 101)
    assert Counter(crowd.call().keys + crowd.call().keys) == {"one": 1, "two": 1}, "old measurements say nothing"


def test_latency_based_with_a_buffer_uses_all_that_are_nearly_as_fast() -> None:
    arguments = {"ttl": 1000, "lowest_latency_buffer": 0.5}
    crowd = Crowd(
        [*TWO, entry(key="slow")],
        {"routing_strategy": "latency-based-routing", "routing_strategy_args": arguments},
        chance=random.Random(1).random,
    )
    for key, takes in (("one", 1.0), ("two", 1.4), ("slow", 2.0)):
        crowd.answers[key] = always(says(takes=takes))
    found = keys_of(crowd, 100)
    assert found["slow"] == 1
    assert min(found["one"], found["two"]) > 30


def test_latency_of_streams_is_that_of_their_first_token() -> None:
    crowd = Crowd(TWO, {"routing_strategy": "latency-based-routing"})
    group = crowd.routes.find("m")
    assert group is not None
    quick_to_begin, quick_to_end = group.candidates
    quick_to_begin.succeeded(1000.0, 0.1, 60.0, 10)
    quick_to_end.succeeded(1000.0, 2.0, 3.0, 10)
    assert crowd.call(controls=Controls(streams=True)).keys == ["one"]
    assert crowd.call(controls=Controls(streams=False)).keys == ["two"]


def test_cost_based() -> None:
    cheap: dict[str, Any] = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}
    entries = [
        entry("openai/unknown", key="unknown"),
        entry("poe/Claude-Opus-4.6", key="listed"),
        entry("openai/x", key="cheap", **cheap),
    ]
    crowd = Crowd(entries, {"routing_strategy": "cost-based-routing", "num_retries": 5}, chance=random.Random(1).random)
    assert keys_of(crowd, 20) == {"cheap": 20}
    crowd.answers["*"] = always(says(500))
    assert crowd.call().keys[:3] == ["cheap", "listed", "unknown"], "what nobody knows is dearest"


def test_usage_based_uses_the_one_with_the_fewest_tokens() -> None:
    entries = [entry("openai/a", key="one", tpm=100), entry("openai/a", key="two", tpm=1000)]
    crowd = Crowd(entries, {"routing_strategy": "usage-based-routing-v2"}, chance=random.Random(1).random)
    one = crowd.routes.find("m").candidates[0]  # type: ignore[union-attr]
    one.begun(crowd.seconds)
    one.succeeded(crowd.seconds, None, 1.0, 95)
    for _ in range(20):
        assert crowd.call().keys == ["two"], "until it has as many, and then because the other has no room"
    crowd.run(crowd.seconds + 61)
    assert {*crowd.call().keys, *crowd.call().keys} == {"one", "two"}


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ((), {"default"}),
        (("free",), {"free"}),
        (("paid",), {"paid"}),
        (("free", "paid"), {"free", "paid"}),
        (("x",), {"default"}),
    ],
)
def test_tags(tags: tuple[str, ...], expected: set[str]) -> None:
    entries = [
        entry(key="free", tags=["free"]),
        entry(key="paid", tags=["paid", "fast"]),
        entry(key="default", tags=["default"]),
        entry(key="none"),
    ]
    crowd = Crowd(entries, {"enable_tag_filtering": True}, chance=random.Random(1).random)
    assert {key for _ in range(30) for key in crowd.call(controls=Controls(tags=tags)).keys} == expected


def test_tags_that_nothing_has_are_an_error_that_names_them() -> None:
    crowd = Crowd([entry(tags=["paid"])], {"enable_tag_filtering": True})
    call = crowd.call(controls=Controls(tags=("free",)))
    assert (call.status, call.opened) == (400, [])
    assert "free" in str(call.error)
    assert crowd.call().error is None, "without tags anything goes"
    crowd = Crowd([entry(tags=["paid"])])
    assert crowd.call(controls=Controls(tags=("free",))).error is None, "off unless it is switched on"


# --- Health --------------------------------------------------------------------------------------------------------


def test_a_429_sends_the_next_calls_elsewhere_until_its_hint() -> None:
    crowd = Crowd([entry(key="one", order=1), entry(key="two", order=2)])
    crowd.answers["one"] = first(says(429, retry_after="20"))
    assert crowd.call().keys == ["one", "two"]
    assert crowd.call().keys == ["two"]
    crowd.run(crowd.seconds + 19)
    assert crowd.call().keys == ["two"]
    crowd.run(crowd.seconds + 2)
    assert crowd.call().keys == ["one"]


def test_a_429_concerns_its_key_and_model_in_every_group() -> None:
    entries = [
        entry("poe/a", "m", key="one", order=1, seed=1),
        entry("poe/a", "m", key="two", order=2),
        entry("poe/a", "n", key="one", order=1),
        entry("poe/a", "n", key="two", order=2, seed=1),
        entry("poe/b", "o", key="one", order=1),
        entry("poe/b", "o", key="two", order=2),
    ]
    crowd = Crowd(entries)
    crowd.answers["one"] = first(says(429, retry_after="20"))
    assert crowd.call("m").keys == ["one", "two"]
    assert crowd.call("n").keys == ["two"]
    assert crowd.call("o").keys == ["one"]


def test_429s_without_a_hint_cool_longer_each_time() -> None:
    crowd = Crowd([entry(key="one", order=1), entry(key="two", order=2)])
    crowd.answers["one"] = always(says(429))
    lane = crowd.routes.find("m").candidates[0].lane  # type: ignore[union-attr]
    waits = []
    for _ in range(6):
        assert crowd.call().keys == ["one", "two"]
        waits.append(lane.until - crowd.seconds)
        crowd.run(lane.until)
    assert waits == [5, 10, 20, 40, 60, 60]


def test_an_absurd_retry_after_is_not_believed() -> None:
    crowd = Crowd([entry(key="one", order=1), entry(key="two", order=2)])
    crowd.answers["one"] = always(says(429, retry_after="1000000"))
    crowd.call()
    lane = crowd.routes.find("m").candidates[0].lane  # type: ignore[union-attr]
    assert lane.until - crowd.seconds == 3600


@pytest.mark.parametrize(
    "what", [fails("connect"), fails("read"), fails("timeout", deadline="connect"), says(500), says(529)]
)
def test_half_of_five_failures_open_the_breaker_and_one_probe_closes_it(what: Says) -> None:
    crowd = Crowd([entry(key="one", order=1), entry(key="two", order=2)])
    crowd.answers["one"] = always(what)
    for _ in range(5):
        assert crowd.call().keys == ["one", "two"]
    assert crowd.call().keys == ["two"], "others come first"
    crowd.run(crowd.seconds + 5.1)
    crowd.answers["one"] = always(says(takes=3.0))
    probe = crowd.start()
    crowd.run(crowd.seconds + 1)
    assert crowd.call().keys == ["two"], "one probe at a time"
    crowd.run()
    assert probe.keys == ["one"]
    assert crowd.call().keys == ["two"], "it has begun well, which is not to say that it ends so"
    crowd.finish(probe)
    assert crowd.call().keys == ["one"]


def test_a_failed_probe_opens_it_again_for_longer() -> None:
    crowd = Crowd([entry(key="one", order=1), entry(key="two", order=2)])
    crowd.answers["one"] = always(says(500))
    for _ in range(5):
        crowd.call()
    health = crowd.routes.find("m").candidates[0].health  # type: ignore[union-attr]
    waits = [health.until - crowd.seconds]
    for _ in range(4):
        crowd.run(health.until)
        assert crowd.call().keys == ["one", "two"]
        waits.append(health.until - crowd.seconds)
    assert waits == [5, 10, 20, 40, 60]


def test_a_cancelled_probe_lets_another_probe() -> None:
    crowd = Crowd([entry(key="one", order=1), entry(key="two", order=2)])
    crowd.answers["one"] = always(says(500))
    for _ in range(5):
        crowd.call()
    crowd.run(crowd.seconds + 6)
    crowd.answers["one"] = always(says(takes=3.0))
    probe = crowd.start()
    crowd.run(crowd.seconds)
    assert probe.keys == ["one"]
    crowd.cancel(probe)
    assert crowd.call().keys == ["one"]


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_what_the_caller_got_wrong_says_nothing_of_health(status: int) -> None:
    crowd = Crowd([entry(key="one", order=1), entry(key="two", order=2)])
    crowd.answers["one"] = always(says(status))
    for _ in range(20):
        assert crowd.call().keys == ["one"]


def test_a_few_failures_among_many_calls_change_nothing() -> None:
    crowd = Crowd([entry(key="one", order=1), entry(key="two", order=2)])
    turn = itertools.count()
    crowd.answers["one"] = lambda at: says(500) if next(turn) % 3 == 2 else says()
    for _ in range(30):
        assert crowd.call().keys[0] == "one"


def test_a_503_with_a_retry_after_sends_the_next_calls_elsewhere_too() -> None:
    crowd = Crowd([entry(key="one", order=1), entry(key="two", order=2)])
    crowd.answers["one"] = first(says(503, retry_after="20"))
    assert crowd.call().keys == ["one", "two"]
    assert crowd.call().keys == ["two"]
    crowd.run(crowd.seconds + 20)
    assert crowd.call().keys == ["one"]


def test_cooldowns_are_counted() -> None:
    crowd = Crowd([entry(key="one", order=1), entry(key="two", order=2)])
    crowd.answers["one"] = first(says(429, retry_after="1"), says(500), says(401))
    health = crowd.routes.find("m").candidates[0].health  # type: ignore[union-attr]
    counted = []
    for _ in range(4):
        crowd.call()
        counted.append(health.cooldowns)
        crowd.run(crowd.seconds + 2)
    assert counted == [1, 1, 2, 2]


def test_cooldown_time_and_allowed_fails_as_in_litellm() -> None:
    crowd = Crowd([entry(key="one", order=1), entry(key="two", order=2)], {"allowed_fails": 1, "cooldown_time": 30})
    crowd.answers["one"] = always(says(500))
    assert [crowd.call().keys for _ in range(3)] == [["one", "two"], ["one", "two"], ["two"]]
    crowd.run(crowd.seconds + 29)
    assert crowd.call().keys == ["two"]
    crowd.run(crowd.seconds + 2)
    assert crowd.call().keys == ["one", "two"]


def test_a_deployments_own_cooldown_time_of_nothing() -> None:
    crowd = Crowd([entry(key="one", order=1, cooldown_time=0), entry(key="two", order=2)], {"allowed_fails": 0})
    crowd.answers["one"] = first(says(500), says(429))
    assert [crowd.call().keys for _ in range(3)] == [["one", "two"], ["one", "two"], ["one"]]


def test_allowed_fails_policy_and_disable_cooldowns() -> None:
    policy = {"RateLimitErrorAllowedFails": 100, "InternalServerErrorAllowedFails": 0}
    ordered = [entry(key="one", order=1), entry(key="two", order=2)]
    crowd = Crowd(ordered, {"allowed_fails_policy": policy})
    crowd.answers["one"] = always(says(500))
    assert [crowd.call().keys for _ in range(2)] == [["one", "two"], ["two"]]
    crowd = Crowd(ordered, {"allowed_fails_policy": policy})
    crowd.answers["one"] = always(says(429))
    assert [crowd.call().keys for _ in range(9)] == [["one", "two"]] * 9
    crowd = Crowd(ordered, {"allowed_fails_policy": policy, "disable_cooldowns": True})
    crowd.answers["one"] = always(says(500))
    assert [crowd.call().keys for _ in range(9)] == [["one", "two"]] * 9


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_refused_key_is_left_alone_in_every_group_and_tried_again_later(status: int) -> None:
    entries = [
        entry("poe/a", "m", key="one", order=1),
        entry("poe/a", "m", key="two", order=2),
        entry("poe/b", "n", key="one", order=1),
        entry("poe/b", "n", key="two", order=2),
    ]
    crowd = Crowd(entries)
    crowd.answers["one"] = first(says(status), says(status))
    assert crowd.call("m").keys == ["one", "two"]
    assert crowd.call("n").keys == ["two"]
    crowd.run(crowd.seconds + 61)
    assert crowd.call("m").keys == ["one", "two"]
    crowd.run(crowd.seconds + 61)
    assert crowd.call("m").keys == ["two"], "two minutes the second time"
    crowd.run(crowd.seconds + 61)
    assert crowd.call("m").keys == ["one"]
    assert crowd.call("m").keys == ["one"], "it is good again"


def test_a_reload_gives_a_refused_key_another_chance() -> None:
    entries = [entry(key="one", order=1), entry(key="two", order=2)]
    crowd = Crowd(entries)
    crowd.answers["one"] = always(says(401))
    crowd.call()
    assert crowd.call().keys == ["two"]
    crowd.reload(entries)
    assert crowd.call().keys == ["one", "two"]


def test_reloads_do_not_grow_what_is_kept() -> None:
    crowd = Crowd([])
    for number in range(50):
        crowd.reload([entry(key=f"key-{number}", rpm=5, max_parallel_requests=2)], {"routing_strategy": "usage-based"})
        crowd.call()
        crowd.run(crowd.seconds + 100)
    assert len(crowd.routes._all_gates()) <= 4
    assert len(crowd.routes._keys) == 1


def test_what_is_known_survives_two_reloads_in_a_minute() -> None:
    entries = [entry("poe/*", "*", rpm=1)]
    crowd = Crowd(entries)
    crowd.call("a")
    crowd.reload(entries)
    crowd.reload(entries)
    assert crowd.call("a").status == 429


def test_a_reload_keeps_health_and_calls_under_way() -> None:
    entries = [entry(key="one", order=1), entry(key="two", order=2)]
    crowd = Crowd(entries)
    crowd.answers["one"] = always(says(500))
    for _ in range(5):
        crowd.call()
    crowd.answers["two"] = always(says(takes=9.0))
    crowd.start()
    crowd.run(crowd.seconds)
    crowd.reload([*entries, entry(key="three", order=3)])
    group = crowd.routes.find("m")
    assert group is not None
    assert [one.health.in_flight for one in group.candidates] == [0, 1, 0]
    assert crowd.call().keys == ["two"]


def test_the_last_one_is_always_called_and_says_the_real_error() -> None:
    crowd = Crowd(TWO, {"num_retries": 0})
    crowd.answers["*"] = always(says(401))
    for _ in range(3):
        call = crowd.call()
        assert isinstance(call.error, errors.AuthenticationError)
        assert call.opened
    crowd = Crowd([entry()], {"num_retries": 0, "allowed_fails": 0})
    crowd.answers["*"] = always(says(503))
    for _ in range(3):
        assert isinstance(crowd.call().error, errors.ServiceUnavailableError)
    assert len(crowd.sent) == 3


def test_of_those_that_are_ill_the_one_that_is_well_first_is_called() -> None:
    crowd = Crowd(TWO, {"num_retries": 0}, chance=random.Random(1).random)
    crowd.answers["one"] = always(says(429, retry_after="100"))
    crowd.answers["two"] = always(says(429, retry_after="50"))
    while len({key for _, key, _ in crowd.sent}) < 2:
        crowd.call()
    assert crowd.call().keys == ["two"]


@pytest.mark.parametrize(("points", "key"), [(0, "two"), (-5, "two"), (None, "one"), (10, "one")])
def test_a_key_without_points_comes_last(points: float | None, key: str) -> None:
    crowd = Crowd([entry(key="one", order=1), entry(key="two", order=2)])
    crowd.routes.known_balance("one", points)
    assert crowd.call().keys == [key]


def test_new_points_make_a_key_good_again() -> None:
    crowd = Crowd([entry(key="one", order=1), entry(key="two", order=2)])
    crowd.answers["one"] = first(says(402))
    assert crowd.call().keys == ["one", "two"]
    crowd.routes.known_balance("one", 0)
    assert crowd.call().keys == ["two"]
    crowd.routes.known_balance("one", 5000)
    assert crowd.call().keys == ["one"]
    assert set(crowd.routes.keys()) == {"one", "two"}


def test_a_stream_that_broke_counts_as_a_failure() -> None:
    crowd = Crowd([entry(key="one", order=1), entry(key="two", order=2)])
    candidate = crowd.routes.find("m").candidates[0]  # type: ignore[union-attr]
    for _ in range(5):
        candidate.begun(crowd.seconds)
        candidate.answered(crowd.seconds)
        candidate.failed(crowd.seconds, errors.StreamInterrupted("broke"))
    assert crowd.call().keys == ["two"]
    assert candidate.health.in_flight == 0


# --- Fallbacks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "models"),
    [
        (says(500), ["a", "b"]),
        (says(429), ["a", "b"]),
        (says(401), ["a", "b"]),
        (says(402), ["a", "b"]),
        (says(404), ["a", "b"]),
        (says(413), ["a", "b"]),
        (says(403, code="moderation_error"), ["a", "b"]),
        (fails("timeout", deadline="first"), ["a", "b"]),
        (fails("connect"), ["a", "b"]),
        (says(400), ["a"]),
        (says(422), ["a"]),
    ],
)
def test_when_a_group_has_failed_its_fallback_is_called(what: Says, models: list[str]) -> None:
    crowd = Crowd(HERE_AND_THERE, {"fallbacks": [{"m": ["there"]}], "num_retries": 0})
    crowd.answers["one"] = always(what)
    call = crowd.call()
    assert call.models == models
    assert call.journey.fallbacks == len(models) - 1
    assert call.journey.model_group == ("there" if len(models) == 2 else "m")


@pytest.mark.parametrize(
    "options",
    [{"fallbacks": [{"*": ["there"]}]}, {"default_fallbacks": ["there"]}, {"fallbacks": {"m": "there"}}],
)
def test_fallbacks_for_any_group(options: dict[str, Any]) -> None:
    crowd = Crowd(HERE_AND_THERE, {**options, "num_retries": 0})
    crowd.answers["one"] = always(says(500))
    assert crowd.call().models == ["a", "b"]
    crowd.answers["two"] = always(says(500))
    assert crowd.call("there").models == ["b"], "nothing falls back to itself"


@pytest.mark.parametrize(
    ("what", "models"),
    [
        (says(413), ["a", "long"]),
        (says(400, code="context_length_exceeded"), ["a", "long"]),
        (says(403, code="content_policy_violation"), ["a", "lax"]),
        (says(500), ["a", "any"]),
    ],
)
def test_fallbacks_for_a_kind_of_error(what: Says, models: list[str]) -> None:
    entries = [entry(), *(entry(f"poe/{name}", name, key="two") for name in ("any", "long", "lax"))]
    crowd = Crowd(
        entries,
        {
            "fallbacks": [{"m": ["any"]}],
            "context_window_fallbacks": [{"m": ["long"]}],
            "content_policy_fallbacks": [{"m": ["lax"]}],
            "num_retries": 0,
        },
    )
    crowd.answers["one"] = always(what)
    assert crowd.call().models == models


def many(*names: str, **options: Any) -> Crowd:
    crowd = Crowd([entry(f"poe/{name}", name) for name in names], {"num_retries": 0, **options})
    crowd.answers["*"] = always(says(500))
    return crowd


def test_fallbacks_of_fallbacks_come_before_the_rest_and_nothing_is_asked_twice() -> None:
    crowd = many("a", "b", "c", "d", fallbacks=[{"a": ["b", "c", "d"]}, {"b": ["d"]}])
    assert crowd.call("a").models == ["a", "b", "d", "c"]


def test_max_fallbacks() -> None:
    names = ["a", *(f"f{number}" for number in range(9))]
    assert len(many(*names, fallbacks=[{"a": names[1:]}]).call("a").models) == 6
    assert many(*names, fallbacks=[{"a": names[1:]}], max_fallbacks=2).call("a").models == ["a", "f0", "f1"]


def test_fallbacks_of_the_callers_own() -> None:
    crowd = many("a", "b", "c", fallbacks=[{"a": ["b"]}])
    own = Controls(fallbacks=["c", {"model": "b", "temperature": 0}])
    call = crowd.call("a", controls=own)
    assert call.models == ["a", "c", "b"]
    assert call.journey.overrides == {"temperature": 0}
    assert crowd.call("a", controls=Controls(disable_fallbacks=True)).models == ["a"]
    assert crowd.call("a", controls=Controls(fallbacks=[])).models == ["a"]
    gone = crowd.call("a", controls=Controls(fallbacks=["nobody", "c"]))
    assert gone.models == ["a", "c"]
    assert [attempt.error for attempt in gone.journey.attempts] == [
        "InternalServerError",
        "NotFoundError",
        "InternalServerError",
    ]


def test_when_all_failed_the_last_error_keeps_its_class_and_has_all_attempts() -> None:
    crowd = Crowd(HERE_AND_THERE, {"fallbacks": [{"m": ["there"]}], "num_retries": 1})
    crowd.answers["one"] = always(says(429))
    crowd.answers["two"] = always(says(503))
    call = crowd.call()
    assert isinstance(call.error, errors.ServiceUnavailableError)
    assert [attempt.status_code for attempt in call.error.attempts] == [429, 429, 503, 503]


def test_nobody_waits_long_for_a_rate_limit_when_there_is_a_fallback() -> None:
    crowd = Crowd(HERE_AND_THERE, {"fallbacks": [{"m": ["there"]}]})
    crowd.answers["one"] = always(says(429, retry_after="5"))
    for _ in range(2):
        call = crowd.call()
        assert (call.models, call.slept) == (["a", "b"], [])


# --- What a caller says ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "options", "controls", "opened"),
    [
        ({}, {}, Controls(), 3),
        ({}, {"num_retries": 1}, Controls(), 2),
        ({"num_retries": 0}, {"num_retries": 1}, Controls(), 1),
        ({"max_retries": 4}, {}, Controls(), 5),
        ({"num_retries": 0}, {}, Controls(num_retries=1), 2),
        ({}, {"retry_policy": {"InternalServerErrorRetries": 4}}, Controls(), 5),
        ({}, {"retry_policy": {"RateLimitErrorRetries": 4}}, Controls(), 3),
        ({}, {"retry_policy": {"DefaultRetries": 1}}, Controls(), 2),
        ({}, {"model_group_retry_policy": {"m": {"InternalServerErrorRetries": 1}}}, Controls(), 2),
        ({}, {"model_group_retry_policy": {"n": {"InternalServerErrorRetries": 1}}}, Controls(), 3),
        ({}, {"retry_policy": {"InternalServerErrorRetries": 4}}, Controls(num_retries=0), 1),
    ],
)
def test_how_many_retries(params: dict[str, Any], options: dict[str, Any], controls: Controls, opened: int) -> None:
    crowd = Crowd([entry(**params)], options)
    crowd.answers["*"] = always(says(500))
    assert len(crowd.call(controls=controls).opened) == opened


def test_a_policy_may_have_even_a_bad_request_tried_again() -> None:
    crowd = Crowd([entry()], {"retry_policy": {"BadRequestErrorRetries": 1, "DefaultRetries": 5}})
    crowd.answers["*"] = always(says(400))
    assert len(crowd.call().opened) == 2
    crowd.answers["*"] = always(says(401))
    assert len(crowd.call().opened) == 1, "DefaultRetries are for what is worth a retry"


@pytest.mark.parametrize(
    ("params", "options", "controls", "limits"),
    [
        ({}, {}, Controls(), (5, 600, 600)),
        ({"timeout": 30}, {"timeout": 20}, Controls(), (5, 30, 30)),
        ({}, {"timeout": 20}, Controls(), (5, 20, 20)),
        ({"timeout": {"connect": 1, "first": 7}}, {"timeout": 20}, Controls(), (1, 7, 20)),
        ({"timeout": 30}, {}, Controls(timeouts=Timeouts(total=9)), (5, 9, 9)),
        ({"timeout": 30}, {}, Controls(timeouts=Timeouts(first=9)), (5, 9, 30)),
        ({"stream_timeout": 3}, {}, Controls(), (5, 600, 600)),
    ],
)
def test_timeouts(
    params: dict[str, Any], options: dict[str, Any], controls: Controls, limits: tuple[float, ...]
) -> None:
    crowd = Crowd([entry(**params)], options)
    effect = crowd.call(controls=controls).effects[0]
    assert (effect.connect, effect.first, effect.end - 1000) == limits


@pytest.mark.parametrize(
    ("params", "options", "limits"),
    [
        ({}, {}, (120, 60, 600)),
        ({"timeout": 30, "stream_timeout": 90}, {}, (90, 60, 90)),
        ({"timeout": 30}, {"stream_timeout": 90}, (30, 30, 30)),
        ({}, {"timeout": 30, "stream_timeout": 90}, (90, 60, 90)),
    ],
)
def test_timeouts_of_streams(params: dict[str, Any], options: dict[str, Any], limits: tuple[float, ...]) -> None:
    crowd = Crowd([entry(**params)], options)
    candidate = crowd.routes.find("m").candidates[0]  # type: ignore[union-attr]
    found = candidate.limits(True, False, None)
    assert (found.first, found.idle, found.total) == limits


def test_a_callers_total_is_for_everything_together() -> None:
    crowd = Crowd(HERE_AND_THERE, {"fallbacks": [{"m": ["there"]}]}, chance=1.0)
    crowd.answers["*"] = always(says(500, takes=4.0))
    call = crowd.call(controls=Controls(timeouts=Timeouts(total=10)))
    assert {effect.end for effect in call.effects} == {1010.0}
    crowd = Crowd(TWO, {"default_fallbacks": ["m"]})
    crowd.answers["*"] = always(fails("timeout", deadline="total", takes=10.0))
    assert len(crowd.call(controls=Controls(timeouts=Timeouts(total=10))).opened) == 1
    assert all(when < 1010 for when, _, _ in call.opened)


def test_two_deployments_have_a_total_each() -> None:
    crowd = Crowd([entry(key="one", order=1, timeout=5), entry(key="two", order=2, timeout=7)])
    crowd.answers["one"] = always(fails("timeout", deadline="total", takes=5.0))
    assert [effect.end for effect in crowd.call().effects] == [1005.0, 1012.0]


# --- Ends ------------------------------------------------------------------------------------------------------------


def test_a_call_that_is_given_up_counts_no_more() -> None:
    crowd = Crowd([entry(max_parallel_requests=1)])
    crowd.answers["*"] = always(says(takes=100.0))
    call = crowd.start()
    crowd.run(crowd.seconds + 1)
    candidate = call.journey.candidate
    assert candidate is not None
    assert candidate.health.in_flight == 1
    crowd.cancel(call)
    assert candidate.health.in_flight == 0
    crowd.answers["*"] = always(says())
    assert crowd.call().error is None


def test_a_reader_that_cannot_be_paid_for_takes_nothing_from_the_pace() -> None:
    crowd = Crowd([entry(rpm=1)])
    call = crowd.start()
    assert call.flow is not None
    made = call.flow.gi_frame.f_locals["attempt"]  # type: ignore[attr-defined]

    def broke(candidate: Candidate) -> Any:
        found = made(candidate)

        def reader() -> Any:
            raise errors.BudgetExceededError("nothing left")

        found.new_reader = reader
        return found

    group = crowd.routes.find("m")
    assert group is not None
    journey = Journey()
    flow = routed(
        crowd.routes,
        group,
        broke,
        caller="a",
        controls=Controls(),
        journey=journey,
        world=crowd.world,
        budget=crowd.budget,
    )
    with pytest.raises(errors.BudgetExceededError):
        next(flow)
    assert [attempt.error for attempt in journey.attempts] == ["BudgetExceededError"]
    crowd.run()
    assert call.error is None
    assert not call.journey.waited


ANSWERS = [
    says(),
    says(takes=3.0),
    says(400),
    says(401),
    says(402),
    says(404),
    says(413),
    says(429),
    says(429, retry_after="3"),
    says(429, retry_after="90"),
    says(500),
    says(503, retry_after="2"),
    fails("connect"),
    fails("read", reused=True),
    fails("timeout", deadline="first", takes=5.0),
    fails("tls"),
]


@settings(deadline=None, max_examples=150)
@given(
    entries=st.lists(
        st.fixed_dictionaries(
            {"name": st.sampled_from("mn"), "model": st.sampled_from(["poe/a", "poe/b", "openai/c"])},
            optional={
                "order": st.integers(1, 2),
                "rpm": st.sampled_from([1, 3, 50]),
                "max_parallel_requests": st.integers(1, 2),
                "cooldown_time": st.sampled_from([0, 1]),
                "num_retries": st.integers(0, 3),
            },
        ),
        min_size=1,
        max_size=4,
    ),
    strategy=st.sampled_from(["simple-shuffle", "least-busy", "usage-based-routing", "latency-based-routing"]),
    answers=st.lists(st.sampled_from(ANSWERS), min_size=1, max_size=12),
    arrivals=st.lists(st.tuples(st.floats(0, 30), st.booleans(), st.sampled_from("xy")), min_size=1, max_size=12),
    seed=st.integers(0, 5),
)
def test_whatever_happens_everything_is_given_back(
    entries: list[dict[str, Any]],
    strategy: str,
    answers: list[Says],
    arrivals: list[tuple[float, bool, str]],
    seed: int,
) -> None:
    listed = [entry(**one, key=f"key{number}") for number, one in enumerate(entries)]
    names = sorted({one["model_name"] for one in listed})
    fallbacks = [{names[0]: [names[1]]}] if len(names) > 1 else []
    crowd = Crowd(listed, {"routing_strategy": strategy, "fallbacks": fallbacks}, chance=random.Random(seed).random)
    turn = itertools.cycle(answers)
    crowd.answers["*"] = lambda at: next(turn)
    calls = [crowd.start(names[0], at=at, caller=caller) for at, _, caller in sorted(arrivals)]
    crowd.run(crowd.seconds + 20)
    for call, (_, given_up, _) in zip(calls, sorted(arrivals), strict=True):
        if given_up and call.ended is None:
            crowd.cancel(call)
    for _ in range(200):
        crowd.run(crowd.seconds + 1)
        for call in calls:
            if call.result is not None and call.started >= 0:
                crowd.finish(call)
                call.started = -1.0
    for call in calls:
        assert call.ended is not None
        # An attempt without a duration was stopped before it was sent, or refused at once.
        assert len(call.journey.attempts) >= len(call.opened) - (call.result is None and call.error is None)
        if call.error is not None:
            assert call.error.attempts == call.journey.attempts
            assert call.opened or call.status in (429, None) or call.journey.attempts
    for candidate in crowd.routes.candidates():
        assert candidate.health.in_flight == 0
        assert not candidate.health.probing
        assert candidate.places is None or candidate.places.taken == 0
        assert all(gate.waiting == 0 for gate in candidate.gates)


def test_a_failed_call_leaves_no_cycle_that_holds_the_prompt() -> None:
    crowd = Crowd(HERE_AND_THERE, {"fallbacks": [{"m": ["there"]}], "num_retries": 1})
    crowd.answers["*"] = always(says(500))
    crowd.call()
    gc.collect()
    gc.disable()
    try:
        call = crowd.call()
        call.error = call.flow = None
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        held = [one for one in gc.garbage if isinstance(one, errors.QuothError)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert not held
