"""What differs between a terminal, a pipe and a dumb terminal: colour, letters beyond ASCII, a sign of waiting.

Answers go to stdout, everything about them to stderr. A pipe gets no colour codes, and text as the model wrote it; a
terminal gets it without control characters, which could otherwise move the cursor or retitle the window.
"""

from __future__ import annotations

import io
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

__all__ = [
    "coloured",
    "console",
    "fit",
    "harmless",
    "is_terminal",
    "note",
    "prepare",
    "print_json",
    "styled",
    "waiting",
    "write",
]

Style = Literal["bold", "dim", "red", "yellow", "cyan"]

_CODES: dict[Style, str] = {"bold": "1", "dim": "2", "red": "31", "yellow": "33", "cyan": "36"}
# C0 without tab and newline, DEL, C1. A lone carriage return would let an answer write over its own line.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_ASCII = str.maketrans({"→": "->", "·": "-", "–": "-", "…": "...", "×": "x", "’": "'"})


def prepare() -> None:
    """Let no closed stream, and no letter that the terminal's encoding lacks, end the program."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (it is the program's stdout until its end)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  (it is the program's stderr until its end)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def coloured(stream: TextIO) -> bool:
    return is_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "") not in ("", "dumb")


def styled(text: str, style: Style, stream: TextIO) -> str:
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if text and coloured(stream) else text


def fit(text: str, stream: TextIO) -> str:
    """Quoth's own words in the letters that the stream can show."""
    return text if (stream.encoding or "").lower().replace("-", "").startswith("utf") else text.translate(_ASCII)


def harmless(text: str, stream: TextIO) -> str:
    """Someone else's text: as it is for a pipe, without control characters for a terminal."""
    return _CONTROL.sub("", text.replace("\r\n", "\n")) if is_terminal(stream) else text


def write(text: str, stream: TextIO | None = None) -> None:
    """Text as it is, shown at once."""
    stream = stream or sys.stdout
    stream.write(text)
    stream.flush()


def note(text: str, style: Style = "dim") -> None:
    """A line about the answer, on stderr."""
    write(styled(fit(harmless(text, sys.stderr), sys.stderr), style, sys.stderr) + "\n", sys.stderr)


def print_json(value: Any) -> None:
    """One JSON document on stdout: UTF-8 whatever the terminal's encoding is, since that is what JSON is."""
    import msgspec

    data = msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
    sys.stdout.flush()
    buffer = getattr(sys.stdout, "buffer", None)
    if buffer is None:
        write(data.decode())
    else:
        buffer.write(data)
        buffer.flush()


def console(stream: TextIO, width: int | None = None) -> Console:
    """A rich console that follows the same rules as the rest."""
    from rich.console import Console

    class Plain(Console):
        def on_broken_pipe(self) -> None:
            # rich would leave the program here; the roof does that, in one place.
            raise BrokenPipeError

    terminal = is_terminal(stream)
    return Plain(
        file=stream,
        width=width,
        force_terminal=terminal,
        no_color=not coloured(stream),
        color_system="auto" if coloured(stream) else None,
        highlight=False,
        markup=False,
        emoji=False,
    )


@contextmanager
def waiting(for_what: str) -> Iterator[None]:
    """A moving line on stderr until the block ends, where somebody is there to see it."""
    if not (coloured(sys.stderr) and is_terminal(sys.stdout)):
        yield
        return
    with console(sys.stderr).status(_Waiting(for_what), spinner="line"):
        yield


class _Waiting:
    """What is waited for, and for how long by now: a film takes minutes."""

    def __init__(self, for_what: str):
        self._for_what = fit(for_what, sys.stderr)
        self._dot = fit("·", sys.stderr)  # asked here, since rich puts itself in the place of stderr
        self._begun = time.monotonic()

    def __rich__(self) -> Text:
        from rich.text import Text

        seconds = int(time.monotonic() - self._begun)
        return Text(f"{self._for_what} {self._dot} {seconds} s" if seconds else self._for_what, style="dim")
