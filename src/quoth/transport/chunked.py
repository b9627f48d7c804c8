"""Chunked bodies for the blocking client: the bytes of a connection in, those of the body out, however they are cut.

The standard library's reader goes through a dozen calls for each chunk, and a stream's event is a chunk. This one is as
strict as llhttp, which reads for asyncio. Source: RFC 9112, section 7.1.
"""

from __future__ import annotations

import re

__all__ = ["Dechunker"]

LINE_LIMIT = 16 * 1024
TRAILER_LIMIT = 128 * 1024
_SIZE = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;[^\r\n]*)?\r\n")


class Dechunker:
    """Feed it what arrives, it answers with what that is of the body. `done` is true at the body's end; `rest` is what
    came after that. `failure`: what comes is no chunk, and nothing of it is read any more."""

    __slots__ = ("_due", "_kept", "_trailer", "done", "failure", "rest")

    def __init__(self) -> None:
        self.done = False
        self.rest = b""
        self.failure: ValueError | None = None
        self._due = 0  # bytes of the chunk under way that are still to come, its line end included
        self._kept = b""  # a line that has not ended
        self._trailer = -1  # bytes of the lines after the last chunk; negative before these

    def feed(self, data: bytes) -> bytes:
        if not self._due and not self._kept and self._trailer < 0:
            # One whole chunk, as a paced stream sends them.
            line, _, chunk = data.partition(b"\r\n")
            try:
                size = int(line, 16)
            except ValueError:
                size = 0
            if size > 0 and len(chunk) == size + 2 and chunk.endswith(b"\r\n") and b"%x" % size == line:
                return chunk[:-2]
        return self._feed(data)

    def _feed(self, data: bytes) -> bytes:
        if self._kept:
            data, self._kept = self._kept + data, b""
        pieces: list[bytes] = []
        try:
            self._read(data, pieces)
        except ValueError as error:
            self.failure = error
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _read(self, data: bytes, pieces: list[bytes]) -> None:
        at = 0
        while at < len(data):
            if self._due:
                at = self._chunk(data, at, pieces)
                continue
            end = data.find(b"\n", at) + 1
            if not end:
                self._kept = data[at:]
                if len(self._kept) > LINE_LIMIT:
                    raise ValueError(f"a line between chunks of more than {LINE_LIMIT // 1024} KiB")
                return
            self._line(data[at:end])
            at = end
            if self.done:
                self.rest = data[at:]
                return

    def _chunk(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        """Take what is there of a chunk and its line end; the place after it."""
        body = min(self._due - 2, len(data) - at)
        if body > 0:
            pieces.append(data[at : at + body])
            at += body
            self._due -= body
        if self._due <= 2 and at < len(data):
            if data[at] != b"\r\n"[2 - self._due]:
                raise ValueError("a chunk that is longer than its size")
            at += 1
            self._due -= 1
        return at

    def _line(self, line: bytes) -> None:
        if self._trailer >= 0:
            self._trailer += len(line)
            if self._trailer > TRAILER_LIMIT:
                raise ValueError(f"a trailer of more than {TRAILER_LIMIT // 1024} KiB")
            self.done = line == b"\r\n"
            return
        match = _SIZE.fullmatch(line)
        if match is None:
            raise ValueError("a chunk whose size is no number")
        size = int(match[1], 16)
        if size:
            self._due = size + 2
        else:
            self._trailer = 0
