"""`quoth serve`: the gateway in the foreground, and what is said about it on stderr."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast

from quoth.cli import terminal
from quoth.cli.failures import UsageFault

if TYPE_CHECKING:
    from quoth.gateway.serve.loading import Loaded
    from quoth.gateway.serve.plan import Server

__all__ = ["run"]

_SERVERS = ("granian", "uvicorn")
# Characters of one line; a pipe that takes anything without waiting takes 4,096 bytes.
_LONGEST = 1000
_KEYS = ("QUOTH_MASTER_KEY", "LITELLM_MASTER_KEY")


def run(
    file: str | None,
    given: Mapping[str, str | int | None],
    *,
    server: str,
    strict: bool,
    recycle_above: int,
    as_json: bool,
) -> int:
    """Serve until a signal says otherwise; the exit code."""
    if server not in _SERVERS:
        raise UsageFault(f"--server {server!r} is not known; there are {', '.join(_SERVERS)}")
    for package in (server, "yaml"):
        if find_spec(package) is None:
            extra = "quoth[gateway]" if package != "uvicorn" else "uvicorn[standard]"
            raise UsageFault(f'the gateway needs {package}, which is not installed: run pip install "{extra}"')
    if os.name == "nt":
        raise UsageFault("the gateway runs on Linux and macOS; on Windows use it in WSL or in a container")
    from quoth.gateway.serve import Plan, serve

    plan = Plan(
        file=file,
        given={name: value for name, value in given.items() if value is not None},
        strict=strict,
        server=cast("Server", server),
        recycle_above=recycle_above,
    )
    return serve(plan, _Report(server, as_json=as_json))


class _Report:
    """What happens, in sentences on stderr; with `--json` the start as a document on stdout.

    Nothing waits for a reader: what a full pipe does not take is left out, and the next line says how much that was.
    """

    def __init__(self, server: str, *, as_json: bool):
        self._server = server
        self._as_json = as_json
        self._left_out = 0

    def started(self, settings: Loaded, address: str) -> None:
        if manager := os.environ.get("NOTIFY_SOCKET"):
            from quoth.gateway.serve.notify import notify

            notify(manager, "READY=1")
        for warning in settings.warnings:
            self.warn(warning)
        if self._as_json:
            self._show(sys.stdout.fileno, lambda: terminal.print_json(_document(settings, address)))
            return
        workers = f"{settings.workers} workers" if settings.workers > 1 else "1 worker"
        self._note(f"Quoth serves at {address} ({workers}, {self._server}). Ctrl-C ends it.", "bold")
        if settings.has_key:
            self._note("Callers need the master key.")
        self._note(f"Try it:\n{_curl(settings, address)}")

    def say(self, text: str) -> None:
        self._note(f"quoth: {text}")

    def warn(self, text: str) -> None:
        self._note(f"quoth: {text}", "yellow")

    def refused(self, problems: list[str]) -> None:
        self._note("\n".join(f"quoth: {problem}" for problem in problems), "red")
        if self._as_json:
            error = {"type": "refused", "message": problems[0], "problems": problems}
            self._show(sys.stdout.fileno, lambda: terminal.print_json({"error": error}))

    def _note(self, text: str, style: terminal.Style = "dim") -> None:
        for line in text.splitlines():
            if self._left_out:
                line = f"quoth: {self._left_out} lines before this one are left out, since nobody read them\n{line}"
            self._show(sys.stderr.fileno, partial(terminal.note, line[:_LONGEST], style))

    def _show(self, descriptor: Callable[[], int], show: Callable[[], None]) -> None:
        try:
            if select.select([], [descriptor()], [], 0)[1]:
                show()
                self._left_out = 0
                return
        except (OSError, ValueError):  # closed, or its reader has left
            pass
        self._left_out += 1


def _document(settings: Loaded, address: str) -> dict[str, object]:
    return {
        "url": address,
        "base_url": f"{address}/v1",
        "workers": settings.workers,
        "key_required": settings.has_key,
        "warnings": settings.warnings,
    }


def _curl(settings: Loaded, address: str) -> str:
    import msgspec

    message = {"role": "user", "content": "Hello"}
    body = msgspec.json.encode({"model": settings.example_model, "messages": [message]}).decode().replace("'", "'\\''")
    variable = next((name for name in _KEYS if os.environ.get(name, "").strip()), None)
    key = f'"Authorization: Bearer {f"${variable}" if variable else "YOUR-MASTER-KEY"}"'
    header = f" -H {key}" if settings.has_key else ""
    return f"curl {address}/v1/chat/completions{header} -H 'Content-Type: application/json' -d '{body}'"
