"""`quoth chat` with a prompt: one question, one answer."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from quoth.cli import terminal
from quoth.cli.answers import Shown, Told, document, facts_line, told
from quoth.cli.failures import UsageFault
from quoth.cli.names import model_name
from quoth.cli.request import as_text, attached, messages, parameters, picture, piped_text
from quoth.sdk.client import Client

__all__ = ["report", "run"]


def run(
    prompt: str | None,
    *,
    model: str | None,
    system: str | None,
    images: Sequence[str],
    files: Sequence[str],
    stream: bool,
    named: Mapping[str, Any],
    pairs: Sequence[str],
    show_reasoning: bool,
    quiet: bool,
    as_json: bool,
    debug: bool,
) -> None:
    name = model_name(model)
    keywords = parameters(named, pairs)
    parts = [*map(picture, images), *map(attached, files)]
    if prompt is None and terminal.is_terminal(sys.stdin):
        if as_json:
            raise UsageFault('--json needs a prompt, as in quoth chat --json "Hello"')
        from quoth.cli.conversation import Conversation

        Conversation(
            name, system, parts, keywords, stream=stream, show_reasoning=show_reasoning, quiet=quiet, debug=debug
        ).run()
        return
    asked = messages(_question(prompt, alone=not parts), system, parts)
    with Client() as client:
        if as_json:
            terminal.print_json(document(told(client, name, asked, keywords, stream=False, shown=None)))
            return
        # Several answers cannot be told apart while they arrive mixed.
        stream = stream and keywords.get("n", 1) == 1
        answer = told(client, name, asked, keywords, stream=stream, shown=Shown(show_reasoning))
    report(answer, quiet=quiet)


def report(answer: Told, *, quiet: bool) -> None:
    """What the answer took and what there is to know about it, on stderr."""
    for warning in answer.warnings:
        terminal.note(f"Warning: {warning.message}", "yellow")
    choices = answer.completion.choices if answer.completion is not None else []
    if choices and choices[0].finish_reason == "length":
        terminal.note("The answer was cut off at the limit of tokens; --max-tokens sets a larger one.", "yellow")
    if not quiet:
        terminal.note(facts_line(answer))


def _question(prompt: str | None, *, alone: bool) -> str:
    piped = piped_text()
    texts = [text for text in (as_text(prompt) if prompt is not None else None, piped) if text and text.strip()]
    if not texts and alone:
        raise UsageFault('there is no prompt: give one, as in quoth chat "Hello", or pipe it in')
    return "\n\n".join(texts)
