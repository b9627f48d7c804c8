"""The events of a streamed answer of the Messages API, read into Chunks."""

from __future__ import annotations

import msgspec

from quoth.types import Chunk, Warning
from quoth.wire.anthropic_messages.answers import finish_reason, head_of, usage_to_chat
from quoth.wire.anthropic_messages.blocks import message_of
from quoth.wire.carried import MISSHAPEN, SPECIFIC, Json
from quoth.wire.openai_chat import DONE, Done, Unreadable, UpstreamError, error_facts, sample
from quoth.wire.sse import Event
from quoth.wire.stamp import Chunks, Text

__all__ = ["MessagesReader"]

_THOUGHTS = ("thinking", "redacted_thinking")


class _Delta(msgspec.Struct):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    signature: str | None = None


class _Piece(msgspec.Struct):
    """A `content_block_delta`, which nine events of ten are."""

    type: str
    index: int = 0
    delta: _Delta = msgspec.field(default_factory=_Delta)


_PIECE = msgspec.json.Decoder(_Piece)


class _Block:
    """A content block as it grows."""

    __slots__ = ("call", "pieces", "start")

    def __init__(self, start: Json, call: int | None):
        self.start = start
        self.call = call
        self.pieces: list[str] = []

    def whole(self) -> Json:
        """The block as an answer that is not streamed has it."""
        kind, text = self.start.get("type"), "".join(self.pieces)
        if kind in ("text", "thinking"):
            return {**self.start, kind: (self.start.get(kind) or "") + text}
        if not text:
            return self.start
        try:
            return {**self.start, "input": msgspec.json.decode(text)}
        except msgspec.DecodeError:
            return {**self.start, "input": {"arguments": text}}  # cut off in the middle


class MessagesReader:
    """`read` answers each event with the Chunk that says the same; None for an event that says nothing.

    Assembled, the chunks are what `parse` makes of the same answer. `created` is Unix seconds, which the API does not
    say.
    """

    def __init__(self, warnings: list[Warning], created: int | None = None):
        self._warnings = warnings
        self._chunks = Chunks(created)
        self._blocks: dict[int, _Block] = {}
        self._calls = 0
        self._message: Json = {}
        self._usage: Json = {}
        self._plain = True  # nothing but one text so far

    def read(self, event: Event) -> Chunk | Done | None:
        """Raises Unreadable, UpstreamError."""
        found = self.read_quickly(event)
        return found.chunk() if isinstance(found, Text) else found

    def read_quickly(self, event: Event) -> Chunk | Text | Done | None:
        """The same, but for chunks that are nothing but a text: those are not made."""
        data = event.data
        if event.name == b"content_block_delta" or data.startswith(b'{"type":"content_block_delta"'):
            try:
                piece = _PIECE.decode(data)
            except (msgspec.ValidationError, UnicodeDecodeError):
                pass
            except msgspec.DecodeError as error:
                raise Unreadable(f"not JSON ({error}): {sample(data)}") from None
            else:
                return self._piece(piece, data)
        if data.startswith(b"[DONE]"):
            return DONE
        try:
            return self._rare(data)
        except Unreadable:
            raise
        except MISSHAPEN as wrong:
            raise Unreadable(f"not the shape of this API: {type(wrong).__name__} in {sample(data)}") from None

    def _piece(self, piece: _Piece, data: bytes) -> Chunk | Text | None:
        delta = piece.delta
        block = self._blocks.get(piece.index)
        if block is None:
            block = self._open(piece.index, {"type": "text"})
        if delta.text is not None:
            block.pieces.append(delta.text)
            return self._chunks.text("content", delta.text)
        if delta.thinking is not None:
            block.pieces.append(delta.thinking)
            return self._chunks.text("reasoning_content", delta.thinking)
        if delta.partial_json is not None:
            block.pieces.append(delta.partial_json)
            if block.call is None:
                return None  # the input of a tool that the provider runs itself
            return self._chunks.chunk(
                {"tool_calls": [{"index": block.call, "function": {"arguments": delta.partial_json}}]}
            )
        if delta.signature is not None:
            block.start["signature"] = (block.start.get("signature") or "") + delta.signature
            return None
        rest = msgspec.json.decode(data).get("delta") or {}
        if rest.get("type") == "citations_delta":
            block.start["citations"] = [*(block.start.get("citations") or ()), rest.get("citation")]
        else:
            self._unknown(str(rest.get("type")))
        return None

    def _open(self, index: int, start: Json) -> _Block:
        kind = start.get("type")
        call = None
        if kind == "tool_use":
            call, self._calls = self._calls, self._calls + 1
        self._plain = self._plain and kind == "text" and not self._blocks
        block = self._blocks[index] = _Block(start, call)
        return block

    def _rare(self, data: bytes) -> Chunk | Done | None:
        try:
            event = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Unreadable(f"not JSON ({error}): {sample(data) or 'an empty event'}") from None
        if not isinstance(event, dict):
            raise Unreadable(f"JSON, but not an event: {sample(data)}")
        kind = event.get("type")
        if kind == "content_block_delta":
            raise Unreadable(f"an event of another shape than this API's: {sample(data)}")
        if event.get("error"):
            raise UpstreamError(error_facts(data))
        if kind == "content_block_start":
            return self._start(event)
        if kind == "content_block_stop":
            return self._stop(event)
        if kind == "message_start":
            return self._begin(event)
        if kind == "message_delta":
            return self._finish(event)
        if kind == "message_stop":
            return DONE
        if kind != "ping":
            self._unknown(str(kind))
        return None

    def _begin(self, event: Json) -> Chunk:
        message = event.get("message")
        self._message = dict(message) if isinstance(message, dict) else {}
        self._usage = dict(self._message.get("usage") or {})
        said = {name: self._message[name] for name in ("id", "model") if self._message.get(name) is not None}
        self._chunks.begin(said)
        return self._chunks.chunk({"role": "assistant", "content": None})

    def _start(self, event: Json) -> Chunk | None:
        start = event.get("content_block")
        block = self._open(event.get("index") or 0, dict(start) if isinstance(start, dict) else {})
        kind = block.start.get("type")
        if kind in ("text", "thinking") and block.start.get(kind):
            return self._chunks.chunk({"content" if kind == "text" else "reasoning_content": block.start[kind]})
        if block.call is None:
            return None
        function = {"name": block.start.get("name"), "arguments": ""}
        rest = {name: value for name, value in block.start.items() if name not in ("type", "id", "name", "input")}
        call = {**rest, "index": block.call, "id": block.start.get("id"), "type": "function", "function": function}
        return self._chunks.chunk({"tool_calls": [call]})

    def _stop(self, event: Json) -> Chunk | None:
        block = self._blocks.get(event.get("index") or 0)
        if block is None:
            return None
        kind = block.start.get("type")
        if kind in _THOUGHTS:
            # What the block means in chat is known only now: its signature comes last.
            said = message_of([block.whole()])
            delta: Json = {name: said[name] for name in ("thinking_blocks", "reasoning_items") if name in said}
            if kind == "thinking" and not block.pieces:
                delta["reasoning_content"] = ""
            return self._chunks.chunk(delta) if delta else None
        if kind == "text" and not block.pieces and not block.start.get("text"):
            return self._chunks.chunk({"content": ""})
        if block.call is not None and not block.pieces and block.start.get("input"):
            arguments = msgspec.json.encode(block.start["input"]).decode()
            return self._chunks.chunk({"tool_calls": [{"index": block.call, "function": {"arguments": arguments}}]})
        return None

    def _finish(self, event: Json) -> Chunk:
        delta, usage = event.get("delta"), event.get("usage")
        if isinstance(delta, dict):
            self._message.update(delta)
        if isinstance(usage, dict):
            self._usage.update({name: value for name, value in usage.items() if value is not None})
        reason = finish_reason(self._message.get("stop_reason"))
        said: Json = {}
        if not self._plain or any(block.start.keys() - {"type", "text"} for block in self._blocks.values()):
            whole = message_of([self._blocks[index].whole() for index in sorted(self._blocks)])
            said = {name: whole[name] for name in ("annotations", SPECIFIC) if name in whole}
        chunk: Json = {**self._chunks.head, "choices": [{"index": 0, "delta": said, "finish_reason": reason}]}
        if self._usage:
            chunk["usage"] = usage_to_chat(self._usage)
        return Chunk.model_validate(chunk | head_of({**self._message, "usage": self._usage}))

    def _unknown(self, kind: str) -> None:
        warning = Warning("unknown_event", None, f"the stream has events of type {kind}, which were passed over")
        if warning not in self._warnings:
            self._warnings.append(warning)
