"""The answers of the routes for images, audio and videos: pictures in JSON, sounds and films as bytes.

Drawing a large picture takes a while, so what is heavy is left for `Answer.later`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from quoth.emulator import media, tokens
from quoth.emulator.attachments import Attachment
from quoth.emulator.delivery import Answer
from quoth.emulator.files import Piece, ranged, rendered
from quoth.emulator.films import still
from quoth.emulator.http1 import Request
from quoth.emulator.ledger import TOKENS_OF_A_PICTURE, Billed
from quoth.emulator.media_request import MediaRequest
from quoth.emulator.pictures import Picture
from quoth.emulator.problems import Problem
from quoth.emulator.video_jobs import Job

__all__ = ["Made", "content", "drawn", "spoken"]

_STILLS = {"thumbnail": "image/webp", "spritesheet": "image/jpeg"}


@dataclass(frozen=True, slots=True)
class Made:
    """What was made: how its answer comes about, the files that now stand at addresses, and what the bill needs."""

    make: Callable[[], Answer]
    billed: Billed
    pieces: dict[str, Piece] = field(default_factory=dict)

    def answer(self, delay: float) -> Answer:
        return Answer(200, delay=delay, later=self.make)


def drawn(request: MediaRequest, seed: str, origin: str, created: int) -> Made:
    """Pictures, as base64 or as addresses that begin with `origin`. `created` is Unix seconds."""
    made = media.make(request.chat, seed, origin)
    assert made is not None, "a model that serves images draws"
    pieces = {path: _begun_from(piece, request.inputs) for path, piece in made.pieces.items()}
    prompt, output = request.chat.prompt_tokens, len(pieces) * TOKENS_OF_A_PICTURE

    def make() -> Answer:
        shown: list[dict[str, Any]] = []
        for path, piece in pieces.items():
            if request.as_base64:
                shown.append({"b64_json": base64.b64encode(rendered(piece)).decode()})
            else:
                shown.append({"url": f"{origin}{path}"})
        body: dict[str, Any] = {"created": created, "data": shown}
        if request.as_base64:
            body |= {"output_format": "png", "usage": _usage(prompt, output)}
        return Answer(200, msgspec.json.encode(body))

    return Made(make, Billed(prompt, 0, image=output), {} if request.as_base64 else pieces)


def _begun_from(piece: Piece, inputs: list[Attachment]) -> Piece:
    """The picture, with what it was to begin from named on it."""
    if not inputs or not isinstance(piece, Picture):
        return piece
    return replace(piece, prompt=f"{piece.prompt}\nBegun from {'; '.join(map(str, inputs))}")


def _usage(prompt: int, output: int) -> dict[str, Any]:
    return {
        "input_tokens": prompt,
        "input_tokens_details": {"image_tokens": 0, "text_tokens": prompt},
        "output_tokens": output,
        "total_tokens": prompt + output,
    }


def spoken(request: MediaRequest, seed: str, origin: str) -> Made:
    """A sound: the bytes of a WAV."""
    made = media.make(request.chat, seed, origin)
    assert made is not None, "a model that serves audio speaks"
    (piece,) = made.pieces.values()

    def make() -> Answer:
        return Answer(200, rendered(piece), content_type=piece.content_type)

    return Made(make, Billed(tokens.count(request.chat.prompt), 0))


def content(request: Request, job: Job, now: float) -> Answer:
    """The film of a finished job, or one of its stills by `variant`. Raises Problem."""
    variant = request.query.get("variant", "video")
    if variant != "video" and variant not in _STILLS:
        raise Problem(400, "Invalid 'variant': must be video, thumbnail or spritesheet.", param="variant")
    status = job.status(now)
    if status != "completed":
        raise Problem(404, f"Video '{job.id}' has no content: it is {status}.", type="not_found")
    if variant == "video":
        return Answer(200, later=lambda: ranged(request, rendered(job.film), job.film.content_type))
    return Answer(200, later=lambda: ranged(request, still(job.film, variant), _STILLS[variant]))
