"""`quoth check`: would the gateway start with these settings, and what would it serve?"""

from __future__ import annotations

import sys
from collections import Counter
from importlib.util import find_spec
from typing import Any

import msgspec

from quoth.cli import terminal
from quoth.cli.failures import ExitCode, Failed
from quoth.errors import QuothError
from quoth.transport.environment import environment

__all__ = ["run"]


def run(path: str | None, *, strict: bool, as_json: bool) -> None:
    if find_spec("yaml") is None:
        raise QuothError('settings are YAML, and PyYAML is not installed: run pip install "quoth[gateway]"')
    from quoth.gateway.settings import Problem, Refused, Settings, load

    settings: Settings | None = None
    problems: list[Problem]
    try:
        settings = load(path, environment(), strict=strict)
        problems = list(settings.warnings)
    except Refused as refused:
        problems = refused.problems
    if as_json:
        served = None if settings is None else _summary(settings)
        terminal.print_json({"ok": settings is not None, "problems": msgspec.to_builtins(problems), "serves": served})
    else:
        for problem in problems:
            style: terminal.Style = "yellow" if problem.severity == "warning" else "red"
            line = terminal.fit(terminal.harmless(f"{problem}", sys.stdout), sys.stdout)
            terminal.write(terminal.styled(line, style, sys.stdout) + "\n")
        _conclude(settings, problems)
    if settings is None:
        raise Failed(ExitCode.FAILURE)


def _conclude(settings: Any, problems: list[Any]) -> None:
    counts = Counter(problem.severity for problem in problems)
    said = ", ".join(
        f"{counts[kind]} {kind}{'s' * (counts[kind] != 1)}" for kind in ("error", "warning") if counts[kind]
    )
    if settings is None:
        terminal.note(f"{said}: the gateway would not start", "red")
        return
    summary = _summary(settings)
    terminal.note(f"{said or 'Nothing is wrong'}: the gateway would start", "bold")
    for model in summary["models"]:
        also = f" ({model['deployments']} deployments)" if model["deployments"] > 1 else ""
        terminal.write(terminal.fit(f"  {model['name']} → {', '.join(model['targets'])}{also}\n", sys.stdout))
    for alias, name in summary["aliases"].items():
        terminal.write(terminal.fit(f"  {alias} → {name} (alias)\n", sys.stdout))
    key = "with a master key" if summary["master_key"] else "without a master key"
    hooks = f", hooks: {', '.join(summary['hooks'])}" if summary["hooks"] else ""
    cache = ", answers are cached" if summary["cache"] else ""
    terminal.write(f"on {summary['address']}, {key}, strategy {summary['strategy']}{cache}{hooks}\n")


def _summary(settings: Any) -> dict[str, Any]:
    """What would be served, without any secret."""
    groups: dict[str, list[str]] = {}
    for entry in settings.models:
        groups.setdefault(entry.model_name, []).append(entry.litellm_params["model"])
    server = settings.server
    scheme = "https" if server.tls_cert else "http"
    host = f"[{server.host}]" if ":" in server.host else server.host
    return {
        "models": [
            {"name": name, "targets": list(dict.fromkeys(targets)), "deployments": len(targets)}
            for name, targets in groups.items()
        ],
        "aliases": settings.aliases,
        "strategy": settings.routing.get("routing_strategy", "simple-shuffle"),
        "master_key": settings.master_key is not None,
        "cache": settings.cache is not None,
        "hooks": list(settings.hooks),
        "address": f"{scheme}://{host}:{server.port}",
        "workers": server.workers,
    }
