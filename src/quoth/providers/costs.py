"""What an answer cost: what the provider says, else the tokens at the price that is known, else unknown."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from functools import partial

from quoth.call import Target
from quoth.providers.catalogue import Catalogue, ModelFacts
from quoth.providers.params import catalogue_of
from quoth.providers.pricing import POINTS_PER_USD, poe_breakdown
from quoth.types import Completion, Cost, Usage

__all__ = ["NANO", "price_of"]

NANO = Decimal("0.000000001")


def price_of(target: Target) -> Callable[[Completion], Cost]:
    """A function that says what an answer of this target cost."""
    catalogue = catalogue_of(target)
    facts = None if catalogue is None else catalogue.get(target.model)
    if catalogue is None or facts is None:
        return _stated
    return partial(_poe, facts, catalogue)


def _stated(answer: Completion) -> Cost:
    """The cost that the provider put into the usage (OpenRouter does, in USD), else unknown."""
    stated = (answer.usage.__pydantic_extra__ or {}).get("cost") if answer.usage is not None else None
    if stated is None or isinstance(stated, bool):
        return Cost()
    try:
        usd = Decimal(str(stated))
    except InvalidOperation:
        return Cost()
    return Cost(usd=usd, source="provider") if usd.is_finite() and usd >= 0 else Cost()


def _countable(usage: Usage | None, facts: ModelFacts) -> bool:
    """True when the price is for the call, or for tokens that this usage counts.

    For a picture, a film or speech Poe counts the line of text that holds its address; it charges for something else.
    """
    price = facts.price or {}
    if price.get("request") is not None:
        return True
    if facts.makes_media or price.get("image") is not None:
        return False
    return usage is not None and usage.prompt_tokens is not None and usage.completion_tokens is not None


def _poe(facts: ModelFacts, catalogue: Catalogue, answer: Completion) -> Cost:
    """Poe's chat counts are partly synthetic and its prices change, so this is an estimate; points history has the
    truth."""
    if facts.price is None or not _countable(answer.usage, facts):
        return Cost()
    counts = answer.usage or Usage()
    details = counts.prompt_tokens_details
    breakdown = poe_breakdown(
        facts.price,
        prompt_tokens=counts.prompt_tokens or 0,
        completion_tokens=counts.completion_tokens or 0,
        cached_tokens=(details.cached_tokens or 0) if details is not None else 0,
    )
    if breakdown is None:
        return Cost()
    items = {
        "Input": breakdown.input,
        "Output": breakdown.output,
        "Cache discount": breakdown.cache_discount,
        "Request": breakdown.request,
    }
    return Cost(
        usd=(Decimal(breakdown.total) / POINTS_PER_USD).quantize(NANO),
        points=breakdown.total,
        items={line: points for line, points in items.items() if points},
        source="estimated",
        prices_as_of=catalogue.source(facts).date,
    )
