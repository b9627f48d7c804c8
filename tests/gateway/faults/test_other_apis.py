"""The same faults on the other APIs: Messages and Responses, translated from a provider that speaks chat. An error has
the envelope of the API that was called, and a stream that breaks has an error and no end. U6, U15, U21, C1, C2, C5 of
docs/reliability.md."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from tests.faultserver import Close, FaultServer, Read, Stall, chat, sse
from tests.gateway.faults.conftest import SECRETS
from tests.gateway.faults.raw import receive, request
from tests.gateway.faults.test_streams import BREAKS, TEXT, WHOLE, Break
from tests.gateway.faults.test_upstream import CASES, Fault
from tests.gateway.serving import Answer, Serving

pytestmark = pytest.mark.timeout(60)

# What fails and what is odd was tried one by one on chat; here it is one of each kind.
FAILING = (
    "reset after the request,less than promised,silent after the head,much that says nothing,a page,half of the JSON,"
    "a page for 503,500,529,401,much from little,chunk without a size,redirect 302,an error event first,[DONE] at once"
).split(",")
BREAKING = (
    "fin",
    "the end without a finish reason",
    "an error event",
    "our key",
    "half of the JSON",
    "broken compression",
)
ODD = (
    "CRLF",
    "CR",
    "comments between",
    "data in several lines",
    "no [DONE]",
    "not streamed",
    "choices null",
    "byte by byte",
)

PATHS = {"messages": "/v1/messages", "responses": "/v1/responses"}
HI = [{"role": "user", "content": "hi"}]


def named(case: Any) -> str:
    fault: Fault = case.values[0]
    return fault.name


def body_of(api: str, model: str, stream: bool) -> dict[str, Any]:
    if api == "messages":
        return {"model": model, "messages": HI, "max_tokens": 100, "stream": stream}
    return {"model": model, "input": "hi", "stream": stream}


def ask(gateway: Serving, api: str, model: str, stream: bool) -> Answer:
    return gateway.ask("POST", PATHS[api], body_of(api, model, stream))


@pytest.mark.parametrize("api", PATHS)
@pytest.mark.parametrize(("case", "stream"), [case for case in CASES if named(case) in FAILING])
def test_a_fault_is_an_error_in_the_apis_own_words(
    case: Fault, stream: bool, api: str, gateway: Serving, upstream: FaultServer, name: str
) -> None:
    upstream.play(*case.steps)
    got = ask(gateway, api, f"{case.model}/{name}", stream)
    status, slug = case.expected[stream]
    if api == "messages" and slug == "upstream_overloaded":
        assert got.status in (503, 529)
    else:
        assert got.status == status
    assert gateway.line(got)["error"] == slug
    assert got.error["message"]
    if api == "messages":
        assert got.json["type"] == "error"
    else:
        assert (got.error["type"], got.error["code"]) == (slug, str(status))
    for secret in (*SECRETS, "127.0.0.1"):
        assert secret.encode() not in got.body


def named_events(body: bytes) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for block in body.decode().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line and not line.startswith(":"))
        if "data" in lines:
            found.append((lines.get("event", ""), json.loads(lines["data"])))
    return found


def text_of(events: list[tuple[str, dict[str, Any]]]) -> str:
    deltas = [data["delta"] for _, data in events if "delta" in data]
    return "".join(delta if isinstance(delta, str) else delta.get("text", "") for delta in deltas)


ENDS = {"message_stop", "response.completed"}


@pytest.mark.parametrize("api", PATHS)
@pytest.mark.parametrize("case", [case for case in BREAKS if case.name in BREAKING], ids=lambda case: case.name)
def test_a_broken_stream_ends_in_an_error(
    case: Break, api: str, gateway: Serving, upstream: FaultServer, name: str
) -> None:
    upstream.play(*case.steps)
    got = ask(gateway, api, f"any/{name}", stream=True)
    assert got.status == 200
    events = named_events(got.body)
    kind, last = events[-1]
    assert (kind, last["type"]) == ("error", "error")
    assert not ENDS & {kind for kind, _ in events}
    assert gateway.line(got)["error"] == case.slug
    assert text_of(events) == "one two "


@pytest.mark.parametrize("api", PATHS)
@pytest.mark.parametrize("case", ODD, ids=lambda name: name.replace(" ", "-"))
def test_an_odd_stream_is_told_whole(case: str, api: str, gateway: Serving, upstream: FaultServer, name: str) -> None:
    upstream.play(*WHOLE[case])
    got = ask(gateway, api, f"any/{name}", stream=True)
    events = named_events(got.body)
    assert events[-1][0] in ENDS, events[-1]
    assert text_of(events) == TEXT


@pytest.mark.parametrize("api", PATHS)
@pytest.mark.parametrize("seen", [b"", b"one "], ids=["waiting", "in-mid-stream"])
def test_who_leaves_ends_the_call(api: str, seen: bytes, either: Serving, upstream: FaultServer, name: str) -> None:
    upstream.play(*((sse("one ", "two").first(1), Stall()) if seen else (Read(), Stall())))
    left, asked = len(upstream.disconnects), len(upstream.requests)
    data = request(either, body_of(api, f"any/{name}", stream=True), f"{api}-{name}")
    with socket.create_connection((either.host, either.port)) as sock:
        sock.sendall(data.replace(b"/v1/chat/completions", PATHS[api].encode()))
        upstream.wait_for(lambda: len(upstream.requests) > asked)
        assert not seen or seen in receive(sock, seen)
    upstream.wait_for(lambda: len(upstream.disconnects) > left)
    assert either.line_of(f"{api}-{name}")["left"] is True


@pytest.mark.parametrize("api", PATHS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[" * 100_000,
        b"\xff",
        b'{"model": 5}',
        b'{"model": "any/x", "messages": 5, "input": 5, "max_tokens": 5}',
    ],
)
def test_what_is_no_request_is_refused(api: str, body: bytes, gateway: Serving) -> None:
    got = gateway.ask("POST", PATHS[api], body)
    assert got.status == 400
    assert (got.json["type"] == "error") if api == "messages" else (got.error["code"] == "400")


@pytest.mark.parametrize("api", PATHS)
def test_what_follows_is_answered(api: str, gateway: Serving, upstream: FaultServer, name: str) -> None:
    upstream.play_once(chat("x").cut(-3), Close())
    upstream.play(chat("still here"))
    for _ in range(2):
        got = ask(gateway, api, f"any/{name}", stream=False)
    assert b"still here" in got.body
