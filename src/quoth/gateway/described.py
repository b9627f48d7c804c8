"""What each route takes and gives, as data, for the OpenAPI document: JSON Schemas, and one Operation for each route.

A route that is not named here is documented with what is true of every route; so a new one needs a line here only to
say more. Sources: OpenAI's API reference (chat completions, completions, embeddings, images, audio, videos, models,
errors), Poe's own list of models, LiteLLM's documentation for `/model/info`, `/health` and the keywords that steer a
call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

__all__ = ["GENERIC", "OPERATIONS", "PARAMETERS", "SCHEMAS", "STATUSES", "Operation"]

Schema: TypeAlias = dict[str, Any]

JSON, EVENTS, TEXT = "application/json", "text/event-stream", "text/plain"
# Of every route; of those that take a body; of those that call a provider. A refusal of the provider's that is about
# the request is passed on with its own status, hence the 4XX.
_ALWAYS = ("401", "404", "500")
_TAKES = (*_ALWAYS, "400", "408", "413", "415", "422")
_CALLS = (*_TAKES, "402", "403", "409", "429", "502", "503", "504", "4XX")
STATUSES = {
    "400": "The request is not usable; `param` names the field",
    "401": "No key, a key that is not known here, or two different ones",
    "402": "The gateway's account with the provider has no points or credit left",
    "403": "Refused by the provider's moderation, by a hook, or for this key",
    "404": "There is no such model or route",
    "408": "The body did not arrive in time, or the provider says so",
    "409": "The request with this Idempotency-Key is still under way",
    "413": "The body is larger than the limit, or the prompt than the model reads",
    "415": "A body with a content-encoding",
    "422": "The Idempotency-Key was used with another request, or the provider cannot process this one",
    "429": "Too many requests; `retry-after` says when there is room",
    "4XX": "Refused by the provider, in its own words",
    "500": "The gateway or the provider failed",
    "502": "The provider refused the gateway's key, could not be reached, or gave no usable answer",
    "503": "The provider is overloaded, or the gateway is stopping",
    "504": "The provider did not answer in time",
}


class Operation(msgspec.Struct, frozen=True):
    """`body`, and the values of `answers` by their media type, are names of SCHEMAS; None for what has no schema.
    `statuses` are those of errors, `headers` names of PARAMETERS."""

    summary: str
    body: str | None = None
    answers: Mapping[str, str | None] = msgspec.field(default_factory=dict)
    statuses: tuple[str, ...] = _ALWAYS
    headers: tuple[str, ...] = ()
    unready: str = ""


def _object(required: str = "", **properties: Schema) -> Schema:
    found: Schema = {"type": "object", "properties": properties}
    return {**found, "required": required.split()} if required else found


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _or_null(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


_TEXT: Schema = {"type": "string"}
_MAYBE_TEXT = _or_null(_TEXT)
_WHOLE: Schema = {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_FLAG: Schema = {"type": "boolean"}
_OBJECT: Schema = {"type": "object"}
_MODEL: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": 512,
    "description": "A name from GET /v1/models, or one that a wildcard matches",
}
# What steers a call here and does not travel; LiteLLM's words.
_STEERING: dict[str, Schema] = {
    "timeout": {"type": "number", "exclusiveMinimum": 0, "maximum": 999_999, "description": "Seconds for the call"},
    "stream_timeout": {"type": "number", "exclusiveMinimum": 0, "maximum": 999_999},
    "num_retries": {"type": "integer", "minimum": 0, "maximum": 100},
    "fallbacks": _list({"anyOf": [_TEXT, _object("model", model=_TEXT)]}),
    "disable_fallbacks": _FLAG,
    "tags": _list(_TEXT),
}
_SAMPLING: dict[str, Schema] = {
    "frequency_penalty": {"type": "number"},
    "logit_bias": _OBJECT,
    "max_tokens": _WHOLE,
    "n": _WHOLE,
    "presence_penalty": {"type": "number"},
    "seed": _WHOLE,
    "stop": {"anyOf": [_TEXT, _list(_TEXT)]},
    "stream": _FLAG,
    "stream_options": _object(include_usage=_FLAG),
    "temperature": {"type": "number"},
    "top_p": {"type": "number"},
    "user": _TEXT,
}
_USAGE = _object(prompt_tokens=_COUNT, completion_tokens=_COUNT, total_tokens=_COUNT)

SCHEMAS: dict[str, Schema] = {
    "Error": _object(
        "error",
        error=_object("message", message=_TEXT, type=_MAYBE_TEXT, param=_MAYBE_TEXT, code=_MAYBE_TEXT),
    ),
    "AnyError": _object("error", error=_object("message", message=_TEXT)),
    "Anything": _OBJECT,
    "ChatRequest": _object(
        "model messages",
        model=_MODEL,
        messages=_list(_ref("Message")),
        logprobs=_FLAG,
        max_completion_tokens=_WHOLE,
        metadata=_OBJECT,
        modalities=_list(_TEXT),
        parallel_tool_calls=_FLAG,
        reasoning_effort=_TEXT,
        response_format=_object("type", type=_TEXT),
        store=_FLAG,
        tool_choice={"anyOf": [_TEXT, _OBJECT]},
        tools=_list(_ref("Tool")),
        top_logprobs=_WHOLE,
        **_SAMPLING,
        **_STEERING,
    ),
    "Message": _object(
        "role",
        role={"type": "string", "enum": ["system", "developer", "user", "assistant", "tool"]},
        content={"anyOf": [_TEXT, _list(_object("type", type=_TEXT)), {"type": "null"}]},
        name=_TEXT,
        tool_calls=_list(_OBJECT),
        tool_call_id=_TEXT,
    ),
    "Tool": _object(
        "type function",
        type={"type": "string", "enum": ["function"]},
        function=_object("name", name=_TEXT, description=_TEXT, parameters=_OBJECT),
    ),
    "Completion": _object(
        "choices",
        id=_MAYBE_TEXT,
        object={"type": "string", "enum": ["chat.completion"]},
        created={"type": "integer"},
        model=_TEXT,
        choices=_list(
            _object(
                "message",
                index={"type": "integer"},
                finish_reason=_MAYBE_TEXT,
                message=_object("role", role=_TEXT, content=_MAYBE_TEXT, tool_calls=_or_null(_list(_OBJECT))),
            )
        ),
        usage=_or_null(_USAGE),
    ),
    "TextRequest": _object(
        "model prompt",
        model=_MODEL,
        prompt={"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": 1}]},
        echo=_FLAG,
        **_SAMPLING,
        **_STEERING,
    ),
    "TextCompletion": _object(
        "choices",
        object={"type": "string", "enum": ["text_completion"]},
        model=_TEXT,
        choices=_list(_object("text", index={"type": "integer"}, text=_TEXT, finish_reason=_MAYBE_TEXT)),
        usage=_or_null(_USAGE),
    ),
    "EmbeddingRequest": _object(
        "model input",
        model=_MODEL,
        input={"anyOf": [_TEXT, _list(_TEXT), _list(_COUNT), _list(_list(_COUNT))]},
        dimensions=_COUNT,
        encoding_format={"type": "string", "enum": ["float", "base64"]},
        user=_TEXT,
        **_STEERING,
    ),
    "Embeddings": _object(
        "data",
        data=_list(_object("embedding", index={"type": "integer"}, embedding={"type": ["array", "string"]})),
        model=_TEXT,
        usage=_or_null(_USAGE),
    ),
    "MessagesRequest": _object(
        "model messages",
        model=_MODEL,
        messages=_list(
            _object(
                "role content",
                role={"type": "string", "enum": ["user", "assistant"]},
                content={"anyOf": [_TEXT, _list(_object("type", type=_TEXT))]},
            )
        ),
        max_tokens={"type": "integer", "minimum": 1, "maximum": 2**31},
        system={"anyOf": [_TEXT, _list(_object("type", type=_TEXT))]},
        stream=_FLAG,
        stop_sequences=_list(_TEXT),
        temperature={"type": "number"},
        top_p={"type": "number"},
        top_k=_COUNT,
        tools=_list(_object("name", name=_TEXT, description=_TEXT, input_schema=_OBJECT)),
        tool_choice=_object("type", type={"type": "string", "enum": ["auto", "any", "none", "tool"]}, name=_TEXT),
        thinking=_object("type", type={"type": "string", "enum": ["enabled", "disabled"]}, budget_tokens=_COUNT),
        metadata=_object(user_id=_TEXT),
        **_STEERING,
    ),
    "MessagesAnswer": _object(
        "type role content",
        type={"type": "string", "enum": ["message"]},
        role={"type": "string", "enum": ["assistant"]},
        content=_list(_object("type", type=_TEXT)),
        stop_reason=_MAYBE_TEXT,
        usage=_object(input_tokens=_COUNT, output_tokens=_COUNT),
    ),
    "Counted": _object("input_tokens", input_tokens=_COUNT),
    "ResponsesRequest": _object(
        "model input",
        model=_MODEL,
        input={"anyOf": [_TEXT, _list(_OBJECT)]},
        instructions=_TEXT,
        include=_list(_TEXT),
        max_output_tokens=_WHOLE,
        metadata=_OBJECT,
        parallel_tool_calls=_FLAG,
        prompt_cache_key=_TEXT,
        reasoning=_object(effort=_TEXT, summary=_TEXT),
        store=_FLAG,
        stream=_FLAG,
        temperature={"type": "number"},
        text=_object(format=_object("type", type=_TEXT), verbosity=_TEXT),
        tool_choice={"anyOf": [_TEXT, _OBJECT]},
        tools=_list(_object("type", type=_TEXT)),
        top_p={"type": "number"},
        **_STEERING,
    ),
    "Response": _object(
        "object output",
        id=_TEXT,
        object={"type": "string", "enum": ["response"]},
        output=_list(_object("type", type=_TEXT)),
        status=_TEXT,
    ),
    "ImageRequest": _object(
        "model prompt",
        model=_MODEL,
        prompt={"type": "string", "minLength": 1},
        n=_WHOLE,
        size=_TEXT,
        quality=_TEXT,
        response_format={"type": "string", "enum": ["url", "b64_json"]},
        **_STEERING,
    ),
    "ImageEditRequest": _object(
        "model prompt image",
        model=_MODEL,
        prompt={"type": "string", "minLength": 1},
        image={"anyOf": [_TEXT, _list(_TEXT)], "description": "A file in a form; in JSON base64 or an address"},
        mask=_TEXT,
        n=_WHOLE,
        size=_TEXT,
        **_STEERING,
    ),
    "Images": _object("data", created={"type": "integer"}, data=_list(_object(url=_MAYBE_TEXT, b64_json=_MAYBE_TEXT))),
    "SpeechRequest": _object(
        "model input",
        model=_MODEL,
        input={"type": "string", "minLength": 1},
        voice=_TEXT,
        response_format=_TEXT,
        speed={"type": "number"},
        **_STEERING,
    ),
    "TranscriptionRequest": _object(
        "model file",
        model=_MODEL,
        file={"type": "string", "description": "A file in a form; in JSON base64 or an address"},
        language=_TEXT,
        prompt=_TEXT,
        response_format=_TEXT,
        **_STEERING,
    ),
    "VideoRequest": _object(
        "model prompt",
        model=_MODEL,
        prompt={"type": "string", "minLength": 1},
        seconds={"anyOf": [_TEXT, _COUNT]},
        size=_TEXT,
        input_reference={"type": "string", "description": "A file in a form; in JSON base64 or an address"},
        **_STEERING,
    ),
    "RemixRequest": _object("prompt", prompt={"type": "string", "minLength": 1}),
    "Video": _object("id status", id=_TEXT, object=_MAYBE_TEXT, status=_TEXT, model=_MAYBE_TEXT),
    "Deleted": _object("id deleted", id=_TEXT, object=_TEXT, deleted=_FLAG),
    "Model": _object(
        "id object",
        id=_TEXT,
        object={"type": "string", "enum": ["model"]},
        created={"type": "integer"},
        owned_by=_TEXT,
        architecture=_object(input_modalities=_list(_TEXT), output_modalities=_list(_TEXT)),
        pricing={"type": ["object", "null"], "description": "US dollars for one token, as decimal texts"},
        context_length={"type": ["integer", "null"]},
        parameters=_list(_object("name", name=_TEXT)),
    ),
    "Models": _object("object data", object={"type": "string", "enum": ["list"]}, data=_list(_ref("Model"))),
    "ModelInfo": _object(
        "data",
        data=_list(
            _object(
                "model_name litellm_params model_info",
                model_name=_TEXT,
                litellm_params=_object("model", model=_TEXT),
                model_info=_object("id", id=_TEXT),
            )
        ),
    ),
    "Health": _object(
        "healthy_endpoints unhealthy_endpoints healthy_count unhealthy_count",
        healthy_endpoints=_list(_ref("Endpoint")),
        unhealthy_endpoints=_list(_ref("Endpoint")),
        healthy_count=_COUNT,
        unhealthy_count=_COUNT,
    ),
    "Endpoint": _object(
        "model model_name model_id state", model=_TEXT, model_name=_TEXT, model_id=_TEXT, state=_TEXT, in_flight=_COUNT
    ),
    "Ready": _object("status", status={"type": "string", "enum": ["healthy", "shutting down"]}),
    "Alive": {"type": "string", "enum": ["I'm alive!"]},
}

PARAMETERS: dict[str, Schema] = {
    "anthropic-version": {"type": "string", "pattern": "^[0-9-]{10}$", "description": "Passed on to Anthropic's API"},
    "anthropic-beta": {"type": "string", "pattern": "^[a-z0-9,-]{0,64}$", "description": "Passed on, but not to Poe"},
    "x-request-id": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$", "description": "The request's name here"},
    "idempotency-key": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,255}$", "description": "Executed at most once"},
    "x-litellm-timeout": {"type": "number", "exclusiveMinimum": 0, "maximum": 999_999, "description": "Seconds"},
    "x-litellm-stream-timeout": {"type": "number", "exclusiveMinimum": 0, "maximum": 999_999, "description": "Seconds"},
    "x-litellm-num-retries": {"type": "integer", "minimum": 0, "maximum": 100},
    "x-litellm-tags": {"type": "string", "pattern": "^[a-z, ]{0,64}$", "description": "Tags, between commas"},
}
_STEERED = tuple(name for name in PARAMETERS if not name.startswith("anthropic-"))

_CHAT = Operation(
    "Chat: answers as a whole, or as events with `stream`",
    "ChatRequest",
    {JSON: "Completion", EVENTS: None},
    _CALLS,
    _STEERED,
)
_COMPLETIONS = Operation(
    "The older API, answered by chat", "TextRequest", {JSON: "TextCompletion", EVENTS: None}, _CALLS, _STEERED
)
_EMBEDDINGS = Operation("Vectors of texts", "EmbeddingRequest", {JSON: "Embeddings"}, _CALLS, _STEERED)
_ALIVE = Operation("Whether the gateway runs", answers={JSON: "Alive"}, statuses=("404", "500"))

# By the template of the route, and the method.
OPERATIONS: dict[tuple[str, str], Operation] = {
    ("/v1/chat/completions", "POST"): _CHAT,
    ("/openai/deployments/{model}/chat/completions", "POST"): _CHAT,
    ("/v1/completions", "POST"): _COMPLETIONS,
    ("/openai/deployments/{model}/completions", "POST"): _COMPLETIONS,
    ("/v1/embeddings", "POST"): _EMBEDDINGS,
    ("/openai/deployments/{model}/embeddings", "POST"): _EMBEDDINGS,
    ("/v1/responses", "POST"): Operation(
        "OpenAI's Responses, for any model", "ResponsesRequest", {JSON: "Response", EVENTS: None}, _CALLS, _STEERED
    ),
    ("/v1/messages", "POST"): Operation(
        "Anthropic's Messages, for any model",
        "MessagesRequest",
        {JSON: "MessagesAnswer", EVENTS: None},
        _CALLS,
        tuple(PARAMETERS),
    ),
    ("/v1/messages/count_tokens", "POST"): Operation(
        "About how many tokens a prompt has", "MessagesRequest", {JSON: "Counted"}, _TAKES
    ),
    ("/v1/images/generations", "POST"): Operation(
        "Pictures, as addresses or as base64", "ImageRequest", {JSON: "Images"}, _CALLS, _STEERED
    ),
    ("/v1/images/edits", "POST"): Operation(
        "Pictures begun from others; also as a form with files", "ImageEditRequest", {JSON: "Images"}, _CALLS, _STEERED
    ),
    ("/v1/audio/speech", "POST"): Operation(
        "A text spoken, as the bytes of a file", "SpeechRequest", {"audio/*": None}, _CALLS, _STEERED
    ),
    ("/v1/audio/transcriptions", "POST"): Operation(
        "What is said in a recording; mostly a form with a file",
        "TranscriptionRequest",
        {JSON: "Anything", TEXT: None},
        _CALLS,
        _STEERED,
    ),
    ("/v1/videos", "POST"): Operation(
        "A film, as a job to ask after; also as a form with a file", "VideoRequest", {JSON: "Video"}, _CALLS, _STEERED
    ),
    ("/v1/videos/{video_id}", "GET"): Operation(
        "How far a film is", answers={JSON: "Video"}, statuses=(*_ALWAYS, "4XX", "502", "503", "504")
    ),
    ("/v1/videos/{video_id}", "DELETE"): Operation(
        "Delete a film, where that can be done",
        answers={JSON: "Deleted"},
        statuses=(*_ALWAYS, "4XX", "502", "503", "504"),
    ),
    ("/v1/videos/{video_id}/content", "GET"): Operation(
        "The film; with `variant` its thumbnail or spritesheet",
        answers={"video/*": None, "image/*": None},
        statuses=(*_ALWAYS, "4XX", "502", "503", "504"),
    ),
    ("/v1/videos/{video_id}/remix", "POST"): Operation(
        "A finished film by other words", "RemixRequest", {JSON: "Video"}, _CALLS, _STEERED
    ),
    ("/v1/models", "GET"): Operation("What can be called, with what is known of it", answers={JSON: "Models"}),
    ("/v1/models/{model}", "GET"): Operation("What is known of one model", answers={JSON: "Model"}),
    ("/v1/model/info", "GET"): Operation("The deployments behind the names", answers={JSON: "ModelInfo"}),
    ("/health", "GET"): Operation("How each deployment fares; calls nobody", answers={JSON: "Health"}),
    ("/health/liveliness", "GET"): _ALIVE,
    ("/health/liveness", "GET"): _ALIVE,
    ("/health/readiness", "GET"): Operation(
        "Whether requests are wanted here", answers={JSON: "Ready"}, statuses=("404", "500"), unready="Ready"
    ),
    ("/metrics", "GET"): Operation("The metrics, for Prometheus", answers={TEXT: None}),
    ("/openapi.json", "GET"): Operation("This document", answers={JSON: "Anything"}),
    ("/", "GET"): Operation("What this server is", answers={JSON: "Anything"}),
}
# Of routes that are not described: what is true of all.
GENERIC = {
    "GET": Operation("", answers={"*/*": None}, statuses=(*_ALWAYS, "4XX", "502", "503", "504")),
    "POST": Operation("", "Anything", {"*/*": None}, _CALLS),
    "DELETE": Operation("", answers={"*/*": None}, statuses=(*_ALWAYS, "4XX", "502", "503", "504")),
}
