"""What a call gives back, by its keywords."""

from __future__ import annotations

from typing import Any, assert_type

from pydantic import BaseModel

import quoth
from quoth import AsyncClient, AsyncStream, Client, Completion, QuothError, Router, Stream, acompletion, completion

MESSAGES = [{"role": "user", "content": "Hello"}]


class City(BaseModel):
    name: str


def blocking(either: bool) -> None:
    assert_type(completion("poe/Grok-4", MESSAGES), Completion)
    assert_type(completion(model="poe/Grok-4", messages=MESSAGES, stream=False), Completion)
    assert_type(completion(model="poe/Grok-4", messages=MESSAGES, stream=True), Stream)
    assert_type(completion(model="poe/Grok-4", messages=MESSAGES, stream=True, response_format=City), Stream)
    assert_type(completion(model="poe/Grok-4", messages=MESSAGES, stream=either), Completion | Stream)
    assert_type(completion("poe/Grok-4", MESSAGES, response_format={"type": "json_object"}), Completion)
    assert_type(completion("poe/Grok-4", MESSAGES, response_format=City).choices[0].message.parsed, City | None)
    assert_type(completion("poe/Grok-4", MESSAGES, thinking_budget=1024, aspect_ratio="1:1"), Completion)


async def asynchronous(either: bool) -> None:
    assert_type(await acompletion("poe/Grok-4", MESSAGES), Completion)
    assert_type(await acompletion(model="poe/Grok-4", messages=MESSAGES, stream=True), AsyncStream)
    assert_type(await acompletion(model="poe/Grok-4", messages=MESSAGES, stream=either), Completion | AsyncStream)
    answer = await acompletion("poe/Grok-4", MESSAGES, response_format=City)
    assert_type(answer.choices[0].message.parsed, City | None)


def clients() -> None:
    with Client(provider="poe") as client:
        assert_type(client, Client)
        assert_type(client.completion("Grok-4", MESSAGES), Completion)
        assert_type(client.completion("Grok-4", MESSAGES, stream=True), Stream)
        assert_type(client.chat.completions.create(model="Grok-4", messages=MESSAGES), Completion)
        assert_type(client.chat.completions.create(model="Grok-4", messages=MESSAGES, stream=True), Stream)
        for model in client.models.list():
            assert_type(model.id, str)


async def async_clients() -> None:
    async with AsyncClient(provider="poe") as client:
        assert_type(client, AsyncClient)
        assert_type(await client.acompletion("Grok-4", MESSAGES), Completion)
        assert_type(await client.chat.completions.create(model="Grok-4", messages=MESSAGES), Completion)
        assert_type(await client.chat.completions.create(model="Grok-4", messages=MESSAGES, stream=True), AsyncStream)
        assert_type((await client.models.retrieve("Grok-4")).id, str)


async def batches() -> None:
    assert_type(quoth.batch_completion("poe/Grok-4", [MESSAGES]), list[Completion | QuothError])
    assert_type(await quoth.abatch_completion("poe/Grok-4", [MESSAGES]), list[Completion | QuothError])


def questions(chunks: list[Any]) -> None:
    assert_type(quoth.stream_chunk_builder(chunks), Completion | None)
    assert_type(quoth.get_llm_provider("poe/Grok-4"), tuple[str, str, str | None, str | None])
    assert_type(quoth.get_supported_openai_params("poe/Grok-4"), list[str])
    assert_type(quoth.validate_environment("poe/Grok-4"), dict[str, Any])
    assert_type(quoth.token_counter("poe/Grok-4", text="Hello").exact, bool)


async def routers() -> None:
    with Router(model_list=[], num_retries=1, fallbacks=[{"a": ["b"]}]) as router:
        assert_type(router, Router)
        assert_type(router.completion("group", MESSAGES), Completion)
        assert_type(router.completion("group", MESSAGES, stream=True), Stream)
        assert_type(await router.acompletion("group", MESSAGES), Completion)
        assert_type(await router.acompletion("group", MESSAGES, stream=True), AsyncStream)
        assert_type(router.chat.completions.create(model="group", messages=MESSAGES), Completion)
        assert_type(await router.achat.completions.create(model="group", messages=MESSAGES), Completion)
        assert_type(router.get_model_names(), list[str])
