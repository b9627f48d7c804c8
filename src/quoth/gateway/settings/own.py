"""What LiteLLM has no word for: everything under `quoth:`."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import urlsplit

from msgspec import UNSET

from quoth.gateway.settings.document import Node
from quoth.gateway.settings.known import Section
from quoth.gateway.settings.problems import Problems, at
from quoth.gateway.settings.shapes import Idempotency, Log, Pacing, Quoth, RetryBudget, Server
from quoth.gateway.settings.values import (
    Check,
    anything,
    boolean,
    duration,
    existing,
    guess,
    number,
    one_of,
    size,
    text,
    texts,
    whole,
    writable,
)
from quoth.providers.quirks import QUIRKS

__all__ = ["OWN", "Own", "read"]


def _quirks(node: Node, path: str, problems: Problems) -> Any:
    found = texts(node, path, problems)
    if found is not UNSET:
        for index, item in enumerate(node.items or [node]):
            if isinstance(item.value, str) and item.value not in QUIRKS:
                near = guess(item.value, QUIRKS)
                more = f"; did you mean {near}?" if near else f"; there are {', '.join(QUIRKS)}"
                problems.error(item.place, at(path, index), f"there is no quirk {item.value!r}{more}")
    return UNSET if found is UNSET else tuple(found)


def _tuple(node: Node, path: str, problems: Problems) -> Any:
    found = texts(node, path, problems)
    return UNSET if found is UNSET else tuple(found)


def _proxy(node: Node, path: str, problems: Problems) -> Any:
    """A proxy's URL may have a user and a password."""
    value = text(node, path, problems)
    if value is UNSET:
        return UNSET
    try:
        parts = urlsplit(value)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return value
    except ValueError:
        pass
    problems.error(node.place, path, "it has to be a URL such as http://proxy.example:3128")
    return UNSET


# Table -> key -> check; "" is `quoth:` itself, every other name a mapping under it.
OWN: dict[str, dict[str, Check]] = {
    "": {
        "accept_unenforced": _tuple,
        "catalogue_ttl": duration(),
        "commit_after": duration(),
        "disable_quirks": _quirks,
        "drain_delay": duration(),
        "drain_timeout": duration(),
        "hook_timeout": duration(above=True),
        "hooks": anything,
        "metrics": boolean,
        "metrics_auth": boolean,
        "otel": boolean,
        "providers": anything,
        "proxy": _proxy,
    },
    "cache": {"max_bytes": size, "max_entries": whole(1)},
    "idempotency": {"ttl": duration()},
    "log": {
        "format": one_of("json", "text", "none"),
        "level": one_of("debug", "info", "warning", "error"),
        "path": writable,
    },
    "pacing": {"max_wait": duration(), "rpm": whole(1)},
    "retry_budget": {"per_second": number(), "ratio": number(0, 1)},
    "server": {
        "backlog": whole(1, 65_535),
        "event_limit": size,
        "file_limit": size,
        "header_timeout": duration(above=True),
        "host": text,
        "json_limit": size,
        "port": whole(0, 65_535),
        "tls_cert": existing,
        "tls_key": existing,
        "workers": whole(1, 256),
        "write_timeout": duration(above=True),
    },
}
_NOT_FIELDS = ("hooks", "providers", "proxy")


class Own(NamedTuple):
    quoth: Quoth
    server: Server
    cache: dict[str, Any]
    proxy: str | None


def read(node: Node, section: Section, problems: Problems) -> Own:
    tables = {
        name: _table(node.entries.get(name), at("quoth", name), checks, problems)
        for name, checks in OWN.items()
        if name
    }
    top = _table(node, "quoth", OWN[""], problems, also=tuple(tables))
    server = Server(**tables["server"])
    if (server.tls_cert is None) != (server.tls_key is None):
        lacking = "tls_key" if server.tls_key is None else "tls_cert"
        problems.error(node.entries["server"].place, "quoth.server", f"{lacking} is missing: TLS needs both files")
    quoth = Quoth(
        **{name: value for name, value in top.items() if name not in _NOT_FIELDS},
        pacing=Pacing(**tables["pacing"]),
        idempotency=Idempotency(**tables["idempotency"]),
        log=Log(**tables["log"]),
        retry_budget=RetryBudget(**tables["retry_budget"]),
    )
    return Own(quoth, server, tables["cache"], top.get("proxy"))


def _table(
    node: Node | None, path: str, checks: dict[str, Check], problems: Problems, also: tuple[str, ...] = ()
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if node is None or node.value is None:
        return found
    if not isinstance(node.value, dict):
        problems.error(node.place, path, "it has to be a mapping of names to values")
        return found
    for key, value in node.entries.items():
        step = at(path, key)
        if (check := checks.get(key)) is not None:
            if (checked := check(value, step, problems)) is not UNSET:
                found[key] = checked
        elif key not in also:
            # These keys are Quoth's own, so one that it does not know is a mistake.
            near = guess(key, [*checks, *also])
            more = f"; did you mean {near}?" if near else f"; there are {', '.join(sorted([*checks, *also]))}"
            problems.error(value.key, step, f"{key} is not known here{more}")
    return found
