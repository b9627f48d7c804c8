"""`/v1/videos`: films as jobs, whoever makes them.

A film of a model with an endpoint of its own is its provider's job, and its id says whom to ask. A model that answers
over chat works for minutes on one request: that is a job of this process (`quoth.gateway.films.jobs`).
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

import msgspec

from quoth.call import Target, WireRequest
from quoth.engine import failures, filming
from quoth.engine.making import with_chat_instead
from quoth.engine.retrying import Policy
from quoth.errors import APIConnectionError, APIError, BadRequestError, QuothError, ServiceUnavailableError, Timeout
from quoth.gateway.creating import Creation, file_of, headers_of, wished
from quoth.gateway.entries import Entries, opened, split
from quoth.gateway.exchange import ANYBODY, Exchange
from quoth.gateway.films.ids import FilmId, read, unknown, written
from quoth.gateway.films.jobs import FilmJobs, Job, Lost
from quoth.gateway.forms import is_form
from quoth.gateway.generation import Generation
from quoth.gateway.outgoing import Header, Outgoing
from quoth.gateway.outside import checked, is_of
from quoth.gateway.problems import problem_of
from quoth.gateway.receiving import received, received_form_of
from quoth.gateway.request import Request
from quoth.providers.wishes import File, Wish
from quoth.results import Video
from quoth.transport.drive import adrive
from quoth.transport.ports import Deadline, TransportFailure
from quoth.wire import openai_chat, videos
from quoth.wire.media_types import HEAD, sniffed

__all__ = ["content", "create", "delete", "remix", "retrieve"]

MIB = 1 << 20
_LARGEST = 512 * MIB
_MOST_SAID = 1 * MIB
_PASSED_ON = ("content-type", "content-length", "content-range", "accept-ranges", "etag", "last-modified")
_VARIANTS = ("video", "thumbnail", "spritesheet")
_BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
_REFERENCES = ("input_reference", "input_image")


async def create(request: Request) -> None:
    limit = request.generation.settings.server.file_limit
    if is_form(request.x.headers):
        form = await received_form_of(request, limit)
        if form is None:
            return
        with form:
            entries = form.entries()
            uploads = [upload for name in _REFERENCES for upload in form.files.get(name, ())]
            files = [upload.as_file("input_reference") for upload in uploads]
    else:
        body = await received(request, limit)
        if body is None:
            return
        entries, files = split(body), []
    for name in _REFERENCES:
        if name in entries and (value := opened(entries, name)):
            files.append(file_of(value, name))
    rest = {name: raw for name, raw in entries.items() if name not in _REFERENCES}
    await _started(request, rest, tuple(files))


async def _started(request: Request, entries: Entries, files: tuple[File, ...]) -> None:
    app, generation, x = request.app, request.generation, request.x
    call = wished(entries, "prompt")
    prompt = opened(call.entries, "prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        raise BadRequestError("prompt has to be a text", param="prompt")
    wish = Wish("video", prompt, files)
    creation = Creation(request, wish, call)
    made = None
    if not all(way.style == "chat" for way in creation.ways()):
        creation.styles = ("poe", "openai")
        try:
            made = await creation.made()
        except APIError as error:
            warning = None if creation.way is None else with_chat_instead(error, creation.way)
            if warning is None:
                raise
            x.warnings.append(warning)
            creation = Creation(request, wish, call)
            creation.native = False
    if made is None:
        creation.rehearse()
        shown = _as_job(request, creation)
        await request.out.json(msgspec.json.encode(shown), headers_of(x, app.world.now()))
        return
    assert isinstance(made.result, Video)
    assert x.candidate is not None
    film = FilmId(_caller(x), call.model, x.candidate.deployment.id, made.result.id)
    await request.out.json(_named(generation, film, made.result), headers_of(x, app.world.now()))


def _as_job(request: Request, creation: Creation) -> dict[str, Any]:
    """Begin, and say that it has begun."""
    app, x = request.app, request.x
    wish, call = creation.wish, creation.call
    params = {name: opened(call.entries, name) for name in ("seconds", "size") if name in call.entries}
    job = Job(
        app.films.new_id(),
        call.model,
        int(app.world.today().timestamp()),
        seconds=str(params["seconds"]) if params.get("seconds") else None,
        size=str(params["size"]) if params.get("size") else None,
    )
    # The film's own exchange: it lasts longer than the request for it, and its end is what costs.
    own = Exchange(x.id, "JOB", "/v1/videos", "videos", x.headers, time.monotonic())
    own.caller, own.client, own.model, own.known_model, own.tags = x.caller, x.client, x.model, x.known_model, x.tags
    creation.x, creation.styles = own, ("chat",)
    creation.journey.attempts = own.attempts

    async def work() -> None:
        try:
            made = await creation.made()
            app.films.done(job, made.media[0].url, made.target.base_url)
            own.status = 200
        except QuothError as error:
            problem = problem_of(error, app.redactor)
            own.status, own.error, own.message = problem.status, problem.slug, problem.message
            app.films.failed(job, {"code": problem.slug, "message": problem.message})
        finally:
            if not own.status:
                own.status, own.error, own.message = 503, "interrupted", "the film was not finished"
            own.ended = time.monotonic()
            app.closed(own)
            app.over(own)

    task = app.films.start(job, work)
    app.open[own] = task
    app.observers.begin(own)
    film = FilmId(_caller(x), call.model, "", job.id, app.films.host, job.created_at)
    id = written(film, request.generation.master)
    return {**job.shown(id), "prompt": wish.prompt, "status": "queued", "progress": 0}


async def retrieve(request: Request) -> None:
    app, generation, x = request.app, request.generation, request.x
    film = read(request.parameter, generation.master, _caller(x))
    request.departure.watch()
    x.model = film.group
    if film.host:
        job = _job(app.films, film)
        await request.out.json(msgspec.json.encode(job.shown(request.parameter)))
        return
    target = _target(generation, x, film)
    video = await adrive(filming.status(target, film.own, Policy(), app.world, generation.budget), app.transport)
    await request.out.json(_named(generation, film, video), headers_of(x, app.world.now()))


async def remix(request: Request) -> None:
    app, generation, x = request.app, request.generation, request.x
    if is_form(x.headers):
        form = await received_form_of(request, generation.settings.server.json_limit)
        if form is None:
            return
        with form:
            entries = form.entries()
    else:
        body = await received(request)
        if body is None:
            return
        entries = split(body)
    film = read(request.parameter, generation.master, _caller(x))
    x.model = film.group
    prompt = opened(entries, "prompt") if "prompt" in entries else None
    if not isinstance(prompt, str) or not prompt.strip():
        raise BadRequestError("prompt has to be a text", param="prompt")
    if film.host:
        _job(app.films, film)
        raise BadRequestError(f"{film.group} makes no film anew; models with /v1/videos do, such as Sora-2")
    target = _target(generation, x, film)
    video = await adrive(filming.remix(target, film.own, prompt, Policy(), app.world, generation.budget), app.transport)
    again = msgspec.structs.replace(film, own=video.id)
    await request.out.json(_named(generation, again, video), headers_of(x, app.world.now()))


async def delete(request: Request) -> None:
    app, generation, x = request.app, request.generation, request.x
    film = read(request.parameter, generation.master, _caller(x))
    x.model = film.group
    if film.host:
        _job(app.films, film)
        app.films.forget(film.own)
    else:
        target = _target(generation, x, film)
        await adrive(filming.delete(target, film.own, Policy(), app.world, generation.budget), app.transport)
    await request.out.json(msgspec.json.encode({"id": request.parameter, "object": "video.deleted", "deleted": True}))


async def content(request: Request) -> None:
    """The film, or one of its stills, as it comes."""
    app, generation, x = request.app, request.generation, request.x
    film = read(request.parameter, generation.master, _caller(x))
    request.departure.watch()
    x.model = film.group
    given = parse_qs(x.query.decode("latin-1")).get("variant", ["video"])[-1]
    if given not in _VARIANTS:
        raise BadRequestError(f"variant has to be {', '.join(_VARIANTS)}", param="variant")
    ranged = {"range": x.headers[b"range"].decode("latin-1")} if b"range" in x.headers else {}
    if film.host:
        job = _job(app.films, film)
        if given != "video":
            raise BadRequestError(f"{film.group} gives the film alone, no {given}", param="variant")
        if job.status != "completed":
            raise BadRequestError(f"the video has no content: it is {job.status}", param="video_id")
        inside = is_of(job.url, job.provider_url)
        transport: Any = app.transport if inside else app.outside
        headers = {"user-agent": _BROWSER, "accept": "*/*", "accept-encoding": "identity", **ranged}
        wanted = WireRequest("GET", checked(job.url), headers)
        await _passed_on(wanted, transport, None, "video", request.out, app.world.today())
        return
    target = _target(generation, x, film)
    url = videos.content_url(target, film.own, given if given != "video" else None)
    headers = {**openai_chat.authorization(target), **target.headers, "accept": "*/*", **ranged}
    kind = "video" if given == "video" else "image"
    await _passed_on(WireRequest("GET", url, headers), app.transport, target, kind, request.out, app.world.today())


async def _passed_on(
    request: WireRequest, transport: Any, target: Target | None, kind: str, out: Outgoing, today: datetime
) -> None:
    """The pieces of a file as they come; it is begun once it is known to be of its kind. Raises QuothError."""
    deadline = Deadline(connect=10.0, first=60.0, idle=60.0, end=time.monotonic() + 1800.0)
    try:
        reply = await transport.open(request, deadline)
    except TransportFailure as failure:
        raise _unreached(failure) from None
    try:
        await _relayed(reply, deadline, target, kind, out, today)
    except TransportFailure as failure:
        out.ended = out.started
        raise _unreached(failure) from None
    except BaseException:
        out.ended = out.started  # what has begun is a file: nothing may be added to it
        raise
    finally:
        reply.close()


async def _relayed(
    reply: Any, deadline: Deadline, target: Target | None, kind: str, out: Outgoing, today: datetime
) -> None:
    start, size = b"", 0
    if reply.status not in (200, 206):
        while len(start) < _MOST_SAID and (piece := await reply.read()):
            start += piece
        if target is None:
            raise _unusable(f"answered {reply.status}")
        raise failures.from_status(target, {}, reply.status, reply.headers, start, today)
    length = reply.headers.get("content-length", "")
    if length.isdigit() and int(length[:18]) > _LARGEST:
        raise _unusable("is larger than anybody would make it")
    is_start = reply.status == 200 or reply.headers.get("content-range", "").startswith("bytes 0-")
    while len(start) < HEAD and (piece := await reply.read()):
        start += piece
    found = sniffed(start[:HEAD]) or ""
    if is_start and not found.startswith(f"{kind}/"):
        raise _unusable(f"is no {kind}")
    headers: list[Header] = [
        (name.encode(), reply.headers[name].encode("latin-1", "replace"))
        for name in _PASSED_ON
        if name in reply.headers and name != "content-type"
    ]
    kind_of_it = found or reply.headers.get("content-type", "application/octet-stream")
    headers += [(b"content-type", kind_of_it.encode("latin-1", "replace")), (b"x-content-type-options", b"nosniff")]
    await out.file(reply.status, headers)
    piece = start
    while piece:
        size += len(piece)
        if size > _LARGEST:
            raise _unusable("is larger than anybody would make it")
        await out.piece(piece)
        deadline.reading()
        piece = await reply.read()
    out.x.bytes_out = size
    await out.piece(b"", more=False)


# Whose film it is


def _caller(x: Exchange) -> str:
    return (x.caller or ANYBODY).id


def _job(films: FilmJobs, film: FilmId) -> Job:
    """Raises NotFoundError; ServiceUnavailableError where only another machine knows."""
    try:
        job = films.told(film.own, film.host, film.started, film.group)
    except Lost:
        raise ServiceUnavailableError(
            "this film is being made by another replica of the gateway; ask again to reach it", retry_after=1.0
        ) from None
    if job is None:
        raise unknown()
    return job


def _target(generation: Generation, x: Exchange, film: FilmId) -> Target:
    """Whom to ask. Raises NotFoundError where the settings no longer have the deployment."""
    group = generation.group(film.group)
    x.known_model = generation.known(group)
    for candidate in group.candidates:
        if candidate.deployment.id == film.deployment:
            x.candidate, x.wire = candidate, "videos"
            return replace(candidate.target, wire="videos")
    raise unknown()


def _named(generation: Generation, film: FilmId, video: Video) -> bytes:
    """The object under the names that the caller knows."""
    shown = video.model_dump()
    shown["id"], shown["model"] = written(film, generation.master), film.group
    if isinstance(before := shown.get("remixed_from_video_id"), str) and before:
        shown["remixed_from_video_id"] = written(msgspec.structs.replace(film, own=before), generation.master)
    return msgspec.json.encode(shown)


def _unreached(failure: TransportFailure) -> QuothError:
    if failure.kind == "timeout":
        return Timeout(f"the film did not come in time: {failure}", llm_provider="the provider")
    return APIConnectionError(f"the film could not be fetched: {failure}", llm_provider="the provider")


def _unusable(why: str) -> APIError:
    return APIError(f"what stands at the film's address {why}", code="bad_upstream_response", status_code=502)
