"""A plain GET that is answered by JSON: lists of models, balances."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from quoth import errors
from quoth.call import Target, WireRequest
from quoth.engine import failures
from quoth.engine.backoff import RetryBudget
from quoth.engine.effects import Failed, Flow, Opened, World
from quoth.engine.reading import BodyReader
from quoth.engine.retrying import Policy, limits_of, retrying
from quoth.types import Attempt
from quoth.wire import openai_chat

__all__ = ["fetch"]


def fetch(target: Target, path: str, policy: Policy, world: World, budget: RetryBudget) -> Flow[Any]:
    """The decoded answer of `GET base_url + path`. Raises QuothError."""
    budget.call()
    headers = {"accept": "application/json", **openai_chat.authorization(target), **target.headers}
    attempts: list[Attempt] = []
    try:
        return (
            yield from retrying(
                target,
                WireRequest("GET", openai_chat.address(target, path), headers),
                partial(BodyReader, policy.answer_limit),
                partial(_decoded, target, world),
                limits=limits_of(policy.timeouts, streaming=False),
                num_retries=policy.num_retries,
                world=world,
                budget=budget,
                attempts=attempts,
            )
        )
    except errors.QuothError as error:
        error.attempts = attempts
        raise


def _decoded(target: Target, world: World, outcome: Opened | Failed, reader: BodyReader) -> Any:
    if isinstance(outcome, Failed) and reader.status < 300:
        raise failures.from_failure(target, outcome, streaming=False, makes_media=False)
    failures.check_document(target, {}, reader, reader.status, reader.headers, world.today)
    try:
        return msgspec.json.decode(reader.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise failures.unreadable(target, str(wrong), reader.status, reader.headers) from None
