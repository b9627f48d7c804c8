"""The prompt cache of Messages: what is written, what is read, for how long, and what it costs."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest

from quoth.emulator import Emulator
from quoth.emulator.prompt_cache import Block, PromptCache
from tests.emulator.client import request
from tests.emulator.test_messages import WEATHER, send, turns, upstream

MARK = {"cache_control": {"type": "ephemeral"}}
HOUR = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
BOOK = "Once upon a time. " * 1_000  # 4,500 tokens


def text(words: str, mark: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"type": "text", "text": words, **(mark or {})}


def used(emulator: Emulator, *contents: Any, system: Any = None, model: str = "claude-haiku-4.5", **more: Any) -> Any:
    """What was read, written for five minutes and written for an hour, and the fresh tokens."""
    system = [text(BOOK, MARK)] if system is None else system
    usage = send(emulator, turns(*(contents or ("hi",))), model=model, system=system, **more).body["usage"]
    created = usage["cache_creation"]
    assert usage["cache_creation_input_tokens"] == sum(created.values())
    return (
        usage["cache_read_input_tokens"],
        created["ephemeral_5m_input_tokens"],
        created["ephemeral_1h_input_tokens"],
        usage["input_tokens"],
    )


def test_a_marked_prefix_is_written_once_and_then_read(emulator: Emulator) -> None:
    assert used(emulator) == (0, 4_500, 0, 9)
    assert used(emulator) == (4_500, 0, 0, 9)
    assert used(emulator, "another question") == (4_500, 0, 0, 12)
    assert used(emulator, model="claude-opus-4.5") == (0, 4_500, 0, 9), "another model remembers nothing of it"
    assert used(emulator, system=[text(BOOK)]) == (0, 0, 0, 4_509), "without a mark nothing is looked for"
    assert used(emulator, system=[text("No. " + BOOK, MARK)])[0] == 0, "another beginning is another prefix"
    emulator.clear()
    assert used(emulator)[0] == 0


def test_a_conversation_is_written_on(emulator: Emulator) -> None:
    first = [text("What is 1 + 1?", MARK)]
    assert used(emulator, first) == (0, 4_509, 0, 3), "after the last mark three tokens are left, as recorded"
    second = [text("What is 2 + 2?", MARK)]
    read, written, _, fresh = used(emulator, first, "It is 2.", second)
    assert (read, fresh) == (4_509, 3)
    assert 0 < written < 20
    # A mark that was on the last turn is no longer there: what it wrote is found all the same.
    assert (
        used(emulator, "What is 1 + 1?", "It is 2.", "What is 2 + 2?", "It is 4.", [text("And?", MARK)])[0]
        == read + written
    )


def test_small_prefixes_are_left_alone(emulator: Emulator) -> None:
    small = [text("Once upon a time. " * 400, MARK)]  # 1,800 tokens
    assert used(emulator, system=small)[:3] == (0, 0, 0)
    assert used(emulator, system=small, model="claude-opus-4.1")[1] == 1_800
    assert used(emulator, system=small, model="claude-haiku-3.5")[1] == 0
    assert used(emulator, system=[text("x" * 16_380, MARK)])[1] == 0, "4,095 tokens"
    assert used(emulator, system=[text("x" * 16_384, MARK)])[1] == 4_096


def test_tools_come_before_the_system_text_and_settings_after(emulator: Emulator) -> None:
    tools = [{**WEATHER, **MARK, "description": BOOK}]
    written = used(emulator, system=[], tools=tools)[1]
    assert written > 4_500
    assert used(emulator, system=[text("Be brief.")], tools=tools)[0] == written
    assert used(emulator, system=[], tools=tools, tool_choice={"type": "none"})[0] == written
    asked = [text(BOOK, MARK)]
    alone = used(emulator, asked, system=[])[1]
    assert used(emulator, asked, system=[])[0] == alone
    thinking: dict[str, Any] = {"thinking": {"type": "enabled", "budget_tokens": 2_000}, "max_tokens": 4_000}
    assert used(emulator, asked, system=[], **thinking)[0] == 0, "with thinking the messages are others"


def test_marks_that_are_too_many_or_in_the_wrong_order(emulator: Emulator) -> None:
    many = send(emulator, [{"role": "user", "content": [text(str(n), MARK) for n in range(5)]}])
    assert upstream(many)["message"] == "A maximum of 4 blocks with cache_control may be provided. Found 5."
    late = send(emulator, [{"role": "user", "content": [text("a", MARK), text("b", HOUR)]}])
    assert "must not come after" in upstream(late)["message"]
    odd = send(
        emulator, [{"role": "user", "content": [text("a", {"cache_control": {"type": "ephemeral", "ttl": "2h"}})]}]
    )
    assert "ttl: Input should be '5m' or '1h'" in upstream(odd)["message"]


def test_an_hour_and_five_minutes_in_one_request(emulator: Emulator) -> None:
    system = [text(BOOK, HOUR), text(BOOK.upper(), MARK)]
    assert used(emulator, system=system)[:3] == (0, 4_500, 4_500)
    assert used(emulator, system=system)[:3] == (9_000, 0, 0)
    assert used(emulator, system=[text(BOOK, HOUR), text("new " + BOOK, MARK)])[:2] == (4_500, 4_501)


def test_what_is_not_read_is_forgotten() -> None:
    cache = PromptCache(300)
    marked = [Block(b"a", 5_000, "5m"), Block(b"b", 10)]
    hour = [Block(b"c", 5_000, "1h")]
    assert cache.use("m", marked, 1_024, now=0) == (0, 5_000, 0)
    assert cache.use("m", hour, 1_024, now=0) == (0, 0, 5_000)
    assert cache.use("m", marked, 1_024, now=299).read == 5_000
    assert cache.use("m", marked, 1_024, now=598).read == 5_000, "reading renews"
    assert cache.use("m", marked, 1_024, now=898) == (0, 5_000, 0)
    assert cache.use("m", hour, 1_024, now=3_599).read == 5_000
    assert cache.use("m", hour, 1_024, now=3_599 + 3_600).read == 0


def test_only_twenty_blocks_before_a_mark_are_looked_at() -> None:
    cache = PromptCache(300)
    row = [Block(b"%d" % number, 2_000) for number in range(30)]
    cache.use("m", [row[0]._replace(mark="5m")], 1_024, now=0)
    assert cache.use("m", [*row[:19], row[19]._replace(mark="5m")], 1_024, now=1).read == 2_000
    cache.clear()
    cache.use("m", [row[0]._replace(mark="5m")], 1_024, now=0)
    assert cache.use("m", [*row[:20], row[20]._replace(mark="5m")], 1_024, now=1).read == 0


def test_the_lifetime_is_a_switch() -> None:
    with Emulator(cache_lifetime=0) as forgetful:
        assert used(forgetful)[1] == 4_500
        assert used(forgetful)[1] == 4_500


@pytest.mark.parametrize(("mark", "times"), [(MARK, 1), (HOUR, 2)])
def test_the_bill_has_the_cache(emulator: Emulator, mark: dict[str, Any], times: int) -> None:
    """Haiku 4.5 costs $0.85 a million, $1.1 to write and $0.085 to read, as the list rounds it."""
    rows = []
    for _ in range(2):
        read, short, long, fresh = used(emulator, system=[text(BOOK, mark)])
        (row,) = request(emulator, "GET", "/usage/points_history?limit=1").body["data"]
        rows.append(row)
        lines = {name: int(words.split()[0]) for name, words in row["cost_breakdown_in_points"].items()}
        prompt, base, write = read + short + long + fresh, Decimal("0.00000085"), Decimal("0.0000011")
        assert lines["Input"] == math.ceil(prompt * base * 33_000)
        if read:
            assert lines["Cache discount"] == -round(read * (base - Decimal("0.000000085")) * 33_000)
        else:
            assert lines["Cache write"] == math.ceil(4_500 * (times * write - base) * 33_000)
        assert row["cost_points"] == sum(points for name, points in lines.items() if name != "Total")
    assert rows[1]["cost_points"] < rows[0]["cost_points"] / 4
    assert emulator.balance == 10_000_000 - sum(row["cost_points"] for row in rows)
