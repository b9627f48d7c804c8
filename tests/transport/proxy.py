"""A small proxy for tests: CONNECT tunnels and plain forwarding, every name led to one address that the test gives.

with Proxy(to=server.port) as proxy:
    ...                                   # a client with proxy=proxy.url calls http://poe.test/
    assert proxy.asked == ["http://poe.test/chat/completions"]
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator

__all__ = ["Proxy", "proxying"]


class Proxy:
    """`asked`: what each request asked for, a URL or the host and port of a CONNECT. `given`: its headers.

    `refuse`: a status to answer everything with. `needs`: the value that Proxy-Authorization must have.
    """

    def __init__(self, to: int, *, refuse: int | None = None, needs: str | None = None, context: ssl.SSLContext | None):
        self.asked: list[str] = []
        self.given: list[dict[str, str]] = []
        self._to = to
        self._refuse = refuse
        self._needs = needs
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    @property
    def url(self) -> str:
        return f"{'http' if self._context is None else 'https'}://127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        for sock in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _start(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        upstream: socket.socket | None = None
        try:
            if self._context is not None:
                client = self._context.wrap_socket(client, server_side=True)
            self._open.add(client)
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                if not (byte := client.recv(1)):
                    return
                head += byte
            line, *fields = head.decode("latin-1").split("\r\n")[:-2]
            method, target, version = line.split(" ")
            headers = {name.lower(): value.strip() for name, value in (field.split(":", 1) for field in fields)}
            self.asked.append(target)
            self.given.append(headers)
            refused = self._refuse
            if self._needs is not None and headers.get("proxy-authorization") != self._needs:
                refused = 407
            if refused is not None:
                client.sendall(f"HTTP/1.1 {refused} No\r\ncontent-length: 2\r\n\r\nno".encode())
                return
            upstream = socket.create_connection(("127.0.0.1", self._to))
            self._open.add(upstream)
            if method == "CONNECT":
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                path = "/" + target.split("/", 3)[3]
                kept = "\r\n".join(field for field in fields if not field.lower().startswith("proxy-"))
                upstream.sendall(f"{method} {path} {version}\r\n{kept}\r\n\r\n".encode("latin-1"))
            self._start(self._pass_on, upstream, client)
            self._pass_on(client, upstream)
        except OSError:
            pass
        finally:
            for sock in filter(None, (client, upstream)):
                self._open.discard(sock)
                sock.close()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        for sock in (source, sink):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def proxying(
    to: int, *, refuse: int | None = None, needs: str | None = None, context: ssl.SSLContext | None = None
) -> Iterator[Proxy]:
    proxy = Proxy(to, refuse=refuse, needs=needs, context=context)
    try:
        yield proxy
    finally:
        proxy.close()
