"""Each word of the fault language, as a client sees it."""

from __future__ import annotations

import gzip
import http.client
import json
import time
import zlib
from typing import Any

import pytest

from quoth.emulator import Emulator
from quoth.emulator.faults import Faults, parse
from tests.emulator.client import chat, connected, raw_chat, read_all, request, wait_until


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "insufficient_credits"),
        (403, "moderation_error"),
        (404, "not_found_error"),
        (408, "timeout_error"),
        (413, "request_too_large"),
        (429, "rate_limit_error"),
        (500, "provider_error"),
        (502, "upstream_error"),
        (529, "overloaded_error"),
    ],
)
def test_any_status_with_its_body(emulator: Emulator, status: int, kind: str) -> None:
    reply = chat(emulator, fault=f"status={status}")
    assert (reply.status, reply.error["type"]) == (status, kind)
    assert emulator.balance == 10_000_000, "what failed costs nothing"


def test_the_body_of_an_error_can_be_changed(emulator: Emulator) -> None:
    reply = chat(emulator, fault="status=418; type=teapot; code=short; message=and stout; retry-after=2; header=X-A: b")
    assert reply.error == {"message": "and stout", "type": "teapot", "code": "short"}
    assert (reply.headers["retry-after"], reply.headers["x-a"]) == ("2", "b")
    page = chat(emulator, fault="status=502; body=html")
    assert page.raw.startswith(b"<!DOCTYPE html>")
    assert page.headers["content-type"].startswith("text/html")
    assert chat(emulator, fault="body=empty").raw == b""
    assert not is_json(chat(emulator, fault="body=truncated").raw)
    assert not is_json(chat(emulator, fault="body=garbage").raw)
    assert chat(emulator, fault='status=200; body=json:{"a; b": 1}').body == {"a; b": 1}
    assert chat(emulator, fault="content-type=text/plain").headers["content-type"] == "text/plain"


def is_json(raw: bytes) -> bool:
    try:
        json.loads(raw)
    except ValueError:
        return False
    return True


def test_a_status_without_a_body_has_none(emulator: Emulator) -> None:
    reply = chat(emulator, fault="status=204")
    assert (reply.status, reply.raw) == (204, b"")
    moved = chat(emulator, fault="status=307; header=Location: https://example.com/")
    assert (moved.status, moved.headers["location"]) == (307, "https://example.com/")


def test_latency_and_pace(emulator: Emulator) -> None:
    started = time.monotonic()
    chat(emulator, fault="latency=0.1")
    assert time.monotonic() - started >= 0.1
    started = time.monotonic()
    chat(emulator, fault="pace=0.02", stream=True)
    assert time.monotonic() - started >= 0.06


@pytest.mark.parametrize(
    ("fault", "stream", "received"),
    [
        ("fin=before", False, b""),
        ("fin=head", False, b"HTTP/1.1 200 OK"),
        ("fin=after:9", False, b'{"id":"ch'),
        ("fin=after:2", True, b"data: "),
        ("reset=before", False, None),
        ("reset=head", True, None),
        ("reset=after:3", True, None),
        ("reset=after:5", False, None),
    ],
)
def test_connections_end_early(emulator: Emulator, fault: str, stream: bool, received: bytes | None) -> None:
    with connected(emulator) as sock:
        sock.sendall(raw_chat(fault, stream=stream))
        if received is None:
            with pytest.raises(ConnectionResetError):
                read_all(sock)
        else:
            data = read_all(sock)
            assert received in data
            assert not data.endswith(b"0\r\n\r\n"), "a stream is not ended properly"
            if fault == "fin=after:9":
                assert data.endswith(received)
            if stream:
                assert data.count(b"data: ") == 2
    assert wait_until(lambda: emulator.open_connections == 0)
    assert emulator.disconnects == 0, "it was not the client that left"


@pytest.mark.parametrize(("fault", "events"), [("stall=before", None), ("stall=head", 0), ("stall=after:3", 3)])
def test_a_stall_lasts_until_the_client_leaves(emulator: Emulator, fault: str, events: int | None) -> None:
    with connected(emulator) as sock:
        sock.sendall(raw_chat(fault, stream=True))
        sock.settimeout(0.2)
        received = b""
        with pytest.raises(TimeoutError):
            while True:
                received += sock.recv(65536)
        assert received.count(b"data: ") == (events or 0)
        assert bool(received) == (events is not None)
        assert emulator.open_connections == 1
    assert wait_until(lambda: emulator.disconnects == 1)
    assert wait_until(lambda: emulator.open_connections == 0)


def test_a_stall_may_end(emulator: Emulator) -> None:
    assert chat(emulator, fault="stall=after:2; for=0.05", stream=True).raw.endswith(b"data: [DONE]\n\n")


def test_an_error_event_ends_the_stream(emulator: Emulator) -> None:
    reply = chat(emulator, fault="error=after:2; message=boom", stream=True)
    *chunks, error = reply.chunks
    assert len(chunks) == 2
    assert error["error"] == {"message": "boom", "type": "provider_error"}
    assert b"[DONE]" not in reply.raw
    first = chat(emulator, fault="error=after:0", stream=True)
    assert len(first.chunks) == 1


@pytest.mark.parametrize(("fault", "newline"), [("crlf", b"\r\n"), ("cr", b"\r")])
def test_line_ends(emulator: Emulator, fault: str, newline: bytes) -> None:
    reply = chat(emulator, fault=fault, stream=True)
    assert reply.raw.endswith(b"data: [DONE]" + newline * 2)
    assert reply.raw.replace(newline, b"").count(b"\n") == 0
    assert len(reply.chunks) == len(chat(emulator, stream=True).chunks)


def test_bom_comments_and_placeholder(emulator: Emulator) -> None:
    reply = chat(emulator, fault="bom; comments; placeholder", stream=True)
    assert reply.raw.startswith(b"\xef\xbb\xbf: keep-alive\n\ndata: ")
    assert reply.raw.count(b": keep-alive\n\n") == reply.raw.count(b"data: ")
    assert any("Generating" in chunk["choices"][0]["delta"].get("content", "") for chunk in reply.chunks)


def test_parts_of_a_stream_left_out_or_moved(emulator: Emulator) -> None:
    options: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
    whole = chat(emulator, **options)
    assert len(chat(emulator, fault="no-usage", **options).chunks) == len(whole.chunks) - 1
    assert "usage" not in chat(emulator, fault="no-usage").body
    last = chat(emulator, fault="usage=last", **options).chunks[-1]
    assert last["usage"]["total_tokens"] == 11
    assert last["choices"][0]["finish_reason"] == "stop"
    assert [chunk["choices"] for chunk in chat(emulator, fault="usage=twice", **options).chunks[-2:]] == [[], []]
    final = chat(emulator, fault="no-final", **options).chunks
    assert all(choice["finish_reason"] is None for chunk in final for choice in chunk["choices"])
    assert b"[DONE]" not in chat(emulator, fault="no-done", **options).raw


def http_chunks(data: bytes) -> list[bytes]:
    """The chunks of a chunked body, taken apart by hand."""
    rest = data.partition(b"\r\n\r\n")[2]
    chunks = []
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        chunks.append(rest[: int(size, 16)])
        rest = rest[int(size, 16) + 2 :]
    return chunks


@pytest.mark.parametrize("stream", [False, True])
def test_characters_and_bytes_can_be_split(emulator: Emulator, stream: bool) -> None:
    prompt = 'Say "é😀ñ"'
    with connected(emulator) as sock:
        sock.sendall(raw_chat("split-utf8; close", prompt, stream=stream))
        split = http_chunks(read_all(sock))
    assert all(sign.encode() in b"".join(split) for sign in "é😀ñ")
    assert not any(sign.encode() in chunk for chunk in split for sign in "é😀ñ"), "each is cut in two"
    with connected(emulator) as sock:
        sock.sendall(raw_chat("bytes=1; close", prompt, stream=stream))
        *single, end = http_chunks(read_all(sock))
    assert {len(chunk) for chunk in single} == {1}
    assert end == b""


def test_bodies_compressed_unasked(emulator: Emulator) -> None:
    plain = chat(emulator, fault="gzip")
    assert plain.headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(plain.raw))["object"] == "chat.completion"
    assert gzip.decompress(chat(emulator, fault="gzip", stream=True).raw).endswith(b"data: [DONE]\n\n")
    with pytest.raises(EOFError):
        gzip.decompress(chat(emulator, fault="gzip=truncated").raw)
    truncated = zlib.decompressobj(wbits=31)
    truncated.decompress(chat(emulator, fault="gzip=truncated", stream=True).raw)
    assert not truncated.eof


def test_framing_that_lies_or_lacks(emulator: Emulator) -> None:
    for stream in (False, True):
        with pytest.raises(http.client.IncompleteRead):
            chat(emulator, fault="short", stream=stream)
    unframed = chat(emulator, fault="no-length")
    assert unframed.body["object"] == "chat.completion"
    assert "content-length" not in unframed.headers
    assert "transfer-encoding" not in unframed.headers
    assert chat(emulator, fault="no-length", stream=True).raw.endswith(b"data: [DONE]\n\n")


def test_faults_that_come_with_a_request_are_counted(emulator: Emulator) -> None:
    limited = "status=503; times=2"
    assert [chat(emulator, fault=limited).status for _ in range(3)] == [503, 503, 200]
    assert chat(emulator, fault=f"{limited}; tag=another").status == 503
    late = "status=503; skip=1; times=1"
    assert [chat(emulator, fault=late).status for _ in range(3)] == [200, 503, 200]
    emulator.clear()
    assert chat(emulator, fault=limited).status == 503


def test_faults_are_planned_by_the_test(emulator: Emulator) -> None:
    emulator.faults("status=500", "ok", "status=502; times=2", "status=503; on=/v1/models")
    assert [chat(emulator).status for _ in range(5)] == [500, 200, 502, 502, 200]
    assert [request(emulator, "GET", "/v1/models").status for _ in range(2)] == [503, 503]
    emulator.faults("status=500", "status=429; skip=1")
    assert [chat(emulator).status for _ in range(4)] == [500, 200, 429, 429], "the last stays"
    assert chat(emulator, fault="status=418").status == 418, "the request's own comes first"
    emulator.faults()
    assert chat(emulator).status == 200


def test_faults_are_planned_at_the_start_and_again_by_clear() -> None:
    with Emulator(token_delay=0, faults=("status=500", "ok")) as emulator:
        assert [chat(emulator).status for _ in range(3)] == [500, 200, 200]
        emulator.clear()
        assert chat(emulator).status == 500
    with Emulator(faults="status=503") as emulator:
        assert [chat(emulator).status for _ in range(2)] == [503, 503]


@pytest.mark.parametrize(
    "text",
    [
        "explode",
        "status=abc",
        "body=xml",
        "stall=never",
        "error=before",
        "bytes=0",
        "latency=-1",
        "latency=nan",
        "usage=no",
        "crlf=1",
    ],
)
def test_a_word_that_is_not_known_is_refused(emulator: Emulator, text: str) -> None:
    with pytest.raises(ValueError, match=r"[Ff]ault"):
        parse(text)
    with pytest.raises(ValueError, match=r"[Ff]ault"):
        Faults(text)
    reply = chat(emulator, fault=text)
    assert (reply.status, reply.error["param"]) == (400, "x-emulate-fault")
