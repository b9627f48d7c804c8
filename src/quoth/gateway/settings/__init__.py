"""The gateway's settings: LiteLLM's YAML, what Quoth adds under `quoth:`, and the environment, checked as a whole.

    settings = load("config.yaml", os.environ)      # raises Refused with every problem, each with its place

`Settings` is plain data. The parent process loads it, and hands it to its workers.
"""

from __future__ import annotations

from quoth.gateway.settings.keys import apart, exposure, loopback, weakness
from quoth.gateway.settings.load import load
from quoth.gateway.settings.problems import Problem, Refused
from quoth.gateway.settings.shapes import (
    Cache,
    Entry,
    Idempotency,
    Log,
    Network,
    Pacing,
    Quoth,
    RetryBudget,
    Server,
    Settings,
)

__all__ = [
    "Cache",
    "Entry",
    "Idempotency",
    "Log",
    "Network",
    "Pacing",
    "Problem",
    "Quoth",
    "Refused",
    "RetryBudget",
    "Server",
    "Settings",
    "apart",
    "exposure",
    "load",
    "loopback",
    "weakness",
]
