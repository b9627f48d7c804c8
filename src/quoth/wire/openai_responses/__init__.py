"""OpenAI's Responses, both ways: as a client of it (chat body to request, answer and events to Completion and Chunks)
and as a server of it (request to chat body, Completion and Chunks to answer and events).

Source: OpenAI's API reference, Responses; Poe's answers as recorded in March 2026.
"""

from __future__ import annotations

from quoth.wire.kept_answers import refused
from quoth.wire.openai_responses.answers import parse, render
from quoth.wire.openai_responses.encoder import ResponsesEncoder
from quoth.wire.openai_responses.events import ResponsesReader
from quoth.wire.openai_responses.requests import from_chat, head, to_chat

__all__ = [
    "ResponsesEncoder",
    "ResponsesReader",
    "from_chat",
    "head",
    "parse",
    "refused",
    "render",
    "to_chat",
]
