"""One worker process as its parent sees it: how it is started, what is on its way to it, how far it is."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import msgspec

from quoth.gateway.serve.messages import PREFIX, Frames, FromParent, FromWorker, Start, frame
from quoth.gateway.serve.plan import Plan

__all__ = ["Child"]

PAGE = resource.getpagesize()


class Child:
    """A started worker. It loads its code at once, and waits for `begin` with what it is to serve and where.

    Raises OSError when the system has no room for another process.
    """

    def __init__(self, slot: int, plan: Plan):
        self.slot = slot
        self.born = time.monotonic()
        self.begun = False
        self.ready = False
        # Told to end.
        self.leaving = False
        # When its end of the channel was found closed.
        self.deaf: float | None = None
        self.generation = 0
        self.refusal: str | None = None
        self.metrics: bytes | None = None
        self.channel, theirs = socket.socketpair()
        # Nothing is ever written to it: its end is the parent's end.
        lifeline, self._lifeline = os.pipe()
        descriptors = (theirs.fileno(), lifeline)
        command = "from quoth.gateway.serve.worker import main; main()"
        try:
            self.process = subprocess.Popen(  # noqa: S603  (this interpreter, and no argument from outside)
                # -P: a file in the directory where the gateway was started cannot pose as a module.
                [
                    *(sys.executable, "-P", "-c", command),
                    *(*map(str, descriptors), plan.server, plan.application, plan.settings),
                ],
                stdin=subprocess.DEVNULL,
                pass_fds=descriptors,
                # Ctrl-C is for the parent, which then tells its workers.
                start_new_session=True,
            )
        except OSError:
            self.channel.close()
            os.close(self._lifeline)
            raise
        finally:
            theirs.close()
            os.close(lifeline)
        self.channel.setblocking(False)
        self._outgoing = bytearray()
        self._frames = Frames()

    @property
    def pid(self) -> int:
        return self.process.pid

    def begin(self, start: Start, listener: socket.socket) -> None:
        """The first message, and with its first bytes the listening socket."""
        data = frame(start)
        try:
            socket.send_fds(self.channel, [data[:PREFIX]], [listener.fileno()])
        except OSError:
            return  # it has ended already, and will be found
        self.begun = True
        self.generation = start.generation
        self._outgoing += data[PREFIX:]
        self.flush()

    def tell(self, message: FromParent) -> None:
        self._outgoing += frame(message)
        self.flush()

    def flush(self) -> None:
        """Send what the channel takes now; a worker that does not read stops nobody."""
        try:
            while self._outgoing:
                del self._outgoing[: self.channel.send(self._outgoing)]
        except BlockingIOError:
            pass
        except OSError:
            self._outgoing.clear()

    @property
    def has_more_to_send(self) -> bool:
        return bool(self._outgoing)

    def hear(self) -> Iterator[FromWorker]:
        try:
            while data := self.channel.recv(1 << 16):
                for encoded in self._frames.feed(data):
                    yield msgspec.msgpack.decode(encoded, type=FromWorker)
        except BlockingIOError:
            return
        except OSError:
            pass
        self.deaf = time.monotonic()

    def is_over(self) -> bool:
        return self.process.poll() is not None

    def kill(self) -> None:
        self.process.kill()

    def resident(self) -> int:
        """Its resident size in bytes; 0 where the system does not tell."""
        try:
            with open(f"/proc/{self.pid}/statm", "rb") as sizes:
                return int(sizes.read().split()[1]) * PAGE
        except (OSError, IndexError):
            return 0

    def bury(self) -> None:
        """After its end: give back what it held."""
        self.process.wait()
        self.channel.close()
        os.close(self._lifeline)

    def ending(self) -> str:
        """How it ended, in words."""
        code = self.process.returncode
        return f"by signal {-code}" if code < 0 else f"with code {code}"
