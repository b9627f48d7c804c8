"""A request of the Responses API: made from a chat body, and read into one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quoth.call import Target, WireRequest
from quoth.errors import BadRequestError, UnsupportedParamsError
from quoth.types import Warning
from quoth.wire.carried import (
    LEGACY,
    MISSHAPEN,
    SPECIFIC,
    Json,
    check_calls,
    never_empty,
    not_carried,
    plain_texts,
    specific,
    take_back,
    web_search_of,
)
from quoth.wire.kept_answers import refused
from quoth.wire.openai_chat import authorization, head_at
from quoth.wire.openai_responses.items import input_part, message_of, part_of, request_items, unmarked
from quoth.wire.openai_responses.naming import flat, flat_name

__all__ = ["from_chat", "head", "to_chat"]

WIRE = "openai_responses"
_NO_PLACE = frozenset("audio frequency_penalty logit_bias modalities prediction presence_penalty seed stop".split())
_HANDLED = frozenset(
    (
        "messages max_tokens max_completion_tokens tools tool_choice n reasoning_effort response_format verbosity "
        "stream_options web_search_options logprobs thinking"
    ).split()
) | {SPECIFIC, *LEGACY}
_ABOUT_TOOLS = frozenset({"tools", "tool_choice", "web_search_options", *LEGACY})
_ABOUT_TEXT = frozenset({"text", "response_format", "verbosity"})
_LOGPROBS = "message.output_text.logprobs"
# Items that are the user's or a tool's side; every other belongs to what the assistant said.
_OUTPUTS = {"function_call_output": "output", "custom_tool_call_output": "output"}


def head(target: Target, stream: bool) -> WireRequest:
    """A request of this wire but for its body."""
    return head_at(target, "/responses", authorization(target), stream)


# --- From chat ---------------------------------------------------------------------------------------------------


def from_chat(body: Mapping[str, Any]) -> tuple[Json, list[Warning]]:
    """The request that says what this chat body says. Raises UnsupportedParamsError for a tool that cannot be said."""
    try:
        return _from_chat(body)
    except BadRequestError:
        raise
    except MISSHAPEN as wrong:
        raise BadRequestError(f"the request is not of the shape of chat completions: {wrong}") from None


def _from_chat(body: Mapping[str, Any]) -> tuple[Json, list[Warning]]:
    warnings: list[Warning] = []
    items: list[Json] = []
    for number, message in enumerate(body.get("messages") or ()):
        _items(message, f"messages[{number}]", items, warnings)
    document: Json = {"model": body.get("model"), "input": items}
    for name, value in body.items():
        if name in _NO_PLACE:
            warnings.append(not_carried(name, WIRE))
        elif name not in _HANDLED and name not in document:
            document[name] = value
    _limits(body, document, warnings)
    if not _ABOUT_TOOLS.isdisjoint(body):
        _tools(body, document, warnings)
    if not _ABOUT_TEXT.isdisjoint(body):
        _text(body, document)
    warnings += take_back(document, body, "responses", "messages", WIRE)
    return document, warnings


def _limits(body: Mapping[str, Any], document: Json, warnings: list[Warning]) -> None:
    """How much to say, how hard to think, and what to tell of it."""
    cap = body.get("max_completion_tokens", body.get("max_tokens"))
    if cap is not None:
        document["max_output_tokens"] = cap
    if (count := body.get("n")) not in (None, 1):
        warnings.append(not_carried("n", WIRE, f"{count} choices were asked for"))
    if isinstance(body.get("thinking"), Mapping):
        warnings.append(not_carried("thinking", WIRE, "reasoning_effort says the same here"))
    if body.get("reasoning_effort") is not None:
        document["reasoning"] = {**(body.get("reasoning") or {}), "effort": body["reasoning_effort"]}
    if body.get("logprobs"):
        document["include"] = [*(body.get("include") or ()), _LOGPROBS]


def _items(message: Mapping[str, Any], where: str, items: list[Json], warnings: list[Warning]) -> None:
    role, content = message.get("role"), message.get("content")
    if role == "assistant":
        check_calls(message, where)
        items += request_items(message, where, warnings)
        return
    parts: Any = content
    if isinstance(content, list):
        places = ((part, f"{where}.content[{number}]") for number, part in enumerate(content))
        parts = [found for part, place in places if (found := input_part(part, place, warnings)) is not None]
    if role in ("tool", "function"):
        name = message.get("tool_call_id") or f"call_{message.get('name', '')}"
        kind = "custom_tool_call_output" if specific(message, "item") else "function_call_output"
        items.append({"type": kind, "call_id": name, "output": "" if parts is None else parts})
        unmarked(message, warnings)
        if message.get("is_error"):
            warnings.append(not_carried(f"{where}.is_error", WIRE))
    else:
        items.append({"role": role, "content": parts})


def _tools(body: Mapping[str, Any], document: Json, warnings: list[Warning]) -> None:
    tools = [
        *(body.get("tools") or ()),
        *({"type": "function", "function": one} for one in body.get("functions") or ()),
    ]
    found = [_tool(tool, f"tools[{number}]", warnings) for number, tool in enumerate(tools)]
    for tool in tools:
        unmarked(tool, warnings)
    options = body.get("web_search_options")
    if isinstance(options, Mapping):
        search: Json = {"type": "web_search_preview"}
        if options.get("search_context_size") is not None:
            search["search_context_size"] = options["search_context_size"]
        if isinstance(place := options.get("user_location"), Mapping):
            search["user_location"] = {"type": "approximate", **(place.get("approximate") or place)}
        found.append(search)
    if found:
        document["tools"] = found
    choice = body.get("tool_choice", body.get("function_call"))
    if isinstance(choice, Mapping):
        inner = choice.get("function") or choice.get("custom")
        kind = "custom" if choice.get("custom") else "function"
        allowed = choice.get("allowed_tools")
        if isinstance(allowed, Mapping):
            named = [_flat_choice(one) for one in allowed.get("tools") or ()]
            choice = {"type": "allowed_tools", **allowed, "tools": named}
        elif isinstance(inner, Mapping):
            choice = {"type": kind, "name": inner.get("name")}
        elif "type" not in choice:
            choice = {"type": kind, "name": choice.get("name")}
    if choice is not None:
        document["tool_choice"] = choice


def _flat_choice(tool: Any) -> Any:
    """A mention of a tool in the words of this API."""
    kind = tool.get("type") if isinstance(tool, Mapping) else None
    inner = tool.get(kind) if isinstance(kind, str) else None
    return {"type": kind, "name": inner.get("name")} if isinstance(inner, Mapping) else tool


def _tool(tool: Any, where: str, warnings: list[Warning]) -> Json:
    if not isinstance(tool, Mapping):
        raise BadRequestError(f"{where} is not an object", param=where)
    kind = tool.get("type", "function")
    inner = tool.get(kind)
    if kind == "function" and isinstance(inner, Mapping):
        found = {"type": "function", "name": inner.get("name")}
        if inner.get("description") is not None:
            found["description"] = inner["description"]
        found["parameters"] = inner.get("parameters") or {"type": "object", "properties": {}}
        # Chat is lenient unless told otherwise, and this API strict: a schema that was not written for it is refused.
        found["strict"] = bool(inner.get("strict"))
        return found
    if kind == "custom" and isinstance(inner, Mapping):
        return {"type": "custom", **_flat_format(inner)}
    if web_search_of(tool) and "name" in tool:
        place = {"user_location": tool["user_location"]} if tool.get("user_location") else {}
        lost = (name for name in tool if name not in ("type", "name", "user_location", "cache_control"))
        warnings += [not_carried(f"{where}.{name}", WIRE) for name in lost]
        return {"type": "web_search_preview", **place}
    if "name" in tool and kind not in ("function", "custom"):
        raise UnsupportedParamsError(
            f"{where} is of type {kind!r}, which the Responses API does not have; a tool is never left out. Call a "
            "Claude model, which is served over the Messages API, or leave it out yourself",
            param=where,
        )
    return dict(tool)


def _flat_format(tool: Mapping[str, Any]) -> Json:
    found = dict(tool)
    wanted = found.get("format")
    if isinstance(wanted, Mapping) and isinstance(grammar := wanted.get("grammar"), Mapping):
        found["format"] = {"type": "grammar", **grammar}
    return found


def _text(body: Mapping[str, Any], document: Json) -> None:
    text = dict(document.get("text") or {})
    wanted = body.get("response_format")
    if isinstance(wanted, Mapping):
        inner = wanted.get("json_schema")
        text["format"] = {"type": "json_schema", **inner} if isinstance(inner, Mapping) else dict(wanted)
    if body.get("verbosity") is not None:
        text["verbosity"] = body["verbosity"]
    if text:
        document["text"] = text


# --- To chat -----------------------------------------------------------------------------------------------------

_SAME = (
    "model temperature top_p stream metadata user store service_tier parallel_tool_calls top_logprobs "
    "safety_identifier prompt_cache_key prompt_cache_retention"
).split()
_READ = frozenset({*_SAME, "input", "instructions", "max_output_tokens", "tools", "tool_choice", "text", "reasoning"})


def to_chat(document: Mapping[str, Any]) -> tuple[Json, list[Warning]]:
    """The chat body that says what this request says. Raises BadRequestError for what is no request, and for what
    `refused` names."""
    try:
        return _to_chat(document)
    except BadRequestError:
        raise
    except MISSHAPEN as wrong:
        raise BadRequestError(f"the request is not of the shape of the Responses API: {wrong}") from None


def _to_chat(document: Mapping[str, Any]) -> tuple[Json, list[Warning]]:
    if error := refused(document):
        raise error
    given = document.get("input")
    if not isinstance(given, str | list):
        raise BadRequestError("input is missing, or neither a text nor a list of items", param="input")
    messages: list[Json] = []
    if document.get("instructions"):
        messages.append({"role": "system", "content": document["instructions"]})
    if isinstance(given, str):
        messages.append({"role": "user", "content": given})
    else:
        messages += _messages(given)
    body: Json = {name: document[name] for name in _SAME if document.get(name) is not None}
    body["messages"] = messages
    rest = {name: value for name, value in document.items() if name not in _READ and value is not None}
    if document.get("max_output_tokens") is not None:
        body["max_completion_tokens"] = document["max_output_tokens"]
    if document.get("tools"):
        places = ((tool, f"tools[{number}]") for number, given in enumerate(document["tools"]) for tool in flat(given))
        body["tools"] = [_chat_tool(tool, place) for tool, place in places]
    if (choice := document.get("tool_choice")) is not None:
        body["tool_choice"] = _chat_choice(choice)
    if "reasoning" in document:
        _read_reasoning(document["reasoning"], body, rest)
    if "text" in document:
        _read_text(document["text"], body, rest)
    include = rest.get("include")
    if isinstance(include, list) and _LOGPROBS in include:
        body["logprobs"] = True
        rest["include"] = [name for name in include if name != _LOGPROBS]
    rest = {name: value for name, value in rest.items() if value != []}
    if rest:
        body[SPECIFIC] = {"responses": rest}
    return body, []


def _chat_choice(choice: Any) -> Any:
    if isinstance(choice, Mapping) and choice.get("type") in ("function", "custom") and "name" in choice:
        name = flat_name(choice.get("namespace"), choice["name"])
        return {"type": choice["type"], choice["type"]: {"name": name}}
    if isinstance(choice, Mapping) and isinstance(choice.get("tools"), list) and choice.get("type") == "allowed_tools":
        inner = {name: value for name, value in choice.items() if name != "type"}
        return {"type": "allowed_tools", "allowed_tools": {**inner, "tools": [*map(_chat_choice, choice["tools"])]}}
    return choice


def _read_reasoning(reasoning: Any, body: Json, rest: Json) -> None:
    if not isinstance(reasoning, Mapping):
        return
    more = {name: value for name, value in reasoning.items() if value is not None}
    if (effort := more.pop("effort", None)) is not None:
        body["reasoning_effort"] = effort
    if more:
        rest["reasoning"] = more


def _read_text(text: Any, body: Json, rest: Json) -> None:
    if not isinstance(text, Mapping):
        return
    more = dict(text)
    if (verbosity := more.pop("verbosity", None)) is not None:
        body["verbosity"] = verbosity
    wanted = more.pop("format", None)
    if isinstance(wanted, Mapping) and wanted.get("type") == "json_schema":
        schema = {name: value for name, value in wanted.items() if name != "type"}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif isinstance(wanted, Mapping) and wanted.get("type") != "text":
        body["response_format"] = dict(wanted)
    if more:
        rest["text"] = more


def _messages(items: list[Any]) -> list[Json]:
    """The messages of a conversation's items. What the assistant said in a row is one message, as chat has it."""
    messages: list[Json] = []
    said: list[Json] = []
    for number, item in enumerate(items):
        where = f"input[{number}]"
        if not isinstance(item, dict):
            raise BadRequestError(f"{where} is not an item", param=where)
        kind = item.get("type", "message")
        if kind == "message" and item.get("role") != "assistant":
            _end(said, messages)
            messages.append(_message(item, where))
        elif kind in _OUTPUTS:
            _end(said, messages)
            messages.append(_result(item))
        else:
            said.append(item)
    _end(said, messages)
    return messages


def _end(said: list[Json], messages: list[Json]) -> None:
    if said:
        messages.append(never_empty(message_of(said, sent=True)))
        said.clear()


def _message(item: Json, where: str) -> Json:
    role, content = item.get("role"), item.get("content")
    if role not in ("user", "system", "developer"):
        text = f"{where}.role is {role!r}; it has to be user, assistant, system or developer"
        raise BadRequestError(text, param=f"{where}.role")
    if isinstance(content, str):
        return {"role": role, "content": content}
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise BadRequestError(f"{where}.content has to be a text or a list of parts", param=f"{where}.content")
    return {"role": role, "content": [part_of(part) for part in content]}


def _result(item: Json) -> Json:
    output = item.get("output")
    content: Any = "" if output is None else output
    if isinstance(output, list):
        parts = [part_of(part) for part in output if isinstance(part, Mapping)]
        text = plain_texts(parts) if len(parts) == 1 else None
        content = parts if text is None else text
    message: Json = {"role": "tool", "tool_call_id": item.get("call_id"), "content": content}
    return {**message, SPECIFIC: {"item": item["type"]}} if item["type"] == "custom_tool_call_output" else message


def _chat_tool(tool: Any, where: str) -> Json:
    if not isinstance(tool, Mapping):
        raise BadRequestError(f"{where} is not an object", param=where)
    kind = tool.get("type", "function")
    if kind not in ("function", "custom") or kind in tool:
        return dict(tool)
    inner = {name: value for name, value in tool.items() if name != "type" and value is not None}
    wanted = inner.get("format")
    if isinstance(wanted, Mapping) and wanted.get("type") == "grammar":
        grammar = {name: value for name, value in wanted.items() if name != "type"}
        inner["format"] = {"type": "grammar", "grammar": grammar}
    return {"type": kind, kind: inner}
