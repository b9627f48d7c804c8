"""The Responses wire: one table of answers, each read whole, as a stream, byte by byte and with bytes behind it, and
written out again; requests both ways; what cannot be carried."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from quoth.call import Row, Target
from quoth.errors import BadRequestError, UnsupportedParamsError
from quoth.types import Completion
from quoth.wire.assemble import assemble
from quoth.wire.openai_chat import Unreadable, UpstreamError, as_chunk, filled
from quoth.wire.openai_responses import (
    ResponsesEncoder,
    ResponsesReader,
    from_chat,
    head,
    parse,
    render,
    to_chat,
)
from quoth.wire.sse import Event
from tests.wire.dialects import (
    RESPONSE_USAGE,
    Json,
    assembled,
    called,
    meant,
    read,
    response,
    response_events,
    said,
    sse,
    whole,
)

TARGET = Target(Row("acme", "https://llm.acme.example/v1"), "m", "https://llm.acme.example/v1", key="k-1")


def thought(*texts: str, **more: Any) -> Json:
    return {
        "id": "rs_1",
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": text} for text in texts],
        **more,
    }


NOTE = {"type": "url_citation", "url": "https://a.example", "title": "A", "start_index": 0, "end_index": 3}
NOTED = said("323", content=[{"type": "output_text", "text": "323", "annotations": [NOTE], "logprobs": []}])
TOKENS = [{"token": "323", "logprob": -0.1, "bytes": [51], "top_logprobs": []}]
LOGGED = said("323", content=[{"type": "output_text", "text": "323", "annotations": [], "logprobs": TOKENS}])
REFUSED = said("", content=[{"type": "refusal", "refusal": "No."}])
SEARCHED = {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "x"}}
PATCH = {"id": "ctc_1", "type": "custom_tool_call", "status": "completed", "call_id": "call_1", "name": "apply_patch"}
PATCHED = {**PATCH, "input": "*** Begin Patch"}


def first(completion: Completion) -> Any:
    return completion.choices[0].message


# Answer, and what is read from it. Each is also streamed, and written out again.
ANSWERS: dict[str, tuple[Json, Callable[[Any], Any], Any]] = {
    "text": (response([said("323")]), lambda c: (first(c).content, c.choices[0].finish_reason), ("323", "stop")),
    "nothing": (response([]), lambda c: first(c).content, None),
    "with a phase": (
        response([said("323", phase="final_answer")]),
        lambda c: first(c)["provider_specific_fields"]["message_item"]["phase"],
        "final_answer",
    ),
    "reasoning": (
        response([thought("**One**", "**Two**"), said("323")]),
        lambda c: (first(c).reasoning, len(first(c)["reasoning_items"])),
        ("**One**\n\n**Two**", 1),
    ),
    "reasoning that is not shown": (
        response([thought(), said("323")]),
        lambda c: (first(c).reasoning, first(c)["reasoning_items"]),
        (None, [thought()]),
    ),
    "reasoning to send back": (
        response([thought("hm", encrypted_content="gAAA"), said("323")]),
        lambda c: first(c)["reasoning_items"][0]["encrypted_content"],
        "gAAA",
    ),
    "a tool": (
        response([called("getWeather", '{"location":"Paris"}')]),
        lambda c: (
            first(c).content,
            first(c).tool_calls[0].id,
            first(c).tool_calls[0].function.name,
            c.choices[0].finish_reason,
        ),
        (None, "call_1", "getWeather", "tool_calls"),
    ),
    "reasoning, text and two tools": (
        response([thought("hm"), said("Look."), called("f", "{}"), called("g", '{"a": 1}', "call_2")]),
        lambda c: [(call.id, call.function.arguments) for call in first(c).tool_calls],
        [("call_1", "{}"), ("call_2", '{"a": 1}')],
    ),
    "a tool of free text": (
        response([PATCHED]),
        lambda c: (first(c).tool_calls[0]["custom"], c.choices[0].finish_reason),
        ({"name": "apply_patch", "input": "*** Begin Patch"}, "tool_calls"),
    ),
    "a search by the provider": (
        response([SEARCHED, NOTED]),
        lambda c: (first(c).content, first(c)["provider_specific_fields"]["output_items"][0]["type"]),
        ("323", "web_search_call"),
    ),
    "two messages": (
        response([said("First.", phase="commentary"), said("Then.", id="msg_b")]),
        lambda c: first(c).content,
        "First.\n\nThen.",
    ),
    "reasoning between calls": (
        response([thought("a"), called("f", "{}"), thought("b", id="rs_2"), called("g", "{}", "call_2")]),
        lambda c: (first(c).reasoning, len(first(c).tool_calls)),
        ("a\n\nb", 2),
    ),
    "citations": (
        response([NOTED]),
        lambda c: first(c).annotations[0]["url_citation"]["url"],
        "https://a.example",
    ),
    "log probabilities": (response([LOGGED]), lambda c: c.choices[0].logprobs["content"], TOKENS),
    "a refusal": (response([REFUSED]), lambda c: (first(c).content, first(c).refusal), (None, "No.")),
    "cut at a limit": (
        response([said("32")], status="incomplete", incomplete_details={"reason": "max_output_tokens"}),
        lambda c: c.choices[0].finish_reason,
        "length",
    ),
    "stopped by a filter": (
        response([said("32")], status="incomplete", incomplete_details={"reason": "content_filter"}),
        lambda c: c.choices[0].finish_reason,
        "content_filter",
    ),
    "usage": (
        response(
            [said("323")], usage={**RESPONSE_USAGE, "input_tokens_details": {"cached_tokens": 4, "text_tokens": 9}}
        ),
        lambda c: (
            c.usage.prompt_tokens,
            c.usage.prompt_tokens_details.cached_tokens,
            c.usage.prompt_tokens_details["text_tokens"],
            c.usage.completion_tokens_details.reasoning_tokens,
        ),
        (61, 4, 9, 7),
    ),
    "fields of no known meaning": (
        response([{**called("f", "{}"), "x_item": 1}, {"type": "x_call", "id": "x_1"}], x_top=[1]),
        lambda c: c["provider_specific_fields"]["responses"]["x_top"],
        [1],
    ),
    "Gemini's turn with a tool, which lacks a text": (
        response([said("", content=[{"type": "output_text", "annotations": []}]), called("f", "{}")]),
        lambda c: (first(c).content, first(c).tool_calls[0].function.name),
        ("", "f"),
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
    stream = sse(response_events(body))
    assert read("responses", stream + b"data: [DONE]\n\n")[2], "the end was announced"
    assert meant(assembled("responses", stream)) == answer
    assert meant(assembled("responses", stream, 1)) == answer
    assert meant(assembled("responses", sse(response_events(body, whole)), 3)) == answer
    assert meant(assembled("responses", stream + b'data: [DONE]\n\ndata: {"ty')) == answer


@pytest.mark.parametrize("body", [case[0] for case in ANSWERS.values()], ids=ANSWERS.keys())
def test_a_stream_that_tells_only_whole_items(body: Json):
    """Some servers send no pieces, and some leave the output of the last event empty."""
    events = [event for event in response_events(body) if not event["type"].endswith((".delta", ".added"))]
    assert meant(assembled("responses", sse(events))) == meant(parse(json.dumps(body).encode())[0])
    events[-1] = {**events[-1], "response": {**body, "output": []}}
    assert meant(assembled("responses", sse(events))) == meant(parse(json.dumps(body).encode())[0])


@pytest.mark.parametrize("body", [case[0] for case in ANSWERS.values()], ids=ANSWERS.keys())
def test_what_is_written_as_a_stream_says_what_it_said(body: Json):
    """Also an answer that came as one chunk. Ids are new, and items that chat has no word for come by no chunk."""
    answer = parse(json.dumps(body).encode())[0]
    if "output_items" in (first(answer).get("provider_specific_fields") or {}):
        return
    for chunks in ([as_chunk(answer)], read("responses", sse(response_events(body)))[0]):
        encoder = ResponsesEncoder()
        stream = b"".join(map(encoder.feed, chunks)) + encoder.finish()
        assert not encoder.warnings
        again = assembled("responses", stream, 7)
        assert essence(again) == essence(answer)


def essence(answer: Completion) -> Any:
    message = first(answer)
    calls = [
        (call.id, call.function.name, call.function.arguments, call.get("custom")) for call in message.tool_calls or ()
    ]
    return (
        (message.content or "", message.reasoning, message.refusal, calls, message.annotations),
        (answer.choices[0].finish_reason, answer.choices[0].logprobs, answer.usage, answer.model, answer.created),
        [(item["id"], item.get("encrypted_content")) for item in message.get("reasoning_items") or ()],
    )


def test_events_of_unknown_kinds_are_said_once():
    events = response_events(response([said("323")]))
    odd = {"type": "response.mood.changed"}
    quiet = {"type": "response.web_search_call.searching", "output_index": 0}
    chunks, warnings, _ = read("responses", sse([*events[:3], odd, odd, quiet, *events[3:]]))
    assert [warning.code for warning in warnings] == ["unknown_event"]
    assert first(assemble(chunks)).content == "323"


def test_the_text_of_reasoning_where_a_model_shows_it():
    item = {"id": "rs_1", "type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}
    body = response([item, said("323")])
    events = response_events({**body, "output": [{**item, "content": []}, said("323")]})
    events[-1] = {**events[-1], "response": body}
    events[3] = {**events[3], "item": item}
    events.insert(3, {"type": "response.reasoning_text.delta", "output_index": 0, "content_index": 0, "delta": "hm"})
    assert meant(assembled("responses", sse(events))) == meant(parse(json.dumps(body).encode())[0])


BROKEN: dict[str, tuple[bytes, type[Exception], str]] = {
    "no JSON": (b"<html>", Unreadable, "not JSON"),
    "a list": (b"[]", Unreadable, "not a"),
    "an error": (b'{"error":{"message":"Busy","type":"provider_error"}}', UpstreamError, "Busy"),
    "a response that failed": (
        json.dumps(response([], status="failed", error={"code": "server_error", "message": "Busy"})).encode(),
        UpstreamError,
        "Busy",
    ),
}


@pytest.mark.parametrize(("raw", "kind", "text"), BROKEN.values(), ids=BROKEN.keys())
def test_what_is_no_answer(raw: bytes, kind: type[Exception], text: str):
    with pytest.raises(kind, match=text):
        parse(raw)


FAILED: dict[str, tuple[Json, str | None]] = {
    "an event of its own": (
        {"type": "error", "code": "server_error", "message": "Busy", "param": None},
        "server_error",
    ),
    "an error object": ({"error": {"message": "Busy", "type": "api_error"}}, None),
    "the response's end": (
        {"type": "response.failed", "response": {"error": {"code": "rate_limit_exceeded", "message": "Busy"}}},
        "rate_limit_exceeded",
    ),
}


@pytest.mark.parametrize(("event", "code"), FAILED.values(), ids=FAILED.keys())
def test_errors_in_mid_stream(event: Json, code: str | None):
    with pytest.raises(UpstreamError, match="Busy") as raised:
        ResponsesReader([]).read(Event(json.dumps(event).encode()))
    assert raised.value.facts.code == code


def test_an_error_is_said_in_both_ways_that_clients_look_for():
    encoder = ResponsesEncoder()
    chunks, _, _ = read("responses", sse(response_events(response([said("323")]))[:8]))
    raw = b"".join(map(encoder.feed, chunks)) + encoder.error(500, "Busy")
    events = [json.loads(line[6:]) for line in raw.decode().splitlines() if line.startswith("data: ")]
    failed, error = events[-2:]
    assert (failed["type"], error["type"]) == ("response.failed", "error")
    assert failed["response"]["error"] == {"code": "server_error", "message": "Busy"}
    assert failed["response"]["id"] == events[0]["response"]["id"]
    assert (error["code"], error["message"], error["param"]) == ("server_error", "Busy", None)
    assert error["error"] == {"message": "Busy", "type": "server_error", "param": None, "code": "500"}
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    with pytest.raises(UpstreamError, match="Busy"):
        read("responses", raw)


# --- Requests ----------------------------------------------------------------------------------------------------


def user(content: Any) -> Json:
    return {"role": "user", "content": content}


FUNCTION = {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True}

# Each is read into a chat body and written out again.
REQUESTS: dict[str, tuple[Json, Callable[[Any], Any], Any]] = {
    "parts": (
        {
            "input": [
                user(
                    [
                        {"type": "input_text", "text": "What?"},
                        {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "low"},
                        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="},
                        {"type": "input_file", "file_url": "https://a.example/b.pdf"},
                    ]
                )
            ]
        },
        lambda b: [part["type"] for part in b["messages"][0]["content"]],
        ["text", "image_url", "file", "file"],
    ),
    "a conversation with tools": (
        {
            "input": [
                {"role": "developer", "content": "Be kind"},
                user("Weather?"),
                {"type": "reasoning", "summary": [], "encrypted_content": "gAAA"},
                {"role": "assistant", "content": "Look.", "phase": "commentary"},
                {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
                {"type": "function_call", "call_id": "b", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "a", "output": "Rain"},
                {
                    "type": "function_call_output",
                    "call_id": "b",
                    "output": [{"type": "input_image", "image_url": "https://a.example/b.png"}],
                },
            ],
            "tools": [FUNCTION, {"type": "web_search_preview", "search_context_size": "low"}],
            "tool_choice": {"type": "function", "name": "f"},
            "parallel_tool_calls": False,
        },
        lambda b: ([m["role"] for m in b["messages"]], b["tool_choice"]["function"]),
        (["developer", "user", "assistant", "tool", "tool"], {"name": "f"}),
    ),
    "a tool of free text": (
        {
            "input": [
                user("Patch"),
                {"type": "custom_tool_call", "call_id": "a", "name": "apply_patch", "input": "***"},
                {"type": "custom_tool_call_output", "call_id": "a", "output": "Done"},
            ],
            "tools": [
                {
                    "type": "custom",
                    "name": "apply_patch",
                    "description": "d",
                    "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"},
                }
            ],
        },
        lambda b: b["tools"][0]["custom"]["format"]["grammar"]["syntax"],
        "lark",
    ),
    "settings": (
        {
            "input": [user("Hi")],
            "max_output_tokens": 99,
            "temperature": 0.5,
            "top_p": 0.9,
            "stream": True,
            "store": False,
            "reasoning": {"effort": "high", "summary": "auto"},
            "text": {"format": {"type": "json_schema", "name": "a", "schema": {}, "strict": True}, "verbosity": "low"},
            "include": ["reasoning.encrypted_content", "message.output_text.logprobs"],
            "top_logprobs": 2,
            "metadata": {"a": "b"},
            "truncation": "auto",
            "prompt_cache_key": "k",
        },
        lambda b: (
            b["max_completion_tokens"],
            b["reasoning_effort"],
            b["response_format"]["json_schema"]["name"],
            b["verbosity"],
            b["provider_specific_fields"]["responses"]["truncation"],
        ),
        (99, "high", "a", "low", "auto"),
    ),
    "what the provider did itself": (
        {"input": [user("Hi"), {**SEARCHED, "status": None}, {"role": "assistant", "content": "323"}]},
        lambda b: b["messages"][1]["content"],
        "323",
    ),
}


@pytest.mark.parametrize(("body", "reading", "expected"), REQUESTS.values(), ids=REQUESTS.keys())
def test_requests(body: Json, reading: Callable[[Any], Any], expected: Any):
    body = {"model": "m", **body}
    chat, warnings = to_chat(body)
    assert not warnings
    assert reading(chat) == expected
    back, warnings = from_chat(chat)
    assert not warnings
    for item in (*back["input"], *body["input"]):
        item.pop("status", None)
    assert back == body


def test_a_text_and_instructions_are_two_messages():
    chat, _ = to_chat({"model": "m", "input": "Hi", "instructions": "Be kind"})
    assert chat["messages"] == [{"role": "system", "content": "Be kind"}, user("Hi")]
    assert from_chat(chat)[0]["input"] == chat["messages"]


def test_what_an_answer_said_can_be_said_again_without_its_ids():
    items = [thought("hm"), said("Look.", phase="final_answer"), called("f", "{}")]
    chat, _ = to_chat({"model": "m", "input": [user("Hi"), *items]})
    sent, warnings = from_chat(chat)
    assert sent["input"][1:] == [
        {"role": "assistant", "content": "Look.", "phase": "final_answer"},
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
    ]
    # Without the store, reasoning goes back encrypted or not at all.
    assert [warning.code for warning in warnings] == ["not_carried"]


def test_the_request_that_is_sent():
    sent = filled(head(TARGET, True), {"model": "m", "input": [user("Hi")], "stream": True})
    assert (sent.method, sent.url) == ("POST", "https://llm.acme.example/v1/responses")
    assert (sent.headers["authorization"], sent.headers["accept"]) == ("Bearer k-1", "text/event-stream")
    assert json.loads(sent.body) == {"model": "m", "input": [user("Hi")], "stream": True}


# Chat body, what the request has for it, and the warnings.
CHAT: dict[str, tuple[Json, Callable[[Any], Any], Any, list[str]]] = {
    "what has no place": (
        {"stop": "END", "seed": 1, "n": 2, "frequency_penalty": 1},
        lambda r: set(r),
        {"model", "input"},
        ["not_carried stop", "not_carried seed", "not_carried frequency_penalty", "not_carried n"],
    ),
    "the lenient schema of chat": (
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        lambda r: r["tools"],
        [{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": False}],
        [],
    ),
    "functions, as they once were": (
        {"functions": [{"name": "f", "parameters": {}}], "function_call": {"name": "f"}},
        lambda r: (r["tools"][0]["name"], r["tool_choice"]),
        ("f", {"type": "function", "name": "f"}),
        [],
    ),
    "a search": (
        {"web_search_options": {"search_context_size": "low", "user_location": {"approximate": {"city": "Rome"}}}},
        lambda r: r["tools"],
        [
            {
                "type": "web_search_preview",
                "search_context_size": "low",
                "user_location": {"type": "approximate", "city": "Rome"},
            }
        ],
        [],
    ),
    "Anthropic's search": (
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        lambda r: r["tools"],
        [{"type": "web_search_preview"}],
        [],
    ),
    "JSON": (
        {"response_format": {"type": "json_object"}},
        lambda r: r["text"],
        {"format": {"type": "json_object"}},
        [],
    ),
    "a mark on a tool": (
        {"tools": [{"type": "function", "function": {"name": "f"}, "cache_control": {"type": "ephemeral"}}]},
        lambda r: "cache_control" in r["tools"][0],
        False,
        ["not_carried cache_control"],
    ),
    "what only the other API has": (
        {"provider_specific_fields": {"messages": {"top_k": 1}}, "thinking": {"type": "enabled"}},
        lambda r: set(r),
        {"model", "input"},
        ["not_carried thinking", "not_carried top_k"],
    ),
    "a field of the provider's own": ({"truncation": "auto"}, lambda r: r["truncation"], "auto", []),
}


@pytest.mark.parametrize(("body", "reading", "expected", "warnings"), CHAT.values(), ids=CHAT.keys())
def test_chat_bodies(body: Json, reading: Callable[[Any], Any], expected: Any, warnings: list[str]):
    found, said_of_it = from_chat({"model": "m", "messages": [user("Hi")], **body})
    assert reading(found) == expected
    assert [f"{warning.code} {warning.param}" for warning in said_of_it] == warnings


# A message in chat, the items that it becomes, and the warnings.
CONVERSATIONS: dict[str, tuple[Json, Any, list[str]]] = {
    "marks": (
        user([{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}] * 2),
        [user([{"type": "input_text", "text": "Hi"}] * 2)],
        ["not_carried cache_control"],
    ),
    "a mark on a tool's result": (
        {"role": "tool", "tool_call_id": "a", "content": "1", "cache_control": {"type": "ephemeral"}},
        [{"type": "function_call_output", "call_id": "a", "output": "1"}],
        ["not_carried cache_control"],
    ),
    "a block of the other API": (user([{"type": "search_result"}]), [user([])], ["not_carried messages[0].content[0]"]),
    "a tool that failed": (
        {"role": "tool", "tool_call_id": "a", "content": "No", "is_error": True},
        [{"type": "function_call_output", "call_id": "a", "output": "No"}],
        ["not_carried messages[0].is_error"],
    ),
    "thoughts of another model": (
        {"role": "assistant", "content": "323", "thinking_blocks": [{"type": "thinking", "thinking": "hm"}]},
        [{"role": "assistant", "content": "323"}],
        ["not_carried messages[0].reasoning_content"],
    ),
    "a refusal": (
        {"role": "assistant", "content": None, "refusal": "No."},
        [{"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}],
        [],
    ),
    "Gemini's signature": (
        {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f"}, "extra_content": {"google": 1}}]},
        [{"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"}],
        ["not_carried messages[0].tool_calls[0].extra_content"],
    ),
}


@pytest.mark.parametrize(("message", "items", "warnings"), CONVERSATIONS.values(), ids=CONVERSATIONS.keys())
def test_conversations(message: Json, items: Any, warnings: list[str]):
    found, said_of_it = from_chat({"model": "m", "messages": [message]})
    assert found["input"] == items
    assert [f"{warning.code} {warning.param}" for warning in said_of_it] == warnings


def test_a_tool_that_cannot_be_said_is_an_error():
    with pytest.raises(UnsupportedParamsError, match="bash_20250124"):
        from_chat({"messages": [], "tools": [{"type": "bash_20250124", "name": "bash"}]})


WRONG: dict[str, tuple[Json, str]] = {
    "no input": ({"model": "m"}, "input"),
    "an item that is none": ({"input": ["a"]}, "input[0]"),
    "a role that is none": ({"input": [{"role": "tool", "content": "a"}]}, "input[0].role"),
    "content that is none": ({"input": [{"role": "user", "content": 1}]}, "input[0].content"),
    "a tool that is none": ({"input": "a", "tools": ["a"]}, "tools[0]"),
    "an answer that is kept nowhere": ({"input": "a", "previous_response_id": "resp_1"}, "previous_response_id"),
    "a conversation that is kept nowhere": ({"input": "a", "conversation": "conv_1"}, "conversation"),
    "an answer for later": ({"input": "a", "background": True}, "background"),
    "a template that is kept nowhere": ({"input": "a", "prompt": {"id": "pmpt_1"}}, "prompt"),
    "an item that is kept nowhere": ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
}


@pytest.mark.parametrize(("body", "param"), WRONG.values(), ids=WRONG.keys())
def test_what_is_no_request(body: Json, param: str):
    with pytest.raises(BadRequestError) as raised:
        to_chat(body)
    assert raised.value.param == param
