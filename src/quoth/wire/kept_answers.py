"""What a request of the Responses API can ask only of a provider that keeps its answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quoth.errors import BadRequestError

__all__ = ["refused", "without_state"]

_STATE = ("previous_response_id", "conversation", "background", "prompt")


def refused(document: Mapping[str, Any]) -> BadRequestError | None:
    """The error for what can be served by nobody who does not keep answers; None when there is nothing of the kind."""
    for name in ("previous_response_id", "conversation"):
        if document.get(name) is not None:
            message = (
                f"{name} cannot be served: answers are kept neither here nor by the provider. Send the conversation "
                "so far as `input`: the earlier input, then the items of each answer's `output`"
            )
            return BadRequestError(message, param=name, code="unsupported_parameter")
    if document.get("background"):
        message = "background cannot be served: answers are kept nowhere, so there would be nothing to fetch later"
        return BadRequestError(message, param="background", code="unsupported_parameter")
    if document.get("prompt") is not None:
        message = "prompt names a template that is stored with OpenAI; send its text as `instructions` or `input`"
        return BadRequestError(message, param="prompt", code="unsupported_parameter")
    given = document.get("input")
    for number, item in enumerate(given if isinstance(given, list) else ()):
        if _is_reference(item):
            where = f"input[{number}]"
            message = f"{where} refers to an item that is kept nowhere; send the item itself"
            return BadRequestError(message, param=where, code="unsupported_parameter")
    return None


def without_state(document: Mapping[str, Any]) -> dict[str, Any]:
    """The request without what `refused` names, for a caller who asks that later."""
    rest = {name: value for name, value in document.items() if name not in _STATE}
    if isinstance(given := rest.get("input"), list):
        rest["input"] = [item for item in given if not _is_reference(item)]
    return rest


def _is_reference(item: Any) -> bool:
    return isinstance(item, Mapping) and item.get("type") == "item_reference"
