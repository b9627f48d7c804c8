"""`mock_response` in LiteLLM's forms: nobody is called, and everything else is as with a real answer."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest
from pydantic import BaseModel

import quoth
from quoth.emulator import Emulator
from tests.sdk.conftest import QUESTION, Complete

CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}
TOOL_ANSWER = {
    "choices": [
        {
            "index": 0,
            "finish_reason": "tool_calls",
            "message": {"role": "assistant", "content": None, "tool_calls": [CALL]},
        }
    ]
}


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POE_API_KEY", raising=False)


def test_a_text(complete: Complete) -> None:
    response = complete(mock_response="It's simple to use")
    assert response.choices[0].message.content == "It's simple to use"
    assert response.choices[0].finish_reason == "stop"
    assert response.usage is not None
    assert (response.usage.prompt_tokens, response.usage.completion_tokens) == (10, 20)
    assert response.object == "chat.completion"


def test_a_text_in_pieces(complete: Complete) -> None:
    chunks, stream = complete.stream(mock_response="It's simple to use")
    pieces = [choice.delta.content for chunk in chunks for choice in chunk.choices if choice.delta.content]
    assert pieces == ["It's", " simple", " to", " use"]
    assert stream.response.choices[0].message.content == "It's simple to use"
    assert stream.usage.total_tokens == 30


def test_an_object(complete: Complete) -> None:
    before = copy.deepcopy(TOOL_ANSWER)
    response = complete(mock_response=TOOL_ANSWER)
    _, stream = complete.stream(mock_response=TOOL_ANSWER)
    answers: list[Any] = [response, stream.response]
    for answer in answers:
        (call,) = answer.choices[0].message.tool_calls
        assert (call.id, call.function.name, call.function.arguments) == ("call_1", "look", '{"at": 1}')
        assert answer.choices[0].finish_reason == "tool_calls"
    assert before == TOOL_ANSWER, "what was given is not written to"


def test_an_answer(complete: Complete) -> None:
    earlier = complete(mock_response="earlier")
    assert complete(mock_response=earlier).model_dump() == earlier.model_dump()
    _, stream = complete.stream(mock_response=earlier)
    assert stream.response.choices[0].message.content == "earlier"


@pytest.mark.parametrize(
    ("mock", "kind"),
    [
        ("litellm.RateLimitError", quoth.RateLimitError),
        ("litellm.ContextWindowExceededError", quoth.ContextWindowExceededError),
        ("litellm.InternalServerError", quoth.InternalServerError),
        ("quoth.NotFoundError", quoth.NotFoundError),
        ("Exception: content_filter_policy", quoth.ContentPolicyViolationError),
        ("Exception: mock_streaming_error", quoth.StreamInterrupted),
        (quoth.PaymentRequiredError, quoth.PaymentRequiredError),
        (quoth.Timeout("mine"), quoth.Timeout),
        (ValueError("mine"), ValueError),
        (ZeroDivisionError, ZeroDivisionError),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_an_error(mock: Any, kind: type[Exception], stream: bool, complete: Complete) -> None:
    with pytest.raises(kind) as caught:
        (complete.stream if stream else complete)(mock_response=mock)
    assert type(caught.value) is kind
    if isinstance(mock, Exception):
        assert caught.value is mock


@pytest.mark.parametrize("text", ["RateLimitError is the class", "Exception: of the rule", "litellm.completion"])
def test_a_text_that_only_looks_like_an_error(text: str, complete: Complete) -> None:
    assert complete(mock_response=text).choices[0].message.content == text


def test_what_is_no_answer_is_refused(complete: Complete) -> None:
    with pytest.raises(quoth.BadRequestError) as caught:
        complete(mock_response=5)
    assert caught.value.param == "mock_response"


def test_it_takes_the_way_of_a_real_answer(complete: Complete) -> None:
    """Bad input is refused, warnings are given, and a class is filled."""
    with pytest.raises(quoth.BadRequestError):
        complete(messages=[], mock_response="x")
    assert [warning.param for warning in complete(mock_response="x", seed=1).warnings] == ["seed"]

    class Sum(BaseModel):
        total: int

    response: Any = complete(mock_response='{"total": 323}', response_format=Sum)
    assert response.choices[0].message.parsed == Sum(total=323)


def test_nobody_is_called(complete: Complete, emulator: Emulator) -> None:
    complete(mock_response="x")
    complete.stream(mock_response="x")
    assert emulator.requests == []


def test_in_a_batch() -> None:
    results = quoth.batch_completion("poe/Grok-4", [QUESTION, QUESTION], mock_response="x")
    assert [result.choices[0].message.content for result in results if isinstance(result, quoth.Completion)] == [
        "x"
    ] * 2
    failed = asyncio.run(quoth.abatch_completion("poe/Grok-4", [QUESTION], mock_response="litellm.RateLimitError"))
    assert [type(result) for result in failed] == [quoth.RateLimitError]


def test_mocked_tool_calls(complete: Complete) -> None:
    calls = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    answer = complete(mock_tool_calls=calls)
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.tool_calls is not None
    assert answer.choices[0].message.tool_calls[0].function.name == "f"


def test_a_mocked_timeout_and_a_delay(complete: Complete) -> None:
    with pytest.raises(quoth.Timeout):
        complete(mock_timeout=True, timeout=0.01)
    assert complete(mock_delay=0.01).choices[0].message.content == "This is a mock request"
    with pytest.raises(quoth.BadRequestError, match="mock_response"):
        complete.stream(mock_response={"choices": [{"text": "x"}]})
