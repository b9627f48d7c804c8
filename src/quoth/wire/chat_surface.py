"""Chat completions beside the other two wires: what of a chat body only they understand, and Chunks as its events."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from quoth.errors import UnsupportedParamsError
from quoth.types import Chunk, Warning
from quoth.wire.carried import SPECIFIC, Json, are_objects, in_plain_parts, not_carried, plain_texts
from quoth.wire.envelopes import error_body
from quoth.wire.openai_chat import parse
from quoth.wire.stamp import MARK, Stamp, Text

__all__ = ["ChatEncoder", "for_chat", "is_plain", "tell"]

WIRE = "openai_chat"
_MARKED = f'"{MARK}"'.encode()
_KEPT_FOR_OTHERS = ("thinking_blocks", "reasoning_items", SPECIFIC)
# Tools that a provider runs itself, under names that only the other two APIs have.
_HOSTED = re.compile(
    r"(.+_20\d{6}|web_search_preview|file_search|code_interpreter|image_generation|computer_use_preview|local_shell|"
    r"apply_patch|mcp|mcp_toolset)"
)


def for_chat(body: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[Warning]]:
    """The body as chat completions can say it; the same object when there is nothing to change. Raises
    UnsupportedParamsError for a tool that it cannot say."""
    warnings: list[Warning] = []
    changed: Json = {}
    messages = body.get("messages") or ()
    if any(map(_needs_change, messages)):
        changed["messages"] = _messages(messages, warnings)
    for number, tool in enumerate(body.get("tools") or ()):
        kind = tool.get("type") if isinstance(tool, Mapping) else None
        if isinstance(kind, str) and "function" not in tool and _HOSTED.fullmatch(kind):
            raise UnsupportedParamsError(
                f"tools[{number}] is of type {kind!r}, which chat completions do not have; a tool is never left out. "
                "Call a model that is served over the wire of that tool, or leave it out yourself",
                param=f"tools[{number}]",
            )
    if SPECIFIC in body:
        changed[SPECIFIC] = None
        for own in (body[SPECIFIC] or {}).values():
            warnings += [not_carried(name, WIRE) for name in (own if isinstance(own, Mapping) else ())]
    if not changed:
        return body, warnings
    return {name: value for name, value in {**body, **changed}.items() if name != SPECIFIC}, warnings


def is_plain(body: Mapping[str, Any]) -> bool:
    """Whether `for_chat` has nothing to change in a body, and nothing in it means one thing in chat and another to some
    models: how hard to think, and tools that are no functions."""
    if not _UNPLAIN.isdisjoint(body) or any(map(_needs_change, body["messages"])):
        return False
    tools = body.get("tools")
    return not tools or all(isinstance(tool, dict) and "function" in tool for tool in tools)


_UNPLAIN = frozenset({"reasoning_effort", "thinking", SPECIFIC})


def tell(raw: bytes) -> tuple[Json, list[Warning]]:
    """A whole answer as it is, where it is quite in shape; else what can be read of it. Raises Unreadable,
    UpstreamError."""
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = None
    if isinstance(found, dict) and _is_in_shape(found):
        return found, []
    completion, warnings = parse(raw)
    return completion.model_dump(), warnings


def _is_in_shape(completion: Json) -> bool:
    choices, usage = completion.get("choices"), completion.get("usage")
    if not isinstance(choices, list) or not choices or "error" in completion:
        return False
    if usage is not None and not isinstance(usage, dict):
        return False
    for choice in choices:
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(message, dict) or not _SAID.issuperset(message):
            return False
        reason, logprobs = choice.get("finish_reason"), choice.get("logprobs")
        if not (reason is None or isinstance(reason, str)) or not (logprobs is None or isinstance(logprobs, dict)):
            return False
        for value in message.values():
            if value is not None and not isinstance(value, str):
                return False
    return True


# The fields of an answer that is nothing but text.
_SAID = frozenset({"role", "content", "refusal", "reasoning_content", "reasoning"})


def _needs_change(message: Any) -> bool:
    role = message.get("role")
    if role == "assistant":
        return any(name in message for name in _KEPT_FOR_OTHERS)
    if role == "tool":
        return SPECIFIC in message or "is_error" in message or isinstance(message.get("content"), list)
    content = message.get("content")
    return isinstance(content, list) and any(isinstance(part, dict) and part.get("type") in _SHOWN for part in content)


# Parts that chat has otherwise or not at all.
_SHOWN = ("file", "search_result", "document")


def _messages(messages: Any, warnings: list[Warning]) -> list[Any]:
    found: list[Any] = []
    shown: list[Json] = []  # what tools have shown and chat lets only the user show
    for number, message in enumerate(messages):
        where = f"messages[{number}]"
        role = message.get("role")
        if role != "tool" and shown:
            found.append({"role": "user", "content": list(shown)})
            shown.clear()
        if not _needs_change(message):
            found.append(message)
        elif role == "assistant":
            found.append(_assistant(message, where, warnings))
        elif role == "tool":
            found.append(_result(message, where, shown, warnings))
        else:
            parts = _plain_parts(message["content"], where, warnings)
            found.append({**message, "content": [_file_part(part, where, warnings) for part in parts]})
    if shown:
        found.append({"role": "user", "content": shown})
    return found


def _assistant(message: Mapping[str, Any], where: str, warnings: list[Warning]) -> Json:
    for name in ("thinking_blocks", "reasoning_items"):
        if message.get(name):
            warnings.append(not_carried(f"{where}.{name}", WIRE))
    kept = message.get(SPECIFIC) or {}
    for name in ("content_blocks", "output_items"):
        if isinstance(kept, Mapping) and name in kept and not _is_cut_text(kept[name]):
            text = f"{where} was sent as its text and its tool calls alone; chat completions have no place for the rest"
            warnings.append(Warning("not_carried", f"{where}.{SPECIFIC}.{name}", text))
    bare = {name: value for name, value in message.items() if name not in _KEPT_FOR_OTHERS}
    calls = bare.get("tool_calls")
    if isinstance(calls, list) and any(isinstance(call, Mapping) and SPECIFIC in call for call in calls):
        bare["tool_calls"] = [{name: value for name, value in call.items() if name != SPECIFIC} for call in calls]
    return bare


def _is_cut_text(blocks: Any) -> bool:
    """Whether these are the pieces of one text, and calls after it: the message says all of that. Where the text was
    cut means nothing, for Claude cuts in mid-sentence."""
    if not isinstance(blocks, list) or not are_objects(blocks):
        return False
    calls = sum(block.get("type") == "tool_use" for block in blocks)
    end = len(blocks) - calls
    return all(block.keys() == _TEXT and block["type"] == "text" for block in blocks[:end])


_TEXT = {"type", "text"}


def _result(message: Mapping[str, Any], where: str, shown: list[Json], warnings: list[Warning]) -> Json:
    bare = {name: value for name, value in message.items() if name not in (SPECIFIC, "is_error")}
    if message.get("is_error"):
        warnings.append(not_carried(f"{where}.is_error", WIRE))
    content = message.get("content")
    if not isinstance(content, list) or plain_texts(content) is not None:
        return bare
    content = _plain_parts(content, where, warnings)
    texts = [part["text"] for part in content if isinstance(part, Mapping) and isinstance(part.get("text"), str)]
    others = [part for part in content if not (isinstance(part, Mapping) and isinstance(part.get("text"), str))]
    if others:
        text = (
            f"{where}: what the tool shows beside text was sent as the user's, after it; a tool's message is text here"
        )
        warnings.append(Warning("moved", where, text))
        shown += [_file_part(part, where, warnings) for part in others]
    return {**bare, "content": "\n\n".join(texts)}


def _plain_parts(content: list[Any], where: str, warnings: list[Warning]) -> list[Any]:
    return [
        in_plain_parts(part, f"{where}.content[{number}]", WIRE, warnings) if isinstance(part, Mapping) else part
        for number, part in enumerate(content)
    ]


def _file_part(part: Any, where: str, warnings: list[Warning]) -> Any:
    """A file by its address: chat takes files as data, so it goes where an address may stand."""
    file = part.get("file") if isinstance(part, Mapping) else None
    if not isinstance(file, Mapping) or "file_url" not in file:
        return part
    rest = {name: value for name, value in file.items() if name != "file_url"}
    text = (
        f"{where}: a file was given by its address, which chat documents for images only; the address was sent as data"
    )
    warnings.append(Warning("doubtful_value", where, text))
    return {**part, "file": {**rest, "file_data": file["file_url"]}}


class ChatEncoder:
    """`feed` answers each chunk with the bytes of its event; then either `finish` or `error`, once. `model`: a name for
    the model in place of the one that the chunks have."""

    def __init__(self, model: str | None = None) -> None:
        self.warnings: list[Warning] = []
        self._model = model
        self._stamp: Stamp | None = None
        self._around: tuple[bytes, bytes] | None = None

    def text(self, said: Text) -> bytes:
        if said.stamp is not self._stamp:
            # What stands around the texts of one stamp is the same for all of them.
            self._stamp = said.stamp
            event = self.feed(said.stamp.chunk(MARK))
            self._around = None
            if event.count(_MARKED) == 1:
                before, _, after = event.partition(_MARKED)
                self._around = before, after
        if self._around is None:
            return self.feed(said.chunk())
        before, after = self._around
        return before + msgspec.json.encode(said.text) + after

    def feed(self, chunk: Chunk) -> bytes:
        if self._model is not None:
            chunk.model = self._model
        return b"data: %b\n\n" % chunk.model_dump_json().encode()

    def ping(self) -> bytes:
        return b": keep-alive\n\n"

    def finish(self) -> bytes:
        return b"data: [DONE]\n\n"

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
        """The event that a broken stream ends with; no [DONE] follows it."""
        return b"data: %b\n\n" % error_body(WIRE, status, message, type=type, code=code, param=param)
