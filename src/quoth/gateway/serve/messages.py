"""What the parent and a worker say to each other: tagged records in MessagePack, each behind its length.

The channel is a pair of Unix sockets that only the two hold. Its end is a message too: a worker without a parent ends.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

__all__ = [
    "PREFIX",
    "Collect",
    "Collected",
    "Drain",
    "Frames",
    "FromParent",
    "FromWorker",
    "Gather",
    "Generation",
    "Ready",
    "Refused",
    "Retire",
    "Snapshot",
    "Start",
    "Stop",
    "Swapped",
    "Tls",
    "frame",
]

# Bytes of the length in front of a message, most significant first.
PREFIX = 4


class Tls(msgspec.Struct, frozen=True):
    """Files of a certificate chain and its key, both PEM."""

    certificate: str
    key: str


# --- From the parent ------------------------------------------------------------------------------------------------


class Start(msgspec.Struct, frozen=True, tag=True):
    """The first message; the listening socket comes with its first byte.

    `settings` is what `settings.pack` gave; `connections` the most that are served at a time, `header_timeout` seconds.
    """

    worker: int
    workers: int
    generation: int
    settings: bytes
    backlog: int
    connections: int
    header_timeout: float
    tls: Tls | None = None


class Generation(msgspec.Struct, frozen=True, tag=True):
    """Settings to swap in; answered by Swapped or Refused."""

    number: int
    settings: bytes


class Drain(msgspec.Struct, frozen=True, tag=True):
    """Not ready from now on; no new connection after `delay` seconds; the end at most `timeout` seconds later."""

    delay: float
    timeout: float


class Retire(msgspec.Struct, frozen=True, tag=True):
    """A sibling has taken its place: send clients to it for `linger` seconds, then end as in a Drain without delay."""

    linger: float
    timeout: float


class Stop(msgspec.Struct, frozen=True, tag=True):
    """End now: what is still open gets its error event."""


class Collect(msgspec.Struct, frozen=True, tag=True):
    """Asks for a Snapshot."""

    asked: int


class Collected(msgspec.Struct, frozen=True, tag=True):
    """Answers a Gather: snapshots of the other workers, and the last ones of workers that are gone."""

    asked: int
    living: list[bytes]
    departed: list[bytes]


# --- From a worker --------------------------------------------------------------------------------------------------


class Ready(msgspec.Struct, frozen=True, tag=True):
    """It accepts connections."""


class Swapped(msgspec.Struct, frozen=True, tag=True):
    number: int


class Refused(msgspec.Struct, frozen=True, tag=True):
    """It cannot work with this generation of the settings; it goes on with the one before, or ends if there is none."""

    number: int
    reason: str


class Gather(msgspec.Struct, frozen=True, tag=True):
    """Asks for everybody else's snapshots, and brings its own; answered by Collected."""

    asked: int
    data: bytes


class Snapshot(msgspec.Struct, frozen=True, tag=True):
    """A worker's metrics in its application's own encoding; the last one, before the worker ends, answers nobody."""

    asked: int | None
    data: bytes


FromParent = Start | Generation | Drain | Retire | Stop | Collect | Collected
FromWorker = Ready | Swapped | Refused | Gather | Snapshot

_encode = msgspec.msgpack.Encoder().encode


def frame(message: FromParent | FromWorker) -> bytes:
    data = _encode(message)
    return len(data).to_bytes(PREFIX, "big") + data


class Frames:
    """Bytes as they arrive, in; whole messages (still encoded), out."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._waiting += data
        while len(self._waiting) >= PREFIX:
            end = PREFIX + int.from_bytes(self._waiting[:PREFIX], "big")
            if len(self._waiting) < end:
                return
            message = bytes(self._waiting[PREFIX:end])
            del self._waiting[:end]
            yield message
