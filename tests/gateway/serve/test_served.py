"""`quoth serve` whole: the command, the real settings, the real application, and a provider that is emulated."""

from __future__ import annotations

import http.client
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import openai
import psutil
import pytest

from quoth.emulator import Emulator
from quoth.gateway.serve.probe import is_ready
from tests.gateway.serve.running import LONG, eventually

KEY = "a-key-of-more-than-sixteen"

CONFIG = """
model_list:
  - model_name: {name}
    litellm_params:
      model: poe/GPT-4.1-nano
      api_key: os.environ/POE_API_KEY
quoth:
  drain_delay: 0.2s
"""


@pytest.fixture(scope="module")
def poe() -> Iterator[Emulator]:
    with Emulator(token_delay=0.02) as emulator:
        yield emulator


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG.format(name="poe-model"))
    return file


class Served:
    def __init__(self, process: subprocess.Popen[str], url: str):
        self.process = process
        self.url = url
        self.said: list[str] = []

    def client(self, **more: object) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=KEY, max_retries=0, timeout=LONG, **more)  # type: ignore[arg-type]

    def listen(self, stream: IO[str]) -> None:
        for line in stream:
            self.said.append(line.rstrip())

    def has_said(self, text: str) -> bool:
        return any(text in line for line in self.said)


def environment(poe: Emulator, **more: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if "KEY" not in name and name not in ("HOST", "PORT")}
    return {**clean, "POE_API_KEY": "emulated", "POE_API_BASE": poe.base_url, "QUOTH_MASTER_KEY": KEY, **more}


@contextmanager
def serving(poe: Emulator, *arguments: str, **more: str) -> Iterator[Served]:
    process = subprocess.Popen(
        [sys.executable, "-m", "quoth.cli", "serve", "--port", "0", "--json", *arguments],
        env=environment(poe, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    served = Served(process, "")
    readers = [threading.Thread(target=served.listen, args=(process.stderr,), daemon=True)]
    readers[0].start()
    try:
        document = ""
        while not document.endswith("}\n"):
            line = process.stdout.readline()
            assert line, served.said
            document = document + line if document or line == "{\n" else ""
        served.url = json.loads(document)["url"]
        readers.append(threading.Thread(target=served.listen, args=(process.stdout,), daemon=True))
        readers[1].start()
        yield served
    finally:
        process.kill()
        process.wait()
        for reader in readers:
            reader.join()
        process.stdout.close()
        process.stderr.close()


def ask(client: openai.OpenAI, model: str = "poe-model") -> str:
    answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hello"}])
    return answer.choices[0].message.content or ""


@pytest.mark.parametrize("server", ["granian", "uvicorn"])
def test_the_command_serves_poe(server: str, poe: Emulator, config: Path) -> None:
    with serving(poe, "--config", str(config), "--server", server, "--workers", "2") as served:
        assert is_ready(served.url)
        with served.client() as client:
            assert "emulated" in ask(client)
            stream = client.chat.completions.create(
                model="poe-model", messages=[{"role": "user", "content": "Hello"}], stream=True
            )
            assert len(list(stream)) > 2
            with pytest.raises(openai.AuthenticationError):
                ask(client.with_options(api_key="not-this-one-at-all"))
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(LONG) == 0
        assert "Traceback" not in "\n".join(served.said)


@pytest.mark.parametrize("server", ["granian", "uvicorn"])
def test_a_stream_ends_whole_while_the_command_drains(server: str, poe: Emulator, config: Path) -> None:
    with serving(poe, "--config", str(config), "--server", server) as served, served.client() as client:
        stream = client.chat.completions.create(
            model="poe-model", messages=[{"role": "user", "content": "word " * 60}], stream=True
        )
        next(iter(stream))
        served.process.send_signal(signal.SIGTERM)
        eventually(lambda: served.has_said("draining"))
        assert [chunk.choices[0].finish_reason for chunk in stream if chunk.choices][-1] == "stop"
        assert served.process.wait(LONG) == 0


@pytest.mark.parametrize("server", ["granian", "uvicorn"])
def test_no_websocket_is_opened(server: str, poe: Emulator, config: Path) -> None:
    """C23: the client is told, and its connection is good for other requests."""
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Authorization": f"Bearer {KEY}",
    }
    with serving(poe, "--config", str(config), "--server", server) as served:
        connection = http.client.HTTPConnection(served.url.partition("//")[2], timeout=LONG)
        for path in ("/v1/realtime", "/v1/chat/completions"):
            connection.request("GET", path, headers=upgrade)
            answer = connection.getresponse()
            problem = json.loads(answer.read())
            assert (answer.status, problem["error"]["type"]) == (426, "upgrade_required")
            assert answer.getheader("upgrade") == "HTTP/1.1"
        connection.request("GET", "/health/readiness")
        assert connection.getresponse().status == 200
        connection.close()


def test_a_model_is_added_while_it_serves(poe: Emulator, config: Path) -> None:
    with serving(poe, "--config", str(config), "--workers", "2") as served, served.client() as client:
        with pytest.raises(openai.NotFoundError):
            ask(client, "another-name")
        config.write_text(CONFIG.format(name="another-name"))
        served.process.send_signal(signal.SIGHUP)
        eventually(lambda: served.has_said("the settings were reloaded (generation 2)"))
        assert {bool(ask(client, "another-name")) for _ in range(8)} == {True}
        config.write_text("model_list: [")
        served.process.send_signal(signal.SIGHUP)
        eventually(lambda: served.has_said("the new settings are refused, the old ones stay"))
        assert ask(client, "another-name")


def test_the_line_to_try_it_is_true(poe: Emulator, config: Path) -> None:
    """What is printed at the start is pasted into a shell."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not here")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    process = subprocess.Popen(
        [sys.executable, "-m", "quoth.cli", "serve", "-c", str(config), "--port", port],
        env=environment(poe),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        line = next(line for line in process.stderr if line.startswith("curl "))
        assert shlex.split(line)[0] == "curl"
        done = subprocess.run(
            ["sh", "-c", f"{line.strip()} --silent --fail --noproxy '*'"],
            env={"PATH": os.environ["PATH"], "QUOTH_MASTER_KEY": KEY},
            capture_output=True,
            check=True,
        )
        assert json.loads(done.stdout)["choices"]
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_the_application_in_a_server_of_ones_own(poe: Emulator, config: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "quoth.gateway.serve.worker:application", "--port", port],
        env=environment(poe, CONFIG_FILE_PATH=str(config)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: is_ready(url))
        with openai.OpenAI(base_url=f"{url}/v1", api_key=KEY) as client:
            assert "emulated" in ask(client)
        process.send_signal(signal.SIGTERM)
        assert process.wait(LONG) in (0, -signal.SIGTERM)
    finally:
        process.kill()
        process.wait()


def test_a_server_of_ones_own_is_told_what_is_wrong_with_the_settings(poe: Emulator, config: Path) -> None:
    config.write_text("model_list: [")
    done = subprocess.run(
        [sys.executable, "-m", "uvicorn", "quoth.gateway.serve.worker:application", "--port", "0"],
        env=environment(poe, CONFIG_FILE_PATH=str(config)),
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )
    assert done.returncode != 0
    assert "config.yaml:" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count memory otherwise")
def test_it_is_small(poe: Emulator, config: Path) -> None:
    with serving(poe, "--config", str(config)) as served:
        with served.client() as client:
            ask(client)
        parent = psutil.Process(served.process.pid)
        (worker,) = parent.children()
        assert parent.memory_info().rss < 40 << 20
        assert worker.memory_info().rss < 90 << 20


def test_metrics_are_of_all_workers(poe: Emulator, config: Path) -> None:
    """Whichever worker is asked, and also when one has crashed since."""
    with serving(poe, "--config", str(config), "--workers", "2") as served:
        for _ in range(10):
            with served.client() as client:  # a connection of its own, for whoever takes it
                ask(client)
        assert chats(served) == 10
        assert chats(served) == 10
        for worker in psutil.Process(served.process.pid).children():
            worker.kill()
        eventually(lambda: len([line for line in served.said if "ended by signal 9" in line]) == 2)
        assert chats(served) == 10


def test_a_service_manager_is_told_when_it_answers(poe: Emulator, config: Path, tmp_path: Path) -> None:
    """systemd's Type=notify."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(LONG)
        with serving(poe, "--config", str(config), NOTIFY_SOCKET=str(tmp_path / "notify")) as served:
            assert manager.recv(100) == b"READY=1"
            assert is_ready(served.url)


def test_nobody_has_to_read_what_it_says(poe: Emulator, config: Path) -> None:
    """S20: both pipes are full, and requests are answered as before; it ends as it should."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "quoth.cli", "serve", "-c", str(config), "--port", str(port)],
        env=environment(poe),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        eventually(lambda: is_ready(f"http://127.0.0.1:{port}"))
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONG)
        for number in range(2000):
            connection.request("GET", f"/{number}", headers={"x-request-id": "x" * 100})
            answer = connection.getresponse()
            answer.read()
            assert answer.status in (401, 404)
        connection.close()
        for _ in range(3):
            process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        assert process.wait(LONG) == 0
    finally:
        process.kill()
        process.communicate()


def chats(served: Served) -> float:
    request = urllib.request.Request(f"{served.url}/metrics", headers={"Authorization": f"Bearer {KEY}"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=LONG) as answer:
        page = answer.read().decode()
    rows = [line for line in page.splitlines() if line.startswith("quoth_requests_total{") and "chat" in line]
    return sum(float(row.rpartition(" ")[2]) for row in rows)
