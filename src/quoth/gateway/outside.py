"""The one way to what is at an address that a caller gave or that stands in an answer.

To hosts of the public internet alone, at the address that was looked at; no redirects; a largest size, a longest time;
of the kind that was said; nothing that says who is calling. Only where a provider itself serves what it made, at its
own host and port, is that host taken as it is.
"""

from __future__ import annotations

import time
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from quoth.errors import BadGatewayError, BadRequestError, QuothError
from quoth.media import Kind
from quoth.transport.download import Download, adownloaded

if TYPE_CHECKING:
    from quoth.gateway.app import App

__all__ = ["fetched", "is_of"]

_SECONDS = 120.0
_IN_MEMORY = 4 << 20


async def fetched(
    app: App, url: str, kind: Kind, limit: int, *, provider_url: str = "", param: str | None = None
) -> tuple[bytes, str]:
    """The bytes, and their media type. `provider_url`: the base URL of the provider in whose answer the address stands.
    Raises QuothError; BadRequestError for an address that leads into a private network."""
    transport: Any = app.transport if is_of(url, provider_url) else app.outside
    with SpooledTemporaryFile(_IN_MEMORY) as file:
        download = Download(
            checked(url, param),
            kind=kind,
            sink=file,  # type: ignore[arg-type]
            max_bytes=limit,
            end=time.monotonic() + _SECONDS,
            follows=False,
            param=param,
        )
        try:
            await adownloaded(download, transport)
        except QuothError as error:
            raise _blamed(error, param) from None
        file.seek(0)
        return file.read(), download.content_type


def _blamed(error: QuothError, param: str | None) -> QuothError:
    """An address that a caller gave is the caller's; one in an answer is the provider's."""
    if param is not None:
        return BadRequestError(error.message, param=param)
    return BadGatewayError(
        f"what was made could not be fetched: {error.message}", code="bad_upstream_response", status_code=502
    )


def checked(url: str, param: str | None = None) -> str:
    """The address, if it is one of http or https without a name and a password in it. Raises BadRequestError."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
        parts.port  # noqa: B018  that it is a number
    except ValueError:
        usable = False
    if not usable or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise BadRequestError(f"{url[:200]!r} is no address that can be fetched", param=param)
    return url


def is_of(url: str, provider_url: str) -> bool:
    """True for an address at the very host and port of the provider."""
    if not provider_url:
        return False
    try:
        one, other = urlsplit(url), urlsplit(provider_url)
        return (one.scheme, one.hostname, one.port) == (other.scheme, other.hostname, other.port)
    except ValueError:
        return False
