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


def answer(body: Any) -> tuple[int, bytes]:
    """Status and whole body of an answer."""
    raw = json.dumps(body).encode()
    headers = {"authorization": "Bearer key"}
    request = Request("POST", "/v1/chat/completions", {}, headers, raw, time.monotonic())
    got = Poe(switches(json_schema_models="all")).answer(request)
    return got.status, got.body or b"".join(event for event in got.events or () if isinstance(event, bytes))


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
