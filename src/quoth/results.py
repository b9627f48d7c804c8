"""What calls for pictures, speech, transcripts and films give back, in the shape of openai's package.

As in `quoth.types`, everything that a provider sends is kept, and what it left out reads as None.

Source: OpenAI's API reference for images, audio and videos.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field, PrivateAttr

from quoth.types import Attempt, Cost, Record, Trace, Warning

if TYPE_CHECKING:
    from pathlib import Path

    from quoth.media import Kind, Media

__all__ = ["Image", "ImagesResponse", "Traced", "Transcription", "Video", "VideoDeleted", "VideoError"]


class Traced:
    """What every result says of how it came about."""

    _trace: Trace

    @property
    def cost(self) -> Cost:
        """What it cost; `usd` is None where nobody knows."""
        return self._trace.cost or Cost()

    @property
    def warnings(self) -> list[Warning]:
        """What was not done as asked; empty when everything was."""
        return self._trace.warnings

    @property
    def wire(self) -> str:
        """The protocol that was spoken: "openai_chat", "images", "audio" or "videos"."""
        return self._trace.wire

    @property
    def attempts(self) -> list[Attempt]:
        """Every try that this took, failed ones first."""
        return self._trace.attempts

    @property
    def request_id(self) -> str | None:
        """The provider's id of the request (`x-request-id`); None when it gave none."""
        return self._trace.request_id

    @property
    def response_headers(self) -> Mapping[str, str]:
        """The HTTP headers of the answer, names in lower case."""
        return self._trace.headers

    @property
    def _hidden_params(self) -> dict[str, Any]:
        """LiteLLM's name for what is here `cost`, `response_headers` and so on."""
        trace, usd = self._trace, self.cost.usd
        return {
            "response_cost": None if usd is None else float(usd),
            "custom_llm_provider": trace.provider,
            "model_id": trace.model,
            "api_base": trace.api_base,
            "additional_headers": {f"llm_provider-{name}": value for name, value in trace.headers.items()},
        }


class Image(Record):
    """A picture: `url` or `b64_json`, as it was asked for and as the provider can. `revised_prompt`: what the provider
    made of the prompt."""

    url: str | None = None
    b64_json: str | None = None
    revised_prompt: str | None = None

    @property
    def media(self) -> Media:
        """The same as an item of `message.media`."""
        from quoth.media import Media

        kind: Kind = "image"
        return Media(kind, self.url or f"data:image/png;base64,{self.b64_json}", self.revised_prompt or "")

    def download(self, path: str | Path | None = None, **options: Any) -> Path:
        """Save it; the same as `quoth.download(image.media, path)`."""
        return self.media.download(path, **options)

    def _repr_html_(self) -> str:
        return self.media._repr_html_()


class ImagesResponse(Record, Traced):
    """Pictures. `created` is Unix seconds."""

    created: int | None = None
    data: list[Image] = Field(default_factory=list)
    background: str | None = None
    output_format: str | None = None
    quality: str | None = None
    size: str | None = None
    usage: Record | None = None
    _trace: Trace = PrivateAttr(default_factory=Trace)


class Transcription(Record, Traced):
    """What was said in a recording. `duration` is seconds; `words` and `segments` are there where they were asked for.
    `str(transcription)` is its text."""

    text: str = ""
    language: str | None = None
    duration: float | None = None
    words: list[Any] | None = None
    segments: list[Any] | None = None
    usage: Record | None = None
    _trace: Trace = PrivateAttr(default_factory=Trace)

    def __str__(self) -> str:
        return self.text


class VideoError(Record):
    """Why a film was not made."""

    code: str | None = None
    message: str | None = None


class Video(Record, Traced):
    """A film that is being made, or was. `status`: queued, in_progress, completed or failed; `progress` goes to 100.
    Times are Unix seconds. `url` is there where the provider gives one."""

    id: str = ""
    object: str | None = None
    status: str | None = None
    created_at: int | None = None
    completed_at: int | None = None
    expires_at: int | None = None
    model: str | None = None
    prompt: str | None = None
    seconds: str | None = None
    size: str | None = None
    progress: int | None = None
    remixed_from_video_id: str | None = None
    error: VideoError | None = None
    usage: Record | None = None
    url: str | None = None
    _trace: Trace = PrivateAttr(default_factory=Trace)


class VideoDeleted(Record):
    """That a film was deleted."""

    id: str | None = None
    object: str | None = None
    deleted: bool | None = None
