"""One call passed on to whoever serves it, and the answer passed back: the bytes as they came but for what a rule
names.

`Relayed` is one call: it makes the requests of its attempts, judges their answers, and says afterwards what it was all
about. What is particular to one API (which reader a stream needs, which fields an answer has) is its `Dialect`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import msgspec

from quoth import errors
from quoth.call import Call, WireRequest
from quoth.engine import check, failures
from quoth.engine.attempts import Plan, prepared
from quoth.engine.effects import Effect, Failed, Flow, Opened, Together, World
from quoth.engine.merge import merged
from quoth.engine.reading import BodyReader
from quoth.engine.routing import Candidate, Controls, Group, Journey, Try, routed
from quoth.gateway.asked import Asked
from quoth.gateway.dialects import CHAT, Surface
from quoth.gateway.entries import opened
from quoth.gateway.exchange import Exchange
from quoth.gateway.generation import Generation
from quoth.gateway.native import NativeShape
from quoth.gateway.reading import ChatEvents, Events, NativeEvents, TranslatedEvents
from quoth.providers.controls import MOCKS
from quoth.providers.params import honours_json_schema
from quoth.transport.mock import ON_PURPOSE, MockingAsync, mocked, tested
from quoth.transport.ports import AsyncTransport
from quoth.types import Warning
from quoth.wire import openai_chat
from quoth.wire.chat_surface import ChatEncoder, is_plain
from quoth.wire.observe import NOT_JSON, Tokens, read, renamed, tokens_of
from quoth.wire.sse import EventTooLarge
from quoth.wire.wires import Wire, wire_named

__all__ = ["ANSWER_LIMIT", "Got", "Relayed"]

T = TypeVar("T")

MIB = 1 << 20
# What one answer may measure when it is not streamed, unpacked if it came packed: it is held as a whole.
ANSWER_LIMIT = 128 * MIB
MOST_AT_ONCE = 128
_CAPS = frozenset({"max_tokens", "max_completion_tokens"})
_NO_PARAMS = frozenset({"model", "messages", "stream"})
_MEDIA = "makes media, so it was asked for its answer as a whole, which is the one chunk of this stream"


_NEW_BODY: Callable[[], Any] = partial(BodyReader, ANSWER_LIMIT)


class Got(msgspec.Struct):
    """An answer that is good so far: the body of a whole one, or the events of a stream with the driver's `reply`."""

    candidate: Candidate
    reply: Any = None
    events: Events | None = None
    body: bytes = b""


class Relayed(msgspec.Struct, eq=False):
    """One call in the API of `surface`. It goes over that API's own wire to candidates that serve it, and is told in
    another to those that do not."""

    generation: Generation
    x: Exchange
    asked: Asked
    controls: Controls
    world: World
    surface: Surface = CHAT
    wire: str | None = None
    mock: Mapping[str, Any] = {}
    fails: Callable[..., Exception] | None = None
    journey: Journey = msgspec.field(default_factory=Journey)
    warnings: list[Warning] = []
    _in_chat: _InChat | None = None

    def __post_init__(self) -> None:
        self.journey.attempts = self.x.attempts
        if given := self.asked.steering:
            self.wire = _wire(given)
            self.mock = {name: given[name] for name in MOCKS if name in given}
            self.fails = tested(given)

    @property
    def today(self) -> Callable[[], datetime]:
        return self.world.today

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
        x, asked, surface = self.x, self.asked, self.surface
        if self.fails is not None and self.journey.fallbacks == 0:
            raise self.fails(ON_PURPOSE, model=asked.model)
        x.candidate = candidate
        mocking = bool(self.mock or candidate.deployment.mock)
        if surface.look is not None:
            return self._other(candidate, mocking)
        shape = self.generation.shape(candidate, surface.path)
        over_chat = shape.over_chat if self.wire is None else self.wire == CHAT.wire
        if not over_chat or ("response_format" in asked.entries and self._shaped(candidate)):
            return self._other(candidate, mocking)
        x.wire = CHAT.wire
        warnings, streams, makes_media = list(shape.warnings), asked.stream, shape.makes_media
        if streams and makes_media:
            streams = False
            warnings.append(Warning("media_not_streamed", "stream", f"{candidate.target.model} {_MEDIA}"))
        request = shape.request(asked, warnings, self.world.today, self.journey.overrides)
        self.warnings = warnings
        if x.trace:
            request = msgspec.structs.replace(request, headers={**request.headers, **x.trace})
        if mocking:
            request = self._mocked(candidate, request, streams)
        return self._try(candidate, request, streams, makes_media, self._chat_reader, self._answer)

    def _shaped(self, candidate: Candidate) -> bool:
        """Whether a schema is asked for that this candidate does not read in chat; over another of its wires it may."""
        target = candidate.target
        if len(self.generation.wires(candidate)) < 3 or target.fixed_wire or honours_json_schema(target):
            return False
        wanted = opened(self.asked.entries, "response_format")
        return isinstance(wanted, dict) and wanted.get("type") == "json_schema"

    def _try(
        self,
        candidate: Candidate,
        request: WireRequest,
        streams: bool,
        makes_media: bool,
        events: Callable[[], Events],
        whole: Callable[[Candidate, BodyReader], bytes],
    ) -> Try[Any, Got]:
        return Try(
            request,
            events if self.asked.stream else _NEW_BODY,
            partial(self._interpret, candidate, makes_media, whole),
            streams,
            makes_media,
            len(request.body) // 4 if candidate.tokens is not None else 0,
        )

    def _chat_reader(self) -> Events:
        return ChatEvents(
            model=msgspec.json.encode(self.asked.model), hides_usage=not self.asked.usage, **self._limits()
        )

    def _limits(self) -> dict[str, int]:
        return {"event_limit": self.generation.settings.server.event_limit, "body_limit": ANSWER_LIMIT}

    # One attempt in another API than chat, or told in another than the caller's

    def _other(self, candidate: Candidate, mocking: bool) -> Try[Any, Got]:
        surface, wire = self.surface, self.wire
        if not mocking and surface.look is not None:
            own = surface.wire in self.generation.wires(candidate) if wire is None else wire == surface.wire
            if own:
                shape = self.generation.native(candidate, surface.wire)
                if wire is not None or shape.takes(self.asked.entries):
                    return self._native(candidate, shape)
            if wire is None and not mocking and (found := self._plainly(candidate)) is not None:
                return found
        call, target = self._as_call(candidate), candidate.target
        if mocking:
            call = msgspec.structs.replace(call, wire=CHAT.wire)  # which is what mocks are written in
        sending = prepared(Plan(call, lambda: target), target, self.world, partial(self.generation.head, candidate))
        self.x.wire = sending.target.wire
        self.warnings, request = [*sending.warnings], sending.request
        if self.x.trace:
            request = msgspec.structs.replace(request, headers={**request.headers, **self.x.trace})
        if mocking:
            request = self._mocked(candidate, request, sending.streams)
        return self._told(candidate, request, sending.streams, sending.makes_media, sending.wire, call.document)

    def _told(
        self,
        candidate: Candidate,
        request: WireRequest,
        streams: bool,
        makes_media: bool,
        wire: Wire,
        document: Mapping[str, Any] | None,
    ) -> Try[Any, Got]:
        return self._try(
            candidate,
            request,
            streams,
            makes_media,
            partial(self._told_events, wire, document),
            partial(self._told_answer, wire, document),
        )

    def _plainly(self, candidate: Candidate) -> Try[Any, Got] | None:
        """A request in another API, for a candidate that is best called over chat, when chat says it all: it is shaped
        as a caller's of chat would be. None for any other."""
        if self.generation.wires(candidate)[1] != CHAT.wire or candidate.deployment.params:
            return None
        told = self._conversation()
        if not told.plain:
            return None
        shape = self.generation.shape(candidate)
        if shape.makes_media:
            return None
        self.x.wire = CHAT.wire
        self._warn(told.lost)
        warnings = list(shape.warnings)
        request = shape.request(told.asked(self.asked), warnings, self.today, self.journey.overrides)
        self.warnings = warnings
        if self.x.trace:
            request = msgspec.structs.replace(request, headers={**request.headers, **self.x.trace})
        return self._told(candidate, request, self.asked.stream, False, wire_named(CHAT.wire), told.document)

    def _conversation(self) -> _InChat:
        """The call as a chat body. Raises BadRequestError."""
        if self._in_chat is None:
            asked = _opened(self.asked)
            if self.surface.look is None:
                self._in_chat = _InChat(asked)
            else:
                body, lost = wire_named(self.surface.wire).to_chat(asked)
                self._in_chat = _InChat(body, asked, lost, is_plain(body))
        return self._in_chat

    def _warn(self, lost: list[Warning]) -> None:
        if lost:
            self.x.warnings += [warning for warning in lost if warning not in self.x.warnings]

    def _native(self, candidate: Candidate, shape: NativeShape) -> Try[Any, Got]:
        """Over the caller's own wire, byte for byte."""
        surface = self.surface
        assert surface.look is not None
        self.x.wire = surface.wire
        warnings: list[Warning] = []
        request = shape.request(self.asked, self.x.headers, warnings, self.journey.overrides)
        self.warnings = warnings
        if self.x.trace:
            request = msgspec.structs.replace(request, headers={**request.headers, **self.x.trace})
        events = partial(NativeEvents, wire_named(surface.wire), surface.look, **self._limits())
        return self._try(candidate, request, self.asked.stream, False, events, self._native_answer)

    def _native_answer(self, candidate: Candidate, reader: BodyReader) -> bytes:
        assert self.surface.read is not None
        said = _judged(candidate, reader, self.surface.read)
        self.x.finish_reason, self.x.tokens = said.finish_reason, said.tokens
        return reader.body

    def _told_events(self, wire: Wire, asked: Mapping[str, Any] | None) -> Events:
        chat = self.surface is CHAT
        return TranslatedEvents(
            wire,
            ChatEncoder(self.asked.model) if chat else wire_named(self.surface.wire).encoder(asked),
            created=int(self.today().timestamp()),
            hides_usage=chat and not self.asked.usage,
            **self._limits(),
        )

    def _told_answer(
        self, wire: Wire, asked: Mapping[str, Any] | None, candidate: Candidate, reader: BodyReader
    ) -> bytes:
        created = None if wire.name == CHAT.wire else int(self.today().timestamp())
        completion, found = _judged(candidate, reader, lambda body: wire.tell(body, created))
        self.warnings += found
        usage = completion.get("usage")
        tokens = None if usage is None else tokens_of(_encode(usage))
        if tokens is not None:
            self.x.tokens = tokens if self.x.tokens is None else _sum(self.x.tokens, tokens)
        reason = None
        for choice in completion.get("choices") or ():
            if reason := choice.get("finish_reason"):
                break
        self.x.finish_reason = reason or None
        if self.surface is CHAT:
            completion["model"] = self.asked.model
        document, lost = wire_named(self.surface.wire).say(completion, asked)
        self.warnings += lost
        return _encode(document)

    def _as_call(self, candidate: Candidate) -> Call:
        """The call as the engine has it, with what this candidate's settings add. Raises BadRequestError."""
        deployment, surface = candidate.deployment, self.surface
        told = self._conversation()
        given = told.body
        params = {name: value for name, value in given.items() if name not in _NO_PARAMS}
        if deployment.params:
            # A cap goes by two names.
            known = params.keys() | (_CAPS if not _CAPS.isdisjoint(params) else frozenset())
            params |= {name: value for name, value in deployment.params.items() if name not in known}
        messages = given.get("messages")
        if self.journey.overrides:
            params |= self.journey.overrides
            messages = params.pop("messages", messages)
        settings = self.generation.settings
        drops = self.asked.steering.get("drop_params", deployment.drop_params)
        self._warn(told.lost)
        return Call(
            model=candidate.target.model,
            messages=check.messages_of(messages, decoded=True),
            params=params,
            stream=self.asked.stream,
            drop_params=settings.drop_params if drops is None else drops,
            additional_drop_params=deployment.additional_drop_params,
            allowed_openai_params=deployment.allowed_openai_params,
            keep_usage_chunk=True,
            wire=self.wire,
            surface=surface.wire,
            document=told.document,
        )

    def _mocked(self, candidate: Candidate, request: WireRequest, streams: bool) -> WireRequest:
        """The request as one that nobody is called for; what the call says of that wins over what its deployment
        says."""
        mock = {**candidate.deployment.mock, **self.mock}
        given = self.controls.timeouts or (
            (candidate.deployment.stream_timeouts if streams else None) or candidate.deployment.timeouts
        )
        return mocked(
            request, mock, stream=streams, timeout=None if given is None else given.total, answers=self._mock_answers()
        )

    def _mock_answers(self) -> Callable[[Any], Mapping[str, Any]] | None:
        """What takes a mock_response that is no error and returns what it stands for; None for a chat completion."""
        return None

    def carrier(self, transport: AsyncTransport) -> AsyncTransport:
        """What carries this call: a transport that answers by itself where the call says so."""
        # Settings that have just been replaced may have mocks where those in force have none.
        mocking = self.mock or self.generation.mocks
        return MockingAsync(transport) if mocking and not isinstance(transport, MockingAsync) else transport

    def _interpret(
        self,
        candidate: Candidate,
        makes_media: bool,
        whole: Callable[[Candidate, BodyReader], bytes],
        outcome: Opened | Failed,
        reader: BodyReader | Events,
    ) -> Got:
        """The answer, or the error that it is. Raises QuothError."""
        status, document = reader.status, reader if isinstance(reader, BodyReader) else reader.document
        if isinstance(outcome, Failed) and status < 300:
            streams = self.asked.stream
            raise failures.from_failure(candidate.target, outcome, streaming=streams, makes_media=makes_media)
        if not 200 <= status < 300 or (document is not None and document.too_large):
            sent = _Sent(self.asked.entries)
            failures.check_document(candidate.target, sent, document, status, reader.headers, self.today)
        if isinstance(reader, BodyReader):
            return Got(candidate, None, None, whole(candidate, reader))
        if not reader.good:
            raise _no_stream(candidate, reader, makes_media)
        return Got(candidate, None if isinstance(outcome, Failed) else outcome.reply, reader)

    def _answer(self, candidate: Candidate, reader: BodyReader) -> bytes:
        answered = _judged(candidate, reader, read)
        x, tokens = self.x, answered.tokens
        x.finish_reason = answered.finish_reason
        if tokens is not None:
            x.tokens = tokens if x.tokens is None else _sum(x.tokens, tokens)
        return renamed(reader.body, answered.model, self.asked.entries["model"])

    # Several choices, where the provider gives one a call

    def _count(self, group: Group) -> int:
        asked = self.asked
        if asked.stream or self.surface.look is not None:
            return 1
        if not all("n_as_parallel_calls" in one.target.quirks for one in group.candidates):
            return 1
        count = msgspec.json.decode(asked.entries["n"])
        return count if isinstance(count, int) and 1 < count <= MOST_AT_ONCE else 1

    def _several(self, group: Group, count: int) -> Generator[Effect, Any, Got]:
        entries = {name: raw for name, raw in self.asked.entries.items() if name != "n"}
        self.asked = msgspec.structs.replace(self.asked, entries=entries, body=None)
        journeys = [Journey() for _ in range(count)]
        answered: list[Got] = []
        got: list[Got] = []
        try:
            got = yield Together([self._one_of(group, journey, answered) for journey in journeys])
        finally:
            for journey in journeys:
                self.journey.attempts += journey.attempts
                self.journey.candidate = journey.candidate or self.journey.candidate
            # The first of them all is told by whoever is handed the answer; where one failed, nobody is handed any.
            now = self.world.now()
            for one in answered:
                if not got or one is not got[0]:
                    one.candidate.succeeded(now)
        target = got[0].candidate.target
        whole = merged([openai_chat.parse(one.body)[0] for one in got], target.provider)
        self.warnings += [warning for warning in whole.warnings if warning not in self.warnings]
        return msgspec.structs.replace(got[0], body=whole.model_dump_json().encode())

    def _one_of(self, group: Group, journey: Journey, answered: list[Got]) -> Flow[Got]:
        found = yield from self._routed(group, journey)
        answered.append(found)
        return found


def _wire(steering: Mapping[str, Any]) -> str | None:
    """The wire that a caller asks for by name. Raises BadRequestError."""
    found = steering.get("wire")
    return None if found is None else wire_named(str(found)).name


class _InChat(msgspec.Struct):
    """A call as a chat `body`. `document` is what it is in its own API where that is another, `lost` what chat cannot
    say of it; `plain`: there is nothing in the body that chat says otherwise than other wires."""

    body: dict[str, Any]
    document: dict[str, Any] | None = None
    lost: list[Warning] = []
    plain: bool = False
    _asked: Asked | None = None

    def asked(self, call: Asked) -> Asked:
        """The same as if it had come so."""
        if self._asked is None:
            came, document = call.entries, self.document or {}
            entries = {
                # What both call the same, and say in the same words, keeps its bytes.
                name: came[name] if name in came and document[name] is value else msgspec.Raw(_encode(value))
                for name, value in self.body.items()
            }
            self._asked = msgspec.structs.replace(call, entries=entries, body=None, usage=False)
        return self._asked


_encode = msgspec.json.Encoder().encode


def _opened(call: Asked) -> dict[str, Any]:
    """Everything that was asked. Raises BadRequestError that names what cannot be read."""
    if call.body is not None:
        try:
            found: dict[str, Any] = msgspec.json.decode(call.body)
        except NOT_JSON:
            pass  # one of the entries, and which is said below
        else:
            return found
    return {name: opened(call.entries, name) for name in call.entries}


def _judged(candidate: Candidate, reader: BodyReader, parse: Callable[[bytes], T]) -> T:
    """What an answer says; what goes wrong in reading it, as the error that it is."""
    try:
        return parse(reader.body)
    except openai_chat.Unreadable as wrong:
        raise failures.unreadable(candidate.target, str(wrong), reader.status, reader.headers) from None
    except openai_chat.UpstreamError as wrong:
        raise failures.in_answer(candidate.target, wrong, reader.headers) from None


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


def _no_stream(candidate: Candidate, reader: Events, makes_media: bool) -> errors.APIError:
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
        try:
            return msgspec.json.decode(self._entries[name])
        except NOT_JSON:
            return None  # such as 1e999: well-formed, and no value

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
