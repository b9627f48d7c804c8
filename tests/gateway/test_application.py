"""The application as a server calls it, in this process: what is left of a request when it is over."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from quoth.gateway.app import App
from quoth.gateway.keepalive import KeepAlive
from quoth.gateway.settings import load
from quoth.gateway.upkeep import Upkeep
from tests.faultserver import Connection, FaultServer, Read, Stall, answer, chat, error, html, sse
from tests.gateway.serving import KEY, chat_body, deployment

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def upstream() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


def app_with(folder: Path, models: list[dict[str, Any]], **settings: Any) -> App:
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump({"model_list": models, **settings}), "utf-8")
    return App(load(str(file), {"QUOTH_MASTER_KEY": KEY}))


class Request:
    """One request to an application, with what it sent; `leave` is the client going away."""

    def __init__(
        self,
        app: App,
        body: dict[str, Any],
        path: str = "/v1/chat/completions",
        *,
        whole: bool = True,
        key: bytes | None = None,
    ) -> None:
        self.sent: list[dict[str, Any]] = []
        self._whole = whole
        self._body: bytes | None = json.dumps(body).encode()
        self._left = asyncio.Event()
        headers = [(b"authorization", f"Bearer {KEY}".encode()), (b"content-length", b"%d" % len(self._body))]
        if key is not None:
            headers.append((b"idempotency-key", key))
        scope: dict[str, Any] = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode()}
        scope |= {"headers": headers, "client": ("127.0.0.1", 1)}
        self.task = asyncio.ensure_future(app(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        body, self._body = self._body, None
        if body is not None and self._whole:
            return {"type": "http.request", "body": body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    def leave(self) -> None:
        self._left.set()

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])


async def closed(app: App) -> None:
    await app._connections.aclose()
    app.observers.close()


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
async def test_nobody_keeps_a_stream_alive_that_is_over(path: str, upstream: FaultServer, tmp_path: Path) -> None:
    app = app_with(tmp_path, [deployment("m", upstream.url)], quoth={"commit_after": 3600})
    upstream.play(Read(), Stall())
    body = chat_body(stream=True, prompt="hello")
    left = Request(app, body, path)
    await asyncio.to_thread(upstream.wait_for, lambda: len(upstream.requests) == 1)
    left.leave()
    await left.task
    upstream.play(error(400))
    refused = Request(app, body, path)
    await refused.task
    assert refused.status == 400
    gc.collect()
    assert [one for one in gc.get_objects() if isinstance(one, KeepAlive)] == []
    await closed(app)


async def test_several_choices_free_the_places_that_they_took(upstream: FaultServer, tmp_path: Path) -> None:
    model = deployment("m", upstream.url, "poe/GPT-5.2", max_parallel_requests=3, num_retries=0)
    app = app_with(tmp_path, [model], quoth={"catalogue_ttl": 0})
    places = app.generation.group("m").candidates[0].places
    assert places is not None
    upstream.play(chat("hello"))
    whole = Request(app, chat_body(n=3))
    await whole.task
    assert whole.status == 200
    assert len(json.loads(whole.body)["choices"]) == 3
    assert places.taken == 0
    # One of them fails when another has been answered.
    upstream.forget()
    upstream.play_once(chat("hello"))
    upstream.play_once(chat("hello"))
    upstream.play(error(400))
    broken = Request(app, chat_body(n=3))
    await broken.task
    assert broken.status == 400
    assert places.taken == 0
    assert app.generation.group("m").candidates[0].health.in_flight == 0
    await closed(app)


SECRET_TALK = "the prompt that nobody else may read"


@pytest.mark.parametrize("level", ["info", "debug"])
async def test_what_a_provider_said_is_written_only_where_it_was_asked_for(
    level: str, upstream: FaultServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    models = [deployment("m", upstream.url, num_retries=0)]
    app = app_with(tmp_path, models, quoth={"log": {"level": level, "path": str(tmp_path / "log")}})
    for answered in (error(500, SECRET_TALK), answer(f"<p>{SECRET_TALK}"), answer({"said": SECRET_TALK}), html()):
        upstream.play(answered)
        request = Request(app, chat_body())
        await request.task
        assert request.status in (500, 502)
    told = "\n".join(record.getMessage() for record in caplog.records)
    assert (SECRET_TALK in told) is (level == "debug")
    assert told.count("upstream_error: ") == 2
    assert told.count("bad_upstream_response: ") == 2
    await closed(app)


async def test_a_body_that_never_comes_is_not_waited_for(upstream: FaultServer, tmp_path: Path) -> None:
    app = app_with(tmp_path, [deployment("m", upstream.url)])
    request = Request(app, chat_body(), whole=False)
    await asyncio.sleep(0)
    app.hurry(time.monotonic())
    assert not request.sent
    app.hurry(time.monotonic() + 61)
    await request.task
    assert request.status == 408
    assert (b"connection", b"close") in request.sent[0]["headers"]
    assert json.loads(request.body)["error"]["type"] == "request_timeout"
    await closed(app)


# Lists of models as no provider should answer them; all are long enough to be believed.
MANY = [{"id": f"model-{number}"} for number in range(400)]
ODD_LISTS: dict[str, Any] = {
    "prices in words": {"data": [{"id": "GPT-5.2", "pricing": {"prompt": "free", "completion": "-1"}}, *MANY]},
    "odd numbers": {"data": [{"id": "GPT-5.2", "pricing": {"prompt": "1e999", "completion": "NaN"}}, *MANY]},
    "a bare list": MANY,
    "a row that is none": {"data": [*MANY, None]},
    "an object": {"data": {"id": "GPT-5.2"}},
    "a text": "no list",
}


@pytest.mark.parametrize("listed", ODD_LISTS.values(), ids=ODD_LISTS)
async def test_whatever_a_provider_lists_the_gateway_serves(listed: Any, upstream: FaultServer, tmp_path: Path) -> None:
    balance = f'{{"current_point_balance": {"9" * 400}}}'

    async def by_path(connection: Connection) -> None:
        path = (await connection.read()).path
        said = answer(json.dumps(listed)) if path.endswith("/models") else chat("hello")
        await connection.send((answer(balance) if path.endswith("/current_balance") else said).raw)

    upstream.play(by_path)
    app = app_with(tmp_path, [deployment("m", upstream.url, "poe/GPT-5.2", num_retries=0)])
    ends, told = asyncio.Event(), asyncio.Event()

    async def receive() -> dict[str, Any]:
        if told.is_set():
            await ends.wait()
        return {"type": "lifespan"}

    async def send(message: dict[str, Any]) -> None:
        told.set()

    life = asyncio.ensure_future(app({"type": "lifespan"}, receive, send))
    await told.wait()
    await asyncio.to_thread(upstream.wait_for, lambda: len({one.path for one in upstream.requests}) == 2)
    await asyncio.sleep(0.05)
    request = Request(app, chat_body())
    await request.task
    assert (request.status, life.done()) == (200, False)
    ends.set()
    await life


def headers_of(request: Request) -> dict[bytes, bytes]:
    return dict(request.sent[0]["headers"])


async def test_an_answer_that_nobody_gave_is_not_kept(upstream: FaultServer, tmp_path: Path) -> None:
    models = [deployment("m", upstream.url), deployment("other", upstream.url)]
    app = app_with(tmp_path, models, litellm_settings={"cache": True})
    upstream.play(chat("from the model"))
    for more in ({"mock_response": "made up"}, {}, {"fallbacks": ["other"]}, {"fallbacks": ["other"]}):
        request = Request(app, chat_body(**more))
        await request.task
        assert (b"made up" in request.body) is ("mock_response" in more)
    assert headers_of(request)[b"x-quoth-cache"] == b"hit"
    assert len(upstream.requests) == 2
    await closed(app)


async def test_embeddings_are_priced_and_kept_like_other_answers(upstream: FaultServer, tmp_path: Path) -> None:
    model = deployment("m", upstream.url, input_cost_per_token=0.001, output_cost_per_token=0.002)
    app = app_with(tmp_path, [model], litellm_settings={"cache": True})
    rows = [{"object": "embedding", "index": 0, "embedding": [0.5]}]
    upstream.play(answer({"object": "list", "data": rows, "model": "up", "usage": {"prompt_tokens": 3}}))
    first = Request(app, {"model": "m", "input": "hello", "strict": True}, "/v1/embeddings")
    await first.task
    headers = headers_of(first)
    assert (first.status, headers[b"x-quoth-cost-usd"]) == (200, b"0.003000000")
    assert float(headers[b"x-quoth-overhead-ms"]) >= 0
    assert headers[b"x-quoth-warnings"] == b"no_effect"
    second = Request(app, {"input": "hello", "model": "m"}, "/v1/embeddings")
    await second.task
    assert (headers_of(second)[b"x-quoth-cache"], second.body) == (b"hit", first.body)
    await closed(app)


@pytest.mark.parametrize(("said", "status"), [(True, 200), (False, 400), (None, 400), ("yes", 400)])
async def test_a_caller_may_have_dropped_what_a_provider_refuses(
    said: Any, status: int, upstream: FaultServer, tmp_path: Path
) -> None:
    app = app_with(tmp_path, [deployment("m", upstream.url, "groq/llama", num_retries=0)])
    upstream.play(chat("hello"))
    request = Request(app, chat_body(logit_bias={"1": 1}, drop_params=said))
    await request.task
    assert request.status == status
    if status == 200:
        assert "logit_bias" not in upstream.requests[-1].json()
        assert b"dropped" in headers_of(request)[b"x-quoth-warnings"]
    await closed(app)


async def test_a_stream_too_long_to_be_kept_is_still_made_once(upstream: FaultServer, tmp_path: Path) -> None:
    app = app_with(tmp_path, [deployment("m", upstream.url)])
    upstream.play(sse(*["x" * 100_000] * 60))
    first = Request(app, chat_body(stream=True), key=b"one")
    await first.task
    assert len(first.body) > 6_000_000
    assert first.body.endswith(b"data: [DONE]\n\n")
    again = Request(app, chat_body(stream=True), key=b"one")
    await again.task
    assert (again.status, len(upstream.requests)) == (409, 1)
    await closed(app)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
async def test_a_log_that_cannot_be_written_is_said_once(
    upstream: FaultServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = app_with(tmp_path, [deployment("m", upstream.url)], quoth={"log": {"path": "/dev/full"}})
    upstream.play(chat("hello"))
    upkeep = Upkeep(app)
    for _ in range(2):
        await Request(app, chat_body()).task
        while not app.observers.log.problem:
            await asyncio.sleep(0.01)
        upkeep.look_round(time.monotonic())
    assert [record.getMessage() for record in caplog.records] == [
        "the request log cannot be written, and loses lines: /dev/full: No space left on device"
    ]
    await closed(app)
