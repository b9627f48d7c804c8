"""`assemble(stream of an answer) == parse(that answer)`, for answers and streams of every make."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quoth import stream_chunk_builder
from quoth.types import Chunk, Completion, Warning
from quoth.wire.assemble import Assembler, assemble
from quoth.wire.openai_chat import Done, as_chunk, is_good, parse, parse_event
from quoth.wire.sse import SSEDecoder
from tests.wire.strategies import completions, events, streams_of

HEAD = {"id": "c1", "object": "chat.completion.chunk", "created": 5, "model": "m"}


def read(raw: bytes, cuts: list[int] | None = None) -> tuple[list[Chunk], list[Warning]]:
    """The chunks of a stream that arrives in these pieces; it has to end with [DONE]."""
    decoder, warnings = SSEDecoder(), list[Warning]()
    places = [0, *sorted(min(cut, len(raw)) for cut in cuts or ()), len(raw)]
    found = [parse_event(event, warnings) for start, end in pairwise(places) for event in decoder.feed(raw[start:end])]
    assert isinstance(found.pop(), Done)
    return [chunk for chunk in found if isinstance(chunk, Chunk)], warnings


def meant(completion: Completion) -> Any:
    """What an answer says. A field that is null says what one that is absent does."""
    return without_nulls(completion.model_dump())


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_nulls(item) for name, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


@settings(deadline=None)
@given(st.data(), completions(), st.booleans(), st.lists(st.integers(0, 3000), max_size=6))
def test_a_stream_assembles_to_the_answer_it_streams(
    data: st.DataObject, answer: dict[str, Any], ascii_only: bool, cuts: list[int]
):
    stream = data.draw(streams_of(answer))
    chunks, warnings = read(events(stream, ascii_only=ascii_only), cuts)
    whole, found = parse(json.dumps(answer).encode())
    assert not warnings
    assert not found
    assembler = Assembler()
    for chunk in chunks:
        assembler.add(chunk)
    assert assembler.finished
    assert meant(assembler.completion()) == meant(whole)
    built = stream_chunk_builder(chunks)
    assert built is not None
    assert meant(built) == meant(whole)


@settings(deadline=None)
@given(completions())
def test_an_answer_as_one_chunk_assembles_to_itself(answer: dict[str, Any]):
    whole, _ = parse(json.dumps(answer).encode())
    assert meant(assemble([as_chunk(whole)])) == meant(whole)


def piece(delta: dict[str, Any] | None = None, finish_reason: str | None = None, **fields: Any) -> dict[str, Any]:
    return {**HEAD, "choices": [{"index": 0, "delta": delta or {}, "finish_reason": finish_reason}], **fields}


def tool(**fields: Any) -> dict[str, Any]:
    return piece({"tool_calls": [fields]})


def call(id: str | None, name: str, arguments: str) -> dict[str, Any]:
    found = {"type": "function", "function": {"name": name, "arguments": arguments}}
    return found if id is None else {"id": id, **found}


CALLS = {
    "one, in pieces": (
        [
            tool(index=0, id="a", type="function", function={"name": "f", "arguments": ""}),
            tool(index=0, function={"arguments": '{"x":'}),
            tool(index=0, function={"arguments": "1}"}),
        ],
        [call("a", "f", '{"x":1}')],
    ),
    "without arguments": ([tool(index=0, id="a", function={"name": "f"})], [call("a", "f", "{}")]),
    "arguments as an object": (
        [tool(index=0, id="a", function={"name": "f", "arguments": "{}"})],
        [call("a", "f", "{}")],
    ),
    "two at once, mixed": (
        [
            tool(index=0, id="a", function={"name": "f", "arguments": ""}),
            tool(index=1, id="b", function={"name": "g", "arguments": ""}),
            tool(index=0, function={"arguments": "[1]"}),
            tool(index=1, function={"arguments": "[2]"}),
        ],
        [call("a", "f", "[1]"), call("b", "g", "[2]")],
    ),
    "out of order": (
        [
            tool(index=1, id="b", function={"name": "g", "arguments": "[2]"}),
            tool(index=0, id="a", function={"name": "f", "arguments": "[1]"}),
        ],
        [call("a", "f", "[1]"), call("b", "g", "[2]")],
    ),
    "two with the same index": (
        [
            tool(index=0, id="a", function={"name": "f", "arguments": "[1]"}),
            tool(index=0, id="b", function={"name": "f", "arguments": "[2"}),
            tool(index=0, function={"arguments": "]"}),
        ],
        [call("a", "f", "[1]"), call("b", "f", "[2]")],
    ),
    "without an index, whole": (
        [tool(id="a", function={"name": "f", "arguments": "[1]"}), tool(id="b", function={"name": "g"})],
        [call("a", "f", "[1]"), call("b", "g", "{}")],
    ),
    "without an index, in pieces": (
        [
            tool(id="a", function={"name": "f", "arguments": "["}),
            tool(function={"arguments": "1]"}),
            tool(id="b", function={"name": "g", "arguments": "["}),
            tool(id="b", function={"arguments": "2]"}),
        ],
        [call("a", "f", "[1]"), call("b", "g", "[2]")],
    ),
    "id and name again in every piece": (
        [
            tool(index=0, id="a", type="function", function={"name": "f", "arguments": "["}),
            tool(index=0, id="a", type="function", function={"name": "f", "arguments": "1]"}),
        ],
        [call("a", "f", "[1]")],
    ),
    "a name in two pieces": (
        [tool(index=0, id="a", function={"name": "get_"}), tool(index=0, function={"name": "weather"})],
        [call("a", "get_weather", "{}")],
    ),
    "without an id": ([tool(index=0, function={"name": "f", "arguments": "[1]"})], [call(None, "f", "[1]")]),
    "with what Gemini wants back": (
        [tool(index=0, id="a", function={"name": "f"}, extra_content={"google": {"thought_signature": "s"}})],
        [{**call("a", "f", "{}"), "extra_content": {"google": {"thought_signature": "s"}}}],
    ),
    "a tool whose input is free text": (
        [
            tool(index=0, id="a", type="custom", custom={"name": "f", "input": "print("}),
            tool(index=0, custom={"input": "1)"}),
        ],
        [{"id": "a", "type": "custom", "custom": {"name": "f", "input": "print(1)"}}],
    ),
}


@pytest.mark.parametrize(("stream", "expected"), CALLS.values(), ids=CALLS.keys())
def test_tool_calls(stream: list[dict[str, Any]], expected: list[dict[str, Any]]):
    chunks, warnings = read(events([*stream, piece(finish_reason="tool_calls")]))
    message = assemble(chunks).choices[0].message
    assert not warnings
    assert [found.model_dump() for found in message.tool_calls or ()] == expected
    assert message.content is None


def test_reasoning_reads_under_both_names():
    chunks, _ = read(events([piece({"reasoning": "so "}), piece({"reasoning": "be it"}), piece(finish_reason="stop")]))
    assert chunks[0].choices[0].delta.reasoning_content == "so "
    message = assemble(chunks).choices[0].message
    assert message.reasoning == message.reasoning_content == "so be it"
    assert message.model_dump() == {"role": "assistant", "reasoning": "so be it"}


def test_usage_is_the_last_one_given():
    stream = [piece({"content": "a"}, usage={"completion_tokens": 1}), piece(usage={"completion_tokens": 9})]
    chunks, _ = read(events([*stream, piece({"content": "b"}, "stop")]))
    answer = assemble(chunks)
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 9


def test_the_head_is_the_first_that_says_something():
    """Azure's first chunk has its filters, an empty id and no model."""
    azure = {"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": [1]}
    chunks, _ = read(events([azure, piece({"content": "a"}), piece(finish_reason="stop")]))
    answer = assemble(chunks)
    assert (answer.id, answer.model, answer.created) == ("c1", "m", 5)
    assert answer["prompt_filter_results"] == [1]


def test_speech_in_pieces():
    stream = [
        piece({"audio": {"id": "a1"}}),
        piece({"audio": {"data": "AAAA", "transcript": "hel"}}),
        piece({"audio": {"data": "BBBB", "transcript": "lo", "expires_at": 7}}),
        piece(finish_reason="stop"),
    ]
    message = assemble(read(events(stream))[0]).choices[0].message
    assert message.model_dump()["audio"] == {
        "id": "a1", "data": "AAAABBBB", "transcript": "hello", "expires_at": 7,
    }  # fmt: skip


def test_lists_of_unknown_meaning_grow_and_other_fields_take_the_later_value():
    stream = [
        piece({"content": "a", "annotations": [1], "note": "x"}),
        piece({"annotations": [2], "note": "y"}, citations=["u"]),
        piece({"note": None}, "stop"),
    ]
    answer = assemble(read(events(stream))[0])
    assert answer["citations"] == ["u"]
    message = answer.choices[0].message
    assert (message["annotations"], message["note"]) == ([1, 2], "y")


def test_half_a_stream_is_half_an_answer():
    assembler = Assembler()
    assert not assembler.finished
    assert assembler.completion().choices == []
    chunks, _ = read(events([piece({"role": "assistant", "content": "Hal"}), piece({"content": "f"})]))
    for chunk in chunks:
        assembler.add(chunk)
    assert not assembler.finished
    answer = assembler.completion()
    assert answer.choices[0].message.content == "Half"
    assert answer.choices[0].finish_reason is None


def test_several_choices_are_finished_together():
    first = {**HEAD, "choices": [{"index": 1, "delta": {"content": "b"}, "finish_reason": "stop"}]}
    second = {**HEAD, "choices": [{"index": 0, "delta": {"content": "a"}}]}
    assembler = Assembler()
    for chunk in read(events([first, second]))[0]:
        assembler.add(chunk)
    assert not assembler.finished
    assert [choice.message.content for choice in assembler.completion().choices] == ["a", "b"]
    assembler.add(Chunk.model_validate(piece(finish_reason="stop")))
    assert assembler.finished


GOOD = [
    piece({"content": "a"}),
    piece({"reasoning": "a"}),
    piece({"reasoning_content": "a"}),
    piece({"refusal": "a"}),
    tool(index=0, id="a"),
    piece({"function_call": {"name": "f"}}),
    piece(finish_reason="stop"),
    {**HEAD, "choices": [], "usage": {"total_tokens": 1}},
    piece({"audio": {"id": "a"}}),
]
NOT_YET = [
    {},
    HEAD,
    {**HEAD, "choices": []},
    piece(),
    piece({"role": "assistant", "content": ""}),
    piece({"role": "assistant", "content": None, "tool_calls": None, "reasoning_content": ""}),
    piece({"role": "assistant", "annotations": [], "note": None}),
    piece(usage=None),
    {**HEAD, "choices": [], "prompt_filter_results": [1]},
]


@pytest.mark.parametrize(
    ("chunk", "good"), [*((chunk, True) for chunk in GOOD), *((chunk, False) for chunk in NOT_YET)]
)
def test_what_commits_a_stream(chunk: dict[str, Any], good: bool):
    assert is_good(Chunk.model_validate(chunk)) is good


def test_calls_without_index_and_id_are_told_apart_by_their_names() -> None:
    pieces = [{"function": {"name": "a", "arguments": "{}"}}, {"function": {"name": "b", "arguments": "{}"}}]
    chunks = [Chunk.model_validate({"choices": [{"delta": {"tool_calls": [piece]}}]}) for piece in pieces]
    calls = assemble(chunks).choices[0].message.tool_calls or []
    assert [call.function.name for call in calls] == ["a", "b"]


def test_another_name_at_the_same_index_is_another_call() -> None:
    pieces = [
        {"index": 0, "id": "1", "function": {"name": "a", "arguments": '{"x"'}},
        {"index": 0, "function": {"arguments": ":1}"}},
        {"index": 0, "function": {"name": "b", "arguments": "{}"}},
    ]
    chunks = [Chunk.model_validate({"choices": [{"delta": {"tool_calls": [piece]}}]}) for piece in pieces]
    calls = assemble(chunks).choices[0].message.tool_calls or []
    assert [(call.function.name, call.function.arguments) for call in calls] == [("a", '{"x":1}'), ("b", "{}")]
