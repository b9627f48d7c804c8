"""An application under uvicorn, for those who have it: the same answers, without granian's limit on slow headers."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator

import uvicorn

from quoth.gateway.serve.asgi import Door
from quoth.gateway.serve.messages import Start

__all__ = ["Uvicorn"]


class _Server(uvicorn.Server):
    ready: Callable[[], None]

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The parent owns the signals."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready()


class Uvicorn:
    """One worker's server. See `asgi.Server`."""

    def __init__(self, application: Door, listener: socket.socket, start: Start):
        self._listener = listener
        self._server = _Server(
            uvicorn.Config(
                application,
                interface="asgi3",
                http="httptools",
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="error",
                access_log=False,
                server_header=False,
                backlog=start.backlog,
                timeout_keep_alive=round(start.header_timeout),
                ssl_certfile=start.tls.certificate if start.tls else None,
                ssl_keyfile=start.tls.key if start.tls else None,
            )
        )

    async def serve(self, ready: Callable[[], None]) -> None:
        self._server.ready = ready
        await self._server.serve([self._listener])

    def stop(self) -> None:
        self._server.should_exit = True
