"""The Responses and the Messages API for any model: `quoth.responses`, `quoth.anthropic_messages`, and what a client
has of them.

A model that is served over the wire of that API gets the request as it was given, any other what it says in chat; the
answer comes back in the API's shape either way.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncGenerator, Generator
from typing import Any, Literal, overload

import msgspec
from pydantic import BaseModel

from quoth.engine.attempts import Answer
from quoth.errors import BadRequestError
from quoth.sdk import defaults
from quoth.sdk.client import AsyncClient, Client
from quoth.sdk.core import Job
from quoth.sdk.dialects import AnthropicMessage, MessageEvent, Response, ResponseEvent
from quoth.sdk.streams import AsyncStream, Stream
from quoth.types import Completion, Warning
from quoth.wire.openai_responses.items import again
from quoth.wire.wires import wire_named

__all__ = [
    "AsyncEventStream",
    "AsyncMessages",
    "AsyncResponses",
    "EventStream",
    "Messages",
    "Responses",
    "anthropic_messages",
    "aresponses",
    "messages",
    "responses",
]

RESPONSES, MESSAGES = "openai_responses", "anthropic_messages"
KEPT = 256  # conversations of a client
_ANSWERS: dict[str, type[Any]] = {RESPONSES: Response, MESSAGES: AnthropicMessage}
_EVENTS: dict[str, type[BaseModel]] = {RESPONSES: ResponseEvent, MESSAGES: MessageEvent}


class Conversations:
    """The items of a client's own conversations over the Responses API, by the id of their last answer. Providers that
    keep no answers cannot be asked to go on from one; with these they need not be. The oldest are forgotten."""

    def __init__(self) -> None:
        self._items: OrderedDict[str, list[Any]] = OrderedDict()

    def continued(self, keywords: dict[str, Any]) -> dict[str, Any]:
        """The keywords with the conversation so far as input, where `previous_response_id` is one of ours."""
        known = self._items.get(keywords.get("previous_response_id") or "")
        if known is None:
            return keywords
        rest = {name: value for name, value in keywords.items() if name != "previous_response_id"}
        return {**rest, "input": [*known, *_items(keywords.get("input"))]}

    def keep(self, given: Any, answer: Response) -> None:
        if answer.id is None:
            return
        self._items[answer.id] = [*_items(given), *again(answer.model_dump()["output"])]
        while len(self._items) > KEPT:
            self._items.popitem(last=False)


def _items(given: Any) -> list[Any]:
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    return list(given) if isinstance(given, list | tuple) else []


class _Told:
    """One call in one API's shape, from its keywords to its answer."""

    def __init__(self, surface: str, keywords: dict[str, Any], conversations: Conversations):
        self.surface = surface
        self.conversations = conversations
        self.keywords = conversations.continued(keywords) if surface == RESPONSES else keywords
        self.model = self.keywords.pop("model", None)
        self.whole: Any = None

    def answer(self, answer: Answer, job: Job) -> Any:
        completion = answer.completion
        assert completion is not None
        completion.warnings[:0] = job.warnings
        return self.of(completion, answer, answer.raw if _native(answer) else None)

    def end(self, source: Any) -> None:
        """The stream has come to its end: what it said as a whole, which the next question may go on from."""
        if source.response is not None:
            self.whole = self.of(source.response, source.answer)

    def of(self, completion: Completion, answer: Answer, raw: bytes | None = None) -> Any:
        """The answer in the shape of this API: as it came where the provider speaks it, else as it is said there."""
        if raw is not None:
            document = msgspec.json.decode(raw)
        else:
            document, lost = wire_named(self.surface).render(completion, answer.plan.call.document)
            completion.warnings.extend(warning for warning in lost if warning not in completion.warnings)
        found = _ANSWERS[self.surface].model_validate(document)
        found._completion = completion
        if isinstance(found, Response):
            self.conversations.keep(self.keywords.get("input"), found)
        return found


def _native(answer: Answer) -> bool:
    return answer.plan.call.surface == answer.target.wire


class EventStream(Stream):
    """A streamed answer as the events of its API, for blocking programs; otherwise as a Stream of chunks."""

    def __init__(self, answer: Answer, extra: list[Warning], told: _Told):
        super().__init__(answer, extra)
        self._told = told
        self._chunks = _typed(self._chunks, told, self._source)

    def __iter__(self) -> Generator[Any]:
        return self._chunks

    def __next__(self) -> Any:
        return next(self._chunks)

    @property
    def response(self) -> Any:
        """The whole answer as a Response or an AnthropicMessage, once the stream has ended; None before."""
        return self._told.whole


class AsyncEventStream(AsyncStream):
    """A streamed answer as the events of its API, for asyncio; otherwise as an AsyncStream of chunks."""

    def __init__(self, answer: Answer, extra: list[Warning], told: _Told):
        super().__init__(answer, extra)
        self._told = told
        self._chunks = _atyped(self._chunks, told, self._source)

    def __aiter__(self) -> AsyncGenerator[Any]:
        return self._chunks

    async def __anext__(self) -> Any:
        return await anext(self._chunks)

    @property
    def response(self) -> Any:
        """The whole answer as a Response or an AnthropicMessage, once the stream has ended; None before."""
        return self._told.whole


def _typed(events: Generator[Any], told: _Told, source: Any) -> Generator[Any]:
    kind = _EVENTS[told.surface]
    try:
        for event in events:
            yield kind.model_validate_json(event.data)
        told.end(source)
    finally:
        events.close()


async def _atyped(events: AsyncGenerator[Any], told: _Told, source: Any) -> AsyncGenerator[Any]:
    kind = _EVENTS[told.surface]
    try:
        async for event in events:
            yield kind.model_validate_json(event.data)
        told.end(source)
    finally:
        await events.aclose()


def _tell(client: Client, surface: str, keywords: dict[str, Any]) -> Any:
    other = keywords.pop("client", None)
    if other is not None and other is not client:
        if not isinstance(other, Client):
            raise BadRequestError("client has to be a quoth.Client", param="client")
        return _tell(other, surface, keywords)
    told = _Told(surface, keywords, client._conversations)
    job = client._job(told.model, None, told.keywords, surface)
    answer = client._driven(job)
    if answer.completion is None:
        return EventStream(answer, job.warnings, told)
    return told.answer(answer, job)


async def _atell(client: AsyncClient, surface: str, keywords: dict[str, Any]) -> Any:
    other = keywords.pop("client", None)
    if other is not None and other is not client:
        if not isinstance(other, AsyncClient):
            raise BadRequestError("client has to be a quoth.AsyncClient", param="client")
        return await _atell(other, surface, keywords)
    told = _Told(surface, keywords, client._conversations)
    job = client._job(told.model, None, told.keywords, surface)
    answer = await client._driven(job)
    if answer.completion is None:
        return AsyncEventStream(answer, job.warnings, told)
    return told.answer(answer, job)


class Responses:
    """openai's shape: `client.responses.create(model=..., input=...)`."""

    def __init__(self, client: Client | None = None):
        self._client = client

    @overload
    def create(self, model: str, input: Any, *, stream: Literal[True], **keywords: Any) -> EventStream: ...
    @overload
    def create(self, model: str, input: Any, *, stream: Literal[False] | None = None, **keywords: Any) -> Response: ...
    def create(self, model: str, input: Any, **keywords: Any) -> Any:
        """As `quoth.responses`, with this client's defaults and connections."""
        return _tell(self._client or defaults.client(), RESPONSES, {"model": model, "input": input, **keywords})


class AsyncResponses:
    """openai's shape: `await client.responses.create(model=..., input=...)`."""

    def __init__(self, client: AsyncClient | None = None):
        self._client = client

    @overload
    async def create(self, model: str, input: Any, *, stream: Literal[True], **keywords: Any) -> AsyncEventStream: ...
    @overload
    async def create(
        self, model: str, input: Any, *, stream: Literal[False] | None = None, **keywords: Any
    ) -> Response: ...
    async def create(self, model: str, input: Any, **keywords: Any) -> Any:
        """As `quoth.aresponses`, with this client's defaults and connections."""
        client = self._client or defaults.async_client()
        return await _atell(client, RESPONSES, {"model": model, "input": input, **keywords})


class Messages:
    """anthropic's shape: `client.messages.create(model=..., max_tokens=..., messages=[...])`."""

    def __init__(self, client: Client | None = None):
        self._client = client

    @overload
    def create(self, *, model: str, messages: Any, stream: Literal[True], **keywords: Any) -> EventStream: ...
    @overload
    def create(
        self, *, model: str, messages: Any, stream: Literal[False] | None = None, **keywords: Any
    ) -> AnthropicMessage: ...
    def create(self, **keywords: Any) -> Any:
        """One call in the shape of Anthropic's Messages API; `await quoth.anthropic_messages(...)` is the same for
        asyncio. Without `max_tokens` the model's own limit is sent."""
        return _tell(self._client or defaults.client(), MESSAGES, keywords)


class AsyncMessages:
    """anthropic's shape: `await client.messages.create(model=..., max_tokens=..., messages=[...])`."""

    def __init__(self, client: AsyncClient | None = None):
        self._client = client

    @overload
    async def create(
        self, *, model: str, messages: Any, stream: Literal[True], **keywords: Any
    ) -> AsyncEventStream: ...
    @overload
    async def create(
        self, *, model: str, messages: Any, stream: Literal[False] | None = None, **keywords: Any
    ) -> AnthropicMessage: ...
    async def create(self, **keywords: Any) -> Any:
        """As `quoth.anthropic_messages`, with this client's defaults and connections."""
        return await _atell(self._client or defaults.async_client(), MESSAGES, keywords)


messages = Messages()


@overload
def responses(model: str, input: Any, *, stream: Literal[True], **keywords: Any) -> EventStream: ...
@overload
def responses(model: str, input: Any, *, stream: Literal[False] | None = None, **keywords: Any) -> Response: ...
def responses(model: str, input: Any, **keywords: Any) -> Any:
    """One call to any model in the shape of OpenAI's Responses API.

    `input` is a text or a list of items; all other fields of that API are keywords, as are those that steer a call
    (`timeout`, `num_retries`, `fallbacks`, `wire` ...). With `stream=True` the result is an EventStream.

    `previous_response_id` may be the id of an answer that this client has given; the client keeps the last 256
    conversations. Raises QuothError.
    """
    return _tell(defaults.client(), RESPONSES, {"model": model, "input": input, **keywords})


@overload
async def aresponses(model: str, input: Any, *, stream: Literal[True], **keywords: Any) -> AsyncEventStream: ...
@overload
async def aresponses(model: str, input: Any, *, stream: Literal[False] | None = None, **keywords: Any) -> Response: ...
async def aresponses(model: str, input: Any, **keywords: Any) -> Any:
    """As `responses`, for asyncio."""
    return await _atell(defaults.async_client(), RESPONSES, {"model": model, "input": input, **keywords})


@overload
async def anthropic_messages(
    *, model: str, messages: Any, stream: Literal[True], **keywords: Any
) -> AsyncEventStream: ...
@overload
async def anthropic_messages(
    *, model: str, messages: Any, stream: Literal[False] | None = None, **keywords: Any
) -> AnthropicMessage: ...
async def anthropic_messages(**keywords: Any) -> Any:
    """One call to any model in the shape of Anthropic's Messages API, for asyncio.

    All fields of that API are keywords, as are those that steer a call. With `stream=True` the result is an
    AsyncEventStream. Without `max_tokens` the model's own limit is sent. Raises QuothError.
    """
    return await _atell(defaults.async_client(), MESSAGES, keywords)
