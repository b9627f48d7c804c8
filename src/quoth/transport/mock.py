"""The `mock_...` keywords: an answer without calling anybody, in the forms that LiteLLM takes. It goes through the same
flow as a real one, as bytes from memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from pydantic import BaseModel

from quoth import errors
from quoth.call import Timeouts, WireRequest
from quoth.engine import check
from quoth.engine.effects import Flow, Sleep
from quoth.transport.canned import Answer, Canned, CannedAsync
from quoth.transport.ports import AsyncReply, AsyncTransport, Deadline, Reply, Transport, TransportFailure

__all__ = ["ON_PURPOSE", "TESTING", "MockingAsync", "MockingBlocking", "canned", "mocked", "tested", "waiting"]

_TEXT = "This is a mock request"
_USAGE = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}
_JSON = {"content-type": "application/json"}
_SSE = {"content-type": "text/event-stream"}
# LiteLLM's words for errors, beside the names of the classes.
_WORDS: dict[str, type[errors.APIError]] = {
    "Exception: content_filter_policy": errors.ContentPolicyViolationError,
    "Exception: mock_streaming_error": errors.StreamInterrupted,
}


# Keywords that let the first model fail as if, so that its fallbacks can be tried out.
TESTING: dict[str, type[errors.APIError]] = {
    "mock_testing_fallbacks": errors.InternalServerError,
    "mock_testing_context_fallbacks": errors.ContextWindowExceededError,
    "mock_testing_content_policy_fallbacks": errors.ContentPolicyViolationError,
}


ON_PURPOSE = "failed on purpose, to try out the fallbacks"


def tested(given: Mapping[str, Any]) -> type[errors.APIError] | None:
    """The error that one of these keywords asks the first model to fail with."""
    return next((kind for name, kind in TESTING.items() if given.get(name)), None)


class _Mock(WireRequest, frozen=True):
    """A request that is answered without calling anybody, after so many seconds; by no answer, it times out then."""

    answers: Sequence[Answer] = ()
    delay: float = 0.0

    def wait(self, deadline: Deadline) -> float:
        """Seconds to wait before it is answered: no longer than a real answer would be waited for."""
        deadline.connected()
        return max(0.0, min(self.delay, deadline.remaining()))

    def check(self, deadline: Deadline, waited: float) -> None:
        """Raises the TransportFailure that it is, after its wait: also one that was cut short. No clock is asked, for
        a sleep may end a moment early."""
        if not self.answers:
            raise TransportFailure("timeout", "timed out, as mock_timeout asks", deadline="total")
        if waited < self.delay:
            raise deadline.failure()


def mocked(
    request: WireRequest,
    mock: Mapping[str, Any],
    *,
    stream: bool,
    timeout: float | None = None,
    answers: Callable[[Any], Mapping[str, Any]] | None = None,
) -> WireRequest:
    """The same request, for a transport below to answer by itself as these `mock_...` keywords ask. `timeout`: seconds
    after which `mock_timeout` fails. `answers`: what a `mock_response` that is no error stands for in an API other than
    chat. Raises the error that the keywords stand for."""
    delay = _delay_of(mock)
    found: list[Answer] = []
    if mock.get("mock_timeout"):
        delay = timeout or 0.0
    elif answers is None:
        found = canned(mock, stream=stream)
    else:
        given = mock.get("mock_response")
        if isinstance(given, str):
            _raise_named(given)
        found = [(200, _JSON, [msgspec.json.encode(answers(given))])]
    return _Mock(request.method, request.url, request.headers, request.body, found, delay)


class MockingBlocking:
    """A transport that answers mocks from memory, and has another carry what is none."""

    def __init__(self, transport: Transport):
        self._transport = transport

    def open(self, request: WireRequest, deadline: Deadline) -> Reply:
        if isinstance(request, _Mock):
            if (seconds := request.wait(deadline)) > 0:
                over = threading.Event()
                deadline.interrupts(over.set)
                over.wait(seconds)
            request.check(deadline, seconds)
            return Canned(request.answers).open(request, deadline)
        return self._transport.open(request, deadline)

    def close(self) -> None:
        self._transport.close()


class MockingAsync:
    """The same for asyncio."""

    def __init__(self, transport: AsyncTransport):
        self._transport = transport

    async def open(self, request: WireRequest, deadline: Deadline) -> AsyncReply:
        if isinstance(request, _Mock):
            if (seconds := request.wait(deadline)) > 0:
                import asyncio

                await asyncio.sleep(seconds)
            request.check(deadline, seconds)
            return await CannedAsync(request.answers).open(request, deadline)
        return await self._transport.open(request, deadline)

    async def aclose(self) -> None:
        await self._transport.aclose()


def waiting(mock: Mapping[str, Any], timeouts: Timeouts) -> Flow[None]:
    """What a mock does before it answers: nothing, wait, or time out."""
    delay = _delay_of(mock)
    if mock.get("mock_timeout"):
        yield Sleep(timeouts.total or 0.0)
        raise _standing_for(errors.Timeout)
    if delay:
        yield Sleep(delay)


def _delay_of(mock: Mapping[str, Any]) -> float:
    delay = mock.get("mock_delay", 0)
    if isinstance(delay, bool) or not isinstance(delay, int | float) or not 0 <= delay < float("inf"):
        raise errors.BadRequestError(f"mock_delay is {delay!r}; it has to be seconds", param="mock_delay")
    return float(delay)


def canned(keywords: Mapping[str, Any], *, stream: bool) -> list[Answer]:
    """The answers of a canned transport that these keywords ask for. Raises the error that they stand for."""
    mock = keywords.get("mock_response", "" if "mock_tool_calls" in keywords else _TEXT)
    try:
        return _canned(mock, keywords.get("mock_tool_calls"), stream)
    except (KeyError, TypeError, AttributeError) as wrong:
        raise errors.BadRequestError(
            f"mock_response is no chat completion: {type(wrong).__name__} at {wrong}", param="mock_response"
        ) from None


def _canned(mock: Any, tool_calls: Any, stream: bool) -> list[Answer]:
    if isinstance(mock, type) and issubclass(mock, errors.QuothError):
        raise _standing_for(mock)
    if isinstance(mock, BaseException) or (isinstance(mock, type) and issubclass(mock, BaseException)):
        raise mock
    if isinstance(mock, str):
        _raise_named(mock)
        document = _document(mock)
    elif isinstance(mock, BaseModel):
        document = mock.model_dump()
    elif isinstance(mock, Mapping):
        document = {**_document(""), **mock}
        for choice in document["choices"]:
            choice["message"].keys()
    else:
        raise errors.BadRequestError(
            "mock_response has to be a text, an exception, an object or a Completion", param="mock_response"
        )
    if tool_calls is not None:
        calls = check.plain(tool_calls, "mock_tool_calls")
        for choice in document["choices"]:
            choice["message"]["tool_calls"] = calls
            choice["finish_reason"] = "tool_calls"
    if stream:
        return [(200, _SSE, _events(document))]
    return [(200, _JSON, [msgspec.json.encode(document)])]


def _raise_named(mock: str) -> None:
    name = mock.removeprefix("litellm.").removeprefix("quoth.")
    found = _WORDS.get(mock) or (getattr(errors, name, None) if name != mock or name in errors.__all__ else None)
    if isinstance(found, type) and issubclass(found, errors.QuothError):
        raise _standing_for(found)


def _standing_for(kind: type[errors.QuothError]) -> errors.QuothError:
    message = f"a mock {kind.__name__}, as mock_response asks"
    if not issubclass(kind, errors.APIStatusError):
        return kind(message, llm_provider="mock")
    # As if a provider had said so.
    error = {"message": message, "type": kind.slug, "code": str(kind.status)}
    return kind(message, llm_provider="mock", body={"error": error})


def _document(text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {
        "id": "chatcmpl-mock",
        "object": "chat.completion",
        "created": 0,
        "model": "mock",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": _USAGE,
    }


def _events(document: Mapping[str, Any]) -> list[bytes]:
    head = {name: document.get(name) for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}

    def event(choices: list[Any], **more: Any) -> bytes:
        return b"data: " + msgspec.json.encode({**head, "choices": choices, **more}) + b"\n\n"

    pieces = []
    for choice in document["choices"]:
        index, message = choice.get("index", 0), dict(choice["message"])
        text = message.pop("content", None) or ""
        if message.get("tool_calls"):
            message["tool_calls"] = [{"index": number, **call} for number, call in enumerate(message["tool_calls"])]
        pieces.append(event([{"index": index, "delta": {**message, "content": ""}, "finish_reason": None}]))
        words = [word for word in text.replace(" ", "\0 ").split("\0") if word]
        pieces += [event([{"index": index, "delta": {"content": word}, "finish_reason": None}]) for word in words]
        reason = choice.get("finish_reason") or "stop"
        pieces.append(event([{"index": index, "delta": {}, "finish_reason": reason}]))
    if document.get("usage") is not None:
        pieces.append(event([], usage=document["usage"]))
    return [*pieces, b"data: [DONE]\n\n"]
