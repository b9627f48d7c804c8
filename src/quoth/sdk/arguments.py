"""Reading what was given: each function takes an argument in any of its forms and answers with the one used inside, or
raises a BadRequestError that names it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from quoth.call import Timeouts
from quoth.errors import BadRequestError

__all__ = [
    "CREDENTIALS",
    "flag",
    "headers_of",
    "names_of",
    "retries_of",
    "said",
    "seconds_of",
    "size_of",
    "text_of",
    "timeouts_of",
]

# Headers that say who is calling: they belong to the provider that they were given for.
CREDENTIALS = frozenset({"authorization", "api-key", "x-api-key", "cookie", "proxy-authorization"})
# What says where a request goes, where it ends and what becomes of its connection.
_FRAMING = frozenset({"connection", "content-length", "expect", "host", "transfer-encoding", "upgrade"})
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL_CHARS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]")


def said(keywords: Mapping[str, Any]) -> dict[str, Any]:
    """The keywords that say something: neither None nor one of openai's marks for "not given"."""
    return {
        name: value
        for name, value in keywords.items()
        if value is not None and type(value).__name__ not in ("NotGiven", "Omit")
    }


def flag(given: Mapping[str, Any], name: str, default: bool) -> bool:
    value = given.get(name, default)
    if not isinstance(value, bool):
        raise BadRequestError(f"{name} is {value!r}; it has to be True or False", param=name)
    return value


def names_of(value: Any, name: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise BadRequestError(f"{name} has to be a list of names", param=name)
    names = tuple(value)
    if not all(isinstance(item, str) for item in names):
        raise BadRequestError(f"{name} has to be a list of names", param=name)
    return names


def text_of(value: Any, name: str) -> str | None:
    """A text; also an object that stands for one (a URL, a secret that shows itself when asked)."""
    if value is None or isinstance(value, str):
        return value
    secret = getattr(value, "get_secret_value", None)
    if callable(secret):
        return str(secret())
    if type(value).__name__.endswith(("URL", "Url")):
        return str(value)
    raise BadRequestError(f"{name} is of type {type(value).__name__}; it has to be a text", param=name)


def retries_of(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise BadRequestError(f"num_retries is {value!r}; it has to be 0 or more", param="num_retries")
    return value


def size_of(value: Any, name: str, default: int) -> int:
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise BadRequestError(f"{name} is {value!r}; it has to be a number of bytes above 0", param=name)
    return value


def seconds_of(value: Any, name: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise BadRequestError(f"{name} is {value!r}; it has to be seconds, 0 or more", param=name)
    return float(value)


def headers_of(headers: Any) -> dict[str, str]:
    """Headers with names in lower case."""
    if not headers:
        return {}
    if not isinstance(headers, Mapping):
        raise BadRequestError("extra_headers has to be an object of texts", param="extra_headers")
    found = {}
    for name, value in headers.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise BadRequestError(f"{name!r} is not the name of an HTTP header", param="extra_headers")
        if name.lower() in _FRAMING:
            raise BadRequestError(f"the header {name} is not for callers to set", param="extra_headers")
        text = value if isinstance(value, str) else str(value)
        if _CONTROL_CHARS.search(text):
            message = f"the header {name} has characters that no HTTP header can carry"
            raise BadRequestError(message, param="extra_headers")
        found[name.lower()] = text
    return found


def timeouts_of(value: Any) -> Timeouts:
    """`timeout` in any of its forms: seconds, Timeouts, or an object with `connect` and `read` such as
    httpx.Timeout."""
    if value is None:
        return Timeouts()
    if isinstance(value, Timeouts):
        parts = {name: getattr(value, name) for name in ("connect", "first", "idle", "total")}
    elif hasattr(value, "connect") and hasattr(value, "read"):
        parts = {"connect": value.connect, "first": value.read, "idle": value.read}
    else:
        try:
            parts = {"total": float(value) if isinstance(value, str) else value}
        except ValueError:
            parts = {"total": value}
    for name, seconds in parts.items():
        if seconds is None:
            continue
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
            message = (
                f"the {name} timeout is {seconds!r}; it has to be seconds above 0 (timeout=60, quoth.Timeouts(...))"
            )
            raise BadRequestError(message, param="timeout")
    return Timeouts(**parts)
