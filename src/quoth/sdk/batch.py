"""Many conversations at once, errors in their place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from quoth.engine.attempts import Answer
from quoth.engine.chat import chat
from quoth.engine.effects import Flow, Sleep, Together
from quoth.engine.purse import Purse
from quoth.errors import BadRequestError, BudgetExceededError, QuothError
from quoth.providers.controls import MOCKS
from quoth.sdk import budget, defaults
from quoth.sdk.arguments import said
from quoth.sdk.core import Core, Job
from quoth.sdk.log import noted
from quoth.sdk.pace import Pace, pace_towards
from quoth.sdk.past import remember
from quoth.transport.canned import Answer as CannedAnswer
from quoth.transport.canned import Canned, CannedAsync
from quoth.transport.drive import adrive, drive
from quoth.transport.mock import canned, waiting
from quoth.types import Completion

__all__ = ["abatch_completion", "batch_completion"]

AT_ONCE = 32
_FOR_ROOM = 0.05  # seconds from a call that a budget has no room for to its next try, while others hold reservations


def batch_completion(
    model: str, messages: Sequence[Sequence[Any]], *, max_workers: int = AT_ONCE, client: Any = None, **keywords: Any
) -> list[Completion | QuothError]:
    """One call for each conversation in `messages`, at most `max_workers` at a time.

    Returns results in the order of `messages`; where a call failed, its QuothError stands in the list. Other keywords
    as for `completion`, but not streamed. Calls to Poe itself are spread so that no minute has more than 480. A call
    that a budget has no room for waits while others of the batch may give back what they reserved.
    """
    one = client or defaults.client()
    flow = _all(one._core, model, messages, keywords, max_workers)
    mocks = _mocks(keywords)
    return drive(flow, one._transport() if mocks is None else Canned(mocks))


async def abatch_completion(
    model: str, messages: Sequence[Sequence[Any]], *, max_workers: int = AT_ONCE, client: Any = None, **keywords: Any
) -> list[Completion | QuothError]:
    """`batch_completion` for asyncio."""
    one = client or defaults.async_client()
    flow = _all(one._core, model, messages, keywords, max_workers)
    mocks = _mocks(keywords)
    return await adrive(flow, one._transport() if mocks is None else CannedAsync(mocks))


def _mocks(keywords: dict[str, Any]) -> list[CannedAnswer] | None:
    """What answers a batch with `mock_...` keywords; None without. An error that they stand for is each call's own."""
    if not any(keywords.get(name) is not None for name in MOCKS):
        return None
    try:
        return canned(said(keywords), stream=False)
    except QuothError:
        return []


def _all(
    core: Core, model: str, messages: Sequence[Sequence[Any]], keywords: dict[str, Any], at_once: int
) -> Flow[list[Completion | QuothError]]:
    if keywords.get("stream"):
        raise BadRequestError("a batch is not streamed; leave `stream` out", param="stream")
    if isinstance(at_once, bool) or not isinstance(at_once, int) or at_once < 1:
        raise BadRequestError(f"max_workers is {at_once!r}; it has to be 1 or more", param="max_workers")
    if isinstance(messages, str) or not isinstance(messages, Sequence):
        raise BadRequestError("messages has to be a list of conversations, each a list of messages", param="messages")
    paces: list[Pace | None] = []
    # Asked for here, for the calls run in threads that know nothing of the block that they were made in.
    purse = budget.current()
    asking: list[None] = []
    flows = [_caught(core, model, conversation, keywords, paces, purse, asking) for conversation in messages]
    found: list[Completion | QuothError] = (yield Together(flows, at_once)) if flows else []
    return found


def _caught(
    core: Core,
    model: str,
    messages: Any,
    keywords: dict[str, Any],
    paces: list[Pace | None],
    purse: Purse | None,
    asking: list[None],
) -> Flow[Completion | QuothError]:
    try:
        job = core.job(model, messages, keywords)
        if job.mock:
            yield from waiting(job.mock, job.plans[0].policy.timeouts)
            canned(job.mock, stream=False)
            purse = None
        else:
            pace = _pace(job, paces)
            seconds = pace.wait(core.world.now()) if pace is not None else 0.0
            if seconds > 0:
                yield Sleep(seconds)
        answer = yield from _with_room(core, job, purse, asking)
        if not job.mock:
            remember(answer, core.world)
    except QuothError as error:
        return error
    assert answer.completion is not None
    answer.completion.warnings[:0] = job.warnings
    return answer.completion


def _with_room(core: Core, job: Job, purse: Purse | None, asking: list[None]) -> Flow[Answer]:
    """The call, when there is room for it. `asking` has an item for each call under way, as a list that threads share:
    a call that is alone has nobody to wait for."""
    while True:
        asking.append(None)
        try:
            return (yield from noted(chat(job.plans, core.world, core.budget, purse)))
        except BudgetExceededError:
            if len(asking) == 1:
                raise
        finally:
            asking.pop()
        yield Sleep(_FOR_ROOM)


def _pace(job: Job, paces: list[Pace | None]) -> Pace | None:
    """The one pace of a batch; the first call that has a target decides it. Raises QuothError where there is none."""
    if not paces:
        paces.append(pace_towards(job.plans[0].target()))
    return paces[0]
