"""The routes of their own that videos, images and audio have."""

from __future__ import annotations

import base64
import io
import time
import wave
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest

from quoth.emulator import Emulator
from quoth.emulator.attachments import recognised
from quoth.emulator.media_request import FilmRequest
from quoth.emulator.models import find
from quoth.emulator.video_jobs import VideoJobs
from tests.emulator.client import Reply, request, wait_until

pytestmark = pytest.mark.filterwarnings("ignore:The Sora API is scheduled:DeprecationWarning")

PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ")


def film(emulator: Emulator, model: str = "sora-2", prompt: str = "A red fox", **more: Any) -> Reply:
    fault = more.pop("fault", None)
    headers = {} if fault is None else {"x_emulate_fault": fault}
    return request(emulator, "POST", "/v1/videos", {"model": model, "prompt": prompt, **more}, **headers)


def poll(emulator: Emulator, video_id: str, rest: str = "") -> Reply:
    return request(emulator, "GET", f"/v1/videos/{video_id}{rest}")


def form(parts: dict[str, str | bytes]) -> tuple[bytes, str]:
    """A form and its content type."""
    body = b""
    for name, value in parts.items():
        extra = '; filename="a.png"\r\nContent-Type: image/png' if isinstance(value, bytes) else ""
        content = value if isinstance(value, bytes) else value.encode()
        body += f'--xyz\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n'.encode() + content + b"\r\n"
    return body + b"--xyz--\r\n", "multipart/form-data; boundary=xyz"


@pytest.fixture
def client(emulator: Emulator) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=emulator.base_url, api_key="key", max_retries=0) as client:
        yield client


@pytest.fixture
async def aclient(emulator: Emulator) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=emulator.base_url, api_key="key", max_retries=0) as client:
        yield client


# Videos


def test_a_video_from_the_order_to_the_film(emulator: Emulator) -> None:
    begun = film(emulator, seconds=8, size="1280x720").body
    assert list(begun) == [
        *("id", "object", "status", "created_at", "completed_at", "expires_at", "model", "seconds", "size"),
        *("progress", "remixed_from_video_id", "error", "usage"),
    ]
    assert (begun["object"], begun["status"], begun["progress"], begun["model"]) == ("video", "queued", 0, "sora-2")
    assert (begun["seconds"], begun["size"]) == ("8", "1280x720")
    done = poll(emulator, begun["id"]).body
    assert (done["status"], done["progress"]) == ("completed", 100)
    assert abs(done["completed_at"] - time.time()) < 60, "seconds"
    assert done["expires_at"] > done["completed_at"]
    for variant, kind in (
        ("", "video/mp4"),
        ("?variant=thumbnail", "image/webp"),
        ("?variant=spritesheet", "image/jpeg"),
    ):
        reply = poll(emulator, begun["id"], f"/content{variant}")
        assert reply.status == 200
        assert reply.headers["content-type"] == kind
        assert recognised(reply.raw)[0] == kind
    assert recognised(poll(emulator, begun["id"], "/content?variant=thumbnail").raw)[1] == "640x360"
    part = request(emulator, "GET", f"/v1/videos/{begun['id']}/content", Range="bytes=4-7")
    assert (part.status, part.raw) == (206, b"ftyp")


def test_a_video_takes_its_time() -> None:
    facts = find("sora-2")
    assert facts is not None
    job = VideoJobs(takes=20).start(FilmRequest("sora-2", facts, "A red fox", 4, "720x1280"), "seed", 1_000.9, None)
    seen = [(job.status(now), job.shown(now)["progress"]) for now in (1_001, 1_004, 1_011, 1_020.8, 1_021)]
    assert seen == [("queued", 0), ("in_progress", 15), ("in_progress", 50), ("in_progress", 99), ("completed", 100)]
    assert job.shown(1_021)["completed_at"] == 1_020
    assert job.shown(1_004)["completed_at"] is None


def test_a_video_can_be_waited_for() -> None:
    with Emulator(media_delay=0.3) as slow:
        video_id = film(slow).body["id"]
        assert wait_until(lambda: bool(poll(slow, video_id).body["status"] == "completed"))
        assert poll(slow, video_id, "/content").status == 200


def test_videos_that_fail_or_never_end(emulator: Emulator) -> None:
    failed = film(emulator, fault="job=failed").body["id"]
    shown = poll(emulator, failed).body
    assert shown["status"] == "failed"
    assert shown["error"]["code"] == "generation_failed"
    assert poll(emulator, failed, "/content").status == 404
    assert emulator.balance == 10_000_000, "what failed costs nothing"
    stuck = film(emulator, fault="job=stuck").body["id"]
    early = poll(emulator, stuck, "/content")
    assert (early.status, early.error["type"]) == (404, "not_found")
    assert poll(emulator, stuck).body["status"] == "in_progress"
    assert film(emulator, fault="status=500").error["type"] == "provider_error"


def test_seconds_and_sizes(emulator: Emulator) -> None:
    assert film(emulator).body["seconds"] == "4"
    assert film(emulator, model="Veo-3.1").body["seconds"] == "8"
    assert film(emulator).body["size"] == "720x1280"
    assert film(emulator, seconds="12").body["seconds"] == "12", "the official client sends a text"
    assert "Supported values are: '4', '8', '12'" in film(emulator, seconds=5).error["message"]
    assert film(emulator, size="1920x1080").error["param"] == "size"
    assert film(emulator, model="sora-2-pro", size="1920x1080").status == 200
    assert film(emulator, model="grok-4").status == 400
    assert film(emulator, model="nobody").error["type"] == "not_found"
    assert film(emulator, prompt=" ").error["param"] == "prompt"


def test_remix_and_extensions(emulator: Emulator) -> None:
    first = film(emulator, seconds=8).body["id"]
    remixed = request(emulator, "POST", f"/v1/videos/{first}/remix", {"prompt": "at night"}).body
    assert (remixed["remixed_from_video_id"], remixed["seconds"]) == (first, "8")
    longer = request(emulator, "POST", "/v1/videos/extensions", {"video": {"id": first}, "prompt": "on", "seconds": 4})
    assert longer.body["seconds"] == "12"
    veo = film(emulator, model="veo-3").body["id"]
    assert (
        "only those of Sora" in request(emulator, "POST", f"/v1/videos/{veo}/remix", {"prompt": "x"}).error["message"]
    )
    video_id = first
    for _ in range(5):
        body = {"video": {"id": video_id}, "prompt": "on", "seconds": 20}
        video_id = request(emulator, "POST", "/v1/videos/extensions", body).body["id"]
    assert (
        "at most 120"
        in request(emulator, "POST", "/v1/videos/extensions", {**body, "video": {"id": video_id}}).error["message"]
    )
    assert request(emulator, "POST", "/v1/videos/video_x/remix", {"prompt": "x"}).status == 404


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/videos", 405),
        ("DELETE", "/v1/videos/video_x", 405),
        ("GET", "/v1/videos/video_x", 404),
        ("GET", "/v1/videos/video_x/remix", 405),
        ("GET", "/v1/videos/video_x/other", 404),
        ("POST", "/v1/images/generations", 404),
        ("POST", "/v1/audio/speech", 404),
        ("POST", "/v1/audio/transcriptions", 404),
        ("POST", "/v1/messages/count_tokens", 404),
    ],
)
def test_what_is_not_there(emulator: Emulator, method: str, path: str, status: int) -> None:
    assert request(emulator, method, path, {} if method == "POST" else None).status == status


def test_a_form_with_a_picture_to_begin_from(emulator: Emulator) -> None:
    body, kind = form({"model": "sora-2", "prompt": "on", "seconds": "8", "input_reference": PNG})
    assert request(emulator, "POST", "/v1/videos", body, Content_Type=kind).body["seconds"] == "8"
    body, kind = form({"model": "sora-2", "prompt": "on", "input_reference": b"no picture"})
    assert "text/plain" in request(emulator, "POST", "/v1/videos", body, Content_Type=kind).error["message"]
    cut = request(emulator, "POST", "/v1/videos", body[:-9], Content_Type=kind)
    assert "does not end" in cut.error["message"]
    assert request(emulator, "POST", "/v1/videos", b"x", Content_Type="multipart/form-data").status == 400


def test_the_client_makes_a_video(client: openai.OpenAI) -> None:
    done = client.videos.create_and_poll(
        model="sora-2", prompt="A red fox", input_reference=("a.png", PNG), seconds="4"
    )
    assert done.status == "completed"
    assert client.videos.download_content(done.id).read()[4:8] == b"ftyp"
    assert client.videos.remix(done.id, prompt="at night").remixed_from_video_id == done.id
    with pytest.raises(openai.NotFoundError):
        client.videos.retrieve("video_x")


async def test_the_client_that_does_not_block(aclient: openai.AsyncOpenAI) -> None:
    done = await aclient.videos.create_and_poll(model="veo-3.1", prompt="A red fox")
    sheet = await aclient.videos.download_content(done.id, variant="spritesheet")
    assert recognised(await sheet.aread())[0] == "image/jpeg"


# Images


def draw(emulator: Emulator, model: str = "gpt-image-1", prompt: str = "A red fox", **more: Any) -> Reply:
    return request(emulator, "POST", "/v1/images", {"model": model, "prompt": prompt, **more})


def test_pictures_as_base64(emulator: Emulator) -> None:
    reply = draw(emulator, size="96x64", n=2)
    assert abs(reply.body["created"] - time.time()) < 60, "seconds"
    first, second = (base64.b64decode(one["b64_json"]) for one in reply.body["data"])
    assert recognised(first) == ("image/png", "96x64")
    assert recognised(second)[0] == "image/png"
    assert reply.body["usage"]["input_tokens"] == 3
    assert (
        recognised(base64.b64decode(draw(emulator, parameters={"aspect": "3:2"}).body["data"][0]["b64_json"]))[1]
        == "1254x836"
    )


def test_pictures_as_addresses(emulator: Emulator) -> None:
    for reply in (draw(emulator, response_format="url", size="64x64"), draw(emulator, model="DALL-E-3", size="64x64")):
        url = reply.body["data"][0]["url"]
        assert request(emulator, "GET", url.removeprefix(emulator.origin), key=None).raw.startswith(b"\x89PNG")
    assert emulator.balance < 10_000_000 - 1_485, "DALL-E 3 costs $0.045"


def test_pictures_that_begin_from_others(emulator: Emulator) -> None:
    for given in (
        base64.b64encode(PNG).decode(),
        "data:image/png;base64," + base64.b64encode(PNG).decode(),
        {"image_url": "https://example.com/a.png"},
    ):
        picture = base64.b64decode(draw(emulator, image=given, size="64x64").body["data"][0]["b64_json"])
        assert b"Begun from" in picture
    body, kind = form({"model": "gpt-image-1", "prompt": "on", "image[]": PNG, "size": "64x64", "n": "1"})
    assert request(emulator, "POST", "/v1/images", body, Content_Type=kind).status == 200
    assert draw(emulator, model="dall-e-3", image=base64.b64encode(PNG).decode()).error["param"] == "image"


@pytest.mark.parametrize(
    ("more", "status", "param"),
    [
        ({"model": "flux-dev"}, 400, "model"),
        ({"model": "nobody"}, 404, None),
        ({"n": 11}, 400, "n"),
        ({"size": "big"}, 400, "size"),
        ({"response_format": "png"}, 400, "response_format"),
        ({"image": "###"}, 400, "image"),
        ({"prompt": ""}, 400, "prompt"),
    ],
)
def test_orders_that_are_wrong(emulator: Emulator, more: dict[str, Any], status: int, param: str | None) -> None:
    reply = draw(emulator, **more)
    assert (reply.status, reply.error.get("param")) == (status, param)
    assert emulator.balance == 10_000_000


def test_the_client_draws_and_speaks_where_that_is_switched_on() -> None:
    with (
        Emulator(openai_media_paths=True) as emulator,
        openai.OpenAI(base_url=emulator.base_url, api_key="key") as client,
    ):
        drawn = client.images.generate(model="gpt-image-1", prompt="A red fox", size="1024x1024", quality="low")
        assert drawn.data
        assert recognised(base64.b64decode(drawn.data[0].b64_json or ""))[1] == "1024x1024"
        edited = client.images.edit(model="gpt-image-1", image=("a.png", PNG), prompt="At night", size="1024x1024")
        assert edited.data
        spoken = client.audio.speech.create(model="elevenlabs-v3", input="Hello there", voice="alloy")
        assert recognised(spoken.read())[0] == "audio/wav"


# Audio


def test_a_sound_as_bytes(emulator: Emulator) -> None:
    for name in ("input", "prompt", "text"):
        reply = request(emulator, "POST", "/v1/audio", {"model": "ElevenLabs-v3", name: "Hello there", "voice": "Hope"})
        assert reply.headers["content-type"] == "audio/wav"
        with wave.open(io.BytesIO(reply.raw)) as sound:
            assert sound.getnframes() > 0
    assert request(emulator, "POST", "/v1/audio", {"model": "elevenlabs-v3"}).error["param"] == "input"
    assert request(emulator, "POST", "/v1/audio", {"model": "sonic-3.0", "input": "x"}).status == 400
    (row, *_) = request(emulator, "GET", "/usage/points_history").body["data"]
    assert row["bot_name"] == "ElevenLabs-v3"


# What all of them share


@pytest.mark.parametrize("path", ["/v1/videos", "/v1/images", "/v1/audio", "/v1/responses", "/v1/messages"])
def test_keys_limits_and_faults_hold_everywhere(path: str) -> None:
    with Emulator(rate_limit=1) as emulator:
        assert request(emulator, "POST", path, {}, None).status == 401
        assert request(emulator, "POST", path, {}, "invalid").status == 401
        assert request(emulator, "POST", path, {}).status == 400
        assert request(emulator, "POST", path, {}).status == 429
        assert request(emulator, "POST", path, b"{", "other").status == 400
        assert request(emulator, "GET", path).status == 405
        assert request(emulator, "POST", path, {}, x_emulate_fault="status=503").status == 503
        emulator.faults(f"status=502; body=html; on={path}")
        assert request(emulator, "POST", path, {}, "third").raw.startswith(b"<!DOCTYPE")


def test_a_download_can_break(emulator: Emulator) -> None:
    video_id = film(emulator).body["id"]
    emulator.faults("fin=after:1000; on=/v1/videos/")
    with pytest.raises(Exception, match="IncompleteRead"):
        poll(emulator, video_id, "/content")
