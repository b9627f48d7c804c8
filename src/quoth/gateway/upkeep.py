"""What the gateway does beside answering: Poe's list of models fetched anew, the balance of each key looked at,
requests that never become whole ended, a log that cannot be written complained of."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from quoth.call import Target, Timeouts
from quoth.engine.fetch import fetch
from quoth.engine.retrying import Policy
from quoth.errors import QuothError
from quoth.gateway.hooks import Hooks
from quoth.providers.catalogue import Source, Unlisted, from_list
from quoth.providers.rows import host_of
from quoth.transport.drive import adrive

if TYPE_CHECKING:
    from quoth.gateway.app import App

__all__ = ["Upkeep"]

logger = logging.getLogger("quoth.gateway")

BALANCE_SECONDS = 60.0
AGAIN_SECONDS = 300.0
# What is more is no balance.
_MOST_POINTS = 1e18
_ROUND_SECONDS = 5.0
_POLICY = Policy(num_retries=1, timeouts=Timeouts(total=30.0))


class Upkeep:
    """The tasks of one worker, from its start to its end. None of them costs anything at a provider."""

    def __init__(self, app: App):
        self._app = app
        self._group: asyncio.TaskGroup | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._leave: asyncio.Event | None = None
        self._log_problem: str | None = None

    async def __aenter__(self) -> Self:
        self._group = await asyncio.TaskGroup().__aenter__()
        for work in (self._catalogues, self._balances, self._rounds):
            self._tasks.append(self._group.create_task(work()))
        self.host(self._app.hooks)
        return self

    def host(self, hooks: Hooks) -> None:
        """Give hooks a home for their observers, in place of those before. These end when what they watch has."""
        if self._leave is not None:
            self._leave.set()
            self._leave = None
        if hooks.any and self._group is not None:
            self._leave = asyncio.Event()
            self._group.create_task(_at_home(hooks, self._leave))

    async def __aexit__(self, *exception: Any) -> None:
        if self._leave is not None:
            self._leave.set()
        for task in self._tasks:
            task.cancel()
        assert self._group is not None
        await self._group.__aexit__(None, None, None)

    def _poe_targets(self) -> dict[str, Target]:
        """One target for each base URL of Poe that is called."""
        found: dict[str, Target] = {}
        for deployment in self._app.generation.deployments:
            if deployment.row.name == "poe" and not deployment.mock:
                target = deployment.target("any" if "*" in deployment.model else None)
                found.setdefault(target.base_url, target)
        return found

    async def _catalogues(self) -> None:
        """Poe's list, as old as the settings allow at most."""
        while True:
            ttl = self._app.generation.settings.quoth.catalogue_ttl
            if ttl <= 0:
                return
            targets = self._poe_targets()
            good = [await self._refresh(target) for target in targets.values()]
            if any(good):
                self._renewed()
            await asyncio.sleep(ttl if all(good) else min(ttl, AGAIN_SECONDS))

    def _renewed(self) -> None:
        """What was learnt is put to use; nothing that a provider says of its models may end the worker."""
        try:
            self._app.renew()
        except Exception:
            logger.exception("what the list of models says cannot be used, what was known stays in use")

    async def _refresh(self, target: Target) -> bool:
        app = self._app
        try:
            data = await adrive(fetch(target, "/models", _POLICY, app.world, app.generation.budget), app.transport)
            now = app.world.today()
            name = f"GET /v1/models of {host_of(target.base_url).removesuffix(':443')}"
            fetched = from_list(data, Source(name, now.date().isoformat(), now.timestamp()))
            before = app.catalogues.of(target.base_url)
            if len(fetched) * 2 < len(before):
                raise Unlisted(f"it has {len(fetched)} models, and {len(before)} are known")
            listed = data["data"] if isinstance(data, dict) else data
            app.catalogues.put(target.base_url, fetched, {str(row["id"]).lower(): row for row in listed})
        except (QuothError, Unlisted) as error:
            text = app.redactor(str(error))
            logger.warning("the list of models could not be fetched, the one at hand stays: %s", text)
            return False
        except Exception:
            logger.exception("a list of models that nobody foresaw; the one at hand stays")
            return False
        return True

    async def _rounds(self) -> None:
        while True:
            await asyncio.sleep(_ROUND_SECONDS)
            self.look_round(time.monotonic())

    def look_round(self, now: float) -> None:
        """Requests whose bodies do not come are ended; a log that cannot be written is complained of, once."""
        self._app.hurry(now)
        problem = self._app.observers.log.problem
        if problem != self._log_problem:
            if problem is None:
                logger.warning("the request log is written again")
            else:
                logger.warning("the request log cannot be written, and loses lines: %s", problem)
            self._log_problem = problem

    async def _balances(self) -> None:
        """What is left on each key of Poe, from `/usage/current_balance`; one that cannot be read is not known."""
        while True:
            app = self._app
            for key, target in app.generation.routes.keys().items():
                if target.provider == "poe":
                    app.generation.routes.known_balance(key, await self._balance(target))
            await asyncio.sleep(BALANCE_SECONDS)

    async def _balance(self, target: Target) -> float | None:
        app = self._app
        root = replace(target, base_url=target.base_url.removesuffix("/v1"))
        try:
            data = await adrive(
                fetch(root, "/usage/current_balance", _POLICY, app.world, app.generation.budget), app.transport
            )
        except QuothError as error:
            logger.info("the balance of a key could not be read: %s", app.redactor(str(error)))
            return None
        points = data.get("current_point_balance") if isinstance(data, dict) else None
        if not isinstance(points, int | float) or isinstance(points, bool) or not abs(points) < _MOST_POINTS:
            return None
        return float(points)


async def _at_home(hooks: Hooks, leave: asyncio.Event) -> None:
    async with hooks:
        await leave.wait()
