"""`POST /v1/chat/completions`: relayed in the protocol in which it came."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from quoth import errors
from quoth.engine import failures
from quoth.engine.effects import Failed
from quoth.gateway.asked import Asked, asked, steering
from quoth.gateway.departure import Departure
from quoth.gateway.entries import split
from quoth.gateway.exchange import Exchange
from quoth.gateway.generation import Generation
from quoth.gateway.incoming import Receive, body_of
from quoth.gateway.keepalive import KeepAlive
from quoth.gateway.outgoing import Header, Outgoing, fitting
from quoth.gateway.relay import Got, Relayed
from quoth.transport.drive import adrive, afinish, aread
from quoth.types import Completion
from quoth.wire.openai_chat import Unreadable, UpstreamError
from quoth.wire.sse import EventTooLarge

if TYPE_CHECKING:
    from quoth.gateway.app import App

__all__ = ["answer", "chat", "streamed"]


async def chat(
    app: App,
    generation: Generation,
    x: Exchange,
    parameter: str,
    receive: Receive,
    out: Outgoing,
    departure: Departure,
) -> None:
    body = await body_of(receive, x.headers, generation.settings.server.json_limit)
    departure.watch()
    x.bytes_in = len(body)
    call = asked(split(body), body)
    await answer(app, generation, x, call, out)


async def answer(app: App, generation: Generation, x: Exchange, call: Asked, out: Outgoing) -> None:
    """Find who serves the model, and pass call and answer on."""
    x.model, x.stream = call.model, call.stream
    controls = steering(call, x.headers, x.warnings)
    x.tags = controls.tags
    group = generation.group(call.model)
    relayed = Relayed(generation, x, call, controls, app.world)
    keeper = KeepAlive(out, generation.settings.quoth.commit_after) if call.stream else None
    try:
        got = await adrive(relayed.flow(group), app.transport)
    finally:
        _noted(x, relayed)
        if keeper is not None:
            await keeper.pause()
    if keeper is None:
        await _whole(generation, x, got, out)
    else:
        await streamed(generation, x, got, out, keeper)


def _noted(x: Exchange, relayed: Relayed) -> None:
    journey = relayed.journey
    x.candidate = journey.candidate or x.candidate
    x.fallbacks, x.place, x.waited = journey.fallbacks, journey.place, journey.waited
    x.upstream_seconds = journey.waited
    for attempt in journey.attempts:
        x.upstream_seconds += attempt.seconds
    if relayed.warnings:
        x.warnings += relayed.warnings


async def _whole(generation: Generation, x: Exchange, got: Got, out: Outgoing) -> None:
    candidate, tokens = got.candidate, x.tokens
    now = time.monotonic()
    total = 0 if tokens is None else (tokens.prompt or 0) + (tokens.completion or 0)
    candidate.succeeded(now, None, x.upstream_seconds, total, answer_tokens=tokens.completion if tokens else None)
    cost = x.cost = generation.price(candidate).cost(tokens)
    headers = fitting(x)
    if cost is not None and cost.usd is not None:
        headers.append((b"x-quoth-cost-usd", f"{cost.usd:f}".encode()))
    headers.append((b"x-quoth-overhead-ms", b"%.3f" % ((now - x.started - x.upstream_seconds) * 1e3)))
    await out.json(got.body, headers)


async def streamed(generation: Generation, x: Exchange, got: Got, out: Outgoing, keeper: KeepAlive) -> None:
    """Pass events on as they come, as fast as the client takes them. Raises StreamInterrupted."""
    events, candidate = got.events, got.candidate
    assert events is not None
    begun = time.monotonic()
    if not out.started:
        headers: list[Header] = fitting(x)
        await out.begin(headers)
    pending, reply = events.out, got.reply
    failed: Failed | None = None
    settled = False
    try:
        while True:
            if pending:
                data = pending[0] if len(pending) == 1 else b"".join(pending)
                pending.clear()
                await out.piece(data, more=not events.complete)
            if events.ended:
                break
            piece: Any = await aread(reply)
            if piece.__class__ is Failed:
                failed = piece
                break
            if piece:
                events.feed(piece)
            else:
                events.eof()
        x.tokens, x.finish_reason = events.tokens, events.finish_reason
        if events.warnings:
            x.warnings += events.warnings
        settled = True
        if events.complete:
            if not out.ended:
                await out.piece(b"", more=False)
            _succeeded(generation, x, got, begun)
            await _finish(reply)
            return
        error = _broken(got, failed)
        candidate.failed(time.monotonic(), error)
        raise error
    finally:
        await keeper.stop()
        if not settled:
            x.tokens, x.finish_reason = events.tokens, events.finish_reason
            candidate.released()
        if reply is not None and not events.complete:
            reply.reply.close()
        if x.cost is None:
            x.cost = generation.price(candidate).cost(x.tokens)


async def _finish(reply: Any) -> None:
    if reply is not None:
        await afinish(reply)


def _succeeded(generation: Generation, x: Exchange, got: Got, begun: float) -> None:
    tokens = x.tokens
    now = time.monotonic()
    total = 0 if tokens is None else (tokens.prompt or 0) + (tokens.completion or 0)
    got.candidate.succeeded(
        now,
        x.upstream_seconds,
        x.upstream_seconds + now - begun,
        total,
        answer_tokens=tokens.completion if tokens else None,
    )


def _broken(got: Got, failed: Failed | None) -> errors.QuothError:
    """The error of a stream that did not come to its end."""
    events, target = got.events, got.candidate.target
    assert events is not None
    failure = events.failure
    if failed is not None:
        if failed.kind == "timeout":
            return failures.from_failure(target, failed, streaming=True, makes_media=False)
        why = failed.message
    elif isinstance(failure, UpstreamError):
        return failures.in_answer(target, failure, events.headers)
    elif isinstance(failure, Unreadable | EventTooLarge):
        why = f"what came cannot be read: {failure}"
    else:
        why = "the connection was closed before the answer was finished"
    return failures.interrupted(target, why, Completion(), events.headers)
