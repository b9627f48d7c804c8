"""Targets in order, each tried until it answers or is not worth another try; then the next; then the last error, with
all attempts.

Everything that may be tried again happens before the first good chunk. After it a stream belongs to its reader.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from quoth import errors
from quoth.call import Call, Target, WireRequest
from quoth.engine import check, failures, structured
from quoth.engine.backoff import RetryBudget
from quoth.engine.effects import Failed, Flow, Opened, Together, World
from quoth.engine.merge import merged
from quoth.engine.purse import Purse, Reservation, Tab
from quoth.engine.reading import BodyReader, StreamReader
from quoth.engine.retrying import MIB, Policy, limits_of, retrying
from quoth.providers.costs import price_of
from quoth.providers.params import catalogue_of, prepare
from quoth.providers.quirks import mended
from quoth.providers.wires import over_its_wire
from quoth.types import Attempt, Completion, Trace, Warning
from quoth.wire import openai_chat
from quoth.wire.kept_answers import refused
from quoth.wire.sse import EventTooLarge
from quoth.wire.wires import Wire, wire_named

__all__ = ["Answer", "Plan", "Policy", "Sending", "answer", "calls_of", "interpreted", "prepared", "reader_of"]

MOST_AT_ONCE = 128
Head = Callable[[Wire, Target, bool], WireRequest]
CHAT = wire_named("openai_chat")
# In a stream, Poe's media bots say how far they are in the place of the answer, and nothing marks where that ends.
_WHOLE = "makes media, so it was asked for its answer as a whole, which is the one chunk of this stream"


class Plan(Struct, frozen=True):
    """One call, how to find its target, and how much is tried there. The target is looked for when its turn comes: a
    missing key only matters then.

    `only_after`: this plan's turn comes only when the one before it failed with this kind of error.
    """

    call: Call
    target: Callable[[], Target]
    policy: Policy = field(default_factory=Policy)
    only_after: type[errors.QuothError] | None = None


class Answer(Struct):
    """What came back: a Completion, or the reader of a stream that has begun, with the driver's `reply` to go on
    reading. `plan` is the one that was answered. `reservation` is what a stream still has to settle. `makes`: the kinds
    of output of a media model, else empty. `done` is told once how a stream ended: with its whole answer, with None
    when it was left early, or with the error that broke it. `raw`: a whole answer as it came."""

    target: Target
    plan: Plan
    trace: Trace
    completion: Completion | None = None
    reader: StreamReader | None = None
    reply: Any = None
    reservation: Reservation | None = None
    makes: tuple[str, ...] = ()
    done: Callable[[Completion | errors.QuothError | None], None] | None = None
    raw: bytes = b""


def answer(plans: Sequence[Plan], world: World, budget: RetryBudget, purse: Purse | None = None) -> Flow[Answer]:
    """The first answer that any of the plans yields. Raises the last error, with `attempts` of all."""
    attempts: list[Attempt] = []
    last: errors.QuothError | None = None
    for number, plan in enumerate(plans):
        if plan.only_after is not None and not isinstance(last, plan.only_after):
            continue
        try:
            return (yield from _one_target(plan, world, budget, purse, attempts, number == len(plans) - 1))
        except errors.QuothError as error:
            last = error
    if last is None:
        raise errors.BadRequestError("there is nothing to call")
    last.attempts = attempts
    try:
        raise last
    finally:
        del last  # an error that a frame of its own traceback holds is freed late, and the prompt with it


def _one_target(
    plan: Plan, world: World, budget: RetryBudget, purse: Purse | None, attempts: list[Attempt], last_target: bool
) -> Flow[Answer]:
    try:
        target = plan.target()
        count = calls_of(plan.call, target)
        sending = None if count > 1 else prepared(plan, target, world)
        target = target if sending is None else sending.target
    except errors.QuothError as error:
        # Nothing was sent; still, whoever reads the attempts wants to know why this target was passed over.
        provider, model = error.llm_provider or "", error.model or str(plan.call.model)
        attempts.append(Attempt(provider, model, "", 0.0, None, type(error).__name__, error.message))
        raise
    if sending is None:
        return (yield from _several(plan, target, count, world, budget, purse, attempts))
    budget.call()
    policy = plan.policy
    started = world.now()
    tab = Tab(purse, target, sending.body)
    try:
        found: Answer = yield from retrying(
            target,
            sending.request,
            tab.before(partial(reader_of, sending, world)),
            tab.after(partial(interpreted, sending, world, attempts)),
            limits=limits_of(policy.timeouts, streaming=sending.streams, makes_media=sending.makes_media),
            num_retries=policy.num_retries,
            world=world,
            budget=budget,
            attempts=attempts,
            last_target=last_target,
        )
    except errors.BudgetExceededError as error:
        # No attempt was made, and this is why.
        attempts.append(Attempt(target.provider, target.model, "", 0.0, None, type(error).__name__, error.message))
        raise
    except BaseException:
        tab.settle(None)  # given up while it was under way
        raise
    if purse is not None and found.completion is not None and found.trace.price is not None:
        tab.settle(found.trace.price(found.completion).usd)
    found.reservation = tab.reservation
    found.trace.seconds = world.now() - started
    return found


def calls_of(call: Call, target: Target) -> int:
    """How many calls stand for this one: `n` where the provider gives one choice a call, else 1."""
    count = call.params.get("n")
    if "n_as_parallel_calls" not in target.quirks or call.stream or isinstance(count, bool):
        return 1
    return count if isinstance(count, int) and 1 < count <= MOST_AT_ONCE else 1


def _several(
    plan: Plan,
    target: Target,
    count: int,
    world: World,
    budget: RetryBudget,
    purse: Purse | None,
    attempts: list[Attempt],
) -> Flow[Answer]:
    """`count` calls at once, as one answer."""
    params = {name: value for name, value in plan.call.params.items() if name != "n"}
    single = replace(plan, call=replace(plan.call, params=params), target=lambda: target)
    try:
        found: list[Answer] = yield Together([answer([single], world, budget, purse) for _ in range(count)])
    except errors.QuothError as error:
        attempts += error.attempts
        raise
    whole = merged([one.completion for one in found if one.completion is not None], target.provider)
    attempts += whole.attempts
    whole._trace.attempts = attempts
    return Answer(target, plan, whole._trace, completion=whole)


class Sending(Struct, frozen=True):
    """A plan on its way to its target; `call` is the plan's, shaped for it. `makes`: the kinds of output of a model
    that answers with media, empty for any other. Such a model is never asked to stream."""

    plan: Plan
    call: Call
    target: Target
    body: dict[str, Any]
    request: WireRequest
    warnings: list[Warning]
    makes: tuple[str, ...] = ()
    wire: Wire = CHAT

    @property
    def native(self) -> bool:
        """True when the caller speaks this target's own wire."""
        return self.call.document is not None and self.call.surface == self.wire.name

    @property
    def makes_media(self) -> bool:
        return bool(self.makes)

    @property
    def streams(self) -> bool:
        return self.call.stream and not self.makes


def new_head(wire: Wire, target: Target, stream: bool) -> WireRequest:
    return wire.head(target, stream)


def prepared(plan: Plan, target: Target, world: World, head: Head = new_head) -> Sending:
    """`head` is for those who call the same target again and again, and keep what each request begins with. Raises
    QuothError for what is known to be wrong before sending."""
    target = over_its_wire(target, plan.call)
    call = structured.shaped(plan.call, target)
    catalogue = catalogue_of(target)
    facts = catalogue.get(target.model) if catalogue is not None else None
    makes = facts.output_modalities if facts is not None and facts.makes_media else ()
    whole = bool(makes) and call.stream
    today = None if catalogue is None else world.today()  # how old a list of models is, where there is one
    body, warnings = prepare(_not_streamed(call) if whole else call, target, today)
    if whole:
        warnings.append(Warning("media_not_streamed", "stream", f"{target.model} {_WHOLE}"))
    wire = wire_named(target.wire)
    request = _encoded(wire, target, body, call, warnings, head)
    limit = plan.policy.request_limit
    if len(request.body) > limit:
        raise errors.BadRequestError(
            f"the request has {len(request.body) / MIB:.1f} MiB; the limit is {limit / MIB:.0f} MiB",
            llm_provider=target.provider,
            model=target.model,
            param="messages",
        )
    return Sending(plan, call, target, body, request, warnings, makes, wire)


def _not_streamed(call: Call) -> Call:
    params = {name: value for name, value in call.params.items() if name != "stream_options"}
    return replace(call, stream=False, params=params)


def _native(wire: Wire, target: Target, body: Mapping[str, Any], call: Call, warnings: list[Warning]) -> dict[str, Any]:
    """The request as it was given, for a target that speaks the same wire. Of what was found about the chat body that
    says the same, only what concerns the model and the cap is true of it too."""
    document = {**call.document, "model": target.model} if call.document is not None else {}
    warnings[:] = [warning for warning in warnings if warning.param == "model"]
    for name in call.additional_drop_params:
        if document.pop(name, None) is not None:
            text = f"{name} was left out, as additional_drop_params asks"
            warnings.append(Warning("dropped", name, text))
    if wire.name == "anthropic_messages" and document.get("max_tokens") is None:
        filled, lost = wire.from_chat({"max_tokens": body.get("max_tokens")})
        document["max_tokens"] = filled["max_tokens"]
        warnings += lost
    return document


def _encoded(
    wire: Wire, target: Target, body: dict[str, Any], call: Call, warnings: list[Warning], head: Head
) -> WireRequest:
    """The request for a body. Raises BadRequestError for what this wire cannot say and what no text can hold."""
    document: Mapping[str, Any]
    if call.document is not None and call.surface == wire.name:
        # What came in this wire's own form goes out in it.
        document = _native(wire, target, body, call, warnings)
    else:
        if call.document is not None and call.surface == "openai_responses" and (error := refused(call.document)):
            raise error
        document, lost = wire.from_chat(body)
        warnings += lost
    document, changed = mended(document, target)
    warnings += changed
    try:
        return openai_chat.filled(head(wire, target, bool(document.get("stream"))), document)
    except UnicodeEncodeError:
        for name, value in document.items():
            if wrong := check.unencodable(value, name):
                raise wrong from None
        raise


def reader_of(sending: Sending, world: World) -> BodyReader | StreamReader:
    """A reader for one attempt."""
    call, policy, wire = sending.call, sending.plan.policy, sending.wire
    if not call.stream:
        return BodyReader(policy.answer_limit)
    if wire is CHAT and call.surface == CHAT.name:
        return StreamReader(
            event_limit=policy.event_limit,
            body_limit=policy.answer_limit,
            keep_usage_chunk=call.keep_usage_chunk,
            expects_document=not sending.streams,
        )
    foreign = call.surface not in (CHAT.name, wire.name)
    return StreamReader(
        event_limit=policy.event_limit,
        body_limit=policy.answer_limit,
        keep_usage_chunk=call.keep_usage_chunk,
        expects_document=not sending.streams,
        wire=wire,
        surface=wire_named(call.surface).encoder(call.document) if foreign else None,
        native=sending.native,
        created=int(world.today().timestamp()),
    )


def interpreted(
    sending: Sending,
    world: World,
    attempts: list[Attempt],
    outcome: Opened | Failed,
    reader: BodyReader | StreamReader,
) -> Answer:
    """The answer, or the error that it is. Raises QuothError."""
    target = sending.target
    if isinstance(outcome, Failed) and reader.status < 300:
        raise failures.from_failure(target, outcome, streaming=sending.streams, makes_media=sending.makes_media)
    document = reader if isinstance(reader, BodyReader) else reader.document
    failures.check_document(target, sending.body, document, reader.status, reader.headers, world.today)
    assert isinstance(outcome, Opened)
    trace = Trace(
        provider=target.provider,
        model=target.model,
        wire=target.wire,
        api_base=target.base_url,
        request_id=failures.request_id(reader.headers),
        attempts=attempts,
        warnings=list(sending.warnings),
        headers=reader.headers,
        price=price_of(target),
    )
    if isinstance(reader, StreamReader):
        if not reader.good and not (reader.complete and reader.document is not None):
            raise _no_stream(sending, reader)
        return Answer(target, sending.plan, trace, reader=reader, reply=outcome.reply, makes=sending.makes)
    try:
        created = None if sending.wire is CHAT else int(world.today().timestamp())
        completion, found = sending.wire.parse(reader.body, created)
    except openai_chat.Unreadable as wrong:
        raise failures.unreadable(target, str(wrong), reader.status, reader.headers) from None
    except openai_chat.UpstreamError as wrong:
        raise failures.in_answer(target, wrong, reader.headers) from None
    trace.warnings += found
    if not completion.choices:
        trace.warnings.append(Warning("no_choices", "choices", "the provider answered without any choice"))
    completion._trace = trace
    for choice in completion.choices:
        choice.message._makes = sending.makes
    return Answer(target, sending.plan, trace, completion=completion, raw=reader.body)


def _no_stream(sending: Sending, reader: StreamReader) -> errors.APIError:
    """The error of a stream that ended or failed before its first good chunk."""
    target, failure = sending.target, reader.failure
    if isinstance(failure, openai_chat.UpstreamError):
        return failures.in_answer(target, failure, reader.headers)
    if isinstance(failure, openai_chat.Unreadable | EventTooLarge):
        return failures.unreadable(target, str(failure), reader.status, reader.headers)
    if not reader.ended:
        return failures.unreadable(target, "events that say nothing, without end", reader.status, reader.headers)
    ended = Failed("read", "the stream ended without an answer", "first")
    return failures.from_failure(target, ended, streaming=True, makes_media=sending.makes_media)
