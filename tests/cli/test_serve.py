"""`quoth serve` as a command: what it refuses, and that nobody has to read what it says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from quoth.gateway.serve.listen import listen
from tests.gateway.serving import Serving

CONFIG = """
model_list:
  - model_name: poe-model
    litellm_params:
      model: poe/GPT-4.1-nano
      api_key: os.environ/POE_API_KEY
"""


def serve(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if "KEY" not in name and name not in ("HOST", "PORT")}
    return subprocess.run(
        [sys.executable, "-m", "quoth.cli", "serve", *arguments],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG)
    return str(file)


def test_a_missing_variable_is_named_with_its_line(config: str) -> None:
    done = serve("--config", config)
    assert done.returncode == 1
    assert "config.yaml:6:" in done.stderr
    assert "POE_API_KEY is not set" in done.stderr
    assert done.stdout == ""


def test_the_same_as_json(config: str) -> None:
    done = serve("-c", config, "--json")
    assert done.returncode == 1
    problems = json.loads(done.stdout)["error"]["problems"]
    assert any("POE_API_KEY is not set" in problem for problem in problems)


@pytest.mark.parametrize("how", ["flag", "variable"])
def test_beyond_loopback_a_key_is_needed(config: str, how: str) -> None:
    if how == "flag":
        done = serve("-c", config, "--host", "0.0.0.0", POE_API_KEY="a-key-for-poe")
    else:
        done = serve(CONFIG_FILE_PATH=config, HOST="0.0.0.0", POE_API_KEY="a-key-for-poe")
    assert done.returncode == 1
    assert "there is no master key: set QUOTH_MASTER_KEY" in done.stderr


def test_a_port_in_use_is_one_sentence(config: str) -> None:
    with listen("127.0.0.1", 0, 1) as taken:
        port = taken.getsockname()[1]
        done = serve("-c", config, PORT=str(port), POE_API_KEY="a-key-for-poe")
    assert done.returncode == 1
    assert f"port {port} on 127.0.0.1 is already in use: stop the program that has it" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--tls-cert", "nowhere.pem"), "TLS needs a certificate and its key"),
        (("--tls-cert", "nowhere.pem", "--tls-key", "nowhere.key"), "there is no file 'nowhere.pem'"),
        (("--ssl_certfile_path", "nowhere.pem", "--ssl_keyfile_path", "nowhere.key"), "there is no file 'nowhere.pem'"),
        (("--tls-cert", __file__, "--tls-key", __file__), "are no certificate with its key"),
        (("--num_workers", "0"), "--num_workers"),
        (("--port", "99999"), "--port"),
        (("--server", "gunicorn"), "there are granian, uvicorn"),
        (("--config", "nowhere.yaml"), "nowhere.yaml"),
    ],
)
def test_what_cannot_be_is_refused(arguments: tuple[str, ...], said: str) -> None:
    done = serve(*arguments, POE_API_KEY="a-key-for-poe")
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr


FULL_PIPE = """
import os, sys
from quoth.cli.serve import _Report

read, write = os.pipe()
os.set_blocking(write, False)
try:
    while True:
        os.write(write, b"x" * 4096)
except BlockingIOError:
    os.set_blocking(write, True)
os.dup2(write, 2)
report = _Report("granian", as_json=False)
for _ in range(1000):
    report.warn("worker 1 ended")
while len(os.read(read, 1 << 20)) == 1 << 20:
    pass
report.warn("worker 2 ended")
sys.stdout.write(os.read(read, 1 << 20).decode())
"""


def test_a_log_that_nobody_reads_stops_nothing() -> None:
    """S20: the pipe is full, the gateway goes on, and once there is a reader again it says how much is missing."""
    done = subprocess.run([sys.executable, "-c", FULL_PIPE], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert "1000 lines before this one are left out" in done.stdout
    assert done.stdout.endswith("quoth: worker 2 ended\n")


def test_models_that_the_catalogue_does_not_have_are_one_warning(tmp_path: Path) -> None:
    """At the start, and again when new settings have more of them."""

    def of(*models: str) -> list[dict[str, object]]:
        return [{"model_name": name, "litellm_params": {"model": f"poe/{name}"}} for name in models]

    with Serving(tmp_path, models=of("GPT-5", "model-name"), environment={"POE_API_KEY": "k"}) as gateway:
        place = f"quoth: {gateway.file}:"
        assert [line for line in gateway.told if "model-name" in line and line.startswith(place)]
        strange = [f"Strange-{number}" for number in range(12)]
        gateway.write(model_list=of("GPT-5", *strange))
        gateway.process.send_signal(signal.SIGHUP)
        gateway.wait_until_told(lambda line: "2 more, which `quoth check` names" in line)
        start = next(
            number
            for number, line in enumerate(gateway.told)
            if line == "quoth: 12 deployments are of models that the catalogue does not have:"
        )
        told = gateway.told[start + 1 : start + 12]
        assert [name in line for name, line in zip(strange, told, strict=False)] == [True] * 10 + [False]
        assert told[-1] == "and 2 more, which `quoth check` names"
