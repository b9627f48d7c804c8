"""The types of what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import assert_type

import quoth
from quoth import Attempt, Choice, Chunk, ChunkChoice, Completion, Cost, ToolCall, Usage, Warning
from quoth.exceptions import RateLimitError


def answers(response: Completion) -> None:
    assert_type(response.choices, list[Choice])
    assert_type(response.choices[0].message.content, str | None)
    assert_type(response.choices[0].message.tool_calls, list[ToolCall] | None)
    assert_type(response.choices[0].finish_reason, str | None)
    assert_type(response.usage, Usage | None)
    assert_type(response.cost, Cost)
    assert_type(response.cost.usd, Decimal | None)
    assert_type(response.cost.points, int | None)
    assert_type(response.warnings, list[Warning])
    assert_type(response.attempts, list[Attempt])
    assert_type(response.wire, str)
    assert_type(response.request_id, str | None)
    assert_type(response.response_headers, Mapping[str, str])


def streams(stream: quoth.Stream) -> None:
    for chunk in stream:
        assert_type(chunk, Chunk)
        assert_type(chunk.choices, list[ChunkChoice])
        assert_type(chunk.choices[0].delta.content, str | None)
    assert_type(stream.response, Completion | None)
    assert_type(stream.usage, Usage | None)
    assert_type(stream.cost, Cost)
    with stream as same:
        assert_type(same, quoth.Stream)


async def async_streams(stream: quoth.AsyncStream) -> None:
    async for chunk in stream:
        assert_type(chunk, Chunk)
    async with stream as same:
        assert_type(same, quoth.AsyncStream)


def errors(error: RateLimitError) -> None:
    assert_type(error.status_code, int | None)
    assert_type(error.retry_after, float | None)
    assert_type(error.message, str)
    assert_type(error.llm_provider, str | None)


def names_of_litellm(response: quoth.ModelResponse, chunk: quoth.ModelResponseStream) -> None:
    assert_type(response, Completion)
    assert_type(chunk, Chunk)
