"""The application without a server, for what only the inside of its process shows."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import yaml

from quoth.gateway.app import App
from quoth.gateway.settings import load
from tests.gateway.serving import KEY

__all__ = ["Exchange", "application"]


class Exchange:
    """One request to the application itself, as an ASGI server makes it; the client leaves when `leave` is called."""

    def __init__(self, app: App, body: dict[str, Any], block: int = -1):
        self.sent: list[dict[str, Any]] = []
        self.over = False
        self.after: list[dict[str, Any]] = []  # what was sent when all was over
        self._app = app
        self._data: bytes | None = json.dumps(body).encode()
        self._left = asyncio.Event()
        self._block = block
        self.blocked = asyncio.Event()

    async def run(self) -> None:
        headers = [(b"authorization", f"Bearer {KEY}".encode()), (b"content-length", b"%d" % len(self._data or b""))]
        scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": headers, "client": None}
        try:
            await self._app(scope, self._receive, self._send)
        finally:
            self.over = True

    def leave(self) -> None:
        self._left.set()

    async def _receive(self) -> dict[str, Any]:
        data, self._data = self._data, None
        if data is not None:
            return {"type": "http.request", "body": data, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        (self.after if self.over else self.sent).append(message)
        if len(self.sent) == self._block:
            self.blocked.set()
            await asyncio.Event().wait()  # a client that reads no more
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self._left.set()  # what uvicorn says when an answer is complete


@contextlib.asynccontextmanager
async def application(folder: Path, models: list[dict[str, Any]], commit_after: float = 0) -> AsyncIterator[App]:
    """The application with these deployments, started and later ended as a server does."""
    file = folder / "config.yaml"
    settings = {"model_list": models, "quoth": {"commit_after": commit_after, "log": {"format": "none"}}}
    file.write_text(yaml.safe_dump(settings))
    app = App(load(str(file), {"QUOTH_MASTER_KEY": KEY}))
    inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    outbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    inbox.put_nowait({"type": "lifespan.startup"})
    async with asyncio.TaskGroup() as group:
        group.create_task(app({"type": "lifespan"}, inbox.get, outbox.put))
        await outbox.get()
        yield app
        inbox.put_nowait({"type": "lifespan.shutdown"})
