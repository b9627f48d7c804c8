"""The three wires under one shape, for those who take the wire as a parameter.

A wire reads and writes both ways. As a client of a provider: `from_chat` (chat body to the wire's own form), `head` (a
request for that, but for its body), `parse` (answer to Completion), `reader` (events to Chunks). As a server of a
client: `to_chat` (request to chat body), `render` (Completion to answer), `encoder` (Chunks to events). What cannot be
carried is in the warnings that each returns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Protocol

from msgspec import Struct

from quoth.call import Target, WireRequest
from quoth.errors import BadRequestError
from quoth.types import Chunk, Completion, Warning
from quoth.wire.openai_chat import Done
from quoth.wire.sse import Event
from quoth.wire.stamp import Text

__all__ = ["NAMES", "Encoder", "QuickRead", "Read", "Wire", "wire_named"]

NAMES = ("openai_chat", "openai_responses", "anthropic_messages")
Json = dict[str, Any]
Read = Callable[[Event], "Chunk | Done | None"]
QuickRead = Callable[[Event], "Chunk | Text | Done | None"]


class Encoder(Protocol):
    """Chunks in, the bytes of events out. After `finish` or `error` nothing more is said."""

    warnings: list[Warning]

    def feed(self, chunk: Chunk) -> bytes: ...

    def text(self, said: Text) -> bytes:
        """The same for the chunk that this is."""

    def finish(self) -> bytes: ...

    def error(
        self,
        status: int,
        message: str,
        *,
        type: str | None = None,
        code: str | None = None,
        param: str | None = None,
        request_id: str | None = None,
    ) -> bytes:
        """What a broken stream ends with; `status` is the one that it would have had."""

    def ping(self) -> bytes:
        """Bytes that say nothing, to keep a connection alive."""


class Wire(Struct, frozen=True):
    """`path` is that of its requests below a base URL. `head` is told whether the answer is to be streamed. `tell` and
    `say` are `parse` and `render` for those who want nothing but JSON: an answer as that of a chat completion, and the
    reverse. `reader` gets the list that its warnings go to, and the Unix seconds that stand in for a creation time
    which the provider does not give; `quick_reader` is the same for those who need no chunk where there is but a
    text."""

    name: str
    path: str
    from_chat: Callable[[Mapping[str, Any]], tuple[Mapping[str, Any], list[Warning]]]
    head: Callable[[Target, bool], WireRequest]
    parse: Callable[[bytes, int | None], tuple[Completion, list[Warning]]]
    reader: Callable[[list[Warning], int | None], Read]
    quick_reader: Callable[[list[Warning], int | None], QuickRead]
    to_chat: Callable[[Mapping[str, Any]], tuple[Json, list[Warning]]]
    render: Callable[[Completion, Mapping[str, Any] | None], tuple[Json, list[Warning]]]
    encoder: Callable[[Mapping[str, Any] | None], Encoder]
    tell: Callable[[bytes, int | None], tuple[Json, list[Warning]]]
    say: Callable[[Mapping[str, Any], Mapping[str, Any] | None], tuple[Json, list[Warning]]]


@lru_cache(maxsize=8)
def wire_named(name: str) -> Wire:
    """The wire of this name; its modules are loaded when it is first asked for. Raises BadRequestError."""
    if name == "openai_chat":
        return _chat()
    if name == "openai_responses":
        return _responses()
    if name == "anthropic_messages":
        return _messages()
    raise BadRequestError(f"wire is {name!r}; it is one of {', '.join(NAMES)}", param="wire")


def _chat() -> Wire:
    from quoth.wire import chat_surface, openai_chat

    def reader(warnings: list[Warning], created: int | None) -> Read:
        return lambda event: openai_chat.parse_event(event, warnings)

    return Wire(
        "openai_chat",
        "/chat/completions",
        chat_surface.for_chat,
        openai_chat.head,
        lambda raw, created: openai_chat.parse(raw),
        reader,
        reader,
        lambda document: (dict(document), []),
        lambda completion, request: (completion.model_dump(), []),
        lambda request: chat_surface.ChatEncoder(),
        lambda raw, created: chat_surface.tell(raw),
        lambda completion, request: (dict(completion), []),
    )


def _responses() -> Wire:
    from quoth.wire.openai_responses import ResponsesEncoder, ResponsesReader, answers, requests

    return Wire(
        "openai_responses",
        "/responses",
        requests.from_chat,
        requests.head,
        answers.parse,
        lambda warnings, created: ResponsesReader(warnings, created).read,
        lambda warnings, created: ResponsesReader(warnings, created).read_quickly,
        requests.to_chat,
        answers.render,
        ResponsesEncoder,
        answers.tell,
        answers.say,
    )


def _messages() -> Wire:
    from quoth.wire.anthropic_messages import MessagesEncoder, MessagesReader, answers, requests

    return Wire(
        "anthropic_messages",
        "/messages",
        requests.from_chat,
        requests.head,
        answers.parse,
        lambda warnings, created: MessagesReader(warnings, created).read,
        lambda warnings, created: MessagesReader(warnings, created).read_quickly,
        requests.to_chat,
        lambda completion, request: answers.render(completion),
        lambda request: MessagesEncoder(),
        answers.tell,
        lambda completion, request: answers.say(completion),
    )
