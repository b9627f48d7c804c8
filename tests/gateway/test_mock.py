"""Answers without calling anybody: of a deployment, and of a call."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faultserver import FaultServer, chat
from tests.gateway.serving import SERVERS, Serving, chat_body, deployment

CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}


@pytest.fixture(scope="module")
def upstream() -> Iterator[FaultServer]:
    with FaultServer() as upstream:
        upstream.play(chat("real"))
        yield upstream


@pytest.fixture(scope="module", params=SERVERS)
def gateway(
    request: pytest.FixtureRequest, upstream: FaultServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serving]:
    def mocked(name: str, **params: Any) -> dict[str, Any]:
        return {"model_name": name, "litellm_params": {"model": "poe/Grok-4", **params}}

    models = [
        deployment("real", upstream.url),
        {"model_name": "poe/*", "litellm_params": {"model": "poe/*", "api_key": "none", "api_base": upstream.url}},
        mocked("words", mock_response="canned words"),
        mocked("object", mock_response={"choices": [{"index": 0, "message": {"role": "assistant", "content": "o"}}]}),
        mocked("tools", mock_tool_calls=[CALL]),
        mocked("limited", mock_response="litellm.RateLimitError"),
        mocked("failing", mock_response="litellm.InternalServerError"),
        mocked("slow", mock_response="late", mock_delay=0.2),
        mocked("stuck", mock_timeout=True, timeout=0.2),
        mocked("too slow", mock_response="never", mock_delay=600, timeout=0.2),
    ]
    folder: Path = tmp_path_factory.mktemp("gateway")
    fallbacks = {"fallbacks": [{"limited": ["real"]}], "num_retries": 0, "disable_cooldowns": True}
    with Serving(folder, models=models, server=request.param, router_settings=fallbacks) as serving:
        yield serving


@pytest.fixture(autouse=True)
def nobody_is_called(request: pytest.FixtureRequest, upstream: FaultServer) -> Iterator[None]:
    def calls() -> int:
        return sum(sent.method == "POST" for sent in upstream.requests)

    before = calls()
    yield
    if "fall_back" not in request.node.name:
        assert calls() == before


def said(gateway: Serving, **body: Any) -> Any:
    found = gateway.post(chat_body(**body))
    assert found.status == 200
    assert found.json["model"] == body["model"]
    return found.json["choices"][0]


def test_a_deployments_text(gateway: Serving) -> None:
    assert said(gateway, model="words")["message"]["content"] == "canned words"
    streamed = gateway.post(chat_body(model="words", stream=True))
    assert streamed.text == "canned words"
    assert streamed.events[-1] == "[DONE]"
    assert {json.loads(event)["model"] for event in streamed.events[:-1]} == {"words"}
    assert gateway.post(chat_body(model="words", seed=1)).headers["x-quoth-model"] == "poe/Grok-4"


def test_a_deployments_object_and_tool_calls(gateway: Serving) -> None:
    assert said(gateway, model="object")["message"]["content"] == "o"
    found = said(gateway, model="tools")
    assert (found["message"]["tool_calls"], found["finish_reason"]) == ([CALL], "tool_calls")
    streamed = gateway.post(chat_body(model="tools", stream=True))
    deltas = [json.loads(event)["choices"][0]["delta"] for event in streamed.events[:-1]]
    assert [delta["tool_calls"] for delta in deltas if "tool_calls" in delta] == [[{"index": 0, **CALL}]]


def test_a_deployments_error(gateway: Serving) -> None:
    found = gateway.post(chat_body(model="failing"))
    assert (found.status, found.error["type"]) == (500, "upstream_error")
    found = gateway.post(chat_body(model="limited", disable_fallbacks=True))
    assert (found.status, found.error["type"]) == (429, "rate_limit_error")


def test_a_deployments_error_makes_it_fall_back(gateway: Serving) -> None:
    assert said(gateway, model="limited")["message"]["content"] == "real"


def test_a_deployments_delay_and_timeout(gateway: Serving) -> None:
    assert said(gateway, model="slow")["message"]["content"] == "late"
    line = gateway.wait_for_line(lambda line: line["model"] == "slow")
    assert line["total_ms"] >= 150
    for model in ("stuck", "too slow"):
        for stream in (False, True):
            found = gateway.post(chat_body(model=model, stream=stream))
            assert (found.status, found.error["type"]) == (504, "upstream_timeout")


def test_a_calls_text(gateway: Serving) -> None:
    assert said(gateway, model="real", mock_response="now")["message"]["content"] == "now"
    assert gateway.post(chat_body(model="real", mock_response="now and then", stream=True)).text == "now and then"
    assert said(gateway, model="words", mock_response="now")["message"]["content"] == "now"


def test_a_calls_tool_calls(gateway: Serving) -> None:
    assert said(gateway, model="real", mock_tool_calls=[CALL])["message"]["tool_calls"] == [CALL]


@pytest.mark.parametrize(
    ("mock", "status", "slug"),
    [
        ("litellm.RateLimitError", 429, "rate_limit_error"),
        ("litellm.AuthenticationError", 502, "upstream_auth"),
        ("litellm.ContextWindowExceededError", 413, "context_window_exceeded"),
        ("Exception: content_filter_policy", 403, "moderation_error"),
        ("Exception: mock_streaming_error", 502, "stream_interrupted"),
        (5, 400, "invalid_request_error"),
        ({"choices": [{"text": "x"}]}, 400, "invalid_request_error"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_calls_error(gateway: Serving, mock: Any, status: int, slug: str, stream: bool) -> None:
    found = gateway.post(chat_body(model="real", mock_response=mock, stream=stream))
    assert (found.status, found.error["type"]) == (status, slug)


def test_a_calls_delay_and_timeout(gateway: Serving) -> None:
    assert said(gateway, model="real", mock_response="late", mock_delay=0.1)["message"]["content"] == "late"
    found = gateway.post(chat_body(model="real", mock_timeout=True, timeout=0.1))
    assert (found.status, found.error["type"]) == (504, "upstream_timeout")
    found = gateway.post(chat_body(model="real", mock_delay="soon"))
    assert (found.status, found.error["param"]) == (400, "mock_delay")


@pytest.mark.parametrize("model", ["poe/Claude-Sonnet-4.6", "poe/GPT-5.2"])
def test_in_the_shape_of_every_api(gateway: Serving, model: str) -> None:
    """Whatever protocol the model is served over."""
    more = {"model": model, "mock_response": "canned words"}
    messages = chat_body()["messages"]
    for path, body in (
        ("/v1/chat/completions", {"messages": messages}),
        ("/v1/messages", {"messages": messages, "max_tokens": 10}),
        ("/v1/responses", {"input": "hello"}),
    ):
        assert b'"canned words"' in gateway.ask("POST", path, {**body, **more}).body
        streamed = gateway.ask("POST", path, {**body, **more, "stream": True})
        assert (streamed.status, b'"canned"' in streamed.body, b'" words"' in streamed.body) == (200, True, True)


def test_completions_and_embeddings(gateway: Serving) -> None:
    found = gateway.ask("POST", "/v1/completions", {"model": "words", "prompt": "x"})
    assert found.json["choices"][0]["text"] == "canned words"
    for given, count in (("one", 1), (["one", "two"], 2), ([1, 2, 3], 1), ([[1], [2]], 2)):
        body = {"model": "real", "input": given, "mock_response": [0.25, 0.5]}
        found = gateway.ask("POST", "/v1/embeddings", body)
        assert [row["embedding"] for row in found.json["data"]] == [[0.25, 0.5]] * count
        assert found.json["model"] == "real"
    body = {"model": "real", "input": "x", "mock_response": "litellm.RateLimitError"}
    assert gateway.ask("POST", "/v1/embeddings", body).status == 429
