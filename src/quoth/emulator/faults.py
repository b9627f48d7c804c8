"""Faults on demand: a small language, its parser, and the plan of which request gets which fault.

A fault is a list of words separated by `;`, for instance `status=429; retry-after=2; body=html; times=2`. It is given
to `Emulator(faults=...)`, to `Emulator.faults(...)`, or with one request in the header `x-emulate-fault`. `WORDS` says
what each word does.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, replace
from typing import Any, Literal

__all__ = ["HEADER", "NONE", "WORDS", "Fault", "Faults", "Point", "parse"]

HEADER = "x-emulate-fault"

WORDS: dict[str, str] = {
    "status=N": "answer with this status and Poe's error body for it",
    "type=SLUG, code=SLUG, message=TEXT": "change that member of the error body",
    "body=KIND": "another body: `html`, `empty`, `garbage`, `truncated` (half of the JSON), or `json:{...}` as written",
    "retry-after=VALUE": "send `Retry-After`; seconds or a date, as written",
    "header=NAME:VALUE": "send one more header; may be repeated",
    "content-type=VALUE": "another `Content-Type`",
    "latency=S": "wait S seconds before the head of the answer",
    "pace=S": "S seconds between events instead of `token_delay`",
    "stall=WHERE": "go silent there until the client leaves; with `for=S` only for S seconds",
    "reset=WHERE": "reset the connection there (RST)",
    "fin=WHERE": "close the connection there without ending the answer (FIN)",
    "error=after:N": "after N events send an error event, and nothing after it",
    "split-utf8": "cut every character of several bytes in two chunks",
    "bytes=N": "chunks of N bytes",
    "crlf, cr": "line ends of event streams",
    "bom": "a byte order mark before the first event",
    "comments": "a keep-alive comment before each event",
    "placeholder": "progress text (`Generating...`) before the content, as media bots stream it",
    "no-usage": "leave `usage` out",
    "usage=last|twice": "usage on the last chunk that has a choice, or in two chunks",
    "no-final": "leave out the chunk with the finish reason",
    "no-done": "leave out `[DONE]`",
    "job=failed|stuck": "a video that is asked for with it fails in the end, or never ends",
    "no-length": "neither length nor chunks: the end of the connection ends the body",
    "short": "promise ten bytes more than are sent (a stream: leave out the last chunk), then close",
    "gzip, gzip=truncated": "compress the body, whatever the client accepts",
    "close": "close the connection after the answer",
    "times=N": "only for the first N requests",
    "skip=N": "not for the first N requests",
    "on=PREFIX": "only for paths that start so",
    "tag=NAME": "no effect; tells apart two equal faults that are counted",
}

_PLACES = "`before`, `head` or `after:N`"


@dataclass(frozen=True, slots=True)
class Point:
    """Where in an answer something happens: before its head, right after its head (`after` 0), or after N units of it.

    A unit is one event of a stream, one byte of a plain body.
    """

    after: int = -1

    @property
    def before_head(self) -> bool:
        return self.after < 0


@dataclass(frozen=True, slots=True)
class Fault:
    """One parsed fault; the fields are the words of the language."""

    status: int | None = None
    type: str | None = None
    code: str | None = None
    message: str | None = None
    body: str | None = None
    retry_after: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str | None = None
    latency: float = 0.0
    pace: float | None = None
    stall: Point | None = None
    stall_for: float | None = None
    reset: Point | None = None
    fin: Point | None = None
    error: Point | None = None
    split_utf8: bool = False
    chunk: int | None = None
    newline: str = "\n"
    bom: bool = False
    comments: bool = False
    placeholder: bool = False
    no_usage: bool = False
    usage: str | None = None
    no_final: bool = False
    no_done: bool = False
    job: Literal["failed", "stuck"] | None = None
    no_length: bool = False
    short: bool = False
    gzip: str | None = None
    close: bool = False
    times: int | None = None
    skip: int = 0
    on: str = "/"


NONE = Fault()

_FLAGS: dict[str, dict[str, Any]] = {
    "split-utf8": {"split_utf8": True},
    "crlf": {"newline": "\r\n"},
    "cr": {"newline": "\r"},
    "bom": {"bom": True},
    "comments": {"comments": True},
    "placeholder": {"placeholder": True},
    "no-usage": {"no_usage": True},
    "no-final": {"no_final": True},
    "no-done": {"no_done": True},
    "no-length": {"no_length": True},
    "short": {"short": True},
    "gzip": {"gzip": "whole"},
    "close": {"close": True},
    "ok": {},
}
_INTEGERS = {"status": "status", "times": "times", "skip": "skip", "bytes": "chunk"}
_SECONDS = {"latency": "latency", "pace": "pace", "for": "stall_for"}
_PLACED = ("stall", "reset", "fin", "error")
_TEXTS = {
    "type": "type",
    "code": "code",
    "message": "message",
    "retry-after": "retry_after",
    "content-type": "content_type",
    "on": "on",
}
_CHOICES = {"usage": ("last", "twice"), "job": ("failed", "stuck"), "gzip": ("truncated", "whole")}
_BODIES = ("html", "empty", "truncated", "garbage")


def parse(text: str) -> Fault:
    """A fault from its text. Raises ValueError that names the word it does not understand."""
    found: dict[str, Any] = {}
    headers: list[tuple[str, str]] = []
    words = _split(text)
    for word in words:
        name, equals, value = (part.strip() for part in word.partition("="))
        if not equals and name in _FLAGS:
            found.update(_FLAGS[name])
        elif name == "header" and ":" in value:
            header, _, content = value.partition(":")
            headers.append((header.strip(), content.strip()))
        elif name == "body":
            if value not in _BODIES and not value.startswith("json:"):
                raise ValueError(f"Fault 'body' takes {', '.join(_BODIES)} or json:..., not {value!r}.")
            found["body"] = value
        elif name in _CHOICES and value in _CHOICES[name]:
            found[name] = value
        elif name in _PLACED and equals:
            found[name] = _point(name, value)
        elif name in _INTEGERS and value.isdigit() and (name != "bytes" or int(value) > 0):
            found[_INTEGERS[name]] = int(value)
        elif name in _SECONDS and _is_seconds(value):
            found[_SECONDS[name]] = float(value)
        elif name in _TEXTS and equals:
            found[_TEXTS[name]] = value
        elif name != "tag":
            raise ValueError(f"Unknown fault {word.strip()!r}: known words are {'; '.join(WORDS)}.")
    return Fault(**found, headers=tuple(headers))


def _split(text: str) -> list[str]:
    """Words of a fault. A `json:` body may hold semicolons, so it must be the last word and takes the rest."""
    before, marker, rest = text.partition("body=json:")
    words = [word for word in before.split(";") if word.strip()]
    return [*words, marker + rest] if marker else words


def _point(name: str, value: str) -> Point:
    if value == "before" and name != "error":
        return Point(-1)
    if value == "head" and name != "error":
        return Point(0)
    place, _, number = value.partition(":")
    if place == "after" and number.isdigit():
        return Point(int(number))
    raise ValueError(f"Fault {name!r} takes {'`after:N`' if name == 'error' else _PLACES}, not {value!r}.")


def _is_seconds(value: str) -> bool:
    try:
        return 0 <= float(value) < 86_400
    except ValueError:
        return False


class Faults:
    """Which fault the next request gets. Safe to use from the test's thread while the server runs in its own.

    Several faults are used one after the other: each for one request (or for `times`), the last until it is replaced. A
    fault that comes with a request is counted by its text.
    """

    def __init__(self, *texts: str):
        self._lock = threading.Lock()
        self._queue: deque[Fault] = deque()
        self._seen: dict[str, int] = {}
        self.plan(*texts)

    def plan(self, *texts: str) -> None:
        """Replace the plan. Without an argument no fault is planned any more."""
        faults = [parse(text) for text in texts]
        with self._lock:
            self._queue = deque(
                replace(fault, times=1) if fault.times is None and position < len(faults) - 1 else fault
                for position, fault in enumerate(faults)
            )
            self._seen.clear()

    def take(self, path: str, header: str | None) -> Fault:
        """The fault for a request that has just arrived. Raises ValueError when the header cannot be understood."""
        with self._lock:
            return self._from_header(path, header) if header is not None else self._from_plan(path)

    def _from_header(self, path: str, header: str) -> Fault:
        fault = parse(header)
        if not path.startswith(fault.on):
            return NONE
        seen = self._seen[header] = self._seen.get(header, 0) + 1
        late = fault.times is not None and seen > fault.skip + fault.times
        return NONE if seen <= fault.skip or late else fault

    def _from_plan(self, path: str) -> Fault:
        while self._queue:
            fault = self._queue[0]
            if fault.times == 0:
                self._queue.popleft()
                continue
            if not path.startswith(fault.on):
                return NONE
            if fault.skip:
                self._queue[0] = replace(fault, skip=fault.skip - 1)
                return NONE
            if fault.times is not None:
                self._queue[0] = replace(fault, times=fault.times - 1)
            return fault
        return NONE
