"""The fault server itself: a listening socket, a thread with an event loop, and the scripts that tests queue."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from tests.faultserver.answers import error
from tests.faultserver.channel import Channel, TlsChannel
from tests.faultserver.connection import GONE, Connection, Request
from tests.faultserver.steps import Script, Step

if TYPE_CHECKING:
    from tests.faultserver.certificates import Certificate

__all__ = ["FaultServer", "refusing", "unanswering"]

# 418: no client retries it, so a test that forgot to play something fails at once and with these words.
NOTHING_TO_PLAY: Script = (error(418, "the fault server was given no script for this request"),)


class FaultServer:
    """A raw HTTP/1.1 server that does exactly what a test scripts, on a free port of 127.0.0.1.

    `tls=True` serves https with a certificate that the file `ca_pem` vouches for; "expired" and "wrong-host" serve bad
    ones. `requests`, and `disconnects` (when a client left before its script ended, in monotonic seconds), grow while
    the server runs. `bytes_sent` counts what the kernel took, without TLS. Leaving the `with` block ends every
    connection and raises what a script raised (ValueError for bytes that are not HTTP), unless the block itself failed.
    """

    def __init__(self, *, tls: bool | Certificate = False) -> None:
        self.requests: list[Request] = []
        self.disconnects: list[float] = []
        self.connections_total = 0
        self.connections_open = 0
        self.bytes_sent = 0
        self._scripts: deque[tuple[Script, bool]] = deque()
        self._repeated: Script = NOTHING_TO_PLAY
        self._errors: list[BaseException] = []
        self._changed = threading.Condition()
        self._certificate: Certificate | None = "good" if tls is True else tls or None
        self._stopping = asyncio.Event()

    # What a test says.

    def play(self, *steps: Step) -> None:
        """Queue a script. When the queue is empty, the script last queued by `play` repeats."""
        self._scripts.append((steps, True))

    def play_once(self, *steps: Step) -> None:
        """Queue a script that is played once and never repeats."""
        self._scripts.append((steps, False))

    def play_always(self, *steps: Step) -> None:
        """Repeat a script whenever the queue is empty, from now on."""
        self._repeated = steps

    def forget(self) -> None:
        """Play nothing of what was queued or repeated so far: for servers that several tests share."""
        self._scripts.clear()
        self._repeated = NOTHING_TO_PLAY

    # What a test asks.

    def wait_for(self, predicate: Callable[[], object], timeout: float = 20.0) -> None:
        """Wait until `predicate()` holds; it is asked after every event. TimeoutError says what did happen."""
        with self._changed:
            if not self._changed.wait_for(predicate, timeout):
                raise TimeoutError(f"not within {timeout} s: {self!r}")

    async def until(self, predicate: Callable[[], object], within: float = 20.0) -> None:
        """`wait_for`, for tests that run in an event loop."""
        await asyncio.to_thread(self.wait_for, predicate, within)

    def __repr__(self) -> str:
        return (
            f"<FaultServer {len(self.requests)} requests, {len(self.disconnects)} disconnects, "
            f"{self.connections_open} of {self.connections_total} connections open, {self.bytes_sent} bytes sent>"
        )

    # Its life.

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opened:
            if self._certificate:
                folder = opened.enter_context(tempfile.TemporaryDirectory(prefix="faultserver-"))
                self._prepare_tls(Path(folder), self._certificate)
            self._listener = opened.enter_context(socket.create_server(("127.0.0.1", 0), backlog=512))
            self._listener.setblocking(False)
            self.host, self.port = self._listener.getsockname()
            self.url = f"{'https' if self._certificate else 'http'}://{self.host}:{self.port}"
            # A selector loop whatever policy the tests have set: the channels need sock_recv and add_reader.
            self._loop = opened.enter_context(contextlib.closing(asyncio.SelectorEventLoop()))
            thread = threading.Thread(target=self._run, name=f"faultserver-{self.port}", daemon=True)
            thread.start()
            opened.callback(thread.join)
            opened.callback(self._loop.call_soon_threadsafe, self._stopping.set)
            self._opened = opened.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, _raised: object, _trace: TracebackType | None) -> None:
        self._opened.close()
        if kind is None and self._errors:
            raise self._errors[0]

    def _prepare_tls(self, folder: Path, certificate: Certificate) -> None:
        # Only where it is used: cryptography is slow to import.
        from tests.faultserver.certificates import authority_pem, server_context

        self.ca_pem = folder / "ca.pem"
        self.ca_pem.write_bytes(authority_pem())
        self._tls = server_context(certificate)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        # A callback that accepts, not a task: cancelling `sock_accept` can lose a socket that it had just accepted.
        self._loop.add_reader(self._listener, self._accept)
        await self._stopping.wait()
        self._loop.remove_reader(self._listener)
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # the client has already gone
        with self._changing():
            self.connections_total += 1
            self.connections_open += 1
        channel = TlsChannel(sock, self._tls) if self._certificate else Channel(sock)
        connection = Connection(self, channel, self.connections_total)
        # Closed by a callback: a task that is cancelled before its first step never reaches a `finally`.
        conversation = self._loop.create_task(self._hold(channel, connection))
        conversation.add_done_callback(functools.partial(self._close, channel))

    def _close(self, channel: Channel, conversation: asyncio.Task[None]) -> None:
        channel.close()
        with self._changing():
            self.connections_open -= 1
            if not conversation.cancelled() and (raised := conversation.exception()):
                self._errors.append(raised)

    async def _hold(self, channel: Channel, connection: Connection) -> None:
        """Listen and talk at once, until the client leaves or the script ends the connection."""
        try:
            await channel.open()
        except GONE:
            return
        # The talking half first: then a client that leaves at once leaves a script that has begun.
        halves = [self._loop.create_task(half()) for half in (connection.converse, connection.receive)]
        try:
            await asyncio.wait(halves, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for half in halves:
                half.cancel()
            await asyncio.wait(halves)
        for half in halves:
            if not half.cancelled():
                half.result()

    # What connections tell and ask, all from the thread of the loop.

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        with self._changed:
            yield
            self._changed.notify_all()

    def _note_request(self, request: Request) -> None:
        with self._changing():
            self.requests.append(request)

    def _note_sent(self, count: int) -> None:
        with self._changing():
            self.bytes_sent += count

    def _note_disconnect(self, when: float) -> None:
        with self._changing():
            self.disconnects.append(when)

    def _next_script_reads(self) -> bool:
        script = self._scripts[0][0] if self._scripts else self._repeated
        return bool(script) and getattr(script[0], "reads", False)

    def _take_script(self) -> Script:
        if not self._scripts:
            return self._repeated
        script, repeats = self._scripts.popleft()
        if repeats:
            self._repeated = script
        return script


@contextlib.contextmanager
def refusing() -> Iterator[str]:
    """A URL whose port is held but refuses every connection."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"


@contextlib.contextmanager
def unanswering() -> Iterator[str]:
    """A URL that neither accepts nor refuses: its queue of connections is full."""
    with contextlib.ExitStack() as opened:
        sock = opened.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        address = sock.getsockname()
        for _ in range(4):
            filler = opened.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(address)
        yield f"http://127.0.0.1:{address[1]}"
