"""A client that goes away: its provider is left at once, whatever was being waited for. C1-C3 of docs/reliability.md.

No test measures: each provider here would go on saying nothing for ever, so that its connection ends only because the
gateway closed it.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.faultserver import Connection, FaultServer, Read, SendSlowly, Stall, Step, chat, delta, error, head_only, sse
from tests.gateway.faults.raw import receive, request, reset
from tests.gateway.serving import Serving, chat_body, deployment

pytestmark = pytest.mark.timeout(60)

_ids = (f"left-{number}" for number in itertools.count())


@dataclass(frozen=True, slots=True)
class Moment:
    """`seen`: what the client has read when it leaves; b"" when it leaves as soon as the provider has its request."""

    name: str
    steps: tuple[Step, ...]
    stream: bool
    seen: bytes = b""


COMMENTS = SendSlowly(b"8\r\n: wait\n\n\r\n" * 10_000, every=0.05, size=13)
MOMENTS = [
    Moment("waiting for the head", (Read(), Stall()), stream=False),
    Moment("waiting for the head of a stream", (Read(), Stall()), stream=True),
    Moment("waiting for the first token", (head_only(), Stall()), stream=True),
    Moment("waiting behind comments", (head_only(), COMMENTS), stream=True),
    Moment("waiting behind the role", (sse(delta(role="assistant")).first(1), Stall()), stream=True),
    Moment("in mid-stream", (sse("one ", "two").first(1), Stall()), stream=True, seen=b"one "),
    Moment("waiting for the rest of the body", (chat("hello").cut(-10), Stall()), stream=False),
]
WAYS: dict[str, Callable[[socket.socket], None]] = {
    "closes": socket.socket.close,
    "resets": reset,
}


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.name.replace(" ", "-"))
@pytest.mark.parametrize("way", WAYS)
def test_who_leaves_ends_the_call(moment: Moment, way: str, either: Serving, upstream: FaultServer, name: str) -> None:
    upstream.play(*moment.steps)
    id, asked, left = next(_ids), len(upstream.requests), len(upstream.disconnects)
    sock = socket.create_connection((either.host, either.port))
    sock.sendall(request(either, chat_body(model=f"any/{name}", stream=moment.stream), id))
    upstream.wait_for(lambda: len(upstream.requests) > asked)
    if moment.seen:
        assert moment.seen in receive(sock, moment.seen)
    WAYS[way](sock)
    upstream.wait_for(lambda: len(upstream.disconnects) > left)
    line = either.line_of(id)
    assert line["left"] is True
    assert line["attempts"] == 1, "what was asked for may have to be paid"
    assert line["overhead_ms"] <= line["total_ms"]
    assert "error" not in line
    assert in_flight(either) == 0


def in_flight(gateway: Serving) -> float:
    """Requests under way, but for the one that asks."""
    for line in gateway.get("/metrics").body.decode().splitlines():
        if line.startswith("quoth_in_flight "):
            return float(line.rpartition(" ")[2]) - 1
    raise AssertionError("no such metric")


def held(go: threading.Event) -> Step:
    """A step that says nothing until it is let go."""

    async def step(connection: Connection) -> None:
        while not go.is_set():
            await asyncio.sleep(0.01)

    return step


def eventually(holds: Callable[[], bool]) -> None:
    """What no event of the provider tells; the time limit is that of the test."""
    while not holds():
        time.sleep(0.01)


def test_who_leaves_between_two_tries_is_not_tried_for_again(either: Serving, upstream: FaultServer, name: str) -> None:
    upstream.play(error(429, headers={"retry-after": "5"}))
    id, asked = next(_ids), len(upstream.requests)
    with socket.create_connection((either.host, either.port)) as sock:
        sock.sendall(request(either, chat_body(model=f"again/{name}"), id))
        upstream.wait_for(lambda: len(upstream.requests) > asked)
    line = either.line_of(id)  # long before the five seconds are over, since it is over
    assert line["left"] is True
    assert len(upstream.requests) == asked + 1


def test_who_leaves_with_half_a_request_has_asked_for_nothing(
    either: Serving, upstream: FaultServer, name: str
) -> None:
    id, asked = next(_ids), len(upstream.requests)
    with socket.create_connection((either.host, either.port)) as sock:
        sock.sendall(request(either, b'{"model": "any/x", "messages": [', id, length=10_000))
        sock.shutdown(socket.SHUT_WR)
        sock.recv(65536)
    assert either.line_of(id)["left"] is True
    assert len(upstream.requests) == asked


def test_who_waits_for_the_first_of_its_key_and_leaves(either: Serving, upstream: FaultServer, name: str) -> None:
    """Its own request is over; the first goes on."""
    go = threading.Event()
    first, second, asked = next(_ids), next(_ids), len(upstream.requests)
    key = f"idempotency-key: {first}\r\n".encode()
    upstream.play_once(Read(), held(go), chat("at last"))
    body = chat_body(model=f"any/{name}")
    with socket.create_connection((either.host, either.port)) as sock:
        sock.sendall(request(either, body, first, key))
        upstream.wait_for(lambda: len(upstream.requests) > asked)
        with socket.create_connection((either.host, either.port)) as other:
            other.sendall(request(either, body, second, key))
            eventually(lambda: in_flight(either) == 2)
        line = either.line_of(second)
        assert (line["left"], in_flight(either)) == (True, 1)
        go.set()
        assert b"at last" in receive(sock, b"at last")
    assert len(upstream.requests) == asked + 1


def test_who_waited_for_the_first_of_its_key_and_is_now_the_first(
    either: Serving, upstream: FaultServer, name: str
) -> None:
    """Its result is wanted, as that of any other first."""
    refused, answered = threading.Event(), threading.Event()
    first, second, asked = next(_ids), next(_ids), len(upstream.requests)
    key = f"idempotency-key: {first}\r\n".encode()
    upstream.play_once(Read(), held(refused), error(429))
    upstream.play_once(Read(), held(answered), chat("at last"))
    body = chat_body(model=f"any/{name}")
    with socket.create_connection((either.host, either.port)) as sock:
        sock.sendall(request(either, body, first, key))
        upstream.wait_for(lambda: len(upstream.requests) > asked)
        with socket.create_connection((either.host, either.port)) as other:
            other.sendall(request(either, body, second, key))
            eventually(lambda: in_flight(either) == 2)
            refused.set()
            upstream.wait_for(lambda: len(upstream.requests) > asked + 1)
    answered.set()
    found = either.ask("POST", "/v1/chat/completions", body, {"idempotency-key": first})
    assert found.headers["idempotent-replayed"] == "true"
    assert b"at last" in found.body
    assert len(upstream.requests) == asked + 2


def test_a_place_that_was_left_is_free(upstream: FaultServer, tmp_path_factory: pytest.TempPathFactory) -> None:
    """With room for one call, the next one gets it."""
    models = [deployment("m", upstream.url, num_retries=0, max_parallel_requests=1)]
    with Serving(tmp_path_factory.mktemp("places"), models=models) as gateway:
        for steps in ((Read(), Stall()), (sse("one ", "two").first(1), Stall())):
            upstream.play_once(*steps)
            asked = len(upstream.requests)
            with socket.create_connection((gateway.host, gateway.port)) as sock:
                sock.sendall(request(gateway, chat_body(stream=True), next(_ids)))
                upstream.wait_for(lambda asked=asked: len(upstream.requests) > asked)  # type: ignore[misc]
            upstream.play_once(chat("free"))
            assert gateway.post(chat_body()).status == 200


@pytest.mark.parametrize("seen", [b"", b"one "], ids=["before-the-first-token", "in-mid-stream"])
def test_a_hundred_who_leave(either: Serving, upstream: FaultServer, name: str, seen: bytes) -> None:
    upstream.play(*((sse("one ", "two").first(1), Stall()) if seen else (Read(), Stall())))
    asked, left = len(upstream.requests), len(upstream.disconnects)
    body: Any = chat_body(model=f"any/{name}", stream=True)
    socks = [socket.create_connection((either.host, either.port)) for _ in range(100)]
    for sock in socks:
        sock.sendall(request(either, body, next(_ids)))
    upstream.wait_for(lambda: len(upstream.requests) == asked + 100)
    for sock in socks:
        if seen:
            receive(sock, seen)
        sock.close()
    upstream.wait_for(lambda: len(upstream.disconnects) == left + 100)
    assert in_flight(either) == 0
