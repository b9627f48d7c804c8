"""What both clients are made of: settings, and the way from keywords to the plans that the engine works through."""

from __future__ import annotations

import inspect
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from quoth._version import __version__
from quoth.call import Call, Row, Target, Timeouts
from quoth.engine import check
from quoth.engine.attempts import Plan, Policy
from quoth.engine.backoff import RetryBudget
from quoth.engine.effects import Flow, World
from quoth.errors import AuthenticationError, BadRequestError, ContextWindowExceededError, QuothError
from quoth.providers.controls import CONTROLS, INERT, MOCKS, ON_THE_CLIENT
from quoth.providers.quirks import QUIRKS
from quoth.providers.resolve import named, resolve
from quoth.providers.rows import Registry, row_from, rows_from_file
from quoth.sdk.arguments import CREDENTIALS, flag, headers_of, names_of, retries_of, said, text_of, timeouts_of
from quoth.sdk.attachments import with_attachments
from quoth.sdk.shelf import SHELF, freshened, refreshing
from quoth.transport.environment import environment
from quoth.transport.network import Network
from quoth.types import Warning
from quoth.wire.wires import wire_named

__all__ = ["USER_AGENT", "Core", "Job", "Settings"]

# What belongs to the provider that it was given for, and goes to no other.
_TO_ONE_PROVIDER = frozenset({"api_key", "api_base", "base_url", "custom_llm_provider", "extra_query"})
# What concerns the call as a whole, whichever target answers it.
_OF_THE_CALL = frozenset({"fallbacks", "context_window_fallback_dict", *MOCKS})
# A call that waits for a newer list of models does not wait long.
_BEFORE_A_CALL = Policy(num_retries=0, timeouts=Timeouts(total=15))
USER_AGENT = f"quoth/{__version__}"
CHAT = "openai_chat"


@dataclass(frozen=True, slots=True)
class Settings:
    """The defaults of a client; a call's own keywords win."""

    provider: str | None = None
    api_key: str | None = field(default=None, repr=False)
    base_url: str | None = None
    timeout: float | Timeouts | None = None
    num_retries: int = 2
    fallbacks: Sequence[Any] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    drop_params: bool = False
    strict: bool = False
    disable_quirks: tuple[str, ...] = ()
    catalogue_ttl: float | None = None
    network: Network = field(default_factory=Network, repr=False)  # a proxy's URL may hold a password
    request_limit: int = Policy().request_limit
    answer_limit: int = Policy().answer_limit
    event_limit: int = Policy().event_limit


@dataclass(slots=True)
class Job:
    """One call, ready for the engine. `mock` holds the `mock_...` keywords; empty for a real call."""

    plans: list[Plan]
    stream: bool
    warnings: list[Warning]
    mock: dict[str, Any]


class Core:
    """Shared by every call of one client: its settings, its rows, its retry budget."""

    def __init__(self, settings: Settings, providers: Iterable[Row | Mapping[str, Any]] = ()):
        self.settings = settings
        self.world = World(now=time.monotonic, today=lambda: datetime.now(UTC), random=random.random)
        self.budget = RetryBudget(time.monotonic)
        self._rows = [row if isinstance(row, Row) else row_from(row) for row in providers]
        self._registry: tuple[str, Registry] | None = None

    @property
    def registry(self) -> Registry:
        """The rows in force: those given, those of the file that QUOTH_PROVIDERS names, the shipped ones."""
        path = environment().get("QUOTH_PROVIDERS", "").strip()
        if self._registry is None or self._registry[0] != path:
            self._registry = (path, Registry([*(rows_from_file(path) if path else ()), *self._rows]))
        return self._registry[1]

    def job(self, model: Any, messages: Any, keywords: Mapping[str, Any], surface: str = CHAT) -> Job:
        """`surface`: the wire in whose shape the call is given; of any but chat, what is asked is all in the keywords.
        Raises BadRequestError for what cannot be sent to anybody."""
        given = said(keywords)
        stream = flag(given, "stream", False)
        given.pop("stream", None)
        for name in ON_THE_CLIENT:
            if name in given:
                raise BadRequestError(f"{name} is an argument of quoth.Client(...), not of a call", param=name)
        warnings = [
            Warning("no_effect", name, f"{name} is a keyword of LiteLLM that has no effect here")
            for name in given
            if name in INERT
        ]
        mock = {name: given[name] for name in MOCKS if name in given}
        if mock:
            # Nobody is called, so nobody's key is needed.
            given.setdefault("api_key", "mock")
            given["wire"] = "openai_chat"  # which is what mocks are written in
        conversation = check.messages_of(with_attachments(messages)) if surface == CHAT else []
        plans = [self.plan(model, conversation, given, stream, surface=surface)]
        plans += self._larger(model, conversation, given, stream, surface)
        plans += self._fallbacks(model, conversation, given, stream, surface)
        return Job(plans, stream, warnings, mock)

    def plan(
        self,
        model: Any,
        messages: list[dict[str, Any]],
        given: Mapping[str, Any],
        stream: bool,
        *,
        ours: bool = True,
        surface: str = CHAT,
    ) -> Plan:
        """One model with everything that was said about calling it. `ours`: this client's key may be meant for it.
        Raises BadRequestError."""
        settings = self.settings
        control = {name: value for name, value in given.items() if name in CONTROLS}
        params = {name: value for name, value in given.items() if name not in CONTROLS and name not in INERT}
        output_type = params.pop("response_format") if inspect.isclass(params.get("response_format")) else None
        params = {name: check.plain(value, name) for name, value in params.items()}
        document: dict[str, Any] | None = None
        if surface != CHAT:
            document = {**params, **(params.pop("extra_body", None) or {})}
            document = {"model": model, **document, **({"stream": True} if stream else {})}
            document.pop("extra_body", None)
            messages, params = _in_chat(surface, document)
        check.check_params(params)
        if "tags" in params.get("metadata", {}):
            # LiteLLM's mark for its own routing; the rest of the metadata is the provider's.
            params["metadata"] = {name: value for name, value in params["metadata"].items() if name != "tags"}
        options = params.get("stream_options")
        wire = text_of(control.get("wire"), "wire")
        call = Call(
            model=model,
            messages=messages,
            params=params,
            stream=stream,
            output_type=output_type,
            drop_params=flag(control, "drop_params", settings.drop_params),
            additional_drop_params=names_of(control.get("additional_drop_params"), "additional_drop_params"),
            allowed_openai_params=names_of(control.get("allowed_openai_params"), "allowed_openai_params"),
            strict=flag(control, "strict", settings.strict),
            keep_usage_chunk=bool(isinstance(options, Mapping) and options.get("include_usage")),
            wire=None if wire is None else wire_named(wire).name,
            surface=surface,
            document=document,
        )
        return Plan(call, self._target(model, control, ours), self._policy(control, stream))

    def _policy(self, control: Mapping[str, Any], stream: bool) -> Policy:
        settings = self.settings
        timeout = control.get("timeout", control.get("request_timeout", settings.timeout))
        if stream:
            timeout = control.get("stream_timeout", timeout)
        return Policy(
            num_retries=retries_of(control.get("num_retries", control.get("max_retries", settings.num_retries))),
            timeouts=timeouts_of(timeout),
            request_limit=settings.request_limit,
            answer_limit=settings.answer_limit,
            event_limit=settings.event_limit,
        )

    def policy(self) -> Policy:
        """The policy of a call that says nothing of it."""
        return self._policy({}, stream=False)

    def _target(self, model: Any, control: Mapping[str, Any], ours: bool = True) -> Callable[[], Target]:
        """How to find a model's target, once its turn comes."""
        quirks = names_of(control.get("disable_quirks"), "disable_quirks") or self.settings.disable_quirks
        for name in quirks:
            if name not in QUIRKS:
                raise BadRequestError(
                    f"disable_quirks: {name!r} is not a quirk; there are {', '.join(QUIRKS)}", param="disable_quirks"
                )
        own = {**headers_of(control.get("extra_headers")), **headers_of(control.get("headers"))}
        return partial(self._resolve, model, control, own, quirks, ours)

    def _resolve(
        self, model: Any, control: Mapping[str, Any], own: Mapping[str, str], quirks: tuple[str, ...], ours: bool
    ) -> Target:
        settings = self.settings
        provider = text_of(control.get("custom_llm_provider"), "custom_llm_provider")
        key = text_of(control.get("api_key"), "api_key")
        url = text_of(control.get("base_url"), "base_url") or text_of(control.get("api_base"), "api_base")
        defaults = headers_of(settings.headers)
        if provider is None and ours and self._at_home(model, url):
            provider = settings.provider
            url = url or settings.base_url
            key = key if key is not None and key.strip() else settings.api_key
        else:
            defaults = {name: value for name, value in defaults.items() if name not in CREDENTIALS}
        return resolve(
            model,
            self.registry,
            environment(),
            provider=provider,
            api_key=key,
            base_url=url,
            headers={"user-agent": USER_AGENT, "accept-encoding": "identity", **defaults, **own},
            query=control.get("extra_query"),
            without_quirks=quirks,
            catalogue=SHELF.current,
        )

    def _at_home(self, model: Any, url: str | None) -> bool:
        """True when this client's own provider, key and headers are meant for this model at this URL. They are not when
        it belongs to another provider than the one they are for: a key must not travel to a stranger."""
        settings, registry = self.settings, self.registry
        home = settings.provider or (registry.owner_of(settings.base_url) if settings.base_url else None)
        if url is not None and registry.owner_of(url) not in (None, home):
            return False
        if home is None:
            return url is None or settings.base_url is None
        if not isinstance(model, str) or "/" not in model:
            return True  # a bare name is the home provider's
        try:
            row, _ = named(model, registry, base_url=settings.base_url)
        except BadRequestError:
            return True  # no provider's prefix: a name with a slash in it
        return row is registry.get(home)

    def provider_target(self, provider: str | None) -> Target:
        """A target for what concerns a provider and no model of it."""
        settings = self.settings
        name = provider or settings.provider
        if name is None and settings.base_url is not None:
            name = self.registry.owner_of(settings.base_url) or "custom_openai"
        return self._target(f"{name or 'poe'}/*", {})()

    def freshen(self, job: Job) -> Flow[None]:
        """Fetch Poe's list of models before a call that needs it, as `catalogue_ttl` asks."""
        ttl = self.settings.catalogue_ttl
        if ttl is None or job.mock:
            return
        try:
            target = job.plans[0].target()
        except QuothError:
            return  # the call itself says so
        job.warnings += yield from freshened(SHELF, target, ttl, _BEFORE_A_CALL, self.world, self.budget)

    def refresh(self) -> Flow[list[Warning]]:
        """Fetch Poe's list of models now. It needs no key; the one at hand is sent."""
        try:
            target = self.provider_target("poe")
        except AuthenticationError:
            target = replace(self._target("poe/*", {"api_key": "none"})(), key=None)
        return (yield from refreshing(SHELF, target, self.policy(), self.world, self.budget))

    def _fallbacks(
        self, model: Any, messages: list[dict[str, Any]], given: Mapping[str, Any], stream: bool, surface: str
    ) -> list[Plan]:
        entries = given.get("fallbacks", self.settings.fallbacks)
        if isinstance(entries, str) or not isinstance(entries, Sequence):
            raise BadRequestError("fallbacks has to be a list of model names or objects", param="fallbacks")
        plans = []
        for number, entry in enumerate(entries):
            where = f"fallbacks[{number}]"
            own = {"model": entry} if isinstance(entry, str) else entry
            if not isinstance(own, Mapping) or not isinstance(own.get("model"), str):
                raise BadRequestError(f"{where} has to be a model name, or an object with one as model", param=where)
            try:
                plans.append(self._other(model, messages, given, said(own), stream, surface))
            except BadRequestError as error:
                raise BadRequestError(f"{where}: {error.message}", param=f"{where}.{error.param}") from None
        return plans

    def _larger(
        self, model: Any, messages: list[dict[str, Any]], given: Mapping[str, Any], stream: bool, surface: str
    ) -> list[Plan]:
        where = "context_window_fallback_dict"
        larger = given.get(where) or {}
        if not isinstance(larger, Mapping):
            raise BadRequestError(f"{where} has to be an object of model names", param=where)
        name = larger.get(model) if isinstance(model, str) else None
        if name is None:
            return []
        plan = self._other(model, messages, given, {"model": name}, stream, surface)
        return [Plan(plan.call, plan.target, plan.policy, only_after=ContextWindowExceededError)]

    def _other(
        self,
        model: Any,
        messages: list[dict[str, Any]],
        given: Mapping[str, Any],
        own: dict[str, Any],
        stream: bool,
        surface: str,
    ) -> Plan:
        """The same call for another model, `own` laid over it. A key, a base URL and headers that say who is calling
        belong to the provider that they were given for."""
        kin = self._same_provider(model, own["model"], given)
        keywords = {name: value for name, value in given.items() if name not in _OF_THE_CALL}
        if not kin:
            keywords = {name: value for name, value in keywords.items() if name not in _TO_ONE_PROVIDER}
            for name in ("extra_headers", "headers"):
                if name in keywords:
                    headers = headers_of(keywords[name])
                    keywords[name] = {key: value for key, value in headers.items() if key not in CREDENTIALS}
        if not any(mock in given for mock in MOCKS):
            keywords.pop("wire", None)  # which was asked for the model that was called
        name = own.pop("model")
        conversation = messages
        if surface == CHAT and "messages" in own:
            conversation = check.messages_of(with_attachments(own.pop("messages")))
        own.pop("stream", None)
        # A client's key without a provider was meant for the model that was called.
        ours = kin or self.settings.provider is not None or self.settings.base_url is not None
        return self.plan(name, conversation, {**keywords, **own}, stream, ours=ours, surface=surface)

    def _same_provider(self, model: Any, other: str, given: Mapping[str, Any]) -> bool:
        provider = text_of(given.get("custom_llm_provider"), "custom_llm_provider") or self.settings.provider
        url = text_of(given.get("base_url"), "base_url") or text_of(given.get("api_base"), "api_base")
        how = {"provider": provider, "base_url": url or self.settings.base_url}
        try:
            return named(model, self.registry, **how)[0] is named(other, self.registry, **how)[0]
        except BadRequestError:
            return False


def _in_chat(surface: str, document: Mapping[str, Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The messages and the parameters that say in chat what a request of another API says. What only a provider that
    keeps answers can be asked for is not looked at yet: the target may be one."""
    if surface == "openai_responses":
        from quoth.wire.kept_answers import without_state

        document = without_state(document)
    body, _ = wire_named(surface).to_chat(document)
    messages = body.pop("messages")
    return messages, {name: value for name, value in body.items() if name not in ("model", "stream")}
