"""The gateway as an ASGI application.

    app = App(settings, workers=1, control=Alone())

A request: its id and clock, the caller, its route, its body; then the surface that answers it. Whatever happens, it
gets one answer in its own envelope, and the exchange is shown to the observers once.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from datetime import UTC, datetime
from typing import Any

from quoth import errors
from quoth.engine.effects import World
from quoth.gateway.admission import Admission
from quoth.gateway.cache import ResponseCache
from quoth.gateway.catalogues import Catalogues
from quoth.gateway.collector import settled, thrifty
from quoth.gateway.departure import Departure, Lookout
from quoth.gateway.exchange import Exchange
from quoth.gateway.films.jobs import FilmJobs
from quoth.gateway.generation import Generation
from quoth.gateway.hooked import Hooked, answered_by_hook
from quoth.gateway.hooks import Hooks, HooksNotLoaded, Reply, load_hooks
from quoth.gateway.idempotency import Keys
from quoth.gateway.incoming import (
    BODY_SECONDS,
    Left,
    Receive,
    RequestTimeout,
    authenticated,
    check_head,
    from_here,
    header_map,
)
from quoth.gateway.observers import Observers
from quoth.gateway.outgoing import Outgoing
from quoth.gateway.problems import Problem, in_own_words, problem_of
from quoth.gateway.redact import Redactor, hosts_of, secrets_of
from quoth.gateway.request import Request
from quoth.gateway.routes import ROUTES, Route, decoded, find
from quoth.gateway.settings import Settings
from quoth.gateway.upkeep import Upkeep
from quoth.transport.aio import AsyncioTransport
from quoth.transport.environment import environment
from quoth.transport.mock import MockingAsync
from quoth.transport.network import Network
from quoth.transport.ports import AsyncTransport
from quoth.transport.reach import public_address

__all__ = ["App"]

logger = logging.getLogger("quoth.gateway")

Send = Callable[[dict[str, Any]], Awaitable[None]]
Scope = dict[str, Any]


class App:
    """`control` reaches the siblings of this worker (`quoth.gateway.serve.control.Control`). Raises QuothError for
    settings that cannot be served."""

    def __init__(self, settings: Settings, *, workers: int = 1, control: Any = None):
        self.world = World(now=time.monotonic, today=lambda: datetime.now(UTC), random=random.random)
        self.workers, self.control = workers, control
        self.catalogues = Catalogues()
        self.generation = Generation(settings, environment(), self.world, self.catalogues.of)
        self.cache: ResponseCache | None = None
        self.admission: Admission | None = None
        self._connections = AsyncioTransport(self.generation.network, self._environment)
        self.transport: AsyncTransport = self._connections
        self.hooks = _loaded_hooks(settings)
        self.observers = Observers(settings, self.generation.environment, workers, self._redact)
        self.observers.watch(lambda: self.cache, lambda: self.hooks)
        self.keys = Keys(settings.quoth.idempotency.ttl, time.monotonic)
        self._take(self.generation)
        self.draining = False
        self.open: dict[Exchange, asyncio.Task[Any]] = {}
        self._idle = asyncio.Event()
        self._lookout = Lookout()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._kept: dict[tuple[Generation, str], bytes] = {}
        self._upkeep = Upkeep(self)
        self.outside = self._to_the_internet()
        self.films = FilmJobs(self.world.today)

    # What the server and the parent call

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        kind = scope["type"]
        if kind == "http":
            return self._http(scope, receive, send)
        return self._lifespan(receive, send) if kind == "lifespan" else _no_websocket(receive, send)

    async def swap(self, settings: Settings) -> None:
        """Serve these settings from the next request on. Raises QuothError; nothing has changed then."""
        before = self.generation
        generation = Generation(settings, environment(), self.world, self.catalogues.of, before)
        hooks = self.hooks
        if settings.hooks or hooks.any:
            hooks = await asyncio.to_thread(_loaded_hooks, settings)  # a hook's imports may take their time
        if generation.network != before.network:
            self._connections = AsyncioTransport(generation.network, self._environment)
        self._take(generation)
        self.outside = self._to_the_internet()
        self.observers.changed(settings)
        if hooks is not self.hooks:
            self.hooks = hooks
            self._upkeep.host(hooks)
        settled()

    def renew(self) -> None:
        """Take in what was learnt of models since the settings were read."""
        before = self.generation
        self._take(Generation(before.settings, environment(), self.world, self.catalogues.of, before))
        settled()

    def _take(self, generation: Generation) -> None:
        """From now on this one counts."""
        before = self.generation
        self.generation = generation
        self.transport = MockingAsync(self._connections) if generation.mocks else self._connections
        self.observers.metrics.routes = generation.routes
        settings = generation.settings
        self.keys.ttl = settings.quoth.idempotency.ttl
        self.redactor = Redactor(secrets_of(settings, generation.environment), hosts_of(settings))
        if settings.cache is None:
            self.cache = None
        elif self.cache is None or before.settings.cache != settings.cache:
            self.cache = ResponseCache(settings.cache, time.monotonic)

    def _to_the_internet(self) -> AsyncioTransport:
        """For addresses that callers give, or that stand in answers: to hosts of the public internet alone, straight to
        the address that was looked at, without anything that says who is calling."""
        network = Network(ssl_verify=self.generation.network.ssl_verify)
        return AsyncioTransport(network, self._environment, public_address)

    def _redact(self, text: str) -> str:
        return self.redactor(text)

    def _environment(self) -> Mapping[str, str]:
        """The environment as the settings found it: the process's own is slow to read, and does not change."""
        return self.generation.environment

    async def drain(self, delay: float, within: float) -> None:
        """Be not ready; from `delay` seconds on wait `within` seconds for what is open, then end the rest."""
        self.draining = True
        await asyncio.sleep(delay)
        try:
            async with asyncio.timeout(within):
                await self._until_idle()
        except TimeoutError:
            for task in list(self.open.values()):
                task.cancel("drain")
            await self._until_idle()

    def hurry(self, now: float) -> None:
        """End the requests whose bodies do not come. To watch over each by a timer of its own costs too much."""
        for x, task in list(self.open.items()):
            if x.method == "POST" and not x.bytes_in and now - x.started > BODY_SECONDS:
                task.cancel("body")

    def snapshot(self) -> bytes:
        """The metrics of this process, for a sibling's page."""
        return self.observers.snapshot()

    async def metrics_page(self) -> bytes:
        """The metrics of all workers, as Prometheus reads them."""
        if self.control is None or self.workers == 1:
            return await self.observers.page()
        others = await self.control.gather()
        return await self.observers.page(others.living, others.departed)

    def admitted(self, x: Exchange) -> AbstractAsyncContextManager[None]:
        """Around one call; see `Admission.admitted`."""
        return nullcontext() if self.admission is None else self.admission.admitted(x)

    def kept(self, generation: Generation, name: str, make: Callable[[], bytes]) -> bytes:
        """A body that stays the same for as long as its generation does."""
        found = self._kept.get((generation, name))
        if found is None:
            self._kept = {key: body for key, body in self._kept.items() if key[0] is generation}
            found = self._kept[generation, name] = make()
        return found

    async def _until_idle(self) -> None:
        while self.open:
            self._idle.clear()
            await self._idle.wait()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self._loop = asyncio.get_running_loop()
        try:
            settled()
            thrifty()
            async with self._upkeep, self.films:
                await send({"type": "lifespan.startup.complete"})
                await receive()
        finally:
            await self._connections.aclose()
            await self.outside.aclose()
            self.observers.close()
        await send({"type": "lifespan.shutdown.complete"})

    # One request

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.monotonic()
        path, parameter = scope["path"], ""
        raw = scope.get("raw_path")
        if raw is not None and b"%" in raw:
            path = decoded(raw)
        route = ROUTES.get(path)
        if route is None:
            route, parameter = find(path)
        headers = dict(scope["headers"])
        client = scope.get("client")
        x = Exchange(
            _request_id(headers),
            scope["method"],
            route.template,
            route.surface,
            headers,
            started,
            client[0] if client else None,
            scope.get("query_string", b""),
        )
        task = asyncio.current_task(self._loop)
        assert task is not None
        out = Hooked(send, x, route.dialect, self.hooks) if self.hooks.any else Outgoing(send, x, route.dialect)
        departure = Departure(receive, task, out, self._lookout)
        request = Request(self, self.generation, x, parameter, receive, out, departure)
        self.open[x] = task
        self.observers.begin(x)
        try:
            try:
                check_head(scope["headers"], headers)
                if len(headers) != len(scope["headers"]):
                    header_map(scope["headers"])  # raises for some that come twice
                await self._handle(request, route)
            except errors.QuothError as error:
                await self._failed(out, error)
            except Left:
                x.left = True
                await _not_whole(out)
            except Exception as error:
                trace = "".join(traceback.format_exception(error))
                logger.error("request %s failed\n%s", x.id, self.redactor(trace))
                await self._failed(out, error)
        except asyncio.CancelledError as cancelled:
            if departure.left:
                # Who closes when the last event is there has taken all of it.
                x.left = not (x.stream and out.ended)
                task.uncancel()
            elif cancelled.args == ("drain",):
                task.uncancel()
                await _last(out, _SHUTTING_DOWN, _LAST_WORD)
            elif cancelled.args == ("body",):
                task.uncancel()
                await _last(out, problem_of(RequestTimeout(), self.redactor))
            else:
                raise
        finally:
            departure.stop()
            out.settle()
            x.ended = time.monotonic()
            self.closed(x)
            self.over(x)

    def closed(self, x: Exchange) -> None:
        """Nothing goes on for this exchange any more."""
        del self.open[x]
        if not self.open:
            self._idle.set()

    async def _handle(self, request: Request, route: Route) -> None:
        generation, x = request.generation, request.x
        if not (route.open or (route.surface == "metrics" and not generation.settings.quoth.metrics_auth)):
            if generation.for_here:
                from_here(x.headers)
            x.caller = authenticated(x.headers, generation.master)
        handler = route.handlers.get("GET" if x.method == "HEAD" else x.method)
        if handler is None:
            await self._no_method(x, route, request.out)
            return
        try:
            await handler(request)
        except Reply as reply:
            await answered_by_hook(reply, x, request.out, int(self.world.today().timestamp()))

    async def _no_method(self, x: Exchange, route: Route, out: Outgoing) -> None:
        if x.headers.get(b"upgrade", b"").lower() == b"websocket":
            await out.problem(Problem(426, "upgrade_required", "there are no websockets here"), _PLAIN_HTTP)
            return
        if not route.handlers:
            raise errors.NotFoundError("there is no such route", code="not_found_error")
        allowed = ", ".join(sorted({*route.handlers, "OPTIONS", *(("HEAD",) if "GET" in route.handlers else ())}))
        allow = (b"allow", allowed.encode())
        if x.method == "OPTIONS":
            await out.whole(204, [allow], b"")
        else:
            problem = Problem(405, "method_not_allowed", f"{route.template} takes {allowed}")
            await out.problem(problem, [allow])

    async def _failed(self, out: Outgoing, error: Exception) -> None:
        """The error as the caller gets it. One that nobody can be told any more is only noted."""
        x = out.x
        if self.hooks.any and isinstance(error, errors.QuothError):
            error = await self.hooks.failed(x, error) or error
        problem = problem_of(error, self.redactor)
        x.error, x.message = problem.slug, problem.message
        if isinstance(error, errors.QuothError) and problem.status >= 500:
            all_of_it = self.generation.settings.quoth.log.level == "debug"
            said = error.message if all_of_it else in_own_words(error)
            logger.warning("request %s: %s: %s", x.id, problem.slug, self.redactor(said))
        await _last(out, problem)

    def over(self, x: Exchange) -> None:
        """Everything is known now."""
        self.observers.over(x)
        if self.hooks.any:
            self.hooks.over(x)


def _loaded_hooks(settings: Settings) -> Hooks:
    """Raises BadRequestError for hooks that cannot be loaded."""
    try:
        hooks = load_hooks(settings)
    except HooksNotLoaded as error:
        raise errors.BadRequestError(str(error)) from None
    for warning in hooks.warnings:
        logger.warning("%s", warning)
    return hooks


_SHUTTING_DOWN = Problem(503, "shutting_down", "the gateway is stopping; try again", retry_after=1.0)
# Seconds that a client has to take it.
_LAST_WORD = 1.0


async def _last(out: Outgoing, problem: Problem, within: float | None = None) -> None:
    """The last word, for which a client has `within` seconds where somebody waits for it."""
    out.x.error, out.x.message = problem.slug, problem.message
    try:
        async with asyncio.timeout(within):
            await out.problem(problem)
    except (OSError, RuntimeError):  # TimeoutError is an OSError
        out.x.left = True  # the connection was closed under the answer, or nobody takes it


_NOT_WHOLE = Problem(400, "invalid_request_error", "the request's body broke off, or its chunks are none")


async def _not_whole(out: Outgoing) -> None:
    """For whom has left, nothing. But granian says the same of one whose chunks are none, and who waits."""
    body = out.dialect.envelope(_NOT_WHOLE, out.x.id)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *_CLOSES]
    headers += [(name, out.x.id.encode()) for name in out.dialect.named]
    with suppress(OSError, RuntimeError):
        await out.send({"type": "http.response.start", "status": 400, "headers": headers})
        await out.send({"type": "http.response.body", "body": body})


_CLOSES = [(b"connection", b"close")]
# What a 426 has to say: which protocol is spoken instead.
_PLAIN_HTTP = [(b"upgrade", b"HTTP/1.1"), (b"connection", b"upgrade")]


async def _no_websocket(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.close", "code": 1008, "reason": "there are no websockets here"})


_ID = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")


def _request_id(headers: dict[bytes, bytes]) -> str:
    given = headers.get(b"x-request-id") or headers.get(b"x-litellm-call-id")
    if given is not None and 0 < len(given) <= 128 and _ID.issuperset(given):
        return given.decode("ascii")
    return f"req_{random.getrandbits(128):032x}"
