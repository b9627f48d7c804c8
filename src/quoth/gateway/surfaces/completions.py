"""`POST /v1/completions`: the older API, mapped onto chat.

Source: OpenAI's API reference, completions (legacy).
"""

from __future__ import annotations

import sys
import time
from typing import Any

import msgspec

from quoth.errors import BadGatewayError, BadRequestError
from quoth.gateway.asked import Asked, asked
from quoth.gateway.entries import Entries, opened, placed, split
from quoth.gateway.outgoing import Header, Outgoing
from quoth.gateway.receiving import received
from quoth.gateway.request import Request
from quoth.gateway.surfaces import chat as chats
from quoth.types import Warning
from quoth.wire.frames import Frames, data_of
from quoth.wire.observe import NOT_JSON
from quoth.wire.openai_chat import without_lone_surrogates

__all__ = ["completions"]

# What chat has no word for. `logprobs` is a number here and a flag there.
_UNKNOWN = ("best_of", "suffix")


async def completions(request: Request) -> None:
    body = await received(request)
    if body is None:
        return
    entries = split(body)
    if request.parameter:
        entries = placed(entries, request.parameter)
    call, before = _as_chat(entries, request.x.warnings)
    await chats.answer(msgspec.structs.replace(request, out=_AsText(request.out, before)), call)


def _as_chat(entries: Entries, warnings: list[Warning]) -> tuple[Asked, str]:
    """The chat call, and the text that goes before the answer. Raises BadRequestError."""
    entries = dict(entries)
    if "prompt" not in entries:
        raise BadRequestError("prompt is missing", param="prompt")
    prompt = opened(entries, "prompt")
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], str):
        prompt = prompt[0]
    if not isinstance(prompt, str):
        raise BadRequestError(
            "prompt has to be one text: several prompts, and prompts of token numbers, cannot be made a chat",
            param="prompt",
        )
    before = prompt if "echo" in entries and opened(entries, "echo") is True else ""
    for name in ("prompt", "echo"):
        entries.pop(name, None)
    for name in _UNKNOWN:
        if name in entries and opened(entries, name) not in (None, 1, ""):
            raise BadRequestError(f"{name} has no counterpart in chat, which answers this route", param=name)
        entries.pop(name, None)
    if "logprobs" in entries and opened(entries, "logprobs") is not None:
        warnings.append(Warning("dropped", "logprobs", "logprobs of this API have no counterpart in chat"))
    entries.pop("logprobs", None)
    entries["messages"] = msgspec.Raw(msgspec.json.encode([{"role": "user", "content": prompt}]))
    return asked(entries, None), before


class _AsText(Outgoing):
    """Chat answers on their way out, as answers of this API."""

    __slots__ = ("_before", "_frames", "_out")

    def __init__(self, out: Outgoing, before: str):
        super().__init__(out.send, out.x, out.dialect)
        self._out = out
        self._before = before
        self._frames = Frames(sys.maxsize)  # their size has been judged already

    async def json(self, body: bytes, headers: list[Header] | None = None, status: int = 200) -> None:
        if status == 200:
            body = msgspec.json.encode(_text_completion(_decoded(body), self._before))
        self.started = self.ended = True
        await self._out.json(body, headers, status)

    async def begin(self, headers: list[Header]) -> None:
        self.started = True
        await self._out.begin(headers)

    async def piece(self, data: bytes, more: bool = True) -> None:
        events = self._frames.feed(data)
        if not more:
            events += self._frames.end()
        self.busy, self.sent_at = True, time.monotonic()
        await self._out.piece(b"".join(map(self._event, events)), more)
        self.busy, self.ended = False, not more

    def _event(self, event: bytes) -> bytes:
        data, _ = data_of(event)
        if not data:
            return event
        if data.startswith(b"[DONE]"):
            return b"data: [DONE]\n\n"
        chunk = _text_completion(_decoded(data), self._before)
        self._before = ""
        return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


def _decoded(data: bytes) -> Any:
    """Raises BadGatewayError for what a relay of the bytes would have left to the caller to read."""
    try:
        return msgspec.json.decode(data)
    except NOT_JSON:
        pass
    try:
        return msgspec.json.decode(without_lone_surrogates(data))
    except NOT_JSON as wrong:
        raise BadGatewayError(f"the provider's answer cannot be read: {wrong}", code="bad_upstream_response") from None


def _text_completion(answer: dict[str, Any], before: str) -> dict[str, Any]:
    """A chat completion, or a chunk of one, in the shape of this API."""
    given = answer.get("choices")
    choices = []
    for choice in given if isinstance(given, list) else ():
        if not isinstance(choice, dict):
            continue
        said = choice.get("message") or choice.get("delta")
        content = said.get("content") if isinstance(said, dict) else None
        choices.append(
            {
                "text": before + (content if isinstance(content, str) else ""),
                "index": choice.get("index", 0),
                "logprobs": None,
                "finish_reason": choice.get("finish_reason"),
            }
        )
    return {**answer, "object": "text_completion", "choices": choices}
