"""The parts of a batch by themselves: the pace, the lines, the journal, and how a full budget is waited for."""

from __future__ import annotations

import asyncio
import json
import os
import random
import tracemalloc
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quoth import BudgetExceededError, Completion
from quoth.sdk.bulk import Bulk, Defaults, InputFault, Journal, JournalFault, Line, read
from quoth.sdk.pace import Pace

DEFAULTS = Defaults("poe/Grok-4")


def lines_of(path: Path, text: str | bytes, defaults: Defaults = DEFAULTS) -> list[Line]:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return list(read(path, defaults))


def record(line: int, error: Any = None, usd: str | None = "0.01") -> bytes:
    return json.dumps({"id": id_of(line), "error": error, "cost": {"usd": usd}}).encode()


def id_of(line: int) -> str:
    return f"batch_req_{line:016x}{0:016x}"


# The pace


@given(
    rpm=st.one_of(st.integers(1, 2000), st.floats(1, 2000)),
    pauses=st.lists(st.floats(0, 30), min_size=1, max_size=300),
)
def test_no_minute_has_more_calls_than_the_pace_allows(rpm: float, pauses: list[float]) -> None:
    pace, now, calls = Pace(rpm), 1000.0, []
    for pause in [0.0] * 400 + pauses:
        now += pause
        now += pace.wait(now)
        calls.append(now)
    for place, first in enumerate(calls):
        within = sum(1 for moment in calls[place:] if moment < first + 60 - 1e-6)
        assert within <= max(2, rpm + 1e-9)


def test_a_pace_does_not_hold_back_what_is_slower() -> None:
    pace = Pace(480)
    assert [pace.wait(moment) for moment in range(0, 100, 2)] == [0.0] * 50


def test_a_pace_reaches_nearly_its_rate() -> None:
    pace, now = Pace(480), 0.0
    for _ in range(4800):
        now += pace.wait(now)
    assert 9 * 60 < now < 12 * 60


@pytest.mark.parametrize("rpm", [0, -1])
def test_a_pace_of_nothing_is_none(rpm: int) -> None:
    with pytest.raises(ValueError, match="are none"):
        Pace(rpm)


# The lines


def test_lines_have_the_same_id_in_every_run_and_another_when_they_say_another_thing(tmp_path: Path) -> None:
    text = '{"prompt": "a"}\n\n  \n{"prompt": "a"}\n{"prompt": "b", "temperature": 1}\n'
    first, again = lines_of(tmp_path / "a.jsonl", text), lines_of(tmp_path / "b.jsonl", "\ufeff" + text)
    assert [line.id for line in first] == [line.id for line in again]
    assert len({line.id for line in first}) == 3, "the same prompt twice are two calls"
    assert [line.number for line in first] == [0, 1, 2]
    other = lines_of(tmp_path / "c.jsonl", text, Defaults("poe/Grok-4", params={"max_tokens": 5}))
    assert {line.id for line in other}.isdisjoint(line.id for line in first)
    moved = lines_of(tmp_path / "d.jsonl", '{ "temperature": 1, "prompt": "b" }\n' * 3)
    assert moved[2].id == first[2].id, "spaces and the order of keys say nothing"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[1]", "not a JSON object"),
        ('{"prompt": 5}', "prompt is int"),
        ("{}", "either prompt or messages"),
        ('{"prompt": "a", "messages": []}', "either prompt or messages"),
        ('{"prompt": "a", "custom_id": 5}', "custom_id is 5"),
        ('{"prompt": "a", "model": ""}', "model is ''"),
        ('{"body": []}', "body is not an object"),
        ('{"body": {}, "method": "GET"}', "method is 'GET'"),
        ('{"prompt": "a", "headers": {"x": "y"}}', "headers may not stand"),
        ('{"prompt": "a", "fallbacks": [{"model": "poe/x", "api_base": "http://evil"}]}', "fallbacks may not stand"),
        (b'{"prompt": "\xff"}', "not JSON"),
        ('{"prompt": "a"', "not JSON"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_what_is_wrong_with_a_line_is_said_in_its_place(tmp_path: Path, text: str | bytes, problem: str) -> None:
    data = text.encode() if isinstance(text, str) else text
    good = b'{"prompt": "fine"}\n'
    before, wrong, after = lines_of(tmp_path / "in.jsonl", good + data + b"\n" + good)
    assert (before.problem, after.problem) == (None, None)
    assert wrong.problem is not None
    assert problem in wrong.problem


def test_a_csv_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputFault, match="no column named prompt"):
        lines_of(tmp_path / "in.csv", "a,b\n1,2\n")
    with pytest.raises(InputFault, match="no column named prompt; its columns are none"):
        lines_of(tmp_path / "in.csv", "")
    with pytest.raises(InputFault, match="cannot be read as CSV"):
        lines_of(tmp_path / "in.csv", b"prompt\ngood\n\xff\xfe\n")


def test_columns_of_a_csv(tmp_path: Path) -> None:
    one, two = lines_of(tmp_path / "in.csv", "model,prompt,system,other\npoe/GPT-5,hi,Be kind.,7\n,ho,,\n")
    assert (one.model, one.messages[0]["content"], one.params) == ("poe/GPT-5", "Be kind.", {})
    assert (two.model, two.messages) == ("poe/Grok-4", [{"role": "user", "content": "ho"}])


def test_an_input_is_never_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    line = json.dumps({"prompt": "x" * 10_000}).encode() + b"\n"
    with path.open("wb") as file:
        for _ in range(5_000):
            file.write(line)
    tracemalloc.start()
    try:
        assert sum(1 for _ in read(path, DEFAULTS)) == 5_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000 < path.stat().st_size


# The journal


def test_what_was_added_is_finished_and_comes_out_in_order(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with Journal(output) as journal:
        for number in (2, 0, 1):
            journal.add(number, record(number, error={"message": "no"} if number == 1 else None), Decimal("0.01"))
        journal.sync()
    with Journal(output) as journal:
        assert [journal.finished(number, id_of(number)) for number in range(4)] == [True, True, True, False]
        assert not journal.finished(0, id_of(7)), "another line at the same place"
        assert not journal.finished(1, id_of(1), errors_too=False)
        assert (journal.usd, journal.without_cost) == (Decimal("0.03"), 0)
        journal.finish(3)
    assert output.read_bytes() == b"".join(
        record(number, error={"message": "no"} if number == 1 else None) + b"\n" for number in range(3)
    )
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]
    with Journal(output) as journal:
        journal.add(1, record(1), Decimal("0.02"))
        journal.finish(3)
    assert output.read_bytes() == b"".join(record(number) + b"\n" for number in range(3))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(cut=st.integers(0, 2000), rest=st.binary(max_size=20), seed=st.integers())
def test_a_journal_that_ends_anywhere_is_read_up_to_there(tmp_path: Path, cut: int, rest: bytes, seed: int) -> None:
    output = tmp_path / "out.jsonl"
    part = tmp_path / "out.jsonl.part"
    part.unlink(missing_ok=True)
    order = random.Random(seed).sample(range(12), 12)
    ends = []
    with Journal(output) as journal:
        for number in order:
            journal.add(number, record(number), Decimal(0))
            ends.append(part.stat().st_size)
    whole = part.read_bytes()
    cut = min(cut, len(whole))
    part.write_bytes(whole[:cut] + rest.replace(b"\n", b""))
    kept = {number for number, end in zip(order, ends, strict=True) if end <= cut}
    with Journal(output) as journal:
        assert {number for number in range(12) if journal.finished(number, id_of(number))} == kept
        for number in order:
            if number not in kept:
                journal.add(number, record(number), Decimal(0))
        journal.finish(12)
    assert output.read_bytes() == b"".join(record(number) + b"\n" for number in range(12))
    output.unlink()


def test_a_spoilt_line_in_the_middle_costs_only_itself(tmp_path: Path) -> None:
    output, part = tmp_path / "out.jsonl", tmp_path / "out.jsonl.part"
    with Journal(output) as journal:
        for number in range(3):
            journal.add(number, record(number), Decimal(0))
    first, second, third = part.read_bytes().splitlines(keepends=True)
    part.write_bytes(first + b"\0" * (len(second) - 1) + b"\n" + third)
    with Journal(output) as journal:
        assert [journal.finished(number, id_of(number)) for number in range(3)] == [True, False, True]


def test_a_full_disk_spoils_nothing(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with Journal(output) as journal:
        journal.add(0, record(0), Decimal(0))
        os.close(journal._fd)  # whatever makes a write fail
        with pytest.raises(OSError, match="Bad file descriptor"):
            journal.add(1, record(1), Decimal(0))
        journal._fd = -1
    with Journal(output) as journal:
        assert [journal.finished(number, id_of(number)) for number in range(2)] == [True, False]


def test_only_one_at_a_time(tmp_path: Path) -> None:
    with Journal(tmp_path / "out.jsonl"), pytest.raises(JournalFault, match="another process"):
        Journal(tmp_path / "out.jsonl")
    with Journal(tmp_path / "out.jsonl"):
        pass


# The budget


def bulk(tmp_path: Path, count: int, ask: Callable[[Line], Any], concurrency: int) -> Bulk:
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps({"prompt": str(number)}) + "\n" for number in range(count)))
    return Bulk(source, tmp_path / "out.jsonl", DEFAULTS, ask=ask, concurrency=concurrency)


def test_a_call_that_the_budget_has_no_room_for_waits_for_room(tmp_path: Path) -> None:
    """Two fit at a time; with eight workers the others wait instead of failing."""
    room = 2
    most = 0

    async def ask(line: Line) -> Completion:
        nonlocal room, most
        if room == 0:
            raise BudgetExceededError("no room")
        room -= 1
        most = max(most, 2 - room)
        await asyncio.sleep(0.001)
        room += 1
        return Completion(choices=[])

    async def run() -> Bulk:
        batch = bulk(tmp_path, 50, ask, 8)
        await batch.run()
        batch.close()
        return batch

    batch = asyncio.run(run())
    assert (batch.done, batch.halted, most) == (True, None, 2)


def test_a_used_up_budget_stops_the_batch(tmp_path: Path) -> None:
    left = 5

    async def ask(line: Line) -> Completion:
        nonlocal left
        if left == 0:
            raise BudgetExceededError("used up")
        left -= 1
        await asyncio.sleep(0.001)
        return Completion(choices=[])

    async def run() -> Bulk:
        batch = bulk(tmp_path, 50, ask, 4)
        await batch.run()
        batch.close()
        return batch

    batch = asyncio.run(run())
    assert isinstance(batch.halted, BudgetExceededError)
    assert (batch.tally.finished, batch.tally.failed, batch.done) == (5, 0, False)
    assert not (tmp_path / "out.jsonl").exists()
