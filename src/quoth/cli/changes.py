"""`quoth models changes`: what differs between two lists of Poe's models."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from quoth.cli import terminal
from quoth.cli.failures import UsageFault
from quoth.providers.catalogue import RETIRED, Catalogue, ModelFacts, Source, Unlisted, from_bytes, from_list, shipped

__all__ = ["run"]

# What is compared; the rest is presentation or says where a row is from.
_FIELDS = (
    "price",
    "context_window",
    "max_output_tokens",
    "input_modalities",
    "output_modalities",
    "supported_features",
    "supported_endpoints",
    "reasoning",
    "status",
)
# A list that does not say it says nothing: Poe's own names nothing deprecated.
_UNSAID = ("status",)
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def run(words: Sequence[str], *, refresh: bool, as_json: bool) -> None:
    if len(words) > 2:
        raise UsageFault("changes takes two lists at most: FROM and TO")
    from quoth.cli.models import catalogue_in_force

    if refresh:
        catalogue_in_force(refresh=True)
    named = [*words, *("shipped", "newest")[len(words) :]]
    old, new = (_list(word) for word in named)
    found = list(_changes(old, new))
    if as_json:
        terminal.print_json(found)
        return
    for change in found:
        terminal.write(f"{terminal.harmless(_line(change), sys.stdout)}\n")
    terminal.note(f"{len(found)} changes from {_title(named[0], old)} to {_title(named[1], new)}.")


def _list(word: str) -> Catalogue:
    """The list that a word means: shipped, newest (the newest copy), the day of a copy, or a file."""
    from quoth.sdk.catalogue import poe_copies

    kept = poe_copies()
    if word == "shipped":
        return shipped()
    if word == "newest":
        if not kept:
            raise UsageFault("no list was fetched yet; `quoth models --refresh` fetches one and keeps a copy")
        return _read(next(iter(kept.values())))
    if _DAY.fullmatch(word):
        if word in kept:
            return _read(kept[word])
        if any(source.date == word for source in shipped().sources):
            return shipped()
        days = ", ".join(kept) or "none"
        raise UsageFault(f"there is no copy of {word}; copies: {days}; the shipped list is of 2026-04-01")
    return _read(Path(word))


def _read(path: Path) -> Catalogue:
    """A list in Quoth's form, or an answer of `GET /v1/models` as it came."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageFault(f"{str(path)!r} is neither a day, nor shipped, nor a file that can be read: {error}") from None
    try:
        return from_bytes(data)
    except Unlisted:
        pass
    try:
        return from_list(msgspec.json.decode(data), Source(path.name, ""))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, Unlisted) as wrong:
        raise UsageFault(f"{str(path)!r} is not a list of models: {wrong}") from None


def _title(word: str, catalogue: Catalogue) -> str:
    date = catalogue.sources[0].date
    return f"{word} ({date})" if date and word != date else word


def _changes(old: Catalogue, new: Catalogue) -> Iterator[dict[str, Any]]:
    before = {facts.id: facts for facts in old if facts.status != RETIRED}
    after = {facts.id: facts for facts in new if facts.status != RETIRED}
    for name in after:
        if name not in before:
            yield {"id": name, "change": "added"}
    for name in before:
        if name not in after:
            near = new.near(name)
            yield {"id": name, "change": "removed", **({"near": near} if near else {})}
    for name, facts in after.items():
        if name in before:
            yield from _differences(before[name], facts)


def _differences(old: ModelFacts, new: ModelFacts) -> Iterator[dict[str, Any]]:
    for field in _FIELDS:
        was, now = getattr(old, field), getattr(new, field)
        if field in _UNSAID and now is None:
            continue
        if (_amounts(was) if field == "price" else was or None) != (_amounts(now) if field == "price" else now or None):
            yield {"id": new.id, "change": field, "from": msgspec.to_builtins(was), "to": msgspec.to_builtins(now)}
    # A parameter that is not known is not one that there was not.
    if old.parameters is None or new.parameters is None:
        return
    were, are = ({parameter.name: parameter for parameter in facts.parameters or ()} for facts in (old, new))
    for name in sorted({*were, *are}):
        if were.get(name) != are.get(name):
            pair = [msgspec.to_builtins(side.get(name)) for side in (were, are)]
            yield {"id": new.id, "change": f"parameter {name}", "from": pair[0], "to": pair[1]}


def _amounts(price: dict[str, str | None] | None) -> dict[str, Decimal] | None:
    """A price by its amounts, for they are written in more than one way; None when nothing is known."""
    return {name: Decimal(value) for name, value in (price or {}).items() if value is not None} or None


def _line(change: dict[str, Any]) -> str:
    if change["change"] == "added":
        return f"+ {change['id']}"
    if change["change"] == "removed":
        near = f" (near names: {', '.join(change['near'])})" if "near" in change else ""
        return f"- {change['id']}{near}"
    return f"~ {change['id']}: {change['change']}: {_said(change['from'])} -> {_said(change['to'])}"


def _said(value: Any) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_said(item)}" for name, item in value.items() if item is not None) or "none"
    if isinstance(value, list | tuple):
        return " ".join(map(str, value)) or "none"
    return str(value)
