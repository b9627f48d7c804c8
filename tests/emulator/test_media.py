"""Pictures, films and sounds: they are what they claim, of the size and length asked for, and served as files are."""

from __future__ import annotations

import base64
import io
import re
import subprocess
import sys
import time
import wave
from typing import Any

import pytest
from PIL import Image

from quoth.emulator import Emulator
from quoth.emulator.films import SHAPES, nearest
from quoth.emulator.pictures import Picture, png
from quoth.emulator.sounds import Sound, text_in, wav
from quoth.providers.catalogue import ModelFacts, shipped
from tests.emulator import demux
from tests.emulator.client import Reply, chat, connected, read_all, request

MEDIA = [model for model in shipped() if model.makes_media and "whisper" not in model.id]
KINDS = ("image", "video", "audio")
TYPES = {"image": "image/png", "video": "video/mp4", "audio": "audio/wav"}


def urls(text: str) -> list[str]:
    return list(dict.fromkeys(re.findall(r"http://[^\s)]+", text)))


def get(emulator: Emulator, url: str, method: str = "GET", **headers: str) -> Reply:
    assert url.startswith(emulator.origin)
    return request(emulator, method, url.removeprefix(emulator.origin), key=None, **headers)


def made(emulator: Emulator, model: str, prompt: str = "A red fox", **parameters: Any) -> bytes:
    """The file that a bot makes of a prompt."""
    reply = chat(emulator, prompt, model=model, **parameters)
    assert reply.status == 200, reply.raw
    file = get(emulator, urls(reply.text)[0])
    assert file.status == 200
    return file.raw


def picture(emulator: Emulator, model: str, **parameters: Any) -> Image.Image:
    image = Image.open(io.BytesIO(made(emulator, model, **parameters)))
    image.load()
    return image


def sound(data: bytes) -> tuple[int, float]:
    """Samples a second and seconds."""
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        assert len(file.readframes(file.getnframes())) == 2 * file.getnframes()
        return file.getframerate(), file.getnframes() / file.getframerate()


@pytest.mark.parametrize("model", MEDIA, ids=lambda model: model.id)
def test_every_media_bot_makes_what_it_says(emulator: Emulator, model: ModelFacts) -> None:
    kind = next(kind for kind in KINDS if kind in model.output_modalities)
    reply = chat(emulator, "Draw a red fox", model=model.id)
    (url,) = urls(reply.text)
    assert re.fullmatch(rf"{emulator.origin}/base/{kind}/[0-9a-f]{{64}}(\?w=\d+&h=\d+)?", url)
    head = get(emulator, url, "HEAD")
    assert (head.status, head.raw, head.headers["content-type"]) == (200, b"", TYPES[kind])
    assert int(head.headers["content-length"]) > 1_000


# Pictures


@pytest.mark.parametrize(
    ("model", "parameters", "size"),
    [
        ("gpt-image-1", {}, (1024, 1024)),
        ("gpt-image-1", {"aspect": "3:2"}, (1254, 836)),
        ("gpt-image-1", {"aspect": "2:3"}, (836, 1254)),
        ("dall-e-3", {"extra_body": {"aspect": "7:4"}}, (1358, 776)),
        ("imagen-4", {"aspect_ratio": "9:16"}, (765, 1360)),
        ("seedream-4.0", {}, (1184, 888)),
        ("grok-imagine-image", {"aspect": "19.5:9"}, (1508, 696)),
        ("nano-banana-pro", {"aspect_ratio": "16:9", "image_size": "2K"}, (2736, 1539)),
        ("hunyuan-image-3", {"size": "768x1024"}, (768, 1024)),
        ("qwen-image", {"size": "1280*720"}, (1280, 720)),
        ("flux-dev-di", {"width": 640, "height": 480}, (640, 480)),
        ("retro-diffusion-core", {}, (256, 256)),
        ("qwen-image-2.0", {"custom_width": "800"}, (1024, 1024)),
        ("qwen-image-2.0", {"use_custom_size": True, "custom_width": "800", "custom_height": "600"}, (800, 600)),
        ("kling-image-o1", {"aspect": "auto", "resolution": "2K"}, (2048, 2048)),
        ("amazon-nova-canvas", {"aspect_ratio": "1:4"}, (512, 2048)),
    ],
)
def test_a_picture_has_the_size_that_was_asked_for(
    emulator: Emulator, model: str, parameters: dict[str, Any], size: tuple[int, int]
) -> None:
    reply = chat(emulator, "A red fox", model=model, **parameters)
    (url,) = urls(reply.text)
    assert url.endswith(f"?w={size[0]}&h={size[1]}")
    image = Image.open(io.BytesIO(get(emulator, url).raw))
    image.load()
    assert (image.format, image.size) == ("PNG", size)


def test_the_prompt_is_on_the_picture_and_in_it(emulator: Emulator) -> None:
    one, other = (picture(emulator, "gpt-image-1", prompt=prompt) for prompt in ("A red fox", "A blue whale"))
    assert one.info["Description"] == "A red fox"
    assert one.info["Title"] == "[emulated GPT-Image-1]"
    assert "no model" in one.info["Software"]
    white = [image.convert("L").point(lambda value: 255 if value > 250 else 0) for image in (one, other)]
    boxes = [image.getbbox() for image in white]
    assert None not in boxes
    assert white[0].tobytes() != white[1].tobytes(), "other words"


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "x" * 5000,
        "日本語 🦊 é",
        "a\0b",
        "line\nline\n" * 500,
        "[x](y) ](",
        "\ud800".encode("utf-8", "replace").decode(),
    ],
)
def test_any_prompt_can_be_drawn_and_said(emulator: Emulator, prompt: str) -> None:
    assert picture(emulator, "gpt-image-1", prompt=prompt).size == (1024, 1024)
    data = made(emulator, "elevenlabs-v2.5-turbo", prompt)
    assert sound(data)[1] >= 0.3
    assert text_in(data) == prompt.replace("\0", " ")


def test_several_pictures(emulator: Emulator) -> None:
    text = chat(emulator, "A red fox", model="hunyuan-image-3", num_images=3).text
    found = urls(text)
    assert len(found) == 3
    assert text == "\n\n".join(f"![A red fox.png]({url})" for url in found) + "\n\n" + "\n".join(found)
    assert len({get(emulator, url).raw for url in found}) == 3


@pytest.mark.parametrize(
    ("prompt", "parameters", "draws"),
    [
        ("What is 17 * 19?", {}, False),
        ("Say hello in exactly 3 words", {}, False),
        ("How are you?", {}, False),
        ("A red fox in the snow", {}, True),
        ("Draw what 2 + 2 looks like", {}, True),
        ("Can you make a picture of a fox?", {}, True),
        ("What is 17 * 19?", {"image_only": True}, True),
    ],
)
@pytest.mark.parametrize("model", ["nano-banana", "Nano-Banana-Pro"])
def test_nano_banana_draws_when_it_is_asked_to(
    emulator: Emulator, model: str, prompt: str, parameters: dict[str, Any], draws: bool
) -> None:
    assert chat(emulator, prompt, model=model, **parameters).text.startswith("![") == draws
    assert chat(emulator, prompt, model="gpt-image-1").text.startswith("![")


def test_a_picture_without_pillow_is_plain_and_valid() -> None:
    script = (
        "import sys; sys.modules['PIL'] = None\n"
        "from quoth.emulator.pictures import Picture, png\n"
        "sys.stdout.buffer.write(png(Picture(320, 200, 'title', 'A red fox')))"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, check=True)
    plain = Image.open(io.BytesIO(done.stdout))
    plain.load()
    assert (plain.size, plain.info["Description"]) == ((320, 200), "A red fox")
    assert done.stdout == png(Picture(320, 200, "title", "A red fox"), lettered=False)
    assert done.stdout != png(Picture(320, 200, "title", "A red fox"))


@pytest.mark.parametrize("size", [(16, 16), (16, 4096), (4096, 16), (50, 40), (4096, 4096)])
def test_pictures_of_all_sizes(size: tuple[int, int]) -> None:
    image = Image.open(io.BytesIO(png(Picture(*size, "title", "A red fox " * 30))))
    image.load()
    assert image.size == size


# Films


@pytest.mark.parametrize(
    ("model", "parameters", "shape", "seconds"),
    [
        ("veo-3", {}, "landscape", 8),
        ("veo-3", {"aspect_ratio": "9:16", "duration": "4"}, "portrait", 4),
        ("sora-2", {}, "portrait", 4),
        ("sora-2", {"size": "1280x720", "duration": "12"}, "landscape", 12),
        ("kling-v3", {"aspect": "1:1", "duration": "7"}, "square", 7),
        ("ray2", {"duration": "9s", "aspect_ratio": "9:21"}, "portrait", 9),
        ("moss-video-and-audio", {"aspect_ratio": "portrait"}, "portrait", 4),
        ("amazon-nova-reel-1.1", {"duration": 120}, "landscape", 120),
        ("svi-2.0-pro", {"resolution": "480x832", "duration": 40.5}, "portrait", 40.5),
        ("hailuo-02", {}, "landscape", 5),
        ("seedance-1.0-pro", {"aspect": "4:3"}, "square", 5),
    ],
)
def test_a_film_has_the_shape_and_length_that_was_asked_for(
    emulator: Emulator, model: str, parameters: dict[str, Any], shape: str, seconds: float
) -> None:
    film = demux.video(made(emulator, model, **parameters))
    assert (film.width, film.height) == SHAPES[shape]
    assert film.seconds == pytest.approx(seconds, rel=1e-3)
    assert film.track_seconds == pytest.approx(seconds, rel=1e-3)
    assert film.brand == b"isom"
    assert len(film.samples) == 48
    assert demux.is_playable(film)


def test_the_nearest_shape() -> None:
    assert [nearest(*size) for size in ((16, 9), (9, 16), (1, 1), (3, 2), (2, 3), (21, 9), (5, 4))] == [
        "landscape", "portrait", "square", "landscape", "portrait", "landscape", "square",
    ]  # fmt: skip


# Sounds


def test_a_voice_takes_as_long_as_its_text(emulator: Emulator) -> None:
    short, long = (sound(made(emulator, "elevenlabs-v3", "hello there " * times))[1] for times in (2, 20))
    assert long == pytest.approx(10 * short, rel=0.05)
    usual, fast = (sound(made(emulator, "hailuo-speech-02", "hello there " * 9, speed=speed))[1] for speed in (1, 2))
    assert usual == pytest.approx(2 * fast, rel=0.01)


def test_rate_and_length_as_asked_for(emulator: Emulator) -> None:
    assert sound(made(emulator, "minimax-speech-2.8", sample_rate="44100", extra_body={"model": "hd"}))[0] == 44_100
    assert sound(made(emulator, "elevenlabs-music", music_length_ms=12_000))[1] == pytest.approx(12)
    assert sound(made(emulator, "stable-audio-2.5", duration=30))[1] == pytest.approx(30)
    assert sound(made(emulator, "lyria"))[1] < 10


def test_a_sound_is_not_silence() -> None:
    with wave.open(io.BytesIO(wav(Sound("hello there", "voice")))) as file:
        frames = file.readframes(file.getnframes())
    samples = memoryview(frames).cast("h")
    assert 5_000 < max(samples) < 32_000
    assert min(samples) < -5_000
    assert abs(samples[0]) < 100, "it begins without a click"


# Transcribers and attachments


def data_url(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def with_file(data: bytes, media_type: str = "audio/wav", name: str = "a.wav") -> list[dict[str, Any]]:
    part = {"type": "file", "file": {"filename": name, "file_data": data_url(media_type, data)}}
    return [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, part]}]


@pytest.mark.parametrize("model", ["Whisper-V3-Large-T", "Cartesia-Ink-Whisper", "Deepgram-Nova-3"])
def test_a_transcriber_hears_what_the_emulator_says(emulator: Emulator, model: str) -> None:
    words = "The quick brown fox – naïve, 日本."
    spoken = made(emulator, "elevenlabs-v3", words)
    assert chat(emulator, with_file(spoken), model=model).text == words
    assert "Only sounds that the emulator made" in chat(emulator, with_file(b"ID3\4", "audio/mpeg"), model=model).text
    assert "nothing to hear in this: 'a.wav', a text/plain of 2 characters" in (
        chat(emulator, with_file(b"hi", "text/plain"), model=model).text
    )
    assert "No audio file came" in chat(emulator, "Hello", model=model).text
    head, sep, rest = spoken.partition(b"Quoth emulator")
    assert "an audio/wav of" in chat(emulator, with_file(head + b"Some other app" + rest), model=model).text
    assert sep


def encoded(form: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (640, 480)).save(file, form)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "declared", "expected"),
    [
        (encoded("PNG"), "image/png", "an image/png of 640x480 ("),
        (encoded("JPEG"), "image/jpeg", "an image/jpeg of 640x480 ("),
        (encoded("GIF"), "image/gif", "an image/gif of 640x480 ("),
        (encoded("WEBP"), "image/webp", "an image/webp of 640x480 ("),
        (encoded("PNG"), "image/jpeg", "an image/png of 640x480 ("),
        (encoded("PNG"), "text/plain", "), declared as text/plain."),
        (b"%PDF-1.7 ...", "application/pdf", "an application/pdf (12 bytes)"),
        (b"\x00\x00\x00\x18ftypmp42", "video/mp4", "a video/mp4 (12 bytes)"),
        ("Grüße".encode(), "text/markdown", "a text/markdown of 5 characters (7 bytes)"),
        (b"\x00\xff\x01", "application/x-thing", "an application/x-thing (3 bytes)"),
        (wav(Sound("Hello", "voice")), "audio/wav", "that says: Hello"),
        (b"\xff\xd8\xff\xe0\x00", "image/jpeg", "an image/jpeg (5 bytes)"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp", "an image/webp (16 bytes)"),
        (b"RIFF\0\0\0\0WAVEfmt ", "audio/wav", "an audio/wav (16 bytes)"),
        (b"", "image/png", "nothing (0 bytes)"),
    ],
)
def test_attachments_are_recognised_by_their_bytes(
    emulator: Emulator, data: bytes, declared: str, expected: str
) -> None:
    assert expected in chat(emulator, with_file(data, declared)).text
    image = [{"type": "image_url", "image_url": {"url": data_url(declared, data)}}]
    text = chat(emulator, [{"role": "user", "content": image}]).text
    assert "1 image: " in text
    assert expected in text


def test_several_attachments_and_addresses(emulator: Emulator) -> None:
    content = [
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,%%%"}},
        {"type": "file", "file": {"file_data": "data:,hello%20there"}},
        {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
    ]
    text = chat(emulator, [{"role": "user", "content": content}]).text
    assert "With it came 2 images and 1 file: the address https://example.com/a.png; nothing (0 bytes); " in text
    assert "a text/plain of 11 characters (11 bytes)" in text


# Streams


def deltas(reply: Reply) -> list[str]:
    return [chunk["choices"][0]["delta"].get("content", "") for chunk in reply.chunks if chunk["choices"]]


def test_a_stream_tells_of_progress_first(emulator: Emulator) -> None:
    texts = [text for text in deltas(chat(emulator, "A red fox", model="gpt-image-1", stream=True)) if text]
    assert texts[:3] == [f"Generating image ({seconds}s elapsed)\n" for seconds in (1, 2, 3)]
    assert texts[-1].startswith("![A red fox.png](http://")
    assert get(emulator, urls(texts[-1])[0]).status == 200
    assert "Generating" not in chat(emulator, "A red fox", model="gpt-image-1").text
    assert "Generating video" in "".join(deltas(chat(emulator, "A red fox", model="veo-3", stream=True)))


def test_progress_is_a_switch_and_media_may_take_long() -> None:
    with Emulator(token_delay=0, media_progress=False, media_delay=0.2) as slow:
        for stream in (False, True):
            started = time.monotonic()
            reply = chat(slow, "A red fox", model="gpt-image-1", stream=stream)
            assert time.monotonic() - started >= 0.2
            assert b"Generating" not in reply.raw
        assert deltas(reply)[1].startswith("![")
        started = time.monotonic()
        chat(slow)
        assert time.monotonic() - started < 0.2


# Serving


@pytest.fixture
def url(emulator: Emulator) -> str:
    return urls(chat(emulator, "Hello there", model="elevenlabs-v3").text)[0]


def test_the_same_request_is_the_same_bytes_elsewhere(emulator: Emulator) -> None:
    for model in ("gpt-image-1", "veo-3", "elevenlabs-v3"):
        found = [urls(chat(emulator, "A red fox", model=model).text)[0] for _ in range(2)]
        assert found[0] != found[1]
        assert get(emulator, found[0]).raw == get(emulator, found[1]).raw
    emulator.clear()
    assert urls(chat(emulator, "A red fox", model="gpt-image-1").text) != []
    assert get(emulator, found[0]).status == 404


def test_ranges(emulator: Emulator, url: str) -> None:
    whole = get(emulator, url)
    size, tag = len(whole.raw), whole.headers["etag"]
    assert whole.headers["accept-ranges"] == "bytes"
    for asked, start, end in (
        ("bytes=0-9", 0, 10),
        ("bytes=10-", 10, size),
        ("bytes=-7", size - 7, size),
        (f"bytes={size - 1}-{size + 99}", size - 1, size),
        (f"bytes=-{size * 2}", 0, size),
    ):
        part = get(emulator, url, Range=asked, If_Range=tag)
        assert (part.status, part.raw) == (206, whole.raw[start:end])
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
    beyond = get(emulator, url, Range=f"bytes={size}-")
    assert (beyond.status, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    assert get(emulator, url, Range="bytes=-0").status == 416
    for asked in ("bytes=5-2", "bytes=-", "bytes=0-1,4-5", "lines=1-2", "bytes=x"):
        assert (get(emulator, url, Range=asked).status, get(emulator, url, Range=asked).raw) == (200, whole.raw)
    assert get(emulator, url, Range="bytes=0-9", If_Range='"other"').status == 200
    head = get(emulator, url, "HEAD", Range="bytes=0-9")
    assert (head.status, head.raw, head.headers["content-length"]) == (206, b"", "10")


def test_an_etag_saves_the_way(emulator: Emulator, url: str) -> None:
    tag = get(emulator, url).headers["etag"]
    for known in (tag, f'W/{tag}, "x"', "*"):
        unchanged = get(emulator, url, If_None_Match=known)
        assert (unchanged.status, unchanged.raw, unchanged.headers["etag"]) == (304, b"", tag)
    assert get(emulator, url, If_None_Match='"x"').status == 200


def test_what_was_not_given_out_is_not_found(emulator: Emulator, url: str) -> None:
    for path in (f"/base/image/{'0' * 64}", "/base/", "/base/audio/../../etc/passwd", "/base/zip/1"):
        reply = request(emulator, "GET", path, key=None)
        assert (reply.status, reply.raw) == (404, b"Not Found")
    wrong = get(emulator, url, "POST")
    assert (wrong.status, wrong.headers["allow"]) == (405, "GET, HEAD")
    preflight = get(emulator, url, "OPTIONS")
    assert (preflight.status, preflight.headers["access-control-allow-origin"]) == (204, "*")


def test_files_can_be_kept_from_python() -> None:
    with Emulator(token_delay=0, browser_only=True) as picky:
        (url,) = urls(chat(picky, "Hello there", model="elevenlabs-v3").text)
        for agent in ("Python-urllib/3.12", "python-requests/2.32", "python-httpx/0.28", "Python/3.12 aiohttp/3.11"):
            refused = get(picky, url, User_Agent=agent)
            assert (refused.status, refused.raw) == (403, b"error code: 1010")
        assert get(picky, url).status == 403, "no user agent at all"
        assert get(picky, url, User_Agent="Mozilla/5.0 (X11; Linux x86_64)").status == 200
        assert chat(picky).status == 200


def test_faults_work_on_files(emulator: Emulator, url: str) -> None:
    emulator.faults("fin=after:1000; on=/base/")
    path = url.removeprefix(emulator.origin)
    with connected(emulator) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        head, _, body = read_all(sock).partition(b"\r\n\r\n")
    assert len(body) == 1000
    assert b"200 OK" in head
    emulator.faults("status=503; on=/base/")
    assert get(emulator, url).status == 503
    assert chat(emulator).status == 200


def test_addresses_bear_the_name_by_which_the_client_came(emulator: Emulator) -> None:
    body = b'{"model": "veo-3", "messages": [{"role": "user", "content": "x"}]}'
    head = f"POST /v1/chat/completions HTTP/1.1\r\nAuthorization: Bearer k\r\nContent-Length: {len(body)}\r\n"
    for host, origin in (
        ("Host: poe.test:8100\r\n", "http://poe.test:8100"),
        ("Host: [::1]:8100\r\n", "http://[::1]:8100"),
        ("Host: x/../y\r\n", emulator.origin),
        ("", emulator.origin),
    ):
        with connected(emulator) as sock:
            sock.sendall(f"{head}{host}Connection: close\r\n\r\n".encode() + body)
            assert f'"content":"{origin}/base/video/'.encode() in read_all(sock)
    with Emulator(token_delay=0, media_origin="https://files.test") as other:
        assert chat(other, model="veo-3").text.startswith("https://files.test/base/video/")


def test_a_large_picture_holds_nobody_up(emulator: Emulator) -> None:
    parameters: dict[str, Any] = {"image_size": "4K", "aspect_ratio": "1:1", "image_only": True}
    (url,) = urls(chat(emulator, "A red fox", model="nano-banana-pro", **parameters).text)
    with connected(emulator) as sock:
        path = url.removeprefix(emulator.origin)
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())
        assert chat(emulator, "17 * 19").status == 200
        data = read_all(sock).partition(b"\r\n\r\n")[2]
    assert Image.open(io.BytesIO(data)).size == (4096, 4096)
