"""Comments that keep a quiet stream alive, and the moment from which a stream that has not begun is begun all the
same."""

from __future__ import annotations

import asyncio
import time

from quoth.gateway.outgoing import Header, Outgoing

__all__ = ["KeepAlive"]

QUIET_SECONDS = 15.0
_COMMENT = b": keep-alive\n\n"


class KeepAlive:
    """From `commit_after` seconds on (0: never) the head is sent, and a comment whenever nothing else was for 15 s.

    One timer, moved only when it rings: events cost nothing here. `pause` before the head is sent by somebody else,
    `stop` at the end, however that comes: a timer that goes on would speak to somebody who is long gone.
    """

    __slots__ = ("_loop", "_out", "_quiet", "_task", "_timer")

    def __init__(self, out: Outgoing, commit_after: float, quiet: float = QUIET_SECONDS):
        self._out = out
        self._quiet = quiet
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        if commit_after > 0:
            self._timer = self._loop.call_later(commit_after, self._ring)

    async def pause(self) -> None:
        """Nothing is being sent by this any more; comments go on where the stream has begun."""
        task = self._task
        if task is not None:
            await task

    async def stop(self) -> None:
        """A comment that nobody takes is not waited for."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        task = self._task
        if task is not None:
            if self._out.busy:
                task.cancel()
            await asyncio.wait((task,))

    def _ring(self) -> None:
        out = self._out
        if out.ended:
            return
        quiet = time.monotonic() - out.sent_at
        if quiet < self._quiet or out.busy:
            self._timer = self._loop.call_later(max(0.1, self._quiet - quiet), self._ring)
            return
        self._task = self._loop.create_task(self._speak())
        self._timer = self._loop.call_later(self._quiet, self._ring)

    async def _speak(self) -> None:
        out = self._out
        try:
            if not out.started:
                headers: list[Header] = []
                await out.begin(headers)
            if not out.busy and not out.ended:
                await out.piece(_COMMENT)
        except (OSError, RuntimeError):
            pass  # the client is gone, which others find out
        finally:
            self._task = None
