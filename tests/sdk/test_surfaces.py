"""The Responses and the Messages API for any model, over any wire, against the emulator."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

import quoth
from quoth.emulator import Emulator
from tests.faultserver import Answer, FaultServer, answer
from tests.sdk.conftest import QUESTION
from tests.wire.dialects import message, message_events, response, response_events, said, sse

CLAUDE, GPT, GROK = "poe/Claude-Sonnet-4.6", "poe/GPT-5.4", "poe/Grok-4"
SAID = "17 * 19 = 323"
TOOL = {"type": "function", "function": {"name": "getWeather", "parameters": {"type": "object", "properties": {}}}}


responses: Any = quoth.responses
create: Any = quoth.messages.create


class Blocking:
    def responses(self, *given: Any, **keywords: Any) -> Any:
        return responses(*given, **keywords)

    def messages(self, **keywords: Any) -> Any:
        return create(**keywords)

    def events(self, stream: Any) -> list[Any]:
        with stream:
            return list(stream)


class Asyncio:
    """Streams are read where they are opened."""

    def responses(self, *given: Any, **keywords: Any) -> Any:
        return asyncio.run(self._read(quoth.aresponses(*given, **keywords)))

    def messages(self, **keywords: Any) -> Any:
        return asyncio.run(self._read(quoth.anthropic_messages(**keywords)))

    async def _read(self, call: Any) -> Any:
        found = await call
        if isinstance(found, quoth.AsyncEventStream):
            async with found:
                self._events = [event async for event in found]
        return found

    def events(self, stream: Any) -> list[Any]:
        return self._events


@pytest.fixture(params=[Blocking(), Asyncio()], ids=["blocking", "asyncio"])
def ask(request: pytest.FixtureRequest) -> Any:
    return request.param


WIRES = {CLAUDE: "anthropic_messages", GPT: "openai_responses", GROK: "openai_chat"}


@pytest.mark.parametrize("model", WIRES)
def test_a_completion_goes_over_the_models_wire(model: str, emulator: Emulator) -> None:
    found = quoth.completion(model, QUESTION, max_tokens=100)
    assert (found.wire, found.attempts[-1].wire) == (WIRES[model],) * 2
    assert (found.choices[0].message.content or "").endswith(SAID)
    assert found.cost.points
    assert found.warnings == []
    assert found.created
    stream = quoth.completion(model, QUESTION, max_tokens=100, stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert text == found.choices[0].message.content
    assert stream.response is not None
    assert (stream.response.wire, stream.usage) == (WIRES[model], found.usage)


@pytest.mark.parametrize("wire", ["openai_chat", "openai_responses", "anthropic_messages"])
def test_a_wire_can_be_asked_for(wire: str, emulator: Emulator) -> None:
    found = quoth.completion(CLAUDE, QUESTION, max_tokens=100, wire=wire)
    assert found.wire == wire
    assert (found.choices[0].message.content or "").endswith(SAID)
    with pytest.raises(quoth.BadRequestError, match="wire"):
        quoth.completion(CLAUDE, QUESTION, wire="morse")


@pytest.mark.parametrize("model", WIRES)
def test_tools_there_and_back(model: str, emulator: Emulator) -> None:
    """The message that came out goes in again, over each wire."""
    question: list[Any] = [{"role": "user", "content": "What is the weather in Paris? Use the getWeather tool."}]
    first = quoth.completion(model, question, tools=[TOOL], max_tokens=2000)
    said_so = first.choices[0].message
    assert said_so.tool_calls
    assert first.choices[0].finish_reason == "tool_calls"
    result = {"role": "tool", "tool_call_id": said_so.tool_calls[0].id, "content": "Rain"}
    second = quoth.completion(model, [*question, said_so, result], tools=[TOOL], max_tokens=2000)
    assert second.wire == first.wire == WIRES[model]
    assert second.choices[0].message.content


def test_claudes_thoughts_go_back_with_their_signature(emulator: Emulator) -> None:
    first = quoth.completion(CLAUDE, QUESTION, reasoning_effort="low", max_tokens=4000)
    thoughts = first.choices[0].message["thinking_blocks"]
    assert thoughts[0]["signature"]
    assert first.choices[0].message.reasoning == thoughts[0]["thinking"]
    quoth.completion(CLAUDE, [*QUESTION, first.choices[0].message, *QUESTION], max_tokens=100)
    assert emulator.requests[-1].body["messages"][1]["content"][0] == thoughts[0]


@pytest.mark.parametrize("model", WIRES)
def test_responses(ask: Any, model: str, emulator: Emulator) -> None:
    found: Any = ask.responses(model, "What is 17 * 19?", max_output_tokens=100)
    assert type(found).__name__ == "Response"
    assert found.output_text.endswith(SAID)
    assert found.output[-1].content[0].text == found.output_text
    assert (found.status, found.object) == ("completed", "response")
    assert found.usage["total_tokens"] == found.usage["input_tokens"] + found.usage["output_tokens"]
    assert found.cost.points == found.completion.cost.points
    assert found.wire == ("openai_chat" if model == GROK else "openai_responses")
    assert found.warnings == []
    assert json.loads(found.model_dump_json())["output"]


@pytest.mark.parametrize("model", WIRES)
def test_responses_streamed(ask: Any, model: str, emulator: Emulator) -> None:
    stream = ask.responses(model, "What is 17 * 19?", stream=True)
    events = ask.events(stream)
    assert [event.type for event in events[:2]] == ["response.created", "response.in_progress"]
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == stream.response.output_text
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta").endswith(SAID)
    assert stream.cost.points == stream.response.cost.points


@pytest.mark.parametrize("model", WIRES)
def test_messages(ask: Any, model: str, emulator: Emulator) -> None:
    found: Any = ask.messages(model=model, max_tokens=100, messages=QUESTION, system="Be kind")
    assert type(found).__name__ == "AnthropicMessage"
    assert found.text.endswith(SAID)
    assert (found.content[-1].type, found.stop_reason, found.role) == ("text", "end_turn", "assistant")
    assert found.usage["input_tokens"]
    assert found.cost.points
    assert found.wire == WIRES[model]
    assert found.warnings == []


LOOK: Any = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}


@pytest.mark.parametrize(
    ("given", "left_out"),
    [
        ({"temperature": 0.3}, ["temperature"]),
        ({"top_p": 0.5, "temperature": 1}, ["top_p"]),
        ({"top_k": 5}, ["top_k"]),
        ({"tools": [LOOK], "tool_choice": "required"}, ["reasoning_effort"]),
        ({"tools": [LOOK], "tool_choice": {"type": "function", "function": {"name": "look"}}}, ["reasoning_effort"]),
        ({"top_p": 0.99, "tools": [LOOK], "tool_choice": "auto"}, []),
    ],
)
def test_an_effort_is_no_thinking_that_the_rest_of_the_call_forbids(
    given: dict[str, Any], left_out: list[str], emulator: Emulator
) -> None:
    """Over Messages thinking and these exclude each other; chat takes both, unless Messages are asked for."""
    asked: Any = {"model": "poe/Claude-Haiku-4.5", "messages": QUESTION, "reasoning_effort": "low", **given}
    found = quoth.completion(**asked)
    assert found.wire == ("openai_chat" if left_out not in ([], ["top_k"]) else "anthropic_messages")
    found = quoth.completion(**asked, wire="anthropic_messages")
    said = [warning for warning in found.warnings if warning.message.partition(" was sent as ")[2] == ""]
    assert [warning.param for warning in said] == left_out
    sent = emulator.requests[-1].body
    assert isinstance(sent, dict)
    assert ("thinking" in sent) == (left_out != ["reasoning_effort"])
    assert sent.keys().isdisjoint(left_out)


def test_messages_in_a_given_form(ask: Any, emulator: Emulator) -> None:
    """Poe's Messages refuse to be told it, so that another wire is."""
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    form = {"format": {"type": "json_schema", "schema": schema}}
    asked: Any = {"model": "poe/Claude-Sonnet-4.6", "max_tokens": 100, "messages": QUESTION}
    found: Any = ask.messages(**asked, output_config=form)
    assert isinstance(json.loads(found.text)["n"], int)
    assert found.wire == "openai_responses"
    kept: Any = ask.messages(**asked, output_config=form, wire="anthropic_messages")
    assert (kept.wire, [warning.code for warning in kept.warnings]) == ("anthropic_messages", ["beta_field_removed"])


@pytest.mark.parametrize("model", WIRES)
def test_messages_streamed(ask: Any, model: str, emulator: Emulator) -> None:
    stream = ask.messages(model=model, max_tokens=100, messages=QUESTION, stream=True)
    events = ask.events(stream)
    assert events[0].type == "message_start"
    assert events[-1].type == "message_stop"
    deltas = [event.delta for event in events if event.type == "content_block_delta"]
    assert "".join(delta.text for delta in deltas if delta.type == "text_delta") == stream.response.text
    assert stream.response.stop_reason == "end_turn"


def test_on_its_own_wire_a_request_goes_out_as_it_came(server: FaultServer) -> None:
    """Fields of no known meaning too, there and back."""
    server.play(answer({**message([{"type": "text", "text": "Hi", "x": 1}]), "x_top": [1]}))
    where = {"api_base": server.url, "api_key": "k"}
    blocks = [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}, "x_mark": 1}]
    turns = [{"role": "user", "content": blocks}]
    found = create(model="anthropic/claude-x", max_tokens=9, messages=turns, x_field={"a": 1}, **where)
    sent = server.requests[-1]
    assert sent.path == "/messages"
    assert sent.headers["x-api-key"] == "k"
    assert sent.json() == {"model": "claude-x", "max_tokens": 9, "messages": turns, "x_field": {"a": 1}}
    assert found["x_top"] == [1]
    assert found.content[0]["x"] == 1


def test_events_of_the_same_wire_come_as_they_are(server: FaultServer) -> None:
    where: dict[str, Any] = {"api_base": server.url, "api_key": "k", "stream": True}
    body = response([said("323")], x_top=1)
    events = response_events(body)
    server.play(Answer(headers=(("content-type", "text/event-stream"),), body=(sse(events),), framing="chunked"))
    with responses("openai/gpt-x", "?", **where) as stream:
        found = [event.model_dump() for event in stream]
    assert found == events
    assert stream.response.model_dump() == body
    events = message_events(message([{"type": "text", "text": "323"}]))
    server.play(Answer(headers=(("content-type", "text/event-stream"),), body=(sse(events),), framing="chunked"))
    with create(model="anthropic/claude-x", max_tokens=9, messages=QUESTION, **where) as other:
        assert [event.model_dump() for event in other] == events


def test_a_provider_that_does_not_stream_is_a_stream_all_the_same(server: FaultServer) -> None:
    server.play(answer(response([said("323")])))
    with responses("openai/gpt-x", "?", api_base=server.url, api_key="k", stream=True) as stream:
        assert [event.type for event in stream][-1] == "response.completed"
    assert stream.response.output_text == "323"
    assert [warning.code for warning in stream.warnings] == ["not_streamed"]


def test_a_stream_that_breaks(server: FaultServer) -> None:
    raw = sse(response_events(response([said("323")]))[:7])
    server.play(Answer(headers=(("content-type", "text/event-stream"),), body=(raw,), framing="close"))
    with (
        responses("openai/gpt-x", "?", api_base=server.url, api_key="k", stream=True) as stream,
        pytest.raises(quoth.StreamInterrupted) as broken,
    ):
        list(stream)
    assert broken.value.partial.choices[0].message.content
    assert stream.response is None


def test_errors_and_fallbacks_are_those_of_every_call(emulator: Emulator) -> None:
    emulator.faults("status=529; times=1", "ok")
    found = create(model=CLAUDE, max_tokens=50, messages=QUESTION, num_retries=1)
    assert [attempt.status_code for attempt in found.attempts] == [529, 200]
    emulator.faults("ok")
    other = responses("poe/not-there", "What is 17 * 19?", fallbacks=[{"model": CLAUDE, "temperature": 0.5}])
    assert [attempt.error for attempt in other.attempts] == ["NotFoundError", None]
    assert emulator.requests[-1].body["temperature"] == 0.5
    with pytest.raises(quoth.NotFoundError):
        create(model="poe/claude-opus-0", max_tokens=9, messages=QUESTION)


def test_a_fallback_goes_over_its_own_wire(emulator: Emulator) -> None:
    found = quoth.completion("poe/claude-opus-0", QUESTION, wire="anthropic_messages", fallbacks=[GROK], max_tokens=50)
    assert [(attempt.wire, attempt.error) for attempt in found.attempts] == [
        ("anthropic_messages", "NotFoundError"),
        ("openai_chat", None),
    ]
    other = [{"model": GPT, "wire": "openai_chat"}]
    assert quoth.completion("poe/not-there", QUESTION, fallbacks=other, max_tokens=50).wire == "openai_chat"


def test_what_cannot_be_carried_is_a_warning(emulator: Emulator) -> None:
    found = create(model=GROK, max_tokens=50, messages=QUESTION, top_k=5)
    assert [(warning.code, warning.param) for warning in found.warnings] == [("not_carried", "top_k")]
    beta = create(model=CLAUDE, max_tokens=50, messages=QUESTION, context_management={"edits": []})
    assert [(warning.code, warning.param) for warning in beta.warnings] == [
        ("beta_field_removed", "context_management")
    ]


def test_instructions_are_followed_over_every_wire(emulator: Emulator) -> None:
    for model in WIRES:
        responses(model, "Hi", instructions="Be kind")
        body = emulator.requests[-1].body
        assert (body.get("input") or body["messages"])[0]["content"] == "Be kind"


@pytest.mark.parametrize("model", WIRES)
def test_a_client_keeps_its_own_conversations(model: str, emulator: Emulator) -> None:
    with quoth.Client() as client:
        first = client.responses.create(model, "What is 17 * 19?")
        second = client.responses.create(model, "And 2 + 2?", previous_response_id=first.id)
        body = emulator.requests[-1].body
        assert len(body.get("input") or body["messages"]) == 3
        third = client.responses.create(model, "And 3 + 3?", previous_response_id=second.id, stream=True)
        list(third)
        client.responses.create(model, "And 4 + 4?", previous_response_id=third.response.id)
        body = emulator.requests[-1].body
        assert len(body.get("input") or body["messages"]) == 7
        assert all("id" not in item for item in body.get("input", ()))
    with quoth.Client() as stranger, pytest.raises(quoth.BadRequestError, match="Send the conversation so far"):
        stranger.responses.create(model, "And?", previous_response_id=first.id)


def test_a_provider_that_keeps_answers_is_asked_to_go_on(server: FaultServer) -> None:
    server.play(answer(response([said("323")])))
    responses("openai/gpt-x", "?", previous_response_id="resp_theirs", api_base=server.url, api_key="k")
    assert server.requests[-1].json()["previous_response_id"] == "resp_theirs"


def test_clients_have_the_shapes_of_both_packages(emulator: Emulator) -> None:
    with quoth.Client(provider="poe") as client:
        assert client.messages.create(model="GPT-5.4", max_tokens=50, messages=QUESTION).text.endswith(SAID)

    async def read() -> None:
        async with quoth.AsyncClient(provider="poe") as other:
            assert (await other.responses.create("Grok-4", "What is 17 * 19?")).output_text.endswith(SAID)
            assert (await other.messages.create(model="Grok-4", messages=QUESTION)).text.endswith(SAID)

    asyncio.run(read())
    with pytest.raises(quoth.BadRequestError, match=r"quoth\.Client"):
        create(model=GROK, messages=QUESTION, client="one")


def test_mocks_answer_in_any_shape() -> None:
    assert responses("poe/GPT-5.4", "?", mock_response="hi").output_text == "hi"
    assert create(model=CLAUDE, messages=QUESTION, mock_response="hi").text == "hi"


def test_a_budget_holds_over_every_wire(emulator: Emulator) -> None:
    with quoth.budget(usd=1) as budget:
        found = create(model=CLAUDE, max_tokens=50, messages=QUESTION)
        stream = responses(GPT, "?", stream=True, max_output_tokens=100)
        list(stream)
    assert found.cost.usd is not None
    assert stream.cost.usd is not None
    assert budget.spent == found.cost.usd + stream.cost.usd
