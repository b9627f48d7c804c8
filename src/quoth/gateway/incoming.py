"""What comes in: the credential among the headers, and the body up to a limit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from hmac import compare_digest
from typing import Any

from quoth.errors import APIStatusError, AuthenticationError, BadRequestError, PermissionDeniedError
from quoth.gateway.exchange import ANYBODY, Caller
from quoth.gateway.settings import loopback

__all__ = [
    "BODY_SECONDS",
    "HeadTooLarge",
    "Left",
    "Receive",
    "RequestTimeout",
    "RequestTooLarge",
    "authenticated",
    "body_of",
    "check_head",
    "from_here",
    "header_map",
]

Receive = Callable[[], Awaitable[dict[str, Any]]]

BODY_SECONDS = 60.0
# What granian holds a head to while it is incomplete; one that arrives at once it takes up to twice as long, and
# uvicorn takes any.
_MOST_HEADERS, _HEAD_BYTES = 100, 64 << 10
_CREDENTIALS = (b"authorization", b"x-api-key", b"api-key", b"x-litellm-api-key")
_OTHERS = frozenset(_CREDENTIALS[1:])
_MASTER = Caller("master", is_master=True)
_HELP = 'send it as "Authorization: Bearer KEY", or in x-api-key, api-key or x-litellm-api-key'


class Left(Exception):
    """The client went away before its request was whole."""


class RequestTooLarge(APIStatusError):
    """The body is larger than the limit."""

    status, slug = 413, "request_too_large"


class HeadTooLarge(APIStatusError):
    """The headers are more, or longer, than is taken."""

    status, slug = 431, "request_too_large"

    def __init__(self) -> None:
        super().__init__(
            f"the request has more than {_MOST_HEADERS} headers, or more than {_HEAD_BYTES >> 10} KiB of them"
        )


class RequestTimeout(APIStatusError):
    """The body took too long to arrive."""

    status, slug = 408, "request_timeout"

    def __init__(self) -> None:
        super().__init__(f"the request's body did not arrive within {BODY_SECONDS:g} s")


def check_head(headers: list[tuple[bytes, bytes]], found: Mapping[bytes, bytes]) -> None:
    """Raises HeadTooLarge. `found`: the same by name; the names themselves are not measured."""
    if len(headers) > _MOST_HEADERS or sum(map(len, found.values())) > _HEAD_BYTES:
        raise HeadTooLarge


def header_map(headers: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The headers by name, names in lower case as ASGI has them; of a name that comes twice the last value.

    Raises AuthenticationError for two different credentials of one name, BadRequestError for two different lengths,
    HeadTooLarge.
    """
    found = dict(headers)
    if sum(len(value) for _, value in headers) > _HEAD_BYTES:
        raise HeadTooLarge
    if len(found) != len(headers):
        for name, value in headers:
            if value != found[name]:
                if name in _CREDENTIALS:
                    raise AuthenticationError(f"two different keys in {name.decode()}", code="authentication_error")
                if name in (b"content-length", b"transfer-encoding", b"host"):
                    raise BadRequestError(f"two different headers {name.decode()}")
    return found


def from_here(headers: Mapping[bytes, bytes]) -> None:
    """For a gateway without a key, which whoever sits at this machine may call. Raises PermissionDeniedError for what a
    web page sends from their browser: by its Origin, and where the page's own name was made to lead here, by the Host.
    """
    origin = headers.get(b"origin")
    if origin is not None and not _is_here(origin.partition(b"://")[2]):
        raise PermissionDeniedError("a gateway without a master key is not called from web pages: set QUOTH_MASTER_KEY")
    host = headers.get(b"host")
    if host is not None and not _is_here(host):
        raise PermissionDeniedError(
            f"a gateway without a master key answers to localhost, not to {host[:100].decode('latin-1')}: "
            "set QUOTH_MASTER_KEY"
        )


@lru_cache(maxsize=256)
def _is_here(place: bytes) -> bool:
    """Whether a host, perhaps with a port, is this machine."""
    text = place.decode("latin-1")
    name = text[1:].partition("]")[0] if text.startswith("[") else text.partition(":")[0]
    return loopback(name) or name.lower().endswith(".localhost")


def authenticated(headers: Mapping[bytes, bytes], master: bytes | None) -> Caller:
    """Who calls. Raises AuthenticationError. Every header that may hold a key leads here, and nowhere else."""
    if master is None:
        return ANYBODY
    given = headers.get(b"authorization")
    if given is not None and given[:7] == b"Bearer " and _OTHERS.isdisjoint(headers):
        given = given[7:]  # as nearly everybody says it; the rest of this says the same
        if compare_digest(given, master):
            return _MASTER
    given = _only_one(headers)
    if not given:
        raise AuthenticationError(f"no key; {_HELP}")
    if not compare_digest(given, master):
        raise AuthenticationError("this key is not known here")
    return _MASTER


def _only_one(headers: Mapping[bytes, bytes]) -> bytes | None:
    given: bytes | None = None
    for name in _CREDENTIALS:
        value = headers.get(name)
        if value is None:
            continue
        if value[:7].lower() == b"bearer ":
            value = value[7:]
        value = value.strip()
        if given is not None and value != given:
            raise AuthenticationError(f"two different keys in the headers; {_HELP}")
        given = value
    return given


async def body_of(receive: Receive, headers: Mapping[bytes, bytes], limit: int) -> bytes:
    """The whole body. Raises RequestTooLarge as soon as that is known, BadRequestError, RequestTimeout, Left."""
    if b"content-encoding" in headers and headers[b"content-encoding"].lower() != b"identity":
        raise BadRequestError("a body with a content-encoding is not taken; send it as it is", status_code=415)
    length = -1
    if (text := headers.get(b"content-length")) is not None:
        if not text.isdigit():
            raise BadRequestError("content-length is not a number")
        length = int(text)
        if length > limit:
            raise _too_large(limit)
        if length == 0:
            return b""
    elif headers.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
        # No server undoes another one: what is packed would be taken for what it packs.
        raise BadRequestError("a body with another transfer-encoding than chunked is not taken")
    message = await receive()
    body: bytes = message.get("body", b"")
    size = len(body)
    if size == length or (message["type"] == "http.request" and not message.get("more_body")):
        if size > limit:
            raise _too_large(limit)
        return body
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _rest(receive, message, length, limit)
    except TimeoutError:
        raise RequestTimeout from None


async def _rest(receive: Receive, message: dict[str, Any], length: int, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while True:
        if message["type"] == "http.disconnect":
            raise Left
        piece = message.get("body", b"")
        size += len(piece)
        if size > limit:
            raise _too_large(limit)
        pieces.append(piece)
        if size == length or not message.get("more_body"):
            return b"".join(pieces)
        message = await receive()


def _too_large(limit: int) -> RequestTooLarge:
    return RequestTooLarge(f"the request's body is larger than {limit / (1 << 20):g} MiB, which is the limit here")
