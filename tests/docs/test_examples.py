"""Every example runs as it stands on its page, against the emulator; what it is said to print, it prints."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from quoth.emulator import Emulator
from tests.docs.pages import PAGES, ROOT, Block, blocks, name_of
from tests.gateway.serving import KEY, Serving

POE = "https://api.poe.com/v1"
GATEWAY = "http://127.0.0.1:4000"
# After an example, `#> text` is a line that it prints.
PRINTED = re.compile(r"^ *#> ?(.*)$", re.MULTILINE)
# What a shell has anyway.
OTHERS = "cat cd curl echo export git head jq jupyter pytest python".split()


@pytest.fixture
def offline(poe_emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """Whatever provider an example calls, the emulator answers; files it writes go to a folder that is thrown away."""
    for provider in ("ACME", "OPENAI", "VLLM"):
        monkeypatch.setenv(f"{provider}_API_BASE", poe_emulator.base_url)
        monkeypatch.setenv(f"{provider}_API_KEY", "emulated-key")
    monkeypatch.setenv("QUOTH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    yield poe_emulator.base_url
    os.environ.clear()
    os.environ.update(before)


def python_of(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.language == "python" and not block.reason]


@pytest.fixture(scope="module")
def gateway(poe_emulator_server: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """What stands at the address that the pages give the gateway."""
    environment = {"POE_API_KEY": "emulated-key", "POE_API_BASE": poe_emulator_server.base_url}
    with Serving(tmp_path_factory.mktemp("gateway"), environment=environment) as serving:
        yield serving


@pytest.fixture
def there(request: pytest.FixtureRequest, offline: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[Block], str]:
    """A block's text, with the addresses of what stands in for Poe and for the gateway."""

    def found(block: Block) -> str:
        body = block.body.replace(POE, offline)
        if GATEWAY in body:
            serving: Serving = request.getfixturevalue("gateway")
            monkeypatch.setenv("QUOTH_MASTER_KEY", KEY)
            body = body.replace(GATEWAY, serving.url.removesuffix("/v1"))
        return body

    return found


# Runs blocks of Python one after the other, in one namespace as a page is read, and writes what each has printed as a
# line of JSON.
PROGRAM = """
import contextlib, io, json, sys
names = {"__name__": "__main__"}
for place, line, body in json.load(sys.stdin):
    # Line numbers of the page, so that a traceback points into it.
    code = compile("\\n" * (line - 1) + body, place, "exec")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, names)
    print(json.dumps(printed.getvalue()), flush=True)
"""


@pytest.mark.parametrize("page", [page for page in PAGES if python_of(page)], ids=name_of)
def test_python_runs_and_prints_what_it_says(page: Path, there: Callable[[Block], str]) -> None:
    """The blocks of a page are one program, in order; where it says Poe's address it gets the emulator's. Warnings are
    errors, also of what it leaves open at its end."""
    found = python_of(page)
    given = [(str(page), block.line, there(block)) for block in found]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM], input=json.dumps(given), capture_output=True, text=True
    )
    printed = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"after {len(printed)} of {len(found)} blocks:\n{done.stderr}"
    assert "Warning" not in done.stderr, done.stderr
    for block, text in zip(found, printed, strict=True):
        promised = PRINTED.findall(block.body)
        if promised:
            assert text.splitlines() == promised, block.place


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("page", ["README.md", "docs/gateway.md"])
def test_curl_gets_an_answer(page: str, there: Callable[[Block], str]) -> None:
    commands = [
        line
        for block in blocks(ROOT / page)
        if block.language == "sh"
        for line in there(block).replace("\\\n", " ").splitlines()
        if line.startswith("curl")
    ]
    assert commands
    for command in commands:
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert '"choices"' in done.stdout, done.stdout


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
def test_javascript_gets_an_answer(there: Callable[[Block], str]) -> None:
    (block,) = (block for block in blocks(ROOT / "docs/gateway.md") if block.language == "js")
    words = ["node", "--input-type=module", "-e", there(block)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, "2 + 3 = 5" in done.stdout) == (0, True), done.stderr


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_shell_lines_name_what_exists(page: Path) -> None:
    for block in blocks(page):
        if block.language == "sh" and not block.reason:
            for line in block.body.replace("\\\n", " ").splitlines():
                check_shell(shlex.split(line, comments=True), block.place)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_that_do_not_run_say_why(page: Path) -> None:
    for block in blocks(page):
        assert block.language, f"{block.place}: the fence does not say what language it holds"
        if "no-run" in (page.read_text().splitlines()[block.line - 2]):
            assert block.reason, f"{block.place}: no-run needs a reason"


def check_shell(words: list[str], place: str) -> None:
    """Commands that a reader is told to type are there: make's targets, quoth's commands, pip's extras."""
    for separator in ("|", "&&", ";"):
        if separator in words:
            at = words.index(separator)
            check_shell(words[:at], place)
            check_shell(words[at + 1 :], place)
            return
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    if not words:
        return
    command, *rest = words
    if command == "make":
        targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        assert {word for word in rest if "=" not in word} <= targets, place
    elif command == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        for extra in re.findall(r"\[([^]]*)]", " ".join(rest)):
            assert set(extra.split(",")) <= extras.keys(), place
    elif command == "quoth":
        sub = next((word for word in rest if not word.startswith("-")), None)
        assert sub is None or re.search(rf"\b{re.escape(sub)}\b", help_text()), place
    else:
        assert command in ("export", "echo", "cat", "head", "jq", "git", "cd", "python", "pytest", "jupyter", "curl"), (
            place
        )


@cache
def help_text() -> str:
    done = subprocess.run([sys.executable, "-m", "quoth.cli", "--help"], capture_output=True, text=True, check=True)
    return done.stdout
