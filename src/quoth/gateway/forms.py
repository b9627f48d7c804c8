"""A request's body that may hold files: read piece by piece, each file into a temporary one once it is more than a few
MiB."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from hashlib import sha256
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import Any, Self

import msgspec
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from quoth.errors import BadRequestError
from quoth.gateway.incoming import BODY_SECONDS, Left, Receive, RequestTimeout, RequestTooLarge
from quoth.providers.wishes import File
from quoth.wire.media_types import ENDINGS, HEAD, named, sniffed

__all__ = ["Form", "Upload", "is_form", "received_form"]

MIB = 1 << 20
_IN_MEMORY = 4 * MIB
_MOST_PARTS = 128
_MOST_TEXT = 2 * MIB
_MOST_HEADERS = 16 * 1024
_LONGEST_SECONDS = 900.0  # for all of it; a piece has BODY_SECONDS


class Upload:
    """A file as it came: its name, the type that it claims, its bytes."""

    def __init__(self, name: str, media_type: str):
        self.name, self.media_type = name, media_type
        self.file: Any = SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115

    def as_file(self, param: str) -> File:
        """Raises BadRequestError for an empty one."""
        self.file.seek(0)
        data: bytes = self.file.read()
        if not data:
            raise BadRequestError(f"{param} is empty", param=param)
        kind = sniffed(data[:HEAD]) or named(self.name) or self.media_type or "application/octet-stream"
        return File(self.name or f"file{ENDINGS.get(kind, '')}", kind, data)


class Form:
    """Fields and files by name, a name without its `[]`. Leaving it removes the files."""

    def __init__(self) -> None:
        self.fields: dict[str, list[str]] = {}
        self.files: dict[str, list[Upload]] = {}
        self.listed: set[str] = set()
        self.size = 0
        self.digest = b""
        self.changed: dict[str, Any] | None = None  # the fields as a hook wants them

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the files."""
        for uploads in self.files.values():
            for upload in uploads:
                upload.file.close()

    def plain(self) -> dict[str, Any]:
        """The fields as a JSON body would have them: numbers and flags as such where OpenAI has them so."""
        found: dict[str, Any] = {}
        for name, values in self.fields.items():
            read = [_typed(name, value) for value in values]
            found[name] = read if name in self.listed or len(read) > 1 else read[0]
        return found

    def entries(self) -> dict[str, msgspec.Raw]:
        """The same, each value as its bytes."""
        found = self.plain() if self.changed is None else self.changed
        return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in found.items()}


_NUMBERS = frozenset({"n", "output_compression", "partial_images", "temperature", "num_retries", "timeout"})
_FLAGS = frozenset({"stream", "drop_params"})


def _typed(name: str, value: str) -> Any:
    if name in _FLAGS and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if name in _NUMBERS:
        try:
            number = msgspec.json.decode(value)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            return value
        return number if isinstance(number, int | float) else value
    return value


def is_form(headers: Mapping[bytes, bytes]) -> bool:
    return headers.get(b"content-type", b"").lower().startswith(b"multipart/form-data")


async def received_form(receive: Receive, headers: Mapping[bytes, bytes], limit: int) -> Form:
    """Raises BadRequestError, RequestTooLarge, RequestTimeout, Left."""
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise BadRequestError("a body with a content-encoding is not taken; send it as it is", status_code=415)
    length = headers.get(b"content-length", b"0")
    if not length.isdigit():
        raise BadRequestError("content-length is not a number")
    if int(length) > limit:
        raise _too_large(limit)
    boundary = parse_options_header(headers[b"content-type"])[1].get(b"boundary")
    if not boundary:
        raise BadRequestError("the form has no boundary in its content-type")
    form = Form()
    try:
        async with asyncio.timeout(_LONGEST_SECONDS):
            await _read(receive, form, boundary, limit)
    except TimeoutError:
        form.close()
        raise RequestTimeout from None
    except BaseException:
        form.close()
        raise
    return form


async def _read(receive: Receive, form: Form, boundary: bytes, limit: int) -> None:
    reading, seen = _Reading(form), sha256()
    try:
        parser = MultipartParser(boundary, reading.callbacks())  # type: ignore[arg-type]
    except FormParserError as wrong:
        raise BadRequestError(f"the form cannot be read: {wrong}") from None
    more = True
    while more:
        async with asyncio.timeout(BODY_SECONDS):
            message = await receive()
        if message["type"] == "http.disconnect":
            raise Left
        piece = message.get("body", b"")
        form.size += len(piece)
        if form.size > limit:
            raise _too_large(limit)
        seen.update(piece)
        try:
            parser.write(piece)
        except FormParserError as wrong:
            raise BadRequestError(f"the form cannot be read: {wrong}") from None
        more = bool(message.get("more_body"))
    if not reading.ended:
        raise BadRequestError("the form does not end as it should")
    form.digest = seen.digest()


def _too_large(limit: int) -> RequestTooLarge:
    return RequestTooLarge(f"the request's body is larger than {limit / MIB:g} MiB, which is the limit here")


class _Reading:
    """What the parser tells, part by part."""

    def __init__(self, form: Form):
        self._form = form
        self.ended = False
        self._parts = self._text = 0
        self._headers: dict[bytes, bytes] = {}
        self._header = self._value = b""
        self._name = ""
        self._field: bytearray | None = None
        self._upload: Upload | None = None

    def callbacks(self) -> dict[str, Any]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._opened,
            "on_part_data": self._data,
            "on_part_end": self._closed,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise BadRequestError(f"the form has more than {_MOST_PARTS} parts")
        self._headers, self._header, self._value = {}, b"", b""

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]
        self._check_headers()

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._check_headers()

    def _check_headers(self) -> None:
        if len(self._header) + len(self._value) > _MOST_HEADERS:
            raise BadRequestError("a part of the form has headers that are too long")

    def _header_end(self) -> None:
        self._headers[self._header.lower()] = self._value
        self._header, self._value = b"", b""
        if len(self._headers) > 16:
            raise BadRequestError("a part of the form has too many headers")

    def _opened(self) -> None:
        disposition = parse_options_header(self._headers.get(b"content-disposition", b""))[1]
        name = disposition.get(b"name", b"").decode("utf-8", "replace")
        if not name:
            raise BadRequestError("a part of the form has no name")
        self._name = name.removesuffix("[]")
        if self._name != name:
            self._form.listed.add(self._name)
        self._field, self._upload = None, None
        if b"filename" in disposition:
            filename = disposition[b"filename"].decode("utf-8", "replace")
            media_type = self._headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip()
            self._upload = Upload(filename.replace("\\", "/").rpartition("/")[2][:200], media_type[:100])
            self._form.files.setdefault(self._name, []).append(self._upload)
        else:
            self._field = bytearray()

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._upload is not None:
            self._upload.file.write(data[start:end])
        elif self._field is not None:
            self._text += end - start
            if self._text > _MOST_TEXT:
                raise BadRequestError("the form's fields are too long; files are sent with a filename")
            self._field += data[start:end]

    def _closed(self) -> None:
        if self._field is None:
            return
        try:
            value = self._field.decode()
        except UnicodeDecodeError as wrong:
            raise BadRequestError(f"{self._name} is not UTF-8 (byte {wrong.start})", param=self._name) from None
        self._form.fields.setdefault(self._name, []).append(value)

    def _end(self) -> None:
        self.ended = True
