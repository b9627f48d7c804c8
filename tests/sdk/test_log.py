"""The log: silent by default, a line per attempt when asked, and never a prompt, an answer or a key."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

import quoth
from quoth.emulator import Emulator
from tests.sdk.conftest import QUESTION, Complete

PROGRAM = """
import quoth
quoth.completion("poe/Grok-4", [{"role": "user", "content": "a secret question about 17 * 19"}])
try:
    quoth.completion("poe/no-such-bot", [{"role": "user", "content": "another secret"}], num_retries=0)
except quoth.QuothError:
    pass
"""


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG, logger="quoth"):
        yield caplog


def run(emulator: Emulator, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "POE_API_BASE": emulator.base_url, "POE_API_KEY": "sk-very-secret", **variables}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True, timeout=60
    )


def test_nothing_is_printed_by_default(emulator: Emulator) -> None:
    done = run(emulator)
    assert (done.stdout, done.stderr) == ("", "")


def test_a_line_for_each_attempt_on_request(emulator: Emulator) -> None:
    done = run(emulator, QUOTH_LOG="debug")
    assert done.stdout == ""
    first, second, last = done.stderr.splitlines()
    assert "quoth DEBUG poe/Grok-4 200 in 0." in first
    assert "poe/no-such-bot 404 NotFoundError in 0." in second
    assert last.endswith("gave up with NotFoundError; attempts: 1")
    assert "secret" not in done.stderr
    assert "emulated" not in done.stderr


@pytest.mark.parametrize("level", ["info", "WARNING", " "])
def test_other_levels_show_no_attempts(level: str, emulator: Emulator) -> None:
    assert run(emulator, QUOTH_LOG=level).stderr == ""


def test_the_logger_is_the_programs_own(
    complete: Complete, emulator: Emulator, lines: pytest.LogCaptureFixture
) -> None:
    emulator.faults("status=503; header=x-request-id:req-9; times=1", "header=x-request-id:req-10")
    complete(num_retries=1)
    assert [record.name for record in lines.records] == ["quoth", "quoth"]
    assert "503 ServiceUnavailableError" in lines.messages[0]
    assert "(request req-10)" in lines.messages[1]


def test_batches_and_streams_are_logged_too(emulator: Emulator, lines: pytest.LogCaptureFixture) -> None:
    quoth.batch_completion("poe/Grok-4", [QUESTION, QUESTION])
    with quoth.completion("poe/Grok-4", QUESTION, stream=True) as stream:
        list(stream)
    assert len(lines.messages) == 3


def test_the_root_logger_is_left_alone(emulator: Emulator) -> None:
    before = list(logging.getLogger().handlers)
    quoth.completion("poe/Grok-4", QUESTION)
    assert logging.getLogger().handlers == before
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("quoth").handlers)
