"""OpenAI's videos: jobs with an id, asked after until they are done."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from quoth.call import Target, WireRequest
from quoth.results import Video, VideoDeleted
from quoth.wire.documents import read
from quoth.wire.openai_chat import Unreadable, authorization

__all__ = ["about", "content_url", "parse", "parse_deleted"]


def about(target: Target, video_id: str, *, method: str = "GET", path: str = "", body: bytes = b"") -> WireRequest:
    """A request about one film; `path` comes after its id."""
    headers = {"accept": "application/json", **authorization(target), **target.headers}
    if body:
        headers["content-type"] = "application/json"
    return WireRequest(method, f"{target.base_url}/videos/{quote(video_id, safe='')}{path}", headers, body)


def content_url(target: Target, video_id: str, variant: str | None) -> str:
    """Where the film is, or its `variant`: thumbnail, spritesheet."""
    query = f"?{urlencode({'variant': variant})}" if variant else ""
    return f"{target.base_url}/videos/{quote(video_id, safe='')}/content{query}"


def parse(raw: bytes) -> Video:
    """Raises Unreadable, UpstreamError."""
    found = read(Video, raw)
    if not found.id:
        raise Unreadable("JSON, but without the id of a video")
    return found


def parse_deleted(raw: bytes) -> VideoDeleted:
    """Raises Unreadable, UpstreamError."""
    return read(VideoDeleted, raw)
