"""A transport that answers from memory: for `mock_response`, and for tests of one's own.

    client = quoth.Client(transport=Canned([(200, {"content-type": "application/json"}, [body])]))
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from quoth.call import WireRequest
from quoth.transport.ports import Deadline

__all__ = ["Canned", "CannedAsync"]

Answer = tuple[int, Mapping[str, str], Iterable[bytes]]


class _Reply:
    def __init__(self, answer: Answer):
        self.status, self.headers, pieces = answer
        self._pieces = iter(pieces)

    def read(self) -> bytes:
        return next(self._pieces, b"")

    def close(self) -> None:
        self._pieces = iter(())


class _AsyncReply(_Reply):
    async def read(self) -> bytes:  # type: ignore[override]
        return next(self._pieces, b"")


class Canned:
    """Answers requests with the given answers, in order, the last one again and again. `requests` keeps what was sent."""

    def __init__(self, answers: Iterable[Answer]):
        self._answers = list(answers)
        self.requests: list[WireRequest] = []

    def _next(self, request: WireRequest) -> Answer:
        self.requests.append(request)
        return self._answers[min(len(self.requests), len(self._answers)) - 1]

    def open(self, request: WireRequest, deadline: Deadline) -> _Reply:
        return _Reply(self._next(request))

    def close(self) -> None:
        pass


class CannedAsync(Canned):
    """The same for asyncio."""

    async def open(self, request: WireRequest, deadline: Deadline) -> _AsyncReply:  # type: ignore[override]
        return _AsyncReply(self._next(request))

    async def aclose(self) -> None:
        pass
