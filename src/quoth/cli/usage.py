"""`quoth usage`: the points history as a table, as sums with a plot, as CSV or JSON."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from quoth.cli import terminal
from quoth.cli.failures import UsageFault
from quoth.sdk.account import UsageRow
from quoth.sdk.client import Client

__all__ = ["run"]

_BACK = re.compile(r"(\d{1,5})([hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_BAR = 24
_NOTED = 500  # rows between two signs of progress
_GROUPS: dict[str, Callable[[UsageRow], str]] = {
    "day": lambda row: f"{row.time:%Y-%m-%d}",
    "model": lambda row: row.model,
    "key": lambda row: row.key or f"({row.kind or 'unknown'})",
}


@dataclass(frozen=True, slots=True)
class Sum:
    """What was spent under one name."""

    name: str
    calls: int
    points: int
    usd: Decimal


def run(*, by: str | None, since: str | None, limit: int | None, as_csv: bool, as_json: bool) -> None:
    if by is not None and by not in _GROUPS:
        raise UsageFault(f"--by {by!r} is not known; there are {', '.join(_GROUPS)}")
    if as_csv and as_json:
        raise UsageFault("--csv and --json exclude each other")
    start = None if since is None else _start(since)
    with Client() as client, terminal.waiting("poe"):
        rows = list(_noted(client.usage_history(start, limit=limit)))
    sums = None if by is None else _sums(rows, by)
    if as_json:
        terminal.print_json([_call(row) for row in rows] if sums is None else [_sum(one, str(by)) for one in sums])
        return
    if as_csv:
        heading = _CALL if by is None else (by, "calls", "points", "usd")
        lines = [_call(row) for row in rows] if sums is None else [_sum(one, str(by)) for one in sums]
        terminal.write(_csv(heading, lines))
        return
    if rows:
        terminal.write(_calls_table(rows) if sums is None else _sums_table(sums, str(by)))
    total = sum((row.usd for row in rows), Decimal(0))
    terminal.note(f"{len(rows):,} calls, {sum(row.points for row in rows):,} points (${total.normalize():f}).")


def _start(since: str) -> datetime | timedelta:
    if found := _BACK.fullmatch(since.strip()):
        return int(found[1]) * _UNITS[found[2]]
    try:
        moment = datetime.fromisoformat(since.strip())
    except ValueError:
        raise UsageFault(f"--since {since!r} is neither a day like 2026-04-01 nor a time back like 12h or 7d") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _noted(rows: Iterator[UsageRow]) -> Iterator[UsageRow]:
    """The same rows; a long history says now and then how far it is."""
    for number, row in enumerate(rows, 1):
        if number % _NOTED == 0:
            terminal.note(f"{number:,} calls read, back to {row.time:%Y-%m-%d %H:%M} UTC")
        yield row


def _sums(rows: Iterable[UsageRow], by: str) -> list[Sum]:
    """Days in their order, newest first; models and keys by what they cost."""
    groups: dict[str, list[UsageRow]] = {}
    for row in rows:
        groups.setdefault(_GROUPS[by](row), []).append(row)
    sums = [
        Sum(name, len(own), sum(row.points for row in own), sum((row.usd for row in own), Decimal(0)))
        for name, own in groups.items()
    ]
    return sums if by == "day" else sorted(sums, key=lambda one: (-one.points, one.name))


_CALL = ("time", "model", "points", "usd", "kind", "key", "id")


def _call(row: UsageRow) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in _CALL}
    return {**values, "items": row.items, "tokens": row.tokens}


def _sum(one: Sum, by: str) -> dict[str, Any]:
    return {by: one.name, "calls": one.calls, "points": one.points, "usd": one.usd}


def _csv(heading: Sequence[str], lines: Iterable[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heading)
    for line in lines:
        writer.writerow([_cell(line[name]) for name in heading])
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    # A spreadsheet would take such a name for a formula.
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value


def _calls_table(rows: Sequence[UsageRow]) -> str:
    cells = [
        (f"{row.time:%Y-%m-%d %H:%M:%S}", row.model, f"{row.points:,}", f"${row.usd:f}", row.key or row.kind or "")
        for row in rows
    ]
    return _table(("time (UTC)", "model", "points", "usd", "key"), cells)


def _sums_table(sums: Sequence[Sum], by: str) -> str:
    most = max(1, *(one.points for one in sums))
    cells = [(one.name, f"{one.calls:,}", f"{one.points:,}", f"${one.usd:f}", _bar(one.points, most)) for one in sums]
    return _table((by, "calls", "points", "usd", ""), cells)


def _bar(points: int, most: int) -> str:
    """A bar to the eighth of a letter; whatever cost anything shows."""
    eighths = max(1, round(points * _BAR * 8 / most)) if points > 0 else 0
    if not (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf"):
        return "#" * ((eighths + 7) // 8)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    from rich.table import Table

    is_terminal = terminal.is_terminal(sys.stdout)
    console = terminal.console(sys.stdout, width=None if is_terminal else 10_000)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        numeric = heading in ("calls", "points", "usd")
        table.add_column(heading, justify="right" if numeric else "left", no_wrap=numeric)
    for row in rows:
        table.add_row(*(terminal.fit(terminal.harmless(cell, sys.stdout), sys.stdout) for cell in row))
    with console.capture() as captured:
        console.print(table)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())
