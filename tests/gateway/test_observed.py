"""What is seen of requests from outside: the page of metrics, the log, answers from the cache, requests sent again.

Over real sockets, by `quoth serve`.
"""

from __future__ import annotations

import asyncio
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faultserver import Close, FaultServer, Read, Reset, Send, Stall, chat, error, sse
from tests.gateway.serving import KEY, UPSTREAM_KEY, Serving, chat_body, deployment
from tests.gateway.test_metrics import total, value


@pytest.fixture(scope="module")
def upstream() -> Iterator[FaultServer]:
    with FaultServer() as server:
        server.play_always(chat("hello"))
        yield server


@pytest.fixture(scope="module")
def gateway(upstream: FaultServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    models = [deployment("m", upstream.url, num_retries=0), deployment("any/*", upstream.url, "custom_openai/*")]
    with Serving(
        tmp_path_factory.mktemp("gateway"),
        models=models,
        litellm_settings={"cache": True, "cache_params": {"mode": "default_off"}},
    ) as gateway:
        yield gateway


def until(condition: Callable[[], Any]) -> Any:
    """Look until it is so; the test's own timeout is the bound."""
    while not (found := condition()):
        time.sleep(0.01)
    return found


def line(gateway: Serving, id: str) -> dict[str, Any]:
    found: dict[str, Any] = until(lambda: next((one for one in gateway.lines if one["id"] == id), None))
    return found


def cached(text: str, **more: Any) -> dict[str, Any]:
    return chat_body(messages=[{"role": "user", "content": text}], cache={"use-cache": True}, **more)


# --- Metrics ------------------------------------------------------------------------------------------------------


def test_the_page_needs_a_key(gateway: Serving) -> None:
    assert gateway.get("/metrics", {"authorization": "Bearer wrong-key-0123456789"}).status == 401


def test_the_page_may_be_open_or_shut(upstream: FaultServer, tmp_path: Path) -> None:
    nobody = {"authorization": ""}
    openly = {"require_auth_for_metrics_endpoint": False}
    with Serving(tmp_path, upstream=upstream.url, litellm_settings=openly) as gateway:
        assert gateway.get("/metrics", nobody).status == 200
        assert gateway.get("/v1/models", nobody).status == 401
    with Serving(tmp_path, upstream=upstream.url, quoth={"metrics": False}) as gateway:
        assert gateway.get("/metrics").status == 404


def test_requests_are_on_the_page(gateway: Serving, upstream: FaultServer) -> None:
    before = gateway.get("/metrics").body
    gateway.post(chat_body())
    upstream.play_once(sse("one ", "two"))
    gateway.post(chat_body(stream=True))
    upstream.play_once(error(500, "broken"))
    assert gateway.post(chat_body()).status == 500
    answer = gateway.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    page = answer.body

    def more(name: str, **labels: str) -> float:
        return total(page, name, **labels) - total(before, name, **labels)

    assert more("quoth_requests_total", model="m", status="200", stream="false", route="/v1/chat/completions") == 1
    assert more("quoth_requests_total", model="m", status="200", stream="true") == 1
    assert more("quoth_requests_total", model="m", status="500") == 1
    assert more("quoth_upstream_errors_total", model="m", status="500") == 1
    assert more("quoth_first_byte_seconds_count", model="m") == 1
    assert more("litellm_proxy_total_requests_metric_total", requested_model="m") == 3
    assert more("litellm_proxy_failed_requests_metric_total", requested_model="m") == 1
    assert more("quoth_tokens_total", model="m", kind="prompt") > 0
    assert value(page, "quoth_in_flight") == 1, "the request for the page itself"
    overhead = more("quoth_overhead_seconds_sum", route="/v1/chat/completions")
    assert 0 < overhead < more("quoth_request_seconds_sum", route="/v1/chat/completions")


def test_names_that_callers_make_up_are_not_on_the_page(gateway: Serving) -> None:
    """S21"""
    for number in range(20):
        gateway.post(chat_body(model=f"madeup{number}"))
        gateway.post(chat_body(model=f"any/madeup{number}"))
        gateway.get(f"/madeup{number}/{number}")
    page = gateway.get("/metrics").body
    assert b"madeup" not in page
    assert total(page, "quoth_requests_total", model="", status="404") >= 40


# --- Log ----------------------------------------------------------------------------------------------------------


def test_a_line_for_each_request_and_no_prompt_in_it(gateway: Serving, upstream: FaultServer) -> None:
    prompt = [{"role": "user", "content": "a very private prompt"}]
    upstream.play_once(chat("a very private answer"))
    gateway.post(chat_body(messages=prompt), {"x-request-id": "line-1"})
    found = line(gateway, "line-1")
    assert {name: found[name] for name in ("method", "route", "status", "key", "model", "served", "attempts")} == {
        "method": "POST",
        "route": "/v1/chat/completions",
        "status": 200,
        "key": "master",
        "model": "m",
        "served": "custom_openai/up",
        "attempts": 1,
    }
    assert found["prompt_tokens"] > 0
    assert found["bytes_in"] > 0
    assert 0 <= found["overhead_ms"] <= found["total_ms"]
    upstream.play_once(error(400, f"a very private error about {UPSTREAM_KEY}"))
    answer = gateway.post(chat_body(messages=prompt), {"x-request-id": "line-2"})
    assert answer.status == 400
    assert UPSTREAM_KEY not in answer.body.decode()
    assert line(gateway, "line-2")["error"]
    said = "\n".join(gateway.log)
    assert "private" not in said
    assert KEY not in said
    assert UPSTREAM_KEY not in said + "\n".join(gateway.told)


def test_a_key_that_is_sent_as_a_model_is_not_logged(gateway: Serving) -> None:
    gateway.post(chat_body(model=KEY), {"x-request-id": "line-3"})
    assert line(gateway, "line-3")["model"] == "[key]"


def test_a_caller_who_leaves_is_in_the_log(gateway: Serving, upstream: FaultServer) -> None:
    before = total(gateway.get("/metrics").body, "quoth_clients_left_total")
    upstream.play_once(Read(), Stall())
    connection = gateway.connection()
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json", "x-request-id": "line-4"}
    count = len(upstream.requests)
    connection.request("POST", "/v1/chat/completions", json.dumps(chat_body()), headers)
    until(lambda: len(upstream.requests) > count)
    connection.close()
    assert line(gateway, "line-4")["left"] is True
    assert total(gateway.get("/metrics").body, "quoth_clients_left_total") == before + 1


# --- Cache --------------------------------------------------------------------------------------------------------


def test_an_equal_call_is_answered_from_the_cache(gateway: Serving, upstream: FaultServer) -> None:
    upstream.play_once(chat("once"))
    first = gateway.post(cached("equal"))
    count = len(upstream.requests)
    second = gateway.post(cached("equal"), {"x-request-id": "hit-1"})
    assert len(upstream.requests) == count
    assert first.body == second.body
    assert "x-quoth-cache" not in first.headers
    assert second.headers["x-quoth-cache"] == "hit"
    assert first.headers["x-litellm-cache-key"] == second.headers["x-litellm-cache-key"]
    assert line(gateway, "hit-1")["cache_hit"] is True
    assert "cache" not in json.loads(upstream.requests[-1].body)
    assert total(gateway.get("/metrics").body, "quoth_cache_hits_total", model="m") >= 1


def test_a_stream_is_given_again_as_a_stream(gateway: Serving, upstream: FaultServer) -> None:
    upstream.play_once(sse("one ", "two"))
    first = gateway.post(cached("streamed", stream=True))
    count = len(upstream.requests)
    second = gateway.post(cached("streamed", stream=True))
    assert len(upstream.requests) == count
    assert second.headers["x-quoth-cache"] == "hit"
    assert second.headers["content-type"] == first.headers["content-type"]
    assert second.body == first.body
    assert second.text == "one two"
    assert "x-quoth-cache" not in gateway.post(cached("streamed")).headers, "a stream answers no other call"


@pytest.mark.parametrize(
    "more", [{"temperature": 1}, {"user": "u"}, {"tools": []}, {"cache": {"no-cache": True}}], ids=str
)
def test_what_differs_is_asked_for(gateway: Serving, upstream: FaultServer, more: dict[str, Any]) -> None:
    upstream.play_once(chat("once"))
    gateway.post(cached(f"differs {more}"))
    count = len(upstream.requests)
    if "cache" in more:
        more = {"cache": {"use-cache": True, **more["cache"]}}
    gateway.post({**cached(f"differs {more}"), **more})
    assert len(upstream.requests) == count + 1


def test_neither_errors_nor_broken_streams_are_kept(gateway: Serving, upstream: FaultServer) -> None:
    """X27"""
    upstream.play_once(error(400, "no"))
    assert gateway.post(cached("error")).status == 400
    assert gateway.post(cached("error")).status == 200
    upstream.play_once(sse("one ", "two").first(1), Reset())
    assert gateway.post(cached("broken", stream=True)).events[-1] != "[DONE]"
    upstream.play_once(sse("one ", "two"))
    assert gateway.post(cached("broken", stream=True)).text == "one two"


def test_without_saying_so_nothing_is_kept(gateway: Serving, upstream: FaultServer) -> None:
    count = len(upstream.requests)
    for _ in range(2):
        answer = gateway.post(chat_body(messages=[{"role": "user", "content": "by default"}]))
        assert "x-litellm-cache-key" not in answer.headers
    assert len(upstream.requests) == count + 2


def test_a_word_that_means_nothing_is_an_error(gateway: Serving) -> None:
    answer = gateway.post(chat_body(cache={"nocache": True}))
    assert (answer.status, answer.error["param"]) == (400, "cache")


# --- Idempotency-Key (C20) ----------------------------------------------------------------------------------------


def again(key: str) -> dict[str, str]:
    return {"idempotency-key": key}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_request_is_executed_once(gateway: Serving, upstream: FaultServer, stream: bool) -> None:
    upstream.play_once(sse("one") if stream else chat("one"))
    first = gateway.post(chat_body(stream=stream), again(f"once-{stream}"))
    count = len(upstream.requests)
    second = gateway.post(chat_body(stream=stream), again(f"once-{stream}"))
    assert len(upstream.requests) == count
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    assert (second.status, second.body) == (first.status, first.body)
    assert second.headers["content-type"] == first.headers["content-type"]
    assert second.headers["x-request-id"] != first.headers["x-request-id"]


def test_a_failure_is_a_result(gateway: Serving, upstream: FaultServer) -> None:
    upstream.play_once(error(500, "broken"))
    assert gateway.post(chat_body(), again("failed")).status == 500
    count = len(upstream.requests)
    second = gateway.post(chat_body(), again("failed"))
    assert (second.status, second.headers["idempotent-replayed"]) == (500, "true")
    assert len(upstream.requests) == count


def test_a_refusal_is_not(gateway: Serving, upstream: FaultServer) -> None:
    upstream.play_once(error(429, "slow down"))
    assert gateway.post(chat_body(), again("refused")).status == 429
    upstream.play_once(chat("now"))
    assert gateway.post(chat_body(), again("refused")).status == 200
    assert gateway.post({"model": "m", "messages": 5}, again("invalid")).status == 400
    assert gateway.post(chat_body(), again("invalid")).status == 200


def test_another_body_is_an_error(gateway: Serving) -> None:
    gateway.post(chat_body(), again("other"))
    answer = gateway.post(chat_body(temperature=1), again("other"))
    assert (answer.status, answer.error["code"], answer.error["type"]) == (422, "422", "idempotency_conflict")
    assert gateway.post(chat_body(), again("x" * 256)).status == 400


def test_a_second_request_waits_for_the_first(gateway: Serving, upstream: FaultServer) -> None:
    go = threading.Event()

    async def held(connection: Any) -> None:
        while not go.is_set():
            await asyncio.sleep(0.01)

    upstream.play_once(Read(), held, Send(answer_bytes("slow")))
    count = len(upstream.requests)
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda: found.append(gateway.post(chat_body(), again("waits")))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    until(lambda: len(upstream.requests) > count)
    go.set()
    for thread in threads:
        thread.join()
    assert len(upstream.requests) == count + 1
    assert {answer.json["choices"][0]["message"]["content"] for answer in found} == {"slow"}
    assert sorted(answer.headers.get("idempotent-replayed", "") for answer in found) == ["", "true", "true"]


def test_a_reload_takes_in_the_ttl(upstream: FaultServer, tmp_path: Path) -> None:
    """What is kept already keeps the time that it was promised."""

    with Serving(tmp_path, upstream=upstream.url, quoth={"idempotency": {"ttl": 0}}) as gateway:

        def replayed(key: str) -> bool:
            assert gateway.post(chat_body(), again(key)).status == 200
            return "idempotent-replayed" in gateway.post(chat_body(), again(key)).headers

        def reload(ttl: str, generation: int) -> None:
            gateway.write(quoth={"idempotency": {"ttl": ttl}})
            gateway.process.send_signal(signal.SIGHUP)
            gateway.wait_until_told(lambda line: f"(generation {generation})" in line)

        assert not replayed("first")
        reload("24h", 2)
        assert replayed("second")
        reload("0", 3)
        assert not replayed("third")
        assert replayed("second")


def test_a_call_goes_on_for_a_caller_who_will_ask_again(gateway: Serving, upstream: FaultServer) -> None:
    """The usual reason for a retry: the client's own timeout."""
    go = threading.Event()

    async def held(connection: Any) -> None:
        while not go.is_set():
            await asyncio.sleep(0.01)

    upstream.play_once(Read(), held, Send(answer_bytes("late")))
    count = len(upstream.requests)
    connection = gateway.connection()
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json", **again("left")}
    connection.request("POST", "/v1/chat/completions", json.dumps(chat_body()), headers)
    until(lambda: len(upstream.requests) > count)
    connection.close()
    go.set()
    second = gateway.post(chat_body(), again("left"))
    assert second.json["choices"][0]["message"]["content"] == "late"
    assert len(upstream.requests) == count + 1


def answer_bytes(text: str) -> bytes:
    body = json.dumps(
        {
            "id": "c1",
            "object": "chat.completion",
            "created": 1,
            "model": "up",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        }
    ).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


# --- Traces, and hooks as guards ----------------------------------------------------------------------------------


def test_a_trace_goes_on_at_the_provider(upstream: FaultServer, tmp_path: Path) -> None:
    environment = {"OTEL_TRACES_EXPORTER": "none"}
    with Serving(tmp_path, upstream=upstream.url, environment=environment, quoth={"otel": True}) as gateway:
        gateway.post(chat_body(), {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"})
    sent = upstream.requests[-1].headers["traceparent"]
    assert sent.startswith("00-4bf92f3577b34da6a3ce929d0e0e4736-")
    assert "00f067aa0ba902b7" not in sent


GUARD = """
from quoth.gateway.hooks import Hook, Refuse

class Guard(Hook):
    chunks = True

    async def before(self, call):
        if "forbidden" in str(call.body):
            raise Refuse("not here", 403)
        if "broken" in str(call.body):
            raise ValueError

    async def after(self, call, answer):
        return {**answer, "seen": True}

    async def chunk(self, call, text):
        return text.upper()

instance = Guard()
"""


@pytest.fixture(scope="module")
def guarded(upstream: FaultServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "guard.py").write_text(GUARD)
    with Serving(folder, upstream=upstream.url, quoth={"hooks": ["guard.instance"]}) as gateway:
        yield gateway


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","messages":[{"role":"user","content":"forbidden"}]}',
        b'{"model":"m","messages":[{"role":"user","content":"forbidden"}],"x":1e999}',
        b'{"model":"m","messages":[{"role":"user","content":"forbidden \xff"}]}',
        b'{"model":"m","messages":[{"role":"user","content":"forbidden"}],"x":' + b"[" * 3000 + b"]" * 3000 + b"}",
    ],
    ids=["plain", "number out of range", "no UTF-8", "deep"],
)
def test_nothing_gets_past_a_guard(guarded: Serving, upstream: FaultServer, body: bytes) -> None:
    count = len(upstream.requests)
    assert guarded.post(body).status in (400, 403)
    assert len(upstream.requests) == count


def test_what_is_sent_is_what_a_guard_has_seen(guarded: Serving, upstream: FaultServer) -> None:
    """Of a key that comes twice, readers differ on which counts."""
    twice = b'[{"role":"user","content":"forbidden","content":"harmless"}]'
    upstream.play_once(chat("hi"))
    assert guarded.post(b'{"model":"m","messages":' + twice + b"}").status == 200
    assert b"forbidden" not in upstream.requests[-1].body


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r"])
def test_streams_are_guarded_however_their_lines_end(guarded: Serving, upstream: FaultServer, end: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    said = [({"content": "one "}, None), ({"content": "two"}, None), ({}, "stop")]
    events = [{"model": "up", "choices": [{"index": 0, "delta": one, "finish_reason": why}]} for one, why in said]
    data = b"".join(b"data: " + json.dumps(event).encode() + end for event in events)
    upstream.play_once(Read(), Send(head + data + b"data: [DONE]" + end), Close())
    answer = guarded.post(chat_body(stream=True))
    assert b"ONE " in answer.body
    assert b"TWO" in answer.body
    assert b"two" not in answer.body
    assert b"[DONE]" in answer.body


def test_a_guard_that_failed_is_no_result(guarded: Serving, upstream: FaultServer) -> None:
    """Nothing was executed, so that the request may be sent again with its key."""
    count = len(upstream.requests)
    body = chat_body(messages=[{"role": "user", "content": "broken"}])
    for _ in range(2):
        answer = guarded.post(body, again("guard"))
        assert (answer.status, answer.error["type"]) == (500, "hook_failed")
        assert "idempotent-replayed" not in answer.headers
    assert len(upstream.requests) == count
    assert value(guarded.get("/metrics").body, "quoth_hook_failures_total", hook="guard.instance") == 2


def test_the_older_api_is_guarded_too(guarded: Serving, upstream: FaultServer) -> None:
    refused = guarded.ask("POST", "/v1/completions", {"model": "m", "prompt": "forbidden"})
    assert (refused.status, refused.error["type"]) == (403, "hook_refused")
    upstream.play_once(chat("hi"))
    assert guarded.ask("POST", "/v1/completions", {"model": "m", "prompt": "hello"}).json["seen"] is True
    upstream.play_once(sse("one ", "two"))
    answer = guarded.ask("POST", "/v1/completions", {"model": "m", "prompt": "hello", "stream": True})
    said = [json.loads(event)["choices"][0]["text"] for event in answer.events[:-1] if json.loads(event)["choices"]]
    assert "".join(said) == "ONE TWO"


def test_the_older_api_is_executed_once_too(gateway: Serving, upstream: FaultServer) -> None:
    upstream.play_once(chat("once"))
    first = gateway.ask("POST", "/v1/completions", {"model": "m", "prompt": "a"}, again("older"))
    second = gateway.ask("POST", "/v1/completions", {"model": "m", "prompt": "a"}, again("older"))
    assert second.headers["idempotent-replayed"] == "true"
    assert second.json == first.json
