"""Questions about a name, answered without calling anybody; LiteLLM's names for them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from quoth.errors import BadRequestError
from quoth.providers.params import OPENAI_PARAMS
from quoth.providers.resolve import named
from quoth.sdk import defaults
from quoth.transport.environment import environment
from quoth.types import Chunk, Completion, Record
from quoth.wire.assemble import assemble

__all__ = ["get_llm_provider", "get_supported_openai_params", "stream_chunk_builder", "validate_environment"]


def get_llm_provider(
    model: str, custom_llm_provider: str | None = None, api_base: str | None = None, api_key: str | None = None
) -> tuple[str, str, str | None, str | None]:
    """`(model, provider, key, base URL)` that a name means: the provider's own name of the model, and the key and URL
    given or found in the environment, None where there are none. Raises BadRequestError for a name of nobody's."""
    registry = defaults.client()._core.registry
    row, name = named(model, registry, provider=custom_llm_provider, base_url=api_base)
    variables = environment()
    found = next((value for key in row.key_env if (value := variables.get(key, "").strip())), None)
    moved = next((value for key in registry.base_variables(row) if (value := variables.get(key, "").strip())), None)
    return name, row.name, api_key or found, api_base or moved or row.base_url or None


def get_supported_openai_params(
    model: str, custom_llm_provider: str | None = None, request_type: str = "chat_completion"
) -> list[str]:
    """The parameters of OpenAI's chat API that a call of this model may carry: all but those that the provider is known
    to refuse.

    Sorted. That a parameter is sent does not say that the model heeds it; docs/parameters.md has what is known.
    """
    if request_type != "chat_completion":
        raise BadRequestError(f"request_type {request_type!r} is not known here", param="request_type")
    row, _ = named(model, defaults.client()._core.registry, provider=custom_llm_provider)
    refused = {name for name, rule in row.params.items() if rule.rule == "refused"}
    return sorted(OPENAI_PARAMS - refused - {"model", "messages"})


def validate_environment(
    model: str | None = None, api_key: str | None = None, api_base: str | None = None
) -> dict[str, Any]:
    """`{"keys_in_environment": bool, "missing_keys": [names]}` for the provider of a model. A blank variable is
    missing."""
    if model is None:
        return {"keys_in_environment": False, "missing_keys": []}
    row, _ = named(model, defaults.client()._core.registry, base_url=api_base)
    if api_key or not row.key_required or any(environment().get(name, "").strip() for name in row.key_env):
        return {"keys_in_environment": True, "missing_keys": []}
    return {"keys_in_environment": False, "missing_keys": list(row.key_env[:1])}


def stream_chunk_builder(chunks: Iterable[Any], messages: Any = None) -> Completion | None:
    """The Completion that a list of chunks streams; None for an empty list. Chunks may be Chunk, dicts, or openai's
    objects.

    `messages` is taken for LiteLLM's sake; usage is what the provider gave, never counted here. Raises BadRequestError.
    """
    if chunks is None:
        raise BadRequestError("chunks is None; it has to be a list of chunks", param="chunks")
    found = []
    for number, chunk in enumerate(chunks):
        if isinstance(chunk, Chunk):
            found.append(chunk)
            continue
        dump = getattr(chunk, "model_dump", None)
        data = dump(exclude_unset=True) if callable(dump) and not isinstance(chunk, Record) else chunk
        if not isinstance(data, dict):
            raise BadRequestError(f"chunks[{number}] is not a chunk", param=f"chunks[{number}]")
        found.append(Chunk.model_validate(data))
    return assemble(found) if found else None
