"""The chat wire: a body to a request, an answer to a Completion and back, every envelope of errors, lenient reading."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quoth.call import Row, Target
from quoth.types import Chunk, Completion, Warning
from quoth.wire.openai_chat import (
    DONE,
    Unreadable,
    UpstreamError,
    error_facts,
    filled,
    head,
    parse,
    parse_event,
)
from quoth.wire.sse import Event
from tests.wire.strategies import PLAIN, completions

Json = dict[str, Any]

TARGET = Target(Row("acme", "https://llm.acme.example/v1"), "m", "https://llm.acme.example/v1", key="k-1")
HEAD: Json = {"id": "c1", "object": "chat.completion", "created": 1, "model": "m"}
USAGE: Json = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}


def answer(message: Json, finish_reason: str | None = "stop", usage: Json | None = None, **more: Any) -> Json:
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    return {**HEAD, "choices": [choice], "usage": usage or USAGE, **more}


def read(body: Any) -> tuple[Completion, list[Warning]]:
    return parse(json.dumps(body).encode())


def first(completion: Completion) -> Any:
    return completion.choices[0].message


# --- What a body becomes -----------------------------------------------------------------------------------------


class TestEncode:
    def test_one_post_with_the_key(self):
        request = filled(head(TARGET, False), {"model": "m", "messages": []})
        assert (request.method, request.url) == ("POST", "https://llm.acme.example/v1/chat/completions")
        assert request.headers["authorization"] == "Bearer k-1"
        assert request.headers["content-type"] == request.headers["accept"] == "application/json"
        assert "k-1" not in repr(request)

    def test_a_streamed_one_accepts_events(self):
        assert head(TARGET, True).headers["accept"] == "text/event-stream"

    def test_no_key_no_header(self):
        target = Target(TARGET.row, "m", TARGET.base_url, headers={"x-a": "b"})
        headers = head(target, False).headers
        assert "authorization" not in headers
        assert headers["x-a"] == "b"

    @settings(deadline=None)
    @given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), PLAIN, max_size=5))
    def test_the_body_is_the_json_of_its_values_in_their_order(self, body: Json):
        sent = json.loads(filled(head(TARGET, False), body).body)
        assert sent == body
        assert list(sent) == list(body)


# --- Whole answers -----------------------------------------------------------------------------------------------

CALLED = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}

# Body, and what is read from it. Each is also written out again and compared with what it was.
ANSWERS: dict[str, tuple[Json, Callable[[Any], Any], Any]] = {
    "text": (answer({"role": "assistant", "content": "Paris"}), lambda c: first(c).content, "Paris"),
    "of no text": (answer({"role": "assistant", "content": None}), lambda c: first(c).content, None),
    "cut at a limit": (
        answer({"role": "assistant", "content": "Par"}, "length"),
        lambda c: c.choices[0].finish_reason,
        "length",
    ),
    "a reason of the provider's own": (
        answer({"role": "assistant", "content": ""}, "eos"),
        lambda c: c.choices[0].finish_reason,
        "eos",
    ),
    "both names of reasoning": (
        answer({"role": "assistant", "content": "4", "reasoning": "2+2", "reasoning_content": "2+2"}),
        lambda c: (first(c).reasoning, first(c).reasoning_content),
        ("2+2", "2+2"),
    ),
    "one name of reasoning": (
        answer({"role": "assistant", "content": "4", "reasoning_content": "2+2"}),
        lambda c: (first(c).reasoning, first(c).reasoning_content),
        ("2+2", "2+2"),
    ),
    "a tool call": (
        answer({"role": "assistant", "content": "", "tool_calls": [CALLED]}, "tool_calls"),
        lambda c: (first(c).tool_calls[0].function.name, first(c).tool_calls[0].function.arguments),
        ("f", '{"x": 1}'),
    ),
    "a tool call with more": (
        answer({"role": "assistant", "content": "", "tool_calls": [{**CALLED, "extra_content": {"google": {"s": 1}}}]}),
        lambda c: first(c).tool_calls[0]["extra_content"],
        {"google": {"s": 1}},
    ),
    "a refusal": (
        answer({"role": "assistant", "content": None, "refusal": "No."}),
        lambda c: first(c).refusal,
        "No.",
    ),
    "usage in detail": (
        answer(
            {"role": "assistant", "content": "a"},
            usage={**USAGE, "prompt_tokens_details": {"cached_tokens": 1, "x": 2}, "cost": 0.5},
        ),
        lambda c: (c.usage["prompt_tokens_details"]["cached_tokens"], c.usage["cost"]),
        (1, 0.5),
    ),
    "fields of no known meaning, everywhere": (
        {**answer({"role": "assistant", "content": "a", "x_message": [1]}), "x_top": {"a": None}},
        lambda c: (c["x_top"], first(c)["x_message"]),
        ({"a": None}, [1]),
    ),
    "no choices": ({**HEAD, "choices": [], "usage": USAGE}, lambda c: list(c.choices), []),
}


@pytest.mark.parametrize(("body", "reading", "expected"), ANSWERS.values(), ids=ANSWERS.keys())
def test_answers(body: Json, reading: Callable[[Any], Any], expected: Any):
    completion, warnings = read(body)
    assert not warnings
    assert reading(completion) == expected
    assert completion.model_dump() == body
    assert json.loads(completion.model_dump_json()) == body


@settings(deadline=None)
@given(completions())
def test_an_answer_is_written_out_as_it_came(body: Json):
    completion, warnings = read(body)
    assert not warnings
    assert completion.model_dump() == body
    assert json.loads(completion.model_dump_json()) == body
    # And what was written out is read the same.
    assert parse(completion.model_dump_json().encode())[0] == completion


@settings(deadline=None)
@given(completions())
def test_a_message_that_came_out_can_go_in_again(body: Json):
    message = read(body)[0].choices[0].message
    sent = filled(head(TARGET, False), {"model": "m", "messages": [message.model_dump()]})
    assert json.loads(sent.body)["messages"] == [body["choices"][0]["message"]]


def test_empty_arguments_read_as_an_empty_object():
    """Some models leave the arguments of a function without parameters empty; every caller would trip over that."""
    empties: tuple[Any, ...] = ("", None, {})
    for empty in empties:
        called = {"id": "a", "type": "function", "function": {"name": "f", "arguments": empty}}
        message = first(read(answer({"role": "assistant", "tool_calls": [called]}))[0])
        assert message.tool_calls[0].function.arguments == "{}"


def test_the_missing_choice_says_what_is_the_matter():
    completion, _ = read({**HEAD, "choices": None})
    with pytest.raises(IndexError, match="answered without any choice"):
        completion.choices[0]


# --- Answers with something wrong in them ------------------------------------------------------------------------

THINKING = [
    {"type": "thinking", "thinking": [{"type": "text", "text": "two "}, {"type": "text", "text": "and two"}]},
    {"type": "text", "text": "Fo"},
    {"type": "reference", "reference_ids": [1]},
    {"type": "text", "text": "ur"},
]

# Body, the places that a warning names, and what is still read.
MALFORMED: dict[str, tuple[Json, list[str], Callable[[Any], Any], Any]] = {
    "usage": (
        answer({"role": "assistant", "content": "a"}, usage={"prompt_tokens": "many", "completion_tokens": 2}),
        ["usage.prompt_tokens"],
        lambda c: (c.usage.prompt_tokens, c.usage["prompt_tokens_as_sent"], c.usage.completion_tokens),
        (None, "many", 2),
    ),
    "usage as a text": (
        {**answer({"role": "assistant", "content": "a"}), "usage": "none"},
        ["usage"],
        lambda c: (c.usage, c["usage_as_sent"], first(c).content),
        (None, "none", "a"),
    ),
    "created": (
        answer({"role": "assistant", "content": "a"}, created="today"),
        ["created"],
        lambda c: (c.created, c["created_as_sent"], first(c).content),
        (None, "today", "a"),
    ),
    "content as an object": (
        answer({"role": "assistant", "content": {"text": "a"}}),
        ["choices.0.message.content"],
        lambda c: (first(c).content, first(c)["content_as_sent"]),
        (None, {"text": "a"}),
    ),
    "a message that is none": (
        {**HEAD, "choices": [{"index": 0, "message": None, "finish_reason": "stop"}]},
        ["choices.0.message"],
        lambda c: (first(c).content, c.choices[0].finish_reason),
        (None, "stop"),
    ),
    "a tool call that is none": (
        answer({"role": "assistant", "content": "a", "tool_calls": ["f()", CALLED]}),
        ["choices.0.message.tool_calls.0"],
        lambda c: (first(c).tool_calls[0]["as_sent"], first(c).tool_calls[1].function.name),
        ("f()", "f"),
    ),
    "a choice that is none": (
        {**HEAD, "choices": ["a", {"index": 1, "message": {"role": "assistant", "content": "b"}}]},
        ["choices.0"],
        lambda c: (c.choices[0]["as_sent"], c.choices[1].message.content),
        ("a", "b"),
    ),
    "several places": (
        answer({"role": "assistant", "content": 5.5, "tool_calls": {}, "refusal": []}, created={}),
        ["created", "choices.0.message.tool_calls", "choices.0.message.refusal"],
        lambda c: (first(c).content, first(c)["tool_calls_as_sent"]),
        ("5.5", {}),
    ),
    "content in parts, as Mistral's reasoning models give it": (
        answer({"role": "assistant", "content": THINKING}),
        ["choices.0.message.content"],
        lambda c: (first(c).content, first(c).reasoning, first(c)["content_as_sent"]),
        ("Four", "two and two", THINKING),
    ),
    "content in parts of all sorts": (
        answer({"role": "assistant", "content": ["a", {"text": "b"}, {"type": "text", "text": None}, 5, {}]}),
        ["choices.0.message.content"],
        lambda c: (first(c).content, first(c).reasoning),
        ("ab", None),
    ),
}


@pytest.mark.parametrize(("body", "places", "reading", "expected"), MALFORMED.values(), ids=MALFORMED.keys())
def test_what_cannot_be_read_is_set_aside_with_a_warning(
    body: Json, places: list[str], reading: Callable[[Any], Any], expected: Any
):
    completion, warnings = read(body)
    assert [warning.param for warning in warnings] == places
    assert {warning.code for warning in warnings} <= {"malformed_field", "content_parts"}
    assert reading(completion) == expected
    # What was set aside has not disappeared.
    assert json.loads(completion.model_dump_json())


def test_what_is_wrong_with_every_chunk_is_said_once():
    warnings: list[Warning] = []
    chunk = {"id": "c", "choices": [{"index": 0, "delta": {"content": [{"type": "text", "text": "a"}]}}]}
    for _ in range(3):
        found = parse_event(Event(json.dumps(chunk).encode()), warnings)
        assert isinstance(found, Chunk)
        assert found.choices[0].delta.content == "a"
    assert [(warning.code, warning.param) for warning in warnings] == [("content_parts", "choices.0.delta.content")]


NO_ANSWER = {
    "nothing": (b"", "not JSON .*an empty body"),
    "a page": (
        b"<!doctype html><html><head><title>Sign in</title></head></html>",
        r"not JSON .*: an HTML page \(Sign in\)$",
    ),
    "a page without a title": (b"<html></html>", "not JSON .*: an HTML page$"),
    "half an answer": (b'{"id": "c1", "choices": [{"index', "not JSON"),
    "a text": (b'"hello"', "JSON, but not an object"),
    "a list": (b"[]", "JSON, but not an object"),
    "null": (b"null", "JSON, but not an object"),
    "an object of another kind": (b'{"hello": "world"}', "JSON, but not a chat completion"),
    "not UTF-8": (b'{"id": "\xff\xfe"}', "not JSON"),
    "half a character": (b'{"id": "\xe6\xbc', "not JSON"),
    "nested without end": (b'{"a":' * 100_000, "not JSON"),
    "an event stream": (b'data: {"id": "c1"}\n\n', "not JSON"),
}


@pytest.mark.parametrize(("raw", "says"), NO_ANSWER.values(), ids=NO_ANSWER.keys())
def test_what_is_no_answer_says_what_it_is(raw: bytes, says: str):
    with pytest.raises(Unreadable, match=f"^{says}"):
        parse(raw)


@pytest.mark.parametrize(
    "raw", [raw for raw, says in NO_ANSWER.values() if says.startswith(("not JSON", "JSON, but not an object"))]
)
def test_neither_is_it_a_chunk(raw: bytes):
    with pytest.raises(Unreadable):
        parse_event(Event(raw or b" "), [])


@settings(deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_no_bytes_do_more_harm_than_that(raw: bytes):
    for reading in (parse, lambda raw: parse_event(Event(raw), [])):
        with suppress(Unreadable, UpstreamError):
            reading(raw)
    assert error_facts(raw).message


@settings(deadline=None)
@given(st.data(), completions())
def test_any_value_in_any_place_is_read_or_refused(data: st.DataObject, body: Json):
    """One field of an answer becomes something else; what is left is still read."""
    places = list(_places(body))
    path = data.draw(st.sampled_from(places))
    place: Any = body
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = data.draw(PLAIN)
    with suppress(Unreadable, UpstreamError):
        completion, _ = read(body)
        assert json.loads(completion.model_dump_json(warnings=False))


def _places(value: Any, path: tuple[Any, ...] = ()) -> Any:
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield (*path, key)
            yield from _places(item, (*path, key))


# --- Events of a stream ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"[DONE]", b"[DONE] ", b"[DONE]\n"])
def test_the_end(data: bytes):
    assert parse_event(Event(data), []) is DONE


def test_an_event_without_data_is_a_keep_alive():
    found = parse_event(Event(b""), [])
    assert isinstance(found, Chunk)
    assert found.choices == []


@pytest.mark.parametrize(
    ("event", "status", "type_", "message"),
    [
        (Event(b'{"error": {"message": "no", "type": "t", "code": 503}}'), 503, "t", "no"),
        (Event(b'{"error": {"message": "no", "code": "rate_limit_exceeded"}}'), None, None, "no"),
        (Event(b'{"error": "no"}'), None, None, "no"),
        (Event(b'{"message": "no", "type": "t"}', b"error"), None, "t", "no"),
        (Event(b'{"id": "c", "choices": [], "error": {"message": "no", "code": 200}}'), None, None, "no"),
    ],
)
def test_an_error_in_a_stream(event: Event, status: int | None, type_: str | None, message: str):
    with pytest.raises(UpstreamError) as caught:
        parse_event(event, [])
    assert (caught.value.status, caught.value.facts.type, caught.value.facts.message) == (status, type_, message)


@pytest.mark.parametrize("error", [None, {}, "", False])
def test_an_error_that_says_nothing_is_none(error: Any):
    body = {**answer({"role": "assistant", "content": "a"}), "error": error}
    assert first(read(body)[0]).content == "a"
    event = Event(json.dumps({"id": "c", "choices": [], "error": error}).encode())
    assert isinstance(parse_event(event, []), Chunk)


def test_an_error_where_an_answer_was_due():
    with pytest.raises(UpstreamError) as caught:
        read({"error": {"message": "overloaded", "code": 529}})
    assert (caught.value.status, str(caught.value)) == (529, "overloaded")


def test_an_error_beside_an_answer_leaves_the_answer():
    body = {**answer({"role": "assistant", "content": "a"}), "error": {"message": "slow today"}}
    completion, _ = read(body)
    assert first(completion).content == "a"
    assert completion["error"]["message"] == "slow today"


# --- Error bodies ------------------------------------------------------------------------------------------------

# What is in the body: (message, type, code, param).
ERRORS: dict[str, tuple[Any, tuple[str, str | None, str | None, str | None]]] = {
    "Poe, recorded": (
        {"error": {"message": "m", "type": "invalid_request_error", "param": "model", "code": "c", "error_id": "0a"}},
        ("m", "invalid_request_error", "c", "model"),
    ),
    "Poe, recorded without code": (
        {"error": {"message": "m", "type": "provider_error"}},
        ("m", "provider_error", None, None),
    ),
    "Poe, documented, numeric": (
        {"error": {"code": 401, "type": "authentication_error", "message": "m", "metadata": {"a": 1}}},
        ("m", "authentication_error", "401", None),
    ),
    "Poe, messages": (
        {"type": "error", "error": {"type": "invalid_request_error", "message": "m"}, "request_id": "req_poe_1"},
        ("m", "invalid_request_error", None, None),
    ),
    "Poe, bots": ({"error": {"message": "m"}}, ("m", None, None, None)),
    "Poe, its front": ({"detail": "Method Not Allowed"}, ("Method Not Allowed", None, None, None)),
    "FastAPI, validation": (
        {"detail": [{"loc": ["body"], "msg": "field required"}]},
        ('[{"loc":["body"],"msg":"field required"}]', None, None, None),
    ),
    "Google, in a list": (
        [{"error": {"code": 400, "message": "m", "status": "INVALID_ARGUMENT"}}],
        ("m", None, "400", None),
    ),
    "Mistral": (
        {"object": "error", "message": {"detail": ["x"]}, "type": "invalid_request_error", "param": None, "code": 1},
        ('{"detail":["x"]}', "invalid_request_error", "1", None),
    ),
    "vLLM, flat": ({"object": "error", "message": "m", "type": "BadRequest"}, ("m", "BadRequest", None, None)),
    "Ollama": ({"error": "model 'x' not found"}, ("model 'x' not found", None, None, None)),
    "null beside a message": ({"error": None, "message": "m"}, ("m", None, None, None)),
    "an empty message": ({"error": {"message": "", "a": 1}}, ('{"error": {"message": "", "a": 1}}', None, None, None)),
    "an empty error": ({"error": ""}, ('{"error": ""}', None, None, None)),
    "a number": (5, ("5", None, None, None)),
    "an empty list": ([], ("[]", None, None, None)),
    "type as an object": ({"error": {"message": "m", "type": {}}}, ("m", None, None, None)),
}  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), ERRORS.values(), ids=ERRORS.keys())
def test_error_bodies(body: Any, expected: tuple[str, str | None, str | None, str | None]):
    facts = error_facts(json.dumps(body).encode())
    assert (facts.message, facts.type, facts.code, facts.param) == expected
    assert facts.body == body


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "no body"),
        (b"  \n ", "no body"),
        (b"upstream connect error", "upstream connect error"),
        (b"<html><head><title>502 Bad Gateway</title></head></html>", "an HTML page (502 Bad Gateway)"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"x" * 500, "x" * 200 + "…"),
        (b"[" * 100_000, "[" * 200 + "…"),
    ],
)
def test_error_bodies_that_are_no_json(raw: bytes, message: str):
    facts = error_facts(raw)
    assert facts.message == message
    assert isinstance(facts.body, str)
    assert len(facts.body) <= 4096


def test_half_characters_are_replaced_and_said() -> None:
    raw = rb'{"choices":[{"message":{"content":"a\ud83d b \ud83d\ude00 \\ud83d \ude00"}}]}'
    completion, warnings = parse(raw)
    assert completion.choices[0].message.content == "a\ufffd b \U0001f600 \\ud83d \ufffd"
    assert [warning.code for warning in warnings] == ["lone_surrogate"]
