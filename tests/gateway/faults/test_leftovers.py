"""After a call nothing of it is left: no task, no timer that still speaks, no connection, no descriptor. S22, C2 of
docs/reliability.md; `make soak` does the same for hours."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import psutil
import pytest

from quoth.gateway.app import App
from tests.faultserver import (
    Close,
    FaultServer,
    Read,
    Reset,
    Send,
    Stall,
    Step,
    chat,
    delta,
    error,
    head_only,
    html,
    sse,
)
from tests.gateway.faults.inside import Exchange, application
from tests.gateway.faults.raw import request as raw_request
from tests.gateway.serving import Serving, chat_body, deployment

pytestmark = pytest.mark.timeout(60)

COMMIT = 0.05


def models(upstream: FaultServer) -> list[dict[str, Any]]:
    return [deployment("m", upstream.url, num_retries=0, timeout={"first": 0.3, "idle": 0.3})]


@pytest.fixture
def alone() -> Any:
    """A provider of this test alone: its connections are counted."""
    with FaultServer() as server:
        yield server


async def check(app: App, upstream: FaultServer, exchange: Exchange, before: set[Any], kept: int) -> None:
    """Nothing is left but, where the answer was whole, a connection that can be used again."""
    assert not app.open
    assert app.observers.metrics.in_flight == 0
    candidate = app.generation.group("m").candidates[0]
    assert candidate.health.in_flight == 0
    await asyncio.sleep(COMMIT * 2)
    assert exchange.after == []
    assert asyncio.all_tasks() == before
    await upstream.until(lambda: upstream.connections_open <= kept)


SILENT = (Read(), Stall())
MID = (sse("one ", "two").first(1), Stall())
CASES: dict[str, tuple[tuple[Step, ...], bool, int]] = {
    # what the provider does, streamed, connections that stay
    "an answer": ((chat("ok"),), False, 1),
    "a stream": ((sse("one ", "two"),), True, 1),
    "a stream whose connection does not end": ((sse("one").first(4), Stall()), True, 0),
    "a stream that is not one": ((chat("ok"),), True, 1),
    "a refusal": ((error(400),), True, 1),
    "a page": ((html(200),), False, 1),
    "reset": ((Read(), Reset()), True, 0),
    "silence": (SILENT, True, 0),
    "silence behind the head": ((head_only(), Stall()), True, 0),
    "silence in mid-stream": (MID, True, 0),
    "reset in mid-stream": ((MID[0], Reset()), True, 0),
    "cut in mid-stream": ((MID[0], Close()), True, 0),
    "an error event": ((sse("one", {"error": {"message": "no"}}, "two"),), True, 0),
    "half an answer": ((chat("ok").cut(-5), Close()), False, 0),
    "not HTTP": ((Read(), Send(b"220 hi\r\n"), Stall()), False, 0),
}


@pytest.mark.parametrize("case", CASES, ids=lambda name: name.replace(" ", "-"))
async def test_nothing_is_left_of_a_call(case: str, alone: FaultServer, tmp_path: Path) -> None:
    steps, stream, kept = CASES[case]
    alone.play(*steps)
    async with application(tmp_path, models(alone), COMMIT) as app:
        before = asyncio.all_tasks()
        exchange = Exchange(app, chat_body(stream=stream))
        await exchange.run()
        assert exchange.sent[-1].get("more_body", False) is False
        await check(app, alone, exchange, before, kept)


LEFT: dict[str, tuple[tuple[Step, ...], bool]] = {
    "waiting for the head": (SILENT, False),
    "waiting for the head of a stream": (SILENT, True),
    "waiting behind the head": ((head_only(), Stall()), True),
    "waiting behind the role": ((sse(delta(role="assistant")).first(1), Stall()), True),
    "in mid-stream": (MID, True),
}


@pytest.mark.parametrize("case", LEFT, ids=lambda name: name.replace(" ", "-"))
@pytest.mark.parametrize("late", [False, True], ids=["early", "after-a-comment"])
async def test_nothing_is_left_of_a_call_that_was_left(
    case: str, late: bool, alone: FaultServer, tmp_path: Path
) -> None:
    steps, stream = LEFT[case]
    alone.play(*steps)
    async with application(tmp_path, models(alone), COMMIT) as app:
        before = asyncio.all_tasks()
        exchange = Exchange(app, chat_body(stream=stream, timeout=30))
        async with asyncio.TaskGroup() as group:
            group.create_task(exchange.run())
            await alone.until(lambda: alone.requests)
            if late:
                await asyncio.sleep(COMMIT * 2)
            exchange.leave()
        await alone.until(lambda: alone.disconnects)
        await check(app, alone, exchange, before, 0)


@pytest.mark.parametrize("message", range(1, 6), ids=["head", "first", "second", "reason", "done"])
async def test_nothing_is_left_of_a_client_that_reads_no_more(message: int, alone: FaultServer, tmp_path: Path) -> None:
    """It stops at each message in turn, the one that ends the stream included, and then goes."""
    parts = sse("one ", "two ", usage=None, finish_reason="stop")
    alone.play(parts.paced(0.02), Stall())
    async with application(tmp_path, models(alone), COMMIT) as app:
        before = asyncio.all_tasks()
        exchange = Exchange(app, chat_body(stream=True), block=message)
        async with asyncio.TaskGroup() as group:
            group.create_task(exchange.run())
            await exchange.blocked.wait()
            await asyncio.sleep(COMMIT * 2)
            exchange.leave()
        await check(app, alone, exchange, before, 0)


async def test_nothing_is_left_of_calls_that_are_cut_short_by_the_end(alone: FaultServer, tmp_path: Path) -> None:
    alone.play(*MID)
    async with application(tmp_path, models(alone), COMMIT) as app:
        before = asyncio.all_tasks()
        reading, blocked = Exchange(app, chat_body(stream=True, timeout=30)), Exchange(app, chat_body(stream=True), 2)
        async with asyncio.TaskGroup() as group:
            for exchange in (reading, blocked):
                group.create_task(exchange.run())
            await blocked.blocked.wait()
            await app.drain(0.0, 0.05)
        assert b"shutting_down" in reading.sent[-1]["body"]
        for exchange in (reading, blocked):
            await check(app, alone, exchange, before, 0)


# The processes


def descriptors(gateway: Serving) -> int:
    return sum(one.num_fds() for one in psutil.Process(gateway.process.pid).children())


def test_thousands_of_faults_leave_no_descriptor(alone: FaultServer, tmp_path_factory: pytest.TempPathFactory) -> None:
    scripts: list[tuple[Step, ...]] = [steps for steps, stream, _ in CASES.values() if stream and Stall() not in steps]
    with Serving(tmp_path_factory.mktemp("many"), models=models(alone), quoth={"commit_after": COMMIT}) as gateway:

        def once(at: int) -> None:
            alone.play_once(*(SILENT if at % 10 == 0 else scripts[at % len(scripts)]))
            if at % 10:
                gateway.post(chat_body(stream=True))
                return
            asked = len(alone.requests)
            with socket.create_connection((gateway.host, gateway.port)) as sock:
                sock.sendall(raw_request(gateway, chat_body(stream=True), f"left-{at}"))
                alone.wait_for(lambda: len(alone.requests) > asked)

        for at in range(100):
            once(at)
        begun = descriptors(gateway)
        for at in range(1500):
            once(at)
        gateway.line_of("left-1490")
        alone.wait_for(lambda: alone.connections_open <= 1)
        assert descriptors(gateway) <= begun + 3
        page = gateway.get("/metrics").body.decode().splitlines()
        assert "quoth_in_flight 1" in page  # the one that asks
        assert all(line.endswith(" 0") for line in page if line.startswith("quoth_deployment_in_flight{"))
