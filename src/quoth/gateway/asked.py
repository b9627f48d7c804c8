"""What a caller asks for in a chat body, checked as far as a relay has to know: types of known fields, and the keywords
that steer the call here and never travel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from quoth.call import Timeouts
from quoth.engine.routing import Controls
from quoth.errors import BadRequestError
from quoth.gateway.cache import controls_from
from quoth.gateway.entries import Entries, kind_of, opened
from quoth.gateway.settings.names import LONGEST
from quoth.providers.controls import CONTROLS, INERT
from quoth.transport.mock import TESTING
from quoth.types import Warning

__all__ = ["MOST_FIELDS", "Asked", "asked", "steering"]

_TEXT, _FLAG, _LIST, _OBJECT = frozenset(b'"n'), frozenset(b"tfn"), frozenset(b"[n"), frozenset(b"{n")
_NUMBER = frozenset(b"-0123456789n")
# OpenAI's fields, by the first bytes that their values can have. What is not here is not looked at.
_FIRST = {
    "frequency_penalty": _NUMBER,
    "logit_bias": _OBJECT,
    "logprobs": _FLAG,
    "max_completion_tokens": _NUMBER,
    "max_tokens": _NUMBER,
    "metadata": _OBJECT,
    "modalities": _LIST,
    "n": _NUMBER,
    "parallel_tool_calls": _FLAG,
    "presence_penalty": _NUMBER,
    "reasoning_effort": _TEXT,
    "response_format": _OBJECT,
    "seed": _NUMBER,
    "stop": frozenset(b'"[n'),
    "store": _FLAG,
    "stream": _FLAG,
    "stream_options": _OBJECT,
    "temperature": _NUMBER,
    "tool_choice": frozenset(b'"{n'),
    "tools": _LIST,
    "top_logprobs": _NUMBER,
    "top_p": _NUMBER,
    "user": _TEXT,
}
_WORDS = {
    _TEXT: "a text",
    _FLAG: "true or false",
    _LIST: "a list",
    _OBJECT: "an object",
    _NUMBER: "a number",
    frozenset(b'"[n'): "a text or a list of texts",
    frozenset(b'"{n'): "a text or an object",
}
_WHOLE = frozenset({"max_completion_tokens", "max_tokens", "n", "seed", "top_logprobs"})
_NUMBERS = frozenset(name for name, first in _FIRST.items() if first is _NUMBER)

# Whom to call, with which key, and what that looks like on the wire, is for the settings to say.
_NOT_THE_CALLERS = frozenset(
    "api_base api_key base_url client client_cert custom_llm_provider extra_headers extra_query headers organization "
    "proxy ssl_verify api_version model_list".split()
)
_OURS = frozenset({"cache", "disable_fallbacks", "tags", *TESTING})
_STEERING = frozenset(CONTROLS) | INERT | _OURS | _NOT_THE_CALLERS

# Where LiteLLM's callers name the guardrails of a call. Nobody here would run them.
_GUARDING = frozenset({"guardrails", "litellm_metadata", "metadata"})

# Each field that is not known is held against those that are: tenths of a millisecond, in which nobody else is served.
MOST_FIELDS = 256

# What only a program's own call can say; here it is for the settings.
_WITHOUT_EFFECT = INERT - _OURS | {
    "additional_drop_params",
    "allowed_openai_params",
    "context_window_fallback_dict",
    "disable_quirks",
    "strict",
}

_MODEL = msgspec.json.Decoder(str)
_ANY: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


class Asked(msgspec.Struct):
    """A call as it came. `entries` are what travels, `steering` what does not. `body` is the body as it came where
    nothing was taken out of it, else None. `usage` says whether the caller asked for the usage of a stream."""

    model: str
    entries: Entries
    body: bytes | None
    stream: bool = False
    usage: bool = False
    steering: dict[str, Any] = {}


def asked(
    entries: Entries, body: bytes | None, *, listed: str = "messages", untyped: frozenset[str] = frozenset()
) -> Asked:
    """The call that these entries ask for; `listed` is the field that has to be there, and of `messages` a list;
    `untyped` are fields that mean something else here. Raises BadRequestError with the field that is wrong as
    `param`."""
    if len(entries) > MOST_FIELDS:
        raise BadRequestError(f"the request has {len(entries):,} fields; more than {MOST_FIELDS} are not taken")
    if "model" not in entries or listed not in entries:
        missing = "model" if "model" not in entries else listed
        raise BadRequestError(f"{missing} is missing", param=missing)
    try:
        model = _MODEL.decode(entries["model"])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadRequestError(f"model has to be a text, not {kind_of(entries['model'])}", param="model") from None
    if not model or not model.isprintable() or len(model) > LONGEST:
        raise BadRequestError("model has to be the name of a model", param="model")
    for name in entries:
        if name in _FIRST and name not in untyped:
            _check(name, entries[name])
    if listed == "messages" and memoryview(entries[listed])[0] != 0x5B:
        raise BadRequestError(f"messages has to be a list, not {kind_of(entries[listed])}", param="messages")
    found = Asked(model, entries, body)
    if "stream" in entries:
        found.stream = memoryview(entries["stream"])[0] == 0x74
    if "stream_options" in entries:
        options = opened(entries, "stream_options")
        found.usage = isinstance(options, dict) and options.get("include_usage") is True
    if not _STEERING.isdisjoint(entries):
        _take_out(found)
    if not _GUARDING.isdisjoint(entries):
        _unguarded(entries)
        _tags_of_metadata(found)
    return found


def _check(name: str, raw: msgspec.Raw) -> None:
    first = memoryview(raw)[0]
    if first not in _FIRST[name]:
        raise BadRequestError(f"{name} has to be {_WORDS[_FIRST[name]]}, not {kind_of(raw)}", param=name)
    if name in _NUMBERS and first != 0x6E:
        try:
            value = _ANY.decode(raw)
        except msgspec.DecodeError as wrong:
            raise BadRequestError(f"{name} is not usable: {wrong}", param=name) from None
        if name in _WHOLE and not (isinstance(value, int) and -(2**63) <= value < 2**63):
            raise BadRequestError(f"{name} has to be a whole number of 64 bits", param=name)


def _unguarded(entries: Entries) -> None:
    """Refuse a call that asks to be checked by guardrails: passed on, it would look as if it had been."""
    for name in _GUARDING & entries.keys():
        if name == "guardrails":
            _ask_for_none(opened(entries, name), name)
        elif b'"guardrails"' in bytes(entries[name]):
            value = opened(entries, name)
            # A list alone: what a provider's own metadata holds is text.
            if isinstance(value, dict) and isinstance(value.get("guardrails"), list):
                _ask_for_none(value["guardrails"], f"{name}.guardrails")


def _ask_for_none(value: Any, where: str) -> None:
    if value:
        text = f"{where} would check the call, and there are no guardrails here; leave it out if it can do without"
        raise BadRequestError(text, param=where)


def _take_out(found: Asked) -> None:
    """The keywords that steer leave the body, so that what is left travels as it is."""
    entries = dict(found.entries)
    for name in entries.keys() & _STEERING:
        if name in _NOT_THE_CALLERS:
            raise BadRequestError(f"{name} is for the gateway's settings, not for a call", param=name)
        found.steering[name] = opened(entries, name)
        del entries[name]
    found.entries, found.body = entries, None


def _tags_of_metadata(found: Asked) -> None:
    """`metadata.tags` are LiteLLM's mark for routing; the rest of the metadata is the provider's."""
    if "metadata" not in found.entries or b'"tags"' not in bytes(found.entries["metadata"]):
        return
    metadata = opened(found.entries, "metadata")
    if not isinstance(metadata, dict) or "tags" not in metadata:
        return
    tags = _tags(metadata.pop("tags"), "metadata.tags")
    found.steering.setdefault("tags", [*tags])
    entries = dict(found.entries)
    if metadata:
        entries["metadata"] = msgspec.Raw(msgspec.json.encode(metadata))
    else:
        del entries["metadata"]
    found.entries, found.body = entries, None


_STEERING_HEADERS = frozenset(
    (b"x-litellm-timeout", b"x-litellm-stream-timeout", b"x-litellm-num-retries", b"x-litellm-tags")
)
_WHOLE_ANSWER, _STREAMED = Controls(), Controls(streams=True)


def steering(found: Asked, headers: Mapping[bytes, bytes], warnings: list[Warning]) -> Controls:
    """How the call is to be made, by its body and by LiteLLM's headers. Raises BadRequestError."""
    given = found.steering
    if not given and _STEERING_HEADERS.isdisjoint(headers):
        return _STREAMED if found.stream else _WHOLE_ANSWER
    for name in given:
        if name in _WITHOUT_EFFECT:
            warnings.append(Warning("no_effect", name, f"{name} has no effect in a call to a gateway"))
    _flag(given.get("drop_params"), "drop_params")
    controls_from(given.get("cache"))  # also where there is no cache, so that switching it on refuses nothing anew
    limit = "timeout" if given.get("timeout") is not None else "request_timeout"
    total = _seconds(given.get(limit), limit)
    if total is None:
        total = _seconds(_header(headers, b"x-litellm-timeout"), "x-litellm-timeout")
    own = _seconds(given.get("stream_timeout"), "stream_timeout")
    if own is None:
        own = _seconds(_header(headers, b"x-litellm-stream-timeout"), "x-litellm-stream-timeout")
    if found.stream and own is not None:
        total = own
    times = "num_retries" if given.get("num_retries") is not None else "max_retries"
    retries = given.get(times)
    if retries is None:
        times = "x-litellm-num-retries"
        retries = _header(headers, times.encode())
    tags = given.get("tags")
    if tags is None and (text := _header(headers, b"x-litellm-tags")) is not None:
        tags = [tag.strip() for tag in text.split(",") if tag.strip()]
    return Controls(
        num_retries=_retries(retries, times),
        timeouts=None if total is None else Timeouts(total=total),
        fallbacks=_fallbacks(given.get("fallbacks")),
        disable_fallbacks=_flag(given.get("disable_fallbacks"), "disable_fallbacks"),
        tags=_tags(tags),
        streams=found.stream,
    )


def _header(headers: Mapping[bytes, bytes], name: bytes) -> str | None:
    value = headers.get(name)
    return None if value is None else value.decode("latin-1")


def _seconds(value: Any, name: str) -> float | None:
    if value is None:
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = -1.0
    if isinstance(value, bool) or not 0 < seconds < 1e6:
        raise BadRequestError(f"{name} has to be a number of seconds", param=name)
    return seconds


def _retries(value: Any, name: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 100:
        raise BadRequestError(f"{name} has to be a whole number from 0 to 100", param=name)
    return value


def _fallbacks(value: Any) -> list[str | dict[str, Any]] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise BadRequestError("fallbacks has to be a list", param="fallbacks")
    for number, entry in enumerate(value):
        own = {"model": entry} if isinstance(entry, str) else entry
        where = f"fallbacks[{number}]"
        if not isinstance(own, dict) or not isinstance(own.get("model"), str):
            raise BadRequestError(f"{where} has to be the name of a model, or an object with a model", param=where)
        wrong = sorted(own.keys() & _NOT_THE_CALLERS)
        if wrong:
            raise BadRequestError(f"{wrong[0]} is for the gateway's settings, not for a call", param=where)
        _ask_for_none(own.get("guardrails"), f"{where}.guardrails")
        if "stream" in own:
            raise BadRequestError("a fallback streams if the call does", param=where)
        for name in own.keys() & _FIRST.keys():
            _check(name, msgspec.Raw(msgspec.json.encode(own[name])))
        if not isinstance(own.get("messages", []), list):
            raise BadRequestError("messages has to be a list", param=where)
    return value


def _flag(value: Any, name: str) -> bool:
    if value is None:
        return False
    if not isinstance(value, bool):
        raise BadRequestError(f"{name} has to be true or false", param=name)
    return value


def _tags(value: Any, name: str = "tags") -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
        raise BadRequestError(f"{name} has to be a list of texts", param=name)
    return tuple(value)
