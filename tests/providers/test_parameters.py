"""Parameters on the wire: what is given to `completion` is what arrives, or a warning or an error says otherwise."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

import quoth
from quoth import BadRequestError, Client, UnsupportedParamsError
from quoth.providers.params import OPENAI_PARAMS
from quoth.providers.rows import Registry, packaged_names
from scripts.probe_parameters import SAMPLES
from tests.faultserver.answers import chat
from tests.providers.conftest import HELLO, Wire

TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        "strict": True,
    },
}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}, "strict": True}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}
CONVERSATION = [
    {"role": "system", "content": "Be brief. 漢🦉"},
    {"role": "user", "name": "ada", "content": [{"type": "text", "text": "What is this?"}, IMAGE]},
    {"role": "assistant", "content": None, "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    ]},
    {"role": "tool", "tool_call_id": "c1", "content": "rain"},
]  # fmt: skip

# The thirteen, each with values of every kind that OpenAI's API knows.
THIRTEEN: list[tuple[str, Any]] = [
    ("messages", HELLO),
    ("messages", CONVERSATION),
    ("messages", [{"role": "developer", "content": "Be kind."}, *HELLO]),
    ("model", "custom_openai/vendor/name:free"),
    ("stream", True),
    ("stream", False),
    ("temperature", 0),
    ("temperature", 0.7),
    ("temperature", 2.0),
    ("top_p", 0.1),
    ("max_tokens", 1),
    ("frequency_penalty", -2.0),
    ("presence_penalty", 1.5),
    ("stop", "END"),
    ("stop", ["\n\n", "END", "漢"]),
    ("tools", [TOOL]),
    ("tools", [TOOL, {**TOOL, "function": {"name": "now"}}]),
    ("tool_choice", "auto"),
    ("tool_choice", "none"),
    ("tool_choice", "required"),
    ("tool_choice", {"type": "function", "function": {"name": "weather"}}),
    ("response_format", {"type": "json_object"}),
    ("response_format", SCHEMA),
    ("user", "user-1"),
]


@pytest.mark.parametrize(
    ("name", "value"), THIRTEEN, ids=[f"{name}-{number}" for number, (name, _) in enumerate(THIRTEEN)]
)
class TestThirteen:
    def test_as_given(self, wire: Wire, name: str, value: Any):
        beside = {"tools": [TOOL]} if name == "tool_choice" else {}
        body = wire.send(**{**beside, name: value})
        expected = {"model": "m", "messages": HELLO, **beside, name: value}
        if name == "model":
            expected["model"] = "vendor/name:free"
        if name == "stream" and not value:
            del expected["stream"]
        if name == "stream" and value:
            expected["stream_options"] = {"include_usage": True}
        assert body == expected
        assert wire.codes == []

    def test_to_poe(self, wire: Wire, name: str, value: Any):
        """Poe gets the same, but for what its quirks mend; what it ignores is sent with a warning."""
        beside = {"tools": [TOOL]} if name == "tool_choice" else {}
        given = {**beside, name: value, "disable_quirks": ["tool_properties", "developer_as_system"]}
        model = given.pop("model", "poe/grok-4").replace("custom_openai", "poe")
        body = wire.send(model, **given)
        if name in ("model", "stream"):
            assert body["model"] == model.removeprefix("poe/")
            assert body.get("stream", False) is (value is True)
        else:
            assert body[name] == value
        ignored = {"frequency_penalty", "presence_penalty", "user"}
        # grok-4 is the one model that is known to follow a schema.
        assert [code for code in wire.codes if code[0] == "ignored_upstream"] == (
            [("ignored_upstream", name)] if name in ignored else []
        )


@pytest.mark.parametrize("name", sorted(OPENAI_PARAMS - {"model", "messages", "stream"}))
def test_every_parameter_of_openais_is_sent_as_given(wire: Wire, name: str):
    body = wire.send(**{name: SAMPLES[name]}, stream=name == "stream_options")
    assert body[name] == SAMPLES[name]
    assert wire.codes == []


def test_the_order_is_kept_and_openais_fields_come_first(wire: Wire):
    wire.send(zzz=1, top_p=0.5, temperature=0.1, aaa=2, extra_body={"mmm": 3})
    keys = list(json.loads(wire.server.requests[-1].body))
    assert keys == ["model", "messages", "top_p", "temperature", "zzz", "aaa", "mmm"]


def test_none_is_not_given(wire: Wire):
    assert wire.send(temperature=None, tools=None, my_own=None) == {"model": "m", "messages": HELLO}


def test_false_zero_and_empty_are_given(wire: Wire):
    body = wire.send(seed=0, store=False, logit_bias={}, stop=[], user="", my_own="")
    assert {"seed": 0, "store": False, "logit_bias": {}, "stop": [], "user": "", "my_own": ""}.items() <= body.items()


def test_numbers_keep_their_kind(wire: Wire):
    wire.send(temperature=1, top_p=1.0, my_own=10**17)
    raw = wire.server.requests[-1].body
    assert b'"temperature":1,' in raw
    assert b'"top_p":1.0,' in raw
    assert b'"my_own":100000000000000000' in raw


def test_what_is_given_is_not_changed(wire: Wire):
    tools = [{"type": "function", "function": {"name": "f"}}]
    messages = [{"role": "developer", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]
    extra = {"my_own": 1}
    before = json.dumps([tools, messages, extra])
    wire.send("poe/grok-4", messages, tools=tools, extra_body=extra, additional_drop_params=["my_own"])
    assert json.dumps([tools, messages, extra]) == before


# --- Custom parameters -------------------------------------------------------------------------------------------


class TestCustom:
    def test_any_keyword_travels(self, wire: Wire):
        assert wire.send(top_k=5, provider={"order": ["x"]})["provider"] == {"order": ["x"]}
        assert wire.codes == []

    def test_a_literal_extra_body_is_flattened(self, wire: Wire):
        body = wire.send(temperature=0.5, extra_body={"top_k": 5, "nested": {"a": [1]}})
        assert body == {"model": "m", "messages": HELLO, "temperature": 0.5, "top_k": 5, "nested": {"a": [1]}}

    def test_what_is_given_twice_is_sent_as_in_extra_body(self, wire: Wire):
        body = wire.send(temperature=0.5, top_k=1, extra_body={"temperature": 0.9, "top_k": 2})
        assert (body["temperature"], body["top_k"]) == (0.9, 2)
        assert sorted(wire.codes) == [("overridden", "temperature"), ("overridden", "top_k")]
        wire.send(temperature=0.5, extra_body={"temperature": 0.5})
        assert wire.codes == []

    def test_no_rule_looks_into_extra_body(self, wire: Wire):
        assert wire.send("groq/m", extra_body={"logit_bias": {"1": 1}})["logit_bias"] == {"1": 1}

    @pytest.mark.parametrize("name", ["model", "messages", "stream"])
    def test_extra_body_does_not_decide_how_a_call_is_made(self, wire: Wire, name: str):
        with pytest.raises(BadRequestError, match=f"extra_body has {name}.*give it as {name}=") as caught:
            wire.send(extra_body={name: True})
        assert caught.value.param == f"extra_body.{name}"

    @pytest.mark.parametrize(
        ("given", "sent", "codes"),
        [
            ({"duration": 8}, {"duration": "8"}, []),
            ({"duration": 8.0}, {"duration": "8"}, []),
            ({"duration": "8"}, {"duration": "8"}, []),
            ({"extra_body": {"duration": 8}}, {"duration": "8"}, []),
            ({"seed": 5}, {"seed": "5"}, []),
            ({"resolution": "1080P"}, {"resolution": "1080p"}, []),
            ({"duration": 5}, {"duration": 5}, [("doubtful_value", "duration")]),
            ({"duration": 8.5}, {"duration": 8.5}, [("doubtful_value", "duration")]),
            ({"duration": True}, {"duration": True}, [("doubtful_value", "duration")]),
            ({"duration": [8]}, {"duration": [8]}, [("doubtful_value", "duration")]),
            ({"reference_mode": "true"}, {"reference_mode": True}, []),
            ({"reference_mode": "yes"}, {"reference_mode": "yes"}, [("doubtful_value", "reference_mode")]),
            ({"no": 0.1234567891}, {"no": "0.1234567891"}, []),
            ({"no": False}, {"no": False}, [("doubtful_value", "no")]),
            ({"aspect": "16:9"}, {"aspect": "16:9"}, [("undeclared_param", "aspect")]),
        ],
    )
    def test_a_media_model(self, wire: Wire, given: dict[str, Any], sent: dict[str, Any], codes: list[Any]):
        body = wire.send("poe/Veo-3.1-Lite", **given)
        assert body == {"model": "Veo-3.1-Lite", "messages": HELLO, **sent}
        assert wire.codes == codes

    @pytest.mark.parametrize(
        ("given", "sent", "codes"),
        [
            ({"thinking_budget": "1024"}, {"thinking_budget": 1024}, []),
            ({"thinking_budget": "1_024"}, {"thinking_budget": "1_024"}, [("doubtful_value", "thinking_budget")]),
            ({"thinking_budget": "nan"}, {"thinking_budget": "nan"}, [("doubtful_value", "thinking_budget")]),
            ({"thinking_budget": 64_000}, {"thinking_budget": 64_000}, [("doubtful_value", "thinking_budget")]),
            ({"thinking_budget": -1}, {"thinking_budget": -1}, [("doubtful_value", "thinking_budget")]),
            ({"thinking_budget": True}, {"thinking_budget": True}, [("doubtful_value", "thinking_budget")]),
            ({"thinkingbudget": 1}, {"thinkingbudget": 1}, [("undeclared_param", "thinkingbudget")]),
        ],
    )
    def test_a_text_model(self, wire: Wire, given: dict[str, Any], sent: dict[str, Any], codes: list[Any]):
        body = wire.send("poe/claude-haiku-4.5", **given)
        assert body == {"model": "claude-haiku-4.5", "messages": HELLO, **sent}
        assert wire.codes == codes

    def test_the_warning_names_what_is_near(self, wire: Wire):
        wire.send("poe/claude-haiku-4.5", thinkingbudget=1)
        assert wire.warnings[0].message == (
            "thinkingbudget is no known parameter of claude-haiku-4.5: it declares thinking_budget, web_search; "
            "did you mean thinking_budget?"
        )

    @pytest.mark.parametrize(("given", "meant"), [("temprature", "temperature"), ("max_token", "max_tokens")])
    def test_one_of_openais_may_be_meant(self, wire: Wire, given: str, meant: str):
        assert wire.send("poe/claude-haiku-4.5", **{given: 1})[given] == 1
        assert wire.warnings[0].message.endswith(f"; did you mean {meant}?")

    def test_but_not_of_a_model_that_does_not_talk(self, wire: Wire):
        wire.send("poe/Veo-3.1-Lite", temprature=1)
        assert "did you mean" not in wire.warnings[0].message

    def test_of_an_unknown_model_nothing_is_doubted(self, wire: Wire):
        assert wire.send("poe/my-own-bot", depth=3)["depth"] == 3
        assert wire.codes == [("unknown_model", "model")]


# --- reasoning_effort --------------------------------------------------------------------------------------------

# Model, effort, what is sent, the warning.
EFFORTS: list[tuple[str, Any, dict[str, Any], str | None]] = [
    # output_effort: max high medium low none
    ("claude-opus-4.6", "none", {"output_effort": "none"}, "mapped"),
    ("claude-opus-4.6", "minimal", {"output_effort": "low"}, "mapped"),
    ("claude-opus-4.6", "low", {"output_effort": "low"}, "mapped"),
    ("claude-opus-4.6", "medium", {"output_effort": "medium"}, "mapped"),
    ("claude-opus-4.6", "high", {"output_effort": "high"}, "mapped"),
    ("claude-opus-4.6", "xhigh", {"output_effort": "max"}, "mapped"),
    ("claude-opus-4.6", "max", {"output_effort": "max"}, "mapped"),
    # Both output_effort (high medium low) and thinking_budget: the name before the number.
    ("claude-opus-4.5", "max", {"output_effort": "high"}, "mapped"),
    # thinking_level: low high
    ("gemini-3.1-pro", "none", {"thinking_level": "low"}, "mapped"),
    ("gemini-3.1-pro", "low", {"thinking_level": "low"}, "mapped"),
    ("gemini-3.1-pro", "medium", {"thinking_level": "high"}, "mapped"),
    ("gemini-3.1-pro", "high", {"thinking_level": "high"}, "mapped"),
    # thinking_budget, 0 to 24,576
    ("gemini-2.5-flash", "none", {"thinking_budget": 0}, "mapped"),
    ("gemini-2.5-flash", "minimal", {"thinking_budget": 1024}, "mapped"),
    ("gemini-2.5-flash", "low", {"thinking_budget": 1024}, "mapped"),
    ("gemini-2.5-flash", "medium", {"thinking_budget": 4096}, "mapped"),
    ("gemini-2.5-flash", "high", {"thinking_budget": 16384}, "mapped"),
    ("gemini-2.5-flash", "xhigh", {"thinking_budget": 24576}, "mapped"),
    ("gemini-2.5-flash", "max", {"thinking_budget": 24576}, "mapped"),
    # reasoning_effort itself: none low medium high xhigh; another step is sent, for the model may know more.
    ("gpt-5.2", "xhigh", {"reasoning_effort": "xhigh"}, None),
    ("gpt-5.2", "minimal", {"reasoning_effort": "minimal"}, "doubtful_value"),
    ("gpt-5.2", "very", {"reasoning_effort": "very"}, "doubtful_value"),
    # Words that no step is called.
    ("claude-opus-4.6", "very", {"reasoning_effort": "very"}, "effort_as_given"),
    ("gemini-2.5-flash", "very", {"reasoning_effort": "very"}, "effort_as_given"),
    # Nothing declared, nothing known.
    ("gemini-2.0-flash", "high", {"reasoning_effort": "high"}, "effort_as_given"),
    ("my-own-bot", "high", {"reasoning_effort": "high"}, "effort_as_given"),
    ("gpt-5.2", {"effort": "high"}, {"reasoning_effort": {"effort": "high"}}, None),
]


class TestEffort:
    @pytest.mark.parametrize(("model", "effort", "sent", "code"), EFFORTS)
    def test_is_said_in_the_models_own_words(
        self, wire: Wire, model: str, effort: Any, sent: dict[str, Any], code: str | None
    ):
        body = wire.send(f"poe/{model}", reasoning_effort=effort)
        assert body == {"model": model, "messages": HELLO, **sent}
        assert [found for found in wire.codes if found[1] == "reasoning_effort"] == (
            [] if code is None else [(code, "reasoning_effort")]
        )

    def test_the_models_own_parameter_counts(self, wire: Wire):
        for own in ({"output_effort": "low"}, {"extra_body": {"output_effort": "low"}}):
            body = wire.send("poe/claude-opus-4.6", reasoning_effort="high", **own)
            assert body == {"model": "claude-opus-4.6", "messages": HELLO, "output_effort": "low"}
            assert wire.codes == [("dropped", "reasoning_effort")]

    def test_in_extra_body_it_is_sent_as_it_is(self, wire: Wire):
        body = wire.send("poe/gpt-5.2", extra_body={"reasoning_effort": "low"})
        assert body["reasoning_effort"] == "low"
        assert wire.codes == []

    def test_other_providers_get_it_as_given(self, wire: Wire):
        for provider in ("openai", "openrouter", "custom_openai"):
            assert wire.send(f"{provider}/m", reasoning_effort="low")["reasoning_effort"] == "low"
            assert wire.codes == []


# --- Rules of rows -----------------------------------------------------------------------------------------------

ROW = {
    "name": "acme",
    "base_url": "https://llm.acme.example/v1",
    "key_required": False,
    "params": {
        "logit_bias": {"rule": "refused", "why": "It answers 400."},
        "n": {"rule": "refused", "allowed": [1], "why": "One choice a call."},
        "max_completion_tokens": {"rule": "renamed", "to": "max_tokens"},
        "service_tier": {"rule": "mapped", "values": {"flex": "slow"}, "why": "Other words."},
        "seed": {"rule": "ignored", "why": "No effect."},
    },
}


@pytest.fixture(scope="module")
def acme(wire: Wire) -> Wire:
    return Wire(wire.server, Client(providers=[ROW]))


class TestRules:
    def test_refused(self, acme: Wire):
        sent = len(acme.server.requests)
        with pytest.raises(UnsupportedParamsError) as caught:
            acme.send("acme/m", logit_bias={"1": 1})
        assert len(acme.server.requests) == sent, "nothing was sent"
        error = caught.value
        assert (error.param, error.llm_provider, error.model, error.status_code) == ("logit_bias", "acme", "m", 400)
        assert str(error) == (
            "acme refuses logit_bias: It answers 400. Leave it out, or pass drop_params=True to drop it with a "
            "warning, or allowed_openai_params=['logit_bias'] to send it all the same"
        )

    def test_refused_and_dropped(self, acme: Wire):
        body = acme.send("acme/m", logit_bias={"1": 1}, temperature=0, drop_params=True)
        assert body == {"model": "m", "messages": HELLO, "temperature": 0}
        assert acme.codes == [("dropped", "logit_bias")]

    def test_refused_and_sent_all_the_same(self, acme: Wire):
        assert acme.send("acme/m", logit_bias={"1": 1}, allowed_openai_params=["logit_bias"])["logit_bias"] == {"1": 1}
        assert acme.codes == []

    def test_refused_but_for_a_value(self, acme: Wire):
        assert acme.send("acme/m", n=1)["n"] == 1
        with pytest.raises(UnsupportedParamsError, match=r"^acme refuses n other than 1: One choice a call\."):
            acme.send("acme/m", n=2)
        assert "n" not in acme.send("acme/m", n=2, drop_params=True)
        assert acme.codes == [("dropped", "n")]

    def test_renamed(self, acme: Wire):
        assert acme.send("acme/m", max_completion_tokens=5) == {"model": "m", "messages": HELLO, "max_tokens": 5}
        assert acme.codes == [("renamed", "max_completion_tokens")]
        assert acme.send("acme/m", max_completion_tokens=5, max_tokens=7)["max_tokens"] == 7
        assert acme.codes == [("dropped", "max_completion_tokens")]

    def test_mapped(self, acme: Wire):
        assert acme.send("acme/m", service_tier="flex")["service_tier"] == "slow"
        assert acme.codes == [("mapped", "service_tier")]
        assert acme.send("acme/m", service_tier="auto")["service_tier"] == "auto"
        assert acme.codes == []

    def test_ignored(self, acme: Wire):
        assert acme.send("acme/m", seed=7)["seed"] == 7
        assert acme.codes == [("ignored_upstream", "seed")]
        assert "No effect." in acme.warnings[0].message

    def test_a_models_own_declaration_outweighs_the_row(self, wire: Wire):
        wire.send("poe/veo-3.1", seed="7")
        assert wire.codes == []
        wire.send("poe/grok-4", seed=7)
        assert wire.codes == [("ignored_upstream", "seed")]

    def test_a_client_may_drop_always(self, wire: Wire):
        dropping = Wire(wire.server, Client(providers=[ROW], drop_params=True))
        assert "logit_bias" not in dropping.send("acme/m", logit_bias={})
        with pytest.raises(UnsupportedParamsError):
            dropping.send("acme/m", logit_bias={}, drop_params=False)


class TestDropByName:
    def test_names_and_dotted_paths(self, wire: Wire):
        given: dict[str, Any] = {
            "user": "u",
            "metadata": {"team": "blue", "deep": {"a": 1, "b": 2}},
            "extra_body": {"top_k": 1},
        }
        names = ["user", "metadata.team", "metadata.deep.a", "top_k", "absent", "metadata.absent.too"]
        body = wire.send(**given, additional_drop_params=names)
        assert body == {"model": "m", "messages": HELLO, "metadata": {"deep": {"b": 2}}}
        assert wire.codes == [("dropped", name) for name in names[:4]]

    def test_tools_are_never_dropped(self, wire: Wire):
        given: dict[str, Any] = {"tools": [TOOL], "tool_choice": "auto"}
        body = wire.send(**given, drop_params=True, additional_drop_params=["tools", "tool_choice"])
        assert given.items() <= body.items()
        assert wire.codes == [("not_dropped", "tools"), ("not_dropped", "tool_choice")]

    def test_tools_are_sent_to_models_that_do_not_declare_them(self, wire: Wire):
        assert wire.send("poe/gpt-4o-search", tools=[TOOL], drop_params=True)["tools"] == [TOOL]
        assert wire.send("poe/veo-3.1", tools=[TOOL], drop_params=True)["tools"] == [TOOL]
        assert ("tools_not_declared", "tools") in wire.codes


class TestStrict:
    @pytest.mark.parametrize(
        ("model", "given", "param"),
        [
            ("veo-3.1", {"duration": 5}, "duration"),
            ("veo-3.1", {"aspect": "1:1"}, "aspect"),
            ("veo-3.1", {"tools": [TOOL]}, "tools"),
            ("claude-haiku-4.5", {"thinking_budget": 64_000}, "thinking_budget"),
            ("gpt-5.2", {"reasoning_effort": "very"}, "reasoning_effort"),
        ],
    )
    def test_doubts_are_refused_before_sending(self, wire: Wire, model: str, given: dict[str, Any], param: str):
        sent = len(wire.server.requests)
        with pytest.raises(BadRequestError, match=r"\(refused because strict=True\)$") as caught:
            wire.send(f"poe/{model}", **given, strict=True)
        assert (caught.value.param, caught.value.llm_provider) == (param, "poe")
        assert len(wire.server.requests) == sent

    def test_an_unknown_model_is_not(self, wire: Wire):
        assert wire.send("poe/my-own-bot", anything=1, strict=True)["anything"] == 1

    def test_nor_what_is_known_to_be_ignored(self, wire: Wire):
        assert wire.send("poe/grok-4", user="u", strict=True)["user"] == "u"


class City(BaseModel):
    name: str


def test_a_class_goes_where_the_model_honours_a_schema(wire: Wire):
    """As `response_format` to a plain provider and to grok-4, into the prompt elsewhere."""
    complete: Any = wire.client.completion
    where = {"api_base": wire.server.url, "api_key": "k", "response_format": City, "wire": "openai_chat"}
    for model, honours in (("custom_openai/m", True), ("poe/Grok-4", True), ("poe/claude-haiku-4.5", False)):
        wire.server.play_once(chat('{"name": "Oslo"}'))
        assert complete(model, HELLO, **where).choices[0].message.parsed == City(name="Oslo")
        body = wire.server.requests[-1].json()
        if honours:
            assert list(body["response_format"]["json_schema"]["schema"]["properties"]) == ["name"]
            assert body["messages"] == HELLO
        else:
            assert "response_format" not in body
            assert "JSON schema" in body["messages"][0]["content"]


# --- Nothing disappears ------------------------------------------------------------------------------------------

VALUES = st.sampled_from([True, False, 0, 1, 2, 0.5, "high", "8", "auto", ["a"], {"a": 1}])
TYPED = {
    "temperature": st.floats(0, 2), "top_p": st.floats(0, 1), "frequency_penalty": st.floats(-2, 2),
    "presence_penalty": st.floats(-2, 2), "max_tokens": st.integers(1, 99), "max_completion_tokens": st.integers(1, 99),
    "n": st.integers(1, 2), "top_logprobs": st.integers(0, 5), "stop": st.just(["END"]), "tools": st.just([TOOL]),
    "tool_choice": st.just("auto"), "user": st.just("u"), "metadata": st.just({"a": "b"}),
    "logit_bias": st.just({"1": 1}), "stream_options": st.just({"include_usage": True}),
    "response_format": st.just({"type": "json_object"}),
}  # fmt: skip
CUSTOM = ["web_search", "thinking_budget", "duration", "top_k"]
NAMES = st.sampled_from([*sorted(OPENAI_PARAMS - {"model", "messages", "stream"}), *CUSTOM])


@st.composite
def parameters(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(NAMES, unique=True, max_size=8))
    return {name: draw(TYPED.get(name, VALUES)) for name in names}


MODELS = st.sampled_from(["claude-opus-4.6", "gpt-5.2", "gemini-2.5-pro", "veo-3.1", "grok-4", "my-own-bot"]).map(
    "poe/{}".format
) | st.sampled_from([name for name in packaged_names() if name != "poe"]).map("{}/m".format)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(MODELS, parameters(), parameters(), st.booleans(), st.booleans(), st.lists(NAMES, max_size=2))
def test_nothing_disappears(
    wire: Wire,
    model: str,
    given: dict[str, Any],
    literal: dict[str, Any],
    drop_params: bool,
    strict: bool,
    unwanted: list[str],
):
    """Every parameter is in the body as given, or named by a warning, or named by the error that the call raised."""
    options = {"drop_params": drop_params, "strict": strict, "additional_drop_params": unwanted}
    refused: BadRequestError | None = None
    try:
        body = wire.send(model, **given, extra_body=literal, **options)
    except BadRequestError as error:
        refused = error
    if refused is not None:
        assert refused.param in {*given, *literal}
        assert strict or isinstance(refused, UnsupportedParamsError)
        return
    warned = {warning.param for warning in wire.warnings}
    for name, value in [*given.items(), *literal.items()]:
        # 8 may have become "8" and "true" true; a text that says the same is the same.
        assert name in warned or (name in body and str(body[name]).lower() == str(value).lower()), name
    # And nothing comes from nowhere.
    known = {*given, *literal, "model", "messages"}
    renamed = {rule.to for rule in _rules(model).values() if rule.to}
    assert body.keys() - known <= renamed | {"output_effort", "thinking_budget", "thinking_level"}
    if "tools" in given:
        assert body["tools"] == literal.get("tools", given["tools"])


def _rules(model: str) -> Any:
    row = Registry().get(model.partition("/")[0])
    assert row is not None
    return row.params


def test_every_warning_is_explained():
    """A code that the package gives stands in the page on parameters, and the page names no other."""
    package = Path(quoth.__file__).parent
    sources = [path.read_text("utf-8") for path in package.rglob("*.py") if "emulator" not in path.parts]
    given = {code for text in sources for code in re.findall(r'Warning\(\s*"(\w+)"', text)}
    page = (package.parent.parent / "docs" / "parameters.md").read_text("utf-8")
    tables = page.partition("## The warnings")[2].partition("\n## ")[0]
    explained = {code for row in re.findall(r"^\| (`.*?) \|", tables, re.M) for code in re.findall(r"`(\w+)`", row)}
    assert given == explained
