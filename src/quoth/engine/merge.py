"""Several answers as one, for a provider that gives one choice a call: choices renumbered, tokens and costs added."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from quoth.types import Choice, Completion, Trace, Usage, Warning

__all__ = ["merged"]


def merged(answers: list[Completion], provider: str) -> Completion:
    """`answers` has at least one."""
    choices: list[Choice] = []
    for answer in answers:
        for choice in answer.choices:
            choice.index = len(choices)
            choices.append(choice)
    whole = answers[0].model_copy()
    whole.choices = choices
    usages = [answer.usage for answer in answers if answer.usage is not None]
    if len(usages) == len(answers):
        whole.usage = _added(usages)
    whole._trace = _trace(answers, provider)
    return whole


def _trace(answers: list[Completion], provider: str) -> Trace:
    cost = answers[0].cost
    for answer in answers[1:]:
        cost = cost + answer.cost
    trace = replace(answers[0]._trace, attempts=[], warnings=[], price=None, extra_cost=None, cost=cost)
    for answer in answers:
        trace.attempts += answer.attempts
        trace.warnings += [warning for warning in answer.warnings if warning not in trace.warnings]
    message = f"{provider} gives one choice a call, so n={len(answers)} was made of {len(answers)} calls"
    trace.warnings.append(Warning("n_as_parallel_calls", "n", message))
    return trace


def _added(usages: list[Usage]) -> Usage:
    counts: dict[str, Any] = {}
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        values = [getattr(usage, name) for usage in usages]
        if None not in values:
            counts[name] = sum(values)
    return Usage(**counts)
