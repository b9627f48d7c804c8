"""What is known about each Poe model: facts with a source and a date, read from the package when first asked for.

Facts inform (prices, suggestions, warnings, the right name of a parameter); they refuse a call only where a list that
was fetched within a day declares a value. An absent field is not known, an empty list is known to be empty.

Source: `GET https://api.poe.com/v1/models` as recorded on 2026-04-01, later additions with their own source and date.
`corrections.toml` has the known errors of that list. Which catalogue is in force is the caller's business: a `Target`
carries it.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import msgspec

__all__ = [
    "RETIRED",
    "Catalogue",
    "Correction",
    "ModelFacts",
    "ParameterFacts",
    "Source",
    "Unlisted",
    "corrected",
    "corrections",
    "facts_from",
    "from_bytes",
    "from_list",
    "known",
    "shipped",
    "to_bytes",
]

FRESH = timedelta(hours=24)
RETIRED = "retired"
_AMOUNT = re.compile(r"[0-9]{0,30}\.?[0-9]{1,30}(?:[eE]-?[0-9]{1,2})?")
_PRICES = ("prompt", "completion", "image", "request", "input_cache_read", "input_cache_write")


class Unlisted(ValueError):
    """What was to be a list of models is none."""


class Source(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a row of facts comes from. `date` is ISO 8601, a day; `fetched` Unix seconds, for a list that Quoth itself
    fetched."""

    name: str
    date: str
    fetched: float | None = None


class ParameterFacts(msgspec.Struct, frozen=True):
    """A custom parameter that a model declares. `enum` values are strings even when they look like numbers."""

    name: str
    type: str | None = None
    enum: tuple[str, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None
    default: Any = None

    @property
    def range(self) -> str:
        """The range in words; "" when none is declared."""
        low, high = self.minimum, self.maximum
        if low is None:
            return "" if high is None else f"up to {high:g}"
        return f"from {low:g}" if high is None else f"between {low:g} and {high:g}"


class ModelFacts(msgspec.Struct, frozen=True):
    """One model.

    `price` maps prompt, completion, input_cache_read, input_cache_write (USD per token), request (USD per call) and
    image (USD per image output token) to decimal strings; None is unknown, which is not free. `context_window` and
    `max_output_tokens` are tokens. `created_ms` is Unix milliseconds. `prompt_limit` is the longest prompt of a media
    bot; whether characters or tokens is not known. `status` is "deprecated", "retired" (no longer listed) or None.
    `corrections` are the names of those that changed the row.
    """

    id: str
    display_name: str = ""
    owned_by: str | None = None
    input_modalities: tuple[str, ...] = ("text",)
    output_modalities: tuple[str, ...] = ("text",)
    context_window: int | None = None
    max_output_tokens: int | None = None
    price: dict[str, str | None] | None = None
    supported_features: tuple[str, ...] | None = None
    supported_endpoints: tuple[str, ...] | None = None
    reasoning: dict[str, Any] | None = None
    created_ms: int | None = None
    parameters: tuple[ParameterFacts, ...] | None = None
    status: str | None = None
    source: int = 0
    prompt_limit: int | None = None
    corrections: tuple[str, ...] = ()

    def parameter(self, name: str) -> ParameterFacts | None:
        for parameter in self.parameters or ():
            if parameter.name == name:
                return parameter
        return None

    @property
    def makes_media(self) -> bool:
        """True when the model's output is not text: such a call takes minutes and may be charged even when it is
        cut."""
        return "text" not in self.output_modalities


class Correction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A known error of Poe's list, and what is right; see corrections.toml. `date` is an ISO day."""

    name: str
    models: tuple[str, ...]
    reason: str
    source: str
    date: str
    without_features: tuple[str, ...] = ()
    with_outputs: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    no_window_below: int = 0

    def changes(self, facts: ModelFacts) -> dict[str, Any]:
        """The fields that are otherwise in truth; {} where the row is right."""
        if self.models != ("*",) and not any(fnmatchcase(facts.id, pattern) for pattern in self.models):
            return {}
        found: dict[str, Any] = {}
        listed = facts.supported_features or ()
        if any(name in listed for name in self.without_features):
            found["supported_features"] = tuple(name for name in listed if name not in self.without_features)
        missing = tuple(kind for kind in self.with_outputs if kind not in facts.output_modalities)
        if missing:
            found["output_modalities"] = (*missing, *facts.output_modalities)
        if self.endpoints and facts.supported_endpoints == ():
            found["supported_endpoints"] = self.endpoints
        window = facts.context_window
        if window is not None and window < self.no_window_below and (facts.makes_media or window == 0):
            found |= {"context_window": None, "prompt_limit": window or None}
        return found


class _File(msgspec.Struct):
    sources: list[Source]
    models: list[ModelFacts]


class Catalogue:
    """Models by id, in the order of the list, looked up in any case as Poe does."""

    def __init__(
        self,
        models: Iterable[ModelFacts],
        sources: list[Source],
        right: Callable[[ModelFacts], ModelFacts] | None = None,
    ):
        """`right` puts a row right when it is first asked for: most programs ask for one of hundreds."""
        self.sources = sources
        self._by_id = {model.id: model for model in models}
        self._right = right
        self._righted: dict[str, ModelFacts] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[ModelFacts]:
        return map(self._in_truth, self._by_id.values())

    def get(self, model: str) -> ModelFacts | None:
        found = self.listed(model)
        return None if found is None else self._in_truth(found)

    def listed(self, model: str) -> ModelFacts | None:
        """The row as the list has it, errors and all; otherwise as `get`."""
        return self._by_id.get(model) or self._by_id.get(model.lower())

    def _in_truth(self, listed: ModelFacts) -> ModelFacts:
        if self._right is None:
            return listed
        found = self._righted.get(listed.id)
        if found is None:
            found = self._righted[listed.id] = self._right(listed)
        return found

    def source(self, model: ModelFacts) -> Source:
        return self.sources[model.source]

    def is_fresh(self, model: ModelFacts, now: datetime) -> bool:
        """True for a row of a list that was fetched less than 24 hours ago."""
        fetched = self.source(model).fetched
        return fetched is not None and timedelta() <= now - datetime.fromtimestamp(fetched, UTC) < FRESH

    def near(self, model: str, count: int = 3) -> list[str]:
        """The names that a misspelt or retired one may have meant, best first; [] when nothing is close."""
        name = model.lower()
        listed = [facts.id for facts in self._by_id.values() if facts.status != RETIRED and facts.id != name]
        return difflib.get_close_matches(name, listed, n=count, cutoff=0.72)

    def over(self, older: Catalogue) -> Catalogue:
        """This list with the rows of an older one that it no longer has, marked as retired."""
        start = len(self.sources)
        gone = [
            msgspec.structs.replace(facts, status=RETIRED, source=start + facts.source)
            for facts in older._by_id.values()
            if facts.id not in self._by_id
        ]
        return Catalogue([*self._by_id.values(), *gone], [*self.sources, *older.sources])

    def with_rows(self, rows: Iterable[ModelFacts], source: Source) -> Catalogue:
        """This list with rows laid over it that come from somewhere else."""
        own = {row.id: msgspec.structs.replace(row, source=len(self.sources)) for row in rows}
        made = Catalogue([*self._by_id.values(), *own.values()], [*self.sources, source], self._right)
        made._righted = dict(own)
        return made


@lru_cache(maxsize=1)
def shipped() -> Catalogue:
    """The catalogue that is part of the package, as its sources have it."""
    return from_bytes(Path(__file__).with_name("models.json").read_bytes())


@lru_cache(maxsize=1)
def corrections() -> tuple[Correction, ...]:
    """The known errors of Poe's list."""
    data = tomllib.loads(Path(__file__).with_name("corrections.toml").read_text("utf-8"))
    return tuple(msgspec.convert(data["correction"], list[Correction]))


@lru_cache(maxsize=1)
def known() -> Catalogue:
    """The shipped catalogue, corrected."""
    return corrected(shipped(), corrections())


def corrected(catalogue: Catalogue, entries: Iterable[Correction], without: Collection[str] = ()) -> Catalogue:
    """The catalogue with its known errors put right, but for the corrections named in `without` ("all": none)."""
    chosen = [] if "all" in without else [entry for entry in entries if entry.name not in without]
    return Catalogue(catalogue, catalogue.sources, partial(_righted, chosen))


def _righted(entries: list[Correction], facts: ModelFacts) -> ModelFacts:
    changed: dict[str, Any] = {}
    names = []
    for entry in entries:
        if found := entry.changes(facts):
            changed |= found
            names.append(entry.name)
    return msgspec.structs.replace(facts, **changed, corrections=tuple(names)) if names else facts


def from_bytes(data: bytes) -> Catalogue:
    """A catalogue in Quoth's own form, as shipped and as cached. Raises Unlisted."""
    try:
        file = msgspec.json.decode(data, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise Unlisted(str(wrong)) from None
    if not file.models or any(not 0 <= model.source < len(file.sources) for model in file.models):
        raise Unlisted("it has no models, or models of no source")
    return Catalogue(file.models, file.sources)


def to_bytes(catalogue: Catalogue) -> bytes:
    return msgspec.json.encode(_File(catalogue.sources, list(catalogue)))


def from_list(data: Any, source: Source) -> Catalogue:
    """The catalogue that an answer of `GET /v1/models` is. Raises Unlisted for what is no list, and for a row that is
    no model."""
    rows = data.get("data") if isinstance(data, Mapping) else data
    if not isinstance(rows, list) or not rows:
        raise Unlisted("it is not a list of models")
    return Catalogue([facts_from(row) for row in rows], [source])


def facts_from(row: Any) -> ModelFacts:
    """One row in the form of Poe's list. Raises Unlisted."""
    if not isinstance(row, Mapping) or not isinstance(row.get("id"), str) or not row["id"]:
        raise Unlisted("a row of it has no id")
    about, window = _object(row.get("architecture")), _object(row.get("context_window"))
    price, parameters = row.get("pricing"), row.get("parameters")
    found = {
        "id": row["id"],
        "display_name": _object(row.get("metadata")).get("display_name") or "",
        "owned_by": row.get("owned_by"),
        "input_modalities": about.get("input_modalities") or ("text",),
        "output_modalities": about.get("output_modalities") or ("text",),
        "context_window": window.get("context_length", row.get("context_length")),
        "max_output_tokens": window.get("max_output_tokens"),
        "price": _priced(price) if isinstance(price, Mapping) else None,
        "supported_features": row.get("supported_features"),
        "supported_endpoints": row.get("supported_endpoints"),
        "reasoning": row.get("reasoning"),
        "created_ms": row.get("created"),
        "parameters": [_parameter(entry) for entry in parameters] if isinstance(parameters, list) else parameters,
    }
    try:
        return msgspec.convert(found, ModelFacts)
    except msgspec.ValidationError as wrong:
        raise Unlisted(f"{row['id']}: {wrong}") from None


def _priced(price: Mapping[str, Any]) -> dict[str, Any]:
    """The prices that are amounts; what is none ("free", "-1", for a price that depends) is not known."""
    found = {name: price[name] for name in _PRICES if price.get(name) is not None}
    return {name: amount for name, amount in found.items() if not isinstance(amount, str) or _AMOUNT.fullmatch(amount)}


def _parameter(entry: Any) -> dict[str, Any]:
    entry, schema = _object(entry), _object(_object(entry).get("schema"))
    found = {"name": entry.get("name"), "default": entry.get("default_value")}
    return found | {name: schema[name] for name in ("type", "enum", "minimum", "maximum") if name in schema}


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
