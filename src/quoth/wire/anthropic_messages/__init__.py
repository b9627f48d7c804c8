"""Anthropic's Messages, both ways: as a client of it (chat body to request, answer and events to Completion and Chunks)
and as a server of it (request to chat body, Completion and Chunks to answer and events).

Source: Anthropic's API reference, Messages; Poe's additions as recorded in March 2026.
"""

from __future__ import annotations

from quoth.wire.anthropic_messages.answers import parse, render
from quoth.wire.anthropic_messages.encoder import MessagesEncoder
from quoth.wire.anthropic_messages.events import MessagesReader
from quoth.wire.anthropic_messages.requests import from_chat, head, to_chat

__all__ = ["MessagesEncoder", "MessagesReader", "from_chat", "head", "parse", "render", "to_chat"]
