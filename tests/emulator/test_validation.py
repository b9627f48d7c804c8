"""What is refused, and with which words."""

from __future__ import annotations

from typing import Any

import pytest

from quoth.emulator import Emulator
from tests.emulator.client import HELLO, chat, request

FUNCTION = {"name": "f", "parameters": {"type": "object", "properties": {}}}
TOOL = {"type": "function", "function": FUNCTION}
PATH = "/v1/chat/completions"


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": 1.5}, "top_p"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": 5}, "stop"),
        ({"n": 2}, "n"),
        ({"n": 0}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": "9"}, "max_completion_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"tools": {}}, "tools"),
        ({"tools": [TOOL], "tool_choice": "always"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}}, "tool_choice"),
        ({"provider": {"order": []}}, "provider"),
        ({"extra_body": {"surprise": 1}}, "surprise"),
        ({"extra_body": []}, "extra_body"),
    ],
)
def test_bad_parameters_are_400_and_named(emulator: Emulator, parameters: dict[str, Any], param: str) -> None:
    reply = chat(emulator, **parameters)
    assert reply.status == 400
    assert reply.error["type"] == "invalid_request_error"
    assert reply.error["param"] == param
    assert reply.headers["x-poe-feature-active"] == "chat-completions-strict"


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([], "messages"),
        (5, "messages"),
        (None, "messages"),
        (["hi"], "messages[0]"),
        ([{"role": "wizard", "content": "x"}], "messages[0].role"),
        ([{"role": "developer", "content": "x"}], "messages[0].role"),
        ([{"role": "user"}], "messages[0].content"),
        ([{"role": "user", "content": 5}], "messages[0].content"),
        ([{"role": "user", "content": [{"type": "smell"}]}], "messages[0].content[0]"),
        ([*HELLO, {"role": "tool", "content": "x"}], "messages[1].tool_call_id"),
    ],
)
def test_bad_messages_are_400_and_placed(emulator: Emulator, messages: Any, param: str) -> None:
    reply = request(emulator, "POST", PATH, {"model": "grok-4", "messages": messages})
    assert (reply.status, reply.error["param"]) == (400, param)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"5",
        b'{"model": NaN}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"model": "grok-4"} trailing',
        b'"\\ud800"',
    ],
)
def test_what_is_not_a_json_object_is_400(emulator: Emulator, body: bytes) -> None:
    reply = request(emulator, "POST", PATH, body)
    assert (reply.status, reply.error["type"]) == (400, "invalid_request_error")


def test_accepted_without_effect(emulator: Emulator) -> None:
    ignored: dict[str, Any] = {
        "store": True, "metadata": {"a": "b"}, "presence_penalty": 1, "frequency_penalty": 1, "seed": 5, "user": "u",
        "service_tier": "auto", "logit_bias": {}, "logprobs": True, "top_logprobs": 3, "n": 1, "temperature": 2,
        "top_p": 0,
    }  # fmt: skip
    assert chat(emulator, **ignored).text == chat(emulator).text
    audio = {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}
    heard = chat(emulator, [{"role": "user", "content": [audio, {"type": "text", "text": "What is 2 + 2?"}]}])
    assert "= 4" in heard.text


def test_custom_parameters_are_held_to_the_catalogue(emulator: Emulator) -> None:
    assert chat(emulator, "A fox", model="Veo-3.1", duration="8").status == 200
    assert chat(emulator, "A fox", model="Veo-3.1", extra_body={"duration": "8", "silent": True}).status == 200
    for wrong in ({"duration": 8}, {"duration": "5"}, {"silent": "yes"}, {"no": 5}):
        reply = chat(emulator, "A fox", model="Veo-3.1", **wrong)
        assert (reply.status, reply.error["param"]) == (400, next(iter(wrong)))
    assert chat(emulator, model="claude-haiku-4.5", thinking_budget=1024).status == 200
    assert chat(emulator, model="claude-haiku-4.5", thinking_budget=64_000).error["param"] == "thinking_budget"
    assert chat(emulator, model="claude-opus-4.7", surprise=1).status == 200, "its parameters are not known"
    assert chat(emulator, model="gpt-5.2", reasoning_effort="xhigh").status == 200
    refused = chat(emulator, model="gpt-5.2-instant", reasoning_effort="high").error
    assert refused["message"] == (
        "Unsupported value: 'high' is not supported with the 'gpt-5.2-chat-latest' model. "
        "Supported values are: 'medium'."
    )


def test_validation_can_be_lenient() -> None:
    with Emulator(token_delay=0, strict=False, developer_role=True) as lenient:
        assert chat(lenient, provider={"order": []}).status == 200
        assert chat(lenient, [{"role": "developer", "content": "Be kind"}, *HELLO]).status == 200


def test_a_model_without_tools_refuses_them_as_recorded(emulator: Emulator) -> None:
    for model in ("kimi-k2.5-fw", "gpt-4o-search"):
        reply = chat(emulator, model=model, tools=[TOOL])
        assert reply.status == 400
        assert reply.body == {
            "error": {
                "message": f"Model {model} does not support tool calling. "
                "Use a tool-capable model or remove tools from the request.",
                "type": "invalid_request_error",
                "param": "model",
                "code": "unsupported_feature_for_model",
            }
        }


def test_tools_without_properties_or_too_many_get_the_misleading_error(emulator: Emulator) -> None:
    bare = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    for tools in ([bare], [{"type": "function", "function": {"name": "f"}}], [TOOL] * 216):
        reply = chat(emulator, tools=tools)
        assert (reply.status, reply.error["message"]) == (400, "Invalid 'tools': Field required")
    assert chat(emulator, tools=[TOOL] * 215).status == 200


def test_grok_refuses_references_in_tools(emulator: Emulator) -> None:
    parameters = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"type": "string"}}}
    tools = [{"type": "function", "function": {"name": "f", "parameters": parameters}}]
    assert chat(emulator, tools=tools).status == 400
    assert chat(emulator, model="gpt-5.2", tools=tools).status == 200


def test_unknown_models_are_404_in_any_case_known_ones_are_found(emulator: Emulator) -> None:
    reply = chat(emulator, model="No-Such-Bot")
    assert (reply.status, reply.error["type"], reply.error["param"]) == (404, "not_found_error", "model")
    assert chat(emulator, model="GROK-4").body["model"] == "GROK-4"
    assert request(emulator, "POST", PATH, {"messages": HELLO}).error["param"] == "model"


def test_a_prompt_beyond_the_window_is_413(emulator: Emulator) -> None:
    reply = chat(emulator, "word " * 5_000, model="gpt-3.5-turbo-instruct")
    assert (reply.status, reply.error["type"]) == (413, "request_too_large")


def test_keys(emulator: Emulator) -> None:
    for key in (None, "", "sk-invalid-key"):
        reply = request(emulator, "POST", PATH, {"model": "grok-4", "messages": HELLO}, key=key)
        assert reply.status == 401
        assert reply.error["type"] == "authentication_error"
        assert reply.error["code"] == "invalid_api_key"
    assert request(emulator, "GET", "/usage/current_balance", key="invalid").status == 401
    assert request(emulator, "GET", "/v1/models", key="invalid").status == 200, "a bad key is not noticed there"


def test_the_rate_limit_is_per_key_and_says_when_to_come_back() -> None:
    with Emulator(token_delay=0, rate_limit=3, rate_limit_headers=True) as limited:
        remaining = [chat(limited, key="a").headers["x-ratelimit-remaining-requests"] for _ in range(3)]
        assert remaining == ["2", "1", "0"]
        refused = chat(limited, key="a")
        assert refused.status == 429
        assert (refused.error["type"], refused.error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert refused.headers["x-ratelimit-limit-requests"] == "3"
        assert chat(limited, key="b").status == 200
        limited.clear()
        assert chat(limited, key="a").status == 200


def test_no_points_no_answer() -> None:
    with Emulator(token_delay=0, balance=1) as poor:
        assert chat(poor, model="kimi-k2.5-fw").status == 200, "free, and one point is left"
        assert chat(poor).status == 200
        refused = chat(poor)
        assert (refused.status, refused.error["type"]) == (402, "insufficient_credits")
    with Emulator(token_delay=0, subscriber=False) as guest:
        assert chat(guest).status == 402
        assert chat(guest, model="kimi-k2.5-fw").status == 200
