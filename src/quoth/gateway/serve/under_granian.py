"""An application under granian: HTTP and TLS in Rust threads, the application on this process's event loop.

granian's own parent is not used (ours owns the signals and the socket), so this talks to its worker directly, in the
way granian/server/mp.py does. Those names are granian's own affair: a new version of it is first tried by the tests.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Any

import granian
import granian._futures
import granian._granian
from granian.http import HTTP1Settings

from quoth.gateway.serve.asgi import Door, StartFailed
from quoth.gateway.serve.messages import Start

__all__ = ["Granian"]

# What a request line with its headers may measure, in bytes; hyper itself allows 100 headers.
_HEAD_BYTES = 64 << 10

# What its type stubs say of these is not what they take.
_rust: Any = granian._granian
_futures: Any = granian._futures


class Granian:
    """One worker's server. See `asgi.Server`."""

    def __init__(self, application: Door, listener: socket.socket, start: Start):
        loop = asyncio.get_running_loop()
        self._stop = _rust.WorkerSignal()
        self._stopped = asyncio.Event()
        self._stop.add_cb(lambda: loop.call_soon_threadsafe(self._stopped.set))

        async def answer(watcher: Any) -> None:
            protocol = watcher.proto
            try:
                await application(watcher.scope, protocol.receive, protocol.send)
            except BaseException as error:
                watcher.err(error)
                return
            watcher.done()

        self._scheduler = _futures._new_cbscheduler(loop, answer, impl_asyncio=True)
        self._loop = loop
        # granian closes the descriptor that it is given.
        descriptor = os.dup(listener.fileno())
        listener.close()
        tls = start.tls
        try:
            self._worker = _rust.ASGIWorker(
                start.worker,
                (None, _rust.SocketHolder(descriptor, False, start.backlog)),
                None,  # granian's own metrics, not used
                1,  # Rust threads
                512,  # the most threads for blocking work in Rust
                1,  # Python threads
                30,  # seconds until an idle one ends
                start.connections,
                "1",  # HTTP/1.1 only
                HTTP1Settings(header_read_timeout=round(start.header_timeout * 1000), max_buffer_size=_HEAD_BYTES),
                None,
                False,  # an upgrade to WebSocket is a request like others, and the application answers it
                None,
                tls is not None,
                tls.certificate if tls else None,
                tls.key if tls else None,
                None,
                "tls1.2",
                None,
                [],
                False,
                (None, None),
            )
        except (AttributeError, TypeError) as error:
            raise StartFailed(
                f"this Quoth does not know granian {granian.__version__} ({error}): install granian 2.8, or use "
                "--server uvicorn"
            ) from None

    async def serve(self, ready: Callable[[], None]) -> None:
        self._worker.serve_str(self._scheduler, self._loop, self._stop)
        ready()
        await self._stopped.wait()

    def stop(self) -> None:
        self._stop.set()
