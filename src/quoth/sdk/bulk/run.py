"""The batch at work: a few calls at a time, each result journalled as it comes, until all are done or it has to stop.

What stops it: the caller, an answer that every further call would get too (a refused key, no points, a budget used up),
or a run of calls that reach nobody. What was finished stays finished; the same batch started again goes on from there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from quoth.errors import (
    APIConnectionError,
    AuthenticationError,
    BadRequestError,
    BudgetExceededError,
    PaymentRequiredError,
    QuothError,
)
from quoth.sdk.budget import named_budget
from quoth.sdk.bulk.journal import Journal, JournalFault
from quoth.sdk.bulk.lines import Defaults, InputFault, Line, read
from quoth.sdk.pace import Pace
from quoth.types import Completion

__all__ = ["Bulk", "Tally"]

_LEAST_UNANSWERED = 16
_HOPELESS = (AuthenticationError, BudgetExceededError, PaymentRequiredError)


@dataclass(slots=True)
class Tally:
    """How far a batch is. `finished` counts lines whose result is on disk, `failed` those of them that are errors,
    `before` those that were finished when this run began. `changed` are results of lines that now say something else.

    `usd` is what all runs of the batch cost so far, as far as it is known; `without_cost` counts the answers of which
    it is not.
    """

    total: int = 0
    finished: int = 0
    failed: int = 0
    before: int = 0
    changed: int = 0
    usd: Decimal = Decimal(0)
    without_cost: int = 0


class Bulk:
    """One batch: an input, an output, and how it is worked through."""

    def __init__(
        self,
        source: Path,
        output: Path,
        defaults: Defaults,
        *,
        ask: Callable[[Line], Awaitable[Completion]],
        concurrency: int = 16,
        pace: Callable[[str], Pace | None] = lambda model: None,
        max_usd: Decimal | None = None,
        retry_errors: bool = False,
        told: Callable[[Tally], None] = lambda tally: None,
    ):
        """Reads the input once, to count it and to see what is finished. `ask` makes one call, `pace` gives the pace
        of a model's calls, `max_usd` is the most that all runs of the batch may cost together, `told` hears of
        progress.

        Raises InputFault, JournalFault and OSError; then nothing has been called.
        """
        if not source.is_file():
            raise InputFault(
                f"{source} is not a file that can be read twice" if source.exists() else f"no file {source}"
            )
        if output.exists() and source.samefile(output):
            raise InputFault(f"{output} is the input: name another output")
        self._source, self._defaults = source, defaults
        self._ask, self._pace_of, self._max_usd, self._told = ask, pace, max_usd, told
        self._concurrency, self._retry_errors = concurrency, retry_errors
        self._journal = Journal(output)
        self.halted: QuothError | None = None
        self.tally = Tally()
        try:
            self._look()
        except BaseException:
            self.close()
            raise
        self._lines: Iterator[Line] = islice(read(source, defaults), self.tally.total)
        self._stopping = asyncio.Event()
        self._written = asyncio.Event()
        self._settled = asyncio.Event()
        self._over = False
        self._asking = 0
        self._unanswered = 0
        self._unsynced: list[int] = []

    @property
    def done(self) -> bool:
        """Whether every line has a result."""
        return self.tally.finished == self.tally.total

    def stop(self) -> None:
        """Begin no further call; those under way are waited for, since they are paid. From the loop's thread."""
        self._stopping.set()
        self._settled.set()

    async def run(self) -> Tally:
        """Work until done or stopped, then, if done, write the output. Raises OSError when the disk fails."""
        try:
            async with self._capped(), asyncio.TaskGroup() as group:
                group.create_task(self._sync_as_written())
                async with asyncio.TaskGroup() as workers:
                    for _ in range(min(self._concurrency, self.tally.total - self.tally.finished)):
                        workers.create_task(self._work())
                self._over = True
                self._written.set()
        except ExceptionGroup as failed:
            raise _first(failed) from None
        await self._sync()
        if self.done and self._journal.is_news:
            await asyncio.to_thread(self._journal.finish, self.tally.total)
        return self.tally

    def close(self) -> None:
        with suppress(OSError):
            self._journal.discard()
        self._journal.close()

    # The work

    def _capped(self) -> AbstractAsyncContextManager[Any]:
        """The budget of this run: the cap, less what earlier ones cost."""
        if self._max_usd is None:
            return nullcontext()
        name = f"the cap of ${self._max_usd.normalize():f} on the batch"
        return named_budget(name, self._max_usd, "Going without the cap", spent=self._journal.usd)

    def _look(self) -> None:
        tally, journal = self.tally, self._journal
        answered = 0
        for line in read(self._source, self._defaults):
            tally.total += 1
            answered += journal.finished(line.number, line.id)
            if self._is_finished(line):
                tally.finished += 1
                tally.failed += journal.failed(line.number)
        tally.before = tally.finished
        tally.changed = journal.known - answered
        if tally.changed and not answered:
            raise JournalFault(
                f"{journal.output} has the results of another input, or of this one with other options: name another "
                "output, or remove it (and its .part)"
            )
        tally.usd, tally.without_cost = journal.usd, journal.without_cost

    def _is_finished(self, line: Line) -> bool:
        return self._journal.finished(line.number, line.id, errors_too=not self._retry_errors)

    async def _work(self) -> None:
        for line in self._lines:
            if self._is_finished(line):
                continue
            if line.problem is None:
                await self._keep_pace(line.model)
            if self._stopping.is_set():
                return
            started = time.monotonic()
            try:
                record, usd = _answered(line, await self._asked(line), time.monotonic() - started)
                self._unanswered = 0
            except _Stopped:
                return
            except QuothError as error:
                if self._ends_all(error):
                    return
                record, usd = _failed(line, error, time.monotonic() - started), Decimal(0)
            self._journal.add(line.number, record, usd)
            self._unsynced.append(line.number)
            self._written.set()

    async def _keep_pace(self, model: str) -> None:
        pace = self._pace_of(model)
        seconds = pace.wait(time.monotonic()) if pace is not None else 0
        if seconds > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _asked(self, line: Line) -> Completion:
        """The answer. A call that a budget has no room for waits until another has given back what it reserved."""
        if line.problem is not None:
            raise BadRequestError(line.problem)
        while True:
            self._asking += 1
            no_room = False
            try:
                return await self._ask(line)
            except BudgetExceededError:
                if self._asking == 1:
                    raise
                no_room = True
            finally:
                self._asking -= 1
                if not no_room:
                    self._settled.set()
            self._settled.clear()
            await self._settled.wait()
            if self._stopping.is_set():
                raise _Stopped

    def _ends_all(self, error: QuothError) -> bool:
        """Whether there is no sense in going on."""
        reached_nobody = isinstance(error, APIConnectionError)
        self._unanswered = self._unanswered + 1 if reached_nobody else 0
        hopeless = isinstance(error, _HOPELESS)
        if hopeless or self._unanswered >= max(_LEAST_UNANSWERED, self._concurrency):
            self.halted = self.halted or error
            self.stop()
        return hopeless

    async def _sync_as_written(self) -> None:
        while not self._over:
            await self._written.wait()
            self._written.clear()
            await self._sync()

    async def _sync(self) -> None:
        """Whatever has been written by now counts, once it is on disk."""
        fresh, self._unsynced = self._unsynced, []
        if not fresh:
            return
        await asyncio.to_thread(self._journal.sync)
        tally, journal = self.tally, self._journal
        tally.finished += len(fresh)
        tally.failed += sum(map(journal.failed, fresh))
        tally.usd, tally.without_cost = journal.usd, journal.without_cost
        self._told(tally)


class _Stopped(Exception):
    """A call that had not begun when the batch was stopped."""


def _answered(line: Line, answer: Completion, seconds: float) -> tuple[bytes, Decimal | None]:
    cost = answer.cost
    record = {
        "id": line.id,
        "custom_id": line.custom_id,
        "response": {
            "status_code": 200,
            "request_id": answer.request_id,
            "body": answer.model_dump(mode="json"),
        },
        "error": None,
        "cost": {"usd": cost.usd, "points": cost.points, "source": cost.source, "prices_as_of": cost.prices_as_of},
        "warnings": [{"code": one.code, "param": one.param, "message": one.message} for one in answer.warnings],
        "seconds": round(seconds, 3),
    }
    return msgspec.json.encode(record), cost.usd


def _failed(line: Line, error: QuothError, seconds: float) -> bytes:
    response = None
    if error.status_code is not None and any(attempt.status_code is not None for attempt in error.attempts):
        response = {"status_code": error.status_code, "request_id": error.request_id, "body": _plain(error.body)}
    said: Mapping[str, Any] = {
        "class": type(error).__name__,
        "type": error.type,
        "code": error.code,
        "param": error.param,
        "message": str(error),
    }
    record: Mapping[str, Any] = {
        "id": line.id,
        "custom_id": line.custom_id,
        "response": response,
        "error": said,
        "cost": None,
        "warnings": [],
        "seconds": round(seconds, 3),
    }
    return msgspec.json.encode(record)


def _plain(body: Any) -> Any:
    """The body of a refusal: JSON as it came, anything else as text."""
    return body.decode("utf-8", "replace") if isinstance(body, bytes) else body


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
