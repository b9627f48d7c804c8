"""From what a provider answered, or failed to, to the one exception that says it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from quoth import errors
from quoth.call import Target
from quoth.engine.effects import Failed
from quoth.engine.reading import BodyReader
from quoth.providers.hints import hint
from quoth.providers.resolve import OR_AS_ARGUMENT
from quoth.types import Completion
from quoth.wire.openai_chat import ErrorFacts, UpstreamError, error_facts

__all__ = [
    "check_document",
    "from_failure",
    "from_status",
    "in_answer",
    "interrupted",
    "made_nothing",
    "request_id",
    "retry_after",
    "unreadable",
    "without_code",
]

_LIMITS = " (quoth.Timeouts sets the limits)"

# What a status alone does not tell; the body's code or type does.
_BY_CODE: dict[str, type[errors.APIError]] = {
    "context_length_exceeded": errors.ContextWindowExceededError,
    "content_filter": errors.ContentPolicyViolationError,
    "content_policy_violation": errors.ContentPolicyViolationError,
    "moderation_error": errors.ContentPolicyViolationError,
    "model_not_found": errors.NotFoundError,
    "rate_limit_exceeded": errors.RateLimitError,
}
# For an error object inside an answer whose status said success.
_BY_TYPE: dict[str, type[errors.APIError]] = {
    "invalid_request_error": errors.BadRequestError,
    "authentication_error": errors.AuthenticationError,
    "insufficient_credits": errors.PaymentRequiredError,
    "insufficient_quota": errors.PaymentRequiredError,
    "insufficient_points": errors.PaymentRequiredError,
    "billing_error": errors.PaymentRequiredError,
    "permission_error": errors.PermissionDeniedError,
    "moderation_error": errors.ContentPolicyViolationError,
    "not_found_error": errors.NotFoundError,
    "not_found": errors.NotFoundError,
    "timeout_error": errors.Timeout,
    "request_too_large": errors.ContextWindowExceededError,
    "rate_limit_error": errors.RateLimitError,
    "provider_error": errors.InternalServerError,
    "api_error": errors.InternalServerError,
    "internal_error": errors.InternalServerError,
    "upstream_error": errors.BadGatewayError,
    "overloaded_error": errors.ServiceUnavailableError,
}
_HELP = {
    401: "The key was refused; is it the right one, and not revoked or expired?",
    402: "The account is out of points or credit, or the model needs a subscription.",
}
# Servers that give a too long prompt no code of its own say it in words like these (vLLM, llama.cpp, TGI, Ollama; from
# "prompt is too long" on Anthropic, Gemini, and those that LiteLLM knows too).
_TOO_LONG = re.compile(
    r"(maximum|exceeds?|longer than|available) .{0,40}context (length|limit|window|size)|context_length"
    r"|prompt is too long|input token count .{0,40}exceeds the maximum|exceeds the maximum number of tokens"
    r"|input tokens exceed|`inputs` tokens \+ `max_new_tokens` must be",
    re.I,
)
# A quota that is used up answers 429 like a rate limit, but waiting does not help.
_NOT_WORTH_A_RETRY = frozenset({"insufficient_quota", "billing_hard_limit_reached"})


def from_status(
    target: Target, sent: Mapping[str, Any], status: int, headers: Mapping[str, str], body: bytes, today: datetime
) -> errors.APIError:
    """The exception for an error status and its body."""
    if 300 <= status < 400:
        where = headers.get("location", "")[:200]
        return _made(
            errors.BadGatewayError,
            target,
            f"redirects to {where or 'nowhere'} (HTTP {status}); redirects are not followed, because they would carry "
            "your key along. Check the base URL",
            headers,
            status_code=status,
            code="bad_upstream_response",
            retryable=False,
        )
    facts = error_facts(body)
    kind = errors.for_status(status)
    kind = _named(facts, status) or kind
    more = hint(target, sent, status, facts) or _HELP.get(status, "")
    text = facts.message.rstrip()
    if more and text and text[-1] not in ".!?…":
        text += "."
    retryable = {"true": True, "false": False}.get(headers.get("x-should-retry", "").lower(), kind.retryable)
    return _made(
        kind,
        target,
        f"answered {status}: {text} {more}".rstrip(),
        headers,
        status_code=status,
        facts=facts,
        retry_after=retry_after(headers, today),
        retryable=retryable and not {facts.code, facts.type} & _NOT_WORTH_A_RETRY,
    )


def _named(facts: ErrorFacts, status: int | None) -> type[errors.APIError] | None:
    """What the error's own words say that its status, None for none, leaves open."""
    if status not in (None, 400, 403, 404, 422):
        return None
    named = _BY_CODE.get(facts.code or "") or _BY_CODE.get(facts.type or "")
    if named is None and status in (None, 400) and _TOO_LONG.search(facts.message):
        return errors.ContextWindowExceededError
    return named


def check_document(
    target: Target,
    sent: Mapping[str, Any],
    document: BodyReader | None,
    status: int,
    headers: Mapping[str, str],
    today: Callable[[], datetime],
) -> None:
    """Raises what an error status, or an answer longer than anybody would read, means."""
    if document is not None and document.too_large:
        raise unreadable(target, f"more than {document.limit:,} bytes", status, headers)
    if not 200 <= status < 300:
        raise from_status(target, sent, status, headers, document.body if document is not None else b"", today())


def in_answer(target: Target, error: UpstreamError, headers: Mapping[str, str]) -> errors.APIError:
    """The exception for an error object where an answer was due."""
    facts = error.facts
    kind = (
        errors.for_status(error.status) if error.status else _BY_TYPE.get(facts.type or "", errors.InternalServerError)
    )
    kind = _BY_CODE.get(facts.code or "") or _named(facts, error.status) or kind
    return _made(kind, target, f"failed: {facts.message}", headers, facts=facts, status_code=error.status)


def unreadable(target: Target, what: str, status: int, headers: Mapping[str, str]) -> errors.APIError:
    """The exception for a success status with something that is no answer. Trying again seldom helps; another target
    may."""
    return _made(
        errors.BadGatewayError,
        target,
        f"answered {status} with something that cannot be read: {what}. Is {target.base_url} the right base URL?",
        headers,
        status_code=status,
        code="bad_upstream_response",
        retryable=False,
    )


def made_nothing(target: Target, kind: str, said: str, status: int, headers: Mapping[str, str]) -> errors.APIError:
    """The exception for words where a picture, a sound or a film was due."""
    words = "".join(char if char.isprintable() else " " for char in said[:300]).strip()
    return _made(
        errors.BadGatewayError,
        target,
        f"answered without any {kind}" + (f": {words}" if words else ""),
        headers,
        status_code=status,
        code="made_nothing",
        retryable=False,
    )


def from_failure(target: Target, failure: Failed, *, streaming: bool, makes_media: bool) -> errors.APIError:
    """The exception for an attempt that got no answer, or half of one."""
    if failure.kind == "timeout":
        message = f"{failure.message}{_LIMITS}"
        retryable = failure.deadline == "connect"
        return _made(errors.Timeout, target, message, {}, code="upstream_timeout", retryable=retryable)
    retryable = failure.kind not in ("tls", "fork", "proxy")
    if failure.kind in ("read", "protocol") and makes_media:
        retryable = False
    texts = {
        "dns": f"could not be found at {target.base_url}",
        "connect": f"could not be reached at {target.base_url}",
        "tls": f"could not be reached safely at {target.base_url}",
        "proxy": f"could not be reached through the proxy for {target.base_url}",
        "write": "stopped taking the request",
        "read": "closed the connection before " + ("the stream began" if streaming else "the answer was whole"),
        "protocol": "answered something that is not HTTP",
    }
    start = texts.get(failure.kind, "gave no answer")
    charged = " It may have been charged all the same." if makes_media and failure.kind == "read" else ""
    # What the other side sent instead of HTTP may be quoted here; it is not to write on anybody's terminal.
    why = "".join(char if char.isprintable() else " " for char in failure.message[:300]).strip()
    code = "upstream_tls" if failure.kind == "tls" else "upstream_unreachable"
    return _made(errors.APIConnectionError, target, f"{start}: {why}{charged}", {}, code=code, retryable=retryable)


def interrupted(
    target: Target, why: str, partial: Completion, headers: Mapping[str, str], facts: ErrorFacts | None = None
) -> errors.StreamInterrupted:
    """The exception for a stream that broke after its first good chunk."""
    error = _made(errors.StreamInterrupted, target, f"broke off in mid-stream: {why}", headers, facts=facts)
    assert isinstance(error, errors.StreamInterrupted)
    error.partial = partial
    return error


def _made(
    kind: type[errors.APIError],
    target: Target,
    message: str,
    headers: Mapping[str, str],
    *,
    facts: ErrorFacts | None = None,
    status_code: int | None = None,
    code: str | None = None,
    retry_after: float | None = None,
    retryable: bool | None = None,
) -> errors.APIError:
    error = kind(
        _redacted(f"{target.provider} {message}", target.key),
        llm_provider=target.provider,
        model=target.model,
        status_code=status_code,
        body=_redacted(facts.body, target.key) if facts is not None else None,
        request_id=request_id(headers),
        retry_after=retry_after,
        code=code or _redacted(facts.code if facts is not None else None, target.key),
        type=_redacted(facts.type if facts is not None else None, target.key),
        param=_redacted(facts.param if facts is not None else None, target.key),
        headers=dict(headers),
    )
    if retryable is not None and retryable != kind.retryable:
        error.retryable = retryable
    return error


def _redacted(value: Any, key: str | None) -> Any:
    """The same without the key: providers quote what they were sent."""
    if not key or len(key) < 4:
        return value
    if isinstance(value, str):
        return value.replace(key, "[key]")
    if isinstance(value, dict):
        return {name: _redacted(item, key) for name, item in value.items()}
    if isinstance(value, list):
        return [_redacted(item, key) for item in value]
    return value


def request_id(headers: Mapping[str, str]) -> str | None:
    return headers.get("x-request-id") or headers.get("request-id")


def retry_after(headers: Mapping[str, str], today: datetime) -> float | None:
    """Seconds that the provider asks to wait; None when it asks for nothing that can be understood."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            seconds = float(value) * unit
        except ValueError:
            from email.utils import parsedate_to_datetime  # 9 ms that only a date costs

            try:
                seconds = (parsedate_to_datetime(value) - today).total_seconds()
            except (ValueError, TypeError):
                continue
        if seconds == seconds and seconds != float("inf"):
            return max(0.0, seconds)
    return None


def without_code(error: errors.QuothError) -> str:
    """What an error says, without what only a program that calls the SDK can do about it."""
    return error.message.removesuffix(_LIMITS).removesuffix(OR_AS_ARGUMENT)
