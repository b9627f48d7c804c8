"""Pictures, speech, transcripts and films: LiteLLM's functions, and openai's shape on the clients.

Every function also takes the keywords of `completion` that steer a call (`timeout`, `num_retries`, `fallbacks`,
`api_key`, `drop_params` ...), parameters of the model's own, and `client`. Results have `cost`, `warnings` and
`attempts`. Raises QuothError.
"""

from __future__ import annotations

import asyncio
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from quoth.errors import BadRequestError
from quoth.sdk import defaults, making
from quoth.sdk.uploads import upload, uploads

if TYPE_CHECKING:
    from quoth.providers.wishes import File
    from quoth.results import ImagesResponse, Transcription, Video, VideoDeleted
    from quoth.sdk.client import AsyncClient, Client
    from quoth.sdk.content import Content, Speech

__all__ = [
    "AsyncAudio",
    "AsyncImages",
    "AsyncVideos",
    "Audio",
    "Images",
    "Videos",
    "aimage_edit",
    "aimage_generation",
    "aspeech",
    "atranscription",
    "avideo_content",
    "avideo_generation",
    "avideo_remix",
    "avideo_status",
    "image_edit",
    "image_generation",
    "speech",
    "transcription",
    "video_content",
    "video_generation",
    "video_remix",
    "video_status",
]


def image_generation(
    prompt: str,
    model: str = "",
    *,
    n: int | None = None,
    size: str | None = None,
    quality: str | None = None,
    response_format: Literal["url", "b64_json"] | None = None,
    background: str | None = None,
    style: str | None = None,
    output_format: str | None = None,
    user: str | None = None,
    client: Client | None = None,
    **more: Any,
) -> ImagesResponse:
    """Draw pictures: `n` of them, as addresses or as base64 (`response_format="b64_json"`, which downloads what has an
    address). `size` ("1024x1536", "16:9") and `quality` become what the model declares, the nearest with a
    warning.
    """
    given = {
        "n": n,
        "size": size,
        "quality": quality,
        "response_format": response_format,
        "background": background,
        "style": style,
        "output_format": output_format,
        "user": user,
        **more,
    }
    client = client or defaults.client()
    return client._perform(making.image_made(client._core, model, prompt, given))


def image_edit(
    image: Any,
    prompt: str,
    model: str = "",
    *,
    mask: Any = None,
    n: int | None = None,
    size: str | None = None,
    quality: str | None = None,
    response_format: Literal["url", "b64_json"] | None = None,
    background: str | None = None,
    input_fidelity: str | None = None,
    output_format: str | None = None,
    user: str | None = None,
    client: Client | None = None,
    **more: Any,
) -> ImagesResponse:
    """Draw anew what is on pictures. `image`: a path, bytes, an open file or an address, or a list of them; `mask`:
    where the model has one, a picture whose transparent parts are drawn over.
    """
    given = {
        "n": n,
        "size": size,
        "quality": quality,
        "response_format": response_format,
        "background": background,
        "input_fidelity": input_fidelity,
        "output_format": output_format,
        "user": user,
        **more,
    }
    files = uploads(image, "image")
    if not files:
        raise BadRequestError("image is missing: the picture to begin from", param="image")
    cover: File | None = None if mask is None else upload(mask, "mask")
    client = client or defaults.client()
    return client._perform(making.image_made(client._core, model, prompt, given, files, cover))


def speech(
    model: str,
    input: str,
    voice: str | None = None,
    *,
    response_format: str | None = None,
    speed: float | None = None,
    instructions: str | None = None,
    client: Client | None = None,
    **more: Any,
) -> Speech:
    """Say a text aloud, or play what it describes: `.content` are the bytes of the file, `.stream_to_file(path)` saves
    it. `voice`, `speed` and `response_format` ("mp3", "wav") become what the model declares, the nearest with a
    warning.
    """
    given = {
        "voice": voice,
        "response_format": response_format,
        "speed": speed,
        "instructions": instructions,
        **more,
    }
    client = client or defaults.client()
    return client._perform(making.said_aloud(client._core, model, input, given))


def transcription(
    model: str,
    file: Any,
    *,
    language: str | None = None,
    prompt: str | None = None,
    response_format: Literal["json", "text", "srt", "verbose_json", "vtt"] | None = None,
    temperature: float | None = None,
    timestamp_granularities: list[str] | None = None,
    client: Client | None = None,
    **more: Any,
) -> Transcription:
    """Write down what is said in a recording: `.text`. `file`: a path, bytes, an open file or an address. `language` is
    a code such as "de".
    """
    given = {
        "language": language,
        "response_format": response_format,
        "temperature": temperature,
        "timestamp_granularities": timestamp_granularities,
        **more,
    }
    recording = upload(file, "file")
    client = client or defaults.client()
    return client._perform(making.heard(client._core, model, recording, prompt or "", given))


def video_generation(
    prompt: str,
    model: str = "",
    *,
    input_reference: Any = None,
    seconds: int | str | None = None,
    size: str | None = None,
    user: str | None = None,
    client: Client | None = None,
    **more: Any,
) -> Video:
    """Make a film. With a model that has `/v1/videos` this returns at once, and `video_status` tells how far it is; any
    other model takes its minutes, and the film is there when this returns. `input_reference`: a picture to begin from.
    """
    given = {"seconds": seconds, "size": size, "user": user, **more}
    files = uploads(input_reference, "input_reference")
    client = client or defaults.client()
    return client._perform(making.filmed(client._core, model, prompt, given, *files))


def video_status(video_id: str | Video, *, client: Client | None = None, **more: Any) -> Video:
    """How far a film is: `status`, `progress`."""
    client = client or defaults.client()
    return client._perform(making.video_now(client._core, video_id, more))


def video_content(
    video_id: str | Video,
    *,
    variant: Literal["video", "thumbnail", "spritesheet"] | None = None,
    client: Client | None = None,
    **more: Any,
) -> Content:
    """A finished film, or a still of it: `.content` are its bytes, `.stream_to_file(path)` saves it."""
    client = client or defaults.client()
    return client._perform(making.video_bytes(client._core, video_id, variant, more))


def video_remix(video_id: str | Video, prompt: str, *, client: Client | None = None, **more: Any) -> Video:
    """A finished film once more, by other words; Sora's models can."""
    client = client or defaults.client()
    return client._perform(making.filmed_again(client._core, video_id, prompt, more))


async def aimage_generation(
    prompt: str,
    model: str = "",
    *,
    n: int | None = None,
    size: str | None = None,
    quality: str | None = None,
    response_format: Literal["url", "b64_json"] | None = None,
    background: str | None = None,
    style: str | None = None,
    output_format: str | None = None,
    user: str | None = None,
    client: AsyncClient | None = None,
    **more: Any,
) -> ImagesResponse:
    """`image_generation` for asyncio."""
    given = {
        "n": n,
        "size": size,
        "quality": quality,
        "response_format": response_format,
        "background": background,
        "style": style,
        "output_format": output_format,
        "user": user,
        **more,
    }
    client = client or defaults.async_client()
    return await client._perform(making.image_made(client._core, model, prompt, given))


async def aimage_edit(
    image: Any,
    prompt: str,
    model: str = "",
    *,
    mask: Any = None,
    n: int | None = None,
    size: str | None = None,
    quality: str | None = None,
    response_format: Literal["url", "b64_json"] | None = None,
    background: str | None = None,
    input_fidelity: str | None = None,
    output_format: str | None = None,
    user: str | None = None,
    client: AsyncClient | None = None,
    **more: Any,
) -> ImagesResponse:
    """`image_edit` for asyncio."""
    given = {
        "n": n,
        "size": size,
        "quality": quality,
        "response_format": response_format,
        "background": background,
        "input_fidelity": input_fidelity,
        "output_format": output_format,
        "user": user,
        **more,
    }
    files = await asyncio.to_thread(uploads, image, "image")
    if not files:
        raise BadRequestError("image is missing: the picture to begin from", param="image")
    cover: File | None = None if mask is None else await asyncio.to_thread(upload, mask, "mask")
    client = client or defaults.async_client()
    return await client._perform(making.image_made(client._core, model, prompt, given, files, cover))


async def aspeech(
    model: str,
    input: str,
    voice: str | None = None,
    *,
    response_format: str | None = None,
    speed: float | None = None,
    instructions: str | None = None,
    client: AsyncClient | None = None,
    **more: Any,
) -> Speech:
    """`speech` for asyncio."""
    given = {
        "voice": voice,
        "response_format": response_format,
        "speed": speed,
        "instructions": instructions,
        **more,
    }
    client = client or defaults.async_client()
    return await client._perform(making.said_aloud(client._core, model, input, given))


async def atranscription(
    model: str,
    file: Any,
    *,
    language: str | None = None,
    prompt: str | None = None,
    response_format: Literal["json", "text", "srt", "verbose_json", "vtt"] | None = None,
    temperature: float | None = None,
    timestamp_granularities: list[str] | None = None,
    client: AsyncClient | None = None,
    **more: Any,
) -> Transcription:
    """`transcription` for asyncio."""
    given = {
        "language": language,
        "response_format": response_format,
        "temperature": temperature,
        "timestamp_granularities": timestamp_granularities,
        **more,
    }
    recording = await asyncio.to_thread(upload, file, "file")
    client = client or defaults.async_client()
    return await client._perform(making.heard(client._core, model, recording, prompt or "", given))


async def avideo_generation(
    prompt: str,
    model: str = "",
    *,
    input_reference: Any = None,
    seconds: int | str | None = None,
    size: str | None = None,
    user: str | None = None,
    client: AsyncClient | None = None,
    **more: Any,
) -> Video:
    """`video_generation` for asyncio."""
    given = {"seconds": seconds, "size": size, "user": user, **more}
    files = await asyncio.to_thread(uploads, input_reference, "input_reference")
    client = client or defaults.async_client()
    return await client._perform(making.filmed(client._core, model, prompt, given, *files))


async def avideo_status(video_id: str | Video, *, client: AsyncClient | None = None, **more: Any) -> Video:
    """`video_status` for asyncio."""
    client = client or defaults.async_client()
    return await client._perform(making.video_now(client._core, video_id, more))


async def avideo_content(
    video_id: str | Video,
    *,
    variant: Literal["video", "thumbnail", "spritesheet"] | None = None,
    client: AsyncClient | None = None,
    **more: Any,
) -> Content:
    """`video_content` for asyncio."""
    client = client or defaults.async_client()
    return await client._perform(making.video_bytes(client._core, video_id, variant, more))


async def avideo_remix(video_id: str | Video, prompt: str, *, client: AsyncClient | None = None, **more: Any) -> Video:
    """`video_remix` for asyncio."""
    client = client or defaults.async_client()
    return await client._perform(making.filmed_again(client._core, video_id, prompt, more))


class Images:
    def __init__(self, client: Client):
        self._client = client

    def generate(self, *, prompt: str, model: str = "", **keywords: Any) -> ImagesResponse:
        """As `quoth.image_generation`."""
        return image_generation(prompt, model, client=self._client, **keywords)

    def edit(self, *, image: Any, prompt: str, model: str = "", **keywords: Any) -> ImagesResponse:
        """As `quoth.image_edit`."""
        return image_edit(image, prompt, model, client=self._client, **keywords)


class _Speeches:
    def __init__(self, client: Client):
        self._client = client

    def create(self, *, input: str, model: str, voice: str | None = None, **keywords: Any) -> Speech:
        """As `quoth.speech`."""
        return speech(model, input, voice, client=self._client, **keywords)


class _Transcriptions:
    def __init__(self, client: Client):
        self._client = client

    def create(self, *, file: Any, model: str, **keywords: Any) -> Transcription:
        """As `quoth.transcription`."""
        return transcription(model, file, client=self._client, **keywords)


class Audio:
    def __init__(self, client: Client):
        self._client = client

    @cached_property
    def speech(self) -> _Speeches:
        """`client.audio.speech.create(model=..., input=..., voice=...)`"""
        return _Speeches(self._client)

    @cached_property
    def transcriptions(self) -> _Transcriptions:
        """`client.audio.transcriptions.create(model=..., file=...)`"""
        return _Transcriptions(self._client)


class Videos:
    def __init__(self, client: Client):
        self._client = client

    def create(self, *, prompt: str, model: str = "", **keywords: Any) -> Video:
        """As `quoth.video_generation`."""
        return video_generation(prompt, model, client=self._client, **keywords)

    def create_and_poll(
        self, *, prompt: str, model: str = "", poll_interval_ms: int | None = None, **keywords: Any
    ) -> Video:
        """The film when it is done, well or not."""
        video = self.create(prompt=prompt, model=model, **keywords)
        return self.poll(video.id, poll_interval_ms=poll_interval_ms)

    def poll(self, video_id: str, *, poll_interval_ms: int | None = None, **keywords: Any) -> Video:
        """Ask every 5 seconds, or as often as is said, until the film is done, well or not."""
        interval = 5.0 if poll_interval_ms is None else poll_interval_ms / 1000
        return self._client._perform(making.polled(self._client._core, video_id, keywords, interval))

    def retrieve(self, video_id: str, **keywords: Any) -> Video:
        """As `quoth.video_status`."""
        return video_status(video_id, client=self._client, **keywords)

    def download_content(
        self, video_id: str, *, variant: Literal["video", "thumbnail", "spritesheet"] | None = None, **keywords: Any
    ) -> Content:
        """As `quoth.video_content`."""
        return video_content(video_id, variant=variant, client=self._client, **keywords)

    def remix(self, video_id: str, *, prompt: str, **keywords: Any) -> Video:
        """As `quoth.video_remix`."""
        return video_remix(video_id, prompt, client=self._client, **keywords)

    def delete(self, video_id: str, **keywords: Any) -> VideoDeleted:
        """Delete a film, where the provider can."""
        return self._client._perform(making.deleted(self._client._core, video_id, keywords))


class AsyncImages:
    def __init__(self, client: AsyncClient):
        self._client = client

    async def generate(self, *, prompt: str, model: str = "", **keywords: Any) -> ImagesResponse:
        """As `quoth.aimage_generation`."""
        return await aimage_generation(prompt, model, client=self._client, **keywords)

    async def edit(self, *, image: Any, prompt: str, model: str = "", **keywords: Any) -> ImagesResponse:
        """As `quoth.aimage_edit`."""
        return await aimage_edit(image, prompt, model, client=self._client, **keywords)


class _AsyncSpeeches:
    def __init__(self, client: AsyncClient):
        self._client = client

    async def create(self, *, input: str, model: str, voice: str | None = None, **keywords: Any) -> Speech:
        """As `quoth.aspeech`."""
        return await aspeech(model, input, voice, client=self._client, **keywords)


class _AsyncTranscriptions:
    def __init__(self, client: AsyncClient):
        self._client = client

    async def create(self, *, file: Any, model: str, **keywords: Any) -> Transcription:
        """As `quoth.atranscription`."""
        return await atranscription(model, file, client=self._client, **keywords)


class AsyncAudio:
    def __init__(self, client: AsyncClient):
        self._client = client

    @cached_property
    def speech(self) -> _AsyncSpeeches:
        """`await client.audio.speech.create(model=..., input=..., voice=...)`"""
        return _AsyncSpeeches(self._client)

    @cached_property
    def transcriptions(self) -> _AsyncTranscriptions:
        """`await client.audio.transcriptions.create(model=..., file=...)`"""
        return _AsyncTranscriptions(self._client)


class AsyncVideos:
    def __init__(self, client: AsyncClient):
        self._client = client

    async def create(self, *, prompt: str, model: str = "", **keywords: Any) -> Video:
        """As `quoth.avideo_generation`."""
        return await avideo_generation(prompt, model, client=self._client, **keywords)

    async def create_and_poll(
        self, *, prompt: str, model: str = "", poll_interval_ms: int | None = None, **keywords: Any
    ) -> Video:
        """The film when it is done, well or not."""
        video = await self.create(prompt=prompt, model=model, **keywords)
        return await self.poll(video.id, poll_interval_ms=poll_interval_ms)

    async def poll(self, video_id: str, *, poll_interval_ms: int | None = None, **keywords: Any) -> Video:
        """Ask every 5 seconds, or as often as is said, until the film is done, well or not."""
        interval = 5.0 if poll_interval_ms is None else poll_interval_ms / 1000
        return await self._client._perform(making.polled(self._client._core, video_id, keywords, interval))

    async def retrieve(self, video_id: str, **keywords: Any) -> Video:
        """As `quoth.avideo_status`."""
        return await avideo_status(video_id, client=self._client, **keywords)

    async def download_content(
        self, video_id: str, *, variant: Literal["video", "thumbnail", "spritesheet"] | None = None, **keywords: Any
    ) -> Content:
        """As `quoth.avideo_content`."""
        return await avideo_content(video_id, variant=variant, client=self._client, **keywords)

    async def remix(self, video_id: str, *, prompt: str, **keywords: Any) -> Video:
        """As `quoth.avideo_remix`."""
        return await avideo_remix(video_id, prompt, client=self._client, **keywords)

    async def delete(self, video_id: str, **keywords: Any) -> VideoDeleted:
        """Delete a film, where the provider can."""
        return await self._client._perform(making.deleted(self._client._core, video_id, keywords))
