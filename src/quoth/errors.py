"""Every exception that Quoth raises.

    QuothError
    ├── APIError
    │   ├── APIStatusError                      the provider (or Quoth for it) said no, with a status
    │   │   ├── BadRequestError                 400
    │   │   │   ├── UnsupportedParamsError      400   refused before sending
    │   │   │   └── ContextWindowExceededError  413
    │   │   ├── AuthenticationError             401
    │   │   ├── PaymentRequiredError            402
    │   │   ├── PermissionDeniedError           403
    │   │   │   └── ContentPolicyViolationError 403   moderation; also a BadRequestError, as in LiteLLM
    │   │   ├── NotFoundError                   404
    │   │   ├── ConflictError                   409
    │   │   ├── UnprocessableEntityError        422
    │   │   ├── RateLimitError                  429
    │   │   ├── InternalServerError             500
    │   │   ├── BadGatewayError                 502   also an answer that cannot be read
    │   │   └── ServiceUnavailableError         503, 529
    │   ├── APIConnectionError                  no answer
    │   │   ├── Timeout                         408, and every deadline of one's own (alias APITimeoutError)
    │   │   └── StreamInterrupted               a stream that broke; `.partial` holds what arrived
    │   └── APIResponseValidationError          the answer does not fit the class given as `response_format`
    └── BudgetExceededError                     429   refused before sending

Names are those of the openai package; LiteLLM's where it has one more. Each class knows its status, its type slug and
whether trying again can help. An error that carries a `status_code` of its own says what the provider really answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AuthenticationError",
    "BadGatewayError",
    "BadRequestError",
    "BudgetExceededError",
    "ConflictError",
    "ContentPolicyViolationError",
    "ContextWindowExceededError",
    "InternalServerError",
    "NotFoundError",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "QuothError",
    "RateLimitError",
    "ServiceUnavailableError",
    "StreamInterrupted",
    "Timeout",
    "UnprocessableEntityError",
    "UnsupportedParamsError",
    "for_status",
]


class ErrorResponse(NamedTuple):
    """What came with an error status, for programs that ask an error for its `.response`."""

    status_code: int
    headers: Mapping[str, str]


class QuothError(Exception):
    """The root. All attributes are keyword arguments and None when unknown.

    `status_code`: the HTTP status that was really received; for an error raised before sending, the status of its
    class. `llm_provider`, `model`: the target. `body`: the provider's error body, decoded if it was JSON. `request_id`:
    the provider's. `retry_after`: seconds. `code`, `type`, `param`: as the provider gave them. `attempts`: every try,
    oldest first. `headers`: the answer's, names in lower case.
    """

    status: ClassVar[int | None] = None
    slug: ClassVar[str] = "error"
    retryable: bool = False

    def __init__(
        self,
        message: str,
        *,
        llm_provider: str | None = None,
        model: str | None = None,
        status_code: int | None = None,
        body: object = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        code: str | None = None,
        type: str | None = None,
        param: str | None = None,
        attempts: list[Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ):
        super().__init__(message)
        self.message = message
        self.llm_provider = llm_provider
        self.model = model
        self.status_code = self.status if status_code is None else status_code
        self.body = body
        self.request_id = request_id
        self.retry_after = retry_after
        self.code = code
        self.type = type or self.slug
        self.param = param
        self.attempts: list[Any] = attempts or []
        self.headers: Mapping[str, str] = headers or {}

    @property
    def response(self) -> ErrorResponse | None:
        """Status and headers of the provider's answer, under the name that openai's errors have; None without one."""
        return ErrorResponse(self.status_code, self.headers) if self.headers and self.status_code else None

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions with keyword arguments do not survive pickling (multiprocessing) by themselves.
        return (_rebuild, (type(self), self.message, self.__dict__))


def _rebuild(kind: type[QuothError], message: str, state: dict[str, Any]) -> QuothError:
    error = kind.__new__(kind, message)
    Exception.__init__(error, message)
    error.__dict__.update(state)
    return error


class APIError(QuothError):
    """Anything that went wrong between here and the provider."""


class APIStatusError(APIError):
    """The provider answered with an error status; its subclasses name the usual ones."""


class BadRequestError(APIStatusError):
    """The request is wrong, and so it would be the next time; `param` and the message say where."""

    status, slug = 400, "invalid_request_error"


class UnsupportedParamsError(BadRequestError):
    """A parameter that the provider is known to refuse. `drop_params=True` leaves it out instead, with a warning."""

    slug = "unsupported_params"


class ContextWindowExceededError(BadRequestError):
    """The prompt does not fit into the model. `context_window_fallback_dict` names a larger one to call instead."""

    status, slug = 413, "context_window_exceeded"


class AuthenticationError(APIStatusError):
    """No key for the provider (nothing was sent), or one that it refuses."""

    status, slug = 401, "authentication_error"


class PaymentRequiredError(APIStatusError):
    """Out of points, or the model needs a subscription."""

    status, slug = 402, "insufficient_credits"


class PermissionDeniedError(APIStatusError):
    """The key is good, but not for this."""

    status, slug = 403, "permission_denied"


class ContentPolicyViolationError(PermissionDeniedError, BadRequestError):
    """The provider's moderation refused the prompt or the answer."""

    status, slug = 403, "moderation_error"


class NotFoundError(APIStatusError):
    """No such model for this key, or no such address."""

    status, slug = 404, "not_found_error"


class ConflictError(APIStatusError):
    """The provider is at odds with itself about this request; tried again."""

    status, slug, retryable = 409, "conflict", True


class UnprocessableEntityError(APIStatusError):
    """The provider understood the request and cannot follow it."""

    status, slug = 422, "unprocessable_entity"


class RateLimitError(APIStatusError):
    """Too many requests, or a used-up quota. `retry_after` is the wait in seconds that the provider asks for."""

    status, slug, retryable = 429, "rate_limit_error", True


class InternalServerError(APIStatusError):
    """The provider failed; also every 5xx without a class of its own."""

    status, slug, retryable = 500, "provider_error", True


class BadGatewayError(APIStatusError):
    """The provider's backend is down, or it answered something that cannot be read (`code` "bad_upstream_response")."""

    status, slug, retryable = 502, "upstream_error", True


class ServiceUnavailableError(APIStatusError):
    """The provider is overloaded or down; also 529."""

    status, slug, retryable = 503, "overloaded_error", True


class APIConnectionError(APIError):
    """No answer: the host could not be reached, or the connection broke before one arrived."""

    slug, retryable = "connection_error", True


class Timeout(APIConnectionError):
    """A deadline passed: one of `quoth.Timeouts`, or the provider's own (408)."""

    status, slug = 408, "timeout_error"


class StreamInterrupted(APIConnectionError):
    """A stream that broke after it had begun. `partial` is the Completion assembled from what arrived."""

    slug, retryable = "stream_interrupted", False

    def __init__(self, message: str, *, partial: Any = None, **facts: Any):
        super().__init__(message, **facts)
        self.partial = partial


class APIResponseValidationError(APIError):
    """The answer does not fit the class given as `response_format`, also after one repair. `partial` is the last
    answer."""

    slug = "response_validation_error"

    def __init__(self, message: str, *, partial: Any = None, **facts: Any):
        super().__init__(message, **facts)
        self.partial = partial


class BudgetExceededError(QuothError):
    """The call could cost more than is left; nothing was sent."""

    status, slug = 429, "budget_exceeded"


APITimeoutError = Timeout

_BY_STATUS: dict[int, type[APIError]] = {
    kind.status: kind
    for kind in (
        BadRequestError,
        AuthenticationError,
        PaymentRequiredError,
        PermissionDeniedError,
        NotFoundError,
        Timeout,
        ConflictError,
        ContextWindowExceededError,
        UnprocessableEntityError,
        RateLimitError,
        InternalServerError,
        BadGatewayError,
        ServiceUnavailableError,
    )
    if kind.status is not None
}
_BY_STATUS[529] = ServiceUnavailableError


def for_status(status: int) -> type[APIError]:
    """The class for an HTTP status: the one that names it, else its family's."""
    return _BY_STATUS.get(status) or (InternalServerError if status >= 500 else APIStatusError)
