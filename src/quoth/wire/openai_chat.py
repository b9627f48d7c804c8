"""OpenAI's chat completions: a body to a request, an answer's bytes to a Completion, a stream's bytes to Chunks.

Reading is lenient where meaning is not at stake: a field of an unexpected type is kept out of the typed object with a
warning rather than losing the whole answer. Source: OpenAI's API reference, chat completions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from pydantic import ValidationError

from quoth.call import Target, WireRequest
from quoth.types import Chunk, ChunkChoice, Completion, Delta, Record, Warning
from quoth.wire.sse import Event

__all__ = [
    "DONE",
    "Done",
    "ErrorFacts",
    "Unreadable",
    "UpstreamError",
    "address",
    "as_chunk",
    "authorization",
    "error_facts",
    "filled",
    "head",
    "head_at",
    "is_good",
    "parse",
    "parse_event",
    "sample",
]

R = TypeVar("R", bound=Record)

_TITLE = re.compile(r"<title>([^<]+)</title>", re.IGNORECASE)
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


_HALVES = frozenset(f"d{digit}".encode() for digit in "89abcdef")
# A whole pair first, so that what is left of its kind is a half; then any other escape, an escaped backslash too.
_ESCAPE = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\(?:u[0-9a-fA-F]{4}|.)", re.S)


class Done:
    """The end that a stream announces with `[DONE]`."""


DONE = Done()


class Unreadable(ValueError):
    """An answer that is not what this wire speaks; the text says what it is instead."""


class ErrorFacts(msgspec.Struct, frozen=True):
    """What an error body says. `message` is never empty; `code` is text or None; `body` is the decoded body, else its
    text."""

    message: str
    type: str | None = None
    code: str | None = None
    param: str | None = None
    body: object = None


class UpstreamError(Exception):
    """An error object inside an answer whose status said success. `status` is its numeric code where it has one."""

    def __init__(self, facts: ErrorFacts):
        super().__init__(facts.message)
        self.facts = facts
        self.status = int(facts.code) if facts.code and facts.code.isdigit() and 400 <= int(facts.code) < 600 else None


def head(target: Target, stream: bool) -> WireRequest:
    """A request but for its body."""
    return head_at(target, "/chat/completions", authorization(target), stream)


def head_at(target: Target, path: str, credentials: Mapping[str, str], stream: bool) -> WireRequest:
    """The same for any wire: one POST of JSON."""
    accept = "text/event-stream" if stream else "application/json"
    headers = {"content-type": "application/json", "accept": accept, **credentials, **target.headers}
    return WireRequest("POST", address(target, path), headers)


def filled(head: WireRequest, document: Mapping[str, Any]) -> WireRequest:
    """The request with its body, which holds plain JSON values only."""
    return WireRequest(head.method, head.url, head.headers, msgspec.json.encode(document))


def authorization(target: Target) -> dict[str, str]:
    return {"authorization": f"Bearer {target.key}"} if target.key else {}


def address(target: Target, path: str) -> str:
    """The URL of a path below the target's base, with the query that was asked for."""
    if not target.query:
        return f"{target.base_url}{path}"
    from urllib.parse import urlencode

    return f"{target.base_url}{path}?{urlencode(target.query, doseq=True)}"


def parse(raw: bytes) -> tuple[Completion, list[Warning]]:
    """A whole answer. Raises Unreadable, UpstreamError."""
    completion, warnings = _read(Completion, raw)
    error = (completion.__pydantic_extra__ or {}).get("error")
    if error and not completion.choices:
        raise UpstreamError(error_facts(raw))
    if completion.id is None and completion.object is None and not completion.choices and completion.usage is None:
        raise Unreadable(f"JSON, but not a chat completion: {sample(raw)}")
    return completion, warnings


def parse_event(event: Event, warnings: list[Warning]) -> Chunk | Done:
    """One event of a stream; what had to be set aside is added to `warnings`. Raises Unreadable, UpstreamError."""
    data = event.data
    if data.startswith(b"[DONE]"):
        return DONE
    if not data:
        return Chunk()  # a keep-alive in the form of an event
    try:
        chunk = Chunk.model_validate_json(data)
    except ValidationError:
        chunk, found = _read(Chunk, data)
        # What is wrong with one chunk is mostly wrong with all of them: say it once.
        warnings += [warning for warning in found if warning not in warnings]
    if event.name == b"error" or (b'"error"' in data and (chunk.__pydantic_extra__ or {}).get("error")):
        raise UpstreamError(error_facts(data))
    return chunk


def is_good(chunk: Chunk) -> bool:
    """True when a chunk says something: content, reasoning, a tool call, a finish reason or usage."""
    if chunk.usage is not None:
        return True
    for choice in chunk.choices:
        delta = choice.delta
        if (
            delta.content
            or choice.finish_reason
            or delta.reasoning_content
            or delta.reasoning
            or delta.tool_calls
            or delta.function_call
            or delta.refusal
        ):
            return True
        if delta.__pydantic_extra__ and any(delta.__pydantic_extra__.values()):
            return True
    return False


def as_chunk(completion: Completion) -> Chunk:
    """A whole answer as the single chunk of a stream, for a provider that answers a streaming call with one
    document."""
    choices = []
    for choice in completion.choices:
        delta = choice.message.model_dump()
        for index, call in enumerate(delta.get("tool_calls") or ()):
            call.setdefault("index", index)
        rest = choice.model_dump(exclude={"index", "message"})
        choices.append(ChunkChoice(**{**rest, "index": choice.index or 0, "delta": Delta.model_validate(delta)}))
    head = completion.model_dump(exclude={"choices", "object"})
    return Chunk(**{**head, "object": "chat.completion.chunk", "choices": choices})


def error_facts(raw: bytes) -> ErrorFacts:
    """Whatever an error body says, in any of the shapes in use; a page of HTML becomes its first words."""
    try:
        body: Any = msgspec.json.decode(raw)
    except _NOT_JSON:
        return ErrorFacts(sample(raw) or "no body", body=raw[:4096].decode("utf-8", "replace"))
    if _nests_deeper(body, _DEEPEST):
        return ErrorFacts(sample(raw), body=raw[:4096].decode("utf-8", "replace"))
    # Google's compatible endpoint puts its error object into a list.
    error = body[0] if isinstance(body, list) and body else body
    error = (error.get("error") or error) if isinstance(error, dict) else error
    if isinstance(error, str):
        return ErrorFacts(error or "no message", body=body)
    if not isinstance(error, dict):
        return ErrorFacts(sample(raw) or "no body", body=body)
    message = error.get("message") or error.get("detail") or error.get("msg")
    if not isinstance(message, str):
        message = sample(raw) if message is None else msgspec.json.encode(message).decode()
    return ErrorFacts(
        message,
        type=_text(error.get("type")),
        code=_text(error.get("code")),
        param=_text(error.get("param")),
        body=body,
    )


# Who reads an error, and takes secrets out of it, goes down its levels by calls.
_DEEPEST = 64


def _nests_deeper(value: object, levels: int) -> bool:
    level = [value]
    while level and levels:
        levels -= 1
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
    return bool(level)


def _text(value: Any) -> str | None:
    return None if value is None or isinstance(value, dict | list) else str(value)


def sample(raw: bytes) -> str:
    text = " ".join(raw[:2048].decode("utf-8", "replace").split())
    if text[:1] == "<":
        title = _TITLE.search(text)
        return f"an HTML page ({title[1][:80]})" if title else "an HTML page"
    return text if len(text) <= 200 else text[:200] + "…"


def _read(kind: type[R], raw: bytes) -> tuple[R, list[Warning]]:
    """Bytes to an object; fields of the wrong type are set aside with a warning each. Raises Unreadable."""
    try:
        return kind.model_validate_json(raw), []
    except ValidationError as wrong:
        problems = wrong.errors(include_url=False, include_context=False)
    try:
        data = msgspec.json.decode(raw)
    except _NOT_JSON as error:
        mended = without_lone_surrogates(raw)
        if mended != raw:
            message = "half a surrogate pair in the answer, which no text can hold, was replaced by U+FFFD"
            found, warnings = _read(kind, mended)
            return found, [*warnings, Warning("lone_surrogate", None, message)]
        raise Unreadable(f"not JSON ({error}): {sample(raw) or 'an empty body'}") from None
    if not isinstance(data, dict):
        raise Unreadable(f"JSON, but not an object: {sample(raw)}")
    warnings = []
    for problem in problems:
        if _set_aside(data, problem["loc"]):
            warnings.append(_malformed(problem["loc"], problem["msg"], problem["input"]))
    try:
        return kind.model_validate(data), warnings
    except ValidationError as wrong:
        raise Unreadable(f"not the shape of this API: {wrong.errors(include_url=False)[0]['msg']}") from None


def without_lone_surrogates(raw: bytes) -> bytes:
    """The same JSON with escapes that stand for half a character replaced. Servers that cut text between UTF-16 units
    send such halves, and losing the whole answer for one would be worse."""

    def kept(escape: re.Match[bytes]) -> bytes:
        return rb"\ufffd" if len(escape[0]) == 6 and escape[0][2:4].lower() in _HALVES else escape[0]

    return _ESCAPE.sub(kept, raw)


def _malformed(path: tuple[int | str, ...], problem: str, value: Any) -> Warning:
    where = ".".join(map(str, path))
    if path[-1] == "content" and isinstance(value, list):
        message = f"{where} came in parts: the texts are joined, and the parts are in {path[-1]}_as_sent"
        return Warning("content_parts", where, message)
    return Warning("malformed_field", where, f"the provider's {where} is not usable: {problem}")


def _set_aside(data: Any, path: tuple[int | str, ...]) -> bool:
    """Take the value at `path` out of its typed place; it stays readable beside it as `<name>_as_sent`."""
    for depth, key in enumerate(path):
        last = depth == len(path) - 1
        try:
            value = data[key]
        except (KeyError, IndexError, TypeError):
            return False
        if last or not isinstance(value, dict | list):
            if isinstance(data, list):
                data[int(key)] = {"as_sent": value}
            else:
                del data[key]
                data[f"{key}_as_sent"] = value
                if key == "content" and isinstance(value, list):
                    _from_parts(data, value)
            return True
        data = value
    return False


def _from_parts(message: dict[str, Any], parts: list[Any]) -> None:
    """Content given as parts (Mistral's reasoning models do): the texts joined, the thinking apart."""

    message["content"] = _texts(parts, "text")
    thinking = _texts([part for part in parts if isinstance(part, dict)], "thinking")
    if thinking:
        message.setdefault("reasoning_content", thinking)


def _texts(parts: Any, kind: str) -> str:
    """The texts of the parts of this kind, joined. A thinking part holds text parts of its own."""
    if isinstance(parts, str):
        return parts
    if not isinstance(parts, list):
        return ""
    return "".join(
        part if isinstance(part, str) else _texts(part.get(kind, part.get("text")), "text")
        for part in parts
        if isinstance(part, str) or (isinstance(part, dict) and (kind in part or part.get("type") == kind))
    )
