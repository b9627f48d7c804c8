"""`POST /v1/responses`: OpenAI's newer API, for any model. Answers are kept nowhere, so what refers to one is refused.

Source: OpenAI's API reference, responses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quoth.errors import NotFoundError
from quoth.gateway.asked import asked
from quoth.gateway.departure import Departure
from quoth.gateway.dialects import RESPONSES
from quoth.gateway.entries import split
from quoth.gateway.exchange import Exchange
from quoth.gateway.generation import Generation
from quoth.gateway.incoming import Receive
from quoth.gateway.outgoing import Outgoing
from quoth.gateway.receiving import received
from quoth.gateway.surfaces.chat import answer

if TYPE_CHECKING:
    from quoth.gateway.app import App

__all__ = ["kept", "responses"]


async def responses(
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
    await answer(app, generation, x, asked(split(body), body, listed="input"), out, RESPONSES)


async def kept(
    app: App,
    generation: Generation,
    x: Exchange,
    parameter: str,
    receive: Receive,
    out: Outgoing,
    departure: Departure,
) -> None:
    """An answer that was given before."""
    raise NotFoundError(
        "answers are kept neither here nor by the provider; send the conversation so far as `input`",
        code="not_found_error",
    )
