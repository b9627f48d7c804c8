"""`GET /v1/models`, `/v1/models/{model}` and `/v1/model/info`: what can be called here, with what is known of it.

Models of Poe come in the keys of Poe's own object, so that a client written for Poe's list works through the gateway.
Source: `GET https://api.poe.com/v1/models`, recorded on 2026-04-01; LiteLLM's documentation for `/model/info`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from quoth.engine.routing import Candidate, Deployment
from quoth.errors import NotFoundError
from quoth.gateway.generation import Generation
from quoth.gateway.request import Request
from quoth.providers.catalogue import RETIRED, ModelFacts
from quoth.providers.costs import facts_of
from quoth.providers.params import catalogue_of

if TYPE_CHECKING:
    from quoth.gateway.app import App

__all__ = ["listed", "model", "model_info", "models"]

_PRICES = ("prompt", "completion", "image", "request", "input_cache_read", "input_cache_write")


async def models(request: Request) -> None:
    app, generation = request.app, request.generation
    body = app.kept(generation, "models", lambda: _encoded(listed(app, generation)))
    await request.out.json(body)


async def model(request: Request) -> None:
    name = request.parameter
    group = request.generation.group(name)
    await request.out.json(msgspec.json.encode(_entry(request.app, name, group.candidates[0])))


async def model_info(request: Request) -> None:
    generation = request.generation
    data = [_info(generation, deployment) for deployment in generation.deployments]
    await request.out.json(msgspec.json.encode({"data": data}))


def _encoded(rows: list[dict[str, Any]]) -> bytes:
    return msgspec.json.encode({"object": "list", "data": rows})


def listed(app: App, generation: Generation) -> list[dict[str, Any]]:
    """Every name that a caller may send, wildcards as all that is known to match them."""
    found: dict[str, dict[str, Any]] = {}
    for name in generation.routes.names():
        for callable_name in _names(name, generation):
            if callable_name not in found:
                group = generation.routes.find(callable_name)
                if group is None:
                    raise NotFoundError(f"there is no model {callable_name!r}", model=callable_name)
                found[callable_name] = _entry(app, callable_name, group.candidates[0])
    return list(found.values())


def _names(name: str, generation: Generation) -> Iterator[str]:
    """The names that one model_name stands for."""
    if "*" not in name:
        yield name
        return
    for deployment in generation.deployments:
        if deployment.model_name != name or deployment.row.name != "poe":
            continue
        catalogue = catalogue_of(deployment.target("any"))
        before, _, after = deployment.model.removeprefix("poe/").partition("*")
        for facts in catalogue or ():
            if facts.status != RETIRED and facts.id.startswith(before) and facts.id.endswith(after):
                yield name.replace("*", facts.id[len(before) : len(facts.id) - len(after)])


def _entry(app: App, name: str, candidate: Candidate) -> dict[str, Any]:
    target = candidate.target
    catalogue = catalogue_of(target)
    if catalogue is None:
        return {"id": name, "object": "model", "created": 0, "owned_by": target.provider}
    live = app.catalogues.rows(target.base_url).get(target.model.lower())
    if live is not None:
        return {**live, "id": name, "root": live.get("root", target.model)}
    return _as_poe_lists(name, catalogue.listed(target.model) or ModelFacts(target.model.lower(), target.model))


def _as_poe_lists(name: str, facts: ModelFacts) -> dict[str, Any]:
    """Poe's object from the facts, as Poe has it, errors and all: whoever reads it was written for that. Texts and
    pictures are not shipped, and stay empty."""
    title = facts.display_name or facts.id
    inputs, outputs = list(facts.input_modalities), list(facts.output_modalities)
    window = facts.context_window
    return {
        "id": name,
        "object": "model",
        "created": facts.created_ms or 0,
        "description": "",
        "owned_by": facts.owned_by or "poe",
        "root": facts.id,
        "architecture": {
            "input_modalities": inputs,
            "output_modalities": outputs,
            "modality": f"{','.join(inputs)}->{','.join(outputs)}",
        },
        "supported_features": list(facts.supported_features or ()),
        "supported_endpoints": list(facts.supported_endpoints or ()),
        "pricing": None if facts.price is None else {name: facts.price.get(name) for name in _PRICES},
        "context_window": None
        if window is None
        else {"context_length": window, "max_output_tokens": facts.max_output_tokens},
        "context_length": window,
        "metadata": {
            "display_name": title,
            "image": {"url": "", "alt": f"{title} model icon", "width": 200, "height": 200},
            "url": f"https://poe.com/{facts.id}",
        },
        "reasoning": facts.reasoning,
        "parameters": [_parameter(one) for one in facts.parameters or ()],
    }


def _parameter(parameter: Any) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    if parameter.enum is not None:
        schema["enum"] = list(parameter.enum)
    elif parameter.type is not None:
        schema["type"] = parameter.type
        for word in ("minimum", "maximum"):
            if (limit := getattr(parameter, word)) is not None:
                schema[word] = int(limit) if limit == int(limit) else limit
    found = {"name": parameter.name, "schema": schema}
    return found if parameter.default is None else {**found, "default_value": parameter.default}


def _info(generation: Generation, deployment: Deployment) -> dict[str, Any]:
    """One deployment as LiteLLM's `/model/info` has it, without its key."""
    wildcard = "*" in deployment.model
    target = deployment.target("any" if wildcard else None)
    facts = None if wildcard else facts_of(target)
    price = {**((facts.price if facts else None) or {}), **(deployment.price or {})}
    info: dict[str, Any] = {
        "id": deployment.id,
        "db_model": False,
        "litellm_provider": target.provider,
        "mode": "chat",
        "max_input_tokens": facts.context_window if facts else None,
        "max_output_tokens": facts.max_output_tokens if facts else None,
        "input_cost_per_token": _float(price.get("prompt")),
        "output_cost_per_token": _float(price.get("completion")),
        "supports_function_calling": _supports(facts, "tools"),
        "supports_vision": None if facts is None else "image" in facts.input_modalities,
        "input_modalities": None if facts is None else list(facts.input_modalities),
        "output_modalities": None if facts is None else list(facts.output_modalities),
        "supported_openai_params": None,
        **deployment.info,
    }
    return {
        "model_name": deployment.model_name,
        "litellm_params": {
            "model": deployment.model,
            **({} if target.base_url == target.row.base_url else {"api_base": target.base_url}),
            **{
                word: value
                for word in ("rpm", "tpm", "weight", "order")
                if (value := getattr(deployment, word)) is not None
            },
        },
        "model_info": info,
    }


def _supports(facts: ModelFacts | None, feature: str) -> bool | None:
    return None if facts is None or facts.supported_features is None else feature in facts.supported_features


def _float(price: str | None) -> float | None:
    return None if price is None else float(price)
