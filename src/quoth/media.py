"""Pictures, sounds and films in an answer: which of its addresses are media, and of what kind.

Poe has no field for media: a bot writes their addresses into its answer, a picture as Markdown (`![name](URL)`) and
once more bare, a sound or a film bare. A link in a text is no medium unless Poe hosts it as one: nothing is guessed.

Source: recorded answers of about 20 media bots, 1 April 2026.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Kind", "Media", "media_in"]

Kind = Literal["image", "audio", "video"]
_KINDS: tuple[Kind, ...] = ("image", "audio", "video")

# `![alt](URL)` or `![alt](URL "title")`; an alt text may hold brackets in pairs.
_PICTURE = re.compile(
    r"!\[(?P<alt>(?:[^\[\]]|\[[^\[\]]*\])*)\]\(\s*<?(?P<url>(?:https?://|data:(?:image|audio|video)/)[^\s<>()]+)>?"
    r"(?:\s+(?:\"[^\"]*\"|'[^']*'))?\s*\)"
)
_ADDRESS = re.compile(r"https?://[^\s<>()\[\]\"'`]+")
_ALONE = re.compile(rf"^[^\S\n]*(?P<url>{_ADDRESS.pattern})[^\S\n]*$", re.M)
_POE_PATH = re.compile(r"/base/(image|audio|video)/[0-9a-f]{64}")
_CODE = re.compile(r"^(?P<fence>`{3,}|~{3,}).*?(?:^(?P=fence)|\Z)|`[^`\n]*`", re.M | re.S)
_ENDINGS: dict[str, Kind] = {
    **dict.fromkeys(("png", "jpg", "jpeg", "gif", "webp", "avif", "bmp", "svg"), "image"),
    **dict.fromkeys(("mp3", "wav", "flac", "ogg", "opus", "m4a", "aac"), "audio"),
    **dict.fromkeys(("mp4", "webm", "mov", "mkv", "m4v"), "video"),
}


@dataclass(frozen=True, slots=True)
class Media:
    """A picture, a sound or a film in an answer. `kind`: "image", "audio" or "video". `url`: where it is, as the answer
    has it. `alt`: the words that stand for it; "" when there are none."""

    kind: Kind
    url: str
    alt: str = ""

    # The two verbs are the SDK's, lent to the item that they are about: the one import that goes up the floors, made
    # when it is called. The contracts of the floors in pyproject.toml name it.

    def download(self, path: str | Path | None = None, **options: Any) -> Path:
        """Save it; the same as `quoth.download(item, path)`."""
        from quoth.sdk.media import download

        return download(self, path, **options)

    async def adownload(self, path: str | Path | None = None, **options: Any) -> Path:
        """Save it; the same as `await quoth.adownload(item, path)`."""
        from quoth.sdk.media import adownload

        return await adownload(self, path, **options)

    def _repr_html_(self) -> str:
        url, alt = escape(self.url), escape(self.alt)
        if self.kind == "image":
            return f'<img src="{url}" alt="{alt}" style="max-width: 100%">'
        return f'<{self.kind} controls src="{url}" style="max-width: 100%"></{self.kind}>'


def media_in(content: str | None, makes: Collection[str] = ()) -> list[Media]:
    """The media of an answer in their order, one for each address.

    These are: what Poe hosts, and Markdown images outside of code. `makes`: the kinds that the model is known to answer
    with; when text is not among them, so are the addresses whose path says that they are media, whoever hosts them, and
    those that have a line to themselves, as Poe puts what a bot attaches. A link in a sentence is none.
    """
    if not content or ("://" not in content and "data:" not in content):
        return []
    only: tuple[Kind, ...] = () if "text" in makes else tuple(kind for kind in _KINDS if kind in makes)
    text = content if only else _CODE.sub(lambda found: " " * len(found[0]), content)
    found: dict[str, tuple[int, Media]] = {}
    for picture in _PICTURE.finditer(text):
        url = picture["url"]
        found.setdefault(url, (picture.start(), Media(_kind(url) or "image", url, picture["alt"].strip())))
    alone = {line.start("url") for line in _ALONE.finditer(text)} if only else ()
    for bare in _ADDRESS.finditer(text):
        url = bare[0].rstrip(".,;:!?*")
        kind = (_kind(url) or (only[0] if bare.start() in alone else None)) if only else _of_poe(url)
        if kind is not None:
            found.setdefault(url, (bare.start(), Media(kind, url)))
    return [media for _, media in sorted(found.values(), key=lambda pair: pair[0])]


def _kind(url: str) -> Kind | None:
    """What an address says about the kind of what is there."""
    if url.startswith("data:"):
        return next((kind for kind in _KINDS if url.startswith(f"data:{kind}/")), None)
    path = _split(url)[1]
    if stored := _POE_PATH.fullmatch(path):
        return next(kind for kind in _KINDS if kind == stored[1])
    return _ENDINGS.get(path.rpartition(".")[2].lower())


def _of_poe(url: str) -> Kind | None:
    """The kind of what Poe hosts, None for any other address."""
    host, path = _split(url)
    ours = host == "poecdn.net" or host.endswith(".poecdn.net")
    return _kind(url) if ours and _POE_PATH.fullmatch(path) else None


def _split(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
        return (parts.hostname or "").lower(), parts.path
    except ValueError:
        return "", ""
