"""Whether the client is still there, told by a callback: cheaper than a task that waits."""

from __future__ import annotations

import asyncio
from typing import Any

from quoth.gateway.incoming import Receive
from quoth.gateway.outgoing import Outgoing

__all__ = ["Departure", "Lookout"]

# A client is watched from the first moment after so many seconds at which anybody is; whoever has been answered by
# then costs nothing. That a client went away earlier is told as soon as it is watched.
_UNWATCHED = 0.02


class Departure:
    """Cancels `task` when the client goes away before its answer `out` is complete, where that matters: between `watch`
    and `rest`. `left` tells that it did.

    What an ASGI server's `receive()` returns is a future under granian, and a coroutine elsewhere.
    """

    __slots__ = ("_gone", "_lookout", "_matters", "_out", "_receive", "_task", "_waiting", "left")

    def __init__(self, receive: Receive, task: asyncio.Task[Any], out: Outgoing, lookout: Lookout):
        self._receive: Receive | None = receive
        self._task: asyncio.Task[Any] | None = task
        self._out: Outgoing | None = out
        self._lookout = lookout
        self._waiting: Any = None
        self._matters = self._gone = self.left = False

    def watch(self) -> None:
        """From now on, or a moment later."""
        self._matters = True
        if self._gone:
            self._leave()
            return
        lookout = self._lookout
        lookout.unwatched.append(self)
        if not lookout.is_set:
            lookout.set(asyncio.get_running_loop())

    def rest(self) -> None:
        """Whether the client is there does not matter, until it is watched again."""
        self._matters = False

    def begin(self) -> None:
        """Watch, unless it is over by now."""
        if self._receive is None or self._waiting is not None or self._gone or not self._matters:
            return
        waiting: Any = self._receive()
        if not hasattr(waiting, "add_done_callback"):
            waiting = asyncio.get_running_loop().create_task(waiting)
        self._waiting = waiting
        waiting.add_done_callback(self._told)

    def stop(self) -> None:
        waiting = self._waiting
        # Nothing of the request is held by the lookout, which comes by later: its memory serves the next one while it
        # is still at hand in the processor.
        self._receive = self._waiting = self._task = self._out = None
        if waiting is not None and not waiting.done():
            waiting.remove_done_callback(self._told)
            waiting.cancel()

    def _told(self, future: Any) -> None:
        if self._waiting is None or future.cancelled():
            return
        message = None if future.exception() is not None else future.result()
        self._waiting = None
        if message is not None and message["type"] == "http.request":
            self.begin()
            return
        self._gone = True
        if self._matters:
            self._leave()

    def _leave(self) -> None:
        if self._out is None or self._task is None or self._out.ended:
            return  # servers say the same of a client whose answer is complete
        self.left = True
        self._task.cancel()


class Lookout:
    """Begins to watch over all clients that came lately, at once: most answers that come at once are over by then."""

    __slots__ = ("is_set", "unwatched")

    def __init__(self) -> None:
        self.unwatched: list[Departure] = []
        self.is_set = False

    def set(self, loop: asyncio.AbstractEventLoop) -> None:
        self.is_set = True
        loop.call_later(_UNWATCHED, self._look)

    def _look(self) -> None:
        self.is_set = False
        departures, self.unwatched = self.unwatched, []
        for departure in departures:
            departure.begin()
