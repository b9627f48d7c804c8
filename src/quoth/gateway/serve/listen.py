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


# Seconds without a word from a client until the system asks whether it is still there, and between its questions.
_QUIET, _BETWEEN = 60, 15


def listen(host: str, port: int, backlog: int, write_timeout: float = 60.0) -> socket.socket:
    """Bind and listen at this address and no other. `write_timeout`: seconds after which the system closes a
    connection whose client takes nothing of what is sent to it. Raises CannotListen."""
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
        _watched(listener, write_timeout)
        if family == socket.AF_INET6 and host == "::":
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(address)
        listener.listen(backlog)
    except OSError as error:
        if listener is not None:
            listener.close()
        raise CannotListen(_sentence(error, host, port)) from None
    return listener


def _watched(listener: socket.socket, write_timeout: float) -> None:
    """Accepted connections inherit this too. The system does it better than a timer for each write could: it costs
    nothing, it sees what is in its own buffers, and it holds for every server and every kind of answer."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", _QUIET),
        ("TCP_KEEPINTVL", _BETWEEN),
        # Of Linux: data that is not acknowledged, or not let in by a window that stays shut, for so many ms.
        ("TCP_USER_TIMEOUT", max(1, round(write_timeout * 1000))),
    ):
        if hasattr(socket, name):
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


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
    host: str
    port: int
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  (it is read here, not bound)
    host = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{host}:{port}"
