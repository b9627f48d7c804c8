"""Content blocks and the parts and messages of chat that say the same."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from quoth.types import Warning
from quoth.wire.carried import (
    SPECIFIC,
    Json,
    as_text,
    data_url,
    not_carried,
    of_data_url,
    plain_texts,
    sealed,
    specific,
    unsealed,
)

__all__ = [
    "assistant_blocks",
    "block_of",
    "blocks_of_answer",
    "message_of",
    "part_of",
    "result_content",
    "sealed_thought",
    "text_block",
]

WIRE = "anthropic_messages"
_THOUGHTS = ("thinking", "redacted_thinking")
_ONLY_TEXT = frozenset({"role", "content"})
_THOUGHT = frozenset({"thinking_blocks", "reasoning_items", "reasoning_content", "reasoning"})
_ITEM = "responses"  # what a sealed signature holds: a reasoning item of the Responses API


def text_block(text: str) -> Json:
    return {"type": "text", "text": text}


# --- Parts -------------------------------------------------------------------------------------------------------


def block_of(part: Mapping[str, Any], where: str, warnings: list[Warning]) -> Json | None:
    """The block of a chat part; None, with a warning, for a part that no block can say."""
    kind = part.get("type")
    if kind == "text":
        return dict(part)
    if kind == "refusal":
        return text_block(part.get("refusal") or "")
    if kind == "image_url":
        image = part.get("image_url")
        url = image.get("url") if isinstance(image, Mapping) else image
        if isinstance(image, Mapping) and image.get("detail") in ("low", "high"):
            warnings.append(not_carried(f"{where}.image_url.detail", WIRE))
        return {"type": "image", "source": _source(str(url)), **_more(part, "image_url")}
    if kind == "file" and isinstance(part.get("file"), Mapping):
        return _file_block(part, where, warnings)
    if kind in ("input_audio", "video_url"):
        warnings.append(not_carried(where, WIRE, f"it is a part of type {kind}"))
        return None
    return dict(part)  # a block of Anthropic's own


def _source(url: str) -> Json:
    found = of_data_url(url)
    if found is None:
        return {"type": "url", "url": url}
    return {"type": "base64", "media_type": found[0], "data": found[1]}


def _file_block(part: Mapping[str, Any], where: str, warnings: list[Warning]) -> Json | None:
    file = part["file"]
    more = _more(part, "file")
    name = {"title": file["filename"]} if file.get("filename") else {}
    if file.get("file_id"):
        return {"type": "document", "source": {"type": "file", "file_id": file["file_id"]}, **name, **more}
    url = file.get("file_data") or file.get("file_url") or ""
    source = _source(url)
    if source["type"] == "url":
        return {"type": "document", "source": source, **name, **more}
    media_type = source["media_type"]
    if media_type.startswith("image/"):
        return {"type": "image", "source": source, **more}
    if media_type == "application/pdf":
        return {"type": "document", "source": source, **name, **more}
    text = as_text(source["data"]) if media_type.startswith("text/") or media_type == "application/json" else None
    if text is None:
        warnings.append(not_carried(where, WIRE, f"it is a file of type {media_type}"))
        return None
    return {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": text}, **name, **more}


def _more(holder: Mapping[str, Any], *known: str) -> Json:
    return {name: value for name, value in holder.items() if name != "type" and name not in known}


def part_of(block: Mapping[str, Any]) -> Json:
    """The chat part of a block; a block that chat has no part for stays as it is."""
    kind, source = block.get("type"), block.get("source")
    if kind == "image" and isinstance(source, Mapping):
        url = _url_of(source)
        if url is not None:
            return {"type": "image_url", "image_url": {"url": url}, **_more(block, "source")}
    if kind == "document" and isinstance(source, Mapping):
        file = {"filename": block["title"]} if block.get("title") else {}
        if source.get("type") == "text":
            data = base64.b64encode(str(source.get("data", "")).encode()).decode()
            file["file_data"] = data_url("text/plain", data)
        elif source.get("type") == "file":
            file["file_id"] = source.get("file_id")
        elif source.get("type") == "url":
            file["file_url"] = source.get("url")
        elif (url := _url_of(source)) is not None:
            file["file_data"] = url
        else:
            return dict(block)
        return {"type": "file", "file": file, **_more(block, "source", "title")}
    return dict(block)


def _url_of(source: Mapping[str, Any]) -> str | None:
    if source.get("type") == "url":
        return str(source.get("url"))
    if source.get("type") == "base64":
        return data_url(str(source.get("media_type")), str(source.get("data")))
    return None


def result_content(block: Mapping[str, Any]) -> Any:
    """The content of a tool's result, as that of a tool message: a text where it is one."""
    content = block.get("content")
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    parts = [part_of(part) for part in content if isinstance(part, Mapping)]
    text = plain_texts(parts) if len(parts) == 1 else None
    return parts if text is None else text


_PLAIN_TEXT = {"type", "text"}


# --- What the assistant said -------------------------------------------------------------------------------------


def message_of(blocks: Sequence[Json]) -> Json:
    """The chat message of an assistant's blocks. `content_blocks` keeps them where the message alone would not give
    them back: in another order, with citations, or of kinds that chat does not have."""
    message: Json = {"role": "assistant", "content": None}
    if len(blocks) == 1 and blocks[0].keys() == _PLAIN_TEXT and blocks[0]["type"] == "text":
        text = blocks[0]["text"]
        if text and type(text) is str:
            message["content"] = text  # which is what most answers are
            return message
    texts = [block for block in blocks if block.get("type") == "text"]
    if texts:
        plain = [{"type": "text", "text": block.get("text") or ""} for block in texts]
        marked = any("cache_control" in block for block in texts)
        message["content"] = [dict(block) for block in texts] if marked else plain_texts(plain)
    thoughts = [block for block in blocks if block.get("type") in _THOUGHTS]
    said = "".join(block.get("thinking") or "" for block in thoughts)
    if said or any(block.get("type") == "thinking" for block in thoughts):
        message["reasoning_content"] = said
    found = (unsealed(_ITEM, block.get("signature")) for block in thoughts)
    items = [item for item in found if isinstance(item, dict)]
    if items:
        message["reasoning_items"] = items
    signed = [dict(block) for block in thoughts if _is_signed(block)]
    if signed:
        message["thinking_blocks"] = signed
    calls = [_call_of(block) for block in blocks if block.get("type") == "tool_use"]
    if calls:
        message["tool_calls"] = calls
    notes = _annotations(texts)
    if notes:
        message["annotations"] = notes
    if not items and assistant_blocks(message, "", []) != [block for block in blocks if _can_be_sent(block)]:
        message[SPECIFIC] = {"content_blocks": [dict(block) for block in blocks]}
    return message


def _is_signed(block: Mapping[str, Any]) -> bool:
    """True for a thought that its maker will take back: with a signature of Anthropic's, or redacted."""
    if block.get("type") == "redacted_thinking":
        return True
    return bool(block.get("signature")) and unsealed(_ITEM, block["signature"]) is None


def _can_be_sent(block: Mapping[str, Any]) -> bool:
    """False for what the API refuses in a conversation: thoughts without their signature, and empty texts."""
    kind = block.get("type")
    return _is_signed(block) if kind == "thinking" else kind != "text" or bool(block.get("text"))


def _call_of(block: Mapping[str, Any]) -> Json:
    arguments = msgspec.json.encode(block.get("input") or {}).decode()
    call: Json = {"id": block.get("id"), "type": "function"}
    call["function"] = {"name": block.get("name"), "arguments": arguments}
    return call | _more(block, "id", "name", "input")


def _annotations(texts: Sequence[Mapping[str, Any]]) -> list[Json]:
    """The web pages that a text cites, as chat names them; a citation covers the whole of its block."""
    notes = []
    start = 0
    for block in texts:
        end = start + len(block.get("text") or "")
        for citation in block.get("citations") or ():
            if isinstance(citation, Mapping) and citation.get("url"):
                page = {"url": citation["url"], "title": citation.get("title") or ""}
                note = {"type": "url_citation", "url_citation": {**page, "start_index": start, "end_index": end}}
                notes.append(note)
        start = end
    return notes


def assistant_blocks(
    message: Mapping[str, Any], where: str, warnings: list[Warning], *, answer: bool = False
) -> list[Json]:
    """The blocks of an assistant's chat message: thoughts, then text, then calls, or just as they once came. `answer`:
    for a client, which is shown what Anthropic would refuse."""
    kept = specific(message, "content_blocks")
    if isinstance(kept, list):
        return [dict(block) for block in kept if isinstance(block, Mapping) and _can_be_sent(block)]
    blocks: list[Json] = []
    thoughts = message.get("thinking_blocks")
    if isinstance(thoughts, list):
        blocks += [dict(block) for block in thoughts if isinstance(block, Mapping) and _is_signed(block)]
    elif message.get("reasoning_content") or message.get("reasoning") or message.get("reasoning_items"):
        text = f"the reasoning in {where} was left out: without Anthropic's signature the Messages API refuses it"
        warnings.append(Warning("not_carried", f"{where}.reasoning_content", text))
    blocks += _texts(message.get("content"), where, warnings)
    if message.get("refusal"):
        blocks.append(text_block(message["refusal"]))
    if message.get("audio"):
        warnings.append(not_carried(f"{where}.audio", WIRE))
    for number, call in enumerate(message.get("tool_calls") or ()):
        use = _use_of(call, f"{where}.tool_calls[{number}]", warnings)
        if not answer and use.pop("extra_content", None) is not None:
            warnings.append(not_carried(f"{where}.tool_calls[{number}].extra_content", WIRE))
        blocks.append(use)
    legacy = message.get("function_call")
    if isinstance(legacy, Mapping):
        call = {"id": f"call_{legacy.get('name', '')}", "function": legacy}
        blocks.append(_use_of(call, f"{where}.function_call", warnings))
    return blocks


def _texts(content: Any, where: str, warnings: list[Warning]) -> list[Json]:
    """The blocks of an assistant's content, without empty texts, which the API refuses."""
    if isinstance(content, str):
        return [text_block(content)] if content else []
    found = []
    for number, part in enumerate(content or ()):
        block = text_block(part) if isinstance(part, str) else block_of(part, f"{where}.content[{number}]", warnings)
        if block is not None and (block.get("text") or block.get("type") != "text"):
            found.append(block)
    return found


def _use_of(call: Mapping[str, Any], where: str, warnings: list[Warning]) -> Json:
    custom = call.get("custom")
    if isinstance(custom, Mapping):
        arguments: Any = {"input": custom.get("input")}
        return {"type": "tool_use", "id": call.get("id"), "name": custom.get("name"), "input": arguments}
    function = call.get("function") or {}
    block: Json = {"type": "tool_use", "id": call.get("id"), "name": function.get("name")}
    block["input"] = _input(function.get("arguments"), where, warnings)
    return block | _more(call, "id", "function", "index", SPECIFIC)


def _input(arguments: Any, where: str, warnings: list[Warning]) -> Any:
    """Arguments are JSON text in chat and an object here."""
    if arguments is None or arguments == "":
        return {}
    if isinstance(arguments, dict):
        return arguments
    try:
        found = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, UnicodeError):
        found = None
    if isinstance(found, dict):
        return found
    text = f"{where} has arguments that are no JSON object; they were sent as the text of one field, `arguments`"
    warnings.append(Warning("malformed_arguments", where, text))
    return {"arguments": arguments}


def blocks_of_answer(message: Mapping[str, Any]) -> list[Json]:
    """The blocks of an answer for a client of the Messages API. Reasoning of another maker is a thought too; what that
    maker wants back is sealed in its signature."""
    kept = specific(message, "content_blocks")
    if isinstance(kept, list):
        return [dict(block) for block in kept]
    if _ONLY_TEXT.issuperset(message) and (text := message.get("content")) and type(text) is str:
        return [text_block(text)]  # which is what most answers are
    if _THOUGHT.isdisjoint(message):
        return assistant_blocks(message, "message", [], answer=True)
    said = {name: value for name, value in message.items() if name not in _THOUGHT}
    return [*_thoughts(message), *assistant_blocks(said, "message", [], answer=True)]


def sealed_thought(item: Any) -> Json:
    """A thought that hands a reasoning item of the Responses API to a client which will send it back."""
    return {"type": "thinking", "thinking": "", "signature": sealed(_ITEM, item)}


def _thoughts(message: Mapping[str, Any]) -> list[Json]:
    own = message.get("thinking_blocks")
    if isinstance(own, list) and own:
        return [dict(block) for block in own]
    text = message.get("reasoning_content") or message.get("reasoning") or ""
    items = message.get("reasoning_items")
    if isinstance(items, list) and items:
        return [{**sealed_thought(items[0]), "thinking": text}, *map(sealed_thought, items[1:])]
    return [{"type": "thinking", "thinking": text, "signature": ""}] if text else []
