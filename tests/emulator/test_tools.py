"""Tools and schemas: when a tool is called, with what, and that instances fit."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from quoth.emulator import Emulator
from quoth.emulator.patterns import example
from quoth.emulator.schemas import instance
from tests.emulator.client import chat

WEATHER = "What is the weather in San Francisco? Use the getWeather tool."


def tool(name: str, description: str = "", required: bool = True, **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(properties) if required else []}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


GET_WEATHER = tool("getWeather", "Get the current weather for a location", location={"type": "string"})


def test_a_tool_that_the_prompt_names_is_called(emulator: Emulator) -> None:
    reply = chat(emulator, WEATHER, tools=[GET_WEATHER])
    assert reply.body["choices"][0]["finish_reason"] == "tool_calls"
    assert reply.text == ""
    (call,) = reply.message["tool_calls"]
    assert list(call) == ["id", "type", "function"]
    assert call["function"] == {"name": "getWeather", "arguments": '{"location": "San Francisco"}'}
    assert reply.body["usage"] == {"prompt_tokens": 14, "completion_tokens": 0, "total_tokens": 14}


@pytest.mark.parametrize(
    ("model", "pattern"),
    [
        ("grok-4", r"call_\d{8}"),
        ("gpt-5.2", r"call_[0-9A-Za-z]{24}"),
        ("gemini-2.0-flash", r"tool_getWeather_[0-9A-Za-z]{20}"),
        ("kimi-k2.5", r"getWeather:0"),
    ],
)
def test_ids_follow_the_backend(emulator: Emulator, model: str, pattern: str) -> None:
    (call,) = chat(emulator, WEATHER, model=model, tools=[GET_WEATHER]).message["tool_calls"]
    assert re.fullmatch(pattern, call["id"])


def test_gemini_signs_and_kimi_explains(emulator: Emulator) -> None:
    (call,) = chat(emulator, WEATHER, model="gemini-2.5-pro", tools=[GET_WEATHER]).message["tool_calls"]
    assert call["extra_content"]["google"]["thought_signature"]
    kimi = chat(emulator, WEATHER, model="kimi-k2.5", tools=[GET_WEATHER])
    assert "getWeather" in kimi.text
    assert kimi.body["usage"]["completion_tokens"] > 0


def test_tool_choice_decides(emulator: Emulator) -> None:
    tools = [GET_WEATHER, tool("get_time", "Tell the time in a city", city={"type": "string"})]
    assert chat(emulator, "Hello", tools=tools).calls == []
    assert chat(emulator, WEATHER, tools=tools, tool_choice="none").calls == []
    assert [name for name, _ in chat(emulator, "Hello", tools=tools, tool_choice="required").calls] == ["getWeather"]
    asked = chat(emulator, "Tell me the time in Oslo", tools=tools, tool_choice="required").calls
    assert asked == [("get_time", {"city": "Oslo"})]
    named = {"type": "function", "function": {"name": "get_time"}}
    assert chat(emulator, "in Oslo", tools=tools, tool_choice=named).calls == [("get_time", {"city": "Oslo"})]


def test_calls_may_be_parallel(emulator: Emulator) -> None:
    tools = [GET_WEATHER, tool("get_time", city={"type": "string"})]
    both = chat(emulator, "Use getWeather and get_time for Lima", tools=tools)
    assert both.calls == [("getWeather", {"location": "Lima"}), ("get_time", {"city": "Lima"})]
    assert len({call["id"] for call in both.message["tool_calls"]}) == 2
    cities = "get weather in Paris, New York and Rome"
    assert [arguments["location"] for _, arguments in chat(emulator, cities, tools=tools).calls] == [
        "Paris",
        "New York",
        "Rome",
    ]
    assert len(chat(emulator, cities, tools=tools, parallel_tool_calls=False).calls) == 1


def test_the_result_of_a_tool_is_used(emulator: Emulator) -> None:
    first = chat(emulator, WEATHER, tools=[GET_WEATHER]).message
    result = {"role": "tool", "tool_call_id": first["tool_calls"][0]["id"], "content": "18 degrees and fog"}
    reply = chat(emulator, [{"role": "user", "content": WEATHER}, first, result], tools=[GET_WEATHER])
    assert reply.calls == []
    assert "getWeather returned: 18 degrees and fog" in reply.text


@pytest.mark.parametrize(
    ("prompt", "properties", "expected"),
    [
        ("Use calc with 7 and 5", {"a": {"type": "number"}, "b": {"type": "integer"}}, {"a": 7, "b": 5}),
        ('Use calc for "hello world"', {"text": {"type": "string"}}, {"text": "hello world"}),
        ("calc in celsius", {"unit": {"type": "string", "enum": ["fahrenheit", "celsius"]}}, {"unit": "celsius"}),
        (
            "calc, owner is Ann Lee, b=2",
            {"owner": {"type": "string"}, "b": {"type": "number"}},
            {"owner": "Ann Lee", "b": 2},
        ),
        (
            "calc limit=3, verbose: false",
            {"limit": {"type": "integer"}, "verbose": {"type": "boolean"}},
            {"limit": 3, "verbose": False},
        ),
        ("calc for ann@example.org", {"to": {"type": "string", "format": "email"}}, {"to": "ann@example.org"}),
        (
            "calc: apples, pears and plums",
            {"items": {"type": "array", "items": {"type": "string"}}},
            {"items": ["apples", "pears", "plums"]},
        ),
        ("calc on 2026-03-04", {"day": {"type": "string", "format": "date"}}, {"day": "2026-03-04"}),
    ],
)
def test_arguments_reuse_the_prompt(
    emulator: Emulator, prompt: str, properties: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert chat(emulator, prompt, tools=[tool("calc", **properties)]).calls == [("calc", expected)]


def test_optional_arguments_are_left_out_unless_the_prompt_gives_them(emulator: Emulator) -> None:
    optional = tool("search", required=False, query={"type": "string"}, limit={"type": "integer"})
    assert chat(emulator, "search limit=4", tools=[optional]).calls == [("search", {"limit": 4})]


def test_a_tool_without_arguments_is_called_with_none(emulator: Emulator) -> None:
    assert chat(emulator, "ping please", tools=[tool("ping")]).calls == [("ping", {})]


@pytest.mark.parametrize("schema", [{"enum": []}, {"type": "array", "minItems": "x"}, {"pattern": 5}, {"anyOf": 5}])
def test_a_schema_that_cannot_be_one_is_400(emulator: Emulator, schema: dict[str, Any]) -> None:
    reply = chat(emulator, "calc", tools=[tool("calc", a=schema)])
    assert (reply.status, reply.error["param"]) == (400, "tools")
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    reply = chat(emulator, response_format=wanted)
    assert (reply.status, reply.error["param"]) == (400, "response_format")


# Schemas

SCHEMAS: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("schemas.json").read_text(encoding="utf-8"))
PROMPTS = [
    "",
    "Give me 12 apples, 7 pears and -4 plums for Anna Smith in Berlin: red, green and blue.",
    'Say "x" and "yy" 0.6',
]


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("optional", [True, False])
def test_instances_fit_their_schema(schema: dict[str, Any], prompt: str, optional: bool) -> None:
    jsonschema.Draft202012Validator(schema).validate(instance(schema, prompt, optional=optional))


@pytest.mark.parametrize(
    "pattern", [r"^[A-Z]{3}-\d{4}$", r"(foo|bar)+", r"^\+?[1-9]\d{1,14}$", r"[^a]x?", r"\w+@\w+\.com", r"^(?:a|b)\.c$"]
)
def test_examples_match_their_pattern(pattern: str) -> None:
    text = example(pattern)
    assert text is not None
    assert re.search(pattern, text)


@pytest.mark.parametrize("pattern", ["(?=a)b", "(", "[", "a{"])
def test_patterns_beyond_the_grammar_have_no_example(pattern: str) -> None:
    text = example(pattern)
    assert text is None or re.search(pattern, text)


def test_a_schema_is_honoured_by_the_models_of_the_profile(emulator: Emulator) -> None:
    properties = {
        "name": {"type": "string"},
        "colours": {"type": "array", "items": {"type": "string"}},
        "age": {"type": "integer", "minimum": 0},
    }
    schema = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    wanted = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema}}
    prompt = "A profile for Ada Lovelace, aged 36, who likes these colours: red, green and blue"
    honoured = chat(emulator, prompt, model="Grok-4", response_format=wanted).text
    assert honoured == '{"name": "Ada Lovelace", "colours": ["red", "green", "blue"], "age": 36}'
    assert chat(emulator, prompt, model="gpt-5.2", response_format=wanted).text.startswith("[emulated")
    assert chat(emulator, "hi", model="grok-4", response_format={"type": "json_object"}).text.startswith(
        '{"emulated": true'
    )
    with Emulator(token_delay=0, json_schema_models="all") as lenient:
        assert chat(lenient, prompt, model="gpt-5.2", response_format=wanted).text == honoured


def test_a_schema_given_in_words_is_followed(emulator: Emulator) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}

    def answer(told: str) -> str:
        said = [{"role": "system", "content": told}, {"role": "user", "content": "Where is the Louvre?"}]
        return chat(emulator, messages=said, model="gpt-5.2").text

    assert list(json.loads(answer(f"Answer by this JSON schema: {json.dumps(schema)}"))) == ["city"]
    assert "emulated" in answer("A JSON schema is a {thing}.")
