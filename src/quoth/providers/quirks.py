"""Named corrections of a body for one provider: where it answers wrongly or misleadingly to what OpenAI's API allows.

Each is a small pure function with its reason, its evidence and a date; a row lists the ones that apply, and a caller
can switch any of them off (`disable_quirks=["join_text_parts"]`). They get the body and may change it in place (it is
already a copy at the levels they touch); they return warnings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from quoth.types import Warning

__all__ = ["MANY_TOOLS", "QUIRKS", "Outline", "Quirk"]

MANY_TOOLS = 215
Body = dict[str, Any]


class Outline(Struct):
    """What messages look like from afar: the roles that occur, and of each content that consists of parts their
    types."""

    roles: set[str] = set()
    parts: list[Sequence[str]] = []


class Quirk(Struct, frozen=True):
    """`apply` is None for a quirk that works elsewhere: in the flow (one call becomes several) or in an error's
    text.

    `when` looks at an outline of the messages and says whether there is anything to do: a relay that hears no leaves
    them closed. A quirk of something else than messages has none.
    """

    name: str
    why: str
    evidence: str
    checked: str
    apply: Callable[[Body], list[Warning]] | None = None
    when: Callable[[Outline], bool] | None = None


def _tool_properties(body: Body) -> list[Warning]:
    tools = body.get("tools")
    if isinstance(tools, list):
        body["tools"] = [_with_properties(tool) for tool in tools]
    return []


def _with_properties(tool: Any) -> Any:
    function = tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(function, dict):
        return tool
    parameters = function.get("parameters")
    if parameters is None:
        parameters = {}
    if not isinstance(parameters, dict) or "properties" in parameters:
        return tool
    return {**tool, "function": {**function, "parameters": {"type": "object", **parameters, "properties": {}}}}


def _input_audio_as_file(body: Body) -> list[Warning]:
    def as_file(part: Any) -> Any:
        audio = part.get("input_audio") if isinstance(part, dict) and part.get("type") == "input_audio" else None
        if not isinstance(audio, dict) or not isinstance(audio.get("data"), str):
            return part
        kind = audio.get("format") or "wav"
        mime = {"mp3": "mpeg"}.get(kind, kind)
        url = audio["data"] if audio["data"].startswith("data:") else f"data:audio/{mime};base64,{audio['data']}"
        return {"type": "file", "file": {"filename": f"audio.{kind}", "file_data": url}}

    if not _each_part(body, as_file):
        return []
    return [Warning("audio_as_file", "messages", "Poe removes input_audio parts, so the audio was sent as a file part")]


def _has_audio(outline: Outline) -> bool:
    return bool(outline.parts) and any("input_audio" in parts for parts in outline.parts)


def _has_texts(outline: Outline) -> bool:
    return bool(outline.parts) and any(parts.count("text") > 1 for parts in outline.parts)


def _has_developer(outline: Outline) -> bool:
    return "developer" in outline.roles


def _each_part(body: Body, change: Callable[[Any], Any]) -> bool:
    """Replace content parts; True when any changed."""
    changed = False
    messages = []
    for message in body["messages"]:
        content = message.get("content")
        if isinstance(content, list):
            parts = [change(part) for part in content]
            if any(new is not old for new, old in zip(parts, content, strict=True)):
                changed = True
                message = {**message, "content": parts}
        messages.append(message)
    if changed:
        body["messages"] = messages
    return changed


def _is_text(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)


def _join_text_parts(body: Body) -> list[Warning]:
    warnings: list[Warning] = []
    messages = []
    for number, message in enumerate(body["messages"]):
        content = message.get("content")
        if isinstance(content, list) and sum(map(_is_text, content)) > 1:
            text = "\n\n".join(part["text"] for part in content if _is_text(part))
            lost = {key for part in content if _is_text(part) for key in part} - {"type", "text"}
            where = f"messages[{number}].content"
            if lost:
                warnings.append(Warning("text_parts_joined", where, f"joining the text parts left out {sorted(lost)}"))
            places = [index for index, part in enumerate(content) if _is_text(part)]
            first = places[0]
            if places[-1] - first >= len(places):
                message_text = "the text parts were joined into one, before what stood between them"
                warnings.append(Warning("text_parts_joined", where, message_text))
            parts = [part for index, part in enumerate(content) if index == first or not _is_text(part)]
            parts = [{"type": "text", "text": text} if _is_text(part) else part for part in parts]
            message = {**message, "content": text if len(parts) == 1 else parts}
        messages.append(message)
    body["messages"] = messages
    return warnings


def _developer_as_system(body: Body) -> list[Warning]:
    if not any(message.get("role") == "developer" for message in body["messages"]):
        return []
    body["messages"] = [
        {**message, "role": "system"} if message.get("role") == "developer" else message for message in body["messages"]
    ]
    return [Warning("developer_as_system", "messages", "Poe has no developer role; such messages were sent as system")]


def _many_tools(body: Body) -> list[Warning]:
    tools = body.get("tools")
    if not isinstance(tools, list) or len(tools) <= MANY_TOOLS:
        return []
    message = f"{len(tools)} tools were sent; Poe was seen to accept {MANY_TOOLS} and to refuse 220"
    return [Warning("many_tools", "tools", message)]


QUIRKS: dict[str, Quirk] = {
    quirk.name: quirk
    for quirk in (
        Quirk(
            "tool_properties",
            "a function without arguments is refused unless its parameters have a `properties` key",
            'a tool with parameters {"type": "object"} is answered 400 "Invalid \'tools\': Field required"',
            "2026-07",
            _tool_properties,
        ),
        Quirk(
            "n_as_parallel_calls",
            "n has to be 1",
            "documented: any other n is an error; so n calls are made at once and merged into one answer",
            "2026-04-13",
        ),
        Quirk(
            "input_audio_as_file",
            "input_audio parts are removed without a word",
            "documented; a file part with an audio type reaches models that hear",
            "2026-04-13",
            _input_audio_as_file,
            when=_has_audio,
        ),
        Quirk(
            "join_text_parts",
            "of several text parts in one message only one was read",
            "seen in 2025; clients merge them since",
            "2025",
            _join_text_parts,
            when=_has_texts,
        ),
        Quirk(
            "developer_as_system",
            "the role developer is not known",
            "documented roles are system, user, assistant and tool",
            "2026-04-13",
            _developer_as_system,
            when=_has_developer,
        ),
        Quirk(
            "many_tools_hint",
            "too many tools are answered with the misleading text of a missing field",
            f"{MANY_TOOLS} tools were accepted, 220 refused with \"Invalid 'tools': Field required\"",
            "2026-07",
            _many_tools,
        ),
    )
}
