"""`quoth batch`: a file of prompts in, a file of answers out, in the same order."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quoth.cli import terminal
from quoth.cli.answers import short
from quoth.cli.failures import ExitCode, Failed, UsageFault, exit_code, report
from quoth.cli.names import model_name
from quoth.cli.request import parameters
from quoth.errors import APIConnectionError, BadRequestError
from quoth.providers.rows import Registry
from quoth.sdk.bulk import Bulk, Defaults, InputFault, JournalFault, Line, Tally
from quoth.sdk.client import AsyncClient
from quoth.sdk.info import get_llm_provider
from quoth.sdk.pace import POE_PER_MINUTE, Pace
from quoth.types import Completion

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["run"]

_EVERY = 10.0  # seconds between two lines of progress where there is no terminal


def run(
    source: str,
    output: str,
    *,
    model: str | None,
    system: str | None,
    named: Mapping[str, Any],
    pairs: list[str],
    concurrency: int,
    rpm: float | None,
    max_usd: float | None,
    retry_errors: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    defaults = Defaults(model_name(model), model is not None, system, parameters(named, pairs))
    started = time.monotonic()
    client = AsyncClient()

    async def ask(line: Line) -> Completion:
        answer = await client.acompletion(model_name(line.model), line.messages, stream=False, **line.params)
        assert isinstance(answer, Completion)
        return answer

    with _progress(quiet) as told:
        try:
            bulk = Bulk(
                Path(source).expanduser(),
                Path(output).expanduser(),
                defaults,
                ask=ask,
                concurrency=concurrency,
                pace=_paces(rpm),
                max_usd=None if max_usd is None else Decimal(str(max_usd)),
                retry_errors=retry_errors,
                told=told,
            )
        except (InputFault, JournalFault) as fault:
            raise UsageFault(str(fault)) from None
        try:
            _greet(bulk.tally, quiet)
            interrupted = asyncio.run(_work(bulk, client))
        finally:
            bulk.close()
    _end(bulk, output, time.monotonic() - started, interrupted, quiet=quiet, as_json=as_json)


async def _work(bulk: Bulk, client: AsyncClient) -> bool:
    """Run the batch; whether Ctrl-C ended it. The first lets what is under way finish, the second does not."""
    loop = asyncio.get_running_loop()
    this = asyncio.current_task()
    assert this is not None
    presses = 0

    def press() -> None:
        nonlocal presses
        presses += 1
        if presses == 1:
            bulk.stop()
            terminal.note("Waiting for the calls under way, which are paid already; Ctrl-C again leaves them.")
        else:
            this.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, press)
    try:
        async with client:
            await bulk.run()
    except asyncio.CancelledError:
        if presses < 2:
            raise
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
    return presses > 0


def _paces(rpm: float | None) -> Callable[[str], Pace | None]:
    """The pace of a model's calls: as asked for, or Poe's own limit for what goes to Poe itself."""
    asked = Pace(rpm) if rpm else None
    poe = Pace(POE_PER_MINUTE)

    @cache
    def pace(model: str) -> Pace | None:
        if rpm is not None:
            return asked
        try:
            _, provider, _, base = get_llm_provider(model_name(model))
        except BadRequestError:
            return None  # the call will say what is wrong with the name
        row = Registry().get("poe")
        return poe if provider == "poe" and row is not None and base == row.base_url else None

    return pace


# What is shown


def _greet(tally: Tally, quiet: bool) -> None:
    if quiet:
        return
    if tally.before:
        terminal.note(f"{tally.before:,} of {tally.total:,} lines are finished from before.")
    if tally.changed:
        terminal.note(f"{tally.changed:,} results are of lines that have changed since; they are asked for again.")


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[Tally], None]]:
    """A bar on a terminal, a line now and then elsewhere, nothing if `quiet`."""
    if quiet:
        yield lambda tally: None
    elif terminal.coloured(sys.stderr):
        with _bar() as bar:
            task = bar.add_task("", total=None, said="")

            def move(tally: Tally) -> None:
                bar.update(task, total=tally.total, completed=tally.finished, said=_said(tally))

            yield move
    else:
        yield _Lines().told


def _bar() -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[said]}"),
        console=terminal.console(sys.stderr),
        transient=True,
    )


class _Lines:
    """Progress as plain lines."""

    def __init__(self) -> None:
        self._started = self._last = time.monotonic()

    def told(self, tally: Tally) -> None:
        now = time.monotonic()
        if now - self._last < _EVERY:
            return
        self._last = now
        done = tally.finished - tally.before
        left = (tally.total - tally.finished) * (now - self._started) / done if done else 0
        terminal.note(f"{tally.finished:,} of {tally.total:,} · {_said(tally)} · {_time(left)} left")


def _said(tally: Tally) -> str:
    errors = f"{tally.failed:,} error{'' if tally.failed == 1 else 's'} · " if tally.failed else ""
    return errors + _cost(tally)


def _cost(tally: Tally) -> str:
    if not tally.without_cost:
        return f"about ${short(tally.usd)}" if tally.usd else "$0"
    if not tally.usd:
        return "cost unknown"
    return f"about ${short(tally.usd)} and {tally.without_cost:,} answers of unknown cost"


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def _end(bulk: Bulk, output: str, seconds: float, interrupted: bool, *, quiet: bool, as_json: bool) -> None:
    tally = bulk.tally
    code = ExitCode.OK
    if bulk.halted is not None:
        code = exit_code(bulk.halted)
    elif interrupted and not bulk.done:
        code = ExitCode.INTERRUPTED
    if as_json:
        done = {"output": output if bulk.done else None, "seconds": round(seconds, 3), "exit_code": int(code)}
        halted = None if bulk.halted is None else {"class": type(bulk.halted).__name__, "message": str(bulk.halted)}
        terminal.print_json({**asdict(tally), **done, "halted": halted})
    if not quiet:
        terminal.note(f"{tally.finished:,} of {tally.total:,} · {_said(tally)} · {_time(seconds)}")
    if bulk.halted is not None:
        report(bulk.halted)
    if not bulk.done and tally.finished:
        again = " with --retry-errors" if isinstance(bulk.halted, APIConnectionError) else ""
        terminal.note(f"What is finished is kept in {output}.part: the same command{again} goes on from there.")
    elif bulk.done and tally.failed:
        terminal.note(
            f"{tally.failed:,} of the lines of {output} are errors; the same command with --retry-errors tries them "
            "again.",
            "yellow",
        )
    if code != ExitCode.OK:
        raise Failed(code)
