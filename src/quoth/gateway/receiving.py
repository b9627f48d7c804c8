"""The body of a request that is executed at most once, by a client that may go away."""

from __future__ import annotations

from typing import Any

import msgspec

from quoth.errors import BadRequestError
from quoth.gateway.entries import split
from quoth.gateway.forms import Form, received_form
from quoth.gateway.idempotency import Replay, digest
from quoth.gateway.incoming import body_of
from quoth.gateway.outgoing import Outgoing
from quoth.gateway.request import Request

__all__ = ["received", "received_form_of"]

_PER_ANSWER = frozenset(
    {b"x-request-id", b"x-litellm-call-id", b"date", b"server", b"transfer-encoding", b"connection"}
)


async def received(request: Request, limit: int | None = None) -> bytes | None:
    """The body, of at most `limit` bytes, which is that of JSON where none is given; None where the request has an
    Idempotency-Key whose result is known, which has been sent then.

    From here on a client that leaves ends the call. One that gave a key, and does not stream, does not: it wants the
    result, and will ask for it again. Raises QuothError, Left.
    """
    x = request.x
    if limit is None:
        limit = request.generation.settings.server.json_limit
    body = await body_of(request.receive, x.headers, limit)
    x.bytes_in = len(body)
    if not _has_key(request):
        request.departure.watch()
    elif not await _is_first(request, body):
        return None
    elif b'"stream"' in body:
        request.departure.watch()
    return await _seen_by_hooks(request, body) if request.app.hooks.wants_request else body


async def _seen_by_hooks(request: Request, body: bytes) -> bytes:
    """The body as hooks want it. What they could not read is not sent past them. Raises BadRequestError."""
    split(body)
    try:
        found: dict[str, Any] = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        # Well-formed, so that it could be passed on, and yet not usable: 1e999, or bytes that are no UTF-8.
        raise BadRequestError(f"the request's body is not usable: {wrong}", code="400") from None
    x = request.x
    x.model, x.stream = str(found.get("model", "")), found.get("stream") is True
    changed = await request.app.hooks.before(x, found)
    return body if changed is None else msgspec.json.encode(changed)


async def received_form_of(request: Request, limit: int) -> Form | None:
    """The same of a form. Hooks are shown its fields, not its files."""
    x = request.x
    form = await received_form(request.receive, x.headers, limit)
    x.bytes_in = form.size
    try:
        if not _has_key(request):
            request.departure.watch()
        elif not await _is_first(request, form.digest):
            form.close()
            return None
        if request.app.hooks.wants_request:
            found = form.plain()
            x.model = str(found.get("model", ""))
            form.changed = await request.app.hooks.before(x, found)
    except BaseException:
        form.close()
        raise
    return form


def _has_key(request: Request) -> bool:
    key = request.x.headers.get(b"idempotency-key")
    return key is not None and request.app.keys.heeds(_caller(request), key)


def _caller(request: Request) -> str:
    caller = request.x.caller
    return "" if caller is None else caller.id


async def _is_first(request: Request, body: bytes) -> bool:
    """Whether the request is to be executed. If not, its result has been sent. Who leaves while it waits for another
    one's result asks for nothing more."""
    x = request.x
    seen = digest(x.method, f"{x.route} {request.parameter}", body)
    request.departure.watch()
    claimed = await request.app.keys.claim(_caller(request), x.headers[b"idempotency-key"], seen)
    request.departure.rest()
    if isinstance(claimed, Replay):
        await _replayed(claimed, request.out)
        return False
    request.out.claim = claimed
    return True


async def _replayed(replay: Replay, out: Outgoing) -> None:
    x = out.x
    headers = [(name, value) for name, value in replay.headers if name not in _PER_ANSWER | {b"content-length"}]
    headers.append((b"idempotent-replayed", b"true"))
    await out.whole(replay.status, headers, replay.body)
    x.cache_hit = True
