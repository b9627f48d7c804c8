"""The names of a request's tools, where other protocols have other ones.

Tools may stand in a namespace, and calls to them come back with it. No other protocol has that, so there the namespace
is a part of the tool's name, and is taken out of it again on the way back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from quoth.wire.carried import Json

__all__ = ["NO_TOOLS", "ToolNames", "flat", "flat_name", "names_of"]

_BETWEEN = "__"


@dataclass(frozen=True, slots=True)
class ToolNames:
    """By the names that other protocols call them by: `free` are the tools whose input is free text, `spaced` has the
    namespace and the name of those that stand in one."""

    free: frozenset[str] = frozenset()
    spaced: Mapping[str, tuple[str, str]] = field(default_factory=dict)


NO_TOOLS = ToolNames()


def names_of(document: Mapping[str, Any] | None) -> ToolNames:
    """The names in a request of this API."""
    tools = document.get("tools") if document is not None else None
    if not isinstance(tools, list) or not tools:
        return NO_TOOLS
    free, spaced = set(), {}
    for space, tool in _all(tools):
        if isinstance(tool, Mapping) and isinstance(name := tool.get("name"), str):
            known = flat_name(space, name)
            if tool.get("type") == "custom":
                free.add(known)
            if space:
                spaced[known] = (space, name)
    return ToolNames(frozenset(free), spaced) if free or spaced else NO_TOOLS


def flat_name(space: Any, name: Any) -> Any:
    """The name of a tool where there are no namespaces."""
    return f"{space}{_BETWEEN}{name}" if isinstance(space, str) and space else name


def flat(tool: Any) -> list[Any]:
    """A tool as those that it stands for where there are no namespaces. What a namespace says of itself, each of its
    tools says first."""
    if not _is_space(tool):
        return [tool]
    found = []
    for one in tool["tools"]:
        if isinstance(one, Mapping):
            about = [text for text in (tool.get("description"), one.get("description")) if text]
            described: Json = {"description": "\n\n".join(map(str, about))} if about else {}
            one = {**one, "name": flat_name(tool.get("name"), one.get("name")), **described}
        found.append(one)
    return found


def _all(tools: list[Any]) -> Iterator[tuple[str, Any]]:
    for tool in tools:
        if _is_space(tool):
            yield from ((str(tool.get("name") or ""), one) for one in tool["tools"])
        else:
            yield "", tool


def _is_space(tool: Any) -> bool:
    return isinstance(tool, Mapping) and tool.get("type") == "namespace" and isinstance(tool.get("tools"), list)
