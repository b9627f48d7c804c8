"""The request of chat completions: what Poe accepts, what it refuses and with which words.

Bytes in, `ChatRequest` out, or `Problem` raised. Unknown keys are refused with the key as `param` (strict validation,
the default since April 2026), declared custom parameters are held to the catalogue's enum and range.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

import msgspec

from quoth.emulator import tokens
from quoth.emulator.models import find, is_free, traits
from quoth.emulator.problems import Problem
from quoth.emulator.settings import Switches
from quoth.emulator.upstream import resolved
from quoth.providers.catalogue import ModelFacts, ParameterFacts

__all__ = [
    "MAX_TOOLS",
    "THINKING_PARAMETERS",
    "ChatRequest",
    "decoded",
    "invalid",
    "is_number",
    "must",
    "read",
    "text_of",
    "typed",
]

MAX_TOOLS = 215

_OPENAI_FIELDS = frozenset(
    """
    model messages max_tokens max_completion_tokens temperature top_p stop stream stream_options tools tool_choice
    parallel_tool_calls n logprobs top_logprobs response_format reasoning_effort store metadata prediction
    presence_penalty frequency_penalty seed service_tier audio logit_bias user modalities functions function_call
    web_search_options verbosity safety_identifier prompt_cache_key prompt_cache_retention extra_body
    """.split()
)
THINKING_PARAMETERS = ("reasoning_effort", "thinking_budget", "thinking_level", "output_effort", "enable_thinking")
_ROLES = ("system", "user", "assistant", "tool")
_TOOLS_FIELD_REQUIRED = "Invalid 'tools': Field required"
_REMINDER_END = "</system-reminder>"
_REMINDERS = re.compile(rf"<system-reminder>.*?{_REMINDER_END}\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A valid request. `messages` hold text only where `text` says so; `prompt` is the last user message.

    The other surfaces bring their requests into this form too; on those that honour schemas, `schema_honoured` says
    that the model follows `response_format`, whatever it does on the chat route.
    """

    model: str
    facts: ModelFacts
    messages: list[dict[str, Any]]
    stream: bool = False
    include_usage: bool = False
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    tools: list[dict[str, Any]] = field(default_factory=list)
    tool_choice: str | dict[str, Any] = "auto"
    parallel_tool_calls: bool = True
    response_format: dict[str, Any] | None = None
    reasoning_effort: str | None = None
    custom: dict[str, Any] = field(default_factory=dict)
    schema_honoured: bool = False

    @property
    def last(self) -> dict[str, Any]:
        """The last message that is not the system's, which may stand behind what it is about."""
        return next((one for one in reversed(self.messages) if one["role"] != "system"), self.messages[-1])

    @property
    def prompt(self) -> str:
        """Text of the last user message; "" when there is none. What a program put in between for the model, as Claude
        Code does (the names of its tools among it), is not what the user says, unless there is nothing else."""
        text = next((text_of(message) for message in reversed(self.messages) if message["role"] == "user"), "")
        return _REMINDERS.sub("", text).strip() or text if _REMINDER_END in text else text

    @property
    def system(self) -> str:
        return "\n\n".join(text_of(message) for message in self.messages if message["role"] == "system")

    @property
    def prompt_tokens(self) -> int:
        """Visible text of all messages: no chat overhead, no tool definitions."""
        return sum(tokens.count(text_of(message)) for message in self.messages)

    @property
    def wants_reasoning(self) -> bool:
        """True when a parameter asks the model to think."""
        given = [self.reasoning_effort, *(self.custom.get(name) for name in THINKING_PARAMETERS)]
        return any(value and value not in ("none", "minimal") for value in given)


def text_of(message: dict[str, Any]) -> str:
    """The text of a message, parts joined by a blank line."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n\n".join(part["text"] for part in parts if part.get("type") == "text")


def read(body: bytes, switches: Switches) -> ChatRequest:
    """The request in `body`. Raises Problem with 400, 402, 404 or 413."""
    data = decoded(body)
    model = data.get("model")
    if not isinstance(model, str) or not model:
        raise invalid("model", "Missing required parameter: 'model'." if model is None else must("model", "a string"))
    facts = find(model)
    if facts is None:
        raise Problem(404, f"The model '{model}' does not exist or you do not have access to it.", param="model")
    messages = _messages(data.get("messages"), switches)
    custom = _custom(data, facts, switches)
    _ranges(data)
    tools = _tools(data.get("tools"), facts)
    stream_options = typed(data, "stream_options", dict, "an object") or {}
    request = ChatRequest(
        model=model,
        facts=facts,
        messages=messages,
        stream=bool(typed(data, "stream", bool, "a boolean")),
        include_usage=bool(stream_options.get("include_usage")),
        max_tokens=_max_tokens(data),
        stop=_stop(data.get("stop")),
        tools=tools,
        tool_choice=_tool_choice(data.get("tool_choice"), tools),
        parallel_tool_calls=typed(data, "parallel_tool_calls", bool, "a boolean") is not False,
        response_format=typed(data, "response_format", dict, "an object"),
        reasoning_effort=_effort(data, custom, facts, switches),
        custom=custom,
    )
    if not switches.subscriber and not is_free(facts):
        raise Problem(402, "This model needs a subscription or add-on points.")
    window = facts.context_window
    if not facts.makes_media and window and request.prompt_tokens > window:
        raise Problem(413, f"The prompt has {request.prompt_tokens} tokens, the model's context window {window}.")
    return request


def decoded(body: bytes) -> dict[str, Any]:
    """A body that must be a JSON object."""
    try:
        data = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, f"Could not parse the request body as JSON: {error}") from None
    if not isinstance(data, dict):
        raise Problem(400, "The request body must be a JSON object.")
    return data


def invalid(param: str, message: str) -> Problem:
    """What is said of a parameter that is wrong."""
    return Problem(400, message, param=param)


def must(param: str, what: str) -> str:
    """The usual words for that."""
    return f"Invalid '{param}': must be {what}."


def typed(data: dict[str, Any], name: str, kind: type, what: str) -> Any:
    """A parameter that is of this type or not there. Raises Problem for any other."""
    value = data.get(name)
    if value is not None and not isinstance(value, kind):
        raise invalid(name, must(name, what))
    return value


# Messages


def _messages(value: Any, switches: Switches) -> list[dict[str, Any]]:
    if value is None:
        raise invalid("messages", "Missing required parameter: 'messages'.")
    if not isinstance(value, list) or not value:
        raise invalid("messages", must("messages", "a non-empty list of messages"))
    roles = (*_ROLES, "developer") if switches.developer_role else _ROLES
    for index, message in enumerate(value):
        _message(f"messages[{index}]", message, roles)
    return value


def _message(place: str, message: Any, roles: tuple[str, ...]) -> None:
    if not isinstance(message, dict):
        raise invalid(place, must(place, "an object"))
    role = message.get("role")
    if role not in roles:
        raise invalid(f"{place}.role", f"Invalid '{place}.role': {role!r} is not one of {', '.join(roles)}.")
    content = message.get("content")
    calls = message.get("tool_calls")
    if calls is not None and not (isinstance(calls, list) and all(isinstance(call, dict) for call in calls)):
        raise invalid(f"{place}.tool_calls", must(f"{place}.tool_calls", "a list of tool calls"))
    if content is None:
        if role != "assistant" or not calls:
            raise invalid(f"{place}.content", f"Invalid '{place}.content': Field required")
    elif isinstance(content, list):
        for number, part in enumerate(content):
            _part(f"{place}.content[{number}]", part)
    elif not isinstance(content, str):
        raise invalid(f"{place}.content", must(f"{place}.content", "a string or a list of parts"))
    if role == "tool" and not isinstance(message.get("tool_call_id"), str):
        raise invalid(f"{place}.tool_call_id", f"Invalid '{place}.tool_call_id': Field required")


def _part(place: str, part: Any) -> None:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return
    if (
        kind == "image_url"
        and isinstance(part.get("image_url"), dict)
        and isinstance(part["image_url"].get("url"), str)
    ):
        return
    if kind == "file" and isinstance(part.get("file"), dict) and isinstance(part["file"].get("file_data"), str):
        return
    if kind == "input_audio":  # accepted and dropped, without a word
        return
    raise invalid(place, must(place, "a text, image_url or file part"))


# Parameters


def _custom(data: dict[str, Any], facts: ModelFacts, switches: Switches) -> dict[str, Any]:
    """The model's own parameters, from the top level and from a literal `extra_body` object."""
    extra = data.get("extra_body")
    if extra is not None and not isinstance(extra, dict):
        raise invalid("extra_body", must("extra_body", "an object"))
    # Some bots declare a parameter `model`, which can only be meant inside `extra_body`.
    given = {name: value for name, value in data.items() if name not in ("extra_body", "model")} | (extra or {})
    custom = {}
    for name, value in given.items():
        declared = facts.parameter(name)
        if declared is not None:
            if switches.strict and name != "reasoning_effort":
                _declared(declared, value)
            custom[name] = value
        elif name not in _OPENAI_FIELDS:
            if switches.strict and facts.parameters is not None:
                raise invalid(name, f"Unknown parameter: '{name}'.")
            custom[name] = value
    return custom


def _declared(parameter: ParameterFacts, value: Any) -> None:
    name = parameter.name
    if parameter.enum is not None:
        if value not in parameter.enum:
            allowed = ", ".join(f"'{choice}'" for choice in parameter.enum)
            raise invalid(name, f"Invalid '{name}': {value!r} is not supported. Supported values are: {allowed}.")
    elif parameter.type == "boolean":
        if not isinstance(value, bool):
            raise invalid(name, must(name, "a boolean"))
    elif parameter.type == "number":
        low, high = parameter.minimum, parameter.maximum
        if not is_number(value) or (low is not None and value < low) or (high is not None and value > high):
            raise invalid(name, must(name, f"a number from {low:g} to {high:g}" if low is not None else "a number"))
    # `seed` is declared as a string by some bots and an integer in OpenAI's protocol: both are taken.
    elif not isinstance(value, str) and not (name == "seed" and isinstance(value, int)):
        raise invalid(name, must(name, "a string"))


def _effort(data: dict[str, Any], custom: dict[str, Any], facts: ModelFacts, switches: Switches) -> str | None:
    """The effort that reaches the model: a top-level `reasoning_effort` is forwarded even when it is not declared."""
    value = custom.get("reasoning_effort", data.get("reasoning_effort"))
    if value is None:
        return None
    if not isinstance(value, str):
        raise invalid("reasoning_effort", must("reasoning_effort", "a string"))
    declared = facts.parameter("reasoning_effort")
    found = traits(facts.id)
    allowed = found.efforts or (declared.enum if declared is not None else None)
    if switches.strict and allowed and value not in allowed:
        choices = ", ".join(f"'{choice}'" for choice in allowed)
        raise invalid(
            "reasoning_effort",
            f"Unsupported value: '{value}' is not supported with the '{resolved(facts.id)}' model. "
            f"Supported values are: {choices}.",
        )
    forwarded = switches.forward_reasoning_effort or "reasoning_effort" in custom
    return value if forwarded else None


def is_number(value: Any) -> bool:
    """Whether a value is a finite number, and not a boolean."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _ranges(data: dict[str, Any]) -> None:
    for name, high in (("temperature", 2), ("top_p", 1)):
        value = data.get(name)
        if value is not None and not (is_number(value) and 0 <= value <= high):
            raise invalid(name, must(name, f"a number from 0 to {high}"))
    if data.get("n") not in (None, 1) or isinstance(data.get("n"), bool):
        raise invalid("n", "Invalid 'n': only 1 is supported.")


def _max_tokens(data: dict[str, Any]) -> int | None:
    for name in ("max_completion_tokens", "max_tokens"):
        value = data.get(name)
        if value is not None:
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise invalid(name, must(name, "a positive integer"))
            return value
    return None


def _stop(value: Any) -> tuple[str, ...]:
    """Stop sequences; those of whitespace only do not work."""
    if value is None:
        return ()
    sequences = [value] if isinstance(value, str) else value
    if not isinstance(sequences, list) or not all(isinstance(sequence, str) for sequence in sequences):
        raise invalid("stop", must("stop", "a string or a list of strings"))
    if len(sequences) > 4:
        raise invalid("stop", "Invalid 'stop': at most 4 sequences are supported.")
    return tuple(sequence for sequence in sequences if sequence.strip())


# Tools


def _tools(value: Any, facts: ModelFacts) -> list[dict[str, Any]]:
    if value is None or value == []:
        return []
    if not isinstance(value, list):
        raise invalid("tools", must("tools", "a list"))
    no_tools = facts.supported_features is not None and "tools" not in facts.supported_features
    if no_tools or traits(facts.id).rejects_tools:
        raise Problem(
            400,
            f"Model {facts.id} does not support tool calling. "
            "Use a tool-capable model or remove tools from the request.",
            param="model",
            code="unsupported_feature_for_model",
        )
    if len(value) > MAX_TOOLS or not all(_is_function(tool) for tool in value):
        raise invalid("tools", _TOOLS_FIELD_REQUIRED)
    if facts.owned_by == "XAI" and any(_refers(tool["function"]["parameters"]) for tool in value):
        raise invalid("tools", "Invalid 'tools': '$ref' is not supported by this model.")
    return value


def _is_function(tool: Any) -> bool:
    """A zero-argument tool, too, must say `properties`."""
    function = tool.get("function") if isinstance(tool, dict) and tool.get("type") == "function" else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        return False
    parameters = function.get("parameters")
    return isinstance(parameters, dict) and "type" in parameters and isinstance(parameters.get("properties"), dict)


def _refers(schema: Any) -> bool:
    if isinstance(schema, dict):
        return "$ref" in schema or any(_refers(inner) for inner in schema.values())
    return isinstance(schema, list) and any(_refers(inner) for inner in schema)


def _tool_choice(value: Any, tools: list[dict[str, Any]]) -> str | dict[str, Any]:
    if value is None:
        return "auto"
    if value in ("auto", "none"):
        return str(value)
    if value == "required" and tools:
        return "required"
    if isinstance(value, dict) and value.get("type") == "function" and isinstance(value.get("function"), dict):
        name = value["function"].get("name")
        if any(tool["function"]["name"] == name for tool in tools):
            return value
    raise invalid("tool_choice", must("tool_choice", "auto, none, required or one of the functions in 'tools'"))
