"""`POST /v1/embeddings`, for providers that have them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from quoth.engine import failures
from quoth.engine.reading import BodyReader
from quoth.engine.routing import Candidate
from quoth.errors import BadRequestError
from quoth.gateway.asked import asked, steering
from quoth.gateway.cache import whole
from quoth.gateway.dialects import EMBEDDINGS
from quoth.gateway.entries import opened, placed, split
from quoth.gateway.receiving import received
from quoth.gateway.relay import Relayed
from quoth.gateway.request import Request
from quoth.gateway.surfaces.chat import cache_plan, from_cache, noted, whole_answer
from quoth.transport.drive import adrive
from quoth.wire.observe import renamed, tokens_of

__all__ = ["embeddings"]


async def embeddings(request: Request) -> None:
    body = await received(request)
    if body is None:
        return
    app, generation, x = request.app, request.generation, request.x
    entries = split(body)
    if request.parameter:
        entries, body = placed(entries, request.parameter), None
    call = asked(entries, body, listed="input")
    call.stream = False
    x.model = call.model
    group = generation.group(call.model)
    x.known_model = generation.known(group)
    for candidate in group.candidates:
        if not candidate.target.row.embeddings:
            title = candidate.target.row.title or candidate.target.provider
            raise BadRequestError(f"{title} has no embeddings", param="model")
    controls = steering(call, x.headers, x.warnings)
    x.tags = controls.tags
    plan = None if app.cache is None else cache_plan(request, call)
    if plan is not None and await from_cache(request, plan):
        return
    relayed = _Embedded(generation, x, call, controls, app.world, EMBEDDINGS)
    async with app.admitted(x):
        try:
            got = await adrive(relayed.flow(group), relayed.carrier(app.transport))
        finally:
            noted(x, relayed)
        await whole_answer(request, got, plan)
    if plan is not None and app.cache is not None and whole(x):
        await app.cache.keep(plan, got.body)


class _Answer(msgspec.Struct):
    data: msgspec.Raw = msgspec.Raw()
    model: msgspec.Raw = msgspec.Raw()
    usage: msgspec.Raw = msgspec.Raw()


class _Embedded(Relayed):
    """The same call, with an answer that is read otherwise."""

    def _mock_answers(self) -> Callable[[Any], Mapping[str, Any]]:
        return self._mock_answer

    def _mock_answer(self, given: Any) -> Mapping[str, Any]:
        vector = given if isinstance(given, list) else [0.0] * 1536
        asked = opened(self.asked.entries, "input")
        # One text, several, one row of token numbers, or several.
        several = isinstance(asked, list) and not all(isinstance(one, int) for one in asked)
        rows = [{"object": "embedding", "index": n, "embedding": vector} for n in range(len(asked) if several else 1)]
        usage = {"prompt_tokens": 10, "total_tokens": 10}
        return {"object": "list", "data": rows, "model": "mock", "usage": usage}

    def _answer(self, candidate: Candidate, reader: BodyReader) -> bytes:
        body = reader.body
        try:
            answer = msgspec.json.decode(body, type=_Answer)
        except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
            raise failures.unreadable(candidate.target, str(wrong), reader.status, reader.headers) from None
        if not answer.data:
            raise failures.unreadable(candidate.target, "no embeddings", reader.status, reader.headers)
        tokens = tokens_of(answer.usage) if answer.usage else None
        if tokens is not None and tokens.completion is None:
            tokens.completion = 0  # there is nothing to write
        self.x.tokens = tokens
        return renamed(body, answer.model, msgspec.json.encode(self.asked.model))
