"""A plain text that a simple regular expression matches: literals, classes, groups, alternatives, repeats."""

from __future__ import annotations

import re

__all__ = ["example"]

_LONGEST = 100_000
_CLASSES = {"d": "0", "w": "a", "s": " ", "D": "a", "W": "-", "S": "a"}
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r"}
_REPEAT = re.compile(r"\{(\d+)(?:,\d*)?\}")


def example(pattern: str) -> str | None:
    """A text that `pattern` finds, or None when the pattern is beyond this little grammar."""
    try:
        text, end = _alternatives(pattern, 0)
        return text if end == len(pattern) and re.search(pattern, text) else None
    except (IndexError, ValueError, re.error, RecursionError):
        return None


def _alternatives(pattern: str, place: int) -> tuple[str, int]:
    """The first alternative; the others are read over."""
    first, place = _sequence(pattern, place)
    while place < len(pattern) and pattern[place] == "|":
        _, place = _sequence(pattern, place + 1)
    return first, place


def _sequence(pattern: str, place: int) -> tuple[str, int]:
    made = ""
    while place < len(pattern) and pattern[place] not in "|)":
        atom, place = _atom(pattern, place)
        times, place = _times(pattern, place)
        if len(made) + len(atom) * times > _LONGEST:
            raise ValueError("the text is too long")
        made += atom * times
    return made, place


def _atom(pattern: str, place: int) -> tuple[str, int]:
    sign = pattern[place]
    if sign in "^$":
        return "", place + 1
    if sign == ".":
        return "a", place + 1
    if sign == "\\":
        letter = pattern[place + 1]
        if letter in "bBAZ":
            return "", place + 2
        return _CLASSES.get(letter, _ESCAPED.get(letter, letter)), place + 2
    if sign == "[":
        return _class(pattern, place + 1)
    if sign == "(":
        start = place + 1
        if pattern.startswith("?:", start):
            start += 2
        elif pattern.startswith("?P<", start):
            start = pattern.index(">", start) + 1
        elif pattern[start] == "?":
            raise ValueError("look-around is beyond this grammar")
        made, end = _alternatives(pattern, start)
        if pattern[end] != ")":
            raise ValueError("group without an end")
        return made, end + 1
    return sign, place + 1


def _class(pattern: str, place: int) -> tuple[str, int]:
    """One character of a class; for a negated one, the first candidate that the class itself accepts."""
    start = place - 1
    end = place + 1 if pattern[place] in "]^" else place
    if pattern[place] == "^" and pattern[end] == "]":
        end += 1
    while pattern[end] != "]":
        end += 2 if pattern[end] == "\\" else 1
    whole = re.compile(pattern[start : end + 1])
    first = pattern[place]
    candidates = (first if first != "\\" else "") + "aA0-_ .x1b"
    return next(sign for sign in candidates if whole.fullmatch(sign)), end + 1


def _times(pattern: str, place: int) -> tuple[int, int]:
    times = 1
    if place < len(pattern):
        if pattern[place] in "*?":
            times, place = (0, place + 1)
        elif pattern[place] == "+":
            place += 1
        elif found := _REPEAT.match(pattern, place):
            times, place = min(int(found.group(1)), 1_000), found.end()
        if place < len(pattern) and pattern[place] == "?":
            place += 1
    return times, place
