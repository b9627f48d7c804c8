"""The processes with the stand-in, as a program: `python -m tests.gateway.serve.gateway PLAN` (JSON)."""

from __future__ import annotations

import sys

import msgspec

from quoth.gateway.serve import Plan, serve
from quoth.gateway.serve.loading import Loaded


class Lines:
    """Every report as one line of JSON on stdout."""

    def started(self, settings: Loaded, address: str) -> None:
        self._line("started", address)

    def say(self, text: str) -> None:
        self._line("say", text)

    def warn(self, text: str) -> None:
        self._line("warn", text)

    def refused(self, problems: list[str]) -> None:
        self._line("refused", "\n".join(problems))

    def _line(self, kind: str, text: str) -> None:
        sys.stdout.buffer.write(msgspec.json.encode({"kind": kind, "text": text}) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    raise SystemExit(serve(msgspec.json.decode(sys.argv[1], type=Plan), Lines()))
