"""The OpenAPI document of the routes that are served."""

from __future__ import annotations

from typing import Any

__all__ = ["document"]


def document() -> dict[str, Any]:
    return {}
