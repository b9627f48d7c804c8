"""The body of a request that may come as JSON or as `multipart/form-data`, as fields by name."""

from __future__ import annotations

import re
from typing import Any

from quoth.emulator.chat_request import decoded
from quoth.emulator.http1 import Request
from quoth.emulator.problems import Problem

__all__ = ["File", "fields"]

_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,200})"|([^;\s]{1,200}))', re.IGNORECASE)
_NAME = re.compile(r'\bname="((?:[^"\\]|\\.)*)"')
_FILENAME = re.compile(r'\bfilename="((?:[^"\\]|\\.)*)"')


class File(bytes):
    """The content of a file that was sent in a form."""


def fields(request: Request) -> dict[str, Any]:
    """Fields by name. Those of a form are texts and Files; a name that is repeated, or ends in `[]`, has a list."""
    kind = request.headers.get("content-type", "")
    if not kind.lower().startswith("multipart/form-data"):
        return decoded(request.raw)
    boundary = _BOUNDARY.search(kind)
    if boundary is None:
        raise Problem(400, "The form has no boundary in its Content-Type.")
    found: dict[str, Any] = {}
    for name, value in _parts(request.raw, (boundary[1] or boundary[2]).encode("latin-1")):
        plain = name.removesuffix("[]")
        if plain in found or plain != name:
            before = found.get(plain, [])
            found[plain] = [*(before if isinstance(before, list) else [before]), value]
        else:
            found[plain] = value
    return found


def _parts(raw: bytes, boundary: bytes) -> list[tuple[str, str | File]]:
    found: list[tuple[str, str | File]] = []
    # A line end before the first boundary lets all of them look alike.
    pieces = (b"\r\n" + raw).split(b"\r\n--" + boundary)
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        raise Problem(400, "The form does not end as it should.")
    for piece in pieces[1:-1]:
        head, blank, content = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        told = head.decode("utf-8", "replace")
        name = _NAME.search(told)
        if not blank or name is None:
            raise Problem(400, "A part of the form has no name.")
        if _FILENAME.search(told):
            found.append((name[1], File(content)))
        else:
            found.append((name[1], content.decode("utf-8", "replace")))
    return found
