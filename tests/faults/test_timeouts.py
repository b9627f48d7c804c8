"""Deadlines on our own clock: connect, first, idle, total; whatever the server does in the meantime."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from quoth import errors
from quoth.call import Timeouts
from tests.faults.harness import Caller, elapsed
from tests.faultserver import (
    FaultServer,
    Read,
    Send,
    SendSlowly,
    Stall,
    Step,
    chat,
    delta,
    head_only,
    sse,
    unanswering,
)

pytestmark = pytest.mark.timeout(30)

Calling = Callable[..., Caller]
LONG = 20.0


class HttpxLike:
    """The shape of `httpx.Timeout`."""

    def __init__(self, connect: float | None, read: float | None):
        self.connect = connect
        self.read = read
        self.write = read
        self.pool = read


def late(caller: Caller, stream: bool, **keywords: Any) -> errors.Timeout:
    with elapsed() as seconds, pytest.raises(errors.Timeout) as caught:
        caller.ask(stream=stream, **keywords)
    assert 0.2 <= seconds[0] < 5
    assert caught.value.code == "upstream_timeout"
    return caught.value


@pytest.mark.parametrize(
    "timeout",
    [0.3, Timeouts(connect=0.3), Timeouts(total=0.3), HttpxLike(connect=0.3, read=LONG)],
    ids=["float", "connect", "total", "httpx"],
)
def test_no_connection(caller_type: type[Caller], stream: bool, timeout: Any):
    with unanswering() as url, caller_type(base_url=url, timeout=timeout) as caller:
        late(caller, stream)


SILENT: dict[str, tuple[Step, ...]] = {
    "before the head": (Read(), Stall()),
    "after the head": (head_only(), Stall()),
    "a slow head": (Read(), SendSlowly(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 500, every=0.05)),
    "a slow body": (chat().first(0), SendSlowly(b" " * 500, every=0.05)),
}


@pytest.mark.parametrize("silence", SILENT, ids=lambda name: name.replace(" ", "-"))
def test_the_total_bounds_everything(calling: Calling, server: FaultServer, stream: bool, silence: str):
    server.play(*SILENT[silence])
    late(calling(), stream, timeout=0.3)
    server.wait_for(lambda: server.disconnects)


WAYS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "client": ({"timeout": 0.3}, {}),
    "call over client": ({"timeout": LONG}, {"timeout": 0.3}),
    "request_timeout": ({}, {"request_timeout": 0.3}),
    "Timeouts": ({}, {"timeout": Timeouts(total=0.3)}),
}


@pytest.mark.parametrize("way", WAYS, ids=lambda name: name.replace(" ", "-"))
def test_ways_to_say_the_total(calling: Calling, server: FaultServer, way: str):
    settings, keywords = WAYS[way]
    server.play(Read(), Stall())
    late(calling(**settings), False, **keywords)


@pytest.mark.parametrize("timeout", [Timeouts(first=0.3), HttpxLike(connect=LONG, read=0.3)], ids=["first", "httpx"])
@pytest.mark.parametrize(
    "silence",
    [
        *SILENT.values(),
        (sse(delta(role="assistant", content="")).first(1), Stall()),
        (head_only(), SendSlowly(b"8\r\n: wait\n\n\r\n" * 200, every=0.05, size=13)),
    ],
    ids=[*SILENT, "role only", "keep-alives only"],
)
def test_the_first_good_chunk_is_awaited_so_long(calling: Calling, server: FaultServer, silence: Any, timeout: Any):
    server.play(*silence)
    assert "no answer within 0.3 s" in late(calling(timeout=timeout), stream=True).message


def test_keep_alives_do_not_hurry_the_first_chunk(calling: Calling, server: FaultServer):
    wait = b"8\r\n: wait\n\n\r\n"
    answer = sse("now")
    server.play(answer.first(0), SendSlowly(wait * 8, every=0.05, size=len(wait)), answer.rest(0))
    # Each comment comes in time for `idle`, and all of them in time for `first`.
    assert calling(timeout=Timeouts(first=5, idle=0.2)).ask(stream=True).text == "now"


@pytest.mark.parametrize("silence", [(Stall(),), (Send(b"5"), Stall())], ids=["nothing", "half a size"])
def test_silence_in_mid_stream(calling: Calling, server: FaultServer, silence: Any):
    server.play(sse("one ", "two ").first(2), *silence)
    with elapsed() as seconds, pytest.raises(errors.StreamInterrupted) as caught:
        calling(timeout=Timeouts(idle=0.3)).ask(stream=True)
    assert 0.25 <= seconds[0] < 5
    assert "sent nothing for 0.3 s" in caught.value.message
    assert caught.value.partial.choices[0].message.content == "one two "
    server.wait_for(lambda: server.disconnects)


def test_a_stream_without_end(calling: Calling, server: FaultServer):
    piece = sse("x").writes[1]
    server.play(sse("one ").first(1), SendSlowly(piece * 400, every=0.03, size=len(piece)))
    with elapsed() as seconds, pytest.raises(errors.StreamInterrupted) as caught:
        calling(timeout=0.4).ask(stream=True)
    assert 0.35 <= seconds[0] < 5
    assert "total time was up" in caught.value.message
    assert caught.value.partial.choices[0].message.content.startswith("one x")


def test_events_byte_by_byte_in_mid_stream(calling: Calling, server: FaultServer):
    # Each byte comes in time; the event of which they are never does.
    server.play(sse("one ").first(1), SendSlowly(sse("x" * 900).writes[1], every=0.02))
    with elapsed() as seconds, pytest.raises(errors.StreamInterrupted):
        calling(timeout=Timeouts(idle=0.2, total=0.6)).ask(stream=True)
    assert seconds[0] < 5


def test_stream_timeout_is_for_streams_only(calling: Calling, server: FaultServer):
    server.play(Read(), Stall(0.6), Send(chat("late").raw))
    caller = calling(timeout=LONG)
    late(caller, stream=True, stream_timeout=0.3)
    assert caller.ask(stream=False, stream_timeout=0.3).text == "late"


def test_a_slow_reader_is_not_a_slow_server(calling: Calling, server: FaultServer):
    server.play(sse("one ", "two ", "three").paced(0.05))
    pieces = calling(timeout=Timeouts(idle=0.3)).stream()
    first = next(pieces)
    time.sleep(0.5)
    rest = [choice.delta.content for chunk in pieces for choice in chunk.choices]
    assert first.choices[0].delta.content == "one "
    assert rest[:2] == ["two ", "three"]


def test_a_long_answer_in_time(calling: Calling, server: FaultServer, stream: bool):
    server.play((sse("a ", "b ", "c") if stream else chat("a b c")).paced(0.15))
    said = calling(timeout=Timeouts(connect=1, first=1, idle=1, total=LONG)).ask(stream=stream)
    assert said.text == "a b c"


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), "soon", [], {"total": 1}, Timeouts(idle=0)])
def test_a_timeout_that_is_none(caller: Caller, server: FaultServer, stream: bool, timeout: Any):
    with pytest.raises(errors.BadRequestError) as caught:
        caller.ask(stream=stream, timeout=timeout)
    assert caught.value.param == "timeout"
    assert not server.requests
