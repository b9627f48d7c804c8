"""Chat completions: from a valid request to the answer, whole or in chunks. Pure: ids and times are arguments."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from quoth.emulator import answers, attachments, media, tokens, tools
from quoth.emulator.chat_request import THINKING_PARAMETERS, ChatRequest
from quoth.emulator.faults import NONE, Fault
from quoth.emulator.files import Piece
from quoth.emulator.ledger import TOKENS_OF_A_PICTURE, Billed
from quoth.emulator.models import traits
from quoth.emulator.problems import Problem
from quoth.emulator.schemas import UnusableSchema, instance
from quoth.emulator.settings import Switches

__all__ = ["Outcome", "chat_id", "chunks", "completion", "decide"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the model answers.

    `usage` counts tokens as Poe shows them, `billed` as the provider counts them.
    `media` is what a media bot made; its pieces are the files by their path. `stopped_by` is the stop sequence that
    ended the content.
    """

    content: str
    finish_reason: str
    usage: dict[str, Any]
    billed: Billed
    reasoning: str | None = None
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    media: media.Media | None = None
    pieces: dict[str, Piece] = field(default_factory=dict)
    stopped_by: str | None = None


def decide(request: ChatRequest, seed: str, switches: Switches, origin: str) -> Outcome:
    """The answer to a request. `seed` only enters the ids of tool calls and the addresses of files, which begin with
    `origin`. Raises Problem for a bad schema."""
    try:
        made = tools.calls(request, seed)
        structured = None if made else _structured(request, switches)
    except UnusableSchema as error:
        param = "response_format" if request.response_format else "tools"
        raise Problem(400, f"Invalid '{param}': unusable JSON schema: {error}", param=param) from None
    hears = not made and attachments.is_transcriber(request.facts.id)
    drawn = None if made or hears else media.make(request, seed, origin)
    if made:
        content = tools.prose(request, made)
    elif hears:
        content = attachments.transcript(request, answers.tag(request))
    elif drawn is not None:
        content = drawn.content
    elif request.last["role"] == "tool":
        content = answers.from_tool_results(request)
    else:
        content = structured or answers.say(request)
    finish_reason, stopped_by = "tool_calls" if made else "stop", None
    if drawn is None and not made:
        content, finish_reason, stopped_by = _cut(content, request)
    reasoning = answers.reasoning(request) if drawn is None and _reasons(request) else None
    return Outcome(
        content=content,
        finish_reason=finish_reason,
        usage=_usage(request, content, reasoning, switches, is_file=drawn is not None and drawn.kind != "image"),
        billed=_billed(request, content, reasoning, made, pictures=len(drawn.pieces) if drawn else 0),
        reasoning=reasoning,
        tool_calls=made,
        media=drawn.kind if drawn else None,
        pieces=drawn.pieces if drawn else {},
        stopped_by=stopped_by,
    )


def _structured(request: ChatRequest, switches: Switches) -> str | None:
    """JSON text when the conversation asks for it in words, or `response_format` does and the model honours it."""
    asked_in_words = _schema_in(request.system) or _schema_in(request.prompt)
    if asked_in_words is not None:
        return json.dumps(instance(asked_in_words, request.prompt), ensure_ascii=False)
    wanted = request.response_format or {}
    models = switches.json_schema_models
    honoured = request.schema_honoured or models == "all" or (models != "none" and request.facts.id in models)
    if not honoured:
        return None
    if wanted.get("type") == "json_object":
        return json.dumps({"emulated": True, "answer": answers.say(request)}, ensure_ascii=False)
    described = wanted.get("json_schema")
    if (
        wanted.get("type") == "json_schema"
        and isinstance(described, dict)
        and isinstance(described.get("schema"), dict)
    ):
        return json.dumps(instance(described["schema"], request.prompt), ensure_ascii=False)
    return None


def _schema_in(text: str) -> dict[str, Any] | None:
    """The JSON schema that a text gives after those words; models follow one that they are told of in plain words."""
    _, found, rest = text.partition("JSON schema")
    start = rest.find("{")
    if not found or start < 0:
        return None
    try:
        schema, _ = json.JSONDecoder().raw_decode(rest[start:])
    except ValueError:
        return None
    return schema if isinstance(schema, dict) and {"type", "properties", "$ref", "anyOf"} & set(schema) else None


def _reasons(request: ChatRequest) -> bool:
    shown = traits(request.facts.id).reasoning
    if shown == "declared":
        declared = any(request.facts.parameter(name) for name in THINKING_PARAMETERS)
        return request.wants_reasoning and (declared or request.facts.reasoning is not None)
    return shown == "always" or (shown == "asked" and request.wants_reasoning)


def _cut(content: str, request: ChatRequest) -> tuple[str, str, str | None]:
    """The content up to the first stop sequence and at most `max_tokens` long, the finish reason and that sequence."""
    found = [(place, stop) for stop in request.stop if (place := content.find(stop)) >= 0]
    place, stopped_by = min(found) if found else (len(content), None)
    content = content[:place]
    limit = request.max_tokens
    if limit is not None:
        cut = tokens.pieces(content)
        if len(cut) > limit:
            return "".join(cut[:limit]), "length", None
    return content, "stop", stopped_by


def _usage(
    request: ChatRequest, content: str, reasoning: str | None, switches: Switches, *, is_file: bool
) -> dict[str, Any]:
    """Tokens as Poe shows them: of the visible text, so a tool call has none and neither has an audio or video file."""
    prompt, completion = request.prompt_tokens, 0 if is_file else tokens.count(content)
    style = {"recorded": traits(request.facts.id).usage, "always": "details", "never": "visible"}[
        switches.usage_details
    ]
    if style == "visible":
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    thought = tokens.count(reasoning or "")
    prompt += traits(request.facts.id).overhead
    total = {"completion_tokens": completion, "prompt_tokens": prompt, "total_tokens": prompt + completion}
    if style == "null-details":
        return {**total, "completion_tokens_details": None, "prompt_tokens_details": None}
    return {
        **total,
        "completion_tokens": completion + thought,
        "total_tokens": prompt + completion + thought,
        "completion_tokens_details": {
            "accepted_prediction_tokens": None,
            "audio_tokens": None,
            "reasoning_tokens": thought,
            "rejected_prediction_tokens": None,
        },
        "prompt_tokens_details": {"audio_tokens": None, "cached_tokens": 0},
    }


def _billed(
    request: ChatRequest, content: str, reasoning: str | None, made: list[dict[str, Any]], pictures: int
) -> Billed:
    """What the provider counts: also tool definitions, reasoning, and the arguments of tool calls."""
    definitions = tokens.count(json.dumps(request.tools)) if request.tools else 0
    called = sum(tokens.count(call["function"]["name"] + call["function"]["arguments"]) for call in made)
    completion = tokens.count(content) + tokens.count(reasoning or "") + called
    return Billed(request.prompt_tokens + definitions, completion, image=pictures * TOKENS_OF_A_PICTURE)


def completion(
    outcome: Outcome, chat_id: str, created: int, request: ChatRequest, switches: Switches
) -> dict[str, Any]:
    """The body of an answer that is not streamed. `created` is Unix seconds."""
    message: dict[str, Any] = {"role": "assistant", "content": outcome.content}
    if outcome.reasoning is not None:
        message |= {"reasoning_content": outcome.reasoning, "reasoning": outcome.reasoning}
    if outcome.tool_calls:
        message["tool_calls"] = outcome.tool_calls
    choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": outcome.finish_reason}
    body: dict[str, Any] = {"id": chat_id, "object": "chat.completion", "created": created, "model": request.model}
    if switches.empty_members:
        message["refusal"] = None
        choice["logprobs"] = None
        body |= {"choices": [choice], "usage": outcome.usage, "service_tier": None, "system_fingerprint": None}
        return body
    return {**body, "choices": [choice], "usage": outcome.usage}


def chunks(
    outcome: Outcome, chat_id: str, created: int, request: ChatRequest, switches: Switches, fault: Fault = NONE
) -> Iterator[dict[str, Any] | float]:
    """The chunks of a streamed answer: role, reasoning, content, tool calls, finish reason, usage.

    A media bot's progress stands before its content. A number is a pause, in seconds.
    """
    head = {"id": chat_id, "object": "chat.completion.chunk", "created": created, "model": request.model}

    def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}

    yield chunk({"role": "assistant", "content": ""})
    if fault.placeholder:
        yield from (chunk({"content": text}) for text in ("Generating...", "\nGenerating (1s elapsed)\n\n"))
    if outcome.media is not None:
        yield from _waiting(outcome.media, switches, lambda text: chunk({"content": text}))
    for piece in tokens.pieces(outcome.reasoning or ""):
        yield chunk({"reasoning_content": piece, "reasoning": piece})
    # An address comes at once, text token by token.
    for piece in [outcome.content] if outcome.media else tokens.pieces(outcome.content):
        yield chunk({"content": piece})
    for index, call in enumerate(outcome.tool_calls):
        function = call["function"]
        start = {**call, "function": {"name": function["name"], "arguments": ""}}
        yield chunk({"tool_calls": [{"index": index, **start}]})
        for piece in tokens.pieces(function["arguments"]):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    usage = outcome.usage if request.include_usage and not fault.no_usage else None
    final = chunk({}, outcome.finish_reason)
    if usage is not None and fault.usage == "last":
        final["usage"] = usage
    if not fault.no_final:
        yield final
    if usage is not None and fault.usage != "last":
        yield from ({**head, "choices": [], "usage": usage} for _ in range(2 if fault.usage == "twice" else 1))


def _waiting(
    kind: media.Media, switches: Switches, chunk: Callable[[str], dict[str, Any]]
) -> Iterator[dict[str, Any] | float]:
    """The time that making media takes, filled with progress if that is switched on."""
    texts = media.progress(kind, switches.media_delay) if switches.media_progress else []
    for text in texts:
        yield switches.media_delay / len(texts)
        yield chunk(text)
    if texts:
        yield chunk("\n")
    else:
        yield switches.media_delay


def chat_id(seed: str) -> str:
    """The id of an answer: `chatcmpl-` and 24 hexadecimal digits."""
    return "chatcmpl-" + hashlib.sha256(seed.encode()).hexdigest()[:24]
