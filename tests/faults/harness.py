"""One caller for both clients: what a test asks of the blocking client it asks of the asyncio client in the same words.

with CALLERS["asyncio"](base_url=server.url) as caller:
    said = caller.ask(stream=True)      # the whole answer, however it came
    pieces = caller.stream()            # or a stream, piece by piece
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self

from quoth.sdk.client import AsyncClient, Client
from quoth.types import Completion, Warning
from tests.faultserver import FaultServer, Request, Step

__all__ = ["CALLERS", "KEY", "MESSAGES", "Caller", "Pieces", "Said", "Upstream", "clean", "elapsed", "upstream"]

KEY = "sk-harness-0123456789"
MESSAGES = [{"role": "user", "content": "hello"}]


@dataclass(frozen=True, slots=True)
class Said:
    """An answer, streamed or not."""

    text: str
    response: Completion
    warnings: list[Warning]

    @property
    def codes(self) -> list[str]:
        return [warning.code for warning in self.warnings]


class Pieces(Protocol):
    """A stream: iterate it, close it, or look at the real one."""

    stream: Any

    def __iter__(self) -> Iterator[Any]: ...

    def __next__(self) -> Any: ...

    def close(self) -> None: ...


class Caller(Protocol):
    name: ClassVar[str]

    def __init__(self, **settings: Any) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def whole(self, **keywords: Any) -> Completion:
        """One call, not streamed."""
        ...

    def stream(self, **keywords: Any) -> Pieces:
        """One call, streamed; returns at its first good chunk."""
        ...

    def ask(self, *, stream: bool, **keywords: Any) -> Said:
        """The answer as a whole, streamed or not."""
        ...


class _Asking:
    def ask(self: Any, *, stream: bool, **keywords: Any) -> Said:
        if not stream:
            response = self.whole(**keywords)
            return Said(response.choices[0].message.content or "", response, response.warnings)
        pieces = self.stream(**keywords)
        text = "".join(choice.delta.content or "" for chunk in pieces for choice in chunk.choices)
        return Said(text, pieces.stream.response, pieces.stream.warnings)


def _given(keywords: dict[str, Any]) -> dict[str, Any]:
    return {"model": "m", "messages": MESSAGES, **keywords}


class BlockingCaller(_Asking):
    name: ClassVar[str] = "blocking"

    def __init__(self, **settings: Any) -> None:
        self.client = Client(**{"api_key": KEY, "num_retries": 0, **settings})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self.client.close()

    def whole(self, **keywords: Any) -> Completion:
        completion: Any = self.client._complete(**_given(keywords))
        assert isinstance(completion, Completion)
        return completion

    def stream(self, **keywords: Any) -> Pieces:
        return _BlockingPieces(self.client._complete(**_given(keywords), stream=True))


class _BlockingPieces:
    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __iter__(self) -> Iterator[Any]:
        return iter(self.stream)

    def __next__(self) -> Any:
        return next(self.stream)

    def close(self) -> None:
        self.stream.close()


class AsyncioCaller(_Asking):
    """Runs each step in an event loop of its own. What that loop complains of (a task destroyed, an exception that
    nobody took) fails the test at the end."""

    name: ClassVar[str] = "asyncio"

    def __init__(self, **settings: Any) -> None:
        self.client = AsyncClient(**{"api_key": KEY, "num_retries": 0, **settings})
        self.runner = asyncio.Runner()
        self.complaints: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        loop = self.runner.get_loop()
        loop.set_exception_handler(lambda _, context: self.complaints.append(context))
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self.runner.run(self.client.aclose())
        left = asyncio.all_tasks(self.runner.get_loop())
        self.runner.close()
        if kind is None:
            assert not left, f"tasks left behind: {left}"
            assert not self.complaints, f"the event loop complained: {self.complaints}"

    def whole(self, **keywords: Any) -> Completion:
        completion: Any = self.runner.run(self.client._complete(**_given(keywords)))
        assert isinstance(completion, Completion)
        return completion

    def stream(self, **keywords: Any) -> Pieces:
        return _AsyncioPieces(self.runner, self.runner.run(self.client._complete(**_given(keywords), stream=True)))


class _AsyncioPieces:
    def __init__(self, runner: asyncio.Runner, stream: Any) -> None:
        self.stream = stream
        self._runner = runner

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        async def one() -> Any:
            return await anext(self.stream)

        try:
            return self._runner.run(one())
        except StopAsyncIteration:
            raise StopIteration from None

    def close(self) -> None:
        self._runner.run(self.stream.aclose())


CALLERS: dict[str, type[Caller]] = {"blocking": BlockingCaller, "asyncio": AsyncioCaller}


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where a call goes, and the server there if it is one of ours."""

    url: str
    server: FaultServer | None = None

    @property
    def requests(self) -> list[Request]:
        assert self.server is not None
        return self.server.requests


@contextlib.contextmanager
def upstream(*steps: Step, tls: Any = False) -> Iterator[Upstream]:
    """A fault server that plays one script again and again; at the end nobody may be connected to it any more."""
    with FaultServer(tls=tls) as server:
        server.play(*steps)
        yield Upstream(server.url, server)
        clean(server)


def clean(server: FaultServer) -> None:
    """No client holds a connection: raises TimeoutError otherwise."""
    server.wait_for(lambda: not server.connections_open, 3.0)


@contextlib.contextmanager
def elapsed() -> Iterator[list[float]]:
    """The seconds that the block took, as the one item of the list."""
    found: list[float] = []
    start = time.monotonic()
    try:
        yield found
    finally:
        found.append(time.monotonic() - start)
