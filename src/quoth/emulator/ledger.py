"""The account that every key spends from: a balance in points and the history of what was spent.

Cost follows the billing formula; a model whose price is not known costs a fixed amount, which only the history tells.
Points are integers, times of the history are microseconds.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from quoth.providers.catalogue import ModelFacts
from quoth.providers.pricing import POINTS_PER_USD, Breakdown, poe_breakdown

__all__ = ["UNPRICED_POINTS", "Ledger", "Row", "cost_of"]

UNPRICED_POINTS = 1_000
_KEPT_ROWS = 10_000
_DAY_US = 24 * 3600 * 1_000_000


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the history. `billed` is when the cost becomes visible."""

    query_id: str
    bot_name: str
    created_us: int
    billed_us: int
    points: int
    breakdown: dict[str, str]


def cost_of(model: ModelFacts, prompt_tokens: int, completion_tokens: int) -> tuple[int, dict[str, str]]:
    """Points for one call, and the breakdown in the strings of the history."""
    breakdown = poe_breakdown(model.price or {}, prompt_tokens=prompt_tokens, completion_tokens=completion_tokens)
    if breakdown is None:
        return UNPRICED_POINTS, {"Total": f"{UNPRICED_POINTS} points"}
    return breakdown.total, _strings(breakdown, prompt_tokens, completion_tokens)


def _strings(breakdown: Breakdown, prompt_tokens: int, completion_tokens: int) -> dict[str, str]:
    if breakdown.request:
        return {"Total": f"{breakdown.total} points"}
    return {
        "Input": f"{breakdown.input} points ({prompt_tokens} tokens)",
        "Output": f"{breakdown.output} points ({completion_tokens} tokens)",
        "Total": f"{breakdown.total} points",
    }


def _usd(points: int, places: str = "0.01") -> str:
    return str((Decimal(points) / POINTS_PER_USD).quantize(Decimal(places), ROUND_HALF_UP))


class Ledger:
    """Balance and history. `late_us` delays when a cost is shown in the history; the balance falls at once."""

    def __init__(self, balance: int, late_us: int = 0):
        self._opening = balance
        self._late_us = late_us
        self.balance = balance
        self.rows: deque[Row] = deque(maxlen=_KEPT_ROWS)

    def charge(self, query_id: str, model: ModelFacts, prompt_tokens: int, completion_tokens: int, now_us: int) -> Row:
        points, breakdown = cost_of(model, prompt_tokens, completion_tokens)
        name = model.display_name or model.id
        row = Row(query_id, name, now_us, now_us + self._late_us, points, breakdown)
        self.balance -= points
        self.rows.append(row)
        return row

    def clear(self) -> None:
        self.balance = self._opening
        self.rows.clear()

    def balance_body(self, now_us: int, *, full: bool) -> dict[str, Any]:
        """The answer of `GET /usage/current_balance`."""
        if not full:
            return {"current_point_balance": self.balance}
        midnight = now_us - now_us % _DAY_US + _DAY_US
        cycle_start = midnight - 15 * _DAY_US
        return {
            "current_point_balance": self.balance,
            "plan_points_balance": self.balance,
            "addon_point_balance": 0,
            "plan_balance_usd": _usd(self.balance),
            "addon_balance_usd": _usd(0),
            "total_balance_usd": _usd(self.balance),
            "points_cycle_start_time": cycle_start,
            "next_daily_grant_time": midnight,
            "next_daily_grant_amount": 0,
            "next_monthly_grant_time": cycle_start + 30 * _DAY_US,
            "next_monthly_grant_amount": max(self._opening, 0),
            "auto_recharge": {
                "enabled": False,
                "status": "never_enabled",
                "threshold_points": 0,
                "threshold_usd": _usd(0),
                "refill_points": 0,
                "refill_usd": _usd(0),
                "last_recharge_failure_time": None,
            },
        }

    def history_body(self, limit: int, starting_after: str | None, now_us: int) -> dict[str, Any] | None:
        """The answer of `GET /usage/points_history`, newest first; None when `starting_after` names no row."""
        newest_first = list(self.rows)[::-1]
        start = 0
        if starting_after is not None:
            places = [place for place, row in enumerate(newest_first) if row.query_id == starting_after]
            if not places:
                return None
            start = places[0] + 1
        page = newest_first[start : start + limit]
        return {
            "has_more": start + limit < len(newest_first),
            "length": len(page),
            "data": [self._shown(row, now_us) for row in page],
        }

    def _shown(self, row: Row, now_us: int) -> dict[str, Any]:
        billed = now_us >= row.billed_us
        points = row.points if billed else 0
        return {
            "bot_name": row.bot_name,
            "creation_time": row.created_us,
            "query_id": row.query_id,
            "cost_points": points,
            "cost_usd": _usd(points, "0.000001"),
            "cost_breakdown_in_points": row.breakdown if billed else {},
            "usage_type": "API",
            "api_key_name": "emulator",
        }
