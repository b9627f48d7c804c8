"""Files in any form in which they are given: a path, bytes, an open file, an address, or openai's (name, content, type)
as a tuple."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from quoth.errors import BadRequestError
from quoth.providers.wishes import File
from quoth.wire.media_types import ENDINGS, HEAD, named, sniffed

__all__ = ["MAX_BYTES", "upload", "uploads"]

MAX_BYTES = 512 * 1024 * 1024


def uploads(given: Any, param: str) -> tuple[File, ...]:
    """One file, or a list of them. Raises BadRequestError, and OSError where one cannot be read."""
    if given is None:
        return ()
    if isinstance(given, list) or (isinstance(given, Sequence) and not isinstance(given, str | bytes | tuple)):
        return tuple(upload(one, param) for one in given)
    return (upload(given, param),)


def upload(given: Any, param: str) -> File:
    """Raises BadRequestError, and OSError where it cannot be read."""
    if isinstance(given, File):
        return given
    name, media_type = "", ""
    if isinstance(given, tuple):
        parts: list[Any] = list(given)
        if not 2 <= len(parts) <= 4:
            raise BadRequestError(f"{param} as a tuple is (name, content) or (name, content, type)", param=param)
        name, media_type = str(parts[0] or ""), str(parts[2] or "") if len(parts) > 2 else ""
        given = parts[1]
    if isinstance(given, str) and given.lower().startswith(("http://", "https://")):
        return File(name or _last_of(given), media_type or named(_last_of(given)) or "", url=given)
    if isinstance(given, str) and given[:5].lower() == "data:":
        data, media_type = _of_data_url(given, param)
    elif isinstance(given, bytes | bytearray | memoryview):
        data = bytes(given)
    elif isinstance(given, str | os.PathLike):
        path = Path(given).expanduser()
        name = name or path.name
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    elif callable(getattr(given, "read", None)):
        data = given.read()
        if not isinstance(data, bytes):
            raise BadRequestError(f'{param} has to be opened in binary mode: open(path, "rb")', param=param)
        name = name or Path(str(getattr(given, "name", "") or "")).name
    else:
        kind = type(given).__name__
        raise BadRequestError(f"{param} is a path, bytes, an open file or an address, not of type {kind}", param=param)
    if not data:
        raise BadRequestError(f"{param} is empty", param=param)
    if len(data) > MAX_BYTES:
        raise BadRequestError(f"{param} is larger than {MAX_BYTES // 1024 // 1024} MiB", param=param)
    found = media_type or sniffed(data[:HEAD]) or named(name) or "application/octet-stream"
    return File(name or f"file{ENDINGS.get(found, '')}", found, data)


def _last_of(url: str) -> str:
    try:
        return urlsplit(url).path.rpartition("/")[2] or "file"
    except ValueError as error:
        raise BadRequestError(f"{url[:200]!r} is no address: {error}") from None


def _of_data_url(url: str, param: str) -> tuple[bytes, str]:
    head, comma, body = url[5:].partition(",")
    try:
        if not comma:
            raise ValueError
        data = base64.b64decode(body, validate=True) if head.lower().endswith(";base64") else unquote_to_bytes(body)
    except (binascii.Error, ValueError):
        raise BadRequestError(f"{param}: the data URL cannot be read", param=param) from None
    return data, head.partition(";")[0].lower()
