"""Exchanges as the application makes them, for tests of those who watch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quoth.engine.effects import World
from quoth.engine.routing import Candidate, Options, Routes, deployment_from
from quoth.gateway.exchange import Caller, Exchange
from quoth.providers.rows import Registry

ENTRIES = (
    {"model_name": "small", "litellm_params": {"model": "poe/GPT-5.2", "api_key": "k-one"}, "model_info": {"id": "d1"}},
    {"model_name": "poe/*", "litellm_params": {"model": "poe/*", "api_key": "k-two"}, "model_info": {"id": "d2"}},
)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def routes(clock: Clock | None = None, entries: tuple[Mapping[str, Any], ...] = ENTRIES) -> Routes:
    registry = Registry()
    deployments = [deployment_from(entry, registry, {}) for entry in entries]
    return Routes(deployments, Options(), world=world(clock or Clock()))


def world(clock: Clock) -> World:
    from datetime import UTC, datetime

    return World(now=clock, random=lambda: 0.5, today=lambda: datetime(2026, 1, 1, tzinfo=UTC))


def candidate(table: Routes, name: str) -> Candidate:
    group = table.find(name)
    assert group is not None
    return group.candidates[0]


def exchange(**facts: Any) -> Exchange:
    """One that was answered well, with these attributes."""
    headers = facts.pop("headers", {})
    made = Exchange("req_1", "POST", "/v1/chat/completions", "chat", headers, 10.0)
    made.caller = Caller("master", is_master=True)
    made.status, made.ended, made.upstream_seconds = 200, 10.5, 0.4
    for name, value in facts.items():
        setattr(made, name, value)
    return made
