"""An offline Poe: chat completions, models, balance and history as recorded, with faults on demand.

It stands beside the rest of the package and shares facts with it (models, prices), never code that reads or writes a
protocol, so that a mistake made on both sides cannot hide.

    from quoth.emulator import Emulator

    with Emulator() as emulator:
        os.environ["POE_API_BASE"] = emulator.base_url
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quoth.emulator.behaviours import facts
    from quoth.emulator.server import Emulator, serve

__all__ = ["Emulator", "facts", "serve"]


def __getattr__(name: str) -> Any:
    """The public names, loaded when first used: importing the package alone costs nothing."""
    if name == "facts":
        from quoth.emulator.behaviours import facts

        return facts
    if name in ("Emulator", "serve"):
        from quoth.emulator import server

        return getattr(server, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
