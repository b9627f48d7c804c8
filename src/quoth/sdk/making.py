"""Pictures, speech, transcripts and films in the shape of openai's package and under LiteLLM's names.

Each operation is written once, as a generator of steps: a flow of the engine to be driven, a file to be downloaded.
`Client` and `AsyncClient` take the steps, each in its own way.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import msgspec

from quoth.call import Target
from quoth.engine import filming
from quoth.engine.effects import Flow, Sleep
from quoth.engine.making import Made, make
from quoth.errors import APIError, BadRequestError, QuothError, UnsupportedParamsError
from quoth.providers.wishes import File, Wish, needs_bytes, way_of
from quoth.results import ImagesResponse, Transcription, Video, VideoDeleted
from quoth.sdk import budget
from quoth.sdk.arguments import said
from quoth.sdk.content import Content, Speech
from quoth.sdk.log import noted
from quoth.sdk.past import remember
from quoth.transport.download import MAX_BYTES, Download
from quoth.types import Warning
from quoth.wire import openai_chat, videos
from quoth.wire.audio import FORMATS
from quoth.wire.media_types import ENDINGS, HEAD, sniffed

if TYPE_CHECKING:
    from quoth.media import Kind
    from quoth.sdk.core import Core

__all__ = [
    "Steps",
    "deleted",
    "filmed",
    "filmed_again",
    "heard",
    "image_made",
    "polled",
    "said_aloud",
    "video_bytes",
    "video_now",
]

T = TypeVar("T")
Steps: TypeAlias = Generator[Flow[Any] | Download, Any, T]

_FILES = 600.0  # seconds for one file, unless `timeout` says otherwise
_ENDED = ("completed", "failed", "cancelled", "expired")


def image_made(core: Core, model: str, prompt: str, given: Mapping[str, Any], *files: Any) -> Steps[ImagesResponse]:
    """Pictures, new or begun from others: `files` are those and then the mask."""
    inputs, mask = files or ((), None)
    kind: Any = "edit" if inputs else "image"
    _check_text(prompt, "prompt")
    wanted = given.get("response_format")
    if wanted not in (None, "url", "b64_json"):
        raise BadRequestError('response_format of a picture is "url" or "b64_json"', param="response_format")
    found = yield from _made(core, model, Wish(kind, prompt, inputs, mask), given)
    result = found.result
    assert isinstance(result, ImagesResponse)
    if wanted == "b64_json":
        for image in result.data:
            if image.b64_json is None and image.url is not None:
                file = yield from _fetched(core, image.url, "image", given)
                image.b64_json, image.url = base64.b64encode(file.content).decode(), None
                image.__pydantic_fields_set__.discard("url")
                file.close()
    elif wanted == "url" and any(image.url is None for image in result.data):
        message = "the model gives no addresses; the picture came as base64"
        result.warnings.append(Warning("as_base64", "response_format", message))
    return result


def said_aloud(core: Core, model: str, text: str, given: Mapping[str, Any]) -> Steps[Speech]:
    """A text spoken, or music by a description."""
    _check_text(text, "input")
    found = yield from _made(core, model, Wish("speech", text), given)
    assert found.sound is not None
    data, media_type = found.sound
    if isinstance(data, bytes):
        speech = Speech(Content.of(data)._handed_over(), media_type)
    else:
        file = yield from _fetched(core, data, "audio", given)
        speech = Speech(file._handed_over(), file.content_type, None if data.startswith("data:") else data)
    speech._trace = found.trace
    wanted = given.get("response_format")
    if isinstance(wanted, str) and speech.content_type not in FORMATS.get(wanted.lower(), (wanted,)):
        message = f"response_format {wanted!r} is not this model's to choose; the file is {speech.content_type}"
        speech.warnings.append(Warning("nearest", "response_format", message))
    return speech


def heard(core: Core, model: str, file: File, prompt: str, given: Mapping[str, Any]) -> Steps[Transcription]:
    """The words of a recording."""
    found = yield from _made(core, model, Wish("transcription", prompt, (file,)), given)
    assert isinstance(found.result, Transcription)
    return found.result


def filmed(core: Core, model: str, prompt: str, given: Mapping[str, Any], *files: File) -> Steps[Video]:
    """A film: as a job to ask after, where the model has `/v1/videos`, else done when this returns."""
    _check_text(prompt, "prompt")
    found = yield from _made(core, model, Wish("video", prompt, files), given)
    video = found.result
    assert isinstance(video, Video)
    target = found.target
    video.id = _Id(target.provider, target.model, video.id, "" if video.id else video.url or "").text
    return video


def video_now(core: Core, video_id: Any, given: Mapping[str, Any]) -> Steps[Video]:
    """How far a film is."""
    known = _Id.read(video_id)
    if known is not None and known.url:
        return Video(id=known.text, object="video", status="completed", model=known.model, progress=100, url=known.url)
    target, own = _whose(core, known, video_id, given)
    found: Video = yield filming.status(target, own, core._policy(_controls(given), False), core.world, core.budget)
    return _renamed(found, target)


def polled(core: Core, video_id: str, given: Mapping[str, Any], interval: float) -> Steps[Video]:
    """The film once it is done, well or not. Raises QuothError."""
    while True:
        video = yield from video_now(core, video_id, given)
        if video.status in _ENDED:
            return video
        yield _pause(interval)


def _pause(seconds: float) -> Flow[None]:
    yield Sleep(seconds)


def video_bytes(core: Core, video_id: Any, variant: str | None, given: Mapping[str, Any]) -> Steps[Content]:
    """The film itself, or its `variant`."""
    known = _Id.read(video_id)
    if known is not None and known.url:
        if variant not in (None, "video"):
            raise UnsupportedParamsError(f"{known.model} gives the film alone, no {variant}", param="variant")
        return (yield from _fetched(core, known.url, "video", given))
    target, own = _whose(core, known, video_id, given)
    kind: Kind = "video" if variant in (None, "video") else "image"
    url = videos.content_url(target, own, variant)
    headers = {**openai_chat.authorization(target), **target.headers}
    return (yield from _fetched(core, url, kind, given, headers))


def filmed_again(core: Core, video_id: Any, prompt: str, given: Mapping[str, Any]) -> Steps[Video]:
    """A finished film by other words."""
    _check_text(prompt, "prompt")
    known = _Id.read(video_id)
    if known is not None and known.url:
        raise BadRequestError(
            f"{known.provider}/{known.model} makes no film anew; models with /v1/videos do, such as poe/Sora-2",
            param="video_id",
        )
    target, own = _whose(core, known, video_id, given)
    policy = core._policy(_controls(given), False)
    return _renamed((yield filming.remix(target, own, prompt, policy, core.world, core.budget)), target)


def deleted(core: Core, video_id: Any, given: Mapping[str, Any]) -> Steps[VideoDeleted]:
    """Delete a film, where the provider can."""
    known = _Id.read(video_id)
    if known is not None and known.url:
        raise BadRequestError(f"{known.provider} keeps the films of {known.model} as it likes", param="video_id")
    target, own = _whose(core, known, video_id, given)
    found: VideoDeleted = yield filming.delete(
        target, own, core._policy(_controls(given), False), core.world, core.budget
    )
    found.id = known.text if known is not None else own
    return found


# Parts of an operation


def _check_text(text: Any, param: str) -> None:
    if not isinstance(text, str) or not text.strip():
        raise BadRequestError(f"{param} is {text!r:.80}; it has to be a text", param=param)


def _made(core: Core, model: str, wish: Wish, given: Mapping[str, Any]) -> Steps[Made]:
    if not isinstance(model, str) or not model:
        raise BadRequestError('model is missing; give one, such as model="poe/Imagen-4-Fast"', param="model")
    # A placeholder: what is said to whom depends on the target.
    job = core.job(model, [{"role": "user", "content": wish.prompt or "-"}], given)
    if job.mock:
        raise BadRequestError("mock_response is for completion; the emulator makes media: quoth emulate")
    if any(file.url for file in wish.files):
        wish = yield from _with_bytes(core, wish, job.plans[0].target, given)
    yield core.freshen(job)
    found: Made = yield noted(make(wish, job.plans, core.world, core.budget, budget.current()))
    remember(found, core.world)
    found.trace.warnings[:0] = job.warnings
    return found


def _with_bytes(core: Core, wish: Wish, find: Any, given: Mapping[str, Any]) -> Steps[Wish]:
    """The same wish with the files themselves, where their addresses are not taken."""
    try:
        target = find()
    except QuothError:
        return wish  # the call itself says so
    if not needs_bytes(way_of(target, wish.kind), wish.kind):
        return wish
    kind: Kind = "audio" if wish.kind == "transcription" else "image"
    files = []
    for file in wish.files:
        if file.url:
            got = yield from _fetched(core, file.url, kind, given)
            name = file.name if "." in file.name else f"{file.name}{ENDINGS.get(got.content_type, '')}"
            file = File(name, got.content_type, got.content)
            got.close()
        files.append(file)
    return msgspec.structs.replace(wish, files=tuple(files))


def _fetched(
    core: Core, url: str, kind: Kind, given: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> Steps[Content]:
    """What is at an address, in a temporary file."""
    if url.startswith("data:"):
        data = base64.b64decode(url.partition(",")[2])
        return Content.of(data, sniffed(data[:HEAD]) or "")
    content = Content.empty()
    total = core._policy(_controls(given), False).timeouts.total
    download = Download(
        url,
        kind=kind,
        sink=content._file,
        end=time.monotonic() + (total or _FILES),
        headers=headers,
        max_bytes=MAX_BYTES,
    )
    try:
        yield download
    except BaseException:
        content.close()
        raise
    content.content_type = download.content_type
    return content


def _controls(given: Mapping[str, Any]) -> dict[str, Any]:
    return said(given)


# Whose film it is


class _Id(msgspec.Struct, frozen=True):
    """An id that says whom to ask: provider, model and their own id of the film, or its address."""

    provider: str
    model: str
    own: str
    url: str = ""

    @property
    def text(self) -> str:
        inner = msgspec.json.encode([self.provider, self.model, self.own, self.url])
        return f"video_{base64.urlsafe_b64encode(inner).decode().rstrip('=')}"

    @classmethod
    def read(cls, text: Any) -> _Id | None:
        """None for an id as a provider gave it."""
        if isinstance(text, Video):
            text = text.id
        if not isinstance(text, str) or not text:
            raise BadRequestError("video_id is missing: the id that video_generation gave", param="video_id")
        inner = text.removeprefix("video_")
        try:
            found = msgspec.json.decode(base64.urlsafe_b64decode(inner + "=" * (-len(inner) % 4)), type=list[str])
            return cls(*found)
        except (ValueError, TypeError, msgspec.DecodeError):
            return None


def _whose(core: Core, known: _Id | None, video_id: Any, given: Mapping[str, Any]) -> tuple[Target, str]:
    """Whom to ask, and under which id. An id as the provider gave it needs a client of that provider, or
    `custom_llm_provider`."""
    controls = _controls(given)
    if known is not None:
        return core._target(f"{known.provider}/{known.model}", controls)(), known.own
    own = video_id.id if isinstance(video_id, Video) else video_id
    provider = controls.get("custom_llm_provider") or core.settings.provider or "poe"
    return core._target(f"{provider}/*", controls)(), own


def _renamed(video: Video, target: Target) -> Video:
    if not video.id:
        raise APIError("the provider answered without an id")
    video.id = _Id(target.provider, target.model, video.id).text
    if video.remixed_from_video_id:
        video.remixed_from_video_id = _Id(target.provider, target.model, video.remixed_from_video_id).text
    return video
