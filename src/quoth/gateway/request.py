"""What the handler of a request is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from quoth.gateway.departure import Departure
from quoth.gateway.exchange import Exchange
from quoth.gateway.generation import Generation
from quoth.gateway.incoming import Receive
from quoth.gateway.outgoing import Outgoing

if TYPE_CHECKING:
    from quoth.gateway.app import App

__all__ = ["Request"]


class Request(Struct, frozen=True, eq=False):
    """One request: what is known of it (`x`), where its answer goes (`out`), whose body comes by `receive`.
    `generation` stays the one that was in force when it came. `parameter`: what stands in the place that its route
    leaves open, such as a model's name; "" for none. `departure` watches the client from when a handler says so."""

    app: App
    generation: Generation
    x: Exchange
    parameter: str
    receive: Receive
    out: Outgoing
    departure: Departure
