"""Poe's quirks, each on the wire: what it mends, that it can be switched off, what it says."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest

import quoth
from quoth import BadRequestError, Client
from quoth.emulator import Emulator
from quoth.providers.catalogue import known
from quoth.providers.quirks import MANY_TOOLS, QUIRKS
from quoth.providers.rows import Registry, packaged_names
from tests.providers.conftest import HELLO, Wire

Json = dict[str, Any]


def function(number: int = 0, **parameters: Any) -> Json:
    return {"type": "function", "function": {"name": f"f{number}", **parameters}}


def said(*content: Any, role: str = "user") -> list[Json]:
    return [
        {"role": role, "content": list(content) if len(content) > 1 or isinstance(content[0], dict) else content[0]}
    ]


def text(words: str, **more: Any) -> Json:
    return {"type": "text", "text": words, **more}


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
AUDIO = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}}
EMPTY = {"type": "object", "properties": {}}

# Quirk, what is given, what is sent in its place, the codes of its warnings.
MENDED: list[tuple[str, Json, Json, list[str]]] = [
    ("tool_properties", {"tools": [function()]}, {"tools": [function(parameters=EMPTY)]}, []),
    (
        "tool_properties",
        {"tools": [function(parameters={"type": "object", "description": "d"})]},
        {"tools": [function(parameters={"type": "object", "description": "d", "properties": {}})]},
        [],
    ),
    ("tool_properties", {"tools": [function(parameters={})]}, {"tools": [function(parameters=EMPTY)]}, []),
    ("tool_properties", {"tools": [function(parameters=None)]}, {"tools": [function(parameters=EMPTY)]}, []),
    (
        "developer_as_system",
        {"messages": [*said("Be kind.", role="developer"), *HELLO]},
        {"messages": [*said("Be kind.", role="system"), *HELLO]},
        ["developer_as_system"],
    ),
    (
        "join_text_parts",
        {"messages": said(text("a"), text("b"))},
        {"messages": said("a\n\nb")},
        [],
    ),
    (
        "join_text_parts",
        {"messages": said(text("a"), IMAGE, text("b"), IMAGE)},
        {"messages": said(text("a\n\nb"), IMAGE, IMAGE)},
        ["text_parts_joined"],
    ),
    (
        "join_text_parts",
        {"messages": said(text("a", cache_control={"type": "ephemeral"}), text("b"))},
        {"messages": said("a\n\nb")},
        ["text_parts_joined"],
    ),
    (
        "input_audio_as_file",
        {"messages": said(text("What is said?"), AUDIO)},
        {"messages": said(text("What is said?"), {"type": "file", "file": {
            "filename": "audio.mp3", "file_data": "data:audio/mpeg;base64,AAAA"}})},
        ["audio_as_file"],
    ),
    (
        "input_audio_as_file",
        {"messages": said({"type": "input_audio", "input_audio": {"data": "data:audio/ogg;base64,AAAA"}})},
        {"messages": said({"type": "file", "file": {
            "filename": "audio.wav", "file_data": "data:audio/ogg;base64,AAAA"}})},
        ["audio_as_file"],
    ),
    ("many_tools_hint", {"tools": [function(n, parameters=EMPTY) for n in range(216)]}, {}, ["many_tools"]),
]  # fmt: skip

# What a quirk leaves as it is, and says nothing about.
LEFT: list[Json] = [
    {"tools": [function(parameters={"type": "object", "properties": {"a": {}}})]},
    {
        "tools": [
            {"type": "x_search"},
            {"type": "function"},
            "odd",
            {"type": "function", "function": {"parameters": 5}},
        ]
    },
    {"tools": [function(n, parameters=EMPTY) for n in range(MANY_TOOLS)]},
    {"messages": said(text("a"), IMAGE)},
    {"messages": said(text("a"))},
    {"messages": said({"type": "input_audio", "input_audio": {}})},
    {"messages": said({"type": "input_audio"}, {"type": "text"})},
    {"messages": [{"role": "assistant", "content": None}, *HELLO]},
]


@pytest.mark.parametrize(("quirk", "given", "sent", "codes"), MENDED)
class TestEach:
    def test_on(self, wire: Wire, quirk: str, given: Json, sent: Json, codes: list[str]):
        body = wire.send("poe/grok-4", **given)
        assert body == {"model": "grok-4", "messages": HELLO, **given, **sent}
        assert [code for code, _ in wire.codes] == codes

    def test_off(self, wire: Wire, quirk: str, given: Json, sent: Json, codes: list[str]):
        body = wire.send("poe/grok-4", **given, disable_quirks=[quirk])
        assert body == {"model": "grok-4", "messages": HELLO, **given}
        assert wire.codes == []

    def test_off_for_a_client(self, wire: Wire, quirk: str, given: Json, sent: Json, codes: list[str]):
        plain = Wire(wire.server, Client(disable_quirks=list(QUIRKS)))
        assert plain.send("poe/grok-4", **given) == {"model": "grok-4", "messages": HELLO, **given}
        assert plain.codes == []

    def test_not_for_others(self, wire: Wire, quirk: str, given: Json, sent: Json, codes: list[str]):
        assert wire.send("openai/m", **given) == {"model": "m", "messages": HELLO, **given}


@pytest.mark.parametrize("given", LEFT)
def test_what_needs_no_mending_is_left(wire: Wire, given: Json):
    assert wire.send("poe/grok-4", **given) == {"model": "grok-4", "messages": HELLO, **given}
    assert wire.codes == []


def test_several_at_once(wire: Wire):
    messages = [*said(text("a"), text("b"), AUDIO, role="developer")]
    body = wire.send("poe/grok-4", messages, tools=[function()])
    assert body["messages"][0]["role"] == "system"
    assert [part["type"] for part in body["messages"][0]["content"]] == ["text", "file"]
    assert body["tools"] == [function(parameters=EMPTY)]
    assert {code for code, _ in wire.codes} == {"audio_as_file", "developer_as_system"}


def test_an_unknown_quirk_is_an_error(wire: Wire):
    with pytest.raises(BadRequestError, match=r"'join' is not a quirk; there are tool_properties, ") as caught:
        wire.send("poe/grok-4", disable_quirks=["join"])
    assert caught.value.param == "disable_quirks"


def test_each_is_named_with_its_evidence_and_date_and_used_by_a_row():
    used = {quirk for name in packaged_names() for quirk in _row(name).quirks}
    assert used == QUIRKS.keys()
    for name, quirk in QUIRKS.items():
        assert name == quirk.name
        assert quirk.why
        assert quirk.evidence
        assert re.fullmatch(r"20\d\d(-\d\d){0,2}", quirk.checked)


def _row(name: str) -> quoth.call.Row:
    row = Registry().get(name)
    assert row is not None
    return row


# --- Against the emulator, which refuses as Poe does -------------------------------------------------------------


def ask(**keywords: Any) -> Any:
    complete: Any = quoth.completion
    return complete("poe/grok-4", keywords.pop("messages", HELLO), num_retries=0, **keywords)


class TestAgainstPoe:
    """What the quirk is there for: without it Poe refuses."""

    @pytest.mark.parametrize(
        ("quirk", "given", "problem"),
        [
            ("tool_properties", {"tools": [function()]}, 'no "properties" key'),
            ("developer_as_system", {"messages": [*said("Be kind.", role="developer"), *HELLO]}, r"messages\[0\].role"),
            ("n_as_parallel_calls", {"n": 2}, "n"),
        ],
    )
    def test_refused_without(self, poe_emulator: Emulator, quirk: str, given: Json, problem: str):
        assert ask(**given).choices
        with pytest.raises(BadRequestError, match=problem):
            ask(**given, disable_quirks=[quirk])

    def test_too_many_tools_are_sent_and_the_answer_is_explained(self, poe_emulator: Emulator):
        tools = [function(n, parameters=EMPTY) for n in range(216)]
        with pytest.raises(BadRequestError) as caught:
            ask(tools=tools)
        assert len(poe_emulator.requests[-1].body["tools"]) == 216
        assert str(caught.value) == (
            "poe answered 400: Invalid 'tools': Field required. Poe answers so to more than about 215 tools; "
            "216 were sent. Send fewer."
        )
        assert caught.value.body == {
            "error": {"message": "Invalid 'tools': Field required", "type": "invalid_request_error", "param": "tools"}
        }
        assert ask(tools=tools[:MANY_TOOLS]).warnings == []

    def test_both_names_of_reasoning(self, poe_emulator: Emulator):
        message = quoth.completion("poe/grok-3-mini", HELLO).choices[0].message
        assert message.reasoning
        assert message.reasoning == message.reasoning_content


class TestN:
    def test_parallel_calls_merged_into_one_answer(self, poe_emulator: Emulator):
        single = ask(messages=said("What is 2 + 3?"), max_tokens=50)
        poe_emulator.clear()
        answer = ask(messages=said("What is 2 + 3?"), max_tokens=50, n=3)
        assert [choice.index for choice in answer.choices] == [0, 1, 2]
        assert all("5" in choice.message.content for choice in answer.choices)
        bodies = [request.body for request in poe_emulator.requests]
        assert len(bodies) == 3
        assert all("n" not in body and body["max_tokens"] == 50 for body in bodies)
        for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
            assert answer.usage[name] == 3 * single.usage[name]
        assert answer.cost.points == 3 * single.cost.points
        assert answer.cost.usd == 3 * single.cost.usd
        assert answer.cost.source == "estimated"
        assert len(answer.attempts) == 3
        assert [(warning.code, warning.param) for warning in answer.warnings] == [("n_as_parallel_calls", "n")]

    async def test_in_asyncio(self, poe_emulator: Emulator):
        answer = await quoth.acompletion("poe/grok-4", HELLO, n=2)
        assert len(answer.choices) == 2
        assert len(poe_emulator.requests) == 2

    def test_one_is_one_call(self, poe_emulator: Emulator):
        assert ask(n=1).warnings == []
        assert poe_emulator.requests[-1].body["n"] == 1

    def test_streamed_it_is_sent_as_given_and_the_refusal_is_explained(self, poe_emulator: Emulator):
        with pytest.raises(BadRequestError, match="Without stream=True, n of them are made of n calls"):
            ask(n=2, stream=True)
        assert poe_emulator.requests[-1].body["n"] == 2

    def test_one_that_fails_fails_the_call(self, poe_emulator: Emulator):
        poe_emulator.faults("ok", "status=400; message=no", "ok")
        with pytest.raises(BadRequestError, match="no"):
            ask(n=3)

    def test_other_providers_take_it_themselves(self, wire: Wire):
        assert wire.send("openai/m", n=3)["n"] == 3
        assert wire.codes == []

    def test_an_unknown_cost_stays_unknown(self, poe_emulator: Emulator):
        facts = next(model for model in _catalogue() if model.price is None and not model.makes_media)
        complete: Any = quoth.completion
        cost = complete(f"poe/{facts.id}", HELLO, n=2).cost
        assert (cost.usd, cost.points, cost.source) == (None, None, "unknown")

    def test_a_free_model_costs_nothing(self, poe_emulator: Emulator):
        complete: Any = quoth.completion
        cost = complete("poe/gemma-4-31b", HELLO, n=2).cost
        assert (cost.usd, cost.points, cost.source) == (Decimal(0), 0, "estimated")


def _catalogue() -> Any:
    return known()
