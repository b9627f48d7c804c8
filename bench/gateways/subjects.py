"""The gateways that are measured: how each is started, and what its processes use."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.gateways.load import KEY, MODEL, OVER_MESSAGES
from bench.run import environment

__all__ = ["SUBJECTS", "Running", "Subject", "Unstarted", "running"]

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PATIENCE = 90.0
NGINX = """
worker_processes 1; daemon off; pid {folder}/pid; error_log stderr crit;
events {{ worker_connections 2048; }}
http {{
  access_log off; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder}; client_body_buffer_size 1m; client_max_body_size 64m;
  upstream up {{ server {host}; keepalive 256; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://up{path}; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    }}
  }}
}}
"""
_GRANIAN = "--interface asgi --workers 1 --no-ws --loop uvloop --log-level warning --backlog 2048 --backpressure 1024"


@dataclass(frozen=True)
class Subject:
    """`command` makes the command line from (python, port, upstream, a folder of its own). `peers`: it lives in the
    peers' environment. `needs`: a program on the PATH."""

    name: str
    title: str
    command: Callable[[str, int, str, Path], list[str]]
    peers: bool = False
    needs: str | None = None

    def missing(self, pythons: dict[bool, str | None]) -> str:
        if self.needs is not None and shutil.which(self.needs) is None:
            return f"{self.needs} is not installed (apt-get install {self.needs})"
        if pythons[self.peers] is None:
            return "QUOTH_BENCH_PEERS names no Python; `make bench` sets it up"
        return ""


def _nginx(python: str, port: int, upstream: str, folder: Path) -> list[str]:
    host, _, path = upstream.partition("://")[2].partition("/")
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, host=host, port=port, path=f"/{path}/"))
    return [shutil.which("nginx") or "nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def _floor(module: str) -> Callable[[str, int, str, Path], list[str]]:
    def command(python: str, port: int, upstream: str, folder: Path) -> list[str]:
        return [python, "-m", "granian", *_GRANIAN.split(), "--port", str(port), f"bench.gateways.{module}:app"]

    return command


def _quoth(python: str, port: int, upstream: str, folder: Path) -> list[str]:
    there = {"api_base": upstream, "api_key": "upstream-key"}
    claude = {"model": "anthropic/claude-sonnet-4.6", "wire": "anthropic_messages", **there}
    settings = {
        "model_list": [
            {"model_name": "*", "litellm_params": {"model": "poe/*", **there}},
            {"model_name": OVER_MESSAGES, "litellm_params": claude},
        ],
        "general_settings": {"master_key": KEY},
        "quoth": {"catalogue_ttl": 0, "log": {"path": str(folder / "requests.log")}},
    }
    (folder / "config.yaml").write_text(json.dumps(settings))
    return [python, "-m", "quoth.cli", "serve", "--config", str(folder / "config.yaml"), "--port", str(port)]


def _litellm(python: str, port: int, upstream: str, folder: Path) -> list[str]:
    settings = {
        "model_list": [
            {
                "model_name": MODEL,
                "litellm_params": {"model": f"poe/{MODEL}", "api_base": upstream, "api_key": "upstream-key"},
            }
        ],
        "general_settings": {"master_key": KEY},
    }
    (folder / "config.yaml").write_text(json.dumps(settings))
    program = str(Path(python).parent / "litellm")
    return [program, "--config", str(folder / "config.yaml"), "--port", str(port), "--host", "127.0.0.1"]


SUBJECTS = {
    subject.name: subject
    for subject in (
        Subject("nginx", "nginx, a plain reverse proxy", _nginx, needs="nginx"),
        Subject("floor", "floor: granian and pyreqwest", _floor("floor_pyreqwest"), peers=True),
        Subject("floor-own", "floor: granian and Quoth's transport", _floor("floor_httptools")),
        Subject("quoth", "Quoth", _quoth),
        Subject("litellm", "LiteLLM's proxy", _litellm, peers=True),
    )
}


class Unstarted(Exception):
    """A gateway that does not answer; the message is the last that it said."""


class Running:
    """A gateway that answers. `first_ms`: how long its first answer took, from the start of its process."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, first_ms: float):
        self.url = f"http://127.0.0.1:{port}/v1"
        self._process = psutil.Process(process.pid)
        self.first_ms = first_ms

    def _all(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]

    def cpu(self) -> float:
        """Seconds of processor time so far, of all its processes."""
        times = [process.cpu_times() for process in self._all()]
        return sum(one.user + one.system for one in times)

    def memory(self) -> dict[str, float]:
        """Resident megabytes: of the parent, and of the largest other process."""
        sizes = [process.memory_info().rss / 1e6 for process in self._all()]
        return {"parent_mb": sizes[0], "worker_mb": max(sizes[1:], default=sizes[0])}


@contextmanager
def running(subject: Subject, upstream: str, pythons: dict[bool, str | None], core: int | None) -> Iterator[Running]:
    """For `with`: one that answers. Raises Unstarted."""
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), _free_port()
        command = subject.command(str(pythons[subject.peers]), port, upstream, folder)
        pinned = [] if core is None else ["taskset", "-c", str(core)]
        variables = {
            **environment(),
            "UPSTREAM": upstream,
            "PYTHONPATH": str(ROOT),
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_LOG": "ERROR",
        }
        begun = time.monotonic()
        with open(folder / "output", "wb") as output:
            process = subprocess.Popen([*pinned, *command], stdout=output, stderr=output, env=variables, cwd=folder)
        try:
            _answers(process, port, begun, folder)
            yield Running(process, port, (time.monotonic() - begun) * 1e3)
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _answers(process: subprocess.Popen[bytes], port: int, begun: float, folder: Path) -> None:
    """Wait for the first good answer."""
    body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "hello"}]})
    headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
    while time.monotonic() - begun < PATIENCE:
        if process.poll() is not None:
            break
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("POST", "/v1/chat/completions", body, headers)
            answer = connection.getresponse()
            answer.read()
            connection.close()
            if answer.status == 200:
                return
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.02)
    raise Unstarted(f"it does not answer: {(folder / 'output').read_text(errors='replace')[-2000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
