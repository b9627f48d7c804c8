"""`quoth models`: the shipped list and a provider's own, filtered, sorted, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from quoth.emulator import Emulator
from quoth.providers.catalogue import shipped
from tests.cli.running import Quoth

Row = dict[str, Any]


def price(row: Row) -> float:
    return float(row["price"]["prompt"])


def test_the_whole_list(quoth: Quoth, emulator: Emulator) -> None:
    done = quoth("models", POE_API_KEY=None, POE_API_BASE=None)
    assert done.code == 0
    heading, *lines = done.out.splitlines()
    assert heading.split() == "model price context in → out owner features".split()
    assert len(lines) == len(shipped())
    assert f"{len(shipped())} of {len(shipped())} models, Poe's list of 2026-04-01" in done.err
    assert "\x1b" not in done.out
    assert "…" not in done.out
    assert not [line for line in lines if line != line.rstrip()]
    assert not emulator.requests


def test_json_is_a_bare_array_of_whole_rows(quoth: Quoth) -> None:
    done = quoth("models", "--json")
    assert done.err == ""
    assert [row["id"] for row in done.json] == [model.id for model in shipped()]
    row = next(row for row in done.json if row["id"] == "claude-opus-4.6")
    assert row["source"] == {"name": "recorded GET /v1/models", "date": "2026-04-01"}
    assert row["price"]["prompt"] == "0.0000043"
    assert row["parameters"][1]["enum"] == ["max", "high", "medium", "low", "none"]


@pytest.mark.parametrize(
    ("words", "holds"),
    [
        (("claude", "opus"), None),
        (("CLAUDE OPUS",), lambda row: "claude-opus" in row["id"]),
        (("--owner", "anthropic"), lambda row: row["owned_by"] == "Anthropic"),
        (("--input", "image", "--input", "video"), lambda row: {"image", "video"} <= set(row["input_modalities"])),
        (("--output", "audio"), lambda row: "audio" in row["output_modalities"]),
        (("--supports", "tools"), lambda row: "tools" in row["supported_features"]),
        (("--supports", "reasoning"), lambda row: row["reasoning"] is not None),
        (("--supports", "web_search", "--supports", "tools"), lambda row: len(row["supported_features"]) == 2),
        (("--max-price", "0.1"), lambda row: "request" in row["price"] or price(row) <= 1e-7),
        (("--output", "image", "--max-price", "0.02"), lambda row: float(row["price"]["request"]) <= 0.02),
        (("--free",), lambda row: all(float(value) == 0 for value in row["price"].values())),
    ],
)
def test_filters(quoth: Quoth, words: tuple[str, ...], holds: Callable[[Row], bool] | None) -> None:
    done = quoth("models", "--json", *words)
    if holds is None:
        assert done.code == 2
        return
    assert 0 < len(done.json) < len(shipped())
    assert all(map(holds, done.json))


def test_what_is_not_known_is_counted(quoth: Quoth) -> None:
    err = quoth("models", "--supports", "tools").err
    unknown = sum(model.supported_features is None for model in shipped())
    assert unknown
    assert f"{unknown} more may fit, but what was asked for is not known of them" in err


def test_nothing_found(quoth: Quoth) -> None:
    done = quoth("models", "zork")
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith("0 of ")
    assert quoth("models", "zork", "--json").json == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--sort", "zork"), "name, price, context, created"),
        (("--input", "smell"), "text, image, audio, video"),
        (("--supports", "juggling"), "tools, web_search, reasoning"),
        (("--max-price", "cheap"), "--max-price"),
        (("--provider", "zork"), "is not a provider"),
    ],
)
def test_wrong_words(quoth: Quoth, words: tuple[str, ...], said: str) -> None:
    done = quoth("models", *words)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert len(done.err.splitlines()) == 1


def test_orders(quoth: Quoth) -> None:
    def listed(order: str) -> list[Row]:
        rows: list[Row] = quoth("models", "--json", "--sort", order, "--owner", "openai", "--output", "text").json
        return rows

    names = [row["id"] for row in listed("name")]
    assert names == sorted(names)
    windows = [row["context_window"] or 0 for row in listed("context")]
    assert windows == sorted(windows, reverse=True)
    ages = [row["created_ms"] or 0 for row in listed("created")]
    assert ages == sorted(ages, reverse=True)
    rows = listed("price")
    known = [price(row) for row in rows if row["price"] and "prompt" in row["price"]]
    assert known == sorted(known)
    assert rows[0]["price"] is not None
    assert rows[-1]["price"] is None


def test_prices_in_the_table(quoth: Quoth) -> None:
    assert " 4.30 / 21.00 " in quoth("models", "claude-opus-4.6").out
    assert " a call " in quoth("models", "minimax-m2.5-t").out
    assert " free" in quoth("models", "kimi-k2.5-fw").out


def test_a_providers_own_list(quoth: Quoth, emulator: Emulator) -> None:
    done = quoth("models", "claude-opus-4.6", "--provider", "poe")
    assert done.code == 0
    assert done.out.splitlines()[1].split() == (
        "claude-opus-4.6 4.30 / 21.00 983k text+image → text Anthropic web_search tools reasoning".split()
    )
    assert "the list that poe gives now" in done.err
    assert [request.path for request in emulator.requests] == ["/v1/models"]
    rows = quoth("models", "--provider", "poe", "--json", "--supports", "tools").json
    assert all("tools" in row["supported_features"] and row["object"] == "model" for row in rows)


def test_a_list_without_a_key(quoth: Quoth) -> None:
    done = quoth("models", "--provider", "poe", POE_API_KEY=None)
    assert done.code == 3
    assert "POE_API_KEY" in done.err


def test_a_narrow_terminal_leaves_columns_out_and_says_so(quoth: Quoth) -> None:
    with quoth.on_terminal("models", "claude-opus-4.6", TERM="xterm", COLUMNS="60") as terminal:
        assert terminal.ended() == 0
    assert "Not shown, for want of width: owner, features." in terminal.text
    assert "4.30 / 21.00" in terminal.text
    assert "983k" in terminal.text
    with quoth.on_terminal("models", "claude-opus-4.6", TERM="xterm", COLUMNS="160") as terminal:
        assert terminal.ended() == 0
    assert "Not shown" not in terminal.text
    assert "web_search tools reasoning" in terminal.text
