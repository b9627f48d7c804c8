"""The bytes of a file that was made, with the methods that openai's package has for them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from quoth.results import Traced
from quoth.types import Trace

__all__ = ["Content", "Speech"]

_PIECE = 64 * 1024
# What is longer is kept on the disk.
_IN_MEMORY = 8 * 1024 * 1024


class Content:
    """The bytes of a file, with the methods that openai's package has for them. What is longer than 8 MiB lies in a
    temporary file until the object is gone. `content_type`: what the first bytes say."""

    def __init__(self, file: BinaryIO, content_type: str = ""):
        self._file: BinaryIO = file
        self.content_type = content_type

    @classmethod
    def empty(cls) -> Content:
        """One to be filled."""
        return cls(tempfile.SpooledTemporaryFile(_IN_MEMORY))  # type: ignore[arg-type]

    @classmethod
    def of(cls, data: bytes, content_type: str = "") -> Content:
        made = cls.empty()
        made._file.write(data)
        made.content_type = content_type
        return made

    @property
    def content(self) -> bytes:
        """All of it."""
        self._file.seek(0)
        return self._file.read()

    def read(self) -> bytes:
        """All of it."""
        return self.content

    async def aread(self) -> bytes:
        """All of it."""
        return self.content

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """Piece by piece."""
        self._file.seek(0)
        while piece := self._file.read(chunk_size or _PIECE):
            yield piece

    def write_to_file(self, file: str | os.PathLike[str]) -> None:
        """Save it under this name; what was there is replaced."""
        with Path(file).open("wb") as out:
            for piece in self.iter_bytes():
                out.write(piece)

    def stream_to_file(self, file: str | os.PathLike[str], *, chunk_size: int | None = None) -> None:
        """The same as `write_to_file`."""
        self.write_to_file(file)

    async def astream_to_file(self, file: str | os.PathLike[str], *, chunk_size: int | None = None) -> None:
        """The same as `write_to_file`."""
        self.write_to_file(file)

    def close(self) -> None:
        """Let go of the temporary file."""
        if self._file is not None:
            self._file.close()

    __del__ = close

    def _handed_over(self) -> BinaryIO:
        """The file, whose closing is somebody else's business from now on."""
        file, self._file = self._file, None  # type: ignore[assignment]
        return file

    def __len__(self) -> int:
        return self._file.seek(0, os.SEEK_END)

    def __bytes__(self) -> bytes:
        return self.content


class Speech(Content, Traced):
    """Something spoken, sung or played, as the bytes of its file. `url`: where it also is; None where it is nowhere
    else."""

    def __init__(self, file: BinaryIO, content_type: str = "", url: str | None = None):
        super().__init__(file, content_type)
        self.url = url
        self._trace = Trace()

    def __repr__(self) -> str:
        return f"<Speech {self.content_type}, {len(self)} bytes>"
