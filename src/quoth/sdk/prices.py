"""What a call costs or would cost, as a number; LiteLLM's names for it. Unknown is an error, never 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from quoth.call import Target
from quoth.errors import BadRequestError, NotFoundError
from quoth.providers.costs import facts_of, in_usd, price_of
from quoth.providers.pricing import poe_breakdown
from quoth.providers.resolve import named
from quoth.sdk import defaults
from quoth.sdk.shelf import SHELF
from quoth.sdk.tokens import token_counter
from quoth.types import Completion, Cost

__all__ = ["completion_cost", "cost_per_token"]


def completion_cost(
    completion_response: Any = None,
    model: str | None = None,
    prompt: str = "",
    messages: Sequence[Any] | None = None,
    completion: str = "",
    *,
    custom_llm_provider: str | None = None,
    custom_cost_per_token: Mapping[str, Any] | None = None,
) -> float:
    """The USD that an answer cost, or that a prompt (or messages) and an answer given as text would cost.

    `completion_response`: a Completion, a finished stream, or the dict of one. `custom_cost_per_token`: your own price,
    `{"input_cost_per_token": usd, "output_cost_per_token": usd}`. The exact amount and where it comes from are in
    `response.cost`. Raises NotFoundError when the cost is not known, BadRequestError for what is no answer.
    """
    if completion_response is None:
        if model is None:
            raise BadRequestError("completion_cost needs completion_response, or model and the texts", param="model")
        read = token_counter(model, messages=messages) if messages is not None else token_counter(model, text=prompt)
        said = token_counter(model, text=completion)
        parts = cost_per_token(
            model,
            read,
            said,
            custom_llm_provider=custom_llm_provider,
            custom_cost_per_token=custom_cost_per_token,
        )
        return sum(parts)
    answer = getattr(completion_response, "response", completion_response)
    if isinstance(answer, Mapping):
        answer = Completion.model_validate(answer)
    if not isinstance(answer, Completion):
        raise BadRequestError(
            "completion_response has to be a Completion, its dict, or a stream that has ended",
            param="completion_response",
        )
    if custom_cost_per_token is not None:
        usage = answer.usage
        if usage is None or usage.prompt_tokens is None or usage.completion_tokens is None:
            raise _unknown(model or answer.model, "the answer does not say how many tokens it has")
        return sum(_own(custom_cost_per_token, usage.prompt_tokens, usage.completion_tokens))
    cost = answer.cost
    if model is not None or (not answer._trace.provider and cost.usd is None):
        name = model or answer.model
        if not name:
            raise BadRequestError("the answer does not say of which model it is; name it as model", param="model")
        cost = price_of(_target(name, custom_llm_provider))(answer)
    if cost.usd is None:
        raise _unknown(model or answer.model, _why(answer, cost, model, custom_llm_provider))
    return float(cost.usd)


def cost_per_token(
    model: str,
    prompt_tokens: int = 0,
    completion_tokens: int = 0,
    *,
    cache_read_input_tokens: int = 0,
    cache_creation_input_tokens: int = 0,
    custom_llm_provider: str | None = None,
    custom_cost_per_token: Mapping[str, Any] | None = None,
) -> tuple[float, float]:
    """`(USD for the prompt, USD for the answer)` of so many tokens; a price for a call stands in the first.

    `prompt_tokens` counts all of the prompt, what is read from or written to a cache included. Poe rounds up to whole
    points, and so does this. Raises NotFoundError when the price is not known.
    """
    counts = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "cache_read_input_tokens": cache_read_input_tokens,
        "cache_creation_input_tokens": cache_creation_input_tokens,
    }
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise BadRequestError(f"{name} is {count!r}; it has to be a number of tokens", param=name)
    if cache_read_input_tokens + cache_creation_input_tokens > prompt_tokens:
        raise BadRequestError(
            "prompt_tokens counts all of the prompt; more than that cannot be read from or written to a cache",
            param="prompt_tokens",
        )
    if custom_cost_per_token is not None:
        return _own(custom_cost_per_token, prompt_tokens, completion_tokens)
    facts = facts_of(_target(model, custom_llm_provider))
    if facts is None or facts.price is None:
        raise _unknown(model, "no price of it is known")
    if facts.makes_media and facts.price.get("request") is None:
        raise _unknown(model, "its price is not one for tokens")
    found = poe_breakdown(
        facts.price,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        cached_tokens=cache_read_input_tokens,
        written_tokens=cache_creation_input_tokens,
    )
    if found is None:
        raise _unknown(model, "only a part of its price is known")
    return float(in_usd(found.total - found.output)), float(in_usd(found.output))


def _own(price: Mapping[str, Any], prompt_tokens: int, completion_tokens: int) -> tuple[float, float]:
    amounts = []
    for name, tokens in (("input_cost_per_token", prompt_tokens), ("output_cost_per_token", completion_tokens)):
        value = price.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal) or not 0 <= value < float("inf"):
            raise BadRequestError(
                f"custom_cost_per_token: {name} is {value!r}; it has to be USD for a token",
                param="custom_cost_per_token",
            )
        amounts.append(float(Decimal(str(value)) * tokens))
    return amounts[0], amounts[1]


def _target(model: str, provider: str | None) -> Target:
    """A bare name of a Poe model means Poe's: its answers carry such names."""
    registry = defaults.client()._core.registry
    poe = registry.get("poe")
    if provider is None and "/" not in model and poe is not None:
        provider = "poe" if SHELF.current(poe.base_url).get(model) is not None else None
    row, name = named(model, registry, provider=provider)
    catalogue = SHELF.current(row.base_url) if row.name == "poe" else None
    return Target(row, name, row.base_url, catalogue=catalogue)


def _unknown(model: str | None, why: str) -> NotFoundError:
    return NotFoundError(
        f"what {model or 'this'} costs is not known: {why}. custom_cost_per_token takes a price of your own",
        model=model,
        code="unknown_cost",
    )


def _why(answer: Completion, cost: Cost, model: str | None, provider: str | None) -> str:
    trace = answer._trace
    name = model or (f"{trace.provider}/{trace.model}" if trace.provider else answer.model or "")
    facts = facts_of(_target(name, provider))
    if facts is None or facts.price is None:
        return "no price of it is known, nor does the answer state one"
    if answer.usage is None:
        return "the answer does not say how many tokens it has"
    return "its price does not fit the tokens that the answer counts"
