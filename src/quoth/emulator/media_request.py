"""The requests of the routes for images, audio and videos: JSON or forms in, what is to be made out.

Little is documented of images and audio, so that much is taken there: OpenAI's names, the bot's own, and options inside
`parameters`. Raises Problem.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from quoth.emulator.attachments import Attachment, recognised
from quoth.emulator.chat_request import ChatRequest, invalid, must
from quoth.emulator.films import LONGEST, Film, nearest
from quoth.emulator.forms import File, fields
from quoth.emulator.http1 import Request
from quoth.emulator.models import find, is_free, serves
from quoth.emulator.problems import Problem
from quoth.emulator.settings import Switches
from quoth.emulator.tokens import count
from quoth.providers.catalogue import ModelFacts

if TYPE_CHECKING:
    from quoth.emulator.video_jobs import Job, VideoJobs

__all__ = ["FilmRequest", "MediaRequest", "extension", "film", "images", "remix", "speech"]

_MOST_IMAGES = 10
_PIXELS = re.compile(r"(\d{2,5})x(\d{2,5})")
_SECONDS = {"sora": 4, "veo": 8}
_SIZE = "720x1280"
_VEO_SIZES = ("1280x720", "720x1280", "1920x1080", "1080x1920")


@dataclass(frozen=True, slots=True)
class MediaRequest:
    """What is to be drawn or said. `chat` is the same as a request to the bot, `inputs` what came with it."""

    chat: ChatRequest
    as_base64: bool = True
    inputs: list[Attachment] = field(default_factory=list)

    @property
    def facts(self) -> ModelFacts:
        return self.chat.facts


@dataclass(frozen=True, slots=True)
class FilmRequest:
    """What is to be filmed. `size` is "WIDTHxHEIGHT"."""

    model: str
    facts: ModelFacts
    prompt: str
    seconds: int
    size: str
    remixed_from: str | None = None
    inputs: list[Attachment] = field(default_factory=list)

    @property
    def film(self) -> Film:
        width, height = (int(side) for side in self.size.split("x"))
        return Film(nearest(width, height), min(float(self.seconds), LONGEST))

    @property
    def prompt_tokens(self) -> int:
        return count(self.prompt)


def images(request: Request, switches: Switches) -> MediaRequest:
    """The request of `/v1/images`, with pictures to begin from or without."""
    data = fields(request)
    facts = _model(data, "/v1/images", switches)
    prompt = _text(data, "prompt")
    options = _options(data)
    number = _whole(options, "n", 1, _MOST_IMAGES) or 1
    wanted = options.get("response_format")
    if wanted not in (None, "b64_json", "url"):
        raise invalid("response_format", must("response_format", "b64_json or url"))
    custom = {name: value for name, value in options.items() if name in ("size", "quality", "background")}
    custom |= {name: value for name, value in options.items() if facts.parameter(name) is not None}
    size = options.get("size")
    if size == "auto":
        del custom["size"]
    elif size is not None and not (isinstance(size, str) and _PIXELS.fullmatch(size)):
        raise invalid("size", must("size", "auto, or width and height such as 1024x1024"))
    given = [data.get(name) for name in ("image", "images", "mask", "input_image")]
    inputs = [_input("image", one) for values in given if values for one in _listed(values)]
    if inputs and facts.input_modalities and "image" not in facts.input_modalities:
        raise invalid("image", f"Model {facts.id} does not take images.")
    chat = _chat(data["model"], facts, prompt, {**custom, "num_images": number})
    return MediaRequest(
        chat, as_base64=wanted == "b64_json" or (wanted is None and "dall-e" not in facts.id), inputs=inputs
    )


def speech(request: Request, switches: Switches) -> MediaRequest:
    """The request of `/v1/audio`. The text is called `input`, `prompt` or `text`."""
    data = fields(request)
    facts = _model(data, "/v1/audio", switches)
    name = next((name for name in ("input", "prompt", "text") if data.get(name) is not None), "input")
    options = _options(data)
    custom = {name: value for name, value in options.items() if facts.parameter(name) is not None}
    for option in ("speed", "voice"):
        if options.get(option) is not None:
            custom[option] = options[option]
    return MediaRequest(_chat(data["model"], facts, _text(data, name), custom))


def film(request: Request, switches: Switches) -> FilmRequest:
    """The request of `/v1/videos`."""
    data = fields(request)
    facts = _model(data, "/v1/videos", switches)
    prompt = _text(data, "prompt")
    size = data.get("size") or _SIZE
    declared = facts.parameter("size")
    sizes = declared.enum if declared is not None and declared.enum else _VEO_SIZES
    if size not in sizes:
        raise invalid("size", f"Invalid 'size': '{size}' is not supported. Supported values are: {_quoted(sizes)}.")
    given = [data.get(name) for name in ("input_image", "input_reference")]
    inputs = [_input("image", one) for one in given if one]
    return FilmRequest(data["model"], facts, prompt, _seconds(data, facts), size, inputs=inputs)


def remix(request: Request, job: Job, now: float) -> FilmRequest:
    """The request to make a finished video anew, in other words."""
    _sora_only(job, "remixed")
    _finished(job, now)
    before = job.request
    prompt = _text(fields(request), "prompt")
    return FilmRequest(before.model, before.facts, prompt, before.seconds, before.size, remixed_from=job.id)


def extension(request: Request, jobs: VideoJobs, now: float) -> FilmRequest:
    """The request to go on with a finished video."""
    data = fields(request)
    video = data.get("video")
    video_id = video.get("id") if isinstance(video, dict) else data.get("video.id", data.get("video[id]"))
    if not isinstance(video_id, str):
        raise invalid("video", "Missing required parameter: 'video.id'.")
    job = jobs.find(video_id)
    _sora_only(job, "extended")
    _finished(job, now)
    before, prompt = job.request, _text(data, "prompt")
    total = before.seconds + _seconds(data, before.facts)
    if total > LONGEST:
        raise invalid(
            "seconds", f"Invalid 'seconds': the whole would be {total} seconds, at most {LONGEST:g} are possible."
        )
    return FilmRequest(before.model, before.facts, prompt, total, before.size)


# Parts of a request


def _model(data: dict[str, Any], endpoint: str, switches: Switches) -> ModelFacts:
    model = data.get("model")
    if not isinstance(model, str) or not model:
        raise invalid("model", "Missing required parameter: 'model'." if model is None else must("model", "a string"))
    facts = find(model)
    if facts is None:
        kind = "not_found" if endpoint == "/v1/videos" else None
        raise Problem(404, f"The model '{model}' does not exist or you do not have access to it.", type=kind)
    if not serves(facts, endpoint):
        raise invalid("model", f"Model {facts.id} does not support {endpoint}.")
    if not switches.subscriber and not is_free(facts):
        raise Problem(402, "This model needs a subscription or add-on points.")
    return facts


def _text(data: dict[str, Any], name: str) -> str:
    value = data.get(name)
    if value is None:
        raise invalid(name, f"Missing required parameter: '{name}'.")
    if not isinstance(value, str) or not value.strip():
        raise invalid(name, must(name, "a non-empty string"))
    return value


def _options(data: dict[str, Any]) -> dict[str, Any]:
    """All options, those inside `parameters` too."""
    inner = data.get("parameters")
    return {**data, **inner} if isinstance(inner, dict) else data


def _whole(data: dict[str, Any], name: str, least: int, most: int) -> int | None:
    value = data.get(name)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 9:  # as forms send it
        value = int(value)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most):
        raise invalid(name, must(name, f"a whole number from {least} to {most}"))
    return value


def _seconds(data: dict[str, Any], facts: ModelFacts) -> int:
    usual = next((seconds for name, seconds in _SECONDS.items() if facts.id.startswith(name)), 4)
    value = _whole(data, "seconds", 1, int(LONGEST)) or usual
    declared = facts.parameter("duration")
    if declared is not None and declared.enum and str(value) not in declared.enum:
        allowed = _quoted(declared.enum)
        raise invalid("seconds", f"Invalid 'seconds': {value} is not supported. Supported values are: {allowed}.")
    return value


def _quoted(values: tuple[str, ...]) -> str:
    return ", ".join(f"'{value}'" for value in values)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _input(kind: str, value: Any) -> Attachment:
    """A file of a form, base64, a data URL, an address, or one of these in an object as OpenAI has it."""
    if isinstance(value, dict):
        value = value.get("image_url") or value.get("url") or value.get("b64_json")
    if isinstance(value, File):
        return _recognised(kind, bytes(value))
    if not isinstance(value, str):
        raise invalid(kind, must(kind, "a file, base64 or an address"))
    if value.startswith(("http://", "https://")):
        return Attachment(kind, address=value)
    try:
        return _recognised(kind, base64.b64decode(value.partition(",")[2] if value.startswith("data:") else value))
    except (binascii.Error, ValueError):
        raise invalid(kind, must(kind, "a file, base64 or an address")) from None


def _recognised(kind: str, data: bytes) -> Attachment:
    media_type = recognised(data)[0]
    if not media_type.startswith(f"{kind}/"):
        raise invalid(kind, f"Invalid '{kind}': this is {media_type}.")
    return Attachment(kind, data=data)


def _chat(model: str, facts: ModelFacts, prompt: str, custom: dict[str, Any]) -> ChatRequest:
    return ChatRequest(model, facts, [{"role": "user", "content": prompt}], custom=custom)


def _sora_only(job: Job, what: str) -> None:
    if not job.request.facts.id.startswith("sora-"):
        raise invalid("model", f"Videos of {job.request.facts.id} cannot be {what}: only those of Sora can.")


def _finished(job: Job, now: float) -> None:
    if job.status(now) != "completed":
        raise invalid("video", f"Video '{job.id}' is {job.status(now)}: it must be completed first.")
