"""The probes: each asks Poe as cheaply as it can, and says of its facts whether they hold.

A finding is (fact, holds, evidence); `holds` is None where the answer shows neither. Whatever a probe does not mention
is unknown. What a probe needs besides its facts (a model that exists, a key that is taken) is never judged by it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from quoth.verify.asking import CHAT, Asker, Exchange

__all__ = ["PROBES", "Judged", "Probe", "keys", "not_taken", "refused", "unsure"]

Judged = tuple[str, bool | None, str]
Probe = Callable[[Asker], Iterator[Judged]]

PROBES: dict[str, Probe] = {}

# The cheapest that were recorded first; the list of the day decides.
_TEXT = ("gemini-2.0-flash-lite", "gemini-2.5-flash-lite", "llama-3.1-8b-cs", "grok-4-fast-non-reasoning")
_THINKING = ("grok-3-mini", "gpt-oss-120b-cs", "minimax-m2.1", "kimi-k2-thinking")
_CAN_THINK = ("gemini-2.5-flash-lite", "gemini-2.5-flash")
_NO_TOOLS = ("kimi-k2.5-fw", "qwen3.5-397b-a17b-t", "flux-schnell-di")
_DRAWS = ("flux-schnell-di", "flux-1-schnell-fw", "flux-schnell-t")
_SCHEMA = ("grok-4",)
_NOBODY = "no-such-bot-of-quoth"

_HELLO = "Say hello in exactly 3 words"
_COUNT = "Count from 1 to 9."
_IGNORED: dict[str, Any] = {
    "store": False,
    "metadata": {"purpose": "quoth verify"},
    "prediction": {"type": "content", "content": "Hello"},
    "presence_penalty": 0.1,
    "frequency_penalty": 0.1,
    "seed": 7,
    "service_tier": "auto",
    "audio": {"voice": "alloy", "format": "wav"},
    "logit_bias": {},
    "user": "quoth-verify",
    "modalities": ["text"],
    "logprobs": True,
    "top_logprobs": 1,
}
_TOOL = {
    "type": "function",
    "function": {
        "name": "getWeather",
        "description": "Get the current weather for a location",
        "parameters": {
            "type": "object",
            "properties": {"location": {"type": "string", "description": "A city"}},
            "required": ["location"],
        },
    },
}
_SHAPE = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "population": {"type": "integer"}},
    "required": ["city", "population"],
    "additionalProperties": False,
}
_MODEL_KEYS = frozenset(
    "id object created owned_by architecture pricing supported_features parameters context_window".split()
)
_ROW_KEYS = frozenset("query_id creation_time cost_points usage_type".split())


def _probe(name: str) -> Callable[[Probe], Probe]:
    def named(function: Probe) -> Probe:
        PROBES[name] = function
        return function

    return named


def unsure(exchange: Exchange, *facts: str) -> Iterator[Judged]:
    """Nothing can be seen, because something else went wrong."""
    said = exchange.no_evidence or f"Poe answered {exchange.status}: {exchange.said}"
    return ((fact, None, said) for fact in facts)


def not_taken(exchange: Exchange, fact: str, *others: str) -> Iterator[Judged]:
    """The parameter that the fact is about is refused; nothing can be seen of the other facts."""
    if exchange.refused:
        yield fact, False, f"it is refused: {exchange.said}"
    else:
        yield from unsure(exchange, fact)
    yield from unsure(exchange, *others)


def refused(fact: str, exchange: Exchange, *words: str) -> Judged:
    """Whether a wrong request was refused, and in a text that has these words."""
    if exchange.no_evidence:
        return fact, None, exchange.no_evidence
    missing = [word for word in words if word not in exchange.said]
    if not exchange.refused:
        return fact, False, f"it is not refused: status {exchange.status}, {exchange.said}"
    if missing:
        return fact, False, f"refused, but the text lacks {missing[0]!r}: {exchange.said}"
    return fact, True, f"{exchange.status}: {exchange.said}"


def keys(value: Any) -> frozenset[str]:
    """The names in an object; none in anything else."""
    return frozenset(value) if isinstance(value, dict) else frozenset()


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


# The list, the account


@_probe("models")
def _models(poe: Asker) -> Iterator[Judged]:
    got = poe.ask("GET", "/v1/models", key=None)
    if got.no_evidence:
        yield from unsure(got, "models_public", "models_shape", "models_time", "models_prices")
        return
    yield "models_public", got.ok, f"status {got.status} without a key"
    data = got.answer.get("data") if isinstance(got.answer, dict) else None
    rows = [row for row in data if isinstance(row, dict)] if isinstance(data, list) else []
    poe.listed = frozenset(str(row.get("id")) for row in rows)
    if not rows:
        yield "models_shape", False, f"there is no list of models: {got.said}"
        return
    # What has no price in the list lacks no key by that: it says null.
    missing = sorted(key for key in _MODEL_KEYS - {"pricing"} if not any(key in row for row in rows))
    yield "models_shape", not missing, f"{len(rows)} models" + (f"; {', '.join(missing)} missing" if missing else "")
    times = [row["created"] for row in rows if _whole(row.get("created"))]
    yield "models_time", _digits(times) == {13}, f"{len(times)} times of {_said_digits(times)} digits"
    prices = [row["pricing"] for row in rows if row.get("pricing") is not None]
    values = [value for price in prices if isinstance(price, dict) for value in price.values() if value is not None]
    texts = all(isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?", value) for value in values)
    yield "models_prices", bool(values) and texts, f"{len(prices)} of {len(rows)} have a price, such as {values[:1]}"


def _digits(numbers: list[int]) -> set[int]:
    return {len(str(number)) for number in numbers if number}


def _said_digits(numbers: list[int]) -> str:
    return " or ".join(str(count) for count in sorted(_digits(numbers))) or "no"


@_probe("balance")
def _balance(poe: Asker) -> Iterator[Judged]:
    got = poe.ask("GET", "/usage/current_balance")
    if not got.ok or not isinstance(got.answer, dict):
        yield from unsure(got, "balance_shape", "balance_fields")
        return
    fields = ", ".join(sorted(got.answer))
    yield "balance_shape", _whole(got.answer.get("current_point_balance")), f"fields: {fields}"
    others = {"plan_points_balance", "addon_point_balance", "total_balance_usd", "auto_recharge"}
    grant = got.answer.get("next_monthly_grant_time", got.answer.get("points_cycle_start_time"))
    in_us = grant is None or (_whole(grant) and len(str(grant)) == 16)
    yield "balance_fields", others <= got.answer.keys() and in_us, f"fields: {fields}"


@_probe("history")
def _history(poe: Asker) -> Iterator[Judged]:
    got = poe.ask("GET", "/usage/points_history?limit=5")
    if not got.ok or not isinstance(got.answer, dict):
        yield from unsure(got, "history_shape", "history_time")
        return
    rows = [row for row in got.answer.get("data") or () if isinstance(row, dict)]
    around = {"has_more", "length", "data"} <= got.answer.keys()
    if not rows:
        yield "history_shape", None if around else False, "there is no row yet"
        return
    named = all(keys(row) & {"bot_name", "app_name"} for row in rows)
    missing = sorted({key for row in rows for key in _ROW_KEYS - row.keys()})
    said = f"{len(rows)} rows with {', '.join(sorted(rows[0]))}"
    yield "history_shape", around and named and not missing, said
    times = [row["creation_time"] for row in rows if _whole(row.get("creation_time"))]
    falling = all(newer >= older for newer, older in pairwise(times))
    holds = _digits(times) == {16} and falling if times else None
    yield "history_time", holds, f"{_said_digits(times)} digits, {'newest first' if falling else 'not newest first'}"


# Errors


@_probe("bad_key")
def _bad_key(poe: Asker) -> Iterator[Judged]:
    got = poe.ask("GET", "/usage/current_balance", key="invalid-key-of-quoth-verify")
    if got.no_evidence and got.status != 403:
        yield from unsure(got, "bad_key_status")
        return
    kind = got.error.get("type")
    yield "bad_key_status", got.status == 401, f"status {got.status}, type {kind}"


@_probe("bad_json")
def _bad_json(poe: Asker) -> Iterator[Judged]:
    got = poe.ask("POST", CHAT, raw=b'{"model": ')
    if got.no_evidence:
        yield from unsure(got, "bad_request_status")
        return
    yield "bad_request_status", got.status == 400, f"status {got.status}: {got.said}"


@_probe("no_messages")
def _no_messages(poe: Asker) -> Iterator[Judged]:
    yield refused("messages_required", poe.ask("POST", CHAT, {"model": poe.model(*_TEXT)}), "messages")


@_probe("unknown_model")
def _unknown_model(poe: Asker) -> Iterator[Judged]:
    got = poe.chat(_NOBODY, _HELLO)
    if got.no_evidence:
        yield from unsure(got, "unknown_model_status")
        return
    yield "unknown_model_status", got.status == 404, f"status {got.status}: {got.said}"


@_probe("wrong_method")
def _wrong_method(poe: Asker) -> Iterator[Judged]:
    got = poe.ask("GET", CHAT)
    if got.no_evidence:
        yield from unsure(got, "method_status")
        return
    holds = got.status == 405 and keys(got.answer) == {"detail"}
    yield "method_status", holds, f"status {got.status}: {got.said}"


@_probe("errors")
def _errors(poe: Asker) -> Iterator[Judged]:
    """Judges the error bodies that came so far; asks nothing."""
    # What answers a wrong method stands before Poe's own error handling, and has a form of its own.
    bodies = [one for one in poe.exchanges if 400 <= one.status < 500 and not one.failure]
    bodies = [one for one in bodies if (one.method, one.path) != ("GET", CHAT)]
    if not bodies:
        return
    odd = [one for one in bodies if not {"message", "type"} <= one.error.keys()]
    said = f"{len(bodies)} bodies" if not odd else f"{len(odd)} of {len(bodies)} differ, such as {odd[0].said}"
    yield "error_envelope", not odd, said
    codes = [one.error["code"] for one in bodies if one.error.get("code") is not None]
    if len(odd) < len(bodies):
        yield "error_codes", all(isinstance(code, str) for code in codes), f"codes: {sorted(set(map(str, codes)))}"


# Answers


@_probe("chat")
def _chat(poe: Asker) -> Iterator[Judged]:
    got = poe.chat(poe.model(*_TEXT), _HELLO)
    if not got.ok or not isinstance(got.answer, dict):
        facts = "chat_id chat_time chat_members usage_shape usage_counts usage_details rate_limit_headers".split()
        yield from unsure(got, *facts)
        return
    answer, usage = got.answer, got.answer.get("usage") or {}
    yield "chat_id", bool(re.fullmatch(r"chatcmpl-[0-9a-f]{24}", str(answer.get("id")))), str(answer.get("id"))
    created = answer.get("created")
    yield "chat_time", _whole(created) and len(str(created)) == 10, f"created {created}"
    extra = [key for key in ("system_fingerprint", "service_tier") if key in answer]
    extra += [key for key, place in (("logprobs", got.choice), ("refusal", got.message)) if key in place]
    count = len(answer.get("choices") or ())
    yield "chat_members", count == 1 and not extra, f"{count} choice" + (f", and {', '.join(extra)}" if extra else "")
    counts = {"prompt_tokens", "completion_tokens", "total_tokens"}
    whole = counts <= keys(usage) and all(_whole(usage[name]) for name in counts)
    yield "usage_shape", whole, f"usage {usage}"
    if whole:
        yield "usage_counts", usage["prompt_tokens"] == 7, f"prompt_tokens {usage['prompt_tokens']} for {_HELLO!r}"
    details = sorted(key for key in keys(usage) if key.endswith("_details"))
    yield "usage_details", not details, ", ".join(details) or "none"
    limits = sorted(name for name in got.headers if name.startswith("x-ratelimit-"))
    yield "rate_limit_headers", not limits, ", ".join(limits) or "none"


@_probe("case")
def _case(poe: Asker) -> Iterator[Judged]:
    odd = "".join(letter.upper() if place % 2 else letter for place, letter in enumerate(poe.model(*_TEXT)))
    got = poe.chat(odd, _HELLO)
    if got.no_evidence:
        yield from unsure(got, "model_case", "model_echo")
        return
    yield "model_case", got.ok, f"{odd}: status {got.status}"
    if got.ok and isinstance(got.answer, dict):
        yield "model_echo", got.answer.get("model") == odd, f"{odd} is answered as {got.answer.get('model')}"


@_probe("stream")
def _stream(poe: Asker) -> Iterator[Judged]:
    got = poe.chat(poe.model(*_TEXT), _COUNT, stream=True, stream_options={"include_usage": True})
    chunks = [event for event in got.events if isinstance(event, dict)]
    if not got.ok or not chunks:
        yield from not_taken(got, "stream_usage", "stream_order", "stream_pieces", "stream_done")
        return
    kinds = [kind for chunk in chunks for kind in _kinds(chunk)]
    order = [kind for place, kind in enumerate(kinds) if place == 0 or kinds[place - 1] != kind]
    wanted = [kind for kind in ("role", "reasoning", "content", "finish", "usage") if kind in order]
    has_all = {"role", "content", "finish"} <= set(order)
    yield "stream_order", has_all and order == wanted, ", ".join(order)
    yield "stream_pieces", kinds.count("content") > 1, f"{kinds.count('content')} pieces"
    yield "stream_usage", "usage" in kinds, f"usage in {kinds.count('usage')} chunks"
    yield "stream_done", got.events[-1] == "[DONE]", f"the last event is {str(got.events[-1])[:80]}"


def _kinds(chunk: dict[str, Any]) -> Iterator[str]:
    """What a chunk brings, in the order in which a reader comes to it."""
    for choice in chunk.get("choices") or ():
        delta = choice.get("delta") or {}
        if delta.get("reasoning") or delta.get("reasoning_content"):
            yield "reasoning"
        if delta.get("content"):
            yield "content"
        elif delta.get("role"):
            yield "role"
        if choice.get("finish_reason"):
            yield "finish"
    if chunk.get("usage"):
        yield "usage"


@_probe("stream_plain")
def _stream_plain(poe: Asker) -> Iterator[Judged]:
    got = poe.chat(poe.model(*_TEXT), _HELLO, stream=True)
    chunks = [event for event in got.events if isinstance(event, dict)]
    if not got.ok or not chunks:
        yield from unsure(got, "stream_usage_asked")
        return
    with_usage = sum(1 for chunk in chunks if chunk.get("usage"))
    yield "stream_usage_asked", not with_usage, f"usage in {with_usage} of {len(chunks)} chunks"


# Parameters


@_probe("parameters")
def _parameters(poe: Asker) -> Iterator[Judged]:
    """All thirteen at once; one that is refused is left out, and the rest are asked again."""
    for name, holds, said in _taken(poe, _IGNORED):
        yield f"parameter_{name}", holds, said


@_probe("taken")
def _taken_with_effect(poe: Asker) -> Iterator[Judged]:
    with_effect: dict[str, Any] = {
        "temperature": 0.5,
        "top_p": 0.9,
        "max_completion_tokens": 60,
        "parallel_tool_calls": True,
        "response_format": {"type": "text"},
        "reasoning_effort": "low",
    }
    found = list(_taken(poe, with_effect, max_tokens=None))
    refused = [f"{name}: {said}" for name, holds, said in found if holds is False]
    unsure = next((said for _, holds, said in found if holds is None), "")
    yield "parameters_taken", False if refused else None if unsure else True, "; ".join(refused) or unsure or "all"


def _taken(poe: Asker, given: dict[str, Any], **params: Any) -> Iterator[Judged]:
    left = dict(given)
    while left:
        got = poe.chat(poe.model(*_TEXT), _HELLO, **(params | left))
        if not got.refused:
            if got.no_evidence or not got.ok:
                yield from unsure(got, *left)
            else:
                yield from ((name, True, "taken") for name in left)
            return
        param = str(got.error.get("param"))
        named = param if param in left else next((name for name in left if f"'{name}'" in got.said), None)
        if named is None and len(left) > 1:
            # Nothing is named: one after the other.
            for name, value in left.items():
                yield from _taken(poe, {name: value}, **params)
            return
        name = named or next(iter(left))
        yield name, False, got.said
        del left[name]


@_probe("max_tokens")
def _max_tokens(poe: Asker) -> Iterator[Judged]:
    got = poe.chat(poe.model(*_TEXT), "Count from 1 to 50, with commas.", max_tokens=8)
    if not got.ok:
        yield from not_taken(got, "max_tokens")
        return
    reason, length = got.choice.get("finish_reason"), len(got.content)
    yield "max_tokens", reason == "length" and length < 80, f"finish_reason {reason}, {length} characters"


@_probe("stop")
def _stop(poe: Asker) -> Iterator[Judged]:
    got = poe.chat(poe.model(*_TEXT), _COUNT, stop=[", 7", "\n7"])
    if not got.ok:
        yield from not_taken(got, "stop")
        return
    said = repr(got.content[-60:])
    if re.search(r"[,\n] ?7", got.content):
        yield "stop", False, f"it went on: {said}"
    else:
        yield "stop", True if "6" in got.content else None, f"it ended with {said}"


@_probe("ranges")
def _ranges(poe: Asker) -> Iterator[Judged]:
    model = poe.model(*_TEXT)
    asked = (poe.chat(model, _HELLO, temperature=2.5), poe.chat(model, _HELLO, top_p=1.5))
    judged = [refused("ranges", got) for got in asked]
    # The one that fails says more.
    yield min(judged, key=lambda one: (one[1] is not False, one[1] is not None))


@_probe("stop_count")
def _stop_count(poe: Asker) -> Iterator[Judged]:
    yield refused("stop_count", poe.chat(poe.model(*_TEXT), _HELLO, stop=["1", "2", "3", "4", "5"]))


@_probe("n")
def _n(poe: Asker) -> Iterator[Judged]:
    got = poe.chat(poe.model(*_TEXT), _HELLO, n=2)
    if got.ok:
        yield "n", False, f"it is taken; choices that came: {len(got.answer.get('choices') or ())}"
    else:
        yield refused("n", got)


@_probe("unknown_parameter")
def _unknown_parameter(poe: Asker) -> Iterator[Judged]:
    got = poe.chat(poe.model(*_TEXT), _HELLO, quoth_unknown=1)
    yield refused("unknown_parameters", got, "quoth_unknown")


@_probe("custom")
def _custom(poe: Asker) -> Iterator[Judged]:
    model = poe.model(*_CAN_THINK)
    top = poe.chat(model, _HELLO, thinking_budget=0)
    nested = poe.chat(model, _HELLO, extra_body={"thinking_budget": 0})
    for got in (top, nested):
        if not got.ok and not got.refused:
            yield from unsure(got, "custom_parameters")
            return
    said = f"top level: status {top.status}; extra_body: status {nested.status}"
    yield "custom_parameters", top.ok and nested.ok, said


@_probe("custom_range")
def _custom_range(poe: Asker) -> Iterator[Judged]:
    yield refused("custom_range", poe.chat(poe.model(*_CAN_THINK), _HELLO, thinking_budget=10_000_000))


@_probe("developer")
def _developer(poe: Asker) -> Iterator[Judged]:
    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": _HELLO}]
    yield refused("developer_role", poe.chat(poe.model(*_TEXT), "", messages=messages))


# Tools, schemas, reasoning, media


@_probe("tools")
def _tools(poe: Asker) -> Iterator[Judged]:
    prompt = "What is the weather in San Francisco? Use the getWeather tool."
    got = poe.chat(poe.model(*_TEXT), prompt, tools=[_TOOL], tool_choice="required")
    if not got.ok:
        yield from unsure(got, "tools_called", "tool_content", "tool_arguments")
        return
    calls = got.message.get("tool_calls")
    if not isinstance(calls, list) or not calls:
        yield "tools_called", False, f"no tool was called: {got.content[:100]!r}"
        return
    yield "tools_called", True, f"finish_reason {got.choice.get('finish_reason')}"
    yield "tool_content", got.message.get("content") == "", f"content is {got.message.get('content')!r}"
    arguments = str(calls[0]["function"]["arguments"])
    spaced = None if '":' not in arguments else bool(re.search(r'": \S', arguments))
    yield "tool_arguments", spaced, arguments


@_probe("tool_without_properties")
def _tool_without_properties(poe: Asker) -> Iterator[Judged]:
    tool = {"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}
    got = poe.chat(poe.model(*_TEXT), _HELLO, tools=[tool])
    yield refused("tools_need_properties", got, "Field required")


@_probe("tools_unsupported")
def _tools_unsupported(poe: Asker) -> Iterator[Judged]:
    got = poe.chat(poe.model(*_NO_TOOLS), _HELLO, tools=[_TOOL])
    yield refused("tools_unsupported", got, "does not support tool calling")


@_probe("schema")
def _schema(poe: Asker) -> Iterator[Judged]:
    wanted = {"type": "json_schema", "json_schema": {"name": "city", "strict": True, "schema": _SHAPE}}
    prompt = "Name a large city."
    got = poe.chat(poe.model(*_SCHEMA), prompt, max_tokens=100, response_format=wanted)
    if not got.ok:
        yield from not_taken(got, "response_format")
        return
    fits = re.fullmatch(r'\s*\{\s*"city"\s*:\s*"[^"]*"\s*,\s*"population"\s*:\s*\d+\s*\}\s*', got.content)
    yield "response_format", bool(fits), repr(got.content[:120])


@_probe("reasoning")
def _reasoning(poe: Asker) -> Iterator[Judged]:
    got = poe.chat(poe.model(*_THINKING), "What is 17 * 19?", max_tokens=300)
    if not got.ok:
        yield from unsure(got, "reasoning_fields")
        return
    one, other = got.message.get("reasoning"), got.message.get("reasoning_content")
    if not one and not other:
        yield "reasoning_fields", False, f"no reasoning came: {', '.join(sorted(got.message))}"
    else:
        same = "the same text" if one == other else "different texts"
        yield "reasoning_fields", one == other, f"{', '.join(sorted(got.message))}: {same}"


@_probe("effort")
def _effort(poe: Asker) -> Iterator[Judged]:
    got = poe.chat(poe.model(*_CAN_THINK), "What is 17 * 19?", max_tokens=400, reasoning_effort="high")
    if not got.ok:
        yield from not_taken(got, "reasoning_effort")
        return
    thought = got.message.get("reasoning") or got.message.get("reasoning_content")
    yield "reasoning_effort", bool(thought), "reasoning came" if thought else "no reasoning came"


@_probe("media")
def _media(poe: Asker) -> Iterator[Judged]:
    got = poe.chat(poe.model(*_DRAWS), "A grey square", max_tokens=None)
    if not got.ok:
        yield from unsure(got, "media_content")
        return
    shape = re.fullmatch(r"!\[[^\]]*\]\((https?://\S+/base/image/[0-9a-f]{64}\S*)\)\n\n+(\S+)\s*", got.content)
    said = re.sub(r"[0-9a-f]{64}", "<64 hex>", got.content)[:200]
    yield "media_content", shape is not None and shape[1] == shape[2], repr(said)
