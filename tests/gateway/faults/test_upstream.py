"""An upstream that fails before the first good chunk: a clean error with the right slug, or the answer of another
deployment. U1-U5, U7, U9, U13-U19, U26-U29 of docs/reliability.md."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.faultserver import (
    Close,
    FaultServer,
    KeepAlive,
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
from tests.faultserver.certificates import Certificate
from tests.gateway.faults.conftest import SECRETS
from tests.gateway.serving import Answer, Serving, chat_body, deployment

pytestmark = pytest.mark.timeout(60)

UNREACHABLE, UNREADABLE = (502, "upstream_unreachable"), (502, "bad_upstream_response")
TIMEOUT, FAILED, OVERLOADED = (504, "upstream_timeout"), (502, "upstream_error"), (503, "upstream_overloaded")
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
Expected = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Fault:
    """`steps` on the wire; what the caller is told, not streamed and streamed. `model`: the deployment by its name."""

    name: str
    steps: tuple[Step, ...]
    expected: tuple[Expected, Expected]
    model: str = "any"
    streams: tuple[bool, ...] = (False, True)


def fault(name: str, *steps: Step, told: Expected | tuple[Expected, Expected], **more: Any) -> Fault:
    both: Any = told if isinstance(told[0], tuple) else (told, told)
    return Fault(name, steps, both, **more)


def stream_fault(name: str, *steps: Step, told: Expected, **more: Any) -> Fault:
    return fault(name, *steps, told=told, streams=(True,), **more)


FAULTS = [
    # U4, U5
    fault("reset when accepted", Reset(), told=UNREACHABLE),
    fault("closed when accepted", Close(), told=UNREACHABLE),
    fault("reset after the request", Read(), Reset(), told=UNREACHABLE),
    fault("closed after the request", Read(), Close(), told=UNREACHABLE),
    fault("half a status line", Read(), Send(b"HTTP/1.1 20"), Close(), told=UNREACHABLE),
    fault("half a head", chat().cut(40), Close(), told=UNREACHABLE),
    fault("less than promised", chat().claiming(10_000), Close(), told=UNREACHABLE),
    fault("reset in the body", chat("ok" * 50).cut(-30), Reset(), told=UNREACHABLE),
    # U7, U9
    fault("silent after the request", Read(), Stall(), told=TIMEOUT, model="short"),
    fault("silent after the head", head_only(), Stall(), told=TIMEOUT, model="short"),
    fault("a head byte by byte", Read(), SendSlowly(chat().raw, every=0.05), told=TIMEOUT, model="short"),
    stream_fault("silent after the role", sse(delta(role="assistant")).first(1), Stall(), told=TIMEOUT, model="short"),
    stream_fault(
        "keep-alives for ever",
        head_only(),
        SendSlowly(b"8\r\n: wait\n\n\r\n" * 99, every=0.05, size=13),
        told=TIMEOUT,
        model="short",
    ),
    # U13
    stream_fault("a line of 20 MiB", sse("x" * (20 << 20)), told=UNREADABLE),
    stream_fault(
        "much that says nothing",
        sse(*[delta(role="assistant", content="")] * 800, finish_reason=None, usage=None),
        told=UNREADABLE,
    ),
    # U15, U26
    fault("a page", html(200), told=UNREADABLE),
    fault("nothing", answer(b""), told=(UNREADABLE, UNREACHABLE)),
    fault("no content", answer(b"", 204), told=(UNREADABLE, UNREACHABLE)),
    fault("white space", answer(b" \r\n\r\n "), told=(UNREADABLE, UNREACHABLE)),
    fault("plain text", answer(b"Service is starting", content_type="text/plain"), told=(UNREADABLE, UNREACHABLE)),
    fault("half of the JSON", answer(b'{"id": "x", "choices": [{'), told=UNREADABLE),
    fault("other JSON", answer({"hello": "world"}), told=UNREADABLE),
    fault("a list", answer(b"[1, 2]"), told=UNREADABLE),
    fault("JSON that is not UTF-8", answer(b'{"choices": "\xff\xfe"}'), told=UNREADABLE),
    fault("nested deeply", answer(b"[" * 100_000), told=UNREADABLE),
    fault(
        "an error where an answer was due",
        answer({"error": {"message": "no luck", "type": "overloaded_error"}}),
        told=OVERLOADED,
    ),
    # U16, U19
    fault("a page for 502", html(502), told=FAILED),
    fault("a page for 503", html(503), told=OVERLOADED),
    fault("a page for 504", html(504), told=TIMEOUT),
    fault("500", error(500), told=(500, "upstream_error")),
    fault("529", error(529), told=OVERLOADED),
    fault("a status of nobody", error(599), told=FAILED),
    fault("a status cut off", error(500).cut(-5), Close(), told=(500, "upstream_error")),
    # U21
    fault("401", error(401, "no such key"), told=(502, "upstream_auth")),
    fault("403", error(403, "not for you"), told=(502, "upstream_auth")),
    # U27
    fault("encoded unasked", chat().headed(content_encoding="br"), told=UNREACHABLE),
    fault("half of what was compressed", chat("ok" * 500).gzipped(keep=60), told=UNREACHABLE),
    fault("broken compression", answer(b"no gzip").headed(content_encoding="gzip"), told=UNREACHABLE),
    fault("much from little", gzip_bomb(64), told=UNREADABLE),
    # U28
    fault("another protocol", Read(), Send(b"220 mail.test ready\r\n"), Close(), told=UNREACHABLE),
    fault("chunk without a size", answer(b"{}").with_bad_chunk(), told=UNREACHABLE),
    fault("length and chunks at once", replace(chat().framed("chunked"), length=10), told=UNREACHABLE),
    fault("two lengths", chat().headed(content_length="3"), told=UNREACHABLE),
    fault("a header of 200 kB", chat().headed(x_big="a" * 200_000), told=UNREACHABLE),
    fault(
        "folded headers",
        Read(),
        Send(b"HTTP/1.1 200 OK\r\nx-a: b\r\n  c\r\ncontent-length: 0\r\n\r\n"),
        told=UNREACHABLE,
    ),
    fault("interim answers only", Read(), Send(b"HTTP/1.1 100 Continue\r\n\r\n" * 3), Close(), told=UNREACHABLE),
    fault(
        "switching protocols",
        Read(),
        Send(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n"),
        Stall(),
        told=UNREADABLE,
    ),
    # U29
    *[
        fault(
            f"redirect {status}",
            replace(answer(b"", status), headers=(("location", "https://elsewhere.test/v1?key=hidden"),)),
            told=UNREADABLE,
        )
        for status in (301, 302, 303, 307, 308)
    ],
    # "first good chunk" of CONTRACT
    stream_fault(
        "an error event first",
        sse({"error": {"message": "no", "type": "provider_error"}}),
        told=(500, "upstream_error"),
    ),
    stream_fault("[DONE] at once", sse(finish_reason=None, usage=None), told=UNREACHABLE),
    stream_fault("role, then FIN", sse(delta(role="assistant", content="")).first(1), Close(), told=UNREACHABLE),
    stream_fault("comments, then FIN", head_only(), Send(b"8\r\n: wait\n\n\r\n"), Close(), told=UNREACHABLE),
    stream_fault("head, then reset", head_only(), Reset(), told=UNREACHABLE),
    stream_fault("not JSON", sse(event(b"hello")), told=UNREADABLE),
    stream_fault(
        "half an event", Read(), Send(HEAD + b'data: {"choices": [{"delta": {"con'), Close(), told=UNREACHABLE
    ),
]
CASES = [
    pytest.param(case, stream, id=f"{case.name.replace(' ', '-')}-{'stream' if stream else 'whole'}")
    for case in FAULTS
    for stream in case.streams
]


def check_error(answer: Answer, expected: Expected) -> None:
    """An error of the gateway's own, in one piece, with nothing in it that is nobody's business."""
    assert (answer.status, answer.error["type"]) == expected, answer.body[:500]
    assert answer.error["code"] == str(answer.status)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"].startswith("req_")
    assert set(answer.error) == {"message", "type", "param", "code"}
    shown = answer.body + repr(answer.headers).encode()
    assert b"<html" not in shown
    for secret in (*SECRETS, "127.0.0.1", "elsewhere.test"):
        assert secret.encode() not in shown


@pytest.mark.parametrize(("case", "stream"), CASES)
def test_a_fault_is_a_clean_error(
    case: Fault, stream: bool, gateway: Serving, upstream: FaultServer, name: str
) -> None:
    upstream.play(*case.steps)
    answer = gateway.post(chat_body(model=f"{case.model}/{name}", stream=stream))
    check_error(answer, case.expected[stream])
    # A connection that an earlier test left open, and that ends when it is used, is replaced for nothing.
    assert answer.headers["x-quoth-attempts"] in ("1", "2" if case.name.endswith("when accepted") else "1")


@pytest.mark.parametrize(("case", "stream"), CASES)
def test_a_fault_falls_back(
    case: Fault, stream: bool, gateway: Serving, upstream: FaultServer, spare: FaultServer, name: str
) -> None:
    upstream.play(*case.steps)
    spare.play(sse("from ", "another") if stream else chat("from another"))
    body = chat_body(model=f"{case.model}/{name}", stream=stream, fallbacks=[f"spare/{name}"])
    answer = gateway.post(body)
    assert answer.status == 200, answer.body[:500]
    said = answer.text if stream else answer.json["choices"][0]["message"]["content"]
    assert said == "from another"
    assert answer.headers["x-quoth-attempts"] in ("2", "3" if case.name.endswith("when accepted") else "2")
    assert answer.headers["x-quoth-model"] == f"custom_openai/{name}"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("end", [Reset(), Close()], ids=["reset", "closed"])
def test_a_kept_connection_that_was_closed_is_replaced(
    end: Step, stream: bool, gateway: Serving, upstream: FaultServer, name: str
) -> None:
    """Where nothing is tried again otherwise."""
    said = sse("ok") if stream else chat("ok")
    upstream.play_once(said, KeepAlive(), end)
    upstream.play(said)
    for _ in range(3):
        assert gateway.post(chat_body(model=f"any/{name}", stream=stream)).status == 200


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("broken", [Reset(), Close()], ids=["reset", "closed"])
def test_what_was_cut_off_before_anything_was_said_is_tried_again(
    broken: Step, stream: bool, gateway: Serving, upstream: FaultServer, name: str
) -> None:
    for steps in ((Read(), broken), (head_only() if stream else chat("ok").cut(-5), broken)):
        upstream.play_once(*steps)
    upstream.play(sse("ok") if stream else chat("ok"))
    answer = gateway.post(chat_body(model=f"again/{name}", stream=stream))
    assert (answer.status, answer.headers["x-quoth-attempts"]) == (200, "3")


# The way there: U1, U2, U3


@pytest.fixture(scope="module")
def roads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Serving, FaultServer]]:
    """A gateway whose deployments cannot be reached, each in a way of its own, and one that can."""
    with contextlib.ExitStack() as opened:
        certificates: tuple[Certificate, ...] = ("expired", "wrong-host", "stranger")
        tls = {certificate: opened.enter_context(FaultServer(tls=certificate)) for certificate in certificates}
        for server in tls.values():
            server.play(chat("never seen"))
        plain, spare = opened.enter_context(FaultServer()), opened.enter_context(FaultServer())
        plain.play(Send(b"220 ready\r\n"), Close())
        spare.play(chat("from another"))
        addresses = {
            "refused": opened.enter_context(refusing()),
            "unanswering": opened.enter_context(unanswering()),
            "unknown": "http://nowhere.invalid",
            "not-tls": plain.url.replace("http:", "https:"),
            "expired": tls["expired"].url,
            "wrong-host": tls["wrong-host"].url,
            "stranger": tls["stranger"].url,
        }
        models = [deployment(name, url, num_retries=0, timeout={"connect": 0.2}) for name, url in addresses.items()]
        models.append(deployment("spare", spare.url))
        gateway = Serving(
            tmp_path_factory.mktemp("gateway"), models=models, environment={"SSL_CERT_FILE": str(tls["expired"].ca_pem)}
        )
        yield opened.enter_context(gateway), spare


ROADS = {
    "refused": UNREACHABLE,
    "unanswering": TIMEOUT,
    "unknown": UNREACHABLE,
    "not-tls": (502, "upstream_tls"),
    "expired": (502, "upstream_tls"),
    "wrong-host": (502, "upstream_tls"),
    "stranger": (502, "upstream_tls"),
}


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_provider_that_cannot_be_reached(road: str, stream: bool, roads: tuple[Serving, FaultServer]) -> None:
    gateway, spare = roads
    answer = gateway.post(chat_body(model=road, stream=stream))
    check_error(answer, ROADS[road])
    assert answer.headers["x-quoth-attempts"] == "1", "a certificate is not tried again, and never done without"
    assert (answer.headers.get("x-should-retry") == "false") is (ROADS[road][1] == "upstream_tls")
    spare.play(sse("from another") if stream else chat("from another"))
    answer = gateway.post(chat_body(model=road, stream=stream, fallbacks=["spare"]))
    assert answer.status == 200
    assert b"from another" in answer.body
