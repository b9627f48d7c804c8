"""Which target gets what: keys, hosts, timeouts and `n` belong to the one they were given for."""

from __future__ import annotations

import time
from typing import Any

import pytest

import quoth
from quoth import Client
from quoth.emulator import Emulator
from tests.faultserver import FaultServer, Read, Stall, chat, error
from tests.sdk.conftest import QUESTION, Complete


@pytest.fixture
def other() -> Any:
    with FaultServer() as server:
        yield server


def test_a_fallback_entry_has_its_own_limits(complete: Complete, server: FaultServer, other: FaultServer) -> None:
    server.play(error(500))
    other.play(Read(), Stall())
    entry = {"model": "custom_openai/y", "api_base": other.url, "timeout": 0.3, "num_retries": 0}
    begun = time.monotonic()
    with pytest.raises(quoth.Timeout):
        complete("custom_openai/x", api_base=server.url, num_retries=0, timeout=60, fallbacks=[entry])
    assert time.monotonic() - begun < 30
    assert len(other.requests) == 1


def test_n_is_what_the_target_makes_of_it(complete: Complete, server: FaultServer, emulator: Emulator) -> None:
    """A provider that takes `n` gets it; the fallback that gives one choice a call is called that often."""
    server.play(error(500))
    answer = complete("custom_openai/x", api_base=server.url, num_retries=0, n=2, fallbacks=["poe/Grok-4"])
    assert len(answer.choices) == 2
    assert len(emulator.requests) == 2
    assert all("n" not in request.body for request in emulator.requests)
    assert b'"n":2' in server.requests[0].body
    assert [attempt.error for attempt in answer.attempts] == ["InternalServerError", None, None]


def test_usage_of_merged_answers_is_added_up_to_its_details(complete: Complete, emulator: Emulator) -> None:
    answer = complete("poe/gpt-4o-search", n=3)
    assert answer.usage is not None
    assert answer.usage.completion_tokens_details is not None
    assert answer.usage.completion_tokens_details.reasoning_tokens == 0


def test_a_blank_key_in_a_call_is_a_missing_one(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POE_API_KEY", "of-the-environment")
    with Client(provider="poe", api_key="of-the-client") as client:
        client.completion("Grok-4", QUESTION, api_key=" ")
    assert emulator.requests[-1].headers["authorization"] == "Bearer of-the-client"


def test_credentials_in_headers_stay_with_their_provider(server: FaultServer, emulator: Emulator) -> None:
    server.play(chat())
    with Client(provider="poe", api_key="k", default_headers={"X-Api-Key": "secret", "X-Trace": "1"}) as client:
        client.completion("Grok-4", QUESTION)
        client.completion("custom_openai/x", QUESTION, api_base=server.url)
    assert emulator.requests[-1].headers["x-api-key"] == "secret"
    assert "x-api-key" not in server.requests[-1].headers
    assert server.requests[-1].headers["x-trace"] == "1"
    assert "authorization" not in server.requests[-1].headers


def test_another_base_keeps_the_clients_provider(server: FaultServer) -> None:
    server.play(chat())
    with Client(provider="poe", api_key="k") as client:
        client.completion("grok-4", [{"role": "developer", "content": "x"}], api_base=server.url)
    assert server.requests[-1].headers["authorization"] == "Bearer k"
    assert b"system" in server.requests[-1].body


def test_a_header_of_the_callers_own_wins_over_the_key(complete: Complete, emulator: Emulator) -> None:
    complete(extra_headers={"Authorization": "Bearer mine"})
    assert emulator.requests[-1].headers["authorization"] == "Bearer mine"


def test_query_parameters_go_into_the_address(complete: Complete, server: FaultServer) -> None:
    server.play(chat())
    complete("custom_openai/x", api_base=server.url, extra_query={"api-version": "2024 a"})
    assert server.requests[-1].path == "/chat/completions?api-version=2024+a"


def test_an_explicit_read_timeout_holds_without_streaming(complete: Complete, server: FaultServer) -> None:
    server.play(Read(), Stall())
    with pytest.raises(quoth.Timeout):
        complete("custom_openai/x", api_base=server.url, timeout=quoth.Timeouts(first=0.2), num_retries=0)


@pytest.mark.parametrize("name", ["proxy", "ssl_verify", "client_cert"])
def test_what_is_a_clients_is_refused_in_a_call(name: str, complete: Complete, emulator: Emulator) -> None:
    with pytest.raises(quoth.BadRequestError, match="Client") as caught:
        complete(**{name: "x"})
    assert caught.value.param == name
    assert emulator.requests == []


def test_tags_of_the_metadata_stay_here(complete: Complete, emulator: Emulator) -> None:
    complete(metadata={"tags": ["a"], "trace": "b"})
    assert emulator.requests[-1].body["metadata"] == {"trace": "b"}


def test_options_of_a_client_can_be_changed(server: FaultServer) -> None:
    server.play(error(500))
    with Client(base_url=server.url, api_key="k") as client:
        with pytest.raises(quoth.InternalServerError):
            client.with_options(max_retries=0, timeout=5).chat.completions.create(model="x", messages=QUESTION)
        assert len(server.requests) == 1
        server.play(chat("well"))
        assert client.completion("x", QUESTION).choices[0].message.content == "well"
    assert server.connections_total == 1


def test_an_error_has_its_answers_headers(complete: Complete, server: FaultServer) -> None:
    server.play(error(404, headers={"x-request-id": "req_1"}))
    with pytest.raises(quoth.NotFoundError) as caught:
        complete("custom_openai/x", api_base=server.url)
    assert caught.value.response is not None
    assert caught.value.response.status_code == 404
    assert caught.value.response.headers["x-request-id"] == caught.value.request_id == "req_1"
