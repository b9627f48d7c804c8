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
    return Usage.model_validate(_sums([usage.model_dump() for usage in usages]))


def _sums(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Numbers added up, objects within added likewise; what any part lacks is unknown of the whole."""
    sums: dict[str, Any] = {}
    for name, first in parts[0].items():
        values = [part.get(name) for part in parts]
        if all(isinstance(value, dict) for value in values):
            sums[name] = _sums([value for value in values if isinstance(value, dict)])
        elif all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            sums[name] = sum(value for value in values if value is not None)
        elif all(value == first for value in values):
            sums[name] = first
    return sums
