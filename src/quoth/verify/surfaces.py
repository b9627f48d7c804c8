"""The probes of Responses, Messages, videos and images: what `probes` does for chat, for the other surfaces.

What would cost much is asked only where it is refused: nobody makes a video to see whether one can be made.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

from quoth.verify.asking import MESSAGES, RESPONSES, Asker, Exchange
from quoth.verify.probes import Judged, Probe, keys, not_taken, refused, unsure

__all__ = ["SURFACES"]

SURFACES: dict[str, Probe] = {}

_OPENAI = ("gpt-4.1-nano", "gpt-5-nano", "gpt-4o-mini")
_CLAUDE = ("claude-haiku-3", "claude-haiku-3.5", "claude-haiku-4.5")
_INSTANT = ("gpt-5.2-instant", "gpt-5.3-instant", "gpt-5.1-instant")
_CHAT_ONLY = ("grok-4-fast-non-reasoning", "grok-3-mini", "llama-3.1-8b-cs")

_HELLO = "Say hello in exactly 3 words"
_WEATHER = "What is the weather in San Francisco? Use the getWeather tool."
_PARAMETERS = {
    "type": "object",
    "properties": {"location": {"type": "string"}},
    "required": ["location"],
    "additionalProperties": False,
}
_SHAPE = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "population": {"type": "integer"}},
    "required": ["city", "population"],
    "additionalProperties": False,
}
_RESPONSE_ORDER = """
    response.created response.in_progress response.output_item.added response.content_part.added
    response.output_text.delta response.output_text.done response.content_part.done response.output_item.done
    response.completed
""".split()
_MESSAGE_ORDER = (
    "message_start content_block_start content_block_delta content_block_stop message_delta message_stop".split()
)
_CLAUDE_USAGE = frozenset(
    "input_tokens output_tokens cache_creation_input_tokens cache_read_input_tokens cache_creation total_tokens".split()
)
# Long enough for every model's least prefix, by any count of tokens.
_LONG = "A prompt that is read again and again is cheaper when it has been remembered. " * 310


def _probe(name: str) -> Callable[[Probe], Probe]:
    def named(function: Probe) -> Probe:
        SURFACES[name] = function
        return function

    return named


# Responses


def _respond(poe: Asker, model: str, prompt: Any, **params: Any) -> Exchange:
    return poe.ask("POST", RESPONSES, {"model": model, "input": prompt, "max_output_tokens": 60, **params})


def _items(exchange: Exchange, kind: str) -> list[dict[str, Any]]:
    output = exchange.answer.get("output") if isinstance(exchange.answer, dict) else None
    return [item for item in output or () if isinstance(item, dict) and item.get("type") == kind]


def _text(exchange: Exchange) -> str:
    parts = [part for item in _items(exchange, "message") for part in item.get("content") or ()]
    return "".join(str(part.get("text") or "") for part in parts)


def _order(exchange: Exchange) -> list[str]:
    """The kinds of events of a stream, repetitions and keep-alives left out."""
    kinds = [str(event.get("type")) for event in exchange.events if isinstance(event, dict)]
    return [kind for kind, _ in groupby(kind for kind in kinds if kind != "ping")]


@_probe("responses")
def _responses(poe: Asker) -> Iterator[Judged]:
    model = poe.model(*_OPENAI)
    got = _respond(poe, model, _HELLO)
    if not got.ok or not isinstance(got.answer, dict):
        yield from unsure(got, "responses_shape", "responses_id", "responses_model", "responses_usage")
        return
    answer = got.answer
    odd = [name for name in ("output_text",) if name in answer]
    missing = sorted({"output", "status", "created_at", "text", "tools", "store"} - answer.keys())
    shaped = answer.get("object") == "response" and answer.get("store") is False and bool(_text(got))
    said = f"object {answer.get('object')}, store {answer.get('store')}"
    said += "".join(f", no {name}" for name in missing) + "".join(f", with {name}" for name in odd)
    yield "responses_shape", shaped and not missing and not odd, said
    yield "responses_id", _is_litellm(str(answer.get("id"))), str(answer.get("id"))[:60]
    named = str(answer.get("model"))
    yield "responses_model", named != model and named.startswith(model), f"{model} is answered as {named}"
    usage = answer.get("usage")
    wanted = {"input_tokens", "output_tokens", "total_tokens", "input_tokens_details", "output_tokens_details"}
    yield "responses_usage", wanted <= keys(usage), f"usage {usage}"


def _is_litellm(answer_id: str) -> bool:
    try:
        told = base64.b64decode(answer_id.removeprefix("resp_") + "==")
    except ValueError:
        return False
    return answer_id.startswith("resp_") and told.startswith(b"litellm:custom_llm_provider:")


@_probe("responses_stream")
def _responses_stream(poe: Asker) -> Iterator[Judged]:
    got = _respond(poe, poe.model(*_OPENAI), "Count from 1 to 9.", stream=True)
    if not got.ok or not got.events:
        yield from unsure(got, "responses_order")
        return
    order = _order(got)
    whole = order == _RESPONSE_ORDER and got.events[-1] == "[DONE]"
    yield "responses_order", whole, ", ".join([*order, str(got.events[-1])[:20]])


@_probe("responses_instructions")
def _responses_instructions(poe: Asker) -> Iterator[Judged]:
    word = "QUOTHBIRD"
    got = _respond(poe, poe.model(*_OPENAI), "Tell me one thing.", instructions=f"Say the word {word} in every answer.")
    if not got.ok:
        yield from not_taken(got, "responses_instructions")
        return
    yield "responses_instructions", word not in _text(got), repr(_text(got)[:120])


@_probe("responses_previous")
def _responses_previous(poe: Asker) -> Iterator[Judged]:
    previous = (
        "resp_" + base64.b64encode(b"litellm:custom_llm_provider:openai;model_id:None;response_id:resp_0").decode()
    )
    got = _respond(poe, poe.model(*_OPENAI), _HELLO, previous_response_id=previous)
    yield refused("responses_previous", got, "etention")


@_probe("responses_models")
def _responses_models(poe: Asker) -> Iterator[Judged]:
    yield refused("responses_models", _respond(poe, poe.model(*_CHAT_ONLY), _HELLO))


@_probe("responses_effort")
def _responses_effort(poe: Asker) -> Iterator[Judged]:
    got = _respond(poe, poe.model(*_INSTANT), _HELLO, reasoning={"effort": "high"})
    yield refused("responses_effort", got, "Supported values are")


@_probe("responses_tools")
def _responses_tools(poe: Asker) -> Iterator[Judged]:
    tool = {"type": "function", "name": "getWeather", "description": "The weather", "parameters": _PARAMETERS}
    got = _respond(poe, poe.model(*_OPENAI), _WEATHER, tools=[tool])
    calls = _items(got, "function_call")
    if not got.ok or not calls:
        yield from unsure(got, "responses_tools")
        return
    call = calls[0]
    shaped = str(call.get("id")).startswith("fc_") and str(call.get("call_id")).startswith("call_")
    arguments = str(call.get("arguments"))
    yield "responses_tools", shaped and re.search(r'":\S', arguments) is not None, f"{call.get('id')}: {arguments}"


@_probe("responses_format")
def _responses_format(poe: Asker) -> Iterator[Judged]:
    wanted = {"format": {"type": "json_schema", "name": "city", "strict": True, "schema": _SHAPE}}
    got = _respond(poe, poe.model(*_OPENAI), "Name a large city.", text=wanted)
    if not got.ok:
        yield from not_taken(got, "responses_format")
        return
    fits = re.fullmatch(r'\s*\{\s*"city"\s*:\s*"[^"]*"\s*,\s*"population"\s*:\s*\d+\s*\}\s*', _text(got))
    yield "responses_format", bool(fits), repr(_text(got)[:120])


# Messages


def _send(poe: Asker, model: str, prompt: Any = _HELLO, *, version: bool = True, **params: Any) -> Exchange:
    body = {"model": model, "max_tokens": 60, "messages": [{"role": "user", "content": prompt}], **params}
    return poe.ask("POST", MESSAGES, body, extra={"anthropic-version": "2023-06-01"} if version else {})


@_probe("messages")
def _messages(poe: Asker) -> Iterator[Judged]:
    # A name in the wrong order, with a date: it is understood.
    handle = poe.model(*_CLAUDE)
    asked = f"{handle.replace('.', '-')}-20250101"
    got = _send(poe, asked)
    if got.no_evidence or not isinstance(got.answer, dict):
        yield from unsure(got, "messages_names", "messages_id", "messages_usage", "messages_limits")
        return
    answer: dict[str, Any] = got.answer
    usage: Any = answer.get("usage")
    named = str(answer.get("model"))
    yield "messages_names", got.ok and named.startswith("claude-") and named != asked, f"{asked} is answered as {named}"
    if not got.ok:
        return
    yield "messages_id", bool(re.fullmatch(r"req_poe_[0-9a-f]{32}", str(answer.get("id")))), str(answer.get("id"))
    whole = keys(usage) >= _CLAUDE_USAGE and usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    yield "messages_usage", whole, f"usage {usage}"
    told = sorted(name for name in got.headers if name.startswith("anthropic-ratelimit-"))
    yield "messages_limits", "anthropic-ratelimit-requests-limit" in told, ", ".join(told) or "none"


@_probe("messages_stream")
def _messages_stream(poe: Asker) -> Iterator[Judged]:
    got = _send(poe, poe.model(*_CLAUDE), "Count from 1 to 9.", stream=True)
    if not got.ok or not got.events:
        yield from unsure(got, "messages_order")
        return
    yield "messages_order", _order(got) == _MESSAGE_ORDER, ", ".join(_order(got))


@_probe("messages_models")
def _messages_models(poe: Asker) -> Iterator[Judged]:
    got = _send(poe, poe.model(*_CHAT_ONLY))
    if got.no_evidence:
        yield from unsure(got, "messages_models", "messages_envelope")
        return
    yield "messages_models", got.status == 404, f"status {got.status}: {got.said}"
    whole = (
        isinstance(got.answer, dict) and got.answer.get("type") == "error" and {"type", "message"} <= got.error.keys()
    )
    yield "messages_envelope", None if got.ok else whole, got.said


@_probe("messages_fields")
def _messages_fields(poe: Asker) -> Iterator[Judged]:
    got = _send(poe, poe.model(*_CLAUDE), context_management={"edits": []})
    said = str(got.error.get("message"))
    fact, holds, evidence = refused("messages_fields", got)
    yield fact, holds and "Extra inputs are not permitted" in said, evidence
    if got.refused:
        yield "messages_errors_as_text", said.startswith("{"), said[:120]


@_probe("messages_version")
def _messages_version(poe: Asker) -> Iterator[Judged]:
    yield refused("messages_version", _send(poe, poe.model(*_CLAUDE), version=False))


@_probe("messages_tools")
def _messages_tools(poe: Asker) -> Iterator[Judged]:
    tool = {"name": "getWeather", "description": "The weather", "input_schema": _PARAMETERS}
    got = _send(poe, poe.model(*_CLAUDE), _WEATHER, tools=[tool], tool_choice={"type": "any"})
    content = got.answer.get("content") if isinstance(got.answer, dict) else None
    calls = [block for block in content or () if block.get("type") == "tool_use"]
    if not got.ok or not calls:
        yield from unsure(got, "messages_tools")
        return
    call = calls[0]
    yield "messages_tools", str(call.get("id")).startswith("toolu_"), f"{call.get('id')}: {call.get('input')}"


@_probe("messages_cache")
def _messages_cache(poe: Asker) -> Iterator[Judged]:
    system = [{"type": "text", "text": _LONG, "cache_control": {"type": "ephemeral"}}]
    first = _send(poe, poe.model(*_CLAUDE), system=system)
    second = _send(poe, poe.model(*_CLAUDE), system=system)
    for got in (first, second):
        if not got.ok:
            yield from not_taken(got, "messages_cache")
            return
    usage = second.answer["usage"]
    read, fresh = usage["cache_read_input_tokens"], usage["input_tokens"]
    yield "messages_cache", read > 1_000 and fresh < 100, f"of the second request {read} tokens were read, {fresh} new"


# Videos, images


@_probe("videos")
def _videos(poe: Asker) -> Iterator[Judged]:
    got = poe.ask("GET", "/v1/videos/video_of_nobody")
    if got.no_evidence:
        yield from unsure(got, "videos_unknown")
    else:
        kind = got.error.get("type")
        yield "videos_unknown", got.status == 404 and kind == "not_found", f"status {got.status}, type {kind}"
    yield _not_served(poe, "videos_models", "/v1/videos")


@_probe("images")
def _images(poe: Asker) -> Iterator[Judged]:
    yield _not_served(poe, "images_models", "/v1/images")


@_probe("audio")
def _audio(poe: Asker) -> Iterator[Judged]:
    yield _not_served(poe, "audio_models", "/v1/audio")


def _not_served(poe: Asker, fact: str, path: str) -> Judged:
    """Whether a model that does not list this endpoint is refused there, which costs nothing."""
    return refused(fact, poe.ask("POST", path, {"model": poe.model(*_CHAT_ONLY), "prompt": _HELLO, "input": _HELLO}))


@_probe("openai_paths")
def _openai_paths(poe: Asker) -> Iterator[Judged]:
    got = poe.ask("POST", "/v1/images/generations", {"model": poe.model(*_CHAT_ONLY), "prompt": _HELLO})
    if got.no_evidence:
        yield from unsure(got, "openai_paths")
        return
    yield "openai_paths", got.status == 404, f"status {got.status}: {got.said}"
