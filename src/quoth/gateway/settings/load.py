"""From a file and the environment to Settings: read, fill in, judge, check, put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from quoth.call import Row
from quoth.errors import QuothError
from quoth.gateway.settings import deployments, extensions, keys, names, own, routing
from quoth.gateway.settings.document import Node, empty, plain
from quoth.gateway.settings.gather import gather
from quoth.gateway.settings.known import TOP, Section
from quoth.gateway.settings.problems import NOWHERE, Problems, Refused, at
from quoth.gateway.settings.secrets import Variables
from quoth.gateway.settings.shapes import Entry, Network, Quoth, Server, Settings
from quoth.gateway.settings.values import Check, anything, boolean, existing, number, whole
from quoth.providers.rows import Registry, row_from, rows_from_file

__all__ = ["GENERAL", "LITELLM", "TOP_KEYS", "load"]

_SECTIONS = ("model_list", "credential_list", "litellm_settings", "router_settings", "general_settings", "quoth")
TOP_KEYS: dict[str, Check] = dict.fromkeys([*_SECTIONS, "environment_variables", "include"], anything)


def _certificates(node: Node, path: str, problems: Problems) -> Any:
    """`ssl_verify`: true, false, or the path of a file."""
    if isinstance(node.value, str) and node.value.lower() not in ("true", "false"):
        return existing(node, path, problems)
    return boolean(node, path, problems)


LITELLM: dict[str, Check] = {
    **routing.BOTH,
    **dict.fromkeys(extensions.CALLBACKS, anything),
    "cache": boolean,
    "cache_params": anything,
    "drop_params": boolean,
    "redact_user_api_key_info": boolean,
    "require_auth_for_metrics_endpoint": boolean,
    "ssl_certificate": existing,
    "ssl_verify": _certificates,
    "turn_off_message_logging": boolean,
}
ROUTER: dict[str, Check] = {
    **routing.ROUTER,
    "default_litellm_params": anything,
    "default_max_parallel_requests": whole(1),
    "model_group_alias": anything,
}
GENERAL: dict[str, Check] = {
    "dangerously_permit_weak_or_unset_master_key": boolean,
    "master_key": anything,
    "max_request_size_mb": number(above=True),
}


def load(path: str | None, environment: Mapping[str, str], *, strict: bool = False) -> Settings:
    """The settings of a file, or without one those that the environment alone means.

    `strict`: unknown keys are errors, not warnings. Raises Refused with everything that is wrong, warnings included.
    """
    problems = Problems(strict=strict)
    root, files = (empty(), []) if path is None else gather(path, problems)
    settings = None if root is None else _Loader(root, files, environment, problems).settings()
    if settings is None or problems.errors:
        raise Refused(problems.all())
    return msgspec.structs.replace(settings, warnings=tuple(problems.all()))


class _Loader:
    def __init__(self, root: Node, files: list[str], environment: Mapping[str, str], problems: Problems):
        self._problems, self._files, self._environment = problems, files, environment
        self._folder = Path(files[0]).parent if files else Path()
        self._variables = Variables(environment, problems)
        self._own_environment(root)
        self._root = self._variables.fill(root, "")
        accepted = self._root.entries.get("quoth", empty()).entries.get("accept_unenforced")
        words = [] if accepted is None else [item.value for item in accepted.items or [accepted]]
        self._section = Section(tuple(word for word in words if isinstance(word, str)), problems)
        self._row_files: list[str] = []

    def settings(self) -> Settings:
        problems = self._problems
        self._section.read(_without_notes(self._root), "", TOP, TOP_KEYS)
        quoth = self._under("quoth")
        mine = own.read(quoth, self._section, problems)
        rows = self._rows(quoth)
        registry = Registry(rows)
        general_node, litellm_node, router_node = map(
            self._under, ("general_settings", "litellm_settings", "router_settings")
        )
        general = self._section.read(general_node, "general_settings", "general_settings", GENERAL)
        litellm = self._section.read(litellm_node, "litellm_settings", "litellm_settings", LITELLM)
        router = self._section.read(router_node, "router_settings", "router_settings", ROUTER)
        models = self._models(registry, router_node.entries, quoth)
        alias_node = router_node.entries.get("model_group_alias")
        aliases, hidden = names.aliases(alias_node, "router_settings.model_group_alias", models, problems)
        sections = (litellm_node, router_node)
        routed = routing.merged(litellm, {k: v for k, v in router.items() if k in routing.ROUTER}, sections, problems)
        routing.targets(routed, names.Names(models, aliases), sections, problems)
        hooks, switches = self._hooks(litellm_node, quoth)
        self._private(litellm, litellm_node, hooks)
        params = litellm_node.entries.get("cache_params")
        cache = extensions.cache(params, litellm.get("cache") is True, self._section, mine.cache, problems)
        permitted = general.get("dangerously_permit_weak_or_unset_master_key") is True
        key = keys.master_key(general_node.entries.get("master_key"), self._variables, permitted, problems)
        self._address(mine.server, key, permitted, quoth)
        self._unmet(quoth)
        limit = general.get("max_request_size_mb")
        return Settings(
            models=models,
            aliases=aliases,
            hidden_aliases=tuple(hidden),
            routing=routed,
            drop_params=litellm.get("drop_params") is True,
            master_key=key,
            cache=cache,
            hooks=tuple(hooks),
            server=_limited(mine.server, limit),
            network=Network(
                ssl_verify=litellm.get("ssl_verify", True),  # type: ignore[arg-type]
                client_cert=litellm.get("ssl_certificate"),  # type: ignore[arg-type]
                proxy=mine.proxy,
            ),
            weak_key_permitted=permitted,
            quoth=self._switched(mine.quoth, litellm, switches, rows),
            environment=dict(self._variables.own),
            source_files=tuple(dict.fromkeys([*self._files, *self._variables.files, *self._row_files])),
        )

    def _under(self, name: str) -> Node:
        node = self._root.entries.get(name)
        return node if node is not None and isinstance(node.value, dict) else self._blank(name, node)

    def _blank(self, name: str, node: Node | None) -> Node:
        if node is not None and node.value is not None:
            self._problems.error(node.place, name, "it has to be a mapping of names to values")
        return empty() if node is None else empty(node.place)

    def _own_environment(self, root: Node) -> None:
        """`environment_variables` comes first: what follows may name them."""
        node = root.entries.get("environment_variables")
        if node is None or node.value is None:
            return
        if not isinstance(node.value, dict):
            self._problems.error(node.place, "environment_variables", "it has to be a mapping of names to values")
            return
        # In their order: a value may name a variable of the process, or one above it.
        for name, value in node.entries.items():
            path = at("environment_variables", name)
            filled = self._variables.fill(value, path, name)
            if isinstance(filled.value, dict | list):
                self._problems.error(value.place, path, "the value of a variable is a text or a number")
            elif filled.value is not None:
                shown = str(filled.value)
                self._variables.own[name] = shown.lower() if isinstance(filled.value, bool) else shown

    def _rows(self, quoth: Node) -> list[Row]:
        """Providers of the user's own: a file of rows, or the rows themselves."""
        node = quoth.entries.get("providers")
        if node is None or node.value is None:
            return []
        path = "quoth.providers"
        try:
            if isinstance(node.value, str):
                file = str(Path(node.place.file or "").parent / node.value)
                self._row_files.append(file)
                return rows_from_file(file)
            if not isinstance(node.value, list):
                self._problems.error(node.place, path, "it has to be the path of a TOML file, or a list of rows")
                return []
        except QuothError as error:
            self._problems.error(node.place, path, str(error))
            return []
        found: dict[str, Row] = {}
        for index, item in enumerate(node.items):
            try:
                row = row_from(plain(item), "")
            except QuothError as error:
                self._problems.error(item.place, at(path, index), str(error).removeprefix(": "))
                continue
            if row.name in found:
                self._problems.error(item.place, at(path, index), f"there is a row named {row.name!r} above")
            found[row.name] = row
        return list(found.values())

    def _models(self, registry: Registry, router: Mapping[str, Node], quoth: Node) -> tuple[Entry, ...]:
        node = self._root.entries.get("model_list") or deployments.implicit()
        credentials = self._credentials()
        given: dict[str, Node] = {}
        if (limit := router.get("default_max_parallel_requests")) is not None:
            given["max_parallel_requests"] = limit
        if (rpm := quoth.entries.get("pacing", empty()).entries.get("rpm")) is not None:
            given["rpm"] = rpm
        defaults = router.get("default_litellm_params")
        if defaults is not None and defaults.value is not None:
            if isinstance(defaults.value, dict):
                given |= defaults.entries
            else:
                self._problems.error(defaults.place, "router_settings.default_litellm_params", "it has to be a mapping")
        return deployments.entries(
            node, registry, self._variables, self._environment, self._section, credentials, given, self._problems
        )

    def _credentials(self) -> dict[str, Mapping[str, Node]]:
        node = self._root.entries.get("credential_list")
        found: dict[str, Mapping[str, Node]] = {}
        if node is None or node.value is None:
            return found
        for index, item in enumerate(node.items):
            name, values = item.entries.get("credential_name"), item.entries.get("credential_values")
            path = at("credential_list", index)
            if name is None or values is None or not isinstance(name.value, str) or not isinstance(values.value, dict):
                self._problems.error(item.place, path, "it needs credential_name and credential_values")
            elif name.value in found:
                self._problems.error(name.place, path, f"there is a credential {name.value!r} above")
            else:
                found[name.value] = values.entries
        if not isinstance(node.value, list):
            self._problems.error(node.place, "credential_list", "it has to be a list")
        return found

    def _hooks(self, litellm: Node, quoth: Node) -> tuple[list[str], set[str]]:
        found: list[str] = []
        switches: set[str] = set()
        lists = [(litellm.entries.get(name), at("litellm_settings", name)) for name in extensions.CALLBACKS]
        for node, path in [*lists, (quoth.entries.get("hooks"), "quoth.hooks")]:
            if node is not None and node.value is not None:
                more, also = extensions.hooks(node, path, self._folder, self._section, self._problems)
                found.extend(more)
                switches |= also
        return list(dict.fromkeys(found)), switches

    def _private(self, litellm: Mapping[str, Any], node: Node, hooks: list[str]) -> None:
        """Quoth itself logs neither prompts nor keys; but hooks are handed the calls as they are."""
        for key in ("turn_off_message_logging", "redact_user_api_key_info"):
            if hooks and litellm.get(key) is True:
                meaning = f"{hooks[0]} is handed calls as they are"
                self._section.unenforced(key, node.entries[key], at("litellm_settings", key), meaning)

    def _switched(self, quoth: Quoth, litellm: Mapping[str, Any], switches: set[str], rows: list[Row]) -> Quoth:
        changes: dict[str, Any] = {"providers": tuple(rows)}
        if "require_auth_for_metrics_endpoint" in litellm:
            changes["metrics_auth"] = litellm["require_auth_for_metrics_endpoint"]
        if "otel" in switches:
            changes["otel"] = True
        return msgspec.structs.replace(quoth, **changes)

    def _address(self, server: Server, key: str | None, permitted: bool, quoth: Node) -> None:
        node = quoth.entries.get("server", empty()).entries.get("host")
        place = NOWHERE if node is None else node.place
        for problem in keys.exposure(server.host, key, permitted):
            add = self._problems.error if problem.severity == "error" else self._problems.warning
            add(place, "" if node is None else "quoth.server.host", problem.message)
        for problem in keys.apart(server.workers):
            self._problems.warning(
                quoth.entries["server"].entries["workers"].place, "quoth.server.workers", problem.message
            )

    def _unmet(self, quoth: Node) -> None:
        node = quoth.entries.get("accept_unenforced")
        if node is None or self._problems.errors:
            return
        for index, item in enumerate(node.items or [node]):
            if isinstance(item.value, str) and item.value not in self._section.met:
                path = at("quoth.accept_unenforced", index)
                self._problems.unknown(item.place, path, f"nothing here is accepted by {item.value!r}; take it out")


def _without_notes(root: Node) -> Node:
    """Without the keys that begin with x-, which are there to hold anchors."""
    return replace(root, value={name: value for name, value in root.entries.items() if not name.startswith("x-")})


def _limited(server: Server, megabytes: Any) -> Server:
    if megabytes is None:
        return server
    limit = int(megabytes * (1 << 20))
    return msgspec.structs.replace(
        server, json_limit=min(server.json_limit, limit), file_limit=min(server.file_limit, limit)
    )
