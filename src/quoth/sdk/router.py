"""A router over deployments, as LiteLLM has it: `quoth.Router(model_list=[...])`."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from quoth.call import Row
from quoth.engine.routing import Deployment, Options, Routes, deployment_from, options_from
from quoth.engine.routing.choosing import choose, eligible
from quoth.errors import BadRequestError
from quoth.sdk.client import AsyncClient, Client, _AsyncChat, _Chat
from quoth.sdk.core import USER_AGENT, Core, Settings
from quoth.sdk.log import noted
from quoth.sdk.routing import Asked, group_of
from quoth.sdk.shelf import SHELF
from quoth.transport.drive import adrive, drive
from quoth.transport.environment import environment
from quoth.transport.mock import MockingAsync, MockingBlocking
from quoth.types import Completion, Warning

if TYPE_CHECKING:
    from quoth.sdk.signatures import AsyncCompletionCall, CompletionCall
    from quoth.sdk.streams import AsyncStream, Stream

__all__ = ["Router"]

# Arguments of LiteLLM's Router that say nothing here. They are taken, so that programs written for it run, and each
# answer has a warning that they do nothing.
INERT = frozenset(
    (
        "alerting_config assistants_config cache_kwargs cache_responses caching_groups client_ttl debug_level "
        "default_priority deployment_affinity_ttl_seconds enable_pre_call_checks guardrail_list "
        "ignore_invalid_deployments optional_pre_call_checks polling_interval redis_db redis_host redis_password "
        "redis_port redis_url router_general_settings routing_groups search_tools set_verbose"
    ).split()
)
# Those that would promise to guard something.
_UNENFORCED = ("provider_budget_config",)
_UNENFORCED_OF_DEPLOYMENTS = ("budget_duration", "itpm", "max_budget", "otpm", "rpd", "tpd")
# What `update_settings` and `get_settings` are about.
_SETTINGS = (
    "allowed_fails allowed_fails_policy content_policy_fallbacks context_window_fallbacks cooldown_time "
    "default_fallbacks disable_cooldowns enable_tag_filtering fallbacks key_rpm max_fallbacks max_wait "
    "model_group_alias model_group_retry_policy num_retries retry_after retry_policy routing_strategy "
    "routing_strategy_args stream_timeout tag_filtering_match_any timeout"
).split()


_lock = threading.Lock()


def _new_lock() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    # Another thread may have held the lock at the moment of the fork; its copy would stay locked for ever.
    os.register_at_fork(after_in_child=_new_lock)


class _Guard:
    """Keeps threads apart for the few lines in which a router decides; one for all routers."""

    def __enter__(self) -> None:
        _lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _lock.release()


GUARD = _Guard()


class Router:
    """Deployments in groups: each call goes to one of its group, to another when that fails, to a fallback when all do.

    Its methods may be called from any number of threads and event loops; they share the router's knowledge of which
    deployments are well and how often each key has been used.
    """

    def __init__(
        self,
        model_list: Sequence[Mapping[str, Any]] | None = None,
        *,
        routing_strategy: str | None = None,
        routing_strategy_args: Mapping[str, Any] | None = None,
        num_retries: int | None = None,
        timeout: Any = None,
        stream_timeout: Any = None,
        fallbacks: Sequence[Any] | None = None,
        context_window_fallbacks: Sequence[Any] | None = None,
        content_policy_fallbacks: Sequence[Any] | None = None,
        default_fallbacks: Sequence[Any] | None = None,
        max_fallbacks: int | None = None,
        model_group_alias: Mapping[str, Any] | None = None,
        cooldown_time: float | None = None,
        allowed_fails: int | None = None,
        allowed_fails_policy: Any = None,
        disable_cooldowns: bool | None = None,
        retry_after: float | None = None,
        retry_policy: Any = None,
        model_group_retry_policy: Mapping[str, Any] | None = None,
        enable_tag_filtering: bool | None = None,
        tag_filtering_match_any: bool | None = None,
        max_wait: float | None = None,
        key_rpm: float | None = None,
        default_litellm_params: Mapping[str, Any] | None = None,
        default_max_parallel_requests: int | None = None,
        drop_params: bool = False,
        strict: bool = False,
        providers: Iterable[Row | Mapping[str, Any]] = (),
        client: Client | None = None,
        async_client: AsyncClient | None = None,
        **others: Any,
    ):
        """`model_list`: objects with `model_name`, `litellm_params` and `model_info`. `max_wait`: seconds a call waits
        at most for the pace of a key, 10 if left out. `key_rpm`: calls a minute for each key, in place of what its
        provider is known to allow. `default_litellm_params`: for every deployment that does not say
        otherwise. `drop_params`, `strict`, `providers`: as for a Client. `client`, `async_client`: whose connections
        are used; those of clients of its own if left out. All others are LiteLLM's, and docs/router.md has them.

        Opens nothing. Reads the environment for the keys of its deployments. Raises QuothError for settings that are
        wrong, a deployment without a key among them; its `param` is the path.
        """
        said = {name: value for name, value in locals().items() if name in _SETTINGS and value is not None}
        for name, value in others.items():
            if name in _UNENFORCED and value:
                raise BadRequestError(f"{name} is not enforced here, so it is not taken", param=name)
            if name not in INERT and name not in _UNENFORCED:
                raise TypeError(f"Router() has no argument {name!r}")
        self._inert = [
            Warning("no_effect", name, f"{name} is an argument of LiteLLM's Router that has no effect here")
            for name, value in others.items()
            if value is not None and name in INERT
        ]
        self._settings = said
        self._defaults = dict(default_litellm_params or {})
        if default_max_parallel_requests is not None:
            self._defaults.setdefault("max_parallel_requests", default_max_parallel_requests)
        self._core = Core(Settings(drop_params=drop_params, strict=strict), providers)
        self._clients = (client or Client(), async_client or AsyncClient())
        self._own = (client is None, async_client is None)
        self._changing = threading.Lock()
        self._entries: dict[str, dict[str, Any]] = {}
        self._routes = self._made(list(model_list or ()), self._settings, None)

    # Calls

    @property
    def completion(self) -> CompletionCall:
        """`router.completion(model, messages, ...)`: as `quoth.completion`, `model` being a group's name."""
        return self._complete  # type: ignore[return-value]

    @property
    def acompletion(self) -> AsyncCompletionCall:
        """`await router.acompletion(model, messages, ...)`: the same for asyncio."""
        return self._acomplete  # type: ignore[return-value]

    def _complete(self, model: Any, messages: Any = (), **keywords: Any) -> Completion | Stream:
        asked = Asked(self._core, self._routes, model, messages, keywords, self._inert)
        answer = drive(noted(asked.flow()), MockingBlocking(self._clients[0]._transport()))
        if answer.completion is not None:
            answer.completion.warnings[:0] = asked.warnings
            return answer.completion
        from quoth.sdk.streams import Stream

        return Stream(answer, asked.warnings)

    async def _acomplete(self, model: Any, messages: Any = (), **keywords: Any) -> Completion | AsyncStream:
        asked = Asked(self._core, self._routes, model, messages, keywords, self._inert)
        answer = await adrive(noted(asked.flow()), MockingAsync(self._clients[1]._transport()))
        if answer.completion is not None:
            answer.completion.warnings[:0] = asked.warnings
            return answer.completion
        from quoth.sdk.streams import AsyncStream

        return AsyncStream(answer, asked.warnings)

    @cached_property
    def chat(self) -> _Chat:
        """openai's shape: `router.chat.completions.create(model=..., messages=...)`."""
        return _Chat(self.completion)

    @cached_property
    def achat(self) -> _AsyncChat:
        """openai's shape for asyncio: `await router.achat.completions.create(model=..., messages=...)`."""
        return _AsyncChat(self.acompletion)

    # Deployments

    def set_model_list(self, model_list: Sequence[Mapping[str, Any]]) -> None:
        """Other deployments from the next call on. What is known of those that stay is kept; calls under way go on. A
        list that is wrong changes nothing, and raises QuothError."""
        with self._changing:
            self._routes = self._made(list(model_list), self._settings, self._routes)

    def add_deployment(self, deployment: Mapping[str, Any]) -> None:
        """One deployment more. Raises QuothError."""
        self.set_model_list([*self._entries.values(), deployment])

    def upsert_deployment(self, deployment: Mapping[str, Any]) -> None:
        """The same, in place of the one with the same `model_info.id`."""
        id = (deployment.get("model_info") or {}).get("id")
        self.set_model_list([*(one for key, one in self._entries.items() if key != id), deployment])

    def delete_deployment(self, id: str) -> dict[str, Any] | None:
        """Without the deployment of this id, which is returned; None where there is none."""
        found = self._entries.get(id)
        if found is not None:
            self.set_model_list([one for key, one in self._entries.items() if key != id])
        return found

    def get_model_list(self, model_name: str | None = None) -> list[dict[str, Any]]:
        """The deployments as they were given, each with its id; those of a group or alias where one is named."""
        if model_name is None:
            return list(self._entries.values())
        group = self._routes.find(model_name)
        return [] if group is None else [self._entries[one.deployment.id] for one in group.candidates]

    def get_model_names(self) -> list[str]:
        """What callers may say as `model`: groups, wildcards as they are, aliases that are not hidden."""
        return self._routes.names()

    def get_model_ids(self, model_name: str | None = None) -> list[str]:
        """The ids of all deployments, or of a group's."""
        return [one["model_info"]["id"] for one in self.get_model_list(model_name)]

    def get_available_deployment(
        self, model: str, messages: Any = None, *, request_kwargs: Mapping[str, Any] | None = None, **ignored: Any
    ) -> dict[str, Any]:
        """The deployment that a call would go to now. Raises NotFoundError."""
        routes = self._routes
        group = group_of(routes, model)
        tags = ((request_kwargs or {}).get("metadata") or {}).get("tags") or ()
        world = self._core.world
        pool = eligible(group.candidates, tuple(tags), routes.options)
        return self._entries[choose(pool, {}, routes.options, world.now(), world.random).deployment.id]

    def known_balance(self, key: str | None, points: float | None) -> None:
        """What is left on a provider's key: with nothing left, the other keys come first. None: not known."""
        self._routes.known_balance(key, points)

    # Settings

    def get_settings(self) -> dict[str, Any]:
        """The routing settings that were given."""
        return dict(self._settings)

    def update_settings(self, **settings: Any) -> None:
        """Other routing settings from the next call on, under the names that `Router(...)` has. Raises QuothError."""
        for name in settings:
            if name not in _SETTINGS:
                raise BadRequestError(f"{name} is none of {', '.join(_SETTINGS)}", param=name)
        with self._changing:
            changed = {name: value for name, value in {**self._settings, **settings}.items() if value is not None}
            self._routes = self._made(list(self._entries.values()), changed, self._routes)
            self._settings = changed

    def _made(
        self, model_list: list[Mapping[str, Any]], settings: Mapping[str, Any], previous: Routes | None
    ) -> Routes:
        deployments: list[Deployment] = []
        entries: dict[str, dict[str, Any]] = {}
        for number, entry in enumerate(model_list):
            made = self._deployment(entry, f"model_list[{number}]")
            deployments.append(made)
            entries[made.id] = {**entry, "model_info": {**(entry.get("model_info") or {}), "id": made.id}}
        options: Options = options_from(settings, where="")
        routes = Routes(
            deployments,
            options,
            aliases=settings.get("model_group_alias"),
            world=self._core.world,
            previous=previous,
            lock=GUARD,
        )
        self._entries = entries
        return routes

    def _deployment(self, entry: Mapping[str, Any], where: str) -> Deployment:
        given = entry
        params = entry.get("litellm_params") if isinstance(entry, Mapping) else None
        for name in _UNENFORCED_OF_DEPLOYMENTS:
            if isinstance(params, Mapping) and params.get(name) is not None:
                path = f"{where}.litellm_params.{name}"
                raise BadRequestError(f"{path}: it is not enforced here, so it is not taken", param=path)
        if self._defaults and isinstance(entry, Mapping) and isinstance(entry.get("litellm_params"), Mapping):
            given = {**entry, "litellm_params": {**self._defaults, **entry["litellm_params"]}}
        return deployment_from(
            given,
            self._core.registry,
            environment(),
            where=where,
            headers={"user-agent": USER_AGENT, "accept-encoding": "identity"},
            catalogue=SHELF.current,
        )

    # Ends

    def close(self) -> None:
        """Close the blocking connections. The router can be used again afterwards."""
        if self._own[0]:
            self._clients[0].close()

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        if self._own[1]:
            await self._clients[1].aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()
