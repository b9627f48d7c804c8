"""Readers of streams that are passed on in the protocol in which they came. They see what a relay has to know and hand
out the bytes."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from quoth.engine.reading import HELD, BodyReader
from quoth.types import Warning
from quoth.wire import openai_chat
from quoth.wire.frames import Frames, data_of
from quoth.wire.observe import Tokens, decode_seen, is_good_event, look, renamed, tokens_of
from quoth.wire.sse import EventTooLarge

__all__ = ["ChatEvents"]

_DONE = b"data: [DONE]\n\n"
_NOT_STREAMED = Warning("not_streamed", "stream", "the provider did not stream; its whole answer is one chunk")
_NO_REASON = Warning("no_finish_reason", None, "the stream was ended with [DONE] but without a finish reason")


class ChatEvents:
    """A streamed chat answer. `out` holds what may be sent on: whole events, nothing before the first good one.

    `model` is the name, as JSON, that the caller knows the model by. `hides_usage`: the caller did not ask for the
    chunk that has only the usage. Settled by the first good event, by an end or by an error; an error status, and an
    answer that is one JSON document, is kept as `document`. `failure` is what went wrong inside the stream; `complete`
    tells a stream that came to its end from one that was cut off.
    """

    __slots__ = (
        "_body_limit",
        "_event_limit",
        "_first",
        "_frames",
        "_held",
        "_hides_usage",
        "_model",
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

    def __init__(self, *, model: bytes, hides_usage: bool, event_limit: int, body_limit: int):
        self._model = msgspec.Raw(model)
        self._hides_usage = hides_usage
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
        except msgspec.DecodeError:
            return False
        choices = seen.choices
        if seen.usage or seen.error or (choices and (len(choices) > 1 or choices[0].finish_reason is not None)):
            return False
        if seen.model and seen.model != self._model:
            piece = renamed(piece, seen.model, self._model, among=piece[6:-2])
        self.out.append(piece)
        return True

    def eof(self) -> None:
        if self.ended:
            return
        if self.document is not None:
            self.document.eof()
            if 200 <= self.status < 300:
                self._open_document(self.document.body)
        else:
            self._take_all(self._frames.end())
            if self.ended:
                return
            if self.finish_reason is not None:
                self.complete = True
                self.out.append(_DONE)
        self.settled = self.ended = True

    def _become_document(self, start: bytes) -> None:
        self.document = BodyReader(self._body_limit)
        self.document.head(self.status, self.headers)

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

    def _fail(self, error: Exception) -> None:
        self.failure = error
        self.settled = self.ended = True

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

    def _settle(self) -> None:
        self.good = self.settled = True

    def _hold(self, size: int) -> None:
        """What comes before the first good event is held, up to a limit."""
        if not self.good:
            self._held += size
            if self._held > HELD:
                self.settled = True


def _event(data: bytes, name: bytes) -> bytes:
    head = b"event: " + name + b"\n" if name else b""
    return head + b"".join(b"data: " + line + b"\n" for line in data.split(b"\n")) + b"\n"
