"""HTTP for asyncio: connections kept per event loop, opened directly or through a proxy, closed at once when a task is
cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from functools import lru_cache, partial
from typing import Any, cast

from quoth.call import FixedHeaders, WireRequest
from quoth.transport.http1 import Connection
from quoth.transport.network import Network, Proxy, context_for, proxy_for, split
from quoth.transport.ports import Deadline, TransportFailure

__all__ = ["AsyncioTransport"]

KEPT_SECONDS = 60.0
KEPT_CONNECTIONS = 256

_Key = tuple[Any, ...]


class AsyncioTransport:
    """HTTP/1.1. One instance serves any number of event loops, in any threads, also after a fork: each loop has its own
    pool.

    `environment` is asked at each call for proxies and certificates. `addresses`: asked, in a thread, which address of
    a host to connect to, so that it is the very one that was looked at; then no proxy is used, and nothing is kept.
    """

    def __init__(
        self,
        network: Network,
        environment: Callable[[], Mapping[str, str]],
        addresses: Callable[[str], str] | None = None,
    ):
        self._network = network
        self._environment = environment
        self._addresses = addresses
        self._pools: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Pool] = weakref.WeakKeyDictionary()

    async def open(self, request: WireRequest, deadline: Deadline) -> _Reply:
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None:
            # The pool must not hold its loop, or the pair would never be freed.
            pool = self._pools[loop] = _Pool()
            await pool.open()
        environment = self._environment()
        proxy = proxy_for(request.url, self._network, environment) if self._addresses is None else None
        parts, host, port = split(request.url)
        context = None
        if parts.scheme == "https" or (proxy is not None and proxy.scheme == "https"):
            context = context_for(self._network, environment)
        key = (parts.scheme, host, port, proxy, context)
        connection = pool.take(key)
        if connection is None:
            try:
                async with asyncio.timeout(max(0.0, deadline.remaining())):
                    if self._addresses is None:
                        connection = await _connect(parts.scheme, host, port, proxy, context, deadline)
                    else:
                        address = await asyncio.to_thread(self._addresses, host)
                        connection = await _dial(address, port, context if parts.scheme == "https" else None, host)
            except TimeoutError:
                raise deadline.failure() from None
        try:
            deadline.connected()
            through = proxy if proxy is not None and parts.scheme == "http" else None
            connection.send(_head(request, through), request.body)
            await connection.wait_head(deadline)
        except BaseException:
            connection.abort()
            raise
        return _Reply(connection, deadline, pool, key)

    async def aclose(self) -> None:
        """Close what this event loop keeps."""
        pool = self._pools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            await pool.close()


class _Reply:
    def __init__(self, connection: Connection, deadline: Deadline, pool: _Pool, key: _Key):
        self.status = connection.status
        self.headers: Mapping[str, str] = connection.headers
        self._connection: Connection | None = connection
        self._deadline = deadline
        self._pool = pool
        self._key = key
        connection.on_end = self._ended

    def read(self) -> Coroutine[Any, Any, bytes]:
        # The connection's own coroutine: one around it would be woken for each piece as well.
        return self._connection.read(self._deadline) if self._connection is not None else _nothing()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.on_end = None
            connection.abort()

    def _ended(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.on_end = None
            self._pool.keep(self._key, connection)


async def _nothing() -> bytes:
    return b""


class _Pool:
    """The idle connections of one event loop."""

    def __init__(self) -> None:
        self._idle: dict[_Key, list[Connection]] = {}
        self._count = 0
        self._keeper: AsyncGenerator[None] | None = None

    async def open(self) -> None:
        """A generator that has begun is closed by its loop when that shuts down: the only moment at which idle
        connections of a loop that is about to end can still be closed properly."""
        self._keeper = self._until_shutdown()
        await self._keeper.__anext__()

    async def _until_shutdown(self) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            self._keeper = None  # a generator holds the loop it began in
            self._drop_all()
            # The sockets are closed by callbacks of the loop; let them run.
            await asyncio.sleep(0)

    async def close(self) -> None:
        keeper = self._keeper
        if keeper is not None:
            await keeper.aclose()

    def take(self, key: _Key) -> Connection | None:
        idle = self._idle.get(key)
        now = time.monotonic()
        while idle:
            connection = idle.pop()
            self._count -= 1
            if now - connection.idle_since < KEPT_SECONDS and connection.silent:
                return connection
            connection.abort()
        return None

    def keep(self, key: _Key, connection: Connection) -> None:
        if not connection.reusable or self._count >= KEPT_CONNECTIONS:
            connection.abort()
            return
        connection.idle_since = time.monotonic()
        if connection.on_lost is None:
            connection.on_lost = partial(_lost, weakref.ref(self), key)
        self._idle.setdefault(key, []).append(connection)
        self._count += 1

    def _forget(self, key: _Key, connection: Connection) -> None:
        with contextlib.suppress(ValueError, KeyError):
            self._idle[key].remove(connection)
            self._count -= 1

    def _drop_all(self) -> None:
        for connections in self._idle.values():
            for connection in connections:
                connection.on_lost = None
                connection.abort()
        self._idle.clear()
        self._count = 0


def _lost(pool: weakref.ref[_Pool], key: _Key, connection: Connection) -> None:
    """A connection that is kept, or was, has ended. The event loop holds it, so it must not hold its pool: a client
    that is dropped without being closed would keep its sockets."""
    owner = pool()
    if owner is not None:
        owner._forget(key, connection)


async def _connect(
    scheme: str, host: str, port: int, proxy: Proxy | None, context: ssl.SSLContext | None, deadline: Deadline
) -> Connection:
    if proxy is None:
        return await _dial(host, port, context if scheme == "https" else None, host)
    try:
        connection = await _dial(proxy.host, proxy.port, context if proxy.scheme == "https" else None, proxy.host)
    except TransportFailure as failure:
        raise TransportFailure("proxy", str(failure)) from None
    if scheme == "http":
        return connection
    try:
        await _tunnel(connection, host, port, proxy, context, deadline)
    except BaseException:
        connection.abort()
        raise
    return connection


async def _dial(host: str, port: int, context: ssl.SSLContext | None, name: str) -> Connection:
    loop = asyncio.get_running_loop()
    # uvloop tries the addresses one after the other and takes no delay.
    eyeballs: dict[str, Any] = {"happy_eyeballs_delay": 0.25} if isinstance(loop, asyncio.BaseEventLoop) else {}
    try:
        _, connection = await loop.create_connection(
            Connection,
            host,
            port,
            ssl=context,
            server_hostname=name if context is not None else None,
            **eyeballs,
        )
    except socket.gaierror as error:
        raise TransportFailure("dns", error.strerror or str(error)) from None
    except ssl.SSLError as error:
        raise TransportFailure("tls", getattr(error, "verify_message", "") or error.reason or str(error)) from None
    except (OSError, UnicodeError) as error:
        if isinstance(error, TimeoutError):
            raise
        raise TransportFailure("connect", getattr(error, "strerror", None) or str(error)) from None
    return connection


async def _tunnel(
    connection: Connection,
    host: str,
    port: int,
    proxy: Proxy,
    context: ssl.SSLContext | None,
    deadline: Deadline,
) -> None:
    """Ask the proxy for a way through, then speak TLS over it."""
    name = f"[{host}]" if ":" in host else host
    head = f"CONNECT {name}:{port} HTTP/1.1\r\nhost: {name}:{port}\r\n"
    if proxy.authorization:
        head += f"proxy-authorization: {proxy.authorization}\r\n"
    connection.send(f"{head}\r\n".encode("latin-1"), b"", bodyless=True)
    await connection.wait_head(deadline)
    if connection.status != 200:
        raise TransportFailure("proxy", f"the proxy answered {connection.status} to CONNECT {name}:{port}")
    assert connection.transport is not None
    assert context is not None
    loop = asyncio.get_running_loop()
    try:
        secure = await loop.start_tls(connection.transport, connection, context, server_hostname=host)
    except ssl.SSLError as error:
        raise TransportFailure("tls", getattr(error, "verify_message", "") or error.reason or str(error)) from None
    except OSError as error:
        raise TransportFailure("tls", str(error)) from None
    connection.transport = cast(asyncio.Transport, secure)
    connection.served = 0


def _head(request: WireRequest, through: Proxy | None) -> bytes:
    headers, size = request.headers, len(request.body)
    if isinstance(headers, FixedHeaders) and through is None and size:
        start = headers.starts.get((request.method, request.url))
        if start is None:
            lines = _request_lines(request.method, request.url, False)
            start = headers.starts[request.method, request.url] = f"{lines}{headers.lines}".encode("latin-1")
        return b"%bcontent-length: %d\r\n\r\n" % (start, size)
    lines = _request_lines(request.method, request.url, through is not None)
    if through is not None and through.authorization:
        lines += f"proxy-authorization: {through.authorization}\r\n"
    for name, value in headers.items():
        lines += f"{name}: {value}\r\n"
    if size or request.method not in ("GET", "HEAD"):
        lines += f"content-length: {size}\r\n"
    return f"{lines}\r\n".encode("latin-1")


@lru_cache(maxsize=512)
def _request_lines(method: str, url: str, absolute: bool) -> str:
    parts, host, port = split(url)
    path = parts.path or "/"
    if parts.query:
        path += f"?{parts.query}"
    name = f"[{host}]" if ":" in host else host
    if port != (443 if parts.scheme == "https" else 80):
        name += f":{port}"
    target = f"{parts.scheme}://{name}{path}" if absolute else path
    return f"{method} {target} HTTP/1.1\r\nhost: {name}\r\n"
