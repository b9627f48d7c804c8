"""`multipart/form-data`: fields and files as one body."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

__all__ = ["FilePart", "form"]


class FilePart(msgspec.Struct, frozen=True):
    """A file in a form."""

    name: str
    data: bytes
    filename: str
    media_type: str


def form(fields: Mapping[str, Any], files: Iterable[FilePart]) -> tuple[str, bytes]:
    """The content type and the body. A list becomes a field `name[]` for each of its items, an object its JSON."""
    parts = [_field(name, one) for name, value in fields.items() for name, one in _spread(name, value)]
    parts += [_file(file) for file in files]
    number = 0
    while any(b"quoth-form-%d" % number in part for part in parts):
        number += 1
    boundary = b"quoth-form-%d" % number
    opening = b"--" + boundary + b"\r\n"
    body = b"".join([piece for part in parts for piece in (opening, part, b"\r\n")] + [b"--", boundary, b"--\r\n"])
    return f"multipart/form-data; boundary={boundary.decode()}", body


def _spread(name: str, value: Any) -> list[tuple[str, Any]]:
    return [(f"{name}[]", item) for item in value] if isinstance(value, list) else [(name, value)]


def _field(name: str, value: Any) -> bytes:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return f'content-disposition: form-data; name="{_quoted(name)}"\r\n\r\n{text}'.encode()


def _file(file: FilePart) -> bytes:
    head = (
        f'content-disposition: form-data; name="{_quoted(file.name)}"; filename="{_quoted(file.filename)}"\r\n'
        f"content-type: {file.media_type}\r\n\r\n"
    )
    return head.encode() + file.data


def _quoted(name: str) -> str:
    """As browsers do it: what would end the name is written as a percent code."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
