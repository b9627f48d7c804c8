"""Whether a call may be made, and what it cost in the end: the port to a ledger of keys, limits and budgets.

    async with admission.admitted(exchange, estimate):      # reserves, or raises
        ...                                                 # the call; `exchange.cost` is known at its end
    # settled, once, on every way out

Until there is a ledger, an application has none and admits everybody, and the usage event is the line in the log.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from quoth.gateway.exchange import Exchange

__all__ = ["Admission"]


class Admission(Protocol):
    def admitted(self, exchange: Exchange) -> AbstractAsyncContextManager[None]:
        """Around one call of a caller who is known. Entering it reserves the most that the call can cost, and raises
        RateLimitError, BudgetExceededError or PermissionDeniedError; leaving it settles what it did cost."""
        ...
