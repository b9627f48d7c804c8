"""Hooks at work: in order, within their time, and with the right consequence when one fails."""

from __future__ import annotations

import asyncio
import logging
import os.path
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Protocol, TypeVar, runtime_checkable
from weakref import WeakSet

import msgspec

from quoth.errors import QuothError
from quoth.gateway.exchange import ANYBODY, Exchange
from quoth.gateway.hooks.interface import REMOVED, Call, Hook, HookFailed, Refuse, Reply
from quoth.gateway.hooks.standin import Lacking
from quoth.gateway.hooks.streaming import MESSAGES, SURFACES, Blocks, Events, Pumped, Stage, Texts, by_hook

__all__ = ["Hooks", "Wraps"]

T = TypeVar("T")
_LOG = logging.getLogger("quoth")
_CALL = "hooks.call"
# Observers that are slow must not gather without end.
_MOST_OBSERVING = 1_000
_CREDENTIALS = frozenset(
    (b"authorization", b"proxy-authorization", b"x-api-key", b"api-key", b"x-litellm-api-key", b"cookie")
)


@runtime_checkable
class Wraps(Protocol):
    """A hook that takes a whole stream in hand; `wraps` says whether it does."""

    wraps: bool

    def wrap(self, call: Call, events: AsyncIterator[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]: ...


class Hooks:
    """All hooks of the settings, `(name in the settings, hook)` each. `timeout` in seconds.

        async with hooks:                                                 # for as long as the worker serves
            if hooks.wants_request:                                       # may raise Refuse, Reply, HookFailed
                body = await hooks.before(exchange, body) or body
            if hooks.wants_answer:                                        # may raise Refuse, HookFailed
                answer = await hooks.after(exchange, answer) or answer
            if hooks.wants_events and (events := hooks.stream(exchange)):
                for event in await events.feed(event): ...                # may raise Refuse, HookFailed
            if hooks.any:
                error = await hooks.failed(exchange, error) or error      # before the caller is told
                hooks.over(exchange)                                      # after everything

    Without hooks all flags are False, and nothing is to be called. `failures`: how often each hook failed; `warnings`:
    what whoever loaded them should say.
    """

    def __init__(self, hooks: Sequence[tuple[str, Hook]] = (), timeout: float = 2.0, warnings: Sequence[str] = ()):
        self._timeout = timeout
        self._group: asyncio.TaskGroup | None = None
        self._observing = 0
        self._pumped: WeakSet[Pumped] = WeakSet()
        self.warnings = tuple(warnings)
        self.failures = {name: 0 for name, _ in hooks}

        def those(name: str) -> list[tuple[str, Hook]]:
            return [pair for pair in hooks if pair[1].does(name)]

        self._before, self._after, self._failed, self._over = map(those, ("before", "after", "failed", "over"))
        self._chunk = [(name, hook) for name, hook in hooks if hook.chunks]
        self._texts = any(hook.texts for _, hook in hooks)
        self.any = bool(hooks)
        # Whatever a hook does in the middle of a call, it is told of the call first.
        self.wants_request = bool(self._before or self._after or self._chunk or self._failed) or self._texts
        self.wants_answer = bool(self._after) or self._texts
        self.wants_events = bool(self._chunk) or self._texts

    async def __aenter__(self) -> Hooks:
        self._group = await asyncio.TaskGroup().__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Waits for the observers, each of which has its own time limit; streams that are left are ended."""
        group, self._group = self._group, None
        for stage in list(self._pumped):
            stage.close()
        if group is not None:
            await group.__aexit__(None, None, None)  # an error of whoever serves goes its own way

    async def before(self, exchange: Exchange, body: dict[str, Any]) -> dict[str, Any] | None:
        """The body as hooks want it; None if none of them guards it. The body given is theirs to change.

        With a guard it is always a body, changed or not: what is sent has to be what the guard has seen, and of a key
        that comes twice in the bytes, another reader may see the other value.
        """
        call = Call(exchange, exchange.caller or ANYBODY, _headers(exchange.headers), body)
        if exchange.notes is None:
            exchange.notes = {}
        exchange.notes[_CALL] = call
        if self._texts:
            exchange.request = body
        if not self._before:
            return None
        for name, hook in self._before:
            changes = await self._guarded(name, "before", hook.before, call)
            self._check(name, "before", changes, Mapping)
            for entry, value in (changes or {}).items():
                if value is REMOVED:
                    call.body.pop(entry, None)
                else:
                    call.body[entry] = value
        if self._texts:
            exchange.request = call.body
        _json(call.body)
        return call.body

    async def after(self, exchange: Exchange, answer: dict[str, Any]) -> dict[str, Any] | None:
        """The answer as hooks want it; None for unchanged. The answer given is theirs to change."""
        call = _call(exchange)
        if call is None:
            return None
        now = answer
        changed = False
        if self._after:
            was = msgspec.json.encode(answer)
            for name, hook in self._after:
                another = await self._guarded(name, "after", hook.after, call, now)
                self._check(name, "after", another, dict)
                now = now if another is None else another
            changed = _json(now) != was
        if self._texts:
            exchange.answer = now
        return now if changed else None

    def stream(self, exchange: Exchange) -> Events | None:
        """What the events of a stream go through; None if they may go as they are. Raises HookFailed for a stream that
        no hook can read yet."""
        call = _call(exchange)
        if call is None or not self.wants_events:
            return None
        of_blocks = exchange.surface == MESSAGES
        if exchange.surface not in SURFACES or (of_blocks and any(_wraps(hook) for _, hook in self._chunk)):
            if not self._chunk:
                return None
            raise HookFailed(f"a hook has to see every stream, and those of {exchange.route} it cannot read")
        stages: list[Stage] = []
        for name, hook in self._chunk:
            guarded = partial(self._guarded, name)
            if of_blocks:
                stages.append(Blocks(hook, call, guarded))
            elif isinstance(hook, Wraps) and hook.wraps:
                assert self._group is not None, "hooks run inside `async with hooks`"
                stage = Pumped(partial(hook.wrap, call), self._group, guarded)
                self._pumped.add(stage)
                stages.append(stage)
            else:
                stages.append(Texts(hook, call, guarded))
        return Events(exchange, stages, keeps=self._texts)

    async def failed(self, exchange: Exchange, error: QuothError) -> QuothError | None:
        """Another error to tell the caller; None for the same."""
        call = _call(exchange)
        another: QuothError | None = None
        if call is not None:
            for name, hook in self._failed:
                another = await self._observed(name, "failed", hook.failed, call, error) or another
        return another

    def over(self, exchange: Exchange) -> None:
        """Tell the observers, who take their time beside what goes on."""
        if not self._over:
            return
        if self._group is None or self._observing >= _MOST_OBSERVING:
            for name, _ in self._over:
                self.failures[name] += 1
            return
        self._observing += 1
        self._group.create_task(self._tell(exchange))

    async def _tell(self, exchange: Exchange) -> None:
        try:
            for name, hook in self._over:
                await self._observed(name, "over", hook.over, exchange)
        finally:
            self._observing -= 1

    async def _guarded(self, name: str, method: str, function: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """What a hook that guards returns. Raises what it refuses with, or HookFailed."""
        limit = asyncio.timeout(self._timeout)
        try:
            async with limit:
                return await function(*arguments)
        except Refuse:
            raise
        except BaseException as error:
            if not by_hook(error) or (isinstance(error, Reply) and method == "before"):
                raise
            late = isinstance(error, TimeoutError) and limit.expired()
            self._count(name, method, None if late else error)
            what = f"took longer than {self._timeout:g} s" if late else "failed"
            raise HookFailed(f"a hook of this gateway {what}, so that what it guards is refused") from None

    def _check(self, name: str, method: str, made: object, kind: type) -> None:
        """What a hook returns is of its kind, or None."""
        if made is not None and not isinstance(made, kind):
            self._count(name, method, TypeError())
            raise HookFailed("a hook of this gateway returned what it may not, so that what it guards is refused")

    async def _observed(
        self, name: str, method: str, function: Callable[..., Awaitable[T]], *arguments: Any
    ) -> T | None:
        """What an observer returns; None when it fails."""
        limit = asyncio.timeout(self._timeout)
        try:
            async with limit:
                return await function(*arguments)
        except BaseException as error:
            if not by_hook(error):
                raise
            self._count(name, method, None if isinstance(error, TimeoutError) and limit.expired() else error)
            return None

    def _count(self, name: str, method: str, error: BaseException | None) -> None:
        self.failures[name] += 1
        if error is None:
            _LOG.error("hook %s took longer than %g s in %s", name, self._timeout, method)
        else:
            # Its message may hold what was asked, so only its kind and place are said, unless it is one of ours.
            what = error if isinstance(error, Lacking) else type(error).__name__
            _LOG.error("hook %s failed in %s: %s at %s", name, method, what, _place(error))
            _LOG.debug("hook %s failed", name, exc_info=error)


def _call(exchange: Exchange) -> Call | None:
    return None if exchange.notes is None else exchange.notes.get(_CALL)


def _headers(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    return {
        name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items() if name not in _CREDENTIALS
    }


def _json(value: Any) -> bytes:
    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError) as error:
        _LOG.error("hooks made something that is no JSON: %s", error)
        raise HookFailed("a hook of this gateway made something that is no JSON") from None


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        if isinstance(error, Lacking) and trace.tb_next.tb_next is None:
            break  # the last frame is the stand-in's own
        trace = trace.tb_next
    return "?" if trace is None else f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"


def _wraps(hook: Hook) -> bool:
    """Whether a hook takes the events of a stream as they are, which are chat's."""
    return isinstance(hook, Wraps) and hook.wraps
