"""OpenAI's audio: the bytes of speech, and transcripts."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from quoth.results import Transcription
from quoth.wire.documents import decoded, read
from quoth.wire.media_types import HEAD, sniffed
from quoth.wire.openai_chat import Unreadable

__all__ = ["FORMATS", "TEXTS", "parse_transcription", "spoken"]

# Forms of a transcript that are no JSON.
TEXTS = ("text", "srt", "vtt")
# What OpenAI calls a kind of file, and what its first bytes say that it is.
FORMATS = {
    "mp3": ("audio/mpeg",),
    "wav": ("audio/wav",),
    "flac": ("audio/flac",),
    "opus": ("audio/ogg", "video/webm"),
    "aac": ("audio/aac", "audio/mp4", "video/mp4"),
    "pcm": ("audio/pcm",),
}


def spoken(raw: bytes, content_type: str) -> tuple[bytes | str, str]:
    """The sound with its media type, or the address where it is. Raises Unreadable, UpstreamError.

    Of Poe's `/v1/audio` no answer is recorded, so that an address or base64 in JSON is understood too.
    """
    kind = content_type.partition(";")[0].strip().lower()
    found = sniffed(raw[:HEAD])
    if found is not None and found.startswith(("audio/", "video/")):
        return raw, found
    if kind.startswith("audio/") and raw:
        return raw, kind  # PCM has no mark of its own
    document = decoded(raw)
    for place in (document, *(item for item in _listed(document.get("data")) if isinstance(item, dict))):
        for name in ("url", "audio_url"):
            if isinstance(place.get(name), str):
                return place[name], ""
        for name in ("b64_json", "audio", "data"):
            if isinstance(place.get(name), str):
                try:
                    data = base64.b64decode(place[name], validate=True)
                except (binascii.Error, ValueError):
                    continue
                return data, sniffed(data[:HEAD]) or ""
    raise Unreadable("no sound")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def parse_transcription(raw: bytes, response_format: str) -> Transcription:
    """Raises Unreadable, UpstreamError."""
    if response_format in TEXTS:
        try:
            return Transcription(text=raw.decode())
        except UnicodeDecodeError:
            raise Unreadable("it is not UTF-8") from None
    found = read(Transcription, raw)
    if "text" not in found.model_fields_set:
        raise Unreadable("JSON, but without a text")
    return found
