"""How an answer is shown: its text as it comes, then a line on what it took."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from quoth.cli import terminal
from quoth.types import Chunk, Completion, Cost, Usage, Warning

if TYPE_CHECKING:
    from quoth.sdk.client import Client

__all__ = [
    "Shown",
    "Told",
    "cost_text",
    "costs",
    "document",
    "facts_line",
    "made_line",
    "short",
    "tokens_text",
    "told",
    "total_text",
]


@dataclass(slots=True)
class Told:
    """What one answer said and took. `seconds` is from the call to the last word."""

    model: str
    text: str = ""
    usage: Usage | None = None
    cost: Cost = field(default_factory=Cost)
    warnings: list[Warning] = field(default_factory=list)
    seconds: float = 0.0
    completion: Completion | None = None


class Shown:
    """The answer on stdout while it arrives; reasoning, if wanted, dimmed on stderr."""

    def __init__(self, show_reasoning: bool = False):
        self.text = ""
        self._show_reasoning = show_reasoning
        self._in_reasoning = False
        self._at_line_start = True

    def reasoning(self, text: str) -> None:
        if self._show_reasoning and text:
            self._in_reasoning = True
            terminal.write(terminal.styled(terminal.harmless(text, sys.stderr), "dim", sys.stderr), sys.stderr)

    def say(self, text: str) -> None:
        if not text:
            return
        if self._in_reasoning:
            self._in_reasoning = False
            terminal.write("\n\n", sys.stderr)
        self.text += text
        self._at_line_start = text.endswith("\n")
        terminal.write(terminal.harmless(text, sys.stdout))

    def end(self) -> None:
        """Leave the cursor at the start of a line."""
        if self._in_reasoning:
            terminal.write("\n", sys.stderr)
        if not self._at_line_start:
            terminal.write("\n")
        self._in_reasoning, self._at_line_start = False, True


def told(
    client: Client,
    model: str,
    messages: list[Any],
    keywords: Mapping[str, Any],
    *,
    stream: bool,
    shown: Shown | None,
) -> Told:
    """Make one call and show its answer; without `shown` nothing is shown, nor streamed.

    Raises QuothError. Ctrl-C closes the connection and goes on up.
    """
    started = time.monotonic()
    try:
        if stream and shown is not None:
            result = _streamed(client, model, messages, keywords, shown)
        else:
            result = _whole(client, model, messages, keywords, shown)
    finally:
        if shown is not None:
            shown.end()
    result.seconds = time.monotonic() - started
    return result


def _whole(client: Client, model: str, messages: list[Any], keywords: Mapping[str, Any], shown: Shown | None) -> Told:
    with terminal.waiting(model):
        answer = client.completion(model, messages, stream=False, **keywords)
    assert isinstance(answer, Completion)
    if shown is not None:
        for number, choice in enumerate(answer.choices):
            if number:
                shown.end()
                shown.say("\n---\n\n")
            shown.reasoning(choice.message.reasoning or "")
            shown.say(choice.message.content or choice.message.refusal or "")
            _say_calls(shown, choice.message.tool_calls)
    text = answer.choices[0].message.content if answer.choices else None
    return Told(model, text or "", answer.usage, answer.cost, answer.warnings, completion=answer)


def _streamed(client: Client, model: str, messages: list[Any], keywords: Mapping[str, Any], shown: Shown) -> Told:
    with terminal.waiting(model):
        stream = client.completion(model, messages, stream=True, **keywords)
    with stream:
        for chunk in stream:
            _say_chunk(shown, chunk)
    answer = stream.response
    if answer is not None and answer.choices:
        _say_calls(shown, answer.choices[0].message.tool_calls)
    return Told(model, shown.text, stream.usage, stream.cost, stream.warnings, completion=answer)


def _say_chunk(shown: Shown, chunk: Chunk) -> None:
    for choice in chunk.choices:
        if not choice.index:
            shown.reasoning(choice.delta.reasoning or "")
            shown.say(choice.delta.content or choice.delta.refusal or "")


def _say_calls(shown: Shown, calls: list[Any] | None) -> None:
    for call in calls or ():
        shown.end()
        shown.say(f"{call.function.name}({call.function.arguments})")


def tokens_text(usage: Usage | None) -> str:
    if usage is None or (usage.prompt_tokens is None and usage.completion_tokens is None):
        return "tokens unknown"
    counts = ("?" if count is None else f"{count:,}" for count in (usage.prompt_tokens, usage.completion_tokens))
    return f"{' → '.join(counts)} tokens"


def cost_text(cost: Cost) -> str:
    """The cost in points and dollars, to two digits that say something; "cost unknown" when it is."""
    if cost.usd is None:
        return "cost unknown"
    about = "about " if cost.source == "estimated" else ""
    dollars = f"${short(cost.usd)}"
    if cost.points is None:
        return f"{about}{dollars}"
    return f"{about}{cost.points:,} point{'' if cost.points == 1 else 's'} ({dollars})"


def total_text(found: Sequence[Cost]) -> str:
    """What several answers cost together, and of how many that is not known."""
    known = [cost for cost in found if cost.usd is not None]
    if not known:
        return "cost unknown"
    total = cost_text(sum(known[1:], start=known[0]))
    return total if len(known) == len(found) else f"{total} and {len(found) - len(known)} of unknown cost"


def short(amount: Decimal) -> str:
    if not amount:
        return "0"
    if amount >= 1:
        return f"{amount:,.2f}"
    return f"{amount.quantize(Decimal(1).scaleb(amount.adjusted() - 1)).normalize():f}"


def facts_line(answer: Told) -> str:
    """Model, tokens, cost and time in one line."""
    return " · ".join((answer.model, tokens_text(answer.usage), cost_text(answer.cost), f"{answer.seconds:.1f} s"))


def made_line(answer: Told) -> str:
    """The same for pictures, sounds and films, of which few models count tokens."""
    if answer.cost.usd is None:
        return f"{answer.model} · price unknown · {answer.seconds:.1f} s"
    if answer.usage is not None and answer.usage.completion_tokens:
        return facts_line(answer)
    return f"{answer.model} · {cost_text(answer.cost)} · {answer.seconds:.1f} s"


def document(answer: Told) -> dict[str, Any]:
    """The answer as one JSON document: as the provider gave it, with `cost`, `warnings` and more beside."""
    dump = answer.completion.model_dump(mode="json") if answer.completion is not None else {}
    return {**dump, **costs(answer), "request_id": answer.completion.request_id if answer.completion else None}


def costs(answer: Told) -> dict[str, Any]:
    """What an answer took beside its tokens, in plain values."""
    cost = answer.cost
    return {
        "cost": {
            "usd": cost.usd,
            "points": cost.points,
            "items": dict(cost.items),
            "source": cost.source,
            "prices_as_of": cost.prices_as_of,
        },
        "warnings": [{"code": one.code, "param": one.param, "message": one.message} for one in answer.warnings],
        "seconds": round(answer.seconds, 3),
    }
