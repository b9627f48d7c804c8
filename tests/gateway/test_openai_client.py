"""The official openai client against the gateway, unchanged, over the emulator: under granian and under uvicorn."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from quoth.emulator import Emulator
from tests.faultserver import FaultServer, Read, Stall, answer, chat, error
from tests.gateway.serving import KEY, SERVERS, UPSTREAM_KEY, Serving

MODEL = "poe/GPT-5.2"
PARIS = "[emulated GPT-5.2] The capital of France is Paris."
ASKED: Any = [{"role": "user", "content": "What is the capital of France?"}]
WEATHER: Any = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather at a place, now.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
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
def other() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.fixture(scope="module", params=SERVERS)
def gateway(
    request: pytest.FixtureRequest, poe: Emulator, other: FaultServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serving]:
    models = [
        {"model_name": "poe/*", "litellm_params": {"model": "poe/*", "num_retries": 0}},
        {
            "model_name": "other",
            "litellm_params": {
                "model": "custom_openai/up",
                "api_base": other.url,
                "api_key": UPSTREAM_KEY,
                "num_retries": 0,
            },
        },
    ]
    environment = {"POE_API_KEY": "emulated", "POE_API_BASE": poe.base_url}
    folder: Path = tmp_path_factory.mktemp("gateway")
    with Serving(
        folder,
        models=models,
        server=request.param,
        environment=environment,
        quoth={"pacing": {"rpm": 1_000_000}},
        router_settings={"disable_cooldowns": True},
    ) as serving:
        yield serving


@pytest.fixture
def client(gateway: Serving, poe: Emulator) -> Iterator[openai.OpenAI]:
    poe.clear()
    with openai.OpenAI(base_url=gateway.url, api_key=KEY, max_retries=0) as client:
        yield client


def test_a_chat(client: openai.OpenAI) -> None:
    found = client.chat.completions.create(model=MODEL, messages=ASKED)
    assert found.choices[0].message.content == PARIS
    assert found.choices[0].finish_reason == "stop"
    assert found.model == MODEL
    assert found.usage is not None
    assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens
    assert found._request_id is not None
    assert found._request_id.startswith("req_")


def test_a_stream(client: openai.OpenAI) -> None:
    with client.chat.completions.create(
        model=MODEL, messages=ASKED, stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices).endswith("Paris.")
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage is not None
    assert {chunk.model for chunk in chunks} == {MODEL}


def test_a_stream_without_usage_has_none(client: openai.OpenAI) -> None:
    chunks = list(client.chat.completions.create(model=MODEL, messages=ASKED, stream=True))
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


def test_the_streaming_helper(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model=MODEL, messages=ASKED) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"content.delta", "content.done", "chunk"} <= kinds
    assert final.choices[0].message.content == PARIS


async def test_with_asyncio(gateway: Serving, client: openai.OpenAI) -> None:
    async with openai.AsyncOpenAI(base_url=gateway.url, api_key=KEY, max_retries=0) as other:
        found = await other.chat.completions.create(model=MODEL, messages=ASKED)
        assert found.choices[0].message.content == PARIS
        text = ""
        async for chunk in await other.chat.completions.create(model=MODEL, messages=ASKED, stream=True):
            text += chunk.choices[0].delta.content or ""
        assert text == PARIS


def test_the_tool_loop(client: openai.OpenAI) -> None:
    first = client.chat.completions.create(model=MODEL, messages=ABOUT_WEATHER, tools=WEATHER, tool_choice="required")
    message = first.choices[0].message
    assert first.choices[0].finish_reason == "tool_calls"
    assert message.tool_calls is not None
    (call,) = message.tool_calls
    assert call.type == "function"
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Oslo"})
    result: Any = {"role": "tool", "tool_call_id": call.id, "content": "14 degrees"}
    messages: Any = [*ABOUT_WEATHER, message, result]
    second = client.chat.completions.create(model=MODEL, messages=messages, tools=WEATHER)
    assert "14 degrees" in (second.choices[0].message.content or "")


def test_tool_calls_are_streamed(client: openai.OpenAI) -> None:
    name, arguments, reasons = "", "", []
    for chunk in client.chat.completions.create(model=MODEL, messages=ABOUT_WEATHER, tools=WEATHER, stream=True):
        for call in chunk.choices[0].delta.tool_calls or ():
            assert call.function is not None
            name += call.function.name or ""
            arguments += call.function.arguments or ""
        reasons.append(chunk.choices[0].finish_reason)
    assert (name, json.loads(arguments), reasons[-1]) == ("get_weather", {"city": "Oslo"}, "tool_calls")


@pytest.mark.parametrize("model", ["poe/Grok-4", "poe/GPT-5.2", "poe/Claude-Sonnet-4.6"])
def test_an_answer_that_fits_a_class(client: openai.OpenAI, model: str) -> None:
    """Over chat where the model reads a schema there, else over another of its wires."""
    asked: Any = [{"role": "user", "content": "Tell me about Lisbon."}]
    found = client.chat.completions.parse(model=model, messages=asked, response_format=City)
    assert isinstance(found.choices[0].message.parsed, City)
    assert found.model == model
    with client.chat.completions.stream(model=model, messages=asked, response_format=City) as stream:
        final = stream.get_final_completion()
    assert isinstance(final.choices[0].message.parsed, City)


def test_a_json_schema_as_a_dict(client: openai.OpenAI, poe: Emulator) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    format: Any = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    found = client.chat.completions.create(model="poe/Grok-4", messages=ASKED, response_format=format)
    assert isinstance(json.loads(found.choices[0].message.content or "")["n"], int)
    body = poe.requests[-1].body
    assert isinstance(body, dict)
    assert body["response_format"] == format


def test_parameters_of_ones_own_travel(client: openai.OpenAI, other: FaultServer) -> None:
    other.play(chat("yes"))
    client.chat.completions.create(
        model="other", messages=ASKED, extra_body={"x_own": [1, {"a": None}]}, temperature=0.25
    )
    body = json.loads(other.requests[-1].body)
    assert (body["x_own"], body["temperature"]) == ([1, {"a": None}], 0.25)


def test_the_raw_answer_has_the_headers(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model=MODEL, messages=ASKED, extra_headers={"x-request-id": "mine-7"}
    )
    headers = raw.headers
    assert (raw.request_id, headers["x-quoth-model"], headers["x-quoth-attempts"]) == ("mine-7", "poe/GPT-5.2", "1")
    assert float(headers["x-quoth-cost-usd"]) > 0
    assert raw.parse().choices[0].message.content == PARIS
    with client.chat.completions.with_streaming_response.create(model=MODEL, messages=ASKED) as streamed:
        assert json.loads(streamed.read())["model"] == MODEL


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, openai.BadRequestError, 400),
        (401, openai.InternalServerError, 502),
        (402, openai.APIStatusError, 402),
        (403, openai.InternalServerError, 502),
        (404, openai.NotFoundError, 404),
        (413, openai.APIStatusError, 413),
        (422, openai.UnprocessableEntityError, 422),
        (429, openai.RateLimitError, 429),
        (500, openai.InternalServerError, 500),
        (503, openai.InternalServerError, 503),
        (529, openai.InternalServerError, 503),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_have_their_class(
    client: openai.OpenAI, other: FaultServer, status: int, kind: type[openai.APIStatusError], code: int, stream: bool
) -> None:
    other.play(error(status, "no such luck"))
    with pytest.raises(kind) as caught:
        client.chat.completions.create(model="other", messages=ASKED, stream=stream)
    assert caught.value.status_code == code
    assert caught.value.request_id is not None
    assert isinstance(caught.value.body, dict)
    assert isinstance(caught.value.body["message"], str)
    assert caught.value.code is None or isinstance(caught.value.code, str)
    assert UPSTREAM_KEY not in str(caught.value)


def test_errors_of_the_gateway_have_their_class(gateway: Serving, client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="there is no model 'nowhere'") as missing:
        client.chat.completions.create(model="nowhere", messages=ASKED)
    assert (missing.value.type, missing.value.param, missing.value.code) == ("model_not_found", "model", "404")
    messages: Any = "hello"
    with pytest.raises(openai.BadRequestError) as wrong:
        client.chat.completions.create(model=MODEL, messages=messages)
    assert wrong.value.param == "messages"
    with openai.OpenAI(base_url=gateway.url, api_key="sk-another-0123456789", max_retries=0) as stranger:
        with pytest.raises(openai.AuthenticationError):
            stranger.chat.completions.create(model=MODEL, messages=ASKED)
        with pytest.raises(openai.AuthenticationError):
            stranger.models.list()


def test_a_stream_that_breaks_is_an_error(client: openai.OpenAI, poe: Emulator) -> None:
    poe.faults("error=after:4")
    text = ""
    with pytest.raises(openai.APIError):
        for chunk in client.chat.completions.create(model=MODEL, messages=ASKED, stream=True):
            text += chunk.choices[0].delta.content or ""
    assert text


def test_its_own_retries_wait_as_they_are_told(client: openai.OpenAI, other: FaultServer) -> None:
    other.play_once(error(429, headers={"retry-after": "1"}))
    other.play(chat("at last"))
    raw = client.with_options(max_retries=2).chat.completions.with_raw_response.create(
        model="other", messages=ASKED, extra_headers={"x-litellm-num-retries": "0"}
    )
    assert raw.parse().choices[0].message.content == "at last"
    assert raw.retries_taken == 1


def test_what_a_retry_cannot_mend_is_not_tried_again(client: openai.OpenAI, other: FaultServer) -> None:
    other.play(error(401))
    before = len(other.requests)
    with pytest.raises(openai.InternalServerError) as caught:
        client.with_options(max_retries=3).chat.completions.create(model="other", messages=ASKED)
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert len(other.requests) == before + 1


def test_its_timeout_ends_the_call(client: openai.OpenAI, other: FaultServer) -> None:
    other.play(Read(), Stall())
    with pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(model="other", messages=ASKED, timeout=0.5)


def test_the_gateways_timeout_ends_the_call(client: openai.OpenAI, other: FaultServer) -> None:
    other.play(Read(), Stall())
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="other", messages=ASKED, extra_body={"timeout": 0.3})
    assert (caught.value.status_code, caught.value.type) == (504, "upstream_timeout")
    assert caught.value.message.endswith(
        " did not answer in time: it was not done when the total time was up"
    )  # and nothing of the SDK's classes, which a caller has not


def test_models(client: openai.OpenAI) -> None:
    listed = client.models.list().data
    names = [model.id for model in listed]
    assert "other" in names
    assert "poe/gpt-5.2" in names
    assert len(names) > 300
    found = client.models.retrieve("poe/gpt-5.2")
    assert (found.id, found.object) == ("poe/gpt-5.2", "model")
    extra = found.model_extra
    assert extra is not None
    assert "image" in extra["architecture"]["input_modalities"]
    assert float(extra["pricing"]["prompt"]) > 0
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nowhere")


def test_completions(client: openai.OpenAI) -> None:
    found = client.completions.create(model=MODEL, prompt="What is the capital of France?", max_tokens=50)
    assert (found.object, found.choices[0].text) == ("text_completion", PARIS)
    assert found.usage is not None
    text = ""
    for chunk in client.completions.create(model=MODEL, prompt="What is the capital of France?", stream=True):
        text += chunk.choices[0].text
    assert text == PARIS


@pytest.mark.parametrize("fault", ["crlf", "cr", "comments", "bytes=7", "split-utf8", "no-done", "bom"])
@pytest.mark.parametrize("model", ["poe/Grok-4", "poe/Claude-Sonnet-4.6"])
def test_completions_however_events_come(client: openai.OpenAI, poe: Emulator, fault: str, model: str) -> None:
    poe.faults(fault)
    chunks = list(client.completions.create(model=model, prompt="What is the capital of France?", stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks).endswith("The capital of France is Paris.")
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_embeddings(client: openai.OpenAI, other: FaultServer) -> None:
    row = {"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}
    usage = {"prompt_tokens": 2, "total_tokens": 2}
    other.play(answer({"object": "list", "data": [row], "model": "up", "usage": usage}))
    found = client.embeddings.create(model="other", input=["a text"], encoding_format="float")
    assert found.data[0].embedding == [0.25, -0.5]
    assert found.model == "other"
    with pytest.raises(openai.BadRequestError, match="has no embeddings"):
        client.embeddings.create(model=MODEL, input="a text")


def test_azures_client(gateway: Serving, client: openai.OpenAI) -> None:
    root = gateway.url.removesuffix("/v1")
    with openai.AzureOpenAI(azure_endpoint=root, api_key=KEY, api_version="2024-10-21", max_retries=0) as azure:
        found = azure.chat.completions.create(model=MODEL, messages=ASKED)
        assert found.choices[0].message.content == PARIS
        assert azure.completions.create(model=MODEL, prompt="What is 2 + 3?").choices[0].text
