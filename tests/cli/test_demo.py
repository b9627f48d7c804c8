"""`quoth demo`: the tour, offline and against a provider."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from quoth.emulator import Emulator
from quoth.errors import APIConnectionError
from quoth.sdk.client import Client
from tests.cli.running import Quoth

TITLES = (
    *("1  A text call", "2  A stream", "3  A tool call", "4  Several calls at once"),
    *("5  A picture", "6  A line, spoken", "7  A clip"),
    *("8  The gateway in front, called with curl", "9  The same gateway, called with the openai client"),
)
STARTS = {"image": b"\x89PNG", "audio": b"RIFF", "video": b"\0\0\0"}


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, quoth: Quoth) -> Path:
    """Where the tour leaves its files."""
    quoth.variables["TMPDIR"] = str(tmp_path)
    return tmp_path


def test_without_a_key_it_is_offline(quoth: Quoth, emulator: Emulator, temporary: Path) -> None:
    done = quoth("demo", POE_API_KEY=None, POE_API_BASE=None)
    assert (done.code, done.err) == (0, "")
    assert "This is offline: it talks to an emulator" in done.out
    places = [done.out.index(title) for title in TITLES]
    assert places == sorted(places)
    for said in (
        "The capital of France is Paris.",
        "1, 2, 3, 4, 5, 6, 7, 8, 9",
        'get_weather({"city":"Lisbon"})',
        "get_weather returned: 21 °C and sunny in Lisbon",
        "17 * 19 = 323",
        "Total: 12 calls",
        "and 1 of unknown cost",
        "the emulator charges nothing",
        "Next",
    ):
        assert said in done.out
    assert not emulator.requests
    files = sorted(temporary.glob("quoth-demo-*/*"))
    assert [path.read_bytes()[: len(STARTS[path.name[:5]])] for path in files] == [STARTS[p.name[:5]] for p in files]
    assert [path.name[:5] for path in files] == ["audio", "image", "video"]
    assert all(str(path) in done.out for path in files)


def test_with_a_key_it_calls_the_provider(quoth: Quoth, emulator: Emulator) -> None:
    done = quoth("demo", "--max-tokens", "77")
    assert (done.code, done.err) == (0, "")
    assert f"This talks to poe at {emulator.base_url} with GPT-4.1-nano" in done.out
    assert "$0.05 at most" in done.out
    spent = 10_000_000 - emulator.balance
    assert re.search(rf"Total: 11 calls · .* tokens · {spent} points \(", done.out)
    assert "what Poe's points history says" in done.out
    assert "Left out: the tour has no room for poe/Veo-3.1-Lite: its price is not known." in done.out
    assert "`quoth demo --clip` makes such calls" in done.out
    bodies = [request.body for request in emulator.requests if request.method == "POST"]
    assert [body["model"] for body in bodies if isinstance(body, dict)][7:9] == ["Imagen-4-Fast", "Sonic-3.0"]
    assert all(
        isinstance(body, dict) and (body.get("max_tokens") or body.get("max_output_tokens")) == 77
        for body in (*bodies[:7], *bodies[9:])
    )
    assert [bool(body.get("stream")) for body in bodies if isinstance(body, dict)].count(True) == 2


def test_a_clip_is_made_when_asked_for(quoth: Quoth, emulator: Emulator) -> None:
    tour = quoth("demo", "--clip", "--json").json
    assert [step["left_out"] for step in tour["steps"]] == [None] * 9
    assert tour["total"]["without_cost"] == 0, "the history knows what the clip cost"
    assert tour["total"]["charged_points"] == 10_000_000 - emulator.balance
    assert [file["kind"] for step in tour["steps"] for file in step["files"]] == ["image", "audio", "video"]


def test_it_keeps_under_its_cap(quoth: Quoth, emulator: Emulator) -> None:
    tour = quoth("demo", "--max-usd", "0.01", "--json").json
    assert [step["left_out"] is None for step in tour["steps"]] == [True] * 4 + [False, True, False, True, True]
    assert 10_000_000 - emulator.balance <= 330


@pytest.mark.parametrize("model", ["Claude-Haiku-4.5", "poe/Grok-4"])
def test_another_model(quoth: Quoth, emulator: Emulator, model: str) -> None:
    done = quoth("demo", "-m", model)
    assert done.code == 0
    body = emulator.requests[0].body
    assert isinstance(body, dict)
    assert body["model"] == model.removeprefix("poe/")


def test_offline_though_there_is_a_key(quoth: Quoth, emulator: Emulator) -> None:
    assert quoth("demo", "--offline").code == 0
    assert not emulator.requests


def test_json(quoth: Quoth) -> None:
    done = quoth("demo", "--json", POE_API_KEY=None)
    assert (done.code, done.err) == (0, "")
    tour = done.json
    assert tour["offline"] is True
    assert [len(step["answers"]) for step in tour["steps"]] == [1, 1, 2, 3, 1, 1, 1, 1, 1]
    points = [answer["cost"]["points"] for step in tour["steps"] for answer in step["answers"]]
    assert points.pop(9) is None, "nobody knows what a clip costs"
    assert tour["total"]["cost"]["points"] == sum(points)
    assert (tour["total"]["calls"], tour["total"]["without_cost"]) == (12, 1)
    assert tour["total"]["charged_points"] is None
    assert tour["steps"][2]["answers"][0]["tool_calls"][0]["function"]["name"] == "get_weather"


@pytest.mark.parametrize(
    ("fault", "code"), [("status=401", 3), ("status=402", 4), ("skip=4; status=400", 1), ("skip=4; status=403", 1)]
)
def test_a_failure_is_one_sentence(quoth: Quoth, emulator: Emulator, fault: str, code: int) -> None:
    emulator.faults(fault)
    done = quoth("demo")
    assert done.code == code
    assert done.err.startswith("quoth: poe answered 4")
    assert len(done.err.splitlines()) == 1


def test_a_model_of_a_provider_without_a_key(quoth: Quoth) -> None:
    done = quoth("demo", "-m", "groq/llama")
    assert done.code == 3
    assert "GROQ_API_KEY" in done.err
    assert quoth("demo", QUOTH_MODEL="groq/llama", POE_API_KEY=None).code == 0


def test_on_a_terminal_the_emulator_goes_on(quoth: Quoth) -> None:
    with quoth.on_terminal("demo", POE_API_KEY=None, POE_API_BASE=None) as terminal:
        terminal.until("export POE_API_BASE=")
        base_url = terminal.until("\n")
        terminal.until("export POE_API_KEY=emulated")
        assert Quoth(base_url)("chat", "What is 2 + 3?").code == 0
        terminal.press("\x03")
        terminal.until("Stopped.")
        assert terminal.ended() == 0


def test_the_gateway_is_called_as_others_call_it(quoth: Quoth) -> None:
    out = quoth("demo", POE_API_KEY=None).out
    step = out[out.index(TITLES[7]) :]
    assert re.search(r"quoth serve: http://127.0.0.1:\d+/v1, key sk-demo-\w{24}\n", step)
    assert re.search(r"curl -si http://127.0.0.1:\d+/v1/chat/completions \\\n.*-H 'Authorization: Bearer sk-demo", step)
    assert "x-quoth-model: poe/GPT-4.1-nano" in step
    assert "The capital of Japan is Tokyo." in step
    assert "client = openai.OpenAI(base_url=" in step
    assert "1, 2, 3, 4, 5" in step


def test_without_curl_and_without_openai(quoth: Quoth, tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text("import sys\nsys.modules['openai'] = None\n")
    done = quoth("demo", POE_API_KEY=None, PATH=str(tmp_path), PYTHONPATH=str(hidden))
    assert done.code == 0
    assert "curl is not installed, so Python asks the same." in done.out
    assert "The openai package is not installed, so Quoth asks the same over HTTP." in done.out
    assert "The capital of Japan is Tokyo." in done.out
    assert "Total: 12 calls" in done.out


def test_on_a_terminal_the_gateway_goes_on(quoth: Quoth) -> None:
    with quoth.on_terminal("demo") as terminal:
        terminal.until("The gateway goes on at ")
        base_url = terminal.until(", key ")
        key = terminal.until(",")
        terminal.until("curl -si")
        messages = [{"role": "user", "content": "What is 2 + 3?"}]
        with Client(api_key=key, base_url=base_url, num_retries=0) as client:
            answer = client.completion("custom_openai/poe/GPT-4.1-nano", messages)
        assert "5" in (answer.choices[0].message.content or "")
        terminal.press("\x03")
        terminal.until("Stopped.")
        assert terminal.ended() == 0
    with pytest.raises(APIConnectionError), Client(api_key=key, base_url=base_url, num_retries=0) as client:
        client.completion("custom_openai/x", messages)


def test_on_a_terminal_without_serving(quoth: Quoth) -> None:
    with quoth.on_terminal("demo", "--no-serve", POE_API_KEY=None, TERM="xterm") as terminal:
        assert terminal.ended() == 0
    assert "export POE_API_BASE" not in terminal.text
    assert "\x1b[1m" in terminal.raw
