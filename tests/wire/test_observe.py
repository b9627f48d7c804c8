"""What a relay reads in answers that it passes on: little, from answers of every kind, and it changes one name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quoth.wire.observe import Tokens, is_good_event, look, read, renamed, tokens_of
from quoth.wire.openai_chat import Unreadable, UpstreamError


def event(**entries: Any) -> bytes:
    return json.dumps({"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [], **entries}).encode()


def chunk(delta: dict[str, Any], reason: Any = None) -> bytes:
    return event(choices=[{"index": 0, "delta": delta, "finish_reason": reason}])


# One event.


def test_what_an_event_says():
    seen = look(chunk({"content": "a"}, "stop"))
    assert (bytes(seen.model), seen.finish_reason, seen.is_usage_only) == (b'"m"', "stop", False)
    seen = look(event(usage={"prompt_tokens": 1}))
    assert (seen.finish_reason, seen.is_usage_only, bytes(seen.usage)) == (None, True, b'{"prompt_tokens": 1}')
    assert not look(event(usage=None)).is_usage_only


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        ({"choices": None}, None),
        ({"choices": "none"}, None),
        ({"choices": {}}, None),
        ({"choices": [None, 1, "x"]}, None),
        ({"choices": [{"finish_reason": 1}]}, None),
        ({"choices": [{"finish_reason": ""}]}, None),
        ({"choices": [{"finish_reason": 1}, {"finish_reason": "stop"}]}, "stop"),
        ({"choices": [{"finish_reason": None}, {"finish_reason": "length"}]}, "length"),
        ({"model": 7, "usage": "much", "choices": [{"delta": "a", "finish_reason": "stop"}]}, "stop"),
    ],
    ids=str,
)
def test_fields_of_odd_types_are_none_of_the_relays_business(odd: dict[str, Any], reason: str | None):
    assert look(event(**odd)).finish_reason == reason
    assert read(event(**odd)).finish_reason == reason


@pytest.mark.parametrize("data", [b"", b"data", b"{", b'{"a": 1', b"\xff", b"[1]", b'"x"', b"7", b"null", b"[" * 5000])
def test_what_is_no_object_is_unreadable(data: bytes):
    with pytest.raises(Unreadable):
        look(data)
    with pytest.raises(Unreadable):
        read(data)


ERRORS = {
    "openai's": ({"error": {"message": "too busy", "type": "server_error", "code": 503}}, "too busy", 503),
    "a code as text": ({"error": {"message": "slow down", "code": "429"}}, "slow down", 429),
    "a code that is a word": ({"error": {"message": "no", "code": "insufficient_quota"}}, "no", None),
    "a code of success": ({"error": {"message": "no", "code": 200}}, "no", None),
    "a sentence": ({"error": "it broke"}, "it broke", None),
    "true": ({"error": True}, "error", None),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_in_an_answer_whose_status_said_success(name: str):
    body, message, status = ERRORS[name]
    raw = json.dumps(body).encode()
    for take in (look, read):
        with pytest.raises(UpstreamError) as caught:
            take(raw)
        assert message in str(caught.value)
        assert caught.value.status == status


def test_an_event_named_error_is_one_whatever_it_says():
    with pytest.raises(UpstreamError, match="gone"):
        look(b'{"message": "gone"}', b"error")
    with pytest.raises(UpstreamError):
        look(b"{}", b"error")


def test_no_error_where_the_field_says_that_there_is_none():
    assert look(event(error=None)).choices == []
    assert read(event(error=None)).finish_reason is None


def test_an_error_beside_an_answer_is_not_the_answer():
    """Where a whole answer has choices, it is one."""
    choice = {"message": {"content": "a"}, "finish_reason": "length"}
    assert read(json.dumps({"error": {"message": "partly"}, "choices": [choice]}).encode()).finish_reason == "length"


@pytest.mark.parametrize("body", [b"{}", b'{"hello": "world"}', b'{"choices": null}', b'{"detail": "x"}'])
def test_json_that_is_no_completion_is_said_to_be_none(body: bytes):
    with pytest.raises(Unreadable, match="not a chat completion"):
        read(body)


def test_half_a_surrogate_pair_is_looked_through():
    """Servers cut emoji in two; clients read that."""
    half = b'{"model": "m", "choices": [{"delta": {"content": "\\ud83e"}, "finish_reason": "stop"}]}'
    assert look(half).finish_reason == "stop"
    assert read(half).finish_reason == "stop"
    assert is_good_event(half, look(half))


@pytest.mark.parametrize(
    ("raw", "good"),
    [
        (chunk({"role": "assistant"}), False),
        (chunk({"role": "assistant", "content": ""}), False),
        (chunk({"content": None, "tool_calls": [], "reasoning": ""}), False),
        (chunk({}), False),
        (event(), False),
        (event(choices=[{"delta": None}]), False),
        (event(choices="x"), False),
        (chunk({"content": " "}), True),
        (chunk({"reasoning_content": "hm"}), True),
        (chunk({"tool_calls": [{"index": 0}]}), True),
        (chunk({"unheard_of": 0}), True),
        (chunk({}, "stop"), True),
        (event(usage={"prompt_tokens": 1}), True),
        (event(choices=[{"delta": {}}, {"delta": {"content": "b"}}]), True),
    ],
    ids=repr,
)
def test_an_event_is_good_when_it_says_something(raw: bytes, good: bool):
    assert is_good_event(raw, look(raw)) is good


# Tokens.


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}, Tokens(3, 4)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, Tokens(0, 0)),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 8,
                "prompt_tokens_details": {"cached_tokens": 5, "audio_tokens": 1},
                "completion_tokens_details": {"reasoning_tokens": 6},
            },
            Tokens(9, 8, cached=5, reasoning=6),
        ),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 8,
                "prompt_tokens_details": None,
                "completion_tokens_details": {},
            },
            Tokens(9, 8),
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 8, "prompt_tokens_details": {"cache_write_tokens": 2}},
            Tokens(9, 8, written=2),
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 8, "prompt_tokens_details": {"cache_creation_tokens": 2}},
            Tokens(9, 8, written=2),
        ),
        ({"prompt_tokens": 9, "completion_tokens": 8, "cache_creation_input_tokens": 2}, Tokens(9, 8, written=2)),
        ({"prompt_tokens": 9, "completion_tokens": 8, "cost": 0.25}, Tokens(9, 8, stated="0.25")),
        ({"prompt_tokens": 9, "completion_tokens": 8, "cost": 0}, Tokens(9, 8, stated="0.0")),
        # The names of the Responses API.
        (
            {
                "input_tokens": 9,
                "output_tokens": 8,
                "input_tokens_details": {"cached_tokens": 5},
                "output_tokens_details": {"reasoning_tokens": 6},
            },
            Tokens(9, 8, cached=5, reasoning=6),
        ),
        # What is missing is not known, and not 0.
        ({}, Tokens()),
        ({"prompt_tokens": 3}, Tokens(3, None)),
        ({"completion_tokens": 3}, Tokens(None, 3)),
        ({"prompt_tokens": 9, "completion_tokens": None, "cost": 1}, Tokens(9, None, stated="1")),
        # What is no count is none.
        ({"prompt_tokens": -1, "completion_tokens": 2}, Tokens(None, 2)),
        ({"prompt_tokens": "3", "completion_tokens": 2.5}, Tokens()),
        ({"prompt_tokens": True, "completion_tokens": 2}, Tokens(None, 2)),
        ({"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": 7}, Tokens(3, 2)),
        ({"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": -1}}, Tokens(3, 2)),
        ({"prompt_tokens": 3, "completion_tokens": 2, "cache_creation_input_tokens": -1}, Tokens(3, 2)),
        (
            {"prompt_tokens": 3, "completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": -1}},
            Tokens(3, 2),
        ),
        (
            {"prompt_tokens": 3, "completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": "x"}},
            Tokens(3, 2),
        ),
        ({"prompt_tokens": 3, "completion_tokens": 2, "cost": "free"}, Tokens(3, 2)),
        ({"prompt_tokens": 3, "completion_tokens": 2, "cost": False}, Tokens(3, 2)),
        (None, None),
        ([1, 2], None),
        ("many", None),
    ],
    ids=str,
)
def test_tokens(usage: Any, tokens: Tokens | None):
    assert tokens_of(json.dumps(usage).encode()) == tokens


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff"])
def test_a_usage_that_is_no_json_says_nothing(raw: bytes):
    assert tokens_of(raw) is None


# The name.


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ('{"model":"a","x":1}', '{"model":"b","x":1}'),
        ('{"x": 1, "model": "a"}', '{"x": 1, "model": "b"}'),
        ('{ "model"\t:\n "a" , "x":1.0}', '{ "model"\t:\n "b" , "x":1.0}'),
        ('{"model":null,"x":"null"}', '{"model":"b","x":"null"}'),
        ('{"name":"a","model":"a","other":"a"}', '{"name":"a","model":"b","other":"a"}'),
        (r'{"content":"{\"model\":\"a\"}","model":"a"}', r'{"content":"{\"model\":\"a\"}","model":"b"}'),
        ('{"model":"a","x":1e400,"y":"\\u00e9é"}', '{"model":"b","x":1e400,"y":"\\u00e9é"}'),
    ],
)  # fmt: skip
def test_another_name_and_every_other_byte_as_it_was(text: str, after: str):
    raw = text.encode()
    assert renamed(raw, read_model(raw), b'"b"') == after.encode()


@pytest.mark.parametrize(
    "text",
    [
        '{"model":"a","usage":{"model":"a"}}',
        '{"usage":{"model":"a"},"model":"a"}',
        # Written in two ways: the one inside must not be taken for the one at the top.
        '{"model": "a", "usage": {"model":"a"}}',
        '{"model" : "a", "usage": {"model":"a"}}',
        '{"model":"a","kind":"model"}',
        '{"model":"a","model":"a"}',
        '{"mod\\u0065l":"a"}',
    ],
)
def test_only_the_name_at_the_top_is_meant(text: str):
    raw = text.encode()
    assert json.loads(renamed(raw, read_model(raw), b'"b"')) == {**json.loads(text), "model": "b"}


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ('{ "usage": {"model":"a"} , "model":"a"}', '{ "usage": {"model":"a"} , "model":"b"}'),
        ('{"model" : "a", "usage": {"model":"a"}}', '{"model" : "b", "usage": {"model":"a"}}'),
        ('{"model": "model", "x": 1.0 }', '{"model": "b", "x": 1.0 }'),
        (r'{"model": "model", "x": "\ud83d"}', r'{"model": "b", "x": "\ud83d"}'),
        ('{"model":"a", "model":"a"}', '{"model":"a", "model":"b"}'),
    ],
)
def test_even_then_every_other_byte_stays(text: str, after: str):
    raw = text.encode()
    assert renamed(raw, read_model(raw), b'"b"') == after.encode()


def test_a_name_behind_a_thousand_others_is_found_too():
    raw = json.dumps({"inner": [{"model": "a"}] * 1000, "model": "a"}).encode()
    assert json.loads(renamed(raw, b'"a"', b'"b"')) == {"inner": [{"model": "a"}] * 1000, "model": "b"}


def test_in_an_event_the_frame_stays():
    data = b'{"model":"a","inner":{"model":"a"}}'
    text = b"event: x\r\ndata: " + data + b"\r\n\r\n"
    assert renamed(text, b'"a"', b'"b"', among=data) == text.replace(data, b'{"model":"b","inner":{"model":"a"}}')


def test_without_a_name_or_with_the_same_nothing_changes():
    assert renamed(b'{"x": 1}', b"", b'"b"') == b'{"x": 1}'
    assert renamed(b'{"model": "b"}', b'"b"', b'"b"') == b'{"model": "b"}'


def read_model(raw: bytes) -> bytes:
    return bytes(look(raw).model)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "a", "model", '"model":"a"', "é🦉"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["model", "x", "a"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(["x", "y", "model "]), VALUES, max_size=3),
    st.dictionaries(st.sampled_from(["p", "q"]), VALUES, max_size=2),
    st.sampled_from(["a", "model", '"', "é"]),
    st.sampled_from([(",", ":"), (", ", ": "), (" ,", " : ")]),
)
def test_the_rename_touches_nothing_else(
    before: dict[str, Any], after: dict[str, Any], name: str, separators: tuple[str, str]
):
    answer = {**before, "model": name, **after}
    raw = json.dumps(answer, separators=separators).encode()
    changed = renamed(raw, read_model(raw), b'"new"')
    assert list(json.loads(changed).items()) == list({**answer, "model": "new"}.items())
