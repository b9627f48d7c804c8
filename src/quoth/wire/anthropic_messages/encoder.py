"""A stream of Chunks as the events of the Messages API, in the order in which Anthropic's client wants them."""

from __future__ import annotations

from typing import Any

import msgspec

from quoth.types import Chunk, Delta, Warning
from quoth.wire.anthropic_messages.answers import stop_reason, usage_of
from quoth.wire.anthropic_messages.blocks import sealed_thought
from quoth.wire.assemble import Calls, GrowingCall
from quoth.wire.carried import SPECIFIC, Json, not_carried
from quoth.wire.envelopes import error_body
from quoth.wire.stamp import Text

__all__ = ["MessagesEncoder"]

_json = msgspec.json.encode
PING = b'event: ping\ndata: {"type":"ping"}\n\n'
_PIECE = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":%b}}\n\n'
)


def _event(name: str, **fields: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), _json({"type": name, **fields}))


class MessagesEncoder:
    """`feed` answers each chunk with the bytes of its events; then either `finish` or `error`, once.

    message_start, ping, then block by block content_block_start, content_block_delta and content_block_stop, then
    message_delta with the reason and the usage, then message_stop. `model` is said in place of the chunks'.
    `input_tokens` is said at the start, where the counts are not known yet; the true ones come with message_delta.
    """

    def __init__(self, *, model: str | None = None, input_tokens: int = 0):
        self.warnings: list[Warning] = []
        self._model = model
        self._input_tokens = input_tokens
        self._started = False
        self._next = 0
        self._open: tuple[str, int] | None = None  # the text or thought that is under way
        self._calls = Calls()
        self._blocks: dict[int, int] = {}  # the blocks of calls that have begun, by the call's place
        self._running: list[int] = []  # those of them that have not ended
        self._reason: str | None = None
        self._usage: Json | None = None
        self._own: Json = {}

    def text(self, said: Text) -> bytes:
        return self.feed(said.chunk())

    def feed(self, chunk: Chunk) -> bytes:
        out = [] if self._started else [self._start(chunk)]
        if chunk.usage is not None:
            self._usage = chunk.usage.model_dump()
        if chunk.__pydantic_extra__:
            kept = chunk.__pydantic_extra__.get(SPECIFIC)
            self._own.update((kept or {}).get("messages") or {})
        for choice in chunk.choices:
            if choice.index:
                self._warn(not_carried("choices", "anthropic_messages", "it has one choice"))
                continue
            if choice.logprobs is not None:
                self._warn(not_carried("logprobs", "anthropic_messages"))
            self._delta(choice.delta, out)
            self._reason = choice.finish_reason or self._reason
        return b"".join(out)

    def ping(self) -> bytes:
        """An event that says nothing, to keep the connection alive."""
        return PING

    def finish(self) -> bytes:
        """The events that end the message."""
        out = [] if self._started else [self._start(Chunk())]
        for place, call in enumerate(self._calls):
            if place not in self._blocks:
                self._begin_call(place, call, out)  # it never got a name
        self._close(out)
        self._close_calls(out)
        own = dict(self._own)
        usage = usage_of(self._usage) | own.pop("usage", {})
        delta = {"stop_reason": own.pop("stop_reason", None) or stop_reason(self._reason), "stop_sequence": None} | own
        out.append(_event("message_delta", delta=delta, usage=usage))
        out.append(_event("message_stop"))
        return b"".join(out)

    def error(
        self,
        status: int,
        message: str,
        *,
        type: str | None = None,
        code: str | None = None,
        param: str | None = None,
        request_id: str | None = None,
    ) -> bytes:
        """The event that a broken stream ends with. This API has neither `code` nor `param`."""
        return b"event: error\ndata: %s\n\n" % error_body(
            "anthropic_messages", status, message, type=type, request_id=request_id
        )

    def _start(self, chunk: Chunk) -> bytes:
        self._started = True
        counts: Json = {"input_tokens": self._input_tokens, "output_tokens": 0}
        if chunk.usage is not None:
            counts = usage_of(chunk.usage.model_dump())
        message: Json = {"id": chunk.id or "msg_unknown", "type": "message", "role": "assistant"}
        message |= {"model": self._model or chunk.model or "", "content": []}
        message |= {"stop_reason": None, "stop_sequence": None, "usage": counts}
        return _event("message_start", message=message) + PING

    def _delta(self, delta: Delta, out: list[bytes]) -> None:
        extra = delta.__pydantic_extra__
        thoughts = extra.get("thinking_blocks") if extra else None
        items = extra.get("reasoning_items") if extra else None
        reasoning = delta.reasoning_content or delta.reasoning
        whole = bool(thoughts and reasoning)  # an answer given as one chunk: its blocks say it all
        if reasoning and not whole:
            self._say("thinking", reasoning, out)
        for block in thoughts or ():
            self._thought(block, whole, out)
        for item in items or ():
            self._signed(sealed_thought(item)["signature"], out)
        if delta.content:
            self._say("text", delta.content, out)
        if delta.refusal:
            self._say("text", delta.refusal, out)
        for piece in delta.tool_calls or ():
            self._call(self._calls.add(piece), piece.function.arguments if piece.function is not None else None, out)
        if delta.function_call is not None:
            function = delta.function_call
            call = self._calls[0] if self._calls else GrowingCall(0)
            if not self._calls:
                self._calls.append(call)
            call.add_function(function)
            self._call(call, function.arguments, out)
        if extra and "audio" in extra:
            self._warn(not_carried("audio", "anthropic_messages"))

    def _say(self, kind: str, text: str, out: list[bytes]) -> None:
        current = self._open
        if current is None or current[0] != kind:
            empty = (
                {"type": "text", "text": ""}
                if kind == "text"
                else {"type": "thinking", "thinking": "", "signature": ""}
            )
            current = self._begin(kind, empty, out)
        out.append(_PIECE % (current[1], *_NAMES[kind], _json(text)))

    def _begin(self, kind: str, block: Json, out: list[bytes]) -> tuple[str, int]:
        self._close(out)
        self._close_calls(out)
        index, self._next = self._next, self._next + 1
        out.append(_event("content_block_start", index=index, content_block=block))
        self._open = kind, index
        return self._open

    def _close(self, out: list[bytes]) -> None:
        if self._open is not None:
            out.append(_event("content_block_stop", index=self._open[1]))
            self._open = None

    def _close_calls(self, out: list[bytes]) -> None:
        out += [_event("content_block_stop", index=index) for index in self._running]
        self._running.clear()

    def _thought(self, block: Any, whole: bool, out: list[bytes]) -> None:
        """A thought as Anthropic made it: its signature ends the one that is under way, or it comes in one piece."""
        if not isinstance(block, dict):
            return
        if block.get("type") != "thinking":
            self._begin("redacted", block, out)
            self._close(out)
            return
        if block.get("thinking") and (whole or self._open is None or self._open[0] != "thinking"):
            self._say("thinking", block["thinking"], out)
        self._signed(block.get("signature") or "", out)

    def _signed(self, signature: str, out: list[bytes]) -> None:
        current = self._open
        if current is None or current[0] != "thinking":
            current = self._begin("thinking", {"type": "thinking", "thinking": "", "signature": ""}, out)
        out.append(_PIECE % (current[1], b"signature_delta", b"signature", _json(signature)))
        self._close(out)

    def _call(self, call: GrowingCall, arguments: str | None, out: list[bytes]) -> None:
        place = next(number for number, one in enumerate(self._calls) if one is call)
        index = self._blocks.get(place)
        if index is None:
            if call.name:
                self._begin_call(place, call, out)
        elif arguments:
            out.append(_PIECE % (index, b"input_json_delta", b"partial_json", _json(arguments)))

    def _begin_call(self, place: int, call: GrowingCall, out: list[bytes]) -> None:
        self._close(out)
        if all(map(_is_whole, (one for number, one in enumerate(self._calls) if number in self._blocks))):
            self._close_calls(out)
        index, self._next = self._next, self._next + 1
        self._blocks[place] = index
        block = {"type": "tool_use", "id": call.id or f"call_{place}", "name": call.name, "input": {}, **call.extra}
        out.append(_event("content_block_start", index=index, content_block=block))
        if arguments := "".join(call.arguments):
            out.append(_PIECE % (index, b"input_json_delta", b"partial_json", _json(arguments)))
        self._running.append(index)

    def _warn(self, warning: Warning) -> None:
        if warning not in self.warnings:
            self.warnings.append(warning)


_NAMES = {"text": (b"text_delta", b"text"), "thinking": (b"thinking_delta", b"thinking")}


def _is_whole(call: GrowingCall) -> bool:
    """True when nothing more of a call's arguments can come: another one may begin, and this one end."""
    try:
        msgspec.json.decode("".join(call.arguments) or "{}")
    except msgspec.DecodeError:
        return False
    return True
