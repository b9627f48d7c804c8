"""Named corrections of a body for one provider: where it answers wrongly or misleadingly to what OpenAI's API allows.

Each is a small pure function with its reason, its evidence and a date; a row lists the ones that apply, and a caller
can switch any of them off (`disable_quirks=["join_text_parts"]`). They get the body and may change it in place (it is
already a copy at the levels they touch); they return warnings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from quoth.call import Target
from quoth.types import Warning
from quoth.wire.carried import allowed, function_of_custom, web_search_of
from quoth.wire.kept_answers import refused

__all__ = ["MANY_TOOLS", "QUIRKS", "Outline", "Quirk", "mended", "quirks_of"]

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
    them closed. What it says of several messages has to hold of one of them alone. A quirk of something else than
    messages has none. `wires` are those that it concerns. `mend` is in place of `apply` for a quirk of one wire's own
    requests.
    """

    name: str
    why: str
    evidence: str
    checked: str
    apply: Callable[[Body], list[Warning]] | None = None
    when: Callable[[Outline], bool] | None = None
    wires: tuple[str, ...] = ("openai_chat",)
    mend: Callable[[Body], list[Warning]] | None = None


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
        url = audio["data"] if audio["data"][:5].lower() == "data:" else f"data:audio/{mime};base64,{audio['data']}"
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


def _custom_tools_as_functions(body: Body) -> list[Warning]:
    tools = body.get("tools")
    changed = False
    if isinstance(tools, list) and any(map(_is_custom, tools)):
        body["tools"] = [function_of_custom(tool) if _is_custom(tool) else tool for tool in tools]
        changed = True
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and _is_custom(choice):
        body["tool_choice"] = {"type": "function", "function": choice["custom"]}
    messages = body.get("messages") or []
    if any(_is_custom(call) for message in messages for call in message.get("tool_calls") or ()):
        body["messages"] = [_with_functions(message) for message in messages]
        changed = True
    text = "tools of free text were sent as functions with one argument, `input`, and are called as such"
    return [Warning("custom_tools_as_functions", "tools", text)] if changed else []


def _is_custom(tool: Any) -> bool:
    return isinstance(tool, dict) and tool.get("type") == "custom" and isinstance(tool.get("custom"), dict)


def _with_functions(message: Any) -> Any:
    calls = message.get("tool_calls")
    if not calls or not any(map(_is_custom, calls)):
        return message
    return {**message, "tool_calls": [_as_function(call) if _is_custom(call) else call for call in calls]}


def _as_function(call: Any) -> Any:
    arguments = msgspec.json.encode({"input": call["custom"].get("input") or ""}).decode()
    rest = {name: value for name, value in call.items() if name != "custom"}
    return {**rest, "type": "function", "function": {"name": call["custom"].get("name"), "arguments": arguments}}


def _allowed_tools_alone(body: Body) -> list[Warning]:
    some = allowed(body.get("tool_choice"), body.get("tools"))
    if some is None:
        return []
    body["tool_choice"], body["tools"] = some
    text = "Poe's chat has no choice among some of the tools, so that these alone were sent"
    return [Warning("allowed_tools_alone", "tool_choice", text)]


def _web_search_as_parameter(body: Body) -> list[Warning]:
    tools = body.get("tools")
    if not isinstance(tools, list) or not any(map(_is_search, tools)):
        return []
    body["tools"] = [tool for tool in tools if not _is_search(tool)]
    if not body["tools"]:
        del body["tools"]
        body.pop("tool_choice", None)
        body.pop("parallel_tool_calls", None)
    body["web_search"] = True
    text = "the tool for web search was sent as Poe's parameter web_search=true, without its settings"
    return [Warning("web_search_as_parameter", "tools", text)]


def _is_search(tool: Any) -> bool:
    return isinstance(tool, dict) and "function" not in tool and web_search_of(tool)


def _instructions_as_input(document: Body) -> list[Warning]:
    instructions = document.pop("instructions", None)
    if not instructions:
        return []
    given = document.get("input")
    if not isinstance(given, str | list | None):
        return []  # the provider says what is wrong with it
    items = [{"role": "user", "content": given}] if isinstance(given, str) else list(given or ())
    document["input"] = [{"role": "system", "content": instructions}, *items]
    text = "Poe takes `instructions` and does nothing with them, so they were sent as the first message of the input"
    return [Warning("instructions_as_input", "instructions", text)]


def _keeps_no_answers(document: Body) -> list[Warning]:
    if error := refused(document):
        raise error
    return []


def _client_metadata_removed(document: Body) -> list[Warning]:
    if document.pop("client_metadata", None) is None:
        return []
    text = "client_metadata was left out: it describes the program that calls, and Poe is not known to take it"
    return [Warning("client_metadata_removed", "client_metadata", text)]


def _system_turns_as_reminders(document: Body) -> list[Warning]:
    messages = document.get("messages")
    if not isinstance(messages, list) or not any(map(_is_system, messages)):
        return []
    turns: list[Any] = []
    for turn in messages:
        if not _is_system(turn):
            turns.append(turn)
            continue
        said = [_as_reminder(block) for block in _blocks_of(turn)]
        before = turns[-1] if turns else None
        if isinstance(before, dict) and before.get("role") == "user":
            turns[-1] = {**before, "content": [*_blocks_of(before), *said]}
        else:
            turns.append({"role": "user", "content": said})
    document["messages"] = turns
    text = "Poe's Messages API has no system messages among the others, so they were sent as the user's reminders"
    return [Warning("system_turns_as_reminders", "messages", text)]


def _is_system(turn: Any) -> bool:
    return isinstance(turn, dict) and turn.get("role") == "system"


def _blocks_of(turn: Body) -> list[Any]:
    content = turn.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return content if isinstance(content, list) else []


def _as_reminder(block: Any) -> Any:
    if not isinstance(block, dict) or not isinstance(block.get("text"), str):
        return block
    return {**block, "text": f"<system-reminder>\n{block['text']}\n</system-reminder>"}


# What Poe documents for its Messages API, and what was recorded beside it.
_MESSAGES_FIELDS = frozenset(
    (
        "model max_tokens messages system temperature top_p top_k stream stop_sequences tools tool_choice metadata "
        "thinking cache_control"
    ).split()
)

_MARK = frozenset({"type", "ttl"})


def _beta_fields_removed(document: Body) -> list[Warning]:
    unknown = [name for name in document if name not in _MESSAGES_FIELDS]
    for name in unknown:
        del document[name]
    removed = dict.fromkeys(unknown)
    for name in ("system", "tools", "messages"):
        if isinstance(document.get(name), list):
            document[name] = _with_plain_marks(document[name], removed)
    text = "was left out: Poe's Messages API refuses the fields that it does not know"
    return [Warning("beta_field_removed", name, f"{name} {text}") for name in removed]


def _with_plain_marks(blocks: list[Any], removed: dict[str, None]) -> list[Any]:
    """Blocks whose marks for the prompt cache, and those of the blocks within, say no more than was ever documented;
    the same list when they do not. `removed` gains what was more."""
    found = []
    for block in blocks:
        plain = block
        mark = block.get("cache_control") if isinstance(block, dict) else None
        if isinstance(mark, dict) and (more := mark.keys() - _MARK):
            removed |= dict.fromkeys(f"cache_control.{name}" for name in sorted(more))
            plain = {**block, "cache_control": {name: mark[name] for name in mark if name in _MARK}}
        within = block.get("content") if isinstance(block, dict) else None
        if isinstance(within, list) and (content := _with_plain_marks(within, removed)) is not within:
            plain = {**plain, "content": content}
        found.append(plain)
    return found if any(new is not old for new, old in zip(found, blocks, strict=True)) else blocks


def quirks_of(target: Target) -> tuple[Quirk, ...]:
    """The quirks that are in force for a target, in the order of its row."""
    return _in_force(target.row.quirks, target.quirks, target.wire)


@lru_cache(maxsize=256)
def _in_force(names: tuple[str, ...], wanted: frozenset[str], wire: str) -> tuple[Quirk, ...]:
    known = (QUIRKS[name] for name in names if name in wanted and name in QUIRKS)
    return tuple(quirk for quirk in known if wire in quirk.wires)


def mended(document: Mapping[str, Any], target: Target) -> tuple[Mapping[str, Any], list[Warning]]:
    """A request in its wire's own form, as this target takes it; the same object when there is nothing to mend."""
    warnings: list[Warning] = []
    for quirk in quirks_of(target):
        if quirk.mend is not None:
            copy = dict(document)
            warnings += quirk.mend(copy)
            if copy != document:
                document = copy
    return document, warnings


_ALL_WIRES = ("openai_chat", "openai_responses", "anthropic_messages")
QUIRKS: dict[str, Quirk] = {
    quirk.name: quirk
    for quirk in (
        Quirk(
            "tool_properties",
            "a function without arguments is refused unless its parameters have a `properties` key",
            'a tool with parameters {"type": "object"} is answered 400 "Invalid \'tools\': Field required"',
            "2026-07",
            _tool_properties,
            wires=_ALL_WIRES,
        ),
        Quirk(
            "n_as_parallel_calls",
            "n has to be 1",
            "documented: any other n is an error; so n calls are made at once and merged into one answer",
            "2026-04-13",
            wires=_ALL_WIRES,
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
        Quirk(
            "custom_tools_as_functions",
            "tools of free text are not among those of its chat",
            "documented tools are functions; clients such as Codex send others",
            "2026-04-13",
            _custom_tools_as_functions,
        ),
        Quirk(
            "allowed_tools_alone",
            "in its chat, a choice that allows some of the tools is not among those that it takes",
            "`allowed_tools` is generally refused; documented are auto, none, required and a named function",
            "2026-07",
            _allowed_tools_alone,
        ),
        Quirk(
            "web_search_as_parameter",
            "in its chat, web search is a parameter and not a tool",
            "documented for models that declare `web_search`",
            "2026-04-13",
            _web_search_as_parameter,
        ),
        Quirk(
            "instructions_as_input",
            "over Responses, `instructions` are taken and have no effect",
            "probed with claude-haiku-4.5 and gpt-5.4-mini; a system message in the input is followed",
            "2026-05",
            wires=("openai_responses",),
            mend=_instructions_as_input,
        ),
        Quirk(
            "keeps_no_answers",
            "over Responses, an answer cannot be gone on from",
            "previous_response_id is answered 500 for Claude, and for GPT with an error about zero data retention; so "
            "it is refused here, with the way out",
            "2026-05",
            wires=("openai_responses",),
            mend=_keeps_no_answers,
        ),
        Quirk(
            "client_metadata_removed",
            "over Responses, `client_metadata` is not among the fields that it is known to take",
            "documented fields do not have it; Codex sends it with every request, with names of folders and of the "
            "installation, which no answer depends on",
            "2026-11-26",
            wires=("openai_responses",),
            mend=_client_metadata_removed,
        ),
        Quirk(
            "system_turns_as_reminders",
            "over Messages, the role system is not known among the messages",
            "documented roles are user and assistant; Claude Code sends others to a model whose name it does not know. "
            "Where they stand they leave the prompt's cache whole, which at the start they would not",
            "2026-04-13",
            wires=("anthropic_messages",),
            mend=_system_turns_as_reminders,
        ),
        Quirk(
            "beta_fields_removed",
            "over Messages, fields that it does not know are refused",
            'context_management is answered 400 "Extra inputs are not permitted"; so is what a mark for the cache has '
            "beside type and ttl",
            "2026-04",
            wires=("anthropic_messages",),
            mend=_beta_fields_removed,
        ),
    )
}
