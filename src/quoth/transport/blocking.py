"""Blocking HTTP over urllib3: works in threads and after a fork, is interrupted by signals, keeps deadlines of our own.

urllib3's timeouts count from one read to the next; a server that sends one byte a second is never late for them. So the
socket is wrapped: before every read and write it asks the exchange's Deadline how long that may take.
"""

from __future__ import annotations

import contextlib
import io
import os
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from http.client import HTTPException, HTTPResponse, IncompleteRead, RemoteDisconnected, parse_headers
from typing import Any

import urllib3
from urllib3 import exceptions as http
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from quoth.call import WireRequest
from quoth.transport.chunked import Dechunker
from quoth.transport.dial import dial
from quoth.transport.inflate import inflater_for
from quoth.transport.network import Network, Proxy, context_for, proxy_for, split
from quoth.transport.ports import Deadline, TransportFailure

__all__ = ["BlockingTransport"]

PIECE = 65536
POOL = 256
HIGH_WATER = 256 * 1024
SLACK = 0.001


class _Exchange:
    """What one request's connection and its reply have in common."""

    __slots__ = ("_sock", "deadline", "pid", "reused")

    def __init__(self, deadline: Deadline):
        self.deadline = deadline
        self.pid = os.getpid()
        self.reused = False
        self._sock: socket.socket | None = None

    def holds(self, sock: socket.socket) -> None:
        """This is the socket that is waited on now."""
        self._sock = sock
        self.deadline.interrupts(self.interrupt)

    def interrupt(self) -> None:
        """End the connection, and wake whoever waits on it in another thread; closing alone would not. In a child of
        fork the connection is still its parent's, and is left alone."""
        if self._sock is not None and self.pid == os.getpid():
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)


_current: ContextVar[_Exchange] = ContextVar("quoth_exchange")


class _Socket:
    """A socket whose every operation is bounded by the current exchange's deadline."""

    def __init__(self, sock: socket.socket):
        self._sock = sock
        self._armed = 0.0
        self.deadline: Deadline | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def settimeout(self, seconds: float | None) -> None:
        """urllib3 sets its own idea of a timeout here; ours is set before each operation."""

    def arm(self) -> None:
        if self.deadline is not None:
            remaining = self.deadline.remaining()
            if remaining <= 0:
                raise TimeoutError("timed out")
            # Setting it is a system call, and for each piece of a stream the same.
            if not remaining <= self._armed <= remaining + 2 * SLACK:
                self._armed = remaining + SLACK
                self._sock.settimeout(self._armed)

    def recv(self, size: int) -> bytes:
        self.arm()
        return self._sock.recv(size)

    def sendall(self, data: Any) -> None:
        self.arm()
        self._sock.sendall(data)

    def makefile(self, mode: str = "rb", buffering: int | None = None) -> io.BufferedReader:
        return _Lines(_Raw(self, self._sock.makefile("rb", buffering=0)), PIECE)


class _Raw(io.RawIOBase):
    dry = False

    def __init__(self, sock: _Socket, raw: Any):
        self.sock = sock
        self._raw = raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.dry:
            return None
        self.sock.arm()
        read: int | None = self._raw.readinto(buffer)
        return read

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
            super().close()


class _Lines(io.BufferedReader):
    """Remembers whether a line was cut off by the end of the connection."""

    cut = False

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        self.cut = not line.endswith(b"\n")
        return line


class _Response(HTTPResponse):
    """The standard library's parser, made as strict as asyncio's: interim answers of every kind are passed over, a head
    that is cut off is not taken for a whole one, and an answer that says its length in two ways is none."""

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 100 <= status < 200 or status == 101:
                return version, status, reason
            parse_headers(self.fp)

    def begin(self) -> None:
        lines: Any = self.fp
        super().begin()
        if lines.cut:
            raise RemoteDisconnected("the connection was closed in the head of the answer")
        lengths = set(self.headers.get_all("content-length", ()))
        if len(lengths) > 1 or (lengths and self.chunked):
            raise HTTPException("the answer says its length in two ways")


class _Chunks:
    """A chunked body, read from the socket itself: `take` until b"", then `done`."""

    def __init__(self, response: _Response):
        self._response = response
        self._dechunker = Dechunker()
        lines: Any = response.fp
        self._sock: _Socket = lines.raw.sock
        # What was read together with the head.
        lines.raw.dry = True
        self._data: bytes = lines.read1(PIECE)
        self.done = False

    def take(self) -> bytes:
        """All that has arrived, at least one byte; b"" at the end."""
        dechunker = self._dechunker
        while True:
            if dechunker.failure is not None:
                raise dechunker.failure
            data, self._data = self._data or self._sock.recv(PIECE), b""
            if not data:
                raise RemoteDisconnected("the connection was closed in mid-answer")
            piece = dechunker.feed(data)
            if dechunker.done:
                self.done = True
                self._response.close()
                return piece
            if piece:
                return piece

    @property
    def overrun(self) -> bool:
        """True when something came after the end: such a connection is not to be trusted with another request."""
        return bool(self._dechunker.rest)


class _Bounded:
    """Mixed into urllib3's connections: wraps the socket, and hands it the exchange that is under way."""

    sock: Any
    proxy: Any
    port: Any
    socket_options: Any
    _dns_host: str
    _served = 0
    _unsent: list[Any] | None = None

    def _new_conn(self) -> socket.socket:
        exchange = _current.get()
        try:
            return dial(self._dns_host, self.port, self.socket_options or (), exchange.deadline, exchange.holds)
        except TransportFailure as failure:
            if self.proxy is not None and failure.kind != "timeout":
                raise TransportFailure("proxy", str(failure)) from None
            raise

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        self.sock = _Socket(self.sock)
        _current.get().deadline.connected()

    def request(self, *args: Any, **options: Any) -> None:
        exchange = _current.get()
        if self.sock is not None:
            exchange.reused = self._served > 0
            exchange.deadline.connected()
            self.sock.deadline = exchange.deadline
        self._served += 1
        unsent = self._unsent = []
        try:
            super().request(*args, **options)  # type: ignore[misc]
        finally:
            self._unsent = None
        # Head and body in one write: each costs a trip into the kernel, and a packet.
        if sum(map(len, unsent)) < HIGH_WATER:
            self.send(b"".join(unsent))
        else:
            for data in unsent:
                self.send(data)

    def send(self, data: Any) -> None:
        if self._unsent is not None:
            self._unsent.append(data)
            return
        if self.sock is None:
            self.connect()
        if isinstance(self.sock, _Socket):
            exchange = _current.get()
            self.sock.deadline = exchange.deadline
            exchange.holds(self.sock._sock)
        # Else it is the request for a tunnel, which is part of connecting and bounded by urllib3's own timeout.
        super().send(data)  # type: ignore[misc]


class _Connection(_Bounded, HTTPConnection):
    response_class = _Response


class _SecureConnection(_Bounded, HTTPSConnection):
    response_class = _Response


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection

    def _validate_conn(self, conn: Any) -> None:
        # Without urllib3's warning for `ssl_verify=False`: whoever says that knows it.
        if conn.is_closed:
            conn.connect()


class BlockingTransport:
    """HTTP/1.1 with a pool of kept connections. `environment` is asked at each call for proxies and certificates."""

    def __init__(self, network: Network, environment: Callable[[], Mapping[str, str]]):
        self._network = network
        self._environment = environment
        self._lock = threading.Lock()
        self._senders: dict[Any, Any] = {}
        self._pid = os.getpid()

    def open(self, request: WireRequest, deadline: Deadline) -> _Reply:
        sender, target = self._sender(request.url)
        exchange = _Exchange(deadline)
        token = _current.set(exchange)
        try:
            response = sender.urlopen(
                request.method,
                target,
                body=request.body or None,
                headers=request.headers,
                preload_content=False,
                decode_content=False,
                redirect=False,
                retries=False,
                timeout=urllib3.Timeout(connect=max(0.001, deadline.remaining()), read=None),
            )
        except (http.HTTPError, OSError, ValueError) as error:
            raise _failure(error, exchange) from None
        finally:
            _current.reset(token)
        try:
            return _Reply(response, exchange)
        except ValueError as error:
            response.close()
            raise TransportFailure("protocol", str(error)) from None

    def close(self) -> None:
        if self._pid == os.getpid():
            with self._lock:
                senders, self._senders = self._senders, {}
            for sender in senders.values():
                if isinstance(sender, urllib3.ProxyManager):
                    # `clear` alone leaves the closing to the garbage collector.
                    for pool in map(sender.pools.get, list(sender.pools.keys())):
                        if pool is not None:
                            pool.close()
                    sender.clear()
                else:
                    sender.close()

    def _sender(self, url: str) -> tuple[Any, str]:
        """What has an `urlopen` for this URL, and the target to give it: a host's pool with a path, or a proxy with the
        whole URL. urllib3's PoolManager would find the same pool anew for each call, at a fifth of the call's cost."""
        environment = self._environment()
        proxy = proxy_for(url, self._network, environment)
        parts, host, port = split(url)
        secure = parts.scheme == "https" or (proxy is not None and proxy.scheme == "https")
        context = context_for(self._network, environment) if secure else None
        key = (proxy, context) if proxy is not None else (parts.scheme, host, port, context)
        if self._pid != os.getpid():
            # A child of fork shares its parent's sockets and must not speak on them; and the lock may be held by a
            # thread that only the parent has.
            self._pid, self._lock, self._senders = os.getpid(), threading.Lock(), {}
        with self._lock:
            sender = self._senders.get(key)
            if sender is None:
                name = f"[{host}]" if ":" in host else host
                if proxy is not None:
                    sender = _through(proxy, context)
                elif parts.scheme == "https":
                    sender = _SecurePool(name, port, maxsize=POOL, ssl_context=context)
                else:
                    sender = _Pool(name, port, maxsize=POOL)
                self._senders[key] = sender
        if proxy is not None:
            return sender, url
        return sender, f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"


def _through(proxy: Proxy, context: Any) -> urllib3.ProxyManager:
    auth = {"proxy-authorization": proxy.authorization} if proxy.authorization else None
    options: dict[str, Any] = {"num_pools": 64, "maxsize": POOL, "ssl_context": context, "proxy_ssl_context": context}
    manager = urllib3.ProxyManager(proxy.url, proxy_headers=auth, **options)
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
    return manager


class _Reply:
    def __init__(self, response: urllib3.BaseHTTPResponse, exchange: _Exchange):
        self.status = response.status
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}
        self._inflater = inflater_for(self.headers)
        self._response = response
        original: Any = response._original_response  # type: ignore[attr-defined]
        self._chunks = _Chunks(original) if original.chunked and original.length is None else None
        self._exchange = exchange
        self._whole = False
        self._ended = False
        self._closed = False

    def read(self) -> bytes:
        inflater = self._inflater
        if inflater is None:
            return self._received()
        while not (piece := inflater.take()):
            packed = self._received()
            if not packed:
                inflater.end()
                break
            inflater.feed(packed)
        return piece

    def _received(self) -> bytes:
        if self._whole:
            self._ended = True
            return b""
        try:
            if self._chunks is not None:
                piece = self._chunks.take()
                if self._chunks.done:
                    self._whole = True
                    if self._chunks.overrun:
                        self._exchange.interrupt()
                    self._ended = not piece
                return piece
            piece = self._response.read1(PIECE)
            original = self._response._original_response  # type: ignore[attr-defined]
            # Closed means read to its announced end; to ask again would only be told so.
            self._whole = original is None or original.isclosed()
        except (http.HTTPError, OSError, ValueError, AttributeError) as error:
            if self._closed:
                raise TransportFailure("read", "the reply was closed") from None
            raise _failure(error, self._exchange) from None
        if not piece:
            self._ended = True
        return piece

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._ended:
            self._response.release_conn()
            return
        self._exchange.interrupt()
        with contextlib.suppress(Exception):
            self._response.close()


def _failure(error: Exception, exchange: _Exchange) -> TransportFailure:
    """The most telling failure for an exception of urllib3 or of the socket."""
    reused = exchange.reused
    if exchange.deadline.remaining() <= 0:
        return exchange.deadline.failure(reused)
    cause = _innermost(error)
    text = str(cause) or type(cause).__name__
    for kind, name in _KINDS:
        if isinstance(error, kind):
            return TransportFailure(name, text)
    ended = isinstance(cause, IncompleteRead | RemoteDisconnected)
    if isinstance(cause, ValueError | HTTPException) and not ended:
        return TransportFailure("protocol", text, reused=reused)
    return TransportFailure("read", text, reused=reused)


_KINDS: tuple[tuple[type[Exception], str], ...] = (
    (http.ProxyError, "proxy"),
    (http.SSLError, "tls"),
    (ssl.SSLError, "tls"),
    (http.LocationValueError, "connect"),
)


def _innermost(error: BaseException) -> BaseException:
    """The cause at the bottom: what really happened."""
    seen = set()
    while id(error) not in seen:
        seen.add(id(error))
        nested = next((item for item in error.args[::-1] if isinstance(item, BaseException)), None)
        inner = nested or error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if inner is None:
            break
        error = inner
    return error
