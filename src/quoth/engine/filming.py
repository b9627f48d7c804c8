"""What is asked about a film that is being made: how far it is, that it be made anew, that it be deleted."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import msgspec

from quoth import errors
from quoth.call import Target, WireRequest
from quoth.engine import failures
from quoth.engine.backoff import RetryBudget
from quoth.engine.effects import Failed, Flow, Opened, World
from quoth.engine.reading import BodyReader
from quoth.engine.retrying import Policy, limits_of, retrying
from quoth.results import Video, VideoDeleted
from quoth.types import Attempt, Trace
from quoth.wire import openai_chat, videos

__all__ = ["delete", "remix", "status"]

R = TypeVar("R", Video, VideoDeleted)


def status(target: Target, video_id: str, policy: Policy, world: World, budget: RetryBudget) -> Flow[Video]:
    """How far a film is. Raises QuothError."""
    request = videos.about(target, video_id)
    return (yield from _asked(target, request, videos.parse, policy, world, budget, makes_media=False))


def remix(target: Target, video_id: str, prompt: str, policy: Policy, world: World, budget: RetryBudget) -> Flow[Video]:
    """The same film by other words, as a new job. Raises QuothError."""
    body = msgspec.json.encode({"prompt": prompt})
    request = videos.about(target, video_id, method="POST", path="/remix", body=body)
    return (yield from _asked(target, request, videos.parse, policy, world, budget, makes_media=True))


def delete(target: Target, video_id: str, policy: Policy, world: World, budget: RetryBudget) -> Flow[VideoDeleted]:
    """Raises QuothError."""
    request = videos.about(target, video_id, method="DELETE")
    return (yield from _asked(target, request, videos.parse_deleted, policy, world, budget, makes_media=False))


def _asked(
    target: Target,
    request: WireRequest,
    parse: Callable[[bytes], R],
    policy: Policy,
    world: World,
    budget: RetryBudget,
    *,
    makes_media: bool,
) -> Flow[R]:
    budget.call()
    attempts: list[Attempt] = []
    try:
        found: R = yield from retrying(
            target,
            request,
            partial(BodyReader, policy.answer_limit),
            partial(_read, target, parse, world, attempts, makes_media),
            limits=limits_of(policy.timeouts, streaming=False, makes_media=makes_media),
            num_retries=policy.num_retries,
            world=world,
            budget=budget,
            attempts=attempts,
        )
    except errors.QuothError as error:
        error.attempts = attempts
        raise
    return found


def _read(
    target: Target,
    parse: Callable[[bytes], R],
    world: World,
    attempts: list[Attempt],
    makes_media: bool,
    outcome: Opened | Failed,
    reader: BodyReader,
) -> R:
    if isinstance(outcome, Failed) and reader.status < 300:
        raise failures.from_failure(target, outcome, streaming=False, makes_media=makes_media)
    failures.check_document(target, {}, reader, reader.status, reader.headers, world.today)
    try:
        found = parse(reader.body)
    except openai_chat.Unreadable as wrong:
        raise failures.unreadable(target, str(wrong), reader.status, reader.headers) from None
    except openai_chat.UpstreamError as wrong:
        raise failures.in_answer(target, wrong, reader.headers) from None
    if isinstance(found, Video):
        found._trace = Trace(
            provider=target.provider,
            model=target.model,
            wire="videos",
            api_base=target.base_url,
            request_id=failures.request_id(reader.headers),
            attempts=attempts,
            headers=reader.headers,
        )
    return found
