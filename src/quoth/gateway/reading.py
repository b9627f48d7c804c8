"""Readers of streams that are passed on in the protocol in which they came. They see what a relay has to know and hand
out the bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from pydantic_core import PydanticSerializationError

from quoth.engine.reading import HELD, BodyReader
from quoth.types import Chunk, Completion, Usage, Warning
from quoth.wire import openai_chat
from quoth.wire.frames import Frames, data_of
from quoth.wire.observe import NOT_JSON, Tokens, decode_seen, is_good_event, look, renamed, tokens_of
from quoth.wire.observe_native import Said
from quoth.wire.openai_responses.encoder import ResponsesEncoder
from quoth.wire.sse import Event as SSEEvent
from quoth.wire.sse import EventTooLarge
from quoth.wire.stamp import Text
from quoth.wire.wires import Encoder, Wire

__all__ = ["ChatEvents", "Events", "NativeEvents", "TranslatedEvents"]

_BEGUN = msgspec.json.Decoder(dict[str, Any])
_DONE = b"data: [DONE]\n\n"
_NOT_STREAMED = Warning("not_streamed", "stream", "the provider did not stream; its whole answer is one chunk")
_NO_REASON = Warning("no_finish_reason", None, "the stream was ended with [DONE] but without a finish reason")


class Events:
    """A stream on its way through. `out` holds what may be sent on: whole events, nothing before the first good one.

    Settled by the first good event, by an end or by an error; an error status, and an answer that is one JSON document,
    is kept as `document`. `failure` is what went wrong inside the stream; `complete` tells a stream that came to its
    end from one that was cut off. What the events of one API mean is for the subclasses.
    """

    __slots__ = (
        "_body_limit",
        "_event_limit",
        "_first",
        "_frames",
        "_held",
        "complete",
        "document",
        "ended",
        "failure",
        "finish_reason",
        "good",
        "headers",
        "out",
        "settled",
        "status",
        "tokens",
        "warnings",
    )

    def __init__(self, *, event_limit: int, body_limit: int):
        self._frames = Frames(event_limit)
        self._event_limit = event_limit
        self._body_limit = body_limit
        self._first = True
        self._held = 0
        self.settled = self.ended = self.complete = self.good = False
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.document: BodyReader | None = None
        self.failure: Exception | None = None
        self.finish_reason: str | None = None
        self.tokens: Tokens | None = None
        self.out: list[bytes] = []
        self.warnings: list[Warning] = []

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        self.status, self.headers = status, headers
        if not 200 <= status < 300:
            self._become_document(b"")

    def feed(self, piece: bytes) -> None:
        if self.good and self._passes(piece):
            return
        if self._first and self.document is None:
            start = piece.lstrip(b"\xef\xbb\xbf \t\r\n")
            if not start:
                return
            self._first = False
            if start[:1] in b"{[<":
                self._become_document(b"")
        if self.document is not None:
            self.document.feed(piece)
            self.settled = self.ended = self.document.settled
            return
        if self.ended:
            return
        try:
            events = self._frames.feed(piece)
        except EventTooLarge as error:
            self._fail(error)
        else:
            self._take_all(events)

    def _take_all(self, events: list[bytes]) -> None:
        try:
            for event in events:
                self._take(event)
                if self.ended:
                    return
        except (openai_chat.Unreadable, openai_chat.UpstreamError) as error:
            self._fail(error)

    def eof(self) -> None:
        if self.ended:
            return
        if self.document is not None:
            self.document.eof()
            if 200 <= self.status < 300:
                try:
                    self._open_document(self.document.body)
                except (RecursionError, PydanticSerializationError) as error:
                    self.failure = openai_chat.Unreadable(f"nested too deeply to be said again ({error})")
        else:
            self._take_all(self._frames.end())
            if self.ended:
                return
            self._cut_off()
        self.settled = self.ended = True

    def _become_document(self, start: bytes) -> None:
        self.document = BodyReader(self._body_limit)
        self.document.head(self.status, self.headers)

    def _fail(self, error: Exception) -> None:
        self.failure = error
        self.settled = self.ended = True

    def _settle(self) -> None:
        self.good = self.settled = True

    def _hold(self, size: int) -> None:
        """What comes before the first good event is held, up to a limit."""
        if not self.good:
            self._held += size
            if self._held > HELD:
                self.settled = True

    # What the events of an API mean

    def _passes(self, piece: bytes) -> bool:
        """Whether a piece was passed on in one step, as it may be once the stream is good."""
        return False

    def _take(self, event: bytes) -> None:
        """One whole event. Raises Unreadable, UpstreamError."""
        raise NotImplementedError

    def _open_document(self, body: bytes) -> None:
        """A provider has answered a streaming call with a whole answer."""
        raise NotImplementedError

    def _cut_off(self) -> None:
        """The stream has ended without its last event; whether that is an end after all."""

    def speaker(self) -> Encoder | None:
        """Who says that the stream broke, where that takes what it has said so far."""
        return None


class ChatEvents(Events):
    """A streamed chat answer. `model` is the name, as JSON, that the caller knows the model by. `hides_usage`: the
    caller did not ask for the chunk that has only the usage."""

    __slots__ = ("_hides_usage", "_model")

    def __init__(self, *, model: bytes, hides_usage: bool, event_limit: int, body_limit: int):
        super().__init__(event_limit=event_limit, body_limit=body_limit)
        self._model = msgspec.Raw(model)
        self._hides_usage = hides_usage

    def _passes(self, piece: bytes) -> bool:
        """What nearly every piece is: one event that says nothing but its content. The same as `_take` would do, in one
        step."""
        if (
            piece.find(b"\n") != len(piece) - 2
            or not piece.startswith(b"data: {")
            or not piece.endswith(b"}\n\n")
            or b"\r" in piece
            or len(piece) > self._event_limit
            or self._frames.pending
            or self.ended
        ):
            return False
        try:
            seen = decode_seen(piece[6:-2])
        except NOT_JSON:
            return False
        choices = seen.choices
        if seen.usage or seen.error or (choices and (len(choices) > 1 or choices[0].finish_reason is not None)):
            return False
        if seen.model and seen.model != self._model:
            piece = renamed(piece, seen.model, self._model, among=piece[6:-2])
        self.out.append(piece)
        return True

    def _cut_off(self) -> None:
        if self.finish_reason is not None:
            self.complete = True
            self.out.append(_DONE)

    def _open_document(self, body: bytes) -> None:
        """A provider that answers a streaming call with a whole completion is served as a stream of one chunk."""
        try:
            completion, found = openai_chat.parse(body)
        except (openai_chat.Unreadable, openai_chat.UpstreamError) as error:
            self.failure = error
            return
        self.warnings += [*found, _NOT_STREAMED]
        chunk = openai_chat.as_chunk(completion).model_dump_json().encode()
        self._take(b"data: " + chunk + b"\n\n")
        self.out.append(_DONE)
        self.complete = self.good = True

    def _take(self, event: bytes) -> None:
        data, name = data_of(event)
        if not data:
            # A comment, or a keep-alive in the form of an event.
            self.out.append(event)
            self._hold(len(event))
            return
        if data.startswith(b"[DONE]"):
            if self.finish_reason is None:
                self.warnings.append(_NO_REASON)
            self.out.append(event)
            self.settled = self.ended = self.complete = True
            return
        seen = look(data, name)
        if seen.usage and (tokens := tokens_of(seen.usage)) is not None:
            self.tokens = tokens
            if self._hides_usage and not seen.choices:
                self._settle()
                return
        if seen.choices and (reason := seen.finish_reason) is not None:
            self.finish_reason = reason
        if seen.model and seen.model != self._model:
            new = renamed(data, seen.model, self._model)
            event = event.replace(data, new, 1) if data in event else _event(new, name)
        self.out.append(event)
        if not self.good:
            if is_good_event(data, seen):
                self._settle()
            else:
                self._hold(len(event))


def _event(data: bytes, name: bytes) -> bytes:
    head = b"event: " + name + b"\n" if name else b""
    return head + b"".join(b"data: " + line + b"\n" for line in data.split(b"\n")) + b"\n"


class NativeEvents(Events):
    """A stream of the Messages or the Responses API, for a caller who speaks it too. `look` says what an event
    tells."""

    __slots__ = ("_look", "_number", "_response", "_wire")

    def __init__(self, wire: Wire, look: Callable[[bytes], Said], *, event_limit: int, body_limit: int):
        super().__init__(event_limit=event_limit, body_limit=body_limit)
        self._wire, self._look = wire, look
        self._response = msgspec.Raw()
        self._number = -1

    def _take(self, event: bytes) -> None:
        data, _ = data_of(event)
        if not data or data.startswith(b"[DONE]"):
            self.out.append(event)
            return
        said = self._look(data)
        if said.number is not None:
            self._number = said.number
        if said.response is not None:
            self._response = said.response
        if said.tokens is not None:
            self.tokens = said.tokens if self.tokens is None else _later(self.tokens, said.tokens)
        if said.finish_reason is not None:
            self.finish_reason = said.finish_reason
        self.out.append(event)
        if said.good:
            self._settle()
        else:
            self._hold(len(event))
        if said.over:
            self.settled = self.ended = self.complete = True

    def _open_document(self, body: bytes) -> None:
        try:
            completion, found = self._wire.parse(body, None)
        except (openai_chat.Unreadable, openai_chat.UpstreamError) as error:
            self.failure = error
            return
        encoder = self._wire.encoder(None)
        self.out.append(encoder.feed(openai_chat.as_chunk(completion)) + encoder.finish())
        self.tokens, self.finish_reason = _tokens(completion.usage), _reason(completion)
        self.warnings += [*found, _NOT_STREAMED]
        self.complete = self.good = True

    def speaker(self) -> Encoder | None:
        if self._wire.name != "openai_responses":
            return None
        try:
            begun = _BEGUN.decode(self._response)
        except NOT_JSON:  # also where nobody said what has begun
            begun = {}
        return ResponsesEncoder.after(begun, self._number)


class TranslatedEvents(Events):
    """A stream of one API, for a caller who speaks another. `wire` is what the provider speaks, `encoder` says it for
    the caller. `hides_usage`: the caller did not ask for the chunk that has only the usage. `created`: Unix seconds,
    for APIs that say none."""

    __slots__ = ("_created", "_encoder", "_ends_itself", "_hides_usage", "_read", "_wire")

    def __init__(
        self,
        wire: Wire,
        encoder: Encoder,
        *,
        created: int,
        hides_usage: bool,
        event_limit: int,
        body_limit: int,
    ):
        super().__init__(event_limit=event_limit, body_limit=body_limit)
        self._wire, self._encoder, self._created = wire, encoder, created
        self._hides_usage = hides_usage
        self._read = wire.quick_reader(self.warnings, created)
        self._ends_itself = wire.name == "openai_responses"  # its last event has the reason, and the usage

    def _take(self, event: bytes) -> None:
        data, name = data_of(event)
        if not data:
            return
        item = self._read(SSEEvent(data, name or None))
        if item is None:
            return
        if isinstance(item, Text):
            if self.good:
                self.out.append(self._encoder.text(item))
                return
            item = item.chunk()
        if isinstance(item, openai_chat.Done):
            if self.finish_reason is None:
                self.warnings.append(_NO_REASON)
            self._finish()
            return
        self._say(item, len(event))
        if self._ends_itself and self.finish_reason is not None:
            self._finish()

    def _say(self, chunk: Chunk, size: int) -> None:
        if chunk.usage is not None:
            self.tokens = _tokens(chunk.usage)
        for choice in chunk.choices:
            if choice.finish_reason is not None:
                self.finish_reason = choice.finish_reason
        if not self._hides_usage or chunk.choices or chunk.usage is None:
            self.out.append(self._encoder.feed(chunk))
        if not self.good:
            if openai_chat.is_good(chunk):
                self._settle()
            else:
                self._hold(size)

    def _finish(self) -> None:
        self.out.append(self._encoder.finish())
        self.warnings += [warning for warning in self._encoder.warnings if warning not in self.warnings]
        self.settled = self.ended = self.complete = True

    def _cut_off(self) -> None:
        if self.finish_reason is not None:
            self._finish()

    def _open_document(self, body: bytes) -> None:
        try:
            completion, found = self._wire.parse(body, self._created)
        except (openai_chat.Unreadable, openai_chat.UpstreamError) as error:
            self.failure = error
            return
        self.warnings += [*found, _NOT_STREAMED]
        self._say(openai_chat.as_chunk(completion), 0)
        self.good = True
        self._finish()

    def speaker(self) -> Encoder | None:
        return self._encoder


def _later(first: Tokens, second: Tokens) -> Tokens:
    """The counts of two events of one stream: what the later one says, and what it leaves out from the earlier."""
    return Tokens(
        first.prompt if second.prompt is None else max(second.prompt, first.prompt or 0),
        first.completion if second.completion is None else second.completion,
        second.cached or first.cached,
        second.written or first.written,
        second.reasoning or first.reasoning,
    )


def _tokens(usage: Usage | None) -> Tokens | None:
    return None if usage is None else tokens_of(usage.model_dump_json().encode())


def _reason(completion: Completion) -> str | None:
    return next((choice.finish_reason for choice in completion.choices if choice.finish_reason), None)
