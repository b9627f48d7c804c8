"""What an emulated model says: a function of the request alone, honest about being emulated.

Each rule looks at the last user message and answers or passes; the first that answers wins. Sums are worked out,
lengths are kept, a few capitals are known. Everything else is answered by saying what arrived.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from typing import Any

from quoth.emulator.attachments import attached
from quoth.emulator.chat_request import ChatRequest, text_of

__all__ = ["arithmetic", "from_tool_results", "reasoning", "say", "tag"]

_CAPITALS = {
    "argentina": "Buenos Aires",
    "australia": "Canberra",
    "austria": "Vienna",
    "brazil": "Brasília",
    "canada": "Ottawa",
    "china": "Beijing",
    "egypt": "Cairo",
    "england": "London",
    "france": "Paris",
    "germany": "Berlin",
    "greece": "Athens",
    "india": "New Delhi",
    "ireland": "Dublin",
    "italy": "Rome",
    "japan": "Tokyo",
    "kenya": "Nairobi",
    "mexico": "Mexico City",
    "norway": "Oslo",
    "poland": "Warsaw",
    "portugal": "Lisbon",
    "spain": "Madrid",
    "sweden": "Stockholm",
    "switzerland": "Bern",
    "united kingdom": "London",
    "united states": "Washington, D.C.",
}
_FILLER = (
    "this text was written by an emulator to have the length that was asked for and it means nothing beyond that "
    "because no model was asked and none of these words was thought about by anything"
).split()
_LONGEST_FILLER = 20_000
_READ = 20_000  # characters of a prompt that the rules look at


def say(request: ChatRequest) -> str:
    """The text of an answer that calls no tool."""
    prompt = request.prompt[:_READ]
    for rule in (_exact_words, _tagged(_sum), _tagged(_echo), _tagged(_count), _tagged(_capital), _tagged(_length)):
        answer = rule(request, prompt)
        if answer is not None:
            return answer
    return f"{tag(request)} {_reflection(request, prompt)}"


def from_tool_results(request: ChatRequest) -> str:
    """The answer after tools were run: it uses what they returned."""
    names = {
        call.get("id"): call["function"].get("name")
        for message in request.messages
        for call in message.get("tool_calls") or ()
        if isinstance(call.get("function"), dict)
    }
    results = []
    for message in reversed(request.messages):
        if message["role"] != "tool":
            break
        name = message.get("name") or names.get(message["tool_call_id"]) or "the tool"
        results.append(f"{name} returned: {text_of(message)}")
    return f"{tag(request)} " + "\n".join(reversed(results))


def reasoning(request: ChatRequest) -> str:
    """The reasoning that a model shows before its answer."""
    return (
        f"**Considering the request**\n\nThe user wrote: {_shortened(request.prompt, 200)}\n\n"
        "This is emulated reasoning: no model thought about it."
    )


def tag(request: ChatRequest) -> str:
    """The mark that an answer bears."""
    return f"[emulated {request.facts.display_name or request.facts.id}]"


def _tagged(rule: Callable[[str], str | None]) -> Callable[[ChatRequest, str], str | None]:
    def tagged(request: ChatRequest, prompt: str) -> str | None:
        answer = rule(prompt)
        return None if answer is None else f"{tag(request)} {answer}"

    return tagged


# Rules

_EXACT_WORDS = re.compile(
    r"\bexactly (\d{1,3}|one|two|three|four|five|six|seven|eight|nine|ten) words?\b", re.IGNORECASE
)
_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def _exact_words(request: ChatRequest, prompt: str) -> str | None:
    found = _EXACT_WORDS.search(prompt)
    if found is None:
        return None
    said = found.group(1).lower()
    count = int(said) if said.isdigit() else _WORDS.index(said)
    if re.search(r"\b(?:hello|hi|greet)", prompt, re.IGNORECASE):
        words = ["Hello", *["very"] * (count - 3), "emulated", "friend"]
    else:
        words = ["Emulated", *(_FILLER * (count // len(_FILLER) + 1))]
    return " ".join(words[:count]) + "." if count else ""


def _sum(prompt: str) -> str | None:
    found = arithmetic(prompt)
    if found is None:
        return None
    expression, value = found
    if re.search(r"separate line|step by step", prompt, re.IGNORECASE):
        return f"The expression is {expression}. Working it out gives {value}.\n\n{value}"
    return f"{expression} = {value}"


_ECHO = re.compile(
    r"\b(?:say|repeat|echo|reply|respond|answer|write|print|output)\b(?: back)?(?: with)?(?: only| just| exactly)?"
    r"(?: the)?(?: following)?(?: words?| text| sentence| phrase)?(?: after me)?\s*:?\s*"
    r"(?:\"([^\"]+)\"|“([^”]+)”|'([^']+)'(?!\w)|`([^`]+)`)",
    re.IGNORECASE,
)


def _echo(prompt: str) -> str | None:
    found = _ECHO.search(prompt)
    return next(group for group in found.groups() if group) if found else None


def _count(prompt: str) -> str | None:
    found = re.search(r"\bcount (?:from )?(?:(\d{1,5}) )?(?:up )?to (\d{1,5})\b", prompt, re.IGNORECASE)
    if found is None:
        return None
    first, last = int(found.group(1) or 1), int(found.group(2))
    step = 1 if last >= first else -1
    return ", ".join(str(number) for number in range(first, last + step, step))


def _capital(prompt: str) -> str | None:
    found = re.search(r"\bcapital(?: city)? of (?:the )?([A-Za-z]+(?: [A-Z][a-z]+)?)", prompt)
    country = found.group(1) if found else ""
    city = _CAPITALS.get(country.lower())
    return f"The capital of {country} is {city}." if city else None


def _length(prompt: str) -> str | None:
    """Filler of the length that was asked for."""
    found = re.search(r"\b(\d{1,5})[ -]words?\b", prompt, re.IGNORECASE)
    if found is None:
        return None
    count = min(int(found.group(1)), _LONGEST_FILLER)
    return " ".join(_FILLER[number % len(_FILLER)] for number in range(count))


def _reflection(request: ChatRequest, prompt: str) -> str:
    greeting = (
        "Hello! " if re.match(r"\s*(?:hi|hello|hey|good (?:morning|evening|day))\b", prompt, re.IGNORECASE) else ""
    )
    said = f"You wrote: {_shortened(prompt, 200)}" if prompt.strip() else "There was no text to answer."
    told = f" The system message says: {_shortened(request.system, 80)}" if request.system else ""
    turns = sum(1 for message in request.messages if message["role"] == "user")
    position = f" It is your message number {turns}." if turns > 1 else ""
    attached = _attached(request)
    return f"{greeting}This is an emulated answer, no model was asked. {said}{position}{attached}{told}"


def _attached(request: ChatRequest) -> str:
    found = attached(request)
    counts = {kind: sum(1 for one in found if one.kind == kind) for kind in ("image", "file")}
    named = [f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in counts.items() if count]
    return f" With it came {' and '.join(named)}: {'; '.join(map(str, found[:10]))}." if found else ""


def _shortened(text: str, length: int) -> str:
    text = text.strip()
    return text if len(text) <= length else text[: length - 3].rstrip() + "..."


# Arithmetic

_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_NUMBER = r"\({0,8}-?(?:\d{1,3}(?:,\d{3}){1,4}|\d{1,15})(?:\.\d{1,15})?\){0,8}"
_SIGN = r"\s*(?:\*\*|//|[-+*/x×·÷^%]|plus|minus|times|multiplied by|divided by)\s*"
_EXPRESSION = re.compile(rf"(?<![\w.,-]){_NUMBER}(?:{_SIGN}{_NUMBER})+(?![\w-])", re.IGNORECASE)
_SPELLED = (
    (r"multiplied by|times|[x×·]", "*"),
    (r"divided by|÷", "/"),
    (r"plus", "+"),
    (r"minus", "-"),
    (r"\^", "**"),
    (r",", ""),
)
_WORDED = (
    (r"\b(?:add|sum of) ({n}) (?:and|to) ({n})", "{0} + {1}"),
    (r"\b(?:multiply|product of) ({n}) (?:and|by|with) ({n})", "{0} * {1}"),
    (r"\bsubtract ({n}) from ({n})", "{1} - {0}"),
    (r"\bdivide ({n}) by ({n})", "{0} / {1}"),
    (r"({n}) ?(?:%|percent) of ({n})", "{0} / 100 * {1}"),
)


def arithmetic(prompt: str) -> tuple[str, str] | None:
    """The first sum in a prompt and its value, as texts; None when there is none. Dates and ranges are not sums."""
    for pattern, form in _WORDED:
        worded = re.search(pattern.replace("{n}", r"-?\d{1,15}(?:\.\d{1,15})?"), prompt, re.IGNORECASE)
        if worded:
            return arithmetic(form.format(*worded.groups()))
    for found in _EXPRESSION.finditer(prompt[:20_000]):
        written = found.group(0).strip()
        spelled = written
        for pattern, sign in _SPELLED:
            spelled = re.sub(pattern, sign, spelled, flags=re.IGNORECASE)
        if re.fullmatch(r"\d+(-\d+)+|\d+(/\d+)+", spelled) and " " not in written:
            continue
        try:
            return written, _as_text(_value(ast.parse(spelled, mode="eval").body))
        except (SyntaxError, ValueError, ArithmeticError, KeyError, TypeError, RecursionError):
            continue
    return None


def _value(node: ast.expr) -> int | float:
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand)
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left), _value(node.right)
        if isinstance(node.op, ast.Pow) and (abs(right) > 64 or abs(left) > 10**6):
            raise ValueError("too large")
        value = _OPERATORS[type(node.op)](left, right)
        if isinstance(value, (int, float)):
            return value
    raise ValueError("not a sum")


def _as_text(value: int | float) -> str:
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.10g}"
    return str(value)
