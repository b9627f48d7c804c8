"""Whether the client is still there, told by a callback: cheaper than a task that waits."""

from __future__ import annotations

import asyncio
from typing import Any

from quoth.gateway.incoming import Receive
from quoth.gateway.outgoing import Outgoing

__all__ = ["Departure"]


class Departure:
    """Cancels `task` when the client goes away before its answer `out` is complete. `left` tells that it did.

    What an ASGI server's `receive()` returns is a future under granian, and a coroutine elsewhere.
    """

    __slots__ = ("_out", "_receive", "_task", "_waiting", "left")

    def __init__(self, receive: Receive, task: asyncio.Task[Any], out: Outgoing):
        self._receive = receive
        self._task = task
        self._out = out
        self._waiting: Any = None
        self.left = False

    def watch(self) -> None:
        waiting: Any = self._receive()
        if not hasattr(waiting, "add_done_callback"):
            waiting = self._task.get_loop().create_task(waiting)
        self._waiting = waiting
        waiting.add_done_callback(self._told)

    def stop(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.remove_done_callback(self._told)
            waiting.cancel()

    def _told(self, future: Any) -> None:
        if self._waiting is None or future.cancelled():
            return
        message = None if future.exception() is not None else future.result()
        if message is not None and message["type"] == "http.request":
            self.watch()
            return
        self._waiting = None
        if self._out.ended:
            return  # servers say the same of a client whose answer is complete
        self.left = True
        self._task.cancel()
