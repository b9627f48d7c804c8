"""An answer of the Messages API: read into a Completion, and made from one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from quoth.types import Completion, Warning
from quoth.wire.anthropic_messages.blocks import blocks_of_answer, message_of
from quoth.wire.carried import MISSHAPEN, SPECIFIC, Json, are_objects, not_carried, specific
from quoth.wire.openai_chat import Unreadable, UpstreamError, error_facts, sample

__all__ = [
    "completion_of",
    "finish_reason",
    "head_of",
    "parse",
    "render",
    "say",
    "stop_reason",
    "tell",
    "usage_of",
    "usage_to_chat",
]

WIRE = "anthropic_messages"
_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
    "pause_turn": "stop",
    "model_context_window_exceeded": "length",
}
_STOPS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
_HEAD = frozenset({"id", "type", "role", "model", "content", "stop_reason", "usage"})
_COUNTS = frozenset({"input_tokens", "output_tokens", "total_tokens"})
_CHAT_COUNTS = frozenset(
    ("prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details")
)


def parse(raw: bytes, created: int | None = None) -> tuple[Completion, list[Warning]]:
    """A whole answer. `created`: Unix seconds, which this API does not say. Raises Unreadable, UpstreamError."""
    found, warnings = tell(raw, created)
    try:
        return Completion.model_validate(found), warnings
    except MISSHAPEN as wrong:
        raise Unreadable(f"not the shape of this API: {type(wrong).__name__} in {sample(raw)}") from None


def tell(raw: bytes, created: int | None = None) -> tuple[Json, list[Warning]]:
    """`parse`, as the JSON of a chat completion. Raises Unreadable, UpstreamError."""
    try:
        document = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"not JSON ({error}): {sample(raw) or 'an empty body'}") from None
    if isinstance(document, dict) and document.get("error"):
        raise UpstreamError(error_facts(raw))
    content = document.get("content") if isinstance(document, dict) else None
    if not isinstance(content, list) or not are_objects(content):
        raise Unreadable(f"JSON, but not a message: {sample(raw)}")
    try:
        return _chat_of(document, created), []
    except MISSHAPEN as wrong:
        raise Unreadable(f"not the shape of this API: {type(wrong).__name__} in {sample(raw)}") from None


def completion_of(document: Json, created: int | None = None) -> Completion:
    """The Completion of a decoded answer."""
    return Completion.model_validate(_chat_of(document, created))


def _chat_of(document: Json, created: int | None) -> Json:
    reason = document.get("stop_reason")
    choice = {"index": 0, "message": message_of(document["content"]), "finish_reason": finish_reason(reason)}
    usage = document.get("usage")
    found: Json = {"id": document.get("id"), "object": "chat.completion"}
    if created is not None:
        found["created"] = created
    found["model"], found["choices"] = document.get("model"), [choice]
    if isinstance(usage, dict):
        found["usage"] = usage_to_chat(usage)
    found.update(head_of(document))
    return found


def finish_reason(reason: Any) -> Any:
    return _REASONS.get(reason, reason) if isinstance(reason, str) else None


def stop_reason(reason: str | None) -> str | None:
    return None if reason is None else _STOPS.get(reason, reason)


def head_of(document: Mapping[str, Any]) -> Json:
    """What an answer says beside its content that the chat shape has no field for."""
    own = {name: value for name, value in document.items() if name not in _HEAD and value is not None}
    reason = document.get("stop_reason")
    if isinstance(reason, str) and reason != "end_turn" and stop_reason(finish_reason(reason)) != reason:
        own["stop_reason"] = reason
    usage = document.get("usage")
    if isinstance(usage, dict) and usage.get("total_tokens") is not None:
        own["usage"] = {"total_tokens": usage["total_tokens"]}  # Poe's, which leaves out what the cache held
    return {SPECIFIC: {"messages": own}} if own else {}


def usage_to_chat(usage: Json) -> Json:
    """The counts in chat's terms, where the prompt's tokens include those of the cache. All other fields are kept."""
    written, read = _count(usage, "cache_creation_input_tokens"), _count(usage, "cache_read_input_tokens")
    fresh, said = _count(usage, "input_tokens"), _count(usage, "output_tokens")
    found: Json = {}
    if fresh is not None:
        found["prompt_tokens"] = fresh + (written or 0) + (read or 0)
    if said is not None:
        found["completion_tokens"] = said
    if len(found) == 2:
        found["total_tokens"] = found["prompt_tokens"] + said
    if read is not None or written is not None:
        found["prompt_tokens_details"] = {"cached_tokens": read or 0, "cache_creation_tokens": written or 0}
    for name, value in usage.items():
        if name not in _COUNTS and value is not None:
            found[name] = value
    return found


def _count(counts: Json, name: str) -> int | None:
    """A count, where there is one that is a number."""
    value = counts.get(name)
    return value if isinstance(value, int) else None


def usage_of(usage: Json | None) -> Json:
    """The counts of a chat usage in Anthropic's terms, where the cache's tokens stand beside the input's."""
    usage = usage or {}
    details = usage.get("prompt_tokens_details")
    cached: Json = details if isinstance(details, dict) else {}
    written = _count(usage, "cache_creation_input_tokens")
    if written is None:
        written = _count(cached, "cache_creation_tokens") or _count(cached, "cache_write_tokens") or 0
    read = _count(usage, "cache_read_input_tokens")
    if read is None:
        read = _count(cached, "cached_tokens") or 0
    fresh = max(0, (_count(usage, "prompt_tokens") or 0) - written - read)
    found = {"input_tokens": fresh, "cache_creation_input_tokens": written, "cache_read_input_tokens": read}
    found["output_tokens"] = _count(usage, "completion_tokens") or 0
    for name, value in usage.items():
        if name not in _CHAT_COUNTS and name not in found:
            found[name] = value
    return found


def render(completion: Completion, *, model: str | None = None) -> tuple[Json, list[Warning]]:
    """The answer for a client of the Messages API, and what of it that API cannot say. `model`: in place of the
    completion's."""
    return say(completion.model_dump(), model=model)


def say(completion: Mapping[str, Any], *, model: str | None = None) -> tuple[Json, list[Warning]]:
    """`render` for the JSON of a chat completion."""
    warnings: list[Warning] = []
    document: Json = {"id": completion.get("id") or "msg_unknown", "type": "message", "role": "assistant"}
    document["model"] = model or completion.get("model") or ""
    document["content"] = []
    reason: str | None = "stop"
    choices = completion.get("choices")
    if choices:
        choice = choices[0]
        document["content"] = blocks_of_answer(choice.get("message") or {})
        reason = choice.get("finish_reason")
        if choice.get("logprobs") is not None:
            warnings.append(not_carried("logprobs", WIRE))
        if len(choices) > 1:
            text = f"the answer has {len(choices)} choices; the Messages API has one, so the first was given"
            warnings.append(Warning("not_carried", "choices", text))
    kept = specific(completion, "messages")
    own = dict(kept) if isinstance(kept, Mapping) else {}
    document["stop_reason"] = own.pop("stop_reason", None) or stop_reason(reason)
    document["stop_sequence"] = None
    document["usage"] = usage_of(completion.get("usage"))
    document["usage"].update(own.pop("usage", {}))
    document.update(own)
    return document, warnings
