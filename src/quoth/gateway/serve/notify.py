"""Tells the service manager that started this process how far it is (systemd's sd_notify, in a dozen lines)."""

from __future__ import annotations

import socket

__all__ = ["notify"]


def notify(address: str, state: str) -> None:
    """Send `READY=1` or the like to the socket that NOTIFY_SOCKET names: a path, or `@` and an abstract name.

    A manager that does not listen is no reason not to serve.
    """
    target = f"\0{address[1:]}" if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.setblocking(False)
            manager.sendto(state.encode(), target)
    except OSError:
        pass
