"""How calls are routed: the keys that LiteLLM allows in `router_settings` and, some of them, in `litellm_settings` too.

Given in both, `router_settings` wins, with a warning that names both places.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from msgspec import UNSET

from quoth.gateway.settings.document import Node
from quoth.gateway.settings.names import Names
from quoth.gateway.settings.problems import Problems, at
from quoth.gateway.settings.values import (
    Check,
    boolean,
    duration,
    guess,
    listing,
    mapping,
    mapping_of,
    number,
    one_of,
    timeouts,
    whole,
)

__all__ = ["BOTH", "ROUTER", "STRATEGIES", "merged", "targets"]

STRATEGIES = (
    "simple-shuffle",
    "least-busy",
    "latency-based-routing",
    "cost-based-routing",
    "usage-based-routing",
    "usage-based-routing-v2",
)
_ERRORS = (
    *("BadRequestError", "AuthenticationError", "TimeoutError", "RateLimitError", "ContentPolicyViolationError"),
    *("InternalServerError", "ServiceUnavailableError", "NotFoundError", "Default"),
)
_RETRIED = tuple(f"{name}Retries" for name in _ERRORS)
_FAILED = tuple(f"{name}AllowedFails" for name in _ERRORS)
_FALLBACKS = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks")
ANY = "*"


def _target(node: Node, path: str, problems: Problems) -> Any:
    """A fallback: a model's name, or a mapping with model and parameters of its own."""
    if isinstance(node.value, str) and node.value.strip():
        return node.value.strip()
    if isinstance(node.value, dict) and isinstance(getattr(node.entries.get("model"), "value", None), str):
        return mapping(node, path, problems)
    problems.error(node.place, path, "a fallback is the name of a model, or a mapping with model")
    return UNSET


def _targets(node: Node, path: str, problems: Problems) -> Any:
    """A list of fallbacks; one alone is a list of one."""
    one = isinstance(node.value, str | dict)
    return listing(_target)(replace(node, value=[node]) if one else node, path, problems)


def _fallbacks(node: Node, path: str, problems: Problems) -> Any:
    """[{"model": ["other", "third"]}, ...]."""
    form = 'a list of mappings such as - {"model": ["other", "third"]}'
    if isinstance(node.value, dict):
        node = replace(node, value=[node])
    if not isinstance(node.value, list):
        problems.error(node.place, path, f"it has to be {form}")
        return UNSET
    found: list[dict[str, list[Any]]] = []
    for index, item in enumerate(node.items):
        step = at(path, index)
        if not isinstance(item.value, dict) or not item.entries:
            problems.error(item.place, step, f"it has to be in {form}")
            continue
        for model, names in item.entries.items():
            read = _targets(names, at(step, model), problems)
            if read is not UNSET:
                found.append({model: read})
    return found


_policy = mapping_of(whole(), _RETRIED)

# Keys of router_settings that have an effect.
ROUTER: dict[str, Check] = {
    "allowed_fails": whole(),
    "allowed_fails_policy": mapping_of(whole(), _FAILED),
    "content_policy_fallbacks": _fallbacks,
    "context_window_fallbacks": _fallbacks,
    "cooldown_time": duration(),
    "default_fallbacks": _targets,
    "disable_cooldowns": boolean,
    "enable_tag_filtering": boolean,
    "fallbacks": _fallbacks,
    "max_fallbacks": whole(),
    "model_group_retry_policy": mapping_of(_policy),
    "num_retries": whole(),
    "retry_after": duration(),
    "retry_policy": _policy,
    "routing_strategy": one_of(*STRATEGIES),
    "routing_strategy_args": mapping,
    "stream_timeout": timeouts,
    "tag_filtering_match_any": boolean,
    "timeout": timeouts,
}
# Keys of litellm_settings that mean the same; `request_timeout` is its word for `timeout`.
BOTH: dict[str, Check] = {
    name: ROUTER[name]
    for name in (
        "allowed_fails",
        "content_policy_fallbacks",
        "context_window_fallbacks",
        "default_fallbacks",
        "fallbacks",
        "num_retries",
    )
} | {"request_timeout": timeouts}
_SAME = {"request_timeout": "timeout"}
_ARGS: dict[str, Check] = {"lowest_latency_buffer": number(), "ttl": duration(above=True)}
_INERT_ARGS = ("max_latency_list_size", "rolling_window_size")


def merged(
    general: Mapping[str, Any], router: Mapping[str, Any], nodes: tuple[Node, Node], problems: Problems
) -> dict[str, Any]:
    """Both sections as one. `general` and `router` are checked values, `nodes` the sections that they come from."""
    values = {_SAME.get(name, name): value for name, value in general.items() if name in BOTH}
    origins = {_SAME.get(name, name): name for name in general if name in BOTH}
    for name, value in router.items():
        if name in values and values[name] != value:
            place = nodes[0].entries[origins[name]].key
            wins = nodes[1].entries[name].key
            path = at("litellm_settings", origins[name])
            problems.warning(place, path, f"router_settings.{name} at {wins} says something else, and wins")
        values[name] = value
    if "routing_strategy_args" in values:
        node = nodes[1].entries["routing_strategy_args"]
        values["routing_strategy_args"] = _arguments(node, "router_settings.routing_strategy_args", problems)
    return values


def _arguments(node: Node, path: str, problems: Problems) -> dict[str, Any]:
    inert = {name: value for name, value in node.entries.items() if name in _INERT_ARGS}
    for name, value in inert.items():
        problems.warning(value.key, at(path, name), "it has no effect here (how LiteLLM keeps its measurements)")
    known = {name: value for name, value in node.entries.items() if name not in inert}
    found: dict[str, Any] = {}
    for name, value in known.items():
        if (check := _ARGS.get(name)) is None:
            near = guess(name, _ARGS)
            more = f"; did you mean {near}?" if near else f"; there are {', '.join(_ARGS)}"
            problems.error(value.key, at(path, name), f"{name} is not known here{more}")
        elif (checked := check(value, at(path, name), problems)) is not UNSET:
            found[name] = checked
    return found


def targets(routing: Mapping[str, Any], names: Names, nodes: tuple[Node, Node], problems: Problems) -> None:
    """Fallbacks and policies have to name models that there are, and no fallback may lead back."""
    for key in _FALLBACKS:
        if key in routing:
            node, path = _origin(key, nodes)
            _known(node, path, names, problems)
            _cycles(routing[key], names.aliases, node, path, problems)
    if "default_fallbacks" in routing:
        node, path = _origin("default_fallbacks", nodes)
        for index, item in enumerate(node.items or [node]):
            target = item.entries.get("model", item)
            _serves(target, target.value, at(path, index), names, problems)
    if "model_group_retry_policy" in routing:
        node, path = _origin("model_group_retry_policy", nodes)
        for model, policy in node.entries.items():
            if not names.serves(model):
                problems.error(policy.key, at(path, model), _no_model(model, names))


def _origin(key: str, nodes: tuple[Node, Node]) -> tuple[Node, str]:
    general, router = nodes
    if key in router.entries and router.entries[key].value is not None:
        return router.entries[key], at("router_settings", key)
    return general.entries[key], at("litellm_settings", key)


def _pairs(node: Node, path: str) -> Iterator[tuple[str, Node, str]]:
    for index, item in enumerate(node.items or [node]):
        for model, chain in item.entries.items():
            yield model, chain, at(at(path, index), model)


def _known(node: Node, path: str, names: Names, problems: Problems) -> None:
    seen: dict[str, Node] = {}
    for model, chain, step in _pairs(node, path):
        if model != ANY and not names.serves(model):
            problems.error(chain.key, step, _no_model(model, names))
        if model in seen:
            problems.error(chain.key, step, f"{model!r} has fallbacks above, at {seen[model].key}; write one list")
        seen.setdefault(model, chain)
        for index, item in enumerate(chain.items or [chain]):
            target = item.entries.get("model", item)
            _serves(target, target.value, at(step, index), names, problems)


def _serves(node: Node, name: Any, path: str, names: Names, problems: Problems) -> None:
    if isinstance(name, str) and not names.serves(name.strip()):
        problems.error(node.place, path, _no_model(name, names))


def _no_model(name: str, names: Names) -> str:
    near = names.near(name)
    return f"model_list has no {name!r}" + (f"; did you mean {near}?" if near else "")


def _cycles(
    fallbacks: list[dict[str, list[Any]]], aliases: Mapping[str, str], node: Node, path: str, problems: Problems
) -> None:
    """Report each circle once, at the first of its models that is written down."""
    edges: dict[str, list[str]] = {}
    for item in fallbacks:
        for model, chain in item.items():
            names = [name if isinstance(name, str) else str(name["model"]) for name in chain]
            edges[aliases.get(model, model)] = [aliases.get(name, name) for name in names]
    reported: set[frozenset[str]] = set()
    for written, place, step in _pairs(node, path):
        model = aliases.get(written, written)
        circle = _circle(model, edges)
        if circle and frozenset(circle) not in reported:
            reported.add(frozenset(circle))
            problems.error(place.key, step, f"these fallbacks go in a circle: {' -> '.join([*circle, model])}")


def _circle(start: str, edges: Mapping[str, list[str]]) -> list[str]:
    """A way from a model back to itself, without the last step; [] if there is none."""
    came: dict[str, str] = {}
    waiting = [start]
    while waiting:
        model = waiting.pop(0)
        for name in edges.get(model, ()):
            if name == start:
                way = [model]
                while way[-1] != start:
                    way.append(came[way[-1]])
                return way[::-1]
            if name not in came:
                came[name] = model
                waiting.append(name)
    return []
