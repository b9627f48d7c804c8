"""The Messages wire: one table of answers, each read whole, as a stream, byte by byte and with bytes behind it, and
written out again; requests both ways; what cannot be carried."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from quoth.call import Row, Target
from quoth.errors import BadRequestError, UnsupportedParamsError
from quoth.types import Completion
from quoth.wire.anthropic_messages import (
    MessagesEncoder,
    MessagesReader,
    from_chat,
    head,
    parse,
    render,
    to_chat,
)
from quoth.wire.assemble import assemble
from quoth.wire.openai_chat import Unreadable, UpstreamError, as_chunk, filled
from quoth.wire.sse import Event
from tests.wire.dialects import MESSAGE_USAGE, Json, assembled, meant, message, message_events, read, sse, whole

TARGET = Target(Row("acme", "https://llm.acme.example/v1"), "m", "https://llm.acme.example/v1", key="k-1")
THOUGHT = {"type": "thinking", "thinking": "17*20-17", "signature": "EpwECkgI"}
HIDDEN = {"type": "redacted_thinking", "data": "Emw="}
TEXT = {"type": "text", "text": "It is 323."}
USE = {"type": "tool_use", "id": "toolu_1", "name": "getWeather", "input": {"location": "Paris"}}
SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"type": "web_search_result"}]}
CITED = {
    "type": "text",
    "text": "So it is.",
    "citations": [{"type": "web_search_result_location", "url": "https://a.example", "title": "A", "cited_text": "x"}],
}


def first(completion: Completion) -> Any:
    return completion.choices[0].message


# Answer, and what is read from it. Each is also streamed, and written out again.
ANSWERS: dict[str, tuple[Json, Callable[[Any], Any], Any]] = {
    "text": (message([TEXT]), lambda c: (first(c).content, c.choices[0].finish_reason), ("It is 323.", "stop")),
    "nothing": (message([]), lambda c: first(c).content, None),
    "thinking, signed": (
        message([THOUGHT, TEXT]),
        lambda c: (first(c).reasoning, first(c).content, first(c)["thinking_blocks"]),
        ("17*20-17", "It is 323.", [THOUGHT]),
    ),
    "thinking, redacted": (
        message([HIDDEN, THOUGHT, TEXT]),
        lambda c: first(c)["thinking_blocks"],
        [HIDDEN, THOUGHT],
    ),
    "thinking that is not shown": (
        message([{**THOUGHT, "thinking": ""}, TEXT]),
        lambda c: (first(c).reasoning_content, first(c)["thinking_blocks"]),
        ("", [{**THOUGHT, "thinking": ""}]),
    ),
    "a tool": (
        message([TEXT, USE], "tool_use"),
        lambda c: (
            first(c).tool_calls[0].id,
            first(c).tool_calls[0].function.arguments,
            c.choices[0].finish_reason,
        ),
        ("toolu_1", '{"location":"Paris"}', "tool_calls"),
    ),
    "two tools at once, one of them without arguments": (
        message([USE, {**USE, "id": "toolu_2", "name": "now", "input": {}}], "tool_use"),
        lambda c: [(call.function.name, call.function.arguments) for call in first(c).tool_calls],
        [("getWeather", '{"location":"Paris"}'), ("now", "{}")],
    ),
    "a tool with more": (
        message([{**USE, "caller": {"type": "direct"}}], "tool_use"),
        lambda c: (first(c).content, first(c).tool_calls[0]["caller"]),
        (None, {"type": "direct"}),
    ),
    "a thought between calls": (
        message([THOUGHT, USE, THOUGHT, {**USE, "id": "toolu_2"}], "tool_use"),
        lambda c: (first(c)["thinking_blocks"], len(first(c)["provider_specific_fields"]["content_blocks"])),
        ([THOUGHT, THOUGHT], 4),
    ),
    "a search by the provider, with citations": (
        message([SEARCH, FOUND, TEXT, CITED]),
        lambda c: (first(c).content, first(c).annotations[0]["url_citation"]["start_index"]),
        ("It is 323.So it is.", 10),
    ),
    "cut at a limit": (message([TEXT], "max_tokens"), lambda c: c.choices[0].finish_reason, "length"),
    "cut at the window": (
        message([TEXT], "model_context_window_exceeded"),
        lambda c: c.choices[0].finish_reason,
        "length",
    ),
    "stopped by a sequence": (
        message([TEXT], "stop_sequence", stop_sequence="END"),
        lambda c: (c.choices[0].finish_reason, c["provider_specific_fields"]["messages"]["stop_sequence"]),
        ("stop", "END"),
    ),
    "refused": (message([TEXT], "refusal"), lambda c: c.choices[0].finish_reason, "content_filter"),
    "paused": (message([TEXT], "pause_turn"), lambda c: c.choices[0].finish_reason, "stop"),
    "a reason of the provider's own": (message([TEXT], "tired"), lambda c: c.choices[0].finish_reason, "tired"),
    "usage with what the cache held": (
        message([TEXT]),
        lambda c: (c.usage.prompt_tokens, c.usage.prompt_tokens_details.cached_tokens, c.usage.total_tokens),
        (4567, 4487, 4642),
    ),
    "usage as Poe adds to it": (
        message([TEXT], usage={**MESSAGE_USAGE, "total_tokens": 78, "service_tier": "standard"}),
        lambda c: (c.usage["service_tier"], c.usage.total_tokens),
        ("standard", 4642),
    ),
    "fields of no known meaning": (
        message([{**TEXT, "x": 1}], x_top={"a": 1}),
        lambda c: c["provider_specific_fields"]["messages"]["x_top"],
        {"a": 1},
    ),
}


@pytest.mark.parametrize(("body", "reading", "expected"), ANSWERS.values(), ids=ANSWERS.keys())
def test_answers(body: Json, reading: Callable[[Any], Any], expected: Any):
    completion, warnings = parse(json.dumps(body).encode())
    assert not warnings
    assert reading(completion) == expected
    back, warnings = render(completion)
    assert not warnings
    assert back == body


@pytest.mark.parametrize("body", [case[0] for case in ANSWERS.values()], ids=ANSWERS.keys())
def test_a_stream_assembles_to_the_answer_it_streams(body: Json):
    answer = meant(parse(json.dumps(body).encode())[0])
    stream = sse(message_events(body))
    assert read("messages", stream)[2], "the end was announced"
    assert meant(assembled("messages", stream)) == answer
    assert meant(assembled("messages", stream, 1)) == answer
    assert meant(assembled("messages", sse(message_events(body, whole)), 3)) == answer
    assert meant(assembled("messages", stream + b'event: ping\ndata: {"type":"ping"}\n\ndata: {"ty')) == answer


@pytest.mark.parametrize("body", [case[0] for case in ANSWERS.values()], ids=ANSWERS.keys())
def test_what_is_written_as_a_stream_reads_as_it_was(body: Json):
    """Also an answer that came as one chunk. Blocks that chat has no word for come by no stream of chunks."""
    answer = parse(json.dumps(body).encode())[0]
    if "provider_specific_fields" in first(answer):
        return
    for chunks in ([as_chunk(answer)], read("messages", sse(message_events(body)))[0]):
        encoder = MessagesEncoder()
        stream = b"".join(map(encoder.feed, chunks)) + encoder.finish()
        assert not encoder.warnings
        assert meant(assembled("messages", stream, 7)) == meant(answer)


def test_an_empty_text_is_read_and_not_sent_back():
    """The API gives such blocks, and refuses them in a conversation."""
    body = message([{"type": "text", "text": ""}, USE], "tool_use")
    answer = parse(json.dumps(body).encode())[0]
    assert first(answer).content == "" == first(assembled("messages", sse(message_events(body)))).content
    assert render(answer)[0]["content"] == [USE]
    sent, _ = from_chat({"max_tokens": 1, "messages": [first(answer).model_dump()]})
    assert sent["messages"] == [{"role": "assistant", "content": [USE]}]


def test_the_input_of_a_tool_may_come_at_its_start():
    events = message_events(message([USE], "tool_use"))
    events = [event for event in events if event["type"] != "content_block_delta"]
    events[2]["content_block"]["input"] = USE["input"]
    assert first(assembled("messages", sse(events))).tool_calls[0].function.arguments == '{"location":"Paris"}'


def test_events_of_unknown_kinds_are_said_once():
    events = message_events(message([TEXT]))
    odd = {"type": "weather_report"}
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "mood_delta", "mood": 1}}
    chunks, warnings, _ = read("messages", sse([*events[:3], odd, odd, delta, delta, *events[3:]]))
    assert [warning.code for warning in warnings] == ["unknown_event"] * 2
    assert first(assemble(chunks)).content == "It is 323."


BROKEN: dict[str, tuple[bytes, type[Exception], str]] = {
    "no JSON": (b"<html>", Unreadable, "not JSON"),
    "a list": (b"[]", Unreadable, "not a message"),
    "another API's answer": (b'{"choices": []}', Unreadable, "not a message"),
    "an error": (b'{"type":"error","error":{"type":"overloaded_error","message":"Busy"}}', UpstreamError, "Busy"),
}


@pytest.mark.parametrize(("raw", "kind", "text"), BROKEN.values(), ids=BROKEN.keys())
def test_what_is_no_answer(raw: bytes, kind: type[Exception], text: str):
    with pytest.raises(kind, match=text):
        parse(raw)
    if raw != b'{"choices": []}':
        with pytest.raises(kind):
            MessagesReader([]).read(Event(raw, b"error"))


def test_an_error_in_mid_stream():
    encoder = MessagesEncoder()
    events = message_events(message([TEXT]))
    chunks, _, _ = read("messages", sse(events[:6]))
    raw = b"".join(map(encoder.feed, chunks)) + encoder.error(529, "Busy", request_id="req_1")
    with pytest.raises(UpstreamError, match="Busy") as raised:
        read("messages", raw)
    assert raised.value.facts.type == "overloaded_error"
    assert raw.endswith(b'"request_id":"req_1"}\n\n')


# --- Requests ----------------------------------------------------------------------------------------------------

CACHE = {"type": "ephemeral"}
PNG: Json = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
FUNCTION = {"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {}}}


def request(messages: list[Json], **more: Any) -> Json:
    return {"model": "m", "max_tokens": 9, "messages": messages, **more}


def user(content: Any) -> Json:
    return {"role": "user", "content": content}


# Each is read into a chat body and written out again.
REQUESTS: dict[str, tuple[Json, Callable[[Any], Any], Any]] = {
    "text": (request([user("Hi")]), lambda b: b["messages"], [user("Hi")]),
    "system and marks": (
        request(
            [user([{"type": "text", "text": "Hi", "cache_control": CACHE}])],
            system=[{"type": "text", "text": "Be kind", "cache_control": CACHE}],
        ),
        lambda b: (b["messages"][0]["role"], b["messages"][0]["content"][0]["cache_control"]),
        ("system", CACHE),
    ),
    "system as a text": (request([user("Hi")], system="Be kind"), lambda b: b["messages"][0]["content"], "Be kind"),
    "pictures and files": (
        request(
            [
                user(
                    [
                        PNG,
                        {"type": "image", "source": {"type": "url", "url": "https://a.example/b.png"}},
                        {"type": "document", "source": {**PNG["source"], "media_type": "application/pdf"}},
                        {
                            "type": "document",
                            "title": "a.txt",
                            "source": {"type": "text", "media_type": "text/plain", "data": "Ä"},
                            "citations": {"enabled": True},
                        },
                        {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
                        {"type": "document", "source": {"type": "url", "url": "https://a.example/b.pdf"}},
                    ]
                )
            ]
        ),
        lambda b: [part["type"] for part in b["messages"][0]["content"]],
        ["image_url", "image_url", "file", "file", "file", "file"],
    ),
    "a block that chat does not have": (
        request([user([{"type": "search_result", "source": "x", "title": "t", "content": []}])]),
        lambda b: b["messages"][0]["content"][0]["type"],
        "search_result",
    ),
    "tools and their results": (
        request(
            [
                user("Weather?"),
                {"role": "assistant", "content": [THOUGHT, {"type": "text", "text": "Look."}, USE]},
                user(
                    [
                        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "Rain", "cache_control": CACHE},
                        {"type": "tool_result", "tool_use_id": "toolu_2", "content": [PNG], "is_error": True},
                        {"type": "text", "text": "And?"},
                    ]
                ),
            ],
            tools=[
                {**FUNCTION, "cache_control": CACHE},
                {"type": "web_search_20250305", "name": "web_search", "max_uses": 2},
            ],
            tool_choice={"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        ),
        lambda b: ([m["role"] for m in b["messages"]], b["parallel_tool_calls"], b["messages"][1]["content"]),
        (["user", "assistant", "tool", "tool", "user"], False, "Look."),
    ),
    "any tool": (
        request([user("Hi")], tools=[FUNCTION], tool_choice={"type": "any"}),
        lambda b: b["tool_choice"],
        "required",
    ),
    "settings": (
        request(
            [user("Hi")],
            temperature=0.5,
            top_p=0.9,
            top_k=5,
            stop_sequences=["END"],
            stream=True,
            thinking={"type": "enabled", "budget_tokens": 2000},
            metadata={"user_id": "u"},
            output_config={"effort": "high", "format": {"type": "json_schema", "schema": {"type": "object"}}},
            context_management={"edits": []},
        ),
        lambda b: (b["stop"], b["user"], b["reasoning_effort"], b["provider_specific_fields"]["messages"]["top_k"]),
        (["END"], "u", "high", 5),
    ),
    "what the assistant said, out of order": (
        request([user("Hi"), {"role": "assistant", "content": [SEARCH, FOUND, TEXT]}]),
        lambda b: b["messages"][1]["content"],
        "It is 323.",
    ),
}


@pytest.mark.parametrize(("body", "reading", "expected"), REQUESTS.values(), ids=REQUESTS.keys())
def test_requests(body: Json, reading: Callable[[Any], Any], expected: Any):
    chat, warnings = to_chat(body)
    assert not warnings
    assert reading(chat) == expected
    back, warnings = from_chat(chat)
    assert not warnings
    assert back == body


def test_the_request_that_is_sent():
    sent = filled(head(TARGET, True), {"model": "m", "max_tokens": 5, "messages": [user("Hi")], "stream": True})
    assert (sent.method, sent.url) == ("POST", "https://llm.acme.example/v1/messages")
    assert (sent.headers["x-api-key"], sent.headers["accept"]) == ("k-1", "text/event-stream")
    assert sent.headers["anthropic-version"] == "2023-06-01"
    assert json.loads(sent.body) == {"model": "m", "max_tokens": 5, "messages": [user("Hi")], "stream": True}


# Chat body, what the request has for it, and the warnings.
CHAT: dict[str, tuple[Json, Callable[[Any], Any], Any, list[str]]] = {
    "no cap": ({}, lambda r: r["max_tokens"], 4096, ["default_cap max_tokens"]),
    "both caps": ({"max_tokens": 1, "max_completion_tokens": 2}, lambda r: r["max_tokens"], 2, []),
    "what has no place": (
        {"max_tokens": 1, "seed": 1, "logit_bias": {}, "n": 2, "metadata": {"a": "b"}},
        lambda r: set(r),
        {"model", "messages", "max_tokens"},
        ["not_carried seed", "not_carried logit_bias", "not_carried n", "not_carried metadata.a"],
    ),
    "one choice": ({"max_tokens": 1, "n": 1}, lambda r: "n" in r, False, []),
    "heat": ({"max_tokens": 1, "temperature": 1.5}, lambda r: r["temperature"], 1, ["clamped temperature"]),
    "a field of the provider's own": ({"max_tokens": 1, "x_own": [1]}, lambda r: r["x_own"], [1], []),
    "functions, as they once were": (
        {"max_tokens": 1, "functions": [{"name": "f"}], "function_call": {"name": "f"}},
        lambda r: (r["tools"], r["tool_choice"]),
        ([{"name": "f", "input_schema": {"type": "object", "properties": {}}}], {"type": "tool", "name": "f"}),
        [],
    ),
    "one tool at a time": (
        {"max_tokens": 1, "tools": [{"type": "function", "function": {"name": "f"}}], "parallel_tool_calls": False},
        lambda r: r["tool_choice"],
        {"type": "auto", "disable_parallel_tool_use": True},
        [],
    ),
    "a search": (
        {"max_tokens": 1, "tools": [{"type": "web_search_preview"}]},
        lambda r: r["tools"],
        [{"type": "web_search_20250305", "name": "web_search"}],
        [],
    ),
    "JSON without a schema": (
        {"max_tokens": 1, "response_format": {"type": "json_object"}},
        lambda r: "output_config" in r,
        False,
        ["not_carried response_format"],
    ),
    "what only the other API has": (
        {"max_tokens": 1, "provider_specific_fields": {"responses": {"truncation": "auto"}}},
        lambda r: "truncation" in r,
        False,
        ["not_carried truncation"],
    ),
}


@pytest.mark.parametrize(("body", "reading", "expected", "warnings"), CHAT.values(), ids=CHAT.keys())
def test_chat_bodies(body: Json, reading: Callable[[Any], Any], expected: Any, warnings: list[str]):
    found, said = from_chat({"model": "m", "messages": [user("Hi")], **body})
    assert reading(found) == expected
    assert [f"{warning.code} {warning.param}" for warning in said] == warnings


# A conversation in chat, the turns that it becomes, and the warnings.
CONVERSATIONS: dict[str, tuple[list[Json], Any, list[str]]] = {
    "system in the middle": (
        [user("Hi"), {"role": "system", "content": "Be kind"}],
        [user("Hi")],
        ["moved"],
    ),
    "reasoning of another model": (
        [{"role": "assistant", "content": "323", "reasoning_content": "hm"}],
        [{"role": "assistant", "content": [{"type": "text", "text": "323"}]}],
        ["not_carried"],
    ),
    "arguments that are no JSON": (
        [
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{"}}],
            }
        ],
        [{"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {"arguments": "{"}}]}],
        ["malformed_arguments"],
    ),
    "sound": (
        [user([{"type": "text", "text": "Hear"}, {"type": "input_audio", "input_audio": {}}])],
        [user([{"type": "text", "text": "Hear"}])],
        ["not_carried"],
    ),
    "a picture in detail": (
        [user([{"type": "image_url", "image_url": {"url": "https://a.example/b", "detail": "high"}}])],
        [user([{"type": "image", "source": {"type": "url", "url": "https://a.example/b"}}])],
        ["not_carried"],
    ),
    "a film as a file": (
        [user([{"type": "file", "file": {"file_data": "data:video/mp4;base64,aGk="}}])],
        [user([])],
        ["not_carried"],
    ),
    "a refusal": (
        [{"role": "assistant", "content": None, "refusal": "No."}],
        [{"role": "assistant", "content": [{"type": "text", "text": "No."}]}],
        [],
    ),
    "the first form of tools": (
        [
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "1"},
        ],
        [
            {"role": "assistant", "content": [{"type": "tool_use", "id": "call_f", "name": "f", "input": {}}]},
            user([{"type": "tool_result", "tool_use_id": "call_f", "content": "1"}]),
        ],
        [],
    ),
}


@pytest.mark.parametrize(("messages", "turns", "warnings"), CONVERSATIONS.values(), ids=CONVERSATIONS.keys())
def test_conversations(messages: list[Json], turns: Any, warnings: list[str]):
    found, said = from_chat({"model": "m", "max_tokens": 1, "messages": messages})
    assert found["messages"] == turns
    assert [warning.code for warning in said] == warnings


def test_a_tool_that_cannot_be_said_is_an_error():
    with pytest.raises(UnsupportedParamsError, match="file_search"):
        from_chat({"messages": [], "max_tokens": 1, "tools": [{"type": "file_search", "vector_store_ids": []}]})


WRONG: dict[str, tuple[Json, str]] = {
    "no messages": ({"model": "m"}, "messages"),
    "a message that is none": ({"messages": ["a"]}, "messages[0]"),
    "a role that is none": ({"messages": [{"role": "tool", "content": "a"}]}, "messages[0].role"),
    "content that is none": ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
    "a tool that is none": ({"messages": [], "tools": ["a"]}, "tools[0]"),
}


@pytest.mark.parametrize(("body", "param"), WRONG.values(), ids=WRONG.keys())
def test_what_is_no_request(body: Json, param: str):
    with pytest.raises(BadRequestError) as raised:
        to_chat(body)
    assert raised.value.param == param
