"""Answers as providers give them, for hypothesis: whole ones, and the streams that say the same."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

__all__ = ["completions", "cut", "events", "streams_of"]

Json = dict[str, Any]

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
WORD = st.text("abcdefgh_", min_size=1, max_size=8)
COUNT = st.integers(0, 10**9)
PLAIN: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORD, inner, max_size=2),
    max_leaves=4,
)
# Names that no version of OpenAI's API has, so that they can stand anywhere.
EXTRA = st.dictionaries(WORD.map("x_{}".format), PLAIN, max_size=2)


def fields(required: dict[str, Any], optional: dict[str, Any], extra: bool = True) -> st.SearchStrategy[Json]:
    """An object with these fields, and now and then with some that nobody has heard of."""
    known = st.fixed_dictionaries(required, optional=optional)
    return st.tuples(known, EXTRA).map(lambda both: {**both[1], **both[0]}) if extra else known


def _arguments(draw: st.DrawFn) -> str:
    return draw(st.dictionaries(WORD, PLAIN, max_size=2).map(json.dumps) | st.just("{}") | TEXT.filter(bool))


@st.composite
def tool_calls(draw: st.DrawFn) -> list[Json]:
    calls = []
    for number in range(draw(st.integers(1, 3))):
        function = draw(fields({"name": WORD}, {})) | {"arguments": _arguments(draw)}
        calls.append(draw(EXTRA) | {"id": f"call_{number}", "type": "function", "function": function})
    return calls


TOKEN = st.fixed_dictionaries(
    {"token": TEXT, "logprob": st.floats(-50, 0), "bytes": st.none(), "top_logprobs": st.just([])}
)
REASONING: st.SearchStrategy[Json] = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"reasoning_content": TEXT}),
    st.fixed_dictionaries({"reasoning": TEXT}),
    TEXT.map(lambda text: {"reasoning": text, "reasoning_content": text}),
)
USAGE = fields(
    {"prompt_tokens": COUNT, "completion_tokens": COUNT, "total_tokens": COUNT},
    {
        "prompt_tokens_details": fields({}, {"cached_tokens": COUNT, "audio_tokens": COUNT}),
        "completion_tokens_details": fields({}, {"reasoning_tokens": COUNT, "accepted_prediction_tokens": COUNT}),
    },
)


@st.composite
def choices(draw: st.DrawFn, index: int) -> Json:
    """One choice: text, reasoning, tool calls, an old function call or a refusal, in whatever mixture."""
    message: Json = {"role": "assistant", "content": draw(TEXT | st.none())} | draw(REASONING) | draw(EXTRA)
    reason = draw(st.sampled_from(["stop", "length", "content_filter", "eos"]))
    kind = draw(st.sampled_from(["text", "text", "tools", "function", "refusal"]))
    if kind == "tools":
        message["tool_calls"], reason = draw(tool_calls()), "tool_calls"
    elif kind == "function":
        message["function_call"] = {"name": draw(WORD), "arguments": _arguments(draw)}
        reason = "function_call"
    elif kind == "refusal":
        message["refusal"] = draw(TEXT)
    choice = draw(EXTRA) | {"index": index, "message": message, "finish_reason": reason}
    if draw(st.booleans()):
        choice["logprobs"] = {"content": draw(st.lists(TOKEN, min_size=1, max_size=3)), "refusal": None}
    return choice


@st.composite
def completions(draw: st.DrawFn) -> Json:
    """A whole answer, as JSON."""
    head = draw(
        fields(
            {"id": WORD, "created": COUNT, "model": WORD},
            {"system_fingerprint": WORD, "service_tier": WORD},
        )
    )
    answer = head | {"object": "chat.completion"}
    answer["choices"] = [draw(choices(index)) for index in range(draw(st.integers(1, 3)))]
    if draw(st.booleans()):
        answer["usage"] = draw(USAGE)
    return answer


def cut(draw: st.DrawFn, value: Any) -> list[Any]:
    """A text or a list in a few pieces; some may be empty."""
    places = sorted(draw(st.lists(st.integers(0, len(value)), max_size=3)))
    return [value[start:end] for start, end in pairwise([0, *places, len(value)])]


@st.composite
def streams_of(draw: st.DrawFn, answer: Json) -> list[Json]:
    """The chunks of a stream that says what this answer says. Choices are mixed; each keeps its own order."""
    head: Json = {name: answer[name] for name in ("id", "created", "model") if name in answer}
    rest = {name: value for name, value in answer.items() if name not in {*head, "object", "choices", "usage"}}
    head |= {"object": "chat.completion.chunk"} | rest
    queues = [_chunk_choices(draw, choice) for choice in answer["choices"]]
    chunks: list[Json] = []
    while any(queues):
        queue = draw(st.sampled_from([queue for queue in queues if queue]))
        chunks.append({**head, "choices": [queue.pop(0)]})
    if "usage" in answer:
        if draw(st.booleans()):
            chunks.append({**head, "choices": [], "usage": answer["usage"]})
        else:
            chunks[-1]["usage"] = answer["usage"]
    return chunks


def _chunk_choices(draw: st.DrawFn, choice: Json) -> list[Json]:
    message = choice["message"]
    deltas: list[Json] = [{"role": message["role"], "content": None if message["content"] is None else ""}]
    for name in ("reasoning_content", "reasoning", "content", "refusal"):
        if message.get(name) is not None:
            deltas += [{name: piece} for piece in cut(draw, message[name])]
    if "function_call" in message:
        deltas += [{"function_call": piece} for piece in _function_pieces(draw, message["function_call"])]
    for index, call in enumerate(message.get("tool_calls", ())):
        pieces = [{"index": index, "function": piece} for piece in _function_pieces(draw, call["function"])]
        pieces[0] |= {name: value for name, value in call.items() if name != "function"}
        deltas += [{"tool_calls": [piece]} for piece in pieces]
    named = {"role", "content", "refusal", "reasoning", "reasoning_content", "tool_calls", "function_call"}
    extra = {name: value for name, value in message.items() if name not in named}
    # Lists of unknown meaning grow, so each field of that kind is sent once.
    deltas[draw(st.integers(0, len(deltas) - 1))].update(extra)
    found: list[Json] = [{"index": choice["index"], "delta": delta, "finish_reason": None} for delta in deltas]
    if "logprobs" in choice:
        found += [
            {"index": choice["index"], "delta": {}, "logprobs": {"content": piece, "refusal": None}}
            for piece in cut(draw, choice["logprobs"]["content"])
        ]
    last = {name: value for name, value in choice.items() if name not in {"message", "logprobs"}}
    return [*found, {**last, "delta": {}}]


def _function_pieces(draw: st.DrawFn, function: Json) -> list[Json]:
    pieces = [{"arguments": piece} for piece in cut(draw, function["arguments"])]
    pieces[0] = {name: value for name, value in function.items() if name != "arguments"} | pieces[0]
    return pieces


def events(chunks: list[Json], *, ascii_only: bool = True) -> bytes:
    """The chunks as a stream on the wire."""
    data = [json.dumps(chunk, ensure_ascii=ascii_only) for chunk in chunks]
    return "".join(f"data: {text}\n\n" for text in [*data, "[DONE]"]).encode()
