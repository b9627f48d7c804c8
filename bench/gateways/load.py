"""The load: wrk, with a body of its own for each kind of work."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["KEY", "MODEL", "OVER_MESSAGES", "STREAMS", "WORKS", "LoadFailed", "Work", "streams", "wrk"]

KEY = "sk-bench-0123456789abcdef"
MODEL = "gemini-3.1-pro"
OVER_MESSAGES = "over-messages"  # a model that Quoth calls over Anthropic's wire
EVENTS = 103
STREAMS = 500


class LoadFailed(Exception):
    """Nothing was measured; the message says why."""


@dataclass(frozen=True)
class Work:
    """`size` is that of the body in bytes; `per` what the processor time of a request is divided by; `path` a part of
    the upstream. `beyond`: the work over one wire that this one, across wires, is compared with; only Quoth does
    it."""

    name: str
    title: str
    size: int
    connections: int
    stream: bool = False
    per: int = 1
    path: str = ""
    model: str = MODEL
    route: str = "/chat/completions"
    beyond: str = ""


WORKS = {
    work.name: work
    for work in (
        Work("small", "body of 0.5 kB", 500, 32),
        Work("medium", "body of 20 kB", 20_000, 32),
        Work("large", "body of 200 kB", 200_000, 16),
        Work("alone", "one connection, 0.5 kB", 500, 1),
        Work("stream", "stream, per event", 500, 64, stream=True, per=EVENTS, path="/paced"),
        Work("to-messages", "chat told to Messages, 0.5 kB", 500, 32, model=OVER_MESSAGES, beyond="small"),
        Work("from-messages", "Messages told to chat, 0.5 kB", 500, 32, route="/messages", beyond="small"),
        Work(
            "to-messages-stream",
            "chat told to Messages, per event",
            500,
            64,
            stream=True,
            per=EVENTS,
            path="/paced",
            model=OVER_MESSAGES,
            beyond="stream",
        ),
        Work(
            "from-messages-stream",
            "Messages told to chat, per event",
            500,
            64,
            stream=True,
            per=EVENTS,
            path="/paced",
            route="/messages",
            beyond="stream",
        ),
    )
}


def wrk(url: str, work: Work, seconds: int, core: int | None) -> dict[str, float]:
    """The figures of one run. Raises LoadFailed."""
    said = "What is the capital of France? " * (work.size // 31 + 1)
    body: dict[str, Any] = {
        "model": work.model,
        "messages": [{"role": "user", "content": said[: max(1, work.size - 90)]}],
    }
    if work.stream:
        body["stream"] = True
    if work.route == "/messages":
        body["max_tokens"] = 1000
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(
            'wrk.method = "POST"\nwrk.headers["content-type"] = "application/json"\n'
            f'wrk.headers["authorization"] = "Bearer {KEY}"\n'
            f"wrk.body = {json.dumps(json.dumps(body, separators=(',', ':')))}\n"
        )
        script.flush()
        command = ["wrk", "-t1", f"-c{work.connections}", f"-d{seconds}s", "--latency", "--timeout", "20s"]
        pinned = [] if core is None else ["taskset", "-c", str(core)]
        done = subprocess.run(
            [*pinned, *command, "-s", script.name, f"{url}{work.route}"], capture_output=True, text=True
        )
    text = done.stdout
    requests = int(_found(r"(\d+) requests in", text))
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return {
        "requests": max(1, requests),
        "per_second": float(_found(r"Requests/sec:\s+([\d.]+)", text)),
        "p50_ms": _milliseconds(_found(r"(?m)^\s+50%\s+(\S+)", text)),
        "p99_ms": _milliseconds(_found(r"(?m)^\s+99%\s+(\S+)", text)),
        "bad": float(bad[1]) if bad else 0.0,
    }


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise LoadFailed(f"wrk said nothing of {pattern}: {text[-500:]}")
    return found[1]


def _milliseconds(text: str) -> float:
    for unit, factor in (("us", 1e-3), ("ms", 1.0), ("s", 1e3), ("m", 6e4)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    return float(text)


def streams(url: str, core: int | None) -> dict[str, Any]:
    """STREAMS streams at once, looked at event by event. Raises LoadFailed."""
    program = str(Path(__file__).with_name("streams.py"))
    command = [sys.executable, program, url, str(STREAMS), KEY, MODEL, *([] if core is None else [str(core)])]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise LoadFailed((done.stderr.strip().splitlines() or ["it ended without a word"])[-1])
    found: dict[str, Any] = json.loads(done.stdout)
    return found
