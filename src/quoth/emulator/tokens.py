"""A small deterministic stand-in for a tokenizer: text into pieces that join to the same text again.

The pieces are about as long as a real vocabulary's (four letters or so) and give the recorded counts for the recorded
prompts ("Say hello in exactly 3 words" is 7). They also are the steps in which an answer is streamed.
"""

from __future__ import annotations

import re

__all__ = ["count", "pieces"]

_PIECE = re.compile(
    r" (?=\d)|\d{1,3}"  # a number stands apart from the blank before it
    r"| ?(?:[A-Z]?[a-z]{1,12}|[A-Z]{1,4})"  # a word, or the hump of a camelCase name
    r"| ?[\u00c0-\u052f]{1,4}"  # other alphabets with letters of two bytes
    r"| ?[^\w\s]\n*"  # a mark, with the line end that follows it
    r"|\n+|[^\S\n]+?(?=\S|\n|$)"  # blanks up to the next word or line
    r"|.",
    re.DOTALL,
)

# Beyond this many characters a count is the rule of thumb, so that a prompt of many megabytes costs no time.
_COUNTED_EXACTLY = 200_000


def pieces(text: str) -> list[str]:
    """`text` cut into tokens; `"".join(pieces(text)) == text`."""
    return _PIECE.findall(text)


def count(text: str) -> int:
    """How many tokens `text` is."""
    if len(text) > _COUNTED_EXACTLY:
        return len(text) // 4
    return len(_PIECE.findall(text))
