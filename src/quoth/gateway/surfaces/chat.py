"""`POST /v1/chat/completions`: relayed in the protocol in which it came. A model in the path is the one that counts."""

from __future__ import annotations

import time
from collections.abc import Coroutine
from typing import Any

import msgspec

from quoth import errors
from quoth.engine import failures
from quoth.engine.effects import Failed
from quoth.engine.routing import Group
from quoth.gateway.asked import Asked, asked, steering
from quoth.gateway.cache import Plan, Recorder, whole
from quoth.gateway.dialects import CHAT, Surface
from quoth.gateway.entries import placed, split
from quoth.gateway.exchange import Exchange
from quoth.gateway.keepalive import KeepAlive
from quoth.gateway.native import FORWARDED
from quoth.gateway.outgoing import Outgoing, fitting, measured
from quoth.gateway.reading import Events
from quoth.gateway.receiving import received
from quoth.gateway.relay import Got, Relayed
from quoth.gateway.request import Request
from quoth.providers.controls import MOCKS
from quoth.transport.drive import adrive, afinish, failed_of
from quoth.transport.mock import TESTING
from quoth.transport.ports import TransportFailure
from quoth.types import Completion
from quoth.wire.openai_chat import Unreadable, UpstreamError
from quoth.wire.sse import EventTooLarge

__all__ = ["answer", "cache_plan", "chat", "from_cache", "noted", "streamed", "whole_answer"]

_MADE_UP = frozenset((*MOCKS, *TESTING))


async def chat(request: Request) -> None:
    body = await received(request)
    if body is None:
        return
    entries, model = split(body), request.parameter
    await answer(request, asked(entries, body) if not model else asked(placed(entries, model), None))


async def answer(request: Request, call: Asked, surface: Surface = CHAT) -> None:
    """Find who serves the model, and pass call and answer on."""
    app, generation, x = request.app, request.generation, request.x
    x.model, x.stream = call.model, call.stream
    controls = steering(call, x.headers, x.warnings)
    x.tags = controls.tags
    group = generation.group(call.model)
    x.known_model = generation.known(group)
    plan = None if app.cache is None else cache_plan(request, call)
    if plan is not None and await from_cache(request, plan):
        return
    relayed = Relayed(generation, x, call, controls, app.world, surface)
    if app.admission is None:
        await _called(request, group, relayed, plan)
    else:
        async with app.admission.admitted(x):
            await _called(request, group, relayed, plan)


async def _called(request: Request, group: Group, relayed: Relayed, plan: Plan | None) -> None:
    """The call itself, to the last byte of its answer."""
    app, x = request.app, request.x
    keeper = recorder = None
    if x.stream:
        keeper = KeepAlive(request.out, request.generation.settings.quoth.commit_after)
        recorder = app.cache.recorder() if app.cache is not None and plan is not None else None
    try:
        try:
            got = await adrive(relayed.flow(group), relayed.carrier(app.transport))
        finally:
            noted(x, relayed)
        if keeper is None:
            await whole_answer(request, got, plan)
        else:
            # Nothing is awaited in between: from here on it is `streamed` that closes the provider's connection.
            await streamed(request, got, keeper, recorder, plan)
    finally:
        if keeper is not None:
            await keeper.stop()
    if plan is not None and app.cache is not None and whole(x):
        data = got.body if recorder is None else recorder.data
        if data is not None:
            await app.cache.keep(plan, data)


# What a call says of who is to answer it, and so of the answer.
_CHOOSING = ("fallbacks", "disable_fallbacks", "drop_params", "wire")


def cache_plan(request: Request, call: Asked) -> Plan | None:
    """What the cache may do for this call; None: nothing. An answer that nobody gave is kept for nobody."""
    cache, x, said = request.app.cache, request.x, call.steering
    if cache is None or (said and not said.keys().isdisjoint(_MADE_UP)):
        return None
    body: dict[str, Any] = dict(call.entries)
    if "cache" in said:
        body["cache"] = said["cache"]
    vary = [f"{name}={msgspec.json.encode(said[name]).decode()}" for name in _CHOOSING if name in said]
    vary += [f"{name.decode()}={x.headers[name].decode('latin-1')}" for name in FORWARDED if name in x.headers]
    return cache.plan(
        x.surface,
        "" if x.caller is None else x.caller.id,
        call.model,
        body,
        stream=call.stream,
        cache_control=x.headers.get(b"cache-control"),
        vary=(*x.tags, *vary),
    )


async def from_cache(request: Request, plan: Plan) -> bool:
    """Whether there was an answer, which has been sent then."""
    cache, x, out = request.app.cache, request.x, request.out
    stored = None if cache is None else await cache.find(plan)
    if stored is None:
        return False
    x.cache_hit = True
    headers = [(b"x-quoth-cache", b"hit"), (b"x-litellm-cache-key", plan.key.encode())]
    if x.stream:
        await out.begin(headers)
        await out.piece(stored.body, more=False)
        x.bytes_out = len(stored.body)
    else:
        await out.json(stored.body, headers)
    return True


def noted(x: Exchange, relayed: Relayed) -> None:
    journey = relayed.journey
    candidate = x.candidate = journey.candidate or x.candidate
    if candidate is not None and not x.wire:
        x.wire = candidate.target.wire
    x.fallbacks, x.place, x.waited = journey.fallbacks, journey.place, journey.waited
    x.estimated = journey.estimated
    x.upstream_seconds = journey.waited + journey.paused
    for attempt in journey.attempts:
        x.upstream_seconds += attempt.seconds
    if relayed.warnings:
        x.warnings += relayed.warnings


def whole_answer(request: Request, got: Got, plan: Plan | None) -> Coroutine[Any, Any, None]:
    """The sending of it, once what it says of its candidate and its cost is noted."""
    x, candidate = request.x, got.candidate
    tokens = x.tokens
    now = time.monotonic()
    total, said = 0, None
    if tokens is not None:
        said = tokens.completion
        total = (tokens.prompt or 0) + (said or 0)
    seconds = x.attempts[-1].seconds if x.attempts else x.upstream_seconds
    candidate.succeeded(now, None, seconds, total, answer_tokens=said, estimated=x.estimated)
    x.cost = request.generation.price(candidate).cost(tokens)
    headers = fitting(x)
    headers += measured(x, now)
    if plan is not None:
        headers.append((b"x-litellm-cache-key", plan.key.encode()))
    return request.out.json(got.body, headers)


async def streamed(
    request: Request, got: Got, keeper: KeepAlive, recorder: Recorder | None = None, plan: Plan | None = None
) -> None:
    """Pass events on as they come, as fast as the client takes them. Raises StreamInterrupted."""
    x, out, events, candidate = request.x, request.out, got.events, got.candidate
    assert events is not None
    begun = time.monotonic()
    error: errors.QuothError | None = None
    try:
        await keeper.pause()
        if not out.started:
            headers = fitting(x)
            if plan is not None:
                headers.append((b"x-litellm-cache-key", plan.key.encode()))
            await out.begin(headers)
        failed = await _passed_on(x, events, got.reply, out, recorder)
        if not events.complete:
            error = _broken(got, failed)
    finally:
        # Nothing here may wait: cancelled in between, the candidate would be taken for busy for ever.
        out.speaker = None if events.complete else events.speaker()
        x.tokens, x.finish_reason = events.tokens, events.finish_reason
        if error is not None:
            candidate.failed(time.monotonic(), error)
        elif events.complete:
            _succeeded(x, got, begun)
        else:
            candidate.released()
        if got.reply is not None and not out.ended:
            got.reply.reply.close()
        x.warnings += events.warnings
        x.cost = request.generation.price(candidate).cost(x.tokens)
    if error is not None:
        raise error
    if got.reply is not None:
        await afinish(got.reply)


async def _passed_on(
    x: Exchange, events: Events, reply: Any, out: Outgoing, recorder: Recorder | None
) -> Failed | None:
    """Everything up to the end of the stream; what broke it, if it was the connection."""
    pending, size = events.out, 0
    send = out.send
    plain = recorder is None and out.claim is None and type(out) is Outgoing
    try:
        read: Any = None
        waiting: Any = None
        if reply is not None:  # else the events are there already, and end before anything is read
            read, waiting = reply.reply.read, reply.deadline.reading
        while True:
            if plain and len(pending) == 1 and not events.ended:
                # What follows would do, and `piece`, without their calls: this comes once for each event.
                data = pending.pop()
                size += len(data)
                out.busy = True
                out.sent_at = time.monotonic()
                await send({"type": "http.response.body", "body": data, "more_body": True})
                out.busy = False
            elif pending:
                data = pending[0] if len(pending) == 1 else b"".join(pending)
                pending.clear()
                size += len(data)
                if recorder is not None:
                    recorder.feed(data)
                await out.piece(data, not events.complete)
            if events.ended:
                if events.complete and not out.ended:
                    await out.piece(b"", False)
                return None
            waiting()
            piece = await read()
            if piece:
                events.feed(piece)
            else:
                events.eof()
    except TransportFailure as failure:
        return failed_of(failure)
    finally:
        x.bytes_out = size


def _succeeded(x: Exchange, got: Got, begun: float) -> None:
    tokens = x.tokens
    now = time.monotonic()
    total = 0 if tokens is None else (tokens.prompt or 0) + (tokens.completion or 0)
    first = x.attempts[-1].seconds if x.attempts else x.upstream_seconds
    got.candidate.succeeded(
        now,
        first,
        first + now - begun,
        total,
        answer_tokens=tokens.completion if tokens else None,
        estimated=x.estimated,
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
