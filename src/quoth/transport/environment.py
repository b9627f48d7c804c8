"""The one place that reads the environment: when a call is made, never at import."""

from __future__ import annotations

import os
from collections.abc import Mapping

__all__ = ["environment"]


def environment() -> Mapping[str, str]:
    return os.environ
