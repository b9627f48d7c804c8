"""Reaching a host, for blocking calls: its name is looked up and its addresses are tried within the connect limit, and
a signal or another thread ends the wait."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias

from quoth.transport.ports import Deadline, TransportFailure

__all__ = ["dial"]

_Address: TypeAlias = tuple[Any, Any, int, str, Any]


def dial(
    host: str,
    port: int,
    options: Iterable[Any],
    deadline: Deadline,
    hold: Callable[[socket.socket], None],
) -> socket.socket:
    """A connected socket. `hold` is told of each socket that is tried. Raises TransportFailure."""
    addresses = _addresses(host, port, deadline)
    failure = TransportFailure("dns", f"{host} has no address")
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        remaining = deadline.remaining()
        if remaining <= 0:
            raise deadline.failure()
        sock = socket.socket(family, kind, protocol)
        try:
            for option in options:
                sock.setsockopt(*option)
            hold(sock)
            # An address that swallows packets leaves time for the others.
            sock.settimeout(remaining / (len(addresses) - number))
            sock.connect(address)
        except TimeoutError:
            sock.close()
            failure = deadline.failure()
        except OSError as error:
            sock.close()
            failure = TransportFailure("connect", error.strerror or str(error))
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


def _addresses(host: str, port: int, deadline: Deadline) -> list[_Address]:
    """The system's resolver can be neither interrupted nor told how long to take, so another thread waits for it."""
    with contextlib.suppress(ValueError):
        ip_address(host.partition("%")[0])
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)  # at once: there is nothing to look up
    found: SimpleQueue[list[_Address] | Exception] = SimpleQueue()

    def look_up() -> None:
        try:
            found.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            found.put(error)

    deadline.interrupts(lambda: found.put(OSError("the call was given up")))
    threading.Thread(target=look_up, name="quoth-resolver", daemon=True).start()
    try:
        answer = found.get(timeout=max(0.0, deadline.remaining()))
    except Empty:
        raise deadline.failure() from None
    if isinstance(answer, Exception):
        raise TransportFailure("dns", getattr(answer, "strerror", None) or str(answer))
    return answer
