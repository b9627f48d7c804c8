"""The request log: what a line says and does not say, and sinks that do not take it (S20)."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from quoth.gateway.exchange import Tokens
from quoth.gateway.log import Log
from quoth.gateway.redact import Redactor
from quoth.gateway.settings import Log as Options
from quoth.types import Attempt, Cost, Warning
from tests.gateway.exchanges import candidate, exchange, routes


def until(condition: Callable[[], bool]) -> None:
    """Look until it is so; the test's own timeout is the bound."""
    while not condition():
        time.sleep(0.005)


def lines(path: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "requests.log"


def written(path: Path, *exchanges: Any, **options: Any) -> list[dict[str, Any]]:
    log = Log(Options(path=str(path), **options), Redactor(["secret-of-ours-1"]))
    for one in exchanges:
        log.over(one)
    log.close(10)
    return lines(path)


def test_a_line_says_what_is_known(path: Path):
    [line] = written(
        path,
        exchange(
            model="small",
            known_model="small",
            wire="openai_chat",
            candidate=candidate(routes(), "small"),
            stream=True,
            first_at=10.25,
            upstream_seconds=0.2,
            tokens=Tokens(100, 20, cached=60, reasoning=3),
            cost=Cost(usd=Decimal("0.0000001"), points=1, source="estimated"),
            attempts=[Attempt("poe", "m", "w", 0.1, 500, "InternalServerError"), Attempt("poe", "m", "w", 0.1, 200)],
            fallbacks=1,
            waited=0.125,
            warnings=[Warning("ignored", "seed", "it has no effect")],
            bytes_in=300,
            bytes_out=900,
            client="10.0.0.1",
            finish_reason="stop",
            headers={b"traceparent": b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
        ),
    )
    assert line.pop("time").endswith("Z")
    assert line == {
        "id": "req_1",
        "method": "POST",
        "route": "/v1/chat/completions",
        "status": 200,
        "total_ms": 500.0,
        "overhead_ms": 50.0,
        "key": "master",
        "model": "small",
        "served": "poe/GPT-5.2",
        "deployment": "d1",
        "wire": "openai_chat",
        "stream": True,
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "cached_tokens": 60,
        "reasoning_tokens": 3,
        "cost_usd": "0.0000001",
        "cost_points": 1,
        "cost_source": "estimated",
        "first_ms": 250.0,
        "waited_ms": 125.0,
        "attempts": 2,
        "fallbacks": 1,
        "finish_reason": "stop",
        "warnings": ["ignored"],
        "bytes_in": 300,
        "bytes_out": 900,
        "client": "10.0.0.1",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    }


def test_neither_prompt_nor_answer_nor_secret_is_in_it(path: Path):
    secret = "my prompt"
    one = exchange(
        model="secret-of-ours-1 and more",
        status=400,
        error="invalid_request_error",
        message=f"cannot read {secret}",
        request={"messages": [secret]},
        answer={"choices": [secret]},
        headers={b"authorization": b"Bearer secret-of-ours-1", b"traceparent": b"my prompt"},
        left=True,
    )
    for format in ("json", "text"):
        log = Log(Options(path=str(path), format=format), Redactor(["secret-of-ours-1"]))
        log.over(one)
        log.close(10)
    text = path.read_text()
    assert secret not in text
    assert "secret-of-ours-1" not in text
    assert "[key] and more" in text


def test_error_texts_are_for_debugging_and_redacted(path: Path):
    one = exchange(status=502, error="upstream_auth", message="refused secret-of-ours-1")
    [line] = written(path, one, level="debug")
    assert (line["error"], line["message"]) == ("upstream_auth", "refused [key]")


def test_levels_leave_out_what_went_well(path: Path):
    some = [
        exchange(),
        exchange(status=404, error="not_found_error"),
        exchange(status=200, error="stream_interrupted"),
        exchange(status=502, error="upstream_error"),
    ]
    assert [line["status"] for line in written(path, *some, level="warning")] == [404, 200, 502]
    path.unlink()
    assert [line["status"] for line in written(path, *some, level="error")] == [502]


def test_names_of_any_length_and_half_characters(path: Path):
    names = ["m" * 1_000_000, "half \ud800 a pair", "two\nlines\x1b[31m"]
    found = written(path, *(exchange(model=name) for name in names))
    assert [len(line["model"]) for line in found] == [200, 13, len(names[2])]
    assert found[1]["model"] == "half ? a pair"


def test_text_is_one_line_for_each_request(path: Path):
    log = Log(Options(path=str(path), format="text"), str)
    log.over(exchange(model="two\nlines\x1b[31m", client=None))
    log.over(exchange(known_model="small", candidate=candidate(routes(), "small"), tokens=Tokens(7, None)))
    log.close(10)
    first, second = path.read_text().splitlines()
    assert "two?lines?[31m" in first
    assert "200 POST /v1/chat/completions small -> poe/GPT-5.2 500 ms (own 100.0) 7+0 tokens key=master" in second


def test_none_writes_nothing_and_starts_no_thread(path: Path):
    before = threading.active_count()
    log = Log(Options(format="none", path=str(path)), str)
    log.over(exchange())
    assert threading.active_count() == before
    log.close(1)
    assert not path.exists()


def test_lines_are_written_soon_and_not_only_at_the_end(path: Path):
    log = Log(Options(path=str(path)), str)
    log.over(exchange())
    until(lambda: path.stat().st_size > 0)
    log.close(10)


def test_a_file_that_was_moved_is_opened_anew(path: Path):
    log = Log(Options(path=str(path)), str)
    log.over(exchange(id="first"))
    until(lambda: path.stat().st_size > 0)
    moved = path.with_suffix(".1")
    path.rename(moved)
    log.over(exchange(id="second"))
    log.close(10)
    assert [line["route"] for line in lines(moved)] == ["/v1/chat/completions"]
    assert len(lines(path)) == 1


def test_a_path_that_cannot_be_opened_is_said_at_once(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        Log(Options(path=str(tmp_path / "nowhere" / "requests.log")), str)


def test_a_full_pipe_drops_lines_and_stalls_nobody(tmp_path: Path):
    """S20: nobody reads, the queue fills up, requests go on; then somebody reads, and is told what is missing."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    log = Log(Options(path=str(pipe)), str)
    for _ in range(12_000):
        log.over(exchange())
    assert log.dropped > 0
    os.set_blocking(reader, True)
    data = bytearray()

    def read() -> None:
        while piece := os.read(reader, 65536):
            data.extend(piece)

    thread = threading.Thread(target=read)
    thread.start()
    until(lambda: b"log_lines_dropped" in data)
    log.close(10)
    thread.join()
    os.close(reader)
    found = [msgspec.json.decode(line) for line in data.splitlines()]
    missing = sum(line.get("log_lines_dropped", 0) for line in found)
    assert missing == log.dropped
    assert sum("id" in line for line in found) + missing == 12_000


def test_a_pipe_that_does_not_block_is_waited_for(tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    log = Log(Options(path=str(pipe)), str)
    os.set_blocking(log._sink._file, False)
    for _ in range(900):
        log.over(exchange())
    until(lambda: not log._groups)  # the thread has them, and the pipe is full
    os.set_blocking(reader, True)
    with os.fdopen(reader, "rb") as opened:
        thread = threading.Thread(target=log.close, args=(30,))
        thread.start()
        assert sum(1 for _ in opened) == 900
        thread.join()
    assert log.dropped == 0


def test_a_pipe_that_nobody_reads_does_not_hold_up_the_end(tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    log = Log(Options(path=str(pipe)), str)
    for _ in range(3_000):
        log.over(exchange())
    log.close(0.05)
    assert log.dropped > 0
    os.close(reader)  # and the thread ends with an error that it counts


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_drops_lines_and_says_why():
    log = Log(Options(path="/dev/full"), str)
    log.over(exchange())
    log.over(exchange())
    until(lambda: log.dropped == 2)
    assert log.problem is not None
    assert "No space left" in log.problem
    log.close(10)


def test_workers_that_share_a_pipe_do_not_mix_up_their_lines(tmp_path: Path):
    program = """
import sys
from quoth.gateway.exchange import Exchange
from quoth.gateway.log import Log
from quoth.gateway.settings import Log as Options

log = Log(Options(), str)
for number in range(2000):
    one = Exchange(f"req_{number}", "POST", "/v1/chat/completions", "chat", {}, 0.0)
    one.model = "m" * 150
    log.over(one)
log.close(30)
"""
    reader, writer = os.pipe()
    workers = [subprocess.Popen([sys.executable, "-c", program], stdout=writer) for _ in range(3)]
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        found = [msgspec.json.decode(line) for line in pipe]
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    assert len(found) == 6000
