"""Server-sent events to pass on: cut into whole events, each with its bytes as they came.

What `quoth.wire.sse` decodes, this leaves alone: comments, unknown fields and line ends stay, so that what is relayed
is what was sent. Only a byte order mark at the very start is taken off, and an event that the stream's end cuts off is
never given out. Time is linear in the bytes, whatever their pieces.

Source: WHATWG HTML, section 9.2 "Server-sent events".
"""

from __future__ import annotations

import re

from quoth.wire.sse import EventTooLarge

__all__ = ["Frames", "data_of"]

_BOM = b"\xef\xbb\xbf"
# A blank line after the end of a line. A CR at the very end may be half of a CRLF, so that it waits for what follows.
_END = re.compile(rb"(?:\r\n|\n|\r(?=[^\n]))(?:\r\n|\n|\r(?=[^\n]))")


class Frames:
    """Feed it pieces as they arrive; it answers with the events that they complete. `limit` is the largest event in
    bytes, `pending` the size of one that has begun and not ended."""

    __slots__ = ("_looked", "_rest", "_start", "limit", "pending")

    def __init__(self, limit: int = 16 * 1024 * 1024):
        self.limit = limit
        self._rest: list[bytes] = []  # of an event that has not ended
        self.pending = 0
        self._start: bytes | None = b""  # the first bytes, until they are known not to be a byte order mark
        self._looked = b""  # the last bytes of what was looked through: an end may begin there

    def feed(self, piece: bytes) -> list[bytes]:
        """Whole events, each with the blank line that ends it. Raises EventTooLarge."""
        if self._start is not None:
            piece = self._skip_mark(self._start + piece)
        if not self._rest and b"\r" not in piece and piece.endswith(b"\n\n"):
            # What nearly every piece is: one event, or some.
            end = piece.find(b"\n\n") + 2
            if end == len(piece):
                return [piece] if end <= self.limit else self._large()
        return self._cut(piece)

    def end(self) -> list[bytes]:
        """At the end of the stream: the event whose blank line ended in a CR, which is no half of a CRLF after all."""
        rest = b"".join(self._rest)
        if not rest.endswith((b"\r\r", b"\n\r")):
            return []
        self._rest.clear()
        self.pending = 0
        return [rest]

    def _cut(self, piece: bytes) -> list[bytes]:
        found: list[bytes] = []
        # What has been looked through already is not looked through again: an end lies in the new bytes, or begins in
        # the last three of the old ones.
        before = self._looked
        text = before + piece
        start = 0  # in `text`, where the event that is under way goes on
        for end in _END.finditer(text):
            stop = end.end()
            self._rest.append(text[len(before) if start == 0 else start : stop])
            event = b"".join(self._rest)
            if len(event) > self.limit:
                self._large()
            found.append(event)
            self._rest.clear()
            self.pending = 0
            start = stop
        rest = text[len(before) if start == 0 else start :]
        if rest:
            self._rest.append(rest)
            self.pending += len(rest)
            if self.pending > self.limit:
                self._large()
        self._looked = text[max(start, len(text) - 3) :]
        return found

    def _large(self) -> list[bytes]:
        raise EventTooLarge(f"an event of more than {self.limit:,} bytes")

    def _skip_mark(self, start: bytes) -> bytes:
        if len(start) < len(_BOM) and _BOM.startswith(start):
            self._start = start
            return b""
        self._start = None
        return start.removeprefix(_BOM)


def data_of(event: bytes) -> tuple[bytes | None, bytes]:
    """The data of one event of `Frames` and its name; None for an event without data, such as a comment."""
    if event.startswith(b"data: ") and event.find(b"\n") == len(event) - 2 and b"\r" not in event:
        return event[6:-2], b""
    data: list[bytes] = []
    name = b""
    for line in event.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
    return (b"\n".join(data) if data else None), name
