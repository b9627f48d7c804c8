"""`POST /v1/messages` and `/v1/messages/count_tokens`: Anthropic's API, for any model.

Source: Anthropic's API reference, messages.
"""

from __future__ import annotations

import msgspec

from quoth.gateway.asked import asked
from quoth.gateway.dialects import MESSAGES
from quoth.gateway.entries import opened, split
from quoth.gateway.receiving import received
from quoth.gateway.request import Request
from quoth.gateway.surfaces.chat import answer
from quoth.providers.tokens import estimated
from quoth.wire.wires import wire_named

__all__ = ["count_tokens", "messages"]


async def messages(request: Request) -> None:
    body = await received(request)
    if body is None:
        return
    await answer(request, asked(split(body), body), MESSAGES)


async def count_tokens(request: Request) -> None:
    """An estimate: Poe has no such route, and no vocabulary is public."""
    body = await received(request)
    if body is None:
        return
    generation, x = request.generation, request.x
    call = asked(split(body), body)
    x.model = call.model
    x.known_model = generation.known(generation.group(call.model))
    chat, _ = wire_named(MESSAGES.wire).to_chat({name: opened(call.entries, name) for name in call.entries})
    tokens = estimated(chat.get("messages") or (), chat.get("tools"))
    await request.out.json(msgspec.json.encode({"input_tokens": tokens}), [(b"x-quoth-warnings", b"estimated")])
