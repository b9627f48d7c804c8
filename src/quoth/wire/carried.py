"""What the three protocols say in common, in the chat shape, and where the rest travels.

A chat body and a Completion are the form that every wire reads and writes. What the chat shape has no word for travels
beside it, in fields that docs/decisions/0005 lists: `thinking_blocks` and `reasoning_items` on a message,
`cache_control` on a part, `provider_specific_fields` on a message, an answer or a body. Whatever still cannot be said
on a wire is a Warning.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import msgspec

from quoth.errors import BadRequestError
from quoth.types import Warning

__all__ = [
    "DEFAULT_CAP",
    "LEGACY",
    "MISSHAPEN",
    "SPECIFIC",
    "Json",
    "allowed",
    "are_objects",
    "as_text",
    "check_calls",
    "data_url",
    "function_of_custom",
    "in_plain_parts",
    "never_empty",
    "not_carried",
    "of_data_url",
    "plain_texts",
    "sealed",
    "specific",
    "take_back",
    "unsealed",
    "web_search_of",
]

Json = dict[str, Any]

# Where a body, a message or an answer keeps what one wire alone understands: {"messages": {...}, "responses": {...}}
# on bodies and answers, {"content_blocks": [...]} or {"output_items": [...]} on messages.
SPECIFIC = "provider_specific_fields"
# Tokens, for an API that wants a cap on each answer and a call that has none.
DEFAULT_CAP = 4096
# The first form that OpenAI's chat gave to tools.
LEGACY = ("functions", "function_call")
_SEAL = "quoth-sealed."
_TITLES = {
    "openai_chat": "chat completions",
    "openai_responses": "the Responses API",
    "anthropic_messages": "the Messages API",
}


def not_carried(param: str, wire: str, why: str = "") -> Warning:
    """The warning for what a wire has no place for."""
    reason = f": {why}" if why else ""
    return Warning("not_carried", param, f"{param} was left out; {_TITLES.get(wire, wire)} has no place for it{reason}")


def are_objects(items: list[Any]) -> bool:
    """Whether these values out of JSON are objects, all of them."""
    for item in items:  # noqa: SIM110  (a generator costs more than what it would ask)
        if not isinstance(item, dict):
            return False
    return True


def check_calls(message: Mapping[str, Any], where: str) -> None:
    """Whether the tool calls of an assistant's message can be told to another API. Raises BadRequestError, with the
    place of the one that cannot. Arguments that are an object, and not its text, are taken: it is clear what they
    say."""
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list | tuple):
        raise BadRequestError(f"{where}.tool_calls is not a list", param=f"{where}.tool_calls")
    for number, call in enumerate(calls):
        _check_call(call, f"{where}.tool_calls[{number}]")
    if message.get("function_call"):
        _check_call({"function": message["function_call"]}, f"{where}.function_call")


def _check_call(call: Any, where: str) -> None:
    wrong = ""
    if not isinstance(call, Mapping):
        wrong = "is not an object"
    elif not isinstance(call.get("custom"), Mapping):
        function = call.get("function")
        if not isinstance(function, Mapping):
            wrong = "has no function that is an object"
        elif not isinstance(function.get("arguments"), str | Mapping | None):
            wrong = "has arguments that are not a text"
    if wrong:
        raise BadRequestError(f"{where} {wrong}", param=where)


def specific(holder: Mapping[str, Any], name: str) -> Any:
    """What `holder` keeps for one wire; None without."""
    found = holder.get(SPECIFIC)
    return found.get(name) if found is not None and isinstance(found, Mapping) else None


def take_back(document: Json, body: Mapping[str, Any], own: str, foreign: str, wire: str) -> list[Warning]:
    """Lay what a body keeps for this wire over the request; what it keeps for the other is a warning each."""
    if SPECIFIC not in body:
        return []
    kept = specific(body, own)
    for name, value in kept.items() if isinstance(kept, Mapping) else ():
        known = document.get(name)
        if isinstance(known, Mapping) and isinstance(value, Mapping):
            document[name] = {**value, **known}
        elif isinstance(known, list) and isinstance(value, list):
            document[name] = [*value, *(item for item in known if item not in value)]
        else:
            document[name] = value
    other = specific(body, foreign)
    return [not_carried(name, wire) for name in other] if isinstance(other, Mapping) else []


def data_url(media_type: str, data: str) -> str:
    return f"data:{media_type};base64,{data}"


def of_data_url(url: str) -> tuple[str, str] | None:
    """The media type and the base64 text of a data URL; None for any other URL."""
    if url[:5].lower() != "data:":
        return None
    head, comma, data = url[5:].partition(",")
    if not comma:
        return None
    media_type, *rest = head.split(";")
    if "base64" not in map(str.lower, rest):
        from urllib.parse import unquote_to_bytes

        data = base64.b64encode(unquote_to_bytes(data)).decode()
    return media_type or "text/plain", data


def as_text(data: str) -> str | None:
    """The text that base64 holds; None when it holds none."""
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, ValueError):
        return None


# What only Anthropic asks of a document.
_OF_DOCUMENTS = ("citations", "context")


def in_plain_parts(part: Mapping[str, Any], where: str, wire: str, warnings: list[Warning]) -> Mapping[str, Any]:
    """A part as those can say it who have no citations, and neither search results nor documents made of blocks: what
    these hold is text. The same object for any other part."""
    kind = part.get("type")
    if kind not in ("file", "search_result", "document"):
        return part
    text = None if kind == "file" else _shown(part)
    lost = [name for name in _OF_DOCUMENTS if name in part and not (name == "context" and text is not None)]
    warnings += [
        not_carried(f"{where}.{name}", wire) for name in lost if part[name] and part[name] != {"enabled": False}
    ]
    if text is not None:
        mark = {"cache_control": part["cache_control"]} if "cache_control" in part else {}
        return {"type": "text", "text": text, **mark}
    return {name: value for name, value in part.items() if name not in lost} if lost else part


def _shown(block: Mapping[str, Any]) -> str | None:
    """The words of a search result or a document of blocks, under what it is called; None for what is not all words."""
    source = block.get("source")
    inner = source.get("content") if isinstance(source, Mapping) else block.get("content")
    texts = [inner] if isinstance(inner, str) else inner
    if not isinstance(texts, list) or not texts:
        return None
    words = [text if isinstance(text, str) else plain_texts([text]) for text in texts]
    if not all(isinstance(word, str) for word in words):
        return None
    heads = (block.get("title"), block.get("context"), source)
    head = "\n".join(text for text in heads if isinstance(text, str) and text)
    return "\n\n".join([head, *map(str, words)] if head else map(str, words))


def never_empty(message: Json) -> Json:
    """An assistant's message of a conversation: one that says nothing to others, such as a thought alone, still has a
    content in chat."""
    if message.get("content") is None and not message.get("tool_calls") and not message.get("refusal"):
        message["content"] = ""
    return message


def allowed(choice: Any, tools: Any) -> tuple[str, list[Any]] | None:
    """The mode and the tools that are left of a choice of chat's that allows some of them alone; None for any other."""
    inner = choice.get("allowed_tools") if isinstance(choice, Mapping) else None
    if not isinstance(inner, Mapping) or not isinstance(tools, list) or not isinstance(inner.get("tools"), list):
        return None
    names = [_name_of(tool) for tool in inner["tools"]]
    return str(inner.get("mode") or "auto"), [tool for tool in tools if _name_of(tool) in names]


def _name_of(tool: Any) -> Any:
    """By which a tool and a mention of it are the same."""
    if not isinstance(tool, Mapping):
        return None
    kind = tool.get("type", "function")
    inner = tool.get(kind) if isinstance(kind, str) else None
    name = inner.get("name") if isinstance(inner, Mapping) else tool.get("name")
    return kind if name is None else name


# What reading a value of another type than the API says ends in.
MISSHAPEN = (TypeError, AttributeError, KeyError, ValueError, RecursionError)


def sealed(kind: str, value: Any) -> str:
    """Foreign reasoning in a field that a client keeps and sends back unread: a signature, an encrypted content."""
    return f"{_SEAL}{kind}.{base64.urlsafe_b64encode(msgspec.json.encode(value)).decode()}"


def unsealed(kind: str, text: Any) -> Any:
    """What `sealed` put there; None for what is not ours. It comes from a client, so it is data and nothing more."""
    start = f"{_SEAL}{kind}."
    if not isinstance(text, str) or not text.startswith(start):
        return None
    try:
        found = msgspec.json.decode(base64.urlsafe_b64decode(text[len(start) :]))
    except (binascii.Error, ValueError, RecursionError):
        return None
    items = found if isinstance(found, list) else [found]
    return found if all(isinstance(item, dict) for item in items) else None


def plain_texts(content: Any) -> str | None:
    """The text of a content that is nothing but text without marks; None for any other."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    texts = []
    for part in content:
        if not isinstance(part, Mapping) or set(part) != {"type", "text"} or part["type"] != "text":
            return None
        texts.append(part["text"])
    return "".join(texts)


def function_of_custom(tool: Mapping[str, Any]) -> Json:
    """A tool of free text as a function with one argument, `input`, for those who have no other tools."""
    inner = tool.get("custom") or tool
    about = [inner["description"]] if inner.get("description") else []
    wanted = inner.get("format")
    grammar = wanted.get("grammar", wanted) if isinstance(wanted, Mapping) else {}
    if grammar.get("definition"):
        about.append(f"The input has to follow this {grammar.get('syntax', '')} grammar:\n{grammar['definition']}")
    schema = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
    described = {"description": "\n\n".join(about)} if about else {}
    return {"type": "function", "function": {"name": inner.get("name"), **described, "parameters": schema}}


def web_search_of(tool: Mapping[str, Any]) -> bool:
    """True for the search that the provider runs itself, under any protocol's name."""
    kind = tool.get("type")
    return isinstance(kind, str) and kind.startswith("web_search")
