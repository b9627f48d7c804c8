"""Answers that fit a class: the schema goes to the model where it reads one, else into the prompt; the answer is
validated, and a model that got it wrong is told so once."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from quoth import errors
from quoth.call import Call, Target
from quoth.providers.params import honours_json_schema
from quoth.types import Completion

__all__ = ["does_not_fit", "parsed", "repair", "shaped"]

_IN_PROMPT = (
    "Answer with a single JSON value and nothing else: no explanation, no Markdown fence. "
    "It has to be valid against this JSON schema:\n{schema}"
)
_REPAIR = (
    "That answer is not valid: {problem}\n"
    "Answer again with only the corrected JSON value, valid against the same schema."
)


def shaped(call: Call, target: Target) -> Call:
    """The call with the schema of its `output_type` where this target will read it; unchanged without one.

    Raises BadRequestError for a class that has no schema.
    """
    if call.output_type is None:
        return call
    try:
        schema = _schema(call.output_type)
    except PydanticUserError as wrong:
        name = getattr(call.output_type, "__name__", call.output_type)
        message = f"response_format: {name} has no JSON schema: {wrong.message.splitlines()[0]}"
        raise errors.BadRequestError(message, param="response_format") from wrong
    if honours_json_schema(target):
        name = getattr(call.output_type, "__name__", "answer")
        wanted = {"name": name[:64], "schema": _closed(schema), "strict": True}
        return replace(call, params={**call.params, "response_format": {"type": "json_schema", "json_schema": wanted}})
    instruction = _IN_PROMPT.format(schema=msgspec.json.encode(schema).decode())
    messages = list(call.messages)
    first = messages[0] if messages else None
    if (
        isinstance(first, dict)
        and first.get("role") in ("system", "developer")
        and isinstance(first.get("content"), str)
    ):
        messages[0] = {**first, "content": f"{first['content']}\n\n{instruction}"}
    else:
        messages.insert(0, {"role": "system", "content": instruction})
    return replace(call, messages=messages)


def parsed(completion: Completion, output_type: Any) -> str | None:
    """Validate each choice and keep the instance as `message.parsed`; None when all fit, else what is wrong with the
    first that does not."""
    adapter = _adapter(output_type)
    for choice in completion.choices:
        message = choice.message
        if message.refusal or message.tool_calls:
            continue
        try:
            message._parsed = adapter.validate_json(_bare(message.content or ""))
        except ValidationError as wrong:
            problems = wrong.errors(include_url=False, include_input=False)
            return "; ".join(
                f"{'.'.join(map(str, problem['loc'])) or 'the whole'}: {problem['msg']}" for problem in problems[:5]
            )
    return None


def repair(call: Call, completion: Completion, problem: str) -> Call:
    """The same conversation, continued by the wrong answer and what is wrong with it."""
    said = (completion.choices[0].message.content or "") if completion.choices else ""
    more = [
        {"role": "assistant", "content": said or "(empty)"},
        {"role": "user", "content": _REPAIR.format(problem=problem)},
    ]
    return replace(call, messages=[*call.messages, *more])


def does_not_fit(completion: Completion, target: Target, problem: str) -> errors.APIResponseValidationError:
    return errors.APIResponseValidationError(
        f"{target.provider}'s answer does not fit the response_format, also after one repair: {problem}. "
        "The answer is in `.partial`, with its cost",
        partial=completion,
        llm_provider=target.provider,
        model=target.model,
        param="response_format",
    )


def _adapter(output_type: Any) -> TypeAdapter[Any]:
    return TypeAdapter(output_type)


def _schema(output_type: Any) -> dict[str, Any]:
    if isinstance(output_type, type) and issubclass(output_type, BaseModel):
        return output_type.model_json_schema()
    return _adapter(output_type).json_schema()


def _closed(schema: Any) -> Any:
    """The schema as OpenAI's strict mode wants it: every property required, none beyond them."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(value) for name, value in schema.items() if not (name == "default" and value is None)}
    if isinstance(schema.get("properties"), dict):
        closed["properties"] = {name: _closed(value) for name, value in schema["properties"].items()}
        closed["required"] = list(schema["properties"])
        closed.setdefault("additionalProperties", False)
    return closed


def _bare(text: str) -> str:
    """The JSON of an answer: without a Markdown fence, and without words before or after."""
    text = text.strip()
    if text.startswith("```"):
        text = text.partition("\n")[2].rpartition("```")[0].strip() or text.strip("`")
    if text[:1] in '{["' or not text:
        return text
    starts = [at for at in (text.find("{"), text.find("[")) if at >= 0]
    end = max(text.rfind("}"), text.rfind("]"))
    return text[min(starts) : end + 1] if starts and end > min(starts) else text
