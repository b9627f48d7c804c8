"""The APIs whose calls are relayed: what each is on the wire, and how its answers are watched."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from quoth.gateway.outgoing import OPENAI, Dialect
from quoth.gateway.problems import Problem
from quoth.types import Chunk
from quoth.wire.envelopes import error_object
from quoth.wire.observe_native import Said, look_messages, look_responses, read_messages, read_responses
from quoth.wire.wires import Encoder, wire_named

__all__ = ["ANTHROPIC", "CHAT", "EMBEDDINGS", "MESSAGES", "RESPONSES", "RESPONSES_ERRORS", "Surface"]


class Surface(msgspec.Struct, frozen=True):
    """`wire` is the protocol's name, `path` that of its calls below a base URL, `listed` the field of a call that holds
    the conversation. `look` and `read` watch an event and a whole answer; None for chat, which has a reader of its
    own."""

    wire: str
    path: str
    listed: str
    look: Callable[[bytes], Said] | None = None
    read: Callable[[bytes], Said] | None = None


CHAT = Surface("openai_chat", "/chat/completions", "messages")
EMBEDDINGS = Surface("openai_chat", "/embeddings", "input")
MESSAGES = Surface("anthropic_messages", "/messages", "messages", look_messages, read_messages)
RESPONSES = Surface("openai_responses", "/responses", "input", look_responses, read_responses)


def _anthropic(problem: Problem, id: str) -> bytes:
    """Anthropic's error body; an upstream's own stays as it was."""
    body = problem.body
    if body is not None and body.get("type") == "error" and isinstance(body.get("error"), dict):
        return msgspec.json.encode({**body, "request_id": body.get("request_id") or id})
    status = 529 if problem.slug == "upstream_overloaded" else problem.status
    return msgspec.json.encode(
        error_object("anthropic_messages", status, problem.message, type=problem.slug, request_id=id)
    )


def _anthropic_event(problem: Problem, id: str, speaker: Encoder | None) -> bytes:
    return b"event: error\ndata: " + _anthropic(problem, id) + b"\n\n"


def _responses_event(problem: Problem, id: str, speaker: Encoder | None) -> bytes:
    """The end of a response that failed, which has to begin first where it has not."""
    begun = b""
    if speaker is None:
        speaker = wire_named(RESPONSES.wire).encoder(None)
        begun = speaker.feed(Chunk(id=id, created=int(datetime.now(UTC).timestamp())))
    said = (problem.body or {}).get("error")
    code = said.get("code") if isinstance(said, dict) else None
    if not isinstance(code, str) or code.isdecimal():
        code = _CODES.get(problem.slug)
    return begun + speaker.error(problem.status, problem.message, type=problem.slug, code=code, param=problem.param)


# What clients of OpenAI's know a failure by, beside what the status says.
_CODES = {"context_window_exceeded": "context_length_exceeded", "upstream_insufficient_funds": "insufficient_quota"}


ANTHROPIC = Dialect(_anthropic, _anthropic_event, (b"request-id",))
RESPONSES_ERRORS = Dialect(OPENAI.envelope, _responses_event)
