"""Which tools an emulated model calls, and with what."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from quoth.emulator.chat_request import ChatRequest
from quoth.emulator.material import Material
from quoth.emulator.models import traits
from quoth.emulator.schemas import instance

__all__ = ["calls", "letters", "prose"]

_ALNUM = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_MOST_PARALLEL = 8


def calls(request: ChatRequest, seed: str) -> list[dict[str, Any]]:
    """The tool calls of an answer, in OpenAI's shape; [] when the model answers in words.

    A tool is called when `tool_choice` requires or names it, or when the last message is the user's and names it.
    """
    made: list[dict[str, Any]] = []
    for function in _chosen(request):
        for arguments in _arguments(function, request):
            made.append(_call(request.facts.id, function["name"], arguments, f"{seed}/{len(made)}", len(made)))
            if not request.parallel_tool_calls or len(made) == _MOST_PARALLEL:
                return made
    return made


def prose(request: ChatRequest, made: list[dict[str, Any]]) -> str:
    """Text beside tool calls: empty, but for the backends that were seen to add a sentence."""
    if not traits(request.facts.id).prose:
        return ""
    names = list(dict.fromkeys(call["function"]["name"] for call in made))
    return f"I'll use the {' and '.join(names)} tool{'s' if len(names) > 1 else ''} for that (emulated)."


def _chosen(request: ChatRequest) -> list[dict[str, Any]]:
    functions = [tool["function"] for tool in request.tools]
    choice = request.tool_choice
    if choice == "none" or not functions:
        return []
    if isinstance(choice, dict):
        return [function for function in functions if function["name"] == choice["function"]["name"]][:1]
    material = Material(request.prompt)
    named = [function for function in functions if material.mentions(function["name"])]
    if choice == "required":
        return named or [max(functions, key=lambda function: _overlap(function, request.prompt))]
    return named if request.last["role"] == "user" else []


def _overlap(function: dict[str, Any], prompt: str) -> int:
    """How many words a tool's name and description share with the prompt; the first tool wins a tie."""
    said = re.sub(r"([a-z])([A-Z])", r"\1 \2", f"{function['name']} {function.get('description') or ''}")
    words = set(re.findall(r"[a-z]{3,}", said.lower().replace("_", " ")))
    return len(words & set(re.findall(r"[a-z]{3,}", prompt[:20_000].lower())))


def _arguments(function: dict[str, Any], request: ChatRequest) -> list[Any]:
    """One set of arguments, or one for each place when the tool takes one and the prompt names several."""
    schema = function["parameters"]
    prompt = _without(function["name"], request.prompt)
    arguments = instance(schema, prompt, optional=False)
    places = Material(prompt).places
    single = (
        [name for name, value in arguments.items() if places and value == places[0]]
        if isinstance(arguments, dict)
        else []
    )
    if len(single) != 1 or len(places) < 2:
        return [arguments]
    return [{**arguments, single[0]: place} for place in places]


def _without(name: str, prompt: str) -> str:
    """The prompt without the words that only name the tool, which are no material for arguments."""
    return re.sub(
        rf"(?:use|call|with|using)?\s*(?:the )?[`'\"]?\b{re.escape(name)}\b[`'\"]?(?: tool| function)?", " ", prompt
    )


def _call(model_id: str, name: str, arguments: Any, seed: str, position: int) -> dict[str, Any]:
    found = traits(model_id)
    # The spacing of Python's json module is what translated backends send.
    function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
    call: dict[str, Any] = {"id": _id(found.tool_id, name, seed, position), "type": "function", "function": function}
    if found.signed and position == 0:
        call["extra_content"] = {"google": {"thought_signature": letters(f"{seed}/signature", 64)}}
    return call


def _id(style: str, name: str, seed: str, position: int) -> str:
    if style == "grok":
        return "call_" + "".join(str(ord(letter) % 10) for letter in letters(seed, 8))
    if style == "gemini":
        return f"tool_{name}_{letters(seed, 20)}"
    if style == "kimi":
        return f"{name}:{position}"
    return f"call_{letters(seed, 24)}"


def letters(seed: str, count: int) -> str:
    """`count` letters and digits that depend on the seed alone."""
    stream = hashlib.shake_256(seed.encode()).digest(count)
    return "".join(_ALNUM[byte % len(_ALNUM)] for byte in stream)
