"""Streams: iterate them, and read `.response`, `.usage` and `.cost` at the end. Leaving one early closes its
connection."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Generator
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from quoth.engine.attempts import Answer
from quoth.engine.effects import Failed
from quoth.engine.streams import ended
from quoth.errors import QuothError
from quoth.transport.drive import afinish, aread, finish, read
from quoth.types import Chunk, Completion, Cost, Usage, Warning

__all__ = ["AsyncStream", "Stream"]


class _Source:
    """The stream itself, apart from the object that the user holds: so that dropping that object ends the iteration at
    once, without a cycle for the garbage collector to find."""

    __slots__ = ("answer", "broke", "response")

    def __init__(self, answer: Answer):
        self.answer = answer
        self.response: Completion | None = None
        self.broke: QuothError | None = None

    def end(self, failed: Failed | None) -> None:
        """Nothing more will come. Raises StreamInterrupted."""
        try:
            self.response = ended(self.answer, failed)
        except QuothError as error:
            self.broke = type(error)(error.message)  # without its traceback, which would hold this
            raise

    def close(self) -> None:
        # Dropped after its event loop has ended, a connection has nobody left to close it for.
        with contextlib.suppress(RuntimeError):
            self.answer.reply.reply.close()
        if self.answer.reservation is not None:
            # What a stream that was left early cost, nobody can know.
            self.answer.reservation.settle(None if self.response is None else self.response.cost.usd)
        if (done := self.answer.done) is not None:
            self.answer.done = None
            done(self.broke if self.response is None else self.response)

    def __del__(self) -> None:
        self.close()


class _Streaming:
    """What both streams know of themselves."""

    def __init__(self, answer: Answer, extra: list[Warning]):
        answer.trace.warnings[:0] = extra
        self._source = _Source(answer)

    @property
    def response(self) -> Completion | None:
        """The whole answer as one Completion, once the stream has ended; None before."""
        return self._source.response

    @property
    def usage(self) -> Usage | None:
        """Tokens, once the stream has ended; None before, and when the provider gave none."""
        return None if self._source.response is None else self._source.response.usage

    @property
    def cost(self) -> Cost:
        """What the stream cost; unknown before its end."""
        return Cost() if self._source.response is None else self._source.response.cost

    @property
    def warnings(self) -> list[Warning]:
        """What was not done as asked; what is odd in the answer is added as it is read."""
        return self._source.answer.trace.warnings

    @property
    def request_id(self) -> str | None:
        """The provider's id of the request; None when it gave none."""
        return self._source.answer.trace.request_id

    @property
    def _hidden_params(self) -> dict[str, Any]:
        """LiteLLM's name for what is here `cost`, `request_id` and so on."""
        response = self._source.response
        if response is None:
            response = Completion()
            response._trace = replace(self._source.answer.trace, price=None)
        return response._hidden_params


class Stream(_Streaming):
    """An answer in pieces, for blocking programs: `for chunk in stream`. Chunks are not kept.

    Also a context manager; leaving it, `close()`, or dropping the stream closes the connection. Raises
    StreamInterrupted from the iteration when the stream breaks.
    """

    def __init__(self, answer: Answer, extra: list[Warning]):
        super().__init__(answer, extra)
        self._chunks = _run(self._source)

    def __iter__(self) -> Generator[Chunk]:
        return self._chunks

    def __next__(self) -> Chunk:
        return next(self._chunks)

    def close(self) -> None:
        """Leave the stream, from any thread."""
        self._source.close()
        # Another thread may be in the middle of the iteration; closing the connection ends that by itself.
        with contextlib.suppress(ValueError):
            self._chunks.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class AsyncStream(_Streaming):
    """An answer in pieces, for asyncio: `async for chunk in stream`. Chunks are not kept.

    Also an async context manager; leaving it, `aclose()`, cancellation, or dropping the stream closes the connection.
    Raises StreamInterrupted from the iteration when the stream breaks.
    """

    def __init__(self, answer: Answer, extra: list[Warning]):
        super().__init__(answer, extra)
        self._chunks = _arun(self._source)

    def __aiter__(self) -> AsyncGenerator[Chunk]:
        return self._chunks

    async def __anext__(self) -> Chunk:
        return await anext(self._chunks)

    async def aclose(self) -> None:
        """Leave the stream."""
        self._source.close()
        await self._chunks.aclose()

    close = aclose

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


def _run(source: _Source) -> Generator[Chunk]:
    answer = source.answer
    reader, handle = answer.reader, answer.reply
    assert reader is not None
    chunks = reader.chunks
    failed: Failed | None = None
    try:
        while True:
            while chunks:
                yield chunks.popleft()
            if reader.ended:
                break
            piece = read(handle)
            if isinstance(piece, Failed):
                failed = piece
                break
            if piece:
                reader.feed(piece)
            else:
                reader.eof()
        if reader.complete:
            finish(handle)
        source.end(failed)
    finally:
        source.close()


async def _arun(source: _Source) -> AsyncGenerator[Chunk]:
    answer = source.answer
    reader, handle = answer.reader, answer.reply
    assert reader is not None
    chunks = reader.chunks
    failed: Failed | None = None
    try:
        while True:
            while chunks:
                yield chunks.popleft()
            if reader.ended:
                break
            piece = await aread(handle)
            if isinstance(piece, Failed):
                failed = piece
                break
            if piece:
                reader.feed(piece)
            else:
                reader.eof()
        if reader.complete:
            await afinish(handle)
        source.end(failed)
    finally:
        source.close()
