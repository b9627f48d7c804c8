"""The same floor over Quoth's own transport."""

from __future__ import annotations

import os
import time
from typing import Any

from quoth.call import WireRequest
from quoth.transport.aio import AsyncioTransport
from quoth.transport.network import Network
from quoth.transport.ports import Deadline

UPSTREAM = os.environ["UPSTREAM"]
HEADERS = {"content-type": "application/json", "accept-encoding": "identity"}
_transport = AsyncioTransport(Network(), dict)


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    deadline = Deadline(connect=5, first=120, idle=60, end=time.monotonic() + 600)
    request = WireRequest("POST", f"{UPSTREAM}/chat/completions", HEADERS, body)
    reply = await _transport.open(request, deadline)
    if b'"stream":true' not in body:
        pieces = []
        while piece := await reply.read():
            pieces.append(piece)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": b"".join(pieces)})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    while piece := await reply.read():
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
