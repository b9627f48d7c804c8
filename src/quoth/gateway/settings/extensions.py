"""Callbacks and hooks, and the response cache."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from msgspec import UNSET

from quoth.gateway.settings.document import Node
from quoth.gateway.settings.known import Section, known
from quoth.gateway.settings.problems import Problems, at
from quoth.gateway.settings.shapes import Cache
from quoth.gateway.settings.values import Check, duration, guess, one_of, text, texts

__all__ = ["CACHE", "CALLBACKS", "cache", "hooks"]

CALLBACKS = ("callbacks", "success_callback", "failure_callback")
_HOOK = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
CALL_TYPES = tuple(
    (
        "acompletion completion atext_completion text_completion aembedding embedding aresponses responses "
        "anthropic_messages"
    ).split()
)
_OTHER_TYPES = ("redis", "redis-semantic", "valkey-semantic", "qdrant-semantic", "s3", "gcs", "azure-blob", "disk")
CACHE: dict[str, Check] = {
    "mode": one_of("default_on", "default_off"),
    "namespace": text,
    "supported_call_types": texts,
    "ttl": duration(above=True),
    "type": one_of("local", *_OTHER_TYPES),
}


def cache(
    node: Node | None, switched_on: bool, section: Section, own: dict[str, Any], problems: Problems
) -> Cache | None:
    """`cache_params`; None where `cache` is not true. `own` is what stands under `quoth: {cache: ...}`."""
    values = {} if node is None else section.read(node, "litellm_settings.cache_params", "cache_params", CACHE)
    if not switched_on:
        if node is not None and node.value:
            problems.warning(node.key, "litellm_settings.cache_params", "it has no effect without cache: true")
        return None
    kind = values.pop("type", "local")
    if node is not None and kind != "local":
        place = node.entries["type"].place
        message = f"there is no {kind} cache; answers are kept in the memory of each worker, for exactly equal calls"
        problems.warning(place, "litellm_settings.cache_params.type", message)
    values.pop("supported_call_types", None)
    types = None if node is None else node.entries.get("supported_call_types")
    if types is not None and isinstance(types.value, list | str):
        values["supported_call_types"] = tuple(_call_types(types, problems))
    return Cache(**values, **own)  # type: ignore[arg-type]


def _call_types(node: Node, problems: Problems) -> list[str]:
    found = []
    for number, item in enumerate(node.items if isinstance(node.value, list) else [node]):
        if item.value in CALL_TYPES:
            found.append(str(item.value))
        else:
            path = at("litellm_settings.cache_params.supported_call_types", number)
            problems.warning(item.place, path, f"{item.value!r} is not cached; {', '.join(CALL_TYPES)} can be")
    return found


def hooks(node: Node, path: str, folder: Path, section: Section, problems: Problems) -> tuple[list[str], set[str]]:
    """The hooks that a list of callbacks names, and those of its names that switch something on here."""
    found: list[str] = []
    switches: set[str] = set()
    names = texts(node, path, problems)
    if names is UNSET:
        return found, switches
    for number, item in enumerate(node.items or [node]):
        name = item.value
        if not isinstance(name, str):
            continue
        name, step = name.strip(), at(path, number) if node.items else path
        if _HOOK.fullmatch(name):
            if _exists(name, folder):
                found.append(name)
            else:
                module = name.rpartition(".")[0]
                file = f"{module.replace('.', '/')}.py"
                message = f"there is no {file} beside the settings, and no module {module} is installed"
                problems.error(item.place, step, message)
            continue
        fact = known()["callbacks"].get(name)
        if fact is None:
            near = guess(name, known()["callbacks"])
            more = f"; did you mean {near}?" if near else "; one of your own is written module.instance"
            problems.error(item.place, step, f"{name!r} is not a callback{more}")
        elif fact.kind == "works":
            switches.add(name)
        elif fact.kind == "restricts":
            section.unenforced(name, Node(name, item.place, item.place), step, fact.meaning)
        else:
            problems.warning(item.place, step, f"{name} has no effect here ({fact.meaning})")
    return found, switches


def _exists(name: str, folder: Path) -> bool:
    """Whether the module of "module.instance" can be found; it is not imported."""
    parts = name.split(".")[:-1]
    beside = folder.joinpath(*parts)
    if beside.with_suffix(".py").is_file() or (beside / "__init__.py").is_file():
        return True
    try:
        return find_spec(parts[0]) is not None
    except (ImportError, ValueError):
        return False
