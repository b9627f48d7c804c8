"""Compressed answers. None is asked for, but some servers compress all the same."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from quoth.transport.ports import TransportFailure

__all__ = ["Inflater", "inflater_for"]

PIECE = 1024 * 1024


class Inflater:
    """Feed it what arrives and take what that stands for, in pieces of at most 1 MiB: a kilobyte may stand for a
    megabyte, and whoever reads decides how much of it to take."""

    def __init__(self) -> None:
        # 32 + 15: zlib or gzip, by their header.
        self._zlib = zlib.decompressobj(47)
        self._packed = b""

    def feed(self, packed: bytes) -> None:
        self._packed += packed

    def take(self) -> bytes:
        """The next piece; b"" when more has to be fed first. Raises TransportFailure."""
        try:
            piece = self._zlib.decompress(self._packed, PIECE)
        except zlib.error as error:
            raise TransportFailure("protocol", f"the compressed answer is broken: {error}") from None
        self._packed = self._zlib.unconsumed_tail
        return piece

    def end(self) -> None:
        """Nothing more comes. Raises TransportFailure when something more was due."""
        if not self._zlib.eof:
            raise TransportFailure("protocol", "the compressed answer ends before its end")


def inflater_for(headers: Mapping[str, str]) -> Inflater | None:
    """What it takes to read an answer with these headers; None for a plain one. Raises ValueError."""
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding in ("gzip", "x-gzip", "deflate"):
        return Inflater()
    if encoding not in ("", "identity"):
        raise ValueError(f"the answer is encoded as {encoding!r}, which was not asked for")
    return None
