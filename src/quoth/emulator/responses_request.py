"""The request of Responses: what Poe accepts there, what it refuses and with which words.

Bytes in, `ResponsesRequest` out, or `Problem` raised. The conversation is brought into the form of a chat request, from
which the same rules make the answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from quoth.emulator.chat_request import ChatRequest, decoded, invalid, is_number, must, typed
from quoth.emulator.models import find, is_free, serves, traits
from quoth.emulator.problems import Problem
from quoth.emulator.response_items import Item, as_chat, items_of, needs_texts
from quoth.emulator.settings import Switches
from quoth.emulator.upstream import resolved
from quoth.providers.catalogue import ModelFacts

__all__ = ["ENDPOINT", "ResponsesRequest", "read"]

ENDPOINT = "/v1/responses"

_FIELDS = frozenset(
    """
    model input instructions stream stream_options max_output_tokens temperature top_p reasoning text tools tool_choice
    parallel_tool_calls previous_response_id truncation include metadata service_tier store user safety_identifier
    prompt_cache_key prompt_cache_retention background max_tool_calls top_logprobs
    """.split()
)
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
_TOOLS = tuple(
    """
    function custom web_search_preview web_search local_shell shell apply_patch image_generation code_interpreter
    file_search mcp namespace
    """.split()
)
_NOTHING: dict[str, Any] = {"type": "object", "properties": {}}
# What a custom tool takes, said as a function would say it.
_PLAIN_TEXT = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
_THINKS = re.compile(r"o\d|gpt-5(?!-chat)|assistant$")
_NO_SUMMARY = re.compile(r"gpt-5\.3-codex-spark$")


@dataclass(frozen=True, slots=True)
class ResponsesRequest:
    """A valid request. `data` is its body as sent, `items` its input as items, earlier turns included.

    `effort` and `summary` are as asked, None when not; `thinks` is whether the model can reason at all. `customs` are
    the tools that take plain text, `spaces` the namespaces of those that have one.
    """

    chat: ChatRequest
    data: dict[str, Any]
    items: list[Item]
    effort: str | None = None
    summary: str | None = None
    thinks: bool = False
    sealed: bool = False
    customs: frozenset[str] = frozenset()
    spaces: Mapping[str, str] = field(default_factory=dict)

    @property
    def facts(self) -> ModelFacts:
        return self.chat.facts


def read(body: bytes, switches: Switches, kept: Mapping[str, list[Item]]) -> ResponsesRequest:
    """The request in `body`. `kept` has the conversations of earlier answers by id. Raises Problem."""
    data = decoded(body)
    facts = _model(data)
    _known(data, facts, switches)
    earlier = _previous(data, facts, switches, kept)
    items = [*earlier, *items_of(data.get("input"))]
    instructions = typed(data, "instructions", str, "a string")
    messages = as_chat(items)
    if instructions and switches.instructions:
        messages.insert(0, {"role": "system", "content": instructions})
    tools, choice = _tools(data, facts), data.get("tool_choice")
    effort, summary = _reasoning(data, facts, switches)
    text_format = (typed(data, "text", dict, "an object") or {}).get("format")
    chat = ChatRequest(
        model=data["model"],
        facts=facts,
        messages=messages,
        stream=bool(typed(data, "stream", bool, "a boolean")),
        max_tokens=_cap(data),
        tools=tools,
        tool_choice=_choice(choice, tools),
        parallel_tool_calls=typed(data, "parallel_tool_calls", bool, "a boolean") is not False,
        response_format=_format(text_format),
        custom={name: value for name, value in data.items() if facts.parameter(name) is not None},
        schema_honoured=True,
    )
    _ranges(data)
    if not switches.subscriber and not is_free(facts):
        raise Problem(402, "This model needs a subscription or add-on points.")
    window = facts.context_window
    if not facts.makes_media and window and chat.prompt_tokens > window:
        raise Problem(413, f"The prompt has {chat.prompt_tokens} tokens, the model's context window {window}.")
    include = typed(data, "include", list, "a list") or []
    return ResponsesRequest(
        chat,
        data,
        items,
        effort=effort,
        summary=summary,
        thinks=_THINKS.match(facts.id) is not None,
        sealed="reasoning.encrypted_content" in include,
        customs=frozenset(tool["name"] for tool in data.get("tools") or () if tool["type"] == "custom"),
        spaces={
            tool["name"]: space["name"]
            for space in data.get("tools") or ()
            if space["type"] == "namespace"
            for tool in space["tools"]
            if "name" in tool
        },
    )


def _model(data: dict[str, Any]) -> ModelFacts:
    model = data.get("model")
    if not isinstance(model, str) or not model:
        raise invalid("model", "Missing required parameter: 'model'." if model is None else must("model", "a string"))
    facts = find(model)
    if facts is None:
        raise Problem(404, f"The model '{model}' does not exist or you do not have access to it.", param="model")
    if not serves(facts, ENDPOINT):
        raise Problem(400, f"Model {facts.id} does not support the Responses API.", param="model")
    return facts


def _known(data: dict[str, Any], facts: ModelFacts, switches: Switches) -> None:
    for name in data:
        if switches.strict and name not in _FIELDS and facts.parameter(name) is None:
            raise Problem(400, f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")


def _previous(
    data: dict[str, Any], facts: ModelFacts, switches: Switches, kept: Mapping[str, list[Item]]
) -> list[Item]:
    """The turns before `previous_response_id`, which Poe cannot serve: nothing is kept."""
    previous = typed(data, "previous_response_id", str, "a string")
    if not previous:
        return []
    if switches.previous_responses:
        if previous not in kept:
            raise Problem(
                400,
                f"Previous response with id '{previous}' not found.",
                param="previous_response_id",
                code="previous_response_not_found",
            )
        return kept[previous]
    if facts.owned_by != "OpenAI":
        raise Problem(500)
    raise Problem(
        400,
        "Previous response cannot be used for this organization due to Zero Data Retention.",
        param="previous_response_id",
        code="unsupported_parameter",
    )


# Parameters


def _reasoning(data: dict[str, Any], facts: ModelFacts, switches: Switches) -> tuple[str | None, str | None]:
    """The effort and the summary that are asked for; a value that the upstream model lacks is an error."""
    wanted = typed(data, "reasoning", dict, "an object") or {}
    effort, summary = wanted.get("effort"), wanted.get("summary", wanted.get("generate_summary"))
    upstream = resolved(facts.id)
    if summary is not None and _NO_SUMMARY.match(facts.id):
        raise Problem(
            400,
            f"Unsupported parameter: 'reasoning.summary' is not supported with the '{upstream}' model.",
            param="reasoning.summary",
            code="unsupported_parameter",
        )
    if effort is None or not switches.strict or facts.owned_by not in ("OpenAI", "Poe"):
        return effort, summary
    if not _THINKS.match(facts.id):
        raise Problem(
            400,
            "Unsupported parameter: 'reasoning.effort' is not supported with this model.",
            param="reasoning.effort",
            code="unsupported_parameter",
        )
    declared = facts.parameter("reasoning_effort")
    allowed = traits(facts.id).efforts or (declared.enum if declared is not None and declared.enum else _EFFORTS)
    if effort not in allowed:
        choices = ", ".join(f"'{choice}'" for choice in allowed)
        raise Problem(
            400,
            f"Unsupported value: '{effort}' is not supported with the '{upstream}' model. "
            f"Supported values are: {choices}.",
            param="reasoning.effort",
            code="unsupported_value",
        )
    return effort, summary


def _cap(data: dict[str, Any]) -> int | None:
    value = data.get("max_output_tokens")
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 16:
        raise Problem(
            400,
            "Invalid 'max_output_tokens': integer below minimum value. "
            f"Expected a value >= 16, but got {value} instead.",
            param="max_output_tokens",
            code="integer_below_min_value",
        )
    return value


def _ranges(data: dict[str, Any]) -> None:
    for name, high in (("temperature", 2), ("top_p", 1)):
        value = data.get(name)
        if value is not None and not (is_number(value) and 0 <= value <= high):
            raise invalid(name, must(name, f"a number from 0 to {high}"))
    if data.get("truncation") not in (None, "auto", "disabled"):
        raise invalid("truncation", must("truncation", "auto or disabled"))
    metadata = typed(data, "metadata", dict, "an object") or {}
    if not all(len(name) <= 64 and isinstance(value, str) and len(value) <= 512 for name, value in metadata.items()):
        raise invalid("metadata", must("metadata", "texts of at most 512 characters by names of at most 64"))


def _format(wanted: Any) -> dict[str, Any] | None:
    """`text.format` in the form of `response_format`."""
    if wanted is None:
        return None
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if kind in ("text", "json_object"):
        return {"type": kind}
    if kind != "json_schema":
        raise invalid("text.format.type", must("text.format.type", "text, json_object or json_schema"))
    if not isinstance(wanted.get("name"), str) or not isinstance(wanted.get("schema"), dict):
        missing = "name" if not isinstance(wanted.get("name"), str) else "schema"
        raise Problem(
            400,
            f"Missing required parameter: 'text.format.{missing}'.",
            param=f"text.format.{missing}",
            code="missing_required_parameter",
        )
    return {"type": kind, "json_schema": {"name": wanted["name"], "schema": wanted["schema"]}}


def _tools(data: dict[str, Any], facts: ModelFacts) -> list[dict[str, Any]]:
    """The functions in the form of chat completions; tools that the provider would run itself are taken and not run."""
    given = typed(data, "tools", list, "a list") or []
    functions = []
    places = [(f"tools[{index}]", tool) for index, tool in enumerate(given)]
    for place, tool in places:
        kind = tool.get("type") if isinstance(tool, dict) else None
        if kind not in _TOOLS:
            known = ", ".join(f"'{name}'" for name in _TOOLS)
            raise Problem(
                400,
                f"Invalid value: '{kind}'. Supported values are: {known}.",
                param=f"{place}.type",
                code="invalid_value",
            )
        if kind in ("function", "custom"):
            needs_texts(place, tool, "name")
            parameters = _PLAIN_TEXT if kind == "custom" else tool.get("parameters") or _NOTHING
            functions.append({"type": "function", "function": {**tool, "parameters": parameters}})
        if kind == "namespace":
            needs_texts(place, tool, "name", "description")
            within = tool.get("tools")
            if not isinstance(within, list):
                raise invalid(f"{place}.tools", must(f"{place}.tools", "a list"))
            places += [(f"{place}.tools[{index}]", one) for index, one in enumerate(within)]
    features = facts.supported_features
    if functions and ((features is not None and "tools" not in features) or traits(facts.id).rejects_tools):
        raise Problem(
            400,
            f"Model {facts.id} does not support tool calling. "
            "Use a tool-capable model or remove tools from the request.",
            param="model",
            code="unsupported_feature_for_model",
        )
    return functions


def _choice(value: Any, tools: list[dict[str, Any]]) -> str | dict[str, Any]:
    if value in (None, "auto", "none"):
        return value or "auto"
    if value == "required":
        return "required" if tools else "auto"
    if isinstance(value, dict) and value.get("type") in ("function", "custom"):
        if any(tool["function"]["name"] == value.get("name") for tool in tools):
            return {"type": "function", "function": {"name": value["name"]}}
        raise invalid("tool_choice", f"Tool choice '{value.get('name')}' not found in 'tools' parameter.")
    if isinstance(value, dict) and value.get("type") in (*_TOOLS, "allowed_tools"):
        return "auto"
    raise invalid("tool_choice", must("tool_choice", "auto, none, required or one of the functions in 'tools'"))
