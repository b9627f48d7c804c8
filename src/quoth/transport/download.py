"""Downloads: what is at an address goes to a file as it comes, with limits on its size, its time and its kind; a
connection that breaks is taken up again where it broke.

The address mostly stands in an answer, so it is not trusted: what comes has to be of the kind that was said, and a
redirect leads to no private network. With `headers` that say who is calling no redirect is followed at all.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import BinaryIO
from urllib.parse import urljoin, urlsplit

from quoth.call import WireRequest
from quoth.errors import APIConnectionError, APIError, BadRequestError, QuothError, Timeout, for_status
from quoth.media import Kind
from quoth.transport.ports import AsyncTransport, Deadline, Transport, TransportFailure
from quoth.transport.reach import is_public
from quoth.wire.media_types import HEAD, sniffed
from quoth.wire.openai_chat import error_facts

__all__ = ["MAX_BYTES", "Download", "adownloaded", "downloaded"]

MAX_BYTES = 512 * 1024 * 1024
_TRIES = 3
_REDIRECTS = 5
_MOVED = (301, 302, 303, 307, 308)
# Poe's host of media may refuse what introduces itself as a Python program.
_BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(?:\d{1,18}|\*)")
_MOST_SAID = 64 * 1024


def downloaded(download: Download, transport: Transport) -> None:
    """All of it, on this thread. Raises QuothError."""
    while not download.is_done:
        try:
            download.check_host()
            reply = transport.open(download.request(), download.deadline())
            try:
                wanted = download.head(reply.status, reply.headers)
                while (wanted or download.failed) and (piece := reply.read()):
                    download.feed(piece)
                download.end(wanted)
            finally:
                reply.close()
        except TransportFailure as failure:
            download.broken(failure)


async def adownloaded(download: Download, transport: AsyncTransport) -> None:
    """`downloaded` for asyncio."""
    import asyncio  # a blocking program has no need of it

    while not download.is_done:
        try:
            if download.was_moved:
                await asyncio.to_thread(download.check_host)
            reply = await transport.open(download.request(), download.deadline())
            try:
                wanted = download.head(reply.status, reply.headers)
                while (wanted or download.failed) and (piece := await reply.read()):
                    download.feed(piece)
                download.end(wanted)
            finally:
                reply.close()
        except TransportFailure as failure:
            download.broken(failure)


class Download:
    """One download, apart from how its bytes arrive. `sink` takes them from its beginning on.

    `kind`: what it has to be, None for anything. `max_bytes`: the most that is taken. `end`: a moment on the monotonic
    clock. `headers`: sent along; then no redirect is followed. `param`: what an error is about.
    """

    def __init__(
        self,
        url: str,
        *,
        kind: Kind | None = None,
        sink: BinaryIO | None = None,
        max_bytes: int = MAX_BYTES,
        end: float,
        headers: Mapping[str, str] | None = None,
        follows: bool = True,
        param: str | None = None,
    ):
        self._url = url
        self._kind = kind
        self._file = sink
        self._most = max_bytes
        self._end = end
        self._headers = headers
        self._follows = follows and headers is None
        self._param = param
        self._origin = self._authority()
        self._tries = self._redirects = self._size = 0
        self._tag: str | None = None
        self._start = b""
        self._status = 0
        self._said = b""
        self.content_type = ""
        self.is_done = False

    @property
    def size(self) -> int:
        """Bytes that have come so far."""
        return self._size

    @property
    def was_moved(self) -> bool:
        return self._redirects > 0

    @property
    def failed(self) -> bool:
        """The answer is an error, whose words are read."""
        return self._status >= 400

    def _authority(self) -> tuple[str, str | None, int | None]:
        try:
            parts = urlsplit(self._url)
            return parts.scheme, parts.hostname, parts.port
        except ValueError as error:
            raise BadRequestError(f"{self._url[:200]!r} is no address: {error}", param=self._param) from None

    def check_host(self) -> None:
        """A redirect to another host must not lead into a private network."""
        host = self._authority()
        if self._redirects and host != self._origin and not (host[1] and is_public(host[1])):
            raise APIError(f"{self._told} redirects to {host[1]!r}, which is no host of the public internet")

    def request(self) -> WireRequest:
        headers = {"user-agent": _BROWSER, "accept": "*/*", "accept-encoding": "identity", **(self._headers or {})}
        if self._size and self._tag:
            headers |= {"range": f"bytes={self._size}-", "if-range": self._tag}
        return WireRequest("GET", self._url.partition("#")[0], headers)

    def deadline(self) -> Deadline:
        return Deadline(connect=10.0, first=60.0, idle=60.0, end=self._end)

    def head(self, status: int, headers: Mapping[str, str]) -> bool:
        """True when the bytes that follow are wanted."""
        self._status, self._said = 0, b""
        if status in _MOVED and headers.get("location"):
            if not self._follows:
                raise APIError(f"{self._told} redirects, which is not followed here", status_code=502)
            self._redirects += 1
            if self._redirects > _REDIRECTS:
                raise APIError(f"{self._told} redirects more than {_REDIRECTS} times")
            before, self._url = self._url, urljoin(self._url, headers["location"])
            if not self._url.lower().startswith(("http://", "https://")):
                raise APIError(f"{before[:200]} redirects to {self._url[:200]!r}, which is no http(s) address")
            return False
        if status >= 500 and self._tries < _TRIES - 1:
            self._tries += 1
            return False
        if status not in (200, 206):
            if status < 400 or self._headers is None:
                raise for_status(status)(f"{self._told} answered {status}", status_code=status)
            self._status = status
            return False
        if status == 206:
            part = _RANGE.fullmatch(headers.get("content-range", ""))
            if part is None or int(part[1]) != self._size:
                raise APIError(f"{self._told} answered with another part than the one that was asked for")
        else:
            self._begin()
        tag = headers.get("etag", "")
        self._tag = tag if tag.startswith('"') else None
        length = headers.get("content-length", "")
        if length.isdigit() and self._size + int(length[:18]) > self._most:
            raise self._too_large()
        return True

    def _begin(self) -> None:
        assert self._file is not None
        self._file.seek(0)
        self._file.truncate()
        self._size, self._start = 0, b""

    def feed(self, piece: bytes) -> None:
        if self.failed:
            self._said += piece[: _MOST_SAID - len(self._said)]
            return
        assert self._file is not None
        if self._size + len(piece) > self._most:
            raise self._too_large()
        self._file.write(piece)
        if len(self._start) < HEAD:
            self._start += piece[: HEAD - len(self._start)]
            if len(self._start) == HEAD:
                self._type()
        self._size += len(piece)

    def end(self, wanted: bool = True) -> None:
        """The answer is over; `wanted` is what `head` said of it."""
        if self.failed:
            facts = error_facts(self._said)
            raise for_status(self._status)(
                f"{self._told} answered {self._status}: {facts.message}", status_code=self._status, body=facts.body
            )
        if wanted:
            self.content_type = self._type()
            self.is_done = True

    def broken(self, failure: TransportFailure) -> None:
        """Try again, or raise the error that it is."""
        self._tries += 1
        over = failure.deadline == "total" or time.monotonic() >= self._end
        if over or self._tries >= _TRIES or failure.kind == "refused":
            if failure.kind == "refused":
                raise BadRequestError(f"{self._told}: {failure}", param=self._param) from None
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
