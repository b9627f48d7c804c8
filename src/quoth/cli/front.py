"""The gateway as a process of its own, for the tour: started, called, stopped."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import msgspec

from quoth.errors import APIError, for_status

__all__ = ["Front", "NoGateway", "has_curl", "run", "shown"]

_PORT = 4000
_START = 30.0
_ANSWER = 120.0
_STOP = 5.0


class NoGateway(Exception):
    """The gateway cannot be started here; the text says why."""


class Front:
    """For `with`: a gateway that serves the models of one provider to whoever has `key`. `variables` are laid over the
    environment. `usual`: on the usual port, where that is free. Raises NoGateway."""

    def __init__(self, provider: str, variables: Mapping[str, str], *, usual: bool):
        if os.name == "nt":
            raise NoGateway("the gateway runs on Linux and macOS")
        for package in ("granian", "yaml"):
            if find_spec(package) is None:
                raise NoGateway(f'it needs {package}, which is not installed: pip install "quoth[gateway]"')
        self.key = f"sk-demo-{secrets.token_hex(12)}"
        self._folder = tempfile.TemporaryDirectory(prefix="quoth-demo-gateway-")
        ports = (_PORT, 0) if usual else (0,)
        try:
            self._start(provider, variables, ports)
        except BaseException:
            self._folder.cleanup()
            raise

    def _start(self, provider: str, variables: Mapping[str, str], ports: tuple[int, ...]) -> None:
        command = [sys.executable, "-m", "quoth.cli", "serve", "--json"]
        if provider != "poe":
            # Without a file it serves what Poe has.
            entry = {"model_name": f"{provider}/*", "litellm_params": {"model": f"{provider}/*"}}
            file = Path(self._folder.name, "config.yaml")
            file.write_bytes(msgspec.json.encode({"model_list": [entry]}))
            command += ["--config", str(file)]
        kept = {name: value for name, value in os.environ.items() if name != "LITELLM_MASTER_KEY"}
        environment = {**kept, **variables, "QUOTH_MASTER_KEY": self.key}
        for number, port in enumerate(ports, 1):
            self._process = subprocess.Popen(  # noqa: S603 -- this interpreter, and words of our own
                [*command, "--port", str(port)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            told = self._first_document()
            if told is not None and "base_url" in told:
                self.base_url: str = told["base_url"]
                return
            self._end()
            if number == len(ports):
                why = told["error"]["message"] if told else "it did not start in time"
                raise NoGateway(f"it did not start: {why}")

    def _first_document(self) -> Any:
        """What it says of its start; None where it says nothing. What it says later is read and let go."""
        said: SimpleQueue[Any] = SimpleQueue()
        threading.Thread(target=_read, args=(self._process.stdout, said), daemon=True).start()
        try:
            return said.get(timeout=_START)
        except Empty:
            return None

    def curl(self, model: str, messages: list[Any], more: Mapping[str, Any]) -> list[str]:
        """The command that asks it."""
        return [
            *("curl", "-si", f"{self.base_url}/chat/completions"),
            *("-H", f"Authorization: Bearer {self.key}"),
            *("-H", "Content-Type: application/json"),
            *("-d", msgspec.json.encode({"model": model, "messages": messages, **more}).decode()),
        ]

    def __enter__(self) -> Front:
        return self

    def __exit__(self, *raised: object) -> None:
        self._end()
        self._folder.cleanup()

    def wait(self) -> None:
        """Until it ends by itself."""
        self._process.wait()

    def _end(self) -> None:
        process = self._process
        # The second signal says: at once. Nobody is served any more.
        for end, seconds in ((process.terminate, 0.2), (process.terminate, _STOP), (process.kill, _STOP)):
            end()
            try:
                process.wait(seconds)
                return
            except subprocess.TimeoutExpired:
                continue


def shown(command: list[str]) -> str:
    """A command as it is typed, an option a line."""
    lines = [" ".join(map(shlex.quote, command[:3]))]
    options = command[3:]
    lines += [f"  {flag} {shlex.quote(value)}" for flag, value in zip(options[::2], options[1::2], strict=True)]
    return " \\\n".join(lines)


def has_curl() -> bool:
    return shutil.which("curl") is not None


def run(command: list[str]) -> tuple[dict[str, str], bytes] | None:
    """Headers and body of the answer that curl brings; None where there is no curl. Raises APIError."""
    program = shutil.which(command[0])
    if program is None:
        return None
    # A proxy is for the world outside.
    environment = {**os.environ, "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(  # noqa: S603 -- the program that PATH has, with words of our own
        [program, *command[1:]], env=environment, capture_output=True, timeout=_ANSWER, check=False
    )
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    if done.returncode or not status.startswith("HTTP/"):
        raise APIError(f"curl could not ask the gateway (exit code {done.returncode})")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    code = int(status.split()[1])
    if code != 200:
        error = msgspec.json.decode(body)["error"]
        raise for_status(code)(error["message"], status_code=code, body={"error": error}, headers=headers)
    return headers, body


def _read(pipe: Any, said: SimpleQueue[Any]) -> None:
    """Hand on the first JSON document, and read on so that nobody waits."""
    text = b""
    handed = False
    with closing(pipe):
        for line in pipe:
            if handed:
                continue
            text += line
            try:
                said.put(msgspec.json.decode(text))
                handed = True
            except msgspec.DecodeError:
                pass  # there is more to come
    if not handed:
        said.put(None)
