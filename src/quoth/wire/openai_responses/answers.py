"""An answer of the Responses API: read into a Completion, and made from one."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2s
from typing import Any

import msgspec

from quoth.types import Completion, Warning
from quoth.wire.carried import MISSHAPEN, SPECIFIC, Json, are_objects, specific
from quoth.wire.openai_chat import ErrorFacts, Unreadable, UpstreamError, error_facts, sample
from quoth.wire.openai_responses.items import answer_items, message_of
from quoth.wire.openai_responses.naming import names_of

__all__ = [
    "completion_of",
    "failure_of",
    "finish_reason",
    "frame",
    "head_of",
    "logprobs_of",
    "parse",
    "render",
    "say",
    "tell",
    "usage_of",
    "usage_to_chat",
]

_HEAD = frozenset({"id", "object", "created_at", "model", "output", "usage"})
_USAGE = (
    ("input_tokens", "prompt_tokens"),
    ("input_tokens_details", "prompt_tokens_details"),
    ("output_tokens", "completion_tokens"),
    ("output_tokens_details", "completion_tokens_details"),
)
_TO_CHAT = dict(_USAGE)
_FROM_CHAT = {chat: name for name, chat in _USAGE}
_CUT = {"length": "max_output_tokens", "content_filter": "content_filter"}
_REASONS = {why: reason for reason, why in _CUT.items()}


def parse(raw: bytes, created: int | None = None) -> tuple[Completion, list[Warning]]:
    """A whole answer. `created` stands in for a `created_at` that is missing. Raises Unreadable, UpstreamError."""
    found, warnings = tell(raw, created)
    try:
        return Completion.model_validate(found), warnings
    except MISSHAPEN as wrong:
        raise Unreadable(f"not the shape of this API: {type(wrong).__name__} in {sample(raw)}") from None


def tell(raw: bytes, created: int | None = None) -> tuple[Json, list[Warning]]:
    """`parse`, as the JSON of a chat completion. Raises Unreadable, UpstreamError."""
    try:
        document = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"not JSON ({error}): {sample(raw) or 'an empty body'}") from None
    output = document.get("output") if isinstance(document, dict) else None
    if isinstance(document, dict) and document.get("error"):
        raise failure_of(document) if "output" in document else UpstreamError(error_facts(raw))
    if not isinstance(output, list) or not are_objects(output):
        raise Unreadable(f"JSON, but not a response: {sample(raw)}")
    try:
        return _chat_of(document, created), []
    except MISSHAPEN as wrong:
        raise Unreadable(f"not the shape of this API: {type(wrong).__name__} in {sample(raw)}") from None


def failure_of(document: Mapping[str, Any]) -> UpstreamError:
    """The error of a response that failed."""
    error = document.get("error")
    if not isinstance(error, Mapping):
        return UpstreamError(ErrorFacts(str(error or "the response failed"), body=dict(document)))
    code = error.get("code")
    message = str(error.get("message") or code or "the response failed")
    return UpstreamError(
        ErrorFacts(message, type=error.get("type"), code=None if code is None else str(code), body=error)
    )


def completion_of(document: Json, created: int | None = None) -> Completion:
    """The Completion of a decoded answer."""
    return Completion.model_validate(_chat_of(document, created))


def _chat_of(document: Json, created: int | None) -> Json:
    message = message_of(document["output"])
    choice: Json = {"index": 0, "message": message, "finish_reason": finish_reason(document, message)}
    if logprobs := logprobs_of(document["output"]):
        choice["logprobs"] = {"content": logprobs}
    found: Json = {"id": document.get("id"), "object": "chat.completion"}
    moment = document.get("created_at")
    if moment is not None or created is not None:
        found["created"] = created if moment is None else int(moment)
    found["model"], found["choices"] = document.get("model"), [choice]
    if isinstance(usage := document.get("usage"), dict):
        found["usage"] = usage_to_chat(usage)
    found.update(head_of(document))
    return found


def finish_reason(document: Mapping[str, Any], message: Mapping[str, Any]) -> str:
    details = document.get("incomplete_details")
    why = details.get("reason") if isinstance(details, Mapping) else None
    if document.get("status") == "incomplete":
        return _REASONS.get(str(why), "length")
    return "tool_calls" if message.get("tool_calls") else "stop"


def logprobs_of(output: Any) -> list[Any]:
    found: list[Any] = []
    for item in output:
        content = item.get("content") if item.get("type") == "message" else None
        for part in content if isinstance(content, list) else ():
            found += (part.get("logprobs") or ()) if isinstance(part, Mapping) else ()
    return found


def head_of(document: Mapping[str, Any]) -> Json:
    """What an answer says beside its output that the chat shape has no field for."""
    own = {name: value for name, value in document.items() if name not in _HEAD}
    return {SPECIFIC: {"responses": own}} if own else {}


def usage_to_chat(usage: Mapping[str, Any]) -> Json:
    return {_TO_CHAT.get(name, name): value for name, value in usage.items()}


def usage_of(usage: Mapping[str, Any] | None) -> Json | None:
    if usage is None:
        return None
    found = {_FROM_CHAT.get(name, name): value for name, value in usage.items()}
    found["input_tokens_details"] = _counts({"cached_tokens": 0}, found.get("input_tokens_details"))
    found["output_tokens_details"] = _counts({"reasoning_tokens": 0}, found.get("output_tokens_details"))
    for name in ("input_tokens", "output_tokens", "total_tokens"):
        found[name] = found.get(name) or 0
    return found


def _counts(least: Json, details: Any) -> Json:
    if isinstance(details, dict):
        least.update({name: count for name, count in details.items() if count is not None})
    return least


def frame(request: Mapping[str, Any] | None) -> Json:
    """What a response repeats of its request, with OpenAI's defaults for what was not said."""
    given = {name: value for name, value in (request or {}).items() if value is not None}
    text, reasoning = given.get("text"), given.get("reasoning")
    return {
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": given.get("instructions"),
        "max_output_tokens": given.get("max_output_tokens"),
        "max_tool_calls": given.get("max_tool_calls"),
        "metadata": given.get("metadata", {}),
        "parallel_tool_calls": given.get("parallel_tool_calls", True),
        "previous_response_id": None,
        "prompt_cache_key": given.get("prompt_cache_key"),
        "reasoning": {"effort": None, "summary": None, **(reasoning if isinstance(reasoning, Mapping) else {})},
        "safety_identifier": given.get("safety_identifier"),
        "service_tier": "default",
        "store": False,
        "temperature": given.get("temperature", 1.0),
        "text": {"format": {"type": "text"}, **(text if isinstance(text, Mapping) else {})},
        "tool_choice": given.get("tool_choice", "auto"),
        "tools": given.get("tools", []),
        "top_logprobs": given.get("top_logprobs", 0),
        "top_p": given.get("top_p", 1.0),
        "truncation": given.get("truncation", "disabled"),
        "user": given.get("user"),
    }


def response_id(name: str | None) -> str:
    return name if name is not None and name.startswith("resp_") else f"resp_{name or 'unknown'}"


def short(name: str) -> str:
    """What the ids of a response's items are made of, so that the same answer always has the same."""
    return blake2s(name.encode(), digest_size=12).hexdigest()


def state_of(reason: str | None) -> Json:
    """The status of a response, and why it is not whole where it is not."""
    if reason not in _CUT:
        return {"status": "completed"}
    return {"status": "incomplete", "incomplete_details": {"reason": _CUT[reason]}}


def render(
    completion: Completion, request: Mapping[str, Any] | None = None, *, model: str | None = None
) -> tuple[Json, list[Warning]]:
    """The answer for a client of the Responses API, and what of it that API cannot say. `request` is the client's,
    which a response repeats in part. `model`: in place of the completion's."""
    return say(completion.model_dump(), request, model=model)


def say(
    completion: Mapping[str, Any], request: Mapping[str, Any] | None = None, *, model: str | None = None
) -> tuple[Json, list[Warning]]:
    """`render` for the JSON of a chat completion."""
    warnings: list[Warning] = []
    name = response_id(completion.get("id"))
    head: Json = {"id": name, "object": "response", "created_at": completion.get("created") or 0}
    kept = specific(completion, "responses")
    own = dict(kept) if isinstance(kept, Mapping) else {}
    reason: str | None = None
    output: list[Json] = []
    choices = completion.get("choices")
    if choices:
        choice = choices[0]
        message = choice.get("message") or {}
        output = answer_items(message, short(name), names_of(request))
        reason = choice.get("finish_reason")
        if choice.get("logprobs") is not None:
            _with_logprobs(output, choice["logprobs"].get("content"))
        if message.get("audio") is not None:
            warnings.append(Warning("not_carried", "audio", "the answer's audio was left out; a response holds none"))
        if len(choices) > 1:
            text = f"the answer has {len(choices)} choices; the Responses API has one, so the first was given"
            warnings.append(Warning("not_carried", "choices", text))
    usage = completion.get("usage")
    rest = own or {**frame(request), **state_of(reason)}
    document = head | rest | {"model": model or completion.get("model") or "", "output": output}
    if usage is not None or not own:
        document["usage"] = usage_of(usage)
    return document, warnings


def _with_logprobs(output: list[Json], logprobs: Any) -> None:
    for item in output:
        if item.get("type") == "message" and logprobs:
            item["content"][0] = {**item["content"][0], "logprobs": logprobs}
            return
