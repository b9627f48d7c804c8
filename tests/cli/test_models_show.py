"""`quoth models show`, `quoth models changes` and `--refresh`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from quoth.cli.show import calls
from quoth.emulator import Emulator
from quoth.providers.catalogue import known, shipped
from tests.cli.running import Quoth

TODAY = datetime.now(UTC).date().isoformat


def test_all_that_is_known(quoth: Quoth, emulator: Emulator) -> None:
    done = quoth("models", "show", "poe/Claude-Opus-4.6")
    assert done.code == 0
    for said in (
        "owner           Anthropic",
        "context         983,040 tokens",
        "prompt: 4.3 USD for 1 million tokens",
        'output_effort: max | high | medium | low | none (default "high")',
        "recorded GET /v1/models, 2026-04-01",
        'model="poe/Claude-Opus-4.6"',
        "curl https://api.poe.com/v1/chat/completions",
        "await fetch(",
    ):
        assert said in done.out, said
    assert "prompt_is_no_window" in quoth("models", "show", "veo-3.1").out
    assert not emulator.requests


def test_show_as_json(quoth: Quoth) -> None:
    row = quoth("models", "show", "veo-3.1", "--json").json
    assert (row["id"], row["prompt_limit"], row["corrections"]) == ("veo-3.1", 480, ["prompt_is_no_window"])
    assert sorted(row["calls"]) == ["JavaScript", "Python", "curl"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "calude-opus-4.6"), "did you mean claude-opus-4.6"),
        (("show", "zzzzzz"), "`quoth models` lists"),
        (("show",), "show takes one model"),
        (("show", "a", "b"), "show takes one model"),
        (("changes", "a", "b", "c"), "two lists at most"),
        (("changes", "no-such-file"), "neither a day"),
        (("changes", "2020-01-01"), "there is no copy of 2020-01-01"),
        (("changes",), "no list was fetched yet"),
        (("claude", "opus"), "quotation marks"),
        (("--refresh", "--provider", "groq"), "--refresh is about Poe's list"),
    ],
)
def test_wrong_words(quoth: Quoth, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    done = quoth("models", *words, QUOTH_CACHE_DIR=str(tmp_path))
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize("facts", [facts for facts in known() if facts.makes_media], ids=lambda facts: facts.id)
def test_calls_of_media_bots_are_right(facts: object) -> None:
    """They name the bot, and what they add is declared by it."""
    assert isinstance(facts, type(next(iter(known()))))
    found = calls(facts)
    body = json.loads(found["curl"].split("-d '")[1][:-1].replace("'\\''", "'"))
    assert body["model"].lower() == (facts.display_name or facts.id).lower()
    assert all(facts.parameter(name) for name in body.keys() - {"model", "messages"})
    script = found["JavaScript"].split("JSON.stringify(")[1].split("),\n});")[0]
    assert json.loads(script) == body
    compile(found["Python"], "call", "exec")


@pytest.mark.parametrize("model", ["claude-opus-4.6", "veo-3.1", "elevenlabs-v3", "imagen-4"])
def test_the_call_in_python_runs(model: str, quoth: Quoth) -> None:
    facts = shipped().get(model)
    assert facts is not None
    done = quoth.python(calls(facts)["Python"])
    assert (done.code, done.err) == (0, "")
    assert done.out.strip()


@pytest.mark.parametrize("model", ["claude-opus-4.6", "veo-3.1"])
@pytest.mark.parametrize(("language", "program"), [("curl", "curl"), ("JavaScript", "node")])
def test_the_other_calls_run(model: str, language: str, program: str, emulator: Emulator, tmp_path: Path) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    facts = shipped().get(model)
    assert facts is not None
    text = calls(facts)[language].replace("https://api.poe.com/v1", emulator.base_url)
    script = tmp_path / "call.mjs"
    script.write_text(text)
    done = subprocess.run(
        ["sh", "-c", text] if language == "curl" else ["node", str(script)],
        env={"PATH": os.environ["PATH"], "POE_API_KEY": "emulated-key"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ("/base/video/" if facts.makes_media else "emulated Claude-Opus-4.6") in done.stdout
    assert len(emulator.requests) == 1


def test_a_refresh_is_kept_and_compared(quoth: Quoth, emulator: Emulator, tmp_path: Path) -> None:
    cache = str(tmp_path)
    done = quoth("models", "claude-opus-4.6", "--refresh", QUOTH_CACHE_DIR=cache, POE_API_KEY=None)
    assert done.code == 0
    assert f"Poe's list as fetched on {TODAY()}" in done.err
    assert [request.path for request in emulator.requests] == ["/v1/models"]
    assert "as fetched on" in quoth("models", QUOTH_CACHE_DIR=cache).err
    (copy,) = tmp_path.iterdir()
    assert quoth("models", "changes", QUOTH_CACHE_DIR=cache).err.startswith("0 changes from shipped (2026-04-01)")
    rows = json.loads(copy.read_bytes())
    rows["models"] = [row for row in rows["models"] if row["id"] != "grok-4"]
    next(row for row in rows["models"] if row["id"] == "claude-opus-4.6")["price"]["prompt"] = "0.000005"
    other = tmp_path / "other.json"
    other.write_text(json.dumps(rows))
    found = quoth("models", "changes", TODAY(), str(other), "--json", QUOTH_CACHE_DIR=cache).json
    assert [(row["id"], row["change"]) for row in found] == [("grok-4", "removed"), ("claude-opus-4.6", "price")]
    text = quoth("models", "changes", TODAY(), str(other), QUOTH_CACHE_DIR=cache)
    assert "- grok-4 (near names: " in text.out
    assert "~ claude-opus-4.6: price: prompt 0.0000043" in text.out
    assert text.err.startswith("2 changes from ")


def test_an_answer_of_poe_is_a_list(quoth: Quoth, tmp_path: Path) -> None:
    file = tmp_path / "answer.json"
    file.write_text('{"object": "list", "data": [{"id": "newest-bot"}]}')
    found = quoth("models", "changes", "shipped", str(file), "--json").json
    assert found[0] == {"id": "newest-bot", "change": "added"}
    file.write_text('{"object": "list"}')
    assert "is not a list of models" in quoth("models", "changes", "shipped", str(file)).err
