"""The models: Poe's model objects, and how each family of models was seen to behave."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal

from quoth.providers.catalogue import ModelFacts, ParameterFacts, shipped

__all__ = ["Traits", "find", "is_free", "model_list", "serves", "traits"]

_PRICES = ("prompt", "completion", "image", "request", "input_cache_read", "input_cache_write")


def find(model: str) -> ModelFacts | None:
    """A model by its handle in any case, as Poe looks it up."""
    return shipped().get(model)


def is_free(model: ModelFacts) -> bool:
    """True when the price is known and nothing."""
    prices = [value for value in (model.price or {}).values() if value is not None]
    return bool(prices) and all(Decimal(value) == 0 for value in prices)


# Where the list does not say what a model serves, its name does, as for Poe's own provider.
_BY_NAME = (
    ("/v1/messages", re.compile(r"claude-(opus|sonnet|haiku)-")),
    ("/v1/responses", re.compile(r"claude-(opus|sonnet|haiku)-|gpt-\d(?!.*image)|o\d|gemini-")),
)


def serves(model: ModelFacts, endpoint: str) -> bool:
    """Whether a model answers at an endpoint other than chat, by the list, else by its name."""
    if model.supported_endpoints is not None:
        return endpoint in model.supported_endpoints
    return any(name == endpoint and pattern.match(model.id) for name, pattern in _BY_NAME)


@dataclass(frozen=True, slots=True)
class Traits:
    """What the recordings show of one model's answers.

    - `reasoning`: shown always, when asked for, when asked for in a way that the catalogue declares, or never.
    - `tool_id`: the form of tool call ids. `signed`: Gemini's thought signature comes with a tool call. `prose`: text
      comes beside a tool call.
    - `usage`: counted by Poe from the visible text, the provider's own with details, or its own with empty details;
      `overhead`: prompt tokens that the provider counts beyond the text.
    - `rejects_tools`: although the catalogue says otherwise.
    - `efforts`: what the model behind it takes as effort.
    """

    reasoning: Literal["always", "asked", "declared", "never"] = "never"
    tool_id: Literal["openai", "grok", "gemini", "kimi"] = "openai"
    signed: bool = False
    prose: bool = False
    usage: Literal["visible", "details", "null-details"] = "visible"
    rejects_tools: bool = False
    overhead: int = 0
    efforts: tuple[str, ...] | None = None


# The first row that matches decides: most special first.
_FAMILIES: tuple[tuple[re.Pattern[str], Traits], ...] = tuple(
    (re.compile(pattern), found)
    for pattern, found in (
        (r"gemini-3(\.1)?-pro$", Traits("always", "gemini", signed=True)),
        (r"gemini-(3|2\.5)", Traits("asked", "gemini", signed=True)),
        (r"gemini-", Traits("never", "gemini")),
        (r"nano-banana", Traits(usage="details", overhead=1)),
        (r"grok-(3-mini|code-)", Traits("always", "grok")),
        (r"grok-", Traits("declared", "grok")),
        (r"kimi-.*think", Traits("always", "kimi", prose=True)),
        (r"kimi-", Traits("declared", "kimi", prose=True)),
        (r"minimax-m2|magistral-.*thinking|(openai-)?gpt-oss-", Traits("always")),
        (r"deepseek-r1|.*-think(ing)?(-|$)", Traits("always")),
        (r"gpt-3\.5-turbo-instruct$", Traits(usage="null-details", rejects_tools=True, overhead=6)),
        (r"gpt-4o(-mini)?-search$", Traits(usage="details", rejects_tools=True)),
        (r"chatgpt-4o-latest$", Traits(rejects_tools=True)),
        (r"gpt-5\.\d-instant$", Traits(efforts=("medium",))),
        (r"(gpt|o[134])-?", Traits("never")),
        (r"nova-lite-2$", Traits("asked")),
        (r"", Traits("declared")),
    )
)


@lru_cache(maxsize=512)
def traits(model_id: str) -> Traits:
    """How the model with this id (lower case) behaves."""
    return next(found for pattern, found in _FAMILIES if pattern.match(model_id))


def model_list(*, documented: bool = False) -> dict[str, Any]:
    """The answer of `GET /v1/models`. Texts and pictures, which are not shipped, are empty."""
    return {"object": "list", "data": [_model_object(model, documented) for model in shipped()]}


def _model_object(model: ModelFacts, documented: bool) -> dict[str, Any]:
    name = model.display_name or model.id
    inputs, outputs = list(model.input_modalities), list(model.output_modalities)
    window = model.context_window
    described: dict[str, Any] = {
        "id": model.id,
        "object": "model",
        "created": model.created_ms or _listed_ms(model),
        "description": "",
        "owned_by": model.owned_by or "",
        "root": model.id,
        "architecture": {
            "input_modalities": inputs,
            "output_modalities": outputs,
            "modality": f"{','.join(inputs)}->{','.join(outputs)}",
        },
        "supported_features": list(model.supported_features or ()),
        "supported_endpoints": list(model.supported_endpoints or ()),
        "pricing": {price: _plain(model.price.get(price)) for price in _PRICES} if model.price else None,
        "context_window": None
        if window is None
        else {"context_length": window, "max_output_tokens": model.max_output_tokens},
        "context_length": window,
        "metadata": {
            "display_name": name,
            "image": {"url": "", "alt": f"{name} model icon", "width": 200, "height": 200},
            "url": f"https://poe.com/{model.id}",
        },
        "reasoning": model.reasoning,
        "parameters": [_parameter(parameter) for parameter in model.parameters or ()],
    }
    if documented:
        described |= {"permission": [], "parent": None}
    return described


def _listed_ms(model: ModelFacts) -> int:
    """When the model was first listed, for those whose creation time is not known."""
    day = datetime.fromisoformat(shipped().source(model).date).replace(tzinfo=UTC)
    return int(day.timestamp()) * 1000


def _plain(price: str | None) -> str | None:
    """A price as Poe writes it: a decimal without an exponent."""
    return None if price is None else format(Decimal(price), "f")


def _parameter(parameter: ParameterFacts) -> dict[str, Any]:
    schema: dict[str, Any]
    if parameter.enum is not None:
        schema = {"enum": list(parameter.enum)}
    else:
        schema = {"type": parameter.type or "string"}
        if parameter.minimum is not None:
            schema["minimum"] = _number(parameter.minimum)
        if parameter.maximum is not None:
            schema["maximum"] = _number(parameter.maximum)
    described: dict[str, Any] = {"name": parameter.name, "schema": schema}
    if parameter.default is not None:
        described["default_value"] = parameter.default
    return described


def _number(value: float) -> int | float:
    return int(value) if value == int(value) else value
