"""Responses: from what a model answers to the body of that route. Pure: ids and times are arguments.

OpenAI's models are passed through as OpenAI answers; those of Google and Anthropic are translated on Poe's side, and
their answers look different.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from quoth.emulator import answers, tokens
from quoth.emulator.chat import Outcome
from quoth.emulator.chat_request import text_of
from quoth.emulator.ledger import TOKENS_OF_A_PICTURE, Billed
from quoth.emulator.prompt_cache import Block
from quoth.emulator.response_items import SEALED_REASONING, Item
from quoth.emulator.responses_request import ResponsesRequest
from quoth.emulator.seals import seal
from quoth.emulator.settings import Switches
from quoth.emulator.tools import letters
from quoth.emulator.upstream import resolved

__all__ = ["CACHED_FROM", "CACHED_IN_STEPS_OF", "Written", "blocks", "write"]

CACHED_FROM, CACHED_IN_STEPS_OF = 1_024, 128  # tokens; OpenAI caches by itself

_TOKENS_OF_AN_INPUT_PICTURE = 1_810
_TOKENS_OF_TOOLS, _TOKENS_OF_A_TOOL = 10, 14
_THOUGHT = {"minimal": 0, "low": 64, "medium": 128, "high": 256, "xhigh": 512}


class _Style(NamedTuple):
    """How one family was seen to answer: what it takes when nothing is said, and small differences of shape.

    `overhead` is tokens beyond the text, `spaced` whether arguments have blanks, `phase` whether a message says that it
    is the final answer, `thinks_before_tools` whether reasoning precedes a tool call.
    """

    effort: str | None = None
    top_p: float = 1
    overhead: int = 6
    spaced: bool = False
    phase: bool = False
    thinks_before_tools: bool = True


_STYLES = tuple(
    (re.compile(pattern), style)
    for pattern, style in (
        (r"gpt-5\.\d-instant$", _Style("medium", 0.85, thinks_before_tools=False)),
        (r"gpt-5\.[4-9](-mini|-nano)?$", _Style("none", 0.98, phase=True)),
        (r"gpt-5\.[4-9]", _Style("medium", 0.98, phase=True)),
        (r"gpt-5\.2$", _Style("none", 0.98)),
        (r"gpt-5\.[23]", _Style("medium", 0.98)),
        (r"gpt-5\.1$", _Style("none")),
        (r"gpt-5-chat|gpt-[34]|chatgpt", _Style(overhead=7)),
        (r"o3-mini", _Style("medium", spaced=True)),
        (r"gpt-5|o\d|assistant$", _Style("medium")),
        (r"", _Style(overhead=0)),
    )
)


class Written(NamedTuple):
    """An answer: its body, and what the bill needs."""

    body: dict[str, Any]
    output: list[Item]
    billed: Billed


def _style(model_id: str) -> _Style:
    return next(style for pattern, style in _STYLES if pattern.match(model_id))


def _provider(request: ResponsesRequest) -> str:
    owner = request.facts.owned_by
    return "anthropic" if owner == "Anthropic" else "vertex_ai" if owner == "Google" else "openai"


def _response_id(request: ResponsesRequest, seed: str, created: int) -> str:
    """The id of an answer: `resp_` and base64 of what LiteLLM, which Poe runs inside, puts there."""
    provider = _provider(request)
    upstream = f"resp_{_hexadecimal(seed, 'response', created)}" if provider == "openai" else _vertex_id(seed)
    told = f"litellm:custom_llm_provider:{provider};model_id:None;response_id:{upstream}"
    return "resp_" + base64.b64encode(told.encode()).decode()


def _hexadecimal(seed: str, part: str, created: int) -> str:
    """Fifty digits as in OpenAI's ids: the first are the same in all ids of an answer, then comes the time."""
    shared = hashlib.sha256(seed.encode()).hexdigest()[:15]
    own = hashlib.sha256(f"{seed}/{part}".encode()).hexdigest()[:24]
    return f"0{shared}01{created:08x}{own}"


def _vertex_id(seed: str) -> str:
    return letters(f"{seed}/vertex", 22)


# Tokens


def blocks(request: ResponsesRequest) -> list[Block]:
    """The prompt as blocks for the prompt cache: tools first, then the messages."""
    overhead = _style(request.facts.id).overhead
    found = []
    if request.chat.tools:
        functions = [tool["function"] for tool in request.chat.tools]
        names = sum(tokens.count(" ".join(_said(function))) for function in functions)
        counted = names + _TOKENS_OF_TOOLS + _TOKENS_OF_A_TOOL * len(functions)
        found.append(Block(json.dumps(functions, sort_keys=True).encode(), counted))
    for message in request.chat.messages:
        content = message["content"]
        pictures = sum(1 for part in content if part["type"] == "image_url") if isinstance(content, list) else 0
        counted = tokens.count(text_of(message)) + pictures * _TOKENS_OF_AN_INPUT_PICTURE
        for call in message.get("tool_calls", ()):
            counted += tokens.count(call["function"]["name"] + call["function"]["arguments"])
        found.append(Block(json.dumps(message, sort_keys=True).encode("utf-8", "replace"), counted + overhead))
        overhead = 3
    return found


def _said(value: Any) -> Iterator[str]:
    """The names and descriptions in a tool, which is what its definition costs."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if isinstance(inner, str) and name in ("name", "description"):
                yield inner
            elif isinstance(inner, (dict, list)):
                if name == "properties" and isinstance(inner, dict):
                    yield from inner
                yield from _said(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _said(inner)


# The answer


def write(
    request: ResponsesRequest,
    outcome: Outcome,
    seed: str,
    created: int,
    switches: Switches,
    *,
    prompt: int,
    cached: int = 0,
) -> Written:
    """The body of an answer. `created` is Unix seconds, `prompt` tokens, of which `cached` came from the cache."""
    openai = _provider(request) == "openai"
    effort = request.effort or _style(request.facts.id).effort
    reasons = request.thinks and openai and effort not in (None, "none") and _shown(request, outcome)
    output = _output(request, outcome, seed, created, reasons, switches)
    thought = _THOUGHT.get(str(effort), 128) if reasons else 0
    visible = tokens.count(outcome.content)
    visible += sum(
        tokens.count(call["function"]["name"] + call["function"]["arguments"]) for call in outcome.tool_calls
    )
    usage = _usage(prompt, cached, visible, thought, translated=not openai)
    base = _openai_body if openai else _translated_body
    body = base(request, seed, created, output, usage, effort)
    if outcome.finish_reason == "length":
        body["status"], body["incomplete_details"] = "incomplete", {"reason": "max_output_tokens"}
        output[-1]["status"] = "incomplete"
        if "completed_at" in body:
            body["completed_at"] = None
    bill = Billed(prompt, visible + thought, cached=cached, image=len(outcome.pieces) * TOKENS_OF_A_PICTURE)
    return Written(body, output, bill)


def _shown(request: ResponsesRequest, outcome: Outcome) -> bool:
    return not outcome.tool_calls or _style(request.facts.id).thinks_before_tools


def _usage(prompt: int, cached: int, visible: int, thought: int, *, translated: bool) -> dict[str, Any]:
    seen, made = {"cached_tokens": cached}, {"reasoning_tokens": thought}
    if translated:
        seen["text_tokens"], made["text_tokens"] = prompt, visible
    return {
        "input_tokens": prompt,
        "input_tokens_details": seen,
        "output_tokens": visible + thought,
        "output_tokens_details": made,
        "total_tokens": prompt + visible + thought,
    }


def _output(
    request: ResponsesRequest, outcome: Outcome, seed: str, created: int, reasons: bool, switches: Switches
) -> list[Item]:
    style, openai = _style(request.facts.id), _provider(request) == "openai"
    items: list[Item] = []
    if reasons:
        item_id = f"rs_{_hexadecimal(seed, 'reasoning', created)}"
        summary = [{"text": answers.reasoning(request.chat), "type": "summary_text"}] if request.summary else []
        items.append({"id": item_id, "summary": summary, "type": "reasoning"})
        if request.sealed:
            items[-1]["encrypted_content"] = seal(SEALED_REASONING, item_id)
    message_id = f"msg_{_hexadecimal(seed, 'message', created)}" if openai else _vertex_id(seed)
    if not outcome.tool_calls or outcome.content:
        items.append(_message(message_id, outcome.content, openai))
        if style.phase and openai:
            items[-1]["phase"] = "final_answer" if not outcome.tool_calls else "commentary"
    elif not openai and request.facts.owned_by == "Google":
        # The turn that calls a tool has a message too, whose text was left out.
        items.append(_message(message_id, "", openai))
        if switches.profile == "observed":
            del items[-1]["content"][0]["text"]
    for number, call in enumerate(outcome.tool_calls):
        function = call["function"]
        arguments = function["arguments"]
        if function["name"] in request.customs:
            items.append(_custom_call(function, seed, number, created))
            continue
        if openai and not style.spaced:
            arguments = json.dumps(json.loads(arguments), ensure_ascii=False, separators=(",", ":"))
        items.append(
            {
                "arguments": arguments,
                "call_id": f"call_{letters(f'{seed}/{number}', 24)}",
                "name": function["name"],
                **({"namespace": request.spaces[function["name"]]} if function["name"] in request.spaces else {}),
                "type": "function_call",
                "id": f"fc_{_hexadecimal(seed, f'call/{number}', created)}",
                "status": "completed",
            }
        )
    return items


def _custom_call(function: dict[str, Any], seed: str, number: int, created: int) -> Item:
    """The call of a tool that takes plain text."""
    return {
        "id": f"ctc_{_hexadecimal(seed, f'call/{number}', created)}",
        "type": "custom_tool_call",
        "status": "completed",
        "call_id": f"call_{letters(f'{seed}/{number}', 24)}",
        "input": json.loads(function["arguments"])["input"],
        "name": function["name"],
    }


def _message(item_id: str, text: str, openai: bool) -> Item:
    content: dict[str, Any] = {"annotations": [], "text": text, "type": "output_text"}
    if openai:
        content["logprobs"] = []
    return {"id": item_id, "content": [content], "role": "assistant", "status": "completed", "type": "message"}


def _openai_body(
    request: ResponsesRequest, seed: str, created: int, output: list[Item], usage: dict[str, Any], effort: str | None
) -> dict[str, Any]:
    """All members in the recorded order."""
    data, style = request.data, _style(request.facts.id)
    return {
        "id": _response_id(request, seed, created),
        "created_at": created,
        "metadata": data.get("metadata") or {},
        "model": resolved(request.facts.id),
        "object": "response",
        "output": output,
        "parallel_tool_calls": request.chat.parallel_tool_calls,
        "temperature": _given(data, "temperature", 1),
        "tool_choice": _given(data, "tool_choice", "auto"),
        "tools": [_tool(tool) for tool in data.get("tools") or ()],
        "top_p": _given(data, "top_p", style.top_p),
        # "auto" comes back as what it stands for.
        "reasoning": {"effort": effort, "summary": "detailed" if request.summary == "auto" else request.summary},
        "status": "completed",
        "text": _text(data),
        "truncation": _given(data, "truncation", "disabled"),
        "usage": usage,
        "store": False,
        "background": False,
        "billing": {"payer": "developer"},
        "completed_at": created,
        "frequency_penalty": 0,
        "presence_penalty": 0,
        "service_tier": "default",
        "top_logprobs": _given(data, "top_logprobs", 0),
        "error": None,
        "incomplete_details": None,
        "instructions": data.get("instructions"),
        "max_output_tokens": data.get("max_output_tokens"),
        "max_tool_calls": data.get("max_tool_calls"),
        "previous_response_id": data.get("previous_response_id"),
        "safety_identifier": data.get("safety_identifier"),
        "prompt_cache_key": data.get("prompt_cache_key"),
    }


def _translated_body(
    request: ResponsesRequest, seed: str, created: int, output: list[Item], usage: dict[str, Any], effort: str | None
) -> dict[str, Any]:
    """The body of a model that is not OpenAI's, as LiteLLM translates it."""
    data = request.data
    body: dict[str, Any] = {
        "id": _response_id(request, seed, created),
        "created_at": created,
        "metadata": data.get("metadata") or {},
        "model": resolved(request.facts.id),
        "object": "response",
        "output": output,
        "parallel_tool_calls": False,
        "temperature": _given(data, "temperature", 0),
        "tool_choice": _given(data, "tool_choice", "auto"),
        "tools": data.get("tools") or [],
        "top_p": data.get("top_p"),
        "reasoning": data.get("reasoning"),
        "status": "completed",
        "text": data.get("text"),
        "truncation": data.get("truncation"),
        "usage": usage,
        "store": True,
        "error": None,
        "incomplete_details": None,
        "instructions": data.get("instructions"),
        "max_output_tokens": data.get("max_output_tokens"),
        "previous_response_id": data.get("previous_response_id"),
        "user": data.get("user"),
    }
    if _provider(request) == "vertex_ai":
        body["provider_specific_fields"] = {"traffic_type": "ON_DEMAND"}
    return body


def _given(data: dict[str, Any], name: str, default: Any) -> Any:
    value = data.get(name)
    return default if value is None else value


def _text(data: dict[str, Any]) -> dict[str, Any]:
    text = data.get("text") or {}
    wanted = text.get("format") or {"type": "text"}
    if wanted["type"] == "json_schema":
        wanted = {
            "type": "json_schema",
            "description": wanted.get("description"),
            "name": wanted["name"],
            "schema": wanted["schema"],
            "strict": bool(wanted.get("strict")),
        }
    return {"format": wanted, "verbosity": text.get("verbosity") or "medium"}


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    """A tool as OpenAI gives it back: without `$schema`, strict if it can be and nothing else was said."""
    if tool["type"] != "function":
        return tool
    parameters = tool.get("parameters")
    if isinstance(parameters, dict):
        parameters = {name: value for name, value in parameters.items() if name != "$schema"}
    strict = tool.get("strict")
    return {
        "name": tool["name"],
        "parameters": parameters,
        "strict": _could_be_strict(parameters) if strict is None else strict,
        "type": "function",
        "description": tool.get("description"),
    }


def _could_be_strict(parameters: Any) -> bool:
    if not isinstance(parameters, dict) or parameters.get("additionalProperties") is not False:
        return False
    properties = parameters.get("properties")
    return isinstance(properties, dict) and set(properties) == set(parameters.get("required") or ())
