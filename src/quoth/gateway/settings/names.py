"""The names that callers may use: those of `model_list`, what its wildcards match, and aliases."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import UNSET

from quoth.gateway.settings.document import Node
from quoth.gateway.settings.problems import Place, Problems, at
from quoth.gateway.settings.shapes import Entry
from quoth.gateway.settings.values import anything, boolean, guess, mapping_of, text

__all__ = ["LONGEST", "Names", "aliases", "unsayable"]

# Characters of a name in a call.
LONGEST = 512


class Names:
    """`also` are aliases. A `*` stands for at least one character."""

    def __init__(self, found: tuple[Entry, ...], also: Mapping[str, str]):
        names = [entry.model_name for entry in found]
        self.exact = frozenset(name for name in names if "*" not in name)
        self.aliases = also
        self._patterns = [tuple(name.split("*", 1)) for name in names if "*" in name]

    def serves(self, name: str) -> bool:
        return name in self.exact or name in self.aliases or self.matches(name)

    def matches(self, name: str) -> bool:
        return any(
            len(name) > len(start) + len(end) and name.startswith(start) and name.endswith(end)
            for start, end in self._patterns
        )

    def near(self, name: str) -> str | None:
        return guess(name, [*self.exact, *self.aliases])


def unsayable(name: str) -> str | None:
    """Why no call can ask for a model of this name; None for one that can be asked for."""
    if not name.isprintable():
        return f"{name[:40]!r} has a character that cannot be seen, so that no call can name it"
    if not 0 < len(name) <= LONGEST:
        return f"a name has 1 to {LONGEST} characters, so that no call can name this one"
    return None


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
        if (never := unsayable(alias) or _never_used(alias, names)) is not None:
            problems.error(node.entries[alias].key, step, never)
        elif model == alias or model in said:
            problems.error(places[alias], step, f"{model!r} is an alias itself; name a model of model_list")
        elif not names.serves(model):
            near = names.near(model)
            more = f"; did you mean {near}?" if near else ""
            problems.error(places[alias], step, f"model_list has no {model!r}{more}")
    return said, hidden


def _never_used(alias: str, names: Names) -> str | None:
    if alias in names.exact:
        return f"{alias!r} is also a model_name; the alias would never be used"
    return "an alias is one name; a * has no meaning in it" if "*" in alias else None
