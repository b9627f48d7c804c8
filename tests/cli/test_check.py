"""`quoth check`: every problem with its place, what would be served, and an exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from quoth.emulator import Emulator
from tests.cli.running import Quoth, environment

MASTER = "sk-a-master-key-of-tests-4711"
GOOD = """\
model_list:
  - model_name: fast
    litellm_params: {model: poe/GPT-4.1-nano, api_key: os.environ/POE_API_KEY}
  - model_name: fast
    litellm_params: {model: poe/Claude-Haiku-4.5}
  - model_name: "poe/*"
    litellm_params: {model: "poe/*"}
router_settings:
  routing_strategy: least-busy
  model_group_alias: {default: fast}
general_settings:
  master_key: os.environ/THE_KEY
"""
BAD = """\
model_list:
  - model_name: fast
    litellm_params: {model: poee/GPT-4.1-nano}
general_settings:
  master_key: hunter2
  fancy_new_thing: 1
"""


@pytest.fixture
def good(tmp_path: Path) -> str:
    (tmp_path / "good.yaml").write_text(GOOD)
    return str(tmp_path / "good.yaml")


@pytest.fixture
def bad(tmp_path: Path) -> str:
    (tmp_path / "bad.yaml").write_text(BAD)
    return str(tmp_path / "bad.yaml")


def test_good_settings(quoth: Quoth, emulator: Emulator, good: str) -> None:
    done = quoth("check", good, THE_KEY=MASTER)
    assert done.code == 0
    assert done.out.splitlines() == [
        "  fast → poe/GPT-4.1-nano, poe/Claude-Haiku-4.5 (2 deployments)",
        "  poe/* → poe/*",
        "  default → fast (alias)",
        "on http://127.0.0.1:4000, with a master key, strategy least-busy",
    ]
    assert done.err == "Nothing is wrong: the gateway would start\n"
    assert not emulator.requests
    assert MASTER not in done.out + done.err


def test_bad_settings(quoth: Quoth, bad: str) -> None:
    done = quoth("check", bad)
    assert done.code == 1
    lines = done.out.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [f"{bad}:3:29", f"{bad}:5:15", f"{bad}:6:3"]
    assert "model_list[0].litellm_params.model: 'poee' (in 'poee/GPT-4.1-nano') is not a provider." in lines[0]
    assert "general_settings.master_key: it has 7 characters, and needs 16 or more" in lines[1]
    assert "general_settings.fancy_new_thing: warning: fancy_new_thing is not a key of general_settings" in lines[2]
    assert done.err == "2 errors, 1 warning: the gateway would not start\n"
    assert "hunter2" not in done.out + done.err


def test_strict_makes_errors_of_unknown_keys(quoth: Quoth, good: str) -> None:
    path = Path(good)
    path.write_text(f"{GOOD}  fancy_new_thing: 1\n")
    assert quoth("check", good, THE_KEY=MASTER).code == 0
    done = quoth("check", good, "--strict", THE_KEY=MASTER)
    assert (done.code, done.err) == (1, "1 error: the gateway would not start\n")


def test_json(quoth: Quoth, good: str, bad: str) -> None:
    done = quoth("check", good, "--json", THE_KEY=MASTER)
    assert (done.code, done.err) == (0, "")
    assert done.json == {
        "ok": True,
        "problems": [],
        "serves": {
            "models": [
                {"name": "fast", "targets": ["poe/GPT-4.1-nano", "poe/Claude-Haiku-4.5"], "deployments": 2},
                {"name": "poe/*", "targets": ["poe/*"], "deployments": 1},
            ],
            "aliases": {"default": "fast"},
            "strategy": "least-busy",
            "master_key": True,
            "cache": False,
            "hooks": [],
            "address": "http://127.0.0.1:4000",
            "workers": 1,
        },
    }
    done = quoth("check", bad, "--json")
    assert (done.code, done.err) == (1, "")
    assert (done.json["ok"], done.json["serves"]) == (False, None)
    first = done.json["problems"][0]
    assert first.keys() == {"severity", "message", "file", "line", "column", "path"}
    assert (first["severity"], first["file"], first["line"]) == ("error", bad, 3)


def test_models_that_the_catalogue_does_not_have_are_warnings(quoth: Quoth, good: str) -> None:
    Path(good).write_text(GOOD.replace("poe/GPT-4.1-nano", "poe/GPT-4.1-nona"))
    done = quoth("check", good, THE_KEY=MASTER)
    assert done.code == 0
    line = done.out.splitlines()[0]
    assert line.startswith(f"{good}:3:29: model_list[0].litellm_params.model: warning: 'GPT-4.1-nona' is not in the")
    assert "did you mean poe/gpt-4.1-nano" in line
    assert done.err == "1 warning: the gateway would start\n"
    (problem,) = quoth("check", good, "--json", THE_KEY=MASTER).json["problems"]
    assert (problem["severity"], problem["code"]) == ("warning", "unlisted_model")


def test_without_a_file(quoth: Quoth) -> None:
    done = quoth("check")
    assert done.code == 0
    assert done.out.splitlines()[1:3] == ["  poe/* → poe/*", "  * → poe/*"]
    assert done.err == "1 warning: the gateway would start\n"
    done = quoth("check", POE_API_KEY=None)
    assert done.code == 1
    assert done.out.startswith("no key for Poe: set POE_API_KEY (it is unset or blank)")


def test_a_file_that_is_not_there(quoth: Quoth) -> None:
    done = quoth("check", "nowhere.yaml")
    assert (done.code, done.out) == (1, "nowhere.yaml: it cannot be read: No such file or directory\n")


def test_a_missing_extra_is_one_sentence() -> None:
    without = "import sys; sys.modules['yaml'] = None; from quoth.cli import main; sys.exit(main(['check', 'x.yaml']))"
    done = subprocess.run(
        [sys.executable, "-c", without], env=environment(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == 'quoth: settings are YAML, and PyYAML is not installed: run pip install "quoth[gateway]"\n'
