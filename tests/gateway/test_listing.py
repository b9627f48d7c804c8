"""The list of models in the keys and the words of Poe's own, of which the shipped catalogue is a copy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quoth.providers.catalogue import shipped
from tests.gateway.serving import Serving

# One model as Poe listed it on 1 April 2026, but for its texts and the address of its picture, which are not shipped.
GEMINI: dict[str, Any] = {
    "id": "gemini-2.5-pro",
    "object": "model",
    "created": 1738780524168,
    "description": "",
    "owned_by": "Google",
    "root": "gemini-2.5-pro",
    "architecture": {
        "input_modalities": ["text", "image", "video", "audio"],
        "output_modalities": ["text"],
        "modality": "text,image,video,audio->text",
    },
    "supported_features": ["tools"],
    "supported_endpoints": ["/v1/responses", "/v1/chat/completions"],
    "pricing": {
        "prompt": "0.00000087",
        "completion": "0.0000070",
        "image": None,
        "request": None,
        "input_cache_read": "0.000000087",
        "input_cache_write": None,
    },
    "context_window": {"context_length": 1065535, "max_output_tokens": 65535},
    "context_length": 1065535,
    "metadata": {
        "display_name": "Gemini-2.5-Pro",
        "image": {"url": "", "alt": "Gemini-2.5-Pro model icon", "width": 200, "height": 200},
        "url": "https://poe.com/gemini-2.5-pro",
    },
    "reasoning": {
        "budget": {"max_tokens": 32768, "min_tokens": 0},
        "required": False,
        "supports_reasoning_effort": False,
    },
    "parameters": [
        {
            "name": "thinking_budget",
            "schema": {"type": "number", "minimum": 0, "maximum": 32768},
            "default_value": 0,
        },
        {"name": "web_search", "schema": {"type": "boolean"}, "default_value": False},
    ],
}
# What Poe says wrongly or not at all, and Quoth knows better than to believe when it calls.
AS_LISTED: dict[str, dict[str, Any]] = {
    "imagen-3": {"supported_endpoints": [], "context_length": 480},
    "gpt-4o-search": {"supported_features": ["tools"]},
    "web-search": {"supported_endpoints": [], "pricing": None, "context_window": None, "context_length": None},
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    models = [{"model_name": "*", "litellm_params": {"model": "poe/*"}}]
    folder: Path = tmp_path_factory.mktemp("gateway")
    nowhere = {"POE_API_KEY": "not-used-0123456789", "POE_API_BASE": "http://127.0.0.1:9/v1"}
    with Serving(folder, models=models, server="uvicorn", environment=nowhere) as serving:
        yield serving


@pytest.fixture(scope="module")
def listed(gateway: Serving) -> dict[str, dict[str, Any]]:
    body = gateway.get("/v1/models").json
    assert body.keys() == {"object", "data"}
    assert body["object"] == "list"
    return {row["id"]: row for row in body["data"]}


def test_a_model_is_poes_own_object(listed: dict[str, dict[str, Any]]) -> None:
    assert listed["gemini-2.5-pro"] == GEMINI
    assert list(listed["gemini-2.5-pro"]) == list(GEMINI)
    assert type(listed["gemini-2.5-pro"]["parameters"][0]["schema"]["maximum"]) is int


def test_what_poe_says_is_not_put_right(listed: dict[str, dict[str, Any]]) -> None:
    for name, said in AS_LISTED.items():
        assert {key: listed[name][key] for key in said} == said, name


def test_every_model_has_every_key(listed: dict[str, dict[str, Any]]) -> None:
    assert list(listed) == [facts.id for facts in shipped()]
    for row in listed.values():
        assert row.keys() == GEMINI.keys()
        for key in ("architecture", "metadata"):
            assert row[key].keys() == GEMINI[key].keys()
        assert row["pricing"] is None or row["pricing"].keys() == GEMINI["pricing"].keys()
        assert (row["context_window"] or {"context_length": None})["context_length"] == row["context_length"]
        for parameter in row["parameters"]:
            assert parameter.keys() <= {"name", "schema", "default_value"}
            assert parameter["schema"].keys() <= {"type", "enum", "minimum", "maximum"}


def test_one_model_is_its_row_of_the_list(gateway: Serving, listed: dict[str, dict[str, Any]]) -> None:
    for name in ("gemini-2.5-pro", "imagen-3", "grok-4", "elevenlabs-v3", "kimi-k3"):
        assert gateway.get(f"/v1/models/{name}").json == listed[name]
    assert gateway.get("/v1/models/GPT-5.2").json == listed["gpt-5.2"] | {"id": "GPT-5.2"}
