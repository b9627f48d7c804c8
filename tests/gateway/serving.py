"""A gateway as its users start it: `quoth serve`, with a file of settings, over a real upstream.

with Serving(folder, upstream=server.url, server="granian") as gateway:
    gateway.post({"model": "m", "messages": [...]})
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import yaml

__all__ = ["KEY", "MESSAGES", "SERVERS", "UPSTREAM_KEY", "Answer", "Serving", "chat_body"]

ROOT = Path(__file__).resolve().parents[2]
KEY = "sk-tests-0123456789abcdef"
UPSTREAM_KEY = "upstream-key-0123456789"
MESSAGES = [{"role": "user", "content": "hello"}]
SERVERS = ("granian", "uvicorn")

# Seconds. A bound against hangs, not a measurement.
LONG = 30.0


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = self.json["error"]
        return found

    @property
    def events(self) -> list[str]:
        """The data of a stream's events."""
        blocks = self.body.decode().replace("\r\n", "\n").split("\n\n")
        return [block.removeprefix("data: ") for block in blocks if block.startswith("data: ")]

    @property
    def text(self) -> str:
        """What a stream said."""
        chunks = [json.loads(event) for event in self.events if event != "[DONE]"]
        return "".join(
            choice["delta"].get("content") or "" for chunk in chunks for choice in chunk.get("choices") or ()
        )


def chat_body(**more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": MESSAGES, **more}


class Serving:
    """For `with`: a gateway that answers. `models`: a `model_list`, or None for one model `m` at `upstream`, of which
    nothing is known; `settings` are the other sections of the file."""

    def __init__(
        self,
        folder: Path,
        *,
        upstream: str | None = None,
        models: list[dict[str, Any]] | None = None,
        server: str = "granian",
        key: str | None = KEY,
        environment: dict[str, str] | None = None,
        arguments: tuple[str, ...] = (),
        **settings: Any,
    ):
        self.file = folder / "config.yaml"
        if models is None and upstream is not None:
            models = [deployment("m", upstream)]
        self.settings = settings if models is None else {"model_list": models, **settings}
        self.key = key
        self.host, self.port = "127.0.0.1", 0
        self.url = ""
        self.told: list[str] = []
        self._arguments = ["--port", "0", "--server", server, *arguments]
        kept = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_API_BASE"))}
        self._environment = {**kept, **({} if key is None else {"QUOTH_MASTER_KEY": key}), **(environment or {})}

    def write(self, **settings: Any) -> None:
        """New settings, in one step."""
        self.settings |= settings
        new = self.file.with_suffix(".new")
        new.write_text(yaml.safe_dump(self.settings), "utf-8")
        new.replace(self.file)

    def __enter__(self) -> Serving:
        if self.settings:
            self.write()
            self._arguments += ["--config", str(self.file)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "quoth.cli", "serve", *self._arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self._environment,
            cwd=self.file.parent,
            text=True,
        )
        self.log: list[str] = []
        self._started = threading.Event()
        self._readers = [
            threading.Thread(target=self._read, args=(self.process.stdout, self.log), daemon=True),
            threading.Thread(target=self._read, args=(self.process.stderr, self.told), daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        if not self._started.wait(LONG) or not self.port:
            self.__exit__(None, None, None)
            raise AssertionError("\n".join(self.told))
        return self

    def _read(self, pipe: Any, lines: list[str]) -> None:
        for line in pipe:
            lines.append(line.rstrip("\n"))
            if lines is self.told and (found := re.search(r"https?://([0-9.]+):(\d+)", line)) and not self.port:
                self.host, self.port = found[1], int(found[2])
                self.url = f"{found[0]}/v1"
                self._started.set()
        if lines is self.told:
            self._started.set()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join(LONG)
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()

    def stop(self) -> int:
        """End it as an operator does; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(LONG)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The requests in the log so far."""
        return [found for line in self.log if line.startswith("{") and "route" in (found := json.loads(line))]

    def line(self, answer: Answer) -> dict[str, Any]:
        """The log's line of the request that was answered so."""
        return self.line_of(answer.headers["x-request-id"])

    def line_of(self, id: str) -> dict[str, Any]:
        """The log's line of a request; waits for it."""
        end = time.monotonic() + LONG
        while True:
            for line in self.lines:
                if line["id"] == id:
                    return line
            if time.monotonic() > end:
                raise AssertionError(f"no line of {id}")
            time.sleep(0.01)

    def wait_for_line(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """A request in the log, which is written a little after its answer."""
        end = time.monotonic() + LONG
        while time.monotonic() < end:
            for line in self.lines:
                if wanted(line):
                    return line
            time.sleep(0.01)
        raise AssertionError(f"no such line among {self.lines}")

    def wait_until_told(self, wanted: Callable[[str], bool]) -> None:
        """A line on stderr, which may come a little after the answer."""
        end = time.monotonic() + LONG
        while not any(map(wanted, [*self.told])):
            if time.monotonic() > end:
                raise AssertionError("\n".join(self.told))
            time.sleep(0.01)

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, self.port, timeout=LONG)

    def ask(
        self, method: str, path: str, body: bytes | dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """One request on a connection of its own, answered whole."""
        connection = self.connection()
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        sent = {"content-type": "application/json", **({"authorization": f"Bearer {self.key}"} if self.key else {})}
        try:
            connection.request(method, path, data, {**sent, **(headers or {})})
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()

    def post(self, body: bytes | dict[str, Any], headers: dict[str, str] | None = None) -> Answer:
        return self.ask("POST", "/v1/chat/completions", body, headers)

    def get(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        return self.ask("GET", path, None, headers)


def deployment(name: str, upstream: str, model: str = "custom_openai/up", **params: Any) -> dict[str, Any]:
    """One item of a `model_list`."""
    given = {"model": model, "api_base": upstream, "api_key": UPSTREAM_KEY, **params}
    return {"model_name": name, "litellm_params": given}
