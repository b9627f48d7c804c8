"""What is finished, kept so that the end of the process at any byte loses none of it.

Beside the output `OUT` stands `OUT.part`: a line per finished call in the order in which they finished, its number in
front. A line counts once it is synced to disk. When all are finished they are written to `OUT` in the input's order,
under another name first, and the journal is removed. Every line carries the id of the input's line that it answers, so
that an output, too, tells what is finished.

In memory are 17 bytes for each line of the input, and no answer.
"""

from __future__ import annotations

import contextlib
import os
from array import array
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import BinaryIO

import msgspec

try:
    import fcntl
except ImportError:  # Windows: nobody keeps two of them from one output there
    fcntl = None  # type: ignore[assignment]

__all__ = ["Journal", "JournalFault"]

_NOT, _JOURNAL, _JOURNAL_ERROR, _OUTPUT, _OUTPUT_ERROR = range(5)
_ERRORS = (_JOURNAL_ERROR, _OUTPUT_ERROR)
_PIECE = 1024 * 1024


class JournalFault(Exception):
    """The output cannot be used; the message is one sentence."""


class _Cost(msgspec.Struct):
    usd: str | None = None


class _Record(msgspec.Struct):
    """What is read back of a finished line."""

    id: str
    error: msgspec.Raw = msgspec.Raw(b"null")
    cost: _Cost | None = None

    @property
    def failed(self) -> bool:
        return bytes(self.error) != b"null"

    @property
    def usd(self) -> Decimal | None:
        """What it cost; 0 for a call that failed, None when it is not known."""
        if self.cost is None or self.cost.usd is None:
            return Decimal(0) if self.failed else None
        try:
            return Decimal(self.cost.usd)
        except InvalidOperation:
            return None


_record = msgspec.json.Decoder(_Record)


class Journal:
    """The finished lines of one output. `with` closes it; what was added and not synced may be lost with the machine,
    but not with the process."""

    def __init__(self, output: Path):
        """Read what is finished already. Raises JournalFault, OSError."""
        self.output = output
        self.path = output.with_name(f"{output.name}.part")
        self.usd = Decimal(0)
        self.without_cost = 0
        self._offsets = array("q")
        self._digests = array("Q")
        self._states = bytearray()
        self._old: BinaryIO | None = None
        # What was in memory when the process died must not be needed: nothing is buffered.
        self._fd = _locked(self.path)
        try:
            self._end = self._cut()
            self._load_output()
            self._load_journal()
        except BaseException:
            self.close()
            raise

    def finished(self, number: int, id: str, *, errors_too: bool = True) -> bool:
        """Whether the line is finished; with `errors_too` False, one that failed is not."""
        if number >= len(self._states) or self._states[number] == _NOT or self._digests[number] != _digest(id):
            return False
        return errors_too or self._states[number] not in _ERRORS

    def failed(self, number: int) -> bool:
        return self._states[number] in _ERRORS

    @property
    def is_news(self) -> bool:
        """Whether there is anything that the output does not have yet."""
        return self._end > 0 or self._old is None

    @property
    def known(self) -> int:
        """How many lines are finished, whatever the input says now."""
        return len(self._states) - self._states.count(_NOT)

    def add(self, number: int, record: bytes, usd: Decimal | None) -> None:
        """Write a finished line, a JSON object in one line. It counts after the next `sync`. Raises OSError."""
        offset = self._end
        self._write(b"%d %b\n" % (number, record))
        found = _record.decode(record)
        self._note(number, offset, found, _JOURNAL_ERROR if found.failed else _JOURNAL)
        self._count(usd)

    def sync(self) -> None:
        """Bring to disk what was written; may run in another thread than `add`."""
        os.fsync(self._fd)

    def finish(self, total: int) -> None:
        """Write the output: lines 0 to `total` - 1, all finished, in order. Then the journal is gone."""
        part = self.output.with_name(f"{self.output.name}.new")
        with part.open("wb", buffering=_PIECE) as new, open(self._fd, "rb", closefd=False) as journal:
            for number in range(total):
                new.write(self._read(journal, number))
            new.flush()
            os.fsync(new.fileno())
        if self._old is not None:
            self._old.close()
        os.replace(part, self.output)
        _sync_folder(self.output.parent)
        self._remove()

    def discard(self) -> None:
        """Forget a journal into which nothing was written."""
        if self._end == 0:
            self._remove()

    def _remove(self) -> None:
        if fcntl is None:
            self.close()  # Windows removes no open file
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        if self._old is not None:
            self._old.close()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Reading

    def _cut(self) -> int:
        """Drop the half line that a killed process left at the end; the size of what stays."""
        end = size = os.fstat(self._fd).st_size
        while end > 0:
            start = max(0, end - _PIECE)
            os.lseek(self._fd, start, os.SEEK_SET)
            piece = os.read(self._fd, end - start)
            found = piece.rfind(b"\n")
            if found >= 0:
                end = start + found + 1
                break
            end = start
        if end != size:
            os.ftruncate(self._fd, end)
        return end

    def _load_output(self) -> None:
        try:
            self._old = self.output.open("rb")
        except FileNotFoundError:
            return
        offset = 0
        for number, line in enumerate(self._old):
            record = _decoded(line)
            if record is None:
                raise JournalFault(
                    f"{self.output} exists and is not the output of a batch (line {number + 1}): name another, or "
                    "remove it"
                )
            self._note(number, offset, record, _OUTPUT_ERROR if record.failed else _OUTPUT)
            self._count(record.usd)
            offset += len(line)

    def _load_journal(self) -> None:
        offset = 0
        with open(self._fd, "rb", closefd=False) as file:
            file.seek(0)
            for line in file:
                digits, _, rest = line.partition(b" ")
                # A line that a power cut spoilt is as if it had not been written: its call is made again.
                record = _decoded(rest) if digits.isdigit() and len(digits) < 16 else None
                if record is not None:
                    self._note(int(digits), offset, record, _JOURNAL_ERROR if record.failed else _JOURNAL)
                    self._count(record.usd)
                offset += len(line)

    def _note(self, number: int, offset: int, record: _Record, state: int) -> None:
        missing = number + 1 - len(self._states)
        if missing > 0:
            self._offsets.extend([0] * missing)
            self._digests.extend([0] * missing)
            self._states.extend(bytes(missing))
        self._offsets[number] = offset
        self._digests[number] = _digest(record.id)
        self._states[number] = state

    def _count(self, usd: Decimal | None) -> None:
        if usd is None:
            self.without_cost += 1
        else:
            self.usd += usd

    def _read(self, journal: BinaryIO, number: int) -> bytes:
        if self._states[number] in (_OUTPUT, _OUTPUT_ERROR):
            assert self._old is not None
            self._old.seek(self._offsets[number])
            return self._old.readline()
        journal.seek(self._offsets[number])
        return journal.readline().partition(b" ")[2]

    # Writing

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._fd, left) :]
        except OSError:
            # Half a line would spoil the next one.
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self._end)
            raise
        self._end += len(data)


def _decoded(line: bytes) -> _Record | None:
    try:
        return _record.decode(line) if line.endswith(b"\n") else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _digest(id: str) -> int:
    try:
        return int(id.rpartition("_")[2][:16], 16)
    except ValueError:
        return 0


def _locked(path: Path) -> int:
    """The journal's descriptor, held by this process alone."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o600)
        try:
            if fcntl is None:
                return fd
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(fd, path):
                return fd
        except BlockingIOError:
            os.close(fd)
            raise JournalFault(f"another process is working on {path}: wait for it, or name another output") from None
        except BaseException:
            os.close(fd)
            raise
        # The one that held it has finished and removed it just now.
        os.close(fd)


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def _sync_folder(folder: Path) -> None:
    if fcntl is None:
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
