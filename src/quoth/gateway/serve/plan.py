"""What `quoth serve` was asked for, before any setting has been read."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["APPLICATION", "SETTINGS", "Plan", "Server"]

Server = Literal["granian", "uvicorn"]

# `MODULE:NAME` of the class that answers, and the module with `load`, `pack` and `unpack`. Tests name others.
APPLICATION = "quoth.gateway.app:App"
SETTINGS = "quoth.gateway.serve.given"


class Plan(msgspec.Struct, frozen=True):
    """`given` are the values of the command line (host, port, workers, certificate, key), which win over the file's.

    `recycle_above` is the resident size of a worker, in MB, above which it is replaced between two requests of its
    clients; 0 is never.
    """

    file: str | None = None
    given: dict[str, str | int] = {}
    strict: bool = False
    server: Server = "granian"
    recycle_above: int = 0
    application: str = APPLICATION
    settings: str = SETTINGS
