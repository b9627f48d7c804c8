"""LiteLLM's CustomLogger as a hook.

Called: async_pre_call_hook, async_moderation_hook, async_post_call_success_hook, async_post_call_failure_hook,
async_post_call_streaming_iterator_hook, async_log_success_event, async_log_failure_event, with the arguments that
LiteLLM's proxy gives them. What else a class overrides is not called here; `not_called` names it.

With litellm installed its own classes are used, else the stand-ins of `quoth.gateway.hooks.standin`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import msgspec

from quoth.errors import QuothError
from quoth.gateway.exchange import Exchange
from quoth.gateway.hooks.interface import Call, Hook, HookFailed, Refuse, Reply
from quoth.gateway.hooks.standin import EMBEDDING, MODEL_RESPONSE, STREAM_CHUNK
from quoth.types import Completion, Record, Trace

__all__ = ["CustomLoggerHook", "Key", "NoCache", "event_of", "is_custom_logger"]

CALLED = (
    "async_pre_call_hook",
    "async_moderation_hook",
    "async_post_call_success_hook",
    "async_post_call_failure_hook",
    "async_post_call_streaming_iterator_hook",
    "async_log_success_event",
    "async_log_failure_event",
)
# Those that guard, so that leaving them out in silence would leave something unguarded.
_GUARDS = ("apply_guardrail", "async_post_call_streaming_hook")
_PREFIXES = ("async_", "log_", "pre_call_check", "logging_hook", "get_chat_completion_prompt")
_CALL_TYPES = {"chat": "acompletion", "completions": "atext_completion", "embeddings": "aembedding"}
_CALL_TYPES |= {"images": "aimage_generation", "speech": "aspeech", "transcriptions": "atranscription"}
_CALL_TYPES |= {"responses": "aresponses", "messages": "anthropic_messages", "moderations": "amoderation"}
_ADDED = ("proxy_server_request", "litellm_call_id", "secret_fields")
# Entries of a body that LiteLLM does not count among a model's parameters.
_NO_PARAMETERS = frozenset(("model", "messages", "input", "prompt", "metadata", "cache", "user", *_ADDED))


def is_custom_logger(instance: Any) -> bool:
    """Whether an object is a CustomLogger, or looks like one."""
    return any(_overridden(instance, name) for name in CALLED) or any(
        kind.__name__ == "CustomLogger" for kind in type(instance).__mro__
    )


class Key:
    """Who calls, under LiteLLM's names: `user_api_key_dict`. What is not known here is None."""

    def __init__(self, call: Call | None, exchange: Exchange | None = None):
        caller = call.caller if call is not None else exchange.caller if exchange is not None else None
        name = "" if caller is None else caller.id
        self.api_key = sha256(name.encode()).hexdigest()
        self.token = self.api_key
        self.key_alias = self.key_name = name
        self.user_role = "proxy_admin" if caller is not None and caller.is_master else "internal_user"
        self.user_id = "default_user_id" if caller is not None and caller.is_master else name
        self.request_route = call.route if call is not None else exchange.route if exchange is not None else ""
        self.metadata: dict[str, Any] = {}
        self.team_metadata: dict[str, Any] = {}
        self.permissions: dict[str, Any] = {}
        self.models: list[str] = []
        self.spend = 0.0

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return None

    def get(self, name: str, default: Any = None) -> Any:
        value = getattr(self, name)
        return default if value is None else value

    def model_dump(self, **options: Any) -> dict[str, Any]:
        return dict(vars(self))

    dict = model_dump

    def __repr__(self) -> str:
        return f"UserAPIKeyAuth(key_alias={self.key_alias!r})"


class NoCache:
    """What is given for LiteLLM's DualCache: a small memory of the hook's own."""

    def __init__(self) -> None:
        self._kept: dict[str, Any] = {}

    def get_cache(self, key: str, **options: Any) -> Any:
        return self._kept.get(key)

    def set_cache(self, key: str, value: Any, **options: Any) -> None:
        if len(self._kept) >= 10_000:
            self._kept.clear()
        self._kept[key] = value

    async def async_get_cache(self, key: str, **options: Any) -> Any:
        return self.get_cache(key)

    async def async_set_cache(self, key: str, value: Any, **options: Any) -> None:
        self.set_cache(key, value)

    async def async_increment_cache(self, key: str, value: float, **options: Any) -> float:
        total: float = (self._kept.get(key) or 0) + value
        self.set_cache(key, total)
        return total

    def delete_cache(self, key: str) -> None:
        self._kept.pop(key, None)


class CustomLoggerHook(Hook):
    """A hook that asks a CustomLogger."""

    def __init__(self, instance: Any):
        self._its = instance
        self._does = {name for name in CALLED if _overridden(instance, name)}
        self._cache = NoCache()
        self.chunks = self.wraps = "async_post_call_streaming_iterator_hook" in self._does
        self.texts = bool(self._does & {"async_log_success_event", "async_log_failure_event"})

    def does(self, name: str) -> bool:
        needs = {
            "before": ("async_pre_call_hook", "async_moderation_hook"),
            "after": ("async_post_call_success_hook",),
            "failed": ("async_post_call_failure_hook",),
            "over": ("async_log_success_event", "async_log_failure_event"),
        }
        return not self._does.isdisjoint(needs.get(name, ()))

    def not_called(self) -> tuple[list[str], list[str]]:
        """The methods that it overrides for nothing: those that guard, and the others."""
        base = _base(self._its)
        names = {
            name
            for kind in type(self._its).__mro__
            if kind is not object and not _is_base(kind)
            for name in vars(kind)
            if name not in CALLED and (name in _GUARDS or (name.startswith(_PREFIXES) and hasattr(base, name)))
        }
        return sorted(names & set(_GUARDS)), sorted(names - set(_GUARDS))

    async def before(self, call: Call) -> dict[str, Any] | None:
        call_type = _CALL_TYPES.get(call.surface, call.surface)
        key = Key(call)
        data = _data(call)
        with _Refusals():
            if "async_pre_call_hook" in self._does:
                found = await self._its.async_pre_call_hook(
                    user_api_key_dict=key, cache=self._cache, data=data, call_type=call_type
                )
                if isinstance(found, str):
                    raise Reply(found) if call.surface == "chat" else Refuse(found)
                if isinstance(found, Exception):
                    raise found
                data = data if found is None else found
            if "async_moderation_hook" in self._does:
                await self._its.async_moderation_hook(data=data, user_api_key_dict=key, call_type=call_type)
        call.body = _body(data, call)
        return None

    async def after(self, call: Call, answer: dict[str, Any]) -> dict[str, Any] | None:
        response = _response(call.surface, answer)
        with _Refusals():
            found = await self._its.async_post_call_success_hook(
                data=_data(call), user_api_key_dict=Key(call), response=response
            )
        return _plain(response if found is None else found)

    def wrap(self, call: Call, events: AsyncIterator[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
        return self._wrapped(call, events)

    async def _wrapped(self, call: Call, events: AsyncIterator[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
        kind = STREAM_CHUNK()

        async def chunks() -> AsyncIterator[Any]:
            async for event in events:
                yield kind(**_with_a_choice(event))

        with _Refusals():
            async for chunk in self._its.async_post_call_streaming_iterator_hook(
                user_api_key_dict=Key(call), response=chunks(), request_data=_data(call)
            ):
                for event in _events(chunk):
                    yield event

    async def failed(self, call: Call, error: QuothError) -> QuothError | None:
        found = None
        try:
            found = await self._its.async_post_call_failure_hook(
                request_data=_data(call),
                original_exception=error,
                user_api_key_dict=Key(call),
                **({"traceback_str": None} if _takes_a_traceback(self._its) else {}),
            )
        except Exception as raised:
            found = _refusal(raised)
            if found is None:
                raise
        return found if found is None or isinstance(found, QuothError) else _refusal(found)

    async def over(self, exchange: Exchange) -> None:
        if exchange.caller is None or not exchange.model or exchange.surface not in _CALL_TYPES:
            return
        good = not exchange.error and exchange.status < 400
        name = "async_log_success_event" if good else "async_log_failure_event"
        if name in self._does:
            kwargs, response, begun, ended = event_of(exchange)
            await getattr(self._its, name)(kwargs, response, begun, ended)


# --- What goes in and comes out -----------------------------------------------------------------------------------


def _data(call: Call) -> dict[str, Any]:
    """The body as LiteLLM hands it around, with what its proxy puts beside."""
    metadata = call.body.get("metadata")
    about = {
        "user_api_key_alias": call.caller.id,
        "user_api_key_hash": sha256(call.caller.id.encode()).hexdigest(),
        "user_api_key_request_route": call.route,
        "requester_ip_address": call.client,
        "user_agent": call.headers.get("user-agent"),
        "headers": dict(call.headers),
    }
    return {
        **call.body,
        "metadata": {**metadata, **about} if isinstance(metadata, dict) else about,
        "litellm_call_id": call.id,
        "proxy_server_request": {
            "url": call.route,
            "method": call.method,
            "headers": dict(call.headers),
            "body": call.body,
        },
    }


_ABOUT = frozenset(
    "user_api_key_alias user_api_key_hash user_api_key_request_route requester_ip_address user_agent headers".split()
)


def _body(data: dict[str, Any], call: Call) -> dict[str, Any]:
    """What of it travels."""
    body = {name: value for name, value in data.items() if name not in _ADDED}
    metadata = body.get("metadata")
    if isinstance(metadata, dict):
        own = call.body.get("metadata")
        own = own if isinstance(own, dict) else None
        kept = {
            name: own[name] if own and name in _ABOUT else value
            for name, value in metadata.items()
            if name not in _ABOUT or (own and name in own)
        }
        if kept or own is not None:
            body["metadata"] = kept
        else:
            del body["metadata"]
    return body


def _response(surface: str, answer: dict[str, Any]) -> Any:
    kind = MODEL_RESPONSE() if surface == "chat" else EMBEDDING() if surface == "embeddings" else Record
    return kind(**answer)


def _plain(value: Any) -> dict[str, Any]:
    """A dict of what a hook made."""
    if isinstance(value, dict):
        return value
    if isinstance(value, Record):
        kept: dict[str, Any] = msgspec.json.decode(value.model_dump_json())
        return kept
    if not hasattr(value, "model_dump_json"):
        raise TypeError(f"an answer cannot be a {type(value).__name__}")
    # litellm's own objects fill up with fields of None; those that OpenAI always has are put back.
    found: dict[str, Any] = msgspec.json.decode(value.model_dump_json(exclude_none=True, exclude_unset=True))
    for choice in found.get("choices") or ():
        choice.setdefault("finish_reason", None)
        if isinstance(message := choice.get("message"), dict):
            message.setdefault("content", None)
    return found


_NOTHING: dict[str, Any] = {"index": 0, "delta": {}, "finish_reason": None}


def _with_a_choice(event: dict[str, Any]) -> dict[str, Any]:
    """LiteLLM's events always have a choice, also the one with the usage, and hooks rely on it."""
    return event if event.get("choices") else {**event, "choices": [{**_NOTHING, "delta": {}}]}


def _without_it(event: dict[str, Any]) -> dict[str, Any]:
    choices = event.get("choices") or [{}]
    only = choices[0]
    if event.get("usage") and len(choices) == 1 and not only.get("delta") and not only.get("finish_reason"):
        return {**event, "choices": []}
    return event


def _events(chunk: Any) -> Iterator[dict[str, Any]]:
    if isinstance(chunk, str | bytes):
        # Some hooks write the lines of the stream themselves.
        text = chunk if isinstance(chunk, str) else chunk.decode()
        for line in text.splitlines():
            name, _, data = line.partition(":")
            if name == "data" and data.strip() != "[DONE]":
                yield msgspec.json.decode(data)
        return
    yield _without_it(_plain(chunk))


class _Refusals:
    """Exceptions that carry a status, such as fastapi's HTTPException, refuse; so do those of LiteLLM and openai."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Exception) and not isinstance(error, Refuse | Reply | HookFailed):
            refusal = _refusal(error)
            if refusal is not None:
                raise refusal from None


def _refusal(error: Any) -> Refuse | None:
    status = getattr(error, "status_code", None)
    if status is None and type(error).__name__ == "ProxyException":  # LiteLLM's, which calls it so
        status = getattr(error, "code", None)
    if not str(status).isdecimal():
        return None
    detail = getattr(error, "detail", None) or getattr(error, "message", None) or str(error)
    if isinstance(detail, dict):
        inner = detail.get("error", detail.get("message"))
        detail = inner if isinstance(inner, str) else msgspec.json.encode(detail, enc_hook=str).decode()
    return Refuse(str(detail), int(str(status)), param=getattr(error, "param", None))


def _takes_a_traceback(instance: Any) -> bool:
    """Older classes were written before the argument was there."""
    code = getattr(instance.async_post_call_failure_hook, "__code__", None)
    return code is None or "traceback_str" in code.co_varnames[: code.co_argcount] or bool(code.co_flags & 0x08)


def _overridden(instance: Any, name: str) -> bool:
    """Whether a class says something of its own under this name."""
    for kind in type(instance).__mro__:
        if name in vars(kind):
            return not _is_base(kind)
    return name in getattr(instance, "__dict__", {})


def _is_base(kind: type) -> bool:
    return kind.__name__ in ("CustomLogger", "CustomGuardrail") and kind.__module__.startswith("litellm.")


def _base(instance: Any) -> type:
    return next((kind for kind in type(instance).__mro__ if _is_base(kind)), type(instance))


# --- The event that is logged -------------------------------------------------------------------------------------


def event_of(exchange: Exchange) -> tuple[dict[str, Any], Any, datetime, datetime]:
    """`kwargs, response_obj, start_time, end_time` of async_log_success_event and async_log_failure_event."""
    ended = datetime.now(UTC)
    begun = ended - timedelta(seconds=max(0.0, exchange.ended - exchange.started))
    first = begun + timedelta(seconds=exchange.first_at - exchange.started) if exchange.first_at else ended
    request = exchange.request or {}
    answer = exchange.answer
    usd = None if exchange.cost is None else exchange.cost.usd
    payload = _payload(exchange, begun, first, ended)
    kwargs: dict[str, Any] = {
        "model": payload["model"],
        "messages": payload["messages"],
        "optional_params": payload["model_parameters"],
        "litellm_params": {
            "metadata": payload["metadata"],
            "api_base": payload["api_base"],
            "proxy_server_request": {"url": exchange.route, "method": exchange.method, "body": request},
        },
        "litellm_call_id": exchange.id,
        "call_type": payload["call_type"],
        "stream": exchange.stream,
        "user": request.get("user"),
        "start_time": begun,
        "end_time": ended,
        "completion_start_time": first,
        "cache_hit": exchange.cache_hit,
        "response_cost": None if usd is None else float(usd),
        "custom_llm_provider": payload["custom_llm_provider"],
        "standard_logging_object": payload,
    }
    response = None if not isinstance(answer, dict) else _response(exchange.surface, answer)
    if isinstance(response, Completion):
        provider, base = payload["custom_llm_provider"] or "", payload["api_base"]
        response._trace = Trace(provider=provider, model=payload["model"], api_base=base, cost=exchange.cost)
    if exchange.stream and not exchange.error:
        kwargs["complete_streaming_response"] = kwargs["async_complete_streaming_response"] = response
    if exchange.error:
        kwargs["exception"] = QuothError(
            exchange.message or exchange.error, type=exchange.error, status_code=exchange.status
        )
    return kwargs, response, begun, ended


def _payload(exchange: Exchange, begun: datetime, first: datetime, ended: datetime) -> dict[str, Any]:
    """StandardLoggingPayload. Costs that are not known are 0 there, since its type says float; `hidden_params` has
    None."""
    candidate, tokens, request = exchange.candidate, exchange.tokens, exchange.request or {}
    prompt = tokens.prompt or 0 if tokens else 0
    completion = tokens.completion or 0 if tokens else 0
    usd = None if exchange.cost is None or exchange.cost.usd is None else float(exchange.cost.usd)
    target = None if candidate is None else candidate.target
    caller = "" if exchange.caller is None else exchange.caller.id
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    agent = exchange.headers.get(b"user-agent", b"").decode("latin-1") or None
    hidden = {
        "model_id": None if candidate is None else candidate.deployment.id,
        "cache_key": None,
        "api_base": "" if target is None else target.base_url,
        "response_cost": usd,
        "litellm_overhead_time_ms": exchange.overhead * 1000,
        "additional_headers": None,
        "batch_models": None,
        "litellm_model_name": None if candidate is None else candidate.model,
        "usage_object": usage,
    }
    metadata: dict[str, Any] = {
        "user_api_key_hash": sha256(caller.encode()).hexdigest(),
        "user_api_key_alias": caller,
        "user_api_key_team_id": None,
        "user_api_key_team_alias": None,
        "user_api_key_user_id": None,
        "user_api_key_user_email": None,
        "user_api_key_org_id": None,
        "user_api_key_end_user_id": request.get("user"),
        "user_api_key_request_route": exchange.route,
        "requester_ip_address": exchange.client,
        "user_agent": agent,
        "requester_metadata": request.get("metadata"),
        "usage_object": usage,
        "applied_guardrails": [],
    }
    status = "failure" if exchange.error else "success"
    return {
        "id": (exchange.answer or {}).get("id", exchange.id) if isinstance(exchange.answer, dict) else exchange.id,
        "trace_id": exchange.id,
        "litellm_call_id": exchange.id,
        "call_type": _CALL_TYPES.get(exchange.surface, exchange.surface),
        "stream": exchange.stream,
        "response_cost": usd or 0.0,
        "response_cost_failure_debug_info": None,
        "cost_breakdown": None,
        "status": status,
        "status_fields": {"llm_api_status": status, "guardrail_status": "not_run"},
        "custom_llm_provider": None if target is None else target.provider,
        "total_tokens": prompt + completion,
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "startTime": begun.timestamp(),
        "endTime": ended.timestamp(),
        "completionStartTime": first.timestamp(),
        "response_time": (ended - begun).total_seconds(),
        "model_map_information": {"model_map_key": "" if target is None else target.model, "model_map_value": None},
        "model": exchange.model if target is None else target.model,
        "model_id": hidden["model_id"],
        "model_group": exchange.model,
        "api_base": hidden["api_base"],
        "metadata": metadata,
        "cache_hit": exchange.cache_hit,
        "cache_key": None,
        "saved_cache_cost": 0.0,
        "request_tags": list(exchange.tags),
        "end_user": request.get("user"),
        "requester_ip_address": exchange.client,
        "user_agent": agent,
        "messages": request.get("messages", request.get("input", request.get("prompt"))),
        "response": exchange.answer,
        "error_str": (exchange.message or exchange.error) if exchange.error else None,
        "error_information": {
            "error_code": str(exchange.status) if exchange.error else "",
            "error_class": exchange.error,
            "llm_provider": "" if target is None else target.provider,
            "traceback": "",
            "error_message": exchange.message,
        },
        "model_parameters": {name: value for name, value in request.items() if name not in _NO_PARAMETERS},
        "hidden_params": hidden,
        "guardrail_information": None,
        "standard_built_in_tools_params": None,
    }
