"""Answers: their shape as recorded, and that they behave like a model's."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from quoth.emulator import Emulator
from tests.emulator.client import chat


def test_plain_answer_has_the_recorded_shape(emulator: Emulator) -> None:
    reply = chat(emulator, model="Grok-4")
    body = reply.body
    assert reply.status == 200
    assert list(body) == ["id", "object", "created", "model", "choices", "usage"]
    assert re.fullmatch(r"chatcmpl-[0-9a-f]{24}", body["id"])
    assert body["object"] == "chat.completion"
    assert abs(body["created"] - time.time()) < 60, "seconds"
    assert body["model"] == "Grok-4", "as the caller spelt it"
    (choice,) = body["choices"]
    assert list(choice) == ["index", "message", "finish_reason"]
    assert choice["finish_reason"] == "stop"
    assert list(choice["message"]) == ["role", "content"]
    assert len(choice["message"]["content"].split()) == 3
    assert body["usage"] == {"prompt_tokens": 7, "completion_tokens": 4, "total_tokens": 11}
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["openai-version"] == "2020-10-01"
    assert reply.headers["openai-processing-ms"].isdigit()
    assert reply.headers["access-control-allow-origin"] == "*"


def test_answers_are_functions_of_the_request_and_ids_differ(emulator: Emulator) -> None:
    first, second = chat(emulator, "Tell me something."), chat(emulator, "Tell me something.")
    assert first.text == second.text
    assert first.body["id"] != second.body["id"]
    emulator.clear()
    assert chat(emulator, "Tell me something.").body["id"] == first.body["id"]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("What is 17 * 19?", "323"),
        ("what is 12 plus 30", "42"),
        ("Compute (2 + 3) * 4 please", "20"),
        ("10 divided by 4 =", "2.5"),
        ("What is 2^10?", "1024"),
        ("What is 7 x 6?", "42"),
        ("What is 1,200 * 3?", "3600"),
        ("Add 5 and 7", "12"),
        ("What is 15% of 80?", "12"),
        ("Subtract 5 from 7.5", "2.5"),
        ("What is the capital of France?", "Paris"),
        ("Count from 1 to 5", "1, 2, 3, 4, 5"),
        ('Repeat: "héllo 😀"', "héllo 😀"),
    ],
)
def test_answers_are_sensible_and_say_that_they_are_emulated(emulator: Emulator, prompt: str, expected: str) -> None:
    text = chat(emulator, prompt).text
    assert text.startswith("[emulated Grok-4] ")
    assert expected in text


@pytest.mark.parametrize(
    "prompt", ["The meeting is on 2024-05-06 at 10.", "1/0", "Version 1.2.3", "9 ** 9 ** 9 ** 9", "5-7 days"]
)
def test_dates_ranges_and_impossible_sums_are_no_sums(emulator: Emulator, prompt: str) -> None:
    assert f"You wrote: {prompt}" in chat(emulator, prompt).text


def test_a_sum_step_by_step_has_its_result_on_a_line_of_its_own(emulator: Emulator) -> None:
    prompt = "Solve this step by step, then give the final answer on a separate line: What is 17 * 19?"
    reply = chat(emulator, prompt, model="gemini-2.5-flash", reasoning_effort="high")
    assert reply.text.splitlines()[-1] == "323"
    assert reply.message["reasoning"]


def test_any_other_prompt_is_answered_with_what_arrived(emulator: Emulator) -> None:
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello there"},
        {"role": "assistant", "content": "Hi."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look at this"},
                {"type": "image_url", "image_url": {"url": "data:,"}},
            ],
        },
    ]
    text = chat(emulator, messages).text
    for part in ("emulated", "Look at this", "message number 2", "1 image", "Be brief."):
        assert part in text


def test_max_tokens_cut_the_answer(emulator: Emulator) -> None:
    reply = chat(emulator, "Write 300 words", max_tokens=5)
    assert reply.body["choices"][0]["finish_reason"] == "length"
    assert reply.body["usage"]["completion_tokens"] == 5
    assert chat(emulator, "Write 300 words", max_completion_tokens=6).body["usage"]["completion_tokens"] == 6
    assert chat(emulator, "Write 300 words", max_tokens=5_000).body["choices"][0]["finish_reason"] == "stop"


def test_stop_sequences_end_the_answer_unless_they_are_blank(emulator: Emulator) -> None:
    assert chat(emulator, "Count to 9", stop=["5", "7"]).text.endswith("4, ")
    assert chat(emulator, "Count to 9", stop="7").text.endswith("6, ")
    assert chat(emulator, "Count to 9", stop=[" ", "\n"]).text.endswith("9")


@pytest.mark.parametrize(
    ("model", "parameters", "shown"),
    [
        ("grok-3-mini", {}, True),
        ("kimi-k2-thinking", {}, True),
        ("gpt-oss-120b-cs", {}, True),
        ("Gemini-3.1-Pro", {}, True),
        ("gemini-2.5-pro", {}, False),
        ("gemini-2.5-pro", {"reasoning_effort": "low"}, True),
        ("gemini-2.5-pro", {"reasoning_effort": "none"}, False),
        ("gemini-2.5-pro", {"thinking_budget": 2048}, True),
        ("gemini-2.5-pro", {"extra_body": {"thinking_budget": 2048}}, True),
        ("gemini-2.0-flash", {"reasoning_effort": "high"}, False),
        ("claude-opus-4.6", {"output_effort": "high"}, True),
        ("claude-opus-4.6", {}, False),
        ("gpt-5.2", {"reasoning_effort": "high"}, False),
        ("grok-4", {"reasoning_effort": "high"}, False),
    ],
)
def test_reasoning_is_shown_twice_where_it_is_shown(
    emulator: Emulator, model: str, parameters: dict[str, Any], shown: bool
) -> None:
    message = chat(emulator, "Why?", model=model, **parameters).message
    assert ("reasoning" in message) == ("reasoning_content" in message) == shown
    if shown:
        assert message["reasoning"] == message["reasoning_content"] != ""


@pytest.mark.parametrize(
    ("model", "pattern"),
    [
        (
            "Imagen-4",
            r"!\[A red fox_image_1\]\((http://127\.0\.0\.1:\d+/base/image/[0-9a-f]{64}\?w=1024&h=1024)\)\n\n\n\1",
        ),
        (
            "GPT-Image-1",
            r"!\[A red fox\.png\]\((http://127\.0\.0\.1:\d+/base/image/[0-9a-f]{64}\?w=1024&h=1024)\)\n\n\1",
        ),
        ("Veo-3", r"http://127\.0\.0\.1:\d+/base/video/[0-9a-f]{64}"),
        ("ElevenLabs-v2.5-Turbo", r"http://127\.0\.0\.1:\d+/base/audio/[0-9a-f]{64}"),
    ],
)
def test_media_answers_are_addresses(emulator: Emulator, model: str, pattern: str) -> None:
    reply = chat(emulator, "A red fox", model=model)
    assert re.fullmatch(pattern, reply.text)
    completion_tokens = reply.body["usage"]["completion_tokens"]
    assert completion_tokens > 0 if "image" in pattern else completion_tokens == 0


def test_details_of_usage_are_a_bot_by_bot_matter_and_a_switch(emulator: Emulator) -> None:
    assert list(chat(emulator).body["usage"]) == ["prompt_tokens", "completion_tokens", "total_tokens"]
    details = chat(emulator, model="gpt-4o-search").body["usage"]
    assert details["completion_tokens_details"]["reasoning_tokens"] == 0
    assert details["prompt_tokens_details"] == {"audio_tokens": None, "cached_tokens": 0}
    assert chat(emulator, model="gpt-3.5-turbo-instruct").body["usage"]["completion_tokens_details"] is None
    with Emulator(token_delay=0, usage_details="always") as detailed:
        usage = chat(detailed, model="grok-3-mini").body["usage"]
    assert usage["completion_tokens_details"]["reasoning_tokens"] > 0
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_the_documented_profile_follows_the_documentation() -> None:
    with Emulator(token_delay=0, profile="documented") as documented:
        reply = chat(documented, "hi", response_format={"type": "json_object"})
        assert reply.text.startswith("[emulated")
        assert reply.body["choices"][0]["logprobs"] is None
        assert reply.headers["x-ratelimit-limit-requests"] == "500"
        assert re.fullmatch(r"req_[0-9a-f]{32}", reply.headers["x-request-id"])
        assert "reasoning" not in chat(documented, model="gemini-2.5-pro", reasoning_effort="high").message
        error = chat(documented, model="no-such-model").error
        assert error["code"] == 404
        assert list(error) == ["code", "type", "message", "metadata"]


# Streams


def test_chunks_come_in_order_and_join_to_the_plain_answer(emulator: Emulator) -> None:
    options: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
    reply = chat(emulator, "Hello, who are you?", model="Grok-3-mini", **options)
    plain = chat(emulator, "Hello, who are you?", model="Grok-3-mini")
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.raw.endswith(b"data: [DONE]\n\n")
    first, *middle, final, usage = reply.chunks
    assert first["object"] == "chat.completion.chunk"
    assert first["model"] == "Grok-3-mini"
    assert first["choices"] == [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]
    deltas = [chunk["choices"][0]["delta"] for chunk in middle]
    kinds = ["reasoning" if "reasoning" in delta else "content" for delta in deltas]
    assert kinds == sorted(kinds, reverse=True), "reasoning before content"
    assert all(delta["reasoning"] == delta["reasoning_content"] for delta in deltas if "reasoning" in delta)
    assert "".join(delta.get("reasoning", "") for delta in deltas) == plain.message["reasoning"]
    assert "".join(delta.get("content", "") for delta in deltas) == plain.text
    assert len(deltas) > 20, "token by token"
    assert final["choices"] == [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    assert usage["choices"] == []
    assert usage["usage"] == plain.body["usage"]
    assert {chunk["id"] for chunk in reply.chunks} == {first["id"]}


def test_usage_is_streamed_only_when_asked_for(emulator: Emulator) -> None:
    assert not any("usage" in chunk for chunk in chat(emulator, stream=True).chunks)


def test_tool_calls_are_streamed_in_pieces(emulator: Emulator) -> None:
    schema = {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]}
    tool = {"type": "function", "function": {"name": "getWeather", "parameters": schema}}
    prompt = "What is the weather in Paris and London? Use the getWeather tool."
    chunks = chat(emulator, prompt, tools=[tool], stream=True).chunks
    deltas = [call for chunk in chunks for choice in chunk["choices"] for call in choice["delta"].get("tool_calls", [])]
    starts = [delta for delta in deltas if "id" in delta]
    assert [delta["index"] for delta in starts] == [0, 1]
    assert all(delta["function"] == {"name": "getWeather", "arguments": ""} for delta in starts)
    arguments = [
        "".join(delta["function"]["arguments"] for delta in deltas if delta["index"] == index) for index in (0, 1)
    ]
    assert arguments == ['{"location": "Paris"}', '{"location": "London"}']
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_tokens_come_at_the_set_pace() -> None:
    with Emulator(token_delay=0.01) as paced:
        started = time.monotonic()
        count = len(chat(paced, "Count to 20", stream=True).chunks)
        assert time.monotonic() - started > 0.009 * count
