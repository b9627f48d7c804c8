"""Settings as plain data. They travel from the parent process to its workers by msgspec, and no repr shows a secret."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from quoth.call import Row
from quoth.gateway.settings.problems import Problem
from quoth.providers.rows import Registry

__all__ = ["Cache", "Entry", "Idempotency", "Log", "Network", "Pacing", "Quoth", "RetryBudget", "Server", "Settings"]


class Entry(msgspec.Struct, frozen=True):
    """One item of `model_list`, with credentials filled in and `os.environ/NAME` replaced. `where`: "file:line"."""

    model_name: str
    litellm_params: dict[str, Any]
    model_info: dict[str, Any] = {}
    where: str = ""

    def __repr__(self) -> str:
        return f"Entry({self.model_name!r} -> {self.litellm_params.get('model')!r}, {self.where})"


class Cache(msgspec.Struct, frozen=True):
    """The response cache. `ttl` in seconds. `mode`: whether calls that do not say use it."""

    ttl: float = 600.0
    namespace: str = ""
    mode: Literal["default_on", "default_off"] = "default_on"
    supported_call_types: tuple[str, ...] = (
        "acompletion",
        "atext_completion",
        "aembedding",
        "aresponses",
        "anthropic_messages",
    )
    max_entries: int = 10_000
    max_bytes: int = 64 << 20


class Server(msgspec.Struct, frozen=True):
    """Where and how to listen. Times in seconds, sizes in bytes; `write_timeout`: how long a client may take nothing
    of its answer; `event_limit`: one event of a provider's stream."""

    host: str = "127.0.0.1"
    port: int = 4000
    workers: int = 1
    tls_cert: str | None = None
    tls_key: str | None = None
    header_timeout: float = 10.0
    write_timeout: float = 60.0
    json_limit: int = 32 << 20
    file_limit: int = 100 << 20
    event_limit: int = 16 << 20
    backlog: int = 1024


class Network(msgspec.Struct, frozen=True):
    """The way to the providers. `ssl_verify`: True, False, or the path of a file with certificates."""

    ssl_verify: bool | str = True
    client_cert: str | None = None
    proxy: str | None = None

    def __repr__(self) -> str:
        # A proxy's URL may hold a password.
        return (
            f"Network(ssl_verify={self.ssl_verify!r}, client_cert={self.client_cert!r}, proxy={self.proxy is not None})"
        )


class Pacing(msgspec.Struct, frozen=True):
    """Requests a minute for one upstream key (None: the row's own limit, where there is one); the longest wait in s."""

    rpm: int | None = None
    max_wait: float = 10.0


class Idempotency(msgspec.Struct, frozen=True):
    """How long, in seconds, an answer is kept for its Idempotency-Key; 0 switches it off."""

    ttl: float = 86_400.0


class Log(msgspec.Struct, frozen=True):
    """One line per request on stdout, or in `path`."""

    format: Literal["json", "text", "none"] = "json"
    level: Literal["debug", "info", "warning", "error"] = "info"
    path: str | None = None


class RetryBudget(msgspec.Struct, frozen=True):
    """Retries may be this part of all requests, and this many a second beside."""

    ratio: float = 0.2
    per_second: float = 10.0


class Quoth(msgspec.Struct, frozen=True):
    """What stands under `quoth:`. Times in seconds. `providers` are rows of the user's own."""

    commit_after: float = 30.0
    drain_delay: float = 2.0
    drain_timeout: float = 30.0
    hook_timeout: float = 2.0
    catalogue_ttl: float = 86_400.0
    accept_unenforced: tuple[str, ...] = ()
    disable_quirks: tuple[str, ...] = ()
    metrics: bool = True
    metrics_auth: bool = True
    otel: bool = False
    pacing: Pacing = Pacing()
    idempotency: Idempotency = Idempotency()
    log: Log = Log()
    retry_budget: RetryBudget = RetryBudget()
    providers: tuple[Row, ...] = ()


class Settings(msgspec.Struct, frozen=True):
    """Everything the gateway was told, checked. See docs/settings.md for what each part means.

    `routing`: keyword arguments of LiteLLM's Router that have an effect, lists and mappings as they were written.
    `weak_key_permitted`: `dangerously_permit_weak_or_unset_master_key`, the last argument of `exposure`. `hooks`:
    "module.instance"; a module is looked for beside the first of `source_files`. `environment`: what the file adds to
    the environment (`environment_variables`, and keys read from NAME_FILE); `environ` lays it over the real one.
    """

    models: tuple[Entry, ...]
    aliases: dict[str, str] = {}
    hidden_aliases: tuple[str, ...] = ()
    routing: dict[str, Any] = {}
    drop_params: bool = False
    master_key: str | None = None
    weak_key_permitted: bool = False
    cache: Cache | None = None
    hooks: tuple[str, ...] = ()
    server: Server = Server()
    network: Network = Network()
    quoth: Quoth = Quoth()
    environment: dict[str, str] = {}
    warnings: tuple[Problem, ...] = ()
    source_files: tuple[str, ...] = ()

    def __repr__(self) -> str:
        key = "set" if self.master_key else None
        return f"Settings({len(self.models)} models, {len(self.aliases)} aliases, master_key={key}, {self.server!r})"

    def registry(self) -> Registry:
        """The providers in force: those shipped, and the rows of the user's own; all at the pace that was set."""
        rows, rpm = Registry(self.quoth.providers), self.quoth.pacing.rpm
        if rpm is None:
            return rows
        return Registry(replace(row, calls_per_minute=rpm) for name in rows.names() if (row := rows.get(name)))

    def environ(self, environment: Mapping[str, str]) -> dict[str, str]:
        """The environment that calls are made in: what the file says wins over what the process has."""
        return {**environment, **self.environment}
