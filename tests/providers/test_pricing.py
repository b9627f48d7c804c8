"""What an answer cost: the breakdowns that Poe published, to the point; and unknown, which is not free."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quoth.providers.catalogue import shipped
from quoth.providers.params import catalogue_of
from quoth.providers.pricing import POINTS_PER_USD, Breakdown, poe_breakdown, usd
from quoth.types import Cost
from tests.faultserver.answers import chat, sse
from tests.providers.conftest import HELLO, Wire

HAIKU = {
    "prompt": "0.00000085859",
    "completion": "0.0000042929",
    "input_cache_read": "0.000000085859",
    "input_cache_write": "0.0000010732",
}
MINI = {"prompt": "0.00000068182", "completion": "0.0000040909", "input_cache_read": "0.000000068182"}


class TestPublished:
    """Four rows of points history, April 2026, as third parties published them."""

    def test_a_cache_written(self):
        found = poe_breakdown(HAIKU, prompt_tokens=8369, completion_tokens=4, written_tokens=8352)
        assert found == Breakdown(input=238, output=1, cache_write=60)
        assert found.total == 299

    def test_a_cache_read(self):
        found = poe_breakdown(HAIKU, prompt_tokens=8369, completion_tokens=4, cached_tokens=8352)
        assert found == Breakdown(input=238, output=1, cache_discount=-213)
        assert found.total == 26

    def test_without_a_cache(self):
        found = poe_breakdown(MINI, prompt_tokens=7661, completion_tokens=4)
        assert found == Breakdown(input=173, output=1)
        assert found.total == 174

    def test_an_automatic_cache(self):
        found = poe_breakdown(MINI, prompt_tokens=7661, completion_tokens=4, cached_tokens=7424)
        assert found == Breakdown(input=173, output=1, cache_discount=-150)
        assert found.total == 24


class TestUnknown:
    @pytest.mark.parametrize(
        "price", [{}, {"prompt": None, "completion": None}, {"prompt": "0.000001"}, {"completion": "0.000001"}]
    )
    def test_stays_unknown(self, price: dict[str, str | None]):
        assert poe_breakdown(price, prompt_tokens=10, completion_tokens=10) is None
        assert usd(price, prompt_tokens=10, completion_tokens=10) is None

    def test_a_price_a_call(self):
        price = {"request": "0.0039", "prompt": "1", "completion": "1"}
        assert poe_breakdown(price, prompt_tokens=0, completion_tokens=0) == Breakdown(request=129)
        assert usd(price, prompt_tokens=9, completion_tokens=9) == Decimal("0.0039")

    def test_free_is_known(self):
        free = Breakdown()
        assert poe_breakdown({"request": "0.00"}, prompt_tokens=9, completion_tokens=9) == free
        assert poe_breakdown({"prompt": "0", "completion": "0"}, prompt_tokens=9, completion_tokens=9) == free
        assert free.total == 0


COUNTS = st.integers(0, 10**7)


@settings(deadline=None)
@given(COUNTS, COUNTS, st.integers(0, 10**7))
def test_points_are_the_dollars_rounded_up_line_by_line(prompt: int, completion: int, cached: int):
    cached = min(cached, prompt)
    points = poe_breakdown(HAIKU, prompt_tokens=prompt, completion_tokens=completion, cached_tokens=cached)
    dollars = usd(HAIKU, prompt_tokens=prompt, completion_tokens=completion, cached_tokens=cached)
    assert points is not None
    assert dollars is not None
    assert dollars >= 0
    # Two lines are rounded up and one to the nearest: at most two points and a half above, half a point below.
    assert Decimal("-0.5") <= points.total - dollars * POINTS_PER_USD <= Decimal("2.5")


# --- The cost on an answer ---------------------------------------------------------------------------------------


def cost(wire: Wire, model: str, usage: Any, stream: bool = False) -> Cost:
    complete: Any = wire.client.completion
    wire.server.play_once(sse("ok", usage=usage) if stream else chat("ok", usage=usage))
    answer = complete(model, HELLO, api_base=wire.server.url, api_key="k", stream=stream, wire="openai_chat")
    if stream:
        assert answer.cost == Cost(), "unknown before the end"
        list(answer)
    found: Cost = answer.cost
    return found


USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}


class TestOnAnswers:
    @pytest.mark.parametrize("stream", [False, True])
    def test_an_estimate_with_the_day_of_its_price(self, wire: Wire, stream: bool):
        facts = shipped().get("claude-haiku-4.5")
        assert facts is not None
        assert facts.price is not None
        expected = poe_breakdown(facts.price, prompt_tokens=1000, completion_tokens=100)
        assert expected is not None
        found = cost(wire, "poe/Claude-Haiku-4.5", USAGE, stream)
        assert (found.points, found.source) == (expected.total, "estimated")
        assert found.items == {"Input": expected.input, "Output": expected.output}
        assert found.usd == (Decimal(expected.total) / 33_000).quantize(Decimal("1e-9"))
        assert found.prices_as_of == shipped().source(facts).date
        assert str(found).startswith(f"about {expected.total} points ($0.")

    def test_cached_tokens_are_discounted(self, wire: Wire):
        cached = {**USAGE, "prompt_tokens_details": {"cached_tokens": 900}}
        full, less = cost(wire, "poe/gpt-5.4-mini", USAGE), cost(wire, "poe/gpt-5.4-mini", cached)
        assert full.points is not None
        assert less.points is not None
        assert less.points < full.points
        assert less.items["Cache discount"] < 0

    @pytest.mark.parametrize(
        ("model", "usage"),
        [
            ("poe/claude-haiku-4.5", None),
            ("poe/claude-haiku-4.5", {"total_tokens": 5}),
            ("poe/claude-haiku-4.5", {"prompt_tokens": 5}),
            ("poe/claude-haiku-4.5", {"completion_tokens": 5}),
            ("poe/my-own-bot", USAGE),
            ("openai/gpt-5", USAGE),
            # Poe counts the line with the address; what it charges for is the picture.
            ("poe/gpt-image-2", USAGE),
            ("poe/veo-3.1", USAGE),
        ],
    )
    def test_what_cannot_be_known_is_unknown(self, wire: Wire, model: str, usage: Any):
        found = cost(wire, model, usage)
        assert (found.usd, found.points, found.source) == (None, None, "unknown")
        assert str(found) == "cost unknown"

    def test_every_model_without_a_price_is_unknown(self):
        """Also in the estimate that no answer asked for: `price: null` is not zero anywhere in the catalogue."""
        unpriced = [model for model in shipped() if model.price is None]
        assert len(unpriced) > 100
        for model in shipped():
            for value in (model.price or {}).values():
                assert value is None or Decimal(value) >= 0

    @pytest.mark.parametrize("usage", [USAGE, None, {"total_tokens": 0}])
    def test_a_price_a_call_needs_no_count(self, wire: Wire, usage: Any):
        found = cost(wire, "poe/minimax-m2.5-t", usage)
        assert (found.points, found.items) == (129, {"Request": 129})

    def test_speech_at_a_price_a_call(self, wire: Wire):
        assert cost(wire, "poe/sonic-3.0", {**USAGE, "completion_tokens": 0}).points == 198

    def test_free_is_zero_and_not_unknown(self, wire: Wire):
        for model in ("poe/glm-5-t", "poe/gemma-4-31b"):
            found = cost(wire, model, USAGE)
            assert (found.usd, found.points, found.source) == (Decimal(0), 0, "estimated")

    @pytest.mark.parametrize(
        ("stated", "expected"),
        [
            (0.00125, "0.00125"),
            ("0.5", "0.5"),
            (0, "0"),
            (1e-7, "1e-7"),
            (None, None),
            (True, None),
            ("free", None),
            (-1, None),
            ("NaN", None),
            ({}, None),
        ],
    )
    def test_what_the_provider_states_is_believed(self, wire: Wire, stated: Any, expected: str | None):
        found = cost(wire, "openrouter/m", {**USAGE, "cost": stated})
        if expected is None:
            assert found == Cost()
        else:
            assert (found.usd, found.points, found.source) == (Decimal(expected), None, "provider")


def test_a_sum_with_an_unknown_part_is_unknown():
    known = Cost(usd=Decimal("0.5"), points=5, items={"Input": 5}, source="estimated", prices_as_of="2026-04-01")
    stated = Cost(usd=Decimal("0.25"), source="provider")
    assert (known + known).usd == Decimal(1)
    assert (known + known).points == 10
    assert (known + known).items == {"Input": 10}
    assert (known + stated).points is None
    assert (known + stated).source == "estimated"
    assert (known + Cost()).usd is None
    assert (known + Cost()).source == "unknown"


def test_only_poes_models_are_in_the_catalogue():
    from quoth.call import Row, Target

    assert catalogue_of(Target(Row("acme", "https://a.example"), "grok-4", "https://a.example")) is None
