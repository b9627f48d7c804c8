"""The laws of the house that import-linter cannot say. (Those that it can say are contracts in pyproject.toml.)"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "quoth"

IMPURE = {
    "datetime.now": "the clock comes in as an argument",
    "datetime.today": "the clock comes in as an argument",
    "datetime.utcnow": "the clock comes in as an argument",
    "date.today": "the clock comes in as an argument",
    "open": "these floors read no file",
    "input": "these floors ask nobody",
    "breakpoint": "left behind by a debugging session",
}


def rooms() -> set[str]:
    """The top-level modules and packages of quoth, without the roof sign and the version."""
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__", "_version"}
    return modules | {path.name for path in PACKAGE.iterdir() if any(path.glob("*.py"))}


def sources(*names: str) -> list[Path]:
    """The source files of these rooms (of the whole package without a name)."""
    if not names:
        return sorted(PACKAGE.rglob("*.py"))
    return sorted(path for name in names for path in [*PACKAGE.glob(f"{name}.py"), *(PACKAGE / name).rglob("*.py")])


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Every module that a file imports, anywhere in it, as (line, full dotted name).

    `from a import b` counts as `a.b`, since b may be a module; relative imports are banned by a lint.
    """
    for node in ast.walk(ast.parse(path.read_bytes(), path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def within(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


def calls(node: ast.Call, name: str) -> bool:
    """`datetime.now` is also called as `datetime.datetime.now`; the built-in `open` is not called as `stream.open`."""
    called = ast.unparse(node.func)
    return called == name or ("." in name and called.endswith(f".{name}"))


def where(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def test_every_room_stands_in_the_layers_contract() -> None:
    """A new room is named in pyproject.toml, so that it cannot escape the law of the floors."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = " ".join(next(contract["layers"] for contract in contracts if contract["type"] == "layers"))
    named = {word.strip("()").removeprefix("quoth.") for word in layers.split()}
    assert rooms() - named == {"emulator"}, "the emulator alone stands beside the house"


def test_nothing_is_imported_by_its_name_as_text() -> None:
    """The contracts of the floors could not see it. The roof sign loads what it names, and the gateway tells its
    processes by name what to load; nobody else does."""
    allowed = {PACKAGE / "__init__.py", *sources("gateway")}
    broken = [
        f"{where(path, line)}: {text.strip()}"
        for path in sources()
        if path not in allowed
        for line, text in enumerate(path.read_text("utf-8").splitlines(), 1)
        if "import_module" in text or "__import__" in text
    ]
    assert not broken


def test_emulator_shares_facts_and_nothing_else() -> None:
    shared = ("quoth.emulator", "quoth.providers.catalogue", "quoth.providers.pricing")
    allowed = {"quoth.providers.catalogue", "quoth.providers.pricing", "quoth._version.__version__"}
    broken = [
        f"{where(path, line)} imports {name}"
        for path in sources("emulator")
        for line, name in imported(path)
        if within(name, "quoth") and name not in allowed and not any(within(name, room) for room in shared)
    ]
    assert not broken, "a mistake shared with the emulator would hide from every test that uses it"


def test_only_transport_opens_sockets() -> None:
    """Towards others, that is: the gateway's processes have the one that they listen on, and pairs among themselves."""
    clients = ("httptools", "urllib3", "httpx", "aiohttp", "http.client", "urllib.request", "socket")
    homes = {*sources("transport"), *sources("emulator"), *sources("gateway/serve")}
    broken = [
        f"{where(path, line)} imports {name}"
        for path in sources()
        if path not in homes
        for line, name in imported(path)
        if any(within(name, client) for client in clients)
    ]
    assert not broken


def test_behaviour_is_tested_without_mocks() -> None:
    """Over real sockets, against the emulator or the fault server: a mock only repeats what its author believed."""
    tests = sorted((ROOT / "tests").rglob("*.py"))
    mocks = [where(path, line) for path in tests for line, name in imported(path) if within(name, "unittest.mock")]
    assert not mocks


@pytest.mark.parametrize("room", ["wire", "engine"])
def test_pure_floors_call_nothing_impure(room: str) -> None:
    broken = [
        f"{where(path, node.lineno)}: {ast.unparse(node.func)}(): {reason}"
        for path in sources(room)
        for node in ast.walk(ast.parse(path.read_bytes(), path))
        if isinstance(node, ast.Call)
        for name, reason in IMPURE.items()
        if calls(node, name)
    ]
    assert not broken


# --- What `import quoth` does, seen from a fresh interpreter ------------------------------------------------------

WATCH = """
import json, os, sys

events, environment = [], []

def hook(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        events.append(["open", os.fsdecode(arguments[0])])
    elif event.startswith(("socket.", "subprocess.", "os.fork", "os.system", "urllib.")):
        events.append([event, str(arguments)])

class Watched(type(os.environ)):
    def __getitem__(self, key):
        if watching:
            environment.append(key)
        return super().__getitem__(key)

watching = False
os.environ.__class__ = Watched
sys.addaudithook(hook)
watching = True
import quoth
watching = False
import threading
events.extend(["thread", thread.name] for thread in threading.enumerate()[1:])
print(json.dumps({"modules": sorted(sys.modules), "events": list(events), "environment": environment}))
"""


@pytest.fixture(scope="module")
def fresh_import() -> dict[str, list[str]]:
    """The loaded modules, the watched events and the environment variables read, after `import quoth` alone."""
    done = subprocess.run([sys.executable, "-I", "-c", WATCH], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) == 1, "import quoth prints nothing"
    found: dict[str, list[str]] = json.loads(lines[0])
    return found


def test_import_loads_neither_clients_nor_frameworks(fresh_import: dict[str, list[str]]) -> None:
    heavy = (
        *("typer", "click", "rich", "httptools", "urllib3", "http.client", "tiktoken", "jinja2", "yaml"),
        *("starlette", "fastapi", "uvicorn", "granian", "aiohttp", "httpx", "sqlalchemy", "alembic", "redis"),
        *("openai", "pytest", "quoth.emulator", "quoth.cli", "quoth.gateway", "quoth.ledger"),
    )
    assert not [name for name in fresh_import["modules"] if any(within(name, module) for module in heavy)]


def test_import_touches_nothing_but_its_own_files(fresh_import: dict[str, list[str]]) -> None:
    """No network, no thread, no process, and no file outside Python's own directories and the package."""
    homes = {os.path.realpath(home) for home in (sys.prefix, sys.base_prefix, os.path.dirname(os.__file__), PACKAGE)}
    strange = [
        event
        for event in fresh_import["events"]
        if event[0] != "open" or not any(Path(os.path.realpath(event[1])).is_relative_to(home) for home in homes)
    ]
    assert not strange


def test_import_reads_no_variable_of_its_own(fresh_import: dict[str, list[str]]) -> None:
    """What a library reads for itself (PYDANTIC_..., PYTHON...) is its own affair; keys and settings are not."""
    asked = fresh_import["environment"]
    assert not [name for name in asked if not name.startswith(("PYDANTIC_", "PYTHON"))]
