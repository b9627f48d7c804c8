"""What comes out: objects in OpenAI's shape that keep what they do not know."""

from __future__ import annotations

import copy
import json
import pickle
from decimal import Decimal
from typing import Any

import pytest

import quoth
from quoth.emulator import Emulator
from tests.faultserver import USAGE, FaultServer, answer, chat, sse
from tests.sdk.conftest import QUESTION, Complete

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]},
        },
    }
]
ODD: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "provider_news": {"deep": [1, {"er": None}]},
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "matched_stop": 7,
            "message": {
                "role": "assistant",
                "content": "Hi",
                "thinking_blocks": [{"type": "thinking", "signature": "x"}],
            },
        }
    ],
    "usage": {**USAGE, "cost": 0.25, "prompt_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 2}},
}


@pytest.fixture
def odd(server: FaultServer) -> quoth.Completion:
    """An answer with fields of its provider's own."""
    server.play(answer(ODD))
    client = quoth.Client(base_url=server.url, api_key="k")
    with client:
        return client.completion("m", QUESTION)


def test_attributes_keys_get_and_in(complete: Complete, emulator: Emulator) -> None:
    response = complete()
    message = response.choices[0].message
    assert response["choices"][0]["message"]["content"] == message.content == "[emulated Grok-4] 17 * 19 = 323"
    assert response.get("model") == response.model == "Grok-4"
    assert "usage" in response
    assert "system_fingerprint" not in response
    assert response.get("system_fingerprint", "none") == "none"
    assert message.get("no_such_field") is None
    with pytest.raises(KeyError):
        response["no_such_field"]
    with pytest.raises(AttributeError):
        response.no_such_field  # type: ignore[attr-defined]  # noqa: B018


def test_what_the_provider_left_out_is_none_and_not_dumped(complete: Complete, emulator: Emulator) -> None:
    response = complete()
    message = response.choices[0].message
    assert [message.tool_calls, message.refusal, message.reasoning_content, message.function_call] == [None] * 4
    assert [response.choices[0].logprobs, response.system_fingerprint, response.service_tier] == [None] * 3
    assert message.model_dump() == {"role": "assistant", "content": message.content}
    assert "refusal" in message.model_dump(exclude_unset=False)
    assert "refusal" not in repr(message)


def test_dumps_are_the_answer(odd: quoth.Completion) -> None:
    assert odd.model_dump() == odd.json() == odd.to_dict() == ODD
    assert json.loads(odd.model_dump_json()) == ODD


def test_fields_that_nobody_named_are_kept(odd: quoth.Completion) -> None:
    news: Any = odd
    assert news.provider_news == {"deep": [1, {"er": None}]} == odd["provider_news"]
    assert odd.choices[0]["matched_stop"] == 7
    assert odd.usage is not None
    assert odd.usage.prompt_tokens_details is not None
    assert odd.usage.prompt_tokens_details["cache_write_tokens"] == 2


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_copies_are_equal_and_know_their_cost(again: Any, odd: quoth.Completion) -> None:
    other = again(odd)
    assert other == odd
    assert other.model_dump() == ODD
    assert other.cost == odd.cost
    assert other.attempts == odd.attempts


@pytest.mark.parametrize("again", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_answers_of_poe_survive_pickling(again: Any, complete: Complete, emulator: Emulator) -> None:
    response = complete(n=2)
    assert again(response).model_dump() == response.model_dump()
    assert str(again(response).cost) == str(response.cost)
    chunks, stream = complete.stream()
    assert again(stream.response) == stream.response
    assert again(chunks) == chunks


def test_a_message_that_came_out_can_go_in_again(complete: Complete, emulator: Emulator) -> None:
    messages: list[Any] = [{"role": "user", "content": "What is the weather in Oslo? Use get_weather."}]
    message = complete(messages=messages, tools=TOOLS).choices[0].message
    assert message.tool_calls is not None
    call = message.tool_calls[0]
    messages += [message, {"role": "tool", "tool_call_id": call.id, "content": "rain"}]
    assert "rain" in (complete(messages=messages, tools=TOOLS).choices[0].message.content or "")
    assert emulator.requests[-1].body["messages"][1] == message.model_dump()


def test_what_is_said_beside_the_answer(complete: Complete, emulator: Emulator) -> None:
    emulator.faults("header=x-request-id:req-7; times=1", "ok")
    response = complete(user="me")
    assert response.wire == "openai_chat"
    assert response.request_id == "req-7" == response.response_headers["x-request-id"]
    (attempt,) = response.attempts
    assert (attempt.provider, attempt.model, attempt.wire, attempt.status_code) == ("poe", "Grok-4", "openai_chat", 200)
    assert attempt.error is attempt.message is None
    assert attempt.seconds > 0
    (warning,) = response.warnings
    assert (warning.code, warning.param) == ("ignored_upstream", "user")
    assert not {"cost", "warnings", "wire", "attempts", "request_id"} & response.model_dump().keys()


def test_cost_of_poe_is_an_estimate_in_dollars_and_points(complete: Complete, emulator: Emulator) -> None:
    cost = complete("poe/Claude-Sonnet-4.6").cost
    assert cost.source == "estimated"
    assert isinstance(cost.usd, Decimal)
    assert cost.points is not None
    assert abs(cost.usd * 33000 - cost.points) < Decimal("0.001")
    assert sum(cost.items.values()) == cost.points
    assert cost.prices_as_of is not None
    assert str(cost) == f"about {cost.points} points (${cost.usd})"


def test_cost_that_the_provider_states(odd: quoth.Completion) -> None:
    assert (odd.cost.usd, odd.cost.points, odd.cost.source) == (Decimal("0.25"), None, "provider")
    assert str(odd.cost) == "$0.25"


def test_cost_that_nobody_knows_is_none(server: FaultServer) -> None:
    server.play(chat("hello"))
    with quoth.Client(base_url=server.url, api_key="k") as client:
        cost = client.completion("m", QUESTION).cost
    assert (cost.usd, cost.points, cost.source, str(cost)) == (None, None, "unknown", "cost unknown")


def test_costs_add_up() -> None:
    one = quoth.Cost(usd=Decimal("0.1"), points=1, items={"Input": 1}, source="provider", prices_as_of="2026-04-01")
    two = quoth.Cost(usd=Decimal("0.2"), points=2, items={"Input": 1, "Output": 1}, source="estimated")
    assert one + two == quoth.Cost(Decimal("0.3"), 3, {"Input": 2, "Output": 1}, "estimated", "2026-04-01")
    assert (one + quoth.Cost()).usd is None
    assert str(quoth.Cost(usd=Decimal("0.00003"), points=1, source="provider")) == "1 point ($0.00003)"


def test_hidden_params_of_litellm(complete: Complete, emulator: Emulator) -> None:
    response = complete()
    hidden = response._hidden_params
    assert response._response_ms is not None
    assert response._response_ms >= response.attempts[-1].seconds * 1000
    assert hidden["response_cost"] == float(response.cost.usd or 0)
    assert (hidden["custom_llm_provider"], hidden["model_id"]) == ("poe", "Grok-4")
    assert hidden["api_base"] == emulator.base_url
    assert hidden["additional_headers"]["llm_provider-content-type"] == "application/json"
    assert hidden["x-litellm-attempted-retries"] == 0


def test_the_key_is_nowhere_in_what_comes_out(complete: Complete, emulator: Emulator) -> None:
    response = complete(api_key="sk-very-secret")
    assert emulator.requests[-1].headers["authorization"] == "Bearer sk-very-secret"
    assert "secret" not in f"{response!r} {response._hidden_params} {response.attempts} {response._trace}"


def test_jupyter_shows_text_calls_and_cost(complete: Complete, emulator: Emulator) -> None:
    shown = complete()._repr_markdown_()
    assert shown.startswith("[emulated Grok-4] 17 * 19 = 323")
    assert "points ($" in shown
    called = complete(messages=[{"role": "user", "content": "Use get_weather for Oslo"}], tools=TOOLS)
    assert "get_weather(" in called._repr_markdown_()
    assert "get_weather(" in called.choices[0].message._repr_markdown_()


def test_an_answer_without_choices_says_so(server: FaultServer) -> None:
    server.play(answer({**ODD, "choices": []}))
    with quoth.Client(base_url=server.url, api_key="k") as client:
        response = client.completion("m", QUESTION)
    assert [warning.code for warning in response.warnings] == ["no_choices"]
    with pytest.raises(IndexError, match="without any choice"):
        response.choices[0]
    assert list(response.choices) == []


def test_reasoning_reads_under_both_names(server: FaultServer) -> None:
    message = {"role": "assistant", "content": "4", "reasoning": "2 and 2"}
    body = {**ODD, "choices": [{"index": 0, "finish_reason": "stop", "message": message}]}
    server.play(answer(body))
    with quoth.Client(base_url=server.url, api_key="k") as client:
        said = client.completion("m", QUESTION).choices[0].message
    assert said.reasoning == said.reasoning_content == "2 and 2"
    assert said.model_dump() == message


def test_streamed_answer_equals_the_answer(complete: Complete, server: FaultServer) -> None:
    server.play(sse("one ", "two"))
    keywords = {"api_key": "k", "base_url": server.url, "model": "m"}
    _, stream = complete.stream(**keywords)
    server.play(chat("one two"))
    whole = complete(**keywords)
    assert stream.response.choices[0].message.model_dump() == whole.choices[0].message.model_dump()
