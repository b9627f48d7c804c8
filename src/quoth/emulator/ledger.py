"""The account that every key spends from: a balance in points and the history of what was spent.

Cost follows the billing formula; a model whose price is not known costs a fixed amount, which only the history tells.
Points are integers, times of the history are microseconds.
"""

from __future__ import annotations

import hashlib
import math
from collections import deque
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from msgspec import structs

from quoth.providers.catalogue import ModelFacts, shipped
from quoth.providers.pricing import POINTS_PER_USD, poe_breakdown

__all__ = ["TOKENS_OF_A_PICTURE", "UNPRICED_POINTS", "Billed", "Ledger", "Row", "cost_of", "key_name"]

UNPRICED_POINTS = 1_000
TOKENS_OF_A_PICTURE = 1_290  # what Google counts for one of about 1024 by 1024 pixels
_KEPT_ROWS = 10_000
_DAY_US = 24 * 3600 * 1_000_000


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the history. `billed_us` is when the cost becomes visible.

    `label` is the name of the key, the chat or the canvas tab, by `usage_type`.
    """

    query_id: str
    bot_name: str
    created_us: int
    billed_us: int
    points: int
    breakdown: dict[str, str]
    label: str
    usage_type: str = "API"


@dataclass(frozen=True, slots=True)
class Billed:
    """Tokens as the provider counts them. `prompt` includes those read from the cache (`cached`) or written to it.

    `image` is the tokens of pictures, for models that are billed by tokens; they stand in the place of `completion`.
    """

    prompt: int
    completion: int
    cached: int = 0
    written: int = 0
    image: int = 0
    written_hour: int = 0  # written to be kept for an hour, at twice the price


def cost_of(model: ModelFacts, billed: Billed) -> tuple[int, dict[str, str]]:
    """Points for one call, and the breakdown in the strings of the history."""
    price, completion = dict(model.price or {}), billed.completion
    if billed.image and price.get("request") is None:
        price["completion"], completion = price.get("image") or price.get("completion"), billed.image
    breakdown = poe_breakdown(
        price,
        prompt_tokens=billed.prompt,
        completion_tokens=completion,
        cached_tokens=billed.cached,
        written_tokens=billed.written,
    )
    if breakdown is None:
        return UNPRICED_POINTS, {"Total": f"{UNPRICED_POINTS} points"}
    if price.get("request") is not None:
        return breakdown.total, {"Total": f"{breakdown.total} points"}
    lines = [("Input", breakdown.input, billed.prompt), ("Output", breakdown.output, completion)]
    if billed.written_hour:
        breakdown = structs.replace(
            breakdown, cache_write=breakdown.cache_write + _hour_surcharge(price, billed.written_hour)
        )
    written = billed.written + billed.written_hour
    lines += [("Cache write", breakdown.cache_write, written)] if written else []
    lines += [("Cache discount", breakdown.cache_discount, billed.cached)] if billed.cached else []
    strings = {name: f"{points} points ({tokens} tokens)" for name, points, tokens in lines}
    return breakdown.total, {**strings, "Total": f"{breakdown.total} points"}


def _hour_surcharge(price: dict[str, str | None], tokens: int) -> int:
    """Points beyond the price of the prompt for tokens that are kept for an hour."""
    base, write = Decimal(price["prompt"] or 0), Decimal(price.get("input_cache_write") or 0)
    return math.ceil(tokens * (2 * write - base) * POINTS_PER_USD) if write else 0


def _usd(points: int, places: str = "0.01") -> str:
    return str((Decimal(points) / POINTS_PER_USD).quantize(Decimal(places), ROUND_HALF_UP))


class Ledger:
    """Balance and history. `late_us` delays when a cost is shown in the history; the balance falls at once.

    `past` rows of the last 30 days are there from the start; the opening balance is what they left.
    """

    def __init__(self, balance: int, late_us: int = 0, past: int = 0):
        self._opening = balance
        self._past = past
        self._late_us = late_us
        self.balance = balance
        self._past_rows: list[Row] = []
        self.rows: deque[Row] = deque(maxlen=_KEPT_ROWS)

    def charge(self, query_id: str, model: ModelFacts, billed: Billed, key: str, now_us: int) -> Row:
        points, breakdown = cost_of(model, billed)
        name = model.display_name or model.id
        row = Row(query_id, name, now_us, now_us + self._late_us, points, breakdown, key_name(key))
        self.balance -= points
        self.rows.append(row)
        return row

    def clear(self) -> None:
        self.balance = self._opening
        self.rows.clear()
        self._past_rows = []

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
        newest_first = [*list(self.rows)[::-1], *self._earlier(now_us)]
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

    def _earlier(self, now_us: int) -> list[Row]:
        if self._past and not self._past_rows:
            self._past_rows = made_up(min(self._past, _KEPT_ROWS), now_us)
        return self._past_rows

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
            "usage_type": row.usage_type,
            _LABELS[row.usage_type]: row.label,
        }


def key_name(key: str) -> str:
    """The name that a key has in the history: not the key, and the same for the same key."""
    return f"key-{hashlib.sha256(key.encode()).hexdigest()[:8]}"


_LABELS = {"API": "api_key_name", "Chat": "chat_name", "Canvas App": "canvas_tab_name"}
_PAST: tuple[tuple[str, str, str, Billed], ...] = (
    ("grok-4", "API", "work", Billed(420, 180)),
    ("claude-haiku-4.5", "API", "work", Billed(8_369, 5, written=8_352)),
    ("claude-haiku-4.5", "API", "work", Billed(8_369, 5, cached=8_352)),
    ("gpt-5.4-mini", "Chat", "A name for a cat", Billed(310, 95)),
    ("imagen-4", "API", "play", Billed(9, 0)),
    ("veo-3", "Chat", "Films", Billed(12, 0)),
    ("gemini-2.5-flash", "Canvas App", "Counter", Billed(1_500, 700)),
    ("kimi-k2.5-fw", "API", "play", Billed(60, 40)),
)


def made_up(count: int, now_us: int) -> list[Row]:
    """`count` rows of the 30 days before `now_us`, newest first."""
    rows = []
    for number in range(count):
        model_id, usage_type, label, billed = _PAST[number % len(_PAST)]
        model = shipped().get(model_id)
        assert model is not None
        points, breakdown = cost_of(model, billed)
        created = now_us - round(30 * _DAY_US * (number + 0.5) / count)
        query_id = hashlib.sha256(f"past/{number}".encode()).hexdigest()[:32]
        rows.append(Row(query_id, model.display_name, created, created, points, breakdown, label, usage_type))
    return rows
