"""What an exchange cost, from its tokens: the same amounts as `quoth.providers.costs`, in whole numbers worked out
once for each candidate, because every request asks."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache

from quoth.engine.routing import Candidate
from quoth.providers.costs import NANO, facts_of, in_usd
from quoth.providers.params import catalogue_of
from quoth.providers.pricing import POINTS_PER_USD
from quoth.types import Cost
from quoth.wire.observe import Tokens

__all__ = ["Price"]

_Ratio = tuple[int, int]


class Price:
    """The price of one candidate. `cost(tokens)` is unknown where nobody can know."""

    __slots__ = ("_date", "_input", "_known", "_output", "_own", "_per_call", "_read", "_write")

    def __init__(self, candidate: Candidate):
        facts, catalogue = facts_of(candidate.target), catalogue_of(candidate.target)
        self._own = dict(candidate.deployment.price) if candidate.deployment.price else None
        self._date: str | None = None
        self._per_call: int | None = None
        self._known = False
        self._input = self._output = (0, 1)
        self._read: _Ratio | None = None
        self._write: _Ratio | None = None
        if facts is None or facts.price is None or catalogue is None:
            return
        self._date = catalogue.source(facts).date
        price = facts.price
        if price.get("request") is not None:
            self._per_call = _ceil(1, _ratio(price["request"]))
            return
        prompt, completion = price.get("prompt"), price.get("completion")
        if facts.makes_media or price.get("image") is not None or prompt is None or completion is None:
            return
        self._known = True
        self._input, self._output = _ratio(prompt), _ratio(completion)
        base = Decimal(prompt)
        if (read := price.get("input_cache_read")) is not None:
            self._read = _ratio(str(base - Decimal(read)))
        if (write := price.get("input_cache_write")) is not None:
            self._write = _ratio(str(Decimal(write) - base))

    def cost(self, tokens: Tokens | None) -> Cost | None:
        """None: unknown."""
        if self._own is not None:
            return _at_own_price(self._own, tokens)
        if self._per_call is not None:
            return _estimated(self._per_call, self._date)
        if tokens is None or not self._known or (prompt := tokens.prompt) is None or tokens.completion is None:
            return _stated(tokens)
        (top, bottom), (more, less) = self._input, self._output
        points = -(-prompt * top // bottom) - (-tokens.completion * more // less)  # each rounded up
        if tokens.cached or tokens.written:
            cached = min(tokens.cached, prompt)
            written = min(tokens.written, prompt - cached)
            if cached and self._read is not None:
                top, bottom = self._read
                points -= (2 * cached * top + bottom) // (2 * bottom)
            if written and self._write is not None:
                points += _ceil(written, self._write)
        return _estimated(points, self._date)


def _ratio(price: str | None) -> _Ratio:
    """Points for one token, as a fraction."""
    return (Decimal(price or 0) * POINTS_PER_USD).as_integer_ratio()


def _ceil(count: int, ratio: _Ratio) -> int:
    return -(-count * ratio[0] // ratio[1])


@lru_cache(maxsize=4096)
def _estimated(points: int, date: str | None) -> Cost:
    return Cost(usd=in_usd(points), points=points, source="estimated", prices_as_of=date)


def _stated(tokens: Tokens | None) -> Cost | None:
    if tokens is None or tokens.stated is None:
        return None
    usd = Decimal(tokens.stated)
    return Cost(usd=usd, source="provider") if usd.is_finite() and usd >= 0 else None


def _at_own_price(price: Mapping[str, str], tokens: Tokens | None) -> Cost | None:
    """The prices of the settings, in USD."""
    if (per_call := price.get("request")) is not None:
        return Cost(usd=Decimal(per_call), source="computed")
    if tokens is None or tokens.prompt is None or tokens.completion is None:
        return None
    prompt, completion = Decimal(price.get("prompt") or 0), Decimal(price.get("completion") or 0)
    total = tokens.prompt * prompt + tokens.completion * completion
    if (read := price.get("input_cache_read")) is not None:
        total -= tokens.cached * (prompt - Decimal(read))
    if (write := price.get("input_cache_write")) is not None:
        total += tokens.written * (Decimal(write) - prompt)
    return Cost(usd=total.quantize(NANO) if total else Decimal(0), source="computed")
