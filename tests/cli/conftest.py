from __future__ import annotations

from collections.abc import Iterator

import pytest

from quoth.emulator import Emulator
from tests.cli.running import Quoth


@pytest.fixture(scope="session")
def running() -> Iterator[Emulator]:
    with Emulator(token_delay=0) as emulator:
        yield emulator


@pytest.fixture
def emulator(running: Emulator) -> Iterator[Emulator]:
    """The one emulator of the session, as if new."""
    running.clear()
    yield running
    running.clear()


@pytest.fixture
def quoth(emulator: Emulator) -> Quoth:
    return Quoth(emulator.base_url)
