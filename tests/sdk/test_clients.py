"""Clients: openai's shape, whose model a bare name is, and which setting wins."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest

import quoth
from quoth.emulator import Emulator
from quoth.sdk import elsewhere
from quoth.transport.canned import Canned
from tests.faultserver import FaultServer, chat
from tests.sdk.conftest import QUESTION

SAID = "[emulated Grok-4] 17 * 19 = 323"


class Way:
    """One client, blocking or asyncio, used the way openai's is."""

    def __init__(self, name: str):
        self.name = name

    def create(self, settings: dict[str, Any], **keywords: Any) -> Any:
        given = {"model": "Grok-4", "messages": QUESTION, **keywords}
        if self.name == "blocking":
            with quoth.Client(**settings) as client:
                return client.chat.completions.create(**given)

        async def create() -> Any:
            async with quoth.AsyncClient(**settings) as client:
                return await client.chat.completions.create(**given)

        return asyncio.run(create())

    def models(self, settings: dict[str, Any], retrieve: str | None = None) -> Any:
        if self.name == "blocking":
            with quoth.Client(**settings) as client:
                return client.models.list() if retrieve is None else client.models.retrieve(retrieve)

        async def models() -> Any:
            async with quoth.AsyncClient(**settings) as client:
                return await (client.models.list() if retrieve is None else client.models.retrieve(retrieve))

        return asyncio.run(models())


@pytest.fixture(params=["blocking", "asyncio"])
def way(request: pytest.FixtureRequest) -> Way:
    return Way(request.param)


def test_openais_shape_with_a_base_url(way: Way, emulator: Emulator) -> None:
    response = way.create({"api_key": "mine", "base_url": emulator.base_url})
    assert response.choices[0].message.content == SAID
    assert emulator.requests[-1].headers["authorization"] == "Bearer mine"
    assert emulator.requests[-1].body["model"] == "Grok-4"


@pytest.mark.parametrize("model", ["Grok-4", "poe/Grok-4"])
def test_bare_names_are_the_providers(model: str, way: Way, emulator: Emulator) -> None:
    response = way.create({"provider": "poe"}, model=model)
    assert response.choices[0].message.content == SAID
    assert emulator.requests[-1].body["model"] == "Grok-4"
    assert response.cost.points is not None


def test_base_url_of_poe_makes_bare_names_poes() -> None:
    """With the address of Poe itself; a transport of our own sees what would be sent."""
    transport = Canned([(200, {}, [b'{"choices": [{"message": {"role": "assistant", "content": "hi"}}]}'])])
    client = quoth.Client(api_key="k", base_url="https://api.poe.com/v1", transport=transport)
    answer = client.chat.completions.create(model="Grok-4", messages=QUESTION, n=2)
    assert {request.url for request in transport.requests} == {"https://api.poe.com/v1/chat/completions"}
    assert answer.attempts[0].provider == "poe"
    assert [warning.code for warning in answer.warnings] == ["n_as_parallel_calls"]


def test_streams_in_openais_shape(emulator: Emulator) -> None:
    with quoth.Client(provider="poe") as client:
        stream = client.chat.completions.create(model="Grok-4", messages=QUESTION, stream=True)
        text = "".join(choice.delta.content or "" for chunk in stream for choice in chunk.choices)
    assert text == SAID


def test_list_of_models(way: Way, emulator: Emulator) -> None:
    models = way.models({"provider": "poe"})
    assert len(models) == len(models.data) == len(list(models)) == 399
    assert {"id", "object", "created", "owned_by"} <= models.data[0].model_dump().keys()
    assert any(model.id == "grok-4" and model.owned_by == "XAI" for model in models)


def test_one_model(way: Way, emulator: Emulator) -> None:
    model = way.models({"provider": "poe"}, retrieve="GROK-4")
    assert (model.id, model["object"]) == ("grok-4", "model")
    with pytest.raises(quoth.NotFoundError):
        way.models({"provider": "poe"}, retrieve="no-such-model")


def test_messages_of_openai_go_in(way: Way, emulator: Emulator) -> None:
    from openai.types.chat import ChatCompletionMessage

    said = ChatCompletionMessage(role="assistant", content="Hello")
    way.create({"provider": "poe"}, messages=[said, *QUESTION])
    assert emulator.requests[-1].body["messages"] == [{"role": "assistant", "content": "Hello"}, *QUESTION]


def test_openais_marks_for_not_given(way: Way, emulator: Emulator) -> None:
    import openai

    way.create({"provider": "poe"}, temperature=openai.NOT_GIVEN, top_p=openai.omit, max_tokens=None)
    assert emulator.requests[-1].body.keys() == {"model", "messages"}


# --- Which setting wins -------------------------------------------------------------------------------------------


def test_call_before_client_before_environment(way: Way, emulator: Emulator, server: FaultServer) -> None:
    server.play(chat("elsewhere"))
    for settings, keywords, key in [
        ({"provider": "poe"}, {}, "emulated-key"),
        ({"provider": "poe", "api_key": "client"}, {}, "client"),
        ({"provider": "poe", "api_key": "client"}, {"api_key": "call"}, "call"),
        ({"provider": "poe", "api_key": " "}, {}, "emulated-key"),
    ]:
        way.create(settings, **keywords)
        assert emulator.requests[-1].headers["authorization"] == f"Bearer {key}"
    count = len(emulator.requests)
    for settings, keywords in [
        ({"provider": "poe", "base_url": server.url}, {}),
        ({"provider": "poe", "api_base": server.url}, {}),
        ({"provider": "poe", "base_url": emulator.base_url}, {"base_url": server.url}),
        ({"provider": "poe"}, {"api_base": server.url}),
    ]:
        assert way.create(settings, **keywords).choices[0].message.content == "elsewhere"
    assert len(emulator.requests) == count


def test_retries_of_the_client_and_of_the_call(way: Way, emulator: Emulator) -> None:
    emulator.faults("status=503")
    for settings, keywords, tries in [
        ({}, {"num_retries": 0}, 1),
        ({"num_retries": 1}, {}, 2),
        ({"max_retries": 1}, {}, 2),
        ({"num_retries": 5}, {"max_retries": 0}, 1),
    ]:
        with pytest.raises(quoth.ServiceUnavailableError) as caught:
            way.create({"provider": "poe", **settings}, **keywords)
        assert len(caught.value.attempts) == tries


def test_headers_of_the_client_and_of_the_call(way: Way, emulator: Emulator) -> None:
    settings = {"provider": "poe", "default_headers": {"X-Title": "client", "X-Other": "kept"}}
    way.create(settings, extra_headers={"x-title": "call", "x-number": 5})
    headers = emulator.requests[-1].headers
    assert (headers["x-title"], headers["x-other"], headers["x-number"]) == ("call", "kept", "5")
    assert headers["user-agent"] == f"quoth/{quoth.__version__}"


def test_fallbacks_strictness_and_dropping_of_the_client(way: Way, emulator: Emulator) -> None:
    response = way.create({"provider": "poe", "fallbacks": ["poe/Grok-4"]}, model="no-such-bot")
    assert [attempt.error for attempt in response.attempts] == ["NotFoundError", None]
    with pytest.raises(quoth.BadRequestError, match="strict=True"):
        way.create({"provider": "poe", "strict": True}, thinking_bugdet=1)
    row = {
        "name": "acme",
        "base_url": emulator.base_url,
        "key_required": False,
        "params": {"seed": {"rule": "refused"}},
    }
    with pytest.raises(quoth.UnsupportedParamsError):
        way.create({"provider": "acme", "api_key": "k", "providers": [row]}, seed=1)
    response = way.create({"provider": "acme", "api_key": "k", "providers": [row], "drop_params": True}, seed=1)
    assert [(warning.code, warning.param) for warning in response.warnings] == [("dropped", "seed")]


def test_quirks_can_be_switched_off_for_a_client(way: Way, emulator: Emulator) -> None:
    messages = [{"role": "developer", "content": "Be brief."}, *QUESTION]
    way.create({"provider": "poe"}, messages=messages)
    assert emulator.requests[-1].body["messages"][0]["role"] == "system"
    with pytest.raises(quoth.BadRequestError):
        way.create({"provider": "poe", "disable_quirks": ["developer_as_system"]}, messages=messages)
    with pytest.raises(quoth.BadRequestError, match="is not a quirk"):
        way.create({"provider": "poe", "disable_quirks": ["no_such_quirk"]})


def test_a_call_may_name_its_client(emulator: Emulator) -> None:
    with quoth.Client(default_headers={"x-who": "mine"}) as client:
        quoth.completion("poe/Grok-4", QUESTION, client=client)
        assert emulator.requests[-1].headers["x-who"] == "mine"
        with pytest.raises(quoth.BadRequestError):
            asyncio.run(quoth.acompletion("poe/Grok-4", QUESTION, client=client))  # type: ignore[call-overload]


def test_a_closed_client_can_be_used_again(server: FaultServer) -> None:
    server.play(chat("hello"))
    client = quoth.Client(base_url=server.url, api_key="k")
    for _ in range(2):
        assert client.completion("m", QUESTION).choices[0].message.content == "hello"
        client.close()
        server.wait_for(lambda: server.connections_open == 0)
    client.close()


def test_an_async_client_serves_one_loop_after_another(emulator: Emulator) -> None:
    client = quoth.AsyncClient(provider="poe")

    async def twice() -> list[str | None]:
        answers = await asyncio.gather(client.acompletion("Grok-4", QUESTION), client.completion("Grok-4", QUESTION))
        await client.aclose()
        return [answer.choices[0].message.content for answer in answers]

    for _ in range(3):
        assert asyncio.run(twice()) == [SAID, SAID]


def test_the_key_is_not_in_the_repr() -> None:
    client = quoth.Client(api_key="sk-secret", default_headers={"x": "secret"}, proxy="http://me:secret@proxy.test")
    assert "secret" not in f"{client!r} {client._core.settings!r}"


@pytest.mark.parametrize("kind", [quoth.Client, quoth.AsyncClient])
def test_an_argument_that_a_client_has_not_says_what_takes_its_place(kind: Any) -> None:
    name = kind.__name__
    with pytest.raises(TypeError, match=rf"^{name}\(\) has no argument 'organization': send it: default_headers="):
        kind(api_key="k", organization="org")
    with pytest.raises(TypeError, match=rf"^{name}\(\) has no argument 'http_client': pass transport"):
        kind(http_client=object())
    with pytest.raises(TypeError, match=rf"^{name}\(\) has no argument 'project'"):
        kind(provider="poe").with_options(project="p")
    with pytest.raises(TypeError, match=rf"^{name}\(\) has no argument 'senseless'$"):
        kind(senseless=1)
    with pytest.raises(TypeError, match=rf"^{name}\(\) takes keywords alone"):
        kind("key")
    parameters = inspect.signature(kind).parameters
    assert {"api_key", "timeout", "transport"} <= parameters.keys(), "an editor still sees them"
    assert not elsewhere.ARGUMENTS.keys() & parameters.keys()
