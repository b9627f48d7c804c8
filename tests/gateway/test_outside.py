"""Addresses that callers give and that stand in answers: what of them is fetched, and what is made of it."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.faultserver import FaultServer, Read, Reset, Send, answer, chat
from tests.gateway.serving import SERVERS, UPSTREAM_KEY, Serving

PNG = b"\x89PNG\r\n\x1a\n" + bytes(200)
MP4 = b"\0\0\0\x18ftypmp42" + bytes(200)
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def upstream() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.fixture(scope="module", params=SERVERS)
def gateway(request: pytest.FixtureRequest, upstream: FaultServer, tmp_path_factory: pytest.TempPathFactory) -> Any:
    def model(name: str, model: str) -> dict[str, Any]:
        params = {"model": model, "api_base": f"{upstream.url}/v1", "api_key": UPSTREAM_KEY, "num_retries": 0}
        return {"model_name": name, "litellm_params": params}

    models = [
        model("openais", "custom_openai/gpt-image-1"),
        model("painter", "poe/Imagen-4"),
        model("talker", "poe/Sonic-3.0"),
        model("filmer", "poe/Kling-2.6-Pro"),
        model("veo", "poe/Veo-3.1"),
        model("sora", "custom_openai/sora-2"),
    ]
    folder, quoth = tmp_path_factory.mktemp("gateway"), {"catalogue_ttl": 0}
    with Serving(folder, models=models, server=request.param, quoth=quoth) as gateway:
        yield gateway


# What a caller gives


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/raven.png",
        "http://localhost/raven.png",
        "http://2130706433/raven.png",
        "http://0x7f.1/raven.png",
        "http://[::ffff:169.254.169.254]/latest",
        "http://[64:ff9b::a9fe:a9fe]/latest",
        "http://169.254.169.254/latest/meta-data",
        "http://user:secret@8.8.8.8/raven.png",
        "http://8.8.8.8\\@127.0.0.1/raven.png",
        "http://[::1/raven.png",
        "https://raven.invalid/raven.png",
    ],
)
def test_a_callers_address_leads_to_no_private_network(gateway: Serving, upstream: FaultServer, url: str) -> None:
    before = len(upstream.requests)
    for path, body in (
        ("/v1/images/edits", {"model": "openais", "prompt": "Blue", "image": url}),
        ("/v1/videos", {"model": "veo", "prompt": "It flies", "input_reference": {"image_url": url}}),
    ):
        found = gateway.ask("POST", path, body)
        assert found.status == 400, found.body
        assert found.error["param"] == list(body)[-1]
    assert len(upstream.requests) == before


def test_an_upstreams_own_host_is_private_to_callers_too(gateway: Serving, upstream: FaultServer) -> None:
    """That the gateway may call it does not mean that everybody may through it."""
    before = len(upstream.requests)
    body = {"model": "openais", "prompt": "Blue", "image": f"{upstream.url}/raven.png"}
    assert gateway.ask("POST", "/v1/images/edits", body).status == 400
    assert len(upstream.requests) == before


# What stands in an answer


def drawn(gateway: Serving, **more: Any) -> Any:
    return gateway.ask("POST", "/v1/images/generations", {"model": "painter", "prompt": "A raven", **more})


def picture(url: str) -> Any:
    return chat(f"![raven.png]({url})\n\n{url}")


def test_a_provider_may_serve_what_it_made_itself(gateway: Serving, upstream: FaultServer) -> None:
    upstream.play_once(picture(f"{upstream.url}/base/image/1.png"))
    upstream.play_once(answer(PNG, content_type="image/png"))
    found = drawn(gateway, response_format="b64_json")
    assert base64.b64decode(found.json["data"][0]["b64_json"]) == PNG
    assert "authorization" not in upstream.requests[-1].headers


def test_an_answer_leads_to_no_private_network(gateway: Serving, upstream: FaultServer) -> None:
    with FaultServer() as other:
        other.play(answer(PNG, content_type="image/png"))
        upstream.play_once(picture(f"{other.url}/base/image/1.png"))
        found = drawn(gateway, response_format="b64_json")
        assert (found.status, found.error["type"]) == (502, "bad_upstream_response")
        assert not other.requests


@pytest.mark.parametrize(
    "file",
    [
        answer(b"<html>" + bytes(100), content_type="image/png"),
        answer(b"no", 404),
        answer(b"", 302).headed(location="http://169.254.169.254/"),
        answer(PNG).claiming(1 << 40),
        answer(MP4),
    ],
    ids=["type", "404", "redirect", "size", "kind"],
)
def test_what_is_not_taken(gateway: Serving, upstream: FaultServer, file: Any) -> None:
    upstream.play_once(picture(f"{upstream.url}/base/image/1.png"))
    upstream.play_once(file)
    found = drawn(gateway, response_format="b64_json")
    assert (found.status, found.error["type"]) == (502, "bad_upstream_response"), found.body


def test_words_where_a_picture_was_due(gateway: Serving, upstream: FaultServer) -> None:
    upstream.play_once(chat("I would rather not."))
    found = drawn(gateway)
    assert (found.status, found.error["type"]) == (502, "bad_upstream_response")
    assert "answered without any image: I would rather not." in found.error["message"]
    upstream.play_once(answer(b"<html>"))
    assert gateway.ask("POST", "/v1/images/generations", {"model": "openais", "prompt": "x"}).status == 502


def test_what_went_out_is_not_sent_again(gateway: Serving, upstream: FaultServer) -> None:
    before = len(upstream.requests)
    upstream.play_once(Read(), Reset())
    assert drawn(gateway, num_retries=3).status == 502
    assert len(upstream.requests) == before + 1


def test_answers_are_passed_on_as_they_came(gateway: Serving, upstream: FaultServer) -> None:
    raw = b'{"created": 1, "x_more": [1.50, 1e3], "data": [{"url": "https://example.org/r.png", "x": null}]}'
    upstream.play_once(answer(raw))
    found = gateway.ask("POST", "/v1/images/generations", {"model": "openais", "prompt": "A raven", "x_new": 1})
    assert found.body == raw
    request = upstream.requests[-1]
    assert request.path == "/v1/images/generations"
    assert json.loads(request.body) == {"model": "gpt-image-1", "prompt": "A raven", "x_new": 1}
    assert request.headers["authorization"] == f"Bearer {UPSTREAM_KEY}"
    upstream.play_once(answer(b"1\n00:00 --> 00:01\nraven\n", content_type="text/plain"))
    boundary = {"content-type": "multipart/form-data; boundary=x"}
    form = (
        b'--x\r\ncontent-disposition: form-data; name="model"\r\n\r\nopenais\r\n'
        b'--x\r\ncontent-disposition: form-data; name="response_format"\r\n\r\nsrt\r\n'
        b'--x\r\ncontent-disposition: form-data; name="timestamp_granularities[]"\r\n\r\nword\r\n'
        b'--x\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\0\0\0\0WAVE\r\n--x--\r\n'
    )
    found = gateway.ask("POST", "/v1/audio/transcriptions", form, boundary)
    assert (found.body[:2], found.headers["content-type"]) == (b"1\n", "text/plain")
    request = upstream.requests[-1]
    assert b'name="timestamp_granularities[]"\r\n\r\nword' in request.body
    assert b'filename="a.wav"' in request.body
    assert b"RIFF\0\0\0\0WAVE" in request.body


# Films


def film_over_chat(gateway: Serving, upstream: FaultServer, url: str) -> str:
    upstream.play_once(chat(url))
    film = gateway.ask("POST", "/v1/videos", {"model": "filmer", "prompt": "A raven"}).json
    until = time.monotonic() + 10
    while gateway.get(f"/v1/videos/{film['id']}").json["status"] != "completed":
        assert time.monotonic() < until
        time.sleep(0.01)
    return f"/v1/videos/{film['id']}/content"


def test_a_film_is_passed_on(gateway: Serving, upstream: FaultServer) -> None:
    path = film_over_chat(gateway, upstream, f"{upstream.url}/base/video/1.mp4")
    upstream.play_once(answer(MP4, content_type="text/html"))
    found = gateway.get(path)
    assert (found.status, found.body, found.headers["content-type"]) == (200, MP4, "video/mp4")
    assert "authorization" not in upstream.requests[-1].headers
    for wrong in (answer(PNG), answer(b"<html>" + bytes(99)), answer(b"", 302).headed(location="http://10.0.0.1/")):
        upstream.play_once(wrong)
        assert gateway.get(path).status == 502


def test_a_film_at_a_private_address_is_not_fetched(gateway: Serving, upstream: FaultServer) -> None:
    with FaultServer() as other:
        other.play(answer(MP4))
        path = film_over_chat(gateway, upstream, f"{other.url}/base/video/1.mp4")
        assert gateway.get(path).status == 502
        assert not other.requests


def test_a_film_that_breaks_off_is_not_whole(gateway: Serving, upstream: FaultServer) -> None:
    """Neither an error in the midst of its bytes nor an end that looks like one."""
    path = film_over_chat(gateway, upstream, f"{upstream.url}/base/video/1.mp4")
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n"
    upstream.play_once(Read(), Send(head + MP4), Reset())
    with pytest.raises(Exception, match=r"IncompleteRead|more expected|reset") as caught:
        gateway.get(path)
    assert b"upstream_unreachable" not in getattr(caught.value, "partial", b"")


def test_an_endpoint_that_is_not_there_is_chat_instead(gateway: Serving, upstream: FaultServer) -> None:
    upstream.play_once(answer({"detail": "Not Found"}, 404))
    upstream.play_once(chat(f"{upstream.url}/base/video/1.mp4"))
    begun = gateway.ask("POST", "/v1/videos", {"model": "veo", "prompt": "A raven"})
    assert begun.json["status"] == "queued"
    assert "native_unavailable" in begun.headers["x-quoth-warnings"]
    until = time.monotonic() + 10
    while gateway.get(f"/v1/videos/{begun.json['id']}").json["status"] != "completed":
        assert time.monotonic() < until
        time.sleep(0.01)
    assert [request.path for request in upstream.requests[-2:]] == ["/v1/videos", "/v1/chat/completions"]


def test_a_film_of_a_provider_is_passed_on(gateway: Serving, upstream: FaultServer) -> None:
    upstream.play_once(answer({"id": "v/1", "object": "video", "status": "queued", "x_more": 1.5}))
    film = gateway.ask("POST", "/v1/videos", {"model": "sora", "prompt": "A raven"}).json
    assert (film["x_more"], film["model"]) == (1.5, "sora")
    upstream.play_once(answer(MP4, content_type="video/mp4"))
    assert gateway.get(f"/v1/videos/{film['id']}/content").body == MP4
    request = upstream.requests[-1]
    assert (request.path, request.headers["authorization"]) == ("/v1/videos/v%2F1/content", f"Bearer {UPSTREAM_KEY}")
    upstream.play_once(answer({"error": {"message": "gone", "type": "not_found"}}, 404))
    found = gateway.get(f"/v1/videos/{film['id']}/content?variant=thumbnail")
    assert (found.status, found.error["message"]) == (404, "gone")
    assert upstream.requests[-1].path.endswith("/content?variant=thumbnail")
    upstream.play_once(answer({"id": "v/1", "object": "video.deleted", "deleted": True}))
    assert gateway.ask("DELETE", f"/v1/videos/{film['id']}").json == {
        "id": film["id"],
        "object": "video.deleted",
        "deleted": True,
    }
    assert gateway.get(f"/v1/videos/{film['id']}/content?variant=gif").status == 400
