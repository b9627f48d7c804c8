"""The OpenAPI document of the routes that are served: made from ROUTES, and what `described` says of them."""

from __future__ import annotations

import re
from typing import Any

from quoth._version import __version__
from quoth.gateway.described import GENERIC, OPERATIONS, PARAMETERS, SCHEMAS, STATUSES, Operation
from quoth.gateway.outgoing import OPENAI
from quoth.gateway.routes import PATTERNS, ROUTES, Route

__all__ = ["document"]

_KEYS = ("x-api-key", "api-key", "x-litellm-api-key")
_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    **{name: {"type": "apiKey", "in": "header", "name": name} for name in _KEYS},
}


def document(*, guarded: bool = True) -> dict[str, Any]:
    """OpenAPI 3.1. `guarded`: a key is asked for."""
    paths: dict[str, dict[str, Any]] = {}
    for path, route in {**ROUTES, **PATTERNS}.items():
        item = paths[path] = {}
        names = re.findall(r"\{(\w+)}", path)
        if names:
            item["parameters"] = [
                {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
                for name in names
            ]
        for method in route.handlers:
            item[method.lower()] = _operation(path, route, method, guarded and not route.open)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Quoth",
            "version": __version__,
            "summary": "All of Poe, and any OpenAI-compatible provider, from one Python function and one gateway.",
            "description": "Not affiliated with Quora or Poe.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": SCHEMAS, "securitySchemes": _SCHEMES},
    }


def _operation(path: str, route: Route, method: str, guarded: bool) -> dict[str, Any]:
    described = OPERATIONS.get((route.template, method)) or GENERIC.get(method, GENERIC["POST"])
    found: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{method.lower()}{path}").strip("_"),
        "summary": described.summary or route.template,
        "tags": [route.surface],
        "security": [{name: []} for name in _SCHEMES] if guarded else [],
        "responses": _responses(route, described, guarded),
    }
    if described.headers:
        found["parameters"] = [
            {"name": name, "in": "header", "required": False, "schema": PARAMETERS[name]} for name in described.headers
        ]
    if described.body is not None:
        schema: dict[str, Any] = _reference(described.body)
        if "{" in path:
            # The model in the path counts, so the body need not have one.
            whole = SCHEMAS[described.body]
            schema = {**whole, "required": [name for name in whole.get("required", ()) if name != "model"]}
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return found


def _responses(route: Route, described: Operation, guarded: bool) -> dict[str, Any]:
    error = _content("Error" if route.dialect is OPENAI else "AnyError")
    content = {kind: {} if name is None else {"schema": _reference(name)} for kind, name in described.answers.items()}
    found: dict[str, Any] = {"200": {"description": "The answer", "content": content}}
    for status in described.statuses:
        if guarded or status != "401":
            found[status] = {"description": STATUSES[status], "content": error}
    if described.unready:
        found["503"] = {"description": "The gateway is stopping", "content": _content(described.unready)}
    return found


def _content(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": _reference(name)}}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
