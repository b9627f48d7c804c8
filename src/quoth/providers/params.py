"""What becomes of each parameter: from a Call to the body that a target gets, with a warning for whatever is not as
given.

Nothing disappears: a parameter is sent as given unless a rule of the row, a quirk or the caller says otherwise, and
then it is a warning or an error. Facts of the catalogue correct and warn; they refuse only under `strict`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from quoth.call import Call, Rule, Target
from quoth.errors import BadRequestError, UnsupportedParamsError
from quoth.providers.catalogue import Catalogue, ModelFacts, ParameterFacts, shipped
from quoth.providers.quirks import QUIRKS
from quoth.types import Warning

__all__ = ["OPENAI_PARAMS", "catalogue_of", "honours_json_schema", "prepare"]

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
_BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 4096, "high": 16384}


def catalogue_of(target: Target) -> Catalogue | None:
    """The catalogue that knows this target's models: Poe's for Poe, none for others."""
    return shipped() if target.row.name == "poe" else None


def honours_json_schema(target: Target) -> bool:
    """True when the row says that this model answers by a JSON schema given as `response_format`."""
    return any(fnmatchcase(target.model.lower(), pattern) for pattern in target.row.json_schema)


def prepare(call: Call, target: Target) -> tuple[dict[str, Any], list[Warning]]:
    """The body for this target. Raises UnsupportedParamsError, BadRequestError (under `strict`)."""
    warnings: list[Warning] = []
    given = dict(call.params)
    literal = given.pop("extra_body", None)
    _drop_by_name(given, call, warnings)
    catalogue = catalogue_of(target)
    facts = None if catalogue is None else catalogue.get(target.model)
    _apply_rules(given, call, target, facts, warnings)
    own = {name: value for name, value in given.items() if name in OPENAI_PARAMS}
    custom = {name: value for name, value in given.items() if name not in OPENAI_PARAMS}
    if isinstance(literal, Mapping):
        custom |= literal
    elif literal is not None:
        raise BadRequestError(f"extra_body is a {type(literal).__name__}; it has to be an object", param="extra_body")
    if catalogue is not None:
        _map_effort(own, custom, facts, warnings)
        _compare(own, custom, facts, target, catalogue, call.strict, warnings)
    body: dict[str, Any] = {"model": target.model, "messages": call.messages, **own, **custom}
    if call.stream:
        body["stream"] = True
        if target.row.stream_usage == "ask" and "stream_options" not in body:
            body["stream_options"] = {"include_usage": True}
    for name in target.row.quirks:
        if name in target.quirks and (quirk := QUIRKS.get(name)) is not None and quirk.apply is not None:
            warnings += quirk.apply(body)
    return body, warnings


def _drop_by_name(given: dict[str, Any], call: Call, warnings: list[Warning]) -> None:
    for path in call.additional_drop_params:
        name, _, rest = path.partition(".")
        if name in _NEVER_DROPPED and not rest:
            warnings.append(Warning("not_dropped", name, f"{name} is never dropped, so it was sent"))
        elif name in given and _without(given, path.split(".")):
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
            _refuse(given, name, rule, call, target, warnings)
        elif rule.rule == "renamed" and rule.to is not None:
            if rule.to in given:
                message = f"{name} is {rule.to} for {target.provider}, which was given too; {rule.to} was sent"
                warnings.append(Warning("dropped", name, message))
                del given[name]
            else:
                given[rule.to] = given.pop(name)
        elif rule.rule == "mapped":
            value = given[name]
            if isinstance(value, str) and value in rule.values:
                given[name] = rule.values[value]
                warnings.append(Warning("mapped", name, f"{name} {value!r} was sent as {given[name]!r}: {rule.why}"))
        elif rule.rule == "ignored" and not (name == "response_format" and honours_json_schema(target)):
            why = f": {rule.why}" if rule.why else ""
            message = f"{name} was sent; {target.provider} documents that it has no effect there{why}"
            warnings.append(Warning("ignored_upstream", name, message))


def _refuse(given: dict[str, Any], name: str, rule: Rule, call: Call, target: Target, warnings: list[Warning]) -> None:
    why = f": {rule.why}" if rule.why else ""
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


def _map_effort(own: dict[str, Any], custom: dict[str, Any], facts: ModelFacts | None, warnings: list[Warning]) -> None:
    """`reasoning_effort` under the name and in the unit that the model declares."""
    effort = own.get("reasoning_effort")
    if not isinstance(effort, str):
        return
    if facts is None or facts.parameters is None:
        message = "reasoning_effort was sent as given; what this model calls it is not known"
        warnings.append(Warning("effort_as_given", "reasoning_effort", message))
        return
    for name in ("reasoning_effort", "output_effort", "thinking_level", "thinking_budget"):
        parameter = facts.parameter(name)
        if parameter is None:
            continue
        if name in custom:
            message = f"reasoning_effort was left out because {name}, which is the same thing here, was given too"
            warnings.append(Warning("dropped", "reasoning_effort", message))
            del own["reasoning_effort"]
            return
        value = _as_budget(effort, parameter) if name == "thinking_budget" else _nearest(effort, parameter)
        if value is None:
            break
        if name != "reasoning_effort":
            del own["reasoning_effort"]
            custom[name] = value
            message = f"reasoning_effort {effort!r} was sent as {name} {value!r}, which is what this model declares"
            warnings.append(Warning("mapped", "reasoning_effort", message))
        elif value != effort:
            # The model declares other steps than the one asked for: it may know more than its list says.
            message = f"this model declares reasoning_effort {', '.join(parameter.enum or ())}; {effort!r} was sent"
            warnings.append(Warning("doubtful_value", "reasoning_effort", message))
        return
    message = "this model declares no parameter for reasoning effort; reasoning_effort was sent as given"
    warnings.append(Warning("effort_as_given", "reasoning_effort", message))


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
    tokens = top if effort in ("xhigh", "max") else _BUDGETS.get(effort)
    if tokens is None:
        return None
    return int(max(parameter.minimum or 0, min(tokens, top)))


def _compare(
    own: dict[str, Any],
    custom: dict[str, Any],
    facts: ModelFacts | None,
    target: Target,
    catalogue: Catalogue,
    strict: bool,
    warnings: list[Warning],
) -> None:
    """Hold the call against what is known of the model: lossless corrections first, then doubts."""
    if facts is None:
        near = catalogue.near(target.model)
        guess = f"; near names: {', '.join(near)}" if near else ""
        message = f"{target.model!r} is not in the list of known models, which says nothing of private bots{guess}"
        warnings.append(Warning("unknown_model", "model", message))
        return
    doubts: list[Warning] = []
    if own.get("tools") and facts.supported_features is not None and "tools" not in facts.supported_features:
        doubts.append(Warning("tools_not_declared", "tools", f"{facts.id} does not declare that it can call tools"))
    if facts.parameters is not None:
        for given in (own, custom):
            for name in given:
                parameter = facts.parameter(name)
                if parameter is not None and name != "reasoning_effort":
                    given[name] = _coerced(given[name], parameter)
                    if doubt := _doubt(given[name], parameter, facts):
                        doubts.append(doubt)
                elif parameter is None and given is custom:
                    doubts.append(_undeclared(name, facts))
    if strict and doubts:
        first = doubts[0]
        raise BadRequestError(
            f"{first.message} (refused because strict=True)",
            llm_provider=target.provider,
            model=target.model,
            param=first.param,
        )
    warnings += doubts


def _undeclared(name: str, facts: ModelFacts) -> Warning:
    names = [parameter.name for parameter in facts.parameters or ()]
    near = difflib.get_close_matches(name, names, n=1)
    declared = f"it declares {', '.join(names)}" if names else "it declares none"
    guess = f"; did you mean {near[0]}?" if near else ""
    return Warning("undeclared_param", name, f"{name} is no known parameter of {facts.id}: {declared}{guess}")


def _coerced(value: Any, parameter: ParameterFacts) -> Any:
    """The same value in the type that the model declares; unchanged where that would lose anything."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float) and (parameter.enum is not None or parameter.type == "string"):
        text = f"{value:g}" if isinstance(value, float) else str(value)
        return text if parameter.enum is None or text in parameter.enum else value
    if isinstance(value, str):
        if parameter.type == "number":
            try:
                return int(value)
            except ValueError:
                return value
        if parameter.type == "boolean" and value in ("true", "false"):
            return value == "true"
        for step in parameter.enum or ():
            if step.lower() == value.lower():
                return step
    return value


def _doubt(value: Any, parameter: ParameterFacts, facts: ModelFacts) -> Warning | None:
    name = parameter.name
    if parameter.enum is not None and value not in parameter.enum:
        steps = ", ".join(parameter.enum[:12]) + (" …" if len(parameter.enum) > 12 else "")
        return Warning("doubtful_value", name, f"{facts.id} declares {name} as one of {steps}; {value!r} was given")
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, high = parameter.minimum, parameter.maximum
        if (low is not None and value < low) or (high is not None and value > high):
            return Warning("doubtful_value", name, f"{facts.id} declares {name} {parameter.range}; {value!r} was given")
    return None
