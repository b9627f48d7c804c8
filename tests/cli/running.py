"""Run the command `quoth` as a user does: a process of its own, in pipes or on a terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

COMMAND = (sys.executable, "-W", "error", "-m", "quoth")
LONG = 60.0
_CODES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b\][^\x07]*\x07|\x1b[=>]")


def environment(extra: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """A bare environment: nobody's keys, lists of models, colour or proxy. None in `extra` leaves a variable out."""
    kept = {
        name: os.environ[name]
        for name in ("PATH", "HOME", "LD_LIBRARY_PATH", "PYTHONPATH", "TMPDIR")
        if name in os.environ
    }
    merged = {**kept, "LANG": "C.UTF-8", "TERM": "dumb", "QUOTH_CACHE_DIR": os.devnull, **(extra or {})}
    return {name: value for name, value in merged.items() if value is not None}


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Quoth:
    """The command, pointed to one emulator."""

    def __init__(self, base_url: str):
        self.variables: dict[str, str | None] = {"POE_API_BASE": base_url, "POE_API_KEY": "emulated-key"}

    def __call__(self, *words: str, stdin: bytes | None = None, **extra: str | None) -> Done:
        return self._run([*COMMAND, *words], stdin, extra)

    def python(self, program: str) -> Done:
        """A program in place of the command."""
        return self._run([sys.executable, "-W", "error", "-c", program], None, {})

    def _run(self, command: list[str], stdin: bytes | None, extra: Mapping[str, str | None]) -> Done:
        done = subprocess.run(
            command,
            env=environment({**self.variables, **extra}),
            stdin=subprocess.DEVNULL if stdin is None else None,
            input=stdin,
            capture_output=True,
            timeout=LONG,
            check=False,
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    @contextmanager
    def start(self, *words: str, **extra: str | None) -> Iterator[subprocess.Popen[bytes]]:
        """The running command; it is killed if it outlives the block."""
        process = subprocess.Popen(
            [*COMMAND, *words],
            env=environment({**self.variables, **extra}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,  # a line that was read takes nothing of the next with it
        )
        with process:
            try:
                yield process
            finally:
                process.kill()

    def on_terminal(self, *words: str, **extra: str | None) -> Terminal:
        return Terminal([*COMMAND, *words], environment({**self.variables, **extra}))


class Terminal:
    """A program on a terminal of its own: type, wait for a text, press Ctrl-C."""

    def __init__(self, command: Sequence[str], variables: Mapping[str, str]):
        self.raw = ""
        self._seen = 0
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.execve(command[0], list(command), dict(variables))
        self._code: int | None = None

    @property
    def text(self) -> str:
        """All that was shown, without the terminal's control codes."""
        return _CODES.sub("", self.raw).replace("\r", "")

    def press(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def line(self, text: str) -> None:
        self.press(f"{text}\n")

    def until(self, text: str, *, pressing: str = "") -> str:
        """Wait for a text that is new, pressing `pressing` until it comes; returns what stood before it."""
        deadline = time.monotonic() + LONG
        self.press(pressing)
        alive = True
        while (found := self.text.find(text, self._seen)) < 0:
            assert alive, f"{text!r} did not come before the end: {self.text!r}"
            assert time.monotonic() < deadline, f"{text!r} did not come; what came: {self.text[self._seen :]!r}"
            if select.select([self._fd], [], [], 1)[0]:
                alive = self._read()
            else:
                self.press(pressing)
        before = self.text[self._seen : found]
        self._seen = found + len(text)
        return before

    def ended(self) -> int:
        """Wait for the end of the program; its exit code, negative for a signal."""
        while select.select([self._fd], [], [], LONG)[0] and self._read():
            pass
        if self._code is None:
            _, status = os.waitpid(self._pid, 0)
            self._code = os.waitstatus_to_exitcode(status)
        return self._code

    def _read(self) -> bool:
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # how Linux says that the other side has closed
            return False
        self.raw += data.decode(errors="replace")
        return bool(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._code is None:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(self._pid, 0)
        os.close(self._fd)
