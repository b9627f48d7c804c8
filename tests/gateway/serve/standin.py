"""A small application with small settings, for the processes around it: what it does to them is asked for by path.

Settings are a JSON file: `{"word": "hello", "host": ..., "port": ..., "workers": ...}`; see `Settings`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from quoth.gateway.serve.control import Control
from quoth.gateway.serve.loading import Loaded, Refusal
from quoth.gateway.serve.messages import Tls
from quoth.gateway.serve.plan import Plan


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`refused_by`: a file that the first worker to take these settings makes; the others refuse them."""

    word: str = "hello"
    host: str = "127.0.0.1"
    port: int = 0
    workers: int = 1
    certificate: str | None = None
    key: str | None = None
    header_timeout: float = 10.0
    drain_delay: float = 0.2
    drain_timeout: float = 10.0
    secret: str = ""
    refused_by: str = ""
    crash_at_start: bool = False


def judged(plan: Plan, environment: Mapping[str, str]) -> Loaded | Refusal:
    try:
        with open(plan.file or "", "rb") as file:
            settings = msgspec.json.decode(file.read(), type=Settings)
    except (OSError, msgspec.DecodeError) as error:
        return Refusal([f"{plan.file}: {error}", "and so on"])
    settings = msgspec.structs.replace(settings, secret=environment.get("STANDIN_SECRET", ""), **plan.given)
    tls = Tls(settings.certificate, settings.key) if settings.certificate and settings.key else None
    return Loaded(
        packed=msgspec.msgpack.encode(settings),
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        backlog=1024,
        header_timeout=settings.header_timeout,
        drain_delay=settings.drain_delay,
        drain_timeout=settings.drain_timeout,
        files=[plan.file or ""],
        warnings=[],
        models=1,
        example_model="stand-in",
        has_key=False,
        tls=tls,
    )


def unpack(packed: bytes) -> Settings:
    return msgspec.msgpack.decode(packed, type=Settings)


class App:
    def __init__(self, settings: Settings, *, workers: int, control: Control):
        if settings.crash_at_start:
            os._exit(7)
        if settings.word == "unbearable":
            raise ValueError("this word cannot be said")
        self._settings = settings
        self._workers = workers
        self._control = control
        self._count = 0
        self._open = 0
        self._ready = True
        self._cut = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    # --- What a worker asks of it -------------------------------------------------------------------------------

    async def swap(self, settings: Settings) -> None:
        if settings.word == "unbearable":
            raise ValueError("this word cannot be said")
        if settings.refused_by:
            try:  # the first worker to come takes it, the others do not
                os.close(os.open(settings.refused_by, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                raise ValueError("one of us is enough") from None
        self._settings = settings

    async def drain(self, delay: float, within: float) -> None:
        self._ready = False
        await asyncio.sleep(delay)
        try:
            await asyncio.wait_for(self._idle.wait(), within)
        except TimeoutError:
            self._cut.set()
            await self._idle.wait()

    def snapshot(self) -> bytes:
        return b"%d" % self._count

    # --- What a client asks of it -------------------------------------------------------------------------------

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        self._count += 1
        self._open += 1
        self._idle.clear()
        try:
            await self._answer(scope, receive, send)
        finally:
            self._open -= 1
            if not self._open:
                self._idle.set()

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        body = bytearray()
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        if scope["path"] == "/stream":
            await self._stream(send, int(body or b"10"))
            return
        status, text = await self._page(scope, bytes(body))
        length = (b"content-length", b"%d" % len(text))
        await send({"type": "http.response.start", "status": status, "headers": [length]})
        await send({"type": "http.response.body", "body": text})

    async def _page(self, scope: Any, body: bytes) -> tuple[int, bytes]:
        pages = {
            "/": lambda: self._settings.word.encode(),
            "/secret": lambda: self._settings.secret.encode(),
            "/big": lambda: b"x" * (16 << 20),
            "/pid": lambda: b"%d" % os.getpid(),
            "/workers": lambda: b"%d" % self._workers,
            "/echo": lambda: b"%s %s" % (scope["method"].encode(), body),
            "/crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
            "/block": lambda: time.sleep(60),
        }
        if scope["path"] == "/health/readiness":
            return (200 if self._ready else 503), b""
        if scope["path"] == "/metrics":
            others = await self._control.gather()
            return 200, b"%d" % (self._count + sum(map(int, others.living)) + sum(map(int, others.departed)))
        if dict(scope["headers"]).get(b"upgrade", b"").lower() == b"websocket":
            return 426, b""
        page: Any = pages.get(scope["path"])
        return (200, page() or b"") if page is not None else (404, scope["path"].encode())

    async def _stream(self, send: Any, count: int) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        for number in range(count):
            if self._cut.is_set():
                await send({"type": "http.response.body", "body": b"event: error\n\n"})
                return
            await send({"type": "http.response.body", "body": b"data: %d\n\n" % number, "more_body": True})
            await asyncio.sleep(0.1)
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})
