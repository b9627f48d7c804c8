from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from quoth.emulator import Emulator
from tests.cli.running import LONG, Quoth


@pytest.fixture(scope="session")
def running() -> Iterator[Emulator]:
    with Emulator(token_delay=0) as emulator:
        yield emulator


@pytest.fixture
def emulator(running: Emulator) -> Iterator[Emulator]:
    """The one emulator of the session, as if new; at the end nobody is connected to it any more."""
    running.clear()
    yield running
    running.clear()
    deadline = time.monotonic() + LONG
    while running.open_connections and time.monotonic() < deadline:
        time.sleep(0.001)
    assert running.open_connections == 0


@pytest.fixture
def quoth(emulator: Emulator) -> Quoth:
    return Quoth(emulator.base_url)
