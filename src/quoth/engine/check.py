"""Is this a call that can be sent? What is wrong is said with its place, before anything is."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from math import isfinite
from typing import Any

from quoth.errors import BadRequestError

__all__ = ["check_params", "messages_of", "plain", "unencodable"]

DEEPEST = 200
MOST_BITS = 1024
MOST_VALUES = 2**20
ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_NUMBER, _INT, _LIST = (int, float), (int,), (list, tuple)
_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "temperature": (_NUMBER, "a number"),
    "top_p": (_NUMBER, "a number"),
    "frequency_penalty": (_NUMBER, "a number"),
    "presence_penalty": (_NUMBER, "a number"),
    "max_tokens": (_INT, "a whole number"),
    "max_completion_tokens": (_INT, "a whole number"),
    "n": (_INT, "a whole number"),
    "top_logprobs": (_INT, "a whole number"),
    "stop": ((str, list, tuple), "a text or a list of texts"),
    "tools": (_LIST, "a list"),
    "tool_choice": ((str, Mapping), "a text or an object"),
    "user": ((str,), "a text"),
    "stream_options": ((Mapping,), "an object"),
    "extra_body": ((Mapping,), "an object"),
    "metadata": ((Mapping,), "an object"),
    "logit_bias": ((Mapping,), "an object"),
}


def _wrong(message: str, where: str) -> BadRequestError:
    return BadRequestError(message, param=where)


def messages_of(messages: Any, *, decoded: bool = False) -> list[dict[str, Any]]:
    """The messages as plain objects. `decoded`: they come out of JSON, so that they are plain already, and are not
    copied. Raises BadRequestError that names the place."""
    if isinstance(messages, str):
        raise _wrong('messages is a text; it has to be a list such as [{"role": "user", "content": "..."}]', "messages")
    if not isinstance(messages, list | tuple):
        raise _wrong(f"messages is {_kind(messages)}; it has to be a list of messages", "messages")
    if not messages:
        raise _wrong("messages is empty; there has to be at least one message", "messages")
    found, count = [], _Count()
    for number, message in enumerate(messages):
        value = message if decoded else _plain(message, f"messages[{number}]", 0, count)
        if not isinstance(value, dict):
            where = f"messages[{number}]"
            raise _wrong(f"{where} is {_kind(message)}; it has to be an object with role and content", where)
        role = value.get("role")
        if role not in ROLES if isinstance(role, str) else True:
            where = f"messages[{number}].role"
            raise _wrong(f"{where} is {role!r}; it has to be one of {', '.join(sorted(ROLES))}", where)
        content = value.get("content")
        if content is not None and not isinstance(content, str):
            _check_content(content, f"messages[{number}].content")
        found.append(value)
    return found


def _check_content(content: Any, where: str) -> None:
    if not isinstance(content, list):
        raise _wrong(f"{where} is {_kind(content)}; it has to be a text or a list of parts", where)
    for number, part in enumerate(content):
        if not isinstance(part, str) and not (isinstance(part, dict) and isinstance(part.get("type"), str)):
            place = f"{where}[{number}]"
            raise _wrong(f'{place} is {_kind(part)}; it has to be an object with a "type"', place)


def check_params(params: Mapping[str, Any]) -> None:
    """The types that OpenAI's API gives its parameters; what a value means is left to the provider."""
    for name, value in params.items():
        expected = _TYPES.get(name)
        if expected is not None and (not isinstance(value, expected[0]) or isinstance(value, bool)):
            raise _wrong(f"{name} is {_kind(value)}; it has to be {expected[1]}", name)


class _Count:
    """How many values there are. A dozen lists that each hold the next one several times may stand for billions, which
    no request could hold."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values = 0

    def add(self, values: int, where: str) -> None:
        self.values += values
        if self.values > MOST_VALUES:
            raise _wrong(f"{where[:80]}… brings the values of the request to more than {MOST_VALUES:,}", where[:80])


def plain(value: Any, where: str) -> Any:
    """The value in plain JSON types: objects with `model_dump` become dicts. Raises BadRequestError that names the
    place of whatever JSON cannot say: NaN, infinity, bytes, other objects, cycles; and of what is too much."""
    return _plain(value, where, 0, _Count())


def _plain(value: Any, where: str, depth: int, count: _Count) -> Any:
    if value is None or type(value) is str or type(value) is bool:
        return value
    if isinstance(value, str | int | float):
        return _scalar(value, where)
    if depth > DEEPEST:
        raise _wrong(f"{where[:80]}… is nested deeper than {DEEPEST} levels, or contains itself", where[:80])
    if isinstance(value, Mapping):
        count.add(len(value), where)
        found = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise _wrong(f"{where} has the key {key!r}; keys have to be texts", where)
            found[key] = _plain(item, f"{where}.{key}", depth + 1, count)
        return found
    if isinstance(value, list | tuple):
        count.add(len(value), where)
        return [_plain(item, f"{where}[{number}]", depth + 1, count) for number, item in enumerate(value)]
    if isinstance(value, Enum):
        return _plain(value.value, where, depth + 1, count)
    dump = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        return _plain(dump(exclude_unset=True), where, depth + 1, count)
    raise _wrong(f"{where} is {_kind(value)}, which JSON cannot say", where)


def _scalar(value: str | int | float, where: str) -> str | int | float:
    """A text or a number as one of Python's own types: subclasses, enums and NumPy's floats among them, say no more."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, float):
        if not isfinite(value):
            raise _wrong(f"{where} is {value}; JSON has no such number", where)
        return float.__float__(value)
    if value.bit_length() > MOST_BITS:
        raise _wrong(f"{where} is a number of {value.bit_length()} bits; nobody reads more than {MOST_BITS}", where)
    return value if isinstance(value, bool) else int.__index__(value)


def unencodable(value: Any, where: str, what: str = "") -> BadRequestError | None:
    """The error for the first text that has no UTF-8 form (a lone surrogate), or None. `what` is said in place of
    `where`."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            surrogate = f"the lone surrogate {value[error.start]!r} at position {error.start}"
            return _wrong(f"{what or where} has {surrogate}; UTF-8 has none", where)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if found := unencodable(key, where, f"a key of {where}") or unencodable(item, f"{where}.{key}"):
                return found
    elif isinstance(value, list):
        for number, item in enumerate(value):
            if found := unencodable(item, f"{where}[{number}]"):
                return found
    return None


def _kind(value: Any) -> str:
    names = {"str": "a text", "dict": "an object", "list": "a list", "NoneType": "None", "bool": f"{value!r}"}
    name = type(value).__name__
    return names.get(name, f"{value!r}" if isinstance(value, int | float) else f"of type {name}")
