"""Answers about pictures, sound and films, as their bytes say them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from quoth.media import Media
from quoth.wire import audio, images, videos
from quoth.wire.openai_chat import Unreadable, UpstreamError

WAV = b"RIFF\0\0\0\0WAVE" + bytes(60)


def test_pictures_keep_what_nobody_knows() -> None:
    raw = {"created": 1, "data": [{"url": "https://example.org/r.png", "x_more": 1}], "x_more": {"a": None}}
    assert images.parse(json.dumps(raw).encode()).model_dump() == raw


def test_a_field_of_the_wrong_type_is_not_the_end() -> None:
    found = images.parse(b'{"created": "soon", "data": [{"b64_json": "eA=="}]}')
    assert (found.created, found.data[0].b64_json) == (None, "eA==")


@pytest.mark.parametrize("raw", [b"", b"<html>", b"[]", b"{}", b'{"data": []}', b'{"data": [{}]}', b'{"data": 1}'])
def test_what_is_no_picture(raw: bytes) -> None:
    with pytest.raises(Unreadable):
        images.parse(raw)


@pytest.mark.parametrize("error", [{"message": "no", "type": "insufficient_credits"}, "no"])
def test_errors_in_answers(error: Any) -> None:
    raw = json.dumps({"error": error}).encode()
    for parse in (images.parse, videos.parse, lambda raw: audio.spoken(raw, "application/json")):
        with pytest.raises(UpstreamError):
            parse(raw)


def test_a_film_that_failed_is_a_film() -> None:
    raw = b'{"id": "v", "status": "failed", "error": {"code": "c", "message": "no"}}'
    found = videos.parse(raw)
    assert found.error is not None
    assert (found.status, found.error.message) == ("failed", "no")
    with pytest.raises(Unreadable):
        videos.parse(b'{"status": "queued"}')


@pytest.mark.parametrize(
    ("raw", "content_type", "expected"),
    [
        (WAV, "application/octet-stream", (WAV, "audio/wav")),
        (b"\1\2\3", "audio/pcm", (b"\1\2\3", "audio/pcm")),
        (b'{"url": "https://x/y"}', "application/json", ("https://x/y", "")),
        (b'{"data": [{"url": "https://x/y"}]}', "application/json", ("https://x/y", "")),
        (
            json.dumps({"data": [{"b64_json": base64.b64encode(WAV).decode()}]}).encode(),
            "application/json",
            (WAV, "audio/wav"),
        ),
    ],
)
def test_sounds(raw: bytes, content_type: str, expected: tuple[Any, str]) -> None:
    assert audio.spoken(raw, content_type) == expected


def test_what_is_no_sound() -> None:
    for raw in (b"", b"{}", b'{"audio": "!"}', b"<html>"):
        with pytest.raises(Unreadable):
            audio.spoken(raw, "application/json")


def test_transcripts() -> None:
    assert audio.parse_transcription(b'{"text": "hello", "duration": 1.5}', "verbose_json").duration == 1.5
    assert audio.parse_transcription(b"1\nhello\n", "srt").text == "1\nhello\n"
    for raw, kind in ((b"hello", "json"), (b"{}", "json"), (b"\xff", "text")):
        with pytest.raises(Unreadable):
            audio.parse_transcription(raw, kind)


def test_pictures_of_a_chat_answer() -> None:
    found = images.of_media([Media("image", "https://x/y.png"), Media("image", "data:image/png;base64,eA==")], 5)
    assert found.model_dump() == {"created": 5, "data": [{"url": "https://x/y.png"}, {"b64_json": "eA=="}]}
