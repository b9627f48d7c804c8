"""The body of a request that is executed at most once, by a client that may go away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from quoth.errors import BadRequestError
from quoth.gateway.departure import Departure
from quoth.gateway.entries import split
from quoth.gateway.exchange import Exchange
from quoth.gateway.idempotency import Replay, digest
from quoth.gateway.incoming import Receive, body_of
from quoth.gateway.outgoing import Outgoing

if TYPE_CHECKING:
    from quoth.gateway.app import App

__all__ = ["received"]

_PER_ANSWER = frozenset(
    {b"x-request-id", b"x-litellm-call-id", b"date", b"server", b"transfer-encoding", b"connection"}
)


async def received(
    app: App,
    x: Exchange,
    receive: Receive,
    out: Outgoing,
    departure: Departure,
    limit: int,
    parameter: str = "",
) -> bytes | None:
    """The body; None where the request has an Idempotency-Key whose result is known, which has been sent then.

    From here on a client that leaves ends the call. One that gave a key, and does not stream, does not: it wants the
    result, and will ask for it again. Raises QuothError, Left.
    """
    body = await body_of(receive, x.headers, limit)
    x.bytes_in = len(body)
    key = x.headers.get(b"idempotency-key")
    if key is None or not app.keys.enabled:
        departure.watch()
        return await _seen_by_hooks(app, x, body) if app.hooks.wants_request else body
    caller = "" if x.caller is None else x.caller.id
    claimed = await app.keys.claim(caller, key, digest(x.method, f"{x.route} {parameter}", body))
    if isinstance(claimed, Replay):
        await _replayed(claimed, out)
        return None
    out.claim = claimed
    if b'"stream"' in body:
        departure.watch()
    return await _seen_by_hooks(app, x, body) if app.hooks.wants_request else body


async def _seen_by_hooks(app: App, x: Exchange, body: bytes) -> bytes:
    """The body as hooks want it. What they could not read is not sent past them. Raises BadRequestError."""
    split(body)
    try:
        found: dict[str, Any] = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        # Well-formed, so that it could be passed on, and yet not usable: 1e999, or bytes that are no UTF-8.
        raise BadRequestError(f"the request's body is not usable: {wrong}", code="400") from None
    x.model, x.stream = str(found.get("model", "")), found.get("stream") is True
    changed = await app.hooks.before(x, found)
    return body if changed is None else msgspec.json.encode(changed)


async def _replayed(replay: Replay, out: Outgoing) -> None:
    x = out.x
    headers = [(name, value) for name, value in replay.headers if name not in _PER_ANSWER | {b"content-length"}]
    headers.append((b"idempotent-replayed", b"true"))
    await out.whole(replay.status, headers, replay.body)
    x.cache_hit = True
