"""The emulator as something to start: in a thread of its own, or in the foreground for the command line."""

from __future__ import annotations

import asyncio
import errno
import functools
import logging
import signal
import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any

import msgspec

from quoth.emulator.app import Poe
from quoth.emulator.delivery import Answer, deliver
from quoth.emulator.faults import HEADER, NONE, Faults
from quoth.emulator.files import PREFIX
from quoth.emulator.http1 import Connection, Refused, Request
from quoth.emulator.problems import Problem
from quoth.emulator.settings import switches

__all__ = ["Emulator", "serve"]


_log = logging.getLogger("quoth.emulator")

_KEPT_REQUESTS = 10_000


class _Service:
    """The listening side, used from its event loop only, apart from the counts and lists that others read."""

    def __init__(self, poe: Poe, faults: Faults, keep: int = 0):
        self.poe = poe
        self.faults = faults
        self.requests: deque[Request] = deque(maxlen=keep)
        self.connections: set[Connection] = set()
        self.disconnects = 0

    async def listen(self, host: str, port: int) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(self._connection, host, port, backlog=1024)
        except OSError as error:
            raise _clear(error, host, port) from None
        self.poe.origin = _origin(server)
        return server

    async def close(self, server: asyncio.Server) -> None:
        server.close()
        connections = list(self.connections)
        for connection in connections:
            connection.abort()
        await asyncio.gather(*(connection.task for connection in connections), return_exceptions=True)
        await asyncio.sleep(0)  # lets the transports report that they are closed
        await server.wait_closed()

    def _connection(self) -> Connection:
        connection = Connection(self._answer, self._refuse, self._lost, self.poe.switches.max_body)
        self.connections.add(connection)
        return connection

    def _lost(self, connection: Connection, left_early: bool) -> None:
        if left_early:
            self.disconnects += 1
        else:
            self.connections.discard(connection)

    async def _answer(self, connection: Connection, request: Request) -> bool:
        self.requests.append(request)
        try:
            fault = self.faults.take(request.path, request.headers.get(HEADER))
        except ValueError as error:
            return await deliver(connection, request, _problem(Problem(400, str(error), param=HEADER)))
        try:
            if request.path.startswith(PREFIX):  # drawing a large picture takes a while, which is no one else's
                answer = await asyncio.to_thread(self.poe.answer, request, fault)
            else:
                answer = self.poe.answer(request, fault)
                if answer.later is not None:
                    answer = await asyncio.to_thread(answer.made)
        except Exception as error:
            _log.exception("The emulator failed at %s %s", request.method, request.path)
            answer = _problem(Problem(500, f"The emulator itself failed: {error!r}", type="emulator_error"))
        return await deliver(connection, request, answer, fault)

    async def _refuse(self, connection: Connection, refused: Refused) -> None:
        request = Request("GET", "/", {}, {}, b"", 0.0, keep_alive=False)
        await deliver(connection, request, _problem(Problem(refused.status, refused.message)), NONE)


def _problem(problem: Problem) -> Answer:
    return Answer(problem.status, msgspec.json.encode(problem.body()))


def _clear(error: OSError, host: str, port: int) -> OSError:
    if error.errno == errno.EADDRINUSE:
        text = f"Port {port} on {host} is already in use: stop the program that has it or choose another port."
    elif error.errno == errno.EACCES:
        text = f"No permission to listen on port {port} of {host}: choose a port above 1023."
    else:
        text = f"Cannot listen on {host}:{port}: {error.strerror or error}."
    return OSError(error.errno, text)


def _origin(server: asyncio.Server) -> str:
    host, port = server.sockets[0].getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Emulator:
    """An offline Poe on a port of its own, in a thread of its own, for `with` and `async with`.

    `port` 0 takes a free one. Further keywords are switches, see `quoth.emulator.settings.Switches`. Raises OSError
    when the port is taken, ValueError for an unknown switch or fault.

        with Emulator(token_delay=0) as emulator:
            client = openai.OpenAI(base_url=emulator.base_url, api_key="any")
    """

    def __init__(self, port: int = 0, profile: str = "observed", *, host: str = "127.0.0.1", **overrides: Any):
        chosen = switches(profile, **overrides)
        planned = (chosen.faults,) if isinstance(chosen.faults, str) else chosen.faults
        self._planned = planned
        self._address = (host, port)
        self._faults = Faults(*planned)
        self._service = _Service(Poe(chosen), self._faults, keep=_KEPT_REQUESTS)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self.origin = ""

    @property
    def base_url(self) -> str:
        """What `POE_API_BASE` should be."""
        return f"{self.origin}/v1"

    @property
    def requests(self) -> list[Request]:
        """The requests that arrived since the start or the last `clear`, oldest first; the last 10,000 are kept."""
        return list(self._service.requests)

    @property
    def open_connections(self) -> int:
        return len(self._service.connections)

    @property
    def disconnects(self) -> int:
        """How many clients left before their answer was complete."""
        return self._service.disconnects

    @property
    def balance(self) -> int:
        """Points that are left."""
        return self._service.poe.ledger.balance

    def faults(self, *texts: str) -> None:
        """Replace the planned faults: each is for one request (or its `times`), the last for all that follow.

        `ok` is a request without a fault; no argument ends all faults. Raises ValueError for a word that is not known.
        """
        self._faults.plan(*texts)

    def clear(self) -> None:
        """Forget requests, counts and spending, and plan the faults of the start again."""
        self._faults.plan(*self._planned)
        self._service.requests.clear()
        self._service.disconnects = 0
        self._service.poe.clear()

    def start(self) -> Emulator:
        if self._thread is not None:
            raise RuntimeError("This emulator is already running.")
        self._started.clear()
        self._failure = None
        self._thread = threading.Thread(target=self._run, name="quoth-emulator", daemon=True)
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            self._thread.join()
            self._thread = None
            raise self._failure
        return self

    def stop(self) -> None:
        """Close the port and every connection, and wait until the thread has ended. May be called twice."""
        if self._thread is None or self._loop is None or self._stop is None:
            return
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._thread = None

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # handed to the thread that waits in `start`
            self._failure = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        server = await self._service.listen(*self._address)
        self.origin = _origin(server)
        self._started.set()
        await self._stop.wait()
        await self._service.close(server)

    def __enter__(self) -> Emulator:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Emulator:
        return await asyncio.to_thread(self.start)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)


def serve(
    host: str = "127.0.0.1",
    port: int = 8100,
    profile: str = "observed",
    *,
    ready: Callable[[str], None] | None = None,
    **overrides: Any,
) -> None:
    """Serve until SIGINT or SIGTERM, then return. `ready` is called with the base URL once requests are accepted.

    Must run in the main thread. Raises OSError, in one sentence, when the port cannot be had, ValueError for an unknown
    switch.
    """
    chosen = switches(profile, **overrides)
    planned = (chosen.faults,) if isinstance(chosen.faults, str) else chosen.faults
    asyncio.run(_serve_until_signal(_Service(Poe(chosen), Faults(*planned)), host, port, ready))


async def _serve_until_signal(service: _Service, host: str, port: int, ready: Callable[[str], None] | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, functools.partial(stop.set))
    server = await service.listen(host, port)
    try:
        if ready is not None:
            ready(f"{_origin(server)}/v1")
        await stop.wait()
    finally:
        await service.close(server)
