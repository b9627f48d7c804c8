"""`model_list`, `credential_list` and aliases: what can be called, and what makes no sense among it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from quoth.call import Row
from quoth.errors import BadRequestError
from quoth.gateway.settings.document import Node, plain
from quoth.gateway.settings.known import Section, known, providers
from quoth.gateway.settings.names import unsayable
from quoth.gateway.settings.problems import NOWHERE, UNLISTED, Problems, at
from quoth.gateway.settings.secrets import Variables
from quoth.gateway.settings.shapes import Entry
from quoth.gateway.settings.values import (
    Check,
    anything,
    boolean,
    duration,
    guess,
    listing,
    mapping,
    mapping_of,
    number,
    one_slip,
    secret,
    text,
    texts,
    timeouts,
    url,
    whole,
)
from quoth.providers.catalogue import RETIRED
from quoth.providers.catalogue import known as shipped_models
from quoth.providers.resolve import named
from quoth.providers.rows import Registry

__all__ = ["MODEL_INFO", "PARAMS", "entries", "implicit", "misspelt"]


def _stop(node: Node, path: str, problems: Problems) -> Any:
    """A text or a list of texts; a line break alone is one."""
    if not all(isinstance(item.value, str) for item in node.items or [node]):
        problems.error(node.place, path, "it has to be a text, or a list of texts")
        return UNSET
    return plain(node)


def _id(node: Node, path: str, problems: Problems) -> Any:
    """A text; a whole number is one too."""
    number_like = isinstance(node.value, int) and not isinstance(node.value, bool)
    return str(node.value) if number_like else text(node, path, problems)


# What steers a deployment, and never travels.
# What a header's name is made of, and the headers that say where a request ends, or for whom a connection is.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FRAMING = frozenset(
    "connection content-length expect keep-alive proxy-connection te trailer transfer-encoding upgrade".split()
)
_headers = mapping_of(secret)


def _header_fields(node: Node, path: str, problems: Problems) -> Any:
    """Headers to send along, which leave the request one request."""
    for name, value in node.entries.items():
        if not _TOKEN.fullmatch(name):
            problems.error(value.key, at(path, name), f"{name!r} is not the name of a header")
        elif name.lower() in _FRAMING:
            problems.error(value.key, at(path, name), f"{name} is for the connection to say, not for the settings")
    return _headers(node, path, problems)


def _of_the_call(node: Node, path: str, problems: Problems) -> Any:
    """What each call says itself."""
    problems.warning(node.key, path, "it has no effect here (a call says it itself)")
    return UNSET


PARAMS: dict[str, Check] = {
    "additional_drop_params": texts,
    "allowed_openai_params": texts,
    "api_base": url,
    "api_key": secret,
    "base_url": url,
    "cache_creation_input_token_cost": number(),
    "cache_read_input_token_cost": number(),
    "cooldown_time": duration(),
    "custom_llm_provider": text,
    "disable_quirks": texts,
    "drop_params": boolean,
    "extra_body": mapping,
    "extra_headers": _header_fields,
    "extra_query": mapping,
    "headers": _header_fields,
    "input_cost_per_request": number(),
    "input_cost_per_token": number(),
    "litellm_credential_name": text,
    "max_parallel_requests": whole(1),
    "max_retries": whole(),
    "mock_delay": duration(),
    "mock_response": anything,
    "mock_timeout": boolean,
    "mock_tool_calls": listing(mapping),
    "model": text,
    "num_retries": whole(),
    "order": whole(),
    "organization": texts,
    "output_cost_per_token": number(),
    "request_timeout": timeouts,
    "rpm": whole(1),
    "stream_timeout": timeouts,
    "tags": texts,
    "timeout": timeouts,
    "tpm": whole(1),
    "weight": number(),
    "wire": text,
}
# OpenAI's own parameters, as defaults of a deployment's requests. Anything else in litellm_params is one too.
_DEFAULTS: dict[str, Check] = {
    "frequency_penalty": number(-2, 2),
    "logit_bias": mapping,
    "max_completion_tokens": whole(1),
    "max_tokens": whole(1),
    "messages": _of_the_call,
    "metadata": mapping,
    "n": whole(1),
    "parallel_tool_calls": boolean,
    "presence_penalty": number(-2, 2),
    "reasoning_effort": anything,
    "response_format": mapping,
    "seed": whole(-(1 << 63)),
    "stop": _stop,
    "stream": _of_the_call,
    "stream_options": mapping,
    "temperature": number(),
    "tool_choice": anything,
    "tools": listing(mapping),
    "top_logprobs": whole(),
    "top_p": number(0, 1),
    "user": text,
}
# Parameters of models that look like a misspelling of another.
_LIKE_OTHERS = ("height", "mode", "models", "speed", "top_a", "top_k")
MODEL_INFO: dict[str, Check] = {
    "base_model": text,
    "id": _id,
    "input_cost_per_token": number(),
    "max_input_tokens": whole(1),
    "max_output_tokens": whole(1),
    "max_tokens": whole(1),
    "mode": text,
    "output_cost_per_token": number(),
}
_IMPLICIT = ("poe/*", "*")
# To look for near names takes a millisecond each; who has so many strange ones has a list of their own.
_MOST_GUESSES = 100


def implicit() -> Node:
    """The model_list that stands in for none: every model of Poe, under its own name and as poe/NAME."""
    entries = [{"model_name": Node(name), "litellm_params": Node({"model": Node("poe/*")})} for name in _IMPLICIT]
    return Node([Node(entry) for entry in entries])


class _Reader:
    def __init__(
        self,
        registry: Registry,
        variables: Variables,
        environment: Mapping[str, str],
        section: Section,
        credentials: Mapping[str, Mapping[str, Node]],
        defaults: Mapping[str, Node],
        problems: Problems,
    ):
        self._registry, self._variables, self._environment = registry, variables, environment
        self._section, self._credentials, self._problems = section, credentials, problems
        self._defaults = defaults
        self._guesses = 0

    def entries(self, node: Node, path: str) -> list[Entry]:
        """The entry of a node; for several organizations one for each, as LiteLLM has it. [] where it is wrong."""
        entry = self._entry(node, path)
        if entry is None:
            return []
        params, info = entry.litellm_params, entry.model_info
        organizations = params.pop("organization", [])
        if not organizations:
            return [entry]
        if len(organizations) == 1:
            return [replace(entry, litellm_params={**params, "organization": organizations[0]})]
        return [
            replace(
                entry,
                litellm_params={**params, "organization": name},
                model_info={**info, "id": f"{info['id']}-{name}"} if "id" in info else info,
            )
            for name in organizations
        ]

    def _entry(self, node: Node, path: str) -> Entry | None:
        problems = self._problems
        if not isinstance(node.value, dict):
            problems.error(node.place, path, "it has to be a mapping with model_name and litellm_params")
            return None
        self._strangers(node, path)
        name = node.entries.get("model_name")
        params = node.entries.get("litellm_params")
        if name is None or params is None:
            problems.error(node.place, path, f"{'model_name' if name is None else 'litellm_params'} is missing")
            return None
        model_name = text(name, at(path, "model_name"), problems)
        if not isinstance(params.value, dict):
            problems.error(params.place, at(path, "litellm_params"), "it has to be a mapping with at least model")
            return None
        values = self._params(params, at(path, "litellm_params"))
        info = self._info(node.entries.get("model_info"), at(path, "model_info"))
        if model_name is UNSET or values is None:
            return None
        if (why := unsayable(model_name)) is not None:
            problems.error(name.place, at(path, "model_name"), why)
            return None
        self._stars(model_name, name, values["model"], path)
        where = f"{name.place.file}:{name.place.line}" if name.place.line else ""
        return Entry(model_name, values, info, where)

    def _strangers(self, node: Node, path: str) -> None:
        for key, value in node.entries.items():
            if key in ("model_name", "litellm_params", "model_info"):
                continue
            step = at(path, key)
            if key in PARAMS or key in known()["litellm_params"]:
                self._problems.error(value.key, step, f"{key} belongs in litellm_params")
            elif (near := guess(key, ("model_name", "litellm_params", "model_info"))) is not None:
                self._problems.error(value.key, step, f"{key} is not known here; did you mean {near}?")
            else:
                self._problems.unknown(value.key, step, f"{key} is not a key of model_list, and has no effect")

    def _params(self, node: Node, path: str) -> dict[str, Any] | None:
        problems = self._problems
        given = {**self._defaults, **self._credential(node, path), **node.entries}
        values: dict[str, Any] = {}
        for key, value in given.items():
            step = at(path, key)
            if (check := PARAMS.get(key) or _DEFAULTS.get(key)) is not None:
                if value.value is None and value.variable is None:
                    continue
                checked = check(value, step, problems)
                if checked is not UNSET:
                    values[key] = checked
            elif key in known()["litellm_params"]:
                self._section.judge(key, value, step, "litellm_params", [])
            elif (near := misspelt(key)) is not None:
                message = f"{key} is not known; did you mean {near}? A parameter of that name goes into extra_body"
                problems.error(value.key, step, message)
            else:
                values[key] = plain(value)
        if "base_url" in values:
            base_url = values.pop("base_url")
            if values.setdefault("api_base", base_url) != base_url:
                problems.error(given["base_url"].key, at(path, "base_url"), "api_base says something else")
        if "model" not in values:
            if "model" not in node.entries:
                problems.error(node.place, path, "model is missing, such as model: poe/Claude-Sonnet-4.6")
            return None
        self._target(values, given, path)
        values.pop("litellm_credential_name", None)
        return values

    def _credential(self, node: Node, path: str) -> Mapping[str, Node]:
        wanted = node.entries.get("litellm_credential_name")
        if wanted is None or not isinstance(wanted.value, str):
            return {}
        found = self._credentials.get(wanted.value)
        if found is None:
            near = guess(wanted.value, self._credentials)
            more = f"; did you mean {near}?" if near else ""
            step = at(path, "litellm_credential_name")
            self._problems.error(wanted.place, step, f"credential_list has no {wanted.value!r}{more}")
        return found or {}

    def _target(self, values: dict[str, Any], given: Mapping[str, Node], path: str) -> None:
        """The provider has to exist, and its key has to go to it."""
        problems, model = self._problems, given["model"]
        provider, base = values.get("custom_llm_provider"), values.get("api_base")
        if values["model"].startswith("*") and provider is None and base is None:
            if "api_key" in values:
                message = "the key would go to whichever provider the caller names; write model: PROVIDER/*"
                problems.error(given["api_key"].place, at(path, "api_key"), message)
            return
        prefix = provider or values["model"].partition("/")[0]
        if prefix in providers() and self._registry.get(prefix) is None:
            problems.error(model.place, at(path, "model"), _lacking(prefix))
            return
        try:
            row, name = named(values["model"], self._registry, provider=provider, base_url=base)
        except BadRequestError as error:
            problems.error(model.place, at(path, "model"), str(error))
            return
        if any(key.startswith("mock_") for key in values):
            return
        if row.name == "poe" and "*" not in name:
            self._listed(name, model, at(path, "model"))
        if (wire := values.get("wire", row.wires[0])) not in row.wires:
            message = f"{row.name} speaks {', '.join(row.wires)}, not {wire!r}"
            problems.error(given["wire"].place, at(path, "wire"), message)
        if not row.base_url and base is None and not self._base_variable(row):
            variable = self._registry.base_variables(row)[0]
            problems.error(model.place, path, f"{row.name} has no host of its own: write api_base, or set {variable}")
        self._key(row, values, given, path)

    def _listed(self, name: str, node: Node, path: str) -> None:
        """A model of Poe's that the catalogue does not have is called all the same: it may be newer, or private."""
        catalogue = shipped_models()
        facts = catalogue.get(name)
        if facts is not None and facts.status != RETIRED:
            return
        self._guesses += 1
        near = catalogue.near(name) if self._guesses <= _MOST_GUESSES else []
        more = f"did you mean {', '.join(f'poe/{one}' for one in near)}?" if near else "`quoth models` lists what is"
        message = f"{name!r} is not in the catalogue of Poe's models, which lacks new and private ones; {more}"
        self._problems.warning(node.place, path, message, UNLISTED)

    def _base_variable(self, row: Row) -> str | None:
        return next((name for name in self._registry.base_variables(row) if self._variables.get(name)), None)

    def _key(self, row: Row, values: dict[str, Any], given: Mapping[str, Node], path: str) -> None:
        problems = self._problems
        key = given.get("api_key")
        variable: str | None = None
        if key is not None and key.value is not None:
            variable = key.variable
        elif key is None or key.variable is None:
            variable = next((name for name in row.key_env if self._variables.get(name)), None)
            if variable is None:
                if row.key_required and not any(self._variables.names_file(name) for name in row.key_env):
                    no_key = f"no key for {row.title or row.name}"
                    wanted = f"set {row.key_env[0]} (it is unset or blank), or write" if row.key_env else "write"
                    place = given["model"].place
                    if place != NOWHERE:
                        problems.error(place, at(path, "model"), f"{no_key}: {wanted} api_key")
                    else:  # the models are those of no file
                        offline = "without a key, `quoth demo` shows it all offline"
                        problems.error(place, "", f"{no_key}: set {row.key_env[0]} (it is unset or blank); {offline}")
                return
            if not self._environment.get(variable, "").strip():
                # It was read from NAME_FILE: calls find it in the environment that the settings add.
                self._variables.own.setdefault(variable, self._variables.get(variable) or "")
        if variable is not None:
            self._host(variable, row, values, given, path)

    def _host(self, variable: str, row: Row, values: dict[str, Any], given: Mapping[str, Node], path: str) -> None:
        """A key that belongs to one provider does not go to the host of another."""
        base = values.get("api_base")
        if base is None and self._base_variable(row) is not None:
            return  # whoever sets that variable has said where the key goes
        owner = self._owner(variable, row)
        stranger = None if owner is None else self._registry.other_owner_of(base or row.base_url, owner)
        if owner is None or stranger is None:
            return
        name = "model" if base is None else "api_base" if "api_base" in given else "base_url"
        message = (
            f"{variable} is {owner.name}'s key and this is {stranger}'s host, so it is not sent there. "
            f"Write an api_key for that host, or call {owner.name}/..."
        )
        self._problems.error(given[name].place, at(path, name), message)

    def _owner(self, variable: str, row: Row) -> Row | None:
        """The provider that a variable's key belongs to."""
        if variable in row.key_env:
            return row
        rows = (self._registry.get(name) for name in self._registry.names())
        return next((other for other in rows if other is not None and variable in other.key_env), None)

    def _info(self, node: Node | None, path: str) -> dict[str, Any]:
        if node is None or node.value is None:
            return {}
        if not isinstance(node.value, dict):
            self._problems.error(node.place, path, "it has to be a mapping")
            return {}
        values: dict[str, Any] = {}
        for key, value in node.entries.items():
            step = at(path, key)
            if (check := MODEL_INFO.get(key)) is not None:
                if value.value is not None and (checked := check(value, step, self._problems)) is not UNSET:
                    values[key] = checked
                continue
            fact = known()["model_info"].get(key)
            if fact is not None and fact.kind == "restricts":
                self._section.judge(key, value, step, "model_info", [])
            values[key] = plain(value)  # whatever else there is, is shown by /model/info
        return values

    def _stars(self, model_name: str, node: Node, model: str, path: str) -> None:
        step, problems = at(path, "model_name"), self._problems
        if model_name.count("*") > 1:
            problems.error(node.place, step, f"{model_name!r} has more than one *, so that it never matches")
        elif "*" in model and "*" not in model_name:
            message = f"{model!r} has a * and {model_name!r} has none, so that nothing can stand for it"
            problems.error(node.place, step, message)
        elif model.count("*") > 1:
            problems.error(node.place, step, f"{model!r} has more than one *")


@lru_cache(maxsize=1000)
def misspelt(key: str) -> str | None:
    """The key that this one misspells: it would travel to the provider as a parameter of its own."""
    if len(key) < 4 or key in _LIKE_OTHERS:
        return None
    word = key.lower().replace("-", "_")
    return next((name for name in (*PARAMS, *_DEFAULTS) if one_slip(word, name)), None)


def _lacking(provider: str) -> str:
    """What is said of a provider that is LiteLLM's and has no row here."""
    return (
        f"{provider} is a provider of LiteLLM's for which there is no row here. If it speaks OpenAI's protocol, write "
        "model: custom_openai/... with its api_base, or a row of your own under quoth: {providers: [...]}"
    )


def entries(
    node: Node,
    registry: Registry,
    variables: Variables,
    environment: Mapping[str, str],
    section: Section,
    credentials: Mapping[str, Mapping[str, Node]],
    defaults: Mapping[str, Node],
    problems: Problems,
) -> tuple[Entry, ...]:
    """The entries of `model_list`; what is wrong with one of them, or between them, is reported."""
    if not isinstance(node.value, list):
        problems.error(node.place, "model_list", "it has to be a list")
        return ()
    if not node.items:
        problems.error(node.place, "model_list", "it is empty; leave it out to serve every model of Poe")
        return ()
    reader = _Reader(registry, variables, environment, section, credentials, defaults, problems)
    found = [
        (entry, item, index)
        for index, item in enumerate(node.items)
        for entry in reader.entries(item, at("model_list", index))
    ]
    _duplicates(found, problems)
    _weights(found, problems)
    return tuple(entry for entry, _, _ in found)


def _duplicates(found: list[tuple[Entry, Node, int]], problems: Problems) -> None:
    deployments: dict[bytes, Entry] = {}
    ids: dict[str, Entry] = {}
    for entry, node, index in found:
        path = at("model_list", index)
        same = msgspec.msgpack.encode([entry.model_name, entry.litellm_params], order="deterministic")
        if (first := deployments.setdefault(same, entry)) is not entry:
            problems.error(
                node.place, path, f"it is the same deployment as that at {first.where}; take one of them out"
            )
        own_id = entry.model_info.get("id")
        if isinstance(own_id, str) and (first := ids.setdefault(own_id, entry)) is not entry:
            place = node.entries["model_info"].entries["id"].place
            problems.error(place, at(path, "model_info.id"), f"{own_id!r} is also the id of the entry at {first.where}")


def _weights(found: list[tuple[Entry, Node, int]], problems: Problems) -> None:
    groups: dict[str, list[tuple[Entry, Node, int]]] = defaultdict(list)
    for one in found:
        groups[one[0].model_name].append(one)
    for name, members in groups.items():
        if all(entry.litellm_params.get("weight") == 0 for entry, _, _ in members):
            _, node, index = members[0]
            message = f"every deployment of {name!r} has the weight 0: none is ever chosen"
            problems.error(node.place, at(at("model_list", index), "litellm_params.weight"), message)
