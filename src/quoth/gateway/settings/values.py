"""Checks of values: each takes a node and its path, reports what is wrong, and gives the value or UNSET."""

from __future__ import annotations

import difflib
import math
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from msgspec import UNSET

from quoth.gateway.settings.document import Node, plain
from quoth.gateway.settings.problems import Problems, at

__all__ = [
    "Check",
    "anything",
    "boolean",
    "duration",
    "existing",
    "guess",
    "listing",
    "mapping",
    "mapping_of",
    "number",
    "one_of",
    "one_slip",
    "secret",
    "size",
    "text",
    "texts",
    "timeouts",
    "url",
    "whole",
    "writable",
]

Check = Callable[[Node, str, Problems], Any]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, None: 1}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(b|kb|kib|mb|mib|gb|gib)?", re.I)
_BYTES = {"": 1, "b": 1, "kb": 1000, "kib": 1 << 10, "mb": 10**6, "mib": 1 << 20, "gb": 10**9, "gib": 1 << 30}
_TRUTHS = {"true": True, "false": False}


def guess(word: str, known: Iterable[str]) -> str | None:
    """The known word that this one is most likely meant to be; None if none is near."""
    lowered = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower().replace("-", "_"), lowered, n=1, cutoff=0.8)
    if not found:
        found = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.8)
    return lowered[found[0]] if found else None


def one_slip(word: str, meant: str) -> bool:
    """Whether one letter too many, too few, wrong or exchanged makes one of the other."""
    if word == meant:
        return True
    if abs(len(word) - len(meant)) > 1:
        return False
    short, long = sorted((word, meant), key=len)
    start = 0
    while start < len(short) and short[start] == long[start]:
        start += 1
    if len(short) < len(long):
        return short[start:] == long[start + 1 :]
    swapped = short[start : start + 2][::-1] == long[start : start + 2] and short[start + 2 :] == long[start + 2 :]
    return short[start + 1 :] == long[start + 1 :] or swapped


def _wrong(node: Node, path: str, problems: Problems, wanted: str) -> Any:
    if node.value is not None or node.variable is None:  # that a variable is missing has been said
        problems.error(node.place, path, f"it is {_shown(node)}; it has to be {wanted}")
    return UNSET


def _shown(node: Node) -> str:
    """A value for an error's text, by its kind alone where it came from the environment."""
    value = node.value
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "blank"
    if node.variable is not None:
        return f"the value of {node.variable}"
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value if not isinstance(value, str) or len(value) <= 60 else f"{value[:60]}…")


def anything(node: Node, path: str, problems: Problems) -> Any:
    return plain(node)


def text(node: Node, path: str, problems: Problems) -> Any:
    if not isinstance(node.value, str) or not node.value.strip():
        return _wrong(node, path, problems, "a text")
    return node.value.strip()


def secret(node: Node, path: str, problems: Problems) -> Any:
    """A text that no error shows. What is missing from the environment was reported when it was looked for."""
    if node.value is None and node.variable is not None:
        return UNSET
    if not isinstance(node.value, str):
        problems.error(node.place, path, "it has to be a text; put quotation marks around it")
        return UNSET
    value = node.value.strip()
    if not (value.isascii() and value.isprintable()):
        problems.error(node.place, path, "it has characters that no HTTP header can carry; was a line break copied?")
        return UNSET
    return value or UNSET


def boolean(node: Node, path: str, problems: Problems) -> Any:
    if isinstance(node.value, bool):
        return node.value
    if isinstance(node.value, str) and node.value.lower() in _TRUTHS:
        return _TRUTHS[node.value.lower()]
    return _wrong(node, path, problems, "true or false")


def _number(node: Node) -> float | int | None:
    """Numbers from the environment are texts."""
    value = node.value
    if isinstance(value, str):
        try:
            value = int(value)
        except ValueError:
            try:
                value = float(value)
            except ValueError:
                return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def number(low: float = 0, high: float | None = None, *, above: bool = False) -> Check:
    """`above`: the lowest value itself is not allowed."""
    least = f"above {low:g}" if above else f"{low:g} or more" if high is None else f"from {low:g} to {high:g}"

    def check(node: Node, path: str, problems: Problems) -> Any:
        value = _number(node)
        if value is None or value < low or (above and value == low) or (high is not None and value > high):
            return _wrong(node, path, problems, f"a number, {least}")
        return value

    return check


def whole(low: int = 0, high: int | None = None) -> Check:
    least = f"{low:,} or more" if high is None else f"from {low:,} to {high:,}"

    def check(node: Node, path: str, problems: Problems) -> Any:
        value = _number(node)
        if value is None or value != int(value) or value < low or (high is not None and value > high):
            return _wrong(node, path, problems, f"a whole number, {least}")
        return int(value)

    return check


def duration(low: float = 0, *, above: bool = False) -> Check:
    """Seconds, or a text such as "500ms", "30s", "2m", "1h" or "7d"; the value is in seconds."""

    def check(node: Node, path: str, problems: Problems) -> Any:
        value = _number(node)
        if value is None and isinstance(node.value, str):
            found = _DURATION.fullmatch(node.value.strip())
            value = float(found[1]) * _SECONDS[found[2]] if found else None
        if value is None or value < low or (above and value == low):
            least = f", {'above' if above else 'at least'} {low:g} s" if low or above else ""
            return _wrong(node, path, problems, f'seconds, or a text such as "30s", "2m" or "24h"{least}')
        return float(value)

    return check


def timeouts(node: Node, path: str, problems: Problems) -> Any:
    """Seconds for the whole call, or a mapping of connect, first, idle and total."""
    check = duration(above=True)
    if isinstance(node.value, dict):
        return mapping_of(check, ("connect", "first", "idle", "total"))(node, path, problems)
    return check(node, path, problems)


def size(node: Node, path: str, problems: Problems) -> Any:
    """Bytes, or a text such as "32MiB"; the value is in bytes."""
    value = _number(node)
    if value is None and isinstance(node.value, str):
        found = _SIZE.fullmatch(node.value.strip())
        value = float(found[1]) * _BYTES[(found[2] or "").lower()] if found else None
    if value is None or value < 1:
        return _wrong(node, path, problems, 'bytes, or a text such as "32MiB"')
    return int(value)


def one_of(*words: str) -> Check:
    def check(node: Node, path: str, problems: Problems) -> Any:
        if node.value in words:
            return node.value
        near = guess(node.value, words) if isinstance(node.value, str) else None
        return _wrong(node, path, problems, f"one of {', '.join(words)}" + (f"; did you mean {near}?" if near else ""))

    return check


def listing(item: Check) -> Check:
    def check(node: Node, path: str, problems: Problems) -> Any:
        if not isinstance(node.value, list):
            return _wrong(node, path, problems, "a list")
        found = [item(value, at(path, number), problems) for number, value in enumerate(node.value)]
        return [value for value in found if value is not UNSET]

    return check


def texts(node: Node, path: str, problems: Problems) -> Any:
    """A list of texts; one text alone is a list of one."""
    if isinstance(node.value, str) and node.value.strip():
        return [node.value.strip()]
    if not isinstance(node.value, list):
        return _wrong(node, path, problems, "a list of texts")
    return listing(text)(node, path, problems)


def mapping(node: Node, path: str, problems: Problems) -> Any:
    if not isinstance(node.value, dict):
        return _wrong(node, path, problems, "a mapping of names to values")
    return plain(node)


def mapping_of(item: Check, names: Iterable[str] = ()) -> Check:
    """A mapping whose values pass a check, and whose keys are some of `names` if there are any."""
    known = tuple(names)

    def check(node: Node, path: str, problems: Problems) -> Any:
        if not isinstance(node.value, dict):
            return _wrong(node, path, problems, "a mapping of names to values")
        found = {}
        for name, value in node.entries.items():
            if known and name not in known:
                near = guess(name, known)
                more = f"; did you mean {near}?" if near else f"; there are {', '.join(known)}"
                problems.error(value.key, at(path, name), f"{name} is not known here{more}")
                continue
            found[name] = item(value, at(path, name), problems)
        return {name: value for name, value in found.items() if value is not UNSET}

    return check


def existing(node: Node, path: str, problems: Problems) -> Any:
    """The path of a file or folder that exists; a relative one is meant from the file that names it."""
    value = text(node, path, problems)
    if value is UNSET:
        return UNSET
    file = Path(node.place.file or "").parent / value
    if not file.exists():
        problems.error(node.place, path, f"there is no file {str(file)!r}")
        return UNSET
    return str(file)


def writable(node: Node, path: str, problems: Problems) -> Any:
    """The path of a file to write to, in a folder that exists; a relative one is meant from the file that names it."""
    value = text(node, path, problems)
    if value is UNSET:
        return UNSET
    file = Path(node.place.file or "").parent / value
    if not file.parent.is_dir():
        problems.error(node.place, path, f"there is no folder {str(file.parent)!r}")
    elif file.is_dir():
        problems.error(node.place, path, f"{str(file)!r} is a folder")
    elif not os.access(file if file.exists() else file.parent, os.W_OK):
        problems.error(node.place, path, f"{str(file)!r} may not be written to")
    else:
        return str(file)
    return UNSET


def url(node: Node, path: str, problems: Problems) -> Any:
    """A base URL: https://host/v1. A user or password in it is refused; they would be shown in logs."""
    if not isinstance(node.value, str):
        return _wrong(node, path, problems, "a URL such as https://host/v1")
    value = node.value.strip()
    try:
        parts = urlsplit(value)
        plain_url = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        plain_url = False
        parts = None
    if parts is not None and (parts.username is not None or parts.password is not None):
        problems.error(node.place, path, "a URL with a user or a password in it is not allowed; use api_key")
        return UNSET
    if parts is None or not plain_url or parts.query or parts.fragment or any(char.isspace() for char in value):
        return _wrong(node, path, problems, "a URL such as https://host/v1, without query or fragment")
    return value.rstrip("/")
