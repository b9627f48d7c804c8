"""Streams on their way through hooks: events in, events out, as they come."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

import msgspec

from quoth.gateway.exchange import Exchange
from quoth.gateway.hooks.interface import Call, Hook
from quoth.types import Chunk
from quoth.wire.assemble import Assembler

__all__ = ["MESSAGES", "SURFACES", "Blocks", "Events", "Pumped", "Stage", "Texts", "by_hook"]

Event = dict[str, Any]

# The streams whose texts can be found: where each piece of an event holds them.
_PLACES: dict[str, Callable[[Event], Any]] = {
    "chat": lambda choice: choice.get("delta"),
    "completions": lambda choice: choice,
}
MESSAGES = "messages"
SURFACES = frozenset({*_PLACES, MESSAGES})
_FIELDS = ("content", "refusal", "reasoning_content", "reasoning", "text")


class Stage(Protocol):
    """One hook's part. What it returns goes to the next."""

    async def feed(self, event: Event) -> list[Event]: ...

    async def finish(self) -> list[Event]: ...

    def close(self) -> None: ...


class Events:
    """All stages of one stream. `feed` each event as it comes and send what it returns; `finish` when the stream ended
    well, `close` in any case. An event given is the hooks' to change."""

    def __init__(self, exchange: Exchange, stages: list[Stage], *, keeps: bool):
        self._exchange, self._stages = exchange, stages
        kept = _KeptMessage if exchange.surface == MESSAGES else _Kept
        self._kept = kept(exchange.surface) if keeps else None

    async def feed(self, event: Event) -> list[Event]:
        events = await self._through(self._stages, [event])
        if self._kept is not None:
            self._kept.add(events)
        return events

    async def finish(self) -> list[Event]:
        """What is still to be sent before the end."""
        found: list[Event] = []
        for place, stage in enumerate(self._stages):
            found += await self._through(self._stages[place + 1 :], await stage.finish())
        if self._kept is not None:
            self._kept.add(found)
        return found

    def close(self) -> None:
        """The stream is over, well or not. With hooks that want texts, `exchange.answer` is what was sent of it."""
        for stage in self._stages:
            stage.close()
        if self._kept is not None:
            self._exchange.answer = self._kept.answer()

    async def _through(self, stages: list[Stage], events: list[Event]) -> list[Event]:
        for stage in stages:
            passed: list[Event] = []
            for event in events:
                passed += await stage.feed(event)
            events = passed
        return events


class Texts:
    """A hook's `chunk` and `end`, asked about each text of each choice. `guarded` runs them."""

    def __init__(self, hook: Hook, call: Call, guarded: Callable[..., Any]):
        self._hook, self._call, self._guarded = hook, call, guarded
        self._place = _PLACES[call.surface]
        self._open: dict[tuple[int, str], Call] = {}
        self._head: Event = {}

    async def feed(self, event: Event) -> list[Event]:
        choices = event.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                await self._choice(choice)
        self._head = {name: value for name, value in event.items() if name not in ("choices", "usage")}
        return [event]

    async def _choice(self, choice: Event) -> None:
        index = choice.get("index")
        index = index if isinstance(index, int) else 0
        place = self._place(choice)
        if isinstance(place, dict):
            for field in _FIELDS:
                text = place.get(field)
                if isinstance(text, str) and text:
                    call = self._open.setdefault((index, field), self._call.of(index, field))
                    place[field] = await self._guarded("chunk", _asked, self._hook.chunk, call, text)
        if choice.get("finish_reason") is None:
            return
        for one, field in [key for key in self._open if key[0] == index]:
            rest = await self._guarded("end", _asked, self._hook.end, self._open.pop((one, field)))
            if rest:
                if not isinstance(place, dict):
                    place = choice["delta"] = {}
                place[field] = (place.get(field) or "") + rest

    async def finish(self) -> list[Event]:
        """Where no finish reason came."""
        found = []
        for (index, field), call in list(self._open.items()):
            rest = await self._guarded("end", _asked, self._hook.end, call)
            if rest:
                choice: Event = {"index": index, "finish_reason": None}
                choice |= {"delta": {field: rest}} if self._call.surface == "chat" else {field: rest}
                found.append({**self._head, "choices": [choice]})
        self._open.clear()
        return found

    def close(self) -> None:
        self._open.clear()


# What the pieces of a block hold: the field of a delta by its type, and what chat calls it.
_PIECES = {"text_delta": ("text", "content"), "thinking_delta": ("thinking", "reasoning_content")}
_BEGUN = {"text": "text_delta", "thinking": "thinking_delta"}


class Blocks:
    """The same for Messages: asked about the text and the thought of each block, whose index is `call.choice`."""

    def __init__(self, hook: Hook, call: Call, guarded: Callable[..., Any]):
        self._hook, self._call, self._guarded = hook, call, guarded
        self._open: dict[int, tuple[str, Call]] = {}

    async def feed(self, event: Event) -> list[Event]:
        kind, delta, begun = event.get("type"), event.get("delta"), event.get("content_block")
        index = event.get("index")
        index = index if isinstance(index, int) else 0
        if kind == "content_block_start" and isinstance(begun, dict) and begun.get("type") in _BEGUN:
            await self._piece(index, _BEGUN[begun["type"]], begun)
        elif kind == "content_block_delta" and isinstance(delta, dict):
            if delta.get("type") in _PIECES:
                await self._piece(index, delta["type"], delta)
            elif delta.get("type") == "signature_delta":  # after which a thought says nothing more
                return [*await self._end(index), event]
        elif kind == "content_block_stop":
            return [*await self._end(index), event]
        return [event]

    async def _piece(self, index: int, kind: str, holder: Event) -> None:
        name, field = _PIECES[kind]
        text = holder.get(name)
        if isinstance(text, str) and text:
            _, call = self._open.setdefault(index, (kind, self._call.of(index, field)))
            holder[name] = await self._guarded("chunk", _asked, self._hook.chunk, call, text)

    async def _end(self, index: int) -> list[Event]:
        if index not in self._open:
            return []
        kind, call = self._open.pop(index)
        rest = await self._guarded("end", _asked, self._hook.end, call)
        if not rest:
            return []
        return [
            {"type": "content_block_delta", "index": index, "delta": {"type": kind, _PIECES[kind][0]: rest}},
        ]

    async def finish(self) -> list[Event]:
        return []  # each block has ended by itself

    def close(self) -> None:
        self._open.clear()


async def _asked(method: Callable[..., Awaitable[str]], *arguments: Any) -> str:
    """The text that a hook returns: one that forgets to must not swallow what it was asked about."""
    text = await method(*arguments)
    if not isinstance(text, str):
        raise TypeError(f"a text is a str, not {type(text).__name__}")
    text.encode()  # half of a surrogate pair is no text
    return text


def by_hook(error: BaseException) -> bool:
    """Whether a hook failed with this, were it `sys.exit()` or a cancellation of its own: not the call that it serves,
    and not the process."""
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is None or not task.cancelling()
    return isinstance(error, Exception | SystemExit)


class Pumped:
    """A hook that takes an iterator of events and gives another. It runs in a task of its own, which sleeps while it
    waits for the next event; what it has given by then is what an event became."""

    def __init__(
        self,
        wrap: Callable[[AsyncIterator[Event]], AsyncIterator[Event]],
        group: asyncio.TaskGroup,
        guarded: Callable[..., Any],
    ):
        self._wrap, self._guarded = wrap, guarded
        self._given: deque[Event] = deque()
        self._made: list[Event] = []
        self._more, self._quiet = asyncio.Event(), asyncio.Event()
        self._ended = self._done = False
        self._error: BaseException | None = None
        self._task = group.create_task(self._run())

    async def feed(self, event: Event) -> list[Event]:
        if self._done:  # it wanted no more of the stream
            return []
        self._given.append(event)
        return await self._next()

    async def finish(self) -> list[Event]:
        if self._done:
            return []
        self._ended = True
        return await self._next()

    def close(self) -> None:
        self._task.cancel()

    async def _next(self) -> list[Event]:
        self._quiet.clear()
        self._more.set()
        await self._guarded("wrap", self._settled)
        made, self._made = self._made, []
        return made

    async def _settled(self) -> None:
        await self._quiet.wait()
        if self._error is not None:
            raise self._error

    async def _source(self) -> AsyncIterator[Event]:
        while True:
            while self._given:
                yield self._given.popleft()
            if self._ended:
                return
            self._more.clear()
            self._quiet.set()
            await self._more.wait()

    async def _run(self) -> None:
        try:
            async for event in self._wrap(self._source()):
                self._made.append(event)
        except BaseException as error:
            if not by_hook(error):
                raise
            self._error = error  # told to whoever feeds
        finally:
            self._done = True
            self._quiet.set()


class _Kept:
    """The answer that a stream amounts to."""

    def __init__(self, surface: str):
        self._assembler = Assembler() if surface == "chat" else None
        self._texts: dict[int, list[str]] = {}

    def add(self, events: list[Event]) -> None:
        for event in events:
            if self._assembler is not None:
                self._assembler.add(Chunk.model_validate(event))
                continue
            for choice in event.get("choices") or ():
                self._texts.setdefault(choice.get("index") or 0, []).append(choice.get("text") or "")

    def answer(self) -> dict[str, Any]:
        if self._assembler is not None:
            answer: dict[str, Any] = msgspec.json.decode(self._assembler.completion().model_dump_json())
            return answer
        choices = [{"index": index, "text": "".join(texts)} for index, texts in self._texts.items()]
        return {"object": "text_completion", "choices": choices}


class _KeptMessage:
    """The message that a stream of Messages amounts to."""

    def __init__(self, surface: str):
        self._message: dict[str, Any] = {"type": "message", "role": "assistant"}
        self._blocks: dict[int, dict[str, Any]] = {}
        self._inputs: dict[int, list[str]] = {}

    def add(self, events: list[Event]) -> None:
        for event in events:
            kind, delta, index = event.get("type"), event.get("delta") or {}, event.get("index") or 0
            if kind == "message_start":
                self._message = dict(event.get("message") or {})
            elif kind == "content_block_start":
                self._blocks[index] = dict(event.get("content_block") or {})
            elif kind == "content_block_delta":
                block = self._blocks.setdefault(index, {"type": "text"})
                for name in ("text", "thinking", "signature"):
                    if isinstance(delta.get(name), str):
                        block[name] = (block.get(name) or "") + delta[name]
                if isinstance(delta.get("partial_json"), str):
                    self._inputs.setdefault(index, []).append(delta["partial_json"])
            elif kind == "message_delta":
                usage = {**(self._message.get("usage") or {}), **(event.get("usage") or {})}
                self._message = {**self._message, **delta, "usage": usage}

    def answer(self) -> dict[str, Any]:
        blocks = []
        for index in sorted(self._blocks):
            block = self._blocks[index]
            if text := "".join(self._inputs.get(index, ())):
                try:
                    block = {**block, "input": msgspec.json.decode(text)}
                except msgspec.DecodeError:
                    block = {**block, "input": {"arguments": text}}  # cut off in the middle
            blocks.append(block)
        return {**self._message, "content": blocks}
