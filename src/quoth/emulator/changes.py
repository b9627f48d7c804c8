"""Facts deliberately changed, one at a time, so that what checks Poe's behaviour can be seen to notice.

Each change is named after the fact it breaks and touches one surface: the switches, the request before it is read, an
error, the body of one route, the chunks of a stream. Nothing else in the emulator knows of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from quoth.emulator.models import find
from quoth.emulator.problems import Problem

__all__ = ["CHANGES", "Change", "Changes", "table"]

Body = dict[str, Any]
Chunk = Body | float
Chunks = Iterator[Chunk]
T = TypeVar("T")


# A request before it is read; the body of a route; each chunk or named event of a stream; an error.
KINDS = frozenset(
    """
    request completion chunk error models balance history
    response_request response response_events message_request message message_events message_error video
    """.split()
)


@dataclass(frozen=True, slots=True)
class Change:
    """`meaning` says what is so instead.

    `switches` are the switches that are set otherwise, by profile. `status` maps a status to another. `bodies` are
    functions by the kind of body, see `KINDS`; that of a request may raise Problem. `chunks` has a stream of chat as a
    whole, `done` is whether it ends with `[DONE]`.
    """

    meaning: str
    switches: dict[str, dict[str, Any]] = field(default_factory=dict)
    status: dict[int, int] = field(default_factory=dict)
    bodies: dict[str, Callable[[Body], Body]] = field(default_factory=dict)
    chunks: Callable[[Chunks], Chunks] | None = None
    done: bool = True


class Changes:
    """The changes that are in force."""

    def __init__(self, names: Iterable[str] = ()):
        self._changes = [CHANGES[name] for name in names]

    @property
    def requests(self) -> bool:
        """Whether a request is changed before it is read."""
        return any(kind.endswith("request") for change in self._changes for kind in change.bodies)

    @property
    def done(self) -> bool:
        return all(change.done for change in self._changes)

    def body(self, kind: str, body: Body) -> Body:
        for change in self._changes:
            if kind in change.bodies:
                body = change.bodies[kind](body)
        return body

    def chunks(self, chunks: Chunks) -> Chunks:
        for change in self._changes:
            if change.chunks is not None:
                chunks = change.chunks(chunks)
            if "chunk" in change.bodies:
                chunks = _each(chunks, change.bodies["chunk"])
        return chunks

    def events(self, kind: str, events: Iterator[T]) -> Iterator[T]:
        """The named events of a stream, as one body each."""
        for change in self._changes:
            if kind in change.bodies:
                events = _each_event(events, change.bodies[kind])
        return events

    def problem(self, problem: Problem) -> Problem:
        for change in self._changes:
            problem.status = change.status.get(problem.status, problem.status)
        return problem


def _each(chunks: Chunks, changed: Callable[[Body], Body]) -> Chunks:
    for chunk in chunks:
        yield changed(chunk) if isinstance(chunk, dict) else chunk


def _each_event(events: Iterator[T], changed: Callable[[Body], Body]) -> Iterator[T]:
    for event in events:
        yield cast(T, (event[0], changed(event[1]))) if isinstance(event, tuple) else event


# Requests


def _with_properties(body: Body) -> Body:
    for tool in _dicts(body.get("tools")):
        function = tool.get("function")
        parameters = function.setdefault("parameters", {}) if isinstance(function, dict) else None
        if isinstance(parameters, dict):
            parameters.setdefault("type", "object")
            parameters.setdefault("properties", {})
    return body


def _one_choice(body: Body) -> Body:
    return {name: value for name, value in body.items() if name != "n"}


def _within_range(body: Body) -> Body:
    return {name: value for name, value in body.items() if name not in ("temperature", "top_p")}


def _four_stops(body: Body) -> Body:
    stop = body.get("stop")
    return {**body, "stop": stop[:4]} if isinstance(stop, list) else body


def _without(*names: str) -> Callable[[Body], Body]:
    return lambda body: {name: value for name, value in body.items() if name not in names}


def _as_listed(body: Body) -> Body:
    """A handle that is not spelt as the list spells it becomes one that does not exist."""
    model = body.get("model")
    return (
        {**body, "model": f"{model} (no such spelling)"} if isinstance(model, str) and model != model.lower() else body
    )


def _refusing(*names: str) -> Callable[[Body], Body]:
    def refuse(body: Body) -> Body:
        for name in names:
            if name in body:
                raise Problem(400, f"Unknown parameter: '{name}'.", param=name)
        return body

    return refuse


def _no_parameters(body: Body) -> Body:
    """The parameters that the model declares are as unknown as any other."""
    facts = find(body["model"]) if isinstance(body.get("model"), str) else None
    extra = body.get("extra_body")
    given = {**body, **extra} if isinstance(extra, dict) else body
    declared = {parameter.name for parameter in facts.parameters or ()} if facts else set()
    _refusing(*sorted(declared - {"model"}))(given)
    return body


# Bodies


def _dicts(value: Any) -> list[Body]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _messages(body: Body) -> Iterator[Body]:
    """The messages of an answer, or the deltas of a chunk."""
    for choice in _dicts(body.get("choices")):
        message = choice.get("message", choice.get("delta"))
        if isinstance(message, dict):
            yield message


def _bare_error(body: Body) -> Body:
    error = body.get("error")
    return {"detail": error.get("message"), "status": "error"} if isinstance(error, dict) else body


def _one_reasoning(body: Body) -> Body:
    for message in _messages(body):
        message.pop("reasoning_content", None)
    return body


def _null_content(body: Body) -> Body:
    for message in _messages(body):
        if message.get("tool_calls") and message.get("content") == "":
            message["content"] = None
    return body


def _compact_arguments(body: Body) -> Body:
    for message in _messages(body):
        for call in _dicts(message.get("tool_calls")):
            arguments = json.loads(call["function"]["arguments"])
            call["function"]["arguments"] = json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))
    return body


def _bare_address(body: Body) -> Body:
    for message in _messages(body):
        content = message.get("content")
        if isinstance(content, str) and content.startswith("![") and "/base/image/" in content:
            message["content"] = content.rpartition("\n")[2]
    return body


def _renamed(old: str, new: str) -> Callable[[Body], Body]:
    return lambda body: {new if name == old else name: value for name, value in body.items()}


def _inner(name: str, changed: Callable[[Body], Body]) -> Callable[[Body], Body]:
    def inside(body: Body) -> Body:
        return {**body, name: changed(body[name])} if isinstance(body.get(name), dict) else body

    return inside


def _rows(changed: Callable[[Body], Body]) -> Callable[[Body], Body]:
    return lambda body: {**body, "data": [changed(row) for row in body["data"]]}


def _scaled(name: str, factor: float) -> Callable[[Body], Body]:
    return lambda body: {**body, name: int(body[name] * factor)} if isinstance(body.get(name), int) else body


def _other_id(body: Body) -> Body:
    return {**body, "id": f"gen-{body['id'][-12:]}"} if "id" in body else body


def _counts_overhead(body: Body) -> Body:
    usage = body.get("usage")
    if isinstance(usage, dict) and "prompt_tokens" in usage:
        body = {**body, "usage": {**usage, "prompt_tokens": usage["prompt_tokens"] + 11}}
        body["usage"]["total_tokens"] = body["usage"]["total_tokens"] + 11
    return body


_tokens_renamed = _inner(
    "usage",
    lambda usage: {{"prompt_tokens": "input_tokens", "completion_tokens": "output_tokens"}.get(name, name): value
                   for name, value in usage.items()},
)  # fmt: skip


# Responses and Messages


def _with(**members: Any) -> Callable[[Body], Body]:
    return lambda body: body | members


def _changed(name: str, change: Callable[[Any], Any]) -> Callable[[Body], Body]:
    return lambda body: {**body, name: change(body[name])} if name in body else body


def _spaced_calls(body: Body) -> Body:
    for item in _dicts(body.get("output")):
        if "arguments" in item:
            item["arguments"] = json.dumps(json.loads(item["arguments"]))
    return body


def _other_tool_ids(body: Body) -> Body:
    for block in _dicts(body.get("content")):
        if block["type"] == "tool_use":
            block["id"] = f"call_{block['id'][-24:]}"
    return body


def _unmarked(body: Body) -> Body:
    for block in _dicts(body.get("system")):
        block.pop("cache_control", None)
    return body


def _plain_message(body: Body) -> Body:
    message = body["error"]["message"]
    if message.startswith("{"):
        body["error"]["message"] = json.loads(message)["error"]["message"]
    return body


# Streams


def _usage_first(chunks: Chunks) -> Chunks:
    """What comes last in Poe's streams comes first: usage, then the finish reason, then the content."""
    whole = [chunk for chunk in chunks if isinstance(chunk, dict)]

    def place(chunk: Body) -> int:
        if not chunk["choices"]:
            return 0
        return 1 if chunk["choices"][0].get("finish_reason") else 2

    yield from sorted(whole, key=place)


def _whole_text(chunks: Chunks) -> Chunks:
    """Nothing is streamed: one chunk has the whole content."""
    parts: list[str] = []
    for chunk in chunks:
        if not isinstance(chunk, dict):
            yield chunk
            continue
        text = chunk["choices"][0]["delta"].get("content") if chunk["choices"] else None
        if text:
            parts.append(text)
            continue
        if parts and chunk["choices"] and chunk["choices"][0].get("finish_reason"):
            yield {**chunk, "choices": [{"index": 0, "delta": {"content": "".join(parts)}, "finish_reason": None}]}
        yield chunk


def _no_usage(chunks: Chunks) -> Chunks:
    """Usage is left out, though it is asked for."""
    for chunk in chunks:
        if not isinstance(chunk, dict) or chunk["choices"]:
            yield chunk


def _flipped(name: str, observed: Any, documented: Any) -> dict[str, dict[str, Any]]:
    return {"observed": {name: observed}, "documented": {name: documented}}


# OpenAI's parameters that Poe takes, with or without an effect.
_TAKEN = """
    max_tokens max_completion_tokens temperature top_p stop stream_options parallel_tool_calls logprobs top_logprobs
    response_format reasoning_effort store metadata prediction presence_penalty frequency_penalty seed service_tier
    audio logit_bias user modalities
""".split()

CHANGES: dict[str, Change] = {
    "stream_order": Change("usage and finish reason come before the content", chunks=_usage_first),
    "stream_pieces": Change("a stream brings the whole content in one chunk", chunks=_whole_text),
    "stream_usage": Change("a stream has no usage, though it is asked for", chunks=_no_usage),
    "stream_done": Change("a stream ends without `[DONE]`", done=False),
    "error_envelope": Change("errors are `detail` and `status`, without `error`", bodies={"error": _bare_error}),
    "error_codes": Change(
        "`error.code` is a number in the observed profile, a slug in the documented one",
        switches=_flipped("numeric_error_codes", True, False),
    ),
    "bad_request_status": Change("what is 400 is 422", status={400: 422}),
    "bad_key_status": Change("what is 401 is 403", status={401: 403}),
    "unknown_model_status": Change("what is 404 is 400", status={404: 400}),
    "method_status": Change("what is 405 is 404", status={405: 404}),
    "tools_need_properties": Change("a tool without `properties` is taken", bodies={"request": _with_properties}),
    "tools_called": Change("tools never reach the model", bodies={"request": _without("tools", "tool_choice")}),
    "tool_content": Change(
        "`content` is null beside a tool call (not in streams)", bodies={"completion": _null_content}
    ),
    "tool_arguments": Change(
        "arguments of tools have no blanks (not in streams)", bodies={"completion": _compact_arguments}
    ),
    "response_format": Change(
        "JSON schemas are ignored in the observed profile, honoured by all in the documented one",
        switches=_flipped("json_schema_models", "none", "all"),
    ),
    "developer_role": Change("the role `developer` is accepted", switches=_flipped("developer_role", True, True)),
    "unknown_parameters": Change("undeclared keys are taken", switches=_flipped("strict", False, False)),
    "reasoning_effort": Change(
        "a top-level `reasoning_effort` has no effect in the observed profile, has one in the documented one",
        switches=_flipped("forward_reasoning_effort", False, True),
    ),
    "reasoning_fields": Change(
        "`reasoning` comes without its twin `reasoning_content`",
        bodies={"completion": _one_reasoning, "chunk": _one_reasoning},
    ),
    "n": Change("`n` above 1 is taken", bodies={"request": _one_choice}),
    "ranges": Change("`temperature` and `top_p` are taken whatever they are", bodies={"request": _within_range}),
    "stop_count": Change("more than 4 stop sequences are taken", bodies={"request": _four_stops}),
    "stop": Change("`stop` has no effect", bodies={"request": _without("stop")}),
    "max_tokens": Change(
        "`max_tokens` and `max_completion_tokens` have no effect",
        bodies={"request": _without("max_tokens", "max_completion_tokens")},
    ),
    "custom_parameters": Change("the models' own parameters are refused", bodies={"request": _no_parameters}),
    "model_case": Change("a handle is found only in lower case", bodies={"request": _as_listed}),
    "model_echo": Change(
        "`model` is the upstream's name, not what the caller sent",
        bodies={
            "completion": lambda body: {**body, "model": f"{body['model'].lower()}-2026-01-01"},
            "chunk": lambda body: {**body, "model": f"{body['model'].lower()}-2026-01-01"},
        },
    ),
    "chat_id": Change("ids are `gen-` and 12 digits", bodies={"completion": _other_id, "chunk": _other_id}),
    "chat_time": Change(
        "`created` is in milliseconds",
        bodies={"completion": _scaled("created", 1000), "chunk": _scaled("created", 1000)},
    ),
    "usage_shape": Change(
        "usage has `input_tokens` and `output_tokens`", bodies={"completion": _tokens_renamed, "chunk": _tokens_renamed}
    ),
    "usage_counts": Change(
        "usage counts 11 prompt tokens beyond the text",
        bodies={"completion": _counts_overhead, "chunk": _counts_overhead},
    ),
    "usage_details": Change(
        "token details come always in the observed profile, as recorded in the documented one",
        switches=_flipped("usage_details", "always", "recorded"),
    ),
    "media_content": Change(
        "image answers are the bare address", bodies={"completion": _bare_address, "chunk": _bare_address}
    ),
    "balance_shape": Change(
        "`current_point_balance` is called `balance`", bodies={"balance": _renamed("current_point_balance", "balance")}
    ),
    "balance_fields": Change(
        "the balance is one number in the observed profile, all its fields in the documented one",
        switches=_flipped("full_balance", False, True),
    ),
    "history_shape": Change(
        "`cost_points` in the history is called `cost`", bodies={"history": _rows(_renamed("cost_points", "cost"))}
    ),
    "history_time": Change(
        "times in the history are milliseconds", bodies={"history": _rows(_scaled("creation_time", 0.001))}
    ),
    "models_time": Change("`created` in the list is in seconds", bodies={"models": _rows(_scaled("created", 0.001))}),
    "models_prices": Change("models have no `pricing`", bodies={"models": _rows(_without("pricing"))}),
    "responses_shape": Change(
        "an answer of Responses is kept and has `output_text`",
        bodies={"response": _with(store=True, output_text="")},
    ),
    "responses_id": Change(
        "ids of responses are plain", bodies={"response": _changed("id", lambda value: f"resp_{value[-24:]}")}
    ),
    "responses_model": Change(
        "`model` of Responses is the handle",
        bodies={"response": _changed("model", lambda value: re.sub(r"-\d{4}-\d{2}-\d{2}$", "", value))},
    ),
    "responses_usage": Change(
        "usage of Responses has `prompt_tokens`",
        bodies={"response": _inner("usage", _renamed("input_tokens", "prompt_tokens"))},
    ),
    "responses_order": Change(
        "the text of a stream of Responses comes in `response.text.delta`",
        bodies={"response_events": _changed("type", lambda value: value.replace("output_text.delta", "text.delta"))},
    ),
    "responses_instructions": Change(
        "`instructions` have an effect in the observed profile, none in the documented one",
        switches=_flipped("instructions", True, False),
    ),
    "responses_previous": Change(
        "`previous_response_id` works in the observed profile, not in the documented one",
        switches=_flipped("previous_responses", True, False),
    ),
    "responses_models": Change(
        "every model answers on Responses", bodies={"response_request": _with(model="gpt-4.1-nano")}
    ),
    "responses_effort": Change("every effort is taken", bodies={"response_request": _without("reasoning")}),
    "responses_tools": Change("arguments of function calls have blanks", bodies={"response": _spaced_calls}),
    "responses_format": Change("`text.format` has no effect", bodies={"response_request": _without("text")}),
    "messages_names": Change(
        "`model` of Messages is the name that was sent, as it were",
        bodies={"message": _changed("model", lambda value: f"anthropic/{value}")},
    ),
    "messages_id": Change(
        "ids of messages are `msg_`", bodies={"message": _changed("id", lambda value: f"msg_{value[-24:]}")}
    ),
    "messages_usage": Change(
        "usage of Messages has no `total_tokens`", bodies={"message": _inner("usage", _without("total_tokens"))}
    ),
    "messages_order": Change(
        "a stream of Messages has deltas of another name",
        bodies={"message_events": _changed("type", lambda value: value.replace("block_delta", "delta"))},
    ),
    "messages_models": Change(
        "every model answers on Messages", bodies={"message_request": _with(model="claude-haiku-3")}
    ),
    "messages_envelope": Change(
        "errors of Messages are without `type` and `request_id`",
        bodies={"message_error": lambda body: {"error": body["error"]}},
    ),
    "messages_fields": Change(
        "fields that are not known are dropped", bodies={"message_request": _without("context_management")}
    ),
    "messages_errors_as_text": Change(
        "what the provider said is given in its words", bodies={"message_error": _plain_message}
    ),
    "messages_tools": Change("ids of tool uses are `call_`", bodies={"message": _other_tool_ids}),
    "messages_cache": Change("marks have no effect", bodies={"message_request": _unmarked}),
    "openai_paths": Change(
        "OpenAI's own paths for images and speech are served", switches=_flipped("openai_media_paths", True, True)
    ),
    **{
        f"refuses_{name}": Change(f"the parameter `{name}` is refused", bodies={"request": _refusing(name)})
        for name in _TAKEN
    },
}


def table() -> str:
    """The changes as a Markdown table, as in the documentation."""
    rows = [f"| `{name}` | {change.meaning} |" for name, change in CHANGES.items() if not name.startswith("refuses_")]
    refused = f"| `refuses_NAME` | that parameter is refused: {', '.join(f'`{name}`' for name in _TAKEN)} |"
    return "\n".join(["| name | what is so instead |", "| --- | --- |", *rows, refused])
