"""What this server is, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from quoth._version import __version__
from quoth.gateway.departure import Departure
from quoth.gateway.exchange import Exchange
from quoth.gateway.generation import Generation
from quoth.gateway.incoming import Receive
from quoth.gateway.outgoing import Outgoing

if TYPE_CHECKING:
    from quoth.gateway.app import App

__all__ = ["home", "openapi"]


async def home(
    app: App,
    generation: Generation,
    x: Exchange,
    parameter: str,
    receive: Receive,
    out: Outgoing,
    departure: Departure,
) -> None:
    about = {
        "name": "Quoth",
        "version": __version__,
        "chat": "POST /v1/chat/completions",
        "models": "GET /v1/models",
        "health": "GET /health/readiness",
        "metrics": "GET /metrics",
        "openapi": "GET /openapi.json",
    }
    await out.json(msgspec.json.encode(about))


async def openapi(
    app: App,
    generation: Generation,
    x: Exchange,
    parameter: str,
    receive: Receive,
    out: Outgoing,
    departure: Departure,
) -> None:
    from quoth.gateway.openapi import document

    guarded = generation.master is not None
    body = app.kept(generation, "openapi", lambda: msgspec.json.encode(document(guarded=guarded)))
    await out.json(body)
