"""The input of a request of Responses: which items OpenAI takes, how it says what is wrong, and the same as a chat."""

from __future__ import annotations

from typing import Any

from quoth.emulator.chat_request import invalid, must
from quoth.emulator.problems import Problem
from quoth.emulator.seals import holds

__all__ = ["SEALED_REASONING", "Item", "as_chat", "items_of", "needs_texts"]

SEALED_REASONING = "reasoning"
Item = dict[str, Any]

_ROLES = ("user", "assistant", "system", "developer")
_CALLS = ("function_call", "custom_tool_call")
_RESULTS = ("function_call_output", "custom_tool_call_output")


def items_of(value: Any) -> list[Item]:
    """The input as items. Raises Problem."""
    if value is None:
        raise invalid("input", "Missing required parameter: 'input'.")
    if isinstance(value, str):
        return [{"type": "message", "role": "user", "content": value}]
    if not isinstance(value, list) or not value:
        raise invalid("input", must("input", "a string or a non-empty list of items"))
    for index, item in enumerate(value):
        _item(f"input[{index}]", item)
    return value


def _item(place: str, item: Any) -> None:
    kind = item.get("type", "message") if isinstance(item, dict) else None
    if kind == "message":
        _message(place, item)
    elif kind in _CALLS:
        needs_texts(place, item, "call_id", "name", "arguments" if kind == "function_call" else "input")
    elif kind in _RESULTS:
        needs_texts(place, item, "call_id")
        if isinstance(item.get("output"), list):
            for number, part in enumerate(item["output"]):
                _part(f"{place}.output[{number}]", part)
        else:
            needs_texts(place, item, "output")
    elif kind == "reasoning":
        _sealed(place, item)
    elif kind == "item_reference":
        raise invalid(
            place,
            f"Item with id '{item.get('id')}' not found. Items are not persisted when `store` is set to false. "
            "Try again with `store` set to true, or remove this item from your input.",
        )
    elif kind != "web_search_call":
        known = ", ".join(f"'{name}'" for name in ("message", *_CALLS, *_RESULTS, "reasoning", "item_reference"))
        raise Problem(
            400, f"Invalid value: '{kind}'. Supported values are: {known}.", param=place, code="invalid_value"
        )


def needs_texts(place: str, item: Item, *names: str) -> None:
    """These members must be there and be texts. Raises Problem."""
    for name in names:
        if not isinstance(item.get(name), str):
            raise Problem(
                400,
                f"Missing required parameter: '{place}.{name}'.",
                param=f"{place}.{name}",
                code="missing_required_parameter",
            )


def _message(place: str, item: Item) -> None:
    if item.get("role") not in _ROLES:
        roles = ", ".join(f"'{role}'" for role in _ROLES)
        raise invalid(f"{place}.role", f"Invalid value: '{item.get('role')}'. Supported values are: {roles}.")
    content = item.get("content")
    if isinstance(content, list):
        for number, part in enumerate(content):
            _part(f"{place}.content[{number}]", part)
    elif not isinstance(content, str):
        raise invalid(f"{place}.content", must(f"{place}.content", "a string or a list of parts"))


def _part(place: str, part: Any) -> None:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in ("input_text", "output_text"):
        # An `output_text` without text is what Gemini's own tool turns have, and is refused when it comes back.
        needs_texts(place, part, "text")
    elif kind == "input_image":
        needs_texts(place, part, "image_url")
    elif kind == "input_file":
        needs_texts(place, part, "file_data" if "file_url" not in part else "file_url")
    elif kind != "refusal":
        raise Problem(
            400,
            f"Invalid value: '{kind}'. Supported values are: 'input_text', 'input_image', 'input_file', "
            "'output_text', and 'refusal'.",
            param=place,
            code="invalid_value",
        )


def _sealed(place: str, item: Item) -> None:
    """Reasoning that comes back: what only the provider can read must be as it was given out."""
    sealed = item.get("encrypted_content")
    if isinstance(sealed, str) and not holds(SEALED_REASONING, str(item.get("id")), sealed):
        raise Problem(
            400,
            f"The encrypted content for item {item.get('id')} could not be verified.",
            param=place,
            code="invalid_encrypted_content",
        )


def as_chat(items: list[Item]) -> list[dict[str, Any]]:
    """The items as chat messages. Every result needs its call, and every call its result. Raises Problem."""
    called = {item["call_id"] for item in items if item.get("type") in _CALLS}
    answered = {item["call_id"] for item in items if item.get("type") in _RESULTS}
    for call_id in (item["call_id"] for item in items if item.get("type") in _RESULTS):
        if call_id not in called:
            raise invalid("input", f"No tool call found for function call output with call_id {call_id}.")
    for call_id in (item["call_id"] for item in items if item.get("type") in _CALLS):
        if call_id not in answered:
            raise invalid("input", f"No tool output found for function call {call_id}.")
    messages: list[dict[str, Any]] = []
    for item in items:
        kind = item.get("type", "message")
        if kind == "message":
            role = "system" if item["role"] == "developer" else item["role"]
            messages.append({"role": role, "content": _content(item["content"])})
        elif kind in _CALLS:
            function = {"name": item["name"], "arguments": item.get("arguments", item.get("input"))}
            call = {"id": item["call_id"], "type": "function", "function": function}
            messages.append({"role": "assistant", "content": "", "tool_calls": [call]})
        elif kind in _RESULTS:
            messages.append({"role": "tool", "tool_call_id": item["call_id"], "content": _content(item["output"])})
    if not messages:
        raise invalid("input", must("input", "a conversation with a message"))
    return messages


def _content(content: Any) -> Any:
    if isinstance(content, str):
        return content
    parts = []
    for part in content:
        if part["type"] in ("input_text", "output_text"):
            parts.append({"type": "text", "text": part["text"]})
        elif part["type"] == "input_image":
            parts.append({"type": "image_url", "image_url": {"url": part["image_url"]}})
        elif part["type"] == "input_file":
            file = {"filename": part.get("filename"), "file_data": part.get("file_data") or part["file_url"]}
            parts.append({"type": "file", "file": file})
    return parts
