"""The official anthropic client against the gateway, unchanged, over the emulator, for models of every wire."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest

from quoth.emulator import Emulator
from tests.gateway.serving import KEY, SERVERS, Serving

MODELS = ("poe/Claude-Sonnet-4.6", "poe/GPT-5.4", "poe/Gemini-3.1-Pro", "poe/Grok-4")
CLAUDE, GPT = MODELS[0], MODELS[1]
PARIS = "The capital of France is Paris."
ASKED: Any = [{"role": "user", "content": "What is the capital of France?"}]
WEATHER: Any = [
    {
        "name": "get_weather",
        "description": "The weather at a place, now.",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
]
ABOUT_WEATHER: Any = [{"role": "user", "content": "What is the weather in Oslo? Use get_weather."}]
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SMALL_PDF = base64.b64encode(
    b"%PDF-1.1\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n"
    b"trailer<</Root 1 0 R>>\n%%EOF"
).decode()


@pytest.fixture(scope="module")
def poe() -> Iterator[Emulator]:
    with Emulator(token_delay=0) as emulator:
        yield emulator


@pytest.fixture(scope="module", params=SERVERS)
def gateway(
    request: pytest.FixtureRequest, poe: Emulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serving]:
    models = [{"model_name": "poe/*", "litellm_params": {"model": "poe/*", "num_retries": 0}}]
    folder: Path = tmp_path_factory.mktemp("gateway")
    with Serving(
        folder,
        models=models,
        server=request.param,
        environment={"POE_API_KEY": "emulated", "POE_API_BASE": poe.base_url},
        quoth={"pacing": {"rpm": 1_000_000}},
        router_settings={"disable_cooldowns": True},
    ) as serving:
        yield serving


def root(gateway: Serving) -> str:
    """This client adds `/v1` itself."""
    return gateway.url.removesuffix("/v1")


@pytest.fixture
def client(gateway: Serving, poe: Emulator) -> Iterator[anthropic.Anthropic]:
    poe.clear()
    with anthropic.Anthropic(base_url=root(gateway), api_key=KEY, max_retries=0) as client:
        yield client


def words(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


@pytest.mark.parametrize("model", MODELS)
def test_a_message(client: anthropic.Anthropic, model: str) -> None:
    raw = client.messages.with_raw_response.create(model=model, max_tokens=200, messages=ASKED)
    found = raw.parse()
    assert words(found).endswith(PARIS)
    assert (found.type, found.role, found.stop_reason) == ("message", "assistant", "end_turn")
    assert found.usage.input_tokens > 0
    assert found.usage.output_tokens > 0
    assert found._request_id is not None
    assert found._request_id.startswith("req_")
    assert float(raw.headers["x-quoth-cost-usd"]) > 0
    assert raw.headers["x-quoth-attempts"] == "1"
    assert raw.headers["x-quoth-wire"] == (
        "anthropic_messages" if model == CLAUDE else "openai_responses" if model == GPT else "openai_chat"
    )


@pytest.mark.parametrize("model", MODELS)
def test_a_stream(client: anthropic.Anthropic, model: str) -> None:
    events = list(client.messages.create(model=model, max_tokens=200, messages=ASKED, stream=True))
    kinds = [event.type for event in events]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert kinds.count("message_start") == kinds.count("message_stop") == 1
    text, open_blocks = "", set[int]()
    for event in events:
        if event.type == "content_block_start":
            assert not open_blocks
            open_blocks.add(event.index)
        elif event.type == "content_block_stop":
            open_blocks.remove(event.index)
        elif event.type == "content_block_delta":
            assert event.index in open_blocks
            text += event.delta.text if event.delta.type == "text_delta" else ""
    assert not open_blocks
    assert text.endswith(PARIS)


@pytest.mark.parametrize("model", MODELS)
def test_the_streaming_helper_gives_what_a_whole_answer_is(client: anthropic.Anthropic, model: str) -> None:
    with client.messages.stream(model=model, max_tokens=200, messages=ASKED) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    whole = client.messages.create(model=model, max_tokens=200, messages=ASKED)
    assert text == words(final) == words(whole)
    assert (final.stop_reason, final.model) == (whole.stop_reason, whole.model)
    assert (final.usage.input_tokens, final.usage.output_tokens) == (
        whole.usage.input_tokens,
        whole.usage.output_tokens,
    )
    assert [block.type for block in final.content] == [block.type for block in whole.content]


@pytest.mark.parametrize("model", MODELS)
async def test_with_asyncio(gateway: Serving, poe: Emulator, model: str) -> None:
    async with anthropic.AsyncAnthropic(base_url=root(gateway), api_key=KEY, max_retries=0) as client:
        found = await client.messages.create(model=model, max_tokens=200, messages=ASKED)
        assert words(found).endswith(PARIS)
        async with client.messages.stream(model=model, max_tokens=200, messages=ASKED) as stream:
            text = "".join([piece async for piece in stream.text_stream])
        assert text == words(found)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("streamed", [False, True])
def test_the_tool_loop(client: anthropic.Anthropic, model: str, streamed: bool) -> None:
    def ask(messages: Any, **more: Any) -> Any:
        given: Any = {"model": model, "max_tokens": 400, "messages": messages, "tools": WEATHER, **more}
        if not streamed:
            return client.messages.create(**given)
        with client.messages.stream(**given) as stream:
            return stream.get_final_message()

    first = ask(ABOUT_WEATHER, tool_choice={"type": "any"})
    assert first.stop_reason == "tool_use"
    (call,) = [block for block in first.content if block.type == "tool_use"]
    assert (call.name, call.input) == ("get_weather", {"city": "Oslo"})
    result: Any = {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "14 degrees"}]}
    second = ask(
        [*ABOUT_WEATHER, {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    )
    assert second.stop_reason == "end_turn"
    assert "14 degrees" in words(second)


@pytest.mark.parametrize("streamed", [False, True])
def test_thoughts_go_back_with_their_signatures(client: anthropic.Anthropic, poe: Emulator, streamed: bool) -> None:
    given: Any = {"model": CLAUDE, "max_tokens": 4000, "thinking": {"type": "enabled", "budget_tokens": 1024}}

    def ask(messages: Any) -> Any:
        if not streamed:
            return client.messages.create(**given, messages=messages)
        with client.messages.stream(**given, messages=messages) as stream:
            return stream.get_final_message()

    first = ask(ASKED)
    thought = first.content[0]
    assert thought.type == "thinking"
    assert thought.thinking
    assert thought.signature
    turns: Any = [*ASKED, {"role": "assistant", "content": first.content}, {"role": "user", "content": "And of Spain?"}]
    second = ask(turns)
    assert words(second)
    sent = poe.requests[-1].body
    assert isinstance(sent, dict)
    assert sent["messages"][1]["content"][0]["signature"] == thought.signature


@pytest.mark.parametrize("streamed", [False, True])
def test_another_makers_reasoning_goes_back_sealed(client: anthropic.Anthropic, poe: Emulator, streamed: bool) -> None:
    given: Any = {"model": GPT, "max_tokens": 4000, "output_config": {"effort": "high"}}

    def ask(messages: Any) -> Any:
        if not streamed:
            return client.messages.create(**given, messages=messages)
        with client.messages.stream(**given, messages=messages) as stream:
            return stream.get_final_message()

    first = ask(ASKED)
    assert [block.type for block in first.content] == ["thinking", "text"]
    turns: Any = [*ASKED, {"role": "assistant", "content": first.content}, {"role": "user", "content": "And of Spain?"}]
    second = client.messages.with_raw_response.create(**given, messages=turns)
    assert words(second.parse())
    sent = poe.requests[-1]
    assert sent.path == "/v1/responses"
    assert isinstance(sent.body, dict)
    kinds = [item.get("type", "message") for item in sent.body["input"]]
    if "reasoning" not in kinds:  # only what its maker sealed goes back, and what does not is said
        assert "not_carried" in second.headers["x-quoth-warnings"]


def test_the_prompt_cache(client: anthropic.Anthropic, poe: Emulator) -> None:
    marked: Any = [
        {"type": "text", "text": "A long text, for once. " * 2000, "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "Be brief."},
    ]
    first = client.messages.create(model=CLAUDE, max_tokens=200, system=marked, messages=ASKED)
    again = client.messages.create(model=CLAUDE, max_tokens=200, system=marked, messages=ASKED)
    assert (first.usage.cache_creation_input_tokens or 0) > 1000
    assert (again.usage.cache_read_input_tokens or 0) > 1000
    marked[0]["text"] = "Short."
    over_responses = client.messages.with_raw_response.create(model=GPT, max_tokens=99, system=marked, messages=ASKED)
    assert "text_parts_joined" in over_responses.headers["x-quoth-warnings"]  # and left out the mark
    client.messages.create(model=GPT, max_tokens=99, system=marked[:1], messages=ASKED)
    assert poe.requests[-1].path == "/v1/chat/completions"  # which has a place for the mark
    assert "cache_control" in json.dumps(poe.requests[-1].body)


@pytest.mark.parametrize("model", MODELS)
def test_pictures_and_documents(client: anthropic.Anthropic, poe: Emulator, model: str) -> None:
    content: Any = [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": SMALL_PDF}},
        {"type": "text", "text": "What is this?"},
    ]
    found = client.messages.create(model=model, max_tokens=200, messages=[{"role": "user", "content": content}])
    assert words(found)
    sent = json.dumps(poe.requests[-1].body)
    assert PIXEL in sent
    assert SMALL_PDF in sent


@pytest.mark.parametrize("model", [CLAUDE, "poe/Grok-4"])
def test_stop_sequences(client: anthropic.Anthropic, poe: Emulator, model: str) -> None:
    found = client.messages.create(model=model, max_tokens=200, messages=ASKED, stop_sequences=["France"])
    assert "France" not in words(found)
    body = poe.requests[-1].body
    assert isinstance(body, dict)
    assert body["stop_sequences" if model == CLAUDE else "stop"] == ["France"]


def test_what_is_lost_on_another_wire_is_said(client: anthropic.Anthropic) -> None:
    raw = client.messages.with_raw_response.create(
        model=GPT, max_tokens=200, messages=ASKED, stop_sequences=["END"], extra_body={"top_k": 5}
    )
    assert "not_carried" in raw.headers["x-quoth-warnings"].split(",")


def test_system_texts_reach_every_wire(client: anthropic.Anthropic, poe: Emulator) -> None:
    for model in MODELS:
        client.messages.create(
            model=model, max_tokens=99, messages=ASKED, system=[{"type": "text", "text": "Speak like a pirate."}]
        )
        assert "Speak like a pirate." in json.dumps(poe.requests[-1].body)


@pytest.mark.parametrize("model", MODELS)
def test_counting_tokens(client: anthropic.Anthropic, poe: Emulator, model: str) -> None:
    few = client.messages.count_tokens(model=model, messages=ASKED)
    more = client.messages.count_tokens(model=model, messages=ASKED, system="Be brief. " * 100, tools=WEATHER)
    assert 0 < few.input_tokens < 30
    assert more.input_tokens > few.input_tokens + 100
    assert not poe.requests


def test_its_own_errors(gateway: Serving, client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as missing:
        client.messages.create(model="nowhere", max_tokens=9, messages=ASKED)
    body: Any = missing.value.body
    assert (body["type"], body["error"]["type"]) == ("error", "not_found_error")
    assert body["request_id"] == missing.value.request_id
    with pytest.raises(anthropic.NotFoundError) as missing:
        client.messages.batches.list()  # a route of this API that there is none of
    body = missing.value.body
    assert (body["type"], body["error"]["type"]) == ("error", "not_found_error")
    messages: Any = "hello"
    with pytest.raises(anthropic.BadRequestError):
        client.messages.create(model=CLAUDE, max_tokens=9, messages=messages)
    with anthropic.Anthropic(base_url=root(gateway), api_key="sk-another-0123456789", max_retries=0) as stranger:
        with pytest.raises(anthropic.AuthenticationError) as refused:
            stranger.messages.create(model=CLAUDE, max_tokens=9, messages=ASKED)
        said: Any = refused.value.body
        assert said["error"]["type"] == "authentication_error"
        with pytest.raises(anthropic.AuthenticationError):
            stranger.messages.count_tokens(model=CLAUDE, messages=ASKED)


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_that_breaks_is_an_error(client: anthropic.Anthropic, poe: Emulator, model: str) -> None:
    poe.faults("error=after:4")
    with pytest.raises(anthropic.APIStatusError) as broken:
        for _ in client.messages.create(model=model, max_tokens=200, messages=ASKED, stream=True):
            pass
    body: Any = broken.value.body
    assert body["type"] == "error"
    assert body["error"]["message"]


def test_a_bearer_token_will_do(gateway: Serving) -> None:
    with anthropic.Anthropic(base_url=root(gateway), auth_token=KEY, api_key=None, max_retries=0) as client:
        assert words(client.messages.create(model=CLAUDE, max_tokens=99, messages=ASKED)).endswith(PARIS)


def test_structured_output(client: anthropic.Anthropic) -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
        "additionalProperties": False,
    }
    form: Any = {"type": "json_schema", "schema": schema}
    # Poe's Messages refuse to be told the form, so that its Claude is asked over Responses.
    for model in (CLAUDE, GPT, "poe/Grok-4"):
        asked: Any = {"model": model, "max_tokens": 400, "messages": ASKED}
        found = client.messages.create(**asked, output_config={"format": form})
        assert isinstance(json.loads(words(found))["n"], int)
        with client.messages.stream(**asked, extra_body={"output_format": form}) as stream:
            assert isinstance(json.loads(words(stream.get_final_message()))["n"], int)
    raw = client.messages.with_raw_response.create(
        model=CLAUDE, max_tokens=400, messages=ASKED, output_config={"effort": "low"}
    )
    assert raw.headers["x-quoth-wire"] == "anthropic_messages"
