"""What reaches the application of requests that are too big, too slow, ambiguous or unusual (C11-C14, C23).

The servers decide most of it; these tests say what that is, and fail when a new version of one decides otherwise.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from quoth.gateway.serve.plan import Server
from tests.gateway.serve.running import LONG, Running

HOST = b"Host: gateway\r\n"

# Behind every odd request, on the same connection: if it is answered, the server found the end of the odd one here.
LAST = b"GET /last HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: gateway\r\n\r\n"


@pytest.fixture(scope="module", params=["granian", "uvicorn"])
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("wire"), server=request.param, header_timeout=1.0) as running:
        yield running


@pytest.fixture(scope="module")
def granian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """As shipped, apart from the patience with headers, which is a test's."""
    with Running(tmp_path_factory.mktemp("granian"), header_timeout=1.0) as running:
        yield running


def answers(received: bytes) -> list[tuple[int, bytes]]:
    """Status and body of each answer, without interim ones. (No body here has `HTTP/1.1` in it.)"""
    found = []
    for part in re.split(rb"(?=HTTP/1\.[01] \d\d\d)", received):
        head, _, body = part.partition(b"\r\n\r\n")
        if head and not head.startswith(b"HTTP/1.1 1"):
            found.append((int(head[9:12]), body))
    return found


# --- C11: heads that are too big or malformed -----------------------------------------------------------------------


def request(*headers: bytes, method: bytes = b"GET", path: bytes = b"/", body: bytes = b"") -> bytes:
    return b"".join([method, b" ", path, b" HTTP/1.1\r\n", HOST, *(line + b"\r\n" for line in headers), b"\r\n", body])


def test_headers_up_to_the_limits_are_fine(granian: Running) -> None:
    many = [b"x-%d: y" % number for number in range(98)]
    assert answers(granian.exchange(request(*many, b"Connection: close"))) == [(200, b"hello")]
    long = b"x-long: " + b"y" * 60_000
    assert answers(granian.exchange(request(long, b"Connection: close"))) == [(200, b"hello")]


def test_more_than_100_headers(granian: Running) -> None:
    many = [b"x-%d: y" % number for number in range(100)]  # and Host
    assert answers(granian.exchange(request(*many))) == [(431, b"")]


def test_a_head_of_more_than_64_kb(granian: Running) -> None:
    """A head is measured while it is incomplete; what arrives at once may be up to twice as long, never longer."""
    with socket.create_connection(granian.address, LONG) as connection:
        connection.sendall(request(b"x-long: " + b"y" * 66_000)[:-2])
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 431 ")
    assert answers(granian.exchange(request(b"x-long: " + b"y" * 140_000))) == [(431, b"")]


def test_a_path_that_is_too_long(granian: Running) -> None:
    assert answers(granian.exchange(request(path=b"/" + b"y" * 70_000))) == [(414, b"")]


@pytest.mark.parametrize(
    "line", [b"bad name: x", b"x: a\x00b", b"x: a\x07b", b"no-colon", b": no name", b"x : space", b"x: a\r\n folded"]
)
def test_headers_that_are_none(line: bytes, gateway: Running) -> None:
    found = answers(gateway.exchange(request(line) + LAST))
    assert [status for status, _ in found] == [400]


# --- C12: where one request ends ------------------------------------------------------------------------------------

AMBIGUOUS = {
    "both lengths": request(b"Content-Length: 6", b"Transfer-Encoding: chunked", method=b"POST", path=b"/echo")
    + b"0\r\n\r\n"
    + SMUGGLED,
    "both lengths, the other way round": request(
        b"Transfer-Encoding: chunked",
        b"Content-Length: 4",
        method=b"POST",
        path=b"/echo",
        body=b"5\r\nhello\r\n0\r\n\r\n",
    )
    + SMUGGLED,
    "two encodings": request(
        b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", method=b"POST", path=b"/echo"
    )
    + b"0\r\n\r\n"
    + SMUGGLED,
    "an unknown encoding": request(b"Transfer-Encoding: xchunked", method=b"POST", path=b"/echo")
    + b"0\r\n\r\n"
    + SMUGGLED,
    "an encoding with a space before the colon": request(b"Transfer-Encoding : chunked", method=b"POST", path=b"/echo")
    + b"0\r\n\r\n"
    + SMUGGLED,
    "an encoding after a vertical tab": request(b"Transfer-Encoding:\x0bchunked", method=b"POST", path=b"/echo")
    + b"0\r\n\r\n"
    + SMUGGLED,
    "two lengths": request(b"Content-Length: 0", b"Content-Length: %d" % len(SMUGGLED), method=b"POST", path=b"/echo")
    + SMUGGLED,
    "a list of lengths": request(b"Content-Length: 0, %d" % len(SMUGGLED), method=b"POST", path=b"/echo") + SMUGGLED,
    "a signed length": request(b"Content-Length: +%d" % len(SMUGGLED), method=b"POST", path=b"/echo") + SMUGGLED,
    "a negative length": request(b"Content-Length: -1", method=b"POST", path=b"/echo") + SMUGGLED,
    "a chunk of negative size": request(b"Transfer-Encoding: chunked", method=b"POST", path=b"/echo")
    + b"-1\r\n\r\n"
    + SMUGGLED,
    "a chunk of more than 64 bits": request(b"Transfer-Encoding: chunked", method=b"POST", path=b"/echo")
    + b"1"
    + b"0" * 16
    + b"\r\n"
    + SMUGGLED,
    "a line feed hidden in a chunk's extension": request(
        b"Transfer-Encoding: chunked", method=b"POST", path=b"/echo", body=b'5;a="\n";b\r\nhello\r\n0\r\n\r\n'
    )
    + SMUGGLED,
    "chunks that end in a line feed": request(
        b"Transfer-Encoding: chunked", method=b"POST", path=b"/echo", body=b"5\nhello\n0\n\n"
    )
    + SMUGGLED,
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_no_request_is_taken_for_two(name: str, gateway: Running) -> None:
    """Refused, or answered and closed: what an intermediary may have taken for its body is never a request."""
    found = answers(gateway.exchange(AMBIGUOUS[name] + LAST))
    assert len(found) <= 1, found
    assert all(b"smuggled" not in body for status, body in found if status != 200)


def test_the_last_encoding_counts_when_it_is_chunked(granian: Running) -> None:
    odd = request(
        *(b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked"),
        method=b"POST",
        path=b"/echo",
        body=b"5\r\nhello\r\n0\r\n\r\n",
    )
    assert answers(granian.exchange(odd + LAST)) == [(200, b"POST hello"), (404, b"/last")]


def test_bare_line_feeds_end_lines_and_nothing_else(granian: Running) -> None:
    odd = b"POST /echo HTTP/1.1\nHost: gateway\nContent-Length: 5\n\nhello"
    assert answers(granian.exchange(odd + LAST)) == [(200, b"POST hello"), (404, b"/last")]


# --- C13: slow, idle and many ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("begun", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: gateway\r\nx: y"])
def test_a_head_that_does_not_come_is_waited_for_no_longer_than_the_limit(begun: bytes, granian: Running) -> None:
    assert granian.exchange(begun) == b""


def test_the_limit_is_10_seconds() -> None:
    from quoth.gateway.settings import Server as Settings

    assert Settings().header_timeout == 10.0


def test_an_idle_connection_is_closed_after_the_same_time(granian: Running) -> None:
    assert answers(granian.exchange(request())) == [(200, b"hello")]


def test_pipelined_requests_are_answered_in_order(gateway: Running) -> None:
    paths = [b"/%d" % number for number in range(20)]
    found = answers(gateway.exchange(b"".join(request(path=path) for path in paths) + LAST))
    assert found == [(404, path) for path in [*paths, b"/last"]]


def test_a_flood_of_idle_connections_takes_nobodys_place(granian: Running) -> None:
    """They are closed when they have said nothing for the limit; until then there is room beside them."""
    idle = [socket.create_connection(granian.address, LONG) for _ in range(1000)]
    try:
        assert granian.get("/") == (200, "hello")
        for connection in idle:
            assert connection.recv(1) == b""
    finally:
        for connection in idle:
            connection.close()


# --- C14: unusual but right -----------------------------------------------------------------------------------------


def test_expect_continue(gateway: Running) -> None:
    with socket.create_connection(gateway.address, LONG) as connection:
        head = request(
            b"Expect: 100-continue", b"Content-Length: 5", b"Connection: close", method=b"POST", path=b"/echo"
        )
        connection.sendall(head)
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"hello")
        received = bytearray()
        while piece := connection.recv(1 << 16):
            received += piece
    assert answers(bytes(received)) == [(200, b"POST hello")]


@pytest.mark.parametrize("method", [b"OPTIONS", b"DELETE", b"PATCH", b"BREW"])
def test_methods_reach_the_application(method: bytes, granian: Running) -> None:
    found = answers(granian.exchange(request(b"Connection: close", method=method, path=b"/echo")))
    assert found == [(200, method + b" ")]


def test_head_has_the_length_and_no_body(gateway: Running) -> None:
    received = gateway.exchange(request(method=b"HEAD") + LAST)
    assert b"content-length: 5\r\n" in received
    assert answers(received) == [(200, b""), (404, b"/last")]


def test_paths_arrive_as_they_are(gateway: Running) -> None:
    """No slash is merged and no dot resolved on the way: what is routed is what was asked for."""
    found = answers(gateway.exchange(request(b"Connection: close", path=b"//a/../b//")))
    assert found == [(404, b"//a/../b//")]


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 40,  # a TLS client
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",  # HTTP/2 without asking
        b"\r\n" * 100 + b"nonsense\r\n\r\n",
    ],
)
def test_other_protocols_are_refused(nonsense: bytes, gateway: Running) -> None:
    found = answers(gateway.exchange(nonsense, half_close=True))
    assert [status for status, _ in found] in ([], [400], [505])
    assert gateway.get("/") == (200, "hello")


def test_an_upgrade_to_http2_is_not_taken(gateway: Running) -> None:
    upgrade = request(
        b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"
    )
    assert answers(gateway.exchange(upgrade + LAST))[0] == (200, b"hello")


# --- C23 ------------------------------------------------------------------------------------------------------------


def test_an_upgrade_to_websocket_is_the_applications_to_refuse(gateway: Running) -> None:
    upgrade = request(
        *(b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"),
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        path=b"/socket",
    )
    assert answers(gateway.exchange(upgrade + LAST))[0] == (426, b"")


# --- S16 and the size of it -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("server", ["granian", "uvicorn"])
def test_five_hundred_streams_at_a_time_arrive_whole(server: Server, tmp_path: Path) -> None:
    """Every event in order and no gap, and others are answered meanwhile."""
    with Running(tmp_path, server=server) as gateway:
        ask = request(b"Connection: close", b"Content-Length: 2", method=b"POST", path=b"/stream", body=b"20")
        streams = [socket.create_connection(gateway.address, LONG) for _ in range(500)]
        try:
            for stream in streams:
                stream.sendall(ask)
            assert gateway.get("/") == (200, "hello")
            for stream in streams:
                received = bytearray()
                while piece := stream.recv(1 << 16):
                    received += piece
                events = re.findall(rb"data: (\S+)", received)
                assert events == [*(b"%d" % number for number in range(20)), b"[DONE]"]
        finally:
            for stream in streams:
                stream.close()
