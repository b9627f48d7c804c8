"""Answers of the Responses and the Messages API, and the streams that say the same, written down from the two APIs'
references and not from what this package makes of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from quoth.types import Chunk, Completion, Warning
from quoth.wire.anthropic_messages import MessagesReader
from quoth.wire.assemble import assemble
from quoth.wire.openai_chat import Done
from quoth.wire.openai_responses import ResponsesReader
from quoth.wire.sse import SSEDecoder

Json = dict[str, Any]

MESSAGE: Json = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x"}
MESSAGE_USAGE: Json = {
    "input_tokens": 3,
    "cache_creation_input_tokens": 77,
    "cache_read_input_tokens": 4487,
    "cache_creation": {"ephemeral_5m_input_tokens": 77, "ephemeral_1h_input_tokens": 0},
    "output_tokens": 75,
}
RESPONSE: Json = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1774561920,
    "status": "completed",
    "model": "gpt-x-2026",
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "temperature": 1,
    "tool_choice": "auto",
    "tools": [],
    "billing": {"payer": "developer"},
}
RESPONSE_USAGE: Json = {
    "input_tokens": 61,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 16,
    "output_tokens_details": {"reasoning_tokens": 7},
    "total_tokens": 77,
}


def message(content: list[Json], stop_reason: str = "end_turn", **more: Any) -> Json:
    return {
        **MESSAGE,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": MESSAGE_USAGE,
        **more,
    }


def response(output: list[Json], **more: Any) -> Json:
    return {**RESPONSE, "output": output, "usage": RESPONSE_USAGE, **more}


def said(text: str, **more: Any) -> Json:
    """A message item."""
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"id": "msg_a", "type": "message", "role": "assistant", "status": "completed", "content": [part], **more}


def called(name: str, arguments: str, call_id: str = "call_1") -> Json:
    item = {"id": f"fc_{call_id}", "type": "function_call", "status": "completed"}
    return {**item, "call_id": call_id, "name": name, "arguments": arguments}


def sse(events: Iterable[Json], *, end: str = "") -> bytes:
    """The events on the wire, each with its name."""
    text = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
    return (text + end).encode()


Cut = Callable[[str], list[str]]


def whole(text: str) -> list[str]:
    return [text]


def letters(text: str) -> list[str]:
    return list(text)


def message_events(document: Json, cut: Cut = letters) -> list[Json]:
    """The stream of a message, as Anthropic sends it."""
    counts = dict(document["usage"])
    start = {**document, "content": [], "stop_reason": None, "stop_sequence": None}
    start["usage"] = {**counts, "output_tokens": 1}
    events: list[Json] = [{"type": "message_start", "message": start}, {"type": "ping"}]
    for index, block in enumerate(document["content"]):
        events += _block_events(index, block, cut)
    delta = {"stop_reason": document["stop_reason"], "stop_sequence": document["stop_sequence"]}
    events.append({"type": "message_delta", "delta": delta, "usage": {"output_tokens": counts["output_tokens"]}})
    return [*events, {"type": "message_stop"}]


def _block_events(index: int, block: Json, cut: Cut) -> list[Json]:
    kind = block["type"]
    deltas: list[Json] = []
    start = dict(block)
    if kind == "text":
        start["text"] = ""
        deltas = [{"type": "text_delta", "text": piece} for piece in cut(block["text"])]
        deltas += [{"type": "citations_delta", "citation": one} for one in start.pop("citations", ())]
    elif kind == "thinking":
        start |= {"thinking": "", "signature": ""}
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in cut(block["thinking"])]
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
    elif kind in ("tool_use", "server_tool_use"):
        start["input"] = {}
        text = json.dumps(block["input"]) if block["input"] else ""
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ["", *cut(text)]]
    pieces = [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
    begin = {"type": "content_block_start", "index": index, "content_block": start}
    return [begin, *pieces, {"type": "content_block_stop", "index": index}]


def response_events(document: Json, cut: Cut = letters) -> list[Json]:
    """The stream of a response, as OpenAI sends it."""
    start = {**document, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    events: list[Json] = [{"type": f"response.{word}", "response": start} for word in ("created", "in_progress")]
    for index, item in enumerate(document["output"]):
        empty: Json = {"content": []} if item["type"] == "message" else {}
        empty |= {"summary": []} if item["type"] == "reasoning" else {}
        empty |= {"arguments": ""} if item["type"] == "function_call" else {}
        empty |= {"input": ""} if item["type"] == "custom_tool_call" else {}
        begun = {**item, **empty}
        if "status" in item:
            begun["status"] = "in_progress"
        events.append({"type": "response.output_item.added", "output_index": index, "item": begun})
        events += _item_events(index, item, cut)
        events.append({"type": "response.output_item.done", "output_index": index, "item": item})
    events.append({"type": f"response.{document['status']}", "response": document})
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


def _item_events(index: int, item: Json, cut: Cut) -> list[Json]:
    where: Json = {"item_id": item.get("id"), "output_index": index}
    events: list[Json] = []
    for number, part in enumerate(item.get("content", ())):
        at = {**where, "content_index": number}
        events.append({"type": "response.content_part.added", **at, "part": {**part, "text": ""}})
        name, text = ("refusal", part["refusal"]) if part["type"] == "refusal" else ("output_text", part.get("text"))
        pieces = cut(text) if text else []
        events += [{"type": f"response.{name}.delta", **at, "delta": piece} for piece in pieces]
        field = "refusal" if name == "refusal" else "text"
        events.append({"type": f"response.{name}.done", **at, field: text})
        events.append({"type": "response.content_part.done", **at, "part": part})
    for number, part in enumerate(item.get("summary", ())):
        at = {**where, "summary_index": number}
        events.append({"type": "response.reasoning_summary_part.added", **at, "part": {**part, "text": ""}})
        name = "response.reasoning_summary_text"
        events += [{"type": f"{name}.delta", **at, "delta": piece} for piece in cut(part["text"])]
        events.append({"type": f"{name}.done", **at, "text": part["text"]})
        events.append({"type": "response.reasoning_summary_part.done", **at, "part": part})
    for field, name in (("arguments", "function_call_arguments"), ("input", "custom_tool_call_input")):
        if field in item:
            events += [{"type": f"response.{name}.delta", **where, "delta": piece} for piece in cut(item[field])]
            events.append({"type": f"response.{name}.done", **where, field: item[field]})
    return events


READERS: dict[str, Callable[..., Any]] = {"messages": MessagesReader, "responses": ResponsesReader}


def read(dialect: str, raw: bytes, size: int | None = None) -> tuple[list[Chunk], list[Warning], bool]:
    """The chunks of a stream that arrives in pieces of `size` bytes, the warnings, and whether an end was announced.
    What follows the end is not looked at."""
    decoder, warnings = SSEDecoder(), list[Warning]()
    reader = READERS[dialect](warnings)
    chunks: list[Chunk] = []
    step = size or len(raw)
    for start in range(0, len(raw), step):
        for event in decoder.feed(raw[start : start + step]):
            found = reader.read(event)
            if isinstance(found, Done):
                return chunks, warnings, True
            if found is not None:
                chunks.append(found)
    return chunks, warnings, False


def meant(completion: Completion) -> Any:
    """What an answer says: a field that is null says what one that is absent does, and arguments are JSON."""
    return _meant(completion.model_dump())


def _meant(value: Any) -> Any:
    if isinstance(value, dict):
        found = {name: _meant(item) for name, item in value.items() if item is not None}
        if isinstance(found.get("arguments"), str) and "name" in found:
            try:
                found["arguments"] = json.loads(found["arguments"])
            except ValueError:
                return found
        return found
    return [_meant(item) for item in value] if isinstance(value, list) else value


def assembled(dialect: str, raw: bytes, size: int | None = None) -> Completion:
    chunks, warnings, _ = read(dialect, raw, size)
    assert not warnings, warnings
    return assemble(chunks)
