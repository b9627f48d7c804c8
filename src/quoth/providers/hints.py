"""What the catalogue can add to a provider's 400 or 404: the names that exist, the values that are declared, what is
really meant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quoth.call import Target
from quoth.providers.params import catalogue_of
from quoth.providers.quirks import MANY_TOOLS
from quoth.wire.openai_chat import ErrorFacts

__all__ = ["hint"]

_EXAMPLES = ("claude-sonnet-4.6", "gpt-5.4", "gemini-3.1-pro", "grok-4")


def hint(target: Target, body: Mapping[str, Any], status: int, facts: ErrorFacts) -> str | None:
    """One sentence or two that help with this refusal, or None."""
    catalogue = catalogue_of(target)
    if catalogue is None or status not in (400, 404):
        return None
    known = catalogue.get(target.model)
    if known is None and (status == 404 or facts.code == "model_not_found"):
        near = [f"poe/{name}" for name in catalogue.near(target.model)]
        if near:
            return f"Did you mean {', '.join(near)}?"
        examples = [f"poe/{name}" for name in _EXAMPLES if catalogue.get(name)]
        return f"Models are called like {', '.join(examples)}; `quoth models` lists them."
    tools = body.get("tools")
    if isinstance(tools, list) and "Field required" in facts.message:
        if len(tools) > MANY_TOOLS:
            return f"Poe gives this answer to more than about {MANY_TOOLS} tools; {len(tools)} were sent. Send fewer."
        return 'Poe gives this answer to a function whose parameters have no "properties" key.'
    if body.get("stream") and isinstance(body.get("n"), int) and body["n"] > 1:
        return "Poe gives one choice a call. Without stream=True, n of them are made of n calls."
    if known is None or known.parameters is None:
        return None
    named = facts.param or next((name for name in body if name in facts.message), None)
    parameter = known.parameter(named) if named else None
    if parameter is not None:
        if parameter.enum is not None:
            return f"{known.id} declares {parameter.name} as one of {', '.join(parameter.enum[:20])}."
        if parameter.range:
            return f"{known.id} declares {parameter.name} {parameter.range}."
    if facts.code == "unsupported_feature_for_model" and tools:
        return f"{known.id} is not known to call tools; `quoth models --supports tools` lists those that do."
    return None
