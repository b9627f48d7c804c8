"""Fixtures for programs that call Poe: an emulator, and the environment that points to it.

Loaded by pytest through its entry point, so importing it must cost nothing: the emulator is imported when a test asks
for it.

    def test_answer(poe_emulator):
        answer = quoth.completion("poe/Grok-4", [{"role": "user", "content": "What is 2 + 3?"}])
        assert "5" in answer.choices[0].message.content
        assert poe_emulator.requests[0].body["model"] == "Grok-4"
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from quoth.emulator import Emulator

__all__ = ["poe_emulator", "poe_emulator_server"]


@pytest.fixture(scope="session")
def poe_emulator_server() -> Iterator[Emulator]:
    """One emulator for the whole run, without delays."""
    from quoth.emulator import Emulator

    with Emulator(token_delay=0) as emulator:
        yield emulator


@pytest.fixture
def poe_emulator(poe_emulator_server: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """The emulator as if new, with `POE_API_BASE` and `POE_API_KEY` pointing to it."""
    poe_emulator_server.clear()
    monkeypatch.setenv("POE_API_BASE", poe_emulator_server.base_url)
    monkeypatch.setenv("POE_API_KEY", "emulated-key")
    yield poe_emulator_server
    poe_emulator_server.clear()
