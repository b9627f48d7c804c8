"""What is tried again, how often, how long after, and to whom the call goes then."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from quoth import errors
from tests.faults.harness import Caller, Upstream, elapsed
from tests.faultserver import Close, FaultServer, Read, Reset, Stall, chat, error, refusing, sse

pytestmark = pytest.mark.timeout(30)

Calling = Callable[..., Caller]
Another = Callable[..., Upstream]
SOON = {"retry-after-ms": "1"}
GOOD = {False: chat("at last"), True: sse("at ", "last")}


@pytest.mark.parametrize(
    ("settings", "keywords", "tries"),
    [
        ({}, {}, 1),
        ({"num_retries": 1}, {}, 2),
        ({"num_retries": None, "max_retries": 3}, {}, 4),
        ({"num_retries": None}, {}, 3),
        ({"num_retries": 1}, {"num_retries": 0}, 1),
        ({"num_retries": 1}, {"max_retries": 2}, 3),
        ({"num_retries": 1}, {"num_retries": 1, "max_retries": 4}, 2),
    ],
)
def test_how_often(
    calling: Calling, server: FaultServer, stream: bool, settings: Any, keywords: dict[str, Any], tries: int
):
    server.play(error(503, headers=SOON))
    caller = calling(**settings)
    with pytest.raises(errors.ServiceUnavailableError) as caught:
        caller.ask(stream=stream, **keywords)
    assert len(server.requests) == tries
    assert len(caught.value.attempts) == tries
    assert {attempt.status_code for attempt in caught.value.attempts} == {503}
    assert len({request.body for request in server.requests}) == 1


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 520, 529])
def test_statuses_that_are_tried_again(calling: Calling, server: FaultServer, stream: bool, status: int):
    server.play_once(error(status, headers=SOON))
    server.play(GOOD[stream])
    said = calling(num_retries=1).ask(stream=stream)
    assert said.text == "at last"
    assert [attempt.status_code for attempt in said.response.attempts] == [status, 200]


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 406, 410, 413, 418, 422, 451])
def test_statuses_that_are_not(calling: Calling, server: FaultServer, stream: bool, status: int):
    server.play(error(status, headers=SOON))
    with pytest.raises(errors.APIStatusError):
        calling(num_retries=2).ask(stream=stream)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "headers", "body", "tries"),
    [
        (503, {"x-should-retry": "false"}, {}, 1),
        (400, {"x-should-retry": "true"}, {}, 2),
        (503, {"x-should-retry": "perhaps"}, {}, 2),
        (429, {}, {"code": "insufficient_quota"}, 1),
        (429, {}, {"type": "insufficient_quota"}, 1),
    ],
)
def test_the_server_knows_better(
    calling: Calling, server: FaultServer, stream: bool, status: int, headers: dict[str, str], body: Any, tries: int
):
    server.play(error(status, headers=SOON | headers, **body))
    with pytest.raises(errors.APIStatusError):
        calling(num_retries=1).ask(stream=stream)
    assert len(server.requests) == tries


@pytest.mark.parametrize(
    "failure",
    [(Reset(),), (Close(),), (Read(), Reset()), (Read(), Close()), (chat().cut(30), Close())],
    ids=["reset", "fin", "reset-after-the-request", "fin-after-the-request", "half-a-head"],
)
def test_broken_connections_are_tried_again(calling: Calling, server: FaultServer, stream: bool, failure: Any):
    server.play_once(*failure)
    server.play(GOOD[stream])
    said = calling(num_retries=1).ask(stream=stream)
    assert said.text == "at last"
    assert [attempt.error for attempt in said.response.attempts] == ["APIConnectionError", None]


def test_a_refused_connection_is_tried_again(caller_type: type[Caller], stream: bool):
    with (
        refusing() as url,
        caller_type(base_url=url, num_retries=2) as caller,
        pytest.raises(errors.APIConnectionError) as caught,
        elapsed() as seconds,
    ):
        caller.ask(stream=stream)
    assert len(caught.value.attempts) == 3
    # 0.25 s and 0.5 s, of which half is chance.
    assert 0.35 < seconds[0] < 5


def test_nothing_is_tried_again_after_the_first_good_chunk(calling: Calling, server: FaultServer):
    server.play(sse("one ", "two").first(1), Reset())
    with pytest.raises(errors.StreamInterrupted) as caught:
        calling(num_retries=2).ask(stream=True)
    assert len(server.requests) == 1
    assert caught.value.retryable is False


def _date(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        (lambda: {"retry-after": "1"}, 1.0, 6.0),
        (lambda: {"retry-after": "0.3"}, 0.3, 5.0),
        (lambda: {"retry-after-ms": "300"}, 0.3, 5.0),
        (lambda: {"retry-after-ms": "10", "retry-after": "30"}, 0.01, 5.0),
        (lambda: {"retry-after": _date(2)}, 0.5, 6.0),
        (lambda: {"retry-after": _date(-900)}, 0.0, 5.0),
        (lambda: {"retry-after": "-5"}, 0.0, 5.0),
        (lambda: {"retry-after": "soon"}, 0.12, 5.0),
        (lambda: {"retry-after": "nan"}, 0.12, 5.0),
        (lambda: {"retry-after": "1e999"}, 0.12, 5.0),
        (lambda: {"retry-after": ""}, 0.12, 5.0),
    ],
    ids=["seconds", "fraction", "ms", "ms-first", "date", "past", "negative", "words", "nan", "infinite", "empty"],
)
def test_how_long_after(calling: Calling, server: FaultServer, headers: Any, least: float, most: float):
    server.play_once(error(429, headers=headers()))
    server.play(chat("at last"))
    with elapsed() as seconds:
        assert calling(num_retries=1).ask(stream=False).text == "at last"
    assert least <= seconds[0] < most


@pytest.mark.parametrize("headers", [{"retry-after": "61"}, {"retry-after-ms": "60001"}, {"retry-after": "1e12"}])
def test_too_long_a_wait_is_not_waited(calling: Calling, server: FaultServer, stream: bool, headers: dict[str, str]):
    server.play(error(429, headers=headers))
    with elapsed() as seconds, pytest.raises(errors.RateLimitError) as caught:
        calling(num_retries=2).ask(stream=stream)
    assert seconds[0] < 5
    assert len(server.requests) == 1
    assert caught.value.retry_after is not None
    assert caught.value.retry_after > 60


def test_no_wait_goes_beyond_the_total(calling: Calling, server: FaultServer, stream: bool):
    server.play(error(503, headers={"retry-after": "30"}))
    with elapsed() as seconds, pytest.raises(errors.ServiceUnavailableError):
        calling(num_retries=2, timeout=5.0).ask(stream=stream)
    assert seconds[0] < 4


# A media model may have been charged for what was never received.

MEDIA = {"model": "poe/veo-3.1"}


@pytest.mark.parametrize(
    ("failure", "tries"),
    [((Read(), Reset()), 1), ((Read(), Close()), 1), ((chat().cut(-10), Close()), 1), ((error(503, headers=SOON),), 2)],
    ids=["reset", "fin", "half-an-answer", "overloaded"],
)
def test_media_that_may_have_been_charged_is_not_made_again(
    calling: Calling, server: FaultServer, stream: bool, failure: Any, tries: int
):
    server.play(*failure)
    with pytest.raises(errors.APIError) as caught:
        calling(num_retries=1).ask(stream=stream, **MEDIA)
    assert len(server.requests) == tries
    assert ("may have been charged" in caught.value.message) is (tries == 1)


def test_media_is_not_made_again_on_a_connection_that_was_kept(calling: Calling, server: FaultServer):
    server.play_once(chat("one"))
    server.play(Read(), Reset())
    caller = calling(num_retries=2)
    assert caller.ask(stream=False, **MEDIA).text == "one"
    with pytest.raises(errors.APIConnectionError):
        caller.ask(stream=False, **MEDIA)
    assert len(server.requests) == 2


def test_media_that_was_never_asked_for_is(caller_type: type[Caller]):
    with (
        refusing() as url,
        caller_type(base_url=url, num_retries=1) as caller,
        pytest.raises(errors.APIConnectionError) as caught,
    ):
        caller.whole(**MEDIA)
    assert len(caught.value.attempts) == 2


# Kept connections.


@pytest.mark.parametrize("ending", [Reset(), Close()], ids=["reset", "fin"])
def test_a_stale_connection_costs_no_retry(calling: Calling, server: FaultServer, stream: bool, ending: Any):
    server.play_once(GOOD[stream])
    server.play_once(Read(), ending)
    server.play(GOOD[stream])
    caller = calling(num_retries=0)
    assert caller.ask(stream=stream).text == "at last"
    with elapsed() as seconds:
        assert caller.ask(stream=stream).text == "at last"
    assert seconds[0] < 2
    assert [request.connection for request in server.requests] == [1, 1, 2]


def test_only_the_first_stale_connection_is_free(calling: Calling, server: FaultServer, stream: bool):
    server.play_once(GOOD[stream])
    server.play(Read(), Reset())
    caller = calling(num_retries=0)
    caller.ask(stream=stream)
    with pytest.raises(errors.APIConnectionError):
        caller.ask(stream=stream)
    assert len(server.requests) == 3


def test_a_connection_closed_while_idle_is_not_used(calling: Calling, server: FaultServer, stream: bool):
    server.play(GOOD[stream], Close())
    caller = calling(num_retries=0)
    for _ in range(3):
        assert caller.ask(stream=stream).text == "at last"
        server.wait_for(lambda: not server.connections_open)
    assert [request.connection for request in server.requests] == [1, 2, 3]


# Other targets.


def test_the_order_of_fallbacks(calling: Calling, another: Another, server: FaultServer, stream: bool):
    second, third = another(error(404)), another(GOOD[stream])
    server.play(error(500, headers=SOON))
    fallbacks = [
        {"model": "custom_openai/b", "api_base": second.url, "api_key": "key-of-b"},
        {"model": "custom_openai/c", "api_base": third.url, "api_key": "key-of-c", "temperature": 0.5, "top_p": 0.1},
        "poe/never-asked",
    ]
    said = calling(num_retries=1).ask(stream=stream, fallbacks=fallbacks, temperature=1.5)
    assert said.text == "at last"
    found = [(attempt.model, attempt.status_code) for attempt in said.response.attempts]
    assert found == [("m", 500), ("m", 500), ("b", 404), ("c", 200)]
    (asked_b,), (asked_c,) = second.requests, third.requests
    assert asked_b.headers["authorization"] == "Bearer key-of-b"
    assert asked_c.headers["authorization"] == "Bearer key-of-c"
    assert (asked_b.json()["temperature"], "top_p" in asked_b.json()) == (1.5, False)
    assert (asked_c.json()["temperature"], asked_c.json()["top_p"]) == (0.5, 0.1)


def test_when_all_fail_the_last_error_stands(calling: Calling, another: Another, server: FaultServer, stream: bool):
    server.play(error(500, headers=SOON))
    fallbacks = [{"model": "custom_openai/b", "api_base": another(error(402)).url, "api_key": "key-of-b"}]
    with pytest.raises(errors.PaymentRequiredError) as caught:
        calling().ask(stream=stream, fallbacks=fallbacks)
    assert [(attempt.model, attempt.error) for attempt in caught.value.attempts] == [
        ("m", "InternalServerError"),
        ("b", "PaymentRequiredError"),
    ]


def test_with_another_target_at_hand_nobody_waits_long(
    calling: Calling, another: Another, server: FaultServer, stream: bool
):
    server.play(error(429, headers={"retry-after": "20"}))
    fallbacks = [{"model": "custom_openai/b", "api_base": another(GOOD[stream]).url, "api_key": "key-of-b"}]
    with elapsed() as seconds:
        assert calling(num_retries=2).ask(stream=stream, fallbacks=fallbacks).text == "at last"
    assert seconds[0] < 5
    assert len(server.requests) == 1


def test_a_missing_key_passes_to_the_next_target(
    calling: Calling, server: FaultServer, stream: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("POE_API_KEY", " ")
    server.play(GOOD[stream])
    caller = calling(base_url=None, api_key=None)
    fallback = {"model": "custom_openai/b", "api_base": server.url, "api_key": "key-of-b"}
    said = caller.ask(stream=stream, model="poe/Claude-Sonnet-4.6", fallbacks=[fallback])
    assert said.text == "at last"
    assert [attempt.error for attempt in said.response.attempts] == ["AuthenticationError", None]


def test_a_prompt_that_is_too_long_goes_to_the_larger_model_only(calling: Calling, server: FaultServer, stream: bool):
    server.play_once(error(400, code="context_length_exceeded"))
    server.play_once(GOOD[stream])
    server.play(error(400))
    caller = calling()
    settings = {"context_window_fallback_dict": {"m": "custom_openai/large"}, "fallbacks": []}
    said = caller.ask(stream=stream, **settings)
    assert said.text == "at last"
    with pytest.raises(errors.BadRequestError):
        caller.ask(stream=stream, **settings)


def test_a_deadline_of_our_own_is_not_tried_again(calling: Calling, server: FaultServer):
    server.play(Read(), Stall())
    with pytest.raises(errors.Timeout) as caught:
        calling(num_retries=2, timeout=0.3).ask(stream=False)
    assert len(caught.value.attempts) == 1
