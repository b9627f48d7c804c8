"""The request of Messages: what Anthropic's API accepts behind Poe, what it refuses and with which words.

Bytes in, `MessagesRequest` out, or `Problem` raised. The conversation is brought into the form of a chat request, from
which the same rules make the answer; the blocks are kept for the prompt cache.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from quoth.emulator.chat_request import ChatRequest, decoded, is_number
from quoth.emulator.models import is_free, serves
from quoth.emulator.problems import Problem
from quoth.emulator.prompt_cache import HOUR, Block
from quoth.emulator.seals import holds
from quoth.emulator.settings import Switches
from quoth.emulator.upstream import claude_by_name, resolved

__all__ = ["ENDPOINT", "SIGNED_THINKING", "MessagesRequest", "read", "refused"]

ENDPOINT = "/v1/messages"
SIGNED_THINKING = "thinking"
_MOST_MARKS = 4
_SMALLEST_BUDGET = 1_024

# What is counted beyond the text: of every request before and after its last block, of thinking, and of tools.
_BEFORE, AFTER, _THINKING_TOKENS, _TOOLS_TOKENS = 5, 3, 29, 264
_PICTURE_TOKENS = 1_600

_FIELDS = frozenset(
    """
    model max_tokens messages system temperature top_p top_k stream stop_sequences tools tool_choice metadata thinking
    service_tier output_config
    """.split()
)
_BLOCKS = {
    "user": ("text", "image", "document", "tool_result", "search_result"),
    "assistant": ("text", "thinking", "redacted_thinking", "tool_use"),
}
_ADAPTS = re.compile(r"claude-(opus|sonnet)-4\.[6-9]")
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_THINKING_HELP = (
    "When `thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost "
    "set of `tool_use` and `tool_result` blocks). We recommend you include thinking blocks from previous turns. To "
    "avoid this requirement, disable `thinking`."
)


@dataclass(frozen=True, slots=True)
class MessagesRequest:
    """A valid request. `thinks` is whether this turn thinks aloud, `blocks` the prompt for the cache."""

    chat: ChatRequest
    upstream: str
    thinks: bool
    blocks: list[Block]


def refused(message: str) -> Problem:
    """What Anthropic says of a request that is wrong; Poe passes it on as text."""
    return Problem(400, message, upstream=True)


def read(body: bytes, headers: Mapping[str, str], switches: Switches) -> MessagesRequest:
    """The request in `body`. Raises Problem."""
    if not headers.get("anthropic-version"):
        raise Problem(400, "anthropic-version: header is required")
    data = decoded(body)
    model = data.get("model")
    if not isinstance(model, str) or not model:
        raise refused("model: Field required" if model is None else "model: Input should be a valid string")
    facts = claude_by_name(model)
    if facts is None or not serves(facts, ENDPOINT):
        raise Problem(404, f"model: {model}")
    for name in data:
        if name not in _FIELDS:
            raise refused(f"{name}: Extra inputs are not permitted")
    longest = _cap(data, facts.max_output_tokens, resolved(facts.id))
    messages = _messages(data.get("messages"), facts.id)
    system = _system(data.get("system"))
    thinking = _thinking(data, longest, facts.id)
    _limits(data, thinking)
    functions = _tools(data.get("tools"))
    choice = _choice(data.get("tool_choice"), functions, thinking)
    _pairs(messages)
    if thinking:
        _begins_with_thinking(messages)
    prompt_blocks = _blocks(data, system, messages, thinking)
    chat = ChatRequest(
        model=model,
        facts=facts,
        messages=_as_chat(system, messages),
        stream=_boolean(data, "stream"),
        max_tokens=longest,
        stop=_stops(data.get("stop_sequences")),
        tools=functions,
        tool_choice=choice,
        parallel_tool_calls=not (data.get("tool_choice") or {}).get("disable_parallel_tool_use", False),
        response_format=_format(data.get("output_config")),
        schema_honoured=True,
    )
    if not switches.subscriber and not is_free(facts):
        raise Problem(402, "This model needs a subscription or add-on points.")
    window = facts.context_window
    total = sum(block.tokens for block in prompt_blocks)
    if window and total > window:
        raise refused(f"prompt is too long: {total} tokens > {window} maximum")
    # Between calls of tools there is no new thinking, unless the model decides itself when to think.
    loop = chat.last["role"] == "tool" and not _ADAPTS.match(facts.id)
    return MessagesRequest(chat, resolved(facts.id), bool(thinking) and not loop, prompt_blocks)


# Parameters


def _boolean(data: dict[str, Any], name: str) -> bool:
    value = data.get(name)
    if value is not None and not isinstance(value, bool):
        raise refused(f"{name}: Input should be a valid boolean")
    return bool(value)


def _cap(data: dict[str, Any], most: int | None, upstream: str) -> int:
    value = data.get("max_tokens")
    if value is None:
        raise refused("max_tokens: Field required")
    if not isinstance(value, int) or isinstance(value, bool):
        raise refused("max_tokens: Input should be a valid integer")
    if value < 1:
        raise refused("max_tokens: Input should be greater than or equal to 1")
    # The list rounds: 32k is 32,768 here, 32,000 there.
    if most is not None and value > most * 1.05:
        raise refused(
            f"max_tokens: {value} > {most}, which is the maximum allowed number of output tokens for {upstream}"
        )
    return value


def _thinking(data: dict[str, Any], longest: int, model_id: str) -> dict[str, Any] | None:
    """The thinking that is asked for, None when it is not."""
    value = data.get("thinking")
    if value is None:
        return None
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == "disabled":
        return None
    if kind == "adaptive":
        if not _ADAPTS.match(model_id):
            raise refused("adaptive thinking is not supported on this model")
        return dict(value)
    if kind != "enabled":
        raise refused(
            f"thinking: Input tag '{kind}' found using 'type' does not match any of the expected tags: "
            "'adaptive', 'disabled', 'enabled'"
        )
    budget = value.get("budget_tokens")
    if not isinstance(budget, int) or isinstance(budget, bool):
        raise refused("thinking.enabled.budget_tokens: Field required")
    if budget < _SMALLEST_BUDGET:
        raise refused(f"thinking.enabled.budget_tokens: Input should be greater than or equal to {_SMALLEST_BUDGET}")
    if budget >= longest:
        raise refused("`max_tokens` must be greater than `thinking.budget_tokens`.")
    return dict(value)


def _limits(data: dict[str, Any], thinking: dict[str, Any] | None) -> None:
    for name in ("temperature", "top_p"):
        value = data.get(name)
        if value is None:
            continue
        if not is_number(value):
            raise refused(f"{name}: Input should be a valid number")
        if not 0 <= value <= 1:
            raise refused(
                f"{name}: Input should be {'less' if value > 1 else 'greater'} than or equal to {int(value > 1)}"
            )
    if thinking and data.get("temperature") not in (None, 1):
        raise refused("`temperature` may only be set to 1 when thinking is enabled.")
    metadata = data.get("metadata")
    if metadata is not None:
        if not isinstance(metadata, dict):
            raise refused("metadata: Input should be a valid dictionary")
        for name in metadata:
            if name != "user_id":
                raise refused(f"metadata.{name}: Extra inputs are not permitted")


def _stops(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(stop, str) for stop in value):
        raise refused("stop_sequences: Input should be a valid list")
    if any(not stop.strip() for stop in value):
        raise refused("stop_sequences: each stop sequence must contain non-whitespace")
    return tuple(value)


def _format(value: Any) -> dict[str, Any] | None:
    """The schema in `output_config.format`, in the form of `response_format`."""
    wanted = value.get("format") if isinstance(value, dict) else None
    if not isinstance(wanted, dict):
        return None
    if wanted.get("type") != "json_schema" or not isinstance(wanted.get("schema"), dict):
        raise refused("output_config.format: Input should be a JSON schema")
    return {"type": "json_schema", "json_schema": {"name": "output", "schema": wanted["schema"]}}


def _tools(value: Any) -> list[dict[str, Any]]:
    """The tools in the form of chat completions."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise refused("tools: Input should be a valid list")
    found = [_tool(f"tools.{index}", tool) for index, tool in enumerate(value)]
    functions = [{"type": "function", "function": function} for function in found if function is not None]
    names = {function["name"] for function in found if function is not None}
    if len(names) < len(functions):
        raise refused("tools: Tool names must be unique.")
    return functions


def _tool(place: str, tool: Any) -> dict[str, Any] | None:
    """One tool as a function; None for a search that the provider runs itself, which is taken and not run here."""
    if not isinstance(tool, dict):
        raise refused(f"{place}: Input should be a valid dictionary")
    if tool.get("cache_control") is not None:
        _mark(f"{place}.cache_control", tool["cache_control"])
    kind, name, schema = tool.get("type") or "custom", tool.get("name"), tool.get("input_schema")
    if kind != "custom":
        if str(kind).startswith("web_search_"):
            return None
        raise refused(f"{place}: Input tag '{kind}' found using 'type' does not match any of the expected tags")
    if not isinstance(name, str):
        raise refused(f"{place}.custom.name: Field required")
    if not _TOOL_NAME.fullmatch(name):
        raise refused(f"{place}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
    if not isinstance(schema, dict):
        raise refused(f"{place}.custom.input_schema: Field required")
    if schema.get("type") != "object":
        raise refused(f"{place}.custom.input_schema.type: Input should be 'object'")
    return {"name": name, "description": tool.get("description"), "parameters": schema}


def _choice(value: Any, functions: list[dict[str, Any]], thinking: dict[str, Any] | None) -> str | dict[str, Any]:
    if value is None:
        return "auto"
    kind = value.get("type") if isinstance(value, dict) else None
    if kind in ("any", "tool") and thinking:
        raise refused("Thinking may not be enabled when tool_choice forces tool use.")
    if kind in ("auto", "none"):
        return str(kind)
    if kind == "any" and functions:
        return "required"
    if kind == "tool":
        if any(tool["function"]["name"] == value.get("name") for tool in functions):
            return {"type": "function", "function": {"name": value["name"]}}
        raise refused(f"Tool '{value.get('name')}' not found in provided tools")
    raise refused("tool_choice: Input should be auto, any, tool or none; any and tool need tools")


# Messages


def _system(value: Any) -> list[dict[str, Any]]:
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


def _messages(value: Any, model_id: str) -> list[dict[str, Any]]:
    """The messages, each with its content as blocks."""
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
    if _ADAPTS.match(model_id):
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
        _mark(f"{place}.{kind}.cache_control", block["cache_control"])


def _contained(place: str, content: Any) -> None:
    """What a block holds: nothing, a text, or blocks."""
    if content is None or isinstance(content, str):
        return
    if not isinstance(content, list):
        raise refused(f"{place}: Input should be a valid list")
    for number, inner in enumerate(content):
        _expected(f"{place}.{number}", inner, ("text", "image", "document", "search_result"))


def _mark(place: str, mark: Any) -> None:
    if not isinstance(mark, dict) or mark.get("type") != "ephemeral":
        raise refused(f"{place}.type: Input should be 'ephemeral'")
    if mark.get("ttl", "5m") not in ("5m", HOUR):
        raise refused(f"{place}.ephemeral.ttl: Input should be '5m' or '1h'")
    for name in mark:
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


def _pairs(messages: list[dict[str, Any]]) -> None:
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


def _begins_with_thinking(messages: list[dict[str, Any]]) -> None:
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


# The same conversation, as a chat


def _as_chat(system: list[dict[str, Any]], messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
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


# The same conversation, as blocks


def _blocks(
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
