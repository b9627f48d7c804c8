"""`POST /v1/messages` and `/v1/messages/count_tokens`: Anthropic's API, for any model.

Source: Anthropic's API reference, messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from quoth.gateway.asked import asked
from quoth.gateway.departure import Departure
from quoth.gateway.dialects import MESSAGES
from quoth.gateway.entries import opened, split
from quoth.gateway.exchange import Exchange
from quoth.gateway.generation import Generation
from quoth.gateway.incoming import Receive
from quoth.gateway.outgoing import Outgoing
from quoth.gateway.receiving import received
from quoth.gateway.surfaces.chat import answer
from quoth.providers.tokens import estimated
from quoth.wire.wires import wire_named

if TYPE_CHECKING:
    from quoth.gateway.app import App

__all__ = ["count_tokens", "messages"]


async def messages(
    app: App,
    generation: Generation,
    x: Exchange,
    parameter: str,
    receive: Receive,
    out: Outgoing,
    departure: Departure,
) -> None:
    body = await received(app, x, receive, out, departure, generation.settings.server.json_limit, parameter)
    if body is None:
        return
    await answer(app, generation, x, asked(split(body), body), out, MESSAGES)


async def count_tokens(
    app: App,
    generation: Generation,
    x: Exchange,
    parameter: str,
    receive: Receive,
    out: Outgoing,
    departure: Departure,
) -> None:
    """An estimate: Poe has no such route, and no vocabulary is public."""
    body = await received(app, x, receive, out, departure, generation.settings.server.json_limit, parameter)
    if body is None:
        return
    call = asked(split(body), body)
    x.model = call.model
    x.known_model = generation.known(generation.group(call.model))
    chat, _ = wire_named(MESSAGES.wire).to_chat({name: opened(call.entries, name) for name in call.entries})
    tokens = estimated(chat.get("messages") or (), chat.get("tools"))
    await out.json(msgspec.json.encode({"input_tokens": tokens}), [(b"x-quoth-warnings", b"estimated")])
