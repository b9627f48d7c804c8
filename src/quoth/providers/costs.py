"""What an answer cost: what the provider says, else the tokens at the price that is known, else unknown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from functools import partial
from typing import Any

import msgspec

from quoth.call import Target
from quoth.providers.catalogue import Catalogue, ModelFacts
from quoth.providers.params import catalogue_of
from quoth.providers.pricing import POINTS_PER_USD, poe_breakdown, usd
from quoth.types import Completion, Cost, Usage

__all__ = ["NANO", "Most", "facts_of", "in_usd", "most_of", "price_of", "priced"]

NANO = Decimal("0.000000001")
# More tokens than any model reads out of a picture.
_PER_IMAGE = 6_000
# What a conversation adds around a message, and around the tools, beyond their own text.
_PER_MESSAGE = 32
_CAPS = ("max_completion_tokens", "max_tokens")


class Most(msgspec.Struct, frozen=True):
    """The most that one request can cost. `usd` is None when nobody can say; `why` says why, as half a sentence."""

    usd: Decimal | None
    why: str = ""


def price_of(target: Target) -> Callable[[Completion], Cost]:
    """A function that says what an answer of this target cost."""
    catalogue, facts = catalogue_of(target), facts_of(target)
    if catalogue is None or facts is None:
        return _stated
    return partial(_poe, facts, catalogue)


def priced(price: Mapping[str, str]) -> Callable[[Completion], Cost]:
    """A function that says what an answer cost at a price of the user's own, in USD per token (`request`: per call)."""
    return partial(_priced, price)


def facts_of(target: Target) -> ModelFacts | None:
    """What the catalogue has of a target's model; None for what it does not list, and for other providers than Poe."""
    catalogue = catalogue_of(target)
    return None if catalogue is None else catalogue.get(target.model)


def in_usd(points: int) -> Decimal:
    """Points as USD, to the nano-dollar."""
    return (Decimal(points) / POINTS_PER_USD).quantize(NANO)


def most_of(target: Target, body: Mapping[str, Any]) -> Most:
    """The most that a request with this body can cost: no token is shorter than a byte, and no answer longer than its
    cap."""
    facts = facts_of(target)
    if facts is None or facts.price is None:
        return Most(None, "its price is not known")
    if facts.price.get("request") is not None:
        prompt = answer = 0
    elif facts.makes_media or facts.price.get("image") is not None:
        return Most(None, "its price is not one for tokens")
    else:
        read, longest = _most_read(body, facts), _most_said(body, facts)
        if read is None:
            return Most(None, "the tokens of what is attached cannot be counted, nor is its context window known")
        if longest is None:
            return Most(None, "nobody knows how long its answers get; max_tokens says how long this one may")
        prompt, answer = read, longest
    breakdown = poe_breakdown(
        facts.price, prompt_tokens=prompt, completion_tokens=answer, written_tokens=_written(prompt, facts)
    )
    if breakdown is None:
        return Most(None, "only a part of its price is known")
    points = max(breakdown.total, breakdown.total - breakdown.cache_write)
    return Most((Decimal(points) / POINTS_PER_USD).quantize(NANO, ROUND_CEILING))


def _written(prompt: int, facts: ModelFacts) -> int:
    """All of a prompt may be written to a cache, where that costs extra."""
    return prompt if (facts.price or {}).get("input_cache_write") is not None else 0


def _most_said(body: Mapping[str, Any], facts: ModelFacts) -> int | None:
    caps = [body[name] for name in _CAPS if isinstance(body.get(name), int) and body[name] > 0]
    longest = max(caps) if caps else facts.max_output_tokens or facts.context_window
    count = body.get("n")
    return longest * count if longest and isinstance(count, int) and count > 1 else longest


def _most_read(body: Mapping[str, Any], facts: ModelFacts) -> int | None:
    """Tokens of everything that is read: messages, tools, schemas; None when something cannot be counted."""
    tokens = 0
    for size in _sizes(body):
        if size is None:
            return facts.context_window
        tokens += size
    return tokens if facts.context_window is None else min(tokens, max(facts.context_window, 1))


def _sizes(body: Mapping[str, Any]) -> Iterator[int | None]:
    for name, value in body.items():
        if name != "messages":
            yield len(msgspec.json.encode(value))
    for message in body.get("messages") or ():
        yield _PER_MESSAGE
        content = message.get("content") if isinstance(message, Mapping) else message
        if not isinstance(content, list):
            yield len(msgspec.json.encode(message))
            continue
        yield len(msgspec.json.encode({name: value for name, value in message.items() if name != "content"}))
        for part in content:
            kind = part.get("type") if isinstance(part, Mapping) else None
            if kind == "image_url":
                yield _PER_IMAGE
            else:
                yield len(msgspec.json.encode(part)) if kind in ("text", None) else None


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


def _countable(answer: Completion, facts: ModelFacts) -> bool:
    """True when the price is for the call, or for tokens that the usage of this answer counts.

    For a picture, a film or speech Poe counts the line of text that holds its address; it charges for something else.
    A bot whose price names the tokens of pictures can also just talk, and what it says is counted as any text is.
    """
    price, usage = facts.price or {}, answer.usage
    if price.get("request") is not None:
        return True
    if usage is None or usage.prompt_tokens is None or usage.completion_tokens is None:
        return False
    if price.get("image") is None:
        return not facts.makes_media
    said = [choice.message for choice in answer.choices]
    return bool(said) and all(message.content and not message.media for message in said)


def _poe(facts: ModelFacts, catalogue: Catalogue, answer: Completion) -> Cost:
    """Poe's chat counts are partly synthetic and its prices change, so this is an estimate; points history has the
    truth."""
    if facts.price is None or not _countable(answer, facts):
        return Cost()
    counts = answer.usage or Usage()
    details = counts.prompt_tokens_details
    prompt = counts.prompt_tokens or 0
    cached = min((details.cached_tokens or 0) if details is not None else 0, prompt)
    breakdown = poe_breakdown(
        facts.price,
        prompt_tokens=prompt,
        completion_tokens=counts.completion_tokens or 0,
        cached_tokens=cached,
        written_tokens=min(_cache_writes(counts), prompt - cached),
    )
    if breakdown is None:
        return Cost()
    items = {
        "Input": breakdown.input,
        "Output": breakdown.output,
        "Cache write": breakdown.cache_write,
        "Cache discount": breakdown.cache_discount,
        "Request": breakdown.request,
    }
    return Cost(
        usd=in_usd(breakdown.total),
        points=breakdown.total,
        items={line: points for line, points in items.items() if points},
        source="estimated",
        prices_as_of=catalogue.source(facts).date,
    )


def _priced(price: Mapping[str, str], answer: Completion) -> Cost:
    counts = answer.usage
    if price.get("request") is None and (
        counts is None or counts.prompt_tokens is None or counts.completion_tokens is None
    ):
        return Cost()
    counts = counts or Usage()
    details = counts.prompt_tokens_details
    prompt = counts.prompt_tokens or 0
    cached = min((details.cached_tokens or 0) if details is not None else 0, prompt)
    amount = usd(
        price,
        prompt_tokens=prompt,
        completion_tokens=counts.completion_tokens or 0,
        cached_tokens=cached,
        written_tokens=min(_cache_writes(counts), prompt - cached),
    )
    return Cost() if amount is None else Cost(usd=amount.quantize(NANO), source="computed")


def _cache_writes(usage: Usage) -> int:
    """Tokens written to a cache, under any of the names that they go by."""
    details = usage.prompt_tokens_details
    more = (details.__pydantic_extra__ or {}) if details is not None else {}
    places: tuple[tuple[Mapping[str, Any], tuple[str, ...]], ...] = (
        (more, ("cache_write_tokens", "cache_creation_tokens")),
        (usage.__pydantic_extra__ or {}, ("cache_creation_input_tokens",)),
    )
    found = (place.get(name) for place, names in places for name in names)
    return next((count for count in found if isinstance(count, int) and not isinstance(count, bool) and count > 0), 0)
