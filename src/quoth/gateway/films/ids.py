"""The id of a film: who can be asked about it, and who may, signed, so that any replica can answer and no other caller
can.

The key is made of the master key, which all replicas share.
"""

from __future__ import annotations

import base64
import hmac
from hashlib import sha256

import msgspec

from quoth.errors import NotFoundError

__all__ = ["FilmId", "read", "written"]

_PURPOSE = b"quoth: ids of films"
_MAC = 16


class FilmId(msgspec.Struct, frozen=True, array_like=True):
    """`group` is the name under which the model was called, `own` the provider's id, or that of a job here; then `host`
    is where it runs and `started` when it began, in Unix seconds."""

    caller: str
    group: str
    deployment: str
    own: str
    host: str = ""
    started: int = 0


def written(film: FilmId, master: bytes | None) -> str:
    inner = msgspec.msgpack.encode(film)
    return f"video_{base64.urlsafe_b64encode(_mac(inner, master) + inner).decode().rstrip('=')}"


def read(text: str, master: bytes | None, caller: str) -> FilmId:
    """Raises NotFoundError for an id that was not made here, or not for this caller."""
    try:
        sealed = base64.urlsafe_b64decode(text.removeprefix("video_") + "=" * (-len(text.removeprefix("video_")) % 4))
        inner = sealed[_MAC:]
        if hmac.compare_digest(sealed[:_MAC], _mac(inner, master)):
            film = msgspec.msgpack.decode(inner, type=FilmId)
            if hmac.compare_digest(film.caller.encode(), caller.encode()):
                return film
    except (ValueError, msgspec.DecodeError):
        pass
    raise unknown()


def unknown() -> NotFoundError:
    """The same for a film that never was and for one of somebody else."""
    return NotFoundError("there is no such video", code="not_found_error", param="video_id")


def _mac(inner: bytes, master: bytes | None) -> bytes:
    key = hmac.digest(master or b"", _PURPOSE, sha256)
    return hmac.digest(key, inner, sha256)[:_MAC]
