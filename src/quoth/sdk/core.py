"""What both clients are made of: settings, and the way from keywords to the plans that the engine works through."""

from __future__ import annotations

import inspect
import random
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from quoth._version import __version__
from quoth.call import Call, Row, Target, Timeouts
from quoth.engine import check
from quoth.engine.attempts import Plan, Policy
from quoth.engine.backoff import RetryBudget
from quoth.engine.effects import World
from quoth.errors import BadRequestError, ContextWindowExceededError
from quoth.providers.quirks import QUIRKS
from quoth.providers.resolve import named, resolve
from quoth.providers.rows import Registry, row_from, rows_from_file
from quoth.sdk.controls import CONTROLS, INERT
from quoth.sdk.environment import environment
from quoth.transport.network import Network
from quoth.types import Warning

__all__ = ["Core", "Job", "Settings"]

# What belongs to the provider that it was given for, and goes to no other.
_TO_ONE_PROVIDER = frozenset({"api_key", "api_base", "base_url", "custom_llm_provider"})
_CREDENTIALS = frozenset({"authorization", "api-key", "x-api-key", "cookie", "proxy-authorization"})
# What says where a request goes, where it ends and what becomes of its connection.
_FRAMING = frozenset({"connection", "content-length", "expect", "host", "transfer-encoding", "upgrade"})
_CONTROL_CHARS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]")
_USER_AGENT = f"quoth/{__version__}"


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
    network: Network = field(default_factory=Network, repr=False)  # a proxy's URL may hold a password


@dataclass(slots=True)
class Job:
    """One call, ready for the engine."""

    plans: list[Plan]
    policy: Policy
    stream: bool
    warnings: list[Warning]
    mock: Any = None


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

    def job(self, model: Any, messages: Any, keywords: Mapping[str, Any]) -> Job:
        """Raises BadRequestError for what cannot be sent to anybody."""
        given = {name: value for name, value in keywords.items() if value is not None and not _left_out(value)}
        stream = given.pop("stream", False)
        if not isinstance(stream, bool):
            raise BadRequestError(f"stream is {stream!r}; it has to be True or False", param="stream")
        warnings = [
            Warning("no_effect", name, f"{name} is a keyword of LiteLLM that has no effect here")
            for name in given
            if name in INERT
        ]
        control = {name: given.pop(name) for name in list(given) if name in CONTROLS or name in INERT}
        if "mock_response" in control:
            # Nobody is called, so nobody's key is needed.
            control.setdefault("api_key", "mock")
        call = self._call(model, check.messages_of(messages), given, control, stream)
        timeout = control.get("timeout", control.get("request_timeout", self.settings.timeout))
        if stream:
            timeout = control.get("stream_timeout", timeout)
        policy = Policy(num_retries=self._retries(control), timeouts=_timeouts(timeout))
        plans = [Plan(call, self._target(call.model, control))]
        plans += self._larger(call, control)
        plans += self._fallbacks(call, control)
        return Job(plans, policy, stream, warnings, control.get("mock_response"))

    def _call(
        self, model: Any, messages: list[dict[str, Any]], given: dict[str, Any], control: dict[str, Any], stream: bool
    ) -> Call:
        output_type = None
        if inspect.isclass(given.get("response_format")):
            output_type = given.pop("response_format")
        params = {name: check.plain(value, name) for name, value in given.items()}
        check.check_params(params)
        options = params.get("stream_options")
        return Call(
            model=model,
            messages=messages,
            params=params,
            stream=stream,
            output_type=output_type,
            drop_params=_flag(control, "drop_params", self.settings.drop_params),
            additional_drop_params=_names(control, "additional_drop_params"),
            allowed_openai_params=_names(control, "allowed_openai_params"),
            strict=_flag(control, "strict", self.settings.strict),
            keep_usage_chunk=bool(isinstance(options, Mapping) and options.get("include_usage")),
        )

    def _target(self, model: Any, control: Mapping[str, Any]) -> Callable[[], Target]:
        """How to find a model's target, once its turn comes."""
        headers = {
            "user-agent": _USER_AGENT,
            "accept-encoding": "identity",
            **_headers(self.settings.headers),
            **_headers(control.get("extra_headers") or {}),
            **_headers(control.get("headers") or {}),
        }
        quirks = _names(control, "disable_quirks") or self.settings.disable_quirks
        for name in quirks:
            if name not in QUIRKS:
                raise BadRequestError(
                    f"disable_quirks: {name!r} is not a quirk; there are {', '.join(QUIRKS)}", param="disable_quirks"
                )
        return partial(self._resolve, model, control, headers, quirks)

    def _resolve(
        self, model: Any, control: Mapping[str, Any], headers: Mapping[str, str], quirks: tuple[str, ...]
    ) -> Target:
        settings = self.settings
        provider = control.get("custom_llm_provider")
        key, url = control.get("api_key"), control.get("base_url") or control.get("api_base")
        if provider is None and url is None and self._at_home(model):
            provider, url = settings.provider, settings.base_url
            key = settings.api_key if key is None else key
        return resolve(
            model,
            self.registry,
            environment(),
            provider=provider,
            api_key=key,
            base_url=url,
            headers=headers,
            without_quirks=quirks,
        )

    def _at_home(self, model: Any) -> bool:
        """True when this client's own provider, key and base URL are meant for this model. They are not when it belongs
        to another provider than the one they are for: a key must not travel to a stranger."""
        settings, registry = self.settings, self.registry
        home = settings.provider or (registry.owner_of(settings.base_url) if settings.base_url else None)
        if home is None:
            return True
        try:
            row, _ = named(model, registry, provider=None, base_url=settings.base_url)
        except BadRequestError:
            return True  # a bare name is the home provider's
        return row is registry.get(home) or "/" not in model

    def provider_target(self, provider: str | None) -> Target:
        """A target for what concerns a provider and no model of it."""
        settings = self.settings
        name = provider or settings.provider
        if name is None and settings.base_url is not None:
            name = self.registry.owner_of(settings.base_url) or "custom_openai"
        resolved: Target = self._target(f"{name or 'poe'}/*", {})()
        return resolved

    def policy(self) -> Policy:
        """The policy of a call that says nothing of it."""
        return Policy(num_retries=self._retries({}), timeouts=_timeouts(self.settings.timeout))

    def _fallbacks(self, call: Call, control: Mapping[str, Any]) -> list[Plan]:
        given = control.get("fallbacks", self.settings.fallbacks)
        if isinstance(given, str) or not isinstance(given, Sequence):
            raise BadRequestError("fallbacks has to be a list of model names or objects", param="fallbacks")
        plans = []
        for number, entry in enumerate(given):
            where = f"fallbacks[{number}]"
            own = {"model": entry} if isinstance(entry, str) else entry
            if not isinstance(own, Mapping) or not isinstance(own.get("model"), str):
                raise BadRequestError(f"{where} has to be a model name, or an object with one as model", param=where)
            plans.append(self._other(call, control, own, where))
        return plans

    def _larger(self, call: Call, control: Mapping[str, Any]) -> list[Plan]:
        given = control.get("context_window_fallback_dict") or {}
        if not isinstance(given, Mapping):
            where = "context_window_fallback_dict"
            raise BadRequestError(f"{where} has to be an object of model names", param=where)
        larger = given.get(call.model) if isinstance(call.model, str) else None
        if larger is None:
            return []
        plan = self._other(call, control, {"model": larger}, "context_window_fallback_dict")
        return [Plan(plan.call, plan.target, only_after=ContextWindowExceededError)]

    def _other(self, call: Call, control: Mapping[str, Any], own: Mapping[str, Any], where: str) -> Plan:
        """The same call for another model. A key and a base URL belong to the model they were given with."""
        kin = self._same_provider(call.model, own["model"], control)
        other = {name: value for name, value in control.items() if kin or name not in _TO_ONE_PROVIDER}
        for name in () if kin else ("extra_headers", "headers"):
            if name in other:
                given = _headers(other[name])
                other[name] = {key: value for key, value in given.items() if key not in _CREDENTIALS}
        if not kin and self.settings.provider is None and self.settings.base_url is None:
            # A key without a provider was meant for the model that was called.
            other["api_key"] = ""
        params = dict(call.params)
        messages = call.messages
        for name, value in own.items():
            if name in CONTROLS:
                other[name] = value
            elif name == "messages":
                messages = check.messages_of(value)
            elif name != "model":
                params[name] = check.plain(value, f"{where}.{name}")
        check.check_params(params)
        new = Call(
            model=own["model"],
            messages=messages,
            params=params,
            stream=call.stream,
            output_type=call.output_type,
            drop_params=_flag(other, "drop_params", self.settings.drop_params),
            additional_drop_params=_names(other, "additional_drop_params"),
            allowed_openai_params=_names(other, "allowed_openai_params"),
            strict=call.strict,
            keep_usage_chunk=call.keep_usage_chunk,
        )
        return Plan(new, self._target(new.model, other))

    def _same_provider(self, model: Any, other: str, control: Mapping[str, Any]) -> bool:
        how = {
            "provider": control.get("custom_llm_provider") or self.settings.provider,
            "base_url": control.get("base_url") or control.get("api_base") or self.settings.base_url,
        }
        try:
            return named(model, self.registry, **how)[0] is named(other, self.registry, **how)[0]
        except BadRequestError:
            return False

    def _retries(self, control: Mapping[str, Any]) -> int:
        value = control.get("num_retries", control.get("max_retries", self.settings.num_retries))
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise BadRequestError(f"num_retries is {value!r}; it has to be 0 or more", param="num_retries")
        return value


def _left_out(value: Any) -> bool:
    """openai's marks for "not given"."""
    return type(value).__name__ in ("NotGiven", "Omit")


def _flag(control: Mapping[str, Any], name: str, default: bool) -> bool:
    value = control.get(name, default)
    if not isinstance(value, bool):
        raise BadRequestError(f"{name} is {value!r}; it has to be True or False", param=name)
    return value


def _names(control: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = control.get(name) or ()
    if isinstance(value, str) or not isinstance(value, Iterable) or not all(isinstance(item, str) for item in value):
        raise BadRequestError(f"{name} has to be a list of names", param=name)
    return tuple(value)


def _headers(headers: Any) -> dict[str, str]:
    if not isinstance(headers, Mapping):
        raise BadRequestError("extra_headers has to be an object of texts", param="extra_headers")
    found = {}
    for name, value in headers.items():
        if not isinstance(name, str) or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise BadRequestError(f"{name!r} is not the name of an HTTP header", param="extra_headers")
        if name.lower() in _FRAMING:
            raise BadRequestError(f"the header {name} is not for callers to set", param="extra_headers")
        text = value if isinstance(value, str) else str(value)
        if _CONTROL_CHARS.search(text):
            raise BadRequestError(
                f"the header {name} has characters that no HTTP header can carry", param="extra_headers"
            )
        found[name.lower()] = text
    return found


def _timeouts(value: Any) -> Timeouts:
    """`timeout` in any of its forms: seconds, Timeouts, or an object with `connect` and `read` such as
    httpx.Timeout."""
    if value is None:
        return Timeouts()
    if isinstance(value, Timeouts):
        parts = {name: getattr(value, name) for name in ("connect", "first", "idle", "total")}
    elif hasattr(value, "connect") and hasattr(value, "read"):
        parts = {"connect": value.connect, "first": value.read, "idle": value.read}
    else:
        try:
            parts = {"total": float(value) if isinstance(value, str) else value}
        except ValueError:
            parts = {"total": value}
    for name, seconds in parts.items():
        if seconds is None:
            continue
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
            message = (
                f"the {name} timeout is {seconds!r}; it has to be seconds above 0 (timeout=60, quoth.Timeouts(...))"
            )
            raise BadRequestError(message, param="timeout")
    return Timeouts(**parts)
