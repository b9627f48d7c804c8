"""Whoever is shown each exchange when it is over: metrics, the log, traces. Hooks are told by the application."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

from quoth.errors import BadRequestError
from quoth.gateway.cache import ResponseCache
from quoth.gateway.exchange import Exchange
from quoth.gateway.hooks import Hooks
from quoth.gateway.log import Log
from quoth.gateway.metrics import Metrics
from quoth.gateway.otel import OtelMissing, Traces
from quoth.gateway.settings import Settings

__all__ = ["Observers"]

_FLUSH_SECONDS = 2.0
# Exchanges are counted and logged in groups: the processor has all that this takes at hand then, so that each costs a
# third less. A group is told when it is so large, or so many seconds old.
_GROUP, _SOON = 64, 0.02


class Observers:
    """`redact` takes secrets out of a text. Raises BadRequestError for traces without their extra."""

    def __init__(self, settings: Settings, environment: Mapping[str, str], workers: int, redact: Callable[[str], str]):
        self.metrics = Metrics(workers)
        self._over: list[Exchange] = []
        self._timer: asyncio.TimerHandle | None = None
        self._redact = redact
        self._log_options = settings.quoth.log
        self.log = Log(settings.quoth.log, redact)
        self.traces: Traces | None = None
        if settings.quoth.otel:
            try:
                self.traces = Traces(settings, environment, redact)
            except OtelMissing as missing:
                raise BadRequestError(str(missing)) from None
            self.metrics.watch("spans_dropped", lambda: float(self.traces.failed if self.traces else 0))
        self.metrics.watch("log_lines_dropped", lambda: float(self.log.dropped))
        self.metrics.watch("tasks", _tasks)

    def watch(self, cache: Callable[[], ResponseCache | None], hooks: Callable[[], Hooks]) -> None:
        """Show these on the metrics page."""

        def of_cache(number: Callable[[ResponseCache], float]) -> Callable[[], float]:
            return lambda: 0.0 if (found := cache()) is None else number(found)

        self.metrics.watch("cache_misses", of_cache(lambda cache: cache.misses))
        self.metrics.watch("cache_entries", of_cache(lambda cache: len(cache.memory)))
        self.metrics.watch("cache_bytes", of_cache(lambda cache: cache.memory.bytes))
        self.metrics.watch_hooks(lambda: hooks().failures)

    def changed(self, settings: Settings) -> None:
        """Other settings are in force. Traces stay as they were until a restart."""
        if settings.quoth.log != self._log_options:
            self._tell()
            old, self.log = self.log, Log(settings.quoth.log, self._redact)
            self._log_options = settings.quoth.log
            old.close(_FLUSH_SECONDS)

    def begin(self, exchange: Exchange) -> None:
        self.metrics.in_flight += 1
        if self.traces is not None:
            self.traces.begin(exchange)

    def over(self, exchange: Exchange) -> None:
        """It does not change any more."""
        self.metrics.in_flight -= 1
        if self.traces is not None:
            self.traces.over(exchange)
        over = self._over
        over.append(exchange)
        if len(over) >= _GROUP:
            self._tell()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_SOON, self._tell)

    def _tell(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        over, self._over = self._over, []
        self.metrics.over(*over)
        self.log.over(*over)

    def snapshot(self) -> bytes:
        """The metrics of this process, for a sibling's page."""
        self._tell()
        return self.metrics.snapshot()

    async def page(self, others: Iterable[bytes] = (), departed: Iterable[bytes] = ()) -> bytes:
        """The metrics as Prometheus reads them; see `Metrics.render`."""
        self._tell()
        return await self.metrics.page(others, departed)

    def close(self) -> None:
        """Write and send what waits."""
        self._tell()
        self.log.close(_FLUSH_SECONDS)
        if self.traces is not None:
            self.traces.close(_FLUSH_SECONDS)


def _tasks() -> float:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:
        return 0.0  # there is no loop
