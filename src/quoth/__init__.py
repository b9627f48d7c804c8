"""All of Poe, and any OpenAI-compatible provider, from one Python function and one gateway.

    from quoth import completion

    response = completion(model="poe/Claude-Sonnet-4.6", messages=[{"role": "user", "content": "Hello"}])

Names are loaded when first used: importing this package reads no file beyond itself, opens nothing and prints nothing.
Not affiliated with Quora or Poe.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

from quoth._version import __version__

if TYPE_CHECKING:
    from quoth import call as call
    from quoth import errors as errors
    from quoth import exceptions as exceptions
    from quoth import types as types
    from quoth.call import Timeouts
    from quoth.errors import (
        APIConnectionError,
        APIError,
        APIResponseValidationError,
        APIStatusError,
        APITimeoutError,
        AuthenticationError,
        BadGatewayError,
        BadRequestError,
        BudgetExceededError,
        ConflictError,
        ContentPolicyViolationError,
        ContextWindowExceededError,
        InternalServerError,
        NotFoundError,
        PaymentRequiredError,
        PermissionDeniedError,
        QuothError,
        RateLimitError,
        ServiceUnavailableError,
        StreamInterrupted,
        Timeout,
        UnprocessableEntityError,
        UnsupportedParamsError,
    )
    from quoth.media import Media
    from quoth.results import Image, ImagesResponse, Transcription, Video
    from quoth.sdk.account import (
        Balance,
        Reconciled,
        UsageRow,
        abalance,
        areconcile,
        ausage_history,
        balance,
        reconcile,
        usage_history,
    )
    from quoth.sdk.attachments import aattach, attach
    from quoth.sdk.batch import abatch_completion, batch_completion
    from quoth.sdk.budget import Budget, budget
    from quoth.sdk.catalogue import (
        ModelInfo,
        aget_valid_models,
        amodels,
        get_max_tokens,
        get_model_info,
        get_valid_models,
        models,
        register_model,
        supports_audio_input,
        supports_audio_output,
        supports_function_calling,
        supports_parallel_function_calling,
        supports_pdf_input,
        supports_prompt_caching,
        supports_reasoning,
        supports_response_schema,
        supports_system_messages,
        supports_tool_choice,
        supports_vision,
        supports_web_search,
    )
    from quoth.sdk.client import AsyncClient, Client
    from quoth.sdk.content import Content, Speech
    from quoth.sdk.creating import (
        aimage_edit,
        aimage_generation,
        aspeech,
        atranscription,
        avideo_content,
        avideo_generation,
        avideo_remix,
        avideo_status,
        image_edit,
        image_generation,
        speech,
        transcription,
        video_content,
        video_generation,
        video_remix,
        video_status,
    )
    from quoth.sdk.dialects import AnthropicMessage, Response
    from quoth.sdk.info import (
        get_llm_provider,
        get_supported_openai_params,
        stream_chunk_builder,
        validate_environment,
    )
    from quoth.sdk.media import adownload, download
    from quoth.sdk.prices import completion_cost, cost_per_token
    from quoth.sdk.router import Router
    from quoth.sdk.signatures import acompletion, completion
    from quoth.sdk.streams import AsyncStream, Stream
    from quoth.sdk.surfaces import (
        AsyncEventStream,
        EventStream,
        anthropic_messages,
        aresponses,
        messages,
        responses,
    )
    from quoth.sdk.tokens import token_counter
    from quoth.types import (
        Attempt,
        Choice,
        Chunk,
        ChunkChoice,
        Completion,
        Cost,
        Delta,
        Function,
        Message,
        ToolCall,
        Usage,
        Warning,
    )

    # LiteLLM's names for the same things.
    ModelResponse = Completion
    ModelResponseStream = Chunk
    Choices = Choice
    StreamingChoices = ChunkChoice
    ChatCompletionMessageToolCall = ToolCall

_HOMES = {
    "quoth.call": "Timeouts",
    "quoth.errors": (
        "APIConnectionError APIError APIResponseValidationError APIStatusError APITimeoutError AuthenticationError "
        "BadGatewayError BadRequestError BudgetExceededError ConflictError ContentPolicyViolationError "
        "ContextWindowExceededError InternalServerError NotFoundError PaymentRequiredError PermissionDeniedError "
        "QuothError RateLimitError ServiceUnavailableError StreamInterrupted Timeout UnprocessableEntityError "
        "UnsupportedParamsError"
    ),
    "quoth.sdk.account": (
        "Balance Reconciled UsageRow abalance areconcile ausage_history balance reconcile usage_history"
    ),
    "quoth.media": "Media",
    "quoth.sdk.attachments": "aattach attach",
    "quoth.sdk.batch": "abatch_completion batch_completion",
    "quoth.sdk.budget": "Budget budget",
    "quoth.sdk.catalogue": (
        "ModelInfo aget_valid_models amodels get_max_tokens get_model_info get_valid_models models register_model "
        "supports_audio_input "
        "supports_audio_output supports_function_calling supports_parallel_function_calling supports_pdf_input "
        "supports_prompt_caching supports_reasoning supports_response_schema supports_system_messages "
        "supports_tool_choice supports_vision supports_web_search"
    ),
    "quoth.sdk.client": "AsyncClient Client",
    "quoth.sdk.creating": (
        "aimage_edit aimage_generation aspeech atranscription avideo_content avideo_generation avideo_remix "
        "avideo_status image_edit image_generation speech transcription video_content video_generation video_remix "
        "video_status"
    ),
    "quoth.sdk.content": "Content Speech",
    "quoth.results": "Image ImagesResponse Transcription Video",
    "quoth.sdk.info": "get_llm_provider get_supported_openai_params stream_chunk_builder validate_environment",
    "quoth.sdk.prices": "completion_cost cost_per_token",
    "quoth.sdk.media": "adownload download",
    "quoth.sdk.router": "Router",
    "quoth.sdk.signatures": "acompletion completion",
    "quoth.sdk.streams": "AsyncStream Stream",
    "quoth.sdk.dialects": "AnthropicMessage Response",
    "quoth.sdk.surfaces": "AsyncEventStream EventStream anthropic_messages aresponses messages responses",
    "quoth.sdk.tokens": "token_counter",
    "quoth.types": "Attempt Choice Chunk ChunkChoice Completion Cost Delta Function Message ToolCall Usage Warning",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}
_ALIASES = {
    "ModelResponse": "Completion",
    "ModelResponseStream": "Chunk",
    "Choices": "Choice",
    "StreamingChoices": "ChunkChoice",
    "ChatCompletionMessageToolCall": "ToolCall",
}
_MODULES = ("call", "errors", "exceptions", "types")

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AnthropicMessage",
    "AsyncClient",
    "AsyncEventStream",
    "AsyncStream",
    "Attempt",
    "AuthenticationError",
    "BadGatewayError",
    "BadRequestError",
    "Balance",
    "Budget",
    "BudgetExceededError",
    "ChatCompletionMessageToolCall",
    "Choice",
    "Choices",
    "Chunk",
    "ChunkChoice",
    "Client",
    "Completion",
    "ConflictError",
    "Content",
    "ContentPolicyViolationError",
    "ContextWindowExceededError",
    "Cost",
    "Delta",
    "EventStream",
    "Function",
    "Image",
    "ImagesResponse",
    "InternalServerError",
    "Media",
    "Message",
    "ModelInfo",
    "ModelResponse",
    "ModelResponseStream",
    "NotFoundError",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "QuothError",
    "RateLimitError",
    "Reconciled",
    "Response",
    "Router",
    "ServiceUnavailableError",
    "Speech",
    "Stream",
    "StreamInterrupted",
    "StreamingChoices",
    "Timeout",
    "Timeouts",
    "ToolCall",
    "Transcription",
    "UnprocessableEntityError",
    "UnsupportedParamsError",
    "Usage",
    "UsageRow",
    "Video",
    "Warning",
    "__version__",
    "aattach",
    "abalance",
    "abatch_completion",
    "acompletion",
    "adownload",
    "aget_valid_models",
    "aimage_edit",
    "aimage_generation",
    "amodels",
    "anthropic_messages",
    "areconcile",
    "aresponses",
    "aspeech",
    "atranscription",
    "attach",
    "ausage_history",
    "avideo_content",
    "avideo_generation",
    "avideo_remix",
    "avideo_status",
    "balance",
    "batch_completion",
    "budget",
    "completion",
    "completion_cost",
    "cost_per_token",
    "download",
    "get_llm_provider",
    "get_max_tokens",
    "get_model_info",
    "get_supported_openai_params",
    "get_valid_models",
    "image_edit",
    "image_generation",
    "messages",
    "models",
    "reconcile",
    "register_model",
    "responses",
    "speech",
    "stream_chunk_builder",
    "supports_audio_input",
    "supports_audio_output",
    "supports_function_calling",
    "supports_parallel_function_calling",
    "supports_pdf_input",
    "supports_prompt_caching",
    "supports_reasoning",
    "supports_response_schema",
    "supports_system_messages",
    "supports_tool_choice",
    "supports_vision",
    "supports_web_search",
    "token_counter",
    "transcription",
    "usage_history",
    "validate_environment",
    "video_content",
    "video_generation",
    "video_remix",
    "video_status",
]


if not TYPE_CHECKING:  # a checker that sees it takes every misspelt name for an object

    def __getattr__(name: str) -> object:
        from importlib import import_module

        if name in _MODULES:
            return import_module(f"quoth.{name}")
        home = _HOME_OF.get(_ALIASES.get(name, name))
        if home is None:
            more = import_module("quoth.sdk.elsewhere").instead_of(name)
            raise AttributeError(f"module 'quoth' has no attribute {name!r}{more}")
        value = getattr(import_module(home), _ALIASES.get(name, name))
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})


class _Package(ModuleType):
    """A module that does not take LiteLLM's settings, which would have no effect here, in silence."""

    def __setattr__(self, name: str, value: object) -> None:
        # A submodule that has been imported is assigned by the import system.
        if name not in self.__dict__ and not isinstance(value, ModuleType):
            from quoth.sdk.elsewhere import SETTINGS, instead_of

            if name in SETTINGS:
                more = instead_of(name)
                raise AttributeError(f"quoth.{name} is a setting of LiteLLM's that has no effect here{more}")
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
