"""One accepted socket, in the clear or under TLS, driven by a selector loop.

TLS runs over memory buffers and not over asyncio's transports: so a FIN, a reset or a missing close_notify leaves
exactly when the script says so, and nothing waits in a buffer that a test cannot see.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct

__all__ = ["Channel", "TlsChannel"]

READ_SIZE = 256 * 1024


class Channel:
    """Bytes to and from one client. `receive` answers b"" at the client's end of file; all raise OSError on a reset."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._loop = asyncio.get_running_loop()

    async def open(self) -> None:
        """What comes before the first byte of HTTP."""
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def receive(self) -> bytes:
        return await self._loop.sock_recv(self._sock, READ_SIZE)

    async def send(self, data: bytes | memoryview) -> None:
        await self._loop.sock_sendall(self._sock, data)

    async def say_goodbye(self) -> None:
        """What TLS sends before its FIN; nothing in the clear."""

    def finish(self) -> None:
        """Send the FIN; shutting down, and not only closing, sends it even when a forked child holds the socket too."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def reset_on_close(self) -> None:
        """Make `close` send an RST: a linger of zero seconds."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def close(self) -> None:
        self._sock.close()


class TlsChannel(Channel):
    """The same under TLS. A failed handshake is an ssl.SSLError, hence an OSError."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        super().__init__(sock)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    async def open(self) -> None:
        await super().open()
        while True:
            try:
                self._tls.do_handshake()
                return
            except ssl.SSLWantReadError:
                pass
            finally:  # on failure too: an alert tells the client why
                await self._flush()
            if not await self._feed():
                raise ConnectionAbortedError("the client left during the TLS handshake")

    async def receive(self) -> bytes:
        while True:
            try:
                return self._tls.read(READ_SIZE)
            except ssl.SSLWantReadError:
                if not await self._feed():
                    return b""
            except ssl.SSLZeroReturnError:
                return b""

    async def send(self, data: bytes | memoryview) -> None:
        self._tls.write(data)
        await self._flush()

    async def say_goodbye(self) -> None:
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()
        await self._flush()

    async def _feed(self) -> bool:
        data = await super().receive()
        self._incoming.write(data)
        return bool(data)

    async def _flush(self) -> None:
        while data := self._outgoing.read():
            await super().send(data)
