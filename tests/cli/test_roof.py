"""What all commands share: help, version, wrong command lines, what is not installed, and the documentation."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from quoth import __version__
from quoth.cli.failures import EXIT_CODES
from tests.cli.running import COMMAND, Done, Quoth, environment

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
COMMANDS = (
    *("chat", "image", "speak", "video", "transcribe", "models", "emulate", "demo"),
    *("balance", "usage", "batch", "verify", "serve", "check"),
)


def python(*words: str) -> Done:
    done = subprocess.run([sys.executable, *words], env=environment(), capture_output=True, text=True, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("words", [(), *((name,) for name in COMMANDS)])
def test_help_has_an_example_and_stands_in_the_documentation(quoth: Quoth, words: tuple[str, ...]) -> None:
    done = quoth(*words, "--help", COLUMNS="80")
    assert (done.code, done.err) == (0, "")
    assert "\n  Examples:\n" in done.out
    assert "--json" in done.out or not words
    assert f"```text\n{done.out}```" in PAGE, "docs/cli.md shows an older help: paste this one"
    assert quoth(*words, "-h").out == done.out


def test_exit_codes_stand_in_the_documentation() -> None:
    table = dict(re.findall(r"^\| (\d+) \| (.+?) \|$", PAGE, re.MULTILINE))
    assert table == {str(int(code)): meaning for code, meaning in EXIT_CODES.items()}


def test_version(quoth: Quoth) -> None:
    assert quoth("--version").out == f"quoth {__version__}\n"


def test_without_a_command_the_help_is_shown(quoth: Quoth) -> None:
    done = quoth()
    assert done.code == 2
    assert done.out == quoth("--help").out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("zork",), "No such command 'zork'; `quoth --help`"),
        (("chat", "--zork"), "No such option: --zork; `quoth chat --help`"),
        (("chat", "a", "b"), "`quoth chat --help`"),
        (("chat", "--max-tokens", "x"), "--max-tokens"),
    ],
)
def test_a_wrong_command_line_is_one_sentence(quoth: Quoth, words: tuple[str, ...], said: str) -> None:
    done = quoth(*words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("quoth: ")
    assert said in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(("closing", "code"), [(">&-", 0), ("2>&-", 0), ("<&-", 0), ("> /dev/full", 1)])
def test_streams_that_are_not_there(closing: str, code: int) -> None:
    line = f'"$0" -m quoth models claude {closing}'
    done = subprocess.run(
        ["/bin/sh", "-c", line, sys.executable], env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert "Error" not in done.stderr
    assert "Exception" not in done.stderr


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_a_missing_extra_is_one_sentence(missing: str) -> None:
    without = f"import sys; sys.modules[{missing!r}] = None; from quoth.cli import main; sys.exit(main(['models']))"
    done = python("-c", without)
    assert (done.code, done.out) == (1, "")
    assert done.err == f'quoth: the commands need {missing}, which is not installed: run pip install "quoth[cli]"\n'


def test_help_loads_little() -> None:
    watch = (
        "import sys; from quoth.cli import main; main(['--help']); sys.exit(any(name in sys.modules for name in {}))"
    )
    heavy = "('rich', 'urllib3', 'httptools', 'asyncio', 'pydantic', 'quoth.emulator', 'quoth.sdk.client')"
    assert python("-c", watch.format(heavy)).code == 0


@pytest.mark.parametrize("module", ["quoth", "quoth.cli"])
def test_as_a_module(module: str) -> None:
    assert python("-m", module, "--version").out == f"quoth {__version__}\n"


def test_the_script_is_the_same_command() -> None:
    script = Path(COMMAND[0]).with_name("quoth")
    done = subprocess.run([script, "--version"], env=environment(), capture_output=True, text=True, check=False)
    assert done.stdout == f"quoth {__version__}\n"
