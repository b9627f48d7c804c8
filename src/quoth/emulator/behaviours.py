"""What the emulator claims about Poe, behaviour by behaviour, and how well each claim is known."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Literal, NamedTuple

__all__ = ["Fact", "facts", "table"]


class Fact(NamedTuple):
    """One claim. `recorded`: seen in traffic or tested by others; `documented`: on Poe's pages; `inferred`: concluded.

    `date` is ISO 8601, a month or a day: when it was seen, or the date of the page.
    """

    behaviour: str
    status: Literal["recorded", "documented", "inferred"]
    date: str


def facts() -> list[Fact]:
    """Every behaviour that is claimed, with its status and date."""
    data = tomllib.loads(files("quoth.emulator").joinpath("behaviours.toml").read_text(encoding="utf-8"))
    return [Fact(**row) for row in data["behaviours"]]


def table() -> str:
    """The facts as a Markdown table, as in the documentation."""
    rows = (f"| {fact.behaviour} | {fact.status} | {fact.date} |" for fact in facts())
    return "\n".join(("| behaviour | status | date |", "| --- | --- | --- |", *rows))
