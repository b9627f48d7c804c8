"""The document at /openapi.json, and a gateway that keeps to it whatever is sent (schemathesis)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from quoth.emulator import Emulator
from quoth.gateway.described import OPERATIONS
from quoth.gateway.openapi import document
from quoth.gateway.routes import PATTERNS, ROUTES
from tests.faultserver import FaultServer, answer
from tests.gateway.serving import KEY, UPSTREAM_KEY, Serving

TALK, VECTORS = ["poe/GPT-5.2", "poe/Claude-Sonnet-4.6"], ["vectors"]
# What makes media, by the name of the request's schema or the end of the path.
MAKERS = {
    ("imagerequest", "imageeditrequest", "/generations", "/edits"): ["poe/Imagen-4-Fast", "poe/GPT-Image-1"],
    ("speechrequest", "/speech"): ["poe/Sonic-3.0", "poe/ElevenLabs-v3"],
    ("transcriptionrequest", "/transcriptions"): ["poe/Whisper-V3-Large-T"],
    ("videorequest", "/videos"): ["poe/Kling-2.6-Pro", "poe/Sora-2"],
}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    unsupported_method,
    ignored_auth,
]


def models_for(name: str) -> list[str]:
    """Those that can be asked for what the path or the schema of this name is about."""
    if name.endswith(("embeddings", "embeddingrequest")):
        return VECTORS
    return next((models for endings, models in MAKERS.items() if name.endswith(endings)), TALK)


def tried() -> dict[str, Any]:
    """The document, without what would make a call last or end early by itself; models are those that there are."""
    found: dict[str, Any] = json.loads(json.dumps(document()))
    # A path with and without /v1 is one route.
    found["paths"] = {path: item for path, item in found["paths"].items() if f"/v1{path}" not in found["paths"]}
    schemas = found["components"]["schemas"]
    for path, item in found["paths"].items():
        models = models_for(path)
        for operation in item.values():
            if isinstance(operation, dict):
                operation["parameters"] = [
                    one for one in operation.get("parameters", ()) if "timeout" not in one["name"]
                ]
                body = operation.get("requestBody")
                if body is not None and "properties" in (schema := body["content"]["application/json"]["schema"]):
                    schemas[operation["operationId"]] = schema
        for parameter in item.get("parameters", ()):
            parameter["schema"] = {"type": "string", "enum": [*models, "nowhere"]}
    for name, schema in schemas.items():
        models = models_for(name.lower())
        properties = schema.get("properties", {})
        for word in ("timeout", "stream_timeout"):
            properties.pop(word, None)
        if properties.get("model", {}).get("maxLength"):
            properties["model"] = {"type": "string", "enum": models}
    return found


schema = schemathesis.openapi.from_dict(tried())
schema.config.generation.update(modes=list(GenerationMode), with_security_parameters=False)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder: Path = tmp_path_factory.mktemp("gateway")
    vector = {"object": "embedding", "index": 0, "embedding": [0.5]}
    with Emulator(token_delay=0) as poe, FaultServer() as other:
        other.play(answer({"object": "list", "data": [vector], "model": "up"}))
        models = [
            {"model_name": "poe/*", "litellm_params": {"model": "poe/*", "api_base": poe.base_url, "api_key": "k"}},
            {
                "model_name": "vectors",
                "litellm_params": {"model": "custom_openai/up", "api_base": other.url, "api_key": UPSTREAM_KEY},
            },
        ]
        router = {"disable_cooldowns": True, "num_retries": 0}
        with Serving(folder, models=models, router_settings=router) as serving:
            yield serving


@schema.parametrize()
@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_route_keeps_to_its_description(case: schemathesis.Case[Any], gateway: Serving) -> None:
    case.call_and_validate(
        base_url=f"http://{gateway.host}:{gateway.port}",
        headers={"Authorization": f"Bearer {KEY}"},
        checks=CHECKS,
        timeout=20,
    )


def test_the_document_is_served(gateway: Serving) -> None:
    found = gateway.get("/openapi.json")
    assert found.status == 200
    assert found.json == json.loads(json.dumps(document()))
    assert found.json["openapi"] == "3.1.0"


def test_every_route_is_in_it() -> None:
    paths = document()["paths"]
    assert paths.keys() == ROUTES.keys() | PATTERNS.keys()
    for path, route in {**ROUTES, **PATTERNS}.items():
        for method in route.handlers:
            operation = paths[path][method.lower()]
            assert operation["security"] == [] if route.open else operation["security"]
    assert len({one["operationId"] for item in paths.values() for one in item.values() if "operationId" in one}) == sum(
        len(route.handlers) for route in {**ROUTES, **PATTERNS}.values()
    )


def test_what_is_described_is_served() -> None:
    served = {(route.template, method) for route in {**ROUTES, **PATTERNS}.values() for method in route.handlers}
    assert OPERATIONS.keys() <= served


def test_its_schemas_are_schemas() -> None:
    for schema in document()["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_without_a_key_none_is_asked_for() -> None:
    found = document(guarded=False)["paths"]["/v1/models"]["get"]
    assert found["security"] == []
    assert "401" not in found["responses"]
