"""Streams cut into whole events: the same whatever the pieces, and every byte where it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quoth.wire.frames import Frames, data_of
from quoth.wire.sse import EventTooLarge

BOM = b"\xef\xbb\xbf"
TEXTS = st.lists(
    st.sampled_from([b"d", b"data: x", b":", b"\r", b"\n", b"\r\n", b"\n\n", b"\r\r", b"\xc3\xa9", BOM])
).map(b"".join)


def cut(text: bytes, *pieces: bytes) -> list[bytes]:
    frames = Frames()
    found = [event for piece in pieces or (text,) for event in frames.feed(piece)]
    return found + frames.end()


@given(TEXTS, st.data())
def test_pieces_make_no_difference(text: bytes, data: st.DataObject) -> None:
    whole = cut(text)
    assert cut(text, *(bytes([byte]) for byte in text)) == whole if text else whole == []
    at = data.draw(st.integers(0, len(text)))
    assert cut(text, text[:at], text[at:]) == whole


@given(TEXTS)
def test_no_byte_is_lost_or_moved(text: bytes) -> None:
    assert text.removeprefix(BOM).startswith(b"".join(cut(text)))


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n", b"\r\n\n"])
def test_an_event_ends_at_a_blank_line_of_any_kind(end: bytes) -> None:
    assert cut(b"data: a" + end + b"data: b" + end + b"data: c") == [b"data: a" + end, b"data: b" + end]


@pytest.mark.timeout(30)
def test_a_large_event_byte_by_byte_takes_time_in_proportion() -> None:
    """In proportion to its square, this would take many times what the test may."""
    frames = Frames()
    text = b"data: " + b"x" * 1_000_000
    for byte in text:
        assert not frames.feed(bytes((byte,)))
    assert frames.feed(b"\n") == []
    assert frames.feed(b"\n") == [text + b"\n\n"]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_an_event_has_a_limit_however_it_comes(size: int) -> None:
    frames = Frames(limit=100)
    text = b"data: " + b"\ndata: ".join([b"x" * 20] * 10) + b"\n\n"
    with pytest.raises(EventTooLarge):
        for start in range(0, len(text), size):
            frames.feed(text[start : start + size])


@pytest.mark.parametrize(
    ("event", "data", "name"),
    [
        (b"data: x\n\n", b"x", b""),
        (b"data:x\r\ndata: y\r\n\r\n", b"x\ny", b""),
        (b"event: e\rdata: x\r\r", b"x", b"e"),
        (b": comment\n\n", None, b""),
        (b"data\n\n", b"", b""),
        (b"id: 1\x00\nretry: x\nunknown\n\n", None, b""),
    ],
)
def test_what_an_event_says(event: bytes, data: bytes | None, name: bytes) -> None:
    assert data_of(event) == (data, name)
