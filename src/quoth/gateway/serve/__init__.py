"""The process side of the gateway: one parent that owns the socket and the signals, and workers that answer.

    parent    binds once, starts workers, replaces those that end, hands out settings, drains; builds no client
    loading   reads and judges the settings in a process of its own, so that the parent stays small
    worker    one event loop, one application, one HTTP server (granian or uvicorn)
    messages  what parent and worker say to each other, over a pair of sockets that only they have

Settings travel as a message: no secret is on a disk, in an argument or in a variable that was not there before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quoth.gateway.serve.parent import serve
    from quoth.gateway.serve.plan import Plan

__all__ = ["Plan", "serve"]


def __getattr__(name: str) -> Any:
    """The public names, loaded when first used: a worker never loads its parent."""
    if name == "Plan":
        from quoth.gateway.serve.plan import Plan

        return Plan
    if name == "serve":
        from quoth.gateway.serve.parent import serve

        return serve
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
