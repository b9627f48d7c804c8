"""A transport that answers from memory: for `mock_response`, and for tests of one's own.

client = quoth.Client(transport=Canned([(200, {"content-type": "application/json"}, [body])]))
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from quoth.call import WireRequest
from quoth.transport.ports import AsyncReply, Deadline, Reply

__all__ = ["Answer", "Canned", "CannedAsync"]

Answer = tuple[int, Mapping[str, str], Iterable[bytes]]


class _Pieces:
    def __init__(self, answer: Answer):
        self.status, self.headers, pieces = answer
        self.pieces = iter(pieces)

    def close(self) -> None:
        self.pieces = iter(())


class _Reply(_Pieces):
    def read(self) -> bytes:
        return next(self.pieces, b"")


class _AsyncReply(_Pieces):
    async def read(self) -> bytes:
        return next(self.pieces, b"")


class _Answers:
    def __init__(self, answers: Iterable[Answer]):
        self._answers = list(answers)
        self.requests: list[WireRequest] = []

    def next(self, request: WireRequest) -> Answer:
        self.requests.append(request)
        return self._answers[min(len(self.requests), len(self._answers)) - 1]


class Canned:
    """Answers requests with the given answers, in order, the last one again and again.

    `requests` keeps what was sent.
    """

    def __init__(self, answers: Iterable[Answer]):
        self._answers = _Answers(answers)
        self.requests = self._answers.requests

    def open(self, request: WireRequest, deadline: Deadline) -> Reply:
        return _Reply(self._answers.next(request))

    def close(self) -> None:
        pass


class CannedAsync:
    """The same for asyncio."""

    def __init__(self, answers: Iterable[Answer]):
        self._answers = _Answers(answers)
        self.requests = self._answers.requests

    async def open(self, request: WireRequest, deadline: Deadline) -> AsyncReply:
        return _AsyncReply(self._answers.next(request))

    async def aclose(self) -> None:
        pass
