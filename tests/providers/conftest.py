"""A client, and what it sent: every parameter is looked at where it arrives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from quoth import Client, Completion, Warning
from tests.faultserver import FaultServer
from tests.faultserver.answers import chat, sse
from tests.faultserver.connection import Connection

HELLO = [{"role": "user", "content": "Hello"}]


class Answering:
    """Answers each request as it was asked: as a stream or whole."""

    reads = True

    async def __call__(self, connection: Connection) -> None:
        request = await connection.read()
        await (sse("ok") if request.json().get("stream") else chat("ok"))(connection)


class Wire:
    """A server that answers everything and keeps it, and a client that calls it."""

    def __init__(self, server: FaultServer, client: Client):
        self.server, self.client = server, client
        self.warnings: list[Warning] = []

    def send(self, model: str = "custom_openai/m", messages: Any = HELLO, **keywords: Any) -> dict[str, Any]:
        """Make a call over chat, unless another wire is given; the body that arrived."""
        complete: Any = self.client.completion
        where = {"api_base": self.server.url, "api_key": "k", "num_retries": 0, "wire": "openai_chat"}
        answer = complete(model, messages, **{**where, **keywords})
        if keywords.get("stream"):
            assert "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices) == "ok"
        else:
            assert isinstance(answer, Completion)
        self.warnings = answer.warnings
        body: dict[str, Any] = self.server.requests[-1].json()
        return body

    @property
    def codes(self) -> list[tuple[str, str | None]]:
        """The warnings of the last call, as (code, param)."""
        return [(warning.code, warning.param) for warning in self.warnings]


@pytest.fixture(scope="module")
def _server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        server.play(Answering())
        yield server


@pytest.fixture(scope="module")
def _client() -> Iterator[Client]:
    with Client() as client:
        yield client


@pytest.fixture(scope="module")
def wire(_server: FaultServer, _client: Client) -> Wire:
    found = Wire(_server, _client)
    found.send()  # from now on its answer is the one that repeats, and `play_once` comes before it
    return found
