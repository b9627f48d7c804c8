"""`quoth models show`: all that is known of one model, and a call to copy."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from keyword import iskeyword
from typing import Any

from quoth.cli import terminal
from quoth.cli.failures import UsageFault
from quoth.providers.catalogue import Catalogue, ModelFacts, ParameterFacts, corrections
from quoth.providers.params import OPENAI_PARAMS

__all__ = ["calls", "run"]

_URL = "https://api.poe.com/v1/chat/completions"
_PROMPTS = {
    "image": "A raven on a branch, ink on paper",
    "video": "A raven takes off from a branch",
    "audio": "Quoth the raven: nevermore.",
    "text": "Hello",
}
_PRICES = {
    "prompt": ("prompt", 1_000_000, "USD for 1 million tokens"),
    "completion": ("answer", 1_000_000, "USD for 1 million tokens"),
    "input_cache_read": ("prompt from the cache", 1_000_000, "USD for 1 million tokens"),
    "input_cache_write": ("prompt into the cache", 1_000_000, "USD for 1 million tokens"),
    "image": ("picture", 1_000_000, "USD for 1 million tokens of a picture"),
    "request": ("call", 1, "USD"),
}


def run(words: Sequence[str], *, refresh: bool, as_json: bool) -> None:
    if len(words) != 1:
        raise UsageFault("show takes one model, such as claude-opus-4.6")
    from quoth.cli.models import catalogue_in_force, row_of

    catalogue = catalogue_in_force(refresh)
    name = words[0].strip()
    name = name[4:] if name.lower().startswith("poe/") else name
    facts = catalogue.get(name)
    if facts is None:
        near = catalogue.near(name)
        guess = f"; did you mean {', '.join(near)}?" if near else "; `quoth models` lists those that are known"
        raise UsageFault(f"{name!r} is not in the list of Poe's models{guess}")
    if as_json:
        terminal.print_json({**row_of(facts, catalogue), "calls": calls(facts)})
        return
    text = "\n".join([*_lines(facts, catalogue), ""])
    terminal.write(terminal.fit(terminal.harmless(text, sys.stdout), sys.stdout))
    for language, code in calls(facts).items():
        terminal.write(f"\n{language}:\n\n" + "".join(f"    {line}\n" if line else "\n" for line in code.splitlines()))


def _lines(facts: ModelFacts, catalogue: Catalogue) -> Iterator[str]:
    source = catalogue.source(facts)
    rows: list[tuple[str, str]] = [
        ("model", f"poe/{facts.display_name or facts.id}"),
        ("owner", facts.owned_by or "?"),
        ("status", _status(facts, catalogue)),
        ("takes", " ".join(facts.input_modalities)),
        ("makes", " ".join(facts.output_modalities)),
        ("context", _tokens(facts.context_window)),
        ("longest answer", _tokens(facts.max_output_tokens)),
        ("longest prompt", "" if facts.prompt_limit is None else f"{facts.prompt_limit} (characters or tokens)"),
        ("features", _words(facts.supported_features)),
        ("reasoning", _reasoning(facts)),
        ("endpoints", _words(facts.supported_endpoints)),
        ("created", "?" if facts.created_ms is None else f"{datetime.fromtimestamp(facts.created_ms / 1000, UTC):%F}"),
        ("source", f"{source.name}, {source.date}"),
    ]
    for heading, value in rows:
        if value:
            yield f"{heading:<15} {value}"
    yield from _prices(facts)
    if facts.parameters:
        yield "parameters"
        yield from (f"  {parameter.name}: {_parameter(parameter)}" for parameter in facts.parameters)
    else:
        yield f"{'parameters':<15} {'?' if facts.parameters is None else 'none of its own'}"
    for entry in corrections():
        if entry.name in facts.corrections:
            yield f"corrected       {entry.name} ({entry.date}): {entry.reason}"


def _status(facts: ModelFacts, catalogue: Catalogue) -> str:
    if facts.status is None:
        return ""
    near = catalogue.near(facts.id)
    return f"{facts.status}; did you mean {', '.join(near)}?" if near else facts.status


def _tokens(count: int | None) -> str:
    return "?" if count is None else f"{count:,} tokens"


def _words(words: Sequence[str] | None) -> str:
    return "?" if words is None else " ".join(words) or "none"


def _reasoning(facts: ModelFacts) -> str:
    if not facts.reasoning:
        return "?"
    return ", ".join(f"{name}: {value}" for name, value in facts.reasoning.items() if value is not None)


def _prices(facts: ModelFacts) -> Iterator[str]:
    known = {name: value for name, value in (facts.price or {}).items() if value is not None and name in _PRICES}
    if not known:
        yield f"{'price':<15} ? (unknown is not free)"
        return
    yield "price"
    for name, value in known.items():
        what, factor, unit = _PRICES[name]
        yield f"  {what}: {(Decimal(value) * factor).normalize():f} {unit}"


def _parameter(parameter: ParameterFacts) -> str:
    kind = " | ".join(parameter.enum) if parameter.enum is not None else parameter.type or "?"
    more = f" {parameter.range}" if parameter.range else ""
    default = "" if parameter.default is None else f" (default {json.dumps(parameter.default)})"
    return f"{kind}{more}{default}"


def calls(facts: ModelFacts) -> dict[str, str]:
    """A call in Python, curl and JavaScript. A media bot's answer holds the address of what it made."""
    kind = "text" if not facts.makes_media else next((k for k in facts.output_modalities if k in _PROMPTS), "text")
    own = _own(facts) if facts.makes_media else {}
    prompt = _PROMPTS[kind]
    name = facts.display_name or facts.id
    body = {"model": name, "messages": [{"role": "user", "content": prompt}], **own}
    return {"Python": _python(name, prompt, own, kind), "curl": _curl(body), "JavaScript": _javascript(body, kind)}


def _own(facts: ModelFacts) -> dict[str, Any]:
    """The first parameter of a choice, as an example of where a bot's own parameters go."""
    for parameter in facts.parameters or ():
        if not parameter.name.isidentifier() or iskeyword(parameter.name) or parameter.name in OPENAI_PARAMS:
            continue  # a bot's own `model` would take the place of the bot
        if parameter.enum and isinstance(parameter.default, str) and parameter.default in parameter.enum:
            return {parameter.name: parameter.default}
    return {}


def _python(name: str, prompt: str, own: dict[str, Any], kind: str) -> str:
    extra = "".join(f"    {key}={json.dumps(value)},\n" for key, value in own.items())
    note = "" if kind == "text" else f"  # it holds the address of the {kind}"
    return (
        "from quoth import completion\n\n"
        "response = completion(\n"
        f"    model={json.dumps('poe/' + name)},\n"
        f'    messages=[{{"role": "user", "content": {json.dumps(prompt)}}}],\n'
        f"{extra})\n"
        f"print(response.choices[0].message.content){note}"
    )


def _curl(body: dict[str, Any]) -> str:
    text = json.dumps(body, ensure_ascii=False).replace("'", "'\\''")
    return (
        f'curl {_URL} \\\n  -H "Authorization: Bearer $POE_API_KEY" \\\n'
        f"  -H 'Content-Type: application/json' \\\n  -d '{text}'"
    )


def _javascript(body: dict[str, Any], kind: str) -> str:
    note = "" if kind == "text" else f"  // it holds the address of the {kind}"
    shown = "\n".join(
        line if number == 0 else f"  {line}"
        for number, line in enumerate(json.dumps(body, indent=2, ensure_ascii=False).splitlines())
    )
    return (
        "// call.mjs, for Node 18 or newer; not for a page, where everybody could read the key\n"
        f'const response = await fetch("{_URL}", {{\n'
        '  method: "POST",\n'
        "  headers: {\n"
        "    Authorization: `Bearer ${process.env.POE_API_KEY}`,\n"
        '    "Content-Type": "application/json",\n'
        "  },\n"
        f"  body: JSON.stringify({shown}),\n"
        "});\n"
        f"const answer = await response.json();\n"
        f"console.log(answer.choices[0].message.content);{note}"
    )
