"""The claims about Poe that are put to the test, with how each is known."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from importlib.resources import files
from typing import Literal

import msgspec

__all__ = ["Fact", "facts", "table"]


class Fact(msgspec.Struct, frozen=True):
    """One claim, asked after by the probe that is named. `date` is when it was seen, or the date of Poe's page."""

    name: str
    probe: str
    claim: str
    status: Literal["recorded", "documented", "inferred"]
    date: str


class _File(msgspec.Struct):
    facts: tuple[Fact, ...]


@lru_cache(maxsize=1)
def facts() -> tuple[Fact, ...]:
    """All facts, in the order in which they are asked after."""
    text = files("quoth.verify").joinpath("facts.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), _File).facts


def table() -> str:
    """The facts as a Markdown table, as in the documentation."""
    rows = (f"| `{fact.name}` | {fact.claim} | {fact.status} {fact.date} |" for fact in facts())
    return "\n".join(("| fact | claim | known |", "| --- | --- | --- |", *rows))
