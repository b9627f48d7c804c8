"""What this server is, for people and for programs."""

from __future__ import annotations

import msgspec

from quoth._version import __version__
from quoth.gateway.request import Request

__all__ = ["home", "openapi"]


async def home(request: Request) -> None:
    about = {
        "name": "Quoth",
        "version": __version__,
        "chat": "POST /v1/chat/completions",
        "models": "GET /v1/models",
        "health": "GET /health/readiness",
        "metrics": "GET /metrics",
        "openapi": "GET /openapi.json",
    }
    await request.out.json(msgspec.json.encode(about))


async def openapi(request: Request) -> None:
    from quoth.gateway.openapi import document

    generation = request.generation
    guarded = generation.master is not None
    body = request.app.kept(generation, "openapi", lambda: msgspec.json.encode(document(guarded=guarded)))
    await request.out.json(body)
