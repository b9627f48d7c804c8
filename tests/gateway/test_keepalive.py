"""Comments that keep a quiet stream alive."""

from __future__ import annotations

import asyncio
from typing import Any

from quoth.gateway.exchange import Exchange
from quoth.gateway.keepalive import KeepAlive
from quoth.gateway.outgoing import OPENAI, Outgoing

COMMENT = b": keep-alive\n\n"
QUIET = 0.02


class Client:
    """What was sent to it; it takes nothing while `stuck`."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.stuck = False
        self.changed = asyncio.Event()

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        self.changed.set()
        if self.stuck:
            await asyncio.Event().wait()

    async def until(self, count: int) -> None:
        while len(self.sent) < count:
            self.changed.clear()
            await self.changed.wait()

    @property
    def bodies(self) -> list[bytes]:
        return [message["body"] for message in self.sent if "body" in message]


def outgoing(client: Client) -> Outgoing:
    return Outgoing(client.send, Exchange("req_1", "POST", "/v1/chat/completions", "chat", {}, 0.0), OPENAI)


async def test_a_quiet_stream_has_a_comment_now_and_then() -> None:
    client = Client()
    out = outgoing(client)
    keeper = KeepAlive(out, QUIET, QUIET)
    await client.until(4)
    assert client.sent[0]["status"] == 200
    assert client.bodies[:3] == [COMMENT] * 3
    await out.piece(b"data: x\n\n")
    await keeper.stop()
    count = len(client.sent)
    await asyncio.sleep(QUIET * 3)
    assert len(client.sent) == count


async def test_a_comment_that_nobody_takes_is_the_only_one_and_holds_up_nobody() -> None:
    client = Client()
    out = outgoing(client)
    await out.begin([])
    client.stuck = True
    keeper = KeepAlive(out, QUIET, QUIET)
    await client.until(2)
    await asyncio.sleep(QUIET * 5)
    assert client.bodies == [COMMENT]
    await keeper.stop()


async def test_nothing_is_said_after_the_end() -> None:
    client = Client()
    out = outgoing(client)
    keeper = KeepAlive(out, QUIET, QUIET)
    await out.begin([])
    await out.piece(b"data: [DONE]\n\n", more=False)
    await asyncio.sleep(QUIET * 3)
    assert client.bodies == [b"data: [DONE]\n\n"]
    await keeper.stop()


async def test_it_may_be_off() -> None:
    client = Client()
    keeper = KeepAlive(outgoing(client), 0, QUIET)
    await asyncio.sleep(QUIET * 3)
    assert client.sent == []
    await keeper.stop()
