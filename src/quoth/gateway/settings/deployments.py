"""`model_list`, `credential_list` and aliases: what can be called, and what makes no sense among it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET

from quoth.call import Row
from quoth.errors import BadRequestError
from quoth.gateway.settings.document import Node, plain
from quoth.gateway.settings.known import Section, known
from quoth.gateway.settings.problems import Place, Problems, at
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
    secret,
    text,
    texts,
    url,
    whole,
)
from quoth.providers.resolve import named
from quoth.providers.rows import Registry

__all__ = ["PARAMS", "Names", "aliases", "entries", "implicit"]

# What steers a deployment, and never travels.
PARAMS: dict[str, Check] = {
    "additional_drop_params": texts,
    "allowed_openai_params": texts,
    "api_base": url,
    "api_key": secret,
    "base_url": url,
    "cooldown_time": duration(),
    "custom_llm_provider": text,
    "disable_quirks": texts,
    "drop_params": boolean,
    "extra_body": mapping,
    "extra_headers": mapping_of(secret),
    "extra_query": mapping,
    "headers": mapping_of(secret),
    "input_cost_per_token": number(),
    "litellm_credential_name": text,
    "max_retries": whole(),
    "mock_response": anything,
    "model": text,
    "num_retries": whole(),
    "order": whole(),
    "output_cost_per_token": number(),
    "request_timeout": duration(above=True),
    "rpm": whole(1),
    "stream_timeout": duration(above=True),
    "tags": texts,
    "timeout": duration(above=True),
    "tpm": whole(1),
    "weight": number(),
}
# OpenAI's own parameters, as defaults of a deployment's requests. Anything else in litellm_params is one too.
_DEFAULTS: dict[str, Check] = {
    "frequency_penalty": number(-2, 2),
    "logit_bias": mapping,
    "max_completion_tokens": whole(1),
    "max_tokens": whole(1),
    "metadata": mapping,
    "n": whole(1),
    "parallel_tool_calls": boolean,
    "presence_penalty": number(-2, 2),
    "reasoning_effort": anything,
    "response_format": mapping,
    "seed": whole(-(1 << 63)),
    "stop": texts,
    "stream_options": mapping,
    "temperature": number(0, 2),
    "tool_choice": anything,
    "tools": listing(mapping),
    "top_logprobs": whole(),
    "top_p": number(0, 1),
    "user": text,
}
MODEL_INFO: dict[str, Check] = {
    "base_model": text,
    "id": text,
    "input_cost_per_token": number(),
    "max_input_tokens": whole(1),
    "max_output_tokens": whole(1),
    "max_tokens": whole(1),
    "mode": text,
    "output_cost_per_token": number(),
}
_IMPLICIT = ("poe/*", "*")


def implicit() -> tuple[Entry, ...]:
    """Without a model_list every model of Poe is served, under its own name and as poe/NAME."""
    return tuple(Entry(name, {"model": "poe/*"}, {}, "") for name in _IMPLICIT)


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

    def entry(self, node: Node, path: str) -> Entry | None:
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
        self._stars(model_name, name, values["model"], path)
        return Entry(model_name, values, info, f"{name.place.file}:{name.place.line}")

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
            elif (near := _slip(key)) is not None:
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
        if values["model"] == "*" and provider is None and base is None:
            return  # the caller names the provider
        try:
            row, _ = named(values["model"], self._registry, provider=provider, base_url=base)
        except BadRequestError as error:
            problems.error(model.place, at(path, "model"), _lacking(values["model"], provider, str(error)))
            return
        if "mock_response" in values:
            return
        if not row.base_url and base is None and not self._base_variable(row):
            variable = self._registry.base_variables(row)[0]
            problems.error(model.place, path, f"{row.name} has no host of its own: write api_base, or set {variable}")
        self._key(row, values, given, path)

    def _base_variable(self, row: Row) -> str | None:
        return next((name for name in self._registry.base_variables(row) if self._variables.get(name)), None)

    def _key(self, row: Row, values: dict[str, Any], given: Mapping[str, Node], path: str) -> None:
        problems = self._problems
        key, base = given.get("api_key"), given.get("api_base") or given.get("base_url")
        variable: str | None = None
        if key is not None and key.value is not None:
            variable = key.variable
        elif key is None or key.variable is None:
            variable = next((name for name in row.key_env if self._variables.get(name)), None)
            if variable is None:
                if row.key_required and not any(self._variables.names_file(name) for name in row.key_env):
                    wanted = f"set {row.key_env[0]} (it is unset or blank), or write" if row.key_env else "write"
                    place = given["model"].place
                    problems.error(place, at(path, "model"), f"no key for {row.title or row.name}: {wanted} api_key")
                return
            if variable not in self._environment:
                # It was read from NAME_FILE: calls find it in the environment that the settings add.
                self._variables.own.setdefault(variable, self._variables.get(variable) or "")
        if variable is None or base is None or "api_base" not in values:
            return
        owner = self._owner(variable, row)
        stranger = None if owner is None else self._registry.other_owner_of(values["api_base"], owner)
        if owner is not None and stranger is not None:
            message = (
                f"{variable} is {owner.name}'s key and this is {stranger}'s host, so it is not sent there. "
                f"Write an api_key for that host, or call {stranger}/..."
            )
            problems.error(base.place, at(path, "api_base"), message)

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


def _slip(key: str) -> str | None:
    """The steering key that this one misspells: it would travel to the provider as a parameter."""
    if len(key) < 4:
        return None
    near = guess(key, [name for name in PARAMS if abs(len(name) - len(key)) <= 1])
    return near if near is not None and _one_slip(key.lower().replace("-", "_"), near) else None


def _one_slip(word: str, meant: str) -> bool:
    """Whether one letter too many, too few, wrong or exchanged makes one of the other."""
    if word == meant:
        return True
    short, long = sorted((word, meant), key=len)
    start = next(
        (number for number, pair in enumerate(zip(short, long, strict=False)) if pair[0] != pair[1]), len(short)
    )
    if len(short) < len(long):
        return short[start:] == long[start + 1 :]
    swapped = short[start : start + 2][::-1] == long[start : start + 2] and short[start + 2 :] == long[start + 2 :]
    return short[start + 1 :] == long[start + 1 :] or swapped


def _lacking(model: str, provider: str | None, said: str) -> str:
    """What is said of a provider that is LiteLLM's and has no row here."""
    name = provider or model.partition("/")[0]
    if name in known()["providers"]:
        return (
            f"{name} is a provider of LiteLLM's for which there is no row here. If it speaks OpenAI's protocol, write "
            f"model: custom_openai/... with its api_base, or a row of your own under quoth: {{providers: [...]}}"
        )
    return said


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
    read = [(reader.entry(item, at("model_list", number)), item) for number, item in enumerate(node.items)]
    found = [(entry, item, number) for number, (entry, item) in enumerate(read) if entry is not None]
    _duplicates(found, problems)
    _weights([entry for entry, _, _ in found], [item.place for _, item, _ in found], problems)
    return tuple(entry for entry, _, _ in found)


def _duplicates(found: list[tuple[Entry, Node, int]], problems: Problems) -> None:
    deployments: dict[bytes, str] = {}
    ids: dict[str, str] = {}
    for entry, node, number in found:
        path = at("model_list", number)
        same = msgspec.msgpack.encode([entry.model_name, entry.litellm_params], order="deterministic")
        if (first := deployments.setdefault(same, entry.where)) != entry.where:
            problems.error(node.place, path, f"it is the same deployment as that at {first}; take one of them out")
        known_id = entry.model_info.get("id")
        if isinstance(known_id, str) and (first := ids.setdefault(known_id, entry.where)) != entry.where:
            info = node.entries["model_info"]
            place = info.entries["id"].place
            problems.error(place, at(path, "model_info.id"), f"{known_id!r} is also the id of the entry at {first}")


def _weights(found: list[Entry], places: list[Place], problems: Problems) -> None:
    groups: dict[str, list[int]] = defaultdict(list)
    for number, entry in enumerate(found):
        groups[entry.model_name].append(number)
    for name, numbers in groups.items():
        weights = [found[number].litellm_params.get("weight") for number in numbers]
        if all(weight == 0 for weight in weights):
            path = at(at("model_list", numbers[0]), "litellm_params.weight")
            problems.error(
                places[numbers[0]], path, f"every deployment of {name!r} has the weight 0: none is ever chosen"
            )


class Names:
    """The names that a caller may use: those of the list, those that its wildcards match, aliases."""

    def __init__(self, found: tuple[Entry, ...], also: Mapping[str, str]):
        names = [entry.model_name for entry in found]
        self.exact = frozenset(name for name in names if "*" not in name)
        self.aliases = also
        self._patterns = [tuple(name.split("*", 1)) for name in names if "*" in name]

    def serves(self, name: str) -> bool:
        return name in self.exact or name in self.aliases or self.matches(name)

    def matches(self, name: str) -> bool:
        return any(
            len(name) >= len(start) + len(end) and name.startswith(start) and name.endswith(end)
            for start, end in self._patterns
        )

    def near(self, name: str) -> str | None:
        return guess(name, [*self.exact, *self.aliases])


def aliases(
    node: Node | None, path: str, found: tuple[Entry, ...], problems: Problems
) -> tuple[dict[str, str], list[str]]:
    """`model_group_alias`: {alias: name} or {alias: {model: name, hidden: true}}; and the hidden ones."""
    said: dict[str, str] = {}
    hidden: list[str] = []
    if node is None or node.value is None:
        return said, hidden
    if not isinstance(node.value, dict):
        problems.error(node.place, path, "it has to be a mapping of aliases to model names")
        return said, hidden
    places: dict[str, Place] = {}
    for alias, value in node.entries.items():
        target = value.entries.get("model", value) if isinstance(value.value, dict) else value
        step = at(path, alias)
        model = text(target, step, problems)
        if isinstance(value.value, dict):
            shown = mapping_of(anything, ("model", "hidden"))(value, step, problems)
            flag = value.entries.get("hidden")
            if flag is not None and shown is not UNSET and boolean(flag, at(step, "hidden"), problems) is True:
                hidden.append(alias)
        if model is not UNSET:
            said[alias], places[alias] = model, target.place
    names = Names(found, {})
    for alias, model in said.items():
        step = at(path, alias)
        if alias in names.exact:
            message = f"{alias!r} is also a model_name; the alias would never be used"
            problems.error(node.entries[alias].key, step, message)
        elif "*" in alias:
            problems.error(node.entries[alias].key, step, "an alias is one name; a * has no meaning in it")
        elif model == alias or model in said:
            problems.error(places[alias], step, f"{model!r} is an alias itself; name a model of model_list")
        elif not names.serves(model):
            near = names.near(model)
            more = f"; did you mean {near}?" if near else ""
            problems.error(places[alias], step, f"model_list has no {model!r}{more}")
    return said, hidden
