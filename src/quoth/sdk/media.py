"""Saving media: from an address, or from an item of `message.media`, to a file that is whole or not there.

The address stands in an answer, so it is not trusted: no key is sent to it, what comes has to be of the kind that was
said, it has a largest size, and a redirect leads to no private network.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self, cast
from urllib.parse import unquote_to_bytes

from quoth.errors import BadRequestError, QuothError
from quoth.media import Kind, Media
from quoth.sdk.content import Content
from quoth.transport.download import MAX_BYTES, Download, adownloaded, downloaded
from quoth.transport.environment import environment
from quoth.transport.network import Network
from quoth.transport.ports import Transport
from quoth.wire.media_types import ENDINGS

__all__ = ["MAX_BYTES", "adownload", "afetched", "download", "fetched", "kept"]


def download(
    item: Media | str,
    path: str | os.PathLike[str] | None = None,
    *,
    overwrite: bool = False,
    max_bytes: int = MAX_BYTES,
    timeout: float = 600.0,
) -> Path:
    """Save a medium, and return where it is.

    `path`: a file, or a folder that exists; left out, the current folder. In a folder the name is made of the kind and
    of the address, with an ending by the type; a `path` without an ending gets one. What is there already is not
    written over unless `overwrite`. `max_bytes`: the most that is saved. `timeout`: seconds for all of it. A connection
    that breaks is taken up again where it broke. Raises QuothError; FileExistsError and other OSErrors of the file.
    """
    with _Saving(item, path, overwrite, max_bytes, timeout) as saving:
        _fill(saving)
        return saving.keep()


async def adownload(
    item: Media | str,
    path: str | os.PathLike[str] | None = None,
    *,
    overwrite: bool = False,
    max_bytes: int = MAX_BYTES,
    timeout: float = 600.0,  # noqa: ASYNC109  (as in `download`; it also bounds each step by what is left)
) -> Path:
    """`download` for asyncio."""
    with _Saving(item, path, overwrite, max_bytes, timeout) as saving:
        await _afill(saving)
        return saving.keep()


def fetched(url: str, max_bytes: int, timeout: float = 600.0) -> bytes:
    """What is at an address, whatever it is, under the same guards. Raises QuothError."""
    with TemporaryDirectory(prefix="quoth-") as folder, _Whatever(url, folder, False, max_bytes, timeout) as saving:
        _fill(saving)
        return saving.read()


async def afetched(url: str, max_bytes: int, timeout: float = 600.0) -> bytes:  # noqa: ASYNC109  (as in `fetched`)
    """`fetched` for asyncio."""
    with TemporaryDirectory(prefix="quoth-") as folder, _Whatever(url, folder, False, max_bytes, timeout) as saving:
        await _afill(saving)
        return saving.read()


def _fill(saving: _Saving) -> None:
    if saving.is_done:
        return
    from quoth.transport.blocking import BlockingTransport

    transport = BlockingTransport(Network(), environment)
    try:
        downloaded(saving, cast(Transport, transport))
    finally:
        transport.close()


async def _afill(saving: _Saving) -> None:
    if saving.is_done:
        return
    from quoth.transport.aio import AsyncioTransport

    transport = AsyncioTransport(Network(), environment)
    try:
        await adownloaded(saving, transport)
    finally:
        await transport.aclose()


class _Saving(Download):
    """A download to a file with a name. Leaving it takes away what is not whole."""

    def __init__(
        self,
        item: Media | str,
        path: str | os.PathLike[str] | None,
        overwrite: bool,
        max_bytes: int,
        timeout: float,
    ):
        url = item.url if isinstance(item, Media) else item
        kind: Kind | None = item.kind if isinstance(item, Media) else None
        if not isinstance(url, str) or not url.lower().startswith(("http://", "https://", "data:")):
            raise BadRequestError("what to download has to be an http(s) address or an item of message.media")
        super().__init__(url, kind=kind, max_bytes=max_bytes, end=time.monotonic() + timeout)
        self._name = hashlib.sha256(url.encode("utf-8", "replace")).hexdigest()[:12]
        self._path = None if path is None else Path(path)
        self._overwrite = overwrite
        if self._path is not None and not overwrite and self._path.suffix and self._path.is_file():
            raise FileExistsError(17, "it is there already (overwrite=True replaces it)", str(self._path))
        self._part: Path | None = None

    def __enter__(self) -> Self:
        folder = self._folder()
        self._part = folder / f".quoth-{secrets.token_hex(8)}.part"
        self._file = self._part.open("xb")
        if self._url.lower().startswith("data:"):
            try:
                self._inline()
            except BaseException:
                self.__exit__()
                raise
        return self

    def __exit__(self, *error: object) -> None:
        if self._file is not None:
            self._file.close()
        if self._part is not None:
            with suppress(FileNotFoundError):
                self._part.unlink()

    def _folder(self) -> Path:
        if self._path is None:
            return Path()
        return self._path if self._path.is_dir() else self._path.parent

    def _inline(self) -> None:
        """A data URL brings its bytes along."""
        head, comma, body = self._url[5:].partition(",")
        try:
            if not comma:
                raise ValueError
            data = base64.b64decode(body, validate=True) if head.lower().endswith(";base64") else unquote_to_bytes(body)
        except (binascii.Error, ValueError):
            raise BadRequestError("the data URL cannot be read") from None
        self.feed(data)
        self.end()

    def keep(self) -> Path:
        """Give what is whole its name."""
        assert self._file is not None
        assert self._part is not None
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        found = self._type()
        ending = ENDINGS.get(found, "")
        if self._path is None or self._path.is_dir():
            kind = self._kind or found.partition("/")[0]
            return self._place(self._folder() / f"{kind}-{self._name}{ending}", numbered=True)
        return self._place(self._path if self._path.suffix else self._path.with_name(self._path.name + ending))

    def _place(self, path: Path, numbered: bool = False) -> Path:
        assert self._part is not None
        if self._overwrite:
            os.replace(self._part, path)
            return path
        for number in range(1, 10_000 if numbered else 2):
            free = path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")
            try:
                # Unlike a check beforehand, a link cannot be overtaken by somebody else's file.
                os.link(self._part, free)
                return free
            except FileExistsError:
                continue
            except OSError:  # a file system without links
                with suppress(FileExistsError):
                    os.close(os.open(free, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
                    os.replace(self._part, free)
                    return free
        raise FileExistsError(17, "it is there already (overwrite=True replaces it)", str(path))


def kept(
    content: Content, kind: Kind, path: str | os.PathLike[str] | None, name: str, *, overwrite: bool = False
) -> Path:
    """Save what is here already, as `download` saves what is not. `name`: what a name in a folder is made of."""
    with _Here(name, kind, path, overwrite) as saving:
        for piece in content.iter_bytes():
            saving.feed(piece)
        saving.end()
        return saving.keep()


class _Here(_Saving):
    """The same for bytes that are here."""

    def __init__(self, name: str, kind: Kind, path: str | os.PathLike[str] | None, overwrite: bool):
        super().__init__(Media(kind, "data:,"), path, overwrite, MAX_BYTES, 1.0)
        self._name = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:12]

    def _inline(self) -> None:
        """There is nothing in the address."""


class _Whatever(_Saving):
    """A download of which nothing is known but where it is."""

    def _type(self) -> str:
        return ""

    def _too_large(self) -> QuothError:
        return BadRequestError(
            f"what is at {self._told} is larger than {self._most // 1024 // 1024} MiB, the most that can be sent",
            param="messages",
        )

    def read(self) -> bytes:
        assert self._file is not None
        assert self._part is not None
        self._file.flush()
        return self._part.read_bytes()
