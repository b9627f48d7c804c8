"""The events of a streamed answer of the Responses API, read into Chunks."""

from __future__ import annotations

import msgspec

from quoth.types import Chunk, Warning
from quoth.wire.carried import MISSHAPEN, SPECIFIC, Json
from quoth.wire.openai_chat import DONE, Done, ErrorFacts, Unreadable, UpstreamError, error_facts, sample
from quoth.wire.openai_responses.answers import (
    failure_of,
    finish_reason,
    head_of,
    logprobs_of,
    usage_to_chat,
)
from quoth.wire.openai_responses.items import BETWEEN, message_of, reasoning_text, refusals_of, texts_of
from quoth.wire.sse import Event
from quoth.wire.stamp import Chunks, Text

__all__ = ["ResponsesReader"]

# What the whole answer tells better than its parts, or what says no more than that something goes on.
_SILENT = frozenset(
    (
        "response.in_progress response.queued response.content_part.added response.content_part.done "
        "response.output_text.done response.output_text.annotation.added response.refusal.done "
        "response.reasoning_summary_part.added response.reasoning_summary_part.done "
        "response.reasoning_summary_text.done response.reasoning_text.done "
        "response.function_call_arguments.done response.custom_tool_call_input.done keepalive ping"
    ).split()
)
# Of calls that the provider makes itself; their items are told when they are done.
_ITS_OWN = ("_call.", "_call_code.", "mcp_list_tools.", "_call_arguments.")
_ENDS = ("response.completed", "response.incomplete")
_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}


class _Piece(msgspec.Struct):
    """An event that brings a piece of text, which nine events of ten do."""

    type: str
    delta: str
    output_index: int = 0
    summary_index: int = 0


_PIECE = msgspec.json.Decoder(_Piece)


class _Item:
    """What is known of an output item that has begun."""

    __slots__ = ("call", "custom", "said", "summary")

    def __init__(self, call: int | None = None, custom: bool = False):
        self.call = call
        self.custom = custom
        self.said = False
        self.summary: int | None = None


class ResponsesReader:
    """`read` answers each event with the Chunk that says the same; None for an event that says nothing.

    Assembled, the chunks are what `parse` makes of the same answer. `created` stands in for a `created_at` that is
    missing.
    """

    def __init__(self, warnings: list[Warning], created: int | None = None):
        self._warnings = warnings
        self._chunks = Chunks(created)
        self._items: dict[int, _Item] = {}
        self._done: dict[int, Json] = {}
        self._calls = 0
        self._has_text = self._has_reasoning = False

    def read(self, event: Event) -> Chunk | Done | None:
        """Raises Unreadable, UpstreamError."""
        found = self.read_quickly(event)
        return found.chunk() if isinstance(found, Text) else found

    def read_quickly(self, event: Event) -> Chunk | Text | Done | None:
        """The same, but for chunks that are nothing but a text: those are not made."""
        data = event.data
        if (event.name is not None and event.name.endswith(b".delta")) or b'.delta"' in data[:80]:
            try:
                piece = _PIECE.decode(data)
            except (msgspec.ValidationError, UnicodeDecodeError):
                pass
            except msgspec.DecodeError as error:
                raise Unreadable(f"not JSON ({error}): {sample(data)}") from None
            else:
                if (said := self._piece(piece)) is not None:
                    return said
        if data.startswith(b"[DONE]"):
            return DONE
        try:
            return self._rare(event)
        except Unreadable:
            raise
        except MISSHAPEN as wrong:
            raise Unreadable(f"not the shape of this API: {type(wrong).__name__} in {sample(data)}") from None

    def _piece(self, piece: _Piece) -> Chunk | Text | None:
        kind = piece.type
        if kind == "response.output_text.delta":
            return self._text(self._item(piece.output_index), piece.delta)
        if kind == "response.function_call_arguments.delta":
            item = self._item(piece.output_index)
            item.said = True
            return self._call(item, {"function": {"arguments": piece.delta}})
        if kind == "response.reasoning_summary_text.delta":
            return self._reasoning(self._item(piece.output_index), piece.delta, piece.summary_index)
        if kind == "response.reasoning_text.delta":
            item = self._item(piece.output_index)
            return self._reasoning(item, piece.delta, -1) if item.summary in (None, -1) else None
        if kind == "response.refusal.delta":
            self._item(piece.output_index).said = True
            return self._chunks.chunk({"refusal": piece.delta})
        if kind == "response.custom_tool_call_input.delta":
            item = self._item(piece.output_index)
            item.said = True
            return self._call(item, {"custom": {"input": piece.delta}})
        return None

    def _item(self, index: int) -> _Item:
        found = self._items.get(index)
        if found is None:
            found = self._items[index] = _Item()
        return found

    def _text(self, item: _Item, text: str) -> Text:
        if not item.said and self._has_text:
            text = BETWEEN + text
        item.said = self._has_text = True
        return self._chunks.text("content", text)

    def _reasoning(self, item: _Item, text: str, summary: int) -> Text:
        if item.summary != summary and self._has_reasoning:
            text = BETWEEN + text
        item.summary, self._has_reasoning = summary, True
        return self._chunks.text("reasoning_content", text)

    def _call(self, item: _Item, piece: Json) -> Chunk:
        if item.call is None:
            item.call, self._calls = self._calls, self._calls + 1
        return self._chunks.chunk({"tool_calls": [{"index": item.call, **piece}]})

    def _rare(self, event: Event) -> Chunk | Done | None:
        data = event.data
        try:
            found = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Unreadable(f"not JSON ({error}): {sample(data) or 'an empty event'}") from None
        if not isinstance(found, dict):
            raise Unreadable(f"JSON, but not an event: {sample(data)}")
        kind = str(found.get("type"))
        if kind == "error" or found.get("error") or event.name == b"error":
            raise _failed(found, data)
        if kind == "response.failed":
            raise failure_of(found.get("response") or {})
        if kind in _ENDS:
            return self._finish(found.get("response") or {})
        if kind == "response.created":
            return self._begin(found.get("response") or {})
        if kind == "response.output_item.added":
            return self._added(found)
        if kind == "response.output_item.done":
            return self._ended(found)
        if kind not in _SILENT and not any(name in kind for name in _ITS_OWN):
            warning = Warning("unknown_event", None, f"the stream has events of type {kind}, which were passed over")
            if warning not in self._warnings:
                self._warnings.append(warning)
        return None

    def _begin(self, response: Json) -> Chunk:
        said = {name: response[name] for name in ("id", "model") if response.get(name) is not None}
        if response.get("created_at") is not None:
            said["created"] = int(response["created_at"])
        self._chunks.begin(said)
        return self._chunks.chunk({"role": "assistant", "content": None})

    def _added(self, event: Json) -> Chunk | None:
        start = event.get("item") or {}
        kind = start.get("type")
        item = self._item(event.get("output_index") or 0)
        if kind not in _CALLS:
            return None
        item.custom = kind == "custom_tool_call"
        head: Json = {"id": start.get("call_id")}
        if item.custom:
            return self._call(item, {**head, "type": "custom", "custom": {"name": start.get("name"), "input": ""}})
        return self._call(item, {**head, "type": "function", "function": {"name": start.get("name"), "arguments": ""}})

    def _ended(self, event: Json) -> Chunk | None:
        """An item as a whole: what its pieces did not say is said now."""
        index, whole = event.get("output_index") or 0, event.get("item")
        if not isinstance(whole, dict):
            return None
        self._done[index] = whole
        item, kind = self._item(index), whole.get("type")
        if kind == "reasoning":
            said = message_of([whole])
            delta: Json = {name: said[name] for name in ("thinking_blocks", "reasoning_items") if name in said}
            if item.summary is None and (texts := reasoning_text(whole)):
                start = BETWEEN if self._has_reasoning else ""
                delta["reasoning_content"], self._has_reasoning = start + BETWEEN.join(texts), True
            return self._chunks.chunk(delta)
        if kind == "message" and not item.said:
            texts, refusals = texts_of(whole), refusals_of(whole)
            if texts:
                return self._text(item, "".join(texts)).chunk()
            return self._chunks.chunk({"refusal": "".join(refusals)}) if refusals else None
        if kind in _CALLS:
            call = (message_of([whole]).get("tool_calls") or [{}])[0]
            if item.call is not None and item.said:
                call = {name: value for name, value in call.items() if name in (SPECIFIC, "extra_content")}
            elif item.call is not None and kind == "function_call":
                call["function"] = {"arguments": whole.get("arguments") or ""}
            return self._call(item, call) if call else None
        return None

    def _finish(self, response: Json) -> Chunk:
        # Some servers leave the output of the whole answer empty, having told its items one by one.
        output = response.get("output") or [self._done[index] for index in sorted(self._done)]
        whole = message_of([item for item in output if isinstance(item, dict)])
        said = {name: whole[name] for name in ("annotations", SPECIFIC) if name in whole}
        choice: Json = {"index": 0, "delta": said, "finish_reason": finish_reason(response, whole)}
        if logprobs := logprobs_of(output):
            choice["logprobs"] = {"content": logprobs}
        self._chunks.begin({name: response[name] for name in ("id", "model") if response.get(name) is not None})
        chunk: Json = {**self._chunks.head, "choices": [choice]}
        if isinstance(usage := response.get("usage"), dict):
            chunk["usage"] = usage_to_chat(usage)
        return Chunk.model_validate(chunk | head_of(response))


def _failed(event: Json, data: bytes) -> UpstreamError:
    if event.get("error"):
        return UpstreamError(error_facts(data))
    code, param = event.get("code"), event.get("param")
    message = str(event.get("message") or code or "the stream ended with an error")
    facts = ErrorFacts(message, code=None if code is None else str(code), param=param, body=event)
    return UpstreamError(facts)
