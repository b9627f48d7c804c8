"""What is known of models, asked by a program: lists, facts of one, and LiteLLM's names for such questions.

For Poe the answers come from the catalogue in force; `refresh=True` fetches Poe's own list first. What is not known is
None, which is neither no nor nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec

from quoth.call import Row
from quoth.engine.effects import Flow
from quoth.errors import BadRequestError, NotFoundError, QuothError
from quoth.providers.catalogue import (
    RETIRED,
    Catalogue,
    ModelFacts,
    ParameterFacts,
    Source,
    Unlisted,
    facts_from,
    known,
)
from quoth.providers.resolve import named
from quoth.providers.rows import Registry, host_of
from quoth.sdk import defaults
from quoth.sdk.core import Core
from quoth.sdk.log import logger
from quoth.sdk.models import listing, read_list
from quoth.sdk.shelf import SHELF, cache_directory, copies
from quoth.transport.canned import Canned, CannedAsync
from quoth.transport.drive import adrive, drive
from quoth.transport.environment import environment

__all__ = [
    "ModelInfo",
    "aget_valid_models",
    "amodels",
    "get_max_tokens",
    "get_model_info",
    "get_valid_models",
    "info_of",
    "models",
    "poe_catalogue",
    "poe_copies",
    "register_model",
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
]

_MILLION = 1_000_000
_REASONING = ("reasoning_effort", "output_effort", "thinking_level", "thinking_budget")
_PRICE_KEYS = {
    "input_cost_per_token": "prompt",
    "output_cost_per_token": "completion",
    "cache_read_input_token_cost": "input_cache_read",
    "cache_creation_input_token_cost": "input_cache_write",
    "input_cost_per_request": "request",
}
_MODES = {"chat": "text", "image_generation": "image", "audio_speech": "audio", "video_generation": "video"}
# What LiteLLM says of a model and Poe's list has no word for.
_NEVER_SAID = ("supports_parallel_function_calling", "supports_pdf_input", "supports_system_messages")


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known of one model; None is unknown.

    `name` is what a call takes, such as "poe/claude-opus-4.6". `price` maps prompt, completion, input_cache_read,
    input_cache_write (USD per token), request (USD per call) and image (USD per image output token) to Decimals.
    `context_window` and `max_output_tokens` are tokens. `prompt_limit` is the longest prompt of a media bot, in a unit
    that Poe does not say. `status` is "deprecated", "retired" (no longer in the list that was fetched) or None.
    `source` says where all this is from, and of what day; `corrections` names what Quoth put right in it.
    """

    id: str
    name: str
    provider: str
    source: Source
    display_name: str = ""
    owned_by: str | None = None
    input_modalities: tuple[str, ...] | None = None
    output_modalities: tuple[str, ...] | None = None
    context_window: int | None = None
    max_output_tokens: int | None = None
    prompt_limit: int | None = None
    price: Mapping[str, Decimal] | None = None
    supported_features: tuple[str, ...] | None = None
    supported_endpoints: tuple[str, ...] | None = None
    reasoning: Mapping[str, Any] | None = None
    created: datetime | None = None
    parameters: tuple[ParameterFacts, ...] | None = None
    status: str | None = None
    corrections: tuple[str, ...] = ()

    @property
    def is_free(self) -> bool | None:
        """True when it is known to cost nothing, None when its price is not known."""
        return None if not self.price else not any(self.price.values())

    def supports(self, feature: str) -> bool | None:
        """Whether it is known to do `tools`, `web_search` or `reasoning`, or whatever else its list names."""
        names = [parameter.name for parameter in self.parameters or ()]
        if feature == "reasoning":
            return True if self.reasoning or any(name in names for name in _REASONING) else None
        if feature in names or feature in (self.supported_features or ()):
            return True
        return None if self.supported_features is None else False


def models(
    *,
    output: str | Iterable[str] | None = None,
    input: str | Iterable[str] | None = None,
    search: str | None = None,
    owner: str | None = None,
    max_price: float | Decimal | None = None,
    supports: str | Iterable[str] | None = None,
    provider: str = "poe",
    refresh: bool = False,
    corrections: bool = True,
) -> list[ModelInfo]:
    """The models that are known to be all that is asked for, in the order of their provider's list.

    `input` and `output`: one or more of text, image, audio, video. `search`: words that all are in the name or the
    owner. `max_price`: USD for 1 million prompt tokens, of models that make no text USD for a call; of models that
    write for a price a call only free ones are within. `supports`: tools, web_search, reasoning. Retired models and
    models of which something asked for is not known are left out.

    Poe's come from the catalogue in force, without a call; `refresh=True` fetches Poe's list now and keeps a copy in
    the cache directory. Another provider's list is always fetched. `corrections=False` leaves Poe's list as it is.
    Raises QuothError when a list cannot be fetched; the one in force stays.
    """
    wanted = _Wanted(output, input, search, owner, max_price, supports)
    client = defaults.client()
    flow = _listed(client._core, provider, refresh, corrections)
    return wanted.of(drive(flow, client._transport() if _is_fetched(provider, refresh) else Canned([])))


async def amodels(
    *,
    output: str | Iterable[str] | None = None,
    input: str | Iterable[str] | None = None,
    search: str | None = None,
    owner: str | None = None,
    max_price: float | Decimal | None = None,
    supports: str | Iterable[str] | None = None,
    provider: str = "poe",
    refresh: bool = False,
    corrections: bool = True,
) -> list[ModelInfo]:
    """`models` for asyncio: a list that has to be fetched does not block the loop."""
    wanted = _Wanted(output, input, search, owner, max_price, supports)
    client = defaults.async_client()
    flow = _listed(client._core, provider, refresh, corrections)
    return wanted.of(await adrive(flow, client._transport() if _is_fetched(provider, refresh) else CannedAsync([])))


def _is_fetched(provider: str, refresh: bool) -> bool:
    return refresh or provider.lower() != "poe"


class _Wanted:
    """What a model has to be."""

    def __init__(
        self,
        output: str | Iterable[str] | None,
        input: str | Iterable[str] | None,
        search: str | None,
        owner: str | None,
        max_price: float | Decimal | None,
        supports: str | Iterable[str] | None,
    ):
        self._makes, self._takes, self._does = set(_words(output)), set(_words(input)), tuple(_words(supports))
        self._words = (search or "").lower().split()
        self._owner = (owner or "").lower()
        self._most = None if max_price is None else Decimal(str(max_price))

    def of(self, listed: Iterable[ModelInfo]) -> list[ModelInfo]:
        return [model for model in listed if model.status != RETIRED and self._fits(model)]

    def _fits(self, model: ModelInfo) -> bool:
        text = f"{model.id} {model.display_name} {model.owned_by or ''}".lower()
        return (
            all(word in text for word in self._words)
            and self._owner in (model.owned_by or "").lower()
            and self._takes <= set(model.input_modalities or ())
            and self._makes <= set(model.output_modalities or ())
            and all(model.supports(feature) for feature in self._does)
            and (self._most is None or _within(model, self._most))
        )


def _words(given: str | Iterable[str] | None) -> Iterable[str]:
    return () if given is None else (given,) if isinstance(given, str) else given


def _within(model: ModelInfo, most: Decimal) -> bool:
    price = model.price or {}
    if "text" not in (model.output_modalities or ("text",)):
        return "request" in price and price["request"] <= most
    return price["prompt"] * _MILLION <= most if "prompt" in price else bool(model.is_free)


def _listed(core: Core, provider: str, refresh: bool, corrections: bool) -> Flow[list[ModelInfo]]:
    if provider.lower() != "poe":
        return (yield from _fetched(core, provider))
    if refresh:
        for warning in (yield from core.refresh()):
            logger.warning("%s", warning.message)
    catalogue = SHELF.current(_poe_url(), None if corrections else "all")
    return [info_of(facts, catalogue) for facts in catalogue]


def poe_catalogue() -> Catalogue:
    """Poe's catalogue in force."""
    return SHELF.current(_poe_url())


def poe_copies() -> dict[str, Path]:
    """The copies of Poe's list that were kept, ISO day to file, the newest first."""
    return copies(cache_directory(environment()), host_of(_poe_url()))


def _poe_url() -> str:
    registry = defaults.client()._core.registry
    row = registry.get("poe")
    assert row is not None
    return _url(row, registry)


def _url(row: Row, registry: Registry) -> str:
    moved = (environment().get(name, "").strip() for name in registry.base_variables(row))
    return next(filter(None, moved), row.base_url)


def info_of(facts: ModelFacts, catalogue: Catalogue) -> ModelInfo:
    """A row of Poe's catalogue in the form that programs get."""
    return _info(facts, "poe", catalogue.source(facts))


def _info(facts: ModelFacts, provider: str, source: Source, **other: Any) -> ModelInfo:
    price = {name: value for name in facts.price or () if (value := _money((facts.price or {})[name])) is not None}
    return ModelInfo(
        **{
            "id": facts.id,
            "name": f"{provider}/{facts.id}",
            "provider": provider,
            "source": source,
            "display_name": facts.display_name,
            "owned_by": facts.owned_by,
            "input_modalities": facts.input_modalities,
            "output_modalities": facts.output_modalities,
            "context_window": facts.context_window,
            "max_output_tokens": facts.max_output_tokens,
            "prompt_limit": facts.prompt_limit,
            "price": price or None,
            "supported_features": facts.supported_features,
            "supported_endpoints": facts.supported_endpoints,
            "reasoning": facts.reasoning,
            "created": None if facts.created_ms is None else datetime.fromtimestamp(facts.created_ms / 1000, UTC),
            "parameters": facts.parameters,
            "status": facts.status,
            "corrections": facts.corrections,
            **other,
        }
    )


def _money(value: Any) -> Decimal | None:
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and amount >= 0 else None


def _fetched(core: Core, provider: str) -> Flow[list[ModelInfo]]:
    """Another provider's list, in OpenAI's shape with the further fields that some share with Poe."""
    listed = read_list((yield from listing(core, provider)))
    now = core.world.today()
    source = Source(f"GET /models of {provider}", now.date().isoformat(), now.timestamp())
    return [_foreign(row.model_dump(mode="json"), provider, source) for row in listed]


def _foreign(row: dict[str, Any], provider: str, source: Source) -> ModelInfo:
    created, window, price = row.get("created"), row.get("context_window"), row.get("pricing")
    top = row.get("top_provider") if isinstance(row.get("top_provider"), Mapping) else {}
    most = row.get("max_completion_tokens") or (top or {}).get("max_completion_tokens")
    tidy = {
        "id": row["id"],
        "owned_by": row.get("owned_by") if isinstance(row.get("owned_by"), str) else None,
        "context_length": next((n for n in (row.get("context_length"), window) if isinstance(n, int) and n), None),
        # Seconds with everybody but Poe.
        "created": created * 1000 if isinstance(created, int) and created < 10**11 else None,
    }
    if isinstance(price, Mapping):
        # OpenRouter writes "request": "0" beside prices for tokens, and -1 for what varies.
        known_prices = {name: str(value) for name, value in price.items() if _money(value) is not None}
        if "prompt" in known_prices:
            known_prices.pop("request", None)
        tidy["pricing"] = known_prices
    about = row.get("architecture")
    features = row.get("supported_features", row.get("supported_parameters"))
    other: dict[str, Any] = {"input_modalities": None, "output_modalities": None}
    if isinstance(about, Mapping):
        other = {name: _texts(about.get(name)) for name in other}
    try:
        facts = facts_from(tidy)
    except Unlisted:
        facts = ModelFacts(row["id"])
    name = row.get("name")
    return _info(
        facts,
        provider,
        source,
        display_name=name if isinstance(name, str) else "",
        supported_features=_texts(features),
        max_output_tokens=most if isinstance(most, int) else None,
        **other,
    )


def _texts(value: Any) -> tuple[str, ...] | None:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list | tuple) else None


# --- One model, by LiteLLM's names -----------------------------------------------------------------------------------

_given: dict[tuple[str, str], dict[str, Any]] = {}


def _row_and_name(model: str, provider: str | None) -> tuple[Row, str]:
    registry = defaults.client()._core.registry
    if isinstance(model, str) and "/" not in model and not provider and SHELF.current(_poe_url()).get(model.strip()):
        provider = "poe"
    return named(model, registry, provider=provider)


def _facts(row: Row, name: str) -> tuple[ModelFacts | None, Catalogue]:
    if row.name != "poe":
        return None, known()
    catalogue = SHELF.current(_url(row, defaults.client()._core.registry))
    return catalogue.get(name), catalogue


def get_model_info(model: str, custom_llm_provider: str | None = None) -> dict[str, Any]:
    """What is known of a model under LiteLLM's keys, as a dict: key, litellm_provider, mode, max_tokens,
    max_input_tokens, max_output_tokens, input_cost_per_token, output_cost_per_token (USD as float), supports_...; None
    is unknown. `info` has the ModelInfo of a Poe model.

    A bare name of a Poe model is Poe's. Raises NotFoundError, with near names, for a model of which nothing is known.
    """
    row, name = _row_and_name(model, custom_llm_provider)
    facts, catalogue = _facts(row, name)
    given = _given.get((row.name, name.lower()))
    if facts is None and given is None:
        near = [f"poe/{other}" for other in catalogue.near(name)]
        guess = f"; did you mean {', '.join(near)}?" if near and row.name == "poe" else ""
        raise NotFoundError(
            f"nothing is known of {row.name}/{name}{guess or '; register_model can say it'}",
            llm_provider=row.name,
            model=name,
            param="model",
        )
    found = _unknown(row, name) if facts is None else _litellm(row, info_of(facts, catalogue))
    return {**found, **(given or {})}


def _unknown(row: Row, name: str) -> dict[str, Any]:
    keys = ("mode", "max_tokens", "max_input_tokens", "max_output_tokens", *_PRICE_KEYS)
    flags = [name for name in __all__ if name.startswith("supports_")]
    return {"key": f"{row.name}/{name}", "litellm_provider": row.name, **dict.fromkeys((*keys, *flags)), "info": None}


def _litellm(row: Row, info: ModelInfo) -> dict[str, Any]:
    price = info.price or {}
    takes, makes = info.input_modalities or (), info.output_modalities or ()
    tools = info.supports("tools")
    mode = next((mode for mode, kind in _MODES.items() if kind in makes), None)
    return {
        "key": info.name,
        "litellm_provider": info.provider,
        "mode": mode,
        "max_tokens": info.max_output_tokens,
        "max_input_tokens": info.context_window,
        "max_output_tokens": info.max_output_tokens,
        **{key: None if price.get(name) is None else float(price[name]) for key, name in _PRICE_KEYS.items()},
        "supports_function_calling": tools,
        "supports_tool_choice": tools,
        "supports_vision": "image" in takes,
        "supports_audio_input": "audio" in takes,
        "supports_audio_output": "audio" in makes,
        "supports_reasoning": info.supports("reasoning"),
        "supports_response_schema": _honours_schema(row, info.id),
        "supports_web_search": info.supports("web_search"),
        "supports_prompt_caching": True if "input_cache_read" in price else None,
        **dict.fromkeys(_NEVER_SAID),
        "info": info,
    }


def _honours_schema(row: Row, name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in row.json_schema)


def get_max_tokens(model: str) -> int | None:
    """The longest answer in tokens; None when it is not known. Raises NotFoundError for a model that is not known."""
    found = get_model_info(model)
    most: int | None = found["max_output_tokens"]
    return most if most is not None else found["max_tokens"]


def get_valid_models(check_provider_endpoint: bool = False, custom_llm_provider: str | None = None) -> list[str]:
    """The names that can be called with the keys in the environment: Poe's, and those registered.

    With `custom_llm_provider` only that provider's, key or not. `check_provider_endpoint=True` asks each provider whose
    key is there for its list now, and so finds the others' models too. Raises QuothError when a list cannot be fetched.
    """
    client = defaults.client()
    flow = _valid(client._core, check_provider_endpoint, custom_llm_provider)
    return drive(flow, client._transport() if check_provider_endpoint else Canned([]))


async def aget_valid_models(check_provider_endpoint: bool = False, custom_llm_provider: str | None = None) -> list[str]:
    """`get_valid_models` for asyncio."""
    client = defaults.async_client()
    flow = _valid(client._core, check_provider_endpoint, custom_llm_provider)
    return await adrive(flow, client._transport() if check_provider_endpoint else CannedAsync([]))


def _valid(core: Core, fetch: bool, provider: str | None) -> Flow[list[str]]:
    registry, variables = core.registry, environment()
    if provider:
        row = registry.get(provider)
        if row is None:
            raise BadRequestError(f"{provider!r} is not a provider", param="custom_llm_provider")
        rows = [row]
    else:
        rows = [row for name in registry.names() if (row := registry.get(name)) and _has_key(row, variables)]
    found: dict[str, None] = {}
    for row in rows:
        listed: list[ModelInfo] = []
        if fetch or row.name == "poe":
            listed = yield from _listed(core, row.name, fetch, True)
        found |= dict.fromkeys(model.name for model in listed if model.status != RETIRED)
        found |= dict.fromkeys(f"{name}/{model}" for name, model in _given if name == row.name)
    return list(found)


def _has_key(row: Row, variables: Mapping[str, str]) -> bool:
    return any(variables.get(name, "").strip() for name in row.key_env)


def register_model(model_cost: Mapping[str, Mapping[str, Any]]) -> None:
    """Say what is known of models, in LiteLLM's form: `{"poe/My-Bot": {"max_input_tokens": 8000,
    "input_cost_per_token": 1e-6, "output_cost_per_token": 4e-6, "supports_function_calling": True}}`.

    It is laid over what the catalogue has, for this process; costs of Poe's models are computed with it. Other keys of
    LiteLLM's are kept for `get_model_info`. Raises BadRequestError for what is not in that form.
    """
    if not isinstance(model_cost, Mapping):
        raise BadRequestError("model_cost has to be an object of models; no address is fetched", param="model_cost")
    for_poe: dict[str, dict[str, Any]] = {}
    entries: dict[tuple[str, str], dict[str, Any]] = {}
    for model, said in model_cost.items():
        if not isinstance(said, Mapping):
            raise BadRequestError(f"model_cost[{model!r}] has to be an object", param=f"model_cost.{model}")
        row, name = _row_and_name(model, said.get("litellm_provider"))
        entry = {key: value for key, value in said.items() if key != "litellm_provider"}
        _check(model, entry)
        entries[row.name, name.lower()] = entry
        if row.name == "poe":
            for_poe[name.lower()] = _as_facts(entry, _facts(row, name)[0] or ModelFacts(name))
    for key, entry in entries.items():
        _given[key] = {**_given.get(key, {}), **entry}
    SHELF.register(for_poe)


def _check(model: str, entry: Mapping[str, Any]) -> None:
    for key, value in entry.items():
        if value is None:
            continue
        wrong = key in _PRICE_KEYS and (isinstance(value, bool) or _money(value) is None)
        wrong |= key.startswith("max_") and (isinstance(value, bool) or not isinstance(value, int) or value < 1)
        wrong |= key.startswith("supports_") and not isinstance(value, bool)
        if wrong:
            raise BadRequestError(f"{model}: {key} is {value!r}, which it cannot be", param=f"model_cost.{model}.{key}")


def _as_facts(entry: Mapping[str, Any], before: ModelFacts) -> dict[str, Any]:
    """The fields of ModelFacts that an entry in LiteLLM's form says."""
    found: dict[str, Any] = {}
    prices = {name: f"{Decimal(str(entry[key])):f}" for key, name in _PRICE_KEYS.items() if entry.get(key) is not None}
    if prices:
        found["price"] = {**(before.price or {}), **prices}
    if (window := entry.get("max_input_tokens")) is not None:
        found["context_window"] = window
    if (most := entry.get("max_output_tokens", entry.get("max_tokens"))) is not None:
        found["max_output_tokens"] = most
    if (kind := _MODES.get(entry.get("mode") or "")) is not None:
        found["output_modalities"] = (kind,)
    takes = before.input_modalities
    for key, modality in (("supports_vision", "image"), ("supports_audio_input", "audio")):
        if (said := entry.get(key)) is not None:
            takes = tuple(name for name in takes if name != modality) + ((modality,) if said else ())
    found["input_modalities"] = takes
    features = before.supported_features
    for key, feature in (("supports_function_calling", "tools"), ("supports_web_search", "web_search")):
        if (said := entry.get(key)) is not None:
            features = tuple(name for name in features or () if name != feature) + ((feature,) if said else ())
    found["supported_features"] = features
    return found


def _supports(what: str, model: str, provider: str | None) -> bool:
    try:
        return bool(get_model_info(model, provider)[f"supports_{what}"])
    except QuothError:
        return False


def supports_function_calling(model: str, custom_llm_provider: str | None = None) -> bool:
    """True when the model is known to call tools; False also when it is not known, and for a name of nobody's."""
    return _supports("function_calling", model, custom_llm_provider)


def supports_vision(model: str, custom_llm_provider: str | None = None) -> bool:
    """True when the model is known to take pictures; else False."""
    return _supports("vision", model, custom_llm_provider)


def supports_reasoning(model: str, custom_llm_provider: str | None = None) -> bool:
    """True when the model is known to reason; else False."""
    return _supports("reasoning", model, custom_llm_provider)


def supports_response_schema(model: str, custom_llm_provider: str | None = None) -> bool:
    """True when the model is known to answer by a JSON schema; else False."""
    return _supports("response_schema", model, custom_llm_provider)


def supports_audio_input(model: str, custom_llm_provider: str | None = None) -> bool:
    """True when the model is known to take audio; else False."""
    return _supports("audio_input", model, custom_llm_provider)


def supports_audio_output(model: str, custom_llm_provider: str | None = None) -> bool:
    """True when the model is known to make audio; else False."""
    return _supports("audio_output", model, custom_llm_provider)


def supports_web_search(model: str, custom_llm_provider: str | None = None) -> bool:
    """True when the model is known to search the web; else False."""
    return _supports("web_search", model, custom_llm_provider)


def supports_pdf_input(model: str, custom_llm_provider: str | None = None) -> bool:
    """True when the model is known to take PDFs; else False."""
    return _supports("pdf_input", model, custom_llm_provider)


def supports_system_messages(model: str, custom_llm_provider: str | None = None) -> bool:
    """True when the model is known to heed system messages; else False."""
    return _supports("system_messages", model, custom_llm_provider)


def supports_tool_choice(model: str, custom_llm_provider: str | None = None) -> bool:
    """True when the model is known to heed `tool_choice`; else False."""
    return _supports("tool_choice", model, custom_llm_provider)


def supports_parallel_function_calling(model: str, custom_llm_provider: str | None = None) -> bool:
    """True when the model is known to call several tools at once; else False."""
    return _supports("parallel_function_calling", model, custom_llm_provider)


def supports_prompt_caching(model: str, custom_llm_provider: str | None = None) -> bool:
    """True when the model is known to have a price for cached prompts; else False."""
    return _supports("prompt_caching", model, custom_llm_provider)
