"""Answers on their way out through hooks: whole ones as they are, streams event by event."""

from __future__ import annotations

from typing import Any

import msgspec

from quoth.gateway.exchange import Exchange
from quoth.gateway.hooks import Hooks, Reply
from quoth.gateway.hooks.streaming import Events
from quoth.gateway.outgoing import Dialect, Header, Outgoing, Send
from quoth.gateway.problems import Problem
from quoth.types import Chunk
from quoth.wire.frames import Frames, data_of
from quoth.wire.wires import wire_named

__all__ = ["Hooked", "answered_by_hook"]

_SEES = frozenset({"chat", "completions", "embeddings", "responses", "messages"})


class Hooked(Outgoing):
    """What is sent of a model's answer is what hooks make of it. Raises what they refuse with."""

    __slots__ = ("_events", "_hooks")

    def __init__(self, send: Send, x: Exchange, dialect: Dialect, hooks: Hooks):
        super().__init__(send, x, dialect)
        self._hooks = hooks
        self._events: Events | None = None

    async def json(self, body: bytes, headers: list[Header] | None = None, status: int = 200) -> None:
        if status == 200 and self.x.surface in _SEES and self._hooks.wants_answer:
            answer = await self._hooks.after(self.x, msgspec.json.decode(body))
            body = body if answer is None else msgspec.json.encode(answer)
        await super().json(body, headers, status)

    async def begin(self, headers: list[Header]) -> None:
        if self._hooks.wants_events:
            self._events = self._hooks.stream(self.x)
        await super().begin(headers)

    async def piece(self, data: bytes, more: bool = True) -> None:
        if self._events is not None and data:
            data = await self._through(self._events, data)
        if data or not more:
            await super().piece(data, more)

    async def problem(self, problem: Problem, more: list[Header] | None = None) -> None:
        events, self._events = self._events, None
        if events is not None:
            events.close()
        await super().problem(problem, more)

    def settle(self) -> None:
        if self._events is not None:
            self._events.close()
            self._events = None
        super().settle()

    async def _through(self, events: Events, data: bytes) -> bytes:
        """Whole events, as hooks want them."""
        sent: list[bytes] = []
        frames = Frames()
        for event in (*frames.feed(data), *frames.end()):
            said, _ = data_of(event)
            if not said:
                sent.append(event)
            elif said.startswith(b"[DONE]"):
                sent += map(_event, await events.finish())
                sent.append(event)
            else:
                sent += map(_event, await events.feed(msgspec.json.decode(said)))
        return b"".join(sent)


def _event(event: dict[str, Any]) -> bytes:
    kind = event.get("type")  # which is the event's name, where an API names them
    head = b"event: " + kind.encode() + b"\n" if isinstance(kind, str) else b""
    return head + b"data: " + msgspec.json.encode(event) + b"\n\n"


_WIRES = {"messages": "anthropic_messages", "responses": "openai_responses"}


async def answered_by_hook(reply: Reply, x: Exchange, out: Outgoing, created: int) -> None:
    """A hook has answered in the model's place."""
    wire = wire_named(_WIRES.get(x.surface, "openai_chat"))
    if x.stream:
        await out.begin([])
        encoder = wire.encoder(None)
        events = [encoder.feed(Chunk.model_validate(chunk)) for chunk in reply.chunks(x.id, x.model, created)]
        await out.piece(b"".join([*events, encoder.finish()]), more=False)
    else:
        document, _ = wire.say(reply.completion(x.id, x.model, created), None)
        await out.json(msgspec.json.encode(document))
    x.finish_reason = "stop"
