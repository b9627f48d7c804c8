"""Which wire a call goes over, and what becomes of its parameters there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from quoth import BadRequestError
from quoth.call import Call, Target
from quoth.providers.params import prepare
from quoth.providers.quirks import QUIRKS, mended
from quoth.providers.resolve import resolve
from quoth.providers.rows import Registry
from quoth.providers.wires import over_its_wire, wire_of
from quoth.wire.wires import NAMES

Json = dict[str, Any]
CHAT, RESPONSES, MESSAGES = NAMES
HELLO = [{"role": "user", "content": "Hello"}]
KEYS = {"POE_API_KEY": "k", "OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k", "GROQ_API_KEY": "k"}


def target(model: str, **options: Any) -> Target:
    return resolve(model, Registry(), KEYS, **options)


def said(*parts: Json) -> list[Json]:
    return [{"role": "user", "content": [{"type": "text", "text": "Hello"}, *parts]}]


def file(media_type: str) -> Json:
    return {"type": "file", "file": {"filename": "a", "file_data": f"data:{media_type};base64,aGk="}}


MARKED = {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}
PICTURE = {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}
SOUND = {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}
THOUGHT = {"role": "assistant", "content": "a", "thinking_blocks": [{"type": "thinking", "signature": "s"}]}
ITEM = {"role": "assistant", "content": "a", "reasoning_items": [{"type": "reasoning", "encrypted_content": "g"}]}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}

# Model, parameters, messages, the wire.
CHOICES: dict[str, tuple[str, Json, list[Json], str]] = {
    "the first of the list": ("poe/Claude-Opus-4.6", {}, HELLO, MESSAGES),
    "another list": ("poe/GPT-5.4", {}, HELLO, RESPONSES),
    "a list of one": ("poe/Grok-4", {}, HELLO, CHAT),
    "an empty list": ("poe/gpt-oss-120b", {}, HELLO, CHAT),
    "Gemini, whatever its list says": ("poe/Gemini-2.5-Pro", {}, HELLO, CHAT),
    "a model that makes media": ("poe/Nano-Banana-Pro", {}, HELLO, CHAT),
    "a name that is not listed": ("poe/Claude-Opus-9", {}, HELLO, MESSAGES),
    "another one": ("poe/gpt-9-turbo", {}, HELLO, RESPONSES),
    "a name that says nothing": ("poe/my-own-bot", {}, HELLO, CHAT),
    "a listed model of which no wires are known": ("poe/claude-opus-4.7", {}, HELLO, MESSAGES),
    "what has no effect anyway does not count": ("poe/Claude-Opus-4.6", {"seed": 1}, HELLO, MESSAGES),
    "a bot's own parameter": ("poe/Claude-Opus-4.6", {"web_search": True}, HELLO, CHAT),
    "the same in extra_body": ("poe/Claude-Opus-4.6", {"extra_body": {"web_search": True}}, HELLO, CHAT),
    "one that has a place": ("poe/claude-opus-4.5", {"thinking_budget": 3000}, HELLO, MESSAGES),
    "an effort that is a budget": ("poe/Claude-Opus-4.6", {"reasoning_effort": "high"}, HELLO, MESSAGES),
    "an effort that is none": ("poe/Claude-Opus-4.7", {"reasoning_effort": "high"}, HELLO, CHAT),
    "an effort in OpenAI's words": ("poe/GPT-5.4", {"reasoning_effort": "high"}, HELLO, RESPONSES),
    "heat": ("poe/Claude-Opus-4.6", {"temperature": 1.5}, HELLO, RESPONSES),
    "a schema": ("poe/Claude-Opus-4.6", {"response_format": SCHEMA}, HELLO, RESPONSES),
    "an end": ("poe/GPT-5.4", {"stop": "END"}, HELLO, CHAT),
    "the same for Claude": ("poe/Claude-Opus-4.6", {"stop": "END"}, HELLO, MESSAGES),
    "a cap below what is taken": ("poe/GPT-5.4", {"max_tokens": 5}, HELLO, CHAT),
    "tools": ("poe/Claude-Opus-4.6", {"tools": [FUNCTION], "tool_choice": "auto"}, HELLO, MESSAGES),
    "a search by the provider": ("poe/GPT-5.4", {"tools": [{"type": "web_search_preview"}]}, HELLO, RESPONSES),
    "Anthropic's tools": ("poe/GPT-5.4", {"tools": [{"type": "bash_20250124", "name": "bash"}]}, HELLO, CHAT),
    "OpenAI's tools": ("poe/Claude-Opus-4.6", {"tools": [{"type": "file_search"}]}, HELLO, RESPONSES),
    "marks": ("poe/Claude-Opus-4.6", {}, said(MARKED), MESSAGES),
    "marks for GPT": ("poe/GPT-5.4", {}, said(MARKED), CHAT),
    "a picture": ("poe/GPT-5.4", {}, said(PICTURE), RESPONSES),
    "a PDF": ("poe/Claude-Opus-4.6", {}, said(file("application/pdf")), MESSAGES),
    "a film": ("poe/Claude-Opus-4.6", {}, said(file("video/mp4")), CHAT),
    "sound": ("poe/Claude-Opus-4.6", {}, said(SOUND), CHAT),
    "Claude's thoughts": ("poe/Claude-Opus-4.6", {}, [*HELLO, THOUGHT, *HELLO], MESSAGES),
    "GPT's reasoning": ("poe/GPT-5.4", {}, [*HELLO, ITEM, *HELLO], RESPONSES),
    "OpenAI itself": ("openai/gpt-5", {}, HELLO, CHAT),
    "OpenAI itself, with its reasoning": ("openai/gpt-5", {}, [*HELLO, ITEM, *HELLO], RESPONSES),
    "Anthropic itself": ("anthropic/claude-opus-4-6", {}, HELLO, MESSAGES),
    "a provider with one wire": ("groq/x", {"reasoning_effort": "high"}, HELLO, CHAT),
}


@pytest.mark.parametrize(("model", "params", "messages", "wire"), CHOICES.values(), ids=CHOICES.keys())
def test_the_wire_of_a_call(model: str, params: Json, messages: list[Json], wire: str):
    found = over_its_wire(target(model), Call(model, messages, params))
    assert found.wire == wire
    assert over_its_wire(found, Call(model, messages, params)) is found


def test_a_wire_that_is_asked_for_is_taken():
    for wire in NAMES:
        assert wire_of(target("poe/Grok-4"), Call("", HELLO, wire=wire)) == wire
    with pytest.raises(BadRequestError, match="morse"):
        wire_of(target("poe/Grok-4"), Call("", HELLO, wire="morse"))


def test_a_request_in_the_form_of_a_wire_goes_over_it_where_it_can():
    for model, expected in (("poe/Claude-Opus-4.6", RESPONSES), ("poe/GPT-5.4", RESPONSES), ("poe/Grok-4", CHAT)):
        assert wire_of(target(model), Call("", HELLO, surface=RESPONSES, document={"input": "Hi"})) == expected
    assert wire_of(target("poe/GPT-5.4"), Call("", HELLO, surface=MESSAGES, document={})) == RESPONSES


# --- Parameters on the Messages wire -----------------------------------------------------------------------------

ENABLED = {"type": "enabled", "budget_tokens": 4096}
# Model, what is given, what of it is in the body, the codes of the warnings.
THINKING: dict[str, tuple[str, Json, Json, list[str]]] = {
    "an effort": ("poe/claude-opus-4.6", {"reasoning_effort": "medium"}, {"thinking": ENABLED}, ["mapped"]),
    "none": ("poe/claude-opus-4.6", {"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}, ["mapped"]),
    "more than the model has": (
        "poe/claude-opus-4",
        {"reasoning_effort": "max"},
        {"thinking": {"type": "enabled", "budget_tokens": 26672}},
        ["mapped"],
    ),
    "a budget": ("poe/claude-opus-4.5", {"thinking_budget": 4096}, {"thinking": ENABLED}, []),
    "no budget": ("poe/claude-opus-4.5", {"thinking_budget": 0}, {"thinking": {"type": "disabled"}}, []),
    "Anthropic's own word": ("poe/claude-opus-4.5", {"thinking": ENABLED}, {"thinking": ENABLED}, []),
    "both": (
        "poe/claude-opus-4.5",
        {"thinking": ENABLED, "reasoning_effort": "high"},
        {"thinking": ENABLED},
        ["dropped"],
    ),
    "little room": (
        "poe/claude-opus-4.6",
        {"reasoning_effort": "high", "max_tokens": 8000},
        {"thinking": {"type": "enabled", "budget_tokens": 4000}, "max_tokens": 8000},
        ["mapped", "mapped"],
    ),
    "no room": (
        "poe/claude-opus-4.6",
        {"reasoning_effort": "high", "max_tokens": 100},
        {"max_tokens": 100},
        ["mapped", "mapped"],
    ),
    "a word that is none": (
        "poe/claude-opus-4.6",
        {"reasoning_effort": "fierce"},
        {"reasoning_effort": "fierce"},
        [],
    ),
    "the model's own limit as cap": ("poe/claude-haiku-3", {}, {"max_tokens": 8192}, []),
}


@pytest.mark.parametrize(("model", "given", "body", "codes"), THINKING.values(), ids=THINKING.keys())
def test_thinking_over_messages(model: str, given: Json, body: Json, codes: list[str]):
    call = Call(model, HELLO, given, wire=MESSAGES)
    found, warnings = prepare(call, over_its_wire(target(model), call))
    rest = {name: value for name, value in found.items() if name not in ("model", "messages")}
    if "max_tokens" not in body:
        assert rest.pop("max_tokens") > 8192
    elif model == "poe/claude-haiku-3":
        rest["max_tokens"] = body["max_tokens"]
    assert rest == body
    assert [warning.code for warning in warnings] == codes


# And Anthropic's word on a wire that does not have it.
ELSEWHERE: dict[str, tuple[str, Json, Json, list[str]]] = {
    "as a budget": ("poe/gemini-2.5-pro", {"thinking": ENABLED}, {"thinking_budget": 4096}, ["mapped"]),
    "as an effort": ("poe/gpt-5.2", {"thinking": ENABLED}, {"reasoning_effort": "medium"}, ["mapped"]),
    "off": ("poe/gpt-5.2", {"thinking": {"type": "disabled"}}, {"reasoning_effort": "none"}, ["mapped"]),
    "without a number": ("poe/gpt-5.2", {"thinking": {"type": "adaptive"}}, {}, ["not_carried"]),
    "beside an effort": (
        "poe/gpt-5.2",
        {"thinking": ENABLED, "reasoning_effort": "low"},
        {"reasoning_effort": "low"},
        ["dropped"],
    ),
    "to a provider that may have it": ("groq/x", {"thinking": ENABLED}, {"thinking": ENABLED}, []),
}


@pytest.mark.parametrize(("model", "given", "body", "codes"), ELSEWHERE.values(), ids=ELSEWHERE.keys())
def test_thinking_elsewhere(model: str, given: Json, body: Json, codes: list[str]):
    found, warnings = prepare(Call(model, HELLO, given), target(model))
    assert {name: value for name, value in found.items() if name not in ("model", "messages")} == body
    assert [warning.code for warning in warnings] == codes


# --- Quirks of the two wires -------------------------------------------------------------------------------------

# Wire, quirk, what is given, what is sent, the codes of the warnings.
MARK: Json = {"cache_control": {"type": "ephemeral"}}


def reminded(text: str) -> Json:
    return {"type": "text", "text": f"<system-reminder>\n{text}\n</system-reminder>"}


MENDED: dict[str, tuple[str, str, Json, Json, list[str]]] = {
    "instructions to a text": (
        RESPONSES,
        "instructions_as_input",
        {"input": "Hi", "instructions": "Be kind"},
        {"input": [{"role": "system", "content": "Be kind"}, {"role": "user", "content": "Hi"}]},
        ["instructions_as_input"],
    ),
    "instructions to items": (
        RESPONSES,
        "instructions_as_input",
        {"input": HELLO, "instructions": "Be kind"},
        {"input": [{"role": "system", "content": "Be kind"}, *HELLO]},
        ["instructions_as_input"],
    ),
    "no instructions": (RESPONSES, "instructions_as_input", {"input": "Hi"}, {"input": "Hi"}, []),
    "metadata of the client": (
        RESPONSES,
        "client_metadata_removed",
        {"input": "Hi", "client_metadata": {"session_id": "s"}},
        {"input": "Hi"},
        ["client_metadata_removed"],
    ),
    "a system turn after the user's": (
        MESSAGES,
        "system_turns_as_reminders",
        {"messages": [*HELLO, {"role": "system", "content": "Be kind"}, {"role": "assistant", "content": "Hi"}]},
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": HELLO[0]["content"]}, reminded("Be kind")]},
                {"role": "assistant", "content": "Hi"},
            ]
        },
        ["system_turns_as_reminders"],
    ),
    "a system turn of blocks elsewhere": (
        MESSAGES,
        "system_turns_as_reminders",
        {"messages": [{"role": "system", "content": [{"type": "text", "text": "Be kind", **MARK}]}, *HELLO]},
        {"messages": [{"role": "user", "content": [{**reminded("Be kind"), **MARK}]}, *HELLO]},
        ["system_turns_as_reminders"],
    ),
    "beta fields": (
        MESSAGES,
        "beta_fields_removed",
        {"max_tokens": 1, "context_management": {}, "thinking": ENABLED},
        {"max_tokens": 1, "thinking": ENABLED},
        ["beta_field_removed"],
    ),
}


@pytest.mark.parametrize(("wire", "quirk", "given", "sent", "codes"), MENDED.values(), ids=MENDED.keys())
def test_quirks_of_a_wires_own_form(wire: str, quirk: str, given: Json, sent: Json, codes: list[str]):
    call = Call("", HELLO, wire=wire)
    before = json.loads(json.dumps(given))
    found, warnings = mended(given, over_its_wire(target("poe/claude-opus-4.6"), call))
    assert found == sent
    assert given == before, "what was given is not changed"
    assert [warning.code for warning in warnings] == codes
    off = over_its_wire(target("poe/claude-opus-4.6", without_quirks=[quirk]), call)
    assert mended(given, off) == (given, [])
    assert mended(given, over_its_wire(target("openai/gpt-5"), call)) == (given, [])


def test_going_on_from_an_answer_that_nobody_keeps():
    call = Call("", HELLO, wire=RESPONSES)
    with pytest.raises(BadRequestError, match="Send the conversation so far") as refused:
        mended({"input": "Hi", "previous_response_id": "resp_1"}, over_its_wire(target("poe/gpt-5.4"), call))
    assert refused.value.param == "previous_response_id"
    assert mended({"previous_response_id": "r"}, over_its_wire(target("openai/gpt-5"), call))[1] == []


CUSTOM = {"type": "custom", "custom": {"name": "patch", "description": "d"}}
CALLED = {"id": "a", "type": "custom", "custom": {"name": "patch", "input": "***"}}


def test_tools_of_free_text_are_functions_in_poes_chat():
    messages = [*HELLO, {"role": "assistant", "content": None, "tool_calls": [CALLED]}]
    given = {"tools": [CUSTOM], "tool_choice": CUSTOM}
    body, warnings = prepare(Call("", messages, given), target("poe/grok-4"))
    assert body["tools"][0]["function"]["parameters"]["required"] == ["input"]
    assert body["tool_choice"]["function"]["name"] == "patch"
    assert body["messages"][1]["tool_calls"][0]["function"] == {"name": "patch", "arguments": '{"input":"***"}'}
    assert [warning.code for warning in warnings] == ["custom_tools_as_functions"]
    assert prepare(Call("", messages, given), target("openai/gpt-5"))[0]["tools"] == [CUSTOM]


def test_a_search_is_a_parameter_in_poes_chat():
    given = {"tools": [{"type": "web_search_preview"}, FUNCTION], "tool_choice": "auto"}
    body, warnings = prepare(Call("", HELLO, given), target("poe/gemini-2.5-pro"))
    assert (body["tools"], body["web_search"], body["tool_choice"]) == ([FUNCTION], True, "auto")
    assert [warning.code for warning in warnings] == ["web_search_as_parameter"]
    alone, _ = prepare(Call("", HELLO, {**given, "tools": given["tools"][:1]}), target("poe/gemini-2.5-pro"))
    assert "tools" not in alone
    assert "tool_choice" not in alone


def test_a_quirk_mends_a_chat_body_or_a_request_of_its_wire():
    for quirk in QUIRKS.values():
        assert quirk.apply is None or quirk.mend is None
        assert set(quirk.wires) <= set(NAMES)


def test_geminis_turns_with_tools_do_not_go_over_responses():
    document = {"model": "Gemini-3.1-Pro", "input": "hello"}
    there = target("poe/Gemini-3.1-Pro")
    plain = Call("", HELLO, {}, surface=RESPONSES, document=document)
    with_tools = Call("", HELLO, {}, surface=RESPONSES, document={**document, "tools": [FUNCTION]})
    asked_for = Call("", HELLO, {}, surface=RESPONSES, document={**document, "tools": [FUNCTION]}, wire=RESPONSES)
    assert [wire_of(there, call) for call in (plain, with_tools, asked_for)] == [RESPONSES, CHAT, RESPONSES]
