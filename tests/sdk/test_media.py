"""Answers of media bots: what they hold, asked for whole or as a stream."""

from __future__ import annotations

from typing import Any

import pytest

from quoth.emulator import Emulator

RAVEN = [{"role": "user", "content": "Draw a raven"}]
BOTS = [
    ("poe/Imagen-4-Fast", "image"),
    ("poe/Nano-Banana", "image"),
    ("poe/Veo-3", "video"),
    ("poe/Sonic-3.0", "audio"),
]
pytestmark = pytest.mark.usefixtures("emulator")


@pytest.mark.parametrize(("model", "kind"), BOTS)
def test_media_stand_beside_the_content(complete: Any, model: str, kind: str) -> None:
    message = complete(model, RAVEN).choices[0].message
    [media] = message.media
    assert media.kind == kind
    assert media.url in message.content
    assert ("raven" in media.alt) == (kind == "image")


@pytest.mark.parametrize(("model", "kind"), BOTS)
def test_a_stream_is_one_chunk_without_progress(complete: Any, emulator: Emulator, model: str, kind: str) -> None:
    chunks, stream = complete.stream(model, RAVEN, stream_options={"include_usage": True})
    body = emulator.requests[-1].body
    assert isinstance(body, dict)
    assert not body.get("stream")
    assert "stream_options" not in body
    assert [bool(chunk.choices[0].delta.content) for chunk in chunks] == [True]
    assert "Generating" not in chunks[0].choices[0].delta.content
    assert [media.kind for media in stream.response.choices[0].message.media] == [kind]
    assert [warning.code for warning in stream.warnings] == ["media_not_streamed"]
    assert stream.usage is not None


def test_models_of_text_are_streamed(complete: Any, emulator: Emulator) -> None:
    chunks, stream = complete.stream("poe/Grok-4", RAVEN)
    assert len(chunks) > 1
    assert not stream.warnings
    assert stream.response.choices[0].message.media == []
