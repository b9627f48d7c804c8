"""One call for a picture, speech, a transcript or a film, passed on to whoever makes it; what came of it, as bytes."""

from __future__ import annotations

import base64
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec

from quoth import errors
from quoth.call import Call
from quoth.engine.attempts import Plan, Policy
from quoth.engine.effects import Flow, Together
from quoth.engine.making import Made, Making, as_one, ready, what_came, with_chat_instead
from quoth.engine.routing import Candidate, Journey, Try, routed
from quoth.gateway.asked import Asked, asked, steering
from quoth.gateway.entries import Entries, opened
from quoth.gateway.exchange import Exchange
from quoth.gateway.outgoing import Header, fitting
from quoth.gateway.outside import fetched
from quoth.gateway.relay import ANSWER_LIMIT
from quoth.gateway.request import Request
from quoth.media import Kind as MediaKind
from quoth.providers.wishes import File, Kind, Way, Wish, needs_bytes, way_of
from quoth.transport.drive import adrive
from quoth.wire.carried import of_data_url
from quoth.wire.media_types import ENDINGS, HEAD, named, sniffed
from quoth.wire.observe import Tokens, tokens_of

__all__ = ["Creation", "file_of", "headers_of", "wished"]

MOST_AT_ONCE = 128
# What came in was bounded; as base64 it is a third longer.
_REQUEST_LIMIT = 512 << 20
# Where a caller gives the files of each kind.
_PARAMS: dict[Kind, str] = {"edit": "image", "transcription": "file", "video": "input_reference"}
# What chat knows as something else.
_UNTYPED = frozenset({"response_format", "modalities", "stop"})


def wished(entries: Entries, needed: str) -> Asked:
    """The call that these entries ask for. Raises BadRequestError."""
    call = asked(entries, None, listed=needed, untyped=_UNTYPED)
    if call.stream:
        raise errors.BadRequestError("what is made here comes as a whole; leave stream out", param="stream")
    return call


def file_of(value: Any, param: str) -> File:
    """A file in a JSON body: base64, a data URL, an address, or one of these in an object as OpenAI has it."""
    if isinstance(value, dict):
        value = value.get("image_url") or value.get("url") or value.get("b64_json")
        if isinstance(value, dict):
            value = value.get("url")
    if not isinstance(value, str) or not value:
        raise errors.BadRequestError(f"{param} has to be a file, base64 or an address", param=param)
    if value.lower().startswith(("http://", "https://")):
        name = value.partition("?")[0].rpartition("/")[2][:200] or "file"
        return File(name, named(name) or "", url=value)
    try:
        inline = of_data_url(value)
        data = base64.b64decode(value if inline is None else inline[1], validate=True)
    except ValueError:
        raise errors.BadRequestError(f"{param} has to be a file, base64 or an address", param=param) from None
    if not data:
        raise errors.BadRequestError(f"{param} is empty", param=param)
    kind = sniffed(data[:HEAD]) or "application/octet-stream"
    return File(f"file{ENDINGS.get(kind, '')}", kind, data)


class Creation:
    """A wish on its way through a group. `native`: by Poe's native endpoints, where there are; `styles`: those of the
    ways that will do."""

    def __init__(self, request: Request, wish: Wish, call: Asked):
        self.app = request.app
        self.generation = generation = request.generation
        self.x = x = request.x
        self.wish, self.call = wish, call
        self.controls = steering(call, x.headers, x.warnings)
        self.journey = Journey(attempts=x.attempts)
        self.native = True
        self.styles: tuple[str, ...] = ("poe", "openai", "chat")
        self.way: Way | None = None
        x.model = call.model
        x.tags = self.controls.tags
        self.group = generation.group(call.model)
        x.known_model = generation.known(self.group)
        if "mock_response" in call.steering:
            raise errors.BadRequestError("mock_response is for chat; quoth emulate makes media", param="mock_response")
        text = "input" if wish.kind == "speech" else "prompt"
        self._params = {name: opened(call.entries, name) for name in call.entries if name not in ("model", text)}

    def ways(self) -> list[Way]:
        """Those of the candidates."""
        kind = self.wish.kind
        return [way_of(candidate.target, kind, native=self.native) for candidate in self.group.candidates]

    def rehearse(self) -> None:
        """Say at once what the first attempt will warn of. Raises the QuothError in which all would end before anything
        is sent, and no fallback could help."""
        wrong: errors.QuothError | None = None
        for candidate in self.group.candidates:
            try:
                self.x.warnings += self._making(Journey(), candidate).warnings
            except errors.QuothError as error:
                wrong = wrong or error
            else:
                return
        given = self.controls.fallbacks
        others = self.generation.routes.fallbacks(self.group.name, wrong) if wrong and given is None else given
        if wrong is not None and (self.controls.disable_fallbacks or not others):
            raise wrong

    async def made(self) -> Made:
        """Raises QuothError."""
        async with self.app.admitted(self.x):
            return await self._made()

    async def _made(self) -> Made:
        await self._with_bytes()
        try:
            return await self._driven()
        except errors.APIError as error:
            warning = None if self.way is None else with_chat_instead(error, self.way)
            if warning is None or "chat" not in self.styles:
                raise
            self.native = False
            self.x.warnings.append(warning)
            return await self._driven()

    async def _driven(self) -> Made:
        try:
            found = await adrive(self._flow(), self.app.transport)
        finally:
            self._note()
        self._count(found)
        return found

    def _flow(self) -> Flow[Made]:
        count = self._params.get("n")
        if (
            isinstance(count, int)
            and 1 < count <= MOST_AT_ONCE
            and all(way.style == "chat" for way in self.ways())
            and all("n_as_parallel_calls" in one.target.quirks for one in self.group.candidates)
        ):
            return self._several(count)
        return self._routed(self.journey)

    def _several(self, count: int) -> Flow[Made]:
        """One picture a call."""
        self._params.pop("n")
        journeys = [Journey() for _ in range(count)]
        try:
            found: list[Made] = yield Together([self._routed(journey) for journey in journeys])
        finally:
            for journey in journeys:
                self.journey.attempts += journey.attempts
                self.journey.candidate = self.journey.candidate or journey.candidate
        for journey in journeys[1:]:  # the first is told with the call as a whole
            if journey.candidate is not None:
                journey.candidate.succeeded(self.app.world.now())
        return as_one(found, [])

    def _routed(self, journey: Journey) -> Flow[Made]:
        caller = self.x.caller
        return routed(
            self.generation.routes,
            self.group,
            partial(self._trying, journey),
            caller="" if caller is None else caller.id,
            controls=self.controls,
            journey=journey,
            world=self.app.world,
            budget=self.generation.budget,
        )

    def _trying(self, journey: Journey, candidate: Candidate) -> Try[Any, Made]:
        """One attempt. Raises QuothError for what is known to be wrong before sending."""
        self.x.candidate = candidate
        making = self._making(journey, candidate)
        interpret = partial(what_came, making, self.app.world, journey.attempts)
        return Try(making.request, making.reader, interpret, False, True, 0)

    def _making(self, journey: Journey, candidate: Candidate) -> Making:
        target, deployment = candidate.target, candidate.deployment
        if deployment.mock:
            raise errors.BadRequestError(f"{candidate.model} answers by itself, and in words alone", param="model")
        way = self.way = way_of(target, self.wish.kind, native=self.native)
        if way.style not in self.styles:
            raise errors.BadRequestError(
                f"{candidate.model} is asked at {way.path}, unlike others here, and cannot take the place of one",
                llm_provider=target.provider,
                model=target.model,
                param="model",
            )
        overrides = dict(journey.overrides or {})
        drop = self.call.steering.get("drop_params", deployment.drop_params)
        call = Call(
            model=target.model,
            messages=[],
            params={**deployment.params, **self._params, **overrides},
            drop_params=self.generation.settings.drop_params if drop is None else bool(drop),
            additional_drop_params=deployment.additional_drop_params,
            allowed_openai_params=deployment.allowed_openai_params,
        )
        policy = Policy(request_limit=_REQUEST_LIMIT, answer_limit=ANSWER_LIMIT)
        if way.style != "chat":
            target = replace(target, wire=way.wire)
        return ready(self.wish, Plan(call, lambda: target, policy), target, way, self.app.world)

    async def _with_bytes(self) -> None:
        """Fetch the files that are addresses, where no address is taken."""
        wish = self.wish
        if not any(file.url for file in wish.files) or not any(needs_bytes(way, wish.kind) for way in self.ways()):
            return
        kind: MediaKind = "audio" if wish.kind == "transcription" else "image"
        limit = self.generation.settings.server.file_limit
        files = []
        for file in wish.files:
            if file.url:
                data, media_type = await fetched(self.app, file.url, kind, limit, param=_PARAMS[wish.kind])
                file = File(file.name, media_type, data)
            files.append(file)
        self.wish = msgspec.structs.replace(wish, files=tuple(files))

    def _note(self) -> None:
        x, journey = self.x, self.journey
        x.candidate = journey.candidate or x.candidate
        x.fallbacks, x.place, x.waited = journey.fallbacks, journey.place, journey.waited
        x.upstream_seconds = journey.waited + journey.paused + sum(attempt.seconds for attempt in journey.attempts)

    def _count(self, made: Made) -> None:
        x = self.x
        x.wire = made.way.wire
        x.warnings += [warning for warning in made.trace.warnings if warning not in x.warnings]
        usage = getattr(made.result, "usage", None) or (made.completion.usage if made.completion else None)
        x.tokens = _tokens(usage)
        candidate = self.journey.candidate
        assert candidate is not None
        candidate.succeeded(self.app.world.now(), None, x.upstream_seconds)
        x.cost = self.generation.price(candidate).cost(x.tokens) if candidate.deployment.price else made.trace.cost


def _tokens(usage: Any) -> Tokens | None:
    if usage is None:
        return None
    return tokens_of(usage.model_dump_json().encode())


def headers_of(x: Exchange, now: float) -> list[Header]:
    """What an answer says of itself beside its body."""
    headers = fitting(x)
    if x.cost is not None and x.cost.usd is not None:
        headers.append((b"x-quoth-cost-usd", f"{x.cost.usd:f}".encode()))
    # Calls that ran at once are longer together than the time that passed.
    headers.append((b"x-quoth-overhead-ms", b"%.3f" % (max(0.0, now - x.started - x.upstream_seconds) * 1e3)))
    return headers
