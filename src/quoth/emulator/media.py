"""Answers of image, video and audio bots: addresses in the content, in the shape that was recorded for each kind, and
what stands behind them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from quoth.emulator import answers, shapes
from quoth.emulator.chat_request import ChatRequest
from quoth.emulator.files import Piece
from quoth.emulator.films import LONGEST as LONGEST_FILM
from quoth.emulator.films import Film, nearest
from quoth.emulator.pictures import Picture
from quoth.emulator.sounds import LONGEST as LONGEST_SOUND
from quoth.emulator.sounds import Sound

__all__ = ["Made", "Media", "make", "progress"]

Media = Literal["image", "video", "audio"]

_KINDS: tuple[Media, ...] = ("image", "video", "audio")
_WIDE = Fraction(16, 9)
_FILM_SECONDS = 5.0  # of bots that do not say how long their films are
_MUSIC = re.compile(r"music|lyria|stable-audio")
_DRAWING = re.compile(
    r"\b(?:draw|paint|sketch|illustrat\w*|render|design|depict|picture|photo\w*|image|drawing|painting|portrait|logo"
    r"|icon|poster|wallpaper|cartoon|generate|edit|make it|remove|replace|add)\b",
    re.IGNORECASE,
)
_TALKING = re.compile(
    r"\s*(?:who|what|when|where|why|how|which|is|are|was|do|does|did|can|could|will|explain|solve|say|tell|write"
    r"|answer|reply|list|count|translate|summari[sz]e|calculate|repeat|hi|hello|hey|thanks|thank you)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Made:
    """A media answer: its kind, the content of the message, and the pieces by the path of their address."""

    kind: Media
    content: str
    pieces: dict[str, Piece]


def make(request: ChatRequest, seed: str, origin: str) -> Made | None:
    """A media bot's answer, None when the bot answers in text.

    `origin` is scheme and host of the addresses; they differ with `seed`, what stands behind them does not.
    """
    facts = request.facts
    if not facts.makes_media or (facts.id.startswith("nano-banana") and _talks(request)):
        return None
    kind: Media = next((kind for kind in _KINDS if kind in facts.output_modalities), "image")
    if kind == "image":
        return _images(request, seed, origin)
    piece = _film(request) if kind == "video" else _sound(request)
    path = _path(kind, seed)
    return Made(kind, f"{origin}{path}", {path: piece})


def _talks(request: ChatRequest) -> bool:
    """Whether a bot that can also talk was not asked to draw."""
    prompt = request.prompt[:20_000]
    if request.custom.get("image_only") is True or _DRAWING.search(prompt):
        return False
    return bool(answers.arithmetic(prompt) or _TALKING.match(prompt) or prompt.rstrip().endswith("?"))


def _path(kind: Media, seed: str, number: int = 1) -> str:
    part = f"{seed}/{kind}" if number == 1 else f"{seed}/{kind}/{number}"
    return f"/base/{kind}/{hashlib.sha256(part.encode()).hexdigest()}"


def _images(request: ChatRequest, seed: str, origin: str) -> Made:
    facts = request.facts
    width, height = shapes.size(request)
    name = " ".join(request.prompt.split())[:100].replace("[", "(").replace("]", ")") or facts.id
    imagen = facts.id.startswith("imagen-")
    total = shapes.count(request)
    pieces: dict[str, Piece] = {}
    shown, urls = [], []
    for number in range(1, total + 1):
        title = answers.tag(request) + (f" {number} of {total}" if total > 1 else "")
        path = _path("image", seed, number)
        pieces[path] = Picture(width, height, title, request.prompt[:2_000])
        urls.append(f"{origin}{path}?w={width}&h={height}")
        shown.append(f"![{name}_image_{number}]({urls[-1]})\n" if imagen else f"![{name}.png]({urls[-1]})")
    return Made("image", "\n\n".join(["\n\n".join(shown), "\n".join(urls)]), pieces)


def _film(request: ChatRequest) -> Film:
    width, height = shapes.size(request, _WIDE)
    return Film(nearest(width, height), shapes.seconds(request, 1.0, LONGEST_FILM) or _FILM_SECONDS)


def _sound(request: ChatRequest) -> Sound:
    rate = shapes.wanted(request, "sample_rate")
    return Sound(
        text=request.prompt,
        model=answers.tag(request),
        rate=int(rate) if rate in ("8000", "16000", "22050", "24000", "32000", "44100") else 16_000,
        # Only what the request says: a declared default of minutes would make every test download megabytes.
        seconds=shapes.seconds(request, 1.0, LONGEST_SOUND) if {"duration", "music_length_ms"} & set(request.custom)
        else None,
        speed=shapes.speech_rate(request),
        music=_MUSIC.search(request.facts.id) is not None,
    )  # fmt: skip


def progress(kind: Media, delay: float) -> list[str]:
    """The texts that a media bot streams while it works: about one for each second of `delay`, three at least."""
    steps = max(3, min(int(delay), 60))
    each = max(1.0, delay / steps)
    return [f"Generating {kind} ({round(step * each)}s elapsed)\n" for step in range(1, steps + 1)]
