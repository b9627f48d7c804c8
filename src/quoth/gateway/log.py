"""The request log: one line for each request, without a word of what was asked or answered.

    log = Log(settings.quoth.log, redact)     # opens `path`; OSError when it cannot be
    log.over(*exchanges)                      # never waits
    log.close(timeout=2.0)

Groups of lines wait, encoded, in a queue for one thread, which writes them. Where the sink does not take them (a full
pipe, a full disk) the queue fills up, further lines are dropped and counted, and a line says so once there is room
again.
"""

from __future__ import annotations

import os
import re
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from select import PIPE_BUF, select

import msgspec

from quoth.gateway.exchange import Exchange, Tokens
from quoth.gateway.settings import Log as Options

__all__ = ["Dropped", "Line", "Log", "line_of"]

# What is there is written so long after the first of it came, in seconds. Each time costs requests some microseconds:
# the thread asks several times for the lock that Python code runs under, and gets it from whoever answers one.
_GATHER = 0.1
_MOST_LINES, _MOST_AT_ONCE = 10_000, 1000
_PIECE = 64 << 10
# A caller may send a name of any length.
_LONGEST_NAME, _LONGEST_MESSAGE = 200, 500
_STDOUT = 1
_NO_TOKENS = Tokens()
_TRACEPARENT = re.compile(rb"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


class Line(msgspec.Struct, omit_defaults=True):
    """What the log says of one request. `time` is its end, times in milliseconds end in `_ms`; `key` is who called, by
    a name that is safe to show; `model` what was asked for, `served` who answered. `first_ms`: to the first byte of a
    stream. `overhead_ms` is what was not spent waiting for providers, `waited_ms` was spent in line. `cost_usd` is
    decimal; absent: not known. What is 0, false, empty or not known is left out.
    """

    time: datetime
    id: str
    method: str
    route: str
    status: int
    total_ms: float
    overhead_ms: float
    key: str = ""
    model: str = ""
    served: str = ""
    deployment: str = ""
    wire: str = ""
    stream: bool = False
    error: str = ""
    message: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: str | None = None
    cost_points: int | None = None
    cost_source: str = ""
    first_ms: float = 0.0
    waited_ms: float = 0.0
    attempts: int = 0
    fallbacks: int = 0
    finish_reason: str | None = None
    cache_hit: bool = False
    left: bool = False
    warnings: tuple[str, ...] = ()
    bytes_in: int = 0
    bytes_out: int = 0
    client: str | None = None
    trace_id: str = ""


class Dropped(msgspec.Struct):
    """Stands where lines are missing."""

    time: datetime
    log_lines_dropped: int


def line_of(exchange: Exchange, redact: Callable[[str], str], clocks: float, *, message: bool = False) -> Line:
    """The line of one request. `clocks`: seconds by which the clock on the wall is ahead of the exchange's. `message`:
    with the text of its error."""
    started, ended, candidate = exchange.started, exchange.ended, exchange.candidate
    caller, model, headers = exchange.caller, exchange.known_model, exchange.headers
    served = deployment = wire = error = text = trace = ""
    attempts, first, waited = 0, 0.0, 0.0
    warnings: tuple[str, ...] = ()
    if candidate is not None:
        served = candidate.model if model else redact(candidate.model[:_LONGEST_NAME])
        deployment, wire, attempts = candidate.deployment.id, exchange.wire, len(exchange.attempts)
        if exchange.waited:
            waited = _ms(exchange.waited)
    if exchange.stream and exchange.first_at:
        first = _ms(exchange.first_at - started)
    if exchange.error:
        error = exchange.error
        if message:
            text = redact(exchange.message[:_LONGEST_MESSAGE])
    if exchange.warnings:
        warnings = tuple(warning.code for warning in exchange.warnings)
    if b"traceparent" in headers and (found := _TRACEPARENT.fullmatch(headers[b"traceparent"])):
        trace = found[1].decode()
    tokens, cost = exchange.tokens or _NO_TOKENS, exchange.cost
    usd, points, source = (None, None, "") if cost is None else (cost.usd, cost.points, cost.source)
    return Line(  # by position: names take half as long again
        datetime.fromtimestamp(ended + clocks, UTC),
        exchange.id,
        exchange.method,
        exchange.route,
        exchange.status,
        _ms(ended - started),
        _ms(exchange.overhead),
        "" if caller is None else caller.id,
        model or (exchange.model and redact(exchange.model[:_LONGEST_NAME])),
        served,
        deployment,
        wire,
        exchange.stream,
        error,
        text,
        tokens.prompt,
        tokens.completion,
        tokens.cached,
        tokens.reasoning,
        None if usd is None else f"{usd:f}",
        points,
        source,
        first,
        waited,
        attempts,
        exchange.fallbacks if attempts else 0,
        exchange.finish_reason,
        exchange.cache_hit,
        exchange.left,
        warnings,
        exchange.bytes_in,
        exchange.bytes_out,
        exchange.client,
        trace,
    )


def _ms(seconds: float) -> float:
    return int(seconds * 1e6 + 0.5) / 1e3  # round() to three places takes four times as long


class Log:
    """`options.level`: "info" writes every request, "debug" with the messages of errors, "warning" those that failed,
    "error" those that failed with a 5xx. `dropped` counts the lines that are lost for good, `problem` is why."""

    def __init__(self, options: Options, redact: Callable[[str], str] = str):
        self.dropped = 0
        self.problem: str | None = None
        self._redact = redact
        self._message = options.level == "debug"
        self._least = {"warning": 400, "error": 500}.get(options.level, 0)
        # Groups of lines, each with how many they are; how many came, and how many the thread has taken.
        self._groups: deque[tuple[int, bytes]] = deque()
        self._came = self._taken = 0
        self._wake = threading.Event()
        self._awake = False
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        if options.format != "none":
            self._sink = _Sink(options.path)
            self._encode = _as_json if options.format == "json" else _as_text
            self._thread = threading.Thread(target=self._write, name="quoth-log", daemon=True)
            self._thread.start()

    def over(self, *exchanges: Exchange) -> None:
        """Write the lines of these requests, soon."""
        if self._thread is None:
            return
        if self._least:
            exchanges = tuple(filter(self._wanted, exchanges))
        room = _MOST_LINES - (self._came - self._taken)
        if len(exchanges) > room:
            self.dropped += len(exchanges) - room
            exchanges = exchanges[:room]
        if not exchanges:
            return
        redact, message = self._redact, self._message
        clocks = datetime.now(UTC).timestamp() - time.monotonic()
        lines = [line_of(exchange, redact, clocks, message=message) for exchange in exchanges]
        self._groups.append((len(lines), self._encode(lines)))
        self._came += len(lines)
        if not self._awake:
            self._awake = True
            self._wake.set()

    def _wanted(self, exchange: Exchange) -> bool:
        return exchange.status >= self._least or (self._least == 400 and bool(exchange.error))

    def close(self, timeout: float) -> None:
        """Write what waits, for `timeout` seconds at most; what is left then is dropped. A second time: nothing."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._closing.set()
        self._wake.set()
        thread.join(timeout)
        if thread.is_alive():  # a sink that takes nothing; the thread ends with the process
            self.dropped += sum(count for count, _ in self._groups)
            self._groups.clear()
        else:
            self._sink.close()

    # --- The thread ---------------------------------------------------------------------------------------------

    def _write(self) -> None:
        said = 0
        while True:
            self._wake.wait()
            last = self._closing.wait(_GATHER)
            # In this order: a line that comes from here on wakes this thread again.
            self._wake.clear()
            self._awake = False
            while self._groups:
                count, pieces = 0, []
                while self._groups and count < _MOST_AT_ONCE:
                    lines, piece = self._groups.popleft()
                    count += lines
                    pieces.append(piece)
                self._taken += count
                dropped = self.dropped
                if dropped > said:
                    pieces.append(self._encode([Dropped(datetime.now(UTC), dropped - said)]))
                try:
                    self._sink.write(b"".join(pieces))
                except OSError as error:
                    self.dropped += count
                    self.problem = f"{self._sink.name}: {error.strerror or error}"
                else:
                    said, self.problem = dropped, None
            if last and not self._groups:
                return


class _Sink:
    """Where lines go: a file that may be moved away (log rotation), or standard output."""

    def __init__(self, path: str | None):
        self.name = path or "standard output"
        self._path = path
        self._file = _STDOUT if path is None else _opened(path)
        self._torn = False
        # What is written to a pipe in pieces of this size is not mixed up with what other workers write.
        self._piece = PIPE_BUF if stat.S_ISFIFO(os.fstat(self._file).st_mode) else _PIECE

    def write(self, data: bytes) -> None:
        """All of it, or OSError."""
        if self._path is not None:
            self._follow(self._path)
        start = 0
        while start < len(data):
            end = len(data) if len(data) - start <= self._piece else data.rfind(b"\n", start, start + self._piece) + 1
            if end <= start:  # a line that is longer than a piece
                end = data.find(b"\n", start) + 1 or len(data)
            self._put(data[start:end])
            start = end

    def close(self) -> None:
        if self._path is not None:
            os.close(self._file)

    def _put(self, data: bytes) -> None:
        if self._torn:
            data = b"\n" + data
        written = 0
        try:
            while written < len(data):
                try:
                    written += os.write(self._file, data[written:])
                except BlockingIOError:  # somebody who shares the pipe made it non-blocking
                    select([], [self._file], [])
        finally:
            if written:
                self._torn = written < len(data)

    def _follow(self, path: str) -> None:
        """Open the file anew when it was moved or deleted."""
        ours = os.fstat(self._file)
        with suppress(FileNotFoundError):
            there = os.stat(path)
            if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
                return
        new = _opened(path)
        os.close(self._file)
        self._file, self._torn = new, False


def _opened(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)


_ENCODER = msgspec.json.Encoder()


def _as_json(lines: Sequence[Line | Dropped]) -> bytes:
    try:
        return _ENCODER.encode_lines(lines)
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can say and UTF-8 cannot
        return _ENCODER.encode_lines([_utf8(line) for line in lines])


def _utf8(line: Line | Dropped) -> Line | Dropped:
    texts = {name: value for name in line.__struct_fields__ if isinstance(value := getattr(line, name), str)}
    return msgspec.structs.replace(line, **{name: _clean(text) for name, text in texts.items()})


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _as_text(lines: Sequence[Line | Dropped]) -> bytes:
    return "".join(f"{_text(line)}\n" for line in lines).encode("utf-8", "replace")


def _text(line: Line | Dropped) -> str:
    """For people: the most telling first."""
    if isinstance(line, Dropped):
        return f"{line.time:%Y-%m-%d %H:%M:%S} {line.log_lines_dropped} lines are missing here"
    said = [f"{line.time:%Y-%m-%d %H:%M:%S}", str(line.status), line.method, line.route]
    if line.model:
        said.append(f"{line.model} -> {line.served}" if line.served else line.model)
    said.append(f"{line.total_ms:.0f} ms (own {line.overhead_ms:.1f}")
    said[-1] += f", first {line.first_ms:.0f})" if line.first_ms else ")"
    if line.prompt_tokens is not None or line.completion_tokens is not None:
        said.append(f"{line.prompt_tokens or 0}+{line.completion_tokens or 0} tokens")
    if line.cost_usd is not None:
        said.append(f"${line.cost_usd}")
    if line.attempts > 1:
        said.append(f"{line.attempts} attempts")
    said += [
        word for word, is_so in (("stream", line.stream), ("cached", line.cache_hit), ("left", line.left)) if is_so
    ]
    said += [part for part in (line.error, line.message, f"key={line.key}" if line.key else "", line.id) if part]
    # A name must not begin a line of its own, nor colour a terminal.
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(said))
