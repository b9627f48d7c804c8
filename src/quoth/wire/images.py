"""OpenAI's images: the bytes of an answer to an ImagesResponse."""

from __future__ import annotations

from collections.abc import Iterable

from quoth.media import Media
from quoth.results import Image, ImagesResponse
from quoth.wire.documents import read
from quoth.wire.openai_chat import Unreadable

__all__ = ["of_media", "parse"]


def parse(raw: bytes) -> ImagesResponse:
    """Raises Unreadable, UpstreamError."""
    found = read(ImagesResponse, raw)
    if not any(image.url or image.b64_json for image in found.data):
        raise Unreadable("JSON, but without any picture")
    return found


def of_media(media: Iterable[Media], created: int) -> ImagesResponse:
    """The pictures of a chat answer. `created` is Unix seconds."""
    data = []
    for item in media:
        head, comma, body = item.url.partition(";base64,")
        if comma and head.startswith("data:"):
            data.append(Image(b64_json=body))
        else:
            data.append(Image(url=item.url))
    return ImagesResponse(created=created, data=data)
