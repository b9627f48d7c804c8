"""What is known of LiteLLM's keys, and what becomes of each: `known.toml`, read when settings are.

Kinds: *works*; *harmless* (without effect here: a warning); *restricts* (it would restrict access, spend, content or
the network, and has no effect here: refused unless it stands in `quoth: {accept_unenforced: [...]}`).
"""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from msgspec import UNSET

from quoth.gateway.settings.document import Node, plain
from quoth.gateway.settings.problems import Problems, at
from quoth.gateway.settings.values import Check, guess

__all__ = ["KINDS", "TOP", "Known", "Section", "known", "providers"]

KINDS = ("works", "harmless", "restricts")
TOP = "top level"


class Known(NamedTuple):
    kind: str
    meaning: str


# A list that restricts only where one of these is on it.
_RESTRICTING = {"optional_pre_call_checks": {"router_budget_limiting", "enforce_model_rate_limits"}}


@lru_cache(maxsize=1)
def _facts() -> tuple[dict[str, dict[str, Known]], frozenset[str]]:
    data = tomllib.loads((Path(__file__).parent / "known.toml").read_text("utf-8"))
    names = frozenset(data.pop("providers")["names"])
    return {section: {name: Known(*facts) for name, facts in keys.items()} for section, keys in data.items()}, names


def known() -> dict[str, dict[str, Known]]:
    """Section -> key -> what is known of it."""
    return _facts()[0]


def providers() -> frozenset[str]:
    """The prefixes of models that LiteLLM knows."""
    return _facts()[1]


class Section:
    """Judges the keys of one section and checks the values of those that work.

    `accepted` are the keys, or paths, of `quoth: {accept_unenforced}`; those that were met are added to `met`.
    """

    def __init__(self, accepted: tuple[str, ...], problems: Problems):
        self._accepted, self._problems = frozenset(accepted), problems
        self.met: set[str] = set()

    def read(self, node: Node, path: str, name: str, checks: dict[str, Check]) -> dict[str, object]:
        """The values of the keys that work; the rest is reported. `name` is the section's in known.toml."""
        found: dict[str, object] = {}
        if node.value is None:
            return found
        if not isinstance(node.value, dict):
            self._problems.error(node.place, path, "it has to be a mapping of names to values")
            return found
        for key, value in node.entries.items():
            if (check := checks.get(key)) is not None:
                if value.value is None and value.variable is None:
                    continue  # `key:` with nothing behind it is what LiteLLM takes for its default
                checked = check(value, at(path, key), self._problems)
                if checked is not UNSET:
                    found[key] = checked
            else:
                self.judge(key, value, at(path, key), name, [*known()[name], *checks])
        return found

    def judge(self, key: str, value: Node, path: str, name: str, near: list[str]) -> None:
        """Report a key that does not work here."""
        fact = known()[name].get(key)
        if fact is None:
            self._unknown(key, value, path, name, near)
        elif fact.kind == "restricts" and not _asks_for_nothing(key, value):
            self.unenforced(key, value, path, fact.meaning)
        else:
            self._problems.warning(value.key, path, f"it has no effect here ({fact.meaning})")

    def unenforced(self, key: str, value: Node, path: str, meaning: str) -> None:
        """A key that is to restrict something, and does not."""
        for spelling in (key, path):
            if spelling in self._accepted:
                self.met.add(spelling)
                self._problems.warning(value.key, path, f"it is not enforced, as accepted ({meaning})")
                return
        message = (
            f"it is not enforced here ({meaning}). If you can do without it, write quoth: "
            f"{{accept_unenforced: [{key}]}}"
        )
        self._problems.error(value.key, path, message)

    def _unknown(self, key: str, value: Node, path: str, name: str, near: list[str]) -> None:
        problems = self._problems
        for section, keys in known().items():
            if section != name and key in keys and section in _SETTINGS:
                if keys[key].kind == "harmless":
                    problems.warning(value.key, path, f"it belongs in {section}, and has no effect there either")
                else:
                    problems.error(value.key, path, f"it belongs in {section}")
                return
        where = "a settings file" if name == TOP else name
        if (meant := guess(key, near)) is not None:
            problems.error(value.key, path, f"{key} is not a key of {where}; did you mean {meant}?")
        elif name == TOP:
            keys_ = ", ".join(key for key, fact in known()[TOP].items() if fact.kind == "works")
            problems.error(value.key, path, f"{key} is not a key of {where}; those that work are {keys_}")
        else:
            problems.unknown(value.key, path, f"{key} is not a key of {where}, and has no effect")


_SETTINGS = ("litellm_settings", "general_settings", "router_settings", "litellm_params", TOP)


def _asks_for_nothing(key: str, node: Node) -> bool:
    """A restriction that is switched off, or blank."""
    value = plain(node)
    if key in _RESTRICTING and isinstance(value, list):
        return not _RESTRICTING[key] & set(map(str, value))
    return value is None or value is False or value in ("", [], {})
