"""The Responses of the official openai client against the gateway, unchanged, over the emulator, for models of every
wire."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from quoth.emulator import Emulator
from tests.gateway.serving import KEY, Serving
from tests.gateway.test_anthropic_client import PIXEL, SMALL_PDF

MODELS = ("poe/GPT-5.4", "poe/Claude-Sonnet-4.6", "poe/Gemini-3.1-Pro", "poe/Grok-4")
GPT, CLAUDE = MODELS[0], MODELS[1]
ASKED = "What is the capital of France?"
PARIS = "The capital of France is Paris."
WEATHER: Any = [
    {
        "type": "function",
        "name": "get_weather",
        "description": "The weather at a place, now.",
        "strict": False,
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
]
ABOUT_WEATHER: Any = [{"role": "user", "content": "What is the weather in Oslo? Use get_weather."}]


class City(BaseModel):
    name: str
    country: str


@pytest.fixture(scope="module")
def poe() -> Iterator[Emulator]:
    with Emulator(token_delay=0) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def gateway(poe: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    models = [{"model_name": "poe/*", "litellm_params": {"model": "poe/*", "num_retries": 0}}]
    folder: Path = tmp_path_factory.mktemp("gateway")
    with Serving(
        folder,
        models=models,
        environment={"POE_API_KEY": "emulated", "POE_API_BASE": poe.base_url},
        quoth={"pacing": {"rpm": 1_000_000}},
        router_settings={"disable_cooldowns": True},
    ) as serving:
        yield serving


@pytest.fixture
def client(gateway: Serving, poe: Emulator) -> Iterator[openai.OpenAI]:
    poe.clear()
    with openai.OpenAI(base_url=gateway.url, api_key=KEY, max_retries=0) as client:
        yield client


@pytest.mark.parametrize("model", MODELS)
def test_a_response(client: openai.OpenAI, model: str) -> None:
    raw = client.responses.with_raw_response.create(model=model, input=ASKED)
    found = raw.parse()
    assert found.output_text.endswith(PARIS)
    assert (found.object, found.status) == ("response", "completed")
    assert found.usage is not None
    assert found.usage.total_tokens == found.usage.input_tokens + found.usage.output_tokens > 0
    assert found._request_id is not None
    assert float(raw.headers["x-quoth-cost-usd"]) > 0
    assert raw.headers["x-quoth-wire"] == ("openai_chat" if model == "poe/Grok-4" else "openai_responses")


@pytest.mark.parametrize("model", MODELS)
def test_a_stream(client: openai.OpenAI, model: str) -> None:
    events = list(client.responses.create(model=model, input=ASKED, stream=True))
    kinds = [event.type for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert [event.sequence_number for event in events] == list(range(len(events)))
    final = events[-1]
    assert final.type == "response.completed"
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == final.response.output_text
    assert text.endswith(PARIS)
    assert final.response.usage is not None


@pytest.mark.parametrize("model", MODELS)
def test_the_streaming_helper_gives_what_a_whole_answer_is(client: openai.OpenAI, model: str) -> None:
    with client.responses.stream(model=model, input=ASKED) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_response()
    whole = client.responses.create(model=model, input=ASKED)
    assert {"response.output_text.delta", "response.completed"} <= kinds
    assert final.output_text == whole.output_text
    assert final.model == whole.model
    assert final.usage == whole.usage
    assert [item.type for item in final.output] == [item.type for item in whole.output]


@pytest.mark.parametrize("model", MODELS)
async def test_with_asyncio(gateway: Serving, poe: Emulator, model: str) -> None:
    async with openai.AsyncOpenAI(base_url=gateway.url, api_key=KEY, max_retries=0) as client:
        found = await client.responses.create(model=model, input=ASKED)
        assert found.output_text.endswith(PARIS)
        text = ""
        async for event in await client.responses.create(model=model, input=ASKED, stream=True):
            text += event.delta if event.type == "response.output_text.delta" else ""
        assert text == found.output_text


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("streamed", [False, True])
def test_the_tool_loop(client: openai.OpenAI, poe: Emulator, model: str, streamed: bool) -> None:
    def ask(items: Any, **more: Any) -> Any:
        given: Any = {"model": model, "input": items, "tools": WEATHER, **more}
        if not streamed:
            return client.responses.create(**given)
        with client.responses.stream(**given) as stream:
            stream.until_done()
            return stream.get_final_response()

    first = ask(ABOUT_WEATHER, tool_choice="required")
    (call,) = [item for item in first.output if item.type == "function_call"]
    assert (call.name, json.loads(call.arguments)) == ("get_weather", {"city": "Oslo"})
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "14 degrees"}
    items: Any = [*ABOUT_WEATHER, *first.output, result]
    second = ask(items)
    assert "14 degrees" in second.output_text
    if "Gemini" in model:  # whose turns with tools come out of Poe's Responses broken
        assert poe.requests[-1].path == "/v1/chat/completions"


def test_choices_among_tools_reach_a_model_of_chat(client: openai.OpenAI, poe: Emulator) -> None:
    function: Any = {"type": "function", "strict": False, "parameters": {"type": "object", "properties": {}}}
    two: Any = [function | {"name": "look"}, function | {"name": "leap"}]
    allowed: Any = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "leap"}]}
    ask = client.responses.with_raw_response.create
    found = ask(model="poe/Grok-4", input="Do it", tools=two, tool_choice=allowed)
    assert [item.type for item in found.parse().output] == ["function_call"]
    assert "allowed_tools_alone" in found.headers["x-quoth-warnings"]
    sent = poe.requests[-1].body
    assert isinstance(sent, dict)
    assert ([tool["function"]["name"] for tool in sent["tools"]], sent["tool_choice"]) == (["leap"], "required")
    # A search is a parameter there, and a choice among no tools is refused.
    search: Any = [{"type": "web_search"}]
    ask(model="poe/Gemini-3.1-Pro", input="Look", tools=search, tool_choice="auto", parallel_tool_calls=False)
    chat: Any = client.chat.completions.create
    asked: Any = [{"role": "user", "content": "Look"}]
    chat(model="poe/Gemini-3.1-Pro", messages=asked, tools=search, tool_choice="auto", parallel_tool_calls=False)
    sent = poe.requests[-1].body
    assert isinstance(sent, dict)
    assert sent["web_search"] is True
    assert sent.keys().isdisjoint({"tools", "tool_choice", "parallel_tool_calls"})


@pytest.mark.parametrize("model", MODELS)
def test_an_answer_that_fits_a_class(client: openai.OpenAI, model: str) -> None:
    found = client.responses.parse(model=model, input="Tell me about Lisbon.", text_format=City)
    assert isinstance(found.output_parsed, City)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("streamed", [False, True])
def test_reasoning_goes_back(client: openai.OpenAI, poe: Emulator, model: str, streamed: bool) -> None:
    given: Any = {
        "model": model,
        "reasoning": {"effort": "high", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "store": False,
    }
    if model == CLAUDE:
        # Over Responses, where Poe serves it too, its thinking has no signatures.
        given["extra_body"] = {"wire": "anthropic_messages"}

    def ask(items: Any) -> Any:
        if not streamed:
            return client.responses.create(**given, input=items)
        with client.responses.stream(**given, input=items) as stream:
            stream.until_done()
            return stream.get_final_response()

    items: Any = [{"role": "user", "content": ASKED}]
    first = ask(items)
    kinds = [item.type for item in first.output]
    second = ask([*items, *first.output, {"role": "user", "content": "And of Spain?"}])
    assert second.output_text
    sent = json.dumps(poe.requests[-1].body)
    if model == GPT:
        assert kinds[0] == "reasoning"
        assert first.output[0].encrypted_content
        assert first.output[0].encrypted_content in sent
    if model == CLAUDE:
        assert kinds == ["reasoning", "message"]
        assert '"signature"' in sent


@pytest.mark.parametrize("model", MODELS)
def test_pictures_and_files(client: openai.OpenAI, poe: Emulator, model: str) -> None:
    content: Any = [
        {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "auto"},
        {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{SMALL_PDF}"},
        {"type": "input_text", "text": "What is this?"},
    ]
    found = client.responses.create(model=model, input=[{"role": "user", "content": content}])
    assert found.output_text
    sent = json.dumps(poe.requests[-1].body)
    assert PIXEL in sent
    assert SMALL_PDF in sent


@pytest.mark.parametrize("model", MODELS)
def test_instructions_reach_every_model(client: openai.OpenAI, poe: Emulator, model: str) -> None:
    raw = client.responses.with_raw_response.create(model=model, input=ASKED, instructions="Speak like a pirate.")
    found = raw.parse()
    assert found.output_text
    body = poe.requests[-1].body
    assert isinstance(body, dict)
    assert "instructions" not in body
    assert "Speak like a pirate." in json.dumps(body)
    if model == GPT:
        assert "instructions_as_input" in raw.headers["x-quoth-warnings"]


def test_what_needs_kept_answers_is_refused(client: openai.OpenAI, poe: Emulator) -> None:
    more: Any
    for model in MODELS:
        for more in ({"previous_response_id": "resp_1"}, {"background": True}, {"conversation": "conv_1"}):
            with pytest.raises(openai.BadRequestError) as refused:
                client.responses.create(model=model, input=ASKED, **more)
            (name,) = more
            assert refused.value.param == name
            assert "cannot be served" in refused.value.message
    assert not poe.requests
    with pytest.raises(openai.NotFoundError, match="send the conversation"):
        client.responses.retrieve("resp_1")
    with pytest.raises(openai.NotFoundError, match="send the conversation"):
        client.responses.delete("resp_1")


def test_its_own_errors(gateway: Serving, client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        client.responses.create(model="nowhere", input=ASKED)
    assert (missing.value.type, missing.value.param, missing.value.code) == ("model_not_found", "model", "404")
    nothing: Any = 7
    for model in MODELS:
        with pytest.raises(openai.BadRequestError):
            client.responses.create(model=model, input=nothing)


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_that_breaks_ends_in_an_error(client: openai.OpenAI, poe: Emulator, model: str) -> None:
    """With the response as failed, which is all that Codex reads, and then an error, which the client raises."""
    poe.faults("error=after:8")
    events: list[Any] = []
    with pytest.raises(openai.APIError) as raised:
        for event in client.responses.create(model=model, input=ASKED, stream=True):
            events.append(event)
    assert raised.value.message
    failed = events[-1]
    assert (events[0].type, failed.type, failed.response.status) == ("response.created", "response.failed", "failed")
    assert failed.response.error.message == raised.value.message
    assert failed.response.error.code == "server_error"
    assert (failed.response.id, failed.response.model) == (events[0].response.id, events[0].response.model)
    assert [event.sequence_number for event in events] == list(range(len(events)))


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_that_breaks_is_raised_by_the_helper_too(client: openai.OpenAI, poe: Emulator, model: str) -> None:
    poe.faults("error=after:8")
    kinds: list[str] = []
    with pytest.raises(openai.APIError), client.responses.stream(model=model, input=ASKED) as stream:
        for event in stream:
            kinds.append(event.type)
    assert kinds[-1] == "response.failed"
    poe.faults("error=after:8")
    with pytest.raises(openai.APIError), client.responses.stream(model=model, input=ASKED) as stream:
        stream.get_final_response()


def test_chat_reaches_every_model_too(client: openai.OpenAI) -> None:
    for model in MODELS:
        found = client.chat.completions.create(model=model, messages=[{"role": "user", "content": ASKED}])
        assert (found.choices[0].message.content or "").endswith(PARIS)
        assert found.model == model
