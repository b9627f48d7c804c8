"""Clients: a connection pool and defaults. They also have the shape of openai's,
`client.chat.completions.create(...)`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property, wraps
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from quoth.call import Row, Timeouts
from quoth.engine.attempts import Answer, Policy
from quoth.engine.chat import chat
from quoth.engine.effects import Flow
from quoth.errors import BadRequestError
from quoth.sdk import budget
from quoth.sdk.arguments import headers_of, names_of, retries_of, seconds_of, size_of, text_of, timeouts_of
from quoth.sdk.core import Core, Job, Settings
from quoth.sdk.log import noted
from quoth.sdk.models import Model, ModelList, listing, read_list
from quoth.sdk.past import remember
from quoth.transport.canned import Canned, CannedAsync
from quoth.transport.drive import adrive, drive
from quoth.transport.environment import environment
from quoth.transport.mock import canned, waiting
from quoth.transport.network import Network
from quoth.types import Completion

if TYPE_CHECKING:
    from quoth.sdk.account import Balance, Reconciled, UsageRow
    from quoth.sdk.creating import AsyncAudio, AsyncImages, AsyncVideos, Audio, Images, Videos
    from quoth.sdk.making import Steps
    from quoth.sdk.signatures import AsyncCompletionCall, CompletionCall
    from quoth.sdk.streams import AsyncStream, Stream
    from quoth.sdk.surfaces import AsyncMessages, AsyncResponses, Conversations, Messages, Responses
    from quoth.transport.ports import AsyncTransport, Transport

__all__ = ["AsyncClient", "Client"]

T = TypeVar("T")
Init = TypeVar("Init", bound=Callable[..., None])


def _known_alone(init: Init) -> Init:
    """The same constructor, whose arguments are keywords; to one that it has not, it says what takes its place. Python
    would name the class that both clients share."""
    known = frozenset(init.__kwdefaults__ or ())

    @wraps(init)
    def checked(self: Any, *unnamed: Any, **given: Any) -> None:
        if unnamed:
            raise TypeError(f"{type(self).__name__}() takes keywords alone, such as api_key=...")
        for name in given:
            if name not in known:
                from quoth.sdk.elsewhere import instead_of_argument

                raise TypeError(f"{type(self).__name__}() has no argument {name!r}{instead_of_argument(name)}")
        init(self, **given)

    return checked  # type: ignore[return-value]


class _Client(ABC):
    """What both clients are made of."""

    @_known_alone
    def __init__(
        self,
        *,
        provider: str | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
        api_base: str | None = None,
        timeout: float | Timeouts | None = None,
        num_retries: int | None = None,
        max_retries: int | None = None,
        fallbacks: Sequence[Any] = (),
        default_headers: Mapping[str, str] | None = None,
        drop_params: bool = False,
        strict: bool = False,
        disable_quirks: Iterable[str] = (),
        providers: Iterable[Row | Mapping[str, Any]] = (),
        catalogue_ttl: float | None = None,
        proxy: str | None = None,
        ssl_verify: bool | str = True,
        client_cert: str | tuple[str, str] | None = None,
        transport: Any = None,
        max_request_bytes: int | None = None,
        max_answer_bytes: int | None = None,
        max_event_bytes: int | None = None,
    ):
        """All arguments are keywords; a call's own keywords come before them, the environment comes after.

        `provider`: whose models bare names are ("poe"). `api_key`, `api_base` (or `base_url`): in place of the
        environment's. `timeout`: seconds for a whole call, or `quoth.Timeouts`. `num_retries` (or `max_retries`): how
        often one target is tried again, 2 if left out. `fallbacks`: models to call when one fails.
        `default_headers`: sent with every call. `drop_params`, `strict`, `disable_quirks`: as in a call. `providers`:
        rows of your own. `catalogue_ttl`: seconds after which Poe's list of models is fetched again, before a call;
        never if left out. `proxy`: a URL. `ssl_verify`: True, False, or the path of a CA file or folder. `client_cert`:
        the path of a PEM file, or of a certificate and its key. `transport`: one of your own, as
        `quoth.transport.ports` describes it; whoever made it closes it. `max_request_bytes`, `max_answer_bytes`,
        `max_event_bytes` (one event of a stream): 64 MiB, 512 MiB and 16 MiB if left out.

        Opens nothing and reads no environment; that happens when a call is made. Raises BadRequestError for a row that
        is none.
        """
        self._arguments = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        retries = num_retries if num_retries is not None else max_retries
        default = Policy()
        settings = Settings(
            provider=text_of(provider, "provider"),
            api_key=text_of(api_key, "api_key"),
            base_url=text_of(base_url, "base_url") or text_of(api_base, "api_base"),
            timeout=timeouts_of(timeout),
            num_retries=retries_of(2 if retries is None else retries),
            fallbacks=tuple(fallbacks),
            headers=headers_of(default_headers),
            drop_params=drop_params,
            strict=strict,
            disable_quirks=names_of(disable_quirks, "disable_quirks"),
            catalogue_ttl=seconds_of(catalogue_ttl, "catalogue_ttl"),
            network=Network(text_of(proxy, "proxy"), ssl_verify, client_cert),
            request_limit=size_of(max_request_bytes, "max_request_bytes", default.request_limit),
            answer_limit=size_of(max_answer_bytes, "max_answer_bytes", default.answer_limit),
            event_limit=size_of(max_event_bytes, "max_event_bytes", default.event_limit),
        )
        self._core = Core(settings, providers)
        self._given_transport = transport
        self._own_transport: Any = None
        self._first_made: dict[str, Any] = {}

    def with_options(self, **options: Any) -> Self:
        """A client with these arguments of `Client(...)` changed, as openai's has it. It shares this one's connections
        unless what changes is how they are made."""
        if "base_url" in options or "api_base" in options:
            options = {"base_url": None, "api_base": None, **options}
        if "num_retries" in options or "max_retries" in options:
            options = {"num_retries": None, "max_retries": None, **options}
        other = type(self)(**{**self._arguments, **options})
        if not {"proxy", "ssl_verify", "client_cert", "transport"} & set(options):
            other._given_transport = self._transport()
            other._arguments["transport"] = self._given_transport
        return other

    def _own(self, made: T) -> T:
        """The transport of this client's own: the first that is made, for threads whose first calls come together each
        make one, and what they did not share would have connections of its own that nobody closes."""
        # A lock could be held in another thread at the moment of a fork; this is one step of the interpreter.
        first: T = self._first_made.setdefault("transport", made)
        self._own_transport = first
        return first

    @abstractmethod
    def _transport(self) -> Any:
        """What carries this client's calls."""

    def _job(self, model: Any, messages: Any, keywords: dict[str, Any], surface: str = "openai_chat") -> Job:
        return self._core.job(model, messages, keywords, surface)

    @cached_property
    def _conversations(self) -> Conversations:
        from quoth.sdk.surfaces import Conversations

        return Conversations()

    def _flow(self, job: Job) -> Flow[Answer]:
        core = self._core
        if job.mock:
            # Nobody is called, so nothing is spent.
            yield from waiting(job.mock, job.plans[0].policy.timeouts)
            return (yield from chat(job.plans, core.world, core.budget))
        yield from core.freshen(job)
        return remember((yield from chat(job.plans, core.world, core.budget, budget.current())), core.world)


class Client(_Client):
    """For blocking programs, in any number of threads; also after a fork. `with quoth.Client(provider="poe") as client:
    ...`"""

    @property
    def completion(self) -> CompletionCall:
        """`client.completion(model, messages, ...)`: as `quoth.completion`, with this client's defaults and
        connections."""
        return self._complete  # type: ignore[return-value]

    def _complete(self, model: Any, messages: Any = (), **keywords: Any) -> Completion | Stream:
        other = keywords.pop("client", None)
        if other is not None and other is not self:
            if not isinstance(other, Client):
                raise BadRequestError("client has to be a quoth.Client", param="client")
            return other._complete(model, messages, **keywords)
        job = self._job(model, messages, keywords)
        answer = self._driven(job)
        if answer.completion is not None:
            answer.completion.warnings[:0] = job.warnings
            return answer.completion
        from quoth.sdk.streams import Stream

        return Stream(answer, job.warnings)

    def _driven(self, job: Job) -> Answer:
        transport = self._transport()
        if job.mock:
            transport = Canned(canned(job.mock, stream=job.stream))
        return drive(noted(self._flow(job)), transport)

    def _transport(self) -> Transport:
        if self._given_transport is not None:
            given: Transport = self._given_transport
            return given
        own: Transport | None = self._own_transport
        if own is None:
            from quoth.transport.blocking import BlockingTransport

            own = self._own(BlockingTransport(self._core.settings.network, environment))
        return own

    def _perform(self, steps: Steps[T]) -> T:
        """Take the steps of an operation, and return its result. Raises QuothError."""
        from quoth.transport.download import Download, downloaded

        outcome: Any = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as stop:
                result: T = stop.value
                return result
            outcome = None
            if isinstance(step, Download):
                downloaded(step, self._transport())
            else:
                outcome = drive(step, self._transport())

    @cached_property
    def images(self) -> Images:
        """openai's shape: `client.images.generate(model=..., prompt=...)`, `.edit(...)`."""
        from quoth.sdk.creating import Images

        return Images(self)

    @cached_property
    def audio(self) -> Audio:
        """openai's shape: `client.audio.speech.create(...)`, `client.audio.transcriptions.create(...)`."""
        from quoth.sdk.creating import Audio

        return Audio(self)

    @cached_property
    def videos(self) -> Videos:
        """openai's shape: `client.videos.create(...)`, `.retrieve(id)`, `.download_content(id)`, `.remix(...)`."""
        from quoth.sdk.creating import Videos

        return Videos(self)

    @cached_property
    def chat(self) -> _Chat:
        """openai's shape: `client.chat.completions.create(model=..., messages=...)`."""
        return _Chat(self.completion)

    @cached_property
    def responses(self) -> Responses:
        """openai's shape: `client.responses.create(model=..., input=...)`."""
        from quoth.sdk.surfaces import Responses

        return Responses(self)

    @cached_property
    def messages(self) -> Messages:
        """anthropic's shape: `client.messages.create(model=..., max_tokens=..., messages=[...])`."""
        from quoth.sdk.surfaces import Messages

        return Messages(self)

    @cached_property
    def models(self) -> _Models:
        """openai's shape: `client.models.list()`."""
        return _Models(self)

    def balance(self) -> Balance:
        """What is left on this client's account at Poe. Raises QuothError."""
        from quoth.sdk.account import balance

        return balance(client=self)

    def usage_history(
        self, since: datetime | timedelta | None = None, *, limit: int | None = None
    ) -> Iterator[UsageRow]:
        """As `quoth.usage_history`, of this client's account."""
        from quoth.sdk.account import usage_history

        return usage_history(since, limit=limit, client=self)

    def reconcile(self, *, wait: float = 10.0, key_name: str | None = None) -> Reconciled:
        """As `quoth.reconcile`, for the answers of this client's key."""
        from quoth.sdk.account import reconcile

        return reconcile(wait=wait, key_name=key_name, client=self)

    def close(self) -> None:
        """Close the connections. The client can be used again afterwards."""
        if self._own_transport is not None:
            self._own_transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient(_Client):
    """For asyncio programs, in any number of event loops. `async with quoth.AsyncClient(provider="poe") as client:
    ...`"""

    @property
    def acompletion(self) -> AsyncCompletionCall:
        """`await client.acompletion(model, messages, ...)`: as `quoth.acompletion`, with this client's defaults and
        connections."""
        return self._complete  # type: ignore[return-value]

    @property
    def completion(self) -> AsyncCompletionCall:
        """The same as `acompletion`."""
        return self._complete  # type: ignore[return-value]

    async def _complete(self, model: Any, messages: Any = (), **keywords: Any) -> Completion | AsyncStream:
        other = keywords.pop("client", None)
        if other is not None and other is not self:
            if not isinstance(other, AsyncClient):
                raise BadRequestError("client has to be a quoth.AsyncClient", param="client")
            return await other._complete(model, messages, **keywords)
        job = self._job(model, messages, keywords)
        answer = await self._driven(job)
        if answer.completion is not None:
            answer.completion.warnings[:0] = job.warnings
            return answer.completion
        from quoth.sdk.streams import AsyncStream

        return AsyncStream(answer, job.warnings)

    async def _driven(self, job: Job) -> Answer:
        transport = self._transport()
        if job.mock:
            transport = CannedAsync(canned(job.mock, stream=job.stream))
        return await adrive(noted(self._flow(job)), transport)

    def _transport(self) -> AsyncTransport:
        if self._given_transport is not None:
            given: AsyncTransport = self._given_transport
            return given
        own: AsyncTransport | None = self._own_transport
        if own is None:
            from quoth.transport.aio import AsyncioTransport

            own = self._own(AsyncioTransport(self._core.settings.network, environment))
        return own

    async def _perform(self, steps: Steps[T]) -> T:
        """Take the steps of an operation, and return its result. Raises QuothError."""
        from quoth.transport.download import Download, adownloaded

        outcome: Any = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as stop:
                result: T = stop.value
                return result
            outcome = None
            if isinstance(step, Download):
                await adownloaded(step, self._transport())
            else:
                outcome = await adrive(step, self._transport())

    @cached_property
    def images(self) -> AsyncImages:
        """openai's shape: `await client.images.generate(model=..., prompt=...)`, `.edit(...)`."""
        from quoth.sdk.creating import AsyncImages

        return AsyncImages(self)

    @cached_property
    def audio(self) -> AsyncAudio:
        """openai's shape: `await client.audio.speech.create(...)`, `client.audio.transcriptions.create(...)`."""
        from quoth.sdk.creating import AsyncAudio

        return AsyncAudio(self)

    @cached_property
    def videos(self) -> AsyncVideos:
        """openai's shape: `await client.videos.create(...)`, `.retrieve(id)`, `.download_content(id)`."""
        from quoth.sdk.creating import AsyncVideos

        return AsyncVideos(self)

    @cached_property
    def chat(self) -> _AsyncChat:
        """openai's shape: `await client.chat.completions.create(model=..., messages=...)`."""
        return _AsyncChat(self.completion)

    @cached_property
    def responses(self) -> AsyncResponses:
        """openai's shape: `await client.responses.create(model=..., input=...)`."""
        from quoth.sdk.surfaces import AsyncResponses

        return AsyncResponses(self)

    @cached_property
    def messages(self) -> AsyncMessages:
        """anthropic's shape: `await client.messages.create(model=..., max_tokens=..., messages=[...])`."""
        from quoth.sdk.surfaces import AsyncMessages

        return AsyncMessages(self)

    @cached_property
    def models(self) -> _AsyncModels:
        """openai's shape: `await client.models.list()`."""
        return _AsyncModels(self)

    async def balance(self) -> Balance:
        """What is left on this client's account at Poe. Raises QuothError."""
        from quoth.sdk.account import abalance

        return await abalance(client=self)

    def usage_history(
        self, since: datetime | timedelta | None = None, *, limit: int | None = None
    ) -> AsyncIterator[UsageRow]:
        """As `quoth.ausage_history`, of this client's account."""
        from quoth.sdk.account import ausage_history

        return ausage_history(since, limit=limit, client=self)

    async def reconcile(self, *, wait: float = 10.0, key_name: str | None = None) -> Reconciled:
        """As `quoth.areconcile`, for the answers of this client's key."""
        from quoth.sdk.account import areconcile

        return await areconcile(wait=wait, key_name=key_name, client=self)

    async def aclose(self) -> None:
        """Close the connections of this event loop. The client can be used again afterwards."""
        if self._own_transport is not None:
            await self._own_transport.aclose()

    close = aclose

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


class _Completions:
    def __init__(self, create: CompletionCall):
        self.create = create


class _Chat:
    def __init__(self, create: CompletionCall):
        self.completions = _Completions(create)


class _AsyncCompletions:
    def __init__(self, create: AsyncCompletionCall):
        self.create = create


class _AsyncChat:
    def __init__(self, create: AsyncCompletionCall):
        self.completions = _AsyncCompletions(create)


class _Models:
    def __init__(self, client: Client):
        self._client = client

    def list(self, provider: str | None = None) -> ModelList:
        """The provider's own list, fetched now. Raises QuothError."""
        return read_list(drive(listing(self._client._core, provider), self._client._transport()))

    def retrieve(self, model: str) -> Model:
        """One model of the list. Raises NotFoundError."""
        return self.list().find(model)


class _AsyncModels:
    def __init__(self, client: AsyncClient):
        self._client = client

    async def list(self, provider: str | None = None) -> ModelList:
        """The provider's own list, fetched now. Raises QuothError."""
        return read_list(await adrive(listing(self._client._core, provider), self._client._transport()))

    async def retrieve(self, model: str) -> Model:
        """One model of the list. Raises NotFoundError."""
        return (await self.list()).find(model)
