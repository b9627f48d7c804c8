"""Settings read and judged in a process of their own, which ends with them.

Reading YAML and knowing every setting takes some twenty megabytes; the parent, which lives for months beside its
workers, gets bytes to hand on and the few facts that it needs itself. A file that loops or eats memory ends with the
process, not with the gateway.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
from typing import IO, Any

import msgspec

from quoth.gateway.serve.messages import Tls
from quoth.gateway.serve.plan import Plan

__all__ = ["Loaded", "Loading", "Refusal", "main"]

# Seconds: a network share may be slow, a settings file is small; and to end after the last word of the outcome.
DEADLINE = 30.0
_EXIT = 1.0


class Loaded(msgspec.Struct, frozen=True, tag=True):
    """Good settings: what the parent has to know of them, and all of them packed for the workers. Times in seconds.

    `example_model` is a name that a caller may use.
    """

    packed: bytes
    host: str
    port: int
    workers: int
    backlog: int
    header_timeout: float
    drain_delay: float
    drain_timeout: float
    files: list[str]
    warnings: list[str]
    models: int
    example_model: str
    has_key: bool
    tls: Tls | None = None
    write_timeout: float = 60.0


class Refusal(msgspec.Struct, frozen=True, tag=True):
    """Settings that are not good enough, with every reason."""

    problems: list[str]


class Loading:
    """One run of the process, seen from the parent, which never waits for it: `fileno` is readable when it has more."""

    def __init__(self, plan: Plan):
        self.deadline = time.monotonic() + DEADLINE
        self._data = bytearray()
        # -P: a file in the directory where the gateway was started cannot pose as a module.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", "from quoth.gateway.serve.loading import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._output: IO[bytes] = self._process.stdout
        try:
            self._process.stdin.write(msgspec.msgpack.encode(plan))
            self._process.stdin.close()
        except BrokenPipeError:
            pass  # it has ended at once, and its end will be read

    def fileno(self) -> int:
        return self._output.fileno()

    def read(self) -> Loaded | Refusal | None:
        """The outcome, once it is there."""
        data = os.read(self._output.fileno(), 1 << 20)
        if data:
            self._data += data
            return None
        self._output.close()
        try:
            code = self._process.wait(_EXIT)
        except subprocess.TimeoutExpired:
            return self.give_up()
        if code == 0:
            return msgspec.msgpack.decode(self._data, type=Loaded | Refusal)
        return Refusal([f"the process that reads the settings ended with code {code} before it had an answer"])

    def give_up(self) -> Refusal:
        self._process.kill()
        self._process.wait()
        self._output.close()
        return Refusal([f"the settings were not read within {DEADLINE:.0f} s"])


def main() -> None:
    """The process: a Plan on stdin, a Loaded or a Refusal on stdout."""
    plan = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Plan)
    answers = sys.stdout.buffer
    sys.stdout = sys.stderr  # what a plugin prints is no part of the answer
    settings: Any = importlib.import_module(plan.settings)
    answers.write(msgspec.msgpack.encode(settings.judged(plan, os.environ)))  # noqa: TID251  (the gateway's one reading)
    answers.flush()
