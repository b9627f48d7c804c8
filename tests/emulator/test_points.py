"""Models, balance and history: keys, types, units, and that points are what the formula says."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from quoth.emulator import Emulator
from quoth.providers.catalogue import shipped
from quoth.providers.pricing import poe_breakdown
from tests.emulator.client import chat, request


def history(emulator: Emulator, query: str = "") -> dict[str, Any]:
    reply = request(emulator, "GET", f"/usage/points_history{query}")
    assert reply.status == 200
    body: dict[str, Any] = reply.body
    return body


def balance(emulator: Emulator) -> int:
    return int(request(emulator, "GET", "/usage/current_balance").body["current_point_balance"])


def test_the_model_list_has_poes_own_keys(emulator: Emulator) -> None:
    body = request(emulator, "GET", "/v1/models", key=None).body
    assert list(body) == ["object", "data"]
    models = {model["id"]: model for model in body["data"]}
    assert list(models) == [model.id for model in shipped()]
    assert len(models) == 399
    gemini = models["gemini-2.5-pro"]
    assert list(gemini) == [
        "id", "object", "created", "description", "owned_by", "root", "architecture", "supported_features",
        "supported_endpoints", "pricing", "context_window", "context_length", "metadata", "reasoning", "parameters",
    ]  # fmt: skip
    assert gemini["created"] == 1738780524168, "milliseconds"
    assert gemini["architecture"]["modality"] == "text,image,video,audio->text"
    assert list(gemini["pricing"]) == [
        "prompt",
        "completion",
        "image",
        "request",
        "input_cache_read",
        "input_cache_write",
    ]
    assert gemini["pricing"]["prompt"] == "0.00000087"
    assert gemini["pricing"]["request"] is None
    assert gemini["context_window"] == {"context_length": 1065535, "max_output_tokens": 65535}
    assert gemini["context_length"] == 1065535
    assert gemini["metadata"]["display_name"] == "Gemini-2.5-Pro"
    assert gemini["metadata"]["url"] == "https://poe.com/gemini-2.5-pro"
    assert gemini["parameters"][0] == {
        "name": "thinking_budget",
        "schema": {"type": "number", "minimum": 0, "maximum": 32768},
        "default_value": 0,
    }
    assert all(model["created"] > 10**12 for model in models.values())
    prices = [price for model in models.values() for price in (model["pricing"] or {}).values() if price is not None]
    assert all(re.fullmatch(r"\d+(\.\d+)?", price) for price in prices)


def test_the_documented_profile_lists_the_documented_members() -> None:
    with Emulator(profile="documented") as documented:
        model = request(documented, "GET", "/v1/models").body["data"][0]
        assert (model["permission"], model["parent"]) == ([], None)
        assert request(documented, "GET", "/usage/current_balance").body == {"current_point_balance": 10_000_000}


def test_the_balance_in_all_its_fields(emulator: Emulator) -> None:
    body = request(emulator, "GET", "/usage/current_balance").body
    assert body["current_point_balance"] == body["plan_points_balance"] + body["addon_point_balance"] == 10_000_000
    assert body["total_balance_usd"] == "303.03"
    for name in ("points_cycle_start_time", "next_daily_grant_time", "next_monthly_grant_time"):
        assert abs(body[name] / 1_000_000 - time.time()) < 40 * 24 * 3600, "microseconds"
    assert body["auto_recharge"]["status"] == "never_enabled"


@pytest.mark.parametrize("model", ["grok-4", "claude-haiku-4.5", "llama-3.3-70b", "kimi-k2.5-fw", "imagen-4"])
def test_a_call_costs_what_the_formula_says(emulator: Emulator, model: str) -> None:
    usage = chat(emulator, "Tell me something about points", model=model).body["usage"]
    facts = shipped().get(model)
    assert facts is not None
    assert facts.price is not None
    expected = poe_breakdown(
        facts.price, prompt_tokens=usage["prompt_tokens"], completion_tokens=usage["completion_tokens"]
    )
    assert expected is not None
    (row,) = history(emulator)["data"]
    if facts.price.get("request") is None:
        assert row["cost_breakdown_in_points"]["Input"] == f"{expected.input} points ({usage['prompt_tokens']} tokens)"
    assert row["cost_points"] == expected.total
    assert row["cost_breakdown_in_points"]["Total"] == f"{row['cost_points']} points"


def test_an_unpriced_model_costs_a_fixed_sum_that_only_the_history_tells(emulator: Emulator) -> None:
    reply = chat(emulator, model="Web-Search")
    assert "cost" not in str(reply.body)
    assert balance(emulator) == 10_000_000 - 1_000
    assert history(emulator)["data"][0]["cost_points"] == 1_000


def test_a_row_of_the_history(emulator: Emulator) -> None:
    reply = chat(emulator, model="grok-4")
    (row,) = history(emulator)["data"]
    assert list(row) == [
        "bot_name", "creation_time", "query_id", "cost_points", "cost_usd", "cost_breakdown_in_points", "usage_type",
        "api_key_name",
    ]  # fmt: skip
    assert row["bot_name"] == "Grok-4"
    assert abs(row["creation_time"] / 1_000_000 - time.time()) < 60, "microseconds"
    assert row["query_id"] not in reply.raw.decode()
    assert row["usage_type"] == "API"
    assert re.fullmatch(r"0\.\d{6}", row["cost_usd"])
    assert balance(emulator) == 10_000_000 - row["cost_points"]


def test_the_history_is_paged_newest_first(emulator: Emulator) -> None:
    for model in ("grok-3", "grok-4", "gpt-5.2"):
        chat(emulator, model=model)
    first = history(emulator, "?limit=2")
    assert (first["has_more"], first["length"]) == (True, 2)
    assert [row["bot_name"] for row in first["data"]] == ["GPT-5.2", "Grok-4"]
    rest = history(emulator, f"?limit=2&starting_after={first['data'][-1]['query_id']}")
    assert (rest["has_more"], [row["bot_name"] for row in rest["data"]]) == (False, ["Grok-3"])
    for query, param in (
        ("?limit=0", "limit"),
        ("?limit=101", "limit"),
        ("?limit=x", "limit"),
        ("?limit=" + "9" * 5000, "limit"),
        ("?starting_after=x", "starting_after"),
    ):
        reply = request(emulator, "GET", f"/usage/points_history{query}")
        assert (reply.status, reply.error["param"]) == (400, param)


def test_the_page_has_twenty_rows_by_default(emulator: Emulator) -> None:
    for _ in range(21):
        chat(emulator)
    assert history(emulator)["length"] == 20
    assert history(emulator, "?limit=100")["length"] == 21


def test_costs_can_be_late() -> None:
    with Emulator(token_delay=0, late_costs=0.2) as late:
        chat(late)
        (row,) = history(late)["data"]
        assert (row["cost_points"], row["cost_breakdown_in_points"]) == (0, {})
        assert balance(late) < 10_000_000
        time.sleep(0.25)
        assert history(late)["data"][0]["cost_points"] > 0


def test_pictures_cost_their_tokens_where_the_price_is_for_tokens(emulator: Emulator) -> None:
    chat(emulator, "A red fox", model="GPT-Image-2")
    chat(emulator, "A red fox", model="Nano-Banana")
    chat(emulator, "What is 2 + 2?", model="Nano-Banana")
    chat(emulator, "A red fox", model="Imagen-4")
    chat(emulator, "A red fox", model="Veo-3")
    film, imagen, talk, drawing, listed = history(emulator)["data"]
    assert listed["cost_breakdown_in_points"]["Output"] == "1376 points (1290 tokens)"
    assert drawing["cost_breakdown_in_points"]["Output"] == "894 points (1290 tokens)"
    assert talk["cost_points"] < 10
    assert imagen["cost_breakdown_in_points"] == {"Total": "924 points"}
    assert (imagen["cost_points"], imagen["cost_usd"]) == (924, "0.028000")
    assert (film["cost_points"], film["cost_usd"]) == (1_000, "0.030303")


def test_rows_tell_keys_apart_without_showing_them(emulator: Emulator) -> None:
    for key in ("sk-one", "sk-two", "sk-one"):
        chat(emulator, key=key)
    names = [row["api_key_name"] for row in history(emulator)["data"]]
    assert names[0] == names[2] != names[1]
    assert all(re.fullmatch(r"key-[0-9a-f]{8}", name) for name in names)


def test_a_history_of_the_last_month_can_be_there_from_the_start() -> None:
    with Emulator(token_delay=0, past_rows=250) as old:
        chat(old)
        rows: list[dict[str, Any]] = []
        while True:
            after = f"&starting_after={rows[-1]['query_id']}" if rows else ""
            page = history(old, f"?limit=100{after}")
            rows += page["data"]
            if not page["has_more"]:
                break
        assert len(rows) == 251
        assert len({row["query_id"] for row in rows}) == 251
        times = [row["creation_time"] for row in rows]
        assert times == sorted(times, reverse=True)
        assert 29 < (times[0] - times[-1]) / 86_400_000_000 < 30
        kinds = {"API": "api_key_name", "Chat": "chat_name", "Canvas App": "canvas_tab_name"}
        assert {row["usage_type"] for row in rows} == set(kinds)
        assert all(list(row)[-1] == kinds[row["usage_type"]] for row in rows)
        written = next(row for row in rows if "Cache write" in row["cost_breakdown_in_points"])
        discounted = next(row for row in rows if "Cache discount" in row["cost_breakdown_in_points"])
        assert written["cost_breakdown_in_points"]["Input"] == "235 points (8369 tokens)"
        assert discounted["cost_breakdown_in_points"]["Cache discount"].startswith("-")
        assert discounted["cost_points"] < written["cost_points"]
        for row in rows:
            lines = [int(text.split()[0]) for name, text in row["cost_breakdown_in_points"].items() if name != "Total"]
            assert row["cost_points"] == (sum(lines) if lines else row["cost_points"])
        assert balance(old) == 10_000_000 - rows[0]["cost_points"], "the opening balance is what was left"


def test_tools_and_reasoning_are_billed_though_usage_does_not_show_them(emulator: Emulator) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": schema}}]
    usage = chat(emulator, "get_weather in Rome", tools=tools).body["usage"]
    breakdown = history(emulator)["data"][0]["cost_breakdown_in_points"]
    assert usage["completion_tokens"] == 0
    assert int(breakdown["Output"].split("(")[1].split()[0]) > 0
    assert int(breakdown["Input"].split("(")[1].split()[0]) > usage["prompt_tokens"]
