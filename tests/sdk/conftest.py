from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Protocol

import pytest

import quoth
from quoth.emulator import Emulator
from tests.faultserver import FaultServer

QUESTION = [{"role": "user", "content": "What is 17 * 19?"}]


class Complete(Protocol):
    """`quoth.completion` or `quoth.acompletion`, with a model and a question where the test does not care."""

    name: str

    def __call__(self, model: str = ..., messages: Any = ..., **keywords: Any) -> quoth.Completion: ...

    def stream(self, model: str = ..., messages: Any = ..., **keywords: Any) -> tuple[list[quoth.Chunk], Any]:
        """All chunks, and the stream at its end."""


class Blocking:
    name = "blocking"

    def __call__(self, model: str = "poe/Grok-4", messages: Any = QUESTION, **keywords: Any) -> quoth.Completion:
        response: quoth.Completion = quoth.completion(model=model, messages=messages, **keywords)
        return response

    def stream(self, model: str = "poe/Grok-4", messages: Any = QUESTION, **keywords: Any) -> Any:
        with quoth.completion(model=model, messages=messages, stream=True, **keywords) as stream:
            return list(stream), stream


class Asyncio:
    name = "asyncio"

    def __call__(self, model: str = "poe/Grok-4", messages: Any = QUESTION, **keywords: Any) -> quoth.Completion:
        response: quoth.Completion = asyncio.run(quoth.acompletion(model=model, messages=messages, **keywords))
        return response

    def stream(self, model: str = "poe/Grok-4", messages: Any = QUESTION, **keywords: Any) -> Any:
        async def read() -> Any:
            async with await quoth.acompletion(model=model, messages=messages, stream=True, **keywords) as stream:
                return [chunk async for chunk in stream], stream

        return asyncio.run(read())


@pytest.fixture(params=[Blocking(), Asyncio()], ids=lambda way: way.name)
def complete(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def emulator(poe_emulator: Emulator) -> Emulator:
    return poe_emulator


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running
