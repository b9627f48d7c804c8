"""`POST /v1/audio/speech` and `/v1/audio/transcriptions`."""

from __future__ import annotations

import msgspec

from quoth.errors import BadRequestError
from quoth.gateway.creating import Creation, file_of, headers_of, wished
from quoth.gateway.entries import opened, split
from quoth.gateway.forms import is_form
from quoth.gateway.outside import fetched
from quoth.gateway.receiving import received, received_form_of
from quoth.gateway.request import Request
from quoth.providers.wishes import Wish
from quoth.results import Transcription
from quoth.types import Warning
from quoth.wire.audio import FORMATS, TEXTS

__all__ = ["speech", "transcriptions"]


async def speech(request: Request) -> None:
    body = await received(request)
    if body is None:
        return
    call = wished(split(body), "input")
    text = opened(call.entries, "input")
    if not isinstance(text, str) or not text.strip():
        raise BadRequestError("input has to be a text", param="input")
    made = await Creation(request, Wish("speech", text), call).made()
    assert made.sound is not None
    data, media_type = made.sound
    if isinstance(data, str):
        limit = request.generation.settings.server.file_limit
        data, media_type = await fetched(request.app, data, "audio", limit, provider_url=made.target.base_url)
    wanted = opened(call.entries, "response_format") if "response_format" in call.entries else None
    if isinstance(wanted, str) and media_type not in FORMATS.get(wanted.lower(), (wanted,)):
        message = f"response_format {wanted!r} is not this model's to choose; the file is {media_type}"
        request.x.warnings.append(Warning("nearest", "response_format", message))
    kind = media_type or "application/octet-stream"
    headers = headers_of(request.x, request.app.world.now())
    await request.out.whole(200, [(b"content-type", kind.encode()), *headers], data)


async def transcriptions(request: Request) -> None:
    out, limit = request.out, request.generation.settings.server.file_limit
    if is_form(request.x.headers):
        form = await received_form_of(request, limit)
        if form is None:
            return
        with form:
            entries = form.entries()
            uploads = form.files.get("file", [])
            if len(uploads) != 1:
                raise BadRequestError("file has to be one recording", param="file")
            file = uploads[0].as_file("file")
    else:
        body = await received(request, limit)
        if body is None:
            return
        entries = split(body)
        if "file" not in entries:
            raise BadRequestError("file is missing: the recording, in a form", param="file")
        file = file_of(opened(entries, "file"), "file")
    entries = {name: raw for name, raw in entries.items() if name != "file"}
    call = wished(entries, "model")
    hint = opened(call.entries, "prompt") if "prompt" in call.entries else ""
    wish = Wish("transcription", hint if isinstance(hint, str) else "", (file,))
    made = await Creation(request, wish, call).made()
    headers = headers_of(request.x, request.app.world.now())
    if made.way.style != "chat":
        kind = made.content_type or "application/json"
        await out.whole(200, [(b"content-type", kind.encode("latin-1", "replace")), *headers], made.body)
        return
    assert isinstance(made.result, Transcription)
    wanted = opened(call.entries, "response_format") if "response_format" in call.entries else "json"
    if wanted in TEXTS:
        text = f"{made.result.text}\n".encode()
        await out.whole(200, [(b"content-type", b"text/plain; charset=utf-8"), *headers], text)
    else:
        await out.json(msgspec.json.encode({"text": made.result.text}), headers)
