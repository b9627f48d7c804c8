"""A plain client for the tests: http.client, and raw sockets where bytes matter."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from quoth.emulator import Emulator

HELLO = [{"role": "user", "content": "Say hello in exactly 3 words"}]


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = self.body["error"]
        return error

    @property
    def message(self) -> dict[str, Any]:
        message: dict[str, Any] = self.body["choices"][0]["message"]
        return message

    @property
    def text(self) -> str:
        return str(self.message["content"])

    @property
    def calls(self) -> list[tuple[str, Any]]:
        """Name and decoded arguments of each tool call."""
        calls = self.message.get("tool_calls", [])
        return [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls]

    @property
    def chunks(self) -> list[dict[str, Any]]:
        """The JSON events of a stream, without `[DONE]`."""
        events = self.raw.decode().removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n\n")
        data = [event.removeprefix("data: ") for event in events if event.startswith("data: ")]
        return [json.loads(text) for text in data if text != "[DONE]"]


def request(
    emulator: Emulator, method: str, path: str, body: Any = None, key: str | None = "key", **headers: str
) -> Reply:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if key is not None:
        sent["Authorization"] = f"Bearer {key}"
    connection = http.client.HTTPConnection(emulator.origin.removeprefix("http://"), timeout=20)
    response = None
    try:
        connection.request(method, path, json.dumps(body) if isinstance(body, (dict, list)) else body, sent)
        response = connection.getresponse()
        return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    finally:
        if response is not None:
            response.close()
        connection.close()


def chat(
    emulator: Emulator,
    prompt: str | list[dict[str, Any]] = "Say hello in exactly 3 words",
    model: str = "grok-4",
    fault: str | None = None,
    key: str = "key",
    **parameters: Any,
) -> Reply:
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    headers = {} if fault is None else {"x_emulate_fault": fault}
    body = {"model": model, "messages": messages, **parameters}
    return request(emulator, "POST", "/v1/chat/completions", body, key, **headers)


@contextmanager
def connected(emulator: Emulator) -> Iterator[socket.socket]:
    host, _, port = emulator.origin.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=20) as sock:
        yield sock


def raw_chat(fault: str | None = None, prompt: str = "Say hello in exactly 3 words", **parameters: Any) -> bytes:
    """The bytes of a chat request."""
    body = json.dumps({"model": "grok-4", "messages": [{"role": "user", "content": prompt}], **parameters}).encode()
    extra = f"x-emulate-fault: {fault}\r\n" if fault else ""
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer k\r\n{extra}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def read_all(sock: socket.socket) -> bytes:
    """Everything until the other side closes. Raises ConnectionResetError on RST."""
    received = b""
    while data := sock.recv(65536):
        received += data
    return received


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.005)
    return condition()
