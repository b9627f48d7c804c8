"""A worker: one process, one event loop, one application, one HTTP server, and a parent that it does not outlive.

`application` is the same gateway as a plain ASGI application, for a server of the user's own choice:

    CONFIG_FILE_PATH=config.yaml uvicorn quoth.gateway.serve.worker:application
"""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import socket
import sys
import threading
import time
from io import TextIOWrapper
from typing import Any

import msgspec

from quoth.gateway.serve.asgi import Application, Door, Server, StartFailed, lifespan
from quoth.gateway.serve.control import Alone, Siblings
from quoth.gateway.serve.loading import Refusal
from quoth.gateway.serve.messages import (
    PREFIX,
    Collect,
    Drain,
    FromParent,
    Generation,
    Ready,
    Refused,
    Retire,
    Snapshot,
    Start,
    Stop,
    Swapped,
    frame,
)
from quoth.gateway.serve.plan import APPLICATION, SETTINGS, Plan

__all__ = ["application", "main"]

# Seconds that connections get to close at least after the application has ended its last exchange.
_LAST_BYTES = 1.0


def main() -> None:
    """The process: `CHANNEL LIFELINE SERVER APPLICATION SETTINGS` on its command line, the first two descriptors."""
    # Ctrl-C and a terminal that closes are told to all processes; what follows from them is the parent's to say.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # What a hook prints is there at once, where stdout is a pipe or a file too.
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    descriptor, lifeline, server, name, settings = sys.argv[1:]
    threading.Thread(target=_end_with_the_parent, args=(int(lifeline),), daemon=True).start()
    channel = socket.socket(fileno=int(descriptor))
    try:
        # All that takes long is loaded while the parent still reads the settings.
        make: Any = _named(name)
        unpack: Any = _named(f"{settings}:unpack")
        serving: Any = _named(f"quoth.gateway.serve.under_{server}:{server.capitalize()}")
    except Exception as error:
        channel.sendall(frame(Refused(0, _reason(error))))
        raise SystemExit(1) from None
    received = _first(channel)
    if received is None:
        return
    start, listener = received
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        code = runner.run(_Worker(start, make, unpack, serving).run(channel, listener))
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of Rust may still be at their last connections: the interpreter is not taken apart under them.
    os._exit(code)


def _end_with_the_parent(lifeline: int) -> None:
    """The parent is gone, perhaps by SIGKILL: nobody would ever end this process, and somebody may want the port.

    In a thread of its own, since an event loop that is busy would hear of it too late.
    """
    os.read(lifeline, 1)
    os._exit(1)


def _named(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:  # where uvloop is not built, asyncio's own loop does
        return None
    return uvloop.new_event_loop


def _first(channel: socket.socket) -> tuple[Start, socket.socket] | None:
    """The first message and the listening socket; None when the parent changed its mind."""
    header, descriptors, _, _ = socket.recv_fds(channel, PREFIX, 1)
    if len(header) < PREFIX or not descriptors:
        return None
    size = int.from_bytes(header, "big")
    data = bytearray()
    while len(data) < size:
        piece = channel.recv(size - len(data))
        if not piece:
            return None
        data += piece
    channel.setblocking(False)
    return msgspec.msgpack.decode(data, type=Start), socket.socket(fileno=descriptors[0])


class _Worker:
    def __init__(self, start: Start, make: Any, unpack: Any, serving: Any):
        self._start = start
        self._make = make
        self._unpack = unpack
        self._serving = serving
        self._ready = False
        self._swapping = asyncio.Lock()
        self._ended = asyncio.Event()
        self._obeying: set[asyncio.Task[None]] = set()

    async def run(self, channel: socket.socket, listener: socket.socket) -> int:
        start = self._start
        control = Siblings(*await asyncio.open_connection(sock=channel))
        try:
            application = self._make(self._unpack(start.settings), workers=start.workers, control=control)
            control.snapshot = application.snapshot
            async with lifespan(application):
                await self._serve(application, listener, control)
                control.tell(Snapshot(None, application.snapshot()))
        except Exception as error:
            if self._ready:
                raise
            control.tell(Refused(start.generation, _reason(error)))
            await control.told()
            return 1
        await control.told()
        return 0

    async def _serve(self, application: Application, listener: socket.socket, control: Siblings) -> None:
        """Serve until the parent has said that it is enough and the application has ended its exchanges."""
        door = Door(application)
        server = self._serving(door, listener, self._start)
        async with asyncio.TaskGroup() as group:
            ending = _Ending(application, door, server, self._ended)
            listening = group.create_task(self._listen(group, application, ending, control))
            serving = group.create_task(server.serve(lambda: self._is_ready(control)))
            await self._ended.wait()
            # What the application has sent is on its way; a client that never reads it does not hold this up for good.
            await asyncio.wait((serving,), timeout=ending.left())
            serving.cancel()
            listening.cancel()
            for order in self._obeying:
                order.cancel()  # such as a drain, when a second signal has ended it

    def _is_ready(self, control: Siblings) -> None:
        self._ready = True
        control.tell(Ready())

    async def _listen(
        self, group: asyncio.TaskGroup, application: Application, ending: _Ending, control: Siblings
    ) -> None:
        async for order in control.orders():
            task = group.create_task(self._obey(order, application, ending, control))
            self._obeying.add(task)
            task.add_done_callback(self._obeying.discard)

    async def _obey(self, order: FromParent, application: Application, ending: _Ending, control: Siblings) -> None:
        match order:
            case Generation(number, packed):
                try:
                    async with self._swapping:  # in the order in which they were told
                        await application.swap(self._unpack(packed))
                except Exception as error:
                    control.tell(Refused(number, _reason(error)))
                else:
                    control.tell(Swapped(number))
            case Collect(asked):
                control.tell(Snapshot(asked, application.snapshot()))
            case Drain(delay, timeout):
                await ending.drain(delay, timeout)
            case Retire(linger, timeout):
                await ending.retire(linger, timeout)
            case Stop():
                await ending.drain(0.0, 0.0)


class _Ending:
    """The ways to end; `ended` is set when the application has ended its exchanges."""

    _deadline = 0.0

    def __init__(self, application: Application, door: Door, server: Server, ended: asyncio.Event):
        self._application = application
        self._door = door
        self._server = server
        self._ended = ended

    async def drain(self, delay: float, within: float) -> None:
        self._door.closing = True
        self._deadline = time.monotonic() + delay + within
        async with asyncio.TaskGroup() as group:
            group.create_task(self._application.drain(delay, within))
            group.create_task(self._stop(delay))
        self._ended.set()

    def left(self) -> float:
        """Seconds that connections have to close."""
        return max(_LAST_BYTES, self._deadline - time.monotonic())

    async def _stop(self, delay: float) -> None:
        await asyncio.sleep(delay)
        self._server.stop()

    async def retire(self, linger: float, within: float) -> None:
        # It stays ready: whoever asks is answered by the next worker a moment later.
        self._door.closing = True
        await asyncio.sleep(linger)
        await self.drain(0.0, within)


def _reason(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) if isinstance(error, StartFailed) else f"{type(error).__name__}: {error}"


class _Alone:
    """The gateway in one process, under a server of the user's own. Settings are read when the server starts it."""

    def __init__(self) -> None:
        self._application: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._application is None:
            try:
                self._application = _from_environment()
            except StartFailed as error:
                if scope["type"] != "lifespan":
                    raise
                await receive()
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
        await self._application(scope, receive, send)


def _from_environment() -> Any:
    settings: Any = importlib.import_module(SETTINGS)
    environment = os.environ  # noqa: TID251  (read here when there is no parent, else in `loading.main`)
    plan = Plan(file=environment.get("CONFIG_FILE_PATH", "").strip() or None)
    outcome = settings.judged(plan, environment)
    if isinstance(outcome, Refusal):
        raise StartFailed("\n".join(outcome.problems))
    make: Any = _named(APPLICATION)
    return make(settings.unpack(outcome.packed), workers=1, control=Alone())


application = _Alone()
