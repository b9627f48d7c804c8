"""The command-line server, the pytest plugin, the facts in the documentation, and the comparison with recordings."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from quoth.emulator import Emulator, facts
from quoth.emulator.behaviours import table
from quoth.emulator.faults import WORDS
from quoth.emulator.settings import Switches
from tests.emulator.client import HELLO, chat

ROOT = Path(__file__).parents[2]
DOC = ROOT / "docs" / "emulator.md"

SERVE = """
import sys
from quoth.emulator import serve
try:
    serve(port=int(sys.argv[1]), token_delay=0, ready=lambda url: print(url, flush=True))
except OSError as error:
    print(error.strerror)
    sys.exit(1)
print("stopped")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_runs_until_a_signal(number: signal.Signals) -> None:
    command = [sys.executable, "-W", "error", "-c", SERVE, "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        connection = http.client.HTTPConnection(url.removeprefix("http://").partition("/")[0], timeout=20)
        connection.request(
            "POST",
            "/v1/chat/completions",
            json.dumps({"model": "grok-4", "messages": HELLO}),
            {"Authorization": "Bearer k"},
        )
        response = connection.getresponse()
        assert response.status == 200
        response.read()
        process.send_signal(number)
        output, errors = process.communicate(timeout=20)
        connection.close()
        assert (process.returncode, output, errors) == (0, "stopped\n", "")


def test_serve_on_a_taken_port_is_one_sentence(emulator: Emulator) -> None:
    port = emulator.origin.rpartition(":")[2]
    done = subprocess.run([sys.executable, "-c", SERVE, port], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert (
        done.stdout
        == f"Port {port} on 127.0.0.1 is already in use: stop the program that has it or choose another port.\n"
    )
    assert done.stderr == ""


PLUGIN_TEST = """
import json, os, urllib.request
from quoth.emulator.pytest_plugin import poe_emulator, poe_emulator_server

def ask():
    body = json.dumps({"model": "grok-4", "messages": [{"role": "user", "content": "1 + 1"}]}).encode()
    headers = {"Authorization": "Bearer " + os.environ["POE_API_KEY"]}
    url = os.environ["POE_API_BASE"] + "/chat/completions"
    with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as answer:
        return json.load(answer)

def test_first(poe_emulator):
    assert "= 2" in ask()["choices"][0]["message"]["content"]
    assert len(poe_emulator.requests) == 1

def test_second(poe_emulator):
    assert poe_emulator.requests == [], "as if new"
    ask()

def test_third():
    assert "POE_API_BASE" not in os.environ
"""


def test_the_fixture_points_the_environment_to_a_fresh_emulator(tmp_path: Path) -> None:
    (tmp_path / "test_program.py").write_text(PLUGIN_TEST)
    options = ["-q", "-W", "error", "-p", "no:cacheprovider", "-p", "no:asyncio", "--rootdir", str(tmp_path)]
    command = [sys.executable, "-m", "pytest", *options, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_importing_the_plugin_loads_nothing_heavy() -> None:
    script = (
        "import sys, pytest; before = set(sys.modules); import quoth.emulator.pytest_plugin; "
        "print(*sorted(name for name in set(sys.modules) - before if not name.startswith('quoth')), "
        "*sorted(name for name in sys.modules if name.startswith('quoth.emulator')))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["quoth.emulator", "quoth.emulator.pytest_plugin"]


# Documentation


def test_facts_have_a_status_and_a_date() -> None:
    assert len(facts()) > 40
    assert {fact.status for fact in facts()} == {"recorded", "documented", "inferred"}
    assert all(fact.date.startswith("2026-") for fact in facts())
    assert len({fact.behaviour for fact in facts()}) == len(facts())


def test_the_page_has_every_fact_switch_and_fault() -> None:
    page = DOC.read_text(encoding="utf-8")
    assert table() in page
    for name in Switches.__dataclass_fields__:
        assert f"`{name}`" in page, f"the switch {name} is not documented"
    for word, meaning in WORDS.items():
        assert f"| `{word}` | {meaning} |" in page, f"the fault {word} is not documented as it is"


# Comparison with recordings


def recording(emulator: Emulator, **request: Any) -> dict[str, Any]:
    """An exchange in the form of a recording, made from the emulator's own answer."""
    reply = chat(emulator, **request)
    body = {"model": "grok-4", "messages": HELLO, **request}
    return {
        "endpoint": "/v1/chat/completions",
        "request": body,
        "status": reply.status,
        "headers": reply.headers,
        "body": reply.body,
    }


def compare(directory: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "compare_recorded.py"), str(directory)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_recording_that_agrees(emulator: Emulator, tmp_path: Path) -> None:
    (tmp_path / "chat-a.json").write_text(json.dumps(recording(emulator)))
    (tmp_path / "chat-b.json").write_text(json.dumps(recording(emulator, model="no-such-model")))
    done = compare(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 agree." in done.stdout


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("status",), 400),
        (("headers", "openai-version"), "2021-01-01"),
        (("body", "id"), "chatcmpl_x"),
        (("body", "created"), 1774577726000),
        (("body", "system_fingerprint"), "fp"),
        (("body", "usage", "prompt_tokens"), 70),
        (("body", "usage", "prompt_tokens"), 7.0),
        (("body", "usage", "completion_tokens"), 0),
        (("body", "choices"), []),
        (("body", "choices", 0, "finish_reason"), "length"),
        (("body", "choices", 0, "message", "reasoning"), "because"),
        (("body", "choices", 0, "message", "content"), ""),
    ],
)
def test_a_recording_that_differs(emulator: Emulator, tmp_path: Path, place: tuple[Any, ...], value: Any) -> None:
    exchange = recording(emulator)
    target: Any = exchange
    for step in place[:-1]:
        target = target[step]
    target[place[-1]] = value
    (tmp_path / "chat-a.json").write_text(json.dumps(exchange))
    done = compare(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert str(place[-1]) in done.stdout
    assert "0 of 1 agree." in done.stdout


def test_a_directory_without_recordings_is_an_error(tmp_path: Path) -> None:
    assert compare(tmp_path).returncode == 2
