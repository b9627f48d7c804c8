"""Chunks folded into the Completion that they stream: `assemble(stream) == parse(the same answer, not streamed)`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from quoth.types import Chunk, ChunkChoice, Completion, Function, Message, Record, ToolCall, ToolCallDelta

__all__ = ["TEXTS", "Assembler", "Calls", "GrowingCall", "assemble"]

TEXTS = frozenset({"content", "reasoning_content", "reasoning", "refusal"})
# Objects whose texts grow: spoken answers (gpt-4o-audio), and tools whose input is free text.
_IN_PIECES = {"audio": ("data", "transcript"), "custom": ("input",)}


def assemble(chunks: Iterable[Chunk]) -> Completion:
    assembler = Assembler()
    for chunk in chunks:
        assembler.add(chunk)
    return assembler.completion()


class Assembler:
    """Takes chunks one at a time and keeps only what the whole answer needs, not the chunks."""

    def __init__(self) -> None:
        self._head: dict[str, Any] = {}
        self._choices: dict[int, _Choice] = {}
        self._usage: Any = None
        self._named = False  # id and model are known; a first chunk may leave them empty (Azure)

    @property
    def finished(self) -> bool:
        """True when every choice that began has given its finish reason."""
        return bool(self._choices) and all(choice.finish_reason for choice in self._choices.values())

    def add(self, chunk: Chunk) -> None:
        for choice in chunk.choices:
            index = choice.index or 0
            found = self._choices.get(index)
            if found is None:
                found = self._choices[index] = _Choice()
            found.add(choice)
        if chunk.usage is not None:
            self._usage = chunk.usage
        if not self._named or chunk.usage is not None or chunk.__pydantic_extra__:
            self._add_head(chunk)

    def texts(self, chunk: Chunk, names: Iterable[str]) -> list[list[str]]:
        """Where the texts of these names go that a chunk of one choice brings. Once that chunk has been added, another
        that differs only in its text is added by appending it to these."""
        (choice,) = chunk.choices
        texts = self._choices[choice.index or 0].texts
        return [texts[name] for name in names if name in choice.delta.model_fields_set]

    def _add_head(self, chunk: Chunk) -> None:
        head = self._head
        for name in ("id", "created", "model", "system_fingerprint", "service_tier"):
            value = getattr(chunk, name)
            if value is not None and not head.get(name):
                head[name] = value
        if chunk.__pydantic_extra__:
            head.update(chunk.__pydantic_extra__)
        self._named = bool(head.get("id") and head.get("model"))

    def completion(self) -> Completion:
        """The answer so far."""
        usage = {} if self._usage is None else {"usage": self._usage}
        choices = [choice.as_dict(index) for index, choice in sorted(self._choices.items())]
        return Completion(**{**self._head, "object": "chat.completion", "choices": choices, **usage})


class _Choice:
    """One choice as it grows. Texts are kept in pieces and joined once."""

    def __init__(self) -> None:
        self.role: str | None = None
        self.texts: dict[str, list[str]] = {}
        self.calls = Calls()
        self.function_call: GrowingCall | None = None
        self.finish_reason: str | None = None
        self.logprobs: dict[str, Any] = {}
        self.message_extra: dict[str, Any] = {}
        self.extra: dict[str, Any] = {}

    def add(self, choice: ChunkChoice) -> None:
        delta = choice.delta
        for name in delta.model_fields_set:
            if name in TEXTS:
                pieces = self.texts.setdefault(name, [])
                if (text := getattr(delta, name)) is not None:
                    pieces.append(text)
        if delta.role is not None:
            self.role = delta.role
        for piece in delta.tool_calls or ():
            self.calls.add(piece)
        if delta.function_call is not None:
            self.function_call = self.function_call or GrowingCall(0)
            self.function_call.add_function(delta.function_call)
        if delta.__pydantic_extra__:
            _merge(self.message_extra, delta.__pydantic_extra__)
        if choice.finish_reason is not None:
            self.finish_reason = choice.finish_reason
        if choice.logprobs is not None:
            _merge(self.logprobs, choice.logprobs.model_dump())
        if choice.__pydantic_extra__:
            self.extra.update(choice.__pydantic_extra__)

    def as_dict(self, index: int) -> dict[str, Any]:
        message: dict[str, Any] = {"role": self.role or "assistant"}
        message |= {name: "".join(pieces) if pieces else None for name, pieces in self.texts.items()}
        if self.calls:
            message.setdefault("content", None)
            message["tool_calls"] = [call.tool_call() for call in sorted(self.calls, key=lambda call: call.index)]
        if self.function_call is not None:
            message["function_call"] = self.function_call.function()
        choice: dict[str, Any] = {"index": index, "message": Message(**{**message, **self.message_extra})}
        choice["finish_reason"] = self.finish_reason
        if self.logprobs:
            choice["logprobs"] = self.logprobs
        return {**choice, **self.extra}


class Calls(list["GrowingCall"]):
    """The tool calls of one choice, in the order in which they began."""

    def add(self, piece: ToolCallDelta) -> GrowingCall:
        """Add a piece to the call that it belongs to, found by index and id. Providers repeat indexes, leave them out
        and send them unordered; two calls are never merged."""
        found: GrowingCall | None = None
        if piece.index is not None:
            found = next((call for call in reversed(self) if call.index == piece.index), None)
        elif piece.id:
            found = next((call for call in self if call.id == piece.id), None)
        elif self:
            found = self[-1]
        if found is not None and piece.id and found.id and piece.id != found.id:
            found = next((call for call in self if call.id == piece.id), None)
        elif found is not None and not piece.id and found.is_another(piece):
            found = None
        if found is None:
            found = GrowingCall(len(self) if piece.index is None else piece.index)
            self.append(found)
        found.add(piece)
        return found


class GrowingCall:
    """One tool call as it grows."""

    def __init__(self, index: int):
        self.index = index
        self.id: str | None = None
        self.type: str | None = None
        self.name = ""
        self.arguments: list[str] = []
        self.extra: dict[str, Any] = {}
        self.function_extra: dict[str, Any] = {}

    def is_another(self, piece: ToolCallDelta) -> bool:
        """True when a piece without an id begins a call of its own: it brings a name after this one's arguments."""
        name = piece.function.name if piece.function is not None else None
        if not name or not self.arguments:
            return False
        return piece.index is None or name != self.name

    def add(self, piece: ToolCallDelta) -> None:
        self.id = self.id or piece.id
        self.type = self.type or piece.type
        if piece.function is not None:
            self.add_function(piece.function)
        if piece.__pydantic_extra__:
            _merge(self.extra, piece.__pydantic_extra__)

    def add_function(self, function: Any) -> None:
        # A name that comes again whole is a repetition, not a continuation.
        if function.name and function.name != self.name:
            self.name += function.name
        if function.arguments:
            self.arguments.append(function.arguments)
        if function.__pydantic_extra__:
            self.function_extra.update(function.__pydantic_extra__)

    def function(self) -> Function:
        return Function(**{"name": self.name, "arguments": "".join(self.arguments), **self.function_extra})

    def tool_call(self) -> ToolCall:
        call: dict[str, Any] = {} if self.id is None else {"id": self.id}
        call["type"] = self.type or "function"
        if call["type"] == "function":
            call["function"] = self.function()
        return ToolCall(**{**call, **self.extra})


def _merge(into: dict[str, Any], more: dict[str, Any]) -> None:
    """Fields that are not typed: lists grow, as do the objects known to come in pieces; else the later value counts."""
    for name, value in more.items():
        if isinstance(value, Record):
            value = value.model_dump()
        known = into.get(name)
        if isinstance(value, list) and isinstance(known, list):
            into[name] = known + value
        elif name in _IN_PIECES and isinstance(value, dict) and isinstance(known, dict):
            grown = {key: known[key] + value[key] for key in _IN_PIECES[name] if key in known and key in value}
            into[name] = {**known, **value, **grown}
        elif value is not None or name not in into:
            into[name] = value
