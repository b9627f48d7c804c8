"""Poe's errors as values: a status and the body that was recorded for it."""

from __future__ import annotations

from typing import Any

__all__ = ["TYPES", "Problem", "by_status"]

# Status -> (type, code, text when there is nothing better to say). 402 and 404 also exist under other names in Poe's
# documentation; these are the ones its compatibility page gives.
TYPES: dict[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", None, "The request is not valid."),
    401: ("authentication_error", "invalid_api_key", "Invalid API key."),
    402: ("insufficient_credits", None, "You have run out of points. Add points at poe.com/api/keys."),
    403: ("moderation_error", None, "The request was refused by moderation."),
    404: ("not_found_error", None, "Not found."),
    408: ("timeout_error", None, "The bot did not start to answer in time."),
    413: ("request_too_large", None, "The prompt is longer than the context window of the model."),
    429: ("rate_limit_error", "rate_limit_exceeded", "Rate limit exceeded. Try again later."),
    500: ("provider_error", None, "Error from the provider: the server had an error while processing the request."),
    502: ("upstream_error", None, "The backend of the model is not reachable."),
    503: ("service_unavailable", None, "Temporarily unavailable."),
    529: ("overloaded_error", None, "The service is overloaded."),
}


class Problem(Exception):
    """A request that Poe refuses. `headers` are added to the answer's; `upstream`: it was the provider that refused."""

    def __init__(
        self,
        status: int,
        message: str | None = None,
        *,
        param: str | None = None,
        code: str | None = None,
        type: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        plain: dict[str, Any] | None = None,
        upstream: bool = False,
    ):
        default_type, default_code, default_message = TYPES.get(status, ("error", None, f"Status {status}."))
        self.status = status
        self.message = default_message if message is None else message
        self.param = param
        self.code = code or default_code
        self.type = type or default_type
        self.headers = headers
        self.plain = plain
        self.upstream = upstream
        super().__init__(self.message)

    def body(self, numeric_codes: bool = False) -> dict[str, Any]:
        """The error body; with `numeric_codes` in the shape of the compatibility page."""
        if self.plain is not None:
            return self.plain
        if numeric_codes:
            metadata = {name: value for name, value in (("param", self.param), ("reason", self.code)) if value}
            return {"error": {"code": self.status, "type": self.type, "message": self.message, "metadata": metadata}}
        error: dict[str, Any] = {"message": self.message, "type": self.type}
        if self.param is not None:
            error["param"] = self.param
        if self.code is not None:
            error["code"] = self.code
        return {"error": error}


def by_status(status: int, message: str | None = None, type: str | None = None, code: str | None = None) -> Problem:
    """The error that Poe sends with a status."""
    return Problem(status, message, type=type, code=code)
