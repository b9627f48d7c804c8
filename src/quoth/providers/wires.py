"""Which wire a call goes over.

The order of a model's wires comes from the list of models (`supported_endpoints`), for models that it does not describe
from their names. A call takes the first of them that carries all that is given exactly, else chat, which every model of
Poe's serves whatever its list says (recorded). A wire that was asked for is taken as it is. A request that was given in
the form of one wire goes over that wire where the model serves it.

Source: poe-platform/ai-sdk-provider-poe, which routes by the first endpoint and by such names; exchanges recorded in
March 2026.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from quoth.call import Call, Target
from quoth.providers.catalogue import Catalogue, ModelFacts
from quoth.providers.thinking import at_odds, thinking_for
from quoth.wire.carried import SPECIFIC, of_data_url
from quoth.wire.wires import wire_named

__all__ = [
    "CARRIED",
    "CHAT",
    "MESSAGES",
    "RESPONSES",
    "over_its_wire",
    "takes_form",
    "takes_tools",
    "wants_form",
    "wire_of",
    "wires_of",
]

CHAT, RESPONSES, MESSAGES = "openai_chat", "openai_responses", "anthropic_messages"
_ENDPOINTS = {"/v1/messages": MESSAGES, "/v1/responses": RESPONSES, "/v1/chat/completions": CHAT}
_BY_NAME: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = (
    (re.compile(r"claude-(sonnet|opus|haiku)\b"), (MESSAGES, RESPONSES, CHAT)),
    (re.compile(r"(gpt-\d|o\d)(?!.*(image|search|instruct|raw))"), (RESPONSES, CHAT)),
)
_COMMON = frozenset(
    (
        "max_completion_tokens max_tokens n parallel_tool_calls reasoning_effort stream stream_options temperature "
        "tool_choice tools top_p user functions function_call"
    ).split()
)
CARRIED: dict[str, frozenset[str]] = {
    RESPONSES: _COMMON
    | frozenset(
        (
            "include logprobs max_tool_calls metadata prompt_cache_key prompt_cache_retention reasoning "
            "response_format safety_identifier service_tier store text top_logprobs truncation verbosity "
            "web_search_options"
        ).split()
    ),
    MESSAGES: _COMMON | frozenset("stop thinking thinking_budget top_k web_search_options".split()),
}
_CAPS = ("max_tokens", "max_completion_tokens")
_LEAST_OUTPUT = 16  # tokens; OpenAI's Responses refuse a lower cap
# Tools with such types are another wire's.
_HOSTED = {
    MESSAGES: re.compile(r".+_20\d{6}|mcp_toolset"),
    RESPONSES: re.compile(
        r"web_search_preview|web_search|file_search|code_interpreter|image_generation|computer(_use_preview)?|mcp|"
        r"local_shell|shell|apply_patch|custom|tool_search|namespace"
    ),
}
_SEARCH = re.compile(r"web_search.*")


def wires_of(target: Target, facts: ModelFacts | None) -> tuple[str, ...]:
    """The wires that a target's model is served over, the first is preferred. A provider without a list of models
    serves all of its row's."""
    row = target.row.wires
    if target.catalogue is None or len(row) < 2:
        return row
    if facts is not None and facts.makes_media:
        return (CHAT,)
    listed = facts.supported_endpoints if facts is not None else None
    name = facts.id if facts is not None else target.model.lower()
    found: tuple[str, ...]
    if listed is None:
        found = next((wires for pattern, wires in _BY_NAME if pattern.match(name)), (CHAT,))
    else:
        found = tuple(_ENDPOINTS[path] for path in listed if path in _ENDPOINTS)
    if name.startswith("gemini"):
        # Over Responses its turns with tools lacked a text, and unfinished calls were not ended.
        found = (CHAT, *(wire for wire in found if wire != CHAT))
    found = tuple(wire for wire in found if wire in row)
    return found if CHAT in found or CHAT not in row else (*found, CHAT)


def takes_tools(target: Target, wire: str) -> bool:
    """False where a model's turns with tools come out of a wire broken, so that another is better."""
    return wire != RESPONSES or target.catalogue is None or not target.model.lower().startswith("gemini")


def takes_form(target: Target, wire: str, facts: ModelFacts | None) -> bool:
    """False where the form that an answer is to have is refused, and another of the model's wires takes it: over Poe's
    Messages."""
    refuses = wire == MESSAGES and "beta_fields_removed" in target.quirks
    return not refuses or RESPONSES not in wires_of(target, facts)


def wants_form(output_config: Any, output_format: Any) -> bool:
    """True for a request of the Messages API with these entries that says which form the answer is to have."""
    return bool(output_format) or (isinstance(output_config, Mapping) and bool(output_config.get("format")))


def wire_of(target: Target, call: Call) -> str:
    """The wire for this call. Raises BadRequestError for one that was asked for and does not exist."""
    if call.wire is not None:
        return wire_named(call.wire).name
    if target.fixed_wire:
        return target.wire
    wires = target.row.wires
    if len(wires) == 1:
        return wires[0]
    catalogue: Catalogue | None = target.catalogue
    facts = None if catalogue is None else catalogue.get(target.model)
    wires = wires_of(target, facts)
    if call.document is not None and call.surface in wires:
        if call.document.get("tools") and not takes_tools(target, call.surface):
            return CHAT
        formed = wants_form(call.document.get("output_config"), call.document.get("output_format"))
        return RESPONSES if formed and not takes_form(target, call.surface, facts) else call.surface
    for wire in wires:
        if _carries(wire, call, target, facts):
            return wire
    return CHAT if CHAT in wires else wires[0]


def over_its_wire(target: Target, call: Call) -> Target:
    """The target with the wire for this call; the same object when it has it already."""
    wire = wire_of(target, call)
    return target if wire == target.wire else replace(target, wire=wire)


def _carries(wire: str, call: Call, target: Target, facts: ModelFacts | None) -> bool:
    """True when nothing of the call would be lost or changed on this wire."""
    if wire == CHAT:
        return not any(_needs_another(message) for message in call.messages) and not _hosted(CHAT, call)
    carried = CARRIED[wire]
    for name, value in _given(call, target, facts):
        if name not in carried:
            return False
        if not _sayable(wire, name, value, call, target, facts):
            return False
    if _hosted(wire, call):
        return False
    return all(_fits(wire, message) for message in call.messages)


def _given(call: Call, target: Target, facts: ModelFacts | None) -> Iterator[tuple[str, Any]]:
    """What counts: not what the row says has no effect anyway, unless the model declares it."""
    literal = call.params.get("extra_body")
    for name, value in (*call.params.items(), *(literal.items() if isinstance(literal, Mapping) else ())):
        if name in ("extra_body", SPECIFIC) or name in call.additional_drop_params:
            continue
        rule = target.row.params.get(name)
        declared = facts is not None and facts.parameter(name) is not None
        if rule is None or rule.rule != "ignored" or declared or name == "response_format":
            yield name, value


def _sayable(wire: str, name: str, value: Any, call: Call, target: Target, facts: ModelFacts | None) -> bool:
    """True when the wire says just this value."""
    if name == "temperature" and wire == MESSAGES:
        return not isinstance(value, int | float) or value <= 1
    if name in _CAPS and wire == RESPONSES:
        return not isinstance(value, int) or value >= _LEAST_OUTPUT
    if name == "reasoning_effort":
        if wire == MESSAGES:
            thinking = thinking_for(value, target.model, facts)
            # Chat has no top_k, so that nothing is won there.
            others = {name for name in at_odds(call.params) if name != "top_k"}
            return thinking is not None and (thinking["type"] == "disabled" or not others)
        # Over Responses it is OpenAI's own word; models that call it otherwise take it over chat, translated.
        if facts is not None and facts.parameters is not None:
            return facts.parameter(name) is not None
        return not target.model.lower().startswith("claude")
    return True


def _hosted(wire: str, call: Call) -> bool:
    """True when a tool is given that this wire cannot say."""
    for tool in call.params.get("tools") or ():
        kind = tool.get("type") if isinstance(tool, Mapping) else None
        if not isinstance(kind, str) or (wire != CHAT and _SEARCH.fullmatch(kind)):
            continue
        if any(other != wire and pattern.fullmatch(kind) for other, pattern in _HOSTED.items()):
            return True
    return False


def _needs_another(message: Mapping[str, Any]) -> bool:
    """True for a message with something that chat has no place for."""
    return bool(message.get("thinking_blocks") or message.get("reasoning_items"))


def _fits(wire: str, message: Mapping[str, Any]) -> bool:
    if wire == RESPONSES and message.get("thinking_blocks"):
        return False
    if wire == MESSAGES and (message.get("reasoning_items") or message.get("audio")):
        return False
    content = message.get("content")
    return not isinstance(content, list) or all(_part_fits(wire, part) for part in _objects(content))


def _part_fits(wire: str, part: Mapping[str, Any]) -> bool:
    kind = part.get("type")
    if wire == RESPONSES and "cache_control" in part:
        return False
    if kind == "file":
        return _file_fits(part.get("file"))
    return kind in ("text", "image_url", "refusal") or (wire == MESSAGES and kind not in ("input_audio", "video_url"))


def _file_fits(file: Any) -> bool:
    """True for what both wires read: pictures, PDF and text."""
    url = file.get("file_data") if isinstance(file, Mapping) else None
    found = of_data_url(url[:64]) if isinstance(url, str) else None
    return found is None or found[0].startswith(("image/", "text/", "application/pdf", "application/json"))


def _objects(value: Iterable[Any]) -> Iterator[Mapping[str, Any]]:
    return (part for part in value if isinstance(part, Mapping))
