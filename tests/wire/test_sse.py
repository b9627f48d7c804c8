"""Server-sent events: one table of cases, each cut in every way; then any events, any line ends, any cuts."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quoth.wire.sse import Event, EventTooLarge, SSEDecoder


@dataclass(frozen=True)
class Case:
    name: str
    raw: bytes
    events: tuple[Event, ...] = ()
    comments: int = 0
    pending: bool = False


def said(*data: bytes) -> tuple[Event, ...]:
    return tuple(map(Event, data))


CASES = (
    Case("nothing", b""),
    Case("one", b"data: a\n\n", said(b"a")),
    Case("two", b"data: a\n\ndata: b\n\n", said(b"a", b"b")),
    Case("crlf", b"data: a\r\n\r\ndata: b\r\n\r\n", said(b"a", b"b")),
    Case("cr", b"data: a\r\rdata: b\r\r", said(b"a", b"b")),
    Case("line ends of all kinds", b"data: a\r\ndata: b\rdata: c\n\r\n", said(b"a\nb\nc")),
    Case("a CR of one event and an LF of the next are one line end", b"data: a\r\r\ndata: b\n\n", said(b"a", b"b")),
    Case("no space after the colon", b"data:a\n\n", said(b"a")),
    Case("one space only is taken away", b"data:  a\n\n", said(b" a")),
    Case("a tab is no space", b"data:\ta\n\n", said(b"\ta")),
    Case("several data lines", b"data: a\ndata: b\n\n", said(b"a\nb")),
    Case("an empty data line between two", b"data: a\ndata\ndata: b\n\n", said(b"a\n\nb")),
    Case("empty data", b"data:\n\n", said(b"")),
    Case("two empty data lines", b"data\ndata\n\n", said(b"\n")),
    Case("named", b"event: error\ndata: a\n\n", (Event(b"a", b"error"),)),
    Case("named after its data", b"data: a\nevent:x\n\n", (Event(b"a", b"x"),)),
    Case("the last name counts", b"event: x\nevent: y\ndata: a\n\n", (Event(b"a", b"y"),)),
    Case("a name alone is no event, and is forgotten", b"event: x\n\ndata: a\n\n", said(b"a")),
    Case("a name holds for one event", b"event: x\ndata: a\n\ndata: b\n\n", (Event(b"a", b"x"), Event(b"b"))),
    Case("comments", b": keep-alive\n\n:\ndata: a\n: inside\n\n", said(b"a"), comments=3),
    Case("other fields", b"id: 1\nretry: 10\nfoo\nfoo: bar\ndata: a\n\n", said(b"a")),
    Case("a field is its whole name", b"dataset: x\ndat: y\n data: z\ndata: a\n\n", said(b"a")),
    Case("case matters", b"Data: x\n\ndata: a\n\n", said(b"a")),
    Case("colons in the data", b"data: a: b:c\n\n", said(b"a: b:c")),
    Case("blank lines", b"\n\n\r\n\r\rdata: a\n\n\n\n", said(b"a")),
    Case("byte order mark", b"\xef\xbb\xbfdata: a\n\n", said(b"a")),
    Case("a second mark is data's own", b"\xef\xbb\xbfdata: \xef\xbb\xbf\n\n", said(b"\xef\xbb\xbf")),
    Case("a mark in the middle spoils its line", b"data: a\n\n\xef\xbb\xbfdata: b\n\n", said(b"a")),
    Case("half a mark", b"\xef\xbbdata: a\n\ndata: b\n\n", said(b"b")),
    Case("bytes of all sorts", "data: é漢🦉\0\x7f\n\n".encode(), said("é漢🦉\0\x7f".encode())),
    Case("not UTF-8 at all", b"data: \xff\xfe\n\n", said(b"\xff\xfe")),
    Case("line separators of Unicode", "data: a\u2028b\x85c\n\n".encode(), said("a\u2028b\x85c".encode())),
    Case("cut before the blank line", b"data: a\n\ndata: b\n", said(b"a"), pending=True),
    Case("cut in a line", b"data: a\n\ndata: b", said(b"a"), pending=True),
    Case("cut in a field's name", b"da", pending=True),
)  # fmt: skip


def decoded(*pieces: bytes) -> tuple[tuple[Event, ...], SSEDecoder]:
    decoder = SSEDecoder()
    return tuple(event for piece in pieces for event in decoder.feed(piece)), decoder


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
class TestCases:
    def test_whole(self, case: Case):
        events, decoder = decoded(case.raw)
        assert events == case.events
        assert (decoder.comments, decoder.pending) == (case.comments, case.pending)

    def test_byte_by_byte(self, case: Case):
        events, decoder = decoded(*(case.raw[at : at + 1] for at in range(len(case.raw))))
        assert events == case.events
        assert (decoder.comments, decoder.pending) == (case.comments, case.pending)

    def test_cut_in_two_at_every_position(self, case: Case):
        for at in range(len(case.raw) + 1):
            assert decoded(case.raw[:at], b"", case.raw[at:])[0] == case.events, at

    def test_followed_by_more(self, case: Case):
        """What follows a whole event belongs to the next one."""
        if case.pending:
            return
        events, _ = decoded(case.raw + b"data: next\n\n")
        assert events == (*case.events, Event(b"next"))


def test_an_event_is_there_as_soon_as_its_blank_line_is():
    """Also where the line ends in CR: waiting for an LF would hold back the last event of a stream that pauses."""
    for end in (b"\n\n", b"\r\r", b"\r\n\r\n", b"\r\n\r"):
        assert decoded(b"data: a" + end)[0] == (Event(b"a"),)


LINE_ENDS = (b"\n", b"\r\n", b"\r")
DATA = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=20)


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[Event], bytes]:
    """Events, and one way to write them: each line with its own kind of end, comments and other fields in between."""
    events: list[Event] = []
    raw = b"\xef\xbb\xbf" if draw(st.booleans()) else b""
    for lines in draw(st.lists(st.lists(DATA, min_size=1, max_size=3), max_size=6)):
        data = [line.encode() for line in lines]
        name = draw(st.sampled_from([None, b"message", b"error"]))
        written = [b"data: " + line for line in data]
        if name is not None:
            written.insert(draw(st.integers(0, len(written))), b"event: " + name)
        for noise in draw(st.lists(st.sampled_from([b":", b": ping", b"id: 7", b"retry: 3", b"x"]), max_size=2)):
            written.insert(draw(st.integers(0, len(written))), noise)
        for line in [*written, b""]:
            end = draw(st.sampled_from(LINE_ENDS))
            # A bare CR before an LF would be a CRLF: one line end where two were meant.
            if raw.endswith(b"\r") and not line and end == b"\n":
                end = b"\r\n" if raw.endswith(b"\r\n") else b"\r"
            raw += line + end
        events.append(Event(b"\n".join(data), name))
    return events, raw


@settings(deadline=None)
@given(streams(), st.lists(st.integers(0, 400), max_size=12))
def test_any_events_in_any_line_ends_cut_anywhere(stream: tuple[list[Event], bytes], cuts: list[int]):
    events, raw = stream
    places = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
    found, decoder = decoded(*(raw[start:end] for start, end in pairwise(places)))
    assert list(found) == events
    assert not decoder.pending


@settings(deadline=None)
@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=8))
def test_any_bytes_cut_anywhere_mean_the_same(raw: bytes, cuts: list[int]):
    places = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
    whole, one = decoded(raw)
    apart, other = decoded(*(raw[start:end] for start, end in pairwise(places)))
    assert whole == apart
    assert (one.comments, one.pending) == (other.comments, other.pending)


@pytest.mark.parametrize(
    "raw",
    [
        b"data: " + b"x" * 200 + b"\n\n",
        b"data: " + b"x" * 200,
        b"data: " + b"x" * 60 + b"\ndata: " + b"x" * 60 + b"\n\n",
        b"data\n" * 200,
        b"data:\n" * 200,
        b": " + b"x" * 200 + b"\n",
        b"event: " + b"x" * 200 + b"\n",
    ],
    ids=["a line", "an open line", "two lines", "bare fields", "empty fields", "a comment", "a name"],
)
@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_what_is_longer_than_the_limit_is_an_error_however_it_is_cut(raw: bytes, size: int):
    decoder = SSEDecoder(limit=100)
    with pytest.raises(EventTooLarge, match="an event of more than 100 bytes"):
        for at in range(0, len(raw), size):
            decoder.feed(raw[at : at + size])


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_the_limit_is_for_one_event_not_for_the_stream(size: int):
    raw = (b": ping\nevent: x\ndata: " + b"y" * 60 + b"\n\n") * 50
    decoder = SSEDecoder(limit=100)
    found = [event for at in range(0, len(raw), size) for event in decoder.feed(raw[at : at + size])]
    assert found == [Event(b"y" * 60, b"x")] * 50


def test_time_is_linear_in_the_bytes():
    """A quadratic decoder would take 64 times as long for eight times the bytes; the bound suits a busy machine."""

    def seconds(count: int) -> float:
        raw = b"data: " + b"x" * count + b"\n\n"
        pieces = [raw[at : at + 3] for at in range(0, len(raw), 3)]
        best = float("inf")
        for _ in range(3):
            started = time.process_time()
            events, _ = decoded(*pieces)
            best = min(best, time.process_time() - started)
            assert len(events[0].data) == count
        return best

    assert seconds(400_000) < 32 * max(seconds(50_000), 0.001)
