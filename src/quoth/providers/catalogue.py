"""What is known about each Poe model: facts with a source and a date, read from the package when first asked for.

Facts inform (prices, suggestions, warnings, the right name of a parameter); they never refuse a call. An absent field
is not known, an empty list is known to be empty.

Source: `GET https://api.poe.com/v1/models` as recorded on 2026-04-01, later additions with their own source and date.
"""

from __future__ import annotations

import difflib
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

__all__ = ["Catalogue", "ModelFacts", "ParameterFacts", "Source", "shipped"]


class Source(msgspec.Struct, frozen=True):
    """Where a row of facts comes from. `date` is ISO 8601, a day."""

    name: str
    date: str


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
    `max_output_tokens` are tokens. `created_ms` is Unix milliseconds.
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


class _File(msgspec.Struct):
    sources: list[Source]
    models: list[ModelFacts]


class Catalogue:
    """Models by id, in the order of the list, looked up in any case as Poe does."""

    def __init__(self, models: list[ModelFacts], sources: list[Source]):
        self.sources = sources
        self._by_id = {model.id: model for model in models}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Any:
        return iter(self._by_id.values())

    def get(self, model: str) -> ModelFacts | None:
        return self._by_id.get(model) or self._by_id.get(model.lower())

    def source(self, model: ModelFacts) -> Source:
        return self.sources[model.source]

    def near(self, model: str, count: int = 3) -> list[str]:
        """The names that a misspelt one may have meant, best first; [] when nothing is close."""
        return difflib.get_close_matches(model.lower(), self._by_id, n=count, cutoff=0.72)


@lru_cache(maxsize=1)
def shipped() -> Catalogue:
    """The catalogue that is part of the package."""
    data = msgspec.json.decode(Path(__file__).with_name("models.json").read_bytes(), type=_File)
    return Catalogue(data.models, data.sources)
