"""ASGI as far as the processes need it, and what an application has to offer beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, Protocol

__all__ = ["Application", "Door", "Message", "Receive", "Scope", "Send", "Server", "StartFailed", "lifespan"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Application(Protocol):
    """An ASGI 3 application that can change its settings, end in order, and tell its metrics."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...

    async def swap(self, settings: Any) -> None:
        """Work with these settings from the next request on. An error means no, and that nothing has changed."""
        ...

    async def drain(self, delay: float, within: float, /) -> None:
        """Be not ready; from `delay` seconds on wait `within` seconds for what is open, then end the rest.

        Called again, with less time, when somebody is in a hurry.
        """
        ...

    def snapshot(self) -> bytes:
        """The metrics of this process, for a sibling's page."""
        ...


class Door:
    """The application as its server calls it.

    While it is `closing`, each answer closes its connection: clients that are busy go elsewhere one answer at a time,
    so that nobody is caught with a request on its way when the server closes what is left.
    """

    def __init__(self, application: Application):
        self._application = application
        self.closing = False

    def __call__(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        return self._application(scope, receive, _closing(send) if self.closing else send)


def _closing(send: Send) -> Send:
    async def closing(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
        await send(message)

    return closing


class Server(Protocol):
    """An HTTP server with one application on one inherited socket."""

    async def serve(self, ready: Callable[[], None]) -> None:
        """Accept connections and call `ready`; return when `stop` was called and the last exchange is over."""
        ...

    def stop(self) -> None:
        """Accept no connection and no further request; may be called twice."""
        ...


class StartFailed(Exception):
    """The application cannot start; the message says why."""


@asynccontextmanager
async def lifespan(application: Application) -> AsyncIterator[None]:
    """The application's lifespan around the block. Raises StartFailed, in a group, when it does not start."""
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    outbox: asyncio.Queue[Message] = asyncio.Queue()
    scope: Scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}

    async def live() -> None:
        try:
            await application(scope, inbox.get, outbox.put)
        except Exception as error:
            outbox.put_nowait({"type": "lifespan.failed", "message": f"{type(error).__name__}: {error}"})
        else:
            outbox.put_nowait({"type": "lifespan.over"})

    async with asyncio.TaskGroup() as group:
        task = group.create_task(live())
        inbox.put_nowait({"type": "lifespan.startup"})
        answer = await outbox.get()
        if answer["type"] != "lifespan.startup.complete":
            task.cancel()
            raise StartFailed(answer.get("message") or "the application does not start")
        try:
            yield
        finally:
            inbox.put_nowait({"type": "lifespan.shutdown"})
            await outbox.get()
            task.cancel()
