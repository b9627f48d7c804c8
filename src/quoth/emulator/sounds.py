"""Sounds: a real WAV whose length follows the text, and the text read back from a WAV that was made here.

One note per word, its pitch from its letters, as a voice hums a sentence. The text is in the file too, as the comment
of its LIST/INFO chunk, which is how an emulated transcriber knows what was said.
"""

from __future__ import annotations

import array
import hashlib
import io
import math
import struct
import sys
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["Sound", "text_in", "wav"]

_SOFTWARE = b"Quoth emulator"
_SECONDS_PER_LETTER = 0.06
_SHORTEST, LONGEST = 0.3, 300.0
_PENTATONIC = (0, 2, 4, 7, 9, 12)
_LONGEST_TEXT = 20_000


@dataclass(frozen=True, slots=True)
class Sound:
    """What is said or played. `rate` is samples a second; `seconds` None takes as long as the text takes."""

    text: str
    model: str
    rate: int = 16_000
    seconds: float | None = None
    speed: float = 1.0
    music: bool = False

    content_type = "audio/wav"


@lru_cache(maxsize=4)
def wav(sound: Sound) -> bytes:
    """The file: mono, 16 bits."""
    notes, length = _notes(sound)
    frames = b"".join(notes)[: 2 * length]
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(sound.rate)
        out.writeframes(frames + bytes(2 * length - len(frames)))
    written = file.getvalue()
    info = _info(sound)
    head, rest = written[:36], written[36:]  # "RIFF", its length, "WAVE" and the chunk "fmt "
    return b"RIFF" + struct.pack("<I", len(written) - 8 + len(info)) + head[8:] + info + rest


def _info(sound: Sound) -> bytes:
    entries = b"INFO"
    for name, value in (
        (b"ISFT", _SOFTWARE),
        (b"INAM", sound.model.encode("utf-8", "replace")),
        (b"ICMT", sound.text.encode("utf-8", "replace")),
    ):
        data = value.replace(b"\0", b" ") + b"\0"
        entries += name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    return b"LIST" + struct.pack("<I", len(entries)) + entries


def _notes(sound: Sound) -> tuple[Iterator[bytes], int]:
    """The notes, and how many samples the whole is."""
    words = sound.text[:_LONGEST_TEXT].split() or ["..."]
    seconds = sound.seconds or _SECONDS_PER_LETTER * (sum(map(len, words)) + len(words)) / sound.speed
    length = round(sound.rate * max(_SHORTEST, min(seconds, LONGEST)))
    per_letter = _SECONDS_PER_LETTER * (6 if sound.music else 1) / sound.speed

    def notes() -> Iterator[bytes]:
        left = length
        while left > 0:
            for word in words:
                step = hashlib.sha256(word.lower().encode("utf-8", "replace")).digest()[0] % len(_PENTATONIC)
                note = _note(_PENTATONIC[step], min(len(word), 12) + 1, per_letter, sound.rate)
                yield note
                left -= len(note) // 2
                if left <= 0:
                    return

    return notes(), length


@lru_cache(maxsize=256)
def _note(semitones: int, letters: int, per_letter: float, rate: int) -> bytes:
    """One note, swelling and fading so that nothing clicks, with a rest at its end. Little-endian samples."""
    whole = max(1, round(rate * per_letter * letters))
    heard = whole * 9 // 10
    pitch = 2 * math.pi * 196.0 * 2 ** (semitones / 12) / rate
    fade = max(1, min(heard // 4, rate // 40))
    samples = array.array("h", bytes(2 * whole))
    for place in range(heard):
        swell = min(1.0, place / fade, (heard - place) / fade)
        samples[place] = round(swell * (7000 * math.sin(pitch * place) + 2500 * math.sin(2 * pitch * place)))
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()


def text_in(data: bytes) -> str | None:
    """The text of a WAV that was made here; None for any other file."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return None
    for name, info in _chunks(data, 12):
        if name == b"LIST" and info[:4] == b"INFO":
            entries = {entry: value.rstrip(b"\0") for entry, value in _chunks(info, 4)}
            if entries.get(b"ISFT") == _SOFTWARE:
                return entries.get(b"ICMT", b"").decode("utf-8", "replace")
    return None


def _chunks(data: bytes, start: int) -> Iterator[tuple[bytes, bytes]]:
    while start + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, start)
        yield name, data[start + 8 : start + 8 + length]
        start += 8 + length + length % 2
