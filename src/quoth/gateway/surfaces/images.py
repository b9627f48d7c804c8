"""`POST /v1/images/generations` and `/v1/images/edits`."""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from quoth.engine.making import Made
from quoth.errors import BadRequestError
from quoth.gateway.creating import Creation, file_of, headers_of, wished
from quoth.gateway.entries import Entries, opened, split
from quoth.gateway.forms import is_form
from quoth.gateway.outside import fetched
from quoth.gateway.receiving import received, received_form_of
from quoth.gateway.request import Request
from quoth.providers.wishes import File, Wish
from quoth.results import ImagesResponse
from quoth.types import Warning

__all__ = ["edits", "generations"]

MIB = 1 << 20
_LARGEST = 64 * MIB  # of one picture
_PICTURES = ("image", "images", "mask")


async def generations(request: Request) -> None:
    body = await received(request)
    if body is not None:
        await _answer(request, split(body), (), None)


async def edits(request: Request) -> None:
    limit = request.generation.settings.server.file_limit
    if not is_form(request.x.headers):
        body = await received(request, limit)
        if body is None:
            return
        entries = split(body)
        given = [opened(entries, name) for name in ("image", "images") if name in entries]
        listed = [one for value in given for one in (value if isinstance(value, list) else [value])]
        files = [file_of(one, "image") for one in listed if one]
        mask = file_of(opened(entries, "mask"), "mask") if "mask" in entries else None
    else:
        form = await received_form_of(request, limit)
        if form is None:
            return
        with form:
            entries = form.entries()
            uploads = [*form.files.get("image", ()), *form.files.get("images", ())]
            files = [upload.as_file("image") for upload in uploads]
            mask = form.files["mask"][0].as_file("mask") if "mask" in form.files else None
    if not files:
        raise BadRequestError("image is missing: the picture to begin from", param="image")
    rest = {name: raw for name, raw in entries.items() if name not in _PICTURES}
    await _answer(request, rest, tuple(files), mask)


async def _answer(request: Request, entries: Entries, files: tuple[File, ...], mask: File | None) -> None:
    call = wished(entries, "prompt")
    prompt = opened(call.entries, "prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        raise BadRequestError("prompt has to be a text", param="prompt")
    wanted = opened(call.entries, "response_format") if "response_format" in call.entries else None
    if wanted not in (None, "url", "b64_json"):
        raise BadRequestError('response_format has to be "url" or "b64_json"', param="response_format")
    wish = Wish("edit" if files else "image", prompt, files, mask)
    made = await Creation(request, wish, call).made()
    body = await _body(request, made, wanted)
    await request.out.json(body, headers_of(request.x, request.app.world.now()))


async def _body(request: Request, made: Made, wanted: Any) -> bytes:
    """The answer as it came, where it is what was asked for."""
    result = made.result
    assert isinstance(result, ImagesResponse)
    changed = made.way.style == "chat"
    if wanted == "b64_json":
        for image in result.data:
            if image.b64_json is None and image.url is not None:
                data, _ = await fetched(request.app, image.url, "image", _LARGEST, provider_url=made.target.base_url)
                image.b64_json = base64.b64encode(data).decode()
                image.__pydantic_fields_set__.discard("url")
                changed = True
    elif wanted == "url" and any(image.url is None for image in result.data):
        message = "the model gives no addresses; the picture came as base64"
        request.x.warnings.append(Warning("as_base64", "response_format", message))
    if not changed:
        return made.body
    return msgspec.json.encode(result.model_dump())
