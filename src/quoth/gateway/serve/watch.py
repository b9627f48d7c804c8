"""Files whose change means something, looked at now and then."""

from __future__ import annotations

import os
from collections.abc import Iterable

__all__ = ["Watch"]

_Look = tuple[tuple[int, int, int] | None, ...]


class Watch:
    """Says once of each change that it is over: a file that still grows is half written.

    A file that has gone and one that came back are changes; links are followed, as a mounted ConfigMap needs.
    """

    def __init__(self, files: Iterable[str] = ()):
        self._files = tuple(files)
        self._known = self._last = self._look()

    def follow(self, files: Iterable[str]) -> None:
        """Watch these files from now on; what was known of the same files stays known."""
        files = tuple(files)
        if files != self._files:
            self._files = files
            self._known = self._last = self._look()

    def settled(self) -> bool:
        """Whether the files differ from what was known and are as at the last look; then that is what is known."""
        before, self._last = self._last, self._look()
        if self._last == self._known or self._last != before:
            return False
        self._known = self._last
        return True

    def _look(self) -> _Look:
        return tuple(_signature(file) for file in self._files)


def _signature(file: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
