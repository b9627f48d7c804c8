"""Every error body that Poe is known to send, in all its envelopes, becomes the one exception that says it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

import quoth
from quoth import errors
from quoth.emulator import Emulator
from tests.faultserver.answers import answer, error, sse
from tests.providers.conftest import HELLO, Wire

MODERATION = errors.ContentPolicyViolationError
QUOTA = "Resource has been exhausted (e.g. check quota)."
UPSTREAM = "Unsupported value: 'high' is not supported with the 'gpt-5.2-chat-latest' model."


@dataclass(frozen=True)
class Case:
    """A status and a body, and what they mean. `again`: trying again can help."""

    status: int
    body: Any
    kind: type[errors.APIError]
    type: str | None = None
    code: str | None = None
    param: str | None = None
    says: str = ""
    again: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    wait: float | None = None

    def __str__(self) -> str:
        return f"{self.status} {self.type} {self.code}"


def recorded(type: str, message: str = "m", **more: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": type, **more}}


def numeric(status: int, type: str) -> dict[str, Any]:
    """The envelope of the compatibility page."""
    return {"error": {"code": status, "type": type, "message": "m", "metadata": {"reason": "r"}}}


def messages(type: str) -> dict[str, Any]:
    """The envelope of the Messages endpoint."""
    return {"type": "error", "error": {"type": type, "message": "m"}, "request_id": "req_poe_0a"}


INVALID = "invalid_request_error"
KEY = ("authentication_error", "invalid_api_key")

CASES = [
    # 400
    Case(400, recorded(INVALID, param="temperature"), errors.BadRequestError, INVALID, param="temperature"),
    Case(400, recorded(INVALID, UPSTREAM), errors.BadRequestError, INVALID, says=UPSTREAM),
    Case(400, recorded(INVALID, "litellm.BadRequestError: OpenAIException - no"), errors.BadRequestError, INVALID),
    Case(
        400,
        recorded(INVALID, param="model", code="unsupported_feature_for_model"),
        errors.BadRequestError, INVALID, "unsupported_feature_for_model", "model",
    ),
    Case(400, recorded(INVALID, code="model_not_found"), errors.NotFoundError, INVALID, "model_not_found"),
    Case(
        400,
        recorded(INVALID, code="context_length_exceeded"),
        errors.ContextWindowExceededError, INVALID, "context_length_exceeded",
    ),
    Case(400, recorded(INVALID, code="content_filter"), MODERATION, INVALID, "content_filter"),
    Case(400, numeric(400, INVALID), errors.BadRequestError, INVALID, "400"),
    Case(400, messages(INVALID), errors.BadRequestError, INVALID),
    # 401
    Case(401, recorded(KEY[0], code=KEY[1]), errors.AuthenticationError, *KEY, says="not revoked or expired"),
    Case(401, numeric(401, KEY[0]), errors.AuthenticationError, KEY[0], "401"),
    Case(401, messages(KEY[0]), errors.AuthenticationError, KEY[0]),
    Case(401, {"error": {"message": "m"}}, errors.AuthenticationError),
    # 402
    Case(402, recorded("insufficient_credits"), errors.PaymentRequiredError, "insufficient_credits", says="points"),
    Case(402, recorded("insufficient_quota"), errors.PaymentRequiredError, "insufficient_quota"),
    Case(402, recorded("insufficient_points"), errors.PaymentRequiredError, "insufficient_points"),
    Case(402, numeric(402, "insufficient_credits"), errors.PaymentRequiredError, "insufficient_credits", "402"),
    # 403
    Case(403, recorded("moderation_error"), MODERATION, "moderation_error"),
    Case(403, numeric(403, "moderation_error"), MODERATION, "moderation_error", "403"),
    Case(403, recorded("permission_error"), errors.PermissionDeniedError, "permission_error"),
    Case(403, {"error": {"message": "m"}}, errors.PermissionDeniedError),
    # 404
    Case(404, recorded("not_found_error"), errors.NotFoundError, "not_found_error"),
    Case(404, recorded("not_found"), errors.NotFoundError, "not_found"),
    Case(404, recorded(INVALID, "The model `x` does not exist"), errors.NotFoundError, INVALID),
    Case(404, numeric(404, "not_found_error"), errors.NotFoundError, "not_found_error", "404"),
    Case(404, messages("not_found_error"), errors.NotFoundError, "not_found_error"),
    Case(404, {"detail": "Not Found"}, errors.NotFoundError, says="Not Found"),
    # 405, which has no class of its own
    Case(405, {"detail": "Method Not Allowed"}, errors.APIStatusError, says="Method Not Allowed"),
    # 408
    Case(408, recorded("timeout_error"), errors.Timeout, "timeout_error", again=True),
    Case(408, numeric(408, "timeout_error"), errors.Timeout, "timeout_error", "408", again=True),
    # 409
    Case(409, recorded("conflict"), errors.ConflictError, "conflict", again=True),
    # 413
    Case(413, recorded("request_too_large"), errors.ContextWindowExceededError, "request_too_large"),
    Case(413, numeric(413, "request_too_large"), errors.ContextWindowExceededError, "request_too_large", "413"),
    # 422
    Case(422, {"detail": [{"msg": "field required"}]}, errors.UnprocessableEntityError, says="field required"),
    # 429
    Case(
        429,
        recorded("rate_limit_error", code="rate_limit_exceeded"),
        errors.RateLimitError, "rate_limit_error", "rate_limit_exceeded", again=True,
        headers={"retry-after": "2"}, wait=2.0,
    ),
    Case(429, recorded("rate_limit_error", QUOTA), errors.RateLimitError, "rate_limit_error", says=QUOTA, again=True),
    Case(429, numeric(429, "rate_limit_error"), errors.RateLimitError, "rate_limit_error", "429", again=True),
    Case(
        429, messages("rate_limit_error"), errors.RateLimitError, "rate_limit_error", again=True,
        headers={"retry-after-ms": "1500", "retry-after": "9"}, wait=1.5,
    ),
    Case(429, recorded("insufficient_quota"), errors.RateLimitError, "insufficient_quota"),
    # 5xx
    Case(500, recorded("provider_error", "Error from X: m"), errors.InternalServerError, "provider_error", again=True),
    Case(500, recorded("api_error"), errors.InternalServerError, "api_error", again=True),
    Case(500, recorded("internal_error"), errors.InternalServerError, "internal_error", again=True),
    Case(500, numeric(500, "provider_error"), errors.InternalServerError, "provider_error", "500", again=True),
    Case(502, recorded("upstream_error"), errors.BadGatewayError, "upstream_error", again=True),
    Case(503, {"error": {"message": "m"}}, errors.ServiceUnavailableError, again=True),
    Case(
        503, recorded("service_unavailable"), errors.ServiceUnavailableError, "service_unavailable", again=True,
        headers={"retry-after": "0.5"}, wait=0.5,
    ),
    Case(529, recorded("overloaded_error"), errors.ServiceUnavailableError, "overloaded_error", again=True),
    Case(529, messages("overloaded_error"), errors.ServiceUnavailableError, "overloaded_error", again=True),
    Case(599, recorded("odd"), errors.InternalServerError, "odd", again=True),
    Case(418, recorded("odd"), errors.APIStatusError, "odd"),
]  # fmt: skip


def caught(wire: Wire, *steps: Any, stream: bool = False, model: str = "poe/grok-4") -> errors.QuothError:
    wire.server.play_once(*steps)
    with pytest.raises(errors.QuothError) as found:
        complete: Any = wire.client.completion
        reply = complete(model, HELLO, api_base=wire.server.url, api_key="key-1", num_retries=0, stream=stream)
        list(reply)
    return found.value


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_error_bodies(wire: Wire, case: Case, stream: bool):
    played = answer(case.body, case.status).headed(x_request_id="req-1", **case.headers)
    found = caught(wire, played, stream=stream)
    assert type(found) is case.kind
    assert found.status_code == case.status
    assert (found.type, found.code, found.param) == (case.type or case.kind.slug, case.code, case.param)
    assert (found.llm_provider, found.model, found.request_id) == ("poe", "grok-4", "req-1")
    assert found.body == case.body
    assert found.retry_after == case.wait
    assert found.retryable is case.again
    assert str(found).startswith(f"poe answered {case.status}: ")
    assert case.says in str(found)
    assert [(attempt.status_code, attempt.error) for attempt in found.attempts] == [(case.status, case.kind.__name__)]


# What the emulator says is what was recorded: its own bodies, in both profiles, through the same eyes.
@pytest.mark.parametrize("profile", ["observed", "documented"])
@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 408, 413, 429, 500, 502, 503, 529])
def test_the_emulators_errors(profile: str, status: int):
    with Emulator(profile=profile, faults=f"status={status}; retry-after=3") as emulator:
        complete: Any = quoth.completion
        with pytest.raises(errors.for_status(status)) as found:
            complete("poe/grok-4", HELLO, api_base=emulator.base_url, api_key="k", num_retries=0)
    assert found.value.status_code == status
    assert found.value.retry_after == 3.0
    body: Any = found.value.body
    assert found.value.code == (str(status) if profile == "documented" else body["error"].get("code"))


@pytest.mark.parametrize(
    ("event", "kind", "status"),
    [
        ({"error": {"message": "m", "type": "overloaded_error"}}, errors.ServiceUnavailableError, 503),
        ({"error": {"message": "m", "type": "rate_limit_error", "code": 429}}, errors.RateLimitError, 429),
        ({"error": {"message": "m", "type": "provider_error"}}, errors.InternalServerError, 500),
        ({"error": {"message": "m", "code": "context_length_exceeded"}}, errors.ContextWindowExceededError, 413),
        ({"error": {"message": "m", "type": "moderation_error"}}, MODERATION, 403),
        ({"error": "m"}, errors.InternalServerError, 500),
    ],
)
class TestInsideAnAnswer:
    """An error object where the status said success: the same classes, whether it comes whole or as an event."""

    def test_whole(self, wire: Wire, event: Any, kind: type[errors.APIError], status: int):
        found = caught(wire, answer(event))
        assert (type(found), found.status_code) == (kind, status)

    def test_as_the_first_event(self, wire: Wire, event: Any, kind: type[errors.APIError], status: int):
        found = caught(wire, sse(event), stream=True)
        assert (type(found), found.status_code) == (kind, status)

    def test_later(self, wire: Wire, event: Any, kind: type[errors.APIError], status: int):
        found = caught(wire, sse("Hal", event), stream=True)
        assert isinstance(found, errors.StreamInterrupted)
        assert found.partial.choices[0].message.content == "Hal"
        assert type(found.__cause__) is kind


TOO_LONG = [
    "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
    "prompt is too long: 213462 tokens > 200000 maximum",
    "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
    "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    "Your input exceeds the context window of this model. Please adjust your input and try again.",
    "Input tokens exceed the configured limit of 272000 tokens.",
    "`inputs` tokens + `max_new_tokens` must be <= 4096",
    "the request exceeds the available context size, try increasing it",
]


@pytest.mark.parametrize("text", TOO_LONG)
class TestTooLong:
    """Where no code says so, its words do."""

    def test_by_status(self, wire: Wire, text: str):
        found = caught(wire, answer({"error": {"message": text, "type": INVALID}}, 400))
        assert (type(found), found.status_code) == (errors.ContextWindowExceededError, 400)

    def test_inside_an_answer(self, wire: Wire, text: str):
        for code in (400, None):
            event = {"error": {"message": text, "type": INVALID, **({"code": code} if code else {})}}
            assert type(caught(wire, sse(event), stream=True)) is errors.ContextWindowExceededError


class TestHelp:
    """What the catalogue adds to a refusal."""

    @pytest.mark.parametrize(
        ("model", "parameters", "says"),
        [
            ("poe/claude-sonet-4.6", {}, "Did you mean poe/claude-sonnet-4.6"),
            ("poe/model-name", {}, r"Models are called like poe/claude-sonnet-4\.6, .*`quoth models` lists them"),
            ("poe/veo-3.1", {"duration": "5"}, r"veo-3\.1 declares duration as one of 4, 6, 8"),
            ("poe/claude-haiku-4.5", {"thinking_budget": 64_000}, r"declares thinking_budget between 0 and 63999"),
            ("poe/claude-haiku-4.5", {"thinkingbudget": 1}, r"did you mean thinking_budget\?$"),
            (
                "poe/gpt-4o-search",
                {"tools": [{"type": "function", "function": {"name": "f"}}]},
                "not known to call tools",
            ),
            ("poe/gpt-5.2-instant", {"reasoning_effort": "high"}, "Supported values are: 'medium'"),
        ],
    )
    def test_is_in_the_text(self, poe_emulator: Emulator, model: str, parameters: dict[str, Any], says: str):
        complete: Any = quoth.completion
        with pytest.raises((errors.BadRequestError, errors.NotFoundError), match=says) as found:
            complete(model, HELLO, **parameters)
        assert "Did you mean" not in str(found.value.body)
        assert len(poe_emulator.requests) == 1, "it was sent, and not sent again"

    def test_a_switched_off_provider_says_so(self, wire: Wire):
        row = {
            "name": "old", "title": "Old AI", "base_url": wire.server.url, "key_required": False,
            "retired": "2026-07-30", "docs": "https://old.example/end",
        }  # fmt: skip
        with quoth.Client(providers=[row], num_retries=0) as client:
            complete: Any = client.completion
            wire.server.play_once(error(410, "Gone"))
            with pytest.raises(errors.APIStatusError) as found:
                complete("old/m", HELLO)
            assert str(found.value) == (
                "old answered 410: Gone. Old AI was switched off on 2026-07-30; see https://old.example/end."
            )
            # Elsewhere, behind a proxy that still speaks it, it is not said.
            wire.server.play_once(error(410, "Gone"))
            with pytest.raises(errors.APIStatusError, match=r"Gone$"):
                complete("old/m", HELLO, api_base=wire.server.url.replace("127.0.0.1", "localhost"))


def test_the_key_is_in_no_error(wire: Wire):
    """Providers quote what they were sent."""
    quoting = error(401, "Incorrect API key provided: key-1", seen={"headers": ["Bearer key-1"]})
    found = caught(wire, quoting)
    assert "key-1" not in f"{found} {found.body} {found.__dict__} {found!r}"
