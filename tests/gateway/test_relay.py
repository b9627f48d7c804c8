"""What is passed on, both ways: the bytes as they came but for what a rule names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faultserver import Close, FaultServer, Read, Send, chat, sse
from tests.gateway.serving import SERVERS, UPSTREAM_KEY, Serving, chat_body


@pytest.fixture(scope="module")
def upstream() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.fixture(scope="module", params=SERVERS)
def gateway(request: pytest.FixtureRequest, upstream: FaultServer, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp("gateway")
    with Serving(folder, upstream=upstream.url, server=request.param) as gateway:
        yield gateway


def sent(upstream: FaultServer) -> Any:
    return upstream.requests[-1]


def test_the_request_keeps_its_bytes_but_for_the_model(gateway: Serving, upstream: FaultServer) -> None:
    upstream.play_once(chat("hi"))
    messages = b'[{"role":"user","content":"\\u00e9 \xc3\xa9"}]'
    body = b'{ "model" : "m", "messages":' + messages + b',"x_unknown" : [1.50, 1e3] ,"top_p":0.10}'
    assert gateway.post(body).status == 200
    got = sent(upstream).body
    assert b'"x_unknown":[1.50, 1e3]' in got
    assert messages in got
    assert b'"top_p":0.10' in got
    assert json.loads(got)["model"] == "up"
    assert sent(upstream).headers["authorization"] == f"Bearer {UPSTREAM_KEY}"


def test_the_answer_keeps_its_bytes_but_for_the_model(gateway: Serving, upstream: FaultServer) -> None:
    raw = (
        b'{"id":"c1", "object":"chat.completion","created":1,"model":"up","x_more":{"model":"up","n":1.50},'
        b'"choices":[{"index":0,"message":{"role":"assistant","content":"say \\"model\\":\\"up\\""},'
        b'"finish_reason":"stop","logprobs":null}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}'
    )
    upstream.play_once(
        Read(),
        Send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(raw) + raw),
    )
    answer = gateway.post(chat_body())
    assert answer.status == 200
    assert answer.json == {**json.loads(raw), "model": "m"}
    assert answer.json["x_more"] == {"model": "up", "n": 1.5}
    assert b'"content":"say \\"model\\":\\"up\\""' in answer.body


def test_a_stream_keeps_its_events(gateway: Serving, upstream: FaultServer) -> None:
    upstream.play_once(sse("one ", "two"))
    answer = gateway.post(chat_body(stream=True))
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text == "one two"
    assert answer.events[-1] == "[DONE]"
    assert {json.loads(one)["model"] for one in answer.events[:-1]} == {"m"}


def test_usage_is_asked_for_and_kept_from_who_did_not_ask(gateway: Serving, upstream: FaultServer) -> None:
    upstream.play_once(sse("one"))
    answer = gateway.post(chat_body(stream=True))
    assert json.loads(sent(upstream).body)["stream_options"] == {"include_usage": True}
    assert all("usage" not in event or "[DONE]" in event for event in answer.events)
    upstream.play_once(sse("one"))
    answer = gateway.post(chat_body(stream=True, stream_options={"include_usage": True}))
    assert any(json.loads(event).get("usage") for event in answer.events[:-1])


def test_the_caller_is_told_what_became_of_the_call(gateway: Serving, upstream: FaultServer) -> None:
    upstream.play_once(chat("hi"))
    answer = gateway.post(chat_body(), {"x-request-id": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    assert answer.headers["x-quoth-model"] == "custom_openai/up"
    assert answer.headers["x-quoth-wire"] == "openai_chat"
    assert answer.headers["x-quoth-attempts"] == "1"
    assert float(answer.headers["x-quoth-overhead-ms"]) > 0
    assert "x-quoth-cost-usd" not in answer.headers  # nobody knows it


@pytest.mark.parametrize("cut", [b"\n\n", b"\r\n\r\n", b"\r\r"])
def test_events_end_as_the_provider_ends_them(gateway: Serving, upstream: FaultServer, cut: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    first = json.dumps({"model": "up", "choices": [{"index": 0, "delta": {"content": "é"}}]}).encode()
    last = json.dumps({"model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}).encode()
    events = b": hello" + cut + b"data: " + first + cut + b"data: " + last + cut
    upstream.play_once(Read(), Send(head + events), Close())
    answer = gateway.post(chat_body(stream=True))
    assert b": hello" + cut in answer.body
    assert b"data: " + last + cut in answer.body
    assert answer.body.endswith(b"data: [DONE]\n\n"), "an end that is missing is supplied"


def test_an_answer_that_is_not_streamed_becomes_a_stream_of_one(gateway: Serving, upstream: FaultServer) -> None:
    upstream.play_once(chat("whole"))
    answer = gateway.post(chat_body(stream=True))
    assert answer.text == "whole"
    assert answer.events[-1] == "[DONE]"
