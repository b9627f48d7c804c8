"""The account at Poe: what is left, what was spent, and what past answers truly cost.

`GET /usage/current_balance` and `GET /usage/points_history` stand beside `/v1`, not under it. Poe keeps 30 days.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from quoth.call import Target
from quoth.engine.effects import Flow, Sleep
from quoth.engine.fetch import fetch
from quoth.errors import BadGatewayError, BadRequestError
from quoth.providers.costs import facts_of, in_usd
from quoth.sdk import defaults
from quoth.sdk.core import Core
from quoth.sdk.past import past
from quoth.transport.drive import adrive, drive
from quoth.types import Cost, Trace

if TYPE_CHECKING:
    from quoth.sdk.client import AsyncClient, Client

__all__ = [
    "Balance",
    "Reconciled",
    "UsageRow",
    "abalance",
    "areconcile",
    "ausage_history",
    "balance",
    "reconcile",
    "usage_history",
]

_PAGE = 100
# Poe's clock is not ours, and a row may be dated at either end of its call.
_SLACK = timedelta(seconds=60)
_POLL = 1.0
# Rows that belong to an answer already.
_used: set[tuple[str, datetime]] = set()
_POINTS = re.compile(r"\s*(-?[\d,]+) points?(?: \((\d+) tokens\))?")


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account has. Points, and USD as Poe states them; None is what this account's answer leaves out. Times are
    UTC. `auto_recharge` and `raw` are as Poe gives them."""

    points: int
    plan_points: int | None = None
    addon_points: int | None = None
    usd: Decimal | None = None
    plan_usd: Decimal | None = None
    addon_usd: Decimal | None = None
    cycle_start: datetime | None = None
    next_daily_grant: datetime | None = None
    next_daily_points: int | None = None
    next_monthly_grant: datetime | None = None
    next_monthly_points: int | None = None
    auto_recharge: Mapping[str, Any] | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One call in the history. `model` is the bot's name, `kind` "API", "Chat" or "Canvas App", `key` the name of the
    API key. `items` are points by line of the breakdown, `tokens` the tokens that a line states. Where `points` is 0
    the cost may come seconds later."""

    id: str
    model: str
    time: datetime
    points: int
    usd: Decimal
    kind: str | None = None
    key: str | None = None
    items: Mapping[str, int] = field(default_factory=dict)
    tokens: Mapping[str, int] = field(default_factory=dict)
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Reconciled:
    """How many past answers have got their true cost by now, and how many of them still wait for it."""

    matched: int
    missing: int


def balance(*, client: Client | None = None) -> Balance:
    """What is left on the account, asked for now. Raises QuothError."""
    one = client or defaults.client()
    return drive(_balance(one._core), one._transport())


async def abalance(*, client: AsyncClient | None = None) -> Balance:
    """`balance` for asyncio."""
    one = client or defaults.async_client()
    return await adrive(_balance(one._core), one._transport())


def usage_history(
    since: datetime | timedelta | None = None, *, limit: int | None = None, client: Client | None = None
) -> Iterator[UsageRow]:
    """What was spent, newest first, page after page while it is iterated.

    `since`: a moment, or how far back; all 30 days if left out. `limit`: the most rows. Raises QuothError, in the
    iteration.
    """
    one = client or defaults.client()
    pages = _Pages(one._core, since, limit)
    while not pages.over:
        yield from drive(pages.next(), one._transport())


async def ausage_history(
    since: datetime | timedelta | None = None, *, limit: int | None = None, client: AsyncClient | None = None
) -> AsyncIterator[UsageRow]:
    """`usage_history` for asyncio: `async for row in ausage_history()`."""
    one = client or defaults.async_client()
    pages = _Pages(one._core, since, limit)
    while not pages.over:
        for row in await adrive(pages.next(), one._transport()):
            yield row


def reconcile(*, wait: float = 10.0, key_name: str | None = None, client: Client | None = None) -> Reconciled:
    """Look up in the points history what the answers of this process truly cost: `response.cost` of each that is found
    then has source "provider".

    Only answers of Poe that the program still holds, made with the same key and address as this client's. A row is
    used once; it belongs to the answer of its model that is nearest in time. `wait`: seconds to go on asking for rows
    that are not there or not priced yet. `key_name`: only rows of the API key with this name, where other programs
    spend from the same account. Raises QuothError.
    """
    one = client or defaults.client()
    return drive(_reconcile(one._core, wait, key_name), one._transport())


async def areconcile(
    *, wait: float = 10.0, key_name: str | None = None, client: AsyncClient | None = None
) -> Reconciled:
    """`reconcile` for asyncio."""
    one = client or defaults.async_client()
    return await adrive(_reconcile(one._core, wait, key_name), one._transport())


def _account(core: Core) -> Target:
    target = core.provider_target("poe")
    return replace(target, base_url=target.base_url.removesuffix("/v1"))


def _balance(core: Core) -> Flow[Balance]:
    data = yield from fetch(_account(core), "/usage/current_balance", core.policy(), core.world, core.budget)
    points = _whole(data.get("current_point_balance")) if isinstance(data, dict) else None
    if points is None:
        raise _unreadable("the balance has no current_point_balance")
    recharge = data.get("auto_recharge")
    return Balance(
        points=points,
        plan_points=_whole(data.get("plan_points_balance")),
        addon_points=_whole(data.get("addon_point_balance")),
        usd=_amount(data.get("total_balance_usd")),
        plan_usd=_amount(data.get("plan_balance_usd")),
        addon_usd=_amount(data.get("addon_balance_usd")),
        cycle_start=_time(data.get("points_cycle_start_time")),
        next_daily_grant=_time(data.get("next_daily_grant_time")),
        next_daily_points=_whole(data.get("next_daily_grant_amount")),
        next_monthly_grant=_time(data.get("next_monthly_grant_time")),
        next_monthly_points=_whole(data.get("next_monthly_grant_amount")),
        auto_recharge=recharge if isinstance(recharge, dict) else None,
        raw=data,
    )


class _Pages:
    """The history, a page at a time."""

    def __init__(self, core: Core, since: datetime | timedelta | None, limit: int | None):
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
            raise BadRequestError(f"limit is {limit!r}; it has to be 1 or more", param="limit")
        self._core, self._left = core, limit
        self._since = _moment(since, core.world.today())
        self._after: str | None = None
        self._seen: set[str] = set()
        self.over = False

    def next(self) -> Flow[list[UsageRow]]:
        """Rows that are new; a row may move to the next page while pages are read."""
        core = self._core
        query: dict[str, Any] = {"limit": _PAGE if self._left is None else min(_PAGE, self._left)}
        if self._after is not None:
            query["starting_after"] = self._after
        path = f"/usage/points_history?{urlencode(query)}"
        data = yield from fetch(_account(core), path, core.policy(), core.world, core.budget)
        if not isinstance(data, dict) or not isinstance(data.get("data"), list):
            raise _unreadable("the points history has no list of rows")
        rows = [_row(one) for one in data["data"]]
        fresh = [row for row in rows if row.id not in self._seen]
        self._seen.update(row.id for row in fresh)
        self.over = data.get("has_more") is not True or not fresh
        if rows:
            self._after = rows[-1].id
        if self._since is not None:
            recent = [row for row in fresh if row.time >= self._since]
            self.over = self.over or len(recent) < len(fresh)
            fresh = recent
        if self._left is not None:
            fresh = fresh[: self._left]
            self._left -= len(fresh)
            self.over = self.over or self._left == 0
        return fresh


def _row(data: Any) -> UsageRow:
    if not isinstance(data, dict):
        raise _unreadable("a row of the points history is no object")
    name, made = data.get("bot_name") or data.get("app_name"), _time(data.get("creation_time"))
    points = _whole(data.get("cost_points"))
    if not isinstance(data.get("query_id"), str) or made is None or points is None:
        raise _unreadable("a row of the points history lacks query_id, creation_time or cost_points")
    items, tokens = {}, {}
    breakdown = data.get("cost_breakdown_in_points")
    for line, said in breakdown.items() if isinstance(breakdown, dict) else ():
        found = _POINTS.match(str(said))
        if found is not None and line != "Total":
            items[line] = int(found[1].replace(",", ""))
            if found[2] is not None:
                tokens[line] = int(found[2])
    usd = _amount(data.get("cost_usd"))
    return UsageRow(
        id=data["query_id"],
        model=str(name or ""),
        time=made,
        points=points,
        usd=in_usd(points) if usd is None else usd,
        kind=_text(data.get("usage_type")),
        key=_text(data.get("api_key_name")),
        items=items,
        tokens=tokens,
        raw=data,
    )


def _reconcile(core: Core, wait: float, key_name: str | None) -> Flow[Reconciled]:
    account = _account(core)
    home = core.provider_target("poe").base_url
    waiting = [
        _Wanted(trace, target)
        for trace, target in past()
        if target.key == account.key and target.base_url == home and not _is_true(trace)
    ]
    wanted = len(waiting)
    end = core.world.now() + wait
    while waiting:
        first = min(one.start for one in waiting) - _SLACK
        pages = _Pages(core, first, None)
        rows: list[UsageRow] = []
        while not pages.over:
            rows += yield from pages.next()
        waiting = _assign(waiting, [row for row in rows if key_name in (None, row.key)])
        if not waiting or core.world.now() + _POLL > end:
            break
        yield Sleep(_POLL)
    return Reconciled(wanted - len(waiting), len(waiting))


class _Wanted:
    """An answer whose true cost is looked for."""

    def __init__(self, trace: Trace, target: Target):
        assert trace.started is not None
        self.trace = trace
        self.start = trace.started
        self.end = self.start + timedelta(seconds=trace.seconds or 0.0)
        # A repair and parallel calls for one answer are a row each.
        self.count = max(1, sum(attempt.error is None for attempt in trace.attempts))
        facts = facts_of(target)
        names = (target.model,) if facts is None else (target.model, facts.id, facts.display_name)
        self.names = {_plain(name) for name in names}
        self.rows: list[UsageRow] = []

    def nearest(self, free: Mapping[str, _Free]) -> tuple[timedelta, str, int] | None:
        """The free row that is nearest, as its distance, the name under which it stands, and its place there."""
        found = [
            (*near, name)
            for name in self.names
            if name in free and (near := free[name].nearest(self.start, self.end)) is not None
        ]
        return min(((distance, name, place) for distance, place, name in found), default=None)


class _Free:
    """The rows of one model that belong to no answer yet, in the order of their time."""

    def __init__(self, rows: list[UsageRow]):
        self.rows = sorted(rows, key=lambda row: row.time)
        self._times = [row.time for row in self.rows]
        # From each place to the next one that is free, forwards and backwards; a batch has thousands of each.
        self._after = list(range(len(rows) + 1))
        self._before = list(range(len(rows) + 1))  # here place 1 is the first row, and 0 is none

    def is_free(self, place: int) -> bool:
        return self._after[place] == place

    def take(self, place: int) -> None:
        self._after[place] = place + 1
        self._before[place + 1] = place

    def nearest(self, start: datetime, end: datetime) -> tuple[timedelta, int] | None:
        """The distance from `start` to the nearest free row that can be of a call from `start` to `end`, and its
        place."""
        here = bisect_left(self._times, start)
        places = _root(self._before, here) - 1, _root(self._after, here)
        found = [
            (abs(self._times[place] - start), place)
            for place in places
            if 0 <= place < len(self.rows) and start - _SLACK <= self._times[place] <= end + _SLACK
        ]
        return min(found, default=None)


def _root(links: list[int], place: int) -> int:
    while links[place] != place:
        links[place] = links[links[place]]
        place = links[place]
    return place


def _assign(waiting: list[_Wanted], rows: list[UsageRow]) -> list[_Wanted]:
    """Give each answer the rows nearest to it, and those that are priced in full their cost; returns the rest."""
    by_model: dict[str, list[UsageRow]] = {}
    for row in rows:
        if (row.id, row.time) not in _used and row.kind in (None, "API"):
            by_model.setdefault(_plain(row.model), []).append(row)
    free = {name: _Free(found) for name, found in by_model.items()}
    queue: list[tuple[timedelta, int, str, int]] = []

    def offer(number: int) -> None:
        if (near := waiting[number].nearest(free)) is not None:
            heappush(queue, (near[0], number, *near[1:]))

    for number, one in enumerate(waiting):
        one.rows = []
        offer(number)
    while queue:
        _, number, name, place = heappop(queue)
        one = waiting[number]
        if free[name].is_free(place):
            free[name].take(place)
            one.rows.append(free[name].rows[place])
        if len(one.rows) < one.count:
            offer(number)
    left = []
    for one in waiting:
        if len(one.rows) < one.count or not all(map(_is_priced, one.rows)):
            left.append(one)
            continue
        _used.update((row.id, row.time) for row in one.rows)
        one.trace.cost = _true_cost(one.rows)
    return left


def _is_priced(row: UsageRow) -> bool:
    """A row appears with 0 points and no breakdown, and is completed later."""
    return row.points != 0 or bool(row.raw.get("cost_breakdown_in_points"))


def _true_cost(rows: list[UsageRow]) -> Cost:
    items: dict[str, int] = {}
    for row in rows:
        for line, points in row.items.items():
            items[line] = items.get(line, 0) + points
    points = sum(row.points for row in rows)
    return Cost(usd=in_usd(points), points=points, items=items, source="provider")


def _is_true(trace: Trace) -> bool:
    return trace.cost is not None and trace.cost.source == "provider"


@lru_cache(maxsize=1024)
def _plain(name: str) -> str:
    """A name as it is compared: the history shows a bot's display name, which differs in case and marks."""
    return re.sub(r"[^a-z0-9.]", "", name.lower())


def _moment(since: datetime | timedelta | None, now: datetime) -> datetime | None:
    if since is None:
        return None
    if isinstance(since, timedelta):
        return now - since
    if not isinstance(since, datetime):
        raise BadRequestError(f"since is {since!r}; it has to be a datetime or a timedelta", param="since")
    return since.astimezone(UTC)  # a time without a zone is local, as everywhere in Python


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _amount(value: Any) -> Decimal | None:
    if value is None or isinstance(value, bool):
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None


def _time(value: Any) -> datetime | None:
    """Microseconds since 1970 as a moment."""
    count = _whole(value)
    try:
        return None if count is None else datetime.fromtimestamp(0, UTC) + timedelta(microseconds=count)
    except OverflowError:
        return None


def _unreadable(why: str) -> BadGatewayError:
    return BadGatewayError(f"Poe's answer cannot be read: {why}", llm_provider="poe", code="bad_upstream_response")
