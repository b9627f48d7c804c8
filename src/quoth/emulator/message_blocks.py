"""The messages of a request of Messages: which blocks Anthropic takes, in which order, and what it says is wrong."""

from __future__ import annotations

import re
from typing import Any

from quoth.emulator.problems import Problem
from quoth.emulator.prompt_cache import HOUR
from quoth.emulator.seals import holds

__all__ = ["ADAPTS", "SIGNED_THINKING", "begins_with_thinking", "mark", "messages_of", "pairs", "refused", "system_of"]

SIGNED_THINKING = "thinking"
# The models that decide themselves when to think, and that no answer can be begun for.
ADAPTS = re.compile(r"claude-(opus|sonnet)-4\.[6-9]")

_BLOCKS = {
    "user": ("text", "image", "document", "tool_result", "search_result"),
    "assistant": ("text", "thinking", "redacted_thinking", "tool_use"),
}
_THINKING_HELP = (
    "When `thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost "
    "set of `tool_use` and `tool_result` blocks). We recommend you include thinking blocks from previous turns. To "
    "avoid this requirement, disable `thinking`."
)


def refused(message: str) -> Problem:
    """What Anthropic says of a request that is wrong; Poe passes it on as text."""
    return Problem(400, message, upstream=True)


def system_of(value: Any) -> list[dict[str, Any]]:
    """The system text as blocks. Raises Problem."""
    if value is None:
        return []
    if isinstance(value, str):
        return [{"type": "text", "text": value}]
    if not isinstance(value, list):
        raise refused("system: Input should be a valid list")
    for number, block in enumerate(value):
        place = f"system.{number}"
        if not isinstance(block, dict) or block.get("type") != "text":
            raise refused(f"{place}.type: Input should be 'text'")
        _block(place, block)
    return value


def messages_of(value: Any, model_id: str) -> list[dict[str, Any]]:
    """The messages, each with its content as blocks. Raises Problem."""
    if value is None:
        raise refused("messages: Field required")
    if not isinstance(value, list):
        raise refused("messages: Input should be a valid list")
    if not value:
        raise refused("messages: at least one message is required")
    found = [_message(f"messages.{index}", message, index == len(value) - 1) for index, message in enumerate(value)]
    if found[0]["role"] != "user":
        raise refused('messages: first message must use the "user" role')
    if found[-1]["role"] == "assistant":
        _prefilled(found[-1]["content"], model_id)
    return found


def _message(place: str, message: Any, is_last: bool) -> dict[str, Any]:
    role = message.get("role") if isinstance(message, dict) else None
    if not isinstance(role, str) or role not in _BLOCKS:
        raise refused(f"{place}.role: Input should be 'user' or 'assistant'")
    content = message.get("content")
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if not isinstance(content, list):
        raise refused(f"{place}.content: Field required")
    if not content and not (role == "assistant" and is_last):
        raise refused(
            f"{place}: all messages must have non-empty content except for the optional final assistant message"
        )
    for number, block in enumerate(content):
        _expected(f"{place}.content.{number}", block, _BLOCKS[role])
    return {"role": role, "content": content}


def _prefilled(content: list[dict[str, Any]], model_id: str) -> None:
    """The beginning of the answer, put into the model's mouth."""
    if ADAPTS.match(model_id):
        raise refused(
            "This model does not support assistant message prefill. The conversation must end with a user message."
        )
    if content and str(content[-1].get("text", "")).endswith((" ", "\n", "\t")):
        raise refused("messages: final assistant content cannot end with trailing whitespace")


def _expected(place: str, block: Any, kinds: tuple[str, ...]) -> None:
    kind = block.get("type") if isinstance(block, dict) else None
    if kind not in kinds:
        tags = ", ".join(f"'{name}'" for name in kinds)
        raise refused(f"{place}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {tags}")
    _block(place, block)


_REQUIRED = {
    "text": ("text",),
    "thinking": ("thinking", "signature"),
    "redacted_thinking": ("data",),
    "tool_use": ("id", "name"),
    "tool_result": ("tool_use_id",),
}
_ALLOWED = {
    "text": {"text", "citations"},
    "image": {"source"},
    "document": {"source", "title", "context", "citations"},
    "search_result": {"source", "title", "content", "citations"},
    "thinking": {"thinking", "signature"},
    "redacted_thinking": {"data"},
    "tool_use": {"id", "name", "input", "caller"},
    "tool_result": {"tool_use_id", "content", "is_error"},
}


def _block(place: str, block: dict[str, Any]) -> None:
    kind = block["type"]
    for name in _REQUIRED.get(kind, ()):
        if not isinstance(block.get(name), str):
            raise refused(f"{place}.{kind}.{name}: Field required")
    for name in block.keys() - _ALLOWED[kind] - {"type", "cache_control"}:
        raise refused(f"{place}.{kind}.{name}: Extra inputs are not permitted")
    if kind == "text" and not block["text"]:
        raise refused(f"{place.partition('.content')[0]}: text content blocks must be non-empty")
    if kind in ("image", "document"):
        _source(f"{place}.{kind}.source", block.get("source"))
    if kind == "thinking" and not holds(SIGNED_THINKING, block["thinking"], block["signature"]):
        raise refused(f"{place}: Invalid `signature` in `thinking` block")
    if kind == "tool_use" and not isinstance(block.get("input"), dict):
        raise refused(f"{place}.tool_use.input: Input should be a valid dictionary")
    if kind in ("tool_result", "search_result"):
        _contained(f"{place}.{kind}.content", block.get("content"))
    if block.get("cache_control") is not None:
        if kind in ("thinking", "redacted_thinking"):
            raise refused(f"{place}.{kind}.cache_control: Extra inputs are not permitted")
        mark(f"{place}.{kind}.cache_control", block["cache_control"])


def _contained(place: str, content: Any) -> None:
    """What a block holds: nothing, a text, or blocks."""
    if content is None or isinstance(content, str):
        return
    if not isinstance(content, list):
        raise refused(f"{place}: Input should be a valid list")
    for number, inner in enumerate(content):
        _expected(f"{place}.{number}", inner, ("text", "image", "document", "search_result"))


def mark(place: str, value: Any) -> None:
    """A `cache_control` mark is "ephemeral", for five minutes or an hour. Raises Problem."""
    if not isinstance(value, dict) or value.get("type") != "ephemeral":
        raise refused(f"{place}.type: Input should be 'ephemeral'")
    if value.get("ttl", "5m") not in ("5m", HOUR):
        raise refused(f"{place}.ephemeral.ttl: Input should be '5m' or '1h'")
    for name in value:
        if name not in ("type", "ttl"):
            raise refused(f"{place}.ephemeral.{name}: Extra inputs are not permitted")


def _source(place: str, source: Any) -> None:
    kind = source.get("type") if isinstance(source, dict) else None
    needed = {"base64": ("media_type", "data"), "url": ("url",), "text": ("media_type", "data"), "content": ()}
    if not isinstance(kind, str) or kind not in needed:
        raise refused(
            f"{place}: Input tag '{kind}' found using 'type' does not match any of the expected tags: 'base64', 'url'"
        )
    for name in needed[kind]:
        if not isinstance(source.get(name), str):
            raise refused(f"{place}.{kind}.{name}: Field required")
    if kind == "content":
        _contained(f"{place}.content.content", source.get("content"))


def pairs(messages: list[dict[str, Any]]) -> None:
    """Every call of a tool has its result in the next message, every result its call in the one before."""
    for index, message in enumerate(messages):
        made = [block["id"] for block in message["content"] if block["type"] == "tool_use"]
        after = messages[index + 1]["content"] if index + 1 < len(messages) else []
        answered = {block["tool_use_id"] for block in after if block["type"] == "tool_result"}
        missing = [call_id for call_id in made if call_id not in answered]
        if missing:
            raise refused(
                f"messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: "
                f"{', '.join(missing)}. Each `tool_use` block must have a corresponding `tool_result` block in the "
                "next message."
            )
        before = messages[index - 1]["content"] if index else []
        known = {block["id"] for block in before if block["type"] == "tool_use"}
        for number, block in enumerate(message["content"]):
            if block["type"] == "tool_result" and block["tool_use_id"] not in known:
                raise refused(
                    f"messages.{index}.content.{number}: unexpected `tool_use_id` found in `tool_result` blocks: "
                    f"{block['tool_use_id']}. Each `tool_result` block must have a corresponding `tool_use` block in "
                    "the previous message."
                )


def begins_with_thinking(messages: list[dict[str, Any]]) -> None:
    """With thinking, the turn whose tools were run must come back with the thinking that it began with."""
    if len(messages) < 2 or not any(block["type"] == "tool_result" for block in messages[-1]["content"]):
        return
    # The turn may be several messages long: it began after the last message that is the user's own.
    start = len(messages) - 1
    while start > 0 and any(block["type"] == "tool_result" for block in messages[start]["content"]):
        start -= 2
    first = messages[max(start + 1, 1)]["content"][0]["type"]
    if first not in ("thinking", "redacted_thinking"):
        raise refused(
            f"messages.{max(start + 1, 1)}.content.0.type: Expected `thinking` or `redacted_thinking`, but found "
            f"`{first}`. {_THINKING_HELP}"
        )
