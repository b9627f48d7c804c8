"""A request of the Messages API: made from a chat body, and read into one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from quoth.call import Target, WireRequest
from quoth.errors import BadRequestError, UnsupportedParamsError
from quoth.types import Warning
from quoth.wire.anthropic_messages.blocks import (
    assistant_blocks,
    block_of,
    message_of,
    part_of,
    result_content,
    text_block,
)
from quoth.wire.carried import (
    DEFAULT_CAP,
    LEGACY,
    MISSHAPEN,
    SPECIFIC,
    Json,
    allowed,
    are_objects,
    check_calls,
    function_of_custom,
    never_empty,
    not_carried,
    plain_texts,
    take_back,
    web_search_of,
)
from quoth.wire.openai_chat import head_at

__all__ = ["VERSION", "authorization", "from_chat", "head", "to_chat"]

VERSION = "2023-06-01"
WIRE = "anthropic_messages"
# Of OpenAI's parameters, those that the Messages API has no counterpart of.
_NO_PLACE = frozenset(
    (
        "audio frequency_penalty logit_bias logprobs modalities prediction presence_penalty prompt_cache_key "
        "prompt_cache_retention safety_identifier seed service_tier store top_logprobs verbosity"
    ).split()
)
_HANDLED = frozenset(
    (
        "messages max_tokens max_completion_tokens stop tools tool_choice parallel_tool_calls user metadata n "
        "reasoning_effort response_format stream_options web_search_options"
    ).split()
) | {SPECIFIC, *LEGACY}
_UNCAPPED = Warning(
    "default_cap",
    "max_tokens",
    f"the Messages API needs a cap on the answer's tokens and none was given; {DEFAULT_CAP:,} was sent",
)
_ABOUT_TOOLS = frozenset({"tools", "tool_choice", "parallel_tool_calls", "web_search_options", *LEGACY})
_ABOUT_OUTPUT = frozenset({"reasoning_effort", "response_format", "output_config"})
_ABOUT_USER = frozenset({"user", "metadata"})
_ANSWERED = {"auto": "auto", "none": "none", "required": "any"}
_CHOICES = {name: word for word, name in _ANSWERED.items()}
_WEB_SEARCH: Json = {"type": "web_search_20250305", "name": "web_search"}


def authorization(target: Target) -> dict[str, str]:
    """The key in Anthropic's own header, and the version of the API that every request has to name."""
    version = {"anthropic-version": VERSION}
    return {"x-api-key": target.key, **version} if target.key else version


def head(target: Target, stream: bool) -> WireRequest:
    """A request of this wire but for its body."""
    return head_at(target, "/messages", authorization(target), stream)


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
    system, messages = _messages(body.get("messages") or (), warnings)
    document: Json = {"model": body.get("model"), "max_tokens": _cap(body, warnings)}
    if system:
        text = plain_texts(system) if len(system) == 1 else None
        document["system"] = system if text is None else text
    document["messages"] = messages
    for name, value in body.items():
        if name in _NO_PLACE:
            warnings.append(not_carried(name, WIRE))
        elif name not in _HANDLED and name not in document:
            document[name] = value
    temperature = document.get("temperature")
    if isinstance(temperature, int | float) and temperature > 1:
        document["temperature"] = 1
        warnings.append(Warning("clamped", "temperature", f"temperature {temperature} was sent as 1, the highest here"))
    if (stop := body.get("stop")) is not None:
        document["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    if (count := body.get("n")) not in (None, 1):
        warnings.append(not_carried("n", WIRE, f"{count} choices were asked for"))
    if not _ABOUT_TOOLS.isdisjoint(body):
        _tools(body, document, warnings)
    if not _ABOUT_OUTPUT.isdisjoint(body):
        _output(body, document, warnings)
    if not _ABOUT_USER.isdisjoint(body):
        _metadata(body, document, warnings)
    warnings += take_back(document, body, "messages", "responses", WIRE)
    return document, warnings


def _cap(body: Mapping[str, Any], warnings: list[Warning]) -> Any:
    for name in ("max_completion_tokens", "max_tokens"):
        if body.get(name) is not None:
            return body[name]
    warnings.append(_UNCAPPED)
    return DEFAULT_CAP


def _messages(messages: Sequence[Any], warnings: list[Warning]) -> tuple[list[Json], list[Json]]:
    """The system's blocks and the turns. Results of tools that follow each other are one turn, with what the user says
    after them, as the API wants it."""
    system: list[Json] = []
    turns: list[Json] = []
    results: list[Json] | None = None
    for number, message in enumerate(messages):
        role, content = message.get("role"), message.get("content")
        if role == "user" and results is None and isinstance(content, str):
            turns.append({"role": "user", "content": content})
            continue
        where = f"messages[{number}]"
        if role in ("system", "developer"):
            if turns:
                text = f"{where} is a system message in mid-conversation; it was sent with the ones at the start"
                warnings.append(Warning("moved", where, text))
            system += _blocks(content, where, warnings)
        elif role in ("tool", "function"):
            if results is None:
                results = []
                turns.append({"role": "user", "content": results})
            results.append(_result(message, where, warnings))
        elif role == "assistant":
            results = None
            check_calls(message, where)
            # The API refuses a turn without blocks: one that says nothing to it is none.
            if blocks := assistant_blocks(message, where, warnings):
                turns.append({"role": "assistant", "content": blocks})
        elif results is not None:
            results += _blocks(content, where, warnings)
            results = None
        else:
            said = content if isinstance(content, str) else _blocks(content, where, warnings)
            turns.append({"role": "user", "content": said})
    return system, turns


def _blocks(content: Any, where: str, warnings: list[Warning]) -> list[Json]:
    if isinstance(content, str):
        return [text_block(content)]
    blocks = []
    for number, part in enumerate(content or ()):
        place = f"{where}.content[{number}]"
        block = text_block(part) if isinstance(part, str) else block_of(part, place, warnings)
        if block is not None:
            blocks.append(block)
    return blocks


def _result(message: Mapping[str, Any], where: str, warnings: list[Warning]) -> Json:
    name = message.get("tool_call_id") or f"call_{message.get('name', '')}"
    block: Json = {"type": "tool_result", "tool_use_id": name}
    content = message.get("content")
    if isinstance(content, list):
        block["content"] = _blocks(content, where, warnings)
    elif content is not None:
        block["content"] = content
    known = ("role", "content", "tool_call_id", "name", SPECIFIC)
    return block | {key: value for key, value in message.items() if key not in known}


def _tools(body: Mapping[str, Any], document: Json, warnings: list[Warning]) -> None:
    tools = [
        *(body.get("tools") or ()),
        *({"type": "function", "function": one} for one in body.get("functions") or ()),
    ]
    wanted = body.get("tool_choice", body.get("function_call"))
    if (some := allowed(wanted, tools)) is not None:
        wanted, tools = some
    found = [_tool(tool, f"tools[{number}]", warnings) for number, tool in enumerate(tools)]
    options = body.get("web_search_options")
    if options is not None:
        place = options.get("user_location") if isinstance(options, Mapping) else None
        where = {"user_location": {"type": "approximate", **(place.get("approximate") or place)}} if place else {}
        found.append({**_WEB_SEARCH, **where})
    if found:
        document["tools"] = found
    choice = _choice(wanted)
    if body.get("parallel_tool_calls") is False and found:
        choice = choice or {"type": "auto"}
        if choice["type"] != "none":
            choice = {**choice, "disable_parallel_tool_use": True}
    if choice is not None:
        document["tool_choice"] = choice


def _tool(tool: Any, where: str, warnings: list[Warning]) -> Json:
    if not isinstance(tool, Mapping):
        raise BadRequestError(f"{where} is not an object", param=where)
    if tool.get("type") == "custom" and isinstance(tool.get("custom"), Mapping):
        tool = function_of_custom(tool)
    function = tool.get("function")
    if tool.get("type", "function") == "function" and isinstance(function, Mapping):
        found: Json = {"name": function.get("name")}
        if function.get("description") is not None:
            found["description"] = function["description"]
        schema = function.get("parameters")
        found["input_schema"] = schema or {"type": "object", "properties": {}}
        known = ("name", "description", "parameters")
        found |= {name: value for name, value in function.items() if name not in known}
        return found | {name: value for name, value in tool.items() if name not in ("type", "function")}
    if tool.get("type") in ("web_search", "web_search_preview"):
        return _search(tool, where, warnings)
    if "name" in tool:
        return dict(tool)  # one of Anthropic's own, which carry a name beside their type
    raise UnsupportedParamsError(
        f"{where} is of type {tool.get('type')!r}, which the Messages API does not have; a tool is never left out. "
        "Call a model that is served over the Responses API, or leave it out yourself",
        param=where,
    )


def _search(tool: Mapping[str, Any], where: str, warnings: list[Warning]) -> Json:
    """The Responses API's search, with what both have of its settings."""
    found = {**_WEB_SEARCH}
    filters = tool.get("filters")
    if isinstance(filters, Mapping) and filters.keys() <= {"allowed_domains"}:
        found |= {name: value for name, value in filters.items() if value}
    elif filters is not None:
        warnings.append(not_carried(f"{where}.filters", WIRE))
    if tool.get("user_location"):
        found["user_location"] = tool["user_location"]
    lost = (name for name, value in tool.items() if name not in _SEARCH_KNOWN and value is not None)
    warnings += [not_carried(f"{where}.{name}", WIRE) for name in lost]
    return found


_SEARCH_KNOWN = frozenset({"type", "filters", "user_location"})


def _choice(choice: Any) -> Json | None:
    if isinstance(choice, str):
        return {"type": _ANSWERED.get(choice, choice)}
    if not isinstance(choice, Mapping):
        return None
    function = choice.get("function")
    name = function.get("name") if isinstance(function, Mapping) else choice.get("name")
    return {"type": "tool", "name": name} if name is not None else dict(choice)


def _output(body: Mapping[str, Any], document: Json, warnings: list[Warning]) -> None:
    """How hard to think, and in which form to answer."""
    config = dict(document.get("output_config") or {})
    if (effort := body.get("reasoning_effort")) is not None:
        config.setdefault("effort", effort)
    wanted = body.get("response_format")
    if isinstance(wanted, Mapping) and wanted.get("type") == "json_schema":
        schema = wanted.get("json_schema") or {}
        config.setdefault("format", {"type": "json_schema", "schema": schema.get("schema")})
    elif isinstance(wanted, Mapping) and wanted.get("type") not in (None, "text"):
        warnings.append(not_carried("response_format", WIRE, "it takes a JSON schema, and no mode without one"))
    if config:
        document["output_config"] = config


def _metadata(body: Mapping[str, Any], document: Json, warnings: list[Warning]) -> None:
    given = body.get("metadata")
    metadata = {}
    for name, value in given.items() if isinstance(given, Mapping) else ():
        if name == "user_id":
            metadata[name] = value
        else:
            warnings.append(not_carried(f"metadata.{name}", WIRE))
    if body.get("user") is not None:
        metadata.setdefault("user_id", body["user"])
    if metadata:
        document["metadata"] = metadata


# --- To chat -----------------------------------------------------------------------------------------------------

_SAME = ("model", "max_tokens", "temperature", "top_p", "stream", "thinking")
_READ = frozenset({*_SAME, "messages", "system", "stop_sequences", "tools", "tool_choice", "metadata", "output_config"})


def to_chat(document: Mapping[str, Any]) -> tuple[Json, list[Warning]]:
    """The chat body that says what this request says. Raises BadRequestError for what is no request."""
    try:
        return _to_chat(document)
    except BadRequestError:
        raise
    except MISSHAPEN as wrong:
        raise BadRequestError(f"the request is not of the shape of the Messages API: {wrong}") from None


def _to_chat(document: Mapping[str, Any]) -> tuple[Json, list[Warning]]:
    given = document.get("messages")
    if not isinstance(given, list):
        raise BadRequestError("messages is missing or not a list", param="messages")
    warnings: list[Warning] = []
    messages: list[Json] = []
    system = document.get("system")
    if system:
        parts = system if isinstance(system, str) else _parts(system, "system")
        messages.append({"role": "system", "content": parts})
    for number, turn in enumerate(given):
        _turn(turn, f"messages[{number}]", messages)
    body: Json = {name: document[name] for name in _SAME if document.get(name) is not None}
    body["messages"] = messages
    if (stop := document.get("stop_sequences")) is not None:
        body["stop"] = stop
    if document.get("tools") is not None:
        body["tools"] = [_chat_tool(tool, f"tools[{number}]") for number, tool in enumerate(document["tools"])]
    if "tool_choice" in document:
        _chat_choice(document["tool_choice"], body)
    rest = {name: value for name, value in document.items() if name not in _READ and value is not None}
    if "metadata" in document:
        _chat_user(document["metadata"], body, rest)
    if "output_config" in document:
        _chat_output(document["output_config"], body, rest)
    if "output_format" in rest and _form(rest["output_format"], body):  # its first name
        del rest["output_format"]
    if rest:
        body[SPECIFIC] = {"messages": rest}
    return body, warnings


def _chat_user(metadata: Any, body: Json, rest: Json) -> None:
    if not isinstance(metadata, Mapping):
        return
    if (user := metadata.get("user_id")) is not None:
        body["user"] = user
    if more := {name: value for name, value in metadata.items() if name != "user_id"}:
        rest["metadata"] = more


def _chat_output(config: Any, body: Json, rest: Json) -> None:
    if not isinstance(config, Mapping):
        return
    more = dict(config)
    if (effort := more.pop("effort", None)) is not None:
        body["reasoning_effort"] = effort
    if _form(more.get("format"), body):
        del more["format"]
    if more:
        rest["output_config"] = more


def _form(wanted: Any, body: Json) -> bool:
    """Ask for an answer of this form; False for what is none."""
    if not isinstance(wanted, Mapping) or wanted.get("type") != "json_schema":
        return False
    schema = {"name": "answer", "schema": wanted.get("schema"), "strict": True}
    body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return True


def _turn(turn: Any, where: str, messages: list[Json]) -> None:
    if not isinstance(turn, dict):
        raise BadRequestError(f"{where} is not an object with role and content", param=where)
    role, content = turn.get("role"), turn.get("content")
    if role not in ("user", "assistant", "system"):
        raise BadRequestError(f"{where}.role is {role!r}; it has to be user or assistant", param=f"{where}.role")
    if role == "assistant":
        blocks = [text_block(content)] if isinstance(content, str) else _listed(content, where)
        messages.append(never_empty(message_of(blocks)))
        return
    if isinstance(content, str):
        messages.append({"role": role, "content": content})
        return
    blocks = _listed(content, where)
    for block in blocks:
        if block.get("type") == "tool_result":
            messages.append(_chat_result(block))
    said = [block for block in blocks if block.get("type") != "tool_result"]
    if said or not blocks:
        messages.append({"role": role, "content": [part_of(block) for block in said]})


def _listed(content: Any, where: str) -> list[Json]:
    if not isinstance(content, list) or not are_objects(content):
        raise BadRequestError(f"{where}.content has to be a text or a list of blocks", param=f"{where}.content")
    return content


def _parts(blocks: Any, where: str) -> list[Json]:
    return [part_of(block) for block in _listed(blocks, where)]


def _chat_result(block: Json) -> Json:
    message: Json = {"role": "tool", "tool_call_id": block.get("tool_use_id"), "content": result_content(block)}
    known = ("type", "tool_use_id", "content")
    return message | {name: value for name, value in block.items() if name not in known}


def _chat_tool(tool: Any, where: str) -> Json:
    if not isinstance(tool, Mapping):
        raise BadRequestError(f"{where} is not an object", param=where)
    if tool.get("type", "custom") != "custom":
        return dict(tool)
    function: Json = {"name": tool.get("name")}
    if tool.get("description") is not None:
        function["description"] = tool["description"]
    function["parameters"] = tool.get("input_schema") or {"type": "object", "properties": {}}
    if tool.get("strict") is not None:
        function["strict"] = tool["strict"]
    known = ("type", "name", "description", "input_schema", "strict")
    more = {name: value for name, value in tool.items() if name not in known}
    return {"type": "function", "function": function, **more}


def _chat_choice(choice: Any, body: Json) -> None:
    if not isinstance(choice, Mapping):
        return
    kind = choice.get("type")
    if kind == "tool":
        body["tool_choice"] = {"type": "function", "function": {"name": choice.get("name")}}
    elif kind is not None:
        body["tool_choice"] = _CHOICES.get(kind, kind)
    if choice.get("disable_parallel_tool_use") is not None:
        body["parallel_tool_calls"] = not choice["disable_parallel_tool_use"]


def web_search(tools: Any) -> bool:
    """True when one of these tools is the search that the provider runs."""
    return isinstance(tools, list) and any(isinstance(tool, Mapping) and web_search_of(tool) for tool in tools)
