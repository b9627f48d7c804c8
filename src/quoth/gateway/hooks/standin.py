"""What a file written for LiteLLM's proxy imports, where litellm is not installed: while it is being loaded.

`from litellm.integrations.custom_logger import CustomLogger` and the names that LiteLLM's own examples import beside
it find stand-ins: base classes with the same methods, answers of `quoth.types`, exceptions of `quoth.errors`. They are
gone again when the file has been loaded, so that no program takes them for litellm. With litellm installed none of this
happens. `fastapi.HTTPException` is stood in for in the same way.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from quoth import exceptions
from quoth.types import Chunk, Completion, Message, Record

__all__ = ["EMBEDDING", "MODEL_RESPONSE", "STREAM_CHUNK", "Lacking", "stand_ins"]


class CustomLogger:
    """LiteLLM's base class, as far as its methods are called here."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        pass

    async def async_pre_call_hook(
        self, user_api_key_dict: Any, cache: Any, data: dict[str, Any], call_type: str
    ) -> Any:
        pass

    async def async_moderation_hook(self, data: dict[str, Any], user_api_key_dict: Any, call_type: str) -> Any:
        pass

    async def async_post_call_success_hook(self, data: dict[str, Any], user_api_key_dict: Any, response: Any) -> Any:
        pass

    async def async_post_call_failure_hook(
        self,
        request_data: dict[str, Any],
        original_exception: Exception,
        user_api_key_dict: Any,
        traceback_str: str | None = None,
    ) -> Any:
        pass

    async def async_post_call_streaming_iterator_hook(
        self, user_api_key_dict: Any, response: Any, request_data: dict[str, Any]
    ) -> Any:
        async for item in response:
            yield item

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        pass

    async def async_log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        pass

    # Not called here; named so that a class which overrides them can be told so.

    async def async_post_call_streaming_hook(self, user_api_key_dict: Any, response: str) -> Any:
        pass

    async def async_post_call_response_headers_hook(self, **options: Any) -> Any:
        pass

    async def async_pre_request_hook(self, model: str, messages: list[Any], kwargs: dict[str, Any]) -> Any:
        pass

    async def async_filter_deployments(self, *arguments: Any, **options: Any) -> Any:
        pass

    async def async_logging_hook(self, kwargs: Any, result: Any, call_type: str) -> Any:
        pass

    async def async_log_stream_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        pass

    async def async_log_pre_api_call(self, model: str, messages: Any, kwargs: Any) -> None:
        pass

    def log_pre_api_call(self, model: str, messages: Any, kwargs: Any) -> None:
        pass

    def log_post_api_call(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        pass

    def log_stream_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        pass

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        pass

    def log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        pass


class HTTPException(Exception):
    """Refuses a call with a status and a text."""

    def __init__(self, status_code: int, detail: Any = None, headers: dict[str, str] | None = None):
        super().__init__(status_code, detail)
        self.status_code, self.detail, self.headers = status_code, detail, headers


class ModelResponse(Completion):
    """An answer."""


class ModelResponseStream(Chunk):
    """A piece of an answer."""


class EmbeddingResponse(Record):
    """Embeddings."""


class Lacking(AttributeError):
    """A stand-in has no such name. Its text is ours, and holds nothing of a call."""


def completion_cost(completion_response: Any = None, **options: Any) -> float:
    """USD, of an answer that was logged; 0.0 where nobody knows, as `response_cost` of the logging object has it."""
    hidden = getattr(completion_response, "_hidden_params", None) or {}
    return float(hidden.get("response_cost") or 0.0)


def _logger(name: str) -> logging.Logger:
    return logging.getLogger(f"quoth.hooks.{name}")


CustomLogger.__module__ = "litellm.integrations.custom_logger"


def _modules() -> dict[str, dict[str, Any]]:
    answers = {
        "ModelResponse": ModelResponse,
        "ModelResponseStream": ModelResponseStream,
        "EmbeddingResponse": EmbeddingResponse,
        "TextCompletionResponse": Record,
        "ImageResponse": Record,
        "Message": Message,
        "Choices": Record,
        "StandardLoggingPayload": dict,
        "CallTypes": str,
        "CallTypesLiteral": str,
        "LLMResponseTypes": Any,
    }
    errors = {name: getattr(exceptions, name) for name in exceptions.__all__}
    keys = {"UserAPIKeyAuth": type("UserAPIKeyAuth", (), {}), "LitellmUserRoles": str}
    caches = {"DualCache": type("DualCache", (), {})}
    logger = {"CustomLogger": CustomLogger}
    loggers = {name: _logger(name) for name in ("verbose_logger", "verbose_proxy_logger", "verbose_router_logger")}
    return {
        "litellm": {**answers, **errors, **loggers, "completion_cost": completion_cost},
        "litellm._logging": loggers,
        "litellm.caching": caches,
        "litellm.caching.caching": caches,
        "litellm.caching.dual_cache": caches,
        "litellm.exceptions": errors,
        "litellm.integrations": {},
        "litellm.integrations.custom_logger": logger,
        "litellm.proxy": {},
        "litellm.proxy._types": keys,
        "litellm.proxy.proxy_server": {**keys, **caches},
        "litellm.types": {},
        "litellm.types.utils": answers,
    }


def MODEL_RESPONSE() -> type[Any]:  # noqa: N802
    return _installed("ModelResponse", ModelResponse)


def STREAM_CHUNK() -> type[Any]:  # noqa: N802
    return _installed("ModelResponseStream", ModelResponseStream)


def EMBEDDING() -> type[Any]:  # noqa: N802
    return _installed("EmbeddingResponse", EmbeddingResponse)


def _installed(name: str, otherwise: type[Any]) -> type[Any]:
    """litellm's own class where a hook has loaded litellm."""
    module = sys.modules.get("litellm.types.utils")
    found: type[Any] = getattr(module, name, otherwise)
    return found


@contextmanager
def stand_ins() -> Iterator[None]:
    """While this lasts, litellm and fastapi can be imported, installed or not."""
    added: dict[str, ModuleType] = {}
    wanted: dict[str, dict[str, Any]] = {}
    if not _there("litellm"):
        wanted |= _modules()
    if not _there("fastapi"):
        wanted |= {"fastapi": {"HTTPException": HTTPException}, "fastapi.exceptions": {"HTTPException": HTTPException}}
    for name, values in wanted.items():
        module = added[name] = ModuleType(name, f"Quoth's stand-in for {name}, while a hook is being loaded.")
        module.__path__ = []
        module.__dict__.update(values)
        module.__dict__["__getattr__"] = _lacking(name)
        parent, _, leaf = name.rpartition(".")
        if parent:
            setattr(added[parent], leaf, module)
    sys.modules.update(added)
    try:
        yield
    finally:
        for name, module in added.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


def _there(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return name in sys.modules


def _lacking(module: str) -> Callable[[str], Any]:
    def attribute(name: str) -> Any:
        raise Lacking(f"Quoth's stand-in for {module} has no {name}; pip install {module.partition('.')[0]}")

    return attribute
