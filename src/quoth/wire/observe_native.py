"""What an answer of the Messages or the Responses API says of itself, read without taking it apart: for a relay that
passes the bytes on to a caller who speaks the same API.

Source: Anthropic's API reference, messages; OpenAI's API reference, responses.
"""

from __future__ import annotations

from typing import Any

import msgspec

from quoth.wire.anthropic_messages import answers as messages
from quoth.wire.observe import MOST_TOKENS, Tokens, tokens_of
from quoth.wire.openai_chat import Unreadable, UpstreamError, error_facts
from quoth.wire.openai_responses import answers as responses

__all__ = ["Said", "look_messages", "look_responses", "read_messages", "read_responses"]

_NULL = (b"", b"null")
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Said(msgspec.Struct):
    """What one event, or a whole answer, tells a relay. `good`: it has content, a tool call or an end. `over`: nothing
    more follows. `tokens`: counts, where it has any. `number` is the event's place, where the API counts events;
    `response` the JSON of what begins with it."""

    good: bool = False
    over: bool = False
    finish_reason: str | None = None
    tokens: Tokens | None = None
    number: int | None = None
    response: msgspec.Raw | None = None


class _Stop(msgspec.Struct):
    stop_reason: str | None = None


class _Begun(msgspec.Struct):
    type: str = ""
    text: str = ""
    thinking: str = ""


class _MessageEvent(msgspec.Struct):
    type: str = ""
    delta: _Stop | None = None
    content_block: _Begun | None = None
    usage: msgspec.Raw = msgspec.Raw()
    message: msgspec.Raw = msgspec.Raw()


class _Message(msgspec.Struct):
    type: str = ""
    usage: msgspec.Raw = msgspec.Raw()
    stop_reason: str | None = None
    content: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()


class _Item(msgspec.Struct):
    type: str = ""


class _ResponseEvent(msgspec.Struct):
    type: str = ""
    item: _Item | None = None
    sequence_number: int | None = None
    response: msgspec.Raw = msgspec.Raw()


class _Response(msgspec.Struct):
    object: str = ""
    status: str | None = None
    usage: msgspec.Raw = msgspec.Raw()
    output: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()


_MESSAGE_EVENT = msgspec.json.Decoder(_MessageEvent)
_MESSAGE = msgspec.json.Decoder(_Message)
_RESPONSE_EVENT = msgspec.json.Decoder(_ResponseEvent)
_RESPONSE = msgspec.json.Decoder(_Response)

_DELTA = Said(good=True)
_QUIET = Said()
_ENDS = {"response.completed": "stop", "response.incomplete": "length"}


def look_messages(data: bytes) -> Said:
    """One event of the Messages API. Raises Unreadable, UpstreamError."""
    event = _decoded(_MESSAGE_EVENT, data)
    kind = event.type
    if kind == "content_block_delta":
        return _DELTA
    if kind == "content_block_start":
        begun = event.content_block
        # A text or a thought that has begun says nothing yet.
        silent = begun is None or (begun.type in ("text", "thinking") and not begun.text and not begun.thinking)
        return _QUIET if silent else _DELTA
    if kind == "message_delta":
        reason = messages.finish_reason(event.delta.stop_reason) if event.delta is not None else None
        return Said(good=True, finish_reason=reason, tokens=_messages_tokens(event.usage))
    if kind == "message_stop":
        return Said(good=True, over=True)
    if kind == "message_start":
        return Said(tokens=_messages_tokens(_decoded(_MESSAGE, bytes(event.message) or b"{}").usage))
    if kind == "error":
        raise UpstreamError(error_facts(data))
    return _QUIET


def read_messages(body: bytes) -> Said:
    """A whole answer of the Messages API. Raises Unreadable, UpstreamError."""
    message = _decoded(_MESSAGE, body)
    if message.type == "error" or (bytes(message.error) not in _NULL and not message.content):
        raise UpstreamError(error_facts(body))
    if message.type != "message" and not message.content:
        raise Unreadable(f"JSON, but no message: {error_facts(body).message}")
    reason = messages.finish_reason(message.stop_reason)
    return Said(good=True, over=True, finish_reason=reason, tokens=_messages_tokens(message.usage))


def look_responses(data: bytes) -> Said:
    """One event of the Responses API. Raises Unreadable, UpstreamError."""
    event = _decoded(_RESPONSE_EVENT, data)
    kind = event.type
    if kind.endswith(".delta"):
        return Said(good=True, number=event.sequence_number)
    if kind in _ENDS:
        response = _decoded(_RESPONSE, bytes(event.response) or b"{}")
        return Said(True, True, _ENDS[kind], _responses_tokens(response.usage), event.sequence_number)
    if kind == "response.failed":
        raise responses.failure_of(_document(event.response))
    if kind == "error":
        raise UpstreamError(error_facts(data))
    if kind == "response.created":
        return Said(number=event.sequence_number, response=event.response)
    good = kind == "response.output_item.done" or (
        kind == "response.output_item.added"
        and event.item is not None
        and event.item.type not in ("message", "reasoning")
    )
    return Said(good=good, number=event.sequence_number)


def read_responses(body: bytes) -> Said:
    """A whole answer of the Responses API. Raises Unreadable, UpstreamError."""
    response = _decoded(_RESPONSE, body)
    if response.status == "failed":
        raise responses.failure_of(_document(body))
    if not response.output:
        if bytes(response.error) not in _NULL:
            raise UpstreamError(error_facts(body))
        raise Unreadable(f"JSON, but no response: {error_facts(body).message}")
    reason = "length" if response.status == "incomplete" else "stop"
    return Said(True, True, reason, _responses_tokens(response.usage))


def _decoded(decoder: msgspec.json.Decoder[Any], data: bytes) -> Any:
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as wrong:
        raise Unreadable(f"not the shape of this API: {wrong}") from None
    except _NOT_JSON as wrong:
        raise Unreadable(f"not JSON ({wrong}): {error_facts(data).message}") from None


def _document(raw: bytes | msgspec.Raw) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(raw)
    except _NOT_JSON:
        found = None
    return found if isinstance(found, dict) else {}


def _messages_tokens(usage: msgspec.Raw) -> Tokens | None:
    """Anthropic counts what was read from and written to a cache beside the rest of the prompt."""
    if bytes(usage) in _NULL:
        return None
    found = _document(usage)
    counts = {
        name: value
        for name, value in found.items()
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS
    }
    cached, written = counts.get("cache_read_input_tokens", 0), counts.get("cache_creation_input_tokens", 0)
    prompt = counts.get("input_tokens")
    return Tokens(None if prompt is None else prompt + cached + written, counts.get("output_tokens"), cached, written)


def _responses_tokens(usage: msgspec.Raw) -> Tokens | None:
    return None if bytes(usage) in _NULL else tokens_of(usage)
