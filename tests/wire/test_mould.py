"""A chunk that is cast cannot be told from one that is read; and what is not cast is read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from quoth.engine.reading import StreamReader
from quoth.types import Chunk
from quoth.wire.assemble import assemble
from quoth.wire.mould import LONGEST, Mould, mould_of
from quoth.wire.openai_chat import Done, Unreadable, UpstreamError, parse_event
from quoth.wire.sse import SSEDecoder
from tests.wire.strategies import TEXT, completions, events, streams_of

HEAD = {"id": "c1", "object": "chat.completion.chunk", "created": 5, "model": "m"}


def event(delta: Any, choice: dict[str, Any] | None = None, **more: Any) -> bytes:
    choices = [{"index": 0, "delta": delta, "finish_reason": None, **(choice or {})}]
    return json.dumps({**HEAD, "choices": choices, **more}).encode()


def mould(data: bytes) -> Mould | None:
    return mould_of(data, Chunk.model_validate_json(data))


def inside(value: Any) -> Any:
    """All that there is to a model, down to its parts; order of fields included."""
    if isinstance(value, BaseModel):
        extra, private = value.__pydantic_extra__, value.__pydantic_private__
        return type(value), inside(vars(value)), value.model_fields_set, inside(extra), private
    if isinstance(value, dict):
        return [(name, inside(item)) for name, item in value.items()]
    return [inside(item) for item in value] if isinstance(value, list) else (type(value), value)


def shown(chunk: Chunk) -> tuple[Any, ...]:
    return chunk.model_dump(), chunk.model_dump(exclude_unset=False), chunk.model_dump_json(), repr(chunk)


ALIKE: dict[str, Callable[[str], bytes]] = {
    "content": lambda text: event({"content": text}),
    "with the role": lambda text: event({"role": "assistant", "content": text}),
    "reasoning_content": lambda text: event({"reasoning_content": text}),
    "reasoning": lambda text: event({"reasoning": text}),
    "reasoning beside empty content": lambda text: event({"content": "", "reasoning": text}),
    "reasoning beside no content": lambda text: event({"content": None, "reasoning_content": text}),
    "reasoning beside its empty twin": lambda text: event({"reasoning": None, "reasoning_content": text}),
    "reasoning under both names": lambda text: event({"reasoning_content": text, "reasoning": text}),
    "reasoning under both names beside empty content": lambda text: event(
        {"role": "assistant", "content": "", "reasoning": text, "reasoning_content": text}
    ),
    "nulls": lambda text: event({"content": text, "refusal": None, "tool_calls": None}, {"logprobs": None}, usage=None),
    "unknown fields": lambda text: event({"content": text, "x": 1}, {"y": "z"}, by="p", flag=True, none=None, part=0.5),
    "an error that is none": lambda text: event({"content": text}, error=None),
    "neither id nor model": lambda text: json.dumps({"choices": [{"delta": {"content": text}}]}).encode(),
    "another choice": lambda text: event({"content": text}, {"index": 3}),
    "spaces": lambda text: b'{ "choices" :\t[ {"delta" : {"content" :  %b } } ] }' % json.dumps(text).encode(),
    "in letters": lambda text: json.dumps({"choices": [{"delta": {"content": text}}]}, ensure_ascii=False).encode(),
}


@pytest.mark.parametrize("made", ALIKE.values(), ids=ALIKE)
@settings(deadline=None, max_examples=40)
@given(first=TEXT.filter(bool), text=TEXT)
@example(first='"content": "x"', text='\\"\n\0\x7f é漢🦉')
@example(first="a", text="")
def test_a_cast_chunk_is_as_if_read(made: Callable[[str], bytes], first: str, text: str):
    found = mould(made(first))
    assert found is not None
    for form in (found, found.within(b"data: ", b"\n\n")):
        data = made(text) if form is found else b"data: %b\n\n" % made(text)
        cast = form.cast(data)
        assert cast is not None
        read = Chunk.model_validate_json(made(text))
        assert inside(cast) == inside(read)
        assert shown(cast) == shown(read)


def test_cast_chunks_share_nothing():
    found = mould(ALIKE["unknown fields"]("a"))
    assert found is not None
    cast = found.cast(ALIKE["unknown fields"]("b"))
    assert cast is not None
    (choice,) = cast.choices
    choice.delta.content, choice.delta.x, choice.y, cast.by = "c", 2, 3, 4  # type: ignore[attr-defined]
    choice.delta.role = "user"
    cast.choices.append(choice)
    again = found.cast(ALIKE["unknown fields"]("b"))
    assert again is not None
    assert inside(again) == inside(Chunk.model_validate_json(ALIKE["unknown fields"]("b")))


OTHERS = {
    "no text": event({}),
    "empty text": event({"role": "assistant", "content": ""}),
    "two texts": event({"content": "a", "reasoning": "b"}),
    "a text under three names": event({"content": "a", "reasoning": "a", "reasoning_content": "a"}),
    "a text that is twice the same by chance": event({"content": "a", "reasoning": "a"}, {"content": "a"}),
    "a text and the same in another place": event({"content": "a"}, content="a"),
    "a refusal beside it": event({"content": "a", "refusal": "no"}),
    "a refusal": event({"refusal": "no"}),
    "a tool call": event({"content": "a", "tool_calls": [{"index": 0, "function": {"arguments": "1"}}]}),
    "a function call": event({"function_call": {"arguments": '{"content": "a"}'}}),
    "a finish reason": event({"content": "a"}, {"finish_reason": "stop"}),
    "log probabilities": event({"content": "a"}, {"logprobs": {"content": []}}),
    "usage": event({"content": "a"}, usage={"total_tokens": 1}),
    "an object in it": event({"content": "a", "x": {}}),
    "a list beside it": event({"content": "a"}, {"x": []}),
    "an object around it": event({"content": "a"}, x={"content": "b"}),
    "two choices": json.dumps({"choices": [{"delta": {"content": "a"}}, {"index": 1, "delta": {}}]}).encode(),
    "no choices": json.dumps({**HEAD, "choices": [], "content": "a"}).encode(),
    "the text is said twice": b'{"choices": [{"delta": {"content": "a", "content": "b"}}]}',
    "another place": event({}, content="a"),
    "a key in disguise": event({"content": "a", "reasoning": "b"}).replace(b'"reasoning"', b'"\\u0072easoning"'),
    "long": event({"content": "a" * LONGEST}),
}


@pytest.mark.parametrize("data", OTHERS.values(), ids=OTHERS)
def test_what_gives_no_mould(data: bytes):
    assert mould(data) is None


BODIES = st.binary(max_size=12) | st.lists(
    st.sampled_from([b'"', b"\\", b"a", b"\n", b" ", b",", b":", b"{", b"}", b"\\u00e9", b"\\ud83d", b"\xc3", b"\xa9"])
).map(b"".join)


@settings(deadline=None, max_examples=400)
@given(before=st.binary(max_size=3), body=BODIES, after=st.binary(max_size=3), cut=st.integers(0, 40))
@example(before=b"", body=b'a","x":"b', after=b"", cut=0)
def test_whatever_is_cast_would_have_been_read_so(before: bytes, body: bytes, after: bytes, cut: int):
    data = ALIKE["content"]("a")
    found = mould(data)
    assert found is not None
    head, tail = data.split(b'"a"')
    for other in (b'%b%b"%b"%b%b' % (head, before, body, after, tail), data[: len(data) - cut], data[cut:]):
        cast = found.cast(other)
        if cast is not None:
            assert inside(cast) == inside(Chunk.model_validate_json(other))


@settings(deadline=None, max_examples=300)
@given(one=BODIES, other=BODIES, cut=st.integers(0, 60))
@example(one=b"b", other=b"b", cut=0)
def test_twins_are_cast_only_if_they_are(one: bytes, other: bytes, cut: int):
    data = ALIKE["reasoning under both names"]("a")
    found = mould(data)
    assert found is not None
    head, between, tail = data.split(b'"a"')
    for changed in (b'%b"%b"%b"%b"%b' % (head, one, between, other, tail), data[:-cut], data[cut:]):
        cast = found.cast(changed)
        if cast is not None:
            assert inside(cast) == inside(Chunk.model_validate_json(changed))
            assert cast.choices[0].delta.reasoning == cast.choices[0].delta.reasoning_content


def one_by_one(raw: bytes) -> list[Chunk]:
    """The chunks of a stream, each event read by itself."""
    found = [parse_event(event, []) for event in SSEDecoder().feed(raw)]
    return [chunk for chunk in found if not isinstance(chunk, Done)]


def through_a_reader(pieces: list[bytes], limit: int = 2**24) -> StreamReader:
    reader = StreamReader(event_limit=limit, body_limit=2**24, keep_usage_chunk=True)
    reader.head(200, {})
    for piece in pieces:
        reader.feed(piece)
    return reader


@settings(deadline=None)
@given(st.data(), completions(), st.booleans(), st.lists(st.integers(0, 3000), max_size=6) | st.none())
def test_a_reader_gives_what_each_event_says(
    data: st.DataObject, answer: dict[str, Any], ascii_only: bool, cuts: list[int] | None
):
    raw = events(data.draw(streams_of(answer)), ascii_only=ascii_only)
    if cuts is None:  # a piece for each event, as on a quiet line
        pieces = [part + b"\n\n" for part in raw.split(b"\n\n") if part]
    else:
        places = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
        pieces = [raw[start:end] for start, end in pairwise(places)]
    reader = through_a_reader(pieces)
    chunks = one_by_one(raw)
    assert [inside(chunk) for chunk in reader.chunks] == [inside(chunk) for chunk in chunks]
    assert inside(reader.partial()) == inside(assemble(chunks))


def read_anew(chunks: Iterable[Chunk]) -> int:
    """How many of these were not cast from another: those whose long id is an object of its own."""
    return len({id(chunk.id) for chunk in chunks})


LONG: dict[str, Any] = {"id": "c" * 100}


@pytest.mark.parametrize("frame", [b"data: %b\n\n", b"data:%b\r\n\r\n"])
@pytest.mark.parametrize("burst", [False, True])
def test_a_stream_of_words_is_cast(frame: bytes, burst: bool):
    pieces = [frame % event({"content": word}, **LONG) for word in "the quick brown fox jumps".split()]
    reader = through_a_reader([b"".join(pieces)] if burst else pieces)
    assert reader.partial().choices[0].message.content == "thequickbrownfoxjumps"
    assert read_anew(reader.chunks) == 2  # the first, and the trial that made its mould


def test_moulds_in_vain_are_given_up():
    padded = [b"data: %b\n\n" % event({"content": "a"}, padding=str(number), **LONG) for number in range(20)]
    alike = [b"data: %b\n\n" % event({"content": "a"}, **LONG)] * 20
    assert read_anew(through_a_reader(padded).chunks) == 20
    assert read_anew(through_a_reader(padded + alike).chunks) == 40
    assert read_anew(through_a_reader(padded[:2] + alike).chunks) == 4


@pytest.mark.parametrize("between", [b"event: error\n", b": comment\n", b"data: {}\n", b"data: ", b"\n", b"id: 1\n"])
def test_an_event_is_cast_only_if_it_is_whole_and_alone(between: bytes):
    """What came before a piece may belong to its event."""
    raw = b"data: %b\n\n" % event({"content": "a"})
    expected: list[Any] = []
    try:
        expected = one_by_one(raw + raw + between + raw)
    except (Unreadable, UpstreamError):
        expected = one_by_one(raw + raw)
    reader = through_a_reader([raw, raw, between, raw])
    assert [inside(chunk) for chunk in reader.chunks] == [inside(chunk) for chunk in expected]


def test_a_long_event_is_too_long_for_a_mould_too():
    word = b"data: %b\n\n" % event({"content": "a"})
    reader = through_a_reader([word, word, b"data: %b\n\n" % event({"content": "b" * 500})], limit=400)
    assert len(reader.chunks) == 2
    assert reader.failure is not None


def test_nothing_is_cast_after_the_end():
    word = b"data: %b\n\n" % event({"content": "a"})
    reader = through_a_reader([word, word, b"data: [DONE]\n\n", word])
    assert len(reader.chunks) == 2
    assert reader.ended
