"""Errors as each API's clients expect them: the body of an error answer."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["anthropic_type", "error_body", "error_object"]

_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_ANTHROPIC_NAMES = frozenset(_ANTHROPIC_TYPES.values())


def anthropic_type(status: int) -> str:
    """Anthropic's name for an error with this status."""
    return _ANTHROPIC_TYPES.get(status) or ("api_error" if status >= 500 else "invalid_request_error")


def error_object(
    wire: str,
    status: int,
    message: str,
    *,
    type: str | None = None,
    code: str | None = None,
    param: str | None = None,
    request_id: str | None = None,
) -> dict[str, Any]:
    """The error as a client of `wire` expects it. `type` and `code` are OpenAI's slugs; the Messages API, which has no
    codes, says its own type for the status unless `type` is one of them."""
    if wire == "anthropic_messages":
        kind = type if type in _ANTHROPIC_NAMES else anthropic_type(status)
        found: dict[str, Any] = {"type": "error", "error": {"type": kind, "message": message}}
        return found if request_id is None else {**found, "request_id": request_id}
    return {"error": {"message": message, "type": type or _openai_type(status), "param": param, "code": code}}


def error_body(
    wire: str,
    status: int,
    message: str,
    *,
    type: str | None = None,
    code: str | None = None,
    param: str | None = None,
    request_id: str | None = None,
) -> bytes:
    """`error_object` as JSON."""
    found = error_object(wire, status, message, type=type, code=code, param=param, request_id=request_id)
    return msgspec.json.encode(found)


def _openai_type(status: int) -> str:
    return anthropic_type(status) if status in (400, 401, 404, 429) else ("api_error" if status >= 500 else "error")
