"""Which catalogue of Poe's models is in force: the shipped one, or a copy that was fetched, with the entries that the
program registered on top.

Copies are kept by host and by day, in memory and as files in the cache directory. Nothing is written there unless
somebody asked for a refresh.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from quoth.call import Target
from quoth.engine.attempts import Policy
from quoth.engine.backoff import RetryBudget
from quoth.engine.effects import Flow, World
from quoth.engine.fetch import fetch
from quoth.errors import BadGatewayError, QuothError
from quoth.providers.catalogue import (
    Catalogue,
    ModelFacts,
    Source,
    Unlisted,
    corrected,
    corrections,
    from_bytes,
    from_list,
    known,
    shipped,
    to_bytes,
)
from quoth.providers.rows import host_of
from quoth.transport.environment import environment
from quoth.types import Warning

__all__ = ["SHELF", "Shelf", "cache_directory", "copies", "freshened", "refreshing"]

_KEPT = 30  # copies of one host, so as many days; each has a few hundred kilobytes
_AGAIN = 60.0  # seconds from a refresh that failed until the next one
_HOME_HOST = "api.poe.com:443"
logger = logging.getLogger("quoth")


# The variables that say where copies are kept.
_PLACES = ("QUOTH_CACHE_DIR", "LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME", "HOME")


def cache_directory(variables: Mapping[str, str], platform: str = sys.platform) -> Path:
    """Where copies of lists are kept: QUOTH_CACHE_DIR, else the platform's cache directory."""

    def given(name: str) -> str:
        return variables.get(name, "").strip()

    if own := given("QUOTH_CACHE_DIR"):
        return Path(own)
    if platform == "win32":
        return Path(given("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "quoth" / "Cache"
    if platform == "darwin":
        return Path.home() / "Library" / "Caches" / "quoth"
    base = given("XDG_CACHE_HOME")
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "quoth"


def copies(directory: Path, host: str) -> dict[str, Path]:
    """The copies of a host's list, ISO day to file, the newest first."""
    start = _stem(host)
    with suppress(OSError):
        files = {path.stem[len(start) :]: path for path in directory.glob(f"{start}????-??-??.json")}
        return {day: files[day] for day in sorted(files, reverse=True)}
    return {}


def _stem(host: str) -> str:
    return f"models-{re.sub(r'[^a-z0-9.-]', '_', host.lower())}-"


class Shelf:
    """The catalogues of one process, by the host that they are of."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._live: dict[tuple[str, Path], Catalogue | None] = {}
        self._ready: dict[tuple[str | None, ...], Catalogue] = {}
        self._failed: dict[str, float] = {}
        self._own: dict[str, dict[str, Any]] = {}

    def current(self, url: str, without: str | None = None) -> Catalogue:
        """The catalogue in force for a base URL. `without`: the corrections to leave out, in place of those that
        QUOTH_DISABLE_CORRECTIONS names."""
        variables = environment()
        off = variables.get("QUOTH_DISABLE_CORRECTIONS", "") if without is None else without
        # What decides is looked at in each call; a path is made of it only once.
        host = host_of(url)
        key = (host, off, *(variables.get(name) for name in _PLACES))
        found = self._ready.get(key)
        if found is None:
            with self._lock:
                found = self._ready[key] = self._made(host, cache_directory(variables), off)
        return found

    def _made(self, host: str, directory: Path, off: str) -> Catalogue:
        live = self._copy(host, directory)
        names = frozenset(name.strip() for name in off.split(",") if name.strip())
        if live is None and not names:
            made = known()
        else:
            made = corrected(shipped() if live is None else live.over(shipped()), corrections(), names)
        if self._own:
            rows = [
                msgspec.structs.replace(made.get(name) or ModelFacts(name), **fields)
                for name, fields in self._own.items()
            ]
            made = made.with_rows(rows, Source("register_model", datetime.now(UTC).date().isoformat()))
        return made

    def live(self, url: str) -> Catalogue | None:
        """The list as it was last fetched from this base URL; None if it never was."""
        with self._lock:
            return self._copy(host_of(url), cache_directory(environment()))

    def _copy(self, host: str, directory: Path) -> Catalogue | None:
        if (host, directory) not in self._live:
            self._live[host, directory] = next(filter(None, map(_read, copies(directory, host).values())), None)
        return self._live[host, directory]

    def is_due(self, url: str, ttl: float, now: float) -> bool:
        """True when there is no copy, or one older than `ttl` seconds, and no refresh failed within a minute. Says so
        once a minute at most, so that one of several callers refreshes."""
        with self._lock:
            host = host_of(url)
            live = self._copy(host, cache_directory(environment()))
            fetched = live.sources[0].fetched if live is not None else None
            if fetched is not None and 0 <= now - fetched < ttl:
                return False
            if 0 <= now - self._failed.get(host, -_AGAIN) < _AGAIN:
                return False
            self._failed[host] = now
            return True

    def put(self, url: str, catalogue: Catalogue) -> str | None:
        """Bring a fetched list into force and keep a copy; says why there is no copy, if it could not be written."""
        host, directory = host_of(url), cache_directory(environment())
        with self._lock:
            self._live[host, directory] = catalogue
            self._ready.clear()
            self._failed.pop(host, None)
            try:
                _write(directory / f"{_stem(host)}{catalogue.sources[0].date}.json", to_bytes(catalogue))
                for path in list(copies(directory, host).values())[_KEPT:]:
                    path.unlink(missing_ok=True)
            except OSError as error:
                return f"the list of models was fetched, but no copy could be kept: {error}"
        return None

    def register(self, entries: Mapping[str, dict[str, Any]]) -> None:
        """Lay fields over the facts of models, by id in lower case."""
        with self._lock:
            for name, fields in entries.items():
                self._own[name] = {**self._own.get(name, {}), **fields}
            self._ready.clear()

    def forget(self) -> None:
        """As if new: what was registered, and what was fetched, is gone from memory."""
        with self._lock:
            for kept in (self._live, self._ready, self._failed, self._own):
                kept.clear()


def _read(path: Path) -> Catalogue | None:
    try:
        return from_bytes(path.read_bytes())
    except (OSError, Unlisted) as error:
        logger.warning("the copy %s of a list of models cannot be read, an older one is used: %s", path.name, error)
        return None


def _write(path: Path, data: bytes) -> None:
    """All of it or nothing: readers never see half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".models-", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


def refreshing(shelf: Shelf, target: Target, policy: Policy, world: World, budget: RetryBudget) -> Flow[list[Warning]]:
    """The flow that fetches Poe's list and brings it into force. Raises QuothError; the list in force then stays, as
    it does when the answer is broken or has less than half of the models."""
    data = yield from fetch(target, "/models", policy, world, budget)
    now = world.today()
    host = host_of(target.base_url)
    source = Source(f"GET /v1/models of {host.removesuffix(':443')}", now.date().isoformat(), now.timestamp())
    try:
        fetched = from_list(data, source)
    except Unlisted as wrong:
        raise _refused(target, f"what {target.provider} gave as its list of models is none: {wrong}") from None
    before = shelf.live(target.base_url) or (shipped() if host == _HOME_HOST else None)
    if before is not None and len(fetched) * 2 < len(before):
        raise _refused(target, f"the list has {len(fetched)} models and had {len(before)}, so it was not taken")
    problem = shelf.put(target.base_url, fetched)
    return [] if problem is None else [Warning("catalogue_not_kept", None, problem)]


def _refused(target: Target, message: str) -> BadGatewayError:
    return BadGatewayError(message, llm_provider=target.provider, code="bad_upstream_response")


def freshened(
    shelf: Shelf, target: Target, ttl: float, policy: Policy, world: World, budget: RetryBudget
) -> Flow[list[Warning]]:
    """Fetch the list if the copy in force is older than `ttl` seconds; what goes wrong is a warning."""
    if target.provider != "poe" or not shelf.is_due(target.base_url, ttl, world.today().timestamp()):
        return []
    try:
        return (yield from refreshing(shelf, target, policy, world, budget))
    except QuothError as error:
        message = f"the list of models could not be fetched, the one at hand is used: {error.message}"
        return [Warning("catalogue_not_refreshed", None, message)]


SHELF = Shelf()
