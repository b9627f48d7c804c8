"""`quoth balance`: what is left at Poe."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from quoth.cli import terminal
from quoth.sdk.account import Balance
from quoth.sdk.client import Client

__all__ = ["run"]


def run(*, as_json: bool) -> None:
    with Client() as client, terminal.waiting("poe"):
        found = client.balance()
    if as_json:
        terminal.print_json(_document(found))
        return
    lines = _lines(found)
    width = max(len(name) for name, _ in lines)
    terminal.write("".join(f"{name:<{width}}  {value}\n" for name, value in lines))


def _document(found: Balance) -> dict[str, Any]:
    return {name: getattr(found, name) for name in Balance.__slots__ if name != "raw"}


def _lines(found: Balance) -> list[tuple[str, str]]:
    """What is known, and nothing else."""
    lines = [("balance", _both(found.points, found.usd))]
    for name, points, usd in (
        ("plan", found.plan_points, found.plan_usd),
        ("add-on", found.addon_points, found.addon_usd),
    ):
        if points is not None:
            lines.append((f"  {name}", _both(points, usd)))
    for name, grant, when in (
        ("next daily grant", found.next_daily_points, found.next_daily_grant),
        ("next monthly grant", found.next_monthly_points, found.next_monthly_grant),
    ):
        if grant:
            lines.append((name, f"{grant:,} points" + (f" at {_moment(when)}" if when is not None else "")))
    if found.cycle_start is not None:
        lines.append(("cycle began", _moment(found.cycle_start)))
    if found.auto_recharge is not None:
        lines.append(("auto recharge", _recharge(found.auto_recharge)))
    return lines


def _both(points: int, usd: Decimal | None) -> str:
    return f"{points:,} points" + (f" (${usd})" if usd is not None else "")


def _moment(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC"


def _recharge(found: Any) -> str:
    if found.get("enabled") is not True:
        return "off"
    below, refill = found.get("threshold_points"), found.get("refill_points")
    text = "on"
    if isinstance(below, int) and isinstance(refill, int):
        text += f": {refill:,} points when fewer than {below:,} are left"
    if found.get("last_recharge_failure_time"):
        text += "; the last one failed"
    return text
