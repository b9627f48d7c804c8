"""The property: in whatever way an upstream fails before the first good chunk, the caller gets a typed error, or the
answer of another target. Nothing hangs, nothing leaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from quoth import errors
from quoth.call import Timeouts
from tests.faults.harness import KEY, Caller, Upstream, upstream
from tests.faultserver import (
    Close,
    FaultServer,
    Read,
    Reset,
    Send,
    SendSlowly,
    Stall,
    Step,
    answer,
    chat,
    delta,
    error,
    event,
    gzip_bomb,
    head_only,
    html,
    refusing,
    sse,
    unanswering,
)

pytestmark = pytest.mark.timeout(30)

UNREADABLE = errors.BadGatewayError
BROKEN = errors.APIConnectionError
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Failure:
    """One way to fail.

    `kinds`: the class expected, not streamed and streamed. `says`: a part of the message. `status`: the error's
    `status_code`. `again`: whether Quoth would try again. `settings`: the client's, and "trusted" to trust the server.
    """

    name: str
    at: Callable[[], AbstractContextManager[Upstream]]
    kinds: tuple[type[errors.QuothError], type[errors.QuothError]]
    says: str = ""
    status: int | None = None
    again: bool | None = None
    settings: dict[str, Any] | None = None


def fails(
    name: str,
    *steps: Step,
    kind: type[errors.QuothError] | tuple[type[errors.QuothError], type[errors.QuothError]] = BROKEN,
    tls: Any = False,
    **expected: Any,
) -> Failure:
    kinds = kind if isinstance(kind, tuple) else (kind, kind)
    return Failure(name, lambda: upstream(*steps, tls=tls), kinds, **expected)


@contextmanager
def _refusing() -> Iterator[Upstream]:
    with refusing() as url:
        yield Upstream(url)


@contextmanager
def _unanswering() -> Iterator[Upstream]:
    with unanswering() as url:
        yield Upstream(url)


@contextmanager
def _unknown_host() -> Iterator[Upstream]:
    yield Upstream("http://nowhere.invalid")


@contextmanager
def _tls_at_a_plain_server() -> Iterator[Upstream]:
    with upstream(Send(b"220 ready\r\n"), Close()) as plain:
        yield Upstream(plain.url.replace("http:", "https:"))


def _shown(certificate: Any) -> Callable[[], AbstractContextManager[Upstream]]:
    """A server with this certificate, its authority trusted."""
    return lambda: upstream(chat(), tls=certificate)


SHORT = {"timeout": Timeouts(connect=0.25, first=0.25, idle=0.25, total=0.25)}
SOON = {"timeout": Timeouts(first=0.25, idle=5, total=5)}
READY = b"HTTP/1.1 100 Continue\r\n\r\n"

CONNECTION = [
    Failure("refused", _refusing, (BROKEN, BROKEN), says="could not be reached", again=True),
    Failure("unknown host", _unknown_host, (BROKEN, BROKEN), says="could not be found", again=True),
    Failure(
        "no connection in time",
        _unanswering,
        (errors.Timeout,) * 2,
        says="no connection within",
        again=True,
        settings=SHORT | {"timeout": Timeouts(connect=0.25)},
    ),
    Failure("TLS at a plain server", _tls_at_a_plain_server, (BROKEN, BROKEN), says="safely", again=False),
    Failure("self-signed certificate", _shown(True), (BROKEN, BROKEN), says="certificate", again=False),
    Failure(
        "expired certificate",
        _shown("expired"),
        (BROKEN, BROKEN),
        says="expired",
        again=False,
        settings={"trusted": True},
    ),
    Failure(
        "another host's certificate",
        _shown("wrong-host"),
        (BROKEN, BROKEN),
        says="certificate is not valid for",
        again=False,
        settings={"trusted": True},
    ),
    fails("reset when accepted", Reset(), again=True),
    fails("closed when accepted", Close(), again=True),
    fails("reset after the request", Read(), Reset(), again=True),
    fails("closed after the request", Read(), Close(), says="before", again=True),
    fails("half a status line", Read(), Send(b"HTTP/1.1 20"), Close(), again=True),
    fails("half a head", chat().cut(40), Close(), again=True),
    fails("half a head, reset", chat().cut(40), Reset(), again=True),
]

NOT_HTTP = [
    fails("another protocol", Read(), Send(b"220 mail.test ready\r\n"), Close(), says="not HTTP"),
    fails("noise", Read(), Send(bytes(range(128, 256)) * 40), Close(), says="not HTTP"),
    fails("chunk without a size", answer(b"{}").with_bad_chunk(), kind=BROKEN, says="not HTTP"),
    fails("length and chunks at once", replace(chat().framed("chunked"), length=10), says="not HTTP"),
    fails("two lengths", chat().headed(content_length="3"), says="not HTTP"),
    fails(
        "head without end",
        Read(),
        SendSlowly(b"HTTP/1.1 200 OK\r\n" + b"x-a: b\r\n" * 40_000, every=0.001, size=65536),
        Stall(),
        says="",
    ),
    fails("a header of 200 kB", chat().headed(x_big="a" * 200_000), says="not HTTP"),
    fails("interim answers only", Read(), Send(READY * 3), Close(), again=True),
    fails("encoded unasked", chat().headed(content_encoding="br"), says=""),
    fails("half of what was compressed", chat("ok" * 500).gzipped(keep=60), says=""),
    fails("broken compression", answer(b"not gzip at all").headed(content_encoding="gzip"), says=""),
]

STATUS = [
    fails(
        "redirect",
        replace(answer(b"", 302), headers=(("location", "https://elsewhere.test/"),)),
        kind=UNREADABLE,
        says="redirects to https://elsewhere.test/",
        status=302,
        again=False,
    ),
    fails(
        "permanent redirect", answer(b"", 308), kind=UNREADABLE, says="redirects to nowhere", status=308, again=False
    ),
    fails(
        "switching protocols",
        Read(),
        Send(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n"),
        Stall(),
        kind=errors.APIError,
    ),
    fails("proxy's page", html(502), kind=errors.BadGatewayError, says="502 Bad Gateway", status=502, again=True),
    fails("page for unavailable", html(503), kind=errors.ServiceUnavailableError, status=503, again=True),
    fails("overloaded", error(529), kind=errors.ServiceUnavailableError, status=529, again=True),
    fails("rate limit", error(429, headers={"retry-after": "7"}), kind=errors.RateLimitError, status=429, again=True),
    fails("status cut off", error(500).cut(-5), Close(), kind=errors.InternalServerError, status=500, again=True),
    fails("refusal cut off", error(401).cut(-5), Close(), kind=errors.AuthenticationError, status=401, again=False),
]

ANSWERS = [
    fails("nothing", answer(b""), kind=(UNREADABLE, BROKEN)),
    fails("no content", answer(b"", 204), kind=(UNREADABLE, BROKEN)),
    fails("white space", answer(b" \r\n\r\n "), kind=(UNREADABLE, BROKEN)),
    fails("a page", html(200), kind=UNREADABLE, says="HTML", status=200, again=False),
    fails(
        "plain text", answer(b"Service is starting", content_type="text/plain"), kind=(UNREADABLE, BROKEN), status=None
    ),
    fails("half of the JSON", answer(b'{"id": "x", "choices": [{'), kind=UNREADABLE, says="not JSON"),
    fails("other JSON", answer({"hello": "world"}), kind=UNREADABLE, says="not a chat completion"),
    fails("a list", answer(b"[1, 2]"), kind=UNREADABLE),
    fails("JSON that is not UTF-8", answer(b'{"choices": "\xff\xfe"}'), kind=UNREADABLE),
    fails("nested deeply", answer(b"[" * 100_000), kind=UNREADABLE),
    fails(
        "an error where an answer was due",
        answer({"error": {"message": "no luck", "type": "overloaded_error"}}),
        kind=errors.ServiceUnavailableError,
        says="no luck",
    ),
    fails("less than promised", chat().claiming(10_000), Close(), kind=BROKEN, again=True),
    fails("more than promised", chat().claiming(10), kind=UNREADABLE),
    fails("much from little", gzip_bomb(64), kind=UNREADABLE),
    fails("reset in the body", chat("ok" * 50).cut(-30), Reset(), again=True),
]

STREAMS = [
    fails(
        "error event first",
        sse({"error": {"message": "too many", "code": 429}}),
        kind=errors.RateLimitError,
        says="too many",
    ),
    fails(
        "named error event",
        sse(event({"message": "odd", "type": "overloaded_error"}, name="error")),
        kind=errors.ServiceUnavailableError,
    ),
    fails(
        "error after the role",
        sse(delta(role="assistant"), {"error": {"message": "late", "type": "provider_error"}}),
        kind=errors.InternalServerError,
        says="late",
    ),
    fails("[DONE] at once", sse(finish_reason=None, usage=None), says="without an answer", again=True),
    fails(
        "role, then [DONE]",
        sse(delta(role="assistant", content=""), finish_reason=None, usage=None),
        says="without an answer",
    ),
    fails("role, then FIN", sse(delta(role="assistant", content="")).first(1), Close(), says="before the stream began"),
    fails(
        "role, then the end",
        sse(delta(role="assistant"), finish_reason=None, usage=None, done=False),
        says="without an answer",
    ),
    fails("comments, then FIN", head_only(), Send(b"8\r\n: wait\n\n\r\n"), Close(), says="before the stream began"),
    fails("head, then reset", head_only(), Reset(), again=True),
    fails(
        "half an event", Read(), Send(HEAD + b'data: {"choices": [{"delta": {"con'), Close(), says="without an answer"
    ),
    fails(
        "an event without its blank line",
        Read(),
        Send(HEAD + event(delta("hi")).rstrip(b"\n")),
        Close(),
        says="without an answer",
    ),
    fails("not JSON", sse(event(b"hello")), kind=UNREADABLE, says="not JSON"),
    fails("chunk without a size", sse("hi").with_bad_chunk(), says="not HTTP"),
    fails("a line of 20 MiB", sse("x" * (20 << 20)), kind=UNREADABLE, says="event of more than"),
    fails(
        "much that says nothing",
        sse(*[delta(role="assistant", content="")] * 800, finish_reason=None, usage=None),
        kind=errors.APIError,
    ),
]

STALLS = [
    fails("silent after the request", Read(), Stall(), kind=errors.Timeout, again=False, settings=SHORT),
    fails("silent after the head", head_only(), Stall(), kind=errors.Timeout, again=False, settings=SHORT),
    fails("a head byte by byte", Read(), SendSlowly(chat().raw, every=0.05), kind=errors.Timeout, settings=SHORT),
    fails(
        "a body byte by byte",
        chat().first(0),
        SendSlowly(chat("ok" * 99).raw, every=0.05),
        kind=errors.Timeout,
        settings=SHORT,
    ),
]

STREAM_STALLS = [
    fails(
        "silent after the role",
        sse(delta(role="assistant")).first(1),
        Stall(),
        kind=errors.Timeout,
        says="no answer within",
        settings=SOON,
    ),
    fails(
        "keep-alives for ever",
        head_only(),
        SendSlowly(b"8\r\n: wait\n\n\r\n" * 99, every=0.05, size=13),
        kind=errors.Timeout,
        says="no answer within",
        settings=SOON,
    ),
]

ALL = [*CONNECTION, *NOT_HTTP, *STATUS, *ANSWERS, *STALLS]


def run(failure: Failure, caller_type: type[Caller], stream: bool, at: Upstream, **more: Any) -> Any:
    settings = dict(failure.settings or {})
    if settings.pop("trusted", False):
        assert at.server is not None
        settings["ssl_verify"] = str(at.server.ca_pem)
    with caller_type(base_url=f"{at.url}/v1", **settings) as caller:
        return caller.ask(stream=stream, **more)


def cases(failures: list[Failure]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("failure", failures, ids=lambda failure: failure.name.replace(" ", "-"))


def check_error(failure: Failure, caller_type: type[Caller], stream: bool) -> None:
    with failure.at() as at, pytest.raises(errors.QuothError) as caught:
        run(failure, caller_type, stream, at)
    raised = caught.value
    assert type(raised) is failure.kinds[stream] or failure.kinds[stream] is errors.APIError, repr(raised)
    assert failure.says in raised.message
    assert failure.again is None or raised.retryable is failure.again
    assert failure.status is None or raised.status_code == failure.status
    assert (raised.llm_provider, raised.model) == ("custom_openai", "m")
    assert [attempt.error for attempt in raised.attempts] == [type(raised).__name__]
    assert KEY not in str(raised)
    assert raised.message.isprintable()


def check_fallback(failure: Failure, caller_type: type[Caller], stream: bool) -> None:
    with failure.at() as at, upstream(sse("from ", "another") if stream else chat("from another")) as other:
        settings: dict[str, Any] = {
            "fallbacks": [{"model": "custom_openai/other", "api_base": other.url, "api_key": "another"}]
        }
        said = run(failure, caller_type, stream, at, **settings)
    assert said.text == "from another"
    assert [attempt.model for attempt in said.response.attempts] == ["m", "other"]
    assert [request.headers["authorization"] for request in other.requests] == ["Bearer another"]


@cases(ALL)
def test_every_failure_is_a_typed_error(failure: Failure, caller_type: type[Caller], stream: bool):
    check_error(failure, caller_type, stream)


@cases([*STREAMS, *STREAM_STALLS])
def test_every_failed_stream_is_a_typed_error(failure: Failure, caller_type: type[Caller]):
    check_error(failure, caller_type, stream=True)


@cases(ALL)
def test_every_failure_yields_to_another_target(failure: Failure, caller_type: type[Caller], stream: bool):
    check_fallback(failure, caller_type, stream)


@cases([*STREAMS, *STREAM_STALLS])
def test_every_failed_stream_yields_to_another_target(failure: Failure, caller_type: type[Caller]):
    check_fallback(failure, caller_type, stream=True)


def test_retry_after_is_on_the_error(caller: Caller, server: FaultServer, stream: bool):
    server.play(error(429, headers={"retry-after": "7", "x-request-id": "req-1"}, code="slow_down", param="model"))
    with pytest.raises(errors.RateLimitError) as caught:
        caller.ask(stream=stream)
    raised = caught.value
    assert (raised.retry_after, raised.request_id, raised.code, raised.param) == (7.0, "req-1", "slow_down", "model")
    assert raised.body == {"error": {"message": "a fault", "type": "fault", "code": "slow_down", "param": "model"}}


BODIES = {"json": None, "page": b"<html><title>Oh</title></html>", "nothing": b"", "half": b'{"error": {"mess'}


@pytest.mark.parametrize("body", BODIES)
def test_every_status_has_its_class(caller: Caller, server: FaultServer, stream: bool, body: str):
    for status in range(400, 530):
        given = BODIES[body]
        server.play(error(status) if given is None else answer(given, status))
        with pytest.raises(errors.APIError) as caught:
            caller.ask(stream=stream)
        raised = caught.value
        assert type(raised) is errors.for_status(status)
        assert raised.status_code == status
        assert str(status) in raised.message
        assert raised.retryable is (status in (408, 409, 429) or status >= 500)
    # One connection served them all: an error status is an answer like another.
    assert server.connections_total == 1
