"""Files that go along with a message: pictures, PDF, sounds, films and texts as parts of its content.

A picture becomes an `image_url` part, anything else a `file` part, with its bytes in a data URL: the two forms that Poe
documents (13 April 2026). What a file is, its first bytes say; its name only where they say nothing.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard
from urllib.parse import unquote, urlsplit

from quoth.errors import BadRequestError
from quoth.wire.media_types import ENDINGS, HEAD, named, sniffed

__all__ = ["MAX_BYTES", "aattach", "attach", "with_attachments"]

# With a third more for base64 it fits into the 64 MiB that a request may have, beside its texts.
MAX_BYTES = 47 * 1024 * 1024
_OF_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")


def attach(
    source: str | os.PathLike[str] | bytes,
    *,
    name: str | None = None,
    media_type: str | None = None,
    fetch: bool = False,
) -> dict[str, Any]:
    """A content part of a message from a file's path, from bytes, or from an address.

    An http(s) address is passed on as it is, which providers document for pictures only; with `fetch` what is there is
    downloaded now, whatever it is, and sent along. `name`: what the file is called, by default the path's.
    `media_type`: where the bytes do not say it. At most 47 MiB. Raises BadRequestError; with `fetch` QuothError;
    OSError when the file cannot be read.
    """
    if fetch and _is_address(source):
        from quoth.sdk.media import fetched

        return _of_bytes(fetched(source, MAX_BYTES), name or _last_of(source), media_type)
    return _of_source(source, name, media_type)


async def aattach(
    source: str | os.PathLike[str] | bytes,
    *,
    name: str | None = None,
    media_type: str | None = None,
    fetch: bool = False,
) -> dict[str, Any]:
    """`attach` for asyncio: neither the network nor the disk blocks the loop."""
    if fetch and _is_address(source):
        from quoth.sdk.media import afetched

        return _of_bytes(await afetched(source, MAX_BYTES), name or _last_of(source), media_type)
    import asyncio  # a blocking program has no need of it

    return await asyncio.to_thread(_of_source, source, name, media_type)


def _is_address(source: object) -> TypeGuard[str]:
    return isinstance(source, str) and source.lower().startswith(("http://", "https://"))


def _last_of(url: str) -> str:
    """The name that an address ends with; "" when it ends with none."""
    return unquote(urlsplit(url).path).rpartition("/")[2]


def _of_source(source: str | os.PathLike[str] | bytes, name: str | None, media_type: str | None) -> dict[str, Any]:
    if isinstance(source, str) and source[:5].lower() == "data:":
        return _of_data_url(source, name)
    if _is_address(source):
        return _of_address(source, media_type)
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
    elif isinstance(source, str | os.PathLike):
        path = Path(source).expanduser()
        name = name or path.name
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    else:
        kind = type(source).__name__
        raise BadRequestError(f"an attachment is a path, bytes or an address, not of type {kind}", param="messages")
    return _of_bytes(data, name, media_type)


def with_attachments(messages: Any) -> Any:
    """The messages with every path and every bytes object in their lists of parts as the part that it becomes; a
    plain text beside them becomes a text part."""
    if not isinstance(messages, list | tuple):
        return messages
    return [_converted(message) for message in messages]


def _converted(message: Any) -> Any:
    content = message.get("content") if isinstance(message, Mapping) else None
    if not isinstance(content, list | tuple) or not any(isinstance(part, os.PathLike | bytes) for part in content):
        return message
    return {**message, "content": [_part(part) for part in content]}


def _part(part: Any) -> Any:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    return attach(part) if isinstance(part, os.PathLike | bytes) else part


def _of_bytes(data: bytes, name: str | None, media_type: str | None) -> dict[str, Any]:
    told = f" {name}" if name else ""
    if not data:
        raise BadRequestError(f"the attachment{told} is empty", param="messages")
    if len(data) > MAX_BYTES:
        message = f"the attachment{told} is larger than {MAX_BYTES // 1024 // 1024} MiB, the most that can be sent"
        raise BadRequestError(message, param="messages")
    found = media_type or sniffed(data[:HEAD]) or (_named(name, data) or _text(data))
    if found is None:
        message = f"what the attachment{told} is cannot be told from its bytes or its name; pass media_type"
        raise BadRequestError(message, param="messages")
    url = f"data:{found};base64,{base64.b64encode(data).decode()}"
    if found in _OF_IMAGES:
        return {"type": "image_url", "image_url": {"url": url}}
    return _file(url, name or f"file{ENDINGS.get(found, '')}")


def _named(name: str | None, data: bytes) -> str | None:
    """The type that the name says, unless the bytes would have said it too: a .png that is none is not sent as one."""
    found = named(name or "")
    if found is None or not (found.startswith("text/") or found in ("application/json", "image/svg+xml")):
        return None
    return found if _text(data) else None


def _text(data: bytes) -> str | None:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else "text/plain"


def _file(url: str, name: str) -> dict[str, Any]:
    return {"type": "file", "file": {"filename": name, "file_data": url}}


def _of_data_url(url: str, name: str | None) -> dict[str, Any]:
    declared = url[5:].partition(",")[0].partition(";")[0].lower()
    if declared in _OF_IMAGES:
        return {"type": "image_url", "image_url": {"url": url}}
    return _file(url, name or f"file{ENDINGS.get(declared, '')}")


def _of_address(url: str, media_type: str | None) -> dict[str, Any]:
    try:
        ending = _last_of(url)
    except ValueError as error:
        raise BadRequestError(f"{url[:200]!r} is no address: {error}", param="messages") from None
    found = media_type or named(ending)
    if found is not None and not found.startswith("image/"):
        message = f"{url[:200]} is of type {found}; only pictures can be sent as an address (fetch=True sends the file)"
        raise BadRequestError(message, param="messages")
    return {"type": "image_url", "image_url": {"url": url}}
