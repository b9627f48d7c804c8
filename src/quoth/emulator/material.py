"""What a prompt offers for filling in arguments: names, quoted words, numbers, lists, addresses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

__all__ = ["Material"]

_NAME = r"[A-Z][\w'’.-]*\w(?: (?:de|of|la|del|van|von|am|the) (?=[A-Z]))?(?: [A-Z][\w'’-]*)*"
_NAMES_AFTER_PREPOSITION = re.compile(
    rf"\b(?:in|for|at|of|from|to|near|about|between|with)\s+({_NAME}(?:(?:,? and |, | or ){_NAME})*)"
)
_SEPARATOR = re.compile(r",? and |, and |, | or ")
_QUOTED = re.compile(r"\"([^\"\n]{1,500})\"|“([^”\n]{1,500})”|(?<!\w)'([^'\n]{1,500})'(?!\w)|`([^`\n]{1,500})`")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w])")
_CAPITALISED = re.compile(rf"(?<![.!?] )(?<!^)\b{_NAME}", re.MULTILINE)
_LIST_AFTER_COLON = re.compile(r":\s{0,3}([^:.?!\n]+(?:, | and |; )[^:.?!\n]+)")
_WORD = r"[\w'’-]{1,40}"
_PLAIN_LIST = re.compile(rf"\b({_WORD}(?:, {_WORD})+,? (?:and|or) {_WORD}|{_WORD}(?:, {_WORD}){{2,}})\b")
_FORMATS = {
    "email": re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
    "uri": re.compile(r"https?://[^\s\"'<>)]+"),
    "date": re.compile(r"\b\d{4}-\d{2}-\d{2}\b"),
    "time": re.compile(r"\b\d{2}:\d{2}(?::\d{2})?\b"),
    "date-time": re.compile(r"\b\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})"),
}
_LONGEST = 20_000


@dataclass(frozen=True)
class Material:
    """A prompt, read for values. Only its first 20,000 characters count."""

    prompt: str

    @cached_property
    def _text(self) -> str:
        return self.prompt[:_LONGEST]

    @cached_property
    def quoted(self) -> list[str]:
        return [next(group for group in match if group) for match in _QUOTED.findall(self._text)]

    @cached_property
    def places(self) -> list[str]:
        """Proper names that follow a preposition, lists of them taken apart."""
        found = _NAMES_AFTER_PREPOSITION.search(self._text)
        return [name.strip(" .") for name in _SEPARATOR.split(found.group(1))] if found else []

    @cached_property
    def names(self) -> list[str]:
        """Proper names, not the first word of a sentence."""
        return list(dict.fromkeys([*self.places, *_CAPITALISED.findall(self._text)]))

    @cached_property
    def numbers(self) -> list[float]:
        return [float(number) for number in _NUMBER.findall(self._text)]

    @cached_property
    def items(self) -> list[str]:
        """The list in the prompt: after a colon, of quoted words, of names, or plain words with commas."""
        after_colon = _LIST_AFTER_COLON.search(self._text)
        if after_colon:
            return [item.strip(" \"'`") for item in re.split(r",? and |, |; ", after_colon.group(1)) if item.strip()]
        if len(self.quoted) > 1:
            return self.quoted
        if len(self.places) > 1:
            return self.places
        plain = _PLAIN_LIST.search(self._text)
        return [item for item in re.split(r",? (?:and|or) |, ", plain.group(1)) if item] if plain else []

    def said(self, name: str) -> str | None:
        """The value in `name=value`, `name: value`, `name is value` or, for numbers, `name value`."""
        words = re.escape(name).replace("_", "[ _-]")
        value = rf"(?:\"([^\"]+)\"|'([^']+)'|((?-i:{_NAME})|[^\s,;]+))"
        found = re.search(rf"\b{words}\s*(?:=|:|\bis\b|\bof\b)\s*{value}", self._text, re.IGNORECASE)
        if found is None:
            found = re.search(rf"\b{words}\s+()()(-?\d[\w.]*)", self._text, re.IGNORECASE)
        return next((group.rstrip(".?!") for group in found.groups() if group), None) if found else None

    def mentions(self, word: str) -> bool:
        """True when the prompt has this word, as one or in parts (`getWeather`, `get_weather`, `get weather`)."""
        parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", word) or [word]
        pattern = r"[\s_.-]?".join(re.escape(part) for part in parts)
        return re.search(rf"(?<![^\W_]){pattern}(?![^\W_])", self._text, re.IGNORECASE) is not None

    def formatted(self, kind: str) -> str | None:
        """The first text of a JSON Schema format (email, uri, date, time, date-time) in the prompt."""
        pattern = _FORMATS.get(kind)
        found = pattern.search(self._text) if pattern else None
        return found.group(0) if found else None
