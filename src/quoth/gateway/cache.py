"""The response cache: the same call by the same caller gets the same answer, for a while, without asking a provider.

    plan = cache.plan("chat", caller.id, "gpt", body, stream=False, cache_control=None)   # None: not for this call
    stored = await cache.find(plan)                                               # None: ask the provider
    await cache.keep(plan, Stored(...))

Off unless the settings say `cache: true`. What is kept are the very bytes that a caller got, and only of answers that
are whole: no errors, no streams that broke. Streams and whole answers are kept apart, and never made of each other.

The words are LiteLLM's (`cache: {"no-cache": true, ...}` in the body); who calls is part of every key.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Protocol

import msgspec

from quoth.errors import BadRequestError
from quoth.gateway.exchange import Exchange
from quoth.gateway.settings import Cache

__all__ = [
    "Controls",
    "Memory",
    "Plan",
    "Recorder",
    "ResponseCache",
    "Store",
    "Stored",
    "controls_from",
    "key_of",
    "whole",
]

# LiteLLM's names of what can be cached, by surface.
_CALL_TYPES = {
    "chat": ("acompletion", "completion"),
    "completions": ("atext_completion", "text_completion"),
    "messages": ("anthropic_messages",),
    "responses": ("aresponses", "responses"),
    "embeddings": ("aembedding", "embedding"),
}
# Say nothing about the answer. `user` does: it travels, and callers use it to tell their own users apart.
_BESIDE = frozenset({"cache", "metadata", "stream"})
# One answer may be this part of the whole cache.
_LARGEST = 8


class Controls(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True):
    """What a caller says of one call. `no_cache`: ask the provider. `no_store`: do not keep the answer. `ttl`: keep it
    for so many seconds. `s_maxage`: take none that is older, in seconds. `use_cache`: where the settings say
    `mode: default_off`, use it all the same."""

    no_cache: bool = False
    no_store: bool = False
    ttl: float | None = None
    s_maxage: float | None = None
    namespace: str = ""
    use_cache: bool = False


def controls_from(value: Any, cache_control: bytes | None = None) -> Controls:
    """The controls in a body's `cache` and in the header Cache-Control, of which no-cache, no-store, max-age and
    s-maxage have a meaning here. Raises BadRequestError for what a body cannot mean."""
    controls = Controls()
    if value is not None:
        try:
            controls = msgspec.convert(value, Controls)
        except msgspec.ValidationError as error:
            known = ", ".join(Controls.__struct_encode_fields__)
            raise BadRequestError(f"cache: {error}; it is an object of {known}", param="cache") from None
        for name, seconds in (("ttl", controls.ttl), ("s-maxage", controls.s_maxage)):
            if seconds is not None and not 0 <= seconds < float("inf"):
                raise BadRequestError(f"cache.{name} is a number of seconds from 0", param=f"cache.{name}")
    return controls if cache_control is None else _also(controls, cache_control.decode("latin-1"))


def _also(controls: Controls, header: str) -> Controls:
    """What a header says beside; of what a client's library sends by itself, nothing is an error."""
    words = {}
    for word in header.lower().split(","):
        name, _, value = word.partition("=")
        words[name.strip()] = value.strip(' "')
    age = words.get("s-maxage", words.get("max-age", ""))
    return msgspec.structs.replace(
        controls,
        no_cache=controls.no_cache or "no-cache" in words,
        no_store=controls.no_store or "no-store" in words,
        s_maxage=float(age) if controls.s_maxage is None and age.isdecimal() and len(age) < 10 else controls.s_maxage,
    )


def key_of(
    caller: str,
    surface: str,
    model: str,
    body: Mapping[str, Any],
    *,
    stream: bool,
    namespace: Sequence[str] = (),
    vary: Iterable[str] = (),
) -> str:
    """The key of a call. `body`: the entries that travel, decoded or as msgspec.Raw; whatever is in it counts, but for
    `metadata`. `vary`: what else the answer depends on, such as routing tags, or headers that travel."""
    said = {
        name: _read(value) if isinstance(value, msgspec.Raw) else value
        for name, value in body.items()
        if name not in _BESIDE
    }
    parts = [caller, namespace, surface, model, stream, sorted(vary), said]
    return sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()


def _read(raw: msgspec.Raw) -> Any:
    """An entry's value; of one that is well-formed and no value (1e999, for the provider to judge) its bytes."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {"bytes": bytes(raw).hex()}


class Stored(msgspec.Struct, frozen=True):
    """An answer: the bytes of its body, streamed or not, and the headers to give with it. `at`: when it was made, in
    the seconds of the cache's clock."""

    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
    at: float = 0.0

    @property
    def size(self) -> int:
        return len(self.body) + sum(len(name) + len(value) for name, value in self.headers) + 256


class Store(Protocol):
    """Where answers are. `ttl` in seconds. A store may forget whatever it likes, and raises nothing."""

    async def get(self, key: str) -> Stored | None: ...

    async def put(self, key: str, stored: Stored, ttl: float) -> None: ...


class Memory:
    """A store in this process: what was used last stays, up to a number of answers and of bytes."""

    def __init__(self, now: Callable[[], float], *, max_entries: int, max_bytes: int):
        self._now, self._max_entries, self._max_bytes = now, max_entries, max_bytes
        self._kept: OrderedDict[str, tuple[Stored, float]] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    async def get(self, key: str) -> Stored | None:
        found = self._kept.get(key)
        if found is None:
            return None
        stored, until = found
        if until <= self._now():
            self._forget(key)
            return None
        self._kept.move_to_end(key)
        return stored

    async def put(self, key: str, stored: Stored, ttl: float) -> None:
        if key in self._kept:
            self._forget(key)
        if ttl <= 0 or stored.size > self._max_bytes // _LARGEST:
            return
        self._kept[key] = (stored, self._now() + ttl)
        self.bytes += stored.size
        while self.bytes > self._max_bytes or len(self._kept) > self._max_entries:
            self._forget(next(iter(self._kept)))

    def _forget(self, key: str) -> None:
        self.bytes -= self._kept.pop(key)[0].size


class Plan(msgspec.Struct, frozen=True):
    """What the cache may do for one call. `key` is what `x-litellm-cache-key` shows; `ttl` and `max_age` in seconds."""

    key: str
    reads: bool
    writes: bool
    ttl: float
    max_age: float | None = None


class ResponseCache:
    """`now`: a monotonic clock in seconds. `store`: another one than this process's memory."""

    def __init__(self, settings: Cache, now: Callable[[], float], store: Store | None = None):
        self.settings = settings
        self.hits = self.misses = 0
        self._now = now
        self.memory = Memory(now, max_entries=settings.max_entries, max_bytes=settings.max_bytes)
        self._store: Store = self.memory if store is None else store

    def plan(
        self,
        surface: str,
        caller: str,
        model: str,
        body: Mapping[str, Any],
        *,
        stream: bool,
        cache_control: bytes | None = None,
        vary: Iterable[str] = (),
    ) -> Plan | None:
        """What to do for a call; None: nothing. `body`: the entries that travel, and `cache`, which does not. Raises
        BadRequestError for a `cache` that means nothing."""
        said = body.get("cache")
        controls = controls_from(msgspec.json.decode(said) if isinstance(said, msgspec.Raw) else said, cache_control)
        types = self.settings.supported_call_types
        if not any(name in types for name in _CALL_TYPES.get(surface, ())):
            return None
        if self.settings.mode == "default_off" and not controls.use_cache:
            return None
        if _stores(body.get("store")):
            return None  # the caller wants the provider to have it
        if controls.no_cache and controls.no_store:
            return None
        namespace = (self.settings.namespace, controls.namespace)
        return Plan(
            key_of(caller, surface, model, body, stream=stream, namespace=namespace, vary=vary),
            reads=not controls.no_cache,
            writes=not controls.no_store,
            ttl=self.settings.ttl if controls.ttl is None else controls.ttl,
            max_age=controls.s_maxage,
        )

    async def find(self, plan: Plan) -> Stored | None:
        """The answer, if there is one that is young enough."""
        if not plan.reads:
            return None
        stored = await self._store.get(plan.key)
        if stored is None or (plan.max_age is not None and self._now() - stored.at > plan.max_age):
            self.misses += 1
            return None
        self.hits += 1
        return stored

    async def keep(self, plan: Plan, body: bytes, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """Keep an answer that is `whole`."""
        if plan.writes:
            await self._store.put(plan.key, Stored(body, tuple(headers), self._now()), plan.ttl)

    def recorder(self) -> Recorder:
        """For the bytes of a stream, as they go by."""
        return Recorder(self.settings.max_bytes // _LARGEST)


class Recorder:
    """Gathers the pieces of a stream; `data` is None once there were more than `most` bytes."""

    __slots__ = ("_most", "_pieces", "_size")

    def __init__(self, most: int):
        self._most, self._size = most, 0
        self._pieces: list[bytes] | None = []

    def feed(self, piece: bytes) -> None:
        if self._pieces is not None:
            self._size += len(piece)
            if self._size > self._most:
                self._pieces = None
            else:
                self._pieces.append(piece)

    @property
    def data(self) -> bytes | None:
        return None if self._pieces is None else b"".join(self._pieces)


def whole(exchange: Exchange) -> bool:
    """Whether an answer may be kept: a 200 that came to its end, with nobody gone and nothing broken."""
    if exchange.status != 200 or exchange.error or exchange.left or exchange.cache_hit:
        return False
    return exchange.finish_reason is not None or exchange.surface == "embeddings"


def _stores(value: Any) -> bool:
    return value is True or (isinstance(value, msgspec.Raw) and bytes(value).strip() == b"true")
