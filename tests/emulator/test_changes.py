"""Facts deliberately changed: each is noticed where it should be, and nothing else is different."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quoth.emulator import Emulator
from quoth.emulator.changes import CHANGES, table
from tests.emulator import test_messages, test_responses
from tests.emulator.client import Reply, chat, request
from tests.emulator.test_messages import send
from tests.emulator.test_responses import respond

DOC = Path(__file__).parents[2] / "docs" / "emulator.md"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CLOCK = {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object"}}}
SCHEMA = {
    "type": "json_schema",
    "json_schema": {"name": "x", "schema": {"type": "object", "properties": {"a": {"type": "integer"}}}},
}
DEVELOPER = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi"}]


def streamed(emulator: Emulator, **parameters: Any) -> list[str]:
    """What the chunks of a stream hold, one after the other, repetitions left out."""
    reply = chat(emulator, "Count to 5", stream=True, stream_options={"include_usage": True}, **parameters)
    kinds: list[str] = []
    for chunk in reply.chunks:
        choice = chunk["choices"][0] if chunk["choices"] else None
        if choice is None:
            kind = "usage"
        elif choice["finish_reason"]:
            kind = "finish"
        else:
            kind = "content" if choice["delta"].get("content") else "role"
        kinds += [kind] if kinds[-1:] != [kind] else []
    return [*kinds, "done"] if reply.raw.endswith(b"data: [DONE]\n\n") else kinds


def pieces(emulator: Emulator) -> int:
    reply = chat(emulator, "Count to 5", stream=True)
    return sum(1 for chunk in reply.chunks if chunk["choices"][0]["delta"].get("content"))


def status(**parameters: Any) -> Callable[[Emulator], Any]:
    return lambda emulator: chat(emulator, **parameters).status


def got(path: str, *keys: str) -> Callable[[Emulator], Any]:
    def look(emulator: Emulator) -> Any:
        chat(emulator)
        found: Any = request(emulator, "GET", path).body
        for key in keys:
            found = found[0] if key == "0" else found
            found = found if key == "0" else found.get(key, "missing")
        return len(str(found)) if isinstance(found, int) else found

    return look


def calls(emulator: Emulator) -> Reply:
    return chat(emulator, "get_weather in Rome", tools=[WEATHER], model="gpt-5.2")


def response(look: Callable[[Any], Any], **parameters: Any) -> Callable[[Emulator], Any]:
    """What an answer of Responses shows."""
    return lambda emulator: look(respond(emulator, **{"model": "gpt-4.1-nano", **parameters}).body)


def message(look: Callable[[Any], Any], **parameters: Any) -> Callable[[Emulator], Any]:
    """What an answer of Messages shows."""
    return lambda emulator: look(send(emulator, **parameters).body)


def names(reply: Reply) -> bool:
    """Whether the events of a stream are called in their payload what they are called in their name."""
    return all(payload["type"] == name for name, payload in test_messages.streamed(reply))


def text(body: Any) -> str:
    return str(body["output"][-1]["content"][0]["text"])


def read_again(emulator: Emulator) -> bool:
    system = [{"type": "text", "text": "Once upon a time. " * 1_000, "cache_control": {"type": "ephemeral"}}]
    send(emulator, system=system)
    return bool(send(emulator, system=system).body["usage"]["cache_read_input_tokens"])


# The name of each change, what looks at the fact, what is so, and what is so when it is changed.
NOTICED: dict[str, tuple[Callable[[Emulator], Any], Any, Any]] = {
    "stream_order": (
        streamed,
        ["role", "content", "finish", "usage", "done"],
        ["usage", "finish", "role", "content", "done"],
    ),
    "stream_pieces": (lambda emulator: pieces(emulator) > 1, True, False),
    "stream_usage": (streamed, ["role", "content", "finish", "usage", "done"], ["role", "content", "finish", "done"]),
    "stream_done": (streamed, ["role", "content", "finish", "usage", "done"], ["role", "content", "finish", "usage"]),
    "error_envelope": (lambda e: list(chat(e, model="no").body), ["error"], ["detail", "status"]),
    "error_codes": (lambda e: chat(e, key="invalid").error["code"], "invalid_api_key", 401),
    "bad_request_status": (status(temperature=3), 400, 422),
    "bad_key_status": (status(key="invalid"), 401, 403),
    "unknown_model_status": (status(model="no"), 404, 400),
    "method_status": (lambda e: request(e, "GET", "/v1/chat/completions").status, 405, 404),
    "tools_need_properties": (status(tools=[CLOCK]), 400, 200),
    "tools_called": (lambda e: len(calls(e).calls), 1, 0),
    "tool_content": (lambda e: calls(e).message["content"], "", None),
    "tool_arguments": (
        lambda e: " " in calls(e).message["tool_calls"][0]["function"]["arguments"],
        True,
        False,
    ),
    "response_format": (lambda e: chat(e, response_format=SCHEMA).text.startswith("{"), True, False),
    "developer_role": (lambda e: chat(e, DEVELOPER).status, 400, 200),
    "unknown_parameters": (status(surprise=1), 400, 200),
    "reasoning_effort": (
        lambda e: "reasoning" in chat(e, model="gemini-2.5-pro", reasoning_effort="high").message,
        True,
        False,
    ),
    "reasoning_fields": (lambda e: "reasoning_content" in chat(e, model="grok-3-mini").message, True, False),
    "n": (status(n=2), 400, 200),
    "ranges": (status(temperature=3), 400, 200),
    "stop_count": (status(stop=["a", "b", "c", "d", "e"]), 400, 200),
    "stop": (lambda e: chat(e, "Count to 9", stop="7").text[-1], " ", "9"),
    "max_tokens": (lambda e: chat(e, "Count to 9", max_tokens=3).body["choices"][0]["finish_reason"], "length", "stop"),
    "custom_parameters": (status(model="imagen-4", aspect_ratio="16:9"), 200, 400),
    "model_case": (status(model="Grok-4"), 200, 404),
    "model_echo": (lambda e: chat(e, model="Grok-4").body["model"], "Grok-4", "grok-4-2026-01-01"),
    "chat_id": (lambda e: chat(e).body["id"].partition("-")[0], "chatcmpl", "gen"),
    "chat_time": (lambda e: len(str(chat(e).body["created"])), 10, 13),
    "usage_shape": (lambda e: "prompt_tokens" in chat(e).body["usage"], True, False),
    "usage_counts": (lambda e: chat(e).body["usage"]["prompt_tokens"], 7, 18),
    "usage_details": (lambda e: "prompt_tokens_details" in chat(e).body["usage"], False, True),
    "media_content": (lambda e: chat(e, "A fox", model="gpt-image-1").text[0], "!", "h"),
    "balance_shape": (got("/usage/current_balance", "current_point_balance"), 7, "missing"),
    "balance_fields": (lambda e: len(request(e, "GET", "/usage/current_balance").body) > 1, True, False),
    "history_shape": (got("/usage/points_history", "data", "0", "cost_points"), 1, "missing"),
    "history_time": (got("/usage/points_history", "data", "0", "creation_time"), 16, 13),
    "models_time": (got("/v1/models", "data", "0", "created"), 13, 10),
    "responses_shape": (response(lambda body: (body["store"], "output_text" in body)), (False, False), (True, True)),
    "responses_id": (response(lambda body: len(body["id"])), 161, 29),
    "responses_model": (response(lambda body: body["model"]), "gpt-4.1-nano-2025-04-14", "gpt-4.1-nano"),
    "responses_usage": (response(lambda body: "input_tokens" in body["usage"]), True, False),
    "responses_order": (lambda e: names(respond(e, stream=True)), True, False),
    "responses_instructions": (
        response(lambda body: "pirate" in text(body), prompt="Tell me.", instructions="Speak like a pirate."),
        False,
        True,
    ),
    "responses_previous": (
        lambda e: "Retention" in respond(e, previous_response_id="resp_x").error["message"],
        True,
        False,
    ),
    "responses_models": (lambda e: respond(e, model="grok-4").status, 400, 200),
    "responses_effort": (lambda e: respond(e, model="gpt-5.2-instant", reasoning={"effort": "high"}).status, 400, 200),
    "responses_tools": (
        response(
            lambda body: " " in body["output"][0]["arguments"].replace("San Francisco", ""),
            prompt=test_responses.ASKS,
            tools=[test_responses.WEATHER],
        ),
        False,
        True,
    ),
    "responses_format": (
        response(lambda body: text(body)[0], text={"format": {"type": "json_schema", "name": "x", "schema": {}}}),
        '"',
        "[",
    ),
    "messages_names": (
        message(lambda body: body["model"]),
        "claude-haiku-4-5-20251001",
        "anthropic/claude-haiku-4-5-20251001",
    ),
    "messages_id": (message(lambda body: body["id"].partition("_")[0]), "req", "msg"),
    "messages_usage": (message(lambda body: "total_tokens" in body["usage"]), True, False),
    "messages_order": (lambda e: names(send(e, stream=True)), True, False),
    "messages_models": (lambda e: send(e, model="grok-4").status, 404, 200),
    "messages_envelope": (lambda e: list(send(e, model="grok-4").body), ["type", "error", "request_id"], ["error"]),
    "messages_fields": (lambda e: send(e, context_management={}).status, 400, 200),
    "messages_errors_as_text": (lambda e: send(e, temperature=2).error["message"][0], "{", "t"),
    "messages_tools": (
        message(
            lambda body: body["content"][1]["id"].partition("_")[0],
            prompt=test_messages.ASKS,
            tools=[test_messages.WEATHER],
        ),
        "toolu",
        "call",
    ),
    "messages_cache": (read_again, True, False),
    "openai_paths": (lambda e: request(e, "POST", "/v1/images/generations", {}).status, 404, 400),
    "models_prices": (lambda e: "pricing" in request(e, "GET", "/v1/models").body["data"][0], True, False),
}


def test_every_change_has_a_case() -> None:
    assert set(NOTICED) == {name for name in CHANGES if not name.startswith("refuses_")}


@pytest.mark.parametrize("name", NOTICED)
def test_a_change_is_noticed(emulator: Emulator, name: str) -> None:
    look, so, changed = NOTICED[name]
    assert look(emulator) == so
    with Emulator(token_delay=0, facts_changed={name}) as other:
        assert look(other) == changed


@pytest.mark.parametrize("name", [name for name in CHANGES if name.startswith("refuses_")])
def test_a_parameter_that_is_taken_can_be_refused(name: str) -> None:
    refused_one: dict[str, Any] = {name.removeprefix("refuses_"): None}
    with Emulator(token_delay=0, facts_changed=name) as other:
        refused = chat(other, **refused_one)
        assert (refused.status, refused.error["param"]) == (400, *refused_one)
        assert chat(other).status == 200


def test_streams_show_what_answers_show() -> None:
    with Emulator(token_delay=0, facts_changed="reasoning_fields, model_echo,chat_id,usage_counts") as other:
        chunks = chat(
            other, model="Grok-3-mini", stream=True, stream_options={"include_usage": True}, max_tokens=3
        ).chunks
    assert all(chunk["model"] == "grok-3-mini-2026-01-01" for chunk in chunks)
    assert all(chunk["id"].startswith("gen-") for chunk in chunks)
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    assert any("reasoning" in delta for delta in deltas)
    assert not any("reasoning_content" in delta for delta in deltas)
    assert chunks[-1]["usage"]["prompt_tokens"] == 18


def test_the_documented_profile_changes_the_other_way() -> None:
    changed = ["response_format", "balance_fields", "error_codes"]
    with Emulator(profile="documented", token_delay=0, facts_changed=changed) as other:
        assert chat(other, model="gpt-5.2", response_format=SCHEMA).text.startswith("{")
        assert len(request(other, "GET", "/usage/current_balance").body) > 1
        assert chat(other, key="invalid").error["code"] == "invalid_api_key"


def test_a_switch_by_name_wins() -> None:
    with Emulator(token_delay=0, facts_changed={"developer_role"}, developer_role=False) as other:
        assert chat(other, DEVELOPER).status == 400


def test_a_fact_that_does_not_exist_is_named() -> None:
    with pytest.raises(ValueError, match="Unknown fact 'stream_oder' to change: known are bad_key_status, "):
        Emulator(facts_changed=["stream_oder"])


def test_the_page_has_every_change() -> None:
    assert table() in DOC.read_text(encoding="utf-8")
