"""The most that a request can cost, and LiteLLM's functions for what one costs."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import quoth
from quoth.call import Row, Target
from quoth.providers.catalogue import known, shipped
from quoth.providers.costs import most_of, price_of
from quoth.providers.rows import Registry
from quoth.types import Completion


def target(model: str) -> Target:
    row = Registry().get("poe")
    assert row is not None
    return Target(row, model, row.base_url, catalogue=known())


def body(text: str = "hello", **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([facts.id for facts in shipped() if facts.price and not facts.makes_media]),
    st.text(max_size=300),
    st.integers(1, 5000),
    st.data(),
)
def test_no_answer_costs_more_than_its_most(model: str, text: str, cap: int, data: st.DataObject):
    """Whatever is read, said, cached: as many tokens as the text has bytes, and as many as the cap allows."""
    most = most_of(target(model), body(text, max_tokens=cap)).usd
    if most is None:
        return
    prompt = data.draw(st.integers(0, len(text.encode())))
    cached = data.draw(st.integers(0, prompt))
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": data.draw(st.integers(0, cap)),
        "prompt_tokens_details": {"cached_tokens": cached},
        "cache_creation_input_tokens": prompt - cached,
    }
    cost = price_of(target(model))(Completion.model_validate({"usage": usage}))
    assert cost.usd is not None
    assert cost.usd <= most


class TestMost:
    def test_without_a_cap_the_models_longest_answer(self):
        facts = shipped().get("claude-haiku-4.5")
        assert facts is not None
        longest = most_of(target(facts.id), body(max_tokens=facts.max_output_tokens)).usd
        most = most_of(target(facts.id), body()).usd
        assert longest is not None
        assert most is not None
        assert 0 <= longest - most < Decimal("0.001")

    def test_a_price_a_call(self):
        assert most_of(target("minimax-m2.5-t"), body("x" * 100_000)).usd == (Decimal(129) / 33_000).quantize(
            Decimal("1e-9"), "ROUND_CEILING"
        )

    def test_pictures_count_and_files_count_as_the_window(self):
        def asked(part: dict[str, Any]) -> Decimal:
            message = {"role": "user", "content": [{"type": "text", "text": "?"}, part]}
            found = most_of(target("claude-haiku-4.5"), {"messages": [message], "max_tokens": 1}).usd
            assert found is not None
            return found

        text = asked({"type": "text", "text": "?"})
        picture = asked({"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 1_000_000}})
        file = asked({"type": "file", "file": {"file_data": "data:application/pdf;base64,AA"}})
        assert text < picture < file

    @pytest.mark.parametrize("model", ["my-own-bot", "nano-banana", "veo-3.1", "gpt-image-2"])
    def test_what_nobody_knows(self, model: str):
        found = most_of(target(model), body(max_tokens=5))
        assert found.usd is None
        assert found.why

    def test_another_provider(self):
        assert most_of(Target(Row("acme", "https://a.test"), "grok-4", "https://a.test"), body()).usd is None


class TestMedia:
    """What an answer of a bot that draws cost is known only where its usage counts what is charged."""

    USAGE: ClassVar = {"prompt_tokens": 31, "completion_tokens": 228, "total_tokens": 259}
    PICTURE: ClassVar = f"![a fox.png](https://pfst.cf2.poecdn.net/base/image/{'0a' * 32}?w=1024&h=1024)"

    def cost(self, model: str, content: str) -> quoth.Cost:
        message = {"role": "assistant", "content": content}
        answer = {"choices": [{"index": 0, "message": message}], "usage": self.USAGE}
        return price_of(target(model))(Completion.model_validate(answer))

    @pytest.mark.parametrize("model", ["nano-banana", "nano-banana-pro", "nano-banana-2", "gpt-image-2"])
    def test_a_picture_is_not_what_the_usage_counts(self, model: str):
        assert self.cost(model, self.PICTURE) == quoth.Cost()
        assert self.cost(model, f"Here it is:\n\n{self.PICTURE}") == quoth.Cost()

    def test_talk_is(self):
        cost = self.cost("nano-banana", "17 * 19 = 323")
        assert (cost.points, cost.items) == (15, {"Input": 1, "Output": 14})
        assert cost.source == "estimated"
        assert self.cost("nano-banana", "Not that: see https://example.org/rules.").points == 15

    def test_talk_of_a_bot_whose_price_does_not_tell_them_apart_is_not(self):
        assert self.cost("gpt-image-2", "I cannot draw that.").usd is None

    def test_a_price_a_call_is_for_all_that_it_brings(self):
        assert self.cost("imagen-4", self.PICTURE).points == 924


class TestFunctions:
    USAGE: ClassVar = {"prompt_tokens": 7661, "completion_tokens": 4, "total_tokens": 7665}

    def test_of_an_answer(self):
        answer = {"model": "gpt-5.4-mini", "usage": self.USAGE}
        read, said = quoth.cost_per_token("poe/gpt-5.4-mini", 7661, 4)
        assert quoth.completion_cost(answer) == pytest.approx(read + said)
        assert quoth.completion_cost(Completion.model_validate(answer)) == pytest.approx(read + said)
        assert read + said == pytest.approx(174 / 33_000, rel=0.01), "the published breakdown"

    def test_a_cache_read_costs_less_and_a_write_more(self):
        model = "poe/claude-haiku-4.5"
        plain, _ = quoth.cost_per_token(model, 8369, 4)
        read, _ = quoth.cost_per_token(model, 8369, 4, cache_read_input_tokens=8352)
        written, _ = quoth.cost_per_token(model, 8369, 4, cache_creation_input_tokens=8352)
        assert read < plain <= written

    def test_of_texts(self):
        whole = quoth.completion_cost(model="poe/gpt-5.4-mini", prompt="hello " * 1000, completion="hi")
        asked = quoth.completion_cost(
            model="poe/gpt-5.4-mini", messages=[{"role": "user", "content": "hello " * 1000}], completion="hi"
        )
        assert 0 < whole <= asked

    def test_a_price_of_ones_own(self):
        price = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}
        assert quoth.cost_per_token("acme/x", 10, 5, custom_cost_per_token=price) == (1e-5, 1e-5)
        assert quoth.completion_cost({"model": "x", "usage": self.USAGE}, custom_cost_per_token=price) == pytest.approx(
            7669e-6
        )

    def test_a_price_a_call(self):
        assert quoth.cost_per_token("poe/minimax-m2.5-t") == pytest.approx((129 / 33_000, 0.0))

    @pytest.mark.parametrize("model", ["poe/my-own-bot", "poe/nano-banana", "openai/gpt-5"])
    def test_unknown_is_an_error_and_never_zero(self, model: str):
        with pytest.raises(quoth.QuothError, match="not known"):
            quoth.completion_cost(model=model, prompt="hello", completion="hi")
        with pytest.raises(quoth.QuothError, match="not known"):
            quoth.cost_per_token(model, 1, 1)
        with pytest.raises(quoth.QuothError, match="not known"):
            quoth.completion_cost({"usage": self.USAGE}, model=model)

    def test_an_answer_that_counts_nothing(self):
        with pytest.raises(quoth.NotFoundError, match="how many tokens"):
            quoth.completion_cost({"model": "gpt-5.4-mini"})

    @pytest.mark.parametrize(
        "arguments",
        [{}, {"completion_response": 5}, {"completion_response": {"usage": USAGE}}],
    )
    def test_what_is_no_question(self, arguments: dict[str, Any]):
        with pytest.raises(quoth.BadRequestError):
            quoth.completion_cost(**arguments)

    def test_more_cached_than_there_is(self):
        with pytest.raises(quoth.BadRequestError):
            quoth.cost_per_token("poe/gpt-5.4-mini", 10, 1, cache_read_input_tokens=11)
