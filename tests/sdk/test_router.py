"""`quoth.Router`: LiteLLM's router, over real sockets."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel

import quoth
from quoth import errors
from quoth.emulator import Emulator
from quoth.sdk.router import GUARD
from tests.faultserver import FaultServer, Read, Reset, Stall, chat, error, sse
from tests.sdk.conftest import QUESTION

SAID = "[emulated Grok-4] 17 * 19 = 323"


def entry(server: FaultServer, model: str = "x", name: str = "m", **params: Any) -> dict[str, Any]:
    info = params.pop("info", {})
    given = {"model": f"custom_openai/{model}", "api_base": server.url, "api_key": "sk-of-the-deployment", **params}
    return {"model_name": name, "litellm_params": given, "model_info": info}


def body_of(server: FaultServer, number: int = -1) -> Any:
    return json.loads(server.requests[number].body)


class Blocking:
    name = "blocking"

    def __call__(self, router: quoth.Router, **keywords: Any) -> Any:
        with router:
            return router.completion(**{"model": "m", "messages": QUESTION, **keywords})

    def stream(self, router: quoth.Router, **keywords: Any) -> Any:
        with router, router.completion(**{"model": "m", "messages": QUESTION, "stream": True, **keywords}) as stream:
            return [chunk.choices[0].delta.content for chunk in stream if chunk.choices], stream


class Asyncio:
    name = "asyncio"

    def __call__(self, router: quoth.Router, **keywords: Any) -> Any:
        async def call() -> Any:
            async with router:
                return await router.acompletion(**{"model": "m", "messages": QUESTION, **keywords})

        return asyncio.run(call())

    def stream(self, router: quoth.Router, **keywords: Any) -> Any:
        async def read() -> Any:
            given = {"model": "m", "messages": QUESTION, "stream": True, **keywords}
            async with router, await router.acompletion(**given) as stream:
                return [chunk.choices[0].delta.content async for chunk in stream if chunk.choices], stream

        return asyncio.run(read())


@pytest.fixture(params=[Blocking(), Asyncio()], ids=lambda way: way.name)
def ask(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def other() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


def test_litellms_example(ask: Any, emulator: Emulator) -> None:
    router = quoth.Router(
        model_list=[
            {"model_name": "poe-model", "litellm_params": {"model": "poe/Grok-4", "api_key": "os.environ/POE_API_KEY"}}
        ]
    )
    response = ask(router, model="poe-model")
    assert response.choices[0].message.content == SAID
    assert response.cost.source == "estimated"
    assert [attempt.model for attempt in response.attempts] == ["Grok-4"]
    assert emulator.requests[-1].headers["authorization"] == "Bearer emulated-key"
    assert emulator.requests[-1].headers["user-agent"].startswith("quoth/")
    chunks, stream = ask.stream(router, model="poe-model")
    assert "".join(filter(None, chunks)) == SAID
    assert stream.response.choices[0].message.content == SAID


def test_another_deployment_answers_at_once(ask: Any, server: FaultServer, other: FaultServer) -> None:
    server.play(error(500))
    other.play(chat("fine"))
    router = quoth.Router([entry(server, order=1), entry(other, "y", order=2)])
    response = ask(router)
    assert response.choices[0].message.content == "fine"
    assert [(one.model, one.status_code, one.error) for one in response.attempts] == [
        ("x", 500, "InternalServerError"),
        ("y", 200, None),
    ]


@pytest.mark.parametrize("broken", [Reset(), Stall()])
def test_a_stream_that_does_not_begin_goes_elsewhere(
    ask: Any, server: FaultServer, other: FaultServer, broken: Any
) -> None:
    server.play(Read(), broken)
    other.play(sse("one", "two"))
    first = entry(server, order=1, stream_timeout={"first": 0.3})
    chunks, stream = ask.stream(quoth.Router([first, entry(other, "y", order=2)]))
    assert chunks[:2] == ["one", "two"]
    assert [one.error is None for one in stream.response.attempts] == [False, True]


def test_when_all_failed_the_last_error_has_all_attempts(ask: Any, server: FaultServer, other: FaultServer) -> None:
    server.play(error(429))
    other.play(error(503, headers={"retry-after": "0"}))
    router = quoth.Router(
        [entry(server), entry(other, "y", "there")], fallbacks=[{"m": ["there"]}], num_retries=1, max_wait=1
    )
    with pytest.raises(quoth.ServiceUnavailableError) as caught:
        ask(router)
    assert [one.status_code for one in caught.value.attempts] == [429, 429, 503, 503]


def test_parameters_of_the_deployment_the_call_and_the_fallback(
    ask: Any, server: FaultServer, other: FaultServer
) -> None:
    server.play(error(500))
    other.play(chat())
    router = quoth.Router(
        [entry(server, temperature=0.1, top_p=0.2, seed=7), entry(other, "y", "there", seed=8)],
        num_retries=0,
        default_litellm_params={"seed": 1, "presence_penalty": 1},
    )
    ask(
        router,
        temperature=0.5,
        fallbacks=[{"model": "there", "top_p": 0.9, "messages": [{"role": "user", "content": "b"}]}],
    )
    sent, after = body_of(server), body_of(other)
    assert (sent["temperature"], sent["top_p"], sent["seed"], sent["presence_penalty"]) == (0.5, 0.2, 7, 1)
    assert (after["temperature"], after["top_p"], after["seed"]) == (0.5, 0.9, 8)
    assert after["messages"][0]["content"] == "b"
    assert after["model"] == "y"


def test_controls_do_not_travel(ask: Any, server: FaultServer) -> None:
    server.play(chat())
    given = entry(
        server, rpm=600, tpm=5, weight=1, order=1, tags=["a"], timeout=5, cooldown_time=1, max_parallel_requests=2
    )
    router = quoth.Router([given], enable_tag_filtering=True, routing_strategy="usage-based-routing-v2")
    ask(router, metadata={"tags": ["a"], "user": "me"}, num_retries=0, timeout=5, disable_fallbacks=True)
    assert set(body_of(server)) == {"model", "messages", "metadata"}
    assert body_of(server)["metadata"] == {"user": "me"}


def test_what_a_call_may_not_say(server: FaultServer) -> None:
    router = quoth.Router([entry(server)])
    wrong: list[dict[str, Any]] = [{"api_key": "k"}, {"api_base": "http://x"}, {"custom_llm_provider": "poe"}]
    for given in wrong:
        with pytest.raises(quoth.BadRequestError, match=next(iter(given))):
            router.completion("m", QUESTION, **given)
    with pytest.raises(quoth.BadRequestError, match="authorization"):
        router.completion("m", QUESTION, extra_headers={"Authorization": "Bearer x"})
    with pytest.raises(quoth.BadRequestError, match="fallbacks"):
        router.completion("m", QUESTION, fallbacks="there")
    with pytest.raises(quoth.BadRequestError, match="messages"):
        router.completion("m", "hello")
    assert not server.requests


def test_headers_of_a_call_travel(ask: Any, server: FaultServer) -> None:
    server.play(chat())
    ask(quoth.Router([entry(server, extra_headers={"x-team": "a"})]), extra_headers={"X-Trace": "b"})
    headers = server.requests[0].headers
    assert (headers["x-team"], headers["x-trace"], headers["authorization"]) == (
        "a",
        "b",
        "Bearer sk-of-the-deployment",
    )


def test_a_name_that_the_router_has_not(ask: Any, server: FaultServer) -> None:
    router = quoth.Router([entry(server, name="fast-model")])
    with pytest.raises(quoth.NotFoundError, match="Did you mean 'fast-model'"):
        ask(router, model="fast-modle")


def test_wildcards_and_aliases(ask: Any, emulator: Emulator) -> None:
    router = quoth.Router(
        [{"model_name": "poe/*", "litellm_params": {"model": "poe/*"}}], model_group_alias={"mine": "poe/Grok-4"}
    )
    assert ask(router, model="poe/Grok-4").choices[0].message.content == SAID
    assert ask(router, model="mine").choices[0].message.content == SAID
    assert router.get_model_names() == ["poe/*", "mine"]


def test_structured_output_is_repaired_where_it_was_answered(ask: Any, server: FaultServer) -> None:
    class City(BaseModel):
        name: str

    server.play_once(chat("no json"))
    server.play(chat('{"name": "Bern"}'))
    response = ask(quoth.Router([entry(server)]), response_format=City)
    assert response.choices[0].message.parsed == City(name="Bern")
    assert len(response.attempts) == 2


def test_several_answers_where_the_provider_gives_one(ask: Any, emulator: Emulator) -> None:
    router = quoth.Router([{"model_name": "m", "litellm_params": {"model": "poe/Grok-4"}}])
    response = ask(router, n=3)
    assert len(response.choices) == 3
    assert len(emulator.requests) == 3
    assert len(response.attempts) == 3


def test_mocks(ask: Any, server: FaultServer) -> None:
    server.play(chat("real"))
    router = quoth.Router([entry(server, order=1, mock_response="canned"), entry(server, "y", order=2)])
    assert ask(router).choices[0].message.content == "canned"
    assert ask(router, mock_response="now").choices[0].message.content == "now"
    assert "".join(filter(None, ask.stream(router)[0])) == "canned"
    assert not server.requests
    failing = quoth.Router(
        [entry(server, mock_response="litellm.RateLimitError"), entry(server, "y", "there")],
        fallbacks=[{"m": ["there"]}],
    )
    assert ask(failing).choices[0].message.content == "real"
    with pytest.raises(quoth.Timeout):
        ask(router, mock_timeout=True)
    with pytest.raises(quoth.Timeout, match="mock_timeout"):
        ask(quoth.Router([entry(server, mock_timeout=True, timeout=0.05)], num_retries=0))


@pytest.mark.parametrize(
    ("lever", "kind"),
    [
        ("mock_testing_fallbacks", "fallbacks"),
        ("mock_testing_context_fallbacks", "context_window_fallbacks"),
        ("mock_testing_content_policy_fallbacks", "content_policy_fallbacks"),
    ],
)
def test_litellms_levers_for_fallbacks(ask: Any, server: FaultServer, lever: str, kind: str) -> None:
    server.play(chat("there"))
    router = quoth.Router([entry(server), entry(server, "y", "there")], **{kind: [{"m": ["there"]}]})  # type: ignore[arg-type]
    assert ask(router, **{lever: True}).choices[0].message.content == "there"
    assert body_of(server)["model"] == "y"
    assert len(server.requests) == 1
    assert ask(router, **{lever: False}).attempts[0].model == "x"


def test_a_price_of_ones_own(ask: Any, server: FaultServer) -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    server.play(chat(usage=usage))
    router = quoth.Router([entry(server, input_cost_per_token=1e-6, output_cost_per_token="0.000002")])
    cost = ask(router).cost
    assert (cost.usd, cost.source) == (Decimal("0.0012"), "computed")
    server.play(chat(usage=None))
    assert ask(router).cost.usd is None


def test_a_budget_is_kept(ask: Any, emulator: Emulator) -> None:
    router = quoth.Router([{"model_name": "m", "litellm_params": {"model": "poe/Grok-4"}}])
    with quoth.budget(usd=1) as allowance:
        ask(router, max_tokens=10)
        assert 0 < allowance.spent < 1
        assert allowance.reserved == 0
        before = allowance.spent
        ask.stream(router, max_tokens=10)
        assert before < allowance.spent < 1
        assert allowance.reserved == 0
        with pytest.raises(quoth.BudgetExceededError):
            ask(router, max_tokens=10_000_000)
    with quoth.budget(usd=0), pytest.raises(quoth.BudgetExceededError):
        ask(router, max_tokens=10)


def test_what_a_key_may_do_is_known_to_all_calls(ask: Any, server: FaultServer, other: FaultServer) -> None:
    server.play(error(401))
    other.play(chat())
    router = quoth.Router([entry(server, order=1), entry(other, "y", order=2)])
    for _ in range(3):
        ask(router)
    assert (len(server.requests), len(other.requests)) == (1, 3)
    router.set_model_list([entry(server, order=1), entry(other, "y", order=2)])
    ask(router)
    assert len(server.requests) == 2, "a new list gives a refused key another chance"


def test_a_key_with_nothing_left(ask: Any, server: FaultServer, other: FaultServer) -> None:
    server.play(chat())
    other.play(chat())
    router = quoth.Router([entry(server, order=1, api_key="sk-one"), entry(other, order=2, api_key="sk-two")])
    router.known_balance("sk-one", 0)
    ask(router)
    router.known_balance("sk-one", 100)
    ask(router)
    assert (len(server.requests), len(other.requests)) == (1, 1)


def test_how_streams_end_is_known(server: FaultServer, other: FaultServer) -> None:
    server.play(sse("one", "two"))
    with quoth.Router([entry(server)], routing_strategy="least-busy") as router:
        candidate = router._routes.find("m").candidates[0]  # type: ignore[union-attr]
        whole = router.completion("m", QUESTION, stream=True)
        assert candidate.health.in_flight == 1
        list(whole)
        assert candidate.health.in_flight == 0
        assert len(candidate.health.firsts) == 1
        with router.completion("m", QUESTION, stream=True):
            assert candidate.health.in_flight == 1
        assert candidate.health.in_flight == 0
        server.play(sse("one", "two").first(1), Reset())
        with pytest.raises(quoth.StreamInterrupted):
            list(router.completion("m", QUESTION, stream=True))
        assert candidate.health.in_flight == 0
        assert candidate.health.failures == 1
        dropped = router.completion("m", QUESTION, stream=True)
        del dropped
        assert candidate.health.in_flight == 0


def test_threads_share_a_pace(server: FaultServer) -> None:
    server.play(chat())
    answers: list[Any] = []
    with quoth.Router([entry(server, rpm=5)], max_wait=0, num_retries=0) as router:

        def call() -> None:
            try:
                answers.append(router.completion("m", QUESTION))
            except quoth.RateLimitError as limited:
                answers.append(limited)

        threads = [threading.Thread(target=call) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(server.requests) == 5
    limited = [one for one in answers if isinstance(one, quoth.RateLimitError)]
    assert len(limited) == 7
    assert all(one.retry_after and 1 <= one.retry_after <= 60 for one in limited)
    assert "5 calls in 60 s" in str(limited[0])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_router_works_after_a_fork_in_the_middle_of_a_decision(server: FaultServer) -> None:
    server.play(chat())
    router = quoth.Router([entry(server, rpm=50)])
    inside, leave = threading.Event(), threading.Event()

    def decide() -> None:
        with GUARD:
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=decide)
    thread.start()
    inside.wait(10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that there are threads is what this is about
        child = os.fork()
    if child == 0:
        signal.alarm(10)
        os._exit(0 if router.completion("m", QUESTION).choices else 1)
    leave.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0


def test_cancelling_a_call_lets_go_of_everything(server: FaultServer) -> None:
    server.play(Read(), Stall())

    async def main() -> None:
        async with quoth.Router([entry(server, max_parallel_requests=1)]) as router:
            candidate = router._routes.find("m").candidates[0]  # type: ignore[union-attr]
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await router.acompletion("m", QUESTION)
            assert candidate.health.in_flight == 0
            assert candidate.places is not None
            assert candidate.places.taken == 0
            await server.until(lambda: server.disconnects)

    asyncio.run(main())


def test_a_timeout_of_a_call_is_for_all_of_it(ask: Any, server: FaultServer) -> None:
    server.play(Read(), Stall())
    router = quoth.Router([entry(server), entry(server, "y")], num_retries=5)
    begun = time.monotonic()
    with pytest.raises(quoth.Timeout):
        ask(router, timeout=0.4)
    assert time.monotonic() - begun < 20


def test_openais_shape(emulator: Emulator) -> None:
    router = quoth.Router([{"model_name": "m", "litellm_params": {"model": "poe/Grok-4"}}])
    with router:
        assert router.chat.completions.create(model="m", messages=QUESTION).choices[0].message.content == SAID

    async def main() -> Any:
        async with router:
            return await router.achat.completions.create(model="m", messages=QUESTION)

    assert asyncio.run(main()).choices[0].message.content == SAID


# --- Deployments and settings ----------------------------------------------------------------------------------------


def test_deployments_come_and_go(server: FaultServer) -> None:
    router = quoth.Router([entry(server, info={"id": "first"})])
    router.add_deployment(entry(server, "y", info={"id": "second"}))
    router.add_deployment(entry(server, "z", "n"))
    assert router.get_model_names() == ["m", "n"]
    assert router.get_model_ids("m") == ["first", "second"]
    assert len(router.get_model_ids()) == 3
    assert [one["litellm_params"]["model"] for one in router.get_model_list("m")] == [
        "custom_openai/x",
        "custom_openai/y",
    ]
    router.upsert_deployment(entry(server, "w", info={"id": "second"}))
    assert router.get_model_list("m")[1]["litellm_params"]["model"] == "custom_openai/w"
    assert (router.delete_deployment("second") or {})["model_info"]["id"] == "second"
    assert router.delete_deployment("second") is None
    assert router.get_model_ids("m") == ["first"]
    assert router.get_available_deployment("m")["model_info"]["id"] == "first"
    assert router.get_model_list("nobody") == []
    with pytest.raises(quoth.NotFoundError):
        router.get_available_deployment("nobody")


def test_a_list_that_is_wrong_changes_nothing(server: FaultServer) -> None:
    router = quoth.Router([entry(server)])
    for wrong in ([entry(server), entry(server)], [{"model_name": "m"}], ["m"]):
        with pytest.raises(quoth.BadRequestError):
            router.set_model_list(wrong)  # type: ignore[arg-type]
    assert len(router.get_model_ids()) == 1
    with pytest.raises(quoth.BadRequestError):
        router.update_settings(routing_strategy="best")
    with pytest.raises(quoth.BadRequestError, match="model_list"):
        router.update_settings(model_list=[])


def test_weights(server: FaultServer) -> None:
    router = quoth.Router([entry(server, weight=9), entry(server, "y", weight=1)])
    chosen = Counter(router.get_available_deployment("m")["litellm_params"]["model"] for _ in range(500))
    assert chosen["custom_openai/x"] > chosen["custom_openai/y"] > 0


def test_settings(ask: Any, server: FaultServer) -> None:
    server.play(error(500, headers={"retry-after-ms": "1"}))
    router = quoth.Router([entry(server)], num_retries=0, routing_strategy="least-busy")
    assert router.get_settings() == {"num_retries": 0, "routing_strategy": "least-busy"}
    router.update_settings(num_retries=1)
    with pytest.raises(quoth.InternalServerError) as caught:
        ask(router)
    assert len(caught.value.attempts) == 2


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"fallbacks": [{"m": ["m"]}]}, "router_settings.fallbacks"),
        ({"routing_strategy": "best"}, "routing_strategy"),
        ({"provider_budget_config": {"poe": {}}}, "provider_budget_config"),
        ({"model_group_alias": {"m": "m"}}, "router_settings.model_group_alias.m"),
        ({"timeout": 0}, "timeout"),
    ],
)
def test_wrong_settings_are_said_when_the_router_is_made(server: FaultServer, given: dict[str, Any], path: str) -> None:
    with pytest.raises(quoth.BadRequestError) as caught:
        quoth.Router([entry(server)], **given)
    assert caught.value.param == path


def test_a_limit_of_a_deployment_that_nobody_would_keep_is_refused(server: FaultServer) -> None:
    with pytest.raises(quoth.BadRequestError, match="not enforced") as caught:
        quoth.Router([entry(server, max_budget=1)])
    assert caught.value.param == "model_list[0].litellm_params.max_budget"


def test_a_missing_key_is_said_when_the_router_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POE_API_KEY", raising=False)
    with pytest.raises(quoth.AuthenticationError, match="POE_API_KEY") as caught:
        quoth.Router([{"model_name": "m", "litellm_params": {"model": "poe/x"}}])
    assert caught.value.param == "model_list[0].litellm_params.api_key"


def test_arguments_of_litellm_that_do_nothing_say_so(ask: Any, server: FaultServer) -> None:
    server.play(chat())
    router = quoth.Router([entry(server)], redis_host="x", set_verbose=True, cache_responses=None)
    assert [(one.code, one.param) for one in ask(router).warnings if one.code == "no_effect"] == [
        ("no_effect", "redis_host"),
        ("no_effect", "set_verbose"),
    ]
    with pytest.raises(TypeError, match="no argument 'whatever'"):
        quoth.Router([entry(server)], whatever=1)


def test_clients_of_ones_own_stay_open(server: FaultServer) -> None:
    server.play(chat())
    with quoth.Client() as client:
        with quoth.Router([entry(server)], client=client) as router:
            router.completion("m", QUESTION)
        with quoth.Router([entry(server, "y")], client=client) as router:
            router.completion("m", QUESTION)
        assert server.connections_total == 1


def test_an_error_in_a_fallback_is_not_hidden(ask: Any, server: FaultServer) -> None:
    server.play_once(error(500))
    server.play(error(404, code="model_not_found"))
    router = quoth.Router([entry(server), entry(server, "gone", "there")], fallbacks=[{"m": ["there"]}], num_retries=0)
    with pytest.raises(errors.NotFoundError) as caught:
        ask(router)
    assert caught.value.model == "gone"
