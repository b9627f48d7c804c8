"""`quoth balance` and `quoth usage`, against the emulator's account."""

from __future__ import annotations

import csv
import io

import pytest

import quoth as sdk
from quoth.emulator import Emulator
from tests.cli.running import Quoth

HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture
def spent(emulator: Emulator) -> Emulator:
    """Four calls of two models."""
    with sdk.Client(provider="poe", api_base=emulator.base_url, api_key="emulated-key") as client:
        for model in ("Claude-Haiku-4.5", "Claude-Haiku-4.5", "Claude-Haiku-4.5", "GPT-5-mini"):
            client.completion(model, HELLO)
    return emulator


def test_the_balance_in_words(quoth: Quoth):
    done = quoth("balance")
    assert done.code == 0, done.err
    assert done.out.startswith("balance")
    assert "10,000,000 points ($303.03)" in done.out
    assert "auto recharge" in done.out


def test_the_balance_as_json(quoth: Quoth, spent: Emulator):
    found = quoth("balance", "--json").json
    assert found["points"] == spent.balance < 10_000_000
    assert found["usd"] == "303.03"
    assert found["next_monthly_grant"].endswith("Z")


def test_a_missing_key_is_said(quoth: Quoth):
    for command in ("balance", "usage"):
        done = quoth(command, POE_API_KEY="")
        assert done.code == 3
        assert "POE_API_KEY" in done.err


def test_the_history_call_by_call(quoth: Quoth, spent: Emulator):
    done = quoth("usage")
    lines = done.out.splitlines()
    assert lines[0].split() == ["time", "(UTC)", "model", "points", "usd", "key"]
    assert [line.split()[2] for line in lines[1:]] == ["GPT-5-mini", *["Claude-Haiku-4.5"] * 3], "newest first"
    assert f"4 calls, {10_000_000 - spent.balance} points" in done.err


@pytest.mark.parametrize(("by", "names"), [("model", 2), ("day", 1), ("key", 1)])
def test_sums(quoth: Quoth, spent: Emulator, by: str, names: int):
    found = quoth("usage", "--by", by, "--json").json
    assert len(found) == names
    assert sum(one["calls"] for one in found) == 4
    assert sum(one["points"] for one in found) == 10_000_000 - spent.balance
    assert found == sorted(found, key=lambda one: -one["points"])


def test_sums_have_a_plot(quoth: Quoth, spent: Emulator):
    out = quoth("usage", "--by", "model").out.splitlines()
    assert out[1].endswith("█" * 24)
    assert 0 < out[2].count("█") < 24


def test_csv(quoth: Quoth, spent: Emulator):
    rows = list(csv.DictReader(io.StringIO(quoth("usage", "--csv").out)))
    assert len(rows) == 4
    assert sum(int(row["points"]) for row in rows) == 10_000_000 - spent.balance
    by_model = list(csv.DictReader(io.StringIO(quoth("usage", "--csv", "--by", "model").out)))
    assert {row["model"]: row["calls"] for row in by_model} == {"Claude-Haiku-4.5": "3", "GPT-5-mini": "1"}


def test_since_and_limit(quoth: Quoth, spent: Emulator):
    assert len(quoth("usage", "--since", "1h", "--json").json) == 4
    assert quoth("usage", "--since", "2999-01-01", "--json").json == []
    assert len(quoth("usage", "--limit", "2", "--json").json) == 2


def test_an_empty_history_is_no_error(quoth: Quoth):
    done = quoth("usage", "--by", "day")
    assert (done.code, done.out) == (0, "")
    assert "0 calls, 0 points ($0)." in done.err


@pytest.mark.parametrize(
    "words", [("--by", "moon"), ("--since", "yesterday"), ("--csv", "--json"), ("--limit", "0")], ids=" ".join
)
def test_what_cannot_be_done_is_a_wrong_command_line(quoth: Quoth, words: tuple[str, ...]):
    assert quoth("usage", *words).code == 2
