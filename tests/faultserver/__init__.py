"""A server that fails on purpose: tests script, step by step, what their client gets to see.

    from tests.faultserver import FaultServer, Reset, Stall, chat, error, sse

    with FaultServer() as server:
        server.play_once(error(429, headers={"retry-after": "0"}))  # the first request
        server.play_once(sse("one ", "two").first(1), Reset())      # the second: the head, one event, an RST
        server.play(chat("hello"))                                  # every request after that
        ...                                                         # a client at work on server.url
        assert [request.path for request in server.requests] == ["/v1/chat/completions"] * 3

A script answers one request. An answer reads the request itself; the small steps (`Read`, `Send`, `SendSlowly`,
`Stall`, `Close`, `Reset`, `KeepAlive`) do one thing each, so that `play(Send(b"220 ready\r\n"))` speaks before the
client does, and `play(Reset())` resets a connection as soon as it is accepted. After a script the connection stays open
for the next request, unless the script ended it or left its request unread. Any `async def step(connection)` is a step.

To see that a client cancels: `play(Read(), Stall())`, leave the call, then `wait_for(lambda: server.disconnects)`.
"""

from __future__ import annotations

from tests.faultserver.answers import (
    USAGE,
    Answer,
    answer,
    chat,
    delta,
    error,
    event,
    giant_line,
    gzip_bomb,
    head_only,
    html,
    sse,
)
from tests.faultserver.connection import Connection, Request
from tests.faultserver.server import FaultServer, refusing, unanswering
from tests.faultserver.steps import Close, KeepAlive, Pieces, Read, Reset, Script, Send, SendSlowly, Stall, Step

__all__ = [
    "USAGE",
    "Answer",
    "Close",
    "Connection",
    "FaultServer",
    "KeepAlive",
    "Pieces",
    "Read",
    "Request",
    "Reset",
    "Script",
    "Send",
    "SendSlowly",
    "Stall",
    "Step",
    "answer",
    "chat",
    "delta",
    "error",
    "event",
    "giant_line",
    "gzip_bomb",
    "head_only",
    "html",
    "refusing",
    "sse",
    "unanswering",
]
