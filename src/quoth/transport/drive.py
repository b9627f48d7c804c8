"""The two drivers. They perform a flow's effects and own every connection that it opens; what to do is the flow's
decision.

They mirror each other, and nothing else in the house is written twice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

from quoth.engine.effects import Failed, Flow, Open, Opened, Sleep, Together
from quoth.transport.ports import AsyncReply, AsyncTransport, Deadline, Reply, Transport, TransportFailure

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["adrive", "afinish", "aread", "drive", "failed_of", "finish", "read"]

T = TypeVar("T")

LINGER = 0.05


def _deadline(effect: Open) -> Deadline:
    return Deadline(connect=effect.connect, first=effect.first, idle=effect.idle, end=effect.end)


def failed_of(error: Exception) -> Failed:
    """What a transport's exception tells the flow."""
    if isinstance(error, TransportFailure):
        return Failed(error.kind, str(error), reused=error.reused, deadline=error.deadline)
    # A transport of the user's own may raise what sockets raise.
    kind = "timeout" if isinstance(error, TimeoutError) else "connect" if isinstance(error, ConnectionError) else "read"
    return Failed(kind, str(error) or type(error).__name__)


class Handle:
    """An opened reply with its limits: what a stream goes on reading from."""

    __slots__ = ("deadline", "reply")

    def __init__(self, reply: Any, deadline: Deadline):
        self.reply = reply
        self.deadline = deadline


def _let_go(outcome: Any, result: Any) -> None:
    """Close the connection of the last outcome, unless the flow's result goes on reading from it."""
    if isinstance(outcome, Opened) and getattr(result, "reply", None) is not outcome.reply:
        outcome.reply.reply.close()


# Blocking


class _GivenUp(BaseException):
    """Another of several calls has failed, and nobody waits for this one any more."""


class _Scope:
    """What the calls that run together wait for, so that the end of one can end them all."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._waits: set[Deadline | _Scope] = set()

    @contextmanager
    def waiting(self, what: Deadline | _Scope) -> Iterator[None]:
        with self._lock:
            self._waits.add(what)
        try:
            self.check()
            yield
        finally:
            with self._lock:
                self._waits.discard(what)
            self.check()

    def sleep(self, seconds: float) -> None:
        self._over.wait(seconds)
        self.check()

    def check(self) -> None:
        if self._over.is_set():
            raise _GivenUp

    def abandon(self) -> None:
        self._over.set()
        with self._lock:
            waits = list(self._waits)
        for waiting in waits:
            waiting.abandon()


def drive(flow: Flow[T], transport: Transport, scope: _Scope | None = None) -> T:
    """Run a flow to its result on this thread. Raises whatever the flow raises."""
    outcome: Any = None
    try:
        while True:
            try:
                effect = flow.send(outcome)
            except StopIteration as stop:
                result: T = stop.value
                _let_go(outcome, result)
                return result
            _let_go(outcome, None)
            if isinstance(effect, Open):
                outcome = _open(effect, transport, scope)
            elif isinstance(effect, Together):
                outcome = _together(effect, transport, scope)
            elif scope is None:
                time.sleep(effect.seconds)
            else:
                scope.sleep(effect.seconds)
    except BaseException:
        _let_go(outcome, None)
        flow.close()
        raise


def _open(effect: Open, transport: Transport, scope: _Scope | None) -> Opened | Failed:
    deadline, reader = _deadline(effect), effect.reader
    reply: Reply | None = None
    try:
        with scope.waiting(deadline) if scope is not None else nullcontext():
            reply = transport.open(effect.request, deadline)
            reader.head(reply.status, reply.headers)
            while not reader.settled:
                piece = reply.read()
                if piece:
                    reader.feed(piece)
                else:
                    reader.eof()
        return Opened(Handle(reply, deadline))
    except (TransportFailure, OSError) as error:
        if reply is not None:
            reply.close()
        return failed_of(error)
    except BaseException:
        if reply is not None:
            reply.close()
        raise


def _together(effect: Together, transport: Transport, parent: _Scope | None) -> list[Any]:
    scope = _Scope()
    from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

    pool = ThreadPoolExecutor(min(effect.at_once, len(effect.flows)), "quoth")
    running: list[Future[Any]] = []
    try:
        with parent.waiting(scope) if parent is not None else nullcontext():
            running += (pool.submit(drive, flow, transport, scope) for flow in effect.flows)
            for one in wait(running, return_when=FIRST_EXCEPTION).done:
                one.result()
        return [one.result() for one in running]
    finally:
        # Whoever still waits is woken. Only a connection that is being made cannot be, and nobody waits for that here;
        # the threads of calls that are done end at once, and are not left behind.
        scope.abandon()
        pool.shutdown(wait=all(one.done() for one in running), cancel_futures=True)


def read(handle: Handle) -> bytes | Failed:
    """The next piece of a stream, b"" at its end."""
    handle.deadline.reading()
    try:
        piece: bytes = handle.reply.read()
        return piece
    except (TransportFailure, OSError) as error:
        handle.reply.close()
        return failed_of(error)


def finish(handle: Handle) -> None:
    """After the last event: take the few bytes that end the answer, so that the connection can serve again."""
    handle.deadline.lingering(LINGER)
    try:
        while handle.reply.read():
            pass
    except (TransportFailure, OSError):
        pass
    finally:
        handle.reply.close()


# asyncio; imported where it is used, for a blocking program has no need of it (9 ms, 1.5 MB)


async def adrive(flow: Flow[T], transport: AsyncTransport) -> T:
    """Run a flow to its result in this task. Raises whatever the flow raises; cancelled, it closes what was opened."""
    outcome: Any = None
    try:
        while True:
            try:
                effect = flow.send(outcome)
            except StopIteration as stop:
                result: T = stop.value
                _let_go(outcome, result)
                return result
            if outcome is not None:
                _let_go(outcome, None)
            if isinstance(effect, Open):
                outcome = await _aopen(effect, transport)
            elif isinstance(effect, Sleep):
                import asyncio

                await asyncio.sleep(effect.seconds)
            else:
                outcome = await _atogether(effect, transport)
    except BaseException:
        _let_go(outcome, None)
        flow.close()
        raise


async def _aopen(effect: Open, transport: AsyncTransport) -> Opened | Failed:
    deadline = Deadline(connect=effect.connect, first=effect.first, idle=effect.idle, end=effect.end)
    reader = effect.reader
    reply: AsyncReply | None = None
    try:
        reply = await transport.open(effect.request, deadline)
        reader.head(reply.status, reply.headers)
        while not reader.settled:
            if piece := await reply.read():
                reader.feed(piece)
            else:
                reader.eof()
        return Opened(Handle(reply, deadline))
    except (TransportFailure, OSError) as error:
        if reply is not None:
            reply.close()
        return failed_of(error)
    except BaseException:
        if reply is not None:
            reply.close()
        raise


async def _atogether(effect: Together, transport: AsyncTransport) -> list[Any]:
    import asyncio

    places = asyncio.Semaphore(effect.at_once)

    async def one(flow: Flow[Any]) -> Any:
        async with places:
            return await adrive(flow, transport)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(flow)) for flow in effect.flows]
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]


async def aread(handle: Handle) -> bytes | Failed:
    """The next piece of a stream, b"" at its end."""
    handle.deadline.reading()
    try:
        piece: bytes = await handle.reply.read()
        return piece
    except (TransportFailure, OSError) as error:
        handle.reply.close()
        return failed_of(error)
    except BaseException:
        handle.reply.close()
        raise


async def afinish(handle: Handle) -> None:
    """After the last event: take the few bytes that end the answer, so that the connection can serve again."""
    handle.deadline.lingering(LINGER)
    try:
        while await handle.reply.read():
            pass
    except (TransportFailure, OSError):
        pass
    finally:
        handle.reply.close()
