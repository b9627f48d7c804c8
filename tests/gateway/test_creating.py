"""Pictures, speech, transcripts and films through the gateway, asked for by the official client."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from quoth.emulator import Emulator
from quoth.wire.media_types import HEAD, sniffed
from tests.gateway.serving import KEY, SERVERS, Serving

# The client says so of OpenAI's own service.
pytestmark = pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")

PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture(scope="module")
def poe() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@pytest.fixture(scope="module", params=SERVERS)
def gateway(request: pytest.FixtureRequest, poe: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp("gateway")
    with Serving(folder, models=models_of(poe), server=request.param, quoth={"drain_delay": 0}) as gateway:
        yield gateway


@pytest.fixture
def client(gateway: Serving) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=gateway.url, api_key=KEY, max_retries=0) as client:
        yield client


def models_of(poe: Emulator) -> list[dict[str, Any]]:
    params = {"model": "poe/*", "api_base": poe.base_url, "api_key": "emulated"}
    return [
        {"model_name": "*", "litellm_params": params},
        {"model_name": "two-ways", "litellm_params": {**params, "model": "poe/Sora-2"}},
        {"model_name": "two-ways", "litellm_params": {**params, "model": "poe/Kling-2.6-Pro"}},
    ]


def sent(poe: Emulator) -> dict[str, Any]:
    body = poe.requests[-1].body
    assert isinstance(body, dict)
    return body


# Pictures


def test_images_by_the_native_endpoint(client: openai.OpenAI, poe: Emulator) -> None:
    raw = client.images.with_raw_response.generate(
        model="gpt-image-1", prompt="A raven", size="1536x1024", quality="high", n=2
    )
    made = raw.parse()
    assert made.data is not None
    assert [sniffed(base64.b64decode(image.b64_json or "")[:HEAD]) for image in made.data] == ["image/png"] * 2
    assert made.usage is not None
    assert poe.requests[-1].path == "/v1/images"
    assert sent(poe)["size"] == "1536x1024"
    assert raw.headers["x-quoth-model"] == "poe/gpt-image-1"
    assert raw.headers["x-quoth-wire"] == "images"
    assert raw.headers["x-quoth-attempts"] == "1"
    assert "x-quoth-cost-usd" not in raw.headers, "it is not known"


def test_images_over_chat(client: openai.OpenAI, poe: Emulator) -> None:
    raw = client.images.with_raw_response.generate(model="imagen-4-fast", prompt="A raven", size="1792x1024", n=2)
    made = raw.parse()
    assert made.data is not None
    assert len({image.url for image in made.data}) == 2
    assert sent(poe)["aspect_ratio"] == "16:9"
    assert raw.headers["x-quoth-wire"] == "openai_chat"
    assert "nearest" in raw.headers["x-quoth-warnings"]
    assert raw.headers["x-quoth-cost-usd"] == "0.028000000"
    assert raw.headers["x-quoth-attempts"] == "2"


def test_base64_of_what_has_an_address(client: openai.OpenAI, poe: Emulator) -> None:
    made = client.images.generate(model="imagen-4-fast", prompt="A raven", response_format="b64_json")
    assert made.data is not None
    assert sniffed(base64.b64decode(made.data[0].b64_json or "")[:HEAD]) == "image/png"
    assert made.data[0].url is None
    assert "authorization" not in poe.requests[-1].headers


def test_edits(client: openai.OpenAI, poe: Emulator) -> None:
    client.images.edit(model="gpt-image-1", image=("raven.png", PICTURE), prompt="Blue", size="1024x1024")
    assert base64.b64decode(sent(poe)["image"].partition(",")[2]) == PICTURE
    client.images.edit(model="flux-kontext-pro", image=[("a.png", PICTURE), ("b.png", PICTURE)], prompt="Blue")
    parts = sent(poe)["messages"][0]["content"]
    assert [part["type"] for part in parts] == ["text", "image_url", "image_url"]
    with pytest.raises(openai.BadRequestError, match="takes no mask"):
        client.images.edit(model="flux-kontext-pro", image=PICTURE, mask=PICTURE, prompt="Blue")


def test_edits_as_json(gateway: Serving, poe: Emulator) -> None:
    body = {
        "model": "flux-kontext-pro",
        "prompt": "Blue",
        "images": [{"image_url": "https://example.org/raven.png"}, base64.b64encode(PICTURE).decode()],
    }
    assert gateway.ask("POST", "/v1/images/edits", body).status == 200
    parts = sent(poe)["messages"][0]["content"]
    assert parts[1]["image_url"]["url"] == "https://example.org/raven.png", "an address is passed on where it is taken"


def test_data_urls_in_every_spelling_are_files(gateway: Serving, poe: Emulator) -> None:
    plain = "".join(f"%{byte:02x}" for byte in PICTURE)
    for url in (f"Data:image/png;BASE64,{base64.b64encode(PICTURE).decode()}", f"data:image/png,{plain}"):
        body = {"model": "flux-kontext-pro", "prompt": "Blue", "image": url}
        assert gateway.ask("POST", "/v1/images/edits", body).status == 200
        [_, shown] = sent(poe)["messages"][0]["content"]
        assert shown["image_url"]["url"] == f"data:image/png;base64,{base64.b64encode(PICTURE).decode()}"
    for url in ("data:image/png;base64", "data:image/png;base64,!!", "data:", "data:,", "DATA:image/png;base64,a"):
        found = gateway.ask("POST", "/v1/images/edits", {"model": "flux-kontext-pro", "prompt": "Blue", "image": url})
        assert (found.status, found.error["param"]) == (400, "image"), url


def test_what_has_no_counterpart_is_an_error_that_names_what_has(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match=r"it takes aspect_ratio \(16:9") as caught:
        client.images.generate(model="imagen-4-fast", prompt="A raven", quality="high")
    assert caught.value.param == "quality"
    assert caught.value.type == "unsupported_params"


# Sounds


def test_speech_and_its_transcript(client: openai.OpenAI, poe: Emulator, tmp_path: Path) -> None:
    spoken = client.audio.speech.with_raw_response.create(
        model="sonic-3.0", input="Quoth the raven", voice="tessa", response_format="wav"
    )
    assert spoken.headers["content-type"] == "audio/wav"
    assert spoken.headers["x-quoth-cost-usd"] == "0.006000000"
    path = tmp_path / "raven.wav"
    path.write_bytes(spoken.content)
    with path.open("rb") as recording:
        heard = client.audio.transcriptions.create(model="whisper-v3-large-t", file=recording)
    assert heard.text == "Quoth the raven"
    text = client.audio.transcriptions.create(model="cartesia-ink-whisper", file=path, response_format="text")
    assert str(text).strip() == "Quoth the raven"
    with pytest.raises(openai.BadRequestError, match="json or text"):
        client.audio.transcriptions.create(model="whisper-v3-large-t", file=path, response_format="srt")


def test_speech_by_the_native_endpoint(client: openai.OpenAI, poe: Emulator) -> None:
    spoken = client.audio.speech.create(model="elevenlabs-v3", input="Nevermore", voice="Amy")
    assert sniffed(spoken.read()[:HEAD]) == "audio/wav"
    assert (poe.requests[-1].path, sent(poe)["voice_1"]) == ("/v1/audio", "Amy")


def test_a_voice_of_openais_is_one_of_the_models(client: openai.OpenAI) -> None:
    spoken = client.audio.speech.with_raw_response.create(model="sonic-3.0", input="Nevermore", voice="alloy")
    assert "nearest" in spoken.headers["x-quoth-warnings"]
    # Its client cannot leave a voice out, and music has none.
    spoken = client.audio.speech.with_raw_response.create(model="lyria-3", input="A dirge", voice="alloy")
    assert spoken.headers["x-quoth-warnings"] == "mapped"
    with pytest.raises(openai.BadRequestError, match="it takes full_song"):
        client.audio.speech.create(model="lyria-3", input="A dirge", voice="Amy")


# Films


def test_a_film_of_a_provider(client: openai.OpenAI, poe: Emulator) -> None:
    film = client.videos.create(model="sora-2", prompt="A raven", seconds="4", size="1280x720")
    assert (film.status, film.model) == ("queued", "sora-2")
    assert film.id.startswith("video_")
    assert client.videos.retrieve(film.id).status == "completed"
    assert sniffed(client.videos.download_content(film.id).read()[:HEAD]) == "video/mp4"
    still = client.videos.download_content(film.id, variant="thumbnail")
    assert still.response.headers["content-type"] == "image/webp"
    again = client.videos.remix(film.id, prompt="At night")
    assert again.id != film.id
    assert again.remixed_from_video_id == film.id


def test_a_film_begins_from_a_picture(client: openai.OpenAI, poe: Emulator) -> None:
    client.videos.create(model="veo-3.1-fast", prompt="It flies", input_reference=("raven.png", PICTURE))
    assert base64.b64decode(sent(poe)["input_image"]) == PICTURE


def test_a_part_of_a_film(client: openai.OpenAI, gateway: Serving) -> None:
    film = client.videos.create(model="sora-2", prompt="A raven")
    path = f"/v1/videos/{film.id}/content"
    part = gateway.get(path, {"range": "bytes=0-99"})
    assert (part.status, len(part.body), part.headers["content-range"][:10]) == (206, 100, "bytes 0-99")


def test_a_film_over_chat_is_a_job(client: openai.OpenAI, gateway: Serving, poe: Emulator) -> None:
    film = client.videos.create(model="kling-2.6-pro", prompt="A raven flies")
    assert (film.status, film.progress) == ("queued", 0)
    done = client.videos.poll(film.id, poll_interval_ms=10)
    assert (done.status, done.model, done.progress) == ("completed", "kling-2.6-pro", 100)
    assert done.expires_at is not None
    assert done.completed_at is not None
    assert done.expires_at - done.completed_at == 3600
    assert sniffed(client.videos.download_content(film.id).read()[:HEAD]) == "video/mp4"
    with pytest.raises(openai.BadRequestError, match="no thumbnail"):
        client.videos.download_content(film.id, variant="thumbnail")
    with pytest.raises(openai.BadRequestError, match="models with /v1/videos"):
        client.videos.remix(film.id, prompt="At night")
    assert client.videos.delete(film.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.videos.retrieve(film.id)


def test_what_is_known_to_be_wrong_is_said_before_there_is_a_job(client: openai.OpenAI, gateway: Serving) -> None:
    for model, asked, accepted in (
        ("mochi-preview", {"size": "1280x720"}, "it takes no parameters"),
        ("runway-gen-4.5", {"seconds": "abc"}, r"duration \(5, 8, 10\)"),
        ("sora-2", {"size": "large"}, r"size \(1280x720, 720x1280\)"),
        ("veo-3", {"seconds": "long"}, r"seconds \(4, 6, 8\)"),
    ):
        with pytest.raises(openai.BadRequestError, match=accepted) as caught:
            client.videos.create(model=model, prompt="A raven flies", **asked)  # type: ignore[arg-type]
        assert (caught.value.type, caught.value.param) == ("unsupported_params", next(iter(asked)))
    begun = client.videos.with_raw_response.create(model="runway-gen-4.5", prompt="A raven flies", seconds="12")
    assert begun.headers["x-quoth-warnings"] == "nearest"
    said = {"model": "sora-2", "prompt": "A raven", "input_reference": "http://127.0.0.1/raven.png"}
    assert gateway.ask("POST", "/v1/videos", said).error["param"] == "input_reference"


def test_the_end_of_a_job_is_in_the_log(client: openai.OpenAI, gateway: Serving) -> None:
    film = client.videos.create(model="kling-2.6-pro", prompt="A raven flies")
    client.videos.poll(film.id, poll_interval_ms=10)
    until = time.monotonic() + 10
    while not (lines := [line for line in gateway.lines if line["method"] == "JOB"]):
        assert time.monotonic() < until
        time.sleep(0.01)
    assert (lines[-1]["status"], lines[-1]["route"], lines[-1]["attempts"]) == (200, "/v1/videos", 1)


def test_a_job_that_fails(client: openai.OpenAI, poe: Emulator) -> None:
    poe.faults("status=402; on=/v1/chat")
    try:
        film = client.videos.create(model="kling-2.6-pro", prompt="A raven flies")
        done = client.videos.poll(film.id, poll_interval_ms=10)
    finally:
        poe.faults()
    assert done.status == "failed"
    assert done.error is not None
    assert done.error.code
    with pytest.raises(openai.BadRequestError, match="it is failed"):
        client.videos.download_content(film.id)


def test_ids_are_signed(client: openai.OpenAI) -> None:
    film = client.videos.create(model="sora-2", prompt="A raven")
    inner = film.id.removeprefix("video_")
    other = ("A" if inner[30] != "A" else "B").join((inner[:30], inner[31:]))
    for wrong in (f"video_{other}", "video_123", "x" * 600):
        with pytest.raises(openai.NotFoundError):
            client.videos.retrieve(wrong)


def test_another_replica_answers_and_another_key_does_not(client: openai.OpenAI, poe: Emulator, tmp_path: Path) -> None:
    film = client.videos.create(model="sora-2", prompt="A raven")
    with Serving(tmp_path, models=models_of(poe)) as replica:
        assert replica.get(f"/v1/videos/{film.id}").json["status"] == "completed"
    with Serving(tmp_path, models=models_of(poe), key="sk-another-0123456789abcdef") as stranger:
        assert stranger.get(f"/v1/videos/{film.id}").status == 404


def test_a_lost_job_says_so(poe: Emulator, tmp_path: Path) -> None:
    slow = Emulator(media_delay=60)
    with slow:
        with Serving(tmp_path, models=models_of(slow)) as gateway:
            film = gateway.ask("POST", "/v1/videos", {"model": "kling-2.6-pro", "prompt": "A raven"}).json
            assert gateway.get(f"/v1/videos/{film['id']}").json["status"] == "in_progress"
            with Serving(tmp_path, models=models_of(slow)) as worker:
                assert worker.get(f"/v1/videos/{film['id']}").json["status"] == "in_progress"
            gateway.process.kill()
            gateway.process.wait()
        with Serving(tmp_path, models=models_of(slow)) as again:
            lost = again.get(f"/v1/videos/{film['id']}").json
    assert (lost["status"], lost["error"]["code"]) == ("failed", "interrupted")
    assert "may have been charged" in lost["error"]["message"]


def test_a_job_is_drained(tmp_path: Path) -> None:
    with Emulator(media_delay=1) as slow:
        quoth = {"drain_delay": 0}
        with Serving(tmp_path, models=models_of(slow), quoth=quoth) as gateway:
            film = gateway.ask("POST", "/v1/videos", {"model": "kling-2.6-pro", "prompt": "A raven"}).json
            assert gateway.stop() == 0
        with Serving(tmp_path, models=models_of(slow), quoth=quoth) as again:
            assert again.get(f"/v1/videos/{film['id']}").json["status"] == "completed"


def test_a_job_that_is_not_done_in_time_says_so(tmp_path: Path) -> None:
    with Emulator(media_delay=60) as slow:
        quoth = {"drain_delay": 0, "drain_timeout": 0.2}
        with Serving(tmp_path, models=models_of(slow), quoth=quoth) as gateway:
            film = gateway.ask("POST", "/v1/videos", {"model": "kling-2.6-pro", "prompt": "A raven"}).json
            assert gateway.stop() == 0
            [line] = [line for line in gateway.lines if line["method"] == "JOB"]
            assert (line["status"], line["error"]) == (503, "interrupted")
        with Serving(tmp_path, models=models_of(slow), quoth=quoth) as again:
            assert again.get(f"/v1/videos/{film['id']}").json["error"]["code"] == "interrupted"


# What is not a usable request


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/images/generations", {"model": "imagen-4"}, "prompt"),
        ("/v1/images/generations", {"prompt": "A raven"}, "model"),
        ("/v1/images/generations", {"model": "imagen-4", "prompt": ""}, "prompt"),
        ("/v1/images/generations", {"model": "imagen-4", "prompt": "x", "response_format": "png"}, "response_format"),
        ("/v1/images/generations", {"model": "imagen-4", "prompt": "x", "stream": True}, "stream"),
        ("/v1/images/edits", {"model": "imagen-4", "prompt": "x"}, "image"),
        ("/v1/images/edits", {"model": "imagen-4", "prompt": "x", "image": "!"}, "image"),
        ("/v1/audio/speech", {"model": "sonic-3.0"}, "input"),
        ("/v1/audio/transcriptions", {"model": "whisper-v3-large-t"}, "file"),
        ("/v1/videos", {"model": "sora-2"}, "prompt"),
        ("/v1/videos", {"model": "sora-2", "prompt": "x", "api_base": "http://evil"}, "api_base"),
    ],
)
def test_what_is_wrong_is_named(gateway: Serving, path: str, body: dict[str, Any], param: str) -> None:
    answer = gateway.ask("POST", path, body)
    assert (answer.status, answer.error["param"]) == (400, param)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"--x\r\n"),
        ("multipart/form-data; boundary=x", b"no form"),
        ("multipart/form-data; boundary=x", b"--x\r\ncontent-disposition: form-data\r\n\r\n1\r\n--x--\r\n"),
        ("multipart/form-data; boundary=x", b'--x\r\ncontent-disposition: form-data; name="model"\r\n\r\n1\r\n'),
        ("multipart/form-data; boundary=x", b"--x\r\n" + b"a" * 40_000),
    ],
)
def test_forms_that_are_none(gateway: Serving, kind: str, body: bytes) -> None:
    answer = gateway.ask("POST", "/v1/images/edits", body, {"content-type": kind})
    assert answer.status == 400, answer.body


def test_a_file_that_is_too_large(poe: Emulator, tmp_path: Path) -> None:
    limited = Serving(tmp_path, models=models_of(poe), quoth={"server": {"file_limit": "1MiB"}})
    with limited as gateway, openai.OpenAI(base_url=gateway.url, api_key=KEY, max_retries=0) as client:
        with pytest.raises(openai.APIStatusError) as caught:
            client.images.edit(model="gpt-image-1", image=PICTURE + bytes(2 << 20), prompt="Blue")
        assert caught.value.status_code == 413
        client.images.edit(model="gpt-image-1", image=PICTURE + bytes(1 << 19), prompt="Blue")


def test_nothing_without_a_key(gateway: Serving) -> None:
    for path in ("/v1/images/generations", "/v1/images/edits", "/v1/audio/speech", "/v1/audio/transcriptions"):
        assert gateway.ask("POST", path, {}, {"authorization": "Bearer wrong"}).status == 401
    for path in ("/v1/videos/video_1", "/v1/videos/video_1/content"):
        assert gateway.get(path, {"authorization": "Bearer wrong"}).status == 401


def test_the_same_request_once(gateway: Serving, poe: Emulator) -> None:
    body = {"model": "imagen-4-fast", "prompt": "A raven"}
    first = gateway.ask("POST", "/v1/images/generations", body, {"idempotency-key": "raven-1"})
    count = len(poe.requests)
    second = gateway.ask("POST", "/v1/images/generations", body, {"idempotency-key": "raven-1"})
    assert (second.body, len(poe.requests)) == (first.body, count)
    assert json.loads(first.body)["data"][0]["url"]


def test_the_same_words_for_another_film_are_another_request(client: openai.OpenAI, gateway: Serving) -> None:
    body = {"prompt": "At night"}
    key = {"idempotency-key": "night-1"}
    films = [client.videos.create(model="sora-2", prompt=f"Raven {n}").id for n in (1, 2)]
    answers = [gateway.ask("POST", f"/v1/videos/{film}/remix", body, key) for film in films]
    assert [answer.status for answer in answers] == [200, 422]
    assert json.loads(answers[0].body)["remixed_from_video_id"] == films[0]
