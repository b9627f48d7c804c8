"""Requests as bytes, for clients that do what no client library does."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

from tests.gateway.serving import KEY, Serving

__all__ = ["receive", "request", "reset"]


def request(
    gateway: Serving, body: dict[str, Any] | bytes, id: str, headers: bytes = b"", length: int | None = None
) -> bytes:
    """A chat request, whose line in the log is found by its `id`."""
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {gateway.host}\r\nauthorization: Bearer {KEY}\r\n"
        f"content-type: application/json\r\nx-request-id: {id}\r\n"
        f"content-length: {len(data) if length is None else length}\r\n"
    )
    return head.encode() + headers + b"\r\n" + data


def receive(sock: socket.socket, until: bytes) -> bytes:
    """What comes, up to and with these bytes, or to the end."""
    got = b""
    while until not in got:
        piece = sock.recv(65536)
        if not piece:
            break
        got += piece
    return got


def reset(sock: socket.socket) -> None:
    """Leave with an RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
