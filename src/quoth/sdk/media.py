"""Saving media: from an address, or from an item of `message.media`, to a file that is whole or not there.

The address stands in an answer, so it is not trusted: no key is sent to it, what comes has to be of the kind that was
said, it has a largest size, and a redirect leads to no private network.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import os
import re
import secrets
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Self, cast
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

from quoth.call import WireRequest
from quoth.errors import APIConnectionError, APIError, BadRequestError, QuothError, Timeout, for_status
from quoth.media import Kind, Media
from quoth.transport.environment import environment
from quoth.transport.network import Network
from quoth.transport.ports import Deadline, TransportFailure
from quoth.transport.reach import is_public
from quoth.wire.media_types import ENDINGS, HEAD, sniffed

__all__ = ["MAX_BYTES", "adownload", "afetched", "download", "fetched"]

MAX_BYTES = 512 * 1024 * 1024
_TRIES = 3
_REDIRECTS = 5
_MOVED = (301, 302, 303, 307, 308)
# Poe's host of media may refuse what introduces itself as a Python program.
_BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(?:\d{1,18}|\*)")


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
        while not saving.is_done:
            _fetch(saving, transport)
    finally:
        transport.close()


async def _afill(saving: _Saving) -> None:
    if saving.is_done:
        return
    from quoth.transport.aio import AsyncioTransport

    transport = AsyncioTransport(Network(), environment)
    try:
        while not saving.is_done:
            await _afetch(saving, transport)
    finally:
        await transport.aclose()


def _fetch(saving: _Saving, transport: object) -> None:
    from quoth.transport.blocking import BlockingTransport

    try:
        saving.check_host()
        reply = cast(BlockingTransport, transport).open(saving.request(), saving.deadline())
        try:
            if saving.head(reply.status, reply.headers):
                while piece := reply.read():
                    saving.feed(piece)
                saving.end()
        finally:
            reply.close()
    except TransportFailure as failure:
        saving.broken(failure)


async def _afetch(saving: _Saving, transport: object) -> None:
    from quoth.transport.aio import AsyncioTransport

    try:
        await asyncio.to_thread(saving.check_host)
        reply = await cast(AsyncioTransport, transport).open(saving.request(), saving.deadline())
        try:
            if saving.head(reply.status, reply.headers):
                while piece := await reply.read():
                    saving.feed(piece)
                saving.end()
        finally:
            reply.close()
    except TransportFailure as failure:
        saving.broken(failure)


class _Saving:
    """One download, apart from how its bytes arrive. Leaving it takes away what is not whole."""

    def __init__(
        self,
        item: Media | str,
        path: str | os.PathLike[str] | None,
        overwrite: bool,
        max_bytes: int,
        timeout: float,
    ):
        self._url = item.url if isinstance(item, Media) else item
        self._kind: Kind | None = item.kind if isinstance(item, Media) else None
        if not isinstance(self._url, str) or not self._url.lower().startswith(("http://", "https://", "data:")):
            raise BadRequestError("what to download has to be an http(s) address or an item of message.media")
        self._name = hashlib.sha256(self._url.encode("utf-8", "replace")).hexdigest()[:12]
        self._path = None if path is None else Path(path)
        self._overwrite = overwrite
        if self._path is not None and not overwrite and self._path.suffix and self._path.is_file():
            raise FileExistsError(17, "it is there already (overwrite=True replaces it)", str(self._path))
        self._most = max_bytes
        self._end = time.monotonic() + timeout
        self._origin = self._authority()
        self._tries = self._redirects = self._size = 0
        self._tag: str | None = None
        self._start = b""
        self._file: BinaryIO | None = None
        self._part: Path | None = None
        self.is_done = False

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

    def _authority(self) -> tuple[str, str | None, int | None]:
        try:
            parts = urlsplit(self._url)
            return parts.scheme, parts.hostname, parts.port
        except ValueError as error:
            raise BadRequestError(f"{self._url[:200]!r} is no address: {error}") from None

    def _inline(self) -> None:
        """A data URL brings its bytes along."""
        head, comma, body = self._url[5:].partition(",")
        try:
            if not comma:
                raise ValueError
            data = base64.b64decode(body, validate=True) if head.endswith(";base64") else unquote_to_bytes(body)
        except (binascii.Error, ValueError):
            raise BadRequestError("the data URL cannot be read") from None
        self.feed(data)
        self.end()

    def check_host(self) -> None:
        """A redirect to another host must not lead into a private network."""
        host = self._authority()
        if self._redirects and host != self._origin and not (host[1] and is_public(host[1])):
            raise APIError(f"{self._told} redirects to {host[1]!r}, which is no host of the public internet")

    def request(self) -> WireRequest:
        headers = {"user-agent": _BROWSER, "accept": "*/*", "accept-encoding": "identity"}
        if self._size and self._tag:
            headers |= {"range": f"bytes={self._size}-", "if-range": self._tag}
        return WireRequest("GET", self._url.partition("#")[0], headers)

    def deadline(self) -> Deadline:
        return Deadline(connect=10.0, first=60.0, idle=60.0, end=self._end)

    def head(self, status: int, headers: object) -> bool:
        """True when the bytes that follow are wanted."""
        found = cast(dict[str, str], headers)
        if status in _MOVED and found.get("location"):
            self._redirects += 1
            if self._redirects > _REDIRECTS:
                raise APIError(f"{self._told} redirects more than {_REDIRECTS} times")
            before, self._url = self._url, urljoin(self._url, found["location"])
            if not self._url.lower().startswith(("http://", "https://")):
                raise APIError(f"{before[:200]} redirects to {self._url[:200]!r}, which is no http(s) address")
            return False
        if status >= 500 and self._tries < _TRIES - 1:
            self._tries += 1
            return False
        if status not in (200, 206):
            raise for_status(status)(f"{self._told} answered {status}", status_code=status)
        if status == 206:
            part = _RANGE.fullmatch(found.get("content-range", ""))
            if part is None or int(part[1]) != self._size:
                raise APIError(f"{self._told} answered with another part than the one that was asked for")
        else:
            self._begin()
        tag = found.get("etag", "")
        self._tag = tag if tag.startswith('"') else None
        length = found.get("content-length", "")
        if length.isdigit() and self._size + int(length[:18]) > self._most:
            raise self._too_large()
        return True

    def _begin(self) -> None:
        assert self._file is not None
        self._file.seek(0)
        self._file.truncate()
        self._size, self._start = 0, b""

    def feed(self, piece: bytes) -> None:
        assert self._file is not None
        if self._size + len(piece) > self._most:
            raise self._too_large()
        self._file.write(piece)
        if len(self._start) < HEAD:
            self._start += piece[: HEAD - len(self._start)]
            if len(self._start) == HEAD:
                self._type()
        self._size += len(piece)

    def end(self) -> None:
        self._type()
        self.is_done = True

    def broken(self, failure: TransportFailure) -> None:
        """Try again, or raise the error that it is."""
        self._tries += 1
        over = failure.deadline == "total" or time.monotonic() >= self._end
        if over or self._tries >= _TRIES:
            kind = Timeout if failure.kind == "timeout" else APIConnectionError
            raise kind(f"{self._told}: {failure}") from None

    def _type(self) -> str:
        """The media type of what came. Raises APIError when it is not of the kind that was said."""
        found = sniffed(self._start)
        if found is None and self._start.lstrip().startswith((b"<svg", b"<?xml")) and self._kind == "image":
            found = "image/svg+xml"
        if found is None or not found.startswith(("image/", "audio/", "video/")):
            wanted = self._kind or "medium"
            raise APIError(f"what {self._told} answered is no {wanted}: it begins with {self._start[:20]!r}")
        if self._kind is not None and not found.startswith(f"{self._kind}/") and not self._sound_in_a_film(found):
            raise APIError(f"what {self._told} answered is of type {found}, not {self._kind}")
        return found

    def _sound_in_a_film(self, found: str) -> bool:
        """Containers do not tell by their first bytes whether there is a picture to the sound."""
        return self._kind == "audio" and found in ("video/mp4", "video/webm")

    def _too_large(self) -> QuothError:
        return APIError(f"{self._told} is larger than {self._most} bytes (max_bytes)")

    @property
    def _told(self) -> str:
        return self._url[:200]

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
