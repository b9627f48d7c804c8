"""Workers that end, grow or stop listening, and what their siblings, and the metrics, have of it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest

from quoth.gateway.serve.plan import Server
from tests.gateway.serve.running import Load, Running, eventually, is_gone


def _connections(gateway: Running, worker: int) -> int:
    return len([each for each in psutil.Process(worker).net_connections("tcp") if each.status == "ESTABLISHED"])


def test_a_crash_is_nobody_elses_affair(tmp_path: Path) -> None:
    """S16: an open stream of the sibling ends whole, new requests are answered, a new worker comes."""
    with Running(tmp_path, workers=2) as gateway, gateway.stream(20) as answer:
        (busy,) = [worker for worker in gateway.workers() if _connections(gateway, worker)]
        (idle,) = [worker for worker in gateway.workers() if worker != busy]
        os.kill(idle, signal.SIGKILL)
        assert "ended by signal 9; the next starts in 0.1 s" in gateway.line("warn", str(idle)).text
        assert gateway.get("/") == (200, "hello")
        eventually(lambda: len(gateway.workers()) == 2)
        assert busy in gateway.workers()
        assert answer.read().endswith(b"data: [DONE]\n\n")


def test_connections_that_wait_for_a_lone_worker_find_the_next_one(tmp_path: Path) -> None:
    """The queue of connections belongs to the socket, which the parent has too."""
    with Running(tmp_path) as gateway:
        for _ in range(3):
            (worker,) = gateway.workers()
            os.kill(worker, signal.SIGKILL)
            eventually(lambda worker=worker: is_gone(worker))  # type: ignore[misc]
            assert gateway.get("/") == (200, "hello")


def test_a_worker_that_crashes_again_and_again_waits_longer_each_time(tmp_path: Path) -> None:
    with Running(tmp_path) as gateway:
        for wait in ("0.1", "0.2", "0.4"):
            with pytest.raises(ConnectionError):
                gateway.get("/crash")
            gateway.line("warn", f"the next starts in {wait} s")
        assert gateway.get("/") == (200, "hello")


@pytest.mark.parametrize("server", ["granian", "uvicorn"])
def test_a_worker_that_has_grown_is_replaced_between_two_requests(server: Server, tmp_path: Path) -> None:
    """Every worker is larger than 1 MB, so each look finds one; nobody who is answered notices."""
    with Running(tmp_path, server=server, recycle_above=1) as gateway:
        (first,) = gateway.workers()
        with Load(gateway) as load, gateway.stream(40) as answer:
            gateway.line("warn", "has grown to")
            eventually(lambda: gateway.get("/pid")[1] != str(first))
            assert answer.read().endswith(b"data: [DONE]\n\n")
            eventually(lambda: is_gone(first))
        assert load.failures == []
        gateway.signal(signal.SIGTERM)
        assert gateway.ended() == 0


def test_metrics_are_of_all_workers_with_those_that_left(tmp_path: Path) -> None:
    with Running(tmp_path, workers=3) as gateway:
        for _ in range(20):
            gateway.get("/")
        assert gateway.get("/metrics") == (200, "21")
        assert gateway.get("/metrics") == (200, "22"), "and once each"
        for worker in gateway.workers():
            os.kill(worker, signal.SIGKILL)
            gateway.line("warn", str(worker))
        assert int(gateway.get("/metrics")[1]) >= 21, "a counter does not fall because a worker crashed"


def test_a_worker_that_does_not_answer_is_counted_as_it_was(tmp_path: Path) -> None:
    with Running(tmp_path, workers=2) as gateway:
        assert gateway.get("/metrics") == (200, "1")
        asked = int(gateway.get("/pid")[1])
        other = next(worker for worker in gateway.workers() if worker != asked)
        total = int(gateway.get("/metrics")[1])
        os.kill(other, signal.SIGSTOP)
        try:
            # The connection may have been given to the one that stands still: then another is tried.
            assert int(_impatient(gateway)) >= total
        finally:
            os.kill(other, signal.SIGCONT)


def _impatient(gateway: Running) -> str:
    while True:
        connection = gateway.connection()
        connection.timeout = 3
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()
        except TimeoutError:
            continue
        finally:
            connection.close()
