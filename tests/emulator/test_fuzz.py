"""Whatever arrives, the emulator answers as Poe would and never fails itself."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quoth.emulator.app import Poe
from quoth.emulator.http1 import Request
from quoth.emulator.settings import switches

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-10, 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
SCHEMA_WORDS = [
    "type",
    "properties",
    "required",
    "enum",
    "items",
    "minItems",
    "pattern",
    "$ref",
    "anyOf",
    "minimum",
    "format",
]
SCHEMAS = st.dictionaries(
    st.sampled_from(SCHEMA_WORDS), JSON | st.sampled_from(["object", "array", "string", "integer", "#"])
)
FIELDS = """
    stream temperature top_p stop n max_tokens tools tool_choice response_format extra_body reasoning_effort
    stream_options parallel_tool_calls surprise
""".split()


def answer(body: Any, path: str = "/v1/chat/completions") -> tuple[int, bytes]:
    """Status and whole body of an answer."""
    raw = json.dumps(body).encode()
    headers = {"authorization": "Bearer key", "anthropic-version": "2023-06-01"}
    request = Request("POST", path, {}, headers, raw, time.monotonic())
    got = Poe(switches(json_schema_models="all", previous_responses=True)).answer(request).made()
    return got.status, got.body or b"".join(_data(event) for event in got.events or ())


def _data(event: Any) -> bytes:
    if isinstance(event, tuple):
        name, data = event
        return bytes(name + b"\n" + data)
    return event if isinstance(event, bytes) else b""


@settings(max_examples=150, deadline=None)
@given(JSON, st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_any_json_is_answered(messages: Any, fields: dict[str, Any]) -> None:
    """Drawn JSON is never a valid list of messages: those need a role that exists."""
    assert answer(messages)[0] == 400
    assert answer({"model": "grok-4", "messages": messages, **fields})[0] == 400
    text = [{"role": "user", "content": "hi"}]
    assert answer({"model": "grok-4", "messages": text, **fields})[0] in (200, 400)
    assert answer({"model": "gpt-5.2", "messages": [{"role": "user", "content": messages}]})[0] in (200, 400)


@settings(max_examples=150, deadline=None)
@given(SCHEMAS, st.text(max_size=60))
def test_any_schema_is_answered(schema: dict[str, Any], prompt: str) -> None:
    message = [{"role": "user", "content": f"calc {prompt}"}]
    parameters = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    tools = [{"type": "function", "function": {"name": "calc", "parameters": parameters}}]
    status, body = answer({"model": "gpt-5.2", "messages": message, "tools": tools})
    assert status in (200, 400)
    if status == 200:
        arguments = json.loads(body)["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]
        assert "a" in json.loads(arguments)
    wanted = {"type": "json_schema", "json_schema": {"schema": schema}}
    assert answer({"model": "gpt-5.2", "messages": message, "response_format": wanted})[0] in (200, 400)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "minItems": 10**20},
        {"type": "array", "minItems": 500, "items": {"type": "array", "minItems": 500}},
        {"type": "array", "minItems": 4_000, "uniqueItems": True, "items": {"type": "string"}},
        {"type": "string", "minLength": 10**20},
        {"type": "string", "minLength": 900_000},
        {"type": "string", "pattern": "((a{999}){999}){999}"},
    ],
)
def test_no_schema_takes_long(schema: dict[str, Any]) -> None:
    started = time.monotonic()
    wanted = {"type": "json_schema", "json_schema": {"schema": schema}}
    message = [{"role": "user", "content": "hi"}]
    assert answer({"model": "gpt-5.2", "messages": message, "response_format": wanted})[0] in (200, 400)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    "unit", ["(", "a-", ": ", "a, ", "A ", "'", '"say ', "1 ", "in A, ", "\u00e9\n", "1 + ", "x=", "-" * 3]
)
def test_no_prompt_takes_long(unit: str) -> None:
    prompt = unit * (200_000 // len(unit))
    schema = {
        "type": "object",
        "properties": {"a": {"type": "array", "items": {"type": "string"}}, "b": {"type": "string"}},
    }
    tools = [{"type": "function", "function": {"name": "calc", "parameters": {**schema, "required": ["a", "b"]}}}]
    started = time.monotonic()
    for choice in ("none", "required"):
        body = {
            "model": "gpt-5.2",
            "messages": [{"role": "user", "content": prompt}],
            "tools": tools,
            "tool_choice": choice,
        }
        assert answer(body)[0] == 200
    assert time.monotonic() - started < 10


# The other routes: a body that is right, and any JSON in any place of it.

_PARAMETERS = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
_PICTURE = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"
RIGHT: dict[str, dict[str, Any]] = {
    "/v1/responses": {
        "model": "gpt-5-mini",
        "stream": True,
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "calc x"}]},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": None},
            {"type": "function_call", "call_id": "c", "name": "calc", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "1"},
            {"role": "user", "content": [{"type": "input_image", "image_url": _PICTURE}]},
        ],
        "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": _PARAMETERS}},
        "tools": [{"type": "function", "name": "calc", "parameters": _PARAMETERS}],
        "tool_choice": {"type": "function", "name": "calc"},
        "metadata": {"a": "b"},
        "include": ["reasoning.encrypted_content"],
        "max_output_tokens": 100,
    },
    "/v1/messages": {
        "model": "claude-haiku-4.5",
        "stream": True,
        "max_tokens": 3_000,
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "messages": [
            {"role": "user", "content": "calc x"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "calc", "input": {}}]},
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "1"}]},
                    {
                        "type": "image",
                        "source": {
                            "type": "base64",
                            "media_type": "image/png",
                            "data": "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ",
                        },
                    },
                    {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "d"}},
                ],
            },
        ],
        "tools": [{"name": "calc", "input_schema": _PARAMETERS, "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "tool_choice": {"type": "auto"},
        "stop_sequences": ["x"],
        "metadata": {"user_id": "u"},
        "output_config": {"format": {"type": "json_schema", "schema": _PARAMETERS}},
        "thinking": {"type": "disabled"},
    },
    "/v1/videos": {
        "model": "sora-2",
        "prompt": "p",
        "seconds": 4,
        "size": "720x1280",
        "input_image": "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ",
    },
    "/v1/images": {"model": "gpt-image-1", "prompt": "p", "size": "64x64", "n": 1, "parameters": {"quality": "low"}},
    "/v1/audio": {"model": "elevenlabs-v3", "input": "p", "voice": "Hope", "speed": 1},
}


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner: list[tuple[Any, Any]] = list(value.items()) if isinstance(value, dict) else []
    inner += list(enumerate(value)) if isinstance(value, list) else []
    return [place for key, one in inner for place in [(*at, key), *places(one, (*at, key))]]


def put(value: Any, place: tuple[Any, ...], other: Any) -> Any:
    if not place:
        return other
    if isinstance(value, list):
        return [put(one, place[1:], other) if index == place[0] else one for index, one in enumerate(value)]
    if not isinstance(value, dict):  # what was here is gone already
        return value
    return {name: put(one, place[1:], other) if name == place[0] else one for name, one in value.items()}


@pytest.mark.parametrize("path", RIGHT)
def test_what_is_right_is_answered(path: str) -> None:
    assert answer(RIGHT[path], path)[0] == 200


@pytest.mark.parametrize("path", RIGHT)
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_json_in_any_place_is_answered(path: str, data: st.DataObject) -> None:
    body = RIGHT[path]
    for _ in range(data.draw(st.integers(1, 2))):
        body = put(body, data.draw(st.sampled_from(places(RIGHT[path]))), data.draw(JSON | st.just({}) | st.just([])))
    assert answer(body, path)[0] in (200, 400, 404)
