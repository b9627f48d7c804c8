"""Streams: chunks as they come, the whole answer at the end, and every way of leaving."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

import quoth
from quoth.emulator import Emulator
from tests.faultserver import FaultServer, Read, Stall, sse
from tests.sdk.conftest import QUESTION, Complete
from tests.sdk.test_results import TOOLS


def text_of(chunks: list[quoth.Chunk]) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def test_chunks_add_up_to_the_answer(complete: Complete, emulator: Emulator) -> None:
    chunks, stream = complete.stream()
    assert text_of(chunks) == "[emulated Grok-4] 17 * 19 = 323" == stream.response.choices[0].message.content
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0]["finish_reason"] == "stop"
    assert emulator.requests[-1].body["stream"] is True


def test_what_a_stream_says_of_itself(complete: Complete, emulator: Emulator) -> None:
    emulator.faults("header=x-request-id:req-8")
    _, stream = complete.stream(user="me")
    whole = complete()
    assert stream.usage == stream.response.usage == whole.usage
    assert stream.cost == whole.cost == stream.response.cost
    assert stream.request_id == "req-8"
    assert (
        [warning.code for warning in stream.warnings]
        == ["ignored_upstream"]
        == [warning.code for warning in stream.response.warnings]
    )
    assert stream._hidden_params["response_cost"] == float(whole.cost.usd or 0)


def test_before_its_end_a_stream_knows_no_cost(emulator: Emulator) -> None:
    with quoth.completion("poe/Grok-4", QUESTION, stream=True) as stream:
        assert stream.response is None
        assert stream.usage is None
        assert (stream.cost.usd, stream.cost.source) == (None, "unknown")
        assert stream._hidden_params["response_cost"] is None
        assert len(list(stream)) > 1
        assert stream.cost.usd is not None


def test_usage_chunk_is_shown_to_those_who_ask(complete: Complete, emulator: Emulator) -> None:
    chunks, _ = complete.stream()
    assert all(chunk.choices for chunk in chunks)
    chunks, stream = complete.stream(stream_options={"include_usage": True})
    assert chunks[-1].choices == []
    assert chunks[-1].usage == stream.usage
    assert emulator.requests[-1].body["stream_options"] == {"include_usage": True}


def test_tool_calls_come_in_pieces_and_are_put_together(complete: Complete, emulator: Emulator) -> None:
    messages = [{"role": "user", "content": "What is the weather in Oslo? Use get_weather."}]
    chunks, stream = complete.stream(messages=messages, tools=TOOLS)
    (call,) = stream.response.choices[0].message.tool_calls
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"location": "Oslo"}')
    pieces = [piece for chunk in chunks for choice in chunk.choices for piece in choice.delta.tool_calls or ()]
    assert "".join(piece["function"].get("arguments", "") for piece in pieces) == call.function.arguments
    assert stream.response.choices[0].finish_reason == "tool_calls"


def test_a_broken_stream_holds_what_arrived(complete: Complete, emulator: Emulator) -> None:
    emulator.faults("fin=after:12")
    with pytest.raises(quoth.StreamInterrupted) as caught:
        complete.stream()
    error = caught.value
    assert error.partial.choices[0].message.content.startswith("[emulated Grok-4]")
    assert error.partial.choices[0].finish_reason is None
    assert (error.llm_provider, error.model) == ("poe", "Grok-4")
    assert [attempt.status_code for attempt in error.attempts] == [200]
    assert not error.retryable
    assert isinstance(error, quoth.APIConnectionError)


@pytest.mark.parametrize("leave", ["close", "with", "drop", "break"])
def test_leaving_early_closes_the_connection(leave: str, server: FaultServer) -> None:
    server.play(sse("one ", "two ", "three").first(2), Stall())
    with quoth.Client(base_url=server.url, api_key="k") as client:
        stream = client.completion("m", QUESTION, stream=True)
        assert next(iter(stream)).choices[0].delta.content == "one "
        if leave == "close":
            stream.close()
        elif leave == "with":
            with stream:
                pass
        elif leave == "break":
            with stream:
                for _ in stream:
                    break
        else:
            del stream
            gc.collect()
        server.wait_for(lambda: len(server.disconnects) == 1)


@pytest.mark.parametrize("leave", ["aclose", "close", "with", "drop"])
async def test_leaving_early_closes_the_connection_in_asyncio(leave: str, server: FaultServer) -> None:
    server.play(sse("one ", "two ", "three").first(2), Stall())
    async with quoth.AsyncClient(base_url=server.url, api_key="k") as client:
        stream = await client.acompletion("m", QUESTION, stream=True)
        assert (await anext(stream)).choices[0].delta.content == "one "
        if leave == "aclose":
            await stream.aclose()
        elif leave == "close":
            await stream.close()
        elif leave == "with":
            async with stream:
                pass
        else:
            del stream
            gc.collect()
        await asyncio.to_thread(server.wait_for, lambda: len(server.disconnects) == 1)


async def test_cancelling_a_call_closes_its_connection(server: FaultServer) -> None:
    server.play(Read(), Stall())
    async with quoth.AsyncClient(base_url=server.url, api_key="k") as client:
        task = asyncio.get_running_loop().create_task(client.acompletion("m", QUESTION))
        await asyncio.to_thread(server.wait_for, lambda: len(server.requests) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(server.wait_for, lambda: len(server.disconnects) == 1)


def test_closing_twice_and_reading_on_is_no_error(emulator: Emulator) -> None:
    stream = quoth.completion("poe/Grok-4", QUESTION, stream=True)
    stream.close()
    stream.close()
    assert list(stream) == []
    assert stream.response is None


def test_a_stream_is_its_own_iterator(emulator: Emulator) -> None:
    stream = quoth.completion("poe/Grok-4", QUESTION, stream=True)
    first = next(stream)
    rest = list(stream)
    assert text_of([first, *rest]) == "[emulated Grok-4] 17 * 19 = 323"


def test_chunks_are_not_kept(emulator: Emulator) -> None:
    stream = quoth.completion("poe/Grok-4", QUESTION, stream=True)
    chunks = [weakref.ref(chunk) for chunk in stream]
    gc.collect()
    assert len(chunks) > 5
    assert not any(chunk() for chunk in chunks)


# --- stream_chunk_builder -----------------------------------------------------------------------------------------


def test_builder_makes_the_answer_of_its_chunks(complete: Complete, emulator: Emulator) -> None:
    chunks, stream = complete.stream(stream_options={"include_usage": True})
    built = quoth.stream_chunk_builder(chunks)
    assert built is not None
    assert built.model_dump() == stream.response.model_dump()
    dicts = quoth.stream_chunk_builder([chunk.model_dump() for chunk in chunks])
    assert dicts is not None
    assert dicts.model_dump() == built.model_dump()


def test_builder_reads_the_chunks_of_openai(emulator: Emulator) -> None:
    import openai

    with openai.OpenAI(api_key="k", base_url=emulator.base_url) as client:
        messages: Any = [{"role": "user", "content": "What is the weather in Oslo? Use get_weather."}]
        tools: Any = TOOLS
        chunks = list(client.chat.completions.create(model="GPT-5.2", messages=messages, tools=tools, stream=True))
    built = quoth.stream_chunk_builder(chunks, messages=messages)
    assert built is not None
    assert built.choices[0].message.tool_calls is not None
    assert built.choices[0].message.tool_calls[0].function.arguments == '{"location": "Oslo"}'
    assert built.object == "chat.completion"


def test_builder_of_nothing() -> None:
    assert quoth.stream_chunk_builder([]) is None
    for wrong in (None, [5], ["text"]):
        with pytest.raises(quoth.BadRequestError) as caught:
            quoth.stream_chunk_builder(wrong)  # type: ignore[arg-type]
        assert (caught.value.param or "").startswith("chunks")
