"""A provider with a catalogue, a balance and media. U5, U20, U22, U30, U31 of docs/reliability.md."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quoth.providers.catalogue import shipped
from tests.faultserver import Close, Connection, FaultServer, Reset, Step, answer, chat, error, html, sse
from tests.gateway.faults.inside import Exchange, application
from tests.gateway.serving import UPSTREAM_KEY, Serving, chat_body, deployment

pytestmark = pytest.mark.timeout(60)

IDS = [facts.id for facts in shipped()]


class Poe:
    """Steps by path: `models` and `balance` answer those two, everything else is answered by `calls`."""

    reads = True

    def __init__(self, calls: Step, models: Step, balance: Step):
        self.calls, self.models, self.balance = calls, models, balance

    async def __call__(self, connection: Connection) -> None:
        request = await connection.read()
        step = {"/models": self.models, "/usage/current_balance": self.balance}.get(request.path, self.calls)
        await step(connection)


def listed(*ids: str) -> dict[str, Any]:
    return {"object": "list", "data": [{"id": one, "object": "model", "created": 1, "owned_by": "x"} for one in ids]}


GOOD, POINTS = answer(listed(*IDS, "New-Model-1")), answer({"current_point_balance": 5000})


async def dropped(connection: Connection) -> None:
    connection.reset()


LISTS: dict[str, Step] = {
    "reset": dropped,
    "a page": html(200),
    "500": error(500),
    "401": error(401),
    "half of the JSON": answer(b'{"data": [{"id": "x"'),
    "half of the models": answer(listed(*IDS[: len(IDS) // 3])),
    "nothing": answer(b""),
    "null": answer(b"null"),
    "a list": answer(b"[1, 2]"),
    "a text": answer(b'"models"'),
    "data null": answer({"data": None}),
    "data a number": answer({"data": 5}),
    "data of texts": answer({"data": ["a"] * 500}),
    "models without an id": answer({"data": [{"x": 1}] * 500}),
    "odd models": answer({"data": [{"id": 5, "pricing": "free", "architecture": [], "parameters": {"a": 1}}] * 500}),
    "odd prices": answer({"data": [{**one, "pricing": {"prompt": "dear"}} for one in listed(*IDS)["data"]]}),
    "nested deeply": answer(b'{"data": ' + b"[" * 50_000 + b"]" * 50_000 + b"}"),
}


@pytest.fixture
def poe() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


def at(server: FaultServer, **more: Any) -> list[dict[str, Any]]:
    return [deployment("m", server.url, f"poe/{IDS[0]}", num_retries=0, **more)]


@pytest.mark.parametrize("case", LISTS, ids=lambda name: name.replace(" ", "-"))
async def test_a_list_of_models_that_is_none_changes_nothing(case: str, poe: FaultServer, tmp_path: Path) -> None:
    poe.play(Poe(chat("ok"), LISTS[case], POINTS))
    async with application(tmp_path, at(poe)) as app:
        before = app.catalogues.of(f"{poe.url}/v1")
        await poe.until(lambda: {"/models", "/usage/current_balance"} <= {one.path for one in poe.requests})
        await asyncio.sleep(0.05)
        exchange = Exchange(app, chat_body())
        await exchange.run()
        assert exchange.sent[0]["status"] == 200
        if case not in ("odd prices",):
            assert app.catalogues.of(f"{poe.url}/v1") is before, "the last good list stays in force"


async def test_a_list_of_models_is_taken(poe: FaultServer, tmp_path: Path) -> None:
    poe.play(Poe(chat("ok"), GOOD, POINTS))
    async with application(tmp_path, at(poe)) as app:
        while "new-model-1" not in app.catalogues.rows(poe.url):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "balance",
    [
        dropped,
        html(200),
        error(401),
        error(402),
        answer(b"null"),
        answer(b"[]"),
        answer(b'{"current_point_balance": 1e999}'),
        answer(b'{"current_point_balance": 1' + b"0" * 400 + b"}"),
        answer({"current_point_balance": "many"}),
        answer({}),
    ],
    ids="reset page 401 402 null list infinite huge text nothing".split(),
)
async def test_a_balance_that_cannot_be_read_is_not_known(balance: Step, poe: FaultServer, tmp_path: Path) -> None:
    poe.play(Poe(chat("ok"), GOOD, balance))
    async with application(tmp_path, at(poe)) as app:
        await poe.until(lambda: "/usage/current_balance" in {one.path for one in poe.requests})
        await asyncio.sleep(0.05)
        exchange = Exchange(app, chat_body())
        await exchange.run()
        assert exchange.sent[0]["status"] == 200
        assert app.generation.group("m").candidates[0].key.points is None


async def test_media_have_half_an_hour(poe: FaultServer, tmp_path: Path) -> None:
    async with application(tmp_path, at(poe)) as app:
        candidate = app.generation.group("m").candidates[0]
        media, text = (candidate.limits(False, makes_media, None) for makes_media in (True, False))
        assert (media.total, text.total) == (1800, 600)


# Calls, through a process


@pytest.fixture(scope="module")
def house() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.fixture(scope="module")
def gateway(house: FaultServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    house.play(Poe(chat("ok"), error(500), POINTS))
    models = [deployment("*", house.url, "poe/*", num_retries=2)]
    with Serving(tmp_path_factory.mktemp("poe"), models=models) as gateway:
        yield gateway
        assert UPSTREAM_KEY not in "\n".join((*gateway.log, *gateway.told))


def say(house: FaultServer, *steps: Step) -> int:
    """What calls are answered from now on; how many requests there were."""

    async def all_of(connection: Connection) -> None:
        for step in steps:
            await step(connection)

    house.play(Poe(all_of, error(500), POINTS))
    return sum(one.path == "/chat/completions" for one in house.requests)


def calls(house: FaultServer) -> int:
    return sum(one.path == "/chat/completions" for one in house.requests)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_media_that_may_have_been_paid_for_are_not_made_again(
    stream: bool, gateway: Serving, house: FaultServer
) -> None:
    before = say(house, chat("x" * 50).cut(-20), Reset())
    got = gateway.post(chat_body(model="GPT-Image-1", stream=stream))
    assert (got.status, got.error["type"]) == (502, "upstream_unreachable")
    assert calls(house) == before + 1
    assert "may have been charged" in got.error["message"]


def test_texts_that_were_cut_off_are(gateway: Serving, house: FaultServer) -> None:
    before = say(house, chat("x" * 50).cut(-20), Reset())
    got = gateway.post(chat_body(model="GPT-5.2"))
    assert (got.status, got.headers["x-quoth-attempts"]) == (502, "3")
    assert calls(house) == before + 3


def test_media_are_asked_whole(gateway: Serving, house: FaultServer) -> None:
    """Also where a stream is wanted, which is then one of one chunk."""
    say(house, chat("![x](https://media.test/x.png)"))
    got = gateway.post(chat_body(model="GPT-Image-1", stream=True))
    assert "media_not_streamed" in got.headers["x-quoth-warnings"]
    assert (got.text, got.events[-1]) == ("![x](https://media.test/x.png)", "[DONE]")


def test_a_field_of_the_api_is_no_parameter_that_a_model_could_declare(gateway: Serving, house: FaultServer) -> None:
    say(house, error(400, "Invalid 'input': must be a string or a list.", param="input"))
    got = gateway.ask("POST", "/v1/responses", {"model": "GPT-5.2", "input": []})
    assert (got.status, got.headers["x-quoth-wire"]) == (400, "openai_responses")
    assert "x-quoth-hint" not in got.headers


def test_what_the_catalogue_knows_is_a_header(gateway: Serving, house: FaultServer) -> None:
    body = {"error": {"message": "no such model", "type": "not_found_error", "code": 404}}
    say(house, answer(body, 404))
    got = gateway.post(chat_body(model="GPT-5.22"))
    assert got.status == 404
    assert got.json == {"error": {**body["error"], "code": "404"}}
    assert "gpt-5.2" in got.headers["x-quoth-hint"]


def test_what_a_broken_stream_cost_is_settled(gateway: Serving, house: FaultServer) -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}}
    say(house, sse("one ", usage, "two").first(3), Close())
    got = gateway.post(chat_body(model="GPT-5.2", stream=True))
    line = gateway.line(got)
    assert (line["error"], line["completion_tokens"]) == ("stream_interrupted", 100)
    assert float(line["cost_usd"]) > 0
    assert line["cost_source"] == "estimated"
    assert json.loads(got.events[-1])["error"]["type"] == "stream_interrupted"
