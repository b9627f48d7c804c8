"""What size and length of a picture, a film or a sound a request asks for, in the parameters that its bot declares.

Bots say it in many ways: `aspect` or `aspect_ratio` ("16:9", "portrait"), `size`, `dimension` or `resolution`
("1280x720", "1024*1024", "2K"), `width` and `height`, `duration` ("8", "8s", 8), `music_length_ms`. What is not given
has its declared default. Lengths are pixels and seconds.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Any

from quoth.emulator.chat_request import ChatRequest

__all__ = ["count", "seconds", "size", "speech_rate", "wanted"]

LONGEST_SIDE = 4096
_SHORTEST_SIDE = 16
_EDGE = 1024  # of a square picture; another aspect has about as many pixels
_SIDES = (("width", "height"), ("custom_width", "custom_height"), ("output_width", "output_height"))
_WORDS = {"landscape": Fraction(16, 9), "portrait": Fraction(9, 16), "square": Fraction(1)}
_SCALES = {"1K": 1, "2K": 2, "4K": 4, "small": 1, "large": 2}


def wanted(request: ChatRequest, *names: str) -> Any:
    """The first of these parameters that is given or has a declared default; None when there is none."""
    given = [request.custom[name] for name in names if request.custom.get(name) not in (None, "")]
    declared = [parameter for parameter in map(request.facts.parameter, names) if parameter is not None]
    return next(iter([*given, *(parameter.default for parameter in declared if parameter.default is not None)]), None)


def size(request: ChatRequest, aspect: Fraction = Fraction(1)) -> tuple[int, int]:
    """Width and height. `aspect` counts when the request and the bot's defaults say nothing."""
    exact = _sides(request) or _pair(wanted(request, "size", "dimension", "resolution"))
    if exact:
        return _held(exact[0]), _held(exact[1])
    ratio = _ratio(wanted(request, "aspect", "aspect_ratio")) or aspect
    edge = _EDGE * _SCALES.get(str(wanted(request, "image_size", "size_scale", "resolution")), 1)
    across, down = ratio.numerator, ratio.denominator
    unit = max(1, round(edge / math.sqrt(across * down)))
    unit = max(1, min(unit, LONGEST_SIDE // max(across, down)))
    return unit * across, unit * down


def _sides(request: ChatRequest) -> tuple[int, int] | None:
    if request.facts.parameter("use_custom_size") and wanted(request, "use_custom_size") is not True:
        return None
    for names in _SIDES:
        found = [_number(wanted(request, name)) for name in names]
        if found[0] and found[1]:
            return round(found[0]), round(found[1])
    return None


def _pair(value: Any) -> tuple[int, int] | None:
    found = re.fullmatch(r"(\d{1,5})[x*×](\d{1,5})", value) if isinstance(value, str) else None
    return (int(found[1]), int(found[2])) if found else None


def _ratio(value: Any) -> Fraction | None:
    """An aspect in words or as "A:B"; None for "auto" and for what cannot be a picture."""
    if not isinstance(value, str):
        return None
    if value in _WORDS:
        return _WORDS[value]
    found = re.fullmatch(r"(\d{1,4}(?:\.\d{1,2})?):(\d{1,4}(?:\.\d{1,2})?)", value)
    if not found or not float(found[1]) or not float(found[2]):
        return None
    ratio = Fraction(found[1]) / Fraction(found[2])
    return ratio if Fraction(1, 16) <= ratio <= 16 else None


def _held(side: int) -> int:
    return max(_SHORTEST_SIDE, min(side, LONGEST_SIDE))


def seconds(request: ChatRequest, shortest: float, longest: float) -> float | None:
    """How long a film or a piece of music is to be; None when nothing says so."""
    milliseconds = _number(wanted(request, "music_length_ms"))
    asked = milliseconds / 1000 if milliseconds else _number(wanted(request, "duration"))
    return None if asked is None else max(shortest, min(asked, longest))


def speech_rate(request: ChatRequest) -> float:
    """How much faster than usual a voice is to speak."""
    return max(0.25, min(_number(wanted(request, "speed")) or 1.0, 4.0))


def count(request: ChatRequest) -> int:
    """How many pictures are to be drawn."""
    return round(max(1, min(_number(wanted(request, "num_images", "number_of_images")) or 1, 8)))


def _number(value: Any) -> float | None:
    """A positive number, also from "8" or "8s"."""
    if isinstance(value, str):
        found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)s?", value.strip())
        value = float(found[1]) if found else None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
        return None
    return float(value)
