"""The exceptions as a program meets them: names, parents, attributes, and the way through pickle."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import openai
import pytest

import quoth
from quoth import errors
from quoth.emulator import Emulator
from tests.faultserver import FaultServer, error
from tests.sdk.conftest import QUESTION, Complete

CLASSES = [
    kind
    for name in errors.__all__
    if inspect.isclass(kind := getattr(errors, name)) and issubclass(kind, quoth.QuothError)
]
OPENAIS = (
    "APIConnectionError APIError APIResponseValidationError APIStatusError APITimeoutError AuthenticationError "
    "BadRequestError ConflictError InternalServerError NotFoundError PermissionDeniedError RateLimitError "
    "UnprocessableEntityError"
).split()
FACTS: dict[str, Any] = {
    "llm_provider": "poe",
    "model": "m",
    "status_code": 418,
    "body": {"error": {"message": "x"}},
    "request_id": "req-1",
    "retry_after": 1.5,
    "code": "c",
    "type": "t",
    "param": "p",
    "attempts": [quoth.Attempt("poe", "m", "openai_chat", 0.1, 418, "BadRequestError", "x")],
}


def test_parents_are_as_in_the_openai_package() -> None:
    for name in OPENAIS:
        for other in OPENAIS:
            ours, theirs = (
                (getattr(quoth, name), getattr(quoth, other)),
                (getattr(openai, name), getattr(openai, other)),
            )
            if issubclass(*theirs):
                assert issubclass(*ours), f"{name} is an {other} there"


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: str(kind.__name__))
def test_attributes_are_always_there(kind: type[quoth.QuothError]) -> None:
    bare = kind("what happened")
    assert str(bare) == bare.message == "what happened"
    assert bare.status_code == kind.status
    assert bare.type == kind.slug
    for name in ("llm_provider", "model", "body", "request_id", "retry_after", "code", "param"):
        assert getattr(bare, name) is None
    assert bare.attempts == []
    full = kind("what happened", **FACTS)
    assert {name: getattr(full, name) for name in FACTS} == FACTS


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: str(kind.__name__))
@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_copies_are_the_same_error(kind: type[quoth.QuothError], again: Any) -> None:
    error = kind("what happened", **FACTS)
    other = again(error)
    assert type(other) is kind
    assert (str(other), vars(other)) == (str(error), vars(error))


def test_a_broken_stream_survives_pickling_with_what_arrived(complete: Complete, emulator: Emulator) -> None:
    emulator.faults("fin=after:12")
    with pytest.raises(quoth.StreamInterrupted) as caught:
        complete.stream()
    other = pickle.loads(pickle.dumps(caught.value))
    assert other.partial.model_dump() == caught.value.partial.model_dump()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, quoth.BadRequestError),
        (401, quoth.AuthenticationError),
        (402, quoth.PaymentRequiredError),
        (403, quoth.PermissionDeniedError),
        (404, quoth.NotFoundError),
        (408, quoth.Timeout),
        (409, quoth.ConflictError),
        (413, quoth.ContextWindowExceededError),
        (418, quoth.APIStatusError),
        (422, quoth.UnprocessableEntityError),
        (429, quoth.RateLimitError),
        (500, quoth.InternalServerError),
        (502, quoth.BadGatewayError),
        (503, quoth.ServiceUnavailableError),
        (507, quoth.InternalServerError),
        (529, quoth.ServiceUnavailableError),
    ],
)
def test_the_status_decides(status: int, kind: type[quoth.QuothError], complete: Complete, server: FaultServer) -> None:
    server.play(error(status, "so it is", headers={"x-request-id": "req-2"}, param="p"))
    with pytest.raises(quoth.QuothError) as caught:
        complete("m", base_url=server.url, api_key="k", num_retries=0)
    found = caught.value
    assert type(found) is kind
    assert (found.status_code, found.param, found.request_id) == (status, "p", "req-2")
    assert "so it is" in found.message
    assert found.body == {"error": {"message": "so it is", "type": "fault", "param": "p"}}
    assert [attempt.status_code for attempt in found.attempts] == [status]


def test_moderation_is_two_kinds_of_error(complete: Complete, server: FaultServer) -> None:
    server.play(error(403, "no", type="moderation_error"))
    with pytest.raises(quoth.ContentPolicyViolationError) as caught:
        complete("m", base_url=server.url, api_key="k")
    assert isinstance(caught.value, quoth.PermissionDeniedError)
    assert isinstance(caught.value, quoth.BadRequestError)


def test_a_key_that_the_provider_repeats_is_masked(server: FaultServer) -> None:
    server.play(error(401, "Incorrect key sk-very-secret-key"))
    with (
        quoth.Client(base_url=server.url, api_key="sk-very-secret-key") as client,
        pytest.raises(quoth.QuothError) as caught,
    ):
        client.completion("m", QUESTION)
    assert "secret" not in f"{caught.value} {caught.value!r} {caught.value.body} {caught.value.attempts}"
