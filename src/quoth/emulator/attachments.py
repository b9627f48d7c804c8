"""What came with a message: images and files recognised by their bytes, in words, and sounds that can be understood.

Nothing is fetched: an image that is only an address is named as one.
"""

from __future__ import annotations

import base64
import binascii
import struct
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from quoth.emulator.chat_request import ChatRequest
from quoth.emulator.sounds import text_in

__all__ = ["Attachment", "attached", "is_transcriber", "recognised", "transcript"]

_TRANSCRIBERS = ("whisper", "deepgram-nova")
_STARTS = (
    (b"%PDF-", "application/pdf"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xf3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"\x1a\x45\xdf\xa3", "video/webm"),
    (b"PK\x03\x04", "application/zip"),
)


@dataclass(frozen=True, slots=True)
class Attachment:
    """One part of a message that is not text. `data` is None when it is an `address` only."""

    kind: str
    name: str | None = None
    address: str = ""
    declared: str = ""
    data: bytes | None = None

    @property
    def media_type(self) -> str:
        return recognised(self.data or b"", self.declared)[0]

    def __str__(self) -> str:
        named = f"{self.name!r}, " if self.name else ""
        if self.data is None:
            return f"{named}the address {self.address[:200]}"
        if not self.data:
            return f"{named}nothing (0 bytes)"
        media_type, measure = recognised(self.data, self.declared)
        article = "an" if media_type[0] in "aeiou" else "a"
        told = f"{named}{article} {media_type}{f' of {measure}' if measure else ''} ({len(self.data)} bytes)"
        if self.declared and self.declared.partition("/")[0] != media_type.partition("/")[0]:
            told += f", declared as {self.declared}"
        said = text_in(self.data)
        return told if said is None else f"{told} that says: {said[:200]}"


def attached(request: ChatRequest) -> list[Attachment]:
    """What came with the last user message."""
    content: Any = next((m.get("content") for m in reversed(request.messages) if m["role"] == "user"), None)
    found = []
    for part in content if isinstance(content, list) else []:
        if part.get("type") == "image_url":
            found.append(_read("image", None, part["image_url"]["url"]))
        elif part.get("type") == "file":
            name = part["file"].get("filename")
            found.append(_read("file", name if isinstance(name, str) else None, part["file"]["file_data"]))
    return found


def _read(kind: str, name: str | None, url: str) -> Attachment:
    if url[:5].lower() != "data:":
        return Attachment(kind, name, address=url)
    head, _, body = url[5:].partition(",")
    declared, *options = head.lower().split(";")
    try:
        data = base64.b64decode(body) if "base64" in options else unquote_to_bytes(body)
    except (binascii.Error, ValueError):
        data = b""
    return Attachment(kind, name, declared=declared.strip(), data=data)


def is_transcriber(model_id: str) -> bool:
    """True for the bots that write down what is said; Poe's list is not right about the output of all of them."""
    return any(name in model_id for name in _TRANSCRIBERS)


def transcript(request: ChatRequest, tag: str) -> str:
    """What a transcriber answers: the words of a sound that was made here, else honestly what arrived."""
    texts = []
    for one in attached(request):
        said = text_in(one.data or b"")
        if said is not None:
            texts.append(said)
        elif one.media_type.startswith(("audio/", "video/")):
            texts.append(f"{tag} Only sounds that the emulator made can be understood. This was {one}.")
        else:
            texts.append(f"{tag} There is nothing to hear in this: {one}.")
    return "\n".join(texts) or f"{tag} No audio file came with the message."


# Recognising


def recognised(data: bytes, declared: str = "") -> tuple[str, str]:
    """Media type and measure ("640x480", "3.2 s", "12 characters") of a file; the measure may be ""."""
    if data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) >= 24:
        return "image/png", "{}x{}".format(*struct.unpack_from(">II", data, 16))
    if data[:6] in (b"GIF87a", b"GIF89a") and len(data) >= 10:
        return "image/gif", "{}x{}".format(*struct.unpack_from("<HH", data, 6))
    if data[:3] == b"\xff\xd8\xff":
        return "image/jpeg", _jpeg_size(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp", _webp_size(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return "audio/wav", _wav_length(data)
    if data[4:8] == b"ftyp":
        return "audio/mp4" if data[8:12] == b"M4A " else "video/mp4", ""
    for start, media_type in _STARTS:
        if data.startswith(start):
            return media_type, ""
    try:
        characters = len(data.decode("utf-8"))
    except UnicodeDecodeError:
        return declared or "application/octet-stream", ""
    textual = declared.startswith("text/") or declared in ("application/json", "application/xml", "image/svg+xml")
    return declared if textual else "text/plain", f"{characters} characters"


def _jpeg_size(data: bytes) -> str:
    place = 2
    while place + 9 < len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, place + 5)
            return f"{width}x{height}"
        place += 2 + int(struct.unpack_from(">H", data, place + 2)[0])
    return ""


def _webp_size(data: bytes) -> str:
    form, body = data[12:16], data[20:30]
    if len(body) < 10:
        return ""
    if form == b"VP8X":
        return f"{int.from_bytes(body[4:7], 'little') + 1}x{int.from_bytes(body[7:10], 'little') + 1}"
    if form == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return f"{(bits & 0x3FFF) + 1}x{(bits >> 14 & 0x3FFF) + 1}"
    width, height = struct.unpack_from("<HH", body, 6)
    return f"{width & 0x3FFF}x{height & 0x3FFF}"


def _wav_length(data: bytes) -> str:
    """Seconds, by the bytes a second that the file states."""
    place, rate = 12, 0
    while place + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, place)
        if name == b"fmt " and place + 20 <= len(data):
            (rate,) = struct.unpack_from("<I", data, place + 16)
        if name == b"data" and rate:
            return f"{min(length, len(data) - place - 8) / rate:.1f} s"
        place += 8 + length + length % 2
    return ""
