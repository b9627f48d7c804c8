"""What goes wrong, as a caller is told: status, envelope, and nothing of the gateway's own secrets.

An upstream's refusal of the caller's request is relayed as it was received. What concerns the gateway and its providers
(a key that is refused, a host that does not answer) is the gateway's own error: `code` is the HTTP status as a string,
`type` a slug from SLUGS.
"""

from __future__ import annotations

from typing import Any

import msgspec

from quoth import errors
from quoth.engine.failures import without_code
from quoth.gateway.redact import Redactor
from quoth.wire.openai_chat import error_facts

__all__ = ["SLUGS", "Problem", "as_event", "envelope", "in_own_words", "problem_of"]

# Every `type` of an error that is the gateway's own, with what it means.
SLUGS = {
    "invalid_request_error": "the request is not usable; `param` names the field",
    "unsupported_params": "a parameter that the provider is known to refuse",
    "authentication_error": "no key, a key that is not known here, or two different ones",
    "permission_error": "this key may not do that",
    "model_not_found": "there is no such model here",
    "not_found_error": "there is no such route",
    "method_not_allowed": "the route exists, for another method",
    "upgrade_required": "a websocket was asked for, and there is none",
    "request_too_large": "the request's body, or its head, is larger than the limit",
    "request_timeout": "the request's body did not arrive in time",
    "context_window_exceeded": "the prompt is longer than the model reads",
    "idempotency_conflict": "the same Idempotency-Key with another request, or while the first is under way",
    "budget_exceeded": "the budget is used up",
    "rate_limit_error": "too many requests; `retry-after` says when there is room",
    "queue_timeout": "waited as long as allowed for room under an upstream key's limit",
    "hook_refused": "a hook of this gateway refused the request",
    "hook_failed": "a hook of this gateway failed",
    "upstream_auth": "the provider refused the gateway's own key",
    "upstream_insufficient_funds": "the gateway's account with the provider has no points or credit left",
    "upstream_unreachable": "the provider could not be reached, or closed the connection",
    "upstream_tls": "the provider's certificate was not accepted",
    "upstream_timeout": "the provider did not answer in time",
    "upstream_error": "the provider failed",
    "upstream_overloaded": "the provider is overloaded or down for a while",
    "upstream_rejected": "the provider refused the request in a form that cannot be relayed",
    "bad_upstream_response": "the provider answered with something that is no answer, or redirects",
    "stream_interrupted": "the stream broke before its end",
    "shutting_down": "the gateway is stopping",
    "internal_error": "the gateway failed; its log has the request's id",
}


class Problem(msgspec.Struct):
    """An error as a caller gets it. `body` is an error object to relay as it is, in place of an envelope of our own.
    `hint` goes into the header `x-quoth-hint`."""

    status: int
    slug: str
    message: str
    param: str | None = None
    retry_after: float | None = None
    body: dict[str, Any] | None = None
    hint: str | None = None


def problem_of(error: BaseException, redactor: Redactor) -> Problem:
    """The problem that an exception is, without what no caller may see: keys, and hosts of the gateway's own."""
    if not isinstance(error, errors.QuothError):
        return Problem(500, "internal_error", "the gateway failed; its log says more under this request's id")
    found = _upstream(error) if _is_upstreams(error) else _own(error)
    found.message = redactor(found.message)
    if found.body is not None:
        found.body = redactor.value(found.body)
    if found.hint is not None:
        found.hint = redactor(found.hint)
    return found


def in_own_words(error: errors.QuothError) -> str:
    """What went wrong, without a word of what a provider answered: that may repeat what it was asked."""
    if error.body is None and not error.headers:
        return error.message
    status = "" if error.status_code is None else f"HTTP {error.status_code}, "
    return f"{error.llm_provider or 'the provider'} failed ({status}{type(error).__name__})"


def envelope(problem: Problem) -> bytes:
    """OpenAI's error body."""
    if problem.body is not None and problem.body.get("type") != "error":  # which is how Anthropic's begin
        return msgspec.json.encode(problem.body)
    error = {
        "message": problem.message,
        "type": problem.slug,
        "param": problem.param,
        "code": str(problem.status),
    }
    return msgspec.json.encode({"error": error})


def as_event(problem: Problem) -> bytes:
    """The last event of a stream that broke."""
    return b"data: " + envelope(problem) + b"\n\n"


def _is_upstreams(error: errors.QuothError) -> bool:
    if isinstance(error, errors.APIConnectionError):
        return error.llm_provider is not None
    return bool(error.headers) or error.body is not None or error.code == "bad_upstream_response"


def _own(error: errors.QuothError) -> Problem:
    status = error.status_code or 500
    slug = error.code if error.code in SLUGS else error.type if error.type in SLUGS else ""
    if isinstance(error, errors.BudgetExceededError):
        status, slug = 429, "budget_exceeded"
    elif isinstance(error, errors.NotFoundError):
        slug = "not_found_error" if error.model is None else "model_not_found"
    elif isinstance(error, errors.AuthenticationError) and error.llm_provider is not None:
        # The gateway has no key for this provider: nothing that the caller's key could change.
        status, slug = 502, "upstream_auth"
    return Problem(
        status, slug or _BY_STATUS.get(status, "internal_error"), without_code(error), error.param, error.retry_after
    )


_BY_STATUS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "upstream_insufficient_funds",
    403: "permission_error",
    404: "not_found_error",
    405: "method_not_allowed",
    408: "request_timeout",
    409: "idempotency_conflict",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "shutting_down",
}


def _upstream(error: errors.QuothError) -> Problem:
    name = error.llm_provider or "the provider"
    status = error.status_code or 502
    if isinstance(error, errors.StreamInterrupted):
        return Problem(502, "stream_interrupted", error.message)
    if isinstance(error, errors.Timeout) and not error.headers:
        said = _short(without_code(error))
        said = f"it{said.removeprefix(name)}" if said.startswith(f"{name} ") else said
        return Problem(504, "upstream_timeout", f"{name} did not answer in time: {said}")
    if isinstance(error, errors.APIConnectionError) and not error.headers:
        if error.code == "upstream_tls":
            return Problem(502, "upstream_tls", f"{name}'s certificate was not accepted")
        charged = _CHARGED if error.message.endswith(_CHARGED) else ""
        message = f"{name} could not be reached, or closed the connection{charged and '.' + charged}"
        return Problem(502, "upstream_unreachable", message)
    if error.code == "made_nothing":
        return Problem(502, "bad_upstream_response", error.message)
    if error.code == "bad_upstream_response" or status < 400:
        return Problem(502, "bad_upstream_response", f"{name} answered with something that is no answer")
    moderated = isinstance(error, errors.ContentPolicyViolationError)
    if status == 401 or (status == 403 and not moderated):
        message = f"{name} refused the gateway's key; whoever runs this gateway has to look at it"
        return Problem(502, "upstream_auth", message)
    if 400 <= status < 500:
        return _refusal(error, status)
    retry_after = error.retry_after
    if status in (503, 529):
        return Problem(503, "upstream_overloaded", f"{name} is overloaded: {_said(error)}", None, retry_after)
    if status == 504:
        return Problem(504, "upstream_timeout", f"{name} did not answer in time: {_said(error)}", None, retry_after)
    status = status if status in (500, 502) else 502
    return Problem(status, "upstream_error", f"{name} failed: {_said(error)}", None, retry_after)


# What the engine adds where a media model may have done its work.
_CHARGED = " It may have been charged all the same."
_REFUSED = {
    400: "invalid_request_error",
    402: "upstream_insufficient_funds",
    403: "permission_error",
    408: "upstream_timeout",
    409: "upstream_rejected",
    413: "context_window_exceeded",
    422: "invalid_request_error",
    429: "rate_limit_error",
}
# An error object that is larger, in bytes, is not relayed but told in short.
_LONGEST_BODY = 64 << 10


def _refusal(error: errors.QuothError, status: int) -> Problem:
    """A 4xx that is about the request: as it was received, where that is an error object of this dialect."""
    slug = _REFUSED.get(status, "upstream_rejected")
    found = Problem(status, slug, _said(error), error.param, error.retry_after, hint=_hint(error))
    body = error.body
    if isinstance(body, dict) and isinstance(body.get("error"), dict) and isinstance(body["error"].get("message"), str):
        inner = dict(body["error"])
        if isinstance(inner.get("code"), int | float) and not isinstance(inner.get("code"), bool):
            inner["code"] = str(inner["code"])
        relayed = {**body, "error": inner}
        if len(msgspec.json.encode(relayed)) <= _LONGEST_BODY:
            found.body = relayed
    return found


def _said(error: errors.QuothError) -> str:
    """What the upstream said, without what the SDK puts around it."""
    body = error.body
    if isinstance(body, str) and not body.lstrip().startswith(("<", "{", "[")) and body.strip():
        return " ".join(body[:300].split())
    if body:
        said = error_facts(body.encode() if isinstance(body, str) else msgspec.json.encode(body)).message
        if not said.startswith("an HTML page"):
            return said[:2000]
    return f"HTTP {error.status_code}" if error.status_code else _short(error.message)


def _hint(error: errors.QuothError) -> str | None:
    """What the catalogue added to the provider's words."""
    _, found, rest = error.message.partition(f": {_said(error)}")
    rest = rest.lstrip(". ")
    return rest[:1000] if found and rest else None


def _short(message: str) -> str:
    return message[:300]
