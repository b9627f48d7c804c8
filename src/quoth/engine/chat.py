"""A chat call as a whole: one answer, `n` answers where the provider gives one at a time, or an answer that fits a
class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from quoth import errors
from quoth.call import Call
from quoth.engine import structured
from quoth.engine.attempts import Answer, Plan, Policy, answer
from quoth.engine.backoff import RetryBudget
from quoth.engine.effects import Flow, Together, World
from quoth.types import Choice, Usage, Warning

__all__ = ["chat"]

MOST_AT_ONCE = 128


def chat(plans: Sequence[Plan], policy: Policy, world: World, budget: RetryBudget) -> Flow[Answer]:
    """Raises QuothError."""
    count = _parallel(plans[0])
    if count is None:
        return (yield from _one(plans, policy, world, budget))
    single = [replace(plan, call=_without_n(plan.call)) for plan in plans]
    found: list[Answer] = yield Together([_one(single, policy, world, budget) for _ in range(count)])
    return _merged(found)


def _one(plans: Sequence[Plan], policy: Policy, world: World, budget: RetryBudget) -> Flow[Answer]:
    first = yield from answer(plans, policy, world, budget)
    wanted = plans[0].call.output_type
    if wanted is None or first.completion is None:
        return first
    problem = structured.parsed(first.completion, wanted)
    if problem is None:
        return first
    # The repair goes to the target that answered, whatever fallbacks there are.
    call = structured.repair(replace(plans[0].call, params=first.call.params), first.completion, problem)
    second = yield from answer([Plan(call, lambda: first.target)], policy, world, budget)
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


def _parallel(plan: Plan) -> int | None:
    """How many calls stand for this one; None for one, and for providers that take `n` themselves."""
    count = plan.call.params.get("n")
    if isinstance(count, bool) or not isinstance(count, int) or not 1 < count <= MOST_AT_ONCE or plan.call.stream:
        return None
    try:
        target = plan.target()
    except errors.QuothError:
        return None  # the flow meets the same error in its place
    return count if "n_as_parallel_calls" in target.quirks else None


def _without_n(call: Call) -> Call:
    return replace(call, params={name: value for name, value in call.params.items() if name != "n"})


def _merged(found: list[Answer]) -> Answer:
    """Several answers as one: choices renumbered, tokens and costs added up."""
    first = found[0]
    completions = [one.completion for one in found if one.completion is not None]
    choices: list[Choice] = []
    for completion in completions:
        for choice in completion.choices:
            choice.index = len(choices)
            choices.append(choice)
    merged = completions[0].model_copy()
    merged.choices = choices
    usages = [completion.usage for completion in completions if completion.usage is not None]
    if len(usages) == len(completions):
        merged.usage = _added(usages)
    cost = completions[0].cost
    for completion in completions[1:]:
        cost = cost + completion.cost
    trace = replace(first.trace, attempts=[], warnings=[], price=None, extra_cost=None, cost=cost)
    for one in found:
        trace.attempts += one.trace.attempts
        trace.warnings += [warning for warning in one.trace.warnings if warning not in trace.warnings]
    message = f"{first.target.provider} gives one choice a call, so n={len(found)} was made of {len(found)} calls"
    trace.warnings.append(Warning("n_as_parallel_calls", "n", message))
    merged._trace = trace
    return Answer(first.target, first.call, trace, completion=merged)


def _added(usages: list[Usage]) -> Usage:
    counts: dict[str, Any] = {}
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        values = [getattr(usage, name) for usage in usages]
        if None not in values:
            counts[name] = sum(values)
    return Usage(**counts)
