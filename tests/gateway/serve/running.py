"""A gateway as a program of its own, with the stand-in behind it, and the plainest of clients."""

from __future__ import annotations

import http.client
import json
import os
import queue
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
import psutil

from quoth.gateway.serve.plan import Plan, Server

ROOT = Path(__file__).resolve().parents[3]

# Seconds. A bound against hangs, not a measurement.
LONG = 30.0


class Line(msgspec.Struct):
    kind: str
    text: str


class Running:
    """For `with`: a gateway that has started, unless `wait=False`; killed at the end, with its workers."""

    def __init__(
        self,
        folder: Path,
        *,
        server: Server = "granian",
        recycle_above: int = 0,
        wait: bool = True,
        environment: dict[str, str] | None = None,
        prefix: Sequence[str] = (),
        stdin: int = subprocess.DEVNULL,
        **settings: Any,
    ):
        self.file = folder / "settings.json"
        self.plan = Plan(
            file=str(self.file),
            server=server,
            recycle_above=recycle_above,
            application="tests.gateway.serve.standin:App",
            settings="tests.gateway.serve.standin",
        )
        self.settings = settings
        self.lines: list[Line] = []
        self.address = ("", 0)
        self._environment = {**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}
        self._arriving: queue.Queue[Line | None] = queue.Queue()
        self._wait = wait
        self._prefix = prefix
        self._stdin = stdin

    def write(self, **settings: Any) -> None:
        """New settings, in one step as a careful editor writes them."""
        self.settings |= settings
        self.write_text(json.dumps(self.settings))

    def write_text(self, text: str) -> None:
        new = self.file.with_suffix(".new")
        new.write_text(text)
        new.replace(self.file)

    def __enter__(self) -> Running:
        self.write()
        self.process = subprocess.Popen(
            [
                *self._prefix,
                sys.executable,
                "-m",
                "tests.gateway.serve.gateway",
                msgspec.json.encode(self.plan).decode(),
            ],
            stdin=self._stdin,
            stdout=subprocess.PIPE,
            env=self._environment,
            cwd=self.file.parent,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if self._wait:
            started = self.line("started")
            host, _, port = started.text.rpartition("/")[2].rpartition(":")
            self.address = (host, int(port))
        return self

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._arriving.put(msgspec.json.decode(line, type=Line))
        self._arriving.put(None)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def line(self, kind: str, text: str = "") -> Line:
        """The next report of this kind with this text in it."""
        while True:
            try:
                line = self._arriving.get(timeout=LONG)
            except queue.Empty:
                raise AssertionError(f"it never said {kind} {text!r}, only {self.lines}") from None
            assert line is not None, f"the gateway ended, after {self.lines}"
            self.lines.append(line)
            if line.kind == kind and text in line.text:
                return line

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self) -> int:
        """Its exit code, once it has ended."""
        return self.process.wait(LONG)

    def workers(self) -> list[int]:
        return [child.pid for child in psutil.Process(self.process.pid).children() if child.status() != "zombie"]

    # --- Clients ------------------------------------------------------------------------------------------------

    def connection(self, context: ssl.SSLContext | None = None) -> http.client.HTTPConnection:
        if context is not None:
            return http.client.HTTPSConnection(*self.address, timeout=LONG, context=context)
        return http.client.HTTPConnection(*self.address, timeout=LONG)

    def get(self, path: str, body: str | None = None, context: ssl.SSLContext | None = None) -> tuple[int, str]:
        """One request on a connection of its own: status and body."""
        connection = self.connection(context)
        try:
            connection.request("GET", path, body)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    @contextmanager
    def stream(self, events: int) -> Iterator[http.client.HTTPResponse]:
        """An answer that has begun: ten events a second."""
        connection = self.connection()
        try:
            connection.request("POST", "/stream", str(events))
            answer = connection.getresponse()
            assert answer.readline() == b"data: 0\n"
            yield answer
        finally:
            connection.close()

    def exchange(self, data: bytes, *, half_close: bool = False) -> bytes:
        """All that comes back for these bytes until the other side closes."""
        with socket.create_connection(self.address, LONG) as connection:
            try:
                connection.sendall(data)
                if half_close:
                    connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # refused before all of it was sent; the answer may be there all the same
            received = bytearray()
            try:
                while piece := connection.recv(1 << 16):
                    received += piece
            except ConnectionResetError:
                pass
            return bytes(received)


class Load:
    """For `with`: clients that ask for `/` on kept connections, over and over. `answers` is what they got."""

    def __init__(self, gateway: Running, clients: int = 4):
        self.answers: list[tuple[int, str]] = []
        self.failures: list[BaseException] = []
        self._gateway = gateway
        self._enough = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def _ask(self) -> None:
        connection = self._gateway.connection()
        try:
            while not self._enough.is_set():
                connection.request("GET", "/")
                answer = connection.getresponse()
                self.answers.append((answer.status, answer.read().decode()))
        except BaseException as error:
            self.failures.append(error)
        finally:
            connection.close()

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()

    def mark(self) -> int:
        return len(self.answers)


def eventually(condition: Callable[[], object]) -> None:
    """Return when the condition holds."""
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == "zombie"
    except psutil.NoSuchProcess:
        return True
