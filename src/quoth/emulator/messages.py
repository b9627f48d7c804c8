"""Messages: from what a model answers to the body and the events of Anthropic's route. Pure: ids are arguments."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from quoth.emulator import answers, tokens
from quoth.emulator.chat import Outcome
from quoth.emulator.faults import NONE, Fault
from quoth.emulator.ledger import Billed
from quoth.emulator.message_blocks import SIGNED_THINKING
from quoth.emulator.message_prompt import AFTER
from quoth.emulator.messages_request import MessagesRequest
from quoth.emulator.problems import Problem
from quoth.emulator.prompt_cache import Used
from quoth.emulator.seals import seal
from quoth.emulator.tools import letters

__all__ = ["billed", "cached_from", "envelope", "events", "limit_headers", "request_id", "write"]

Block = dict[str, Any]

# Anthropic itself, not Google, was seen behind the newest models.
_DIRECT = re.compile(r"claude-(opus|sonnet)-4\.[6-9]")

# The least that a prefix must have to be remembered, in tokens; the first row that matches decides.
_MINIMA = (
    (re.compile(r"claude-(haiku-4\.5|opus-4\.[5-9])"), 4_096),
    (re.compile(r"claude-(haiku-3|sonnet-4\.[6-9])"), 2_048),
    (re.compile(r""), 1_024),
)
_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}

# How Anthropic names what Poe names otherwise.
_TYPES = {402: "billing_error", 403: "permission_error", 408: "timeout_error", 500: "api_error", 502: "api_error",
          503: "api_error"}  # fmt: skip


def cached_from(model_id: str) -> int:
    """Tokens that a prefix must have to be remembered."""
    return next(least for pattern, least in _MINIMA if pattern.match(model_id))


def request_id(seed: str) -> str:
    """The id of an answer, which is that of its request: `req_poe_` and 32 hexadecimal digits."""
    return f"req_poe_{hashlib.sha256(f'message/{seed}'.encode()).hexdigest()[:32]}"


def limit_headers(limit: int, remaining: int, full_at: float) -> tuple[tuple[str, str], ...]:
    """Where the key stands, in Anthropic's words. `full_at` is Unix seconds."""
    return (
        ("anthropic-ratelimit-requests-limit", str(limit)),
        ("anthropic-ratelimit-requests-remaining", str(remaining)),
        ("anthropic-ratelimit-requests-reset", datetime.fromtimestamp(full_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")),
    )


def envelope(problem: Problem, seed: str, *, as_text: bool) -> dict[str, Any]:
    """The body of an error. `as_text` has what the provider said as the JSON text that it was."""
    told = {"type": _type_of(problem), "message": problem.message}
    if problem.upstream and as_text:
        upstream_id = f"req_011{letters(f'{seed}/upstream', 21)}"
        told["message"] = json.dumps({"type": "error", "error": told, "request_id": upstream_id})
    return {"type": "error", "error": told, "request_id": request_id(seed)}


def _type_of(problem: Problem) -> str:
    usual = Problem(problem.status).type
    return _TYPES.get(problem.status, problem.type) if problem.type == usual else problem.type


# The answer


def write(request: MessagesRequest, outcome: Outcome, seed: str, used: Used) -> dict[str, Any]:
    """The body of an answer; `used` is what the prompt cache did."""
    reason = "stop_sequence" if outcome.stopped_by is not None else _STOP_REASONS[outcome.finish_reason]
    return {
        "model": request.upstream,
        "id": request_id(seed),
        "type": "message",
        "role": "assistant",
        "content": _content(request, outcome, seed),
        "stop_reason": reason,
        "stop_sequence": outcome.stopped_by,
        "usage": _usage(request, outcome, used),
    }


def _content(request: MessagesRequest, outcome: Outcome, seed: str) -> list[Block]:
    blocks: list[Block] = []
    if request.thinks:
        thinking = answers.reasoning(request.chat)
        blocks.append({"type": "thinking", "thinking": thinking, "signature": seal(SIGNED_THINKING, thinking)})
    direct = _DIRECT.match(request.chat.facts.id) is not None
    text = outcome.content or _announced(outcome)
    if text:
        blocks.append({"type": "text", "text": text})
    for number, call in enumerate(outcome.tool_calls):
        function = call["function"]
        call_id = f"toolu_{'' if direct else 'vrtx_'}01{letters(f'{seed}/{number}', 22)}"
        block = {
            "type": "tool_use",
            "id": call_id,
            "name": function["name"],
            "input": json.loads(function["arguments"]),
        }
        blocks.append({**block, "caller": {"type": "direct"}} if direct else block)
    return blocks


def _announced(outcome: Outcome) -> str:
    """Claude says what it is about to do."""
    names = list(dict.fromkeys(call["function"]["name"] for call in outcome.tool_calls))
    return (
        f"I'll use the {' and '.join(names)} tool{'s' if len(names) > 1 else ''} for that (emulated)." if names else ""
    )


def _usage(request: MessagesRequest, outcome: Outcome, used: Used) -> dict[str, Any]:
    prompt = sum(block.tokens for block in request.blocks) + AFTER
    fresh = prompt - used.read - used.written - used.written_hour
    made = _made(request, outcome)
    usage: dict[str, Any] = {
        "input_tokens": fresh,
        "cache_creation_input_tokens": used.written + used.written_hour,
        "cache_read_input_tokens": used.read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": used.written,
            "ephemeral_1h_input_tokens": used.written_hour,
        },
        "output_tokens": made,
    }
    if _DIRECT.match(request.chat.facts.id):
        usage |= {"service_tier": "standard", "inference_geo": "global"}
    return {**usage, "total_tokens": fresh + made}


def _made(request: MessagesRequest, outcome: Outcome) -> int:
    spoken = outcome.content or _announced(outcome)
    called = sum(tokens.count(call["function"]["name"] + call["function"]["arguments"]) for call in outcome.tool_calls)
    thought = tokens.count(answers.reasoning(request.chat)) if request.thinks else 0
    return tokens.count(spoken) + called + thought + 1


def billed(body: dict[str, Any], used: Used) -> Billed:
    """What the provider counts; the prompt includes what was read from the cache or written to it."""
    usage = body["usage"]
    return Billed(
        usage["input_tokens"] + sum(used),
        usage["output_tokens"],
        cached=used.read,
        written=used.written,
        written_hour=used.written_hour,
    )


# Streams

Event = tuple[str, dict[str, Any]]


def events(body: dict[str, Any], fault: Fault = NONE) -> Iterator[Event]:
    """The events of a streamed answer, in Anthropic's order: name and payload."""
    for name, payload in _events(body, fault):
        yield name, {"type": name, **payload}


def _events(body: dict[str, Any], fault: Fault) -> Iterator[Event]:
    usage = body["usage"]
    begun = {**body, "content": [], "stop_reason": None, "stop_sequence": None}
    begun["usage"] = {name: value for name, value in usage.items() if name != "total_tokens"} | {"output_tokens": 1}
    if fault.no_usage:
        del begun["usage"]
    yield "message_start", {"message": begun}
    for index, block in enumerate(body["content"]):
        yield "content_block_start", {"index": index, "content_block": _opened(block)}
        if index == 0:
            yield "ping", {}
        for delta in _deltas(block, fault):
            yield "content_block_delta", {"index": index, "delta": delta}
        yield "content_block_stop", {"index": index}
    final: dict[str, Any] = {"delta": {"stop_reason": body["stop_reason"], "stop_sequence": body["stop_sequence"]}}
    if not fault.no_usage:
        counted = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")
        final["usage"] = {name: usage[name] for name in counted}
    if not fault.no_final:
        yield "message_delta", final
    if not fault.no_done:
        yield "message_stop", {}


def _opened(block: Block) -> Block:
    if block["type"] == "text":
        return {"type": "text", "text": ""}
    if block["type"] == "thinking":
        return {"type": "thinking", "thinking": "", "signature": ""}
    return {**block, "input": {}}


def _deltas(block: Block, fault: Fault) -> Iterator[dict[str, Any]]:
    if block["type"] == "text":
        if fault.placeholder:
            yield {"type": "text_delta", "text": "Generating...\n\n"}
        for piece in tokens.pieces(block["text"]):
            yield {"type": "text_delta", "text": piece}
    elif block["type"] == "thinking":
        for piece in tokens.pieces(block["thinking"]):
            yield {"type": "thinking_delta", "thinking": piece}
        yield {"type": "signature_delta", "signature": block["signature"]}
    else:
        yield {"type": "input_json_delta", "partial_json": ""}
        for piece in tokens.pieces(json.dumps(block["input"], ensure_ascii=False)):
            yield {"type": "input_json_delta", "partial_json": piece}
