"""Rows: what is known of each provider, one TOML file each under `catalog/`, and rows of the user's own beside them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from quoth.call import Row, Rule
from quoth.errors import QuothError
from quoth.providers.quirks import QUIRKS

__all__ = ["Registry", "packaged_names", "row_from", "rows_from_file"]

_TUPLES = ("key_env", "base_env", "wires", "json_schema", "quirks", "aliases")
_CATALOG = Path(__file__).parent / "catalog"
_FIELDS = frozenset(Row.__struct_fields__)
_RULE_FIELDS = frozenset(Rule.__struct_fields__)
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_KINDS: dict[str, type] = {
    "calls_per_minute": int,
    "embeddings": bool,
    "headers": Mapping,
    "key_required": bool,
    "max_stop": int,
    "params": Mapping,
}
_WORDS = {str: "a text", bool: "true or false", int: "a whole number", Mapping: "a table"}
_STREAM_USAGE = ("ask", "given", "none")
_NEVER_REFUSED = frozenset({"model", "messages", "stream", "tools", "tool_choice"})


def row_from(data: Mapping[str, Any], where: str = "a provider row") -> Row:
    """A row from plain data. Raises QuothError that names the place and what is wrong with it."""
    if not isinstance(data, Mapping):
        raise QuothError(f"{where}: it has to be a table with name and base_url")
    unknown = set(data) - _FIELDS
    if unknown:
        raise QuothError(f"{where}: unknown field {sorted(unknown)[0]!r}; a row has {', '.join(sorted(_FIELDS))}")
    missing = {"name", "base_url"} - set(data)
    if missing:
        raise QuothError(f"{where}: {sorted(missing)[0]!r} is missing")
    values = dict(data)
    for problem in _problems(values):
        raise QuothError(f"{where}: {problem}")
    for name in _TUPLES:
        if name in values:
            values[name] = tuple(values[name])
    values.setdefault("key_env", (f"{_env_name(values['name'])}_API_KEY",))
    values["params"] = {
        name: _rule_from(rule, f"{where}, params.{name}", name) for name, rule in values.get("params", {}).items()
    }
    values["base_url"] = str(values["base_url"]).rstrip("/")
    return Row(**values)


def _problems(values: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the fields of a row, the first of a kind first: types, then what the values mean."""
    for name, value in values.items():
        if name in _TUPLES:
            if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
                yield f"{name} is {value!r}; it has to be a list of texts"
        elif not isinstance(value, kind := _KINDS.get(name, str)):
            yield f"{name} is {value!r}; it has to be {_WORDS[kind]}"
    for name in (values["name"], *values.get("aliases", ())):
        if not _NAME.fullmatch(name):
            yield f"{name!r} is no name; lower-case letters, digits, '.', '_' and '-' make one"
    if values["base_url"] and not host_of(values["base_url"]):
        yield f"base_url {values['base_url']!r} is not a URL of the form https://host/v1"
    if values.get("stream_usage", "ask") not in _STREAM_USAGE:
        yield f"stream_usage is {values['stream_usage']!r}; it is one of {', '.join(_STREAM_USAGE)}"
    if values.get("retired") and not _DAY.fullmatch(values["retired"]):
        yield f"retired is {values['retired']!r}; it has to be a day such as 2026-07-30"
    for quirk in values.get("quirks", ()):
        if quirk not in QUIRKS:
            yield f"there is no quirk {quirk!r}; there are {', '.join(QUIRKS)}"


def _rule_from(data: Any, where: str, param: str) -> Rule:
    if not isinstance(data, Mapping):
        raise QuothError(f'{where}: it has to be a table such as {{ rule = "refused" }}')
    unknown = set(data) - _RULE_FIELDS
    if unknown:
        raise QuothError(f"{where}: unknown field {sorted(unknown)[0]!r}")
    kind = data.get("rule")
    if kind not in ("refused", "renamed", "mapped", "ignored"):
        raise QuothError(f"{where}: rule {kind!r} is not one of refused, renamed, mapped, ignored")
    if kind == "refused" and param in _NEVER_REFUSED:
        raise QuothError(f"{where}: {param} is never refused or dropped")
    if kind == "renamed" and not data.get("to"):
        raise QuothError(f"{where}: a renamed parameter needs `to`")
    return Rule(**{**data, "allowed": tuple(data.get("allowed", ()))})


def rows_from_file(path: str) -> list[Row]:
    """Rows of the user's own: a TOML file with one or more `[[provider]]` tables. Raises QuothError."""
    try:
        data = tomllib.loads(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise QuothError(f"the providers file {path!r} cannot be read: {error}") from None
    tables = data.get("provider")
    if not isinstance(tables, list) or not tables:
        raise QuothError(f"{path}: it needs at least one [[provider]] table")
    rows: dict[str, Row] = {}
    for number, table in enumerate(tables, 1):
        row = row_from(table, f"{path}, provider {number}")
        if row.name in rows:
            raise QuothError(f"{path}, provider {number}: there is a row named {row.name!r} above")
        rows[row.name] = row
    return list(rows.values())


def packaged_names() -> list[str]:
    """The names of the shipped rows, sorted."""
    names = (item.name for item in _CATALOG.iterdir())
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


@cache
def _packaged(name: str) -> Row | None:
    if not name.isidentifier() or len(name) > 64:
        return None
    file = _CATALOG / f"{name}.toml"
    if not file.is_file():
        return None
    return row_from(tomllib.loads(file.read_text("utf-8")), f"{name}.toml")


@lru_cache(maxsize=1)
def _packaged_aliases() -> dict[str, str]:
    return {alias: row.name for row in filter(None, map(_packaged, packaged_names())) for alias in row.aliases}


@lru_cache(maxsize=1)
def _packaged_hosts() -> dict[str, str]:
    rows = filter(None, map(_packaged, packaged_names()))
    return {host: row.name for row in rows if (host := host_of(row.base_url)) and not _is_loopback(host)}


@lru_cache(maxsize=512)
def host_of(url: str) -> str:
    """The host that a URL means, in one comparable form with its port: "api.poe.com:443"; "" for what is no URL.

    Plain http on its usual port counts as the https host: a key of another provider must reach neither.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    name = (parts.hostname or "").rstrip(".")
    return f"{name}:{443 if port in (None, 80) else port}" if name else ""


def _env_name(provider: str) -> str:
    return "".join(char if char.isalnum() else "_" for char in provider).upper()


class Registry:
    """All rows in force. A row of the user's own replaces a shipped one of the same name."""

    def __init__(self, own: Iterable[Row] = ()):
        self._own = {row.name: row for row in own}
        self._own_aliases = {alias: row.name for row in self._own.values() for alias in row.aliases}

    def get(self, name: str) -> Row | None:
        """The row with this name or alias, in any case."""
        name = name.lower()
        own = self._own.get(name) or self._own.get(self._own_aliases.get(name, ""))
        if own is not None:
            return own
        row = _packaged(name)
        if row is None and name in (aliases := _packaged_aliases()):
            row = self._own.get(aliases[name]) or _packaged(aliases[name])
        return row

    def names(self) -> list[str]:
        return sorted({*packaged_names(), *self._own})

    def owner_of(self, url: str) -> str | None:
        """The name of the row that this URL's host belongs to; None for loopback and for hosts of nobody."""
        host = host_of(url)
        if not host or _is_loopback(host):
            return None
        for row in self._own.values():
            if host_of(row.base_url) == host:
                return row.name
        return _packaged_hosts().get(host)

    def other_owner_of(self, url: str, row: Row) -> str | None:
        """The name of the row, other than this one, that a URL's host belongs to. Two rows may share a host."""
        owner = self.owner_of(url)
        return None if owner == row.name or host_of(url) == host_of(row.base_url) else owner

    def base_variables(self, row: Row) -> tuple[str, ...]:
        """The environment variables that move this provider's base URL, the first that is set wins."""
        return (f"{_env_name(row.name)}_API_BASE", *row.base_env)


def _is_loopback(host: str) -> bool:
    name = host.rpartition(":")[0]
    return name in ("localhost", "::1") or name.startswith("127.")
