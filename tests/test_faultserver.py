"""The fault server does what its scripts say, seen by plain sockets and by the standard library's client."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import http.client
import json
import os
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faultserver import (
    Close,
    Connection,
    FaultServer,
    KeepAlive,
    Read,
    Reset,
    Send,
    SendSlowly,
    Stall,
    answer,
    chat,
    delta,
    error,
    event,
    giant_line,
    gzip_bomb,
    head_only,
    html,
    refusing,
    sse,
    unanswering,
)

REQUEST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-Twice: 1\r\nX-Twice: 2\r\nContent-Length: 9\r\n\r\n"
ASK = REQUEST + b'{"a":"b"}'


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@contextlib.contextmanager
def connected(server: FaultServer) -> Iterator[socket.socket]:
    with socket.create_connection((server.host, server.port), timeout=10) as sock:
        yield sock


def read_all(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(65536), b""))


def fetch(server: FaultServer) -> tuple[http.client.HTTPResponse, bytes]:
    """One request on a connection of its own; raises what http.client thinks of the answer."""
    with contextlib.closing(http.client.HTTPConnection(server.host, server.port, timeout=10)) as client:
        client.request("POST", "/v1/chat/completions", b"{}")
        response = client.getresponse()
        return response, response.read()


def said(stream: bytes) -> str:
    """The content that a stream of chunks adds up to."""
    events = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith(b"data: {")]
    return "".join(choice["delta"].get("content", "") for event in events for choice in event["choices"])


# Scripts and requests.


def test_scripts_are_played_in_order_and_the_last_one_repeats(server):
    server.play_once(error(429, "slow down", headers={"retry-after": "0"}, type="rate_limit_error"))
    server.play(chat("hello"))
    first, body = fetch(server)
    assert (first.status, first.headers["retry-after"]) == (429, "0")
    assert json.loads(body)["error"] == {"message": "slow down", "type": "rate_limit_error"}
    for _ in range(2):
        assert json.loads(fetch(server)[1])["choices"][0]["message"] == {"role": "assistant", "content": "hello"}
    server.play_once(html(502))
    page, body = fetch(server)
    assert (page.status, page.headers["content-type"], body[:6]) == (502, "text/html; charset=utf-8", b"<html>")
    assert fetch(server)[0].status == 200


def test_a_forgotten_script_is_plain_to_see(server):
    response, body = fetch(server)
    assert response.status == 418
    assert b"no script" in body


def test_requests_are_kept_as_they_arrived(server):
    server.play(chat())
    before = time.monotonic()
    with connected(server) as sock:
        sock.sendall(ASK)
        sock.recv(65536)
        chunked = REQUEST.replace(b"Content-Length: 9", b"Transfer-Encoding: chunked")
        sock.sendall(chunked + b'3\r\n{"a\r\n6;x=y\r\n":"b"}\r\n0\r\nTrailer: t\r\n\r\n')
        sock.recv(65536)
    for request in server.requests:
        assert (request.method, request.path, request.connection) == ("POST", "/v1/chat/completions", 1)
        assert request.headers["x-twice"] == "1, 2"
        assert request.json() == {"a": "b"}
        assert before <= request.time <= time.monotonic()
    assert [request.head for request in server.requests] == [REQUEST, chunked]


def test_a_connection_stays_open_between_scripts_and_its_client_may_leave_then(server):
    server.play(chat())
    with connected(server) as sock:
        for _ in range(3):
            sock.sendall(ASK)
            sock.recv(65536)
        assert (server.connections_total, server.connections_open) == (1, 1)
    server.wait_for(lambda: server.connections_open == 0)
    assert len(server.requests) == 3
    assert server.disconnects == []


def test_one_script_may_answer_several_requests(server):
    server.play(chat("one"), chat("two"), KeepAlive(), Reset())
    with connected(server) as sock:
        for expected in (b'"one"', b'"two"'):
            sock.sendall(ASK)
            assert expected in sock.recv(65536)
        sock.sendall(ASK)
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    server.wait_for(lambda: server.connections_open == 0)
    assert (len(server.requests), server.disconnects) == (2, [])


def test_a_request_may_be_answered_before_its_body_has_come(server):
    server.play(Read(body=False), error(413), Close(), Stall(5))
    with connected(server) as sock:
        sock.sendall(REQUEST)
        assert sock.recv(65536).startswith(b"HTTP/1.1 413 ")
        assert sock.recv(1) == b""
        sock.sendall(b"the rest")
    server.wait_for(lambda: server.connections_open == 0)
    assert (server.requests[0].body, server.disconnects) == (b"", [])


def test_a_script_that_leaves_its_request_unread_ends_the_connection(server):
    server.play(Send(b"220 ready\r\n"))
    with connected(server) as sock:
        assert read_all(sock) == b"220 ready\r\n"
    assert server.requests == []


def test_a_function_is_a_step(server):
    async def echo(connection: Connection) -> None:
        request = await connection.read()
        await answer(request.body)(connection)

    server.play(echo)
    assert fetch(server)[1] == b"{}"


# Ends.


@pytest.mark.parametrize("ending", [Close(), Reset()])
@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nfour"])
def test_close_is_an_end_of_file_and_reset_is_an_error(server, ending, sent):
    server.play(Read(), Send(sent), ending)
    with connected(server) as sock:
        sock.sendall(ASK)
        got = bytearray()
        with pytest.raises(ConnectionResetError) if ending == Reset() else contextlib.nullcontext():
            while data := sock.recv(4):
                got += data
        assert got == sent
    server.wait_for(lambda: server.connections_open == 0)
    assert server.disconnects == []


def test_a_connection_may_be_reset_as_soon_as_it_is_accepted(server):
    def connect_and_read() -> bytes:
        with connected(server) as sock:
            return sock.recv(1)

    server.play(Reset())
    with pytest.raises(ConnectionResetError):  # from either: the reset may overtake the end of `connect`
        connect_and_read()
    server.wait_for(lambda: server.connections_total == 1 and server.connections_open == 0)


@pytest.mark.parametrize(
    "script",
    [
        (Stall(),),
        (Read(), Stall()),
        (head_only(), Stall()),
        (sse("a", "b").first(1), Stall()),
        (Read(), SendSlowly(b"x" * 100, every=1.0)),
        (sse(*["x"] * 100).paced(1.0),),
    ],
    ids=["at once", "before the head", "after the head", "in a stream", "in a slow answer", "in a paced stream"],
)
@pytest.mark.parametrize("rudely", [False, True])
def test_a_client_that_leaves_a_script_is_a_disconnect(server, script, rudely):
    server.play(*script)
    with connected(server) as sock:
        sock.sendall(ASK)
        server.wait_for(lambda: server.requests or script == (Stall(),))
        if rudely:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        left = time.monotonic()
    server.wait_for(lambda: server.disconnects)
    server.wait_for(lambda: server.connections_open == 0)
    (seen,) = server.disconnects
    assert left <= seen <= left + 5


def test_half_a_request_is_a_disconnect(server):
    server.play(chat())
    with connected(server) as sock:
        sock.sendall(ASK[:-1])
        with pytest.raises(TimeoutError, match="0 requests"):
            server.wait_for(lambda: server.requests, timeout=0.05)
    server.wait_for(lambda: server.disconnects)


def test_a_client_that_does_not_read_holds_the_server_back(server):
    server.play(Read(), Send(b"x" * (64 << 20)))
    with connected(server) as sock:
        sock.sendall(ASK)
        taken = -1
        while taken != server.bytes_sent:  # until the kernel's buffers are full
            taken = server.bytes_sent
            time.sleep(0.1)
        assert 0 < taken < 64 << 20
    server.wait_for(lambda: server.disconnects)


# Answers.


def test_a_stream_is_a_chunk_per_event(server):
    server.play(sse("Hé", delta(reasoning_content="hm"), b": a comment\n\n", "llo", newline=b"\r\n"))
    response, body = fetch(server)
    assert response.headers["content-type"] == "text/event-stream"
    assert response.headers["transfer-encoding"] == "chunked"
    assert said(body) == "Héllo"
    assert b"\n\n" not in body.replace(b": a comment\n\n", b"")
    assert body.endswith(b"data: [DONE]\r\n\r\n")
    assert b'"finish_reason": "stop"' in body
    assert b'"total_tokens": 10' in body


def test_a_stream_may_leave_out_its_end(server):
    server.play(sse("a", finish_reason=None, usage=None, done=False))
    assert fetch(server)[1] == event(delta("a"))


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_every_framing_is_read_alike(server, framing):
    server.play(sse("a", "b").framed(framing))
    assert said(fetch(server)[1]) == "ab"
    server.wait_for(lambda: server.connections_open == 0)


def test_an_answer_may_be_split_anywhere(server):
    whole = chat("é")
    seen_split = 0
    with connected(server) as sock:
        for at in range(1, len(whole.raw)):
            server.play_once(whole.split(at))
            sock.sendall(ASK)
            got = sock.recv(65536)
            seen_split += got == whole.raw[:at]
            while len(got) < len(whole.raw):
                got += sock.recv(65536)
            assert got == whole.raw
    assert seen_split  # how often depends on how busy the machine is


def test_an_answer_may_drip(server):
    server.play_once(sse("é").dripped())
    server.play_once(sse("é").dripped(every=0.001, size=100))
    server.play_once(Read(), SendSlowly(sse("é").framed("close").raw, every=0.0001), Close())
    for _ in range(3):
        assert said(fetch(server)[1]) == "é"


def test_a_stream_may_pause_where_a_test_wants_it_to(server):
    stream = sse("a", "b")
    server.play(stream.first(1), Stall(0.1), stream.rest(1))
    assert said(fetch(server)[1]) == "ab"


def test_a_client_that_leaves_at_done_has_not_left_too_soon(server):
    server.play(sse("a").paced(0.02))
    with connected(server) as sock:
        sock.sendall(ASK)
        got = b""
        while b"[DONE]" not in got:
            got += sock.recv(65536)
    server.wait_for(lambda: server.connections_open == 0)
    assert server.disconnects == []


@pytest.mark.parametrize("wrong", [sse("a").cut(-5), sse("a", "b").first(1), sse("a", "b").with_bad_chunk(1)])
def test_a_broken_stream_is_broken(server, wrong):
    server.play(wrong, Close())
    with pytest.raises(http.client.IncompleteRead):
        fetch(server)


def test_a_content_length_may_lie(server):
    true = len(chat().body[0])
    server.play_once(chat().claiming(true + 1), Close())
    server.play_once(chat().claiming(true - 1), Close())
    server.play_once(sse("a").claiming(5))
    with pytest.raises(http.client.IncompleteRead):
        fetch(server)
    with pytest.raises(json.JSONDecodeError):
        json.loads(fetch(server)[1])
    assert {"content-length", "transfer-encoding"} <= set(fetch(server)[0].headers)


def test_compressed_bodies_whole_and_cut(server):
    server.play_once(sse("a", "b").gzipped())
    server.play_once(chat("hello").gzipped(keep=20))
    server.play_once(gzip_bomb(1))
    response, body = fetch(server)
    assert response.headers["content-encoding"] == "gzip"
    assert said(gzip.decompress(body)) == "ab"
    with pytest.raises(EOFError):
        gzip.decompress(fetch(server)[1])
    bomb = fetch(server)[1]
    assert len(bomb) < 8192
    assert len(zlib.decompress(bomb, wbits=31)) > 1 << 20
    # A stream still streams: what is flushed after the first event can be read without the rest.
    first = sse("a", "b").gzipped().body[0]
    assert said(zlib.decompressobj(wbits=31).decompress(first)) == "a"


def test_heads_may_be_odd(server):
    server.play_once(chat().typed("text/plain").headed(x_request_id="r1").after(100, 103))
    server.play_once(answer("", status=599))
    with connected(server) as sock:
        sock.sendall(ASK)
        got = sock.recv(65536)
        assert got.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n")
        assert b"content-type: text/plain\r\nx-request-id: r1\r\n" in got
        sock.sendall(ASK)
        assert sock.recv(65536).startswith(b"HTTP/1.1 599 Unassigned\r\n")


def test_a_line_may_be_giant(server):
    server.play(giant_line(3))
    assert len(said(fetch(server)[1])) == 3 << 20


# TLS.


def tls_client(server: FaultServer) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=server.ca_pem)
    with contextlib.ExitStack() as opened:
        sock = opened.enter_context(socket.create_connection((server.host, server.port), timeout=10))
        client = context.wrap_socket(sock, server_hostname="127.0.0.1")
        opened.pop_all()
        return client


def test_tls_serves_what_plain_text_does():
    with FaultServer(tls=True) as server:
        assert server.url.startswith("https://127.0.0.1:")
        big = chat("x" * 1_000_000)
        server.play(big)
        with tls_client(server) as client:
            for _ in range(2):
                client.sendall(ASK)
                got = b""
                while len(got) < len(big.raw):
                    got += client.recv(1 << 20)
                assert got == big.raw
        server.wait_for(lambda: server.connections_open == 0)
        assert (len(server.requests), server.disconnects) == (2, [])
        server.play(Read(), Stall())
        with tls_client(server) as client:
            client.sendall(ASK)
            server.wait_for(lambda: len(server.requests) == 3)
        server.wait_for(lambda: server.disconnects)
    assert not Path(server.ca_pem).exists()


@pytest.mark.parametrize("ending", [Close(), Close(close_notify=False), Reset()])
def test_tls_tells_an_end_from_a_cut_and_a_reset(ending):
    with FaultServer(tls=True) as server:
        server.play(Read(), Send(b"half"), ending)
        with tls_client(server) as client:
            client.sendall(ASK)
            assert client.recv(4) == b"half"
            client.settimeout(None)  # os.read must wait
            # Beneath TLS, for Python's ssl calls a cut an end, and a reset a cut.
            with pytest.raises(ConnectionResetError) if ending == Reset() else contextlib.nullcontext():
                alert = os.read(client.fileno(), 1024)
                assert bool(alert) == (ending == Close())


@pytest.mark.parametrize("certificate", ["expired", "wrong-host"])
def test_bad_certificates_are_seen_as_bad(certificate):
    with FaultServer(tls=certificate) as server:
        server.play(chat())
        with pytest.raises(ssl.SSLCertVerificationError):
            tls_client(server).close()
        server.wait_for(lambda: server.connections_total == 1 and server.connections_open == 0)
        assert server.requests == []


# No server at all.


def test_a_port_may_refuse():
    with refusing() as url, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=10)


def test_a_port_may_stay_silent():
    with unanswering() as url, pytest.raises(TimeoutError):
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=0.3)


# Its own life.


def test_whatever_happens_nothing_is_left():
    before = set(threading.enumerate())
    with contextlib.ExitStack() as opened:
        for tls in [False] * 15 + [True] * 15:
            server = opened.enter_context(FaultServer(tls=tls))
            server.play(Read(), Send(b"x" * (16 << 20)), Stall())
            for data in (b"", ASK[:-1], ASK):  # the last leaves the server in the middle of a write, or of a handshake
                opened.enter_context(connected(server)).sendall(data)
    assert set(threading.enumerate()) == before  # sockets and loops: a ResourceWarning would be an error


def test_leaving_at_once_is_quick_and_quiet():
    for _ in range(20):
        with FaultServer() as server, connected(server):
            pass
    for _ in range(5):
        with FaultServer():
            pass


def send_nonsense(*, then: Exception | None = None) -> None:
    with FaultServer() as server:
        server.play(chat())
        with connected(server) as sock:
            sock.sendall(b"\x16\x03\x01 not HTTP\r\n\r\n")
            assert read_all(sock) == b""
        if then:
            raise then


def test_an_error_in_a_script_comes_out_at_the_end():
    with pytest.raises(ValueError, match="not an HTTP/1 request"):
        send_nonsense()


def test_but_never_hides_the_error_of_the_test_itself():
    with pytest.raises(ZeroDivisionError):
        send_nonsense(then=ZeroDivisionError())


async def test_it_can_be_awaited(server):
    server.play(Read(), Stall())
    _, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(ASK)
    await server.until(lambda: server.requests)
    writer.close()
    await writer.wait_closed()
    await server.until(lambda: server.disconnects)
