"""`POST /v1/responses`: OpenAI's newer API, for any model. Answers are kept nowhere, so what refers to one is refused.

Source: OpenAI's API reference, responses.
"""

from __future__ import annotations

from quoth.errors import NotFoundError
from quoth.gateway.asked import asked
from quoth.gateway.dialects import RESPONSES
from quoth.gateway.entries import split
from quoth.gateway.receiving import received
from quoth.gateway.request import Request
from quoth.gateway.surfaces.chat import answer

__all__ = ["kept", "responses"]


async def responses(request: Request) -> None:
    body = await received(request)
    if body is None:
        return
    await answer(request, asked(split(body), body, listed="input"), RESPONSES)


async def kept(request: Request) -> None:
    """An answer that was given before."""
    raise NotFoundError(
        "answers are kept neither here nor by the provider; send the conversation so far as `input`",
        code="not_found_error",
    )
