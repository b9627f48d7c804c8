"""An upstream that refuses: what is the caller's affair is passed on as it came, what is the gateway's own is not.
U17, U18, U20, U21, U22, U34 of docs/reliability.md."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import openai
import pytest

from tests.faultserver import FaultServer, answer, chat, error, html, sse
from tests.gateway.faults.conftest import SPARE_KEY
from tests.gateway.serving import KEY, UPSTREAM_KEY, Serving, chat_body, deployment

pytestmark = pytest.mark.timeout(60)

REFUSED = {
    400: openai.BadRequestError,
    402: openai.APIStatusError,
    404: openai.NotFoundError,
    409: openai.ConflictError,
    413: openai.APIStatusError,
    422: openai.UnprocessableEntityError,
    429: openai.RateLimitError,
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("status", REFUSED)
def test_a_refusal_is_passed_on_as_it_came(
    status: int, stream: bool, gateway: Serving, upstream: FaultServer, name: str
) -> None:
    body = {"error": {"message": "no, because", "type": "their_type", "x_more": [1, {"a": None}]}, "x_beside": 1.5}
    upstream.play(answer(body, status))
    got = gateway.post(chat_body(model=f"any/{name}", stream=stream))
    assert got.status == status
    assert got.json == body, "absent keys stay absent, unknown ones stay"
    assert got.headers["x-quoth-attempts"] == "1"


@pytest.mark.parametrize(
    ("code", "becomes"), [(400, "400"), (1.5, "1.5"), ("x", "x"), (None, None), (True, True), ({"a": 1}, {"a": 1})]
)
def test_a_numeric_code_becomes_a_text(
    code: Any, becomes: Any, gateway: Serving, upstream: FaultServer, name: str
) -> None:
    upstream.play(answer({"error": {"message": "no", "code": code}}, 400))
    assert gateway.post(chat_body(model=f"any/{name}")).json == {"error": {"message": "no", "code": becomes}}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_what_a_refusal_quotes_of_ours_is_masked(
    stream: bool, gateway: Serving, upstream: FaultServer, name: str
) -> None:
    said = f"key {UPSTREAM_KEY} (Bearer {UPSTREAM_KEY}, https://x.test/?api_key={UPSTREAM_KEY}) at {upstream.url}/v1"
    upstream.play(answer({"error": {"message": said, "headers": {"x-api-key": UPSTREAM_KEY, "a": [said]}}}, 400))
    got = gateway.post(chat_body(model=f"any/{name}", stream=stream))
    assert got.status == 400
    assert UPSTREAM_KEY.encode() not in got.body
    assert f"127.0.0.1:{upstream.port}".encode() not in got.body
    assert got.error["message"].startswith("key [key] (Bearer [key], ")


@pytest.mark.parametrize(
    ("status", "body", "kind", "slug", "says"),
    [
        (400, b"no such thing", "text/plain", "invalid_request_error", "no such thing"),
        (400, b'{"error":"no such thing"}', "application/json", "invalid_request_error", "no such thing"),
        (422, b'{"detail":[{"msg":"field required"}]}', "application/json", "invalid_request_error", "field required"),
        (400, b'{"detail":"no such thing"}', "application/json", "invalid_request_error", "no such thing"),
        (400, b'[{"error":{"message":"no such thing"}}]', "application/json", "invalid_request_error", "such thing"),
        (404, b"<html>nginx</html>", "text/html", "upstream_rejected", "404"),
        (402, b"", "text/plain", "upstream_insufficient_funds", "402"),
        (413, b"", "text/plain", "context_window_exceeded", "413"),
        (409, b"", "text/plain", "upstream_rejected", "409"),
        (418, b"", "text/plain", "upstream_rejected", "418"),
        (429, b"slow down", "text/plain", "rate_limit_error", "slow down"),
        (
            400,
            b'{"error":{"message":"' + b"long " * 40_000 + b'"}}',
            "application/json",
            "invalid_request_error",
            "long",
        ),
        (400, b'{"error":{"message":"deep","x":' + b"[" * 900 + b"]" * 900 + b"}}", "application/json", "", "deep"),
        (400, b'{"error":{"message":"\\ud800"}}', "application/json", "invalid_request_error", ""),
    ],
    ids="text string detail message list page 402 413 409 418 429 long deep surrogate".split(),
)
def test_a_refusal_in_another_form_is_told_in_ours(
    status: int,
    body: bytes,
    kind: str,
    slug: str,
    says: str,
    gateway: Serving,
    upstream: FaultServer,
    name: str,
) -> None:
    upstream.play(answer(body, status, kind))
    got = gateway.post(chat_body(model=f"any/{name}"))
    assert got.status == status
    assert got.error["code"] == str(status)
    assert not slug or got.error["type"] == slug
    assert says in got.error["message"]
    assert len(got.body) < 10_000
    assert b"<html" not in got.body


@pytest.mark.parametrize("kind", ["moderation_error", "content_filter", "content_policy_violation"])
@pytest.mark.parametrize("place", ["type", "code"])
def test_moderation_is_passed_on(kind: str, place: str, gateway: Serving, upstream: FaultServer, name: str) -> None:
    body = {"error": {"message": "not that", place: kind}}
    upstream.play(answer(body, 403))
    got = gateway.post(chat_body(model=f"any/{name}"))
    assert (got.status, got.json) == (403, body)


@pytest.mark.parametrize("streamed", [False, True])
def test_moderation_inside_an_answer_is_passed_on(
    streamed: bool, gateway: Serving, upstream: FaultServer, name: str
) -> None:
    """With the status as its code, as Poe writes it: nothing that our key could be blamed for."""
    body = {"error": {"message": "not that", "type": "moderation_error", "code": 403}}
    upstream.play(sse(body, finish_reason=None, usage=None, done=False) if streamed else answer(body))
    got = gateway.post(chat_body(model=f"any/{name}", stream=streamed))
    assert (got.status, got.json) == (403, {"error": {**body["error"], "code": "403"}})


def test_the_providers_own_words_are_no_hint(gateway: Serving, upstream: FaultServer, name: str) -> None:
    upstream.play(error(400, "answered"))
    got = gateway.post(chat_body(model=f"any/{name}"))
    assert (got.status, got.error["message"]) == (400, "answered")
    assert "x-quoth-hint" not in got.headers


@pytest.mark.parametrize("status", [401, 403])
def test_our_own_key_is_refused(status: int, gateway: Serving, upstream: FaultServer, name: str) -> None:
    upstream.play(error(status, f"Incorrect API key provided: {UPSTREAM_KEY}"))
    got = gateway.post(chat_body(model=f"again/{name}"))
    assert (got.status, got.error["type"]) == (502, "upstream_auth")
    assert got.headers["x-should-retry"] == "false"
    assert got.headers["x-quoth-attempts"] == "1"
    assert b"Incorrect" not in got.body
    id = got.headers["x-request-id"]
    gateway.wait_until_told(lambda line: id in line and str(status) in line)
    client = openai.OpenAI(base_url=gateway.url, api_key=KEY)
    with client, pytest.raises(openai.InternalServerError):
        before = len(upstream.requests)
        client.chat.completions.create(model=f"any/{name}", messages=[{"role": "user", "content": "hi"}])
    assert len(upstream.requests) == before + 1, "the official client does not ask again"


@pytest.mark.parametrize("status", [401, 402])
def test_another_key_of_the_pool_is_asked(
    status: int, upstream: FaultServer, spare: FaultServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    upstream.play(error(status))
    spare.play(chat("from the other key"))
    models = [
        deployment("m", upstream.url, num_retries=0, order=1),
        deployment("m", spare.url, api_key=SPARE_KEY, num_retries=0, order=2),
    ]
    with Serving(tmp_path_factory.mktemp("pool"), models=models) as gateway:
        got = gateway.post(chat_body())
        assert (got.status, got.headers["x-quoth-attempts"]) == (200, "2")
        before = len(upstream.requests)
        assert gateway.post(chat_body()).headers["x-quoth-attempts"] == "1"
        assert len(upstream.requests) == before, "the key that was refused comes last for a while"


def test_no_points_left(gateway: Serving, upstream: FaultServer, name: str) -> None:
    body = {"error": {"message": "You have no points", "type": "insufficient_credits", "code": 402}}
    upstream.play(answer(body, 402))
    got = gateway.post(chat_body(model=f"again/{name}"))
    assert (got.status, got.error["type"], got.error["code"]) == (402, "insufficient_credits", "402")
    assert got.headers["x-quoth-attempts"] == "1"
    assert got.headers["x-should-retry"] == "false"
    assert gateway.line(got)["error"] == "upstream_insufficient_funds"


SOON = format_datetime(datetime.now(UTC) + timedelta(hours=24))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "30"}, "30"),
        ({"retry-after": "30.2"}, "31"),
        ({"retry-after-ms": "30500"}, "31"),
        ({"retry-after": format_datetime(datetime(2020, 1, 1, tzinfo=UTC))}, "0"),
        ({"retry-after": "-5"}, "0"),
        ({"retry-after": "1e12"}, "3600"),
        ({"retry-after": SOON}, "3600"),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({}, None),
    ],
    ids="seconds fraction ms past negative absurd tomorrow word inf nan nothing".split(),
)
@pytest.mark.parametrize("status", [429, 503])
def test_when_to_come_back_is_passed_on(
    status: int, headers: dict[str, str], seconds: str | None, gateway: Serving, upstream: FaultServer, name: str
) -> None:
    upstream.play(error(status, headers=headers))
    got = gateway.post(chat_body(model=f"any/{name}"))
    assert got.status == status
    assert got.headers.get("retry-after") == seconds


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("headers", [{"retry-after-ms": "20"}, {}], ids=["hinted", "unhinted"])
def test_a_rate_limit_is_waited_for(
    headers: dict[str, str], stream: bool, gateway: Serving, upstream: FaultServer, name: str
) -> None:
    upstream.play_once(error(429, headers=headers))
    upstream.play(sse("ok") if stream else chat("ok"))
    got = gateway.post(chat_body(model=f"again/{name}", stream=stream))
    assert (got.status, got.headers["x-quoth-attempts"]) == (200, "2")
    assert ("x-quoth-queue-wait-ms" in got.headers) is bool(headers)


@pytest.mark.parametrize("headers", [{"retry-after": "3000"}, {}], ids=["hinted", "unhinted"])
def test_a_rate_limit_goes_elsewhere_first(
    headers: dict[str, str], gateway: Serving, upstream: FaultServer, spare: FaultServer, name: str
) -> None:
    upstream.play(error(429, headers=headers))
    spare.play(chat("elsewhere"))
    got = gateway.post(chat_body(model=f"any/{name}", fallbacks=[f"spare/{name}"]))
    assert got.json["choices"][0]["message"]["content"] == "elsewhere"
    before = len(upstream.requests)
    got = gateway.post(chat_body(model=f"any/{name}"))
    assert got.status == 429, "the last one is asked all the same, never refused here"
    assert len(upstream.requests) == before + 1


def test_a_refusal_of_the_request_is_sent_once(
    gateway: Serving, upstream: FaultServer, spare: FaultServer, name: str
) -> None:
    upstream.play(error(400, "bad"))
    before = len(spare.requests)
    got = gateway.post(chat_body(model=f"again/{name}", fallbacks=[f"spare/{name}"]))
    assert (got.status, got.headers["x-quoth-attempts"]) == (400, "1")
    assert len(spare.requests) == before


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_filtered_answer_is_an_answer(stream: bool, gateway: Serving, upstream: FaultServer, name: str) -> None:
    upstream.play(
        sse(finish_reason="content_filter")
        if stream
        else chat(None, finish_reason="content_filter", refusal="I will not")
    )
    got = gateway.post(chat_body(model=f"any/{name}", stream=stream))
    assert got.status == 200
    assert b'"finish_reason": "content_filter"' in got.body
    assert gateway.line(got)["finish_reason"] == "content_filter"
    assert "error" not in gateway.line(got)


def test_the_page_of_a_proxy_is_no_answer_of_ours(gateway: Serving, upstream: FaultServer, name: str) -> None:
    upstream.play(html(403))
    got = gateway.post(chat_body(model=f"any/{name}"))
    assert (got.status, got.error["type"]) == (502, "upstream_auth")
