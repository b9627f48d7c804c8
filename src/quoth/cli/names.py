"""Which model a command means."""

from __future__ import annotations

import os

__all__ = ["DEFAULT_MODEL", "model_name"]

# Takes text and pictures, calls tools, does not reason (so a small max_tokens is all answer), and is among the cheapest
# of the list of 1 April 2026: 0.09 / 0.36 USD for 1 million tokens. A test holds it against the shipped catalogue.
DEFAULT_MODEL = "poe/GPT-4.1-nano"


def model_name(given: str | None) -> str:
    """The name to call: that given, else QUOTH_MODEL's, else a cheap Poe model. A bare name of a Poe model is Poe's."""
    name = (given or "").strip() or os.environ.get("QUOTH_MODEL", "").strip() or DEFAULT_MODEL
    if "/" not in name:
        from quoth.providers.catalogue import shipped

        if shipped().get(name) is not None:
            return f"poe/{name}"
    return name
