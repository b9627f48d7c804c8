"""Server-sent events: bytes in, events out, whatever way the network cut them.

Lines end in LF, CRLF or CR, also when CR and LF come in two pieces; a byte order mark at the start, comments and
unknown fields are passed over; several `data` lines of one event are joined by a newline; an event that the stream's
end cuts off is discarded. Text is split as bytes, so a character cut in two needs no care. Time is linear in the bytes,
whatever their pieces.

Source: WHATWG HTML, section 9.2 "Server-sent events".
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Event", "EventTooLarge", "SSEDecoder"]

_BOM = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event. `data` is undecoded; `name` is None where no `event` field was given."""

    data: bytes
    name: bytes | None = None


class EventTooLarge(ValueError):
    """An event longer than the decoder's limit."""


class SSEDecoder:
    """Feed it pieces as they arrive; it answers with the events that they complete.

    `limit` is the largest event in bytes. `comments` counts the comment lines seen (keep-alives).
    """

    def __init__(self, limit: int = 16 * 1024 * 1024):
        self.limit = limit
        self.comments = 0
        self._line: list[bytes] = []  # the pieces of a line that has not ended
        self._line_size = 0
        self._data: list[bytes] = []  # the `data` lines of an event that has not ended
        self._data_size = 0
        self._name: bytes | None = None
        self._after_cr = False
        self._start: bytes | None = b""  # the first bytes, until they are known not to be a byte order mark

    @property
    def pending(self) -> bool:
        """True when an event has begun and not ended."""
        return bool(self._data or any(self._line))

    @property
    def at_rest(self) -> bool:
        """True between two events, when nothing that came before bears on what comes next."""
        return not (self._line or self._data or self._after_cr) and self._name is None and self._start is None

    def feed(self, piece: bytes) -> list[Event]:
        """Raises EventTooLarge."""
        events: list[Event] = []
        for line in self._lines(piece):
            if line.startswith(b"data:"):
                self._add(line[6:] if line.startswith(b" ", 5) else line[5:], len(line))
            elif not line:
                if self._data:
                    events.append(Event(self._data[0] if len(self._data) == 1 else b"\n".join(self._data), self._name))
                    self._data.clear()
                    self._data_size = 0
                self._name = None
            elif len(line) > self.limit:
                raise self._too_large()
            elif line.startswith(b":"):
                self.comments += 1
            else:
                self._field(line)
        if self._line_size + self._data_size > self.limit:
            raise self._too_large()
        return events

    def _add(self, data: bytes, size: int) -> None:
        """A data line; it counts with its field's name, so that many empty ones are not free."""
        self._data.append(data)
        self._data_size += size
        if self._data_size > self.limit:
            raise self._too_large()

    def _too_large(self) -> EventTooLarge:
        return EventTooLarge(f"an event of more than {self.limit:,} bytes")

    def _lines(self, piece: bytes) -> list[bytes]:
        """The lines that this piece completes; what follows the last of them is kept."""
        if self._start is not None:
            piece = self._skip_mark(self._start + piece)
        if self._after_cr and piece:
            self._after_cr = False
            piece = piece.removeprefix(b"\n")
        if b"\r" in piece:
            self._after_cr = piece.endswith(b"\r")
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = piece.split(b"\n")
        rest = lines.pop()
        if lines and self._line:
            self._line.append(lines[0])
            lines[0] = b"".join(self._line)
            self._line.clear()
            self._line_size = 0
        if rest:
            self._line.append(rest)
            self._line_size += len(rest)
        return lines

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name == b"data":
            self._add(b"", len(line))
        elif name == b"event":
            self._name = value.removeprefix(b" ")

    def _skip_mark(self, start: bytes) -> bytes:
        if len(start) < len(_BOM) and _BOM.startswith(start):
            self._start = start
            return b""
        self._start = None
        return start.removeprefix(_BOM)
