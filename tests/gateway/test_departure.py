"""A client that goes away is noticed, also one that did so before anybody looked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from quoth.gateway.departure import Departure, Lookout
from quoth.gateway.exchange import Exchange
from quoth.gateway.outgoing import OPENAI, Outgoing

DISCONNECT = {"type": "http.disconnect"}


class Client:
    """What `receive` of a server answers once the body is there. `eager`: with futures, as granian's does."""

    def __init__(self, eager: bool):
        self._eager = eager
        self._gone = asyncio.Event()
        self.asked = 0

    def leave(self) -> None:
        self._gone.set()

    def receive(self) -> Any:
        self.asked += 1
        told = self._told()
        return asyncio.get_running_loop().create_task(told) if self._eager else told

    async def _told(self) -> dict[str, Any]:
        await self._gone.wait()
        return DISCONNECT


def open_answer() -> Outgoing:
    """An answer of which nothing was sent yet."""

    async def send(message: dict[str, Any]) -> None:
        pass

    return Outgoing(send, Exchange("req_1", "POST", "/v1/chat/completions", "chat", {}, 0.0), OPENAI)


async def stalled(client: Client, lookout: Lookout, leave: Callable[[], Any]) -> Departure:
    """An exchange whose provider never answers."""
    task = asyncio.current_task()
    assert task is not None
    departure = Departure(client.receive, task, open_answer(), lookout)
    departure.watch()
    leave()
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        task.uncancel()
    finally:
        departure.stop()
    return departure


@pytest.mark.parametrize("eager", [True, False])
def test_a_client_that_has_left_before_it_is_watched(eager: bool) -> None:
    async def run() -> None:
        client = Client(eager)
        departure = await stalled(client, Lookout(), client.leave)
        assert departure.left

    asyncio.run(run())


@pytest.mark.parametrize("eager", [True, False])
def test_a_client_that_leaves_later(eager: bool) -> None:
    async def run() -> None:
        client = Client(eager)
        departure = await stalled(client, Lookout(), lambda: asyncio.get_running_loop().call_later(0.1, client.leave))
        assert departure.left
        assert client.asked == 1

    asyncio.run(run())


def test_whoever_is_answered_at_once_is_never_asked() -> None:
    async def run() -> None:
        lookout = Lookout()
        answered, waiting = Client(eager=False), Client(eager=False)
        task = asyncio.current_task()
        assert task is not None
        quick = Departure(answered.receive, task, open_answer(), lookout)
        quick.watch()
        quick.stop()
        # Both are due at the same moment, so that the second's end tells that the first's has passed.
        departure = await stalled(waiting, lookout, waiting.leave)
        assert (departure.left, quick.left) == (True, False)
        assert (waiting.asked, answered.asked) == (1, 0)

    asyncio.run(run())


def test_the_next_ones_are_watched_too() -> None:
    async def run() -> None:
        lookout = Lookout()
        for _ in range(2):
            client = Client(eager=False)
            assert (await stalled(client, lookout, client.leave)).left

    asyncio.run(run())
