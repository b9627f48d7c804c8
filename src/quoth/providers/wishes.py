"""A wish for a picture, something spoken, a transcript or a film; by which way a target takes it, and what it is told
there.

Three ways: Poe's native endpoint, where the catalogue says that the model has one; the chat route, which every bot of
Poe's answers, with addresses in its words; OpenAI's own paths, for every other provider. OpenAI's parameters become
those that the model declares, by nearest fit with a warning; what has no counterpart is an error that names what the
model takes.

Source: OpenAI's API reference for images, audio and videos; Poe's videos page of 13 April 2026 and its list of models
of 1 April 2026. Of Poe's `/v1/images` and `/v1/audio` no page is known: they are told what OpenAI's are.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from quoth.call import Call, Target
from quoth.errors import BadRequestError, UnsupportedParamsError
from quoth.providers.catalogue import ModelFacts, ParameterFacts
from quoth.providers.costs import facts_of
from quoth.providers.media_params import fit
from quoth.providers.params import catalogue_of
from quoth.types import Warning
from quoth.wire.forms import FilePart, form

__all__ = ["CHAT", "KINDS", "File", "Kind", "Way", "Wish", "needs_bytes", "told", "way_of"]

Kind = Literal["image", "edit", "speech", "transcription", "video"]
Style = Literal["poe", "openai", "chat"]

# What a kind makes: the media that an answer has to hold, "" for a text.
KINDS: dict[Kind, Literal["image", "audio", "video", ""]] = {
    "image": "image",
    "edit": "image",
    "speech": "audio",
    "transcription": "",
    "video": "video",
}


class File(msgspec.Struct, frozen=True):
    """A file that goes along: its bytes, or the address where it is."""

    name: str
    media_type: str
    data: bytes = b""
    url: str = ""

    @property
    def as_url(self) -> str:
        """Its address, else a data URL."""
        return self.url or f"data:{self.media_type};base64,{base64.b64encode(self.data).decode()}"


class Wish(msgspec.Struct, frozen=True):
    """`prompt`: what is to be drawn, spoken or filmed; of a transcript the hint that goes along. `files`: what it
    begins from. Parameters are those of the call that goes with it."""

    kind: Kind
    prompt: str
    files: tuple[File, ...] = ()
    mask: File | None = None


class Way(msgspec.Struct, frozen=True):
    """`path` is below the target's base URL; `wire` is what an answer says that was spoken."""

    style: Style
    path: str
    wire: str


CHAT = Way("chat", "/chat/completions", "openai_chat")
_POES = {
    "image": ("/v1/images", Way("poe", "/images", "images")),
    "edit": ("/v1/images", Way("poe", "/images", "images")),
    "speech": ("/v1/audio", Way("poe", "/audio", "audio")),
    "video": ("/v1/videos", Way("poe", "/videos", "videos")),
}
_OPENAIS = {
    "image": Way("openai", "/images/generations", "images"),
    "edit": Way("openai", "/images/edits", "images"),
    "speech": Way("openai", "/audio/speech", "audio"),
    "transcription": Way("openai", "/audio/transcriptions", "audio"),
    "video": Way("openai", "/videos", "videos"),
}


def way_of(target: Target, kind: Kind, *, native: bool = True) -> Way:
    """How this target takes a wish of this kind. Without `native` Poe's own endpoints are left aside."""
    if catalogue_of(target) is None:
        return _OPENAIS[kind]
    facts = facts_of(target)
    if native and facts is not None and kind in _POES:
        endpoint, way = _POES[kind]
        if endpoint in (facts.supported_endpoints or ()):
            return way
    return CHAT


def needs_bytes(way: Way, kind: Kind) -> bool:
    """True where a file has to be sent itself, and an address of it is not taken."""
    return way.style == "openai" or kind == "transcription" or (way.style == "poe" and kind == "video")


# Parameters

# OpenAI's, which a bot has under other names or not at all; with the values that say no more than their absence.
_OPENAI_NAMES: dict[str, tuple[Any, ...]] = {
    "background": ("auto",),
    "include": ([],),
    "input_fidelity": (),
    "instructions": ("",),
    "language": (),
    "moderation": ("auto",),
    "output_compression": (100,),
    "output_format": (),
    "partial_images": (0,),
    "quality": ("auto",),
    "seconds": (),
    "size": ("auto",),
    "speed": (1, 1.0),
    "stream_format": ("audio",),
    "style": (),
    "timestamp_granularities": ([],),
    "voice": (),
}
# What becomes of these is seen in the answer, so that no bot is told: base64 or an address, and the kind of file.
_AFTERWARDS: dict[Kind, frozenset[str]] = {
    "image": frozenset({"response_format"}),
    "edit": frozenset({"response_format"}),
    "speech": frozenset({"response_format"}),
    "transcription": frozenset({"response_format"}),
    "video": frozenset(),
}
# What Poe's native endpoints are told beside what a model declares.
_NATIVELY: dict[Kind, tuple[str, ...]] = {
    "image": tuple(
        "background moderation n output_compression output_format quality response_format style user".split()
    ),
    "edit": tuple(
        "background input_fidelity moderation n output_compression output_format quality response_format user".split()
    ),
    "speech": ("response_format", "speed"),
    "transcription": (),
    "video": ("user",),
}
_SIZES = {"1:1": "1024x1024", "3:2": "1536x1024", "2:3": "1024x1536", "7:4": "1792x1024", "4:7": "1024x1792"}
_FILMS = {
    ("16:9", "720p"): "1280x720",
    ("9:16", "720p"): "720x1280",
    ("16:9", "1080p"): "1920x1080",
    ("9:16", "1080p"): "1080x1920",
}
# A model for any purpose has to be told; one for this purpose would take it for part of the recording.
_TRANSCRIBERS = ("whisper", "deepgram-nova")
_WRITE_DOWN = "Write down what is said in this recording, word for word, and nothing else."
_TEXTS = ("json", "text")


def told(wish: Wish, call: Call, target: Target, way: Way, warnings: list[Warning]) -> Call | tuple[str, bytes, Any]:
    """What this target is told: on the chat route a call, else the content type, the body, and the body's fields
    without its files. Raises BadRequestError, UnsupportedParamsError."""
    if call.params.get("stream") or call.stream:
        raise BadRequestError("what is made here comes as a whole; leave stream out", param="stream")
    params = {name: value for name, value in call.params.items() if name not in ("stream", "extra_body")}
    params |= call.params.get("extra_body") or {}
    facts = facts_of(target)
    if way.style == "openai":
        return _as_openai(wish, {"model": target.model, **params}, way)
    if facts is not None and way.style == "poe":
        _in_native_terms(params, wish.kind, warnings)
        facts = _natively(facts, wish.kind)
    kept = {name: params.pop(name) for name in call.allowed_openai_params if name in params}
    asked_format = params.get("response_format")
    language = None
    if way.style == "chat" and wish.kind == "transcription" and not _only_transcribes(target):
        language = params.pop("language", None)  # said in words
    if way.style == "chat" or "response_format" not in _NATIVELY[wish.kind]:
        for name in _AFTERWARDS[wish.kind]:
            params.pop(name, None)
    if facts is not None:
        fit(params, facts, kept, warnings)
        if way.style == "chat" and wish.kind == "speech" and isinstance(asked_format, str):
            _file_format(params, asked_format, facts)
        _refuse(params, facts, call, target, warnings)
    params |= kept
    if way.style == "poe":
        return _as_poe(wish, params, target)
    return _as_chat(wish, call, params, asked_format, language, target)


def _file_format(params: dict[str, Any], wanted: str, facts: ModelFacts) -> None:
    """The kind of file, where a bot lets it be chosen."""
    for name in ("output_format", "format"):
        parameter = facts.parameter(name)
        if parameter is not None and name not in params:
            step = next((step for step in parameter.enum or () if step.lower().startswith(wanted.lower())), None)
            if step is not None:
                params[name] = step
            return


def _refuse(params: dict[str, Any], facts: ModelFacts, call: Call, target: Target, warnings: list[Warning]) -> None:
    """OpenAI's parameters that nothing of the model's stands for."""
    if facts.parameters is None:
        return
    for name in [name for name in params if name in _OPENAI_NAMES and not _has(facts, name, params[name])]:
        value = params[name]
        if value is None or any(value == plain for plain in _OPENAI_NAMES[name]):
            del params[name]
        elif call.drop_params:
            del params[name]
            warnings.append(Warning("dropped", name, f"{name} was left out: {facts.id} has nothing of the kind"))
        else:
            raise UnsupportedParamsError(
                f"{facts.id} has nothing for {name} {value!r}; {_accepted(facts)}. Leave it out, pass drop_params=True "
                f"to drop it with a warning, or allowed_openai_params=[{name!r}] to send it all the same",
                llm_provider=target.provider,
                model=target.model,
                param=name,
            )


def _has(facts: ModelFacts, name: str, value: Any) -> bool:
    """Sizes and lengths that are near to none of the declared ones are not even that."""
    parameter = facts.parameter(name)
    steps = parameter.enum if parameter is not None and name in ("size", "seconds") else None
    return parameter is not None and (not steps or str(value).lower() in map(str.lower, steps))


def _accepted(facts: ModelFacts) -> str:
    """What a model takes, in words."""
    shown = []
    for parameter in facts.parameters or ():
        values = ""
        if parameter.enum:
            values = f" ({', '.join(parameter.enum[:12])}{' …' if len(parameter.enum) > 12 else ''})"
        elif parameter.range:
            values = f" ({parameter.range})"
        shown.append(f"{parameter.name}{values}")
    return f"it takes {', '.join(shown)}" if shown else "it takes no parameters"


def _natively(facts: ModelFacts, kind: Kind) -> ModelFacts:
    """The model as Poe's native endpoint has it: what it declares, in that endpoint's names."""
    declared = {parameter.name: parameter for parameter in facts.parameters or ()}
    if kind == "video":
        size, seconds = _film_sizes(declared), declared.pop("duration", None)
        for name in ("aspect_ratio", "resolution", "size"):
            declared.pop(name, None)
        declared["size"] = ParameterFacts("size", enum=size)
        declared["seconds"] = ParameterFacts("seconds", enum=seconds.enum if seconds is not None else None)
    elif kind in ("image", "edit"):
        aspects = declared["aspect"].enum if "aspect" in declared else None
        sizes = tuple(_SIZES[aspect] for aspect in aspects or () if aspect in _SIZES)
        declared["size"] = ParameterFacts("size", enum=("auto", *sizes) if sizes else None)
    for name in _NATIVELY[kind]:
        declared.setdefault(name, ParameterFacts(name))
    return msgspec.structs.replace(facts, parameters=tuple(declared.values()))


def _film_sizes(declared: Mapping[str, ParameterFacts]) -> tuple[str, ...] | None:
    if "size" in declared:
        return declared["size"].enum
    aspects = declared["aspect_ratio"].enum if "aspect_ratio" in declared else None
    scales = declared["resolution"].enum if "resolution" in declared else None
    found = [_FILMS.get((aspect, scale)) for scale in scales or ("720p",) for aspect in aspects or ()]
    return tuple(size for size in found if size) or None


def _in_native_terms(params: dict[str, Any], kind: Kind, warnings: list[Warning]) -> None:
    """A bot's own words for length and shape of a film, as Poe's `/v1/videos` says them."""
    if kind != "video":
        return
    if "duration" in params and "seconds" not in params:
        params["seconds"] = params.pop("duration")
    if "size" not in params and {"aspect_ratio", "resolution"} & params.keys():
        aspect, scale = params.get("aspect_ratio", "16:9"), params.get("resolution", "720p")
        if (size := _FILMS.get((str(aspect), str(scale)))) is not None:
            params.pop("aspect_ratio", None)
            params.pop("resolution", None)
            params["size"] = size


# Bodies


def _as_poe(wish: Wish, params: dict[str, Any], target: Target) -> tuple[str, bytes, Any]:
    fields = {"model": target.model, ("input" if wish.kind == "speech" else "prompt"): wish.prompt, **params}
    if fields.get("response_format") == "b64_json":
        del fields["response_format"]  # what has an address is downloaded; GPT-Image knows no such parameter
    seconds = fields.get("seconds")
    if isinstance(seconds, str) and seconds.isdigit():
        fields["seconds"] = int(seconds)
    body = dict(fields)
    if wish.kind == "video":
        if len(wish.files) > 1:
            raise BadRequestError("a film begins from one picture", param="input_reference")
        for file in wish.files:
            body["input_image"] = base64.b64encode(_bytes_of(file, "input_reference")).decode()
    elif wish.files:
        shown = [file.as_url for file in wish.files]
        body["image"] = shown[0] if len(shown) == 1 else shown
        if wish.mask is not None:
            body["mask"] = wish.mask.as_url
    return "application/json", msgspec.json.encode(body), fields


def _as_openai(wish: Wish, fields: dict[str, Any], way: Way) -> tuple[str, bytes, Any]:
    if wish.prompt or wish.kind != "transcription":
        fields["input" if wish.kind == "speech" else "prompt"] = wish.prompt
    files: list[FilePart] = []
    if wish.kind == "edit":
        name = "image" if len(wish.files) == 1 else "image[]"
        files = [_part(name, file) for file in wish.files]
        if wish.mask is not None:
            files.append(_part("mask", wish.mask))
    elif wish.kind == "transcription":
        files = [_part("file", file) for file in wish.files]
    elif wish.kind == "video":
        files = [_part("input_reference", file) for file in wish.files]
    if files:
        media_type, body = form(fields, files)
        return media_type, body, fields
    return "application/json", msgspec.json.encode(fields), fields


def _part(name: str, file: File) -> FilePart:
    return FilePart(name, _bytes_of(file, name.removesuffix("[]")), file.name, file.media_type)


def _bytes_of(file: File, param: str) -> bytes:
    if not file.data:
        raise BadRequestError(f"{param} has to be sent as a file here; an address of it is not taken", param=param)
    return file.data


def _as_chat(wish: Wish, call: Call, params: dict[str, Any], asked_format: Any, language: Any, target: Target) -> Call:
    if wish.mask is not None:
        raise UnsupportedParamsError(
            f"{target.model} is asked over chat, which takes no mask; models with /v1/images do",
            llm_provider=target.provider,
            model=target.model,
            param="mask",
        )
    text = wish.prompt
    if wish.kind == "transcription":
        if asked_format not in (None, *_TEXTS):
            raise UnsupportedParamsError(
                f"{target.model} is asked over chat, which gives a transcript as json or text, not as {asked_format}",
                llm_provider=target.provider,
                model=target.model,
                param="response_format",
            )
        if _only_transcribes(target):
            if text and not call.drop_params:
                raise UnsupportedParamsError(
                    f"{target.model} takes a recording alone; leave prompt out",
                    llm_provider=target.provider,
                    model=target.model,
                    param="prompt",
                )
            text = ""
        else:
            text = f"{_WRITE_DOWN} {text}".rstrip()
            if language:
                text += f" It is in the language {language}."
    parts: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
    parts += map(_content, wish.files)
    content: Any = text if not wish.files else parts
    return msgspec.structs.replace(call, messages=[{"role": "user", "content": content}], params=params)


def _only_transcribes(target: Target) -> bool:
    return any(one in target.model.lower() for one in _TRANSCRIBERS)


def _content(file: File) -> dict[str, Any]:
    if file.media_type.startswith("image/") or file.url:
        return {"type": "image_url", "image_url": {"url": file.as_url}}
    return {"type": "file", "file": {"filename": file.name, "file_data": file.as_url}}
