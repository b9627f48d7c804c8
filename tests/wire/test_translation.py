"""From one API to another: conversations that both can say survive the way there and back; answers of one are read by
the official client of another, in whatever pieces they come; what is lost is said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import anthropic
import msgspec
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quoth.call import Row, Target
from quoth.errors import BadRequestError, UnsupportedParamsError
from quoth.types import Chunk, Completion
from quoth.wire import anthropic_messages, openai_responses
from quoth.wire.assemble import assemble
from quoth.wire.carried import sealed, unsealed
from quoth.wire.chat_surface import ChatEncoder, for_chat
from quoth.wire.envelopes import error_object
from quoth.wire.openai_chat import Unreadable, UpstreamError, as_chunk, filled, parse
from quoth.wire.sse import SSEDecoder
from quoth.wire.wires import NAMES, wire_named
from tests.faultserver import Answer, FaultServer, Pieces
from tests.faultserver import answer as plain_answer
from tests.wire.dialects import (
    Json,
    called,
    meant,
    message,
    message_events,
    read,
    response,
    response_events,
    said,
    sse,
)
from tests.wire.strategies import TEXT, WORD, completions

SAID = TEXT.filter(lambda text: text != "")
URL = st.sampled_from(["https://a.example/b.png", "data:image/png;base64,aGk="])
PDF = "data:application/pdf;base64,aGk="
PARTS = st.lists(
    SAID.map(lambda text: {"type": "text", "text": text})
    | URL.map(lambda url: {"type": "image_url", "image_url": {"url": url}})
    | WORD.map(
        lambda name: {"type": "file", "file": {"filename": name, "file_data": "data:application/pdf;base64,aGk="}}
    ),
    min_size=1,
    max_size=3,
)
# What a tool shows: several parts, for a text alone is a text.
RESULTS = st.lists(
    SAID.map(lambda text: {"type": "text", "text": text})
    | URL.map(lambda url: {"type": "image_url", "image_url": {"url": url}}),
    min_size=2,
    max_size=3,
)
FORM = {"name": "answer", "schema": {"type": "object"}, "strict": True}
OBJECT = st.dictionaries(WORD, st.integers() | TEXT | st.booleans() | st.none(), max_size=2)


@st.composite
def conversations(draw: st.DrawFn) -> Json:
    """What all three APIs can say: texts, pictures, files, calls of tools, several at once, and their results."""
    messages: list[Json] = []
    if draw(st.booleans()):
        messages.append({"role": "system", "content": draw(SAID)})
    for turn in range(draw(st.integers(1, 3))):
        messages.append({"role": "user", "content": draw(SAID | PARTS)})
        calls = [
            {
                "id": f"call_{turn}_{number}",
                "type": "function",
                "function": {"name": draw(WORD), "arguments": msgspec.json.encode(draw(OBJECT)).decode()},
            }
            for number in range(draw(st.integers(0, 2)))
        ]
        answer: Json = {"role": "assistant", "content": draw(SAID if not calls else st.none() | SAID)}
        messages.append(answer | ({"tool_calls": calls} if calls else {}))
        messages += [{"role": "tool", "tool_call_id": call["id"], "content": draw(TEXT | RESULTS)} for call in calls]
    messages.append({"role": "user", "content": draw(SAID | PARTS)})
    body: Json = {"model": "m", "messages": messages, "max_completion_tokens": draw(st.integers(1, 9999))}
    if draw(st.booleans()):
        schema = {"type": "object", "properties": {"a": {"type": "string"}}}
        function = {"name": draw(WORD), "description": draw(TEXT), "parameters": schema, "strict": draw(st.booleans())}
        body["tools"] = [{"type": "function", "function": function}]
        named = {"type": "function", "function": {"name": function["name"]}}
        body["tool_choice"] = draw(st.sampled_from(["auto", "none", "required", named]))
    if draw(st.booleans()):
        body["temperature"] = draw(st.floats(0, 1))
    for name, values in (
        ("stream", st.just(True)),
        ("top_p", st.floats(0, 1)),
        ("user", WORD),
        ("reasoning_effort", st.sampled_from(["low", "medium", "high"])),
        ("response_format", st.just({"type": "json_schema", "json_schema": FORM})),
    ):
        if draw(st.booleans()):
            body[name] = draw(values)
    return body


def same(body: Json) -> Json:
    """A body in one of the forms that mean the same: one name for the cap, a list for the user's words."""
    found = dict(body)
    found["messages"] = [
        {**one, "content": [{"type": "text", "text": one["content"]}]}
        if one["role"] == "user" and isinstance(one["content"], str)
        else one
        for one in body["messages"]
    ]
    found["cap"] = found.pop("max_completion_tokens", None) or found.pop("max_tokens", None)
    return found


@settings(deadline=None)
@given(conversations(), st.permutations(["messages", "responses"]))
def test_a_conversation_survives_every_way(body: Json, order: list[str]):
    wires = {"messages": anthropic_messages, "responses": openai_responses}
    now = body
    for name in (*order, *order):
        request, warnings = wires[name].from_chat(now)
        assert not warnings
        now, warnings = wires[name].to_chat(json.loads(json.dumps(request)))
        assert not warnings
        assert same(now) == same(body)


def single(answer: Json) -> Completion:
    """An answer with its first choice, in what every API can say of it."""
    choice = answer["choices"][0]
    answer = {**answer, "choices": [{**choice, "index": 0, "logprobs": None}]}
    return parse(json.dumps(answer).encode())[0]


@settings(deadline=None)
@given(completions(), st.sampled_from(["messages", "responses"]), st.booleans())
def test_any_answer_is_told_in_any_way(answer: Json, dialect: str, stream: bool):
    """Text, reasoning and calls are the same after being told to a client and read back."""
    completion = single(answer)
    wire = {"messages": "anthropic_messages", "responses": "openai_responses"}[dialect]
    if stream:
        encoder = wire_named(wire).encoder(None)
        raw = encoder.feed(as_chunk(completion)) + encoder.finish()
        chunks, _, _ = read(dialect, raw, 11)
        again = assemble(chunks)
    else:
        document, _ = wire_named(wire).render(completion, None)
        again = wire_named(wire).parse(json.dumps(document).encode(), None)[0]
    before, after = completion.choices[0].message, again.choices[0].message
    refused = before.refusal or ""
    if dialect == "messages":
        assert (after.content or "") == (before.content or "") + refused
    else:
        assert (after.content or "", after.refusal or "") == (before.content or "", refused)
    assert (after.reasoning_content or "") == (before.reasoning_content or "")
    assert _calls(after) == _calls(before)


def _calls(said: Any) -> list[Any]:
    calls = list(said.tool_calls or ())
    functions = [call.function for call in calls] + ([said.function_call] if said.function_call else [])
    return [(function.name, _object(function.arguments)) for function in functions]


def _object(arguments: str) -> Any:
    try:
        found = json.loads(arguments)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"arguments": arguments}


# --- Reasoning travels with those who do not understand it ----------------------------------------------------------

THOUGHT = {"type": "thinking", "thinking": "17*20-17", "signature": "EpwECkgI"}
ITEM = {
    "id": "rs_9",
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": "hm"}],
    "encrypted_content": "gAA",
}
USE = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}


@pytest.mark.parametrize("stream", [False, True])
def test_claudes_thoughts_come_back_signed_from_a_client_of_the_responses_api(stream: bool):
    body = message([THOUGHT, USE], "tool_use")
    items = _told("responses", "messages", body, message_events(body), stream)["output"]
    chat, _ = openai_responses.to_chat({"model": "m", "input": [{"role": "user", "content": "?"}, *items]})
    request, warnings = anthropic_messages.from_chat({**chat, "max_tokens": 9})
    assert request["messages"][1] == {"role": "assistant", "content": [THOUGHT, USE]}
    assert not warnings


@pytest.mark.parametrize("stream", [False, True])
def test_gpts_reasoning_comes_back_encrypted_from_a_client_of_the_messages_api(stream: bool):
    body = response([ITEM, called("f", "{}")])
    content = _told("messages", "responses", body, response_events(body), stream)["content"]
    assert content[0]["thinking"] == "hm"
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": content}]
    chat, _ = anthropic_messages.to_chat({"model": "m", "messages": turns})
    request, warnings = openai_responses.from_chat(chat)
    assert request["input"][1] == ITEM
    assert request["input"][2]["call_id"] == "call_1"
    assert not warnings
    # And another maker's model does not get to see it.
    assert anthropic_messages.from_chat({**chat, "max_tokens": 9})[0]["messages"][1]["content"][0]["type"] == "tool_use"


def _told(to: str, by: str, body: Json, events: list[Json], stream: bool) -> Json:
    """An answer of one API as the client of the other has it at the end."""
    if not stream:
        completion = (anthropic_messages if by == "messages" else openai_responses).parse(json.dumps(body).encode())[0]
        document: Json = (anthropic_messages if to == "messages" else openai_responses).render(completion)[0]
        return document
    chunks, _, _ = read(by, sse(events))
    encoder = anthropic_messages.MessagesEncoder() if to == "messages" else openai_responses.ResponsesEncoder()
    raw = b"".join(map(encoder.feed, chunks)) + encoder.finish()
    if to == "responses":
        found: Json = _events(raw)[-1]["response"]
        return found
    blocks: dict[int, Json] = {}
    for event in _events(raw):
        if event["type"] == "content_block_start":
            blocks[event["index"]] = event["content_block"]
        elif event["type"] == "content_block_delta":
            delta = {name: value for name, value in event["delta"].items() if name != "type"}
            for name, value in delta.items():
                if name in blocks[event["index"]]:
                    blocks[event["index"]][name] += value
    return {"content": [blocks[index] for index in sorted(blocks)]}


def _events(raw: bytes) -> list[Json]:
    return [json.loads(line[6:]) for line in raw.decode().splitlines() if line.startswith("data: ")]


# --- In the order that official clients want ------------------------------------------------------------------------


def chunk(delta: Json, finish_reason: str | None = None, **more: Any) -> Chunk:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return Chunk.model_validate({"id": "c1", "created": 5, "model": "m", "choices": [choice], **more})


def piece(index: int | None, text: str, **more: Any) -> Json:
    """A piece of a call, as chat streams it."""
    call: Json = {"function": {"arguments": text, **({"name": more["name"]} if "name" in more else {})}}
    return call | ({} if index is None else {"index": index}) | ({"id": more["id"]} if "id" in more else {})


USAGE = {
    "prompt_tokens": 30,
    "completion_tokens": 7,
    "total_tokens": 37,
    "prompt_tokens_details": {"cached_tokens": 10},
}
STREAM = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"reasoning_content": "h"}),
    chunk({"reasoning_content": "m"}),
    chunk({"content": "Lo"}),
    chunk({"content": "ok."}),
    chunk({"tool_calls": [piece(0, "", id="a", name="f")]}),
    chunk({"tool_calls": [piece(0, '{"x":')]}),
    chunk({"tool_calls": [piece(0, " 1}")]}),
    chunk({"tool_calls": [piece(1, "", id="b", name="g")]}),
    chunk({"tool_calls": [piece(1, "{}")]}),
    chunk({}, "tool_calls"),
    Chunk.model_validate({"id": "c1", "model": "m", "choices": [], "usage": USAGE}),
]
MESSAGES_ORDER = """
    message_start ping
    content_block_start content_block_delta content_block_delta content_block_stop
    content_block_start content_block_delta content_block_delta content_block_stop
    content_block_start content_block_delta content_block_delta content_block_stop
    content_block_start content_block_delta content_block_stop
    message_delta message_stop
"""
RESPONSES_ORDER = """
    created in_progress
    output_item.added reasoning_summary_part.added reasoning_summary_text.delta reasoning_summary_text.delta
    reasoning_summary_text.done reasoning_summary_part.done output_item.done
    output_item.added content_part.added output_text.delta output_text.delta output_text.done content_part.done
    output_item.done
    output_item.added function_call_arguments.delta function_call_arguments.delta function_call_arguments.done
    output_item.done
    output_item.added function_call_arguments.delta function_call_arguments.done output_item.done
    completed
"""


def told(wire: str, chunks: list[Chunk], request: Json | None = None) -> bytes:
    encoder = wire_named(wire).encoder(request)
    return b"".join(map(encoder.feed, chunks)) + encoder.finish()


def test_the_order_of_events():
    raw = told("anthropic_messages", STREAM)
    assert [event["type"] for event in _events(raw)] == MESSAGES_ORDER.split()
    raw = told("openai_responses", STREAM)
    events = _events(raw)
    assert [event["type"].removeprefix("response.") for event in events] == RESPONSES_ORDER.split()
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [line[7:] for line in raw.decode().splitlines() if line.startswith("event: ")] == [
        event["type"] for event in events
    ]


INTERLEAVED = [
    chunk({"tool_calls": [piece(0, '{"x"', id="a", name="f"), piece(1, '{"y"', id="b", name="g")]}),
    chunk({"tool_calls": [piece(0, ": 1}"), piece(1, ": 2}")]}),
    chunk({}, "tool_calls"),
]
NAMED_LATE = [chunk({"tool_calls": [piece(0, "", id="a")]}), chunk({"tool_calls": [piece(0, '{"x": 1}', name="f")]})]
NAMELESS = [chunk({"tool_calls": [piece(0, '{"x": 1}')]}), chunk({}, "tool_calls")]
UNNUMBERED = [chunk({"tool_calls": [piece(None, "{}", id=name, name="f")]}) for name in "ab"]


@pytest.mark.parametrize("wire", NAMES[1:])
@pytest.mark.parametrize(
    ("chunks", "calls"),
    [
        (INTERLEAVED, [("f", {"x": 1}), ("g", {"y": 2})]),
        (NAMED_LATE, [("f", {"x": 1})]),
        (NAMELESS, [("", {"x": 1})]),
        (UNNUMBERED, [("f", {}), ("f", {})]),
    ],
    ids=["in turns", "named late", "nameless", "without numbers"],
)
def test_calls_that_come_in_odd_ways(wire: str, chunks: list[Chunk], calls: Any):
    dialect = "messages" if wire == "anthropic_messages" else "responses"
    again = assemble(read(dialect, told(wire, chunks))[0])
    assert _calls(again.choices[0].message) == calls


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


def streamed(raw: bytes) -> Answer:
    return Answer(headers=(("content-type", "text/event-stream"),), body=(raw,), framing="chunked")


@pytest.mark.parametrize("size", [None, 1])
def test_anthropics_client_reads_it(server: FaultServer, size: int | None):
    stream = streamed(told("anthropic_messages", STREAM))
    server.play(stream if size is None else stream.dripped(every=0.0))
    with anthropic.Anthropic(base_url=server.url.removesuffix("/v1"), api_key="k", max_retries=0) as client:
        question: Any = [{"role": "user", "content": "?"}]
        with client.messages.stream(model="m", max_tokens=9, messages=question) as events:
            final = events.get_final_message()
    assert [block.type for block in final.content] == ["thinking", "text", "tool_use", "tool_use"]
    assert final.content[1].text == "Look."  # type: ignore[union-attr]
    assert final.content[2].input == {"x": 1}  # type: ignore[union-attr]
    assert (final.stop_reason, final.usage.output_tokens) == ("tool_use", 7)
    assert (final.usage.input_tokens, final.usage.cache_read_input_tokens) == (20, 10)


@pytest.mark.parametrize("size", [None, 1])
def test_openais_client_reads_it(server: FaultServer, size: int | None):
    stream = streamed(told("openai_responses", STREAM))
    server.play(stream if size is None else stream.dripped(every=0.0))
    client = openai.OpenAI(base_url=server.url, api_key="k", max_retries=0)
    with client, client.responses.stream(model="m", input="?") as events:
        final = events.get_final_response()
    assert [item.type for item in final.output] == ["reasoning", "message", "function_call", "function_call"]
    assert (final.output_text, final.status) == ("Look.", "completed")
    assert final.output[2].arguments == '{"x": 1}'  # type: ignore[union-attr]
    assert final.usage is not None
    assert (final.usage.input_tokens, final.usage.input_tokens_details.cached_tokens) == (30, 10)


def test_official_clients_read_whole_answers_and_errors(server: FaultServer):
    completion = assemble(STREAM)
    openais = openai.OpenAI(base_url=server.url, api_key="k", max_retries=0)
    anthropics = anthropic.Anthropic(base_url=server.url.removesuffix("/v1"), api_key="k", max_retries=0)
    question: Any = [{"role": "user", "content": "?"}]
    with openais, anthropics:
        server.play(plain_answer(wire_named("openai_responses").render(completion, {"temperature": 0.5})[0]))
        found = openais.responses.create(model="m", input="?")
        assert (found.output_text, found.temperature) == ("Look.", 0.5)
        server.play(plain_answer(wire_named("anthropic_messages").render(completion, None)[0]))
        said_so = anthropics.messages.create(model="m", max_tokens=9, messages=question)
        assert said_so.content[1].text == "Look."  # type: ignore[union-attr]
        server.play(plain_answer(error_object("openai_responses", 429, "Slow", code="rate_limit_exceeded"), 429))
        with pytest.raises(openai.RateLimitError, match="Slow") as limited:
            openais.responses.create(model="m", input="?")
        assert limited.value.code == "rate_limit_exceeded"
        server.play(plain_answer(error_object("anthropic_messages", 402, "Broke", request_id="req_1"), 402))
        with pytest.raises(anthropic.APIStatusError, match="billing_error"):
            anthropics.messages.create(model="m", max_tokens=9, messages=question)


def test_official_clients_notice_a_broken_stream(server: FaultServer):
    responses, messages = wire_named("openai_responses").encoder({}), anthropic_messages.MessagesEncoder()
    assert isinstance(responses, openai_responses.ResponsesEncoder)
    raw = b"".join(map(responses.feed, STREAM[:5])) + responses.error(500, "Lost")
    server.play(streamed(raw))
    with openai.OpenAI(base_url=server.url, api_key="k", max_retries=0) as client:
        seen: list[Any] = []
        with pytest.raises(openai.APIError, match="Lost") as lost:
            seen += client.responses.create(model="m", input="?", stream=True)
        assert (lost.value.type, lost.value.code) == ("server_error", "500")
        server.play(streamed(raw))
        with pytest.raises(openai.APIError, match="Lost"), client.responses.stream(model="m", input="?") as events:
            seen += events
    server.play(streamed(b"".join(map(messages.feed, STREAM[:5])) + messages.error(500, "Lost")))
    question: Any = [{"role": "user", "content": "?"}]
    other = anthropic.Anthropic(base_url=server.url.removesuffix("/v1"), api_key="k", max_retries=0)
    with other, pytest.raises(anthropic.APIStatusError, match="Lost"):
        list(other.messages.create(model="m", max_tokens=9, messages=question, stream=True))


def test_a_tool_of_free_text_is_a_function_of_one_text_elsewhere():
    request: Json = {"input": "?", "tools": [{"type": "custom", "name": "apply_patch"}]}
    arguments = json.dumps({"input": "*** Begin"})
    chunks = [chunk({"tool_calls": [piece(0, arguments, id="a", name="apply_patch")]}), chunk({}, "tool_calls")]
    item = _events(told("openai_responses", chunks, request))[-1]["response"]["output"][0]
    assert (item["type"], item["input"]) == ("custom_tool_call", "*** Begin")
    whole, _ = wire_named("openai_responses").render(assemble(chunks), request)
    assert (whole["output"][0]["type"], whole["output"][0]["input"]) == ("custom_tool_call", "*** Begin")
    chat, _ = openai_responses.to_chat(request)
    tool = anthropic_messages.from_chat({**chat, "max_tokens": 9})[0]["tools"][0]
    assert tool["name"] == "apply_patch"
    assert list(tool["input_schema"]["properties"]) == tool["input_schema"]["required"] == ["input"]


SPAWN: Json = {"type": "function", "name": "spawn", "description": "Starts one.", "parameters": {"type": "object"}}
SPACE: Json = {"type": "namespace", "name": "agents", "description": "About agents.", "tools": [SPAWN]}


def test_a_namespace_is_a_part_of_the_name_elsewhere():
    made = {"type": "function_call", "call_id": "a", "name": "spawn", "namespace": "agents", "arguments": "{}"}
    request: Json = {
        "input": [
            {"role": "user", "content": "?"},
            made,
            {"type": "function_call_output", "call_id": "a", "output": ""},
        ],
        "tools": [SPACE, {**SPAWN, "name": "shell"}],
        "tool_choice": {"type": "function", "name": "spawn", "namespace": "agents"},
    }
    chat, _ = openai_responses.to_chat(request)
    assert [tool["function"]["name"] for tool in chat["tools"]] == ["agents__spawn", "shell"]
    assert chat["tools"][0]["function"]["description"] == "About agents.\n\nStarts one."
    assert chat["tool_choice"]["function"]["name"] == "agents__spawn"
    assert chat["messages"][1]["tool_calls"][0]["function"]["name"] == "agents__spawn"
    sent, _ = anthropic_messages.from_chat({**chat, "max_tokens": 9})
    assert [sent["tools"][0]["name"], sent["messages"][1]["content"][0]["name"]] == ["agents__spawn"] * 2

    pieces = [piece(0, "{}", id="a", name="agents__spawn"), piece(1, "{}", id="b", name="shell")]
    chunks = [chunk({"tool_calls": pieces}), chunk({}, "tool_calls")]
    whole, _ = wire_named("openai_responses").render(assemble(chunks), request)
    events = _events(told("openai_responses", chunks, request))
    begun = [event["item"] for event in events if event["type"] == "response.output_item.added"]
    for items in (whole["output"], events[-1]["response"]["output"], begun):
        assert [(item["name"], item.get("namespace")) for item in items] == [("spawn", "agents"), ("shell", None)]


def test_a_namespace_is_read_from_an_answer_and_goes_back():
    item = {"id": "fc_1", "type": "function_call", "status": "completed", "call_id": "a", "name": "spawn"} | {
        "namespace": "agents",
        "arguments": "{}",
    }
    answer, _ = openai_responses.to_chat({"input": [{"role": "user", "content": "?"}, item]})
    again, _ = openai_responses.from_chat(answer)
    assert {"namespace": "agents", "name": "spawn"}.items() <= again["input"][-1].items()


FUNCTION: Json = {"name": "f", "arguments": "{}"}
NUMBERED = {**FUNCTION, "arguments": 5}
LISTED = {**FUNCTION, "arguments": []}
MISSHAPEN_CALLS: dict[str, tuple[Json, str]] = {
    "no list": ({"tool_calls": {"id": "a"}}, "tool_calls"),
    "a number": ({"tool_calls": 5}, "tool_calls"),
    "a text in the list": ({"tool_calls": [{"id": "a", "function": FUNCTION}, "b"]}, "tool_calls[1]"),
    "nothing in the list": ({"tool_calls": [None]}, "tool_calls[0]"),
    "no function": ({"tool_calls": [{"id": "a", "type": "function"}]}, "tool_calls[0]"),
    "a function by its name": ({"tool_calls": [{"id": "a", "function": "f"}]}, "tool_calls[0]"),
    "a number for arguments": ({"tool_calls": [{"id": "a", "function": NUMBERED}]}, "tool_calls[0]"),
    "a list of arguments": ({"tool_calls": [{"id": "a", "function": LISTED}]}, "tool_calls[0]"),
    "a text of free form that is none": ({"tool_calls": [{"id": "a", "custom": "f"}]}, "tool_calls[0]"),
    "arguments of the first form": ({"function_call": {**FUNCTION, "arguments": True}}, "function_call"),
}


@pytest.mark.parametrize("wire", NAMES[1:])
@pytest.mark.parametrize(("said", "place"), MISSHAPEN_CALLS.values(), ids=MISSHAPEN_CALLS)
def test_a_misshapen_call_is_named(said: Json, place: str, wire: str):
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": None, **said}]
    with pytest.raises(BadRequestError, match=r"messages\[1\]") as raised:
        wire_named(wire).from_chat({"model": "m", "max_tokens": 9, "messages": messages})
    assert raised.value.param == f"messages[1].{place}"


# --- What chat gets of the others' ---------------------------------------------------------------------------------


def test_a_body_that_is_all_chat_is_the_same_object():
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]}
    found, warnings = for_chat(body)
    assert found is body
    assert not warnings


def test_what_only_others_understand_does_not_reach_a_chat_provider():
    thinking: Json = {"role": "assistant", "content": "323", "thinking_blocks": [THOUGHT], "reasoning_items": [ITEM]}
    thinking |= {"provider_specific_fields": {"content_blocks": [THOUGHT]}, "extra_content": {"google": 1}}
    result: Json = {"role": "tool", "tool_call_id": "a", "is_error": True, "content": [{"type": "text", "text": "See"}]}
    result["content"].append({"type": "image_url", "image_url": {"url": "https://a.example/b.png"}})
    file = {"role": "user", "content": [{"type": "file", "file": {"file_url": "https://a.example/b.pdf"}}]}
    body: Json = {"messages": [thinking, result, file], "provider_specific_fields": {"messages": {"top_k": 1}}}
    found, warnings = for_chat(body)
    assert "provider_specific_fields" not in found
    assert found["messages"][0] == {"role": "assistant", "content": "323", "extra_content": {"google": 1}}
    assert found["messages"][1] == {"role": "tool", "tool_call_id": "a", "content": "See"}
    assert found["messages"][2]["content"][0]["type"] == "image_url"
    assert found["messages"][3]["content"][0]["file"] == {"file_data": "https://a.example/b.pdf"}
    assert [warning.code for warning in warnings] == [
        "not_carried",
        "not_carried",
        "not_carried",
        "not_carried",
        "moved",
        "doubtful_value",
        "not_carried",
    ]


CUT = [{"type": "text", "text": "Paris is "}, {"type": "text", "text": "the capital."}]
CITED = {"type": "text", "text": "So it says.", "citations": [{"type": "char_location", "cited_text": "Paris"}]}


@pytest.mark.parametrize(
    ("blocks", "codes"),
    [
        (CUT, []),
        ([*CUT, USE], []),
        ([CUT[0], USE, CUT[1]], ["not_carried"]),
        ([*CUT, CITED], ["not_carried"]),
        ([*CUT, {"type": "server_tool_use", "id": "a", "name": "web_search", "input": {}}], ["not_carried"]),
    ],
    ids=["two texts", "and a call", "a call between them", "a citation", "a tool of Anthropic's"],
)
def test_a_text_in_pieces_reaches_chat_whole(blocks: list[Json], codes: list[str]):
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": blocks}]
    body, _ = anthropic_messages.to_chat({"model": "m", "max_tokens": 9, "messages": turns})
    found, warnings = for_chat(body)
    assert found["messages"][1]["content"].startswith("Paris is the capital.")
    assert [warning.code for warning in warnings] == codes
    assert anthropic_messages.from_chat(body)[0]["messages"] == turns


@pytest.mark.parametrize("kind", ["bash_20250124", "mcp", "code_interpreter", "web_search_20250305"])
def test_a_hosted_tool_is_not_left_out_in_silence(kind: str):
    with pytest.raises(UnsupportedParamsError, match=kind):
        for_chat({"messages": [], "tools": [{"type": kind, "name": "x"}]})


def test_chunks_for_a_client_of_chat():
    encoder = ChatEncoder()
    raw = b"".join(map(encoder.feed, STREAM)) + encoder.ping() + encoder.finish()
    assert raw.endswith(b": keep-alive\n\ndata: [DONE]\n\n")
    events = [json.loads(line[6:]) for line in raw.decode().splitlines() if line.startswith("data: {")]
    assert events == [one.model_dump() for one in STREAM]
    assert json.loads(encoder.error(502, "Lost", code="502")[6:])["error"]["code"] == "502"


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_that_breaks_ends_with_one_error(name: str):
    """Also before it has begun, and in words that the same wire understands."""
    for chunks in ([], STREAM[:5]):
        encoder = wire_named(name).encoder(None)
        said_so = b"".join(map(encoder.feed, chunks))
        raw = said_so + encoder.error(429, "Slow", type="rate_limit_error", code="x", param="y", request_id="req_1")
        reader = wire_named(name).reader([], None)
        with pytest.raises(UpstreamError, match="Slow"):
            for event in SSEDecoder().feed(raw):
                reader(event)
        assert b"[DONE]" not in raw


@pytest.mark.parametrize("name", NAMES)
def test_every_wire_has_the_same_shape(name: str):
    wire = wire_named(name)
    target = Target(Row("acme", "https://a.example/v1"), "m", "https://a.example/v1", key="k")
    sent_as, _ = wire.from_chat({"model": "m", "messages": [{"role": "user", "content": "Hi"}]})
    sent = filled(wire.head(target, False), sent_as)
    assert sent.url.endswith(wire.path)
    document, _ = wire.render(assemble(STREAM), {})
    again = wire.parse(json.dumps(document).encode(), 5)[0]
    assert again.choices[0].message.content == "Look."
    assert again.created == 5
    chat, _ = wire.to_chat(json.loads(sent.body))
    assert chat["messages"] == [{"role": "user", "content": "Hi"}]


def test_meaning_is_compared_and_not_spelling():
    """The comparison that these tests rest on notices a difference."""
    one, other = message([USE], "tool_use"), message([{**USE, "input": {"a": 1}}], "tool_use")
    assert meant(anthropic_messages.parse(json.dumps(one).encode())[0]) != meant(
        anthropic_messages.parse(json.dumps(other).encode())[0]
    )
    assert said("a") != said("b")
    assert Pieces((b"a",)) != Pieces((b"b",))


# --- What has no part of its own elsewhere is still said --------------------------------------------------------------

FOUND: Json = {
    "type": "search_result",
    "source": "https://a.example/raven",
    "title": "Ravens",
    "content": [{"type": "text", "text": "They are black."}, {"type": "text", "text": "They talk."}],
    "citations": {"enabled": True},
}
NOTES: Json = {
    "type": "document",
    "title": "Notes",
    "context": "Taken at night.",
    "source": {"type": "content", "content": [{"type": "text", "text": "Nevermore."}]},
}
FOUND_TEXT = "Ravens\nhttps://a.example/raven\n\nThey are black.\n\nThey talk."
NOTES_TEXT = "Notes\nTaken at night.\n\nNevermore."


def of_messages(*turns: Json, **more: Any) -> Json:
    """The chat body of such a conversation."""
    return anthropic_messages.to_chat({"model": "m", "max_tokens": 9, "messages": list(turns), **more})[0]


def test_what_was_found_is_text_to_those_who_have_no_part_for_it():
    result = {"type": "tool_result", "tool_use_id": "a", "content": [FOUND]}
    chat = of_messages(
        {"role": "user", "content": [FOUND, NOTES]},
        {"role": "assistant", "content": [USE | {"id": "a"}]},
        {"role": "user", "content": [result]},
    )
    body, warnings = for_chat(chat)
    assert [part["text"] for part in body["messages"][0]["content"]] == [FOUND_TEXT, NOTES_TEXT]
    assert body["messages"][2] == {"role": "tool", "tool_call_id": "a", "content": FOUND_TEXT}
    assert [warning.param for warning in warnings] == [
        "messages[0].content[0].citations",
        "messages[2].content[0].citations",
    ]
    request, warnings = openai_responses.from_chat(chat)
    assert [part["text"] for part in request["input"][0]["content"]] == [FOUND_TEXT, NOTES_TEXT]
    assert request["input"][2]["output"] == [{"type": "input_text", "text": FOUND_TEXT}]
    assert len(warnings) == 2
    # Its maker gets it back as it was.
    again, warnings = anthropic_messages.from_chat(chat)
    assert again["messages"][0]["content"] == [FOUND, NOTES]
    assert again["messages"][2]["content"] == [result]
    assert not warnings


def test_what_only_anthropic_asks_of_a_document_is_left_out_elsewhere():
    source = {"type": "base64", "media_type": "application/pdf", "data": "aGk="}
    document = {"type": "document", "source": source, "title": "a.pdf", "citations": {"enabled": True}, "context": "x"}
    chat = of_messages({"role": "user", "content": [document]})
    file = {"filename": "a.pdf", "file_data": PDF}
    params = ["messages[0].content[0].citations", "messages[0].content[0].context"]
    body, warnings = for_chat(chat)
    assert body["messages"][0]["content"] == [{"type": "file", "file": file}]
    assert [warning.param for warning in warnings] == params
    request, warnings = openai_responses.from_chat(chat)
    assert request["input"][0]["content"] == [{"type": "input_file", **file}]
    assert [warning.param for warning in warnings] == params
    assert anthropic_messages.from_chat(chat)[0]["messages"][0]["content"] == [document]


def test_a_data_url_is_one_in_any_spelling():
    part = {"type": "image_url", "image_url": {"url": "Data:image/png;BASE64,aGk="}}
    request, _ = anthropic_messages.from_chat({"messages": [{"role": "user", "content": [part]}], "max_tokens": 9})
    source = {"type": "base64", "media_type": "image/png", "data": "aGk="}
    assert request["messages"][0]["content"] == [{"type": "image", "source": source}]


@pytest.mark.parametrize("content", [[], [THOUGHT]])
def test_a_turn_that_says_nothing_to_others_is_refused_by_none(content: list[Json]):
    """Chat has no message without content, and Anthropic no turn without blocks."""
    chat = of_messages(
        {"role": "user", "content": "a"}, {"role": "assistant", "content": content}, {"role": "user", "content": "b"}
    )
    assert for_chat(chat)[0]["messages"][1]["content"] == ""
    assert [item["role"] for item in openai_responses.from_chat(chat)[0]["input"]] == ["user", "user"]
    turns = anthropic_messages.from_chat(chat)[0]["messages"]
    assert [turn["content"] for turn in turns] == ["a", *([[THOUGHT]] if content else []), "b"]
    thought = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}
    asked = [{"role": "user", "content": "a"}, thought, {"role": "user", "content": "b"}]
    chat, _ = openai_responses.to_chat({"model": "m", "input": asked})
    assert for_chat(chat)[0]["messages"][1]["content"] == ""
    assert [turn["role"] for turn in anthropic_messages.from_chat(chat)[0]["messages"]] == ["user", "user"]


def test_a_search_keeps_the_settings_that_both_have_and_says_which_it_lost():
    place = {"type": "approximate", "country": "NO", "city": "Oslo"}
    tool: Json = {"type": "web_search_20250305", "name": "web_search", "user_location": place, "max_uses": 3}
    request, warnings = openai_responses.from_chat(of_messages({"role": "user", "content": "?"}, tools=[tool]))
    assert request["tools"] == [{"type": "web_search_preview", "user_location": place}]
    assert [warning.param for warning in warnings] == ["tools[0].max_uses"]
    tool = {"type": "web_search", "user_location": place, "filters": {"allowed_domains": ["a.example"]}}
    chat, _ = openai_responses.to_chat({"model": "m", "input": "?", "tools": [tool | {"search_context_size": "low"}]})
    request, warnings = anthropic_messages.from_chat({**chat, "max_tokens": 9})
    assert request["tools"] == [
        {
            "type": "web_search_20250305",
            "name": "web_search",
            "user_location": place,
            "allowed_domains": ["a.example"],
        }
    ]
    assert [warning.param for warning in warnings] == ["tools[0].search_context_size"]


@pytest.mark.parametrize(("mode", "choice"), [("auto", "auto"), ("required", "any")])
def test_tools_that_are_not_allowed_are_not_given_where_that_cannot_be_said(mode: str, choice: str):
    tools = [{"type": "function", "name": name, "parameters": {"type": "object", "properties": {}}} for name in "fgh"]
    allowed = {"type": "allowed_tools", "mode": mode, "tools": [{"type": "function", "name": name} for name in "fh"]}
    asked = {"model": "m", "input": "?", "tools": tools, "tool_choice": allowed}
    chat, _ = openai_responses.to_chat(asked)
    named = [{"type": "function", "function": {"name": name}} for name in "fh"]
    assert chat["tool_choice"] == {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": named}}
    assert openai_responses.from_chat(chat)[0]["tool_choice"] == allowed
    request, warnings = anthropic_messages.from_chat({**chat, "max_tokens": 9})
    assert [tool["name"] for tool in request["tools"]] == ["f", "h"]
    assert request["tool_choice"] == {"type": choice}
    assert not warnings


# --- Anything at all ---------------------------------------------------------------------------------------------

NAMED = "type text content role id input name arguments call_id summary thinking signature usage delta index".split()
SOUND: dict[str, list[Json]] = {
    "messages": [message([THOUGHT, {"type": "text", "text": "a"}, USE], "tool_use")],
    "responses": [response([ITEM, said("a"), called("f", "{}")])],
}
ODD = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "a", "text", "tool_use", "message"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMED), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def spoilt(draw: st.DrawFn, sound: Json) -> Json:
    """A sound object with something else in one or two of its places."""
    found = json.loads(json.dumps(sound))
    for _ in range(draw(st.integers(1, 2))):
        place: Any = found
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and place[key] and draw(st.booleans()):
                place = place[key]
                continue
            place[key] = draw(ODD)
            break
    return found  # type: ignore[no-any-return]


@settings(deadline=None)
@given(st.data())
def test_whatever_a_provider_answers_is_read_or_said_to_be_unreadable(data: st.DataObject):
    dialect = data.draw(st.sampled_from(["messages", "responses"]))
    sound = data.draw(st.sampled_from(SOUND[dialect]))
    broken = data.draw(spoilt(sound))
    wire = wire_named({"messages": "anthropic_messages", "responses": "openai_responses"}[dialect])
    with suppress(Unreadable, UpstreamError):
        completion, _ = wire.parse(json.dumps(broken).encode(), 1)
        for name in NAMES:
            wire_named(name).render(completion, {})
    events = (message_events if dialect == "messages" else response_events)(sound)
    events[data.draw(st.integers(0, len(events) - 1))] = data.draw(spoilt(data.draw(st.sampled_from(events))))
    with suppress(Unreadable, UpstreamError):
        raw = b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events)
        assemble(read(dialect, raw)[0])


@settings(deadline=None)
@given(st.data())
def test_whatever_a_client_asks_is_understood_or_refused(data: st.DataObject):
    wire = wire_named(data.draw(st.sampled_from(NAMES[1:])))
    sound, _ = wire.from_chat(data.draw(conversations()))
    with suppress(BadRequestError):
        body, _ = wire.to_chat(data.draw(spoilt(dict(sound))))
        for name in NAMES:
            with suppress(BadRequestError):
                wire_named(name).from_chat(body)


@pytest.mark.parametrize("value", [5, [5], "a", None, {"a": 1}, [{"a": 1}]])
def test_a_seal_that_is_none_breaks_nothing(value: Any):
    text = sealed("responses", value)
    turns = [{"role": "assistant", "content": [{"type": "thinking", "thinking": "a", "signature": text}]}]
    anthropic_messages.to_chat({"messages": turns})
    item = {"type": "reasoning", "summary": [], "encrypted_content": sealed("messages", value)}
    openai_responses.to_chat({"input": [item]})
    assert unsealed("responses", "quoth-sealed.responses.!!!") is None
    assert unsealed("messages", text) is None
