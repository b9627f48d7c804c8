"""What becomes of each parameter: from a Call to the body that a target gets, with a warning for whatever is not as
given.

Nothing disappears: a parameter is sent as given unless a rule of the row, a quirk or the caller says otherwise, and
then it is a warning or an error. Facts of the catalogue correct and warn; they refuse only under `strict`, and where a
list that was fetched within a day declares the values of a parameter.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from quoth.call import Call, Rule, Target
from quoth.errors import BadRequestError, UnsupportedParamsError
from quoth.providers.catalogue import RETIRED, Catalogue, ModelFacts, ParameterFacts
from quoth.providers.media_params import fit
from quoth.providers.quirks import quirks_of
from quoth.providers.thinking import BUDGETS, EFFORT_PARAMS, as_thinking, capped, reconciled, without_thinking
from quoth.providers.wires import CARRIED, CHAT, MESSAGES, RESPONSES
from quoth.types import Warning
from quoth.wire.carried import SPECIFIC

__all__ = ["OPENAI_PARAMS", "catalogue_of", "honours_json_schema", "prepare", "undeclared"]

# The fields of OpenAI's chat completions request; everything else in a call is a custom parameter of the model.
OPENAI_PARAMS = frozenset(
    (
        "audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens max_tokens "
        "messages metadata modalities model n parallel_tool_calls prediction presence_penalty "
        "prompt_cache_key prompt_cache_retention reasoning_effort response_format safety_identifier seed "
        "service_tier stop store stream stream_options temperature tool_choice tools top_logprobs top_p user "
        "verbosity web_search_options"
    ).split()
)
_NEVER_DROPPED = frozenset({"tools", "tool_choice"})
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

_TYPES: dict[str, Any] = {"boolean": bool, "number": int | float, "string": str}
_NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,6})?")


def catalogue_of(target: Target) -> Catalogue | None:
    """The catalogue that knows this target's models: Poe's for Poe, none for others."""
    found: Catalogue | None = target.catalogue
    return found


def honours_json_schema(target: Target) -> bool:
    """True when this model answers by a JSON schema given as `response_format`: over the Responses API, or because the
    row says so."""
    return target.wire == RESPONSES or any(
        fnmatchcase(target.model.lower(), pattern) for pattern in target.row.json_schema
    )


def prepare(call: Call, target: Target, now: datetime | None = None) -> tuple[dict[str, Any], list[Warning]]:
    """The body for this target. `now` tells a list of models that is a day old from a fresh one. Raises
    UnsupportedParamsError, BadRequestError."""
    warnings: list[Warning] = []
    given = dict(call.params)
    literal = _literal(given.pop("extra_body")) if "extra_body" in given else {}
    _drop_by_name(given, literal, call, warnings)
    catalogue = catalogue_of(target)
    facts = None if catalogue is None else catalogue.get(target.model)
    if facts is not None and facts.makes_media:
        kept = {name: given.pop(name) for name in call.allowed_openai_params if name in given}
        fit(given, facts, {*literal, *kept}, warnings)
        given |= kept
    wire = target.wire
    if wire == CHAT:
        _apply_rules(given, call, target, facts, warnings)  # which are of the provider's chat
    if literal:
        _override(given, literal, warnings)
    if wire == MESSAGES:
        as_thinking(given, target.model, facts, warnings)
    elif "thinking" in given and (catalogue is not None or wire == RESPONSES):
        without_thinking(given, facts, warnings)  # others have a field of that name in their chat
    own = {name: value for name, value in given.items() if name in OPENAI_PARAMS}
    custom = {name: value for name, value in given.items() if name not in OPENAI_PARAMS} | literal
    if catalogue is not None:
        _hold_against(catalogue, facts, own, custom, call, target, now, warnings)
    _count_stops(own, target, warnings)
    body: dict[str, Any] = {"model": target.model, "messages": call.messages, **own, **custom}
    if call.stream:
        body["stream"] = True
        if wire == CHAT and target.row.stream_usage == "ask" and "stream_options" not in body:
            body["stream_options"] = {"include_usage": True}
    for quirk in quirks_of(target):
        if quirk.apply is not None:
            warnings += quirk.apply(body)
    if wire == MESSAGES:
        capped(body, facts, warnings)
        reconciled(body, warnings)
    return body, warnings


def _hold_against(
    catalogue: Catalogue,
    facts: ModelFacts | None,
    own: dict[str, Any],
    custom: dict[str, Any],
    call: Call,
    target: Target,
    now: datetime | None,
    warnings: list[Warning],
) -> None:
    """Hold the call against what the list of models says of this one. Raises BadRequestError."""
    doubts = _map_effort(own, custom, facts, warnings) if target.wire == CHAT else []
    doubts += _compare(own, custom, facts, target, catalogue, warnings)
    if doubts and call.strict:
        raise _refused(doubts[0], target, "strict=True")
    if doubts and facts is not None and now is not None and catalogue.is_fresh(facts, now):
        wrong = next((doubt for doubt in doubts if _is_declared(doubt, facts)), None)
        if wrong is not None:
            raise _refused(wrong, target, "the list of models was fetched less than a day ago")
    warnings += doubts


def _count_stops(own: Mapping[str, Any], target: Target, warnings: list[Warning]) -> None:
    stop, most = own.get("stop"), target.row.max_stop
    if most is not None and isinstance(stop, list) and len(stop) > most:
        message = f"{target.provider} documents at most {most} stop sequences; {len(stop)} were sent"
        warnings.append(Warning("doubtful_value", "stop", message))


def _literal(extra_body: Any) -> dict[str, Any]:
    """The fields of a literal `extra_body`; they go to the top level as they are, no rule of the row looks at them."""
    if extra_body is None:
        return {}
    if not isinstance(extra_body, Mapping):
        message = f"extra_body is a {type(extra_body).__name__}; it has to be an object"
        raise BadRequestError(message, param="extra_body")
    for name in ("model", "messages", "stream"):
        if name in extra_body:
            message = f"extra_body has {name}, which decides how the call is made; give it as {name}=... instead"
            raise BadRequestError(message, param=f"extra_body.{name}")
    return dict(extra_body)


def _override(given: dict[str, Any], literal: Mapping[str, Any], warnings: list[Warning]) -> None:
    for name in [name for name in given if name in literal]:
        if repr(given.pop(name)) != repr(literal[name]):  # True and 1 are equal in Python, not in JSON
            message = f"{name} was given twice; the value in extra_body was sent"
            warnings.append(Warning("overridden", name, message))


def _refused(doubt: Warning, target: Target, because: str) -> BadRequestError:
    return BadRequestError(
        f"{doubt.message} (refused because {because})",
        llm_provider=target.provider,
        model=target.model,
        param=doubt.param,
    )


def _drop_by_name(given: dict[str, Any], literal: dict[str, Any], call: Call, warnings: list[Warning]) -> None:
    for path in call.additional_drop_params:
        name, _, rest = path.partition(".")
        if name in _NEVER_DROPPED and not rest:
            warnings.append(Warning("not_dropped", name, f"{name} is never dropped, so it was sent"))
        elif sum(_without(place, path.split(".")) for place in (given, literal)):
            warnings.append(Warning("dropped", path, f"{path} was left out, as additional_drop_params asks"))


def _without(place: dict[str, Any], path: list[str]) -> bool:
    """Take a dotted path out of nested dicts, copying what it changes; True when it was there."""
    name, *rest = path
    if name not in place:
        return False
    if not rest:
        del place[name]
        return True
    inner = place[name]
    if not isinstance(inner, Mapping):
        return False
    copy = dict(inner)
    place[name] = copy
    return _without(copy, rest)


def _apply_rules(
    given: dict[str, Any], call: Call, target: Target, facts: ModelFacts | None, warnings: list[Warning]
) -> None:
    for name in [name for name in given if name in target.row.params]:
        rule = target.row.params[name]
        # What the model itself declares (a seed, say) outweighs what the row says of all its models.
        if name in call.allowed_openai_params or (facts is not None and facts.parameter(name) is not None):
            continue
        if rule.rule == "refused":
            if _is_one_of(given[name], rule.allowed):
                continue
            _refuse(given, name, rule, call, target, warnings)
        elif rule.rule == "renamed" and rule.to is not None:
            if rule.to in given:
                message = f"{name} is {rule.to} for {target.provider}, which was given too; {rule.to} was sent"
                warnings.append(Warning("dropped", name, message))
                del given[name]
            else:
                given[rule.to] = given.pop(name)
                message = f"{name} was sent as {rule.to}, which is its name with {target.provider}"
                warnings.append(Warning("renamed", name, message))
        elif rule.rule == "mapped":
            value = given[name]
            if isinstance(value, str) and value in rule.values:
                given[name] = rule.values[value]
                warnings.append(Warning("mapped", name, f"{name} {value!r} was sent as {given[name]!r}: {rule.why}"))
        elif rule.rule == "ignored" and not (name == "response_format" and honours_json_schema(target)):
            why = f": {rule.why}" if rule.why else ""
            message = f"{name} was sent; {target.provider} documents that it has no effect there{why}"
            warnings.append(Warning("ignored_upstream", name, message))


def _is_one_of(value: Any, allowed: tuple[Any, ...]) -> bool:
    """True and 1 are two values here, though Python thinks them equal."""
    return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in allowed)


def _refuse(given: dict[str, Any], name: str, rule: Rule, call: Call, target: Target, warnings: list[Warning]) -> None:
    why = f": {rule.why.rstrip('.')}" if rule.why else ""
    if rule.allowed:
        why = f" other than {' or '.join(map(str, rule.allowed))}{why}"
    if call.drop_params and name not in _NEVER_DROPPED:
        del given[name]
        warnings.append(Warning("dropped", name, f"{name} was left out: {target.provider} refuses it{why}"))
        return
    raise UnsupportedParamsError(
        f"{target.provider} refuses {name}{why}. Leave it out, or pass drop_params=True to drop it with a warning, "
        f"or allowed_openai_params=[{name!r}] to send it all the same",
        llm_provider=target.provider,
        model=target.model,
        param=name,
    )


def _map_effort(
    own: dict[str, Any], custom: dict[str, Any], facts: ModelFacts | None, warnings: list[Warning]
) -> list[Warning]:
    """`reasoning_effort` under the name and in the unit that the model declares; returns what is doubtful about it."""
    effort = own.get("reasoning_effort")
    if not isinstance(effort, str):
        return []
    if facts is None or facts.parameters is None:
        message = "reasoning_effort was sent as given; what this model calls it is not known"
        warnings.append(Warning("effort_as_given", "reasoning_effort", message))
        return []
    parameter = next(filter(None, map(facts.parameter, EFFORT_PARAMS)), None)
    if parameter is None:
        message = "this model declares no parameter for reasoning effort; reasoning_effort was sent as given"
        warnings.append(Warning("effort_as_given", "reasoning_effort", message))
    elif parameter.name in custom:
        message = f"reasoning_effort was left out: {parameter.name}, which is the same thing here, was given too"
        warnings.append(Warning("dropped", "reasoning_effort", message))
        del own["reasoning_effort"]
    elif parameter.name == "reasoning_effort":
        # A step that is not declared is sent all the same: the model may know more than its list says.
        doubt = _doubt(effort, parameter, facts)
        return [] if doubt is None else [doubt]
    else:
        _translate(effort, parameter, own, custom, warnings)
    return []


def _translate(
    effort: str, parameter: ParameterFacts, own: dict[str, Any], custom: dict[str, Any], warnings: list[Warning]
) -> None:
    name = parameter.name
    value = _as_budget(effort, parameter) if name == "thinking_budget" else _nearest(effort, parameter)
    if value is None:
        message = f"reasoning_effort {effort!r} was sent as given; what it is in this model's {name} is not known"
        warnings.append(Warning("effort_as_given", "reasoning_effort", message))
        return
    del own["reasoning_effort"]
    custom[name] = value
    message = f"reasoning_effort {effort!r} was sent as {name} {value!r}, which is what this model declares"
    warnings.append(Warning("mapped", "reasoning_effort", message))


def _nearest(effort: str, parameter: ParameterFacts) -> str | None:
    """The declared step nearest to the one asked for, the stronger of two; None for a word that is no step."""
    steps = parameter.enum or ()
    if effort in steps or not steps:
        return effort
    if effort not in _EFFORTS:
        return None
    wanted = _EFFORTS.index(effort)
    known = [step for step in steps if step in _EFFORTS]
    return min(known, key=lambda step: (abs(_EFFORTS.index(step) - wanted), -_EFFORTS.index(step)), default=None)


def _as_budget(effort: str, parameter: ParameterFacts) -> int | None:
    top = parameter.maximum if parameter.maximum is not None else 32768
    tokens = top if effort in ("xhigh", "max") else BUDGETS.get(effort)
    if tokens is None:
        return None
    return int(max(parameter.minimum or 0, min(tokens, top)))


def _compare(
    own: dict[str, Any],
    custom: dict[str, Any],
    facts: ModelFacts | None,
    target: Target,
    catalogue: Catalogue,
    warnings: list[Warning],
) -> list[Warning]:
    """Hold the call against what is known of the model: lossless corrections first, then the doubts that are left."""
    if facts is None:
        near = catalogue.near(target.model)
        guess = f"; near names: {', '.join(near)}" if near else ""
        message = f"{target.model!r} is not in the list of known models, which says nothing of private bots{guess}"
        warnings.append(Warning("unknown_model", "model", message))
        return []
    if facts.status == RETIRED:
        near = catalogue.near(target.model)
        guess = f"; near names: {', '.join(near)}" if near else ""
        warnings.append(Warning("retired_model", "model", f"{facts.id} is no longer in Poe's list of models{guess}"))
    doubts: list[Warning] = []
    if own.get("tools") and facts.supported_features is not None and "tools" not in facts.supported_features:
        doubts.append(Warning("tools_not_declared", "tools", f"{facts.id} does not declare that it can call tools"))
    if facts.parameters is None:
        return doubts
    for place, name in [*((own, name) for name in own), *((custom, name) for name in custom)]:
        if place is own and name == "reasoning_effort":
            continue  # held against the model where it was mapped
        parameter = facts.parameter(name)
        if parameter is not None:
            place[name] = _coerced(place[name], parameter)
            if doubt := _doubt(place[name], parameter, facts):
                doubts.append(doubt)
        elif place is custom and name != SPECIFIC and name not in CARRIED.get(target.wire, ()):
            doubts.append(undeclared(name, facts))
    return doubts


def _is_declared(doubt: Warning, facts: ModelFacts) -> bool:
    """True for a value that is outside of an enum or range that the model declares."""
    parameter = facts.parameter(doubt.param or "") if doubt.code == "doubtful_value" else None
    return parameter is not None and (parameter.enum is not None or bool(parameter.range))


def undeclared(name: str, facts: ModelFacts) -> Warning:
    """The warning about a custom parameter that a model does not declare, with the names that it does, and the one that
    may have been meant: one of these, or for a model that talks one of OpenAI's."""
    names = [parameter.name for parameter in facts.parameters or ()]
    near = difflib.get_close_matches(name, names if facts.makes_media else {*names, *OPENAI_PARAMS}, n=1)
    declared = f"it declares {', '.join(names)}" if names else "it declares none"
    guess = f"; did you mean {near[0]}?" if near else ""
    return Warning("undeclared_param", name, f"{name} is no known parameter of {facts.id}: {declared}{guess}")


def _coerced(value: Any, parameter: ParameterFacts) -> Any:
    """The same value in the type that the model declares; unchanged where that would lose anything."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float) and (parameter.enum is not None or parameter.type == "string"):
        text = str(int(value)) if value == int(value) else str(value)
        return text if parameter.enum is None or text in parameter.enum else value
    if isinstance(value, str):
        if parameter.type == "number":
            return _as_number(value)
        if parameter.type == "boolean" and value in ("true", "false"):
            return value == "true"
        for step in parameter.enum or ():
            if step.lower() == value.lower():
                return step
    return value


def _as_number(text: str) -> Any:
    """ "8" and "0.5" as numbers; any other text unchanged."""
    if not _NUMBER.fullmatch(text):
        return text
    return float(text) if "." in text else int(text)


def _doubt(value: Any, parameter: ParameterFacts, facts: ModelFacts) -> Warning | None:
    name = parameter.name
    if parameter.enum is not None:
        if value in parameter.enum:
            return None
        steps = ", ".join(parameter.enum[:12]) + (" …" if len(parameter.enum) > 12 else "")
        return Warning("doubtful_value", name, f"{facts.id} declares {name} as one of {steps}; {value!r} was given")
    expected = _TYPES.get(parameter.type or "")
    if expected is not None and (not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool)):
        return Warning("doubtful_value", name, f"{facts.id} declares {name} as a {parameter.type}; {value!r} was given")
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, high = parameter.minimum, parameter.maximum
        if (low is not None and value < low) or (high is not None and value > high):
            return Warning("doubtful_value", name, f"{facts.id} declares {name} {parameter.range}; {value!r} was given")
    return None
