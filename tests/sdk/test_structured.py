"""Answers that fit a class: where the schema goes, what comes back, and the one repair."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

import quoth
from quoth.emulator import Emulator
from tests.faultserver import FaultServer, chat, sse
from tests.sdk.conftest import QUESTION, Complete


class Part(BaseModel):
    name: str
    count: int = Field(ge=1)


class Plan(BaseModel):
    """A list of parts."""

    title: str
    parts: list[Part]
    note: str | None = None


@dataclass
class Point:
    x: int
    y: int


class Pair(TypedDict):
    left: str
    right: str


GOOD = '{"title": "t", "parts": [{"name": "a", "count": 2}]}'


def where(server: FaultServer) -> dict[str, Any]:
    return {"model": "m", "base_url": server.url, "api_key": "k"}


def bodies(server: FaultServer) -> list[dict[str, Any]]:
    return [json.loads(request.body) for request in server.requests]


def test_an_instance_comes_back(complete: Complete, emulator: Emulator) -> None:
    response: Any = complete(messages=[{"role": "user", "content": "Plan a picnic"}], response_format=Plan)
    plan = response.choices[0].message.parsed
    assert isinstance(plan, Plan)
    assert json.loads(response.choices[0].message.content)["title"] == plan.title
    assert response.warnings == []


def test_schema_travels_where_the_model_reads_it(complete: Complete, emulator: Emulator) -> None:
    complete(response_format=Plan)
    sent = emulator.requests[-1].body["response_format"]
    assert (sent["type"], sent["json_schema"]["name"], sent["json_schema"]["strict"]) == ("json_schema", "Plan", True)
    schema = sent["json_schema"]["schema"]
    assert schema["required"] == ["title", "parts", "note"]
    assert schema["additionalProperties"] is schema["$defs"]["Part"]["additionalProperties"] is False
    assert len(emulator.requests[-1].body["messages"]) == 1


def test_schema_goes_into_the_prompt_for_the_others(complete: Complete, emulator: Emulator) -> None:
    response: Any = complete("poe/Gemini-2.5-Pro", response_format=Plan)
    body = emulator.requests[-1].body
    assert "response_format" not in body
    assert body["messages"][0]["role"] == "system"
    assert '"title"' in body["messages"][0]["content"]
    assert isinstance(response.choices[0].message.parsed, Plan)


@pytest.mark.parametrize(
    ("kind", "said", "value"),
    [(Point, '{"x": 1, "y": 2}', Point(1, 2)), (Pair, '{"left": "a", "right": "b"}', {"left": "a", "right": "b"})],
)
def test_other_classes(kind: Any, said: str, value: Any, complete: Complete, server: FaultServer) -> None:
    server.play(chat(said))
    response: Any = complete(**where(server), response_format=kind)
    assert response.choices[0].message.parsed == value


@pytest.mark.parametrize("said", [GOOD, f"```json\n{GOOD}\n```", f"Here it is:\n{GOOD}\nEnjoy!", f"  {GOOD}  "])
def test_json_is_found_in_what_models_put_around_it(said: str, complete: Complete, server: FaultServer) -> None:
    server.play(chat(said))
    response: Any = complete(**where(server), response_format=Plan)
    assert response.choices[0].message.parsed == Plan(title="t", parts=[Part(name="a", count=2)])
    assert response.choices[0].message.content == said


def test_one_repair_and_both_calls_are_counted(complete: Complete, server: FaultServer) -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2, "cost": 0.5}
    server.play_once(chat('{"title": "t", "parts": [{"name": "a", "count": 0}]}', usage=usage))
    server.play(chat(GOOD, usage=usage))
    response: Any = complete(**where(server), response_format=Plan)
    assert response.choices[0].message.parsed.parts[0].count == 2
    assert [warning.code for warning in response.warnings] == ["repaired"]
    assert "parts.0.count" in response.warnings[0].message
    assert len(response.attempts) == 2
    assert response.cost.usd == Decimal(1)
    first, second = bodies(server)
    assert second["messages"][: len(first["messages"])] == first["messages"]
    assert [message["role"] for message in second["messages"][-2:]] == ["assistant", "user"]
    assert "parts.0.count" in second["messages"][-1]["content"]


def test_what_still_does_not_fit_is_an_error_with_the_answer(complete: Complete, server: FaultServer) -> None:
    server.play(chat("I would rather not."))
    with pytest.raises(quoth.APIResponseValidationError) as caught:
        complete(**where(server), response_format=Plan)
    assert len(server.requests) == 2
    assert caught.value.partial.choices[0].message.content == "I would rather not."
    assert caught.value.param == "response_format"
    assert len(caught.value.attempts) == 2


def test_refusals_and_tool_calls_are_not_validated(complete: Complete, server: FaultServer) -> None:
    server.play(chat(None, refusal="No."))
    response: Any = complete(**where(server), response_format=Plan)
    assert (response.choices[0].message.parsed, response.choices[0].message.refusal) == (None, "No.")
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    server.play(chat("", tool_calls=[call], finish_reason="tool_calls"))
    assert complete(**where(server), response_format=Plan).choices[0].message.parsed is None


def test_a_stream_is_validated_at_its_end(complete: Complete, server: FaultServer) -> None:
    server.play(sse(GOOD[:9], GOOD[9:]))
    _, stream = complete.stream(**where(server), response_format=Plan)
    assert stream.response.choices[0].message.parsed.title == "t"
    server.play(sse("not JSON"))
    _, stream = complete.stream(**where(server), response_format=Plan)
    assert stream.response.choices[0].message.parsed is None
    assert [warning.code for warning in stream.warnings] == ["does_not_fit"]


def test_a_dict_is_sent_as_it_is(complete: Complete, server: FaultServer) -> None:
    server.play(chat("anything"))
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    response = complete(**where(server), response_format=wanted)
    assert bodies(server)[0]["response_format"] == wanted
    assert response.choices[0].message.parsed is None
    assert bodies(server)[0]["messages"] == QUESTION


def test_a_class_that_has_no_schema_is_refused(complete: Complete, server: FaultServer) -> None:
    class Opaque:
        pass

    with pytest.raises(quoth.BadRequestError) as caught:
        complete(**where(server), response_format=Opaque)
    assert caught.value.param == "response_format"
    assert server.requests == []
