"""Which path is answered by what. Every route of OpenAI's API is there with and without `/v1`, as LiteLLM has them."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import unquote

import msgspec

from quoth.gateway.dialects import ANTHROPIC, RESPONSES_ERRORS
from quoth.gateway.outgoing import OPENAI, Dialect
from quoth.gateway.request import Request
from quoth.gateway.surfaces import (
    about,
    audio,
    completions,
    embeddings,
    health,
    images,
    listing,
    messages,
    responses,
    videos,
)
from quoth.gateway.surfaces.chat import chat

__all__ = ["PATTERNS", "ROUTES", "Handler", "Route", "decoded", "find"]

Handler = Callable[[Request], Awaitable[None]]


class Route(msgspec.Struct, frozen=True):
    """`template` is the path as metrics and logs name it. `open`: no key is needed. What it takes and gives is in
    `quoth.gateway.described`."""

    template: str
    surface: str
    handlers: Mapping[str, Handler]
    dialect: Any = OPENAI
    open: bool = False


def _with_v1(path: str, surface: str, dialect: Dialect = OPENAI, **handlers: Handler) -> dict[str, Route]:
    route = Route(f"/v1{path}", surface, handlers, dialect)
    return {f"/v1{path}": route, path: route}


def _alone(path: str, surface: str, *, open: bool = False, **handlers: Handler) -> dict[str, Route]:
    return {path: Route(path, surface, handlers, OPENAI, open)}


def _with_model(path: str, surface: str, **handlers: Handler) -> dict[str, Route]:
    """With the model in the path, as Azure's clients write it, and the oldest of OpenAI's."""
    route = Route(f"/openai/deployments/{{model}}{path}", surface, handlers)
    return dict.fromkeys((route.template, f"/engines/{{model}}{path}", f"/v1/engines/{{model}}{path}"), route)


ROUTES: dict[str, Route] = {
    **_with_v1("/chat/completions", "chat", POST=chat),
    **_with_v1("/completions", "completions", POST=completions.completions),
    **_with_v1("/responses", "responses", RESPONSES_ERRORS, POST=responses.responses),
    **_with_v1("/messages", "messages", ANTHROPIC, POST=messages.messages),
    **_with_v1("/messages/count_tokens", "count_tokens", ANTHROPIC, POST=messages.count_tokens),
    **_with_v1("/embeddings", "embeddings", POST=embeddings.embeddings),
    **_with_v1("/images/generations", "images", POST=images.generations),
    **_with_v1("/images/edits", "images", POST=images.edits),
    **_with_v1("/audio/speech", "audio", POST=audio.speech),
    **_with_v1("/audio/transcriptions", "audio", POST=audio.transcriptions),
    **_with_v1("/videos", "videos", POST=videos.create),
    **_with_v1("/models", "models", GET=listing.models),
    **_with_v1("/model/info", "model_info", GET=listing.model_info),
    **_alone("/health", "health", GET=health.health),
    **_alone("/health/liveliness", "health", open=True, GET=health.liveliness),
    **_alone("/health/liveness", "health", open=True, GET=health.liveliness),
    **_alone("/health/readiness", "health", open=True, GET=health.readiness),
    **_alone("/metrics", "metrics", GET=health.metrics),
    **_alone("/openapi.json", "about", GET=about.openapi),
    **_alone("/", "about", GET=about.home),
}

# Paths with something in them, which may have slashes of its own; the first that fits counts.
PATTERNS: dict[str, Route] = {
    **_with_v1("/models/{model}", "models", GET=listing.model),
    **_with_v1("/responses/{id}", "responses", GET=responses.kept, DELETE=responses.kept),
    **_with_v1("/videos/{video_id}/content", "videos", GET=videos.content),
    **_with_v1("/videos/{video_id}/remix", "videos", POST=videos.remix),
    **_with_v1("/videos/{video_id}", "videos", GET=videos.retrieve, DELETE=videos.delete),
    **_with_model("/chat/completions", "chat", POST=chat),
    **_with_model("/completions", "completions", POST=completions.completions),
    **_with_model("/embeddings", "embeddings", POST=embeddings.embeddings),
}
_PATTERNS = [(re.compile(re.sub(r"\{\w+}", "(.+)", path)), route) for path, route in PATTERNS.items()]
_SLASH = re.compile("%2f", re.I)
_OF_MESSAGES = re.compile("(/v1)?/messages/.*")
_NOWHERE = Route("unknown", "unknown", {})
_NOWHERE_IN_MESSAGES = Route("unknown", "unknown", {}, ANTHROPIC)


def decoded(raw: bytes) -> str:
    """A path as it is on the wire, decoded but for slashes: one that was written %2F does not part a path."""
    return unquote(_SLASH.sub("%252F", raw.partition(b"?")[0].decode("latin-1")))


def find(path: str) -> tuple[Route, str]:
    """The route of a path that is not in ROUTES, and what its parameter is; one without handlers for no route."""
    for pattern, route in _PATTERNS:
        found = pattern.fullmatch(path)
        if found is not None and "//" not in path:
            return route, found[1].replace("%2F", "/")
    return (_NOWHERE_IN_MESSAGES if _OF_MESSAGES.fullmatch(path) else _NOWHERE), ""
