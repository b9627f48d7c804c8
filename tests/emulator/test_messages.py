"""Messages: shape and ids as recorded, what Anthropic checks, and the official client against it."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any

import anthropic
import pydantic
import pytest

from quoth.emulator import Emulator
from tests.emulator.client import Reply, request

WEATHER = {
    "name": "getWeather",
    "description": "Get the current weather for a location",
    "input_schema": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]},
}
ASKS = "What is the weather in San Francisco? Use the getWeather tool."
THINKS: dict[str, Any] = {"thinking": {"type": "enabled", "budget_tokens": 2_000}, "max_tokens": 4_000}


def send(emulator: Emulator, prompt: Any = "What is 17 * 19?", model: str = "claude-haiku-4.5", **more: Any) -> Reply:
    fault = more.pop("fault", None)
    headers = {"anthropic_version": "2023-06-01"} | ({} if fault is None else {"x_emulate_fault": fault})
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    body = {"model": model, "max_tokens": 1_000, "messages": messages, **more}
    return request(emulator, "POST", "/v1/messages", body, **headers)


def upstream(reply: Reply) -> dict[str, Any]:
    """The error as the provider said it, out of the text that Poe makes of it."""
    error: dict[str, Any] = json.loads(reply.error["message"])["error"]
    return error


def streamed(reply: Reply) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for event in reply.raw.decode().replace("\r\n", "\n").split("\n\n"):
        if event.startswith("event: "):
            name, data = event.split("\n")
            found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


@pytest.fixture
def claude(emulator: Emulator) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=emulator.origin, api_key="key", max_retries=0) as client:
        yield client


@pytest.fixture
async def aclaude(emulator: Emulator) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=emulator.origin, api_key="key", max_retries=0) as client:
        yield client


def test_the_recorded_shape(emulator: Emulator) -> None:
    reply = send(emulator, "Say hello in exactly 3 words")
    body = reply.body
    assert list(body) == ["model", "id", "type", "role", "content", "stop_reason", "stop_sequence", "usage"]
    assert body["model"] == "claude-haiku-4-5-20251001"
    assert re.fullmatch(r"req_poe_[0-9a-f]{32}", body["id"])
    assert (body["stop_reason"], body["stop_sequence"]) == ("end_turn", None)
    (block,) = body["content"]
    assert len(block["text"].split()) == 3
    usage = body["usage"]
    assert usage["input_tokens"] == 15, "as recorded for this prompt"
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert reply.headers["anthropic-ratelimit-requests-limit"] == "500"
    assert reply.headers["anthropic-ratelimit-requests-remaining"] == "499"
    datetime.strptime(reply.headers["anthropic-ratelimit-requests-reset"], "%Y-%m-%dT%H:%M:%S%z")
    assert not [name for name in reply.headers if name.startswith("openai-")]


@pytest.mark.parametrize(
    ("name", "resolved"),
    [
        ("Claude-Opus-4.5", "claude-opus-4-5-20251101"),
        ("claude-opus-4-5", "claude-opus-4-5-20251101"),
        ("claude-opus-4-5-20250514", "claude-opus-4-5-20251101"),
        ("claude-haiku-3-5-20241022", "claude-3-5-haiku-20241022"),
        ("claude-3-5-haiku-latest", "claude-3-5-haiku-20241022"),
        ("claude-sonnet-4-20250514", "claude-sonnet-4-20250514"),
        ("claude-opus-4-6", "claude-opus-4-6"),
    ],
)
def test_names_are_taken_leniently(emulator: Emulator, name: str, resolved: str) -> None:
    assert send(emulator, model=name).body["model"] == resolved


@pytest.mark.parametrize("model", ["gpt-4o", "claude-code", "no-such-model", "claude-opus-9"])
def test_any_other_model_is_unknown(emulator: Emulator, model: str) -> None:
    reply = send(emulator, model=model)
    assert (reply.status, reply.error["type"]) == (404, "not_found_error")
    assert reply.body["request_id"] != send(emulator, model=model).body["request_id"]
    assert re.fullmatch(r"req_poe_[0-9a-f]{32}", reply.body["request_id"])


def test_keys_and_version(emulator: Emulator) -> None:
    body = {"model": "claude-haiku-4.5", "max_tokens": 10, "messages": [{"role": "user", "content": "x"}]}

    def status(**headers: str) -> int:
        return request(emulator, "POST", "/v1/messages", body, None, **headers).status

    version = {"anthropic_version": "2023-06-01"}
    assert status(x_api_key="key", **version) == 200
    assert status(Authorization="Bearer key", **version) == 200
    assert status(x_api_key="invalid-key", **version) == 401
    assert status(**version) == 401
    assert status(x_api_key="key") == 400, "anthropic-version is required"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"context_management": {}}, "context_management: Extra inputs are not permitted"),
        ({"max_tokens": None}, "max_tokens: Field required"),
        ({"max_tokens": 900_000}, "maximum allowed number of output tokens for claude-haiku-4-5-20251001"),
        ({"temperature": 1.5}, "temperature: Input should be less than or equal to 1"),
        ({"metadata": {"x": 1}}, "metadata.x: Extra inputs"),
        ({"stop_sequences": [" "]}, "non-whitespace"),
        ({"tools": [{"name": "a b", "input_schema": {"type": "object"}}]}, "should match pattern"),
        ({"tools": [WEATHER, WEATHER]}, "Tool names must be unique"),
        ({"tools": [{"name": "x"}]}, "input_schema: Field required"),
        ({"tools": [WEATHER], "tool_choice": {"type": "tool", "name": "x"}}, "Tool 'x' not found"),
        ({"thinking": {"type": "enabled", "budget_tokens": 100}}, "greater than or equal to 1024"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2_000}}, "`max_tokens` must be greater than"),
        ({"thinking": {"type": "adaptive"}}, "adaptive thinking is not supported"),
        ({**THINKS, "temperature": 0}, "may only be set to 1 when thinking"),
        ({**THINKS, "tools": [WEATHER], "tool_choice": {"type": "any"}}, "when tool_choice forces tool use"),
        ({"messages": []}, "at least one message is required"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "first message must use"),
        ({"messages": [{"role": "system", "content": "x"}]}, "should be 'user' or 'assistant'"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]}, "must be non-empty"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "y": 1}]}]}, "text.y: Extra inputs"),
        ({"messages": [{"role": "user", "content": [{"type": "input_text"}]}]}, "does not match any of the expected"),
        ({"system": [{"type": "image"}]}, "system.0.type: Input should be 'text'"),
    ],
)
def test_what_is_wrong_is_said_in_the_words_of_anthropic(emulator: Emulator, more: dict[str, Any], words: str) -> None:
    reply = send(emulator, **more)
    assert (reply.status, reply.body["type"], reply.error["type"]) == (400, "error", "invalid_request_error")
    assert words in upstream(reply)["message"]
    assert emulator.balance == 10_000_000
    with Emulator(profile="documented") as documented:
        assert words in send(documented, **more).error["message"]


def use(call_id: str = "toolu_1") -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": "getWeather", "input": {"location": "Oslo"}}


def result(call_id: str = "toolu_1", content: Any = "9 degrees") -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, "content": content}


def turns(*contents: Any) -> list[dict[str, Any]]:
    return [{"role": ("user", "assistant")[number % 2], "content": content} for number, content in enumerate(contents)]


def test_calls_and_results_belong_together(emulator: Emulator) -> None:
    missing = upstream(send(emulator, turns("x", [use()], "y"), tools=[WEATHER]))["message"]
    assert "`tool_use` ids were found without `tool_result` blocks immediately after: toolu_1" in missing
    unknown = upstream(send(emulator, turns("x", [use()], [result(), result("toolu_2")]), tools=[WEATHER]))["message"]
    assert "unexpected `tool_use_id` found in `tool_result` blocks: toolu_2" in unknown
    answered = send(emulator, turns("x", [use()], [result()]), tools=[WEATHER]).body
    assert "getWeather returned: 9 degrees" in answered["content"][0]["text"]
    parts = [{"type": "text", "text": "8 degrees"}]
    assert "8 degrees" in send(emulator, turns("x", [use()], [result(content=parts)])).body["content"][0]["text"]


def test_tools_are_announced_and_used(emulator: Emulator) -> None:
    body = send(emulator, ASKS, tools=[WEATHER]).body
    assert body["stop_reason"] == "tool_use"
    text, call = body["content"]
    assert "getWeather" in text["text"]
    assert re.fullmatch(r"toolu_vrtx_01\w{22}", call["id"])
    assert call["input"] == {"location": "San Francisco"}
    assert "caller" not in call
    direct = send(emulator, ASKS, model="claude-opus-4.6", tools=[WEATHER]).body
    assert direct["content"][1]["caller"] == {"type": "direct"}
    assert direct["usage"]["service_tier"] == "standard"
    forced = send(emulator, "hi", tools=[WEATHER], tool_choice={"type": "any"}).body
    assert forced["stop_reason"] == "tool_use"
    assert send(emulator, ASKS, tools=[WEATHER], tool_choice={"type": "none"}).body["stop_reason"] == "end_turn"
    both = ASKS.replace("San Francisco", "Paris and Oslo")
    one = send(emulator, both, tools=[WEATHER], tool_choice={"type": "auto", "disable_parallel_tool_use": True}).body
    assert len(one["content"]) == 2
    assert len(send(emulator, both, tools=[WEATHER]).body["content"]) == 3


def test_what_a_program_reminds_of_is_not_what_the_user_says(emulator: Emulator) -> None:
    reminder = {"type": "text", "text": "<system-reminder>\nThere is getWeather, IMPORTANT.\n</system-reminder>\n"}
    asked = [{"role": "user", "content": [reminder, {"type": "text", "text": "What is 17 * 19?"}]}]
    body = send(emulator, asked, tools=[WEATHER]).body
    assert [block["type"] for block in body["content"]] == ["text"]
    assert "17 * 19 = 323" in body["content"][0]["text"]
    asked[0]["content"] = [reminder, {"type": "text", "text": ASKS}]
    assert send(emulator, asked, tools=[WEATHER]).body["content"][1]["input"] == {"location": "San Francisco"}
    asked[0]["content"] = [reminder]
    assert send(emulator, asked, tools=[WEATHER]).body["stop_reason"] == "tool_use"


def test_thinking_is_signed_and_must_come_back(emulator: Emulator) -> None:
    body = send(emulator, ASKS, tools=[WEATHER], **THINKS).body
    thinking, _, call = body["content"]
    assert list(thinking) == ["type", "thinking", "signature"]
    history = turns(ASKS, body["content"], [result(call["id"])])
    assert [block["type"] for block in send(emulator, history, tools=[WEATHER], **THINKS).body["content"]] == ["text"]

    without = turns(ASKS, body["content"][1:], [result(call["id"])])
    told = upstream(send(emulator, without, tools=[WEATHER], **THINKS))["message"]
    assert told.startswith("messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `text`")
    assert send(emulator, without, tools=[WEATHER]).status == 200, "without thinking it is not needed"

    adaptive: dict[str, Any] = {"thinking": {"type": "adaptive"}, "max_tokens": 4_000, "model": "claude-opus-4.6"}
    lost = send(emulator, without, tools=[WEATHER], **adaptive)
    assert lost.status == 200, "a model that decides itself when to think may not have thought"

    for wrong in ({"signature": "forged"}, {"thinking": "another thought"}):
        changed = turns(ASKS, [{**thinking, **wrong}, *body["content"][1:]], [result(call["id"])])
        told = upstream(send(emulator, changed, tools=[WEATHER], **THINKS))["message"]
        assert told == "messages.1.content.0: Invalid `signature` in `thinking` block"


def test_a_long_turn_begins_with_thinking_too(emulator: Emulator) -> None:
    first = send(emulator, ASKS, tools=[WEATHER], **THINKS).body["content"]
    long = turns(ASKS, first, [result(first[-1]["id"])], [use("toolu_2")], [result("toolu_2")])
    assert send(emulator, long, tools=[WEATHER], **THINKS).status == 200
    assert (
        send(
            emulator, turns(ASKS, first[1:], *[turn["content"] for turn in long[2:]]), tools=[WEATHER], **THINKS
        ).status
        == 400
    )


def test_where_an_answer_ends(emulator: Emulator) -> None:
    stopped = send(emulator, "Count from 1 to 9", stop_sequences=[", 7", ", 5"]).body
    assert (stopped["stop_reason"], stopped["stop_sequence"]) == ("stop_sequence", ", 5")
    assert stopped["content"][0]["text"].endswith("3, 4")
    cut = send(emulator, "Write 200 words.", max_tokens=5).body
    assert cut["stop_reason"] == "max_tokens"


def test_system_pictures_and_documents_come_in(emulator: Emulator) -> None:
    content = [
        {"type": "text", "text": "What do you see?"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": "R0lGODlhCgAKAAAAACw="}},
        {
            "type": "document",
            "title": "a.pdf",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0x"},
        },
    ]
    system = [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}]
    text = send(emulator, [{"role": "user", "content": content}], system=system).body["content"][0]["text"]
    assert "an image/gif of 10x10" in text
    assert "'a.pdf', an application/pdf" in text
    assert "Be brief.\n\nBe kind." in text


def test_the_order_of_events(emulator: Emulator) -> None:
    reply = send(emulator, ASKS, tools=[WEATHER], stream=True, **THINKS)
    events = streamed(reply)
    names = [name for name, _ in events]
    assert [name for place, name in enumerate(names) if place == 0 or names[place - 1] != name] == [
        *("message_start", "content_block_start", "ping", "content_block_delta", "content_block_stop"),
        *("content_block_start", "content_block_delta", "content_block_stop"),
        *("content_block_start", "content_block_delta", "content_block_stop"),
        *("message_delta", "message_stop"),
    ]
    assert all(payload["type"] == name for name, payload in events)
    assert b"[DONE]" not in reply.raw
    begun = events[0][1]["message"]
    assert (begun["content"], begun["stop_reason"]) == ([], None)
    deltas = [payload["delta"] for name, payload in events if name == "content_block_delta"]
    kinds = list(dict.fromkeys(delta["type"] for delta in deltas))
    assert kinds == ["thinking_delta", "signature_delta", "text_delta", "input_json_delta"]
    arguments = "".join(delta["partial_json"] for delta in deltas if delta["type"] == "input_json_delta")
    assert json.loads(arguments) == {"location": "San Francisco"}
    final = events[-2][1]
    assert final["delta"]["stop_reason"] == "tool_use"
    assert final["usage"]["output_tokens"] > 1


@pytest.mark.parametrize(
    ("fault", "last"),
    [
        ("error=after:5", "error"),
        ("no-done", "message_delta"),
        ("no-final; no-done", "content_block_stop"),
        ("crlf; comments; split-utf8", "message_stop"),
    ],
)
def test_faults_in_the_stream(emulator: Emulator, fault: str, last: str) -> None:
    events = streamed(send(emulator, stream=True, fault=fault))
    assert events[-1][0] == last
    if last == "error":
        assert events[-1][1]["error"]["type"] == "api_error"


def test_errors_that_are_asked_for_have_the_envelope(emulator: Emulator) -> None:
    for status, kind in ((401, "authentication_error"), (402, "billing_error"), (429, "rate_limit_error"),
                         (500, "api_error"), (529, "overloaded_error")):  # fmt: skip
        reply = send(emulator, fault=f"status={status}; retry-after=3")
        assert (reply.status, reply.body["type"], reply.error["type"]) == (status, "error", kind)
        assert reply.headers["retry-after"] == "3"
    assert send(emulator, fault="status=500; type=teapot").error["type"] == "teapot"
    assert "usage" not in send(emulator, fault="no-usage").body


def test_the_limit_and_the_balance() -> None:
    with Emulator(rate_limit=1) as limited:
        assert send(limited).status == 200
        refused = send(limited)
        assert (refused.status, refused.error["type"]) == (429, "rate_limit_error")
        assert refused.headers["anthropic-ratelimit-requests-remaining"] == "0"
        assert int(refused.headers["retry-after"]) > 0
    with Emulator(balance=0) as poor:
        assert send(poor).status == 402
    with Emulator(subscriber=False) as free:
        assert send(free).status == 402


# The official client


def test_the_client_runs_a_loop_of_tools_with_thinking(claude: anthropic.Anthropic) -> None:
    messages: Any = [{"role": "user", "content": ASKS}]
    settings: Any = {"model": "claude-opus-4.5", "tools": [WEATHER], **THINKS}
    first = claude.messages.create(messages=messages, **settings)
    assert [block.type for block in first.content] == ["thinking", "text", "tool_use"]
    (call,) = (block for block in first.content if block.type == "tool_use")
    messages += [{"role": "assistant", "content": first.content}, {"role": "user", "content": [result(call.id)]}]
    second = claude.messages.create(messages=messages, **settings)
    assert "9 degrees" in str(second.content[0])


def test_the_client_streams(claude: anthropic.Anthropic) -> None:
    messages: Any = [{"role": "user", "content": "What is 17 * 19?"}]
    with claude.messages.stream(model="claude-haiku-4.5", max_tokens=100, messages=messages) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert "323" in text
    assert final.stop_reason == "end_turn"
    assert final.usage.output_tokens > 1


def test_the_client_parses(claude: anthropic.Anthropic) -> None:
    class City(pydantic.BaseModel):
        city: str
        population: int

    messages: Any = [{"role": "user", "content": "Tell me about Paris."}]
    parsed = claude.messages.parse(model="claude-opus-4.5", max_tokens=500, messages=messages, output_format=City)
    assert isinstance(parsed.parsed_output, City)


async def test_the_client_that_does_not_block(aclaude: anthropic.AsyncAnthropic) -> None:
    messages: Any = [{"role": "user", "content": "What is 17 * 19?"}]
    async with aclaude.messages.stream(model="claude-haiku-4.5", max_tokens=100, messages=messages) as stream:
        assert "323" in await stream.get_final_text()
    with pytest.raises(anthropic.NotFoundError, match="gpt-4o"):
        await aclaude.messages.create(model="gpt-4o", max_tokens=1, messages=messages)


def test_the_client_sees_an_error_in_mid_stream(claude: anthropic.Anthropic) -> None:
    messages: Any = [{"role": "user", "content": "x"}]
    broken = {"x-emulate-fault": "error=after:6; message=the model fell over; type=overloaded_error"}
    with pytest.raises(anthropic.APIStatusError, match="fell over"):
        for _ in claude.messages.create(
            model="claude-haiku-4.5", max_tokens=100, messages=messages, stream=True, extra_headers=broken
        ):
            pass
