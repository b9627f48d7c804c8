"""Deployments that answer without calling anybody."""

from __future__ import annotations

from pathlib import Path

from tests.faultserver import FaultServer, chat
from tests.gateway.serving import UPSTREAM_KEY, Serving, chat_body


def test_mock_responses(tmp_path: Path) -> None:
    with FaultServer() as upstream:
        upstream.play(chat("real"))
        real = {"model": "custom_openai/x", "api_base": upstream.url, "api_key": UPSTREAM_KEY}
        models = [
            {"model_name": "mocked", "litellm_params": {"model": "poe/Grok-4", "mock_response": "canned words"}},
            {"model_name": "limited", "litellm_params": {"model": "poe/x", "mock_response": "litellm.RateLimitError"}},
            {"model_name": "real", "litellm_params": real},
        ]
        fallbacks = {"fallbacks": [{"limited": ["real"]}]}
        with Serving(tmp_path, models=models, router_settings=fallbacks) as gateway:
            answer = gateway.post(chat_body(model="mocked"))
            assert answer.status == 200
            assert answer.json["choices"][0]["message"]["content"] == "canned words"
            assert gateway.post(chat_body(model="mocked", stream=True)).text == "canned words"
            assert not upstream.requests
            assert (
                gateway.post(chat_body(model="mocked", stream=False, seed=1)).headers["x-quoth-model"] == "poe/Grok-4"
            )
            assert gateway.post(chat_body(model="limited")).json["choices"][0]["message"]["content"] == "real"
            assert gateway.post(chat_body(model="real")).json["choices"][0]["message"]["content"] == "real"
