"""The events of a streamed answer of Responses, in OpenAI's order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from quoth.emulator import tokens
from quoth.emulator.faults import NONE, Fault
from quoth.emulator.response_items import Item

__all__ = ["events"]

Event = tuple[str, dict[str, Any]]


def events(
    body: dict[str, Any], output: Sequence[Item], fault: Fault = NONE, *, whole: bool = False, wait: float = 0.0
) -> Iterator[Event | float]:
    """The events of a streamed answer, in OpenAI's order: name and payload. A number is a pause in seconds.

    `whole` has each text in one piece; `wait` is how long the model works before its output begins.
    """
    begun = {**body, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    if "completed_at" in begun:
        begun["completed_at"] = None
    number = 0
    for event in _events(body, begun, output, fault, whole, wait):
        if isinstance(event, float):
            yield event
            continue
        name, payload = event
        yield name, {"type": name, "sequence_number": number, **payload}
        number += 1


def _events(
    body: dict[str, Any], begun: dict[str, Any], output: Sequence[Item], fault: Fault, whole: bool, wait: float
) -> Iterator[Event | float]:
    yield "response.created", {"response": begun}
    yield "response.in_progress", {"response": begun}
    if wait:
        yield wait
    for index, item in enumerate(output):
        place = {"output_index": index, "item_id": item["id"]}
        if item["type"] == "reasoning":
            yield from _reasoning_events(item, place)
        elif item["type"] == "message":
            yield from _message_events(item, place, fault, whole)
        else:
            yield from _call_events(item, place)
        yield "response.output_item.done", {"output_index": index, "item": item}
    last = {name: value for name, value in body.items() if name != "usage"} if fault.no_usage else body
    if not fault.no_final:
        yield f"response.{body['status']}", {"response": last}


def _reasoning_events(item: Item, place: dict[str, Any]) -> Iterator[Event]:
    yield "response.output_item.added", {"output_index": place["output_index"], "item": {**item, "summary": []}}
    for number, part in enumerate(item["summary"]):
        here = {**place, "summary_index": number}
        yield "response.reasoning_summary_part.added", {**here, "part": {**part, "text": ""}}
        for piece in tokens.pieces(part["text"]):
            yield "response.reasoning_summary_text.delta", {**here, "delta": piece}
        yield "response.reasoning_summary_text.done", {**here, "text": part["text"]}
        yield "response.reasoning_summary_part.done", {**here, "part": part}


def _message_events(item: Item, place: dict[str, Any], fault: Fault, whole: bool) -> Iterator[Event]:
    started = {**item, "status": "in_progress", "content": []}
    yield "response.output_item.added", {"output_index": place["output_index"], "item": started}
    part = item["content"][0]
    here, text = {**place, "content_index": 0}, part.get("text", "")
    extra: dict[str, Any] = {"logprobs": []} if "logprobs" in part else {}
    yield "response.content_part.added", {**here, "part": {**part, "text": ""}}
    if fault.placeholder:
        for progress in ("Generating...", "\nGenerating (1s elapsed)\n\n"):
            yield "response.output_text.delta", {**here, "delta": progress, **extra}
    for piece in [text] if whole else tokens.pieces(text):
        yield "response.output_text.delta", {**here, "delta": piece, **extra}
    yield "response.output_text.done", {**here, "text": text, **extra}
    yield "response.content_part.done", {**here, "part": part}


def _call_events(item: Item, place: dict[str, Any]) -> Iterator[Event]:
    """A call of a function, or of a tool that takes plain text."""
    custom = item["type"] == "custom_tool_call"
    member, name = ("input", "custom_tool_call_input") if custom else ("arguments", "function_call_arguments")
    started = {**item, "status": "in_progress", member: ""}
    yield "response.output_item.added", {"output_index": place["output_index"], "item": started}
    for piece in tokens.pieces(item[member]):
        yield f"response.{name}.delta", {**place, "delta": piece}
    done = {member: item[member]} if custom else {"name": item["name"], member: item[member]}
    yield f"response.{name}.done", {**place, **done}
