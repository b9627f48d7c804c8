"""One call passed on to whoever serves it, and the answer passed back: the bytes as they came but for what a rule
names.

`Relayed` is one call: it makes the requests of its attempts, judges their answers, and says afterwards what it was all
about. What is particular to one API (which reader a stream needs, which fields an answer has) is its `Dialect`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any

import msgspec

from quoth import errors
from quoth.engine import failures
from quoth.engine.effects import Effect, Failed, Flow, Opened, Together, World
from quoth.engine.merge import merged
from quoth.engine.reading import BodyReader
from quoth.engine.routing import Candidate, Controls, Group, Journey, Try, routed
from quoth.gateway.asked import Asked
from quoth.gateway.exchange import Exchange
from quoth.gateway.generation import Generation
from quoth.gateway.reading import ChatEvents
from quoth.transport.mock import mocked
from quoth.types import Warning
from quoth.wire import openai_chat
from quoth.wire.observe import Answered, Tokens, read, renamed, tokens_of
from quoth.wire.sse import EventTooLarge

__all__ = ["ANSWER_LIMIT", "Got", "Relayed"]

MIB = 1 << 20
ANSWER_LIMIT = 512 * MIB
MOST_AT_ONCE = 128
_MEDIA = "makes media, so it was asked for its answer as a whole, which is the one chunk of this stream"


class Got(msgspec.Struct):
    """An answer that is good so far: the body of a whole one, or the events of a stream with the driver's `reply`."""

    candidate: Candidate
    reply: Any = None
    events: ChatEvents | None = None
    body: bytes = b""
    content_type: str = ""


class Relayed:
    """One call in OpenAI's chat protocol (or one that is alike: `path`)."""

    __slots__ = ("asked", "controls", "generation", "journey", "path", "today", "warnings", "world", "x")

    def __init__(
        self,
        generation: Generation,
        x: Exchange,
        asked: Asked,
        controls: Controls,
        world: World,
        path: str = "/chat/completions",
    ):
        self.generation, self.x, self.asked, self.controls = generation, x, asked, controls
        self.world = world
        self.today: Callable[[], datetime] = world.today
        self.path = path
        self.journey = Journey(attempts=x.attempts)
        self.warnings: list[Warning] = []

    def flow(self, group: Group) -> Flow[Got]:
        if "n" in self.asked.entries and (count := self._count(group)) > 1:
            return self._several(group, count)
        return self._routed(group, self.journey)

    def _routed(self, group: Group, journey: Journey) -> Flow[Got]:
        caller = self.x.caller
        return routed(
            self.generation.routes,
            group,
            self,
            caller="" if caller is None else caller.id,
            controls=self.controls,
            journey=journey,
            world=self.world,
            budget=self.generation.budget,
        )

    # One attempt

    def __call__(self, candidate: Candidate) -> Try[Any, Got]:
        asked, shape = self.asked, self.generation.shape(candidate, self.path)
        self.x.candidate = candidate
        warnings = list(shape.warnings)
        streams = asked.stream and not shape.makes_media
        if asked.stream and shape.makes_media:
            warnings.append(Warning("media_not_streamed", "stream", f"{candidate.target.model} {_MEDIA}"))
        request = shape.request(asked, warnings, self.today, self.journey.overrides)
        self.warnings = warnings
        if self.x.trace:
            request = msgspec.structs.replace(request, headers={**request.headers, **self.x.trace})
        if candidate.deployment.mock:
            request = mocked(request, candidate.deployment.mock, stream=streams)
        new_reader: Callable[[], Any]
        if asked.stream:
            new_reader = partial(
                ChatEvents,
                model=msgspec.json.encode(asked.model),
                hides_usage=not asked.usage,
                event_limit=self.generation.settings.server.event_limit,
                body_limit=ANSWER_LIMIT,
            )
        else:
            new_reader = partial(BodyReader, ANSWER_LIMIT)
        return Try(
            request,
            new_reader,
            partial(self._interpret, candidate, shape.makes_media),
            streams,
            shape.makes_media,
            len(request.body) // 4 if candidate.tokens is not None else 0,
        )

    def _interpret(
        self, candidate: Candidate, makes_media: bool, outcome: Opened | Failed, reader: BodyReader | ChatEvents
    ) -> Got:
        """The answer, or the error that it is. Raises QuothError."""
        target = candidate.target
        if isinstance(outcome, Failed):
            if reader.status < 300:
                raise failures.from_failure(target, outcome, streaming=self.asked.stream, makes_media=makes_media)
            reply = None
        else:
            reply = outcome.reply
        document = reader if isinstance(reader, BodyReader) else reader.document
        status = reader.status
        if not 200 <= status < 300 or document is not None:
            sent = _Sent(self.asked.entries)
            failures.check_document(target, sent, document, status, reader.headers, self.today)
        if isinstance(reader, ChatEvents):
            if not reader.good:
                raise _no_stream(candidate, reader, makes_media)
            return Got(candidate, reply, reader)
        return Got(
            candidate,
            None,
            body=self._answer(candidate, reader),
            content_type=reader.headers.get("content-type", "application/json"),
        )

    def _answer(self, candidate: Candidate, reader: BodyReader) -> bytes:
        body = reader.body
        try:
            answered = read(body)
        except openai_chat.Unreadable as wrong:
            raise failures.unreadable(candidate.target, str(wrong), reader.status, reader.headers) from None
        except openai_chat.UpstreamError as wrong:
            raise failures.in_answer(candidate.target, wrong, reader.headers) from None
        self._note(answered)
        return renamed(body, answered.model, msgspec.json.encode(self.asked.model))

    def _note(self, answered: Answered) -> None:
        x = self.x
        x.finish_reason = answered.finish_reason
        tokens = tokens_of(answered.usage) if answered.usage else None
        if tokens is not None:
            x.tokens = tokens if x.tokens is None else _sum(x.tokens, tokens)

    # Several choices, where the provider gives one a call

    def _count(self, group: Group) -> int:
        asked = self.asked
        if asked.stream:
            return 1
        if not all("n_as_parallel_calls" in one.target.quirks for one in group.candidates):
            return 1
        count = msgspec.json.decode(asked.entries["n"])
        return count if isinstance(count, int) and 1 < count <= MOST_AT_ONCE else 1

    def _several(self, group: Group, count: int) -> Generator[Effect, Any, Got]:
        entries = {name: raw for name, raw in self.asked.entries.items() if name != "n"}
        self.asked = msgspec.structs.replace(self.asked, entries=entries, body=None)
        journeys = [Journey() for _ in range(count)]
        try:
            got: list[Got] = yield Together([self._routed(group, journey) for journey in journeys])
        finally:
            for journey in journeys:
                self.journey.attempts += journey.attempts
                self.journey.candidate = journey.candidate or self.journey.candidate
        now = self.world.now()
        for one in got:
            one.candidate.succeeded(now)
        target = got[0].candidate.target
        whole = merged([openai_chat.parse(one.body)[0] for one in got], target.provider)
        self.warnings += [warning for warning in whole.warnings if warning not in self.warnings]
        return msgspec.structs.replace(got[0], body=whole.model_dump_json().encode())


def _sum(first: Tokens, second: Tokens) -> Tokens:
    def add(one: int | None, other: int | None) -> int | None:
        return None if one is None or other is None else one + other

    return Tokens(
        add(first.prompt, second.prompt),
        add(first.completion, second.completion),
        first.cached + second.cached,
        first.written + second.written,
        first.reasoning + second.reasoning,
    )


def _no_stream(candidate: Candidate, reader: ChatEvents, makes_media: bool) -> errors.APIError:
    """The error of a stream that ended or failed before its first good event."""
    target, failure = candidate.target, reader.failure
    if isinstance(failure, openai_chat.UpstreamError):
        return failures.in_answer(target, failure, reader.headers)
    if isinstance(failure, openai_chat.Unreadable | EventTooLarge):
        return failures.unreadable(target, str(failure), reader.status, reader.headers)
    if not reader.ended:
        return failures.unreadable(target, "events that say nothing, without end", reader.status, reader.headers)
    ended = Failed("read", "the stream ended without an answer", "first")
    return failures.from_failure(target, ended, streaming=True, makes_media=makes_media)


class _Sent(Mapping[str, Any]):
    """What was sent, opened entry by entry where an explanation of a refusal asks for it."""

    def __init__(self, entries: Mapping[str, msgspec.Raw]):
        self._entries = entries

    def __getitem__(self, name: str) -> Any:
        return msgspec.json.decode(self._entries[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
