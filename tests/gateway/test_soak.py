"""`make soak`: hundreds of thousands of requests through one worker, one in twenty failing upstream, one in twenty left
by its client; and nothing is left of them."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.gateway.serving import KEY, ROOT, Serving
from tests.gateway.soaking import KINDS, Crowd

REQUESTS = int(os.environ.get("QUOTH_SOAK", "200000"))
WARM = 20_000
EVERY = 20_000
MIB = 1 << 20
# A bound against hangs, not a measurement.
MINUTES = 60


@pytest.fixture
def upstream() -> Iterator[str]:
    command = [sys.executable, "-m", "tests.gateway.soaking"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        assert process.stdin is not None
        process.stdin.close()


class Left:
    """What a worker holds: tasks, descriptors, connections, requests in flight, memory in bytes."""

    def __init__(self, gateway: Serving):
        (worker,) = psutil.Process(gateway.process.pid).children()
        page = gateway.get("/metrics").body.decode()
        self.in_flight = number(page, "quoth_in_flight") - 1  # the one that asks
        self.calls = number(page, "quoth_deployment_in_flight")
        self.tasks = number(page, "quoth_tasks")
        self.requests = number(page, "quoth_requests_total")
        self.files = worker.num_fds()
        self.connections = len(worker.net_connections())
        self.memory = worker.memory_info().rss
        self.parent = psutil.Process(gateway.process.pid).memory_info().rss

    def __str__(self) -> str:
        return (
            f"{self.memory / MIB:.1f} MiB (parent {self.parent / MIB:.1f}), {self.tasks:.0f} tasks, "
            f"{self.files} files, {self.connections} connections, {self.in_flight:.0f} in flight"
        )


def number(page: str, name: str) -> float:
    """The sum of a metric over all of its labels."""
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", page, re.M))


def settled(gateway: Serving) -> Left:
    """What is left once nobody calls any more."""
    end = time.monotonic() + 30
    while True:
        left = Left(gateway)
        if (left.in_flight, left.calls) == (0, 0) or time.monotonic() > end:
            time.sleep(1)  # what ends with the last call ends now
            return Left(gateway)
        time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.timeout(MINUTES * 60 + 60)
def test_nothing_is_left_of_many_requests(tmp_path: Path, upstream: str, capsys: pytest.CaptureFixture[str]) -> None:
    def say(text: str) -> None:
        with capsys.disabled():
            print(text, flush=True)

    # The fifth of a second that a 429 without Retry-After may hold back its model would be most of the time.
    router = {"num_retries": 0, "disable_cooldowns": True}
    with Serving(tmp_path, upstream=upstream, router_settings=router) as gateway:
        crowd = Crowd(gateway.host, gateway.port, KEY)
        began = time.monotonic()
        done = 0
        warm: Left | None = None
        for count in [min(EVERY, REQUESTS - start) for start in range(0, REQUESTS, EVERY)]:
            asyncio.run(asyncio.wait_for(crowd.come(count), MINUTES * 60))
            done += count
            left = settled(gateway)
            grown = "" if warm is None else f", {(left.memory - warm.memory) / MIB:+.1f} MiB since {WARM}"
            say(f"\n{done} requests in {time.monotonic() - began:.0f} s: {left}{grown}")
            if done >= WARM and warm is None:
                warm = left
        assert warm is not None, f"a soak is {WARM} requests at least"
        say("\n".join(f"  {crowd.made[kind]:>7} {kind}" for kind in KINDS))
        assert not crowd.wrong, crowd.wrong.most_common(20)
        assert sum(crowd.made.values()) == REQUESTS
        assert (left.in_flight, left.calls) == (0, 0)
        assert left.tasks <= warm.tasks
        # Of the connections to the provider as many are kept as calls were under way together: some number up to that.
        assert left.connections <= crowd.at_once + 4
        assert left.files - left.connections <= warm.files - warm.connections + 2
        assert left.memory - warm.memory < 5 * MIB
        assert gateway.stop() == 0
