"""Answers of image, video and audio bots: an address in the content, in the shape that was recorded for each kind."""

from __future__ import annotations

import hashlib

from quoth.emulator import answers
from quoth.emulator.chat_request import ChatRequest

__all__ = ["content", "is_file"]


def content(request: ChatRequest, seed: str, origin: str) -> str | None:
    """The content of a media bot's answer, None when the bot answers in text.

    `origin` is scheme and host of the address.
    """
    facts = request.facts
    if not facts.makes_media:
        return None
    if facts.id.startswith("nano-banana") and answers.arithmetic(request.prompt):
        return None  # recorded: this image bot answers a sum in words
    kind = next((kind for kind in ("image", "video", "audio") if kind in facts.output_modalities), "image")
    url = f"{origin}/base/{kind}/{hashlib.sha256(f'{seed}/{kind}'.encode()).hexdigest()}"
    if kind != "image":
        return url
    url += "?w=1024&h=1024"
    name = " ".join(request.prompt.split())[:100].replace("[", "(").replace("]", ")") or facts.id
    if facts.id.startswith("imagen-"):
        return f"![{name}_image_1]({url})\n\n\n{url}"
    return f"![{name}.png]({url})\n\n{url}"


def is_file(request: ChatRequest, text: str) -> bool:
    """True when the whole content is the address of a sound or a film."""
    return request.facts.makes_media and text.startswith("http")
