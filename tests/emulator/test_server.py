"""HTTP, the life of the server, and what a test can ask it."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import warnings

import pytest

from quoth.emulator import Emulator
from tests.emulator.client import HELLO, chat, connected, raw_chat, read_all, request, wait_until


def test_requests_are_recorded(emulator: Emulator) -> None:
    chat(emulator, "hi", key="secret", temperature=0.5)
    request(emulator, "POST", "/v1/chat/completions?a=1", b"no json", X_Extra="yes")
    first, second = emulator.requests
    assert (first.method, first.path) == ("POST", "/v1/chat/completions")
    assert first.headers["authorization"] == "Bearer secret"
    assert first.body == {"model": "grok-4", "messages": [{"role": "user", "content": "hi"}], "temperature": 0.5}
    assert (second.body, second.query, second.headers["x-extra"]) == (b"no json", {"a": "1"}, "yes")
    assert first.arrived <= second.arrived
    emulator.clear()
    assert emulator.requests == []


def test_a_connection_serves_many_requests(emulator: Emulator) -> None:
    connection = http.client.HTTPConnection(emulator.origin.removeprefix("http://"), timeout=20)
    try:
        for stream in (False, True, False):
            body = json.dumps({"model": "grok-4", "messages": HELLO, "stream": stream})
            connection.request("POST", "/v1/chat/completions", body, {"Authorization": "Bearer k"})
            response = connection.getresponse()
            assert (response.status, response.headers["Connection"]) == (200, "keep-alive")
            response.read()
        assert emulator.open_connections == 1
    finally:
        connection.close()
    assert wait_until(lambda: emulator.open_connections == 0)
    assert emulator.disconnects == 0


def test_requests_sent_ahead_are_answered_in_order(emulator: Emulator) -> None:
    with connected(emulator) as sock:
        sock.sendall(raw_chat(prompt="2 + 2") + raw_chat(prompt="3 + 3") + raw_chat("close", prompt="4 + 4"))
        data = read_all(sock)
    places = [data.index(result) for result in (b"= 4", b"= 6", b"= 8")]
    assert places == sorted(places)


def test_old_clients_and_those_that_close(emulator: Emulator) -> None:
    body = json.dumps({"model": "grok-4", "messages": HELLO, "stream": True}).encode()
    length = f"Content-Length: {len(body)}\r\n\r\n".encode()
    old = b"POST /v1/chat/completions HTTP/1.0\r\nAuthorization: Bearer k\r\n" + length + body
    closing = b"POST /v1/chat/completions HTTP/1.1\r\nAuthorization: Bearer k\r\nConnection: close\r\n" + length + body
    with connected(emulator) as sock:
        sock.sendall(old)
        answer = read_all(sock)
        assert b"Transfer-Encoding" not in answer
        assert answer.endswith(b"data: [DONE]\n\n")
    with connected(emulator) as sock:
        sock.sendall(closing)
        assert read_all(sock).endswith(b"0\r\n\r\n")


def test_expect_continue_and_chunked_requests(emulator: Emulator) -> None:
    body = json.dumps({"model": "grok-4", "messages": HELLO}).encode()
    with connected(emulator) as sock:
        sock.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nAuthorization: Bearer k\r\nConnection: close\r\n"
            b"Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        assert sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        for start in range(0, len(body), 10):
            part = body[start : start + 10]
            sock.sendall(b"%x;name=value\r\n%b\r\n" % (len(part), part))
        sock.sendall(b"0\r\nTrailer: t\r\n\r\n")
        assert b"200 OK" in read_all(sock)
    assert emulator.requests[0].raw == body


def test_a_request_may_arrive_byte_by_byte(emulator: Emulator) -> None:
    with connected(emulator) as sock:
        for byte in raw_chat("close"):
            sock.sendall(bytes([byte]))
        assert b"200 OK" in read_all(sock)


def test_head_options_and_wrong_methods(emulator: Emulator) -> None:
    head = request(emulator, "HEAD", "/v1/models")
    assert (head.status, head.raw) == (200, b"")
    assert int(head.headers["content-length"]) > 100_000
    preflight = request(emulator, "OPTIONS", "/v1/chat/completions", key=None)
    assert (preflight.status, preflight.raw) == (204, b"")
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert preflight.headers["access-control-allow-headers"] == "Authorization, Content-Type"
    for method, path in (("GET", "/v1/chat/completions"), ("POST", "/v1/models"), ("DELETE", "/usage/current_balance")):
        wrong = request(emulator, method, path)
        assert (wrong.status, wrong.body) == (405, {"detail": "Method Not Allowed"})
    unknown = request(emulator, "GET", "/v1/nothing")
    assert (unknown.status, unknown.body) == (404, {"detail": "Not Found"})


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 400),
        (b"GET http://[ HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", 400),
        (b"FETCH / HTTP/1.1\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: -5\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", 400),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * 70_000, 431),
    ],
)
def test_what_is_not_http_is_refused_and_closed(emulator: Emulator, sent: bytes, status: int) -> None:
    with connected(emulator) as sock:
        sock.sendall(sent)
        assert read_all(sock).startswith(b"HTTP/1.1 %d " % status)
    assert wait_until(lambda: emulator.open_connections == 0)


def test_bodies_have_a_limit() -> None:
    with Emulator(token_delay=0, max_body=1000) as small:
        reply = request(small, "POST", "/v1/chat/completions", b"x" * 1001)
        assert (reply.status, reply.error["type"]) == (413, "request_too_large")
        with connected(small) as sock:
            sock.sendall(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n")
            assert read_all(sock).startswith(b"HTTP/1.1 413 ")


def test_a_client_that_leaves_is_noticed(emulator: Emulator) -> None:
    emulator.faults("pace=0.05")
    with connected(emulator) as sock:
        sock.sendall(raw_chat(prompt="Count to 500", stream=True))
        sock.recv(100)
        assert emulator.open_connections == 1
    assert wait_until(lambda: emulator.disconnects == 1)
    assert wait_until(lambda: emulator.open_connections == 0)


def test_a_client_that_does_not_read_holds_the_answer_back(emulator: Emulator) -> None:
    """The answer is produced as the client takes it; leaving it aside is leaving mid-answer."""
    with connected(emulator) as sock:
        sock.sendall(raw_chat(prompt="Count to 99999", stream=True))
        sock.recv(10)
        assert wait_until(lambda: emulator.open_connections == 1)
    assert wait_until(lambda: emulator.disconnects == 1)


def test_clients_that_leave_leave_nothing_behind(emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    """Not even a line in asyncio's log, which warns of each write to a closed connection."""
    for _ in range(50):
        with connected(emulator) as sock:
            sock.sendall(raw_chat(prompt="Count to 2000", stream=True))
            sock.recv(10)
    assert wait_until(lambda: emulator.open_connections == 0)
    assert emulator.disconnects == 50
    assert caplog.messages == []


def test_many_clients_at_once(emulator: Emulator) -> None:
    texts: list[str] = []
    threads = [threading.Thread(target=lambda: texts.append(chat(emulator, "17 * 19").text)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == ["[emulated Grok-4] 17 * 19 = 323"] * 20


def test_two_emulators_do_not_know_each_other(emulator: Emulator) -> None:
    with Emulator(token_delay=0, balance=5) as other:
        assert other.origin != emulator.origin
        chat(other)
        assert emulator.requests == []
        assert emulator.balance == 10_000_000


async def test_async_with_and_stop_with_open_connections() -> None:
    async with Emulator(faults="stall=after:1") as emulator:
        port = int(emulator.origin.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(raw_chat(stream=True))
        assert (await reader.read(15)).startswith(b"HTTP/1.1 200 OK")
        assert emulator.open_connections == 1
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


def test_starting_stopping_and_starting_again() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        emulator = Emulator(token_delay=0)
        for _ in range(2):
            emulator.start()
            with pytest.raises(RuntimeError, match="already running"):
                emulator.start()
            assert chat(emulator).status == 200
            emulator.stop()
            emulator.stop()


def test_a_taken_port_is_one_clear_sentence(emulator: Emulator) -> None:
    port = int(emulator.origin.rpartition(":")[2])
    with pytest.raises(OSError, match=rf"Port {port} on 127\.0\.0\.1 is already in use: "):
        Emulator(port=port).start()


def test_a_wrong_switch_or_profile_is_named() -> None:
    with pytest.raises(ValueError, match="Unknown emulator switch 'token_dely'"):
        Emulator(token_dely=0)
    with pytest.raises(ValueError, match="Unknown emulator profile 'guessed'"):
        Emulator(profile="guessed")
    with pytest.raises(ValueError, match="Unknown fault 'explode'"):
        Emulator(faults="explode")
