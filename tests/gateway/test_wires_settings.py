"""Settings that concern every call, for Responses and Messages too: cache, idempotency, mocks, hooks, and a stream that
is begun before anything has come."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quoth.gateway.exchange import Exchange
from quoth.gateway.hooks.streaming import Events
from tests.faultserver import FaultServer, Read, Stall, answer
from tests.gateway.serving import Serving, deployment
from tests.gateway.test_wires import ask, events, stream_bytes, streamed, text_of, whole
from tests.wire.dialects import assembled, message, message_events
from tests.wire.dialects import sse as events_of

SURFACES = ("messages", "responses")
SAYS = "héllo \U0001f600 there"
HOOK = """
from quoth.gateway.hooks import Hook, Refuse, Reply

class Guard(Hook):
    async def before(self, call):
        if "forbidden" in str(call.body):
            raise Refuse("not here", status=403)
        if "answer yourself" in str(call.body):
            raise Reply("the hook itself")
        return {"x_seen": call.surface}

    async def after(self, call, answer):
        answer["x_after"] = call.surface
        return answer

instance = Guard()
"""


CENSOR = """
from quoth.gateway.hooks import Hook

class Censor(Hook):
    chunks = True

    async def chunk(self, call, text):
        call.notes["all"] = call.notes.get("all", "") + text
        return text.upper()

    async def end(self, call):
        return f"[{call.field} {len(call.notes['all'])}]"

instance = Censor()
"""


@pytest.fixture(scope="module")
def up() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.fixture(autouse=True)
def forgotten(up: FaultServer) -> Iterator[None]:
    yield
    up.forget()
    up.requests.clear()


def models(up: FaultServer) -> list[dict[str, Any]]:
    rows = {"chat": "custom_openai/up", "messages": "anthropic/up", "responses": "openai/up"}
    wires = {"chat": {}, "messages": {"wire": "anthropic_messages"}, "responses": {"wire": "openai_responses"}}
    found = [deployment(wire, up.url, row, num_retries=0, **wires[wire]) for wire, row in rows.items()]
    return [*found, deployment("mock", up.url, "anthropic/up", mock_response="a mock speaks")]


@pytest.fixture(scope="module")
def gateway(up: FaultServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder: Path = tmp_path_factory.mktemp("gateway")
    with Serving(
        folder,
        models=models(up),
        router_settings={"disable_cooldowns": True},
        quoth={"commit_after": "0.2s"},
        litellm_settings={"cache": True, "cache_params": {"type": "local", "mode": "default_off"}},
    ) as serving:
        yield serving


@pytest.fixture(scope="module")
def hooked(up: FaultServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder: Path = tmp_path_factory.mktemp("gateway")
    (folder / "guard.py").write_text(HOOK, "utf-8")
    with Serving(folder, models=models(up), quoth={"hooks": ["guard.instance"]}) as serving:
        yield serving


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("wire", ["chat", "messages", "responses"])
@pytest.mark.parametrize("stream", [False, True])
def test_answers_are_cached(gateway: Serving, up: FaultServer, surface: str, wire: str, stream: bool) -> None:
    up.play(streamed(stream_bytes(wire)) if stream else whole(wire))
    asked: dict[str, Any] = {"stream": stream, "cache": {"use-cache": True}, "temperature": 0.5}
    first = ask(gateway, surface, wire, **asked)
    again = ask(gateway, surface, wire, **asked)
    assert (first.status, again.status) == (200, 200), (first.body, again.body)
    assert again.headers.get("x-quoth-cache") == "hit"
    assert again.body == first.body
    assert len(up.requests) == 1


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("stream", [False, True])
def test_a_key_makes_one_call_of_two(gateway: Serving, up: FaultServer, surface: str, stream: bool) -> None:
    up.play(streamed(stream_bytes("chat")) if stream else whole("chat"))
    key = {"idempotency-key": f"key-{surface}-{stream}"}
    first = ask(gateway, surface, "chat", key, stream=stream)
    again = ask(gateway, surface, "chat", key, stream=stream)
    assert first.status == 200
    assert again.body == first.body
    assert len(up.requests) == 1
    other = ask(gateway, surface, "chat", key, stream=stream, temperature=1)
    assert other.status == 422
    assert "Idempotency-Key" in other.error["message"]


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("stream", [False, True])
def test_mocks_speak_every_api(gateway: Serving, up: FaultServer, surface: str, stream: bool) -> None:
    of_deployment = ask(gateway, surface, "mock", stream=stream)
    of_call = ask(gateway, surface, "messages", stream=stream, mock_response="a mock of the call")
    assert text_of(surface, of_deployment) == "a mock speaks"
    assert text_of(surface, of_call) == "a mock of the call"
    assert not up.requests
    late = ask(gateway, surface, "mock", stream=stream, mock_response="RateLimitError")
    assert late.status in (200, 429)


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("wire", ["chat", "messages", "responses"])
def test_a_stream_that_is_begun_early_can_still_fail(
    gateway: Serving, up: FaultServer, surface: str, wire: str
) -> None:
    up.play(Read(), Stall(0.4), answer(json.dumps({"error": {"message": "no such luck"}}), 500))
    found = ask(gateway, surface, wire, stream=True)
    assert found.status == 200
    assert found.body.startswith(b": keep-alive\n\n")
    *before, last = events(found)
    assert (last["event"], last["type"]) == ("error", "error")
    if surface == "responses":
        kinds = [event["type"] for event in before]
        assert kinds == ["response.created", "response.in_progress", "response.failed"]
        assert [event["sequence_number"] for event in before] == [0, 1, 2]
        assert last["sequence_number"] == 3
        assert before[-1]["response"]["error"] == {"code": "server_error", "message": last["message"]}
        assert "no such luck" in last["message"]
    else:
        assert before == []
        assert "no such luck" in last["error"]["message"]


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (413, None, "context_length_exceeded"),
        (402, None, "insufficient_quota"),
        (429, None, "rate_limit_exceeded"),
        (400, "invalid_prompt", "invalid_prompt"),
        (400, None, "invalid_request_error"),
        (401, "invalid_api_key", "server_error"),
    ],
)
def test_a_response_fails_with_a_code_that_clients_know(
    gateway: Serving, up: FaultServer, status: int, code: str | None, told: str
) -> None:
    """Codex makes its context smaller at one, and does not try again at another."""
    error = {"message": "no such luck", "type": "t", **({"code": code} if code else {})}
    up.play(Read(), Stall(0.4), answer(json.dumps({"error": error}), status))
    failed = events(ask(gateway, "responses", "responses", stream=True))[-2]
    assert (failed["type"], failed["response"]["error"]["code"]) == ("response.failed", told)


@pytest.mark.parametrize("surface", SURFACES)
def test_a_stream_that_is_begun_early_goes_on(gateway: Serving, up: FaultServer, surface: str) -> None:
    for wire in ("chat", "messages", "responses"):
        up.play(Read(), Stall(0.4), streamed(stream_bytes(wire)))
        found = ask(gateway, surface, wire, stream=True)
        assert found.body.startswith(b": keep-alive\n\n")
        assert text_of(surface, found) == SAYS


@pytest.mark.parametrize("surface", SURFACES)
def test_hooks_see_and_change(hooked: Serving, up: FaultServer, surface: str) -> None:
    up.play(whole(surface))
    found = ask(hooked, surface, surface)
    assert found.json["x_after"] == surface
    assert json.loads(up.requests[-1].body)["x_seen"] == surface
    refused = ask(hooked, surface, surface, user="forbidden")
    assert refused.status == 403
    assert refused.error["message"] == "not here"
    assert (refused.json.get("type") == "error") == (surface == "messages")
    up.play(streamed(stream_bytes(surface)))
    assert text_of(surface, ask(hooked, surface, surface, stream=True)) == SAYS
    for stream in (False, True):
        found = ask(hooked, surface, surface, user="answer yourself", stream=stream)
        assert text_of(surface, found) == "the hook itself"
    assert len(up.requests) == 2


def test_hooks_read_the_blocks_of_streamed_messages(up: FaultServer, tmp_path: Path) -> None:
    (tmp_path / "censor.py").write_text(CENSOR, "utf-8")
    thought = {"type": "thinking", "thinking": "hm hm", "signature": "s1"}
    call = {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": "small"}}
    document = message([thought, {"type": "text", "text": "hello there"}, call], "tool_use")
    with Serving(tmp_path, models=models(up), quoth={"hooks": ["censor.instance"]}) as serving:
        up.play(streamed(events_of(message_events(document))))
        found = ask(serving, "messages", "messages", stream=True)
        told = [{name: value for name, value in event.items() if name != "event"} for event in events(found)]
        assert all(event["event"] == event["type"] for event in events(found))
        raw = events_of(told)
        said = assembled("messages", raw).choices[0].message
        assert said.content == "HELLO THERE[content 11]"
        assert said.reasoning_content == "HM HM[reasoning_content 5]"
        assert said.tool_calls is not None
        assert json.loads(said.tool_calls[0].function.arguments) == {"a": "small"}
        up.play(streamed(stream_bytes("responses")))
        refused = ask(serving, "responses", "responses", stream=True)
        assert (refused.status, refused.error["type"]) == (500, "hook_failed")


async def test_observers_get_the_message_that_a_stream_amounts_to() -> None:
    call = {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": "small"}}
    thought = {"type": "thinking", "thinking": "hm hm", "signature": "s1"}
    document = message([thought, {"type": "text", "text": "hello there"}, call], "tool_use")
    x = Exchange("req_1", "POST", "/v1/messages", "messages", {}, 0.0)
    through = Events(x, [], keeps=True)
    for event in message_events(document):
        await through.feed(event)
    through.close()
    assert x.answer == document
