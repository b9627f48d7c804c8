"""One client shared: by calls one after the other, by threads, by event loops, by processes."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import multiprocessing
import os
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import psutil
import pytest

import quoth
from quoth import errors
from quoth.call import Timeouts
from quoth.sdk import defaults
from quoth.sdk.client import AsyncClient, Client
from quoth.transport import http1
from tests.faults.harness import CALLERS, KEY, MESSAGES, Caller
from tests.faultserver import (
    Answer,
    Close,
    Connection,
    FaultServer,
    Read,
    Reset,
    Send,
    Stall,
    Step,
    answer,
    chat,
    error,
    sse,
)

pytestmark = pytest.mark.timeout(60)

Calling = Callable[..., Caller]
THREADS = 32


# Connections that are kept.


@pytest.mark.parametrize("framing", ["chunked", "length"])
def test_calls_one_after_the_other_use_one_connection(calling: Calling, server: FaultServer, framing: Any):
    server.play_once(chat("a"))
    server.play_once(sse("b").framed(framing))
    server.play_once(error(404))
    server.play_once(sse("c").framed(framing))
    server.play_once(answer(b"<html>"))
    server.play(chat("d").gzipped())
    caller = calling()
    assert caller.ask(stream=False).text == "a"
    assert caller.ask(stream=True).text == "b"
    with pytest.raises(errors.NotFoundError):
        caller.ask(stream=True)
    assert caller.ask(stream=True).text == "c"
    with pytest.raises(errors.BadGatewayError):
        caller.ask(stream=False)
    assert caller.ask(stream=False).text == "d"
    assert caller.ask(stream=False).text == "d"
    assert server.connections_total == 1


UNUSABLE: dict[str, Answer] = {
    "closed by its end": sse("a").framed("close"),
    "said to be closed": sse("a").headed(connection="close"),
    "left early": sse("a", "b", "c"),
}


@pytest.mark.parametrize("why", UNUSABLE, ids=lambda name: name.replace(" ", "-"))
def test_a_connection_that_is_spent_is_not_used_again(calling: Calling, server: FaultServer, why: str):
    server.play(UNUSABLE[why])
    caller = calling()
    for _ in range(2):
        pieces = caller.stream()
        if why == "left early":
            next(pieces)
            pieces.close()
        else:
            assert "".join(choice.delta.content or "" for chunk in pieces for choice in chunk.choices) == "a"
    assert server.connections_total == 2


def test_nothing_of_one_answer_is_taken_for_the_next(calling: Calling, server: FaultServer, stream: bool):
    """A second answer to one request, in the same packet and later."""
    good, smuggled = (sse("a"), sse("evil")) if stream else (chat("a"), chat("evil"))
    server.play_once(Read(), Send(good.raw + smuggled.raw))
    server.play_once(Read(), Send(good.raw), Stall(0.05), Send(smuggled.raw))
    server.play(good)
    caller = calling()
    for _ in range(2):
        assert caller.ask(stream=stream).text == "a"
        time.sleep(0.15)
    assert caller.ask(stream=stream).text == "a"


def test_streams_at_the_same_time_have_connections_of_their_own(calling: Calling, server: FaultServer):
    server.play(sse("a", "b"))
    caller = calling()
    streams = [caller.stream() for _ in range(3)]
    texts = ["".join(choice.delta.content or "" for chunk in one for choice in chunk.choices) for one in streams]
    assert texts == ["ab"] * 3
    assert server.connections_total == 3
    # And are kept, each.
    streams = [caller.stream() for _ in range(3)]
    for one in streams:
        list(one)
    assert server.connections_total == 3


def test_a_closed_client_can_be_used_again(calling: Calling, server: FaultServer, stream: bool):
    server.play(sse("a") if stream else chat("a"))
    caller: Any = calling()
    for _ in range(2):
        assert caller.ask(stream=stream).text == "a"
        runner = getattr(caller, "runner", None)
        if runner is None:
            caller.client.close()
        else:
            runner.run(caller.client.aclose())
        server.wait_for(lambda: not server.connections_open)


# Threads.


def _echo(client: Client, number: int, stream: bool) -> bool:
    messages = [{"role": "user", "content": str(number)}]
    found: Any = client._complete("m", messages, stream=stream)
    if not stream:
        return bool(found.choices[0].message.content == str(number))
    return "".join(choice.delta.content or "" for chunk in found for choice in chunk.choices) == str(number)


class Echo:
    """A step that says back what it was told."""

    reads = True

    async def __call__(self, connection: Connection) -> None:
        body = (await connection.read()).json()
        said = body["messages"][0]["content"]
        await (sse(*said) if body.get("stream") else chat(said))(connection)


def test_many_threads_share_one_client(server: FaultServer, stream: bool):
    server.play(Echo())
    with Client(base_url=server.url, api_key=KEY) as client, ThreadPoolExecutor(THREADS) as pool:
        assert all(pool.map(lambda number: _echo(client, number, stream), range(10 * THREADS)))
        # Never more connections than calls at a time.
        assert server.connections_total <= THREADS
    assert len(server.requests) == 10 * THREADS


@pytest.fixture
def switching() -> Iterator[None]:
    """The interpreter goes from one thread to the next as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_first_calls_that_come_together_share_one_transport(kind: Any, switching: None):
    """Else each keeps connections of its own, and nobody closes those of all but one."""
    with ThreadPoolExecutor(4) as pool:
        for _ in range(200):
            client, together = kind(base_url="http://127.0.0.1:9", api_key=KEY), threading.Barrier(4)

            def first(client: Any = client, together: threading.Barrier = together) -> Any:
                together.wait()
                return client._transport()

            found = [pool.submit(first) for _ in range(4)]
            assert len({id(one.result()) for one in found}) == 1


def test_closing_while_others_call(server: FaultServer):
    """A call in a closing client ends well or as a typed error; the next one works."""
    server.play(Echo())
    outcomes: list[object] = []

    def call(number: int) -> None:
        try:
            outcomes.append(_echo(client, number, number % 2 == 0))
        except errors.QuothError as error:
            outcomes.append(error)

    with Client(base_url=server.url, api_key=KEY, num_retries=0) as client:
        with ThreadPoolExecutor(8) as pool:
            for number in range(200):
                pool.submit(call, number)
            for _ in range(20):
                time.sleep(0.005)
                client.close()
        assert len(outcomes) == 200
        assert _echo(client, 1, False)


# Event loops.


async def _aecho(client: AsyncClient, number: int) -> bool:
    messages = [{"role": "user", "content": str(number)}]
    found: Any = await client._complete("m", messages, stream=number % 2 == 0)
    if number % 2:
        return bool(found.choices[0].message.content == str(number))
    pieces = [choice.delta.content or "" async for chunk in found for choice in chunk.choices]
    return "".join(pieces) == str(number)


async def _many(client: AsyncClient, count: int) -> list[bool]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_aecho(client, number)) for number in range(count)]
    return [task.result() for task in tasks]


def test_one_event_loop_after_the_other(server: FaultServer):
    server.play(Echo())
    client = AsyncClient(base_url=server.url, api_key=KEY)
    loops: list[weakref.ref[Any]] = []

    async def use() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        assert all(await _many(client, 4))

    for _ in range(5):
        asyncio.run(use())
        # Nobody called `aclose`; the loop's end closes what it kept.
        server.wait_for(lambda: not server.connections_open)
    gc.collect()
    assert not any(loop() for loop in loops), "the client keeps event loops that have ended"


def test_event_loops_in_many_threads(server: FaultServer):
    server.play(Echo())
    client = AsyncClient(base_url=server.url, api_key=KEY)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: asyncio.run(_many(client, 8)), range(16)))
    assert all(all(one) for one in found)


async def test_many_tasks_on_one_client(server: FaultServer):
    server.play(Echo())
    async with AsyncClient(base_url=server.url, api_key=KEY) as client:
        assert all(await _many(client, 200))
        before = server.connections_total
        assert all(await _many(client, 50))
        assert server.connections_total == before
    await server.until(lambda: not server.connections_open)


async def test_the_blocking_client_inside_a_running_loop(server: FaultServer):
    """As in a notebook's cell."""
    server.play(Echo())
    with Client(base_url=server.url, api_key=KEY) as client:
        assert _echo(client, 7, stream=True)


# Descriptors.


def test_failures_leave_no_descriptor(calling: Calling, server: FaultServer):
    caller = calling(timeout=Timeouts(first=0.02, total=2))
    scripts: list[tuple[Step, ...]] = [
        (Reset(),),
        (Read(), Close()),
        (Read(), Stall()),
        (chat().cut(50), Close()),
        (error(500),),
        (answer(b"<html>"),),
        (sse("a", "b").first(1), Reset()),
        (sse("a", finish_reason=None, usage=None, done=False),),
    ]

    def fail() -> None:
        for script in scripts:
            server.play(*script)
            with pytest.raises(errors.QuothError):
                caller.ask(stream=True)

    fail()
    gc.collect()
    before = psutil.Process().num_fds()
    for _ in range(10):
        fail()
    # The server closes its side in its own time; one connection may be kept.
    server.wait_for(lambda: server.connections_open <= 1)
    assert psutil.Process().num_fds() <= before + 3


# Processes.


@pytest.fixture
def forking() -> Iterator[None]:
    """The fault server runs in a thread, and newer Pythons warn of forks beside threads: here that is the point."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        yield


def in_a_child(work: Callable[[], object]) -> None:
    """Run it in a child of fork; fails when it raises, is false, or takes too long."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if work() else 2
        finally:
            os._exit(code)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            assert os.waitstatus_to_exitcode(status) == 0
            return
        time.sleep(0.01)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    raise AssertionError("the child did not end")


def _closed(what: Any) -> bool:
    what.close()
    return True


def test_a_blocking_client_in_a_child(server: FaultServer, forking: None, stream: bool):
    server.play(Echo())
    with Client(base_url=server.url, api_key=KEY) as client:
        assert _echo(client, 1, stream)
        in_a_child(lambda: _echo(client, 2, stream))
        assert _echo(client, 3, stream)
        in_a_child(lambda: _closed(client) and _echo(client, 4, stream))
        assert _echo(client, 5, stream)
    # The parent's connection served the parent alone.
    assert [request.connection for request in server.requests] == [1, 2, 1, 3, 1]


def test_the_default_clients_in_a_child(server: FaultServer, forking: None):
    server.play(Echo())
    how: dict[str, Any] = {"model": "custom_openai/m", "messages": MESSAGES, "api_base": server.url}

    def call() -> bool:
        found: Any = quoth.completion(**how)
        also: Any = asyncio.run(quoth.acompletion(**how))
        return bool(found.choices[0].message.content == also.choices[0].message.content == "hello")

    try:
        assert call()
        in_a_child(call)
        assert call()
    finally:
        defaults.client().close()


def test_a_child_of_a_process_with_a_call_in_each_state(server: FaultServer, forking: None):
    """A lock that is held while the process forks is never released in the child."""
    server.play(Echo())
    with Client(base_url=server.url, api_key=KEY) as client:
        assert _echo(client, 1, False)
        transport: Any = client._transport()
        with transport._lock:
            in_a_child(lambda: _echo(client, 2, False))


def test_a_child_leaves_its_parent_s_stream_alone(server: FaultServer, forking: None):
    server.play_once(sse("a", "b", "c").paced(0.3))
    server.play(Echo())
    with Client(base_url=server.url, api_key=KEY) as client:
        stream: Any = client._complete("m", MESSAGES, stream=True)
        assert next(stream).choices[0].delta.content == "a"
        in_a_child(lambda: _closed(stream))
        assert [chunk.choices[0].delta.content for chunk in stream if chunk.choices][:2] == ["b", "c"]


def test_a_child_of_a_process_whose_threads_are_calling(server: FaultServer, forking: None):
    """Whatever lock a thread holds at the moment of the fork, the child does not wait for it."""
    server.play(Echo())
    stop = threading.Event()
    with Client(base_url=server.url, api_key=KEY) as client, ThreadPoolExecutor(4) as pool:

        def call() -> bool:
            while not stop.is_set():
                assert _echo(client, 1, False)
            return True

        running = [pool.submit(call) for _ in range(4)]
        try:
            for _ in range(10):
                in_a_child(lambda: _echo(client, 2, True))
        finally:
            stop.set()
        assert all(one.result() for one in running)


def test_an_asyncio_client_in_a_child(server: FaultServer, forking: None):
    server.play(Echo())
    client = AsyncClient(base_url=server.url, api_key=KEY)
    assert all(asyncio.run(_many(client, 4)))
    in_a_child(lambda: all(asyncio.run(_many(client, 4))))
    assert all(asyncio.run(_many(client, 4)))


def test_a_fork_between_two_steps_of_an_event_loop(server: FaultServer, forking: None):
    """The parent's loop lives on while its child starts one of its own."""
    server.play(Echo())
    with CALLERS["asyncio"](base_url=server.url) as caller:
        client: Any = caller.client  # type: ignore[attr-defined]
        assert caller.ask(stream=False).text == "hello"
        in_a_child(lambda: all(asyncio.run(_many(client, 4))))
        assert caller.ask(stream=True).text == "hello"
        assert {request.connection for request in server.requests if request.json()["messages"] == MESSAGES} == {1}


def _in_another_process(url: str) -> bool:
    with Client(base_url=url, api_key=KEY) as client:
        return _echo(client, 3, True) and asyncio.run(_many(AsyncClient(base_url=url, api_key=KEY), 2)) == [True, True]


def _fails_in_another_process(url: str) -> None:
    with Client(base_url=url, api_key=KEY, num_retries=0) as client:
        client._complete("m", MESSAGES)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_pool_of_processes(server: FaultServer, forking: None, method: str):
    server.play(Echo())
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        assert all(pool.map(_in_another_process, [server.url] * 4))


def test_an_error_comes_back_from_another_process(server: FaultServer, forking: None):
    server.play(error(429, "not so fast", headers={"retry-after": "7"}))
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        raised = pool.submit(_fails_in_another_process, server.url).exception()
    assert isinstance(raised, errors.RateLimitError)
    assert (raised.retry_after, raised.status_code, len(raised.attempts)) == (7.0, 429, 1)


async def test_a_connection_that_has_ended_is_freed_at_once(server: FaultServer):
    """And does not wait, with the answer and the prompt, until the collector looks for cycles."""
    scripts: list[tuple[Step, ...]] = [
        (Read(), Close()),
        (Read(), Send(b"hello\r\n\r\n"), Stall()),
        (chat().cut(200), Close()),
        (Read(), Stall()),
        (chat(), Close()),
    ]
    timeout = Timeouts(first=0.05, total=2)
    async with AsyncClient(base_url=server.url, api_key=KEY, num_retries=0, timeout=timeout) as client:
        gc.collect()
        gc.disable()
        try:
            for script in scripts:
                server.play(*script)
                with contextlib.suppress(errors.QuothError):
                    await client.completion(model="openai/gpt-5.2", messages=MESSAGES)
            await server.until(lambda: not server.connections_open)
            await asyncio.sleep(0)
            assert [one for one in gc.get_objects() if isinstance(one, http1.Connection)] == []
        finally:
            gc.enable()
