"""What an answer in OpenAI's chat protocol says of itself, read without taking it apart: for a relay that passes the
bytes on. Only the fields that a relay needs are decoded.

Source: OpenAI's API reference, chat completions.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from quoth.wire.openai_chat import ErrorFacts, Unreadable, UpstreamError, error_facts, without_lone_surrogates

__all__ = [
    "MOST_TOKENS",
    "NOT_JSON",
    "Answered",
    "Seen",
    "Tokens",
    "decode_seen",
    "is_good_event",
    "look",
    "read",
    "renamed",
    "tokens_of",
]

_NULL = (b"", b"null")
# What the decoder raises for what it cannot read.
NOT_JSON = _NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Tokens(msgspec.Struct):
    """Tokens as the provider counted them; None where it gave no count. `cached` and `written` are part of `prompt`,
    `reasoning` is part of `completion`. `stated` is what the provider says that it cost, in USD, as decimal text."""

    prompt: int | None = None
    completion: int | None = None
    cached: int = 0
    written: int = 0
    reasoning: int = 0
    stated: str | None = None


class _Choice(msgspec.Struct):
    finish_reason: str | None = None


class Seen(msgspec.Struct):
    """One event of a stream: `model`, `usage` and `error` as their bytes, empty where the event has none."""

    model: msgspec.Raw = msgspec.Raw()
    choices: list[_Choice] | None = None
    usage: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()

    @property
    def finish_reason(self) -> str | None:
        for choice in self.choices or ():
            if choice.finish_reason:
                return choice.finish_reason
        return None

    @property
    def is_usage_only(self) -> bool:
        """The chunk that `stream_options.include_usage` adds: usage, and no choices."""
        return not self.choices and bytes(self.usage) not in _NULL


class Answered(msgspec.Struct):
    """What a whole answer says of itself. `model` is its bytes, empty where it names none."""

    model: msgspec.Raw
    finish_reason: str | None = None
    tokens: Tokens | None = None


# More is no number of tokens, and nothing that sums or prices could bear.
MOST_TOKENS = 10**12
_Count = Annotated[int, msgspec.Meta(ge=0, le=MOST_TOKENS)]


class _Details(msgspec.Struct):
    cached_tokens: _Count | None = None
    reasoning_tokens: _Count | None = None
    cache_write_tokens: _Count | None = None
    cache_creation_tokens: _Count | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: _Count | None = None
    completion_tokens: _Count | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None
    cache_creation_input_tokens: _Count | None = None
    cost: float | None = None


class _Answer(msgspec.Struct):
    """A whole answer, as far as it is read."""

    model: msgspec.Raw = msgspec.Raw()
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: msgspec.Raw = msgspec.Raw()


_SEEN = msgspec.json.Decoder(Seen)
_ANSWER = msgspec.json.Decoder(_Answer)
_USAGE = msgspec.json.Decoder(_Usage)
_ANY: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
_ENTRIES = msgspec.json.Decoder(dict[str, msgspec.Raw])


# One event, where that is one of the shape that nearly all have; raises one of NOT_JSON for any other.
decode_seen = _SEEN.decode


def look(data: bytes, name: bytes = b"") -> Seen:
    """One event of a stream. Raises Unreadable, UpstreamError."""
    try:
        seen = _SEEN.decode(data)
    except msgspec.ValidationError:
        seen = _leniently(data)
    except _NOT_JSON as wrong:
        if (mended := _mended(data)) is None:
            raise Unreadable(f"not JSON ({wrong})") from None
        return look(mended, name)
    if bytes(seen.error) not in _NULL or name == b"error":
        raise UpstreamError(error_facts(data))
    return seen


def read(body: bytes) -> Answered:
    """A whole answer. Raises Unreadable, UpstreamError."""
    try:
        answer = _ANSWER.decode(body)
    except msgspec.ValidationError:
        return _read_leniently(body)
    except _NOT_JSON as wrong:
        if (mended := _mended(body)) is None:
            raise Unreadable(f"not JSON ({wrong}): {error_facts(body).message}") from None
        return read(mended)
    choices, usage = answer.choices, answer.usage
    if not choices:
        _no_choices(body, choices, answer.error)
        choices = []
    tokens = None
    if usage is not None:
        tokens = _counted(usage) or _oddly_counted(_ENTRIES.decode(body)["usage"])
    for choice in choices:
        if choice.finish_reason:
            return Answered(answer.model, choice.finish_reason, tokens)
    return Answered(answer.model, None, tokens)


def _read_leniently(body: bytes) -> Answered:
    seen: Seen = _leniently(body)
    if not seen.choices:
        _no_choices(body, seen.choices, seen.error)
    tokens = tokens_of(seen.usage) if seen.usage else None
    return Answered(seen.model, seen.finish_reason, tokens)


def _no_choices(body: bytes, choices: list[_Choice] | None, error: msgspec.Raw) -> None:
    """Raises UpstreamError for an error in the place of an answer, Unreadable for what is no answer at all."""
    if bytes(error) not in _NULL:
        raise UpstreamError(error_facts(body))
    if choices is None and _ENTRIES.decode(body).keys().isdisjoint(("id", "object", "usage")):
        raise Unreadable(f"JSON, but not a chat completion: {_sample(body)}")


def _mended(data: bytes) -> bytes | None:
    """To look at only: the same without halves of surrogate pairs, which servers send that cut text between UTF-16
    units. Clients can read them, this decoder cannot. None where there are none."""
    mended = without_lone_surrogates(data)
    return None if mended == data else mended


def _sample(body: bytes) -> str:
    facts: ErrorFacts = error_facts(body)
    return facts.message


def _leniently(data: bytes) -> Seen:
    """A field of a type that nobody expects is none of the relay's business. Raises Unreadable for what is no
    object."""
    try:
        entries = _ENTRIES.decode(data)
    except _NOT_JSON:
        raise Unreadable("JSON, but not an object") from None
    choices: list[_Choice] | None = None
    if "choices" in entries:
        try:
            found = _ANY.decode(entries["choices"])
        except _NOT_JSON as wrong:
            raise Unreadable(f"not JSON ({wrong})") from None
        choices = []
        for choice in found if isinstance(found, list) else ():
            reason = choice.get("finish_reason") if isinstance(choice, dict) else None
            choices.append(_Choice(reason if isinstance(reason, str) else None))
    nothing = msgspec.Raw()
    return Seen(entries.get("model", nothing), choices, entries.get("usage", nothing), entries.get("error", nothing))


_EMPTY: tuple[Any, ...] = ("", None, [], {})
_SILENT = ("role",)


def is_good_event(data: bytes, seen: Seen) -> bool:
    """True when an event says something: content, reasoning, a tool call, a finish reason or usage."""
    if bytes(seen.usage) not in _NULL or seen.finish_reason:
        return True
    try:
        event = _ANY.decode(without_lone_surrogates(data) if b"\\u" in data else data)
    except _NOT_JSON:
        return False
    choices = event.get("choices") if isinstance(event, dict) else None
    for choice in choices if isinstance(choices, list) else ():
        delta = choice.get("delta") if isinstance(choice, dict) else None
        if isinstance(delta, dict) and any(value not in _EMPTY for name, value in delta.items() if name not in _SILENT):
            return True
    return False


def tokens_of(usage: bytes | msgspec.Raw) -> Tokens | None:
    """The counts in a `usage` object, under any of the names that they go by; None for null."""
    try:
        found = _USAGE.decode(usage)
    except (*_NOT_JSON, msgspec.ValidationError):
        return _oddly_counted(usage)
    return _counted(found) or _oddly_counted(usage)


def _counted(usage: _Usage) -> Tokens | None:
    """None where a count is missing."""
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    if prompt is None or completion is None:
        return None
    tokens = Tokens(prompt, completion)
    if (details := usage.prompt_tokens_details) is not None:
        tokens.cached = details.cached_tokens or 0
        tokens.written = details.cache_write_tokens or details.cache_creation_tokens or 0
    if usage.cache_creation_input_tokens and not tokens.written:
        tokens.written = usage.cache_creation_input_tokens
    if (details := usage.completion_tokens_details) is not None:
        tokens.reasoning = details.reasoning_tokens or 0
    if usage.cost is not None:
        tokens.stated = repr(usage.cost)
    return tokens


def _oddly_counted(usage: bytes | msgspec.Raw) -> Tokens | None:
    """The same for what is not quite in OpenAI's shape: the names of other APIs, counts that are missing."""
    try:
        found = _ANY.decode(usage)
    except _NOT_JSON:
        return None
    if not isinstance(found, dict):
        return None
    prompt_details = found.get("prompt_tokens_details") or found.get("input_tokens_details")
    completion_details = found.get("completion_tokens_details") or found.get("output_tokens_details")
    prompts = prompt_details if isinstance(prompt_details, dict) else {}
    completions = completion_details if isinstance(completion_details, dict) else {}
    cost = found.get("cost")
    return Tokens(
        prompt=_count(found, "prompt_tokens", "input_tokens"),
        completion=_count(found, "completion_tokens", "output_tokens"),
        cached=_count(prompts, "cached_tokens") or _count(found, "cache_read_input_tokens") or 0,
        written=_count(prompts, "cache_write_tokens", "cache_creation_tokens")
        or _count(found, "cache_creation_input_tokens")
        or 0,
        reasoning=_count(completions, "reasoning_tokens") or 0,
        stated=repr(cost) if isinstance(cost, int | float) and not isinstance(cost, bool) else None,
    )


def _count(place: dict[str, Any], *names: str) -> int | None:
    for name in names:
        value = place.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS:
            return value
    return None


_MODEL = b'"model"'


def renamed(text: bytes, old: bytes | msgspec.Raw, new: bytes | msgspec.Raw, *, among: bytes | None = None) -> bytes:
    """The same JSON object with another value for its `model`, which is `old` now; every other byte stays. `among`: the
    object, where `text` has more around it, such as an event."""
    old, new = bytes(old), bytes(new)
    if not old or old == new:
        return text
    if text.count(_MODEL) == 1:
        start = text.index(old, text.index(_MODEL) + len(_MODEL))
        return b"".join((text[:start], new, text[start + len(old) :]))
    data = text if among is None else among
    changed = _renamed_at_the_top(data, old, new)
    return changed if among is None else text.replace(data, changed, 1)


# So many places are tried.
_PLACES = 64


def _renamed_at_the_top(data: bytes, old: bytes, new: bytes) -> bytes:
    """Where the word is in several places: with the one at the top changed, the object says the new name."""
    at = -1
    for _ in range(_PLACES):
        if (at := data.find(_MODEL, at + 1)) < 0:
            break
        after = at + len(_MODEL)
        start = data.find(old, after)
        if start >= 0 and data[after:start].strip() == b":":
            changed = b"".join((data[:start], new, data[start + len(old) :]))
            if bytes(_entries(changed)["model"]) == new:
                return changed
    # It is further behind, or written with escapes. The entries, each as it is, are set together anew.
    entries = _entries(data)
    entries["model"] = msgspec.Raw(new)
    return msgspec.json.encode(entries)


def _entries(data: bytes) -> dict[str, msgspec.Raw]:
    return _ENTRIES.decode(data if (mended := _mended(data)) is None else mended)
