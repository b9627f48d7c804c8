"""A JSON body as its entries: the top level split, every value left as the bytes that came.

A relay opens only the entries that a rule names. Of a key that comes twice the last value counts, as in every JSON
library that clients use.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from quoth.errors import BadRequestError
from quoth.providers.quirks import Outline

__all__ = ["Entries", "joined", "kind_of", "kinds", "opened", "ordinary", "outline", "placed", "split"]

Entries = dict[str, msgspec.Raw]

_DECODER = msgspec.json.Decoder(Entries)
# An escape that is one half of a character beyond 16 bits; the decoder misses the other half.
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_BOM = b"\xef\xbb\xbf"
# Texts, the last of which may be cut off, and brackets: what there is to see of a body's depth.
_MARKS = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
_DEEP = 200
# Bytes: to look at more would take milliseconds, in which nobody else is served.
_LOOKED_AT = 64 << 10
_KINDS = {
    ord('"'): "a text",
    ord("{"): "an object",
    ord("["): "a list",
    ord("t"): "true",
    ord("f"): "false",
    ord("n"): "null",
}


def split(body: bytes) -> Entries:
    """Raises BadRequestError that says what is no JSON, and where."""
    param = None
    try:
        if not body.isascii():
            body.decode()  # the decoder passes over what is inside the entries
        return _DECODER.decode(body)
    except msgspec.ValidationError:
        problem = "it has to be a JSON object"
    except msgspec.DecodeError as wrong:
        problem = "it is empty" if not body.strip() else _said(str(wrong), body)
        if body.strip().endswith(b"}") and b"truncated" in str(wrong).encode() and _HALF.search(body):
            problem = "it has half of a surrogate pair (such as \\ud83d alone), which no text can hold"
        if body.startswith(_BOM):
            problem = "it begins with a byte order mark; JSON is sent without one"
    except UnicodeDecodeError as wrong:
        problem = f"it is not UTF-8 (byte {wrong.start})"
    except RecursionError:
        problem = "it is nested too deeply"
        param = _deepest(body)
    raise BadRequestError(f"the request's body is not usable: {problem}", code="400", param=param)


def _said(wrong: str, body: bytes) -> str:
    # "JSON is malformed: invalid character (byte 12)", or "Input data was truncated"
    return wrong if wrong.startswith("JSON") else f"{wrong[0].lower()}{wrong[1:]} (byte {len(body)})"


def _deepest(body: bytes) -> str | None:
    """The field in which the first value is that is nested too deeply; None if that is far from the beginning."""
    depth, name = 0, None
    for found in _MARKS.finditer(body, 0, _LOOKED_AT):
        mark = found[0]
        if mark in b"[{":
            depth += 1
        elif mark in b"]}":
            depth -= 1
        elif depth == 1:
            name = mark
        if depth > _DEEP and name is not None:
            return name[1:-1].decode(errors="replace")[:100]
    return None


def joined(entries: Mapping[str, msgspec.Raw]) -> bytes:
    """The body that these entries make, in their order."""
    return msgspec.json.encode(entries)


def placed(entries: Entries, model: str) -> Entries:
    """The same for this model, which stood in the path and so counts."""
    return {**entries, "model": msgspec.Raw(msgspec.json.encode(model))}


def opened(entries: Mapping[str, msgspec.Raw], name: str) -> Any:
    """One entry's value. Raises BadRequestError for what cannot be read though it is well-formed, such as 1e999."""
    try:
        return msgspec.json.decode(entries[name])
    except RecursionError:
        message = f"{name} is nested too deeply"
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        message = f"{name} is not usable: {wrong}"
    raise BadRequestError(message, param=name)


def kind_of(raw: msgspec.Raw) -> str:
    """What an entry is, in words, by its first byte."""
    return _KINDS.get(memoryview(raw)[0], "a number")


class _Part(msgspec.Struct):
    type: str = ""


class _Message(msgspec.Struct):
    role: str = ""
    content: msgspec.Raw = msgspec.Raw()


_MESSAGES = msgspec.json.Decoder(list[_Message])
_PARTS = msgspec.json.Decoder(list[_Part])
_LIST = 0x5B


def ordinary(messages: msgspec.Raw, roles: frozenset[str]) -> bool:
    """Whether each message has one of these roles, and a content without parts. False for messages that are none."""
    try:
        for message in _MESSAGES.decode(messages):
            content = message.content
            if message.role not in roles or (content and memoryview(content)[0] == _LIST):
                return False
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def outline(messages: msgspec.Raw) -> Outline:
    """What there is, without a look at what is inside. Empty for messages that are none: their provider says what is
    wrong with them."""
    found = Outline()
    roles = found.roles
    try:
        for message in _MESSAGES.decode(messages):
            roles.add(message.role)
            content = message.content
            if content and memoryview(content)[0] == _LIST:
                found.parts.append([part.type for part in _PARTS.decode(content)])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Outline()
    return found


def kinds(items: msgspec.Raw | None) -> frozenset[str]:
    """The types of the items of a list; empty for anything else."""
    if items is None or memoryview(items)[0] != _LIST:
        return frozenset()
    try:
        return frozenset(part.type for part in _PARTS.decode(items))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return frozenset()
