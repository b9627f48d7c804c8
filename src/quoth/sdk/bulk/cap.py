"""A cap on what a batch costs: the worst case of each call is set aside before it is sent."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec

from quoth.errors import BudgetExceededError
from quoth.providers.catalogue import ModelFacts
from quoth.providers.pricing import usd
from quoth.sdk.bulk.lines import Line

__all__ = ["Cap", "worst_case"]

# What an answer may have where neither the call nor the catalogue names a limit.
_LONGEST_ANSWER = 32_768


class Cap:
    """At most `limit` USD. `facts` finds what the catalogue knows of a model."""

    def __init__(self, limit: Decimal, facts: Callable[[str], ModelFacts | None]):
        self._limit = limit
        self._facts = facts
        self._reserved = Decimal(0)
        self._unseen = Decimal(0)

    def reserve(self, line: Line, spent: Decimal) -> Decimal:
        """Set aside what the line may cost at most. Raises BudgetExceededError."""
        worst = worst_case(line, self._facts(line.model))
        if worst is None:
            raise BudgetExceededError(
                f"the price of {line.model} is not known, so no cap can be kept: call a model whose price is, or go "
                "without the cap"
            )
        left = self._limit - spent - self._unseen - self._reserved
        if worst > left:
            raise BudgetExceededError(
                f"the next call could cost up to ${worst.normalize():f} and ${max(left, Decimal(0)).normalize():f} of "
                f"${self._limit.normalize():f} is left; a smaller max_tokens makes the worst case smaller"
            )
        self._reserved += worst
        return worst

    def settle(self, worst: Decimal, cost: Decimal | None) -> None:
        """Give back what was set aside; the cost itself the caller counts. One that is not known counts in full."""
        self._reserved -= worst
        if cost is None:
            self._unseen += worst


def worst_case(line: Line, facts: ModelFacts | None) -> Decimal | None:
    """USD, estimated upwards: no text has more tokens than half its bytes. None when the price is not known."""
    if facts is None or not facts.price:
        return None
    given = line.params
    limit = given.get("max_completion_tokens") or given.get("max_tokens") or facts.max_output_tokens or _LONGEST_ANSWER
    size = len(msgspec.json.encode([line.messages, given]))
    one = usd(facts.price, prompt_tokens=size // 2 + 100, completion_tokens=int(limit))
    answers = given.get("n")
    return None if one is None else one * (answers if isinstance(answers, int) and answers > 1 else 1)
