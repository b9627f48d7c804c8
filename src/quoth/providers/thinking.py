"""How hard a model is to think: an effort in words, a budget in tokens, and what becomes of one on a wire that has the
other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from quoth.providers.catalogue import ModelFacts
from quoth.types import Warning
from quoth.wire.carried import DEFAULT_CAP, not_carried

__all__ = [
    "BUDGETS",
    "EFFORT_PARAMS",
    "as_thinking",
    "at_odds",
    "capped",
    "reconciled",
    "thinking_for",
    "without_thinking",
]

# The names that Poe's models have for it.
EFFORT_PARAMS = ("reasoning_effort", "output_effort", "thinking_level", "thinking_budget")
# Tokens; xhigh and max are for the Messages API alone, where no range of a model says what its most is.
BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 4096, "high": 16384}
_SINCE = re.compile(r"claude-(opus|sonnet|haiku)-(4[.-][7-9]|[5-9]|\d\d)(?!\d)")
_MOST = {"xhigh": 32000, "max": 32000}


def thinking_for(effort: Any, model: str, facts: ModelFacts | None) -> dict[str, Any] | None:
    """What an effort is as a setting of the Messages API; None where it has no such setting: for a word that is none,
    and for models that take no budget."""
    budget = (BUDGETS | _MOST).get(effort) if isinstance(effort, str) else None
    if budget is None:
        return None
    if _takes_no_budget(model, facts):
        return None
    if budget == 0:
        return {"type": "disabled"}
    declared = facts.parameter("thinking_budget") if facts is not None else None
    if declared is not None and declared.maximum is not None:
        budget = min(budget, int(declared.maximum))
    return {"type": "enabled", "budget_tokens": max(budget, BUDGETS["low"])}


def _takes_no_budget(model: str, facts: ModelFacts | None) -> bool:
    """True for the models that decide themselves how long to think: from Claude 4.7 on, which take an effort of
    xhigh."""
    output = facts.parameter("output_effort") if facts is not None else None
    return "xhigh" in (output.enum or ()) if output is not None else _SINCE.match(model.lower()) is not None


def as_thinking(given: dict[str, Any], model: str, facts: ModelFacts | None, warnings: list[Warning]) -> None:
    """An effort, or Poe's `thinking_budget`, as the setting that the Messages API has for it."""
    for name in ("thinking_budget", "reasoning_effort"):
        value = given.get(name)
        if value is None or (name == "thinking_budget" and not isinstance(value, int)):
            continue
        if "thinking" in given:
            warnings.append(
                Warning("dropped", name, f"{name} was left out: thinking, which is the same, was given too")
            )
        elif name == "thinking_budget":
            given["thinking"] = {"type": "enabled", "budget_tokens": value} if value else {"type": "disabled"}
        elif (found := thinking_for(value, model, facts)) is not None:
            given["thinking"] = found
            warnings.append(Warning("mapped", name, f"{name} {value!r} was sent as thinking {found!r}"))
        else:
            continue  # sent as given, for a provider that may know it
        del given[name]


def without_thinking(given: dict[str, Any], facts: ModelFacts | None, warnings: list[Warning]) -> None:
    """Anthropic's setting for thinking, on a wire that has no such thing, as the budget or the effort nearest to it."""
    thinking = given["thinking"]
    budget = thinking.get("budget_tokens") if isinstance(thinking, Mapping) else None
    if isinstance(thinking, Mapping) and thinking.get("type") == "disabled":
        budget = 0
    if any(name in given for name in EFFORT_PARAMS):
        text = "thinking was left out: the effort that was given too says the same here"
        warnings.append(Warning("dropped", "thinking", text))
    elif not isinstance(budget, int):
        warnings.append(not_carried("thinking", "openai_chat", "it names no budget that could be sent in its place"))
    elif facts is not None and (parameter := facts.parameter("thinking_budget")) is not None:
        top = parameter.maximum
        given["thinking_budget"] = budget if top is None else int(min(budget, top))
        text = f"thinking was sent as thinking_budget {given['thinking_budget']}, which is what this model declares"
        warnings.append(Warning("mapped", "thinking", text))
    else:
        steps = (step for step in ("low", "medium", "high") if budget <= BUDGETS[step])
        given["reasoning_effort"] = next(steps, "high") if budget else "none"
        text = f"thinking was sent as reasoning_effort {given['reasoning_effort']!r}, which is nearest to its budget"
        warnings.append(Warning("mapped", "thinking", text))
    del given["thinking"]


def at_odds(given: Mapping[str, Any]) -> list[str]:
    """What the Messages API refuses beside thinking: to choose words in another way than its own, and a tool that has
    to be called. Source: Anthropic's page on extended thinking."""
    found = [name for name in ("temperature", "top_p") if given.get(name) is not None and given[name] != 1]
    if isinstance(top := given.get("top_p"), int | float) and 0.95 <= top <= 1:
        found.remove("top_p")
    if given.get("top_k") is not None:
        found.append("top_k")
    choice = given.get("tool_choice", given.get("function_call"))
    forces = choice not in (None, "auto", "none")
    if isinstance(choice, Mapping) and isinstance(inner := choice.get("allowed_tools"), Mapping):
        forces = inner.get("mode") == "required"
    return [*found, "tool_choice"] if forces else found


def reconciled(body: dict[str, Any], warnings: list[Warning]) -> None:
    """Thinking that was asked for as an effort, and what else was given, made to agree: a tool that has to be called
    goes before it, it before the rest. What the caller gave as thinking is sent as given."""
    if (body.get("thinking") or {}).get("type") != "enabled" or not _was_mapped(warnings):
        return
    others = at_odds(body)
    if "tool_choice" in others:
        del body["thinking"]
        text = "thinking was left out: the Messages API takes none where a tool has to be called"
        warnings.append(Warning("mapped", "reasoning_effort", text))
        return
    for name in others:
        text = f"{name} {body.pop(name)!r} was left out: the Messages API takes none beside thinking"
        warnings.append(Warning("dropped", name, text))


def capped(body: dict[str, Any], facts: ModelFacts | None, warnings: list[Warning]) -> None:
    """The cap that the Messages API wants: the model's own where none was given. A budget for thinking is below it."""
    cap = body.get("max_completion_tokens", body.get("max_tokens"))
    if cap is None and facts is not None and facts.max_output_tokens:
        cap = body["max_tokens"] = facts.max_output_tokens
    thinking = body.get("thinking")
    budget = thinking.get("budget_tokens") if isinstance(thinking, Mapping) else None
    room = DEFAULT_CAP if cap is None else cap
    if not isinstance(budget, int) or not isinstance(room, int) or budget < room or not _was_mapped(warnings):
        return
    if room // 2 >= BUDGETS["low"]:
        body["thinking"] = {"type": "enabled", "budget_tokens": room // 2}
        text = f"thinking was sent with a budget of {room // 2} tokens, half of what the whole answer may have"
    else:
        del body["thinking"]
        text = f"thinking was left out: an answer of {room} tokens has no room for it"
    warnings.append(Warning("mapped", "reasoning_effort", text))


def _was_mapped(warnings: list[Warning]) -> bool:
    """True when the budget is ours: what the caller gave as thinking is sent as given."""
    return any(warning.code == "mapped" and warning.param == "reasoning_effort" for warning in warnings)
