"""After the first good chunk: a stream that breaks says so and hands over what arrived; one that is odd but whole is
read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from quoth import errors
from tests.faults.harness import Caller
from tests.faultserver import (
    USAGE,
    Answer,
    Close,
    FaultServer,
    Reset,
    Send,
    SendSlowly,
    Step,
    answer,
    chat,
    delta,
    event,
    sse,
)

pytestmark = pytest.mark.timeout(30)

Calling = Callable[..., Caller]
TEXT = "Grüße, 世界 🌍! e\u0301"


# Broken.


@dataclass(frozen=True, slots=True)
class Break:
    """A script, what of it arrived, and a part of what is said of the rest."""

    name: str
    script: tuple[Step, ...]
    says: str
    partial: str = "one two "


def then(*more: Any, **how: Any) -> Answer:
    return sse("one ", "two ", *more, **how)


def unended(*more: Any) -> Answer:
    return then(*more, finish_reason=None, usage=None, done=False)


LUCK = {"error": {"message": "out of luck", "type": "provider_error", "code": 500}}
BEGUN = then("three").first(2)
CLOSED = then("three").framed("close").first(2)
PACKED = then("three").gzipped().paced(0.05)
MANY_LINES = b"data: " + b"\ndata: ".join([b"x" * 65536] * 320) + b"\n\n"
UNFINISHED = "before the answer was finished"

BREAKS = [
    Break("reset", (BEGUN, Reset()), ""),
    Break("fin", (BEGUN, Close()), "closed"),
    Break("fin in a chunk", (BEGUN, Send(b"ff\r\ndata: {"), Close()), ""),
    Break("fin where that is the end", (CLOSED, Close()), UNFINISHED),
    Break("the end without a finish reason", (unended(),), UNFINISHED),
    Break("half an event", (unended(b'data: {"choices": [{"delta": {"cont'),), UNFINISHED),
    Break("an event without its blank line", (unended(event(delta("three")).rstrip(b"\n")),), UNFINISHED),
    Break("an error event", (then(LUCK, "three"),), "out of luck"),
    Break("a named error event", (then(event({"message": "out of luck"}, name="error")),), "out of luck"),
    Break("an error as text", (then({"error": "out of luck"}),), "out of luck"),
    Break("not JSON", (then(event(b"hello there")),), "hello there"),
    Break("half of the JSON", (then(event(b'{"choices": [')),), "cannot be read"),
    Break("a page", (then(event(b"<html><title>Bad Gateway</title></html>")),), "HTML"),
    Break("a list", (then(event(b"[]")),), "not an object"),
    Break("not UTF-8", (then(event(b'{"choices": [{"delta": {"content": "\xff"}}]}')),), "cannot be read"),
    Break("a line of 20 MiB", (then("x" * (20 << 20)),), "event of more than 16,777,216 bytes"),
    Break("an event of 20 MiB in short lines", (then(MANY_LINES),), "event of more than"),
    Break("a chunk without a size", (replace(then("three"), bad_chunk=2),), ""),
    Break("broken compression", (replace(PACKED, body=(*PACKED.body[:2], b"\xff" * 50)),), "compressed"),
    Break("compression cut off", (replace(PACKED, body=PACKED.body[:2]),), "compressed"),
]


@pytest.mark.parametrize("broken", BREAKS, ids=lambda broken: broken.name.replace(" ", "-"))
def test_a_stream_that_breaks_hands_over_what_arrived(calling: Calling, server: FaultServer, broken: Break):
    server.play(*broken.script)
    pieces = calling(num_retries=2, fallbacks=["poe/never-asked"]).stream()
    arrived: list[str] = []
    with pytest.raises(errors.StreamInterrupted) as caught:
        arrived += (choice.delta.content for chunk in pieces for choice in chunk.choices)
    raised = caught.value
    assert broken.says in raised.message
    assert raised.message.isprintable()
    assert raised.partial.choices[0].message.content == broken.partial
    assert raised.partial.choices[0].finish_reason is None
    assert (raised.llm_provider, raised.model, raised.retryable) == ("custom_openai", "m", False)
    assert len(server.requests) == 1
    # Nothing more comes of it, and it says nothing else.
    assert list(pieces) == []
    assert pieces.stream.response is None


def test_chunks_before_the_break_are_handed_out(calling: Calling, server: FaultServer):
    server.play(BEGUN, Reset())
    pieces = calling().stream()
    assert next(pieces).choices[0].delta.content == "one "
    assert next(pieces).choices[0].delta.content == "two "
    with pytest.raises(errors.StreamInterrupted):
        next(pieces)


def test_an_error_event_keeps_its_class_as_the_cause(calling: Calling, server: FaultServer):
    server.play(sse("one", {"error": {"message": "slow down", "type": "rate_limit_error", "code": 429}}))
    with pytest.raises(errors.StreamInterrupted) as caught:
        calling().ask(stream=True)
    raised = caught.value
    assert (raised.code, raised.type) == ("429", "rate_limit_error")
    assert isinstance(raised.__cause__, errors.RateLimitError)
    assert raised.body == {"error": {"message": "slow down", "type": "rate_limit_error", "code": 429}}


# Odd, but whole.


def whole(*chunks: Any, **how: Any) -> tuple[Step, ...]:
    return (sse(*chunks, **how),)


NEWLINES = (b"\n", b"\r", b"\r\n")
NOTHING = {"choices": [{"index": 0, "delta": {"content": None}}]}
FIN = delta(finish_reason="stop")
ODD: dict[str, tuple[Step, ...]] = {
    "CRLF": whole(*TEXT, newline=b"\r\n"),
    "CR": whole(*TEXT, newline=b"\r"),
    "newlines mixed": whole(*[event(delta(char), newline=NEWLINES[at % 3]) for at, char in enumerate(TEXT)]),
    "a byte order mark": whole(b"\xef\xbb\xbf", TEXT),
    "blank lines first": whole(b"\n\r\n\n", TEXT),
    "comments between": whole(*[part for char in TEXT for part in (b": ping\n\n", char)]),
    "comments in events": whole(b": a\n" + event(delta(TEXT)).replace(b"\n\n", b"\n:b\n\n")),
    "unknown fields": whole(b"id: 7\nretry: 100\nfoo\nbar: baz\n" + event(delta(TEXT))),
    "no space after the colon": whole(event(delta(TEXT)).replace(b"data: ", b"data:")),
    "data in several lines": whole(event(delta(TEXT)).replace(b'"choices"', b'\ndata: "choices"')),
    "named events": whole(event(delta(TEXT), name="message")),
    "[DONE] twice": whole(TEXT, event(b"[DONE]")),
    "events after [DONE]": whole(TEXT, FIN, event(b"[DONE]"), "never seen"),
    "no [DONE]": whole(TEXT, done=False),
    "closed without [DONE]": (sse(TEXT, done=False).framed("close"),),
    "reset after [DONE]": (sse(TEXT).first(4), Reset()),
    "no finish reason but [DONE]": whole(TEXT, finish_reason=None),
    "labelled as text": (sse(TEXT).typed("text/plain"),),
    "labelled as JSON": (sse(TEXT).typed("application/json"),),
    "compressed": (sse(TEXT).gzipped(),),
    "compressed, compactly": (sse(*TEXT).gzipped().framed("length"),),
    "with its length": (sse(TEXT).framed("length"),),
    "until the end": (sse(TEXT).framed("close"),),
    "after early hints": (sse(TEXT).after(103, 100, 102),),
    "in one event": whole(delta(TEXT, finish_reason="stop"), finish_reason=None),
    "not streamed": (chat(TEXT),),
    "choices null": whole({"choices": None}, TEXT),
    "choices empty": whole({"choices": []}, TEXT, {"choices": []}),
    "an index missing": whole({"choices": [{"delta": {"content": TEXT}}]}),
    "a role in each": whole(*[delta(char, role="assistant") for char in TEXT]),
    "content null between": whole(*[part for char in TEXT for part in (NOTHING, char)]),
}


@pytest.mark.parametrize("odd", ODD, ids=lambda name: name.replace(" ", "-"))
def test_an_odd_stream_is_read(caller: Caller, server: FaultServer, odd: str):
    server.play(*ODD[odd])
    said = caller.ask(stream=True)
    assert said.text == TEXT
    assert said.response.choices[0].message.content == TEXT


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_one_byte_at_a_time(caller: Caller, server: FaultServer, newline: bytes, framing: Any):
    server.play(sse(TEXT, newline=newline).framed(framing).dripped(every=0.0002))
    assert caller.ask(stream=True).text == TEXT


def test_split_at_every_byte(caller: Caller, server: FaultServer):
    reply = sse("é", "世", "🌍", usage=None).framed("length")
    start = reply.raw.index(b"\r\n\r\n")
    for at in range(start, len(reply.raw)):
        server.play(reply.split(at, every=0.0005))
        assert caller.ask(stream=True).text == "é世🌍", f"split at {at}"


def test_keep_alives_for_a_while(caller: Caller, server: FaultServer):
    reply, wait = sse("now"), b"8\r\n: wait\n\n\r\n"
    server.play(reply.first(0), SendSlowly(wait * 40, every=0.005, size=len(wait)), reply.rest(0))
    assert caller.ask(stream=True).text == "now"


def test_a_burst_of_events(caller: Caller, server: FaultServer):
    server.play(sse(*["x"] * 5000))
    assert caller.ask(stream=True).text == "x" * 5000


def test_an_event_of_almost_the_limit(caller: Caller, server: FaultServer):
    server.play(sse("x" * (15 << 20)))
    assert len(caller.ask(stream=True).text) == 15 << 20


# Usage.


BARE: dict[str, Any] = {"finish_reason": None, "usage": None}


def usage(count: int, **more: Any) -> dict[str, Any]:
    return {"choices": [], **more, "usage": {"prompt_tokens": 1, "completion_tokens": count, "total_tokens": count + 1}}


USAGES: dict[str, tuple[tuple[Step, ...], int | None]] = {
    "at the end": (whole("hi", usage={**USAGE, "completion_tokens": 9}), 9),
    "never": (whole("hi", usage=None), None),
    "twice, the last counts": (whole("hi", FIN, usage(4), usage(9), **BARE), 9),
    "in each chunk": (whole(usage(1, **delta("hi")), usage(9, **FIN), **BARE), 9),
    "with the finish reason": (whole("hi", usage(9, **FIN), **BARE), 9),
    "null between": (whole({**delta("hi"), "usage": None}, usage={**USAGE, "completion_tokens": 9}), 9),
    "zero": (whole("hi", usage={**USAGE, "completion_tokens": 0}), 0),
    "after [DONE]": (whole("hi", FIN, event(b"[DONE]"), usage(9), done=False, **BARE), None),
}


@pytest.mark.parametrize("case", USAGES, ids=lambda name: name.replace(" ", "-"))
def test_usage(caller: Caller, server: FaultServer, case: str):
    script, expected = USAGES[case]
    server.play(*script)
    said = caller.ask(stream=True)
    assert said.text == "hi"
    found = said.response.usage
    assert (None if found is None else found.completion_tokens) == expected


# Fields of wrong types: kept out of the typed object, with a warning; the rest is kept.


def completion(**changes: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": "hi", **changes.pop("message", {})}
    choice = {"index": 0, "message": message, "finish_reason": "stop", **changes.pop("choice", {})}
    return {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], **changes}


MALFORMED: dict[str, tuple[dict[str, Any], str]] = {
    "created": (completion(created="yesterday"), "created"),
    "model": (completion(model=["m"]), "model"),
    "usage": (completion(usage="plenty"), "usage"),
    "usage field": (completion(usage={"prompt_tokens": "many", "completion_tokens": 2}), "usage.prompt_tokens"),
    "finish_reason": (completion(choice={"finish_reason": {"why": 7}}), "choices.0.finish_reason"),
    "logprobs": (completion(choice={"logprobs": "high"}), "choices.0.logprobs"),
    "role": (completion(message={"role": [5]}), "choices.0.message.role"),
    "tool_calls": (completion(message={"tool_calls": "none"}), "choices.0.message.tool_calls"),
    "refusal": (completion(message={"refusal": {"no": 1}}), "choices.0.message.refusal"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_field_is_set_aside(caller: Caller, server: FaultServer, name: str):
    body, where = MALFORMED[name]
    server.play(answer(body))
    said = caller.ask(stream=False)
    assert said.text == "hi"
    assert [(warning.code, warning.param) for warning in said.warnings] == [("malformed_field", where)]


@pytest.mark.parametrize(
    "chunk",
    [
        {**delta("hi"), "created": "now"},
        {**delta("hi"), "usage": "plenty"},
        delta("hi", role=[5]),
        delta("hi", tool_calls="none"),
        {"choices": [{"index": "first", "delta": {"content": "hi"}}]},
        {"choices": [{"index": 0, "delta": {"content": "hi"}, "logprobs": 5}]},
    ],
    ids=["created", "usage", "role", "tool-calls", "index", "logprobs"],
)
def test_a_malformed_field_of_a_chunk_is_set_aside(caller: Caller, server: FaultServer, chunk: dict[str, Any]):
    server.play(sse(chunk))
    said = caller.ask(stream=True)
    assert said.text == "hi"
    assert "malformed_field" in said.codes


EMPTY: dict[str, dict[str, Any]] = {
    "no choices": completion(choices=[]),
    "choices null": completion(choices=None),
}


@pytest.mark.parametrize("name", EMPTY, ids=lambda name: name.replace(" ", "-"))
def test_an_answer_without_a_choice_is_an_answer(caller: Caller, server: FaultServer, name: str):
    server.play(answer(EMPTY[name]))
    found = caller.whole()
    assert list(found.choices) == []
    assert "no_choices" in [warning.code for warning in found.warnings]


@pytest.mark.parametrize("content", [None, ""])
def test_an_answer_without_content_is_an_answer(caller: Caller, server: FaultServer, stream: bool, content: str | None):
    server.play(sse(delta(content)) if stream else chat(content))
    assert caller.ask(stream=stream).text == ""


def test_a_refusal_by_filter_is_an_answer(caller: Caller, server: FaultServer, stream: bool):
    reply = sse(delta("I "), finish_reason="content_filter") if stream else chat("I ", finish_reason="content_filter")
    server.play(reply)
    assert caller.ask(stream=stream).response.choices[0].finish_reason == "content_filter"


def test_unknown_fields_are_kept(caller: Caller, server: FaultServer, stream: bool):
    if stream:
        server.play(sse({**delta("hi", thought="deep"), "citations": ["a"]}))
    else:
        server.play(answer(completion(message={"thought": "deep"}, citations=["a"])))
    found = caller.ask(stream=stream).response.model_dump()
    assert found["citations"] == ["a"]
    assert found["choices"][0]["message"]["thought"] == "deep"


def test_another_model_than_was_asked_for(caller: Caller, server: FaultServer, stream: bool):
    server.play(sse({**delta("hi"), "model": "cousin"}) if stream else answer(completion(model="cousin")))
    assert caller.ask(stream=stream).response.model == "cousin"


# Tool calls.


def call(index: int | None, arguments: str | None = None, name: str | None = None, id: str | None = None) -> Any:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    head = {key: value for key, value in (("index", index), ("id", id)) if value is not None}
    return {**head, "type": "function", "function": function}


def calls(*pieces: Any) -> tuple[Step, ...]:
    return (sse(*[delta(tool_calls=[piece]) for piece in pieces], finish_reason="tool_calls"),)


A, B = '{"city": "Par\\u0069s \\"x\\""}', '{"zone": "Rome"}'
FIRST, SECOND = ("call_a", "weather", A), ("call_b", "time", B)
BEGIN_A, BEGIN_B = call(0, "", "weather", "call_a"), call(1, "", "time", "call_b")
WHOLE_A, WHOLE_B = call(0, A, "weather", "call_a"), call(1, B, "time", "call_b")
TOOLS: dict[str, tuple[tuple[Step, ...], list[tuple[str | None, str, str]]]] = {
    "whole": (calls(WHOLE_A, WHOLE_B), [FIRST, SECOND]),
    "in pieces": (calls(BEGIN_A, *[call(0, char) for char in A]), [FIRST]),
    "cut inside an escape": (calls(BEGIN_A, call(0, A[:15]), call(0, A[15:18]), call(0, A[18:])), [FIRST]),
    "interleaved": (calls(BEGIN_A, BEGIN_B, call(0, A[:9]), call(1, B), call(0, A[9:])), [FIRST, SECOND]),
    "unordered": (calls(WHOLE_B, WHOLE_A), [FIRST, SECOND]),
    "indexes with a gap": (calls({**WHOLE_A, "index": 3}, {**WHOLE_B, "index": 7}), [FIRST, SECOND]),
    "without an index": (
        calls(call(None, "", "weather", "call_a"), call(None, A), call(None, "", "time", "call_b"), call(None, B)),
        [FIRST, SECOND],
    ),
    "one index for two": (calls(WHOLE_A, {**WHOLE_B, "index": 0}), [FIRST, SECOND]),
    "one index for two, in pieces": (
        calls(BEGIN_A, call(0, A[:9]), call(0, A[9:]), {**BEGIN_B, "index": 0}, call(0, B[:9]), call(0, B[9:])),
        [FIRST, SECOND],
    ),
    "the id in each piece": (calls(BEGIN_A, *[call(0, char, None, "call_a") for char in A]), [FIRST]),
    "the name in each piece": (calls(BEGIN_A, *[call(0, char, "weather") for char in A]), [FIRST]),
    "no id": (calls(call(0, A, "weather")), [(None, "weather", A)]),
    "no arguments": (calls(call(0, None, "now", "call_c")), [("call_c", "now", "{}")]),
}


@pytest.mark.parametrize("case", TOOLS, ids=lambda name: name.replace(" ", "-"))
def test_tool_calls(caller: Caller, server: FaultServer, case: str):
    script, expected = TOOLS[case]
    server.play(*script)
    found = caller.ask(stream=True).response.choices[0].message.tool_calls
    assert [(one.id, one.function.name, one.function.arguments) for one in found or ()] == expected
