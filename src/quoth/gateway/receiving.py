"""The body of a request that is executed at most once, by a client that may go away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from quoth.errors import BadRequestError
from quoth.gateway.departure import Departure
from quoth.gateway.entries import split
from quoth.gateway.exchange import Exchange
from quoth.gateway.forms import Form, received_form
from quoth.gateway.idempotency import Replay, digest
from quoth.gateway.incoming import Receive, body_of
from quoth.gateway.outgoing import Outgoing

if TYPE_CHECKING:
    from quoth.gateway.app import App

__all__ = ["received", "received_form_of"]

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
    if not _has_key(app, x):
        departure.watch()
        return await _seen_by_hooks(app, x, body) if app.hooks.wants_request else body
    if not await _is_first(app, x, out, departure, digest(x.method, f"{x.route} {parameter}", body)):
        return None
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


async def received_form_of(
    app: App,
    x: Exchange,
    receive: Receive,
    out: Outgoing,
    departure: Departure,
    limit: int,
    parameter: str = "",
) -> Form | None:
    """The same of a form. Hooks are shown its fields, not its files."""
    form = await received_form(receive, x.headers, limit)
    x.bytes_in = form.size
    try:
        if not _has_key(app, x):
            departure.watch()
        elif not await _is_first(app, x, out, departure, digest(x.method, f"{x.route} {parameter}", form.digest)):
            form.close()
            return None
        if app.hooks.wants_request:
            found = form.plain()
            x.model = str(found.get("model", ""))
            form.changed = await app.hooks.before(x, found)
    except BaseException:
        form.close()
        raise
    return form


def _has_key(app: App, x: Exchange) -> bool:
    key = x.headers.get(b"idempotency-key")
    return key is not None and app.keys.heeds(_caller(x), key)


def _caller(x: Exchange) -> str:
    return "" if x.caller is None else x.caller.id


async def _is_first(app: App, x: Exchange, out: Outgoing, departure: Departure, seen: bytes) -> bool:
    """Whether the request is to be executed. If not, its result has been sent. Who leaves while it waits for another
    one's result asks for nothing more."""
    departure.watch()
    claimed = await app.keys.claim(_caller(x), x.headers[b"idempotency-key"], seen)
    departure.rest()
    if isinstance(claimed, Replay):
        await _replayed(claimed, out)
        return False
    out.claim = claimed
    return True


async def _replayed(replay: Replay, out: Outgoing) -> None:
    x = out.x
    headers = [(name, value) for name, value in replay.headers if name not in _PER_ANSWER | {b"content-length"}]
    headers.append((b"idempotent-replayed", b"true"))
    await out.whole(replay.status, headers, replay.body)
    x.cache_hit = True
