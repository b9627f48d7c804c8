"""Whether the gateway is alive, ready, and on good terms with its providers; and its metrics. Nothing here calls a
model: health costs nothing."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from quoth._version import __version__
from quoth.engine.routing.candidates import COOLING, CROWDED, READY
from quoth.errors import NotFoundError
from quoth.gateway.metrics import CONTENT_TYPE
from quoth.gateway.request import Request

__all__ = ["health", "liveliness", "metrics", "readiness"]

_STANDINGS = {READY: "ready", CROWDED: "busy", COOLING: "cooling down"}


async def liveliness(request: Request) -> None:
    await request.out.json(b'"I\'m alive!"')


async def readiness(request: Request) -> None:
    draining = request.app.draining
    status = "shutting down" if draining else "healthy"
    body = {"status": status, "db": "Not connected", "quoth_version": __version__}
    await request.out.json(msgspec.json.encode(body), status=503 if draining else 200)


async def health(request: Request) -> None:
    """Deployments as they fared in the calls that were made, and the balance of their keys; LiteLLM's shape."""
    now = time.monotonic()
    good: list[dict[str, Any]] = []
    bad: list[dict[str, Any]] = []
    for candidate in request.generation.routes.candidates():
        standing = candidate.standing(now)
        row = {
            "model": candidate.model,
            "model_name": candidate.deployment.model_name,
            "model_id": candidate.deployment.id,
            "state": _STANDINGS.get(standing, "its key was refused, or has no points left"),
            "points": candidate.key.points,
            "in_flight": candidate.health.in_flight,
        }
        (good if standing < COOLING else bad).append(row)
    body = {
        "healthy_endpoints": good,
        "unhealthy_endpoints": bad,
        "healthy_count": len(good),
        "unhealthy_count": len(bad),
    }
    await request.out.json(msgspec.json.encode(body))


async def metrics(request: Request) -> None:
    if not request.generation.settings.quoth.metrics:
        raise NotFoundError("metrics are switched off: quoth: {metrics: false}", code="not_found_error")
    page = await request.app.metrics_page()
    await request.out.whole(200, [(b"content-type", CONTENT_TYPE.encode())], page)
