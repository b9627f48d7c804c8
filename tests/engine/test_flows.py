"""The flow of a call: which effects, in which order, with which deadlines; what it returns and what it raises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace
from pydantic import BaseModel

from quoth import errors
from quoth.call import Call, Row, Target, Timeouts
from quoth.engine.attempts import Plan, Policy
from quoth.engine.backoff import RetryBudget
from quoth.engine.chat import chat
from quoth.engine.effects import Together
from quoth.engine.fetch import fetch
from quoth.engine.retrying import limits_of
from tests.engine.scripted import (
    COMPLETION,
    Clock,
    Run,
    Say,
    call,
    completion,
    event,
    fails,
    play,
    says,
    streams,
    target,
)

POE = Row(name="poe", base_url="https://poe.test/v1", quirks=("n_as_parallel_calls",))
OK = says(200, COMPLETION)
STALE = fails("read", reused=True)
AGAIN = ["open", "sleep 0.25", "open"]
TWICE = [*AGAIN, "sleep 0.5", "open"]
ERROR = {"error": {"message": "no luck", "type": "fault"}}
NOW = {"retry-after": "0"}


def run(
    script: Sequence[Say],
    *targets: Target,
    asked: Call | None = None,
    policy: Policy | None = None,
    clock: Clock | None = None,
    budget: RetryBudget | None = None,
) -> Run:
    clock = clock or Clock()
    plans = [Plan(asked or call(), lambda one=one: one, policy or Policy()) for one in targets or (target(),)]  # type: ignore[misc]
    return play(chat(plans, clock.world, budget or RetryBudget(clock.world.now)), script, clock)


def tried(done: Run) -> list[tuple[str, int | None, str | None]]:
    attempts = done.error.attempts if done.error is not None else done.result.trace.attempts
    return [(attempt.model, attempt.status_code, attempt.error) for attempt in attempts]


# One target.


def test_an_answer():
    done = run([OK])
    assert done.steps == ["open"]
    assert done.result.completion.choices[0].message.content == "hi"
    (opened,) = done.opened
    assert (opened.request.method, opened.request.url) == ("POST", "https://acme.test/v1/chat/completions")
    assert opened.request.headers["authorization"] == "Bearer sk-0123456789"
    assert "sk-0123456789" not in repr(opened)


STEPS: dict[str, tuple[Sequence[Say], list[str], type[errors.QuothError] | None]] = {
    "second try": ([fails("connect"), OK], AGAIN, None),
    "third try": ([says(503), fails("read"), OK], TWICE, None),
    "all fail": ([says(503)] * 3, TWICE, errors.ServiceUnavailableError),
    "the last error counts": ([says(503), says(500), fails("dns")], TWICE, errors.APIConnectionError),
    "no use": ([says(401, ERROR)], ["open"], errors.AuthenticationError),
    "then no use": ([says(503), says(404, ERROR)], AGAIN, errors.NotFoundError),
    "told when": ([says(429, headers={"retry-after": "7"}), OK], ["open", "sleep 7", "open"], None),
    "told too late": ([says(429, headers={"retry-after": "61"})], ["open"], errors.RateLimitError),
    "stale": ([STALE, OK], ["open", "open"], None),
    "stale once": ([STALE, STALE, OK], ["open", *AGAIN], None),
    "stale costs nothing": ([STALE, says(503), says(503), says(503)], ["open", *TWICE], errors.ServiceUnavailableError),
    "reused, but no end": ([fails("protocol", reused=True), OK], AGAIN, None),
    "no connection in time": ([fails("timeout", deadline="connect"), OK], AGAIN, None),
    "no answer in time": ([fails("timeout", deadline="first")], ["open"], errors.Timeout),
    "the total": ([fails("timeout", deadline="total")], ["open"], errors.Timeout),
    "tls": ([fails("tls")], ["open"], errors.APIConnectionError),
    "proxy": ([fails("proxy")], ["open"], errors.APIConnectionError),
}


@pytest.mark.parametrize("name", STEPS, ids=lambda name: name.replace(" ", "-"))
def test_the_order_of_effects(name: str):
    script, steps, kind = STEPS[name]
    done = run(script)
    assert done.steps == steps
    assert len(tried(done)) == steps.count("open")
    assert type(done.error) is (kind or type(None))


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_half_of_a_wait_is_chance(chance: float):
    assert run([says(503), OK], clock=Clock(chance)).steps[1] == f"sleep {0.125 + chance * 0.125:g}"


def test_an_empty_budget_ends_the_tries():
    clock = Clock()
    budget = RetryBudget(clock.world.now)
    budget.call()
    while budget.allow():
        pass
    done = run([says(503)], clock=clock, budget=budget)
    assert done.steps == ["open"]
    assert isinstance(done.error, errors.ServiceUnavailableError)


# Deadlines.


def test_one_end_for_all_tries_of_a_target():
    done = run([says(503, takes=10), says(503, takes=10), OK], policy=Policy(timeouts=Timeouts(total=100)))
    assert {opened.end for opened in done.opened} == {1100.0}


def test_no_wait_beyond_the_end():
    policy = Policy(timeouts=Timeouts(total=20))
    done = run([says(503, takes=15, headers={"retry-after": "10"})], policy=policy)
    assert done.steps == ["open"]
    done = run([says(503, takes=15, headers={"retry-after": "4"}), OK], policy=policy)
    assert done.steps == ["open", "sleep 4", "open"]


def test_each_target_has_its_own_end():
    policy = Policy(num_retries=0, timeouts=Timeouts(total=20))
    done = run([fails("timeout", deadline="total", takes=20), OK], target("a"), target("b"), policy=policy)
    assert [opened.end for opened in done.opened] == [1020.0, 1040.0]


LIMITS: list[tuple[Timeouts, bool, bool, tuple[float, float, float, float]]] = [
    (Timeouts(), True, False, (5, 120, 60, 600)),
    (Timeouts(), False, False, (5, 600, 600, 600)),
    (Timeouts(), True, True, (5, 900, 900, 1800)),
    (Timeouts(), False, True, (5, 1800, 1800, 1800)),
    (Timeouts(total=2), True, False, (2, 2, 2, 2)),
    (Timeouts(total=30), True, False, (5, 30, 30, 30)),
    (Timeouts(connect=1, first=2, idle=3, total=4), True, False, (1, 2, 3, 4)),
    (Timeouts(first=1000), True, False, (5, 600, 60, 600)),
    (Timeouts(first=1000, total=2000), True, False, (5, 1000, 60, 2000)),
]


@pytest.mark.parametrize(("given", "streaming", "media", "expected"), LIMITS)
def test_limits(given: Timeouts, streaming: bool, media: bool, expected: tuple[float, float, float, float]):
    found = limits_of(given, streaming=streaming, makes_media=media)
    assert (found.connect, found.first, found.idle, found.total) == expected


# Several targets.


def test_targets_in_order():
    done = run(
        [says(401, ERROR), fails("connect"), OK],
        target("a"),
        target("b"),
        target("c"),
        policy=Policy(num_retries=0),
    )
    assert done.steps == ["open", "open", "open"]
    assert tried(done) == [("a", 401, "AuthenticationError"), ("b", None, "APIConnectionError"), ("c", 200, None)]
    assert done.result.target.model == "c"


def test_retries_are_per_target():
    done = run([says(503)] * 6, target("a"), target("b"))
    assert done.steps == TWICE * 2
    assert [model for model, _, _ in tried(done)] == ["a"] * 3 + ["b"] * 3


@pytest.mark.parametrize(("asked", "steps"), [("1", ["open", "sleep 1", "open"]), ("2", ["open", "open"])])
def test_patience_is_short_while_there_is_another(asked: str, steps: list[str]):
    done = run([says(429, headers={"retry-after": asked}), OK], target("a"), target("b"))
    assert done.steps == steps


def test_the_last_target_gets_all_patience():
    script = [says(404, ERROR), says(429, headers={"retry-after": "30"}), OK]
    assert run(script, target("a"), target("b")).steps == ["open", "open", "sleep 30", "open"]


def test_a_target_that_cannot_be_found_is_passed_over():
    clock = Clock()

    def missing() -> Target:
        raise errors.AuthenticationError("no key for acme", llm_provider="acme", model="a")

    plans = [Plan(call(), missing), Plan(call(), lambda: target("b"))]
    done = play(chat(plans, clock.world, RetryBudget(clock.world.now)), [OK], clock)
    assert done.steps == ["open"]
    assert tried(done) == [("a", None, "AuthenticationError"), ("b", 200, None)]


def test_a_plan_for_one_kind_of_error():
    clock = Clock()
    long = {"error": {"message": "too long", "code": "context_length_exceeded"}}
    for body, steps in ((long, ["open", "open"]), (ERROR, ["open"])):
        plans = [
            Plan(call(), lambda: target("a")),
            Plan(call(), lambda: target("b"), only_after=errors.ContextWindowExceededError),
        ]
        flow = chat(plans, clock.world, RetryBudget(clock.world.now))
        assert play(flow, [says(400, body), OK], clock).steps == steps


# Streams.

ROLE = event({"choices": [{"index": 0, "delta": {"role": "assistant"}}]})
TEXT = event({"choices": [{"index": 0, "delta": {"content": "hi"}}]})
GOOD: dict[str, Any] = {
    "content": {"delta": {"content": "x"}},
    "reasoning": {"delta": {"reasoning_content": "x"}},
    "other reasoning": {"delta": {"reasoning": "x"}},
    "a tool call": {"delta": {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f"}}]}},
    "a refusal": {"delta": {"refusal": "x"}},
    "a finish reason": {"delta": {}, "finish_reason": "stop"},
}


@pytest.mark.parametrize("name", GOOD, ids=lambda name: name.replace(" ", "-"))
def test_a_stream_begins_with_its_first_good_chunk(name: str):
    good = event({"choices": [{"index": 0, **GOOD[name]}]})
    done = run([streams(b": wait\n\n", ROLE, good, event(b"never read"))], asked=call(stream=True))
    reader = done.result.reader
    assert done.result.reply == "the connection"
    assert (reader.good, reader.ended) == (True, False)
    assert len(reader.chunks) == 2  # the role, which was held, and it


def test_usage_is_good_too():
    usage = event({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 0, "total_tokens": 1}})
    assert run([streams(ROLE, usage)], asked=call(stream=True)).result.reader.good


@pytest.mark.parametrize(
    "nothing",
    [
        [ROLE],
        [ROLE, event(b"[DONE]")],
        [event(b"[DONE]")],
        [b": wait\n\n" * 50],
        [],
        [b"data: {"],
    ],
    ids=["role", "role-done", "done", "comments", "nothing", "half-an-event"],
)
def test_a_stream_that_never_begins_is_tried_again(nothing: list[bytes]):
    done = run([streams(*nothing), streams(ROLE, TEXT)], asked=call(stream=True))
    assert done.steps == AGAIN
    assert done.result.reader.good


def test_a_stream_that_says_nothing_for_long_is_given_up():
    done = run(
        [streams(*[event({"choices": [{"index": 0, "delta": {"role": "assistant"}}], "pad": "x" * 999})] * 99)],
        asked=call(stream=True),
    )
    assert done.steps == ["open"]
    assert isinstance(done.error, errors.BadGatewayError)


def test_an_error_object_before_the_first_good_chunk_is_an_error():
    wrong = event({"error": {"message": "too many", "code": 429}})
    done = run([streams(ROLE, wrong), streams(TEXT)], asked=call(stream=True))
    assert done.steps == AGAIN
    assert tried(done)[0] == ("m", 200, "RateLimitError")


# Several calls for one.


def several(script: Sequence[Say], n: int = 3) -> Run:
    return run(script, target(row=POE), asked=call(params={"n": n}))


def test_n_calls_for_a_provider_that_takes_one():
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    done = several([says(200, completion(text, usage=usage)) for text in "abc"])
    assert done.steps == ["together 3", "open", "open", "open"]
    whole = done.result.completion
    assert [(choice.index, choice.message.content) for choice in whole.choices] == [(0, "a"), (1, "b"), (2, "c")]
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens, whole.usage.total_tokens) == (15, 6, 21)
    assert not any(b'"n"' in opened.request.body for opened in done.opened)
    assert [warning.code for warning in whole.warnings].count("n_as_parallel_calls") == 1


def test_one_of_several_fails():
    done = several([OK, says(400, ERROR)])
    assert isinstance(done.error, errors.BadRequestError)


def test_each_of_several_is_tried_again():
    done = several([says(503), OK, OK], n=2)
    assert done.steps == ["together 2", "open", "sleep 0.25", "open", "open"]


@pytest.mark.parametrize("n", [1, None])
def test_one_is_one(n: int | None):
    asked = call(params={} if n is None else {"n": n})
    assert run([OK], target(row=POE), asked=asked).steps == ["open"]


def test_no_more_than_so_many_at_once():
    clock = Clock()
    plans = [Plan(call(params={"n": 100}), lambda: target(row=POE))]
    effect = next(chat(plans, clock.world, RetryBudget(clock.world.now)))
    assert isinstance(effect, Together)
    assert (len(effect.flows), effect.at_once) == (100, 16)


# An answer that fits a class.


class City(BaseModel):
    name: str
    people: int


SHAPED = call(output_type=City)
FITS = completion(
    '{"name": "Rome", "people": 3}', usage={"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
)
WRONG = completion('{"name": "Rome"}')


def test_an_answer_that_fits():
    done = run([says(200, FITS)], asked=SHAPED)
    assert done.steps == ["open"]
    assert done.result.completion.choices[0].message.parsed == City(name="Rome", people=3)


def test_one_repair():
    done = run([says(200, WRONG), says(200, FITS)], asked=SHAPED)
    assert done.steps == ["open", "open"]
    assert done.result.completion.choices[0].message.parsed == City(name="Rome", people=3)
    assert b"people" in done.opened[1].request.body
    assert len(tried(done)) == 2


def test_a_repair_that_fails():
    done = run([says(200, WRONG), says(200, WRONG)], asked=SHAPED)
    assert isinstance(done.error, errors.APIResponseValidationError)
    assert done.error.partial is not None
    assert done.steps == ["open", "open"]


def test_a_repair_goes_to_whom_answered():
    done = run(
        [says(500), says(200, WRONG), says(200, FITS)],
        target("a"),
        target("b"),
        asked=SHAPED,
        policy=Policy(num_retries=0),
    )
    assert [model for model, _, _ in tried(done)] == ["a", "b", "b"]


# Sizes.


def test_a_request_beyond_the_limit_is_not_sent():
    done = run([], asked=call([{"role": "user", "content": "x" * 2000}]), policy=Policy(request_limit=1000))
    assert done.steps == []
    assert isinstance(done.error, errors.BadRequestError)
    assert done.error.param == "messages"


@pytest.mark.parametrize("streaming", [False, True])
def test_an_answer_beyond_the_limit_is_not_kept(streaming: bool):
    policy = Policy(answer_limit=10_000)
    body = says(200, completion("x" * 20_000))
    done = run([body], asked=call(stream=streaming), policy=policy)
    assert isinstance(done.error, errors.BadGatewayError)
    assert "more than 10,000 bytes" in done.error.message


def test_an_error_body_has_a_limit_of_its_own():
    done = run([says(400, b"x" * 5_000_000)])
    assert isinstance(done.error, errors.APIError)
    assert len(done.error.message) < 1000


def test_an_event_beyond_the_limit_is_not_read():
    done = run(
        [streams(event({"choices": [], "x": "x" * 3000}))], asked=call(stream=True), policy=Policy(event_limit=1000)
    )
    assert isinstance(done.error, errors.BadGatewayError)
    assert "event of more than 1,000 bytes" in done.error.message


# A plain GET.


def test_fetch():
    clock = Clock()
    flow = fetch(target("*"), "/models", Policy(), clock.world, RetryBudget(clock.world.now))
    done = play(flow, [says(503, headers=NOW), says(200, {"data": []})], clock)
    assert done.steps == ["open", "sleep 0", "open"]
    assert done.result == {"data": []}
    assert (done.opened[0].request.method, done.opened[0].request.url) == ("GET", "https://acme.test/v1/models")


@pytest.mark.parametrize(
    ("say", "kind"),
    [
        (says(404, ERROR), errors.NotFoundError),
        (says(200, b"<html>"), errors.BadGatewayError),
        (fails("tls"), errors.APIConnectionError),
    ],
)
def test_fetch_fails(say: Say, kind: type[errors.QuothError]):
    clock = Clock()
    flow = fetch(target("*"), "/models", Policy(), clock.world, RetryBudget(clock.world.now))
    done = play(flow, [say], clock)
    assert type(done.error) is kind
    assert len(done.error.attempts) == 1


# What is said of an error.


@pytest.mark.parametrize("where", ["message", "body", "interrupted"])
def test_a_key_that_is_quoted_is_not_shown(where: str):
    key = "sk-0123456789"
    body = {"error": {"message": f"bad key {key}", "details": [{"key": key}]}}
    done = run([says(401, body)])
    assert done.error is not None
    assert key not in f"{done.error.message} {done.error.body} {done.error.attempts}"


def test_an_answer_is_not_changed_by_another():
    """Flows share nothing but the world and the budget."""
    asked = call(params={"temperature": 1, "metadata": {"a": "b"}})
    before = replace(asked, params=dict(asked.params))
    run([says(503), OK], asked=asked)
    assert asked == before
