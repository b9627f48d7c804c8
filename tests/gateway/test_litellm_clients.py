"""Requests in the shapes that programs written for LiteLLM's proxy send, and the headers that they read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quoth.emulator import Emulator
from tests.faultserver import FaultServer, Read, Stall, answer, chat, error, sse
from tests.gateway.serving import MESSAGES, Serving, chat_body, deployment

NEW = {"idempotency-key": "k-1"}


@pytest.fixture(scope="module")
def upstream() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.fixture(scope="module")
def poe() -> Iterator[Emulator]:
    with Emulator(token_delay=0) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def gateway(upstream: FaultServer, poe: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder: Path = tmp_path_factory.mktemp("gateway")
    models = [
        {**deployment("m", upstream.url), "model_info": {"id": "first-of-m"}},
        deployment("other", upstream.url, "custom_openai/other"),
        deployment("tagged", upstream.url, "custom_openai/free", tags=["free"]),
        deployment("tagged", upstream.url, "custom_openai/paid", tags=["paid"]),
        {"model_name": "poe/*", "litellm_params": {"model": "poe/*", "api_base": poe.base_url, "api_key": "emulated"}},
    ]
    router = {"enable_tag_filtering": True, "disable_cooldowns": True, "retry_policy": {}}
    with Serving(folder, models=models, router_settings=router) as serving:
        yield serving


def model_of(upstream: FaultServer) -> str:
    found: str = json.loads(upstream.requests[-1].body)["model"]
    return found


def test_its_headers_say_what_ours_say(gateway: Serving, upstream: FaultServer) -> None:
    upstream.play_once(error(500))
    upstream.play_once(chat("hi"))
    headers = gateway.post(chat_body()).headers
    assert headers["x-litellm-call-id"] == headers["x-request-id"]
    assert headers["x-litellm-model-id"] == "first-of-m"
    assert (headers["x-litellm-attempted-retries"], headers["x-litellm-attempted-fallbacks"]) == ("1", "0")
    assert headers["x-litellm-overhead-duration-ms"] == headers["x-quoth-overhead-ms"]
    assert "x-litellm-response-cost" not in headers, "nobody knows it"
    headers = gateway.post(chat_body(model="poe/GPT-5.2")).headers
    assert headers["x-litellm-response-cost"] == headers["x-quoth-cost-usd"]
    upstream.play_once(sse("hi"))
    headers = gateway.post(chat_body(stream=True)).headers
    assert headers["x-litellm-model-id"] == "first-of-m"
    assert headers["x-litellm-call-id"].startswith("req_")


def test_its_call_id_is_kept(gateway: Serving, upstream: FaultServer) -> None:
    upstream.play_once(chat("hi"))
    headers = gateway.post(chat_body(), {"x-litellm-call-id": "call-1"}).headers
    assert headers["x-litellm-call-id"] == headers["x-request-id"] == "call-1"
    refused = gateway.ask("GET", "/v1/nothing", headers={"x-litellm-call-id": "call-2", "x-request-id": "mine"})
    assert refused.headers["x-litellm-call-id"] == refused.headers["x-request-id"] == "mine"


@pytest.mark.parametrize(
    ("more", "headers"),
    [
        ({}, {"x-litellm-timeout": "0.3"}),
        ({"timeout": 0.3}, {}),
        ({"request_timeout": 0.3}, {}),
        ({"stream": True}, {"x-litellm-stream-timeout": "0.3"}),
        ({"stream": True, "stream_timeout": 0.3}, {"x-litellm-timeout": "50"}),
    ],
)
def test_timeouts(gateway: Serving, upstream: FaultServer, more: dict[str, Any], headers: dict[str, str]) -> None:
    upstream.play_once(Read(), Stall())
    answer = gateway.post(chat_body(**more), headers)
    assert (answer.status, answer.error["type"]) == (504, "upstream_timeout")
    assert not set(more) - {"stream"} & set(json.loads(upstream.requests[-1].body))


@pytest.mark.parametrize(
    ("more", "headers"), [({"num_retries": 0}, {}), ({"max_retries": 0}, {}), ({}, {"x-litellm-num-retries": "0"})]
)
def test_retries(gateway: Serving, upstream: FaultServer, more: dict[str, Any], headers: dict[str, str]) -> None:
    before = len(upstream.requests)
    upstream.play_once(error(500))
    assert gateway.post(chat_body(**more), headers).status == 500
    assert len(upstream.requests) == before + 1


@pytest.mark.parametrize(
    ("more", "headers"),
    [
        ({"metadata": {"tags": ["paid"]}}, {}),
        ({"tags": ["paid"]}, {}),
        ({}, {"x-litellm-tags": "paid"}),
    ],
)
def test_tags(gateway: Serving, upstream: FaultServer, more: dict[str, Any], headers: dict[str, str]) -> None:
    upstream.play_once(chat("hi"))
    assert gateway.post(chat_body(model="tagged", **more), headers).status == 200
    assert model_of(upstream) == "paid"
    assert "metadata" not in json.loads(upstream.requests[-1].body)
    assert "tags" not in json.loads(upstream.requests[-1].body)


def test_the_rest_of_the_metadata_travels(gateway: Serving, upstream: FaultServer) -> None:
    upstream.play_once(chat("hi"))
    gateway.post(chat_body(model="tagged", metadata={"tags": ["free"], "trace": "t-1"}))
    assert model_of(upstream) == "free"
    assert json.loads(upstream.requests[-1].body)["metadata"] == {"trace": "t-1"}


@pytest.mark.parametrize("fallbacks", [["other"], [{"model": "other", "messages": [{"role": "user", "content": "x"}]}]])
def test_fallbacks_of_the_call(gateway: Serving, upstream: FaultServer, fallbacks: list[Any]) -> None:
    upstream.play_once(error(500))
    upstream.play_once(chat("from the other"))
    found = gateway.post(chat_body(fallbacks=fallbacks, num_retries=0))
    assert (found.status, found.json["model"]) == (200, "m")
    assert found.headers["x-quoth-model"] == "custom_openai/other"
    assert found.headers["x-litellm-attempted-fallbacks"] == "1"
    assert found.headers["x-litellm-attempted-retries"] == "0"
    body = json.loads(upstream.requests[-1].body)
    assert body["messages"] == (MESSAGES if fallbacks == ["other"] else fallbacks[0]["messages"])


def test_fallbacks_switched_off(gateway: Serving, upstream: FaultServer) -> None:
    before = len(upstream.requests)
    upstream.play_once(error(500))
    assert gateway.post(chat_body(fallbacks=["other"], disable_fallbacks=True, num_retries=0)).status == 500
    assert len(upstream.requests) == before + 1


def test_fallbacks_are_tried_out(gateway: Serving, upstream: FaultServer) -> None:
    before = len(upstream.requests)
    upstream.play_once(chat("from the other"))
    found = gateway.post(chat_body(fallbacks=["other"], mock_testing_fallbacks=True))
    assert found.headers["x-quoth-model"] == "custom_openai/other"
    assert "x-quoth-warnings" not in found.headers
    assert len(upstream.requests) == before + 1
    assert gateway.post(chat_body(mock_testing_fallbacks=True)).status == 500


@pytest.mark.parametrize("where", ["/openai/deployments", "/engines", "/v1/engines"])
def test_the_model_in_the_path(gateway: Serving, upstream: FaultServer, where: str) -> None:
    upstream.play_once(chat("hi"))
    found = gateway.ask("POST", f"{where}/m/chat/completions?api-version=2024-10-21", {"messages": MESSAGES})
    assert (found.status, found.json["model"], model_of(upstream)) == (200, "m", "up")
    upstream.play_once(chat("hi"))
    found = gateway.ask("POST", f"{where}/m/chat/completions", chat_body(model="gpt-4o"))
    assert (found.status, found.json["model"], model_of(upstream)) == (200, "m", "up"), "the path counts"
    upstream.play_once(chat("hi"))
    found = gateway.ask("POST", f"{where}/m/completions", {"prompt": "hello"})
    assert (found.status, found.json["choices"][0]["text"]) == (200, "hi")
    row = {"object": "embedding", "index": 0, "embedding": [0.5]}
    upstream.play_once(answer({"object": "list", "data": [row], "model": "up"}))
    found = gateway.ask("POST", f"{where}/m/embeddings", {"input": "hello"})
    assert (found.status, found.json["model"]) == (200, "m")
    found = gateway.ask("POST", f"{where}/poe/GPT-5.2/chat/completions", {"messages": MESSAGES})
    assert (found.status, found.json["model"]) == (200, "poe/GPT-5.2")


def test_an_idempotency_key_is_for_one_model(gateway: Serving, upstream: FaultServer) -> None:
    upstream.play_once(chat("hi"))
    body = {"messages": MESSAGES}
    assert gateway.ask("POST", "/openai/deployments/m/chat/completions", body, NEW).status == 200
    assert gateway.ask("POST", "/openai/deployments/m/chat/completions", body, NEW).headers["idempotent-replayed"]
    found = gateway.ask("POST", "/openai/deployments/other/chat/completions", body, NEW)
    assert (found.status, found.error["type"]) == (422, "idempotency_conflict")


def test_model_info(gateway: Serving) -> None:
    found = gateway.get("/model/info").json["data"]
    assert gateway.get("/v1/model/info").json["data"] == found
    first = found[0]
    assert (first["model_name"], first["model_info"]["id"]) == ("m", "first-of-m")
    assert "api_key" not in first["litellm_params"]
    assert first["litellm_params"]["model"] == "custom_openai/up"
    assert {"mode", "max_input_tokens", "input_cost_per_token", "litellm_provider"} <= first["model_info"].keys()


def test_models_health_and_metrics(gateway: Serving, upstream: FaultServer) -> None:
    assert gateway.get("/models").json == gateway.get("/v1/models").json
    for path in ("/health/liveliness", "/health/liveness"):
        assert gateway.get(path, {"authorization": ""}).json == "I'm alive!"
    ready = gateway.get("/health/readiness", {"authorization": ""})
    assert (ready.status, ready.json["status"]) == (200, "healthy")
    before = len(upstream.requests)
    health = gateway.get("/health").json
    assert health["healthy_count"] == len(health["healthy_endpoints"])
    assert len(upstream.requests) == before, "health costs nothing"
    page = gateway.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain")
    assert b"quoth_" in page.body


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"guardrails": ["pii"]}, "guardrails"),
        ({"guardrails": {"pii": {}}}, "guardrails"),
        ({"metadata": {"guardrails": ["pii"]}}, "metadata.guardrails"),
        ({"litellm_metadata": {"guardrails": ["pii"]}}, "litellm_metadata.guardrails"),
        ({"fallbacks": [{"model": "m", "guardrails": ["pii"]}]}, "fallbacks[0].guardrails"),
        ({"cache": {"nocache": True}}, "cache"),
        ({"cache": {"ttl": -1}}, "cache.ttl"),
        ({"cache": "yes"}, "cache"),
    ],
    ids=str,
)
def test_what_would_guard_or_mean_nothing_is_refused(gateway: Serving, more: dict[str, Any], param: str) -> None:
    found = gateway.post(chat_body(**more))
    assert (found.status, found.error["param"]) == (400, param)


@pytest.mark.parametrize(
    "more",
    [
        {"guardrails": []},
        {"metadata": {"guardrails": "a text of the caller's own"}},
        {"litellm_metadata": {"guardrails": []}},
        {"cache": None},
        {"cache": {"no-cache": True, "ttl": 5}},
    ],
    ids=str,
)
def test_what_asks_for_nothing_is_not_refused(gateway: Serving, upstream: FaultServer, more: dict[str, Any]) -> None:
    upstream.play_once(chat("hello"))
    assert gateway.post(chat_body(**more)).status == 200


@pytest.mark.parametrize("name", ["api_base", "api_key", "base_url", "extra_headers", "organization"])
def test_whom_to_call_is_not_the_callers_to_say(gateway: Serving, upstream: FaultServer, name: str) -> None:
    before = len(upstream.requests)
    found = gateway.post(chat_body(**{name: "http://127.0.0.1:9/v1"}))
    assert (found.status, found.error["param"]) == (400, name)
    assert len(upstream.requests) == before


@pytest.mark.parametrize("header", ["x-api-key", "api-key", "x-litellm-api-key"])
def test_the_key_in_any_header(gateway: Serving, header: str) -> None:
    assert gateway.key is not None
    connection = gateway.connection()
    for value in (gateway.key, f"Bearer {gateway.key}"):
        connection.request("GET", "/v1/models", headers={header: value})
        found = connection.getresponse()
        found.read()
        assert found.status == 200
    connection.close()
