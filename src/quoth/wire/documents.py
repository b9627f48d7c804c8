"""A JSON document as one of the public objects: errors told apart from answers, fields of the wrong type set aside."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from pydantic import ValidationError

from quoth.types import Record
from quoth.wire.openai_chat import Unreadable, UpstreamError, error_facts

__all__ = ["decoded", "made", "read"]

R = TypeVar("R", bound=Record)


def decoded(raw: bytes) -> dict[str, Any]:
    """Raises Unreadable for what is no JSON object, UpstreamError for an error object."""
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unreadable(f"no JSON: it begins with {raw[:60]!r}") from None
    if not isinstance(found, dict):
        raise Unreadable(f"JSON, but no object: {raw[:60]!r}")
    if isinstance(found.get("error"), dict | str) and found.get("error") and not found.get("id"):
        raise UpstreamError(error_facts(raw))
    return found


def read(kind: type[R], raw: bytes) -> R:
    """Raises Unreadable, UpstreamError."""
    return made(kind, decoded(raw))


def made(kind: type[R], found: dict[str, Any]) -> R:
    """The object, without the fields that are not what they should be. Raises Unreadable where nothing is left."""
    try:
        return kind.model_validate(found)
    except ValidationError as wrong:
        bad = {str(error["loc"][0]) for error in wrong.errors() if error["loc"]}
    try:
        return kind.model_validate({name: value for name, value in found.items() if name not in bad})
    except ValidationError as wrong:
        raise Unreadable(f"JSON, but not what was asked for: {wrong.errors()[0]['msg']}") from None
