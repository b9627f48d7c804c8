"""OpenAI's parameters for pictures, speech and films, told to a bot in the parameters that it declares.

OpenAI has `size`, `quality`, `voice`, `seconds`, `speed` and `response_format`; the bots have `aspect` or
`aspect_ratio`, `width` and `height`, `image_size`, `resolution`, `duration` and so on, each with values of its own. The
nearest value is taken; where it is not the same, a warning says so. What has no counterpart stays as it was given.

Source: the declared parameters of the catalogue; OpenAI's API reference for images, speech and videos.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection
from math import log
from typing import Any

from quoth.providers.catalogue import ModelFacts, ParameterFacts
from quoth.types import Warning

__all__ = ["fit"]

_PIXELS = re.compile(r"(\d{2,5})\s*[xX*\u00d7]\s*(\d{2,5})")
_RATIO = re.compile(r"(\d{1,2}(?:\.\d{1,2})?)\s*[:/]\s*(\d{1,2}(?:\.\d{1,2})?)")
_LINES = re.compile(r"(\d{3,4})[pP]")
_THOUSANDS = re.compile(r"(\d)[kK]")
_NUMBER = re.compile(r"-?\d{1,9}(?:\.\d{1,6})?")

_WORDS = {"square": 1.0, "landscape": 16 / 9, "portrait": 9 / 16}
_ASPECTS = ("aspect_ratio", "aspect")
_SIDES = (("width", "height"), ("custom_width", "custom_height"), ("output_width", "output_height"))
_OPENAIS = ("size", "seconds", "quality", "voice", "speed")
_VOICES = ("voice", "voice_id", "voice_1")
# OpenAI's own; no bot of Poe's has them, so that one of its voices has to stand for them.
_OPENAIS_VOICES = frozenset("alloy ash ballad cedar coral echo fable marin nova onyx sage shimmer verse".split())
_LANGUAGES = ("language", "language_boost")
_FORMATS = ("output_format", "format")
# One rank, one quality: DALL-E's words, those of GPT-Image, and those of bots.
_QUALITIES = {"low": 0, "fast": 0, "standard": 1, "medium": 1, "high": 2, "hd": 2, "premium": 2, "quality": 2}
_NAMES = {
    "ar": "Arabic", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek", "en": "English", "es": "Spanish",
    "fi": "Finnish", "fr": "French", "he": "Hebrew", "hi": "Hindi", "hu": "Hungarian", "id": "Indonesian",
    "it": "Italian", "ja": "Japanese", "ko": "Korean", "nl": "Dutch", "no": "Norwegian", "pl": "Polish",
    "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "sv": "Swedish", "th": "Thai", "tr": "Turkish",
    "uk": "Ukrainian", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip


class _Fitting:
    """One call on its way: what was given, what the bot declares, and what is to be said about the difference."""

    def __init__(self, given: dict[str, Any], facts: ModelFacts, taken: Collection[str], warnings: list[Warning]):
        self.given, self.facts, self.warnings = given, facts, warnings
        self._taken = taken

    def declared(self, *names: str) -> ParameterFacts | None:
        """The first of these parameters that the bot declares and that the call does not give itself."""
        for name in names:
            parameter = self.facts.parameter(name)
            if parameter is not None and name not in self.given and name not in self._taken:
                return parameter
        return None

    def send(self, name: str, sent: dict[str, Any], *, exact: bool, more: str = "") -> None:
        """In the place of `name`, send these; said aloud unless it is the same thing under another name."""
        value = self.given.pop(name)
        self.given.update(sent)
        told = " and ".join(f"{own} {it!r}" for own, it in sent.items())
        if not exact:
            message = f"{name} {value!r} was sent as {told}, the nearest that {self.facts.id} declares{more}"
            self.warnings.append(Warning("nearest", name, message))
        elif more:
            self.warnings.append(Warning("mapped", name, f"{name} {value!r} was sent as {told}{more}"))

    def leave_out(self, name: str, why: str) -> None:
        value = self.given.pop(name)
        self.warnings.append(Warning("mapped", name, f"{name} {value!r} was left out: {why}"))


def fit(given: dict[str, Any], facts: ModelFacts, taken: Collection[str], warnings: list[Warning]) -> None:
    """Put OpenAI's names in `given` into those of the bot. `taken`: names that are sent otherwise and not touched."""
    fitting = _Fitting(given, facts, taken, warnings)
    for name, fitted in _FITTED.items():
        if name not in given or isinstance(given[name], dict | list) or given[name] is None:
            continue
        if facts.parameters is None and name in _OPENAIS:
            message = f"{name} was sent as given; which parameters {facts.id} has is not known"
            warnings.append(Warning("sent_as_given", name, message))
        elif facts.parameters is not None or name == "response_format":
            fitted(fitting, name)


def _size(fitting: _Fitting, name: str) -> None:
    value = str(fitting.given[name])
    own = fitting.facts.parameter(name)
    if own is not None and (own.enum is None or _same(value, own.enum) is not None):
        return
    if value.lower() == "auto":
        fitting.leave_out(name, f"{fitting.facts.id} takes its own unless it is told one")
        return
    ratio, area = _shape(value)
    if ratio is None and area is None:
        return  # no size at all, to which nothing is near
    if own is not None:
        if (best := _nearest_size(own, ratio, area)) is not None:
            fitting.send(name, {name: best}, exact=False)
        return
    for pixels in ("size", "resolution"):
        parameter = fitting.declared(pixels)
        if parameter is not None and any(map(_PIXELS.fullmatch, parameter.enum or ())):
            if (best := _nearest_size(parameter, ratio, area)) is not None:
                fitting.send(name, {pixels: best}, exact=best == value)
            return
    if not _sides(fitting, name, value):
        _aspect_and_scale(fitting, name, ratio, area)


def _sides(fitting: _Fitting, name: str, value: str) -> bool:
    """Width and height, where the bot takes them as numbers."""
    pixels = _PIXELS.fullmatch(value)
    if pixels is None:
        return False
    for wide, high in _SIDES:
        across, down = fitting.declared(wide), fitting.declared(high)
        if across is None or down is None:
            continue
        width, height = (_within(int(side), it) for side, it in zip(pixels.groups(), (across, down), strict=True))
        sent: dict[str, Any] = {wide: width, high: height}
        if wide == "custom_width":
            sent = {"use_custom_size": True, **sent}
        exact = (int(width), int(height)) == (int(pixels[1]), int(pixels[2]))
        fitting.send(name, sent, exact=exact)
        return True
    return False


def _aspect_and_scale(fitting: _Fitting, name: str, ratio: float | None, area: float | None) -> None:
    sent: dict[str, Any] = {}
    exact, more = True, ""
    aspect = fitting.declared(*_ASPECTS)
    if aspect is not None and ratio is not None and aspect.enum:
        best = _nearest_ratio(ratio, aspect.enum)
        if best is not None:
            sent[aspect.name] = best
            exact = abs(log((_ratio_of(best) or ratio) / ratio)) < 0.01 and best.lower() not in _WORDS
    scale = fitting.declared("image_size", "resolution")
    if scale is not None and area is not None and scale.enum:
        steps = {step: side for step in scale.enum if (side := _side(step, ratio)) is not None}
        if steps:
            wanted = area**0.5
            best = min(steps, key=lambda step: abs(log(steps[step] / wanted)))
            sent[scale.name] = best
            exact = exact and abs(steps[best] - wanted) < 1
    elif area is not None:
        more = "; how many pixels it has is for the model to say"
    if sent:
        fitting.send(name, sent, exact=exact, more=more)


def _shape(value: str) -> tuple[float | None, float | None]:
    """Width by height and area in pixels of a size in any of its forms; None for what it does not say."""
    value = value.strip()
    if pixels := _PIXELS.fullmatch(value):
        width, height = int(pixels[1]), int(pixels[2])
        return (width / height, float(width * height)) if width and height else (None, None)
    side = _side(value, None)
    return _ratio_of(value), None if side is None else side**2


def _side(step: str, ratio: float | None) -> float | None:
    """The side of a square as large as a picture of "2K" or "720p"; lines count the shorter side."""
    if thousands := _THOUSANDS.fullmatch(step):
        return int(thousands[1]) * 1024.0
    if lines := _LINES.fullmatch(step):
        ratio = ratio or 16 / 9
        return float(int(lines[1]) * max(ratio, 1 / ratio) ** 0.5)
    return None


def _ratio_of(step: str) -> float | None:
    if step.lower() in _WORDS:
        return _WORDS[step.lower()]
    if pixels := _PIXELS.fullmatch(step):
        return int(pixels[1]) / int(pixels[2]) if int(pixels[2]) else None
    if found := _RATIO.fullmatch(step.strip()):
        across, down = float(found[1]), float(found[2])
        return across / down if across and down else None
    return None


def _nearest_ratio(ratio: float, steps: Collection[str]) -> str | None:
    known = {step: found for step in steps if (found := _ratio_of(step)) is not None}
    return min(known, key=lambda step: abs(log(known[step] / ratio)), default=None)


def _nearest_size(parameter: ParameterFacts, ratio: float | None, area: float | None) -> str | None:
    """The declared size of the nearest shape and, of several, of the nearest area (the default's, if none is said)."""
    sizes = [step for step in parameter.enum or () if _PIXELS.fullmatch(step)]
    if not sizes:
        return None
    wanted = area or _shape(str(parameter.default))[1] or _shape(sizes[0])[1] or 1.0
    shape = ratio or _ratio_of(str(parameter.default)) or 1.0

    def far(size: str) -> tuple[float, float]:
        own, pixels = _shape(size)
        return round(abs(log((own or 1.0) / shape)), 2), abs(log((pixels or 1.0) / wanted))

    return min(sizes, key=far)


def _seconds(fitting: _Fitting, name: str) -> None:
    seconds = _as_number(fitting.given[name])
    own = fitting.facts.parameter(name)
    if seconds is None or (own is not None and own.enum is None and own.minimum is None and own.maximum is None):
        return
    if own is None and (parameter := fitting.declared("music_length_ms")) is not None:
        milliseconds = _within(seconds * 1000, parameter)
        fitting.send(name, {parameter.name: milliseconds}, exact=milliseconds == seconds * 1000)
        return
    parameter = own or fitting.declared("duration")
    if parameter is not None:
        _number_as(fitting, name, seconds, parameter)


def _speed(fitting: _Fitting, name: str) -> None:
    speed, parameter = _as_number(fitting.given[name]), fitting.facts.parameter(name)
    if speed is not None and parameter is not None:
        _number_as(fitting, name, speed, parameter)


def _number_as(fitting: _Fitting, name: str, number: float, parameter: ParameterFacts) -> None:
    """A number as the nearest declared step, or within the declared range, in the type that is declared."""
    if parameter.enum:
        steps = {step: found for step in parameter.enum if (found := _as_number(step)) is not None}
        best: Any = min(steps, key=lambda step: abs(steps[step] - number), default=None)
        if best is not None:
            fitting.send(name, {parameter.name: best}, exact=steps[best] == number)
    else:
        best = _within(number, parameter)
        fitting.send(name, {parameter.name: best}, exact=float(best) == number)


def _quality(fitting: _Fitting, name: str) -> None:
    value = str(fitting.given[name]).lower()
    own = fitting.facts.parameter(name)
    parameter = own or fitting.declared("t2v_quality")
    if own is not None and _same(value, own.enum or ()) is not None:
        return
    if value == "auto":
        fitting.leave_out(name, f"{fitting.facts.id} takes its own unless it is told one")
        return
    rank = _QUALITIES.get(value)
    if rank is None:
        return
    if parameter is not None and parameter.enum:
        steps = [step for step in parameter.enum if step.lower() in _QUALITIES]
        # Of two as near, the cheaper.
        best = min(steps, key=lambda step: (abs(_QUALITIES[step.lower()] - rank), _QUALITIES[step.lower()]), default="")
        if best:
            fitting.send(name, {parameter.name: best}, exact=_QUALITIES[best.lower()] == rank)
    elif parameter is None and (hd := fitting.declared("hd")) is not None and hd.type == "boolean":
        fitting.send(name, {"hd": rank == 2}, exact=value in ("hd", "standard"))


def _voice(fitting: _Fitting, name: str) -> None:
    value = str(fitting.given[name])
    own = fitting.facts.parameter(name)
    parameter = own or fitting.declared(*_VOICES)
    if parameter is None:
        # OpenAI's client cannot leave a voice out.
        if value.lower() in _OPENAIS_VOICES:
            fitting.leave_out(name, f"{fitting.facts.id} has no voices to choose from")
        return
    best = _alike(value, parameter.enum or ())
    if best is None and own is None and parameter.enum is None:
        best = value
    if best is None and parameter.enum and value.lower() in _OPENAIS_VOICES:
        best = parameter.default if parameter.default in parameter.enum else parameter.enum[0]
    if best is not None and (best, parameter.name) != (value, name):
        fitting.send(name, {parameter.name: best}, exact=best.lower() == value.lower())


def _language(fitting: _Fitting, name: str) -> None:
    value = str(fitting.given[name])
    own = fitting.facts.parameter(name)
    parameter = own or fitting.declared(*_LANGUAGES)
    if parameter is None or not parameter.enum:
        return
    code = value.replace("_", "-").partition("-")[0].lower()
    code = next((short for short, long in _NAMES.items() if long.lower() == value.lower()), code)
    best = _same(value, parameter.enum) or _same(code, parameter.enum) or _same(_NAMES.get(code, ""), parameter.enum)
    best = best or next((step for step in parameter.enum if step.lower().startswith(f"{code}-")), None)
    if best is not None and (best, parameter.name) != (value, name):
        whole = "-" not in value.replace("_", "-") or best.lower() == value.lower()
        fitting.send(name, {parameter.name: best}, exact=whole)


def _format(fitting: _Fitting, name: str) -> None:
    value = str(fitting.given[name]).lower()
    if value == "url" and not {"text", "audio"} & set(fitting.facts.output_modalities):
        fitting.given.pop(name)  # it is what media bots answer with
        return
    parameter = fitting.declared(*_FORMATS)
    best = None if parameter is None else _same(value, parameter.enum or ())
    if parameter is not None and best is not None:
        fitting.send(name, {parameter.name: best}, exact=True)


def _same(value: str, steps: Collection[str]) -> str | None:
    return next((step for step in steps if value and step.lower() == value.lower()), None)


def _alike(value: str, steps: Collection[str]) -> str | None:
    """The step that is this name, begins with it as a word, or is all but spelt like it."""
    wanted = value.strip().lower()
    if (same := _same(wanted, steps)) is not None:
        return same
    first = next((step for step in steps if wanted and re.split(r"[\s_\-]", step.lower())[0] == wanted), None)
    if first is not None:
        return first
    folded = {step.lower(): step for step in steps}
    near = difflib.get_close_matches(wanted, folded, n=1, cutoff=0.85)
    return folded[near[0]] if near else None


def _as_number(value: Any) -> float | None:
    """8, "8", "8s" as a number of seconds; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    text = str(value).strip().removesuffix("s")
    return float(text) if _NUMBER.fullmatch(text) else None


def _within(number: float, parameter: ParameterFacts) -> Any:
    """The number within the declared range, whole where it is whole, as a text where one is declared."""
    if parameter.minimum is not None:
        number = max(number, parameter.minimum)
    if parameter.maximum is not None:
        number = min(number, parameter.maximum)
    plain = int(number) if number == int(number) else number
    return str(plain) if parameter.type == "string" else plain


_FITTED: dict[str, Callable[[_Fitting, str], None]] = {
    "size": _size,
    "seconds": _seconds,
    "quality": _quality,
    "voice": _voice,
    "language": _language,
    "speed": _speed,
    "response_format": _format,
}
