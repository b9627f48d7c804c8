"""One suite that every row goes through: the same calls, each row's base URL replaced by a server of ours.

They go over chat, which every row speaks. Nothing here knows a provider by name. What a row says of itself (rules,
usage in streams, optional keys) is what is held against the wire.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel

import quoth
from quoth import errors
from quoth.call import Row
from quoth.providers.params import OPENAI_PARAMS
from quoth.providers.rows import Registry, packaged_names
from scripts.probe_parameters import SAMPLES
from tests.faultserver import FaultServer
from tests.faultserver.answers import USAGE, chat, delta, error, sse
from tests.faultserver.connection import Request

HELLO = [{"role": "user", "content": "Hello"}]
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]


class Letter(BaseModel):
    a: int


@dataclass(frozen=True)
class Provider:
    """A row with a server of ours in its place."""

    row: Row
    server: FaultServer

    def complete(self, model: str = "some-model", messages: Any = HELLO, **keywords: Any) -> Any:
        call: Any = quoth.completion
        return call(f"{self.row.name}/{model}", messages, **{"num_retries": 0, "wire": "openai_chat", **keywords})

    async def acomplete(self, model: str = "some-model", messages: Any = HELLO, **keywords: Any) -> Any:
        call: Any = quoth.acompletion
        return await call(f"{self.row.name}/{model}", messages, **{"num_retries": 0, "wire": "openai_chat", **keywords})

    @property
    def last(self) -> Request:
        return self.server.requests[-1]

    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = self.last.json()
        return body


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.fixture(params=packaged_names())
def provider(request: pytest.FixtureRequest, server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> Provider:
    row = Registry().get(request.param)
    assert row is not None
    for variable in row.key_env:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv(Registry().base_variables(row)[0], f"{server.url}/v1")
    monkeypatch.setenv(row.key_env[0], f"{row.name}-key")
    return Provider(row, server)


def unknown(provider: Provider, *codes: str) -> set[str]:
    """The warnings that may come with a model that nobody knows."""
    return {"unknown_model", *codes} if provider.row.name == "poe" else set(codes)


def codes(answer: Any) -> set[str]:
    return {warning.code for warning in answer.warnings}


# --- Calls -------------------------------------------------------------------------------------------------------


def check_plain(provider: Provider, answer: Any) -> None:
    assert (provider.last.method, provider.last.path) == ("POST", "/v1/chat/completions")
    assert provider.last.headers["authorization"] == f"Bearer {provider.row.name}-key"
    assert provider.last.headers["content-type"] == "application/json"
    assert provider.body() == {"model": "some-model", "messages": HELLO}
    assert answer.choices[0].message.content == "Hi"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.model_dump() == dict(USAGE)
    assert answer.wire == "openai_chat"
    assert codes(answer) <= unknown(provider)
    assert [(attempt.provider, attempt.status_code) for attempt in answer.attempts] == [(provider.row.name, 200)]


def test_plain(provider: Provider):
    provider.server.play(chat("Hi"))
    check_plain(provider, provider.complete())


async def test_plain_in_asyncio(provider: Provider):
    provider.server.play(chat("Hi"))
    check_plain(provider, await provider.acomplete())


def check_stream_body(provider: Provider) -> None:
    asked = {"stream_options": {"include_usage": True}} if provider.row.stream_usage == "ask" else {}
    assert provider.body() == {"model": "some-model", "messages": HELLO, "stream": True, **asked}
    assert provider.last.headers["accept"] == "text/event-stream"


def test_streamed(provider: Provider):
    usage = None if provider.row.stream_usage == "none" else USAGE
    provider.server.play(sse(delta(role="assistant", content=""), "Hel", "lo", usage=usage))
    stream = provider.complete(stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices) == "Hello"
    check_stream_body(provider)
    assert stream.response.choices[0].message.content == "Hello"
    assert stream.response.choices[0].finish_reason == "stop"
    assert (None if stream.usage is None else stream.usage.model_dump()) == (None if usage is None else dict(usage))
    assert codes(stream) <= unknown(provider)


async def test_streamed_in_asyncio(provider: Provider):
    provider.server.play(sse("Hel", "lo"))
    stream = await provider.acomplete(stream=True)
    assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]) == "Hello"
    check_stream_body(provider)


def test_the_callers_stream_options_stand(provider: Provider):
    provider.server.play(sse("Hi"))
    list(provider.complete(stream=True, stream_options={"include_usage": False}))
    assert provider.body()["stream_options"] == {"include_usage": False}


def test_tools_there_and_back(provider: Provider):
    provider.server.play(chat(None, finish_reason="tool_calls", tool_calls=[CALL]))
    message = provider.complete(tools=TOOLS, tool_choice="auto", drop_params=True).choices[0].message
    assert provider.body()["tools"] == TOOLS
    assert provider.body()["tool_choice"] == "auto"
    (call,) = message.tool_calls
    assert (call.id, call.function.name, call.function.arguments) == ("c1", "weather", '{"city": "Oslo"}')
    provider.server.play(chat("Rain."))
    result = {"role": "tool", "tool_call_id": call.id, "content": "rain"}
    provider.complete(messages=[*HELLO, message, result], tools=TOOLS)
    assert provider.body()["messages"] == [
        *HELLO,
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        result,
    ]


def test_tools_streamed(provider: Provider):
    first = {"index": 0, "id": "c1", "type": "function", "function": {"name": "weather", "arguments": ""}}
    pieces = [{"index": 0, "function": {"arguments": piece}} for piece in ('{"city":', ' "Oslo"}')]
    chunks = [delta(tool_calls=[piece]) for piece in (first, *pieces)]
    provider.server.play(sse(*chunks, finish_reason="tool_calls"))
    stream = provider.complete(tools=TOOLS, stream=True)
    list(stream)
    assert [call.model_dump() for call in stream.response.choices[0].message.tool_calls] == [CALL]


# --- Errors ------------------------------------------------------------------------------------------------------


STATUSES: dict[int, type[errors.APIError]] = {
    400: errors.BadRequestError,
    401: errors.AuthenticationError,
    402: errors.PaymentRequiredError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    422: errors.UnprocessableEntityError,
    429: errors.RateLimitError,
    500: errors.InternalServerError,
    503: errors.ServiceUnavailableError,
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_errors(provider: Provider, stream: bool):
    for status, kind in STATUSES.items():
        provider.server.play(error(status, "no luck", headers={"retry-after": "7"}, type="t", code="c"))
        with pytest.raises(kind) as caught:
            provider.complete(stream=stream)
        found = caught.value
        assert type(found) is kind
        assert (found.status_code, found.type, found.code) == (status, "t", "c")
        assert (found.llm_provider, found.model, found.retry_after) == (provider.row.name, "some-model", 7.0)
        assert f"{provider.row.name} answered {status}: no luck" in str(found)
        assert f"{provider.row.name}-key" not in str(found)


def test_what_may_pass_is_tried_again(provider: Provider):
    provider.server.play_once(error(500, headers={"retry-after": "0"}))
    provider.server.play(chat("Hi"))
    answer = provider.complete(num_retries=1)
    assert [attempt.status_code for attempt in answer.attempts] == [500, 200]


# --- Parameters --------------------------------------------------------------------------------------------------


def test_parameters(provider: Provider):
    """Each goes as the row's rule says, or as given where there is none."""
    provider.server.play(chat("Hi"))
    for name in sorted(OPENAI_PARAMS - {"model", "messages", "stream", "stream_options", "n"}):
        rule = provider.row.params.get(name)
        if rule is not None and rule.rule == "refused":
            check_refused(provider, name)
            continue
        answer = provider.complete(**{name: SAMPLES[name]})
        assert provider.body()[(rule.to if rule is not None else None) or name] == SAMPLES[name], name
        expected = {"renamed": "renamed", "ignored": "ignored_upstream"}.get(rule.rule if rule is not None else "")
        if name == "reasoning_effort" and provider.row.name == "poe":
            expected = "effort_as_given"
        assert codes(answer) == unknown(provider, *([expected] if expected else [])), name
        if rule is not None and rule.rule == "renamed":
            assert name not in provider.body()


def check_refused(provider: Provider, name: str) -> None:
    sent = len(provider.server.requests)
    with pytest.raises(errors.UnsupportedParamsError) as caught:
        provider.complete(**{name: SAMPLES[name]})
    assert (caught.value.param, caught.value.llm_provider) == (name, provider.row.name)
    assert len(provider.server.requests) == sent, "nothing was sent"
    answer = provider.complete(**{name: SAMPLES[name]}, drop_params=True)
    assert name not in provider.body()
    assert codes(answer) == unknown(provider, "dropped")


def test_n(provider: Provider):
    provider.server.play(chat("Hi"))
    assert provider.complete(n=1).choices
    assert provider.body()["n"] == 1
    rule = provider.row.params.get("n")
    if rule is not None and rule.rule == "refused":
        with pytest.raises(errors.UnsupportedParamsError):
            provider.complete(n=2)
    elif "n_as_parallel_calls" in provider.row.quirks:
        assert len(provider.complete(n=2).choices) == 2
    else:
        provider.complete(n=2)
        assert provider.body()["n"] == 2


def test_unknown_keywords_travel(provider: Provider):
    provider.server.play(chat("Hi"))
    answer = provider.complete(top_k=5, extra_body={"routing": {"only": ["x"]}}, metadata={"team": "blue"})
    assert {"top_k": 5, "routing": {"only": ["x"]}, "metadata": {"team": "blue"}}.items() <= provider.body().items()
    assert codes(answer) <= unknown(provider, "ignored_upstream")


def test_the_name_of_the_model_survives(provider: Provider):
    provider.server.play(chat("Hi"))
    for model in ("vendor/family/name:free", "accounts/a/models/b", "m@2026-01-01", "a b", "漢"):
        provider.complete(model)
        assert provider.body()["model"] == model


def test_a_class_as_response_format(provider: Provider):
    """The schema goes into `response_format` where the row says that it is honoured, else into the prompt."""
    provider.server.play(chat('{"a": 1}'))
    answer = provider.complete(response_format=Letter)
    assert answer.choices[0].message.parsed == Letter(a=1)
    body = provider.body()
    assert ("response_format" in body) is (provider.row.json_schema == ("*",))
    assert ("JSON schema" in str(body["messages"])) is (provider.row.json_schema != ("*",))


# --- Headers -----------------------------------------------------------------------------------------------------


def test_headers(provider: Provider):
    provider.server.play(chat("Hi"))
    provider.complete(extra_headers={"X-Team": "blue", "x-number": 5})
    headers = provider.last.headers
    assert (headers["x-team"], headers["x-number"]) == ("blue", "5")
    assert headers["user-agent"].startswith("quoth/")
    for name, value in provider.row.headers.items():
        assert headers[name.lower()] == value


def test_a_key_of_the_call_comes_first(provider: Provider):
    provider.server.play(chat("Hi"))
    provider.complete(api_key="my-own")
    assert provider.last.headers["authorization"] == "Bearer my-own"


def test_without_a_key(provider: Provider, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(provider.row.key_env[0], " ")
    if not provider.row.key_required:
        provider.server.play(chat("Hi"))
        provider.complete()
        assert "authorization" not in provider.last.headers
        return
    sent = len(provider.server.requests)
    with pytest.raises(errors.AuthenticationError, match=f"set {provider.row.key_env[0]} "):
        provider.complete()
    assert len(provider.server.requests) == sent


def test_under_its_aliases(provider: Provider):
    provider.server.play(chat("Hi"))
    call: Any = quoth.completion
    for alias in (*provider.row.aliases, provider.row.name.upper()):
        assert call(f"{alias}/some-model", HELLO, wire="openai_chat").choices
        assert provider.last.headers["authorization"] == f"Bearer {provider.row.name}-key"
