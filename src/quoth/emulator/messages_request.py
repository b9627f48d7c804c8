"""The request of Messages: what Anthropic's API accepts behind Poe, what it refuses and with which words.

Bytes in, `MessagesRequest` out, or `Problem` raised. The conversation is brought into the form of a chat request, from
which the same rules make the answer; the blocks are kept for the prompt cache.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quoth.emulator.chat_request import ChatRequest, decoded, is_number
from quoth.emulator.message_blocks import (
    ADAPTS,
    begins_with_thinking,
    mark,
    messages_of,
    pairs,
    refused,
    system_of,
)
from quoth.emulator.message_prompt import as_blocks, as_chat
from quoth.emulator.models import is_free, serves
from quoth.emulator.problems import Problem
from quoth.emulator.prompt_cache import Block
from quoth.emulator.settings import Switches
from quoth.emulator.upstream import claude_by_name, resolved

__all__ = ["ENDPOINT", "MessagesRequest", "read"]

ENDPOINT = "/v1/messages"
_SMALLEST_BUDGET = 1_024

_FIELDS = frozenset(
    """
    model max_tokens messages system temperature top_p top_k stream stop_sequences tools tool_choice metadata thinking
    service_tier output_config
    """.split()
)
# What Anthropic allows as `max_tokens`, which is more than Poe's list says of some.
_LONGEST = (
    (re.compile(r"claude-(opus|sonnet)-4\.[6-9]|claude-sonnet-3\.7"), 128_000),
    (re.compile(r"claude-(sonnet-4|opus-4\.5|haiku-4\.5)"), 64_000),
    (re.compile(r"claude-opus-4"), 32_000),
    (re.compile(r""), 8_192),
)
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")


@dataclass(frozen=True, slots=True)
class MessagesRequest:
    """A valid request. `thinks` is whether this turn thinks aloud, `blocks` the prompt for the cache."""

    chat: ChatRequest
    upstream: str
    thinks: bool
    blocks: list[Block]


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
    longest = _cap(data, facts.id)
    messages = messages_of(data.get("messages"), facts.id)
    system = system_of(data.get("system"))
    thinking = _thinking(data, longest, facts.id)
    _limits(data, thinking)
    functions = _tools(data.get("tools"))
    choice = _choice(data.get("tool_choice"), functions, thinking)
    pairs(messages)
    if thinking and thinking["type"] == "enabled":
        begins_with_thinking(messages)
    prompt_blocks = as_blocks(data, system, messages, thinking)
    chat = ChatRequest(
        model=model,
        facts=facts,
        messages=as_chat(system, messages),
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
    loop = chat.last["role"] == "tool" and not ADAPTS.match(facts.id)
    return MessagesRequest(chat, resolved(facts.id), bool(thinking) and not loop, prompt_blocks)


# Parameters


def _boolean(data: dict[str, Any], name: str) -> bool:
    value = data.get(name)
    if value is not None and not isinstance(value, bool):
        raise refused(f"{name}: Input should be a valid boolean")
    return bool(value)


def _cap(data: dict[str, Any], model_id: str) -> int:
    value = data.get("max_tokens")
    if value is None:
        raise refused("max_tokens: Field required")
    if not isinstance(value, int) or isinstance(value, bool):
        raise refused("max_tokens: Input should be a valid integer")
    if value < 1:
        raise refused("max_tokens: Input should be greater than or equal to 1")
    most = next(longest for pattern, longest in _LONGEST if pattern.match(model_id))
    if value > most:
        raise refused(
            f"max_tokens: {value} > {most}, which is the maximum allowed number of output tokens for "
            f"{resolved(model_id)}"
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
        if not ADAPTS.match(model_id):
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
        mark(f"{place}.cache_control", tool["cache_control"])
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
