"""Chunked bodies, cut in every way, beside llhttp's reading of the same bytes."""

from __future__ import annotations

from itertools import pairwise

import httptools
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from quoth.transport.chunked import LINE_LIMIT, TRAILER_LIMIT, Dechunker

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


class Oracle:
    """What llhttp makes of it."""

    def __init__(self, raw: bytes):
        self.body = b""
        self.done = False
        self.failed = False
        parser = httptools.HttpResponseParser(self)
        try:
            parser.feed_data(HEAD + raw)
        except httptools.HttpParserError:
            self.failed = not self.done

    def on_body(self, piece: bytes) -> None:
        if not self.done:
            self.body += piece

    def on_message_complete(self) -> None:
        self.done = True


def read(raw: bytes, cuts: list[int] | None = None) -> tuple[bytes, Dechunker]:
    places = [0, *sorted(min(cut, len(raw)) for cut in cuts or ()), len(raw)]
    dechunker, body = Dechunker(), b""
    for start, end in pairwise(places):
        if start == end:
            continue
        if dechunker.done:
            dechunker.rest += raw[start:end]
        elif dechunker.failure is None:
            body += dechunker.feed(raw[start:end])
    return body, dechunker


def chunk(data: bytes, size: str = "{:x}", extension: bytes = b"") -> bytes:
    return b"%b%b\r\n%b\r\n" % (size.format(len(data)).encode(), extension, data)


CHUNKS = st.builds(
    chunk,
    st.binary(min_size=1, max_size=40),
    st.sampled_from(["{:x}", "{:X}", "{:04x}"]),
    st.sampled_from([b"", b"", b";a", b";a=b", b';a="b"']),
)
TRAILERS = st.sampled_from([b"", b"", b"x: y\r\n", b"x: y\r\nz: 0\r\n"])
CUTS = st.lists(st.integers(0, 200), max_size=8)


@given(st.lists(CHUNKS, max_size=5), TRAILERS, CUTS, st.sampled_from([b"", b"more"]))
def test_a_body_is_the_same_however_it_is_cut(chunks: list[bytes], trailers: bytes, cuts: list[int], rest: bytes):
    raw = b"".join(chunks) + b"0\r\n" + trailers + b"\r\n"
    oracle = Oracle(raw)
    body, dechunker = read(raw + rest, cuts)
    assert oracle.done
    assert dechunker.done
    assert dechunker.failure is None
    assert body == oracle.body
    assert dechunker.rest == rest


@given(st.binary(min_size=1, max_size=300))
def test_one_chunk_a_piece(data: bytes):
    dechunker = Dechunker()
    assert [dechunker.feed(piece) for piece in (chunk(data), chunk(data), b"0\r\n\r\n")] == [data, data, b""]
    assert dechunker.done


SPOILT = st.lists(
    st.sampled_from(
        [b"5\r\nhello\r\n", b"0\r\n\r\n", b"5", b"\r\n", b"\r", b"\n", b"hello", b"x", b"-1\r\n", b"0x5\r\n"]
    ),
    max_size=6,
).map(b"".join)


@settings(max_examples=400)
@given(SPOILT, CUTS)
@example(b"5\r\nhello\r\n" + b"1_0\r\n", [])
@example(b"5\r\nhello!", [10])
@example(b"5\nhello\r\n", [])
@example(b"+5\r\nhello\r\n", [])
@example(b" 5\r\nhello\r\n", [])
@example(b"\r\n", [])
def test_what_llhttp_refuses_is_refused(raw: bytes, cuts: list[int]):
    oracle = Oracle(raw)
    body, dechunker = read(raw, cuts)
    if oracle.done:
        assert dechunker.done
    # A line is looked at when it has ended, so the failure may come later than llhttp's; never an end or bytes.
    if oracle.failed:
        assert not dechunker.done
    assert body == oracle.body or (oracle.failed and oracle.body.startswith(body))
    if not oracle.failed:
        assert dechunker.failure is None


@pytest.mark.parametrize("size", ["zz", "-1", "+5", "0x5", "1_0", "", " 5", "5 5", "é", "f" * 16])
def test_a_size_that_is_no_number(size: str):
    body, dechunker = read(chunk(b"hello") + f"{size}\r\nhello\r\n".encode())
    assert body == b"hello"
    assert str(dechunker.failure) == "a chunk whose size is no number"


@pytest.mark.parametrize("cuts", [[], [8], [9], [10]])
def test_a_chunk_longer_than_its_size(cuts: list[int]):
    body, dechunker = read(b"5\r\nhello!\r\n0\r\n\r\n", cuts)
    assert body == b"hello"
    assert dechunker.failure is not None
    assert not dechunker.done


def test_lines_and_trailers_have_a_limit():
    assert read(b"5;" + b"a" * LINE_LIMIT)[1].failure is not None
    trailers = b"0\r\n" + b"x: y\r\n" * (TRAILER_LIMIT // 6 + 1)
    assert read(trailers, list(range(0, len(trailers), 1000)))[1].failure is not None
