"""Events to pass on: they are those that the decoder finds, and their bytes are those that came."""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quoth.wire.frames import Frames, data_of
from quoth.wire.sse import Event, EventTooLarge, SSEDecoder
from tests.wire.test_sse import CASES, Case, streams

MARK = b"\xef\xbb\xbf"


def framed(pieces: Iterable[bytes]) -> list[bytes]:
    """All events, with the one that only the stream's end completes."""
    frames = Frames()
    return [event for piece in pieces for event in frames.feed(piece)] + frames.end()


def said(event: bytes) -> Event | None:
    """What an event says; an empty name is none."""
    data, name = data_of(event)
    return None if data is None else Event(data, name or None)


def decoded(raw: bytes) -> list[Event]:
    return [Event(data, name or None) for data, name in SSEDecoder().feed(raw)]


def cut(raw: bytes, places: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted(min(place, len(raw)) for place in places), len(raw)]
    return [raw[start:end] for start, end in pairwise(edges)]


def bytewise(raw: bytes) -> list[bytes]:
    return [raw[at : at + 1] for at in range(len(raw))]


def check(raw: bytes, pieces: Iterable[bytes]) -> list[bytes]:
    """However it is cut: the decoder's events, in the bytes that came."""
    found = framed(pieces)
    assert [event for event in map(said, found) if event is not None] == decoded(raw)
    assert raw.removeprefix(MARK).startswith(b"".join(found))
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
class TestCases:
    """Those of the decoder."""

    def test_whole(self, case: Case):
        check(case.raw, [case.raw])

    def test_byte_by_byte(self, case: Case):
        check(case.raw, bytewise(case.raw))

    def test_cut_in_two_at_every_position(self, case: Case):
        for at in range(len(case.raw) + 1):
            check(case.raw, [case.raw[:at], b"", case.raw[at:]])


@settings(deadline=None)
@given(streams(), st.lists(st.integers(0, 400), max_size=12))
def test_any_events_in_any_line_ends_cut_anywhere(stream: tuple[list[Event], bytes], cuts: list[int]):
    """Every byte is of some event, since all are whole."""
    _, raw = stream
    for pieces in (cut(raw, cuts), bytewise(raw)):
        assert b"".join(check(raw, pieces)) == raw.removeprefix(MARK)


# What a stream is made of, in any order: whole fields and halves, all line ends and halves of them.
PARTS = (b"data: a", b"data:", b"data", b"da", b"event: x", b"event", b": c", b":", b"x", b" ", MARK, MARK[:2])
ENDS = (b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n", b"\n\r\n")


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(PARTS + ENDS), max_size=14).map(b"".join), st.lists(st.integers(0, 60), max_size=6))
def test_any_bytes_cut_anywhere(raw: bytes, cuts: list[int]):
    whole = check(raw, [raw])
    assert check(raw, cut(raw, cuts)) == whole
    assert check(raw, bytewise(raw)) == whole


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\n\r\n"])
def test_an_event_is_there_as_soon_as_its_blank_line_is(end: bytes):
    frames = Frames()
    assert frames.feed(b"data: a" + end[:-1]) == []
    assert frames.pending
    assert frames.feed(end[-1:]) == [b"data: a" + end]
    assert not frames.pending


@pytest.mark.parametrize("end", [b"\r\r", b"\n\r", b"\r\n\r"])
def test_a_cr_at_the_end_may_be_half_of_a_line_end(end: bytes):
    """So it is waited for, until anything else or the end of the stream comes."""
    frames = Frames()
    assert frames.feed(b"data: a" + end) == []
    assert frames.feed(b"data: b") == [b"data: a" + end]
    frames = Frames()
    assert frames.feed(b"data: a" + end) == []
    assert frames.feed(b"\n") == [b"data: a" + end + b"\n"]
    frames = Frames()
    frames.feed(b"data: a" + end)
    assert frames.end() == [b"data: a" + end]
    assert not frames.pending
    assert frames.end() == []


def test_what_the_end_cuts_off_is_kept_back():
    frames = Frames()
    assert frames.feed(b"data: a\n\ndata: b\n") == [b"data: a\n\n"]
    assert frames.pending
    assert frames.end() == []


@pytest.mark.parametrize("size", [1, 2, 7, 99, 10_000])
@pytest.mark.parametrize(
    "raw",
    [
        b"data: " + b"x" * 93 + b"\n\n",
        b"data: " + b"x" * 91 + b"\r\n\r\n",
        b": " + b"\n: ".join([b"x" * 47] * 2) + b"\n\n",
    ],
    ids=["a line", "crlf", "comments"],
)
def test_the_limit_is_the_largest_event(raw: bytes, size: int):
    """All its bytes count, for all are kept."""
    pieces = [raw[at : at + size] for at in range(0, len(raw), size)]
    frames = Frames(limit=len(raw))
    assert [event for _ in range(3) for piece in pieces for event in frames.feed(piece)] == [raw] * 3
    frames = Frames(limit=len(raw) - 1)
    with pytest.raises(EventTooLarge, match=f"an event of more than {len(raw) - 1} bytes"):
        for piece in pieces:
            frames.feed(piece)


def test_an_event_that_does_not_end_is_not_kept_beyond_the_limit():
    frames = Frames(limit=1000)
    with pytest.raises(EventTooLarge):
        for _ in range(1001):
            frames.feed(b"x")


@pytest.mark.parametrize("unit", [b"x", b"\r", b": \n", b"data: \r\n"], ids=["a line", "crs", "comments", "lines"])
def test_time_is_linear_in_the_bytes(unit: bytes):
    """Quadratic ones would take 64 times as long for eight times the bytes; the bound suits a busy machine."""

    def seconds(count: int) -> float:
        raw = unit * count + b"\n\n"
        pieces = [raw[at : at + 3] for at in range(0, len(raw), 3)]
        best = float("inf")
        for _ in range(3):
            started = time.process_time()
            framed(pieces)
            best = min(best, time.process_time() - started)
        return best

    assert seconds(16_000) < 30 * seconds(2_000)


@pytest.mark.parametrize(
    ("event", "data", "name"),
    [
        (b"data: a\n\n", b"a", b""),
        (b"data: a: b\n\n", b"a: b", b""),
        (b"data:a\n\n", b"a", b""),
        (b"data:  a\n\n", b" a", b""),
        (b"data: a\r\n\r\n", b"a", b""),
        (b"data: a\r\r", b"a", b""),
        (b"data: a\ndata: b\n\n", b"a\nb", b""),
        (b"data\n\n", b"", b""),
        (b"data: \n\n", b"", b""),
        (b": ping\n\n", None, b""),
        (b"\n\n", None, b""),
        (b"event: error\ndata: a\n\n", b"a", b"error"),
        (b"data: a\nevent: x\nevent:y\n\n", b"a", b"y"),
        (b"event: ping\n\n", None, b"ping"),
        (b"dataset: a\n\n", None, b""),
        (b"data: \xff\n\n", b"\xff", b""),
    ],
)
def test_what_an_event_says(event: bytes, data: bytes | None, name: bytes):
    assert data_of(event) == (data, name)
