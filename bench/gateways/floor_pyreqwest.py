"""The bare floor: the smallest granian application over pyreqwest. It authenticates nobody, counts and logs nothing."""

from __future__ import annotations

import os
from typing import Any

from pyreqwest.client import ClientBuilder

UPSTREAM = os.environ["UPSTREAM"]
_client: Any = None


async def app(scope: Any, receive: Any, send: Any) -> None:
    global _client
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if _client is None:
        _client = ClientBuilder().build()
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    request = _client.post(f"{UPSTREAM}/chat/completions").header("content-type", "application/json").body_bytes(body)
    if b'"stream":true' not in body:
        response = await request.build().send()
        data = bytes(await response.bytes())
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": data})
        return
    async with request.streamed_read_buffer_limit(0).build_streamed() as response:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        while (piece := await response.body_reader.read_chunk()) is not None:
            await send({"type": "http.response.body", "body": bytes(piece), "more_body": True})
        await send({"type": "http.response.body", "body": b""})
