"""About how many tokens a text has, without a vocabulary: words, numbers, punctuation and scripts are counted the way
byte-pair vocabularies usually cut them. For English within about a tenth, for code and other scripts within about a
fifth."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from quoth.types import walk_text

__all__ = ["counted", "estimate", "estimated"]

# Each piece is one alternative; what a token of it is worth in characters stands beside it below.
_PIECES = re.compile(
    r"(?P<han>[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff])"
    r"|(?P<latin> ?[A-Za-z\u00c0-\u024f]+(?:'[a-z]{1,2})?)"
    r"|(?P<number> ?\d+)"
    r"|(?P<space>\s+)"
    r"|(?P<letters> ?[^\W\d_]+)"
    r"|(?P<marks> ?[^\w\s]+|_+)"
)
_PER_MESSAGE = 3
_PER_REPLY = 3
_PER_IMAGE = 255


def estimate(text: str) -> int:
    """Tokens of one text."""
    tokens = 0.0
    for piece in _PIECES.finditer(text):
        kind, length = piece.lastgroup, len(piece.group().lstrip(" "))
        if kind == "latin":
            tokens += 1 if length <= 8 else length / 5
        elif kind == "number":
            tokens += (length + 2) // 3 + (piece.group()[0] == " ")
        elif kind == "space":
            tokens += 1 if "\n" in piece.group() or length > 1 else 0.2
        elif kind == "letters":
            tokens += max(1, length / 2.5)
        else:
            tokens += max(1, length / 2)
    return max(1, round(tokens)) if text else 0


def counted(
    messages: Iterable[Mapping[str, Any]], count: Callable[[str], int], *, bare: bool = False
) -> tuple[int, bool]:
    """Tokens of messages by what `count` says of each text, and whether all of it was text. A picture counts 255.
    `bare` leaves out what a conversation adds around each message."""
    given = list(messages)
    exact = True
    total = sum(map(count, walk_text(given)))
    for message in given:
        total += 0 if bare else _PER_MESSAGE
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            if isinstance(part, dict) and part.get("type") not in ("text", None):
                total += _PER_IMAGE
                exact = False
        for call in message.get("tool_calls") or ():
            total += count(msgspec.json.encode(call).decode())
    return total + (0 if bare else _PER_REPLY), exact


def estimated(messages: Iterable[Mapping[str, Any]], tools: Any = None) -> int:
    """About how many tokens a conversation has, with the tools given along."""
    total, _ = counted(messages, estimate)
    return total + (estimate(msgspec.json.encode(tools).decode()) if tools else 0)
