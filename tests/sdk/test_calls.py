"""The keywords that steer a call, over real sockets, for both kinds of call."""

from __future__ import annotations

import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any

import pytest

import quoth
from quoth.emulator import Emulator
from quoth.providers.controls import CONTROLS, INERT
from tests.faultserver import FaultServer, chat, error
from tests.sdk.conftest import QUESTION, Complete

SAID = "[emulated Grok-4] 17 * 19 = 323"


def body(emulator: Emulator) -> dict[str, Any]:
    found: dict[str, Any] = emulator.requests[-1].body
    return found


def test_the_first_example_runs_as_written(emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    from quoth import completion

    messages = [{"content": "What is the capital of France?", "role": "user"}]
    response = completion(model="poe/Claude-Sonnet-4.6", messages=messages)
    print(response)
    for chunk in completion(model="poe/Claude-Sonnet-4.6", messages=messages, stream=True):
        print(chunk)
    printed = capsys.readouterr()
    assert "The capital of France is Paris." in printed.out
    assert "chat.completion.chunk" in printed.out
    assert printed.err == ""
    with pytest.raises(quoth.NotFoundError) as caught:
        completion(model="poe/model-name", messages=messages)
    assert "poe/claude-sonnet-4.6" in str(caught.value)


@pytest.mark.parametrize("key", [None, "", " "])
def test_a_missing_key_names_its_variable_and_nothing_is_sent(
    key: str | None, complete: Complete, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("POE_API_KEY") if key is None else monkeypatch.setenv("POE_API_KEY", key)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai")
    with pytest.raises(quoth.AuthenticationError, match="POE_API_KEY"):
        complete()
    assert emulator.requests == []


def test_control_keywords_never_travel(complete: Complete, emulator: Emulator) -> None:
    """Nor does a keyword of LiteLLM that means nothing here; of that there is a warning."""
    values: dict[str, Any] = {
        "additional_drop_params": ["no_such"],
        "allowed_openai_params": ["seed"],
        "api_base": emulator.base_url,
        "api_key": "k",
        "base_url": emulator.base_url,
        "client": None,
        "context_window_fallback_dict": {"a": "b"},
        "custom_llm_provider": "poe",
        "disable_quirks": [],
        "drop_params": False,
        "extra_headers": {"x-a": "1"},
        "extra_query": {"q": "1"},
        "fallbacks": [],
        "headers": {"x-b": "2"},
        "max_retries": 1,
        "mock_delay": None,
        "mock_response": None,
        "mock_timeout": None,
        "mock_tool_calls": None,
        "num_retries": 1,
        "request_timeout": 30,
        "strict": False,
        "stream_timeout": 30,
        "timeout": 30,
        "wire": "openai_chat",
    }
    assert values.keys() == CONTROLS.keys()
    inert: dict[str, Any] = dict.fromkeys(sorted(INERT), "something")
    response = complete(**values, **inert)
    assert body(emulator).keys() == {"model", "messages"}
    assert {(warning.code, warning.param) for warning in response.warnings} == {("no_effect", name) for name in INERT}


def test_every_other_keyword_travels(complete: Complete, emulator: Emulator) -> None:
    response = complete("poe/Claude-Sonnet-4.6", temperature=0.5, max_tokens=99, stop=["x"], output_effort="low")
    assert body(emulator) == {
        "model": "Claude-Sonnet-4.6",
        "messages": QUESTION,
        "temperature": 0.5,
        "max_tokens": 99,
        "stop": ["x"],
        "output_effort": "low",
    }
    assert response.warnings == []


def test_none_means_not_given(complete: Complete, emulator: Emulator) -> None:
    complete(temperature=None, tools=None, stop=None, stream=None, response_format=None, own_thing=None)
    assert body(emulator).keys() == {"model", "messages"}


@pytest.mark.parametrize(
    "timeout",
    [
        {"timeout": 0.3},
        {"request_timeout": 0.3},
        {"timeout": "0.3"},
        {"timeout": quoth.Timeouts(total=0.3)},
        {"timeout": 30, "stream_timeout": 0.3},
        {"timeout": quoth.Timeouts(first=0.3)},
        {"timeout": SimpleNamespace(connect=5, read=0.3, write=5, pool=5)},
    ],
    ids=str,
)
def test_timeouts_in_all_forms_end_a_stream(timeout: dict[str, Any], complete: Complete, emulator: Emulator) -> None:
    emulator.faults("stall=before")
    begun = time.monotonic()
    with pytest.raises(quoth.Timeout) as caught:
        complete.stream(num_retries=0, **timeout)
    assert time.monotonic() - begun < 10
    assert (caught.value.status_code, caught.value.code) == (408, "upstream_timeout")
    assert "0.3 s" in str(caught.value) or "total" in str(caught.value)
    assert isinstance(caught.value, quoth.APITimeoutError)


def test_timeout_ends_a_whole_call(complete: Complete, emulator: Emulator) -> None:
    emulator.faults("stall=before")
    with pytest.raises(quoth.Timeout):
        complete(timeout=0.3)
    assert len(emulator.requests) == 1, "one's own deadline is not tried again"


@pytest.mark.parametrize(
    "timeout", [0, -1, float("nan"), float("inf"), "soon", [], True, quoth.Timeouts(idle=-1), object()]
)
def test_timeouts_that_are_none(timeout: Any, complete: Complete, emulator: Emulator) -> None:
    with pytest.raises(quoth.BadRequestError) as caught:
        complete(timeout=timeout)
    assert caught.value.param == "timeout"
    assert emulator.requests == []


def test_fallbacks_are_called_in_order(complete: Complete, emulator: Emulator) -> None:
    fallbacks = [
        "poe/also-not-there",
        {"model": "poe/GPT-5.2", "temperature": 0.5, "messages": QUESTION[:1]},
        "poe/Grok-4",
    ]
    response = complete("poe/not-there", fallbacks=fallbacks, max_tokens=50)
    assert response.model == "gpt-5.2-2025-12-11"
    assert [(attempt.model, attempt.status_code, attempt.error) for attempt in response.attempts] == [
        ("not-there", 404, "NotFoundError"),
        ("also-not-there", 404, "NotFoundError"),
        ("GPT-5.2", 200, None),
    ]
    assert (body(emulator)["temperature"], body(emulator)["max_output_tokens"]) == (0.5, 50)


def test_fallbacks_of_a_stream(complete: Complete, emulator: Emulator) -> None:
    emulator.faults("reset=after:1; times=1", "ok")
    _, stream = complete.stream("poe/GPT-5.2", fallbacks=["poe/Grok-4"], num_retries=0)
    assert stream.response.choices[0].message.content == SAID
    assert [attempt.error for attempt in stream.response.attempts] == ["APIConnectionError", None]


def test_a_key_stays_with_its_model(complete: Complete, emulator: Emulator, server: FaultServer) -> None:
    server.play(error(500))
    response = complete("vllm/m", api_key="for-vllm", api_base=server.url, num_retries=0, fallbacks=["poe/Grok-4"])
    assert response.choices[0].message.content == SAID
    assert server.requests[0].headers["authorization"] == "Bearer for-vllm"
    assert emulator.requests[-1].headers["authorization"] == "Bearer emulated-key"


def test_when_all_fail_the_last_error_has_all_attempts(complete: Complete, emulator: Emulator) -> None:
    emulator.faults("status=503; times=1", "status=402")
    with pytest.raises(quoth.PaymentRequiredError) as caught:
        complete(num_retries=0, fallbacks=["poe/GPT-5.2"])
    assert [attempt.error for attempt in caught.value.attempts] == ["ServiceUnavailableError", "PaymentRequiredError"]


def test_a_larger_model_for_a_prompt_that_is_too_long(complete: Complete, emulator: Emulator) -> None:
    larger = {"poe/Grok-4": "poe/GPT-5.2"}
    emulator.faults("status=413; times=1", "ok")
    response = complete(context_window_fallback_dict=larger)
    assert [attempt.error for attempt in response.attempts] == ["ContextWindowExceededError", None]
    assert response.model == "gpt-5.2-2025-12-11"
    emulator.faults("status=402")
    with pytest.raises(quoth.PaymentRequiredError) as caught:
        complete(context_window_fallback_dict=larger)
    assert len(caught.value.attempts) == 1, "it is only for prompts that are too long"


@pytest.mark.parametrize(
    ("keywords", "param"),
    [
        ({"fallbacks": "poe/Grok-4"}, "fallbacks"),
        ({"fallbacks": [{"temperature": 0}]}, "fallbacks[0]"),
        ({"fallbacks": ["poe/Grok-4", 5]}, "fallbacks[1]"),
        ({"num_retries": -1}, "num_retries"),
        ({"num_retries": "2"}, "num_retries"),
        ({"num_retries": True}, "num_retries"),
        ({"stream": "yes"}, "stream"),
        ({"drop_params": "yes"}, "drop_params"),
        ({"strict": 1}, "strict"),
        ({"additional_drop_params": "seed"}, "additional_drop_params"),
        ({"allowed_openai_params": [1]}, "allowed_openai_params"),
        ({"extra_headers": "x"}, "extra_headers"),
        ({"extra_headers": {"bad name": "x"}}, "extra_headers"),
        ({"extra_headers": {"x": "line\r\nbreak"}}, "extra_headers"),
        ({"disable_quirks": ["no_such_quirk"]}, "disable_quirks"),
        ({"client": 5}, "client"),
        ({"api_base": "not a url"}, "api_base"),
        ({"custom_llm_provider": "nobody"}, "model"),
        ({"context_window_fallback_dict": 5}, "context_window_fallback_dict"),
    ],
    ids=str,
)
def test_controls_that_cannot_be_are_refused_by_name(
    keywords: dict[str, Any], param: str, complete: Complete, emulator: Emulator
) -> None:
    with pytest.raises(quoth.BadRequestError) as caught:
        complete(**keywords)
    assert caught.value.param == param
    assert emulator.requests == []


def test_dropping_and_insisting(complete: Complete, server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.play(chat("hello"))
    monkeypatch.setenv("GROQ_API_BASE", server.url)
    monkeypatch.setenv("GROQ_API_KEY", "k")
    model = "groq/llama-3.3-70b-versatile"
    with pytest.raises(quoth.UnsupportedParamsError) as caught:
        complete(model, logit_bias={"1": 1})
    assert (caught.value.param, caught.value.status_code, caught.value.llm_provider) == ("logit_bias", 400, "groq")
    dropped = complete(model, logit_bias={"1": 1}, drop_params=True)
    assert [(warning.code, warning.param) for warning in dropped.warnings] == [("dropped", "logit_bias")]
    assert b"logit_bias" not in server.requests[-1].body
    complete(model, logit_bias={"1": 1}, allowed_openai_params=["logit_bias"])
    assert b"logit_bias" in server.requests[-1].body
    response = complete(model, seed=1, user="u", additional_drop_params=["user"])
    assert [(warning.code, warning.param) for warning in response.warnings] == [("dropped", "user")]
    assert b'"seed":1' in server.requests[-1].body


def test_other_providers_say_who_they_are(complete: Complete, server: FaultServer) -> None:
    server.play(error(429, headers={"retry-after": "120"}))
    with pytest.raises(quoth.RateLimitError) as caught:
        complete("openrouter/meta/llama", api_key="k", api_base=server.url)
    assert (caught.value.llm_provider, caught.value.model, caught.value.retry_after) == (
        "openrouter",
        "meta/llama",
        120,
    )
    assert len(server.requests) == 1, "nobody waits longer than a minute"


def test_a_blocking_call_loads_no_asyncio(emulator: Emulator) -> None:
    """9 ms and 1.5 MB that it has no need of; nor has it of what saves files and lists models."""
    code = (
        "import sys, quoth\n"
        "asked = [{'role': 'user', 'content': 'Hi'}]\n"
        f"quoth.completion('poe/Grok-4', asked, api_key='k', base_url={emulator.base_url!r})\n"
        "unwanted = {'asyncio', 'quoth.sdk.media', 'quoth.sdk.catalogue', 'quoth.transport.aio'}\n"
        "print(sorted(unwanted & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
