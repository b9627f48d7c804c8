"""A stream of Chunks as the events of the Responses API, in the order in which OpenAI's client wants them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from quoth.types import Chunk, Delta, Warning
from quoth.wire.assemble import Calls, GrowingCall
from quoth.wire.carried import SPECIFIC, Json, not_carried
from quoth.wire.openai_responses.answers import frame, response_id, short, state_of, usage_of
from quoth.wire.openai_responses.items import BETWEEN, call_item, reasoning_of, reasoning_text
from quoth.wire.openai_responses.naming import names_of
from quoth.wire.stamp import Text

__all__ = ["ResponsesEncoder"]

_json = msgspec.json.encode
_TEXT = (
    b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","item_id":%b,"output_index":%d,'
    b'"content_index":%d,"delta":%b,"logprobs":[],"sequence_number":%d}\n\n'
)
_ARGUMENTS = (
    b'event: response.function_call_arguments.delta\ndata: {"type":"response.function_call_arguments.delta",'
    b'"item_id":%b,"output_index":%d,"delta":%b,"sequence_number":%d}\n\n'
)
_SUMMARY = (
    b'event: response.reasoning_summary_text.delta\ndata: {"type":"response.reasoning_summary_text.delta",'
    b'"item_id":%b,"output_index":%d,"summary_index":0,"delta":%b,"sequence_number":%d}\n\n'
)


class _Item:
    """An output item that has begun: its place, its id, and the pieces of what it says."""

    __slots__ = ("index", "kind", "name", "parts", "place", "quoted")

    def __init__(self, kind: str, index: int, name: str, place: int = 0):
        self.kind = kind
        self.index = index
        self.name = name
        self.quoted = _json(name)
        self.place = place
        self.parts: list[tuple[str, list[str]]] = []


class ResponsesEncoder:
    """`feed` answers each chunk with the bytes of its events; then either `finish` or `error`, once.

    response.created and response.in_progress, then item by item response.output_item.added, its parts with their
    deltas and their ends, response.output_item.done, then response.completed (or response.incomplete) with the whole
    answer. `request` is the client's, which a response repeats in part. `model` is said in place of the chunks'.
    """

    def __init__(self, request: Mapping[str, Any] | None = None, *, model: str | None = None, created: int = 0):
        self.warnings: list[Warning] = []
        self._request = request
        self._names = names_of(request)
        self._model = model
        self._created = created
        self._head: Json | None = None
        self._number = 0
        self._output: dict[int, Json] = {}
        self._next = 0
        self._open: _Item | None = None  # the reasoning or the message that is under way
        self._reasoning: Json = {}
        self._calls = Calls()
        self._call_items: dict[int, _Item] = {}
        self._running: list[_Item] = []
        self._notes: list[Any] = []
        self._logprobs: list[Any] = []
        self._reason: str | None = None
        self._usage: Json | None = None
        self._own: Json = {}

    @classmethod
    def after(cls, response: Json, number: int) -> ResponsesEncoder:
        """One that goes on where somebody else's stream broke: its last event had this number, and its response began
        as this one."""
        encoder = cls()
        encoder._head, encoder._number = response, number + 1
        return encoder

    def text(self, said: Text) -> bytes:
        return self.feed(said.chunk())

    def feed(self, chunk: Chunk) -> bytes:
        out = [] if self._head is not None else self._start(chunk)
        if chunk.usage is not None:
            self._usage = chunk.usage.model_dump()
        if chunk.__pydantic_extra__:
            kept = chunk.__pydantic_extra__.get(SPECIFIC)
            self._own.update((kept or {}).get("responses") or {})
        for choice in chunk.choices:
            if choice.index:
                self._warn(not_carried("choices", "openai_responses", "it has one choice"))
                continue
            if choice.logprobs is not None:
                self._logprobs += choice.logprobs.get("content") or ()
            self._delta(choice.delta, out)
            self._reason = choice.finish_reason or self._reason
        return b"".join(out)

    def ping(self) -> bytes:
        """A comment that says nothing, to keep the connection alive."""
        return b": keep-alive\n\n"

    def finish(self) -> bytes:
        """The events that end the response."""
        out = [] if self._head is not None else self._start(Chunk())
        for place, call in enumerate(self._calls):
            if place not in self._call_items:
                self._begin_call(place, call, out)  # it never got a name
        self._close(out)
        self._close_calls(out)
        state = state_of(self._reason)
        rest = self._own or {**frame(self._request), **state}
        done = {**(self._head or {}), **rest, "output": self._whole(), "usage": usage_of(self._usage)}
        name = "response.incomplete" if done.get("status") == "incomplete" else "response.completed"
        out.append(self._event(name, response=done))
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
        """The events that a broken stream ends with: `response.failed`, then `error`.

        Either is what some client looks for: Codex knows the first alone, openai's clients raise at the second, if it
        has an `error` object as OpenAI's own has. OpenAI sends them the other way round, so that its clients never see
        the first. `code` is the failed response's, by its status without one; `type` the error's own slug.
        """
        out = [] if self._head is not None else self._start(Chunk())
        code = code or ("rate_limit_exceeded" if status == 429 else "server_error" if status >= 500 else type)
        code = code or "invalid_request_error"
        failed = {"status": "failed", "error": {"code": code, "message": message}, "output": self._whole()}
        response = {**frame(self._request), **(self._head or {}), **failed, "usage": None}
        out.append(self._event("response.failed", response=response))
        slug = type or code
        error = {"message": message, "type": slug, "param": param, "code": str(status)}
        out.append(self._event("error", code=slug, message=message, param=param, error=error))
        return b"".join(out)

    # --- The parts of it ---

    def _event(self, name: str, /, **fields: Any) -> bytes:
        event = {"type": name, **fields, "sequence_number": self._number}
        self._number += 1
        return b"event: %b\ndata: %b\n\n" % (name.encode(), _json(event))

    def _start(self, chunk: Chunk) -> list[bytes]:
        name = response_id(chunk.id)
        self._head = {"id": name, "object": "response", "created_at": chunk.created or self._created}
        self._head["model"] = self._model or chunk.model or ""
        response = {**self._head, **frame(self._request), "status": "in_progress", "output": [], "usage": None}
        return [self._event(f"response.{word}", response=response) for word in ("created", "in_progress")]

    def _whole(self) -> list[Json]:
        return [self._output[index] for index in sorted(self._output)]

    def _base(self) -> str:
        return short(str((self._head or {}).get("id", "")))

    def _delta(self, delta: Delta, out: list[bytes]) -> None:
        extra = delta.__pydantic_extra__
        reasoning = delta.reasoning_content or delta.reasoning
        # An answer given as one chunk has its reasoning twice; its items say it all.
        if reasoning and not (extra and extra.get("reasoning_items")):
            self._think(reasoning, out)
        if extra:
            self._extras(extra, out)
        if delta.content:
            item = self._item("message", out)
            number = self._part(item, "output_text", out)
            item.parts[number][1].append(delta.content)
            out.append(_TEXT % (item.quoted, item.index, number, _json(delta.content), self._number))
            self._number += 1
        if delta.refusal:
            item = self._item("message", out)
            number = self._part(item, "refusal", out)
            item.parts[number][1].append(delta.refusal)
            where: Json = {"item_id": item.name, "output_index": item.index, "content_index": number}
            out.append(self._event("response.refusal.delta", **where, delta=delta.refusal))
        for piece in delta.tool_calls or ():
            self._call(self._calls.add(piece), piece.function.arguments if piece.function is not None else None, out)
        if delta.function_call is not None:
            if not self._calls:
                self._calls.append(GrowingCall(0))
            self._calls[0].add_function(delta.function_call)
            self._call(self._calls[0], delta.function_call.arguments, out)

    def _think(self, text: str, out: list[bytes]) -> None:
        item = self._item("reasoning", out)
        self._part(item, "summary_text", out)
        item.parts[0][1].append(text)
        out.append(_SUMMARY % (item.quoted, item.index, _json(text), self._number))
        self._number += 1

    def _extras(self, extra: Mapping[str, Any], out: list[bytes]) -> None:
        """What its maker wants back ends the reasoning that is under way, or comes as a whole item."""
        for own in extra.get("reasoning_items") or ():
            if self._open is None or self._open.kind != "reasoning":
                self._item("reasoning", out)
                if texts := reasoning_text(own):
                    self._think(BETWEEN.join(texts), out)
            self._reasoning = {"reasoning_items": [own]}
            self._close(out)
        if blocks := extra.get("thinking_blocks"):
            self._item("reasoning", out)
            self._reasoning = {"thinking_blocks": blocks}
            self._close(out)
        if notes := extra.get("annotations"):
            self._notes += notes
        if "audio" in extra:
            self._warn(not_carried("audio", "openai_responses"))

    def _item(self, kind: str, out: list[bytes]) -> _Item:
        """The reasoning or the message that is under way, else a new one."""
        if self._open is not None and self._open.kind == kind:
            return self._open
        self._close(out)
        self._close_calls(out)
        index, self._next = self._next, self._next + 1
        name = f"{'rs' if kind == 'reasoning' else 'msg'}_{self._base()}_{index}"
        item = self._open = _Item(kind, index, name)
        if kind == "reasoning":
            shown: Json = {"id": name, "type": "reasoning", "summary": []}
        else:
            shown = {"id": name, "type": "message", "status": "in_progress", "role": "assistant", "content": []}
        out.append(self._event("response.output_item.added", output_index=index, item=shown))
        return item

    def _part(self, item: _Item, kind: str, out: list[bytes]) -> int:
        """The place of the part of this kind, begun if it is not yet."""
        for number, (known, _) in enumerate(item.parts):
            if known == kind:
                return number
        item.parts.append((kind, []))
        out.append(self._of_part(item, len(item.parts) - 1, "added", _part_of(kind, "")))
        return len(item.parts) - 1

    def _of_part(self, item: _Item, number: int, word: str, part: Json) -> bytes:
        summary = item.kind == "reasoning"
        name = "reasoning_summary_part" if summary else "content_part"
        where = {"item_id": item.name, "output_index": item.index}
        where["summary_index" if summary else "content_index"] = number
        return self._event(f"response.{name}.{word}", **where, part=part)

    def _close(self, out: list[bytes]) -> None:
        item, self._open = self._open, None
        if item is None:
            return
        parts = []
        for number, (kind, pieces) in enumerate(item.parts):
            text = "".join(pieces)
            part = _part_of(kind, text)
            where: Json = {"item_id": item.name, "output_index": item.index}
            if kind == "output_text":
                where |= {"content_index": number, "text": text, "logprobs": self._logprobs}
                part |= {"annotations": [_flat(note) for note in self._notes], "logprobs": self._logprobs}
                out.append(self._event("response.output_text.done", **where))
                self._notes, self._logprobs = [], []
            elif kind == "refusal":
                out.append(self._event("response.refusal.done", **where, content_index=number, refusal=text))
            else:
                out.append(
                    self._event("response.reasoning_summary_text.done", **where, summary_index=number, text=text)
                )
            out.append(self._of_part(item, number, "done", part))
            parts.append(part)
        if item.kind == "message":
            done: Json = {"id": item.name, "type": "message", "status": "completed", "role": "assistant"}
            done["content"] = parts
        else:
            done = self._thought(item, parts)
        self._done(item, done, out)

    def _thought(self, item: _Item, parts: list[Json]) -> Json:
        """A reasoning item: its maker's own, or one that seals what its maker wants back."""
        known, self._reasoning = self._reasoning, {}
        text = "".join(part["text"] for part in parts)
        found = reasoning_of({"reasoning_content": text, **known}, item.name[3:]) or [{}]
        # An item of OpenAI's keeps its id: its encrypted content is good for no other.
        return {"id": item.name, **found[0], "type": "reasoning", "summary": parts or found[0].get("summary") or []}

    def _done(self, item: _Item, done: Json, out: list[bytes]) -> None:
        self._output[item.index] = done
        out.append(self._event("response.output_item.done", output_index=item.index, item=done))

    # --- Calls ---

    def _call(self, call: GrowingCall, arguments: str | None, out: list[bytes]) -> None:
        place = next(number for number, one in enumerate(self._calls) if one is call)
        item = self._call_items.get(place)
        if item is None:
            if call.name or call.type == "custom":
                self._begin_call(place, call, out)
        elif arguments and item.kind == "function_call":
            out.append(_ARGUMENTS % (item.quoted, item.index, _json(arguments), self._number))
            self._number += 1

    def _begin_call(self, place: int, call: GrowingCall, out: list[bytes]) -> None:
        self._close(out)
        if all(_is_whole(self._calls[item.place]) for item in self._running):
            self._close_calls(out)
        index, self._next = self._next, self._next + 1
        free = call.type == "custom" or call.name in self._names.free
        kind = "custom_tool_call" if free else "function_call"
        item = _Item(kind, index, f"{'ctc' if free else 'fc'}_{self._base()}_{index}", place)
        self._call_items[place] = item
        self._running.append(item)
        shown = {"id": item.name, "type": kind, "status": "in_progress", "call_id": call.id or f"call_{place}"}
        name = (call.extra.get("custom") or {}).get("name") or "" if call.type == "custom" else call.name
        space, own = self._names.spaced.get(name, ("", name))
        shown |= {"name": own, "input" if free else "arguments": ""} | ({"namespace": space} if space else {})
        out.append(self._event("response.output_item.added", output_index=index, item=shown))
        if not free and (arguments := "".join(call.arguments)):
            out.append(_ARGUMENTS % (item.quoted, item.index, _json(arguments), self._number))
            self._number += 1

    def _close_calls(self, out: list[bytes]) -> None:
        for item in self._running:
            call = self._calls[item.place].tool_call().model_dump()
            if not call.get("id"):
                call["id"] = f"call_{item.place}"
            call.pop(SPECIFIC, None)
            done = {**call_item(call, "0", self._names), "id": item.name, "status": "completed"}
            where: Json = {"item_id": item.name, "output_index": item.index}
            if item.kind == "function_call":
                name = {"name": done["name"]}
                text = done["arguments"]
                out.append(self._event("response.function_call_arguments.done", **where, **name, arguments=text))
            else:
                # Free text comes in JSON here, which can be told only when it is whole.
                text = done["input"]
                out.append(self._event("response.custom_tool_call_input.delta", **where, delta=text))
                out.append(self._event("response.custom_tool_call_input.done", **where, input=text))
            self._done(item, done, out)
        self._running.clear()

    def _warn(self, warning: Warning) -> None:
        if warning not in self.warnings:
            self.warnings.append(warning)


def _part_of(kind: str, text: str) -> Json:
    if kind == "refusal":
        return {"type": kind, "refusal": text}
    return {"type": kind, "text": text} | ({"annotations": [], "logprobs": []} if kind == "output_text" else {})


def _flat(note: Any) -> Any:
    inner = note.get("url_citation") if isinstance(note, Mapping) else None
    return {"type": "url_citation", **inner} if isinstance(inner, Mapping) else note


def _is_whole(call: GrowingCall) -> bool:
    """True when nothing more of a call's arguments can come: another one may begin, and this one end."""
    try:
        msgspec.json.decode("".join(call.arguments) or "{}")
    except msgspec.DecodeError:
        return False
    return True
