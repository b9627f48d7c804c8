"""`quoth emulate`: the offline Poe as a program."""

from __future__ import annotations

import inspect
import json
import signal
import subprocess
from dataclasses import fields

import pytest

from quoth import Client, RateLimitError
from quoth.cli import app
from quoth.emulator import Emulator, facts
from quoth.emulator.settings import Switches
from tests.cli.running import LONG, Quoth

HELLO = [{"role": "user", "content": "What is 2 + 3?"}]


def base_url(process: subprocess.Popen[bytes]) -> str:
    """The address that the first line says."""
    assert process.stdout is not None
    name, _, value = process.stdout.readline().decode().strip().partition("=")
    assert name == "export POE_API_BASE"
    return value


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_a_signal(quoth: Quoth, number: signal.Signals) -> None:
    with quoth.start("emulate", "--port", "0") as process:
        with Client(provider="poe", api_key="any", base_url=base_url(process)) as client:
            answer = client.completion("poe/Grok-4", HELLO)
        assert answer.choices[0].message.content == "[emulated Grok-4] 2 + 3 = 5"
        process.send_signal(number)
        out, err = process.communicate(timeout=LONG)
        assert process.returncode == 0
        assert out == b"export POE_API_KEY=emulated\n"
        assert len(err.splitlines()) == 1
        assert b"Ctrl-C ends it" in err


def test_switches_and_faults(quoth: Quoth) -> None:
    with quoth.start(
        "emulate", "--port", "0", "--fault", "status=429; times=1", "--fault", "ok", "--balance", "7"
    ) as process:
        client = Client(provider="poe", api_key="any", base_url=base_url(process), num_retries=0)
        with client:
            with pytest.raises(RateLimitError):
                client.completion("poe/Grok-4", HELLO)
            assert client.completion("poe/Grok-4", HELLO).choices
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=LONG)
        assert process.returncode == 0


def test_json_says_where_it_is(quoth: Quoth) -> None:
    with quoth.start("emulate", "--port", "0", "--profile", "documented", "--json") as process:
        assert process.stdout is not None
        text = b""
        while not text.endswith(b"\n}\n"):
            text += process.stdout.readline()
        said = json.loads(text)
        assert said["profile"] == "documented"
        assert said["environment"] == {"POE_API_BASE": said["base_url"], "POE_API_KEY": "emulated"}
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=LONG) == (b"", b"")
        assert process.returncode == 0


def test_every_switch_has_an_option() -> None:
    options = inspect.signature(app.emulate).parameters
    assert {field.name for field in fields(Switches)} - set(options) == {"faults"}
    assert "fault" in options


def test_a_taken_port(quoth: Quoth, emulator: Emulator) -> None:
    port = emulator.origin.rpartition(":")[2]
    done = quoth("emulate", "--port", port)
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        f"quoth: Port {port} on 127.0.0.1 is already in use: stop the program that has it or choose another port.\n"
    )


@pytest.mark.parametrize(
    "words",
    [("--profile", "zork"), ("--fault", "zork"), ("--port", "70000"), ("--usage-details", "zork"), ("--host", "zork.")],
)
def test_wrong_words(quoth: Quoth, words: tuple[str, ...]) -> None:
    done = quoth("emulate", "--port", "0", *words)
    assert (done.code, done.out) == (2, "")
    assert len(done.err.splitlines()) == 1


def test_facts(quoth: Quoth) -> None:
    lines = quoth("emulate", "--facts").out.splitlines()
    assert len(lines) == len(facts())
    assert all(status in ("recorded", "documented", "inferred") for status in (line.split()[1] for line in lines))
    assert quoth("emulate", "--facts", "--json").json == [fact._asdict() for fact in facts()]
