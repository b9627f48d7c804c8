"""Responses: shape and ids as recorded, what Poe does wrong there, and the official client against it."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pydantic
import pytest

from quoth.emulator import Emulator
from tests.emulator.client import Reply, request

WEATHER = {
    "type": "function",
    "name": "getWeather",
    "description": "Get the current weather for a location",
    "parameters": {
        "type": "object",
        "properties": {"location": {"type": "string"}},
        "required": ["location"],
        "additionalProperties": False,
        "$schema": "http://json-schema.org/draft-07/schema#",
    },
}
ASKS = "What is the weather in San Francisco? Use the getWeather tool."


def respond(emulator: Emulator, prompt: Any = "What is 17 * 19?", model: str = "gpt-5.4", **parameters: Any) -> Reply:
    fault = parameters.pop("fault", None)
    headers = {} if fault is None else {"x_emulate_fault": fault}
    return request(emulator, "POST", "/v1/responses", {"model": model, "input": prompt, **parameters}, **headers)


def said(reply: Reply) -> str:
    (text,) = (item["content"][0]["text"] for item in reply.body["output"] if item["type"] == "message")
    return str(text)


def streamed(reply: Reply) -> list[tuple[str, dict[str, Any]]]:
    """Name and payload of each event of a stream, `[DONE]` left out."""
    found = []
    for event in reply.raw.decode().replace("\r\n", "\n").split("\n\n"):
        if event.startswith("event: "):
            name, data = event.split("\n")
            found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


@pytest.fixture
def client(emulator: Emulator) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=emulator.base_url, api_key="key", max_retries=0) as client:
        yield client


@pytest.fixture
async def aclient(emulator: Emulator) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=emulator.base_url, api_key="key", max_retries=0) as client:
        yield client


def test_the_recorded_shape(emulator: Emulator) -> None:
    reply = respond(emulator, "Say hello in exactly 3 words", model="GPT-5.4")
    body = reply.body
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json; charset=utf-8"
    assert body["model"] == "gpt-5.4-2026-03-05", "the name behind the handle"
    told = base64.b64decode(body["id"].removeprefix("resp_"))
    assert re.fullmatch(rb"litellm:custom_llm_provider:openai;model_id:None;response_id:resp_0[0-9a-f]{49}", told)
    assert abs(body["created_at"] - time.time()) < 60, "seconds"
    assert (body["store"], body["billing"], body["service_tier"]) == (False, {"payer": "developer"}, "default")
    assert body["reasoning"] == {"effort": "none", "summary": None}
    assert "output_text" not in body
    (message,) = body["output"]
    assert message["phase"] == "final_answer"
    assert re.fullmatch(r"msg_0[0-9a-f]{49}", message["id"])
    assert len(said(reply).split()) == 3
    usage = body["usage"]
    assert usage["input_tokens"] == 13, "as recorded for this prompt"
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def test_models_that_do_not_list_it_are_refused(emulator: Emulator) -> None:
    refused = respond(emulator, model="grok-4")
    assert (refused.status, refused.error["param"]) == (400, "model")
    assert respond(emulator, model="no-such-model").status == 404
    assert respond(emulator, model="claude-haiku-4.5").body["model"] == "claude-haiku-4-5-20251001"


@pytest.mark.parametrize(
    ("parameters", "status", "words"),
    [
        ({"surprise": 1}, 400, "Unknown parameter: 'surprise'"),
        ({"reasoning": {"effort": "high"}, "model": "gpt-5.2-instant"}, 400, "'gpt-5.2-chat-latest' model. Supported"),
        ({"reasoning": {"effort": "heavy"}, "model": "o3"}, 400, "'low', 'medium', 'high'"),
        ({"reasoning": {"effort": "low"}, "model": "gpt-4o"}, 400, "not supported with this model"),
        ({"reasoning": {"summary": "auto"}, "model": "gpt-5.3-codex-spark"}, 400, "gpt-5.3-codex-spark-preview"),
        ({"previous_response_id": "resp_x"}, 400, "Zero Data Retention"),
        ({"previous_response_id": "resp_x", "model": "claude-haiku-4.5"}, 500, "provider"),
        ({"max_output_tokens": 1}, 400, ">= 16"),
        ({"temperature": 3}, 400, "from 0 to 2"),
        ({"metadata": {"a": "b" * 513}}, 400, "512"),
        ({"text": {"format": {"type": "json_schema", "schema": {}}}}, 400, "text.format.name"),
        ({"tools": [{"type": "computer"}]}, 400, "Invalid value: 'computer'"),
        ({"tools": [WEATHER], "model": "nano-banana"}, 400, "does not support tool calling"),
        ({"tool_choice": {"type": "function", "name": "x"}}, 400, "Tool choice 'x' not found"),
    ],
)
def test_what_is_wrong_is_said(emulator: Emulator, parameters: dict[str, Any], status: int, words: str) -> None:
    reply = respond(emulator, **parameters)
    assert reply.status == status
    assert words in reply.error["message"]
    assert emulator.balance == 10_000_000


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ([{"type": "function_call_output", "call_id": "c", "output": "1"}], "No tool call found"),
        ([{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}], "No tool output found"),
        ([{"type": "item_reference", "id": "msg_1"}], "not persisted"),
        ([{"role": "tool", "content": "x"}], "Invalid value: 'tool'"),
        ([{"role": "user", "content": [{"type": "text", "text": "x"}]}], "Invalid value: 'text'"),
        ([{"role": "user", "content": [{"type": "output_text"}]}], "Missing required parameter"),
        ([{"type": "reasoning", "id": "rs_1", "encrypted_content": "forged"}], "could not be verified"),
        ([], "non-empty"),
    ],
)
def test_input_that_is_wrong_is_said(emulator: Emulator, items: list[Any], words: str) -> None:
    reply = respond(emulator, items)
    assert reply.status == 400
    assert words in reply.error["message"]


def test_instructions_are_ignored_as_observed_and_honoured_as_documented(emulator: Emulator) -> None:
    ignored = respond(emulator, "Tell me something.", instructions="Speak like a pirate.")
    assert "pirate" not in said(ignored)
    assert ignored.body["instructions"] == "Speak like a pirate."
    item = [{"role": "developer", "content": "Speak like a pirate."}, {"role": "user", "content": "Tell me something."}]
    assert "pirate" in said(respond(emulator, item)), "as an input message they reach the model"
    with Emulator(profile="documented", token_delay=0) as documented:
        first = respond(documented, "Tell me something.", instructions="Speak like a pirate.")
        assert "pirate" in said(first)
        second = respond(documented, "And then?", previous_response_id=first.body["id"])
        assert "message number 2" in said(second)
        assert "not found" in respond(documented, previous_response_id="resp_other").error["message"]


def test_reasoning_comes_by_effort_with_a_summary_when_asked(emulator: Emulator) -> None:
    def kinds(**parameters: Any) -> list[str]:
        return [item["type"] for item in respond(emulator, **parameters).body["output"]]

    assert kinds(model="gpt-5.4") == ["message"]
    assert kinds(model="gpt-5.4", reasoning={"effort": "low"}) == ["reasoning", "message"]
    assert kinds(model="gpt-5-mini") == ["reasoning", "message"]
    assert kinds(model="gpt-4o") == ["message"]
    asked = respond(emulator, model="o4-mini", reasoning={"effort": "high", "summary": "auto"}).body
    assert asked["reasoning"] == {"effort": "high", "summary": "detailed"}
    assert asked["output"][0]["summary"][0]["type"] == "summary_text"
    assert asked["usage"]["output_tokens_details"]["reasoning_tokens"] == 256
    assert respond(emulator, model="o4-mini").body["output"][0]["summary"] == []


def test_sealed_reasoning_can_be_given_back_unchanged_only(emulator: Emulator) -> None:
    include = ["reasoning.encrypted_content"]
    item = respond(emulator, model="gpt-5-mini", include=include).body["output"][0]
    assert len(item["encrypted_content"]) > 100
    question = {"role": "user", "content": "What is 2 + 2?"}
    assert respond(emulator, [item, question], model="gpt-5-mini").status == 200
    assert respond(emulator, [{**item, "id": "rs_other"}, question], model="gpt-5-mini").status == 400


def test_gemini_is_translated(emulator: Emulator) -> None:
    body = respond(emulator, model="gemini-2.0-flash").body
    assert body["model"] == "gemini-2.0-flash-001"
    assert b"custom_llm_provider:vertex_ai;" in base64.b64decode(body["id"].removeprefix("resp_"))
    assert (body["store"], body["temperature"], body["parallel_tool_calls"]) == (True, 0, False)
    assert body["provider_specific_fields"] == {"traffic_type": "ON_DEMAND"}
    assert body["usage"]["output_tokens_details"]["text_tokens"] == body["usage"]["output_tokens"]
    assert not body["output"][0]["id"].startswith("msg_")
    called = respond(emulator, ASKS, model="gemini-2.5-flash", tools=[WEATHER]).body["output"]
    assert [item["type"] for item in called] == ["message", "function_call"]
    assert "text" not in called[0]["content"][0], "Poe leaves it out on the turn that calls a tool"


def test_functions_come_back_as_openai_gives_them(emulator: Emulator) -> None:
    body = respond(emulator, ASKS, tools=[WEATHER, {**WEATHER, "name": "b", "strict": False}]).body
    first, second = body["tools"]
    assert "$schema" not in first["parameters"]
    assert (first["strict"], second["strict"]) == (True, False)
    (call,) = body["output"]
    assert call["arguments"] == '{"location":"San Francisco"}', "no blanks"
    assert re.fullmatch(r"call_\w{24}", call["call_id"])
    spaced = respond(emulator, ASKS, model="o3-mini", tools=[WEATHER]).body["output"][-1]
    assert spaced["arguments"] == '{"location": "San Francisco"}'


def test_a_tool_in_a_namespace_is_called_with_it(emulator: Emulator) -> None:
    space = {"type": "namespace", "name": "outside", "description": "The world.", "tools": [WEATHER]}
    (call,) = respond(emulator, ASKS, tools=[space]).body["output"]
    assert (call["type"], call["name"], call["namespace"]) == ("function_call", "getWeather", "outside")
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "9 degrees"}
    again = respond(emulator, [{"role": "user", "content": ASKS}, call, result], tools=[space])
    assert "9 degrees" in said(again)
    wrong = respond(emulator, ASKS, tools=[{**space, "tools": [{"type": "magic"}]}])
    assert (wrong.status, wrong.error["param"]) == (400, "tools[0].tools[0].type")
    assert respond(emulator, ASKS, tools=[{**space, "tools": None}]).status == 400
    assert respond(emulator, tools=[{**space, "tools": [{"type": "web_search"}]}]).status == 200


def test_a_tool_that_takes_plain_text(client: openai.OpenAI) -> None:
    tools: Any = [{"type": "custom", "name": "apply_patch", "description": "Edit files."}, {"type": "web_search"}]
    items: Any = [{"role": "user", "content": "Use apply_patch to say 'hello'"}]
    with client.responses.stream(model="gpt-5.4", input=items, tools=tools) as stream:
        names = [event.type for event in stream]
        (call,) = stream.get_final_response().output
    assert "response.custom_tool_call_input.delta" in names
    assert call.type == "custom_tool_call"
    assert call.name == "apply_patch"
    assert call.input
    result = {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "patched"}
    items += [call, result]
    again = client.responses.create(model="gpt-5.4", input=items, tools=tools)
    assert "apply_patch returned: patched" in again.output_text


def test_a_long_prompt_is_cached_by_itself(emulator: Emulator) -> None:
    long = [{"role": "user", "content": "Once upon a time. " * 400}, {"role": "user", "content": "What is 6 * 7?"}]

    def cached(model: str = "gpt-5.4-mini") -> int:
        return int(respond(emulator, long, model=model).body["usage"]["input_tokens_details"]["cached_tokens"])

    assert cached() == 0
    again = cached()
    assert again >= 1024
    assert again % 128 == 0
    row = request(emulator, "GET", "/usage/points_history?limit=1").body["data"][0]
    assert row["cost_breakdown_in_points"]["Cache discount"].startswith("-")
    assert cached("gpt-5.4") == 0, "another model remembers nothing of it"


def test_a_cut_answer_is_incomplete(emulator: Emulator) -> None:
    body = respond(emulator, "Write 200 words.", max_output_tokens=16).body
    assert body["status"] == "incomplete"
    assert body["incomplete_details"] == {"reason": "max_output_tokens"}


def test_an_image_bot_answers_with_its_picture(emulator: Emulator) -> None:
    reply = respond(emulator, "Draw a red fox", model="nano-banana-2")
    assert said(reply).startswith("![")
    path = said(reply).rpartition("/base/")[2].partition("?")[0]
    assert request(emulator, "GET", f"/base/{path}", key=None).raw.startswith(b"\x89PNG")


def test_the_order_of_events(emulator: Emulator) -> None:
    reply = respond(
        emulator, "Say hello in exactly 3 words", model="o4-mini", stream=True, reasoning={"summary": "auto"}
    )
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.raw.endswith(b"data: [DONE]\n\n")
    events = streamed(reply)
    names = [name for name, _ in events]
    assert [name for place, name in enumerate(names) if names[place - 1] != name or place == 0] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert all(payload["type"] == name for name, payload in events)
    assert [payload["sequence_number"] for _, payload in events] == list(range(len(events)))
    begun, last = events[0][1]["response"], events[-1][1]["response"]
    assert (begun["status"], begun["output"], begun["usage"]) == ("in_progress", [], None)
    assert last["status"] == "completed"
    assert last["id"] == begun["id"]
    text = "".join(payload["delta"] for name, payload in events if name == "response.output_text.delta")
    assert text == last["output"][1]["content"][0]["text"]


def test_a_stream_says_what_the_whole_answer_says(emulator: Emulator) -> None:
    for parameters in ({"prompt": ASKS, "tools": [WEATHER]}, {"prompt": "What is 2 + 2?", "model": "gpt-5-mini"}):
        emulator.clear()
        whole = respond(emulator, **parameters).body
        emulator.clear()
        last = streamed(respond(emulator, stream=True, **parameters))[-1][1]["response"]
        # Ids hang on the bytes of the request, which differ in `stream` alone.
        plain = [{**item, "id": "", "call_id": ""} for item in whole["output"]]
        assert [{**item, "id": "", "call_id": ""} for item in last["output"]] == plain
        assert last["usage"] == whole["usage"]
    cut = streamed(respond(emulator, "Write 200 words.", max_output_tokens=16, stream=True))[-1]
    assert cut[0] == "response.incomplete"


@pytest.mark.parametrize(
    ("fault", "last"),
    [
        ("error=after:5", "error"),
        ("no-final; no-done", "response.output_item.done"),
        ("crlf; comments; split-utf8; no-done", "response.completed"),
    ],
)
def test_faults_in_the_stream(emulator: Emulator, fault: str, last: str) -> None:
    reply = respond(emulator, stream=True, fault=fault)
    events = streamed(reply)
    assert events[-1][0] == last
    assert b"[DONE]" not in reply.raw
    if last == "error":
        assert events[-1][1]["sequence_number"] == 5
        assert events[-1][1]["message"].startswith("Error from the provider")


def test_usage_can_be_left_out(emulator: Emulator) -> None:
    assert respond(emulator, fault="no-usage").body["usage"] is None
    assert "usage" not in streamed(respond(emulator, fault="no-usage", stream=True))[-1][1]["response"]
    assert respond(emulator, fault="status=529").error["type"] == "overloaded_error"


# The official client


def test_the_client_runs_a_loop_of_tools(client: openai.OpenAI) -> None:
    tools: Any = [WEATHER]
    items: Any = [{"role": "user", "content": ASKS.replace("San Francisco", "Paris and Oslo")}]
    first = client.responses.create(model="GPT-5.2", input=items, tools=tools)
    calls = [item for item in first.output if item.type == "function_call"]
    assert [json.loads(call.arguments)["location"] for call in calls] == ["Paris", "Oslo"]
    items += first.output
    items += [
        {"type": "function_call_output", "call_id": call.call_id, "output": f"{n} degrees"}
        for n, call in enumerate(calls)
    ]
    second = client.responses.create(model="GPT-5.2", input=items, tools=tools)
    assert "getWeather returned: 0 degrees\ngetWeather returned: 1 degrees" in second.output_text


def test_the_client_parses_and_streams(client: openai.OpenAI) -> None:
    class City(pydantic.BaseModel):
        city: str
        population: int

    parsed = client.responses.parse(model="o4-mini", input="Tell me about Paris.", text_format=City)
    assert isinstance(parsed.output_parsed, City)
    with client.responses.stream(model="gpt-5-mini", input="What is 17 * 19?", reasoning={"summary": "auto"}) as stream:
        names = [event.type for event in stream]
        final = stream.get_final_response()
    assert "323" in final.output_text
    assert names[0] == "response.created"
    assert names[-1] == "response.completed"


async def test_the_client_that_does_not_block(aclient: openai.AsyncOpenAI) -> None:
    stream = await aclient.responses.create(model="gpt-4.1", input="What is 17 * 19?", stream=True)
    text = "".join([event.delta async for event in stream if event.type == "response.output_text.delta"])
    assert "323" in text
    with pytest.raises(openai.BadRequestError, match="Zero Data Retention"):
        await aclient.responses.create(model="gpt-4.1", input="x", previous_response_id="resp_x")


def test_the_client_sees_an_error_in_mid_stream(client: openai.OpenAI) -> None:
    broken = {"x-emulate-fault": "error=after:6; message=the model fell over"}
    *_, last = client.responses.create(model="gpt-4.1", input="x", stream=True, extra_headers=broken)
    assert last.type == "error"
    assert last.message == "the model fell over"
    cut = {"x-emulate-fault": "fin=after:4"}
    with pytest.raises(openai.APIConnectionError):
        list(client.responses.create(model="gpt-4.1", input="x", stream=True, extra_headers=cut))


def test_pictures_and_files_come_in(emulator: Emulator) -> None:
    parts = [
        {"type": "input_text", "text": "What is on this image?"},
        {"type": "input_image", "image_url": "https://example.com/fox.png"},
        {"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,aGVsbG8="},
    ]
    reply = respond(emulator, [{"role": "user", "content": parts}], model="gpt-5.2")
    assert "the address https://example.com/fox.png" in said(reply)
    assert "'a.txt', a text/plain of 5 characters" in said(reply)
    assert reply.body["usage"]["input_tokens"] > 1_800
