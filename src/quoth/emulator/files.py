"""The files behind the addresses of media answers, served as a content network would: no key, ETag, ranges."""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from dataclasses import replace

from quoth.emulator.delivery import Answer
from quoth.emulator.films import Film, mp4
from quoth.emulator.http1 import Request
from quoth.emulator.pictures import Picture, png
from quoth.emulator.sounds import Sound, wav

__all__ = ["PREFIX", "Files", "Piece", "ranged", "rendered"]

PREFIX = "/base/"
Piece = Picture | Film | Sound

_KEPT = 10_000
# How Python's clients introduce themselves unless they are told otherwise.
_PROGRAMS = re.compile(r"python\b", re.IGNORECASE)
_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")


def rendered(piece: Piece) -> bytes:
    """The bytes of a file. The same piece is the same bytes."""
    if isinstance(piece, Picture):
        return png(piece)
    return mp4(piece) if isinstance(piece, Film) else wav(piece)


class Files:
    """What was made since the start or the last `clear`, by path; files are rendered when they are asked for."""

    def __init__(self, *, browser_only: bool = False):
        self._browser_only = browser_only
        self._pieces: OrderedDict[str, Piece] = OrderedDict()

    def add(self, pieces: dict[str, Piece]) -> None:
        self._pieces.update(pieces)
        while len(self._pieces) > _KEPT:
            self._pieces.popitem(last=False)

    def clear(self) -> None:
        self._pieces.clear()

    def answer(self, request: Request) -> Answer:
        """The answer to a request for a file."""
        if request.method not in ("GET", "HEAD"):
            return _plain(405, "Method Not Allowed", ("Allow", "GET, HEAD"))
        agent = request.headers.get("user-agent", "")
        if self._browser_only and (not agent or _PROGRAMS.match(agent)):
            return _plain(403, "error code: 1010")
        piece = self._pieces.get(request.path)
        if piece is None:
            return _plain(404, "Not Found")
        return ranged(request, rendered(piece), piece.content_type)


def _plain(status: int, text: str, *headers: tuple[str, str]) -> Answer:
    return Answer(status, text.encode(), headers=headers, content_type="text/plain; charset=UTF-8")


def ranged(request: Request, data: bytes, content_type: str) -> Answer:
    """All of a file or the part that was asked for; a request for several parts gets all."""
    tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    headers = ("ETag", tag), ("Accept-Ranges", "bytes"), ("Cache-Control", "public, max-age=31536000, immutable")
    whole = Answer(200, data, headers=headers, content_type=content_type)
    known = [name.strip().removeprefix("W/") for name in request.headers.get("if-none-match", "").split(",")]
    if tag in known or "*" in known:
        return replace(whole, status=304, body=b"", content_type=None)
    asked = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    if asked is None or asked[0] == "bytes=-" or request.headers.get("if-range", tag) != tag:
        return whole
    size = len(data)
    if asked[1]:
        start, end = int(asked[1]), min(int(asked[2] or size), size - 1)
        if asked[2] and int(asked[2]) < start:
            return whole
    else:
        start, end = max(0, size - int(asked[2])), size - 1
    if start > end:
        return replace(_plain(416, ""), headers=(*headers, ("Content-Range", f"bytes */{size}")))
    part = ("Content-Range", f"bytes {start}-{end}/{size}")
    return replace(whole, status=206, body=data[start : end + 1], headers=(*headers, part))
