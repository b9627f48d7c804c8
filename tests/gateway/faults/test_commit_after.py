"""A stream that is begun before anything good has come (`quoth.commit_after`): comments keep it alive, and what fails
from then on is an event. The commitment of CONTRACT; U7, U8 of docs/reliability.md."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.faultserver import FaultServer, Read, Reset, Send, Stall, Step, error, html, sse
from tests.gateway.faults.raw import receive, request
from tests.gateway.serving import KEY, SERVERS, Serving, chat_body, deployment

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module", params=SERVERS)
def hasty(
    request: pytest.FixtureRequest, server: FaultServer, other: FaultServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serving]:
    folder: Path = tmp_path_factory.mktemp("hasty")
    models = [
        deployment("any/*", server.url, "custom_openai/*", num_retries=0, timeout={"first": 0.3, "total": 20}),
        deployment("spare/*", other.url, "custom_openai/*"),
    ]
    with Serving(folder, models=models, server=request.param, quoth={"commit_after": 0.05}) as gateway:
        yield gateway


def late(*steps: Step) -> tuple[Step, ...]:
    return (Read(), Stall(0.12), *steps)


FAILURES: dict[str, tuple[tuple[Step, ...], str]] = {
    "reset": (late(Reset()), "upstream_unreachable"),
    "silence": ((Read(), Stall()), "upstream_timeout"),
    "500": (late(Send(error(500).raw)), "upstream_error"),
    "a page": (late(Send(html(200).raw)), "bad_upstream_response"),
    "401": (late(Send(error(401).raw)), "upstream_auth"),
    "an error event": (
        late(Send(sse({"error": {"message": "no", "type": "overloaded_error"}}).raw)),
        "upstream_overloaded",
    ),
    "429": (late(Send(error(429, "slow", type="rate_limit_error").raw)), "rate_limit_error"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_what_fails_late_is_an_event(case: str, hasty: Serving, upstream: FaultServer, name: str) -> None:
    steps, slug = FAILURES[case]
    upstream.play(*steps)
    got = hasty.post(chat_body(model=f"any/{name}", stream=True))
    assert got.status == 200
    assert got.headers["content-type"].startswith("text/event-stream")
    assert got.body.startswith(b": keep-alive\n\n")
    assert [json.loads(one)["error"]["type"] for one in got.events] == [slug]
    line = hasty.line(got)
    assert (line["status"], line["error"]) == (200, slug)


@pytest.mark.parametrize("case", FAILURES)
def test_what_fails_late_still_falls_back(
    case: str, hasty: Serving, upstream: FaultServer, spare: FaultServer, name: str
) -> None:
    upstream.play(*FAILURES[case][0])
    spare.play(sse("from another"))
    got = hasty.post(chat_body(model=f"any/{name}", stream=True, fallbacks=[f"spare/{name}"]))
    assert got.status == 200
    assert (got.text, got.events[-1]) == ("from another", "[DONE]")
    assert got.body.count(b": keep-alive") == 1


def test_what_comes_late_is_an_answer(hasty: Serving, upstream: FaultServer, name: str) -> None:
    upstream.play(*late(Send(sse("late").raw)))
    got = hasty.post(chat_body(model=f"any/{name}", stream=True))
    assert (got.text, got.events[-1]) == ("late", "[DONE]")
    assert "error" not in hasty.line(got)


def test_what_is_not_streamed_waits(hasty: Serving, upstream: FaultServer, name: str) -> None:
    upstream.play(*late(Send(error(500).raw)))
    got = hasty.post(chat_body(model=f"any/{name}"))
    assert (got.status, got.error["type"]) == (500, "upstream_error")


def test_the_official_client_takes_the_comments(hasty: Serving, upstream: FaultServer, name: str) -> None:
    upstream.play(*late(Send(sse("la", "te").raw)))
    with openai.OpenAI(base_url=hasty.url, api_key=KEY, max_retries=0) as client:
        messages: Any = [{"role": "user", "content": "hi"}]
        stream = client.chat.completions.create(model=f"any/{name}", messages=messages, stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices) == "late"


def test_who_leaves_after_the_commitment_ends_the_call(hasty: Serving, upstream: FaultServer, name: str) -> None:
    upstream.play(Read(), Stall())
    asked, left = len(upstream.requests), len(upstream.disconnects)
    with socket.create_connection((hasty.host, hasty.port)) as sock:
        sock.sendall(request(hasty, chat_body(model=f"any/{name}", stream=True, timeout=20), f"left-{name}"))
        assert b": keep-alive" in receive(sock, b": keep-alive")
        # On a busy machine the comment may come first.
        upstream.wait_for(lambda: len(upstream.requests) > asked)
    upstream.wait_for(lambda: len(upstream.disconnects) > left)
    line = hasty.line_of(f"left-{name}")
    assert line["left"] is True
    assert "error" not in line


def test_never_where_it_is_off(
    server: FaultServer, upstream: FaultServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with Serving(tmp_path_factory.mktemp("never"), upstream=server.url, quoth={"commit_after": 0}) as gateway:
        upstream.play(*late(Send(error(400, "no").raw)))
        assert gateway.post(chat_body(stream=True)).status == 400
