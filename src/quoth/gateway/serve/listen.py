"""The one listening socket: bound once, by the parent, and inherited by every worker.

One socket has one queue of connections, so a worker that ends takes no waiting connection with it, and a second gateway
on the same port is refused by the system (which SO_REUSEPORT, a socket per worker, would allow).
"""

from __future__ import annotations

import errno
import socket

__all__ = ["CannotListen", "listen", "url"]


class CannotListen(Exception):
    """The address cannot be had; the message is one sentence that says what to do."""


def listen(host: str, port: int, backlog: int) -> socket.socket:
    """Bind and listen at this address and no other. Raises CannotListen."""
    listener = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        # A port is free again at once after its last server; two servers at a time are still impossible.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted connections inherit it: a small event leaves when it is written.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if family == socket.AF_INET6 and host == "::":
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(address)
        listener.listen(backlog)
    except OSError as error:
        if listener is not None:
            listener.close()
        raise CannotListen(_sentence(error, host, port)) from None
    return listener


def _sentence(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is already in use: stop the program that has it, or choose another with --port"
    if error.errno == errno.EACCES:
        return f"no permission to listen on port {port} of {host}: choose a port above 1023 with --port"
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return f"{host} is not an address of this machine: choose one with --host, such as 127.0.0.1 or 0.0.0.0"
    return f"cannot listen on {host}:{port}: {error.strerror or error}"


def url(listener: socket.socket, *, tls: bool) -> str:
    """Where a program on this machine reaches the socket."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  (it is read here, not bound)
    host = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{host}:{port}"
