"""What the catalogue can add to a provider's 400 or 404: the names that exist, the values that are declared, what is
really meant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quoth.call import Target
from quoth.providers.catalogue import RETIRED, Catalogue, ModelFacts
from quoth.providers.params import OPENAI_PARAMS, catalogue_of, undeclared
from quoth.providers.quirks import MANY_TOOLS
from quoth.providers.rows import host_of
from quoth.wire.openai_chat import ErrorFacts

__all__ = ["hint"]

_EXAMPLES = ("claude-sonnet-4.6", "gpt-5.4", "gemini-3.1-pro", "grok-4")

# Fields of Responses and of Messages, which are no parameters of a model's own.
_OF_A_WIRE = frozenset(
    (
        "background context_management conversation include input instructions max_output_tokens max_tool_calls "
        "mcp_servers output_config previous_response_id prompt reasoning stop_sequences system text thinking truncation"
    ).split()
)


def hint(target: Target, body: Mapping[str, Any], status: int, facts: ErrorFacts) -> str | None:
    """One sentence or two that help with this refusal, or None."""
    row = target.row
    if row.retired and host_of(target.base_url) == host_of(row.base_url):
        return f"{row.title or row.name} was switched off on {row.retired}; see {row.docs}."
    catalogue = catalogue_of(target)
    if catalogue is None or status not in (400, 404):
        return None
    known = catalogue.get(target.model)
    if (known is None or known.status == RETIRED) and (status == 404 or facts.code == "model_not_found"):
        return _names(target.model, catalogue)
    tools = body.get("tools")
    if isinstance(tools, list) and "Field required" in facts.message:
        if len(tools) > MANY_TOOLS:
            return f"Poe answers so to more than about {MANY_TOOLS} tools; {len(tools)} were sent. Send fewer."
        return 'Poe gives this answer to a function whose parameters have no "properties" key.'
    if body.get("stream") and facts.param in ("n", None) and isinstance(body.get("n"), int) and body["n"] > 1:
        return "Poe gives one choice a call. Without stream=True, n of them are made of n calls."
    return None if known is None else _declared(known, body, facts)


def _names(model: str, catalogue: Catalogue) -> str:
    near = [f"poe/{name}" for name in catalogue.near(model)]
    if near:
        return f"Did you mean {', '.join(near)}?"
    examples = [f"poe/{name}" for name in _EXAMPLES if catalogue.get(name)]
    return f"Models are called like {', '.join(examples)}; `quoth models` lists them."


def _declared(known: ModelFacts, body: Mapping[str, Any], facts: ErrorFacts) -> str | None:
    """What the model declares about that which was refused."""
    named = facts.param or next((name for name in body if name in facts.message), "")
    parameter = known.parameter(named)
    if parameter is not None:
        if parameter.enum is not None:
            return f"{known.id} declares {parameter.name} as one of {', '.join(parameter.enum[:20])}."
        if parameter.range:
            return f"{known.id} declares {parameter.name} {parameter.range}."
    elif named == "thinking" and (parameter := known.parameter("thinking_budget")) is not None and parameter.range:
        return f"{known.id} declares {parameter.name} {parameter.range}."
    elif named in body and named not in OPENAI_PARAMS | _OF_A_WIRE and known.parameters is not None:
        text = undeclared(named, known).message
        return text if text.endswith("?") else f"{text}."
    if facts.code == "unsupported_feature_for_model" and body.get("tools"):
        return f"{known.id} is not known to call tools; `quoth models --supports tools` lists those that do."
    return None
