"""The prompt of a request of Messages, in two other forms: as a chat, and as the blocks of the prompt cache."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from quoth.emulator.message_blocks import refused
from quoth.emulator.prompt_cache import HOUR, Block

__all__ = ["AFTER", "as_blocks", "as_chat"]

_MOST_MARKS = 4

# What is counted beyond the text: of every request before and after its last block, of thinking, and of tools.
_BEFORE, AFTER, _THINKING_TOKENS, _TOOLS_TOKENS = 5, 3, 29, 264
_PICTURE_TOKENS = 1_600


def as_chat(system: list[dict[str, Any]], messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same conversation in the messages of chat completions; thinking is left out."""
    found: list[dict[str, Any]] = [{"role": "system", "content": block["text"]} for block in system]
    for message in messages:
        parts: list[dict[str, Any]] = []
        calls: list[dict[str, Any]] = []
        for block in message["content"]:
            kind = block["type"]
            if kind == "tool_result":
                content = list(_parts(block.get("content") or ""))
                found.append({"role": "tool", "tool_call_id": block["tool_use_id"], "content": content})
            elif kind == "tool_use":
                function = {"name": block["name"], "arguments": json.dumps(block["input"])}
                calls.append({"id": block["id"], "type": "function", "function": function})
            elif kind not in ("thinking", "redacted_thinking"):
                parts += _parts([block])
        if parts or calls:
            turn: dict[str, Any] = {"role": message["role"], "content": parts}
            found.append({**turn, "tool_calls": calls} if calls else turn)
    return found


def _parts(content: Any) -> Iterator[dict[str, Any]]:
    if isinstance(content, str):
        yield {"type": "text", "text": content}
        return
    for block in content:
        source = block.get("source")
        if block["type"] == "text":
            yield {"type": "text", "text": block["text"]}
        elif block["type"] == "search_result":
            yield from _parts(block.get("content") or "")
        elif source["type"] == "text":
            yield {"type": "text", "text": source["data"]}
        elif source["type"] == "content":
            yield from _parts(source.get("content") or "")
        else:
            url = source.get("url") or f"data:{source['media_type']};base64,{source['data']}"
            if block["type"] == "image":
                yield {"type": "image_url", "image_url": {"url": url}}
            else:
                yield {"type": "file", "file": {"filename": block.get("title"), "file_data": url}}


def as_blocks(
    data: dict[str, Any],
    system: list[dict[str, Any]],
    messages: list[dict[str, Any]],
    thinking: dict[str, Any] | None,
) -> list[Block]:
    """The prompt in the order of the cache: tools, system, messages. Raises Problem for too many marks."""
    found: list[Block] = []
    marks: list[str] = []
    extra = _TOOLS_TOKENS if data.get("tools") else 0
    for block in (*(data.get("tools") or ()), *system):
        found.append(_counted(block, extra, marks, b""))
        extra = 0
    # Another thinking or another choice of tools makes other messages of them.
    setting = json.dumps([thinking, data.get("tool_choice")], sort_keys=True).encode()
    extra += _BEFORE + (_THINKING_TOKENS if thinking else 0)
    for message in messages:
        for block in message["content"]:
            found.append(_counted(block, extra, marks, setting + message["role"].encode()))
            extra = 0
    if len(marks) > _MOST_MARKS:
        raise refused(f"A maximum of {_MOST_MARKS} blocks with cache_control may be provided. Found {len(marks)}.")
    if HOUR in marks[marks.index("5m") if "5m" in marks else len(marks) :]:
        raise refused(
            "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. Note that blocks are "
            "processed in the following order: `tools`, `system`, `messages`."
        )
    return found


def _counted(block: dict[str, Any], extra: int, marks: list[str], setting: bytes) -> Block:
    bare = {name: value for name, value in block.items() if name != "cache_control"}
    content = setting + json.dumps(bare, sort_keys=True).encode("utf-8", "replace")
    mark = None
    for marked in (block, *_inner(block)):
        if marked.get("cache_control") is not None:
            mark = marked["cache_control"].get("ttl", "5m")
            marks.append(mark)
    return Block(content, extra + _tokens(block), mark)


def _inner(block: dict[str, Any]) -> list[dict[str, Any]]:
    content = block.get("content")
    return content if block.get("type") == "tool_result" and isinstance(content, list) else []


def _tokens(block: dict[str, Any]) -> int:
    """About four characters are a token; a picture or a page has a fixed number."""
    kind = block.get("type")
    if kind == "text":
        return -(-len(block["text"]) // 4)
    if kind == "image" or (kind == "document" and block["source"]["type"] in ("base64", "url")):
        return _PICTURE_TOKENS
    if kind == "tool_result":
        inner = _inner(block)
        return sum(map(_tokens, inner)) if inner else -(-len(str(block.get("content") or "")) // 4)
    if kind == "thinking":
        return -(-len(block["thinking"]) // 4)
    return -(-len(json.dumps(block, separators=(",", ":"))) // 4)
