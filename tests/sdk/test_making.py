"""Pictures, speech, transcripts and films: every model that makes them, by the way that it has, in openai's shape."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest

import quoth
from quoth.emulator import Emulator
from quoth.providers.catalogue import known
from quoth.wire.media_types import HEAD, sniffed
from tests.faultserver import FaultServer, Read, Reset, answer, chat, error

FACTS = list(known())
OF_IMAGES = [
    facts.id for facts in FACTS if "image" in facts.output_modalities and "text" not in facts.output_modalities
]
OF_SOUND = [
    facts.id
    for facts in FACTS
    if "audio" in facts.output_modalities and facts.makes_media and "whisper" not in facts.id
]
OF_FILMS = [facts.id for facts in FACTS if facts.output_modalities == ("video",)]
NATIVE = {facts.id: facts.supported_endpoints or () for facts in FACTS}


class Ways:
    """A function of `quoth` by its name, blocking or not."""

    def __init__(self, prefix: str):
        self.prefix = prefix

    def __call__(self, name: str, *arguments: Any, **keywords: Any) -> Any:
        function = getattr(quoth, self.prefix + name)
        return asyncio.run(function(*arguments, **keywords)) if self.prefix else function(*arguments, **keywords)


@pytest.fixture(params=["", "a"], ids=["blocking", "asyncio"])
def call(request: pytest.FixtureRequest) -> Ways:
    return Ways(request.param)


@pytest.fixture
def png(emulator: Emulator) -> bytes:
    made = quoth.image_generation("A raven", "poe/Imagen-4-Fast", response_format="b64_json")
    return base64.b64decode(made.data[0].b64_json or "")


def body(emulator: Emulator) -> dict[str, Any]:
    found = emulator.requests[-1].body
    assert isinstance(found, dict)
    return found


def codes(result: Any) -> list[tuple[str, str | None]]:
    return [(warning.code, warning.param) for warning in result.warnings]


# Every model


def test_every_model_of_images_draws(emulator: Emulator) -> None:
    assert len(OF_IMAGES) > 60
    for model in OF_IMAGES:
        made = quoth.image_generation("Draw a raven", f"poe/{model}")
        assert made.data[0].url or made.data[0].b64_json, model
        assert made.wire == ("images" if "/v1/images" in NATIVE[model] else "openai_chat"), model


def test_every_model_of_sound_speaks(emulator: Emulator) -> None:
    assert len(OF_SOUND) > 10
    for model in OF_SOUND:
        made = quoth.speech(f"poe/{model}", "Nevermore")
        assert sniffed(made.content[:HEAD]) == made.content_type == "audio/wav", model
        assert made.wire == ("audio" if "/v1/audio" in NATIVE[model] else "openai_chat"), model


def test_every_model_of_films_films(emulator: Emulator) -> None:
    assert len(OF_FILMS) > 50
    for model in OF_FILMS:
        made = quoth.video_generation("A raven flies", f"poe/{model}")
        native = "/v1/videos" in NATIVE[model]
        assert made.wire == ("videos" if native else "openai_chat"), model
        assert made.status == ("queued" if native else "completed"), model
        assert made.id.startswith("video_")


# Pictures


def test_an_image_by_the_native_endpoint(call: Ways, emulator: Emulator) -> None:
    made = call("image_generation", "A raven", "poe/GPT-Image-1", size="1000x1500", quality="hd", n=2)
    assert (made.wire, len(made.data)) == ("images", 2)
    assert sniffed(base64.b64decode(made.data[0].b64_json)[:HEAD]) == "image/png"
    assert emulator.requests[-1].path == "/v1/images"
    sent = body(emulator)
    assert (sent["size"], sent["quality"], sent["n"]) == ("1024x1536", "high", 2)
    assert codes(made) == [("nearest", "size")]
    assert made.usage.output_tokens > 0
    assert made.cost.usd is None, "nobody knows what a token of it costs"
    assert [attempt.status_code for attempt in made.attempts] == [200]


def test_a_price_for_the_call_is_known(call: Ways, emulator: Emulator) -> None:
    made = call("image_generation", "A raven", "poe/DALL-E-3", response_format="url")
    assert str(made.cost.usd) == "0.045000000"
    assert made.data[0].media.kind == "image"


def test_images_over_chat(call: Ways, emulator: Emulator) -> None:
    made = call("image_generation", "A raven", "poe/Imagen-4-Fast", size="1792x1024", n=3)
    assert len({image.url for image in made.data}) == 3
    assert body(emulator)["aspect_ratio"] == "16:9"
    assert "size" not in body(emulator)
    assert ("nearest", "size") in codes(made)
    assert made.cost.points == 3 * 462
    assert len(made.attempts) == 3


def test_base64_is_downloaded(call: Ways, emulator: Emulator) -> None:
    made = call("image_generation", "A raven", "poe/Imagen-4-Fast", response_format="b64_json")
    assert sniffed(base64.b64decode(made.data[0].b64_json)[:HEAD]) == "image/png"
    assert made.data[0].url is None
    assert "url" not in made.model_dump()["data"][0]
    assert "authorization" not in emulator.requests[-1].headers, "the key is for the provider alone"


def test_what_has_no_counterpart_is_an_error_that_names_what_has(call: Ways, emulator: Emulator) -> None:
    with pytest.raises(quoth.UnsupportedParamsError, match=r"it takes aspect_ratio \(16:9, 4:3") as caught:
        call("image_generation", "A raven", "poe/Imagen-4-Fast", quality="high")
    assert caught.value.param == "quality"
    assert not emulator.requests
    made = call("image_generation", "A raven", "poe/Imagen-4-Fast", quality="high", drop_params=True)
    assert ("dropped", "quality") in codes(made)
    assert "quality" not in body(emulator)


@pytest.mark.parametrize(("name", "value"), [("quality", "auto"), ("background", "auto"), ("moderation", "auto")])
def test_what_says_nothing_is_no_error(emulator: Emulator, name: str, value: str) -> None:
    quoth.image_generation("A raven", "poe/Imagen-4-Fast", **{name: value})  # type: ignore[arg-type]
    assert name not in body(emulator)


def test_edits(call: Ways, emulator: Emulator, png: bytes, tmp_path: Path) -> None:
    call("image_edit", png, "Make it blue", "poe/GPT-Image-1")
    assert body(emulator)["image"].startswith("data:image/png;base64,")
    path = tmp_path / "raven.png"
    path.write_bytes(png)
    made = call("image_edit", [path, ("two.png", png, "image/png")], "Make it blue", "poe/Flux-Kontext-Pro")
    content = body(emulator)["messages"][0]["content"]
    assert [part["type"] for part in content] == ["text", "image_url", "image_url"]
    assert made.data[0].url
    with pytest.raises(quoth.UnsupportedParamsError, match="takes no mask"):
        call("image_edit", png, "Make it blue", "poe/Flux-Kontext-Pro", mask=png)
    with pytest.raises(quoth.BadRequestError, match="image is missing"):
        call("image_edit", [], "Make it blue", "poe/GPT-Image-1")


def test_an_endpoint_that_is_not_there_is_chat_instead(call: Ways, server: FaultServer) -> None:
    server.play_once(error(404, "no such path"))
    server.play(chat("![raven.png](https://pfst.cf2.poecdn.net/base/image/" + "a" * 64 + ")"))
    made = call("image_generation", "A raven", "poe/GPT-Image-1", api_key="k", api_base=f"{server.url}/v1")
    assert [request.path for request in server.requests] == ["/v1/images", "/v1/chat/completions"]
    assert made.wire == "openai_chat"
    assert ("native_unavailable", None) in codes(made)
    assert [attempt.status_code for attempt in made.attempts] == [404, 200]


# Speech


def test_speech(call: Ways, emulator: Emulator, tmp_path: Path) -> None:
    made = call("speech", "poe/Sonic-3.0", "Nevermore", "alloy", response_format="mp3")
    assert codes(made) == [("nearest", "voice"), ("nearest", "response_format")]
    made.stream_to_file(tmp_path / "raven.wav")
    assert (tmp_path / "raven.wav").read_bytes() == made.read() == b"".join(made.iter_bytes(100))
    assert str(made.cost.usd) == "0.006000000"


def test_speech_by_the_native_endpoint(call: Ways, emulator: Emulator) -> None:
    made = call("speech", "poe/ElevenLabs-v3", "Nevermore", "Amy")
    assert (emulator.requests[-1].path, body(emulator)["input"], body(emulator)["voice_1"]) == (
        "/v1/audio",
        "Nevermore",
        "Amy",
    )
    assert made.content_type == "audio/wav"


def test_a_voice_that_nobody_has_is_an_error_with_those_that_are(call: Ways, emulator: Emulator) -> None:
    with pytest.raises(quoth.UnsupportedParamsError, match=r"voice_1 \(Alexandra, Amy"):
        call("speech", "poe/ElevenLabs-v3", "Nevermore", "Zoltan the Great")


# Transcripts


@pytest.mark.parametrize("model", ["Whisper-V3-Large-T", "Cartesia-Ink-Whisper", "Deepgram-Nova-3"])
def test_transcripts(call: Ways, emulator: Emulator, model: str) -> None:
    sound = quoth.speech("poe/Sonic-3.0", "Quoth the raven").content
    made = call("transcription", f"poe/{model}", ("raven.wav", sound), response_format="text")
    assert made.text == str(made) == "Quoth the raven"
    [part] = body(emulator)["messages"][0]["content"]
    assert part["file"]["filename"] == "raven.wav"


def test_a_model_for_any_purpose_is_told_what_to_do(call: Ways, emulator: Emulator) -> None:
    sound = quoth.speech("poe/Sonic-3.0", "Quoth the raven").content
    call("transcription", "poe/Gemini-2.5-Flash-Lite", sound, language="de", prompt="A poem.", temperature=0)
    text = body(emulator)["messages"][0]["content"][0]["text"]
    assert text.startswith("Write down what is said")
    assert "A poem." in text
    assert "de" in text.split()[-1]
    with pytest.raises(quoth.UnsupportedParamsError, match="json or text"):
        call("transcription", "poe/Gemini-2.5-Flash-Lite", sound, response_format="srt")


def test_languages_are_mapped(call: Ways, emulator: Emulator) -> None:
    sound = quoth.speech("poe/Sonic-3.0", "Quoth the raven").content
    call("transcription", "poe/Cartesia-Ink-Whisper", sound, language="German")
    assert body(emulator)["language"] == "de"


# Films


def test_a_film_from_beginning_to_end(call: Ways, emulator: Emulator, tmp_path: Path) -> None:
    film = call("video_generation", "A raven flies", "poe/Sora-2", seconds=5, size="1920x1080")
    sent = body(emulator)
    assert (sent["seconds"], sent["size"]) == (4, "1280x720")
    assert codes(film) == [("nearest", "size"), ("nearest", "seconds")]
    found = call("video_status", film.id)
    assert (found.status, found.progress, found.id) == ("completed", 100, film.id)
    content = call("video_content", film.id)
    content.stream_to_file(tmp_path / "raven.mp4")
    assert sniffed((tmp_path / "raven.mp4").read_bytes()[:HEAD]) == "video/mp4"
    assert call("video_content", film, variant="thumbnail").content_type == "image/webp"
    again = call("video_remix", film.id, "At night")
    assert (again.status, again.remixed_from_video_id) == ("queued", film.id)


def test_the_bots_own_words_reach_the_native_endpoint(emulator: Emulator) -> None:
    quoth.video_generation("A raven", "poe/Veo-3.1", aspect_ratio="9:16", resolution="1080p", duration="6", silent=True)
    sent = body(emulator)
    assert (sent["size"], sent["seconds"], sent["silent"]) == ("1080x1920", 6, True)
    assert not {"aspect_ratio", "resolution", "duration"} & sent.keys()


def test_a_film_begins_from_a_picture_at_an_address(call: Ways, emulator: Emulator) -> None:
    picture = quoth.image_generation("A raven", "poe/Imagen-4-Fast").data[0].url
    call("video_generation", "It flies", "poe/Veo-3.1-Fast", input_reference=picture)
    assert sniffed(base64.b64decode(body(emulator)["input_image"])[:HEAD]) == "image/png"


def test_a_film_over_chat_is_done_at_once(call: Ways, emulator: Emulator) -> None:
    film = call("video_generation", "A raven flies", "poe/Kling-2.6-Pro", seconds=5)
    assert (film.status, film.progress) == ("completed", 100)
    assert film.url
    assert call("video_status", film.id).url == film.url
    assert call("video_content", film.id).content_type == "video/mp4"
    with pytest.raises(quoth.BadRequestError, match="models with /v1/videos do"):
        call("video_remix", film.id, "At night")
    with pytest.raises(quoth.UnsupportedParamsError, match="no thumbnail"):
        call("video_content", film.id, variant="thumbnail")


def test_a_film_that_is_not_done_has_no_content(call: Ways, emulator: Emulator) -> None:
    emulator.faults("job=stuck")
    film = call("video_generation", "A raven flies", "poe/Sora-2")
    with pytest.raises(quoth.NotFoundError, match="has no content"):
        call("video_content", film.id)


def test_the_clients_have_openais_shape(emulator: Emulator, png: bytes) -> None:
    with quoth.Client(provider="poe") as client:
        assert client.images.generate(model="imagen-4-fast", prompt="A raven").data[0].url
        assert client.images.edit(model="gpt-image-1", image=png, prompt="Blue").data
        sound = client.audio.speech.create(model="sonic-3.0", input="Hello", voice="tessa")
        assert client.audio.transcriptions.create(model="whisper-v3-large-t", file=sound.content).text == "Hello"
        film = client.videos.create_and_poll(model="sora-2", prompt="A raven", poll_interval_ms=1)
        assert film.status == "completed"
        assert client.videos.retrieve(film.id).status == "completed"
        assert client.videos.download_content(film.id, variant="spritesheet").content_type == "image/jpeg"
        assert client.videos.remix(film.id, prompt="At night").id != film.id


def test_the_asyncio_client_has_openais_shape(emulator: Emulator, png: bytes) -> None:
    async def all_of_it() -> None:
        async with quoth.AsyncClient(provider="poe") as client:
            assert (await client.images.generate(model="imagen-4-fast", prompt="A raven")).data[0].url
            assert (await client.images.edit(model="gpt-image-1", image=png, prompt="Blue")).data
            sound = await client.audio.speech.create(model="sonic-3.0", input="Hello", voice="tessa")
            heard = await client.audio.transcriptions.create(model="whisper-v3-large-t", file=sound.content)
            assert heard.text == "Hello"
            film = await client.videos.create_and_poll(model="sora-2", prompt="A raven", poll_interval_ms=1)
            assert (await client.videos.download_content(film.id)).content_type == "video/mp4"
            assert (await client.videos.remix(film.id, prompt="At night")).id != film.id

    asyncio.run(all_of_it())


# Other providers, and what goes wrong


def test_other_providers_have_openais_paths(call: Ways, server: FaultServer, png: bytes) -> None:
    here = {"api_key": "k", "api_base": f"{server.url}/v1"}
    shown = {"created": 1, "data": [{"url": "https://example.org/raven.png"}]}
    server.play_once(answer(json.dumps(shown).encode()))
    assert call("image_generation", "A raven", "custom_openai/dall-e-3", style="vivid", **here).data[0].url
    request = server.requests[-1]
    assert (request.path, json.loads(request.body)) == (
        "/v1/images/generations",
        {"model": "dall-e-3", "style": "vivid", "prompt": "A raven"},
    )
    server.play_once(answer(json.dumps(shown).encode()))
    call("image_edit", png, "Blue", "custom_openai/gpt-image-1", size="1024x1024", **here)
    request = server.requests[-1]
    assert request.path == "/v1/images/edits"
    assert request.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b'name="image"; filename="file.png"' in request.body
    assert b'name="size"\r\n\r\n1024x1024\r\n' in request.body
    assert png in request.body
    server.play_once(answer(b"ID3" + b"\0" * 100, content_type="audio/mpeg"))
    assert call("speech", "custom_openai/tts-1", "Hello", "alloy", **here).content_type == "audio/mpeg"
    assert server.requests[-1].path == "/v1/audio/speech"
    server.play_once(answer(b'{"text": "hello"}'))
    assert call("transcription", "custom_openai/whisper-1", b"RIFF\0\0\0\0WAVE" + b"\0" * 60, **here).text == "hello"
    assert server.requests[-1].path == "/v1/audio/transcriptions"
    server.play_once(answer(b"1\n00:00 --> 00:01\nhello\n"))
    made = call("transcription", "custom_openai/whisper-1", ("a.wav", b"x"), response_format="srt", **here)
    assert made.text.endswith("hello\n")
    server.play_once(answer(b'{"id": "v1", "object": "video", "status": "queued"}'))
    film = call("video_generation", "A raven", "custom_openai/sora-2", **here)
    server.play_once(answer(b'{"id": "v1", "object": "video", "status": "in_progress", "progress": 5}'))
    assert call("video_status", film.id, **here).progress == 5
    assert server.requests[-1].path == "/v1/videos/v1"


def test_openais_paths_as_the_emulator_has_them(call: Ways, png: bytes) -> None:
    with Emulator(openai_media_paths=True) as poe:
        here = {"api_key": "k", "api_base": poe.base_url}
        made = call("image_generation", "A raven", "custom_openai/gpt-image-1", n=2, size="1024x1024", **here)
        assert len(made.data) == 2
        call("image_edit", [png, png], "Blue", "custom_openai/gpt-image-1", n=1, **here)
        assert poe.requests[-1].path == "/v1/images/edits"
        assert call("speech", "custom_openai/elevenlabs-v3", "Hello", "Amy", **here).content_type == "audio/wav"
        film = call("video_generation", "It flies", "custom_openai/sora-2", input_reference=png, **here)
        assert call("video_content", film.id, **here).content_type == "video/mp4"


def test_what_went_out_is_not_sent_again(call: Ways, server: FaultServer) -> None:
    server.play(Read(), Reset())
    for name, arguments in (
        ("image_generation", ("A raven", "poe/GPT-Image-1")),
        ("image_generation", ("A raven", "poe/Imagen-4")),
        ("speech", ("poe/Sonic-3.0", "Hello")),
        ("video_generation", ("A raven", "poe/Sora-2")),
    ):
        before = len(server.requests)
        with pytest.raises(quoth.APIConnectionError, match="may have been charged"):
            call(name, *arguments, api_key="k", api_base=f"{server.url}/v1")
        assert len(server.requests) == before + 1


def test_retries_and_fallbacks(call: Ways, server: FaultServer, emulator: Emulator) -> None:
    server.play(error(503, headers={"retry-after": "0"}))
    made = call(
        "image_generation",
        "A raven",
        "poe/GPT-Image-1",
        api_key="k",
        api_base=f"{server.url}/v1",
        num_retries=1,
        fallbacks=[{"model": "poe/Imagen-4-Fast", "api_base": emulator.base_url}],
    )
    assert [attempt.status_code for attempt in made.attempts] == [503, 503, 200]
    assert made.wire == "openai_chat"


@pytest.mark.parametrize(
    ("script", "kind", "words"),
    [
        (answer(b"<html>"), quoth.BadGatewayError, "cannot be read"),
        (answer(b'{"created": 1, "data": []}'), quoth.BadGatewayError, "without any picture"),
        (
            answer(b'{"error": {"message": "no", "type": "insufficient_credits"}}'),
            quoth.PaymentRequiredError,
            "no",
        ),
        (error(400, "not so"), quoth.BadRequestError, "not so"),
    ],
)
def test_answers_that_are_none(
    call: Ways, server: FaultServer, script: Any, kind: type[quoth.QuothError], words: str
) -> None:
    server.play(script)
    with pytest.raises(kind, match=words):
        call("image_generation", "A raven", "poe/GPT-Image-1", api_key="k", api_base=f"{server.url}/v1")


def test_words_where_a_picture_was_due(call: Ways, server: FaultServer) -> None:
    server.play(chat("I would rather not."))
    with pytest.raises(quoth.BadGatewayError, match="answered without any image: I would rather not"):
        call("image_generation", "A raven", "poe/Imagen-4", api_key="k", api_base=f"{server.url}/v1")
    assert len(server.requests) == 1


def test_what_is_wrong_before_anything_is_sent(call: Ways, emulator: Emulator) -> None:
    with pytest.raises(quoth.BadRequestError, match="prompt"):
        call("image_generation", "", "poe/Imagen-4")
    with pytest.raises(quoth.BadRequestError, match="model is missing"):
        call("image_generation", "A raven")
    with pytest.raises(quoth.BadRequestError, match="video_id is missing"):
        call("video_status", "")
    with pytest.raises(quoth.BadRequestError, match="stream"):
        call("image_generation", "A raven", "poe/Imagen-4", stream=True)
    with pytest.raises(FileNotFoundError):
        call("transcription", "poe/Whisper-V3-Large-T", "/nowhere/raven.wav")
    assert not emulator.requests


def test_a_budget_counts_what_is_made(call: Ways, emulator: Emulator) -> None:
    with quoth.budget(usd=0.05) as spent:
        call("image_generation", "A raven", "poe/DALL-E-3", response_format="url")
        with pytest.raises(quoth.BudgetExceededError):
            call("image_generation", "A raven", "poe/DALL-E-3", response_format="url")
    assert str(spent.spent) == "0.045"
