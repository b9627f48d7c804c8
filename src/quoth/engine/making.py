"""A wish for media from beginning to end: by each target's own way, with the retries, fallbacks and the purse of every
other call. What went out is not sent again when its answer breaks: it may have been charged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from msgspec import Struct
from msgspec.structs import replace as changed

from quoth import errors
from quoth.call import Target, WireRequest
from quoth.engine import failures
from quoth.engine.attempts import Plan, Sending, calls_of, interpreted, prepared
from quoth.engine.backoff import RetryBudget
from quoth.engine.effects import Failed, Flow, Opened, Together, World
from quoth.engine.purse import Purse, Tab
from quoth.engine.reading import BodyReader
from quoth.engine.retrying import MIB, limits_of, retrying
from quoth.media import Media
from quoth.providers.costs import facts_of, price_of
from quoth.providers.wishes import KINDS, Way, Wish, told, way_of
from quoth.results import ImagesResponse, Transcription, Video
from quoth.types import Attempt, Completion, Trace, Usage, Warning
from quoth.wire import audio, images, openai_chat, videos

__all__ = ["Made", "Making", "as_one", "make", "ready", "what_came", "with_chat_instead"]

_NOT_THERE = (404, 405)


class Made(Struct):
    """What was made. `result`: the object in openai's shape, None for something spoken, which is `sound`: its bytes
    with their media type, or the address where it is. `body`: the answer as it came from an endpoint of its own, empty
    on the chat route."""

    target: Target
    plan: Plan
    way: Way
    trace: Trace
    result: ImagesResponse | Transcription | Video | None = None
    sound: tuple[bytes | str, str] | None = None
    completion: Completion | None = None
    media: tuple[Media, ...] = ()
    body: bytes = b""
    content_type: str = ""


class Making(Struct, frozen=True):
    """A wish on its way to its target; `sending` is there where that is the chat route."""

    wish: Wish
    plan: Plan
    target: Target
    way: Way
    request: WireRequest
    fields: dict[str, Any]
    warnings: list[Warning]
    sending: Sending | None = None

    def reader(self) -> BodyReader:
        """For one attempt."""
        return BodyReader(self.plan.policy.answer_limit)


def make(
    wish: Wish, plans: Sequence[Plan], world: World, budget: RetryBudget, purse: Purse | None = None
) -> Flow[Made]:
    """What the first plan makes that makes anything. Raises the last error, with `attempts` of all."""
    attempts: list[Attempt] = []
    last: errors.QuothError | None = None
    for number, plan in enumerate(plans):
        if plan.only_after is not None and not isinstance(last, plan.only_after):
            continue
        try:
            found = yield from _by_plan(wish, plan, world, budget, purse, attempts, number == len(plans) - 1)
            found.trace.attempts = attempts
            return found
        except errors.QuothError as error:
            last = error
    if last is None:
        raise errors.BadRequestError("there is nothing to call")
    last.attempts = attempts
    try:
        raise last
    finally:
        del last  # an error that a frame of its own traceback holds is freed late, and the prompt with it


def _by_plan(
    wish: Wish,
    plan: Plan,
    world: World,
    budget: RetryBudget,
    purse: Purse | None,
    attempts: list[Attempt],
    last_target: bool,
) -> Flow[Made]:
    try:
        target = plan.target()
        way = way_of(target, wish.kind)
        count = calls_of(plan.call, target) if way.style == "chat" else 1
    except errors.QuothError as error:
        _never_sent(attempts, plan, error)
        raise
    if count > 1:
        params = {name: value for name, value in plan.call.params.items() if name != "n"}
        single = changed(plan, call=changed(plan.call, params=params), target=lambda: target)
        try:
            found: list[Made] = yield Together([make(wish, [single], world, budget, purse) for _ in range(count)])
        except errors.QuothError as error:
            attempts += error.attempts
            raise
        return as_one(found, attempts)
    try:
        return (yield from _one(wish, plan, target, way, world, budget, purse, attempts, last_target))
    except errors.APIError as error:
        warning = with_chat_instead(error, way)
        if warning is None:
            raise
    made = yield from _one(
        wish, plan, target, way_of(target, wish.kind, native=False), world, budget, purse, attempts, last_target
    )
    made.trace.warnings.insert(0, warning)
    return made


def with_chat_instead(error: errors.QuothError, way: Way) -> Warning | None:
    """The warning with which the chat route is asked instead: an endpoint of Poe's that is not there cost nothing."""
    if way.style != "poe" or error.status_code not in _NOT_THERE:
        return None
    message = f"{way.path} answered {error.status_code}, so that the chat route was asked instead"
    return Warning("native_unavailable", None, message)


def _never_sent(attempts: list[Attempt], plan: Plan, error: errors.QuothError) -> None:
    """Whoever reads the attempts wants to know why this target was passed over."""
    provider, model = error.llm_provider or "", error.model or str(plan.call.model)
    attempts.append(Attempt(provider, model, "", 0.0, None, type(error).__name__, error.message))


def _one(
    wish: Wish,
    plan: Plan,
    target: Target,
    way: Way,
    world: World,
    budget: RetryBudget,
    purse: Purse | None,
    attempts: list[Attempt],
    last_target: bool,
) -> Flow[Made]:
    if way.style != "chat":
        target = replace(target, wire=way.wire)
    try:
        making = ready(wish, plan, target, way, world)
    except errors.QuothError as error:
        _never_sent(attempts, plan, error)
        raise
    budget.call()
    started = world.now()
    tab = Tab(purse, target, making.fields)
    try:
        found: Made = yield from retrying(
            target,
            making.request,
            tab.before(making.reader),
            tab.after(partial(what_came, making, world, attempts)),
            limits=limits_of(plan.policy.timeouts, streaming=False, makes_media=True),
            num_retries=plan.policy.num_retries,
            world=world,
            budget=budget,
            attempts=attempts,
            last_target=last_target,
        )
    except errors.BudgetExceededError as error:
        _never_sent(attempts, plan, error)
        raise
    except BaseException:
        tab.settle(None)  # given up while it was under way
        raise
    tab.settle(found.trace.cost.usd if found.trace.cost is not None else None)
    found.trace.seconds = world.now() - started
    return found


def ready(wish: Wish, plan: Plan, target: Target, way: Way, world: World) -> Making:
    """Raises QuothError for what is known to be wrong before sending."""
    warnings: list[Warning] = []
    said = told(wish, plan.call, target, way, warnings)
    if isinstance(said, tuple):
        media_type, body, fields = said
        _check_size(plan, target, body)
        headers = {
            "content-type": media_type,
            "accept": "*/*" if wish.kind == "speech" else "application/json",
            **openai_chat.authorization(target),
            **target.headers,
        }
        request = WireRequest("POST", openai_chat.address(target, way.path), headers, body)
        return Making(wish, plan, target, way, request, fields, warnings)
    sending = prepared(changed(plan, call=said), target, world)
    facts = facts_of(target)
    makes = facts.output_modalities if facts is not None else ()
    sending = changed(sending, makes=makes or (KINDS[wish.kind] or "text",), warnings=[*warnings, *sending.warnings])
    return Making(wish, plan, target, way, sending.request, sending.body, sending.warnings, sending)


def _check_size(plan: Plan, target: Target, body: bytes) -> None:
    limit = plan.policy.request_limit
    if len(body) > limit:
        raise errors.BadRequestError(
            f"the request has {len(body) / MIB:.1f} MiB; the limit is {limit / MIB:.0f} MiB",
            llm_provider=target.provider,
            model=target.model,
        )


def what_came(
    making: Making, world: World, attempts: list[Attempt], outcome: Opened | Failed, reader: BodyReader
) -> Made:
    """What was made, or the error that it is. Raises QuothError."""
    target = making.target
    if isinstance(outcome, Failed) and reader.status < 300:
        raise failures.from_failure(target, outcome, streaming=False, makes_media=True)
    if making.sending is not None:
        return _of_chat(making, world, attempts, outcome, reader)
    failures.check_document(target, making.fields, reader, reader.status, reader.headers, world.today)
    trace = Trace(
        provider=target.provider,
        model=target.model,
        wire=making.way.wire,
        api_base=target.base_url,
        request_id=failures.request_id(reader.headers),
        attempts=attempts,
        warnings=list(making.warnings),
        headers=reader.headers,
    )
    made = Made(
        target,
        making.plan,
        making.way,
        trace,
        body=reader.body,
        content_type=reader.headers.get("content-type", ""),
    )
    kind = making.wish.kind
    try:
        if kind in ("image", "edit"):
            made.result = images.parse(made.body)
            made.result._trace = trace
            trace.cost = price_of(target)(_counted(made.result.usage))
        elif kind == "speech":
            made.sound = audio.spoken(made.body, made.content_type)
            trace.cost = price_of(target)(Completion())
        elif kind == "transcription":
            made.result = audio.parse_transcription(made.body, str(making.fields.get("response_format") or "json"))
            made.result._trace = trace
            trace.cost = price_of(target)(_counted(made.result.usage))
        else:
            made.result = videos.parse(made.body)
            made.result._trace = trace
            trace.cost = price_of(target)(_counted(made.result.usage))
    except openai_chat.Unreadable as wrong:
        raise failures.unreadable(target, str(wrong), reader.status, reader.headers) from None
    except openai_chat.UpstreamError as wrong:
        raise failures.in_answer(target, wrong, reader.headers) from None
    return made


def _counted(usage: Any) -> Completion:
    """The usage as the prices know it: images and audio count tokens under the names of Responses."""
    if usage is None:
        return Completion()
    given = usage.model_dump()
    names = {"prompt_tokens": "input_tokens", "completion_tokens": "output_tokens"}
    counts = {name: given.get(name, given.get(other)) for name, other in names.items()}
    known = {name: count for name, count in counts.items() if isinstance(count, int)}
    return Completion(usage=Usage.model_validate({**given, **known}))


def _of_chat(
    making: Making, world: World, attempts: list[Attempt], outcome: Opened | Failed, reader: BodyReader
) -> Made:
    assert making.sending is not None
    completion = interpreted(making.sending, world, attempts, outcome, reader).completion
    assert completion is not None
    trace = completion._trace
    trace.cost = trace.price(completion) if trace.price is not None else None
    wanted = KINDS[making.wish.kind]
    media = tuple(
        item for choice in completion.choices for item in choice.message.media if not wanted or item.kind == wanted
    )
    made = Made(making.target, making.plan, making.way, trace, completion=completion, media=media)
    text = (completion.choices[0].message.content or "") if completion.choices else ""
    if not wanted:
        made.result = Transcription(text=text.strip())
    elif not media:
        raise failures.made_nothing(making.target, wanted, text, reader.status, reader.headers)
    elif wanted == "image":
        made.result = images.of_media(media, completion.created or int(world.today().timestamp()))
    elif wanted == "audio":
        made.sound = (media[0].url, "")
    else:
        made.result = _film(making, media[0], completion, int(world.today().timestamp()))
    if made.result is not None:
        made.result._trace = trace
    return made


def _film(making: Making, media: Media, completion: Completion, now: int) -> Video:
    """A film that is there already, as a job that is done."""
    params = making.plan.call.params
    seconds, size = params.get("seconds", params.get("duration")), params.get("size")
    return Video(
        id="",
        object="video",
        status="completed",
        created_at=completion.created or now,
        completed_at=now,
        model=making.plan.call.model,
        prompt=making.wish.prompt,
        seconds=None if seconds is None else str(seconds),
        size=None if size is None else str(size),
        progress=100,
        url=media.url,
    )


def as_one(found: Sequence[Made], attempts: list[Attempt]) -> Made:
    """Several calls as one: their pictures, their cost, each warning once."""
    whole = found[0]
    trace = whole.trace
    for one in found:
        attempts += one.trace.attempts
    for one in found[1:]:
        trace.warnings += [warning for warning in one.trace.warnings if warning not in trace.warnings]
        if trace.cost is not None:
            trace.cost = None if one.trace.cost is None else trace.cost + one.trace.cost
        if isinstance(whole.result, ImagesResponse) and isinstance(one.result, ImagesResponse):
            whole.result.data += one.result.data
        whole.media += one.media
    return whole
