"""Idempotency-Key: a request that is sent again, because its answer did not arrive, is not executed again.

    claim = await keys.claim(caller.id, key, digest(method, route, body))
    if isinstance(claim, Replay):
        ...                                    # the first answer, with `idempotent-replayed: true`
    with claim:                                # the first of its kind: execute it
        claim.settle(status, headers, body)    # or not, then the next one is the first

As Stripe has it: the first result is kept once execution has begun, a failure too; a refusal of one's own is not. The
same key with another body is an error. Kept in memory, per caller, up to a number of bytes.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from hashlib import sha256
from types import TracebackType

from msgspec import Struct

from quoth.errors import BadRequestError, ConflictError, UnprocessableEntityError

__all__ = ["HEADER", "LARGEST", "REPLAYED", "Claim", "Keys", "Replay", "digest", "keeps"]

HEADER = b"idempotency-key"
REPLAYED = (b"idempotent-replayed", b"true")
LONGEST_KEY = 255
# An answer that is larger is not kept, and its key refused afterwards.
LARGEST = 4 << 20


class Replay(Struct, frozen=True):
    """The first answer: status, headers, and the bytes of its body, whether they were streamed or not."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


def digest(method: str, route: str, body: bytes) -> bytes:
    """What two requests have in common if they are the same: the bytes as they came."""
    seen = sha256(f"{method} {route}\n".encode())
    seen.update(body)
    return seen.digest()


def keeps(status: int) -> bool:
    """Whether a result is kept, of a request that a provider was asked for: answers, and failures after which nobody
    knows what was done. A 4xx, and a 503 or 529, say that nothing was; then trying again is right."""
    return status < 300 or (status >= 500 and status not in (503, 529))


class _Entry:
    __slots__ = ("body", "done", "replay", "ttl", "until", "waiters")

    def __init__(self, body: bytes, now: float, ttl: float):
        self.body = body
        self.ttl = ttl
        self.until = now + ttl
        self.done = asyncio.Event()
        self.replay: Replay | None = None
        self.waiters = 0

    @property
    def size(self) -> int:
        replay = self.replay
        return 512 if replay is None else 512 + len(replay.body) + sum(len(n) + len(v) for n, v in replay.headers)


class Claim:
    """The right, and the duty, to execute a request. Leaving its `with` without `settle` gives it back."""

    __slots__ = ("_entry", "_keys", "_name")

    def __init__(self, keys: Keys, name: tuple[str, str], entry: _Entry):
        self._keys, self._name, self._entry = keys, name, entry

    def settle(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> None:
        """This is the result, for everybody who asks for it."""
        self._keys._settle(self._name, self._entry, Replay(status, tuple(headers), body))

    def __enter__(self) -> Claim:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._keys._give_back(self._name, self._entry)


class Keys:
    """The keys in use. `ttl`: seconds that a result is kept, 0 for not at all; changed, it counts for keys that come
    later. `patience`: seconds that a second request waits for the first. `now`: a monotonic clock in seconds."""

    def __init__(
        self,
        ttl: float,
        now: Callable[[], float],
        *,
        max_bytes: int = 64 << 20,
        max_entries: int = 100_000,
        patience: float = 60.0,
        most_waiters: int = 100,
    ):
        self.ttl, self._now = ttl, now
        self._max_bytes, self._max_entries = max_bytes, max_entries
        self._patience, self._most_waiters = patience, most_waiters
        self._entries: OrderedDict[tuple[str, str], _Entry] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def heeds(self, caller: str, key: bytes) -> bool:
        """Whether a key counts: always, or where they no longer do as long as its result was promised."""
        if self.ttl > 0:
            return True
        entry = self._entries.get((caller, key.decode("latin-1")))
        return entry is not None and not self._is_old(entry)

    async def claim(self, caller: str, key: bytes, body: bytes) -> Claim | Replay:
        """The right to execute, or the result of who had it. `body`: the `digest` of the request.

        Raises BadRequestError for a key that is none, UnprocessableEntityError for one that was used with another
        request, ConflictError when the first takes longer than anybody waits.
        """
        name = (caller, _checked(key))
        end = self._now() + self._patience
        while True:
            entry = self._entries.get(name)
            if entry is not None and self._is_old(entry):
                self._forget(name, entry)
                entry = None
            if entry is None:
                entry = _Entry(body, self._now(), self.ttl)
                self._entries[name] = entry
                self.bytes += entry.size
                self._make_room()
                return Claim(self, name, entry)
            if entry.body != body:
                raise UnprocessableEntityError(
                    "this Idempotency-Key was used with another request; use a new key for a new request",
                    type="idempotency_conflict",
                )
            if entry.done.is_set():
                return self._replay(name, entry)
            await self._wait(entry, end - self._now())

    async def _wait(self, entry: _Entry, seconds: float) -> None:
        """Until the first is done, or has given up."""
        if entry.waiters >= self._most_waiters:
            seconds = 0.0
        entry.waiters += 1
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await entry.done.wait()
        except TimeoutError:
            raise ConflictError(
                "a request with this Idempotency-Key is still under way; ask again later", type="idempotency_conflict"
            ) from None
        finally:
            entry.waiters -= 1

    def _is_old(self, entry: _Entry) -> bool:
        return entry.done.is_set() and entry.until <= self._now()

    def _replay(self, name: tuple[str, str], entry: _Entry) -> Replay:
        if entry.replay is None:
            raise ConflictError(
                "the request with this Idempotency-Key was executed, and its answer was too large to be kept; "
                "use a new key to execute it again",
                type="idempotency_conflict",
            )
        self._entries.move_to_end(name)
        return entry.replay

    def _settle(self, name: tuple[str, str], entry: _Entry, replay: Replay) -> None:
        if entry.done.is_set():
            return
        if self._entries.get(name) is entry:
            self.bytes -= entry.size
            entry.replay = replay if len(replay.body) <= LARGEST else None
            self.bytes += entry.size
        entry.until = self._now() + entry.ttl
        entry.done.set()
        self._make_room()

    def _give_back(self, name: tuple[str, str], entry: _Entry) -> None:
        if not entry.done.is_set():
            self._forget(name, entry)
            entry.done.set()  # those who wait look again, and the first of them executes it

    def _make_room(self) -> None:
        """Forget the oldest results; what is under way stays."""
        if self.bytes <= self._max_bytes and len(self._entries) <= self._max_entries:
            return
        for name, entry in list(self._entries.items()):
            if entry.done.is_set():
                self._forget(name, entry)
                if self.bytes <= self._max_bytes * 0.9 and len(self._entries) <= self._max_entries * 0.9:
                    return

    def _forget(self, name: tuple[str, str], entry: _Entry) -> None:
        if self._entries.get(name) is entry:
            del self._entries[name]
            self.bytes -= entry.size


def _checked(key: bytes) -> str:
    if not 0 < len(key) <= LONGEST_KEY or not key.isascii() or not key.decode("latin-1").isprintable():
        raise BadRequestError(
            f"Idempotency-Key has to be 1 to {LONGEST_KEY} printable ASCII characters, such as a UUID",
            param="Idempotency-Key",
        )
    return key.decode("ascii")
