"""Items of the Responses API and the parts and messages of chat that say the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from quoth.types import Warning
from quoth.wire.carried import SPECIFIC, Json, in_plain_parts, not_carried, plain_texts, sealed, specific, unsealed
from quoth.wire.openai_responses.naming import NO_TOOLS, ToolNames, flat_name

__all__ = [
    "again",
    "answer_items",
    "input_part",
    "message_of",
    "part_of",
    "reasoning_of",
    "reasoning_text",
    "refusals_of",
    "request_items",
    "texts_of",
    "unmarked",
]

WIRE = "openai_responses"
_BLOCKS = "messages"  # what a sealed `encrypted_content` holds: thinking blocks of the Messages API
BETWEEN = "\n\n"  # between the texts of two messages, and between two summaries of reasoning
_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}


# --- Parts -------------------------------------------------------------------------------------------------------


def input_part(part: Any, where: str, warnings: list[Warning], *, said: bool = False) -> Json | None:
    """The part of an input item for a chat part; None, with a warning, where there is none. `said`: by the
    assistant."""
    if isinstance(part, str):
        return {"type": "output_text" if said else "input_text", "text": part}
    part = in_plain_parts(part, where, WIRE, warnings)
    kind = part.get("type")
    rest = {name: value for name, value in part.items() if name not in ("type", "cache_control", kind)}
    unmarked(part, warnings)
    if kind == "text":
        return {"type": "output_text" if said else "input_text", **rest, "text": part.get("text")}
    if kind == "refusal":
        return {"type": "refusal", "refusal": part.get("refusal")}
    if kind == "image_url":
        image = part.get("image_url")
        more = dict(image) if isinstance(image, Mapping) else {"url": image}
        return {"type": "input_image", "image_url": more.pop("url", None), **more, **rest}
    if kind == "file":
        return {"type": "input_file", **(part.get("file") or {}), **rest}
    if kind in ("input_text", "output_text", "input_image", "input_file", "input_audio"):
        return dict(part)
    warnings.append(not_carried(where, WIRE, f"it is a part of type {kind}"))
    return None


def unmarked(holder: Any, warnings: list[Warning]) -> None:
    """Say, once, that a mark for Anthropic's prompt cache is left out."""
    if isinstance(holder, Mapping) and "cache_control" in holder:
        marked = Warning("not_carried", "cache_control", "cache_control was left out; the Responses API has no marks")
        if marked not in warnings:
            warnings.append(marked)


def part_of(part: Any) -> Json:
    """The chat part of an input item's part; one that chat does not have stays as it is."""
    kind = part.get("type")
    rest = {name: value for name, value in part.items() if name != "type"}
    if kind in ("input_text", "output_text", "text"):
        kept = {name: value for name, value in rest.items() if name not in ("annotations", "logprobs")}
        return {"type": "text", **kept}
    if kind == "refusal":
        return dict(part)
    if kind == "input_image" and rest.get("image_url") is not None:
        image = {"url": rest.pop("image_url")}
        if rest.get("detail") is not None:
            image["detail"] = rest.pop("detail")
        return {"type": "image_url", "image_url": image, **{name: value for name, value in rest.items() if value}}
    if kind == "input_file":
        return {"type": "file", "file": {name: value for name, value in rest.items() if value is not None}}
    return dict(part)


# --- What the assistant said -------------------------------------------------------------------------------------


def texts_of(item: Mapping[str, Any]) -> list[str]:
    """The texts of a message item. Gemini's turns with tools have parts without one."""
    content = item.get("content")
    if isinstance(content, str):
        return [content]
    kinds = ("output_text", "input_text", "text")
    return [part.get("text") or "" for part in _objects(content) if part.get("type") in kinds]


def refusals_of(item: Mapping[str, Any]) -> list[str]:
    return [part.get("refusal") or "" for part in _objects(item.get("content")) if part.get("type") == "refusal"]


def reasoning_text(item: Mapping[str, Any]) -> list[str]:
    """The summaries of a reasoning item, else its text in full where the model shows that."""
    for name in ("summary", "content"):
        texts = [part["text"] for part in _objects(item.get(name)) if part.get("text")]
        if texts:
            return texts
    return []


def _objects(value: Any) -> list[Json]:
    return [part for part in value if isinstance(part, dict)] if isinstance(value, list) else []


def message_of(items: Sequence[Json], *, sent: bool = False) -> Json:
    """The chat message of an assistant's items. `output_items` keeps them where the message alone would not give them
    back: in another order, several messages, or of kinds that chat does not have. `sent`: they are part of a
    conversation, where ids and states say nothing to anybody."""
    if sent:
        items = [_sendable(item) for item in items]
    message: Json = {"role": "assistant", "content": None}
    messages = [item for item in items if item.get("type", "message") == "message"]
    texts = [texts for item in messages if (texts := texts_of(item))]
    if texts:
        message["content"] = BETWEEN.join("".join(parts) for parts in texts)
    if refusal := [text for item in messages for text in refusals_of(item)]:
        message["refusal"] = "".join(refusal)
    thoughts = [item for item in items if item.get("type") == "reasoning"]
    blocks: list[Json] = []
    if thoughts:
        if said := [text for item in thoughts for text in reasoning_text(item)]:
            message["reasoning_content"] = BETWEEN.join(said)
        blocks += [block for item in thoughts for block in _unsealed(item)]
        if blocks:
            message["thinking_blocks"] = blocks
        own = [dict(item) for item in thoughts if not _unsealed(item)]
        if own:
            message["reasoning_items"] = own
    calls = [_call_of(item) for item in items if item.get("type") in _CALLS]
    if calls:
        message["tool_calls"] = calls
    notes = _annotations(messages)
    if notes:
        message["annotations"] = notes
    if messages and (more := _more(messages[0], "type", "role", "content")):
        message[SPECIFIC] = {"message_item": more}
    again = [item for item in items if _goes_back(item)] if sent else items
    same = request_items(message, "", []) if sent else answer_items(message)
    if not blocks and _plain(same) != _plain(again):
        message[SPECIFIC] = {"output_items": [dict(item) for item in items]}
    return message


def _unsealed(item: Mapping[str, Any]) -> list[Json]:
    found = unsealed(_BLOCKS, item.get("encrypted_content"))
    return found if isinstance(found, list) else []


def _plain(items: Iterable[Mapping[str, Any]]) -> list[Json]:
    """Items for comparing what they say: log probabilities have a place of their own in a chat answer."""
    found = []
    for item in items:
        more = {"type": "message", **item}
        if more["type"] == "message":
            content = more.get("content")
            parts = [{"type": "output_text", "text": content}] if isinstance(content, str) else content
            more["content"] = [_bare(part) for part in _objects(parts)]
        found.append(more)
    return found


def _bare(part: Json) -> Json:
    if "logprobs" in part:
        part = {name: value for name, value in part.items() if name != "logprobs"}
    return {"annotations": [], **part} if "text" in part and "annotations" not in part else part


def _more(item: Mapping[str, Any], *known: str) -> Json:
    return {name: value for name, value in item.items() if name not in known}


def _call_of(item: Mapping[str, Any]) -> Json:
    kind = item["type"]
    text = _CALLS[kind]
    more = _more(item, "type", "call_id", "name", text, "extra_content")
    name = flat_name(item.get("namespace"), item.get("name"))
    call: Json = {"id": item.get("call_id")}
    if kind == "function_call":
        call |= {"type": "function", "function": {"name": name, "arguments": item.get(text) or "{}"}}
    else:
        call |= {"type": "custom", "custom": {"name": name, "input": item.get(text) or ""}}
    if "extra_content" in item:
        call["extra_content"] = item["extra_content"]
    return {**call, SPECIFIC: {"item": more}} if more else call


def _annotations(messages: Sequence[Mapping[str, Any]]) -> list[Json]:
    notes = []
    for item in messages:
        for part in _objects(item.get("content")):
            notes += [_chat_note(note) for note in _objects(part.get("annotations"))]
    return notes


def _chat_note(note: Mapping[str, Any]) -> Json:
    if note.get("type") != "url_citation":
        return dict(note)
    return {"type": "url_citation", "url_citation": _more(note, "type")}


def _note_of(note: Any) -> Any:
    inner = note.get("url_citation") if isinstance(note, Mapping) else None
    return {"type": "url_citation", **inner} if isinstance(inner, Mapping) else note


def reasoning_of(message: Mapping[str, Any], number: str = "0") -> list[Json]:
    """The reasoning items of an answer for a client of the Responses API. What another maker wants back is sealed in
    `encrypted_content`."""
    own = message.get("reasoning_items")
    if isinstance(own, list) and own:
        return [dict(item) for item in own]
    text = message.get("reasoning_content") or message.get("reasoning") or ""
    blocks = message.get("thinking_blocks")
    if not text and not blocks:
        return []
    summary = [{"type": "summary_text", "text": text}] if text else []
    item: Json = {"id": f"rs_{number}", "type": "reasoning", "summary": summary}
    return [{**item, "encrypted_content": sealed(_BLOCKS, blocks)} if blocks else item]


def answer_items(message: Mapping[str, Any], number: str = "0", names: ToolNames = NO_TOOLS) -> list[Json]:
    """The items of an answer for a client of the Responses API. `number` makes the ids that nobody gave; `names` are
    those of the tools that the client gave."""
    kept = specific(message, "output_items")
    if isinstance(kept, list):
        return [dict(item) for item in kept]
    items = reasoning_of(message, number)
    parts: list[Json] = []
    content = message.get("content")
    if isinstance(content, str):
        notes = [_note_of(note) for note in message.get("annotations") or ()]
        parts.append({"type": "output_text", "text": content, "annotations": notes, "logprobs": []})
    if message.get("refusal"):
        parts.append({"type": "refusal", "refusal": message["refusal"]})
    if parts and (content or message.get("refusal") or not message.get("tool_calls")):
        more = specific(message, "message_item")
        head = dict(more) if isinstance(more, Mapping) else {"id": f"msg_{number}", "status": "completed"}
        items.append({**head, "type": "message", "role": "assistant", "content": parts})
    for place, call in enumerate(message.get("tool_calls") or ()):
        items.append(call_item(call, f"{number}_{place}", names))
    legacy = message.get("function_call")
    if isinstance(legacy, Mapping):
        items.append(call_item({"id": f"call_{legacy.get('name', '')}", "function": legacy}, number, names))
    return items


def call_item(call: Mapping[str, Any], number: str, names: ToolNames = NO_TOOLS) -> Json:
    """The item of a tool call, whole. Calls to the tools in `names.free` were made as functions of one text."""
    own = specific(call, "item")
    more = dict(own) if isinstance(own, Mapping) else None
    free = call.get("custom")
    if isinstance(free, Mapping):
        more = more or {"id": f"ctc_{number}", "status": "completed"}
        said = {"call_id": call.get("id"), **_named(free.get("name"), more, names), "input": free.get("input")}
        return {**more, "type": "custom_tool_call", **said}
    function = call.get("function") or {}
    name = function.get("name")
    if name in names.free:
        more = {"id": f"ctc_{number}", "status": "completed"}
        said = {"call_id": call.get("id"), **_named(name, more, names), "input": free_text(function.get("arguments"))}
        return {**more, "type": "custom_tool_call", **said}
    more = more or {"id": f"fc_{number}", "status": "completed"}
    said = {"call_id": call.get("id"), **_named(name, more, names), "arguments": function.get("arguments") or "{}"}
    if "extra_content" in call:
        said["extra_content"] = call["extra_content"]
    return {**more, "type": "function_call", **said}


def _named(name: Any, item: Json, names: ToolNames) -> Json:
    """The tool's name, without the namespace that the item has or the tool was given in, and the namespace."""
    if name in names.spaced:
        space, own = names.spaced[name]
        return {"name": own, "namespace": space}
    if within := item.get("namespace"):
        return {"name": str(name).removeprefix(flat_name(within, "")), "namespace": within}
    return {"name": name}


def free_text(arguments: Any) -> str:
    """The input of a tool of free text that was called as a function with one field, `input`."""
    try:
        found = msgspec.json.decode(arguments or "{}")
    except msgspec.DecodeError:
        return str(arguments)
    text = found.get("input") if isinstance(found, dict) else None
    return text if isinstance(text, str) else str(arguments)


def request_items(message: Mapping[str, Any], where: str, warnings: list[Warning]) -> list[Json]:
    """The input items of an assistant's message in a conversation.

    Ids are left out: with them the API looks for what it was told not to keep. Reasoning goes back only with its
    encrypted content, for the same reason.
    """
    kept = specific(message, "output_items")
    if isinstance(kept, list):
        items = [item for item in kept if isinstance(item, Mapping)]
        sent = [_sendable(item) for item in items if _goes_back(item)]
        if len(sent) < len(items):
            warnings.append(_reasoning_left_out(where))
        return sent
    reasoning = [item for item in message.get("reasoning_items") or () if isinstance(item, Mapping)]
    sent = [_sendable(item) for item in reasoning if _goes_back(item)]
    has_more = message.get("reasoning_content") or message.get("reasoning") or message.get("thinking_blocks")
    if len(sent) < len(reasoning) or (has_more and not reasoning):
        warnings.append(_reasoning_left_out(where))
    content = message.get("content")
    text = plain_texts(content)
    if text is None and isinstance(content, list):
        places = ((part, f"{where}.content[{number}]") for number, part in enumerate(content))
        parts = [found for part, place in places if (found := input_part(part, place, warnings, said=True))]
    else:
        parts = []
    if message.get("refusal"):
        parts = parts or ([{"type": "output_text", "text": text}] if text else [])
        parts.append({"type": "refusal", "refusal": message["refusal"]})
    more = specific(message, "message_item")
    phase = {"phase": more["phase"]} if isinstance(more, Mapping) and more.get("phase") else {}
    if parts or text:
        sent.append({"role": "assistant", "content": parts or text, **phase})
    if message.get("audio"):
        warnings.append(not_carried(f"{where}.audio", WIRE))
    for number, call in enumerate(message.get("tool_calls") or ()):
        item = _sendable(call_item(call, "0"))
        if item.pop("extra_content", None) is not None:
            warnings.append(not_carried(f"{where}.tool_calls[{number}].extra_content", WIRE))
        sent.append(item)
    legacy = message.get("function_call")
    if isinstance(legacy, Mapping):
        sent.append(_sendable(call_item({"id": f"call_{legacy.get('name', '')}", "function": legacy}, "0")))
    return sent


def again(items: Iterable[Any]) -> list[Json]:
    """The items of an answer as the input that goes on from it, for a provider that keeps no answers: without ids,
    which would be looked for, and without reasoning that is not encrypted, which would be too."""
    return [_sendable(item) for item in items if isinstance(item, Mapping) and _goes_back(item)]


def _goes_back(item: Mapping[str, Any]) -> bool:
    return item.get("type") != "reasoning" or bool(item.get("encrypted_content"))


def _sendable(item: Mapping[str, Any]) -> Json:
    dropped = ("id", "status") if item.get("type") in ("message", *_CALLS) else ("status",)
    return {name: value for name, value in item.items() if name not in dropped}


def _reasoning_left_out(where: str) -> Warning:
    text = f"the reasoning in {where} was left out: without its encrypted content the Responses API refuses it"
    return Warning("not_carried", f"{where}.reasoning_content", text)
