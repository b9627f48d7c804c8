"""A chat call as a whole: an answer, and where it has to fit a class, a second one if the first does not."""

from __future__ import annotations

from collections.abc import Sequence

from quoth.engine import structured
from quoth.engine.attempts import Answer, Plan, answer
from quoth.engine.backoff import RetryBudget
from quoth.engine.effects import Flow, World
from quoth.engine.purse import Purse
from quoth.types import Warning

__all__ = ["chat", "repaired"]


def chat(plans: Sequence[Plan], world: World, budget: RetryBudget, purse: Purse | None = None) -> Flow[Answer]:
    """Raises QuothError."""
    first = yield from answer(plans, world, budget, purse)
    return (yield from repaired(first, world, budget, purse))


def repaired(first: Answer, world: World, budget: RetryBudget, purse: Purse | None = None) -> Flow[Answer]:
    """The same answer where it fits, else a second one. Raises QuothError."""
    wanted = first.plan.call.output_type
    if wanted is None or first.completion is None:
        return first
    problem = structured.parsed(first.completion, wanted)
    if problem is None:
        return first
    # The repair goes to the target that answered, in the conversation that it was given.
    call = structured.repair(first.plan.call, first.completion, problem)
    second = yield from answer([Plan(call, lambda: first.target, first.plan.policy)], world, budget, purse)
    assert second.completion is not None
    second.trace.attempts[:0] = first.trace.attempts
    second.trace.extra_cost = first.completion.cost
    second.trace.warnings.insert(
        0, Warning("repaired", "response_format", f"the first answer did not fit and was asked for again: {problem}")
    )
    problem = structured.parsed(second.completion, wanted)
    if problem is not None:
        error = structured.does_not_fit(second.completion, second.target, problem)
        error.attempts = second.trace.attempts
        raise error
    return second
