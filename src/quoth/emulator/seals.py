"""What a provider signs so that it can know it again: thinking, and reasoning that only it can read.

A seal is the text's fingerprint in base64. It says nothing, cannot be made up by accident, and is checked without
anything being remembered.
"""

from __future__ import annotations

import base64
import hashlib

__all__ = ["holds", "seal"]

_SECRET = b"quoth emulator"
_LENGTH = 260  # bytes: a signature of about 350 characters, as the shortest recorded


def seal(kind: str, text: str) -> str:
    """The seal of `text`; `kind` tells apart what it is for."""
    sealed = b"\0".join((_SECRET, kind.encode(), text.encode("utf-8", "replace")))
    return base64.b64encode(hashlib.shake_256(sealed).digest(_LENGTH)).decode()


def holds(kind: str, text: str, given: str) -> bool:
    """Whether a seal was made here for this text."""
    return given == seal(kind, text)
