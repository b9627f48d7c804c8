"""Deployments: one way of serving a model group each, read from LiteLLM's words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from typing import Any

import msgspec

from quoth.call import Row, Target, Timeouts
from quoth.engine.routing import values
from quoth.errors import QuothError
from quoth.providers.catalogue import Catalogue
from quoth.providers.quirks import QUIRKS
from quoth.providers.resolve import resolve
from quoth.providers.rows import Registry

__all__ = ["INERT", "Deployment", "deployment_from"]

# Words of `litellm_params` that say nothing to a provider and have no effect here. Any word that is neither read below
# nor listed here is a default request parameter.
INERT = frozenset(
    (
        "api_version auto_router_config auto_router_config_path auto_router_default_model auto_router_embedding_model "
        "budget_duration configurable_clientside_auth_params credential_name deployment_id guardrails "
        "input_cost_per_audio_token input_cost_per_pixel input_cost_per_second itpm litellm_credential_name "
        "litellm_trace_id max_budget max_file_size_mb merge_reasoning_content_in_choices model_info organization otpm "
        "output_cost_per_pixel output_cost_per_second provider_specific_deployment region_name rpd tag_regex tpd "
        "use_in_pass_through use_litellm_proxy vertex_credentials vertex_location vertex_project watsonx_region_name"
    ).split()
)
_PRICES = {
    "input_cost_per_token": "prompt",
    "output_cost_per_token": "completion",
    "cache_read_input_token_cost": "input_cache_read",
    "cache_creation_input_token_cost": "input_cache_write",
    "input_cost_per_request": "request",
}
_READ = frozenset(
    (
        "additional_drop_params allowed_openai_params api_base api_key base_url cooldown_time custom_llm_provider "
        "disable_quirks drop_params extra_headers extra_query headers max_parallel_requests max_retries mock_response "
        "mock_timeout mock_tool_calls mock_delay model num_retries order request_timeout rpm stream_timeout tags "
        "timeout tpm weight wire"
    ).split()
) | set(_PRICES)


_ANYBODY = Row(name="", base_url="")


@dataclass(frozen=True, slots=True)
class Deployment:
    """One entry of a `model_list`.

    `model_name` is what callers say, `model` what is called ("poe/Claude-Sonnet-4.6"); with a `*` in both, what matched
    in the one replaces it in the other. `target(rest)` finds whom to call; `rest` is what matched, None without a `*`.
    `sample` is such a target, None where what matches names the provider. `params` are default request parameters,
    which a call's own win over. `rpm` and `tpm` are requests and tokens a minute, `max_parallel` calls at once.
    `order`: lower comes first, and none comes last. `cooldown_time` is seconds. `price`: decimal strings in USD per
    token (`request`: per call) that win over the catalogue's. `mock` holds the `mock_...` words. `info` is the entry's
    `model_info`, and `fingerprint` the same for entries that say the same.
    """

    id: str
    model_name: str
    model: str
    sample: Target | None = field(repr=False)
    target: Callable[[str | None], Target] = field(repr=False)
    params: Mapping[str, Any] = field(default_factory=dict, repr=False)
    weight: float | None = None
    order: int | None = None
    rpm: float | None = None
    tpm: float | None = None
    max_parallel: int | None = None
    timeouts: Timeouts | None = None
    stream_timeouts: Timeouts | None = None
    num_retries: int | None = None
    cooldown_time: float | None = None
    tags: tuple[str, ...] = ()
    drop_params: bool | None = None
    additional_drop_params: tuple[str, ...] = ()
    allowed_openai_params: tuple[str, ...] = ()
    price: Mapping[str, str] | None = None
    mock: Mapping[str, Any] = field(default_factory=dict, repr=False)
    info: Mapping[str, Any] = field(default_factory=dict, repr=False)
    fingerprint: str = field(default="", repr=False)

    @property
    def row(self) -> Row:
        """The provider; one without a name where what matches names it."""
        return _ANYBODY if self.sample is None else self.sample.row

    @property
    def mock_response(self) -> Any:
        """The answer to give without calling anybody; None: call."""
        return self.mock.get("mock_response")


def deployment_from(
    entry: Mapping[str, Any],
    registry: Registry,
    environment: Mapping[str, str],
    *,
    where: str = "",
    headers: Mapping[str, str] | None = None,
    catalogue: Callable[[str], Catalogue] | None = None,
) -> Deployment:
    """A deployment from `{"model_name": ..., "litellm_params": {...}, "model_info": {...}}`.

    `where` is the path of the entry in its settings ("model_list[0]"). `headers` are sent with every call, `catalogue`
    is as for `quoth.providers.resolve.resolve`. Any word of `litellm_params` that nobody knows is a default request
    parameter. Raises QuothError whose message begins with the path of what is wrong, which is also its `param`; a
    deployment that could not be called, for want of a key or because its model names no provider, is wrong too.
    """
    at = f"{where}." if where else ""
    entry = values.mapping(entry, where or "the deployment")
    model_name = values.text(entry.get("model_name"), f"{at}model_name")
    if not model_name or not model_name.strip():
        raise values.wrong(f"{at}model_name", "it is missing: the name that callers use")
    path = f"{at}litellm_params"
    given = values.environed(dict(values.mapping(entry.get("litellm_params"), path)), environment, path)
    info = values.environed(
        dict(values.mapping(entry.get("model_info"), f"{at}model_info")), environment, f"{at}model_info"
    )
    model = values.text(given.get("model"), f"{path}.model")
    if not model or not model.strip():
        raise values.wrong(f"{path}.model", 'it is missing: the model to call, such as "poe/Claude-Sonnet-4.6"')
    model_name, model = model_name.strip(), model.strip()
    _check_wildcards(model_name, model, at, path)
    mock = {name: given[name] for name in given if name.startswith("mock_") and given[name] is not None}
    find, sample = _finder(model, given, registry, environment, path, headers, catalogue, mocked=bool(mock))
    fingerprint = _fingerprint(model_name, given)
    return Deployment(
        id=_id_of(info, f"{at}model_info.id") or fingerprint,
        model_name=model_name,
        model=model,
        sample=sample,
        target=find,
        params={
            name: value
            for name, value in given.items()
            if name not in _READ and name not in INERT and value is not None
        },
        weight=values.number(given.get("weight"), f"{path}.weight"),
        order=values.whole(given.get("order"), f"{path}.order"),
        rpm=values.number(given.get("rpm"), f"{path}.rpm", above=True),
        tpm=values.number(given.get("tpm"), f"{path}.tpm", above=True),
        max_parallel=values.whole(given.get("max_parallel_requests"), f"{path}.max_parallel_requests", least=1),
        timeouts=values.timeouts(_first(given, "timeout", "request_timeout"), f"{path}.timeout"),
        stream_timeouts=values.timeouts(given.get("stream_timeout"), f"{path}.stream_timeout"),
        num_retries=values.whole(_first(given, "num_retries", "max_retries"), f"{path}.num_retries"),
        cooldown_time=values.number(given.get("cooldown_time"), f"{path}.cooldown_time"),
        tags=values.names(given.get("tags"), f"{path}.tags"),
        drop_params=values.flag(given.get("drop_params"), f"{path}.drop_params"),
        additional_drop_params=values.names(given.get("additional_drop_params"), f"{path}.additional_drop_params"),
        allowed_openai_params=values.names(given.get("allowed_openai_params"), f"{path}.allowed_openai_params"),
        price=_price(given, info, path),
        mock=mock,
        info=info,
        fingerprint=fingerprint,
    )


def _id_of(info: Mapping[str, Any], path: str) -> str | None:
    id = info.get("id")
    return str(id) if isinstance(id, int) and not isinstance(id, bool) else values.text(id, path)


def _check_wildcards(model_name: str, model: str, at: str, path: str) -> None:
    for text, place in ((model_name, f"{at}model_name"), (model, f"{path}.model")):
        if text.count("*") > 1:
            raise values.wrong(place, f"{text!r} has more than one *")
    if "*" in model and "*" not in model_name:
        raise values.wrong(f"{path}.model", f"{model!r} has a * that nothing in model_name {model_name!r} stands for")


def _finder(
    model: str,
    given: Mapping[str, Any],
    registry: Registry,
    environment: Mapping[str, str],
    path: str,
    headers: Mapping[str, str] | None,
    catalogue: Callable[[str], Catalogue] | None,
    *,
    mocked: bool,
) -> tuple[Callable[[str | None], Target], Target | None]:
    """The function that finds the target, and what it finds."""
    wire = values.text(given.get("wire"), f"{path}.wire")
    quirks = values.names(given.get("disable_quirks"), f"{path}.disable_quirks")
    for name in quirks:
        if name not in QUIRKS:
            raise values.wrong(f"{path}.disable_quirks", f"{name!r} is not a quirk; there are {', '.join(QUIRKS)}")
    own: dict[str, str] = {name.lower(): value for name, value in (headers or {}).items()}
    if organization := values.text(given.get("organization"), f"{path}.organization"):
        own["openai-organization"] = organization
    for word in ("headers", "extra_headers"):
        for name, value in values.mapping(given.get(word), f"{path}.{word}").items():
            if not f"{name}{value}".isprintable() or not name.isascii():
                raise values.wrong(f"{path}.{word}", f"{name!r} or its value is nothing that a header can hold")
            own[name.lower()] = str(value)
    key = values.text(given.get("api_key"), f"{path}.api_key")
    if "api_key" in given and given["api_key"] is not None and not (key or "").strip():
        raise values.wrong(f"{path}.api_key", "it is blank; leave it out to have it from the environment")
    how: dict[str, Any] = {
        "provider": values.text(given.get("custom_llm_provider"), f"{path}.custom_llm_provider"),
        "base_url": values.text(_first(given, "base_url", "api_base"), f"{path}.api_base"),
    }
    query = values.mapping(given.get("extra_query"), f"{path}.extra_query") or None
    how.update(
        environment=environment,
        api_key="mock" if mocked and key is None else key,
        headers=own,
        query=query,
        without_quirks=quirks,
        catalogue=catalogue,
    )
    target = partial(_target, model, registry, how, wire)
    if model.startswith("*") and how["provider"] is None and how["base_url"] is None:
        return target, None
    try:
        found = target("any" if "*" in model else None)
    except QuothError as error:
        at = f"{path}.{error.param}" if error.param in ("model", "api_base") else f"{path}.api_key"
        said = type(error)(f"{at}: {error.message}", llm_provider=error.llm_provider, model=error.model, param=at)
        raise said from None
    if wire is not None and wire not in found.row.wires:
        raise values.wrong(f"{path}.wire", f"{found.provider} speaks {', '.join(found.row.wires)}, not {wire!r}")
    return target, found


def _target(model: str, registry: Registry, how: Mapping[str, Any], wire: str | None, rest: str | None) -> Target:
    if rest is not None and "*" in model:
        before = model.partition("*")[0]
        prefix, slash, bare = rest.partition("/")
        # A caller may have written the prefix too ("poe/x" where `*` stands for "poe/*"); it is not sent twice.
        if slash and "/" in before and (row := registry.get(prefix)) is not None:
            rest = bare if registry.get(before.partition("/")[0]) is row else rest
        model = model.replace("*", rest)
    target = resolve(model, registry, **how)
    return target if wire is None else replace(target, wire=wire, fixed_wire=True)


def _first(given: Mapping[str, Any], *words: str) -> Any:
    return next((given[word] for word in words if given.get(word) is not None), None)


def _price(given: Mapping[str, Any], info: Mapping[str, Any], path: str) -> Mapping[str, str] | None:
    found = {}
    for word, name in _PRICES.items():
        value = given.get(word) if given.get(word) is not None else info.get(word)
        amount = values.number(value, f"{path}.{word}")
        if amount is not None:
            found[name] = str(value)  # of a float the shortest text that reads back as it
    return found or None


def _fingerprint(model_name: str, given: Mapping[str, Any]) -> str:
    """The same for the same entry in any process. It is shown to people, so it gives no key away: a digest of much
    more than the key."""
    said = {name: given[name] for name in sorted(given) if given[name] is not None}
    return sha256(msgspec.json.encode([model_name, said], enc_hook=repr)).hexdigest()[:32]
