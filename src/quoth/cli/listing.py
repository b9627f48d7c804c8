"""One line of a list of models, whoever gave the list: the shipped facts, or a provider's own answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from quoth.providers.catalogue import ModelFacts

__all__ = ["Listed", "from_facts", "from_provider"]


@dataclass(frozen=True, slots=True)
class Listed:
    """What is known of one model; None is unknown, which is not nothing.

    `prompt` and `completion` are USD per token, `per_call` USD per call. `context` is tokens, `created` Unix seconds,
    `row` the whole row as the source has it.
    """

    id: str
    name: str
    owner: str | None
    takes: tuple[str, ...] | None
    makes: tuple[str, ...] | None
    context: int | None
    prompt: Decimal | None
    completion: Decimal | None
    per_call: Decimal | None
    features: tuple[str, ...] | None
    created: float | None
    row: Mapping[str, Any]

    @property
    def free(self) -> bool:
        if self.per_call is not None:
            return self.per_call == 0
        return self.prompt == 0 and self.completion == 0

    @property
    def price_known(self) -> bool:
        return self.per_call is not None or self.prompt is not None


def from_facts(facts: ModelFacts, row: Mapping[str, Any]) -> Listed:
    price = facts.price or {}
    return Listed(
        id=facts.id,
        name=facts.display_name,
        owner=facts.owned_by,
        takes=facts.input_modalities,
        makes=facts.output_modalities,
        context=facts.context_window,
        prompt=_money(price.get("prompt")),
        completion=_money(price.get("completion")),
        per_call=_money(price.get("request")),
        features=_features(facts.supported_features, facts.reasoning),
        created=None if facts.created_ms is None else facts.created_ms / 1000,
        row=row,
    )


def from_provider(row: Mapping[str, Any]) -> Listed:
    """A row in OpenAI's shape, with the further fields that Poe and OpenRouter share where a provider has them."""
    about, price = _object(row.get("architecture")), _object(row.get("pricing"))
    window = _object(row.get("context_window"))
    prompt, completion, per_call = (_money(price.get(name)) for name in ("prompt", "completion", "request"))
    created = row.get("created")
    known = [value for value in (row.get("context_length"), window.get("context_length")) if isinstance(value, int)]
    features = row.get("supported_features", row.get("supported_parameters"))
    metadata = _object(row.get("metadata"))
    return Listed(
        id=str(row.get("id", "")),
        name=str(metadata.get("display_name") or row.get("name") or ""),
        owner=row.get("owned_by") if isinstance(row.get("owned_by"), str) else None,
        takes=_texts(about.get("input_modalities")),
        makes=_texts(about.get("output_modalities")),
        context=next(iter(known), None),
        prompt=prompt,
        completion=completion,
        # OpenRouter writes "request": "0" beside prices for tokens.
        per_call=per_call if prompt is None else None,
        features=_features(_texts(features), row.get("reasoning")),
        # Poe counts milliseconds here, OpenAI seconds.
        created=(created / 1000 if created > 1e11 else created) if isinstance(created, int | float) else None,
        row=row,
    )


def _features(declared: tuple[str, ...] | None, reasoning: Any) -> tuple[str, ...] | None:
    if not reasoning:
        return declared
    return (*(name for name in declared or () if name != "reasoning"), "reasoning")


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _texts(value: Any) -> tuple[str, ...] | None:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list | tuple) else None


def _money(value: Any) -> Decimal | None:
    if value is None or isinstance(value, bool):
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and amount >= 0 else None
