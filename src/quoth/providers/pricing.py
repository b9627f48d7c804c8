"""From tokens and a price to points and USD, exactly.

Poe bills in points, 33,000 to the US dollar, and rounds each line of its breakdown on its own; `poe_breakdown`
reproduces the breakdowns that it publishes in `GET /usage/points_history` to the point. Prices are decimal strings in
USD per token (`request`: USD per call). All money is Decimal; no float ever touches it.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal

from msgspec import Struct

__all__ = ["POINTS_PER_USD", "Breakdown", "poe_breakdown", "usd"]

POINTS_PER_USD = 33_000


class Breakdown(Struct, frozen=True):
    """Points by line, as Poe's history shows them. `cache_discount` is zero or negative, `cache_write` only the
    surcharge."""

    input: int = 0
    output: int = 0
    cache_write: int = 0
    cache_discount: int = 0
    request: int = 0

    @property
    def total(self) -> int:
        return self.input + self.output + self.cache_write + self.cache_discount + self.request


def _price(price: Mapping[str, str | None], name: str) -> Decimal | None:
    value = price.get(name)
    return None if value is None else Decimal(value)


def _ceil(amount: Decimal) -> int:
    return int(amount.to_integral_value(ROUND_CEILING))


def poe_breakdown(
    price: Mapping[str, str | None],
    *,
    prompt_tokens: int,
    completion_tokens: int,
    cached_tokens: int = 0,
    written_tokens: int = 0,
) -> Breakdown | None:
    """What Poe charges for one call, in points; None when the price does not say.

    `prompt_tokens` counts all prompt tokens, those read from or written to the cache included. Source: four published
    breakdowns of points history (April 2026).
    """
    per_call = _price(price, "request")
    if per_call is not None:
        return Breakdown(request=_ceil(per_call * POINTS_PER_USD))
    base, output = _price(price, "prompt"), _price(price, "completion")
    if base is None or output is None:
        return None
    read = _price(price, "input_cache_read")
    write = _price(price, "input_cache_write")
    surcharge = _ceil(written_tokens * (write - base) * POINTS_PER_USD) if written_tokens and write is not None else 0
    discount = 0
    if cached_tokens and read is not None:
        saved = cached_tokens * (base - read) * POINTS_PER_USD
        discount = -int(saved.to_integral_value(ROUND_HALF_UP))
    return Breakdown(
        input=_ceil(prompt_tokens * base * POINTS_PER_USD),
        output=_ceil(completion_tokens * output * POINTS_PER_USD),
        cache_write=surcharge,
        cache_discount=discount,
    )


def usd(
    price: Mapping[str, str | None],
    *,
    prompt_tokens: int,
    completion_tokens: int,
    cached_tokens: int = 0,
    written_tokens: int = 0,
) -> Decimal | None:
    """What the tokens cost at list price in USD, unrounded; None when the price does not say."""
    per_call = _price(price, "request")
    if per_call is not None:
        return per_call
    base, output = _price(price, "prompt"), _price(price, "completion")
    if base is None or output is None:
        return None
    read = _price(price, "input_cache_read")
    write = _price(price, "input_cache_write")
    total = prompt_tokens * base + completion_tokens * output
    if read is not None:
        total -= cached_tokens * (base - read)
    if write is not None:
        total += written_tokens * (write - base)
    return total
