"""Signals as something to read: which came, in order, once each time."""

from __future__ import annotations

import os
import signal
import socket
from types import FrameType, TracebackType

__all__ = ["Signals", "Terminal"]

_WATCHED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


class Signals:
    """For `with`, in the main thread: `fileno` is readable when a signal has come. What was before is put back."""

    def __enter__(self) -> Signals:
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)
        self._before = {number: signal.signal(number, _noted) for number in _WATCHED}
        self._wakeup = signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._read.close()
        self._write.close()

    @property
    def hangup_was_ignored(self) -> bool:
        """Whether this process was started with SIGHUP ignored, as nohup does."""
        return self._before[signal.SIGHUP] == signal.SIG_IGN

    def fileno(self) -> int:
        return self._read.fileno()

    def read(self) -> bytes:
        """The numbers of the signals that came since the last time."""
        try:
            return self._read.recv(4096)
        except BlockingIOError:
            return b""


class Terminal:
    """The terminal that this process was started from. SIGHUP means "read your settings", unless it is gone.

    `kept`: its end is not the end of this process, since somebody said nohup.
    """

    def __init__(self, *, kept: bool):
        self._matters = not kept and _has_terminal()

    def is_lost(self) -> bool:
        return self._matters and not _has_terminal()


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _noted(number: int, frame: FrameType | None) -> None:
    """Its number is on the wake-up socket by now."""
