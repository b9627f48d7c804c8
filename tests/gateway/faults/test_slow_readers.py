"""A client that does not read: its provider is not read either, memory stays small, and it does not stay for ever.
C4 of docs/reliability.md."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.faultserver import Connection, FaultServer, answer, chat, delta, event
from tests.gateway.faults.raw import request
from tests.gateway.serving import SERVERS, Serving, chat_body

pytestmark = pytest.mark.timeout(60)

MB = 1_000_000
OFFERED = 200 * MB


class Flood:
    """Events for as long as somebody takes them, at most OFFERED bytes."""

    reads = True

    async def __call__(self, connection: Connection) -> None:
        await connection.read()
        await connection.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        one = event(delta("x" * 16_000))
        for _ in range(OFFERED // len(one)):
            await connection.send(one)
        await connection.send(event(delta(finish_reason="stop")) + event("[DONE]"))
        await connection.close()


@pytest.fixture(scope="module", params=SERVERS)
def patient(request: pytest.FixtureRequest, server: FaultServer, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A gateway that ends a client which takes nothing after a second."""
    folder: Path = tmp_path_factory.mktemp("patient")
    settings = {"server": {"write_timeout": 1}}
    with Serving(folder, upstream=server.url, server=request.param, quoth=settings) as gateway:
        yield gateway


def resident(gateway: Serving) -> float:
    """MB of the gateway's processes."""
    parent = psutil.Process(gateway.process.pid)
    return sum(one.memory_info().rss for one in (parent, *parent.children(recursive=True))) / MB


@pytest.fixture
def reader(patient: Serving) -> Iterator[socket.socket]:
    with socket.create_connection((patient.host, patient.port)) as sock:
        yield sock


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends such a connection by itself")
def test_who_takes_nothing_holds_up_the_provider_and_is_left(
    patient: Serving, upstream: FaultServer, reader: socket.socket
) -> None:
    upstream.play_once(chat("warm"))
    patient.post(chat_body())
    upstream.play(Flood())
    before, sent, left = resident(patient), upstream.bytes_sent, len(upstream.disconnects)
    reader.sendall(request(patient, chat_body(stream=True), "slow"))
    # The provider is left when the time is up; until then nobody has taken more than buffers hold.
    upstream.wait_for(lambda: len(upstream.disconnects) > left, timeout=20)
    assert upstream.bytes_sent - sent < OFFERED / 4
    assert resident(patient) - before < 20
    line = patient.line_of("slow")
    assert line["left"] is True
    assert line["bytes_out"] < OFFERED / 4


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends such a connection by itself")
def test_a_whole_answer_that_nobody_takes_is_dropped(
    patient: Serving, upstream: FaultServer, reader: socket.socket
) -> None:
    upstream.play(chat("x" * 30 * MB))
    worker = psutil.Process(patient.process.pid).children()[0]
    reader.sendall(request(patient, chat_body(), "whole"))
    patient.line_of("whole")

    while any(one.raddr == reader.getsockname() for one in worker.net_connections("tcp") if one.raddr):
        time.sleep(0.05)  # the test's own limit is the one against hangs


@pytest.mark.parametrize("server_name", SERVERS)
def test_who_takes_nothing_does_not_hold_up_the_end(server_name: str, upstream: FaultServer, tmp_path: Path) -> None:
    upstream.play(Flood())
    settings = {"drain_delay": 0, "drain_timeout": 0.1}
    with Serving(tmp_path, upstream=upstream.url, server=server_name, quoth=settings) as gateway:
        with socket.create_connection((gateway.host, gateway.port)) as sock:
            asked = len(upstream.requests)
            sock.sendall(request(gateway, chat_body(stream=True), "held"))
            upstream.wait_for(lambda: len(upstream.requests) > asked)
            assert sock.recv(10)
            assert gateway.stop() == 0
        line = gateway.line_of("held")
        assert line["error"] == "shutting_down"
        # granian may still have room for the last word, and then nobody can tell that it was not taken.
        assert server_name == "granian" or line["left"] is True
        assert not any("is killed" in line for line in gateway.told)


def test_who_reads_slowly_gets_everything(patient: Serving, upstream: FaultServer, reader: socket.socket) -> None:
    one = event(delta("x" * 16_000))
    body = one * 1000 + event(delta(finish_reason="stop")) + event("[DONE]")
    upstream.play(answer(body, content_type="text/event-stream"))
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    reader.sendall(request(patient, chat_body(stream=True), "steady"))
    got = b""
    while b"[DONE]" not in got[-100:]:
        piece = reader.recv(65536)
        assert piece
        got += piece
    assert got.count(b"x" * 16_000) == 1000
