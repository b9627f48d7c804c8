"""The application as a server calls it, in this process: what is left of a request when it is over."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from quoth.gateway.app import App
from quoth.gateway.keepalive import KeepAlive
from quoth.gateway.settings import load
from tests.faultserver import FaultServer, Read, Stall, chat, error
from tests.gateway.serving import KEY, chat_body, deployment

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def upstream() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


def app_with(folder: Path, models: list[dict[str, Any]], **settings: Any) -> App:
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump({"model_list": models, **settings}), "utf-8")
    return App(load(str(file), {"QUOTH_MASTER_KEY": KEY}))


class Request:
    """One request to an application, with what it sent; `leave` is the client going away."""

    def __init__(self, app: App, body: dict[str, Any], path: str = "/v1/chat/completions"):
        self.sent: list[dict[str, Any]] = []
        self._body: bytes | None = json.dumps(body).encode()
        self._left = asyncio.Event()
        headers = [(b"authorization", f"Bearer {KEY}".encode()), (b"content-length", b"%d" % len(self._body))]
        scope = {"type": "http", "method": "POST", "path": path, "headers": headers, "client": ("127.0.0.1", 1)}
        self.task = asyncio.ensure_future(app(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        body, self._body = self._body, None
        if body is not None:
            return {"type": "http.request", "body": body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    def leave(self) -> None:
        self._left.set()

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])


async def closed(app: App) -> None:
    await app._connections.aclose()
    app.observers.close()


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
async def test_nobody_keeps_a_stream_alive_that_is_over(path: str, upstream: FaultServer, tmp_path: Path) -> None:
    app = app_with(tmp_path, [deployment("m", upstream.url)], quoth={"commit_after": 3600})
    upstream.play(Read(), Stall())
    body = chat_body(stream=True, prompt="hello")
    left = Request(app, body, path)
    await asyncio.to_thread(upstream.wait_for, lambda: len(upstream.requests) == 1)
    left.leave()
    await left.task
    upstream.play(error(400))
    refused = Request(app, body, path)
    await refused.task
    assert refused.status == 400
    gc.collect()
    assert [one for one in gc.get_objects() if isinstance(one, KeepAlive)] == []
    await closed(app)


async def test_several_choices_free_the_places_that_they_took(upstream: FaultServer, tmp_path: Path) -> None:
    model = deployment("m", upstream.url, "poe/GPT-5.2", max_parallel_requests=3, num_retries=0)
    app = app_with(tmp_path, [model], quoth={"catalogue_ttl": 0})
    places = app.generation.group("m").candidates[0].places
    assert places is not None
    upstream.play(chat("hello"))
    whole = Request(app, chat_body(n=3))
    await whole.task
    assert whole.status == 200
    assert len(json.loads(whole.body)["choices"]) == 3
    assert places.taken == 0
    # One of them fails when another has been answered.
    upstream.forget()
    upstream.play_once(chat("hello"))
    upstream.play_once(chat("hello"))
    upstream.play(error(400))
    broken = Request(app, chat_body(n=3))
    await broken.task
    assert broken.status == 400
    assert places.taken == 0
    assert app.generation.group("m").candidates[0].health.in_flight == 0
    await closed(app)
